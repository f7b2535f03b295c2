"""The facts of a text, their places, and what is left of them where it does not parse."""

import ast
import sysconfig
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import libcst
import pytest

from bnlint.analyzer.analysis import analyze
from bnlint.analyzer.syntax import nodes
from bnlint.analyzer.syntax.parse import module_facts
from bnlint.analyzer.tasks import parse
from bnlint.findings import Confidence, Report, lines_of
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
CASES = Path(__file__).parents[3] / "fixtures" / "rules"
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


def assert_places(text: str) -> None:
    """Names, attributes, calls and functions stand where Python's own parser sees them."""
    facts = module_facts(text, "a.py", "a")
    found = set(_found(facts, text))
    expected = set(_expected(ast.parse(text)))
    assert found <= expected
    calls = {place for place in expected if place[0] == "Call"}
    assert len(calls - found) <= len(calls) / 10  # those in annotations and the like
    assert {name for kind, *_, name in found if kind == "Name"} <= facts.reads


Found = tuple[str, int, int, str]  # kind, line, column in bytes of UTF-8, name


def _found(facts: nodes.ModuleFacts, text: str) -> Iterator[Found]:
    lines = lines_of(text)
    for node in nodes.nodes_in(facts.body):
        place = facts.location(node)
        start = place.line, len(lines[place.line - 1][: place.column - 1].encode())
        if isinstance(node, nodes.Name):
            yield "Name", *start, node.id
        elif isinstance(node, nodes.Attribute):
            yield "Attribute", *start, node.attr
        elif isinstance(node, nodes.FunctionDef) and node.name != "<lambda>":
            yield "FunctionDef", *start, node.name
        elif isinstance(node, nodes.Call):
            end = len(lines[place.end_line - 1][: place.end_column - 1].encode())
            yield "Call", place.end_line, end, ""


def _expected(tree: ast.AST) -> Iterator[Found]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield "Name", node.lineno, node.col_offset, node.id
        elif isinstance(node, ast.Attribute):
            yield "Attribute", node.lineno, node.col_offset, node.attr
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield "FunctionDef", node.lineno, node.col_offset, node.name
        elif isinstance(node, ast.Call):
            yield "Call", node.end_lineno or 0, node.end_col_offset or 0, ""


@pytest.mark.parametrize("text", TRICKY)
def test_tricky_syntax(text: str) -> None:
    assert_places(text)


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.name)
def test_the_standard_library(path: Path) -> None:
    assert_places(path.read_text(encoding="utf-8"))


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
        ast.parse(text)
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


def test_what_libcst_cannot_read_is_left_out() -> None:
    text = f"(x): int = 1\n{BAD}"
    with pytest.raises(libcst.ParserSyntaxError):
        libcst.parse_module(text)
    result = analyze([Source("a.py", "a", text)])
    assert [item.code for item in result.findings] == ["BN101"]
    assert [error.fatal for error in result.errors] == [True]
    assert "libcst cannot read" in result.errors[0].message


LOOP = """\
def train(a, b):
    {}
        c = a
    return c


print(train.name)
"""


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("x = (1\ny = 2\n", 1, 5, "'(' was never closed"),
        ("x = 1\ny = 'a\nz = 3\n", 2, 5, "unterminated string literal (detected at line 2)"),
        ("x = 1\ndef f(:\n    pass\n", 2, 7, "invalid syntax"),
        ("x = 1\n\n\ny = [1)\n", 4, 7, "closing parenthesis ')' does not match opening"),
        (LOOP.format("if a b:"), 2, 0, ""),
        (LOOP.format("for a b:"), 2, 11, "invalid syntax"),
        (LOOP.format("with a as 1 + b c:"), 2, 0, ""),
        ("a\n\nif b:\nc = 1\n", 3, 0, "expected an indented block after 'if' statement on line 3"),
    ],
)
def test_a_syntax_error_reads_as_python_s(text: str, line: int, column: int, message: str) -> None:
    parsed = parse(text)
    assert parsed.error.startswith(f"syntax error: {message}") and parsed.fatal
    assert parsed.line == line and (not column or parsed.column == column)
    assert "\n" not in parsed.error


@pytest.mark.parametrize(
    "broken",
    [
        "x = (1",
        "y = 'a",
        "def f(:\n    pass",
        "class A:\n    def f(self):\n        return 1 +\n    def g(self): pass",
        "try:\n    a b\nexcept C:\n    d",
        "<<<<<<< HEAD",
        "x = 5 $ 3",
        "  x = 1",
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_a_statement_that_does_not_parse_hides_nothing_else(broken: str, before: bool) -> None:
    text = f"{broken}\n{BAD}" if before else f"{BAD}{broken}\n"
    result = analyze([Source("a.py", "a", text)])
    plain = analyze([Source("a.py", "a", BAD)]).findings[0].location.line
    line = plain + (broken.count("\n") + 1 if before else 0)
    assert [(item.code, item.location.line) for item in result.findings] == [("BN101", line)]
    assert result.findings[0].confidence < Confidence.HIGH and result.findings[0].fix is None
    (error,) = result.errors
    assert error.fatal and "left out" in error.message


def test_a_line_that_does_not_parse_hides_nothing_else_of_its_function() -> None:
    body = "".join(f"    {line}\n" for line in BAD.strip().splitlines())
    text = f"def main():\n    a b c\n    if x y:\n        z = 1\n{body}\nmain()\n"
    result = analyze([Source("a.py", "a", text)])
    assert [item.code for item in result.findings] == ["BN101"]
    assert [error.message.rpartition("(")[2] for error in result.errors] == [
        "this statement and 1 more were left out, the rest was analyzed)"
    ]


def test_a_template_string_holds_its_expressions() -> None:
    """Python 3.14 parses them itself; libcst does for the older ones."""
    facts = module_facts('x = t"{f(y)} {z:{width}}"\n', "a.py", "a")
    assert facts.reads == {"x", "f", "y", "z", "width"}
