"""What is nested too deeply to be parsed is left out, and nothing else is."""

import pytest

from bnlint.analyzer.analysis import analyze
from bnlint.analyzer.syntax.nesting import MAX_BRACKETS
from bnlint.analyzer.syntax.recovery import TOO_DEEP
from bnlint.analyzer.tasks import parse
from bnlint.sources.files import Source

PROGRAM = """\
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(x, training=True)
loss = tf.reduce_mean(h)
train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(train_op)
"""
MANY = 10_000


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "(" * MANY + ")" * MANY,
        "x = " + "[" * MANY,
        "x = 1" + " + 1" * MANY,
        "x = (1" + "\n + 1" * MANY + ")",
        "x = 1" + " \\\n + 1" * MANY,
        "x = " + "not " * MANY + "1",
        "x = " + "-" * MANY + "1",
        "x = a" + ".b" * MANY,
        "x = a" + "[0]" * MANY,
        "x = a" + "()" * MANY,
        "x = 1" + " and 1" * MANY,
        "x = " + "1 if a else " * MANY + "1",
        "x = " + "lambda: " * MANY + "1",
        "if a: pass\n" + "elif a: pass\n" * MANY,
        "x = " + '"a" ' * MANY,
        "x = [a" + " for a in b" * MANY + "]",
        "x = " + "{1:" * MANY + "1" + "}" * MANY,
        "x = f'{" + "(" * MANY + ")" * MANY + "}'",
        """x = f'{a("}' '")}' + """ + "(" * MANY + ")" * MANY,
        "x = " + "(yield " * MANY + ")" * MANY,
        "x = f(" + "lambda x=(" * MANY,
        "import " + ".".join("a" * MANY),
        "match x:\n case " + "A(" * 20 + ")" * 20 + ": pass",
        "match x:\n case " + "[" * 40 + "]" * 40 + ": pass",
        "match x:\n case " + "{1:" * 20 + "1" + "}" * 20 + ": pass",
    ],
    ids=lambda text: text[:12],
)
def test_deep_expressions_are_refused_at_once(text: str) -> None:
    assert parse(text + "\n").error == TOO_DEEP


@pytest.mark.parametrize(
    "text",
    [
        "return (\n" * MANY,
        "x = f(" + "1 2, " * MANY,
        "".join(" " * i + "if a:\n" for i in range(300)),
        "x = " + "[" * 150 + "1 2" + "]" * 150,
        "(" + ")" * MANY,
    ],
    ids=lambda text: text[:12],
)
def test_deep_and_broken_expressions_are_syntax_errors(text: str) -> None:
    assert parse(text + "\n").error.startswith("syntax error: ")


def test_what_is_nested_too_deeply_hides_nothing_else() -> None:
    deep = f"{PROGRAM}deep = {'[' * MANY}{']' * MANY}\n"
    result = analyze([Source("deep.py", "deep", deep)])
    assert [finding.code for finding in result.findings] == ["BN101"]
    assert [error.line for error in result.errors] == [PROGRAM.count("\n") + 1]


@pytest.mark.parametrize(
    "text",
    [
        "x = 1" + " + 1" * 200,
        "x = " + "(" * (MAX_BRACKETS - 1) + "1" + ")" * (MAX_BRACKETS - 1),
        "x = [" + "1, " * MANY + "]",
        "x = '''" + "([{\n" * MANY + "'''",
        "x = {" + "'a': f(a.b, [1]),\n" * 500 + "}",
        "# " + "(" * MANY,
        "x = " + '"a" ' * 200,
        "x = [a" + " for a in b" * 200 + "]",
        "if a: pass\n" + "elif a: pass\n" * 200,
        "x = " + "a + " * 200 + "b",
    ],
    ids=lambda text: text[:12],
)
def test_long_but_flat_code_is_parsed(text: str) -> None:
    assert parse(text + "\n").error == ""
    assert analyze([Source("flat.py", "flat", f"{PROGRAM}{text}\n")]).errors == []
