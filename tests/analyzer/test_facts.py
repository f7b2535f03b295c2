"""Python's own parser and libcst give the same facts, in the same places."""

import re
import sysconfig
from io import StringIO
from pathlib import Path

import libcst
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnlint.analyzer.analysis import analyze
from bnlint.analyzer.syntax import lower, lower_ast, nodes
from bnlint.analyzer.syntax.parse import module_facts
from bnlint.findings import Report
from bnlint.lint.fixes import fix_text
from bnlint.registry import all_rules
from bnlint.reporting import render
from bnlint.sources.files import Source

EXAMPLES = [
    text
    for rule in all_rules().values()
    for case in (*rule.bad, *rule.good)
    for text in case.files.values()
]
CASES = Path(__file__).parents[2] / "fixtures" / "rules"
EXAMPLES += [path.read_text("utf-8") for path in sorted(CASES.rglob("*.py"))]
LIBRARY = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[::6]
TRICKY = [
    "x = 'a' 'b' \"c\"\n",
    "x = b'a' b'b'\ny = ('a'\n     f'{b}' 'c')\n",
    "f'{a!r:>{width}} {f(x):{n}.{m}}{{}}' f\"{d['k']}\"\n",
    "é = f('ä', b)  # ö\nprint(é.ü, 'ß')\n",
    "x = '\\ud800' 'a'\n",
    "x = -1, +1, ~1, not 1, - -1, -True, 1e400, 2**64, 18446744073709551616, 1j, ...\n",
    "()\nx = ( )\n(a)\n((a, (b)))\n(a),\n[(a), (b)]\n{(a), *b}\n{**a, (b): (c)}\n",
    "f(*a, b, c=1, *d, **e)\nf((a))\nf((a for a in b))\nf(a for a in (b) if (c))\n",
    "x[a:b, c], x[a, b], x[(a, b)], x[*a], x[a:b:c], x[:], x[(a)], x[a,]\n",
    "x = a and (b) and c or d and (e or f)\n"
    "y = (a or b) or c\nz = a < (b) <= c != d is not e not in f\n",
    "lambda a, /, b=(1), *c, d=2, **e: (yield)\n",
    "def f(a, /, b=(1), *, d=2, **e) -> int:\n    yield from a\n    x = yield a, b\n    await c\n",
    "@a.b(c)\n@d\nasync def f():\n    async with a as b, c: pass\n"
    "    async for x in y: pass\n    else: z\n",
    "@a\nclass A(B, *C, metaclass=D):\n    '''doc'''\n    x: int\n    y: int = (1)\n",
    "if a: b\nelif (c): d\nelse:\n    if e: f\n",
    "try: a\nexcept B as c: d\nexcept (E, F): g\nelse: h\nfinally: i\n",
    "match a, b:\n    case [x, *y] if z: p\n    case {'k': v}: q\n    case _: r\n",
    "from . import a\nfrom ..b import (c as d, e)\nimport a.b as c, d.e\nfrom x import *\n",
    "if a: b; c ;\nwhile a:\n    b; \n",
    "with (a as b, c): d\nwith (a, b) as (c, d): e\nfor (a), (b) in c: d\nwhile (a := b): c\n",
    "global a, b\ndel a, b\nassert a, b\nraise A(b) from c\nx = y = (z)\nx += (y)\nx **= y\n",
    "x = a if (b) else (c)\n[a for b in c if d if e for f in g]\n"
    "{a: b for c in d}\n{(a) for b in (c)}\n",
    "if a:\n\tb = (\n\n  1  # c\n  )\n\x0c\nx = 1\r\ny = '''a\r\nb'''\rz = 3",
]


def described(part: object, text: str) -> list[object]:
    """Everything that an expression or a list of statements holds, in order.

    A block that ends in a semicolon ends before it to libcst, after it to ast.
    """
    found: list[object] = []
    todo = [part]
    while todo:
        node = todo.pop()
        if isinstance(node, list | tuple):
            found.append(len(node))
            todo.extend(node)
        elif isinstance(node, nodes.Node | nodes.Argument | nodes.Param):
            found.append(type(node).__name__)
            todo.extend(getattr(node, name) for name in node.__struct_fields__ if name != "end")
            if isinstance(node, nodes.Node):
                found.append(_AFTER.match(text, node.end).end())  # type: ignore[union-attr]
        else:
            found.append((type(node), node))
    return found


_AFTER = re.compile(r"([ ]*;)?")


def assert_same(text: str) -> None:
    body, reads = lower_ast.body_facts(text)
    expected, expected_reads = lower.body_facts(text)
    assert described(body, text) == described(expected, text)
    assert reads == expected_reads


@pytest.mark.parametrize("text", TRICKY)
def test_tricky_syntax(text: str) -> None:
    assert_same(text)


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.name)
def test_the_standard_library(path: Path) -> None:
    assert_same(path.read_text(encoding="utf-8"))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(EXAMPLES), st.randoms(use_true_random=False))
def test_examples_with_other_tokens(text: str, random: object) -> None:
    """Texts that Python parses after some of their characters were replaced.

    Not by a form feed: libcst 1.9 loses one that stands before code on its line.
    """
    characters = list(text)
    for _ in range(random.randint(0, 4)):  # type: ignore[attr-defined]
        place = random.randrange(len(characters))  # type: ignore[attr-defined]
        characters[place] = random.choice("()[]{}:,.= \n'\"*+-aé0fl;#\\")  # type: ignore[attr-defined]
    changed = "".join(characters)
    try:
        lower_ast.body_facts(changed)
        lower.body_facts(changed)
    except Exception:  # one of them does not parse it
        return
    assert_same(changed)


BAD = """
import tensorflow as tf
slim = tf.contrib.slim
net = slim.batch_norm(slim.conv2d(images, 8, [3, 3]), is_training=True)
loss = tf.losses.softmax_cross_entropy(labels, net)
train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(train_op)
"""


def test_syntax_newer_than_this_python_is_read_by_libcst() -> None:
    newer = 'type Images = list[int]\nprint(f"{"nested"}")\n'
    if not _fails(newer):
        newer += "try: pass\nexcept A, B: pass\n"  # Python 3.14
    plain = analyze([Source("a.py", "a", BAD)]).findings
    found = analyze([Source("a.py", "a", newer + BAD)]).findings
    shift = newer.count("\n")
    assert found and [(item.code, item.location.line) for item in found] == [
        (item.code, item.location.line + shift) for item in plain
    ]


def _fails(text: str) -> bool:
    try:
        lower_ast.body_facts(text)
    except SyntaxError:
        return True
    return False


def test_a_form_feed_is_no_line_end() -> None:
    """Emacs users part their files with ^L: findings and fixes still stand on the right line."""
    plain = analyze([Source("a.py", "a", BAD)]).findings
    fed = BAD.replace("slim =", "\x0c\nslim =").replace("images,", "'\x1c\u2028', images,", 1)
    found = analyze([Source("a.py", "a", fed)]).findings
    assert [item.location.line for item in found] == [item.location.line + 1 for item in plain]
    stream = StringIO()
    render(Report(found), "text", stream, sources={"a.py": fed})
    assert "train_op = tf.train.AdamOptimizer().minimize(loss)" in stream.getvalue()
    fixed, count = fix_text(fed, found, unsafe=True)
    assert count and "\x0c" in fixed and not analyze([Source("a.py", "a", fixed)]).findings


def test_what_libcst_cannot_read_is_linted_and_not_fixed() -> None:
    text = f"(x): int = 1\n{BAD}"
    with pytest.raises(libcst.ParserSyntaxError):
        libcst.parse_module(text)
    found = analyze([Source("a.py", "a", text)]).findings
    assert [item.code for item in found if item.fix is not None] == ["BN101"]
    assert fix_text(text, found, unsafe=True) == (text, 0)


def test_a_template_string_holds_its_expressions() -> None:
    """Python 3.14 parses them itself; libcst does for the older ones."""
    facts = module_facts('x = t"{f(y)} {z:{width}}"\n', "a.py", "a")
    assert facts.reads == {"x", "f", "y", "z", "width"}
