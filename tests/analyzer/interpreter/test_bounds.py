"""No text makes the interpreter take many steps or much memory, and what it leaves is said."""

from __future__ import annotations

import pytest

from bnlint.analyzer.analysis import AnalysisResult, analyze
from bnlint.analyzer.interpreter import budget
from bnlint.analyzer.interpreter.values import (
    MAX_ITEMS,
    MAX_KEY,
    MAX_LINEAGE,
    ClassValue,
    Const,
    ListValue,
    Symbol,
    join,
    short_key,
    symbol_of,
)
from bnlint.sources.files import Source

NET = """import tensorflow as tf
def net(x):
    x = tf.layers.batch_normalization(x, training=True)
    return tf.layers.dense(x, 10)
def train(x):
    return tf.train.AdamOptimizer().minimize(net(x))
"""


def lint(text: str) -> AnalysisResult:
    return analyze([Source("x.py", "x", text)])


def codes(result: AnalysisResult) -> list[str]:
    return sorted({finding.code for finding in result.findings})


# Each would take gigabytes, or years, if it were computed.
HOSTILE = {
    "list + list": "x = [1]\n" + "x = x + x\n" * 60,
    "tuple display": "x = (1,)\n" + "x = (*x, *x)\n" * 60,
    "extend": "x = [1]\n" + "x.extend(x)\n" * 60,
    "+=": "x = [1]\n" + "x += x\n" * 60,
    "star arguments": "def g0(*a): return a\n"
    + "".join(f"def g{i}(*a): return g{i - 1}(*a, *a)\n" for i in range(1, 50))
    + "g49(1, 2)\n",
    "nested lists": "x = [1]\n" + "x = [x, x]\n" * 60 + "tf.zeros(x)\n",
    "nested partials": "import functools\nx = net\n"
    + "x = functools.partial(x, x, x)\n" * 60
    + "tf.zeros(x)\n",
    "a setting's key": "import argparse\np = argparse.ArgumentParser()\n"
    "p.add_argument('--a', type=int, default=3)\nx = p.parse_args().a\n" + "x = x * x + x\n" * 60,
    "a condition's key": "x = tf.app.flags.FLAGS.a\n" + "x = x == x\n" * 60,
    "attribute chain": "x = tf\n" + "x = x.a\n" * 3000,
    "width": "x = '%2000000000d' % 1\n",
    "width with flags": "x = '%-+ 2000000000d' % 1\n",
    "precision": "x = '%.2000000000f' % 1\n",
    "replace and join": "x = 'ab'\n"
    + "x = x.replace('', x)\n" * 60
    + "x = x.join([x, x, x])\n" * 60,
    "long range": "for i in range(9000000000000000000 * 9):\n    net(i)\n",
    "search in a range": "x = 0.5 in range(1000000000000000)\n",
    "class diamonds": "class A0: pass\nclass B0: pass\n"
    + "".join(f"class {name}{i}(A{i - 1}, B{i - 1}): pass\n" for i in range(1, 60) for name in "AB")
    + "A59().x()\n",
    "nested comprehension": "x = [a "
    + " ".join(f"for {name} in [1, 2, 3, 4, 5, 6, 7, 8]" for name in "abcdefgh")
    + "]\n",
    "calls of calls": "def f0(): pass\n"
    + "".join(f"def f{i}(): return f{i - 1}(), f{i - 1}()\n" for i in range(1, 50))
    + "f49()\n",
    "own names of internals": "def gen():\n    __yielded__ = 5\n    yield 3\n"
    "for i in gen(): net(i)\n__function__ = 4\n__loaded__ = 3\n",
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_values_are_bounded_and_the_rest_of_the_file_is_linted(hostile: str) -> None:
    result = lint(NET + hostile)
    assert result.errors == []
    assert codes(result) == ["BN101"]


def test_a_list_tells_a_bounded_number_of_items_apart() -> None:
    items = tuple(Const(number) for number in range(MAX_ITEMS + 1))
    full, longer = ListValue(items[:-1]), ListValue(items)
    assert len(full.items) == len(longer.items) == MAX_ITEMS
    assert full.rest is None
    assert longer.rest is not None and longer.rest.incomplete


def test_symbols_past_the_bound_stay_in_the_rest() -> None:
    named = Symbol(data_names=frozenset(["test_images"]))
    assert symbol_of(ListValue((named,) * (MAX_ITEMS + 1)).rest).data_names == {"test_images"}


def test_long_keys_keep_their_identity() -> None:
    left, right = "a" * 10_000 + "left", "a" * 10_000 + "right"
    assert short_key("short") == "short"
    assert short_key(left) == short_key(left) != short_key(right)
    assert len(short_key(left)) <= MAX_KEY
    assert len(Symbol().replace(key=left).key) <= MAX_KEY


def test_of_many_different_values_few_are_compared() -> None:
    compared = join([Const(number) for number in range(100_000)])
    assert isinstance(compared, Symbol) and compared.incomplete


def test_a_long_lineage_ends() -> None:
    cls: ClassValue | None = None
    for _ in range(10_000):
        cls = ClassValue(None, None, (cls,) if cls else ())  # type: ignore[arg-type]
    assert cls is not None and len(cls.lineage()) == MAX_LINEAGE


# --- programs that are left ----------------------------------------------------------------

LOOPS = "for a in [1, 2, 3, 4, 5, 6, 7, 8]:\n"


def nested(body: str, depth: int, indent: int = 0) -> str:
    """`body` in `depth` loops of eight items each."""
    lines = ["    " * (indent + level) + LOOPS for level in range(depth)]
    return "".join(lines) + "    " * (indent + depth) + body


def test_a_program_that_is_left_is_named_with_the_reason() -> None:
    result = lint(NET + "def main(x):\n" + nested("x = net(x)\n", 6, 1) + "    train(x)\n")
    assert [(item.path, item.entry) for item in result.left] == [("x.py", "x.main")]
    assert result.left[0].reason == f"it takes more than {budget.MAX_STEPS:,} steps"


def test_a_program_without_tensorflow_is_left_earlier() -> None:
    body = "def main(x):\n" + nested("x = min(x, a)\n", 6, 1) + "    train(x)\n"
    result = lint(NET + body)
    steps = 2 * budget.STEPS_WITHOUT_TENSORFLOW
    assert [item.reason for item in result.left] == [
        f"no call of TensorFlow within {steps:,} steps"
    ]


def test_all_programs_of_a_group_share_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bnlint.analyzer.interpreter.interpreter.GROUP_STEPS", -2_990)
    functions = "".join(f"def train{i}(x): return train(x)\n" for i in range(5))
    result = lint(NET + functions)
    assert {item.reason for item in result.left} == {
        "the programs of its project take too many steps together"
    }
    assert 0 < len(result.left) < 5


def test_nothing_is_left_of_an_ordinary_program() -> None:
    assert lint(NET + "train(tf.zeros([1, 2]))\n").left == []


# --- thrift --------------------------------------------------------------------------------


@pytest.mark.parametrize("calls", [20, 400])
def test_a_long_way_to_tensorflow_is_followed_to_the_network(calls: int) -> None:
    """Configurations that are registered one by one, as model zoos do."""
    registry = """
NETS = {}
class Config:
    def __init__(self, name, **kwargs):
        self.values = {}
        for key, value in kwargs.items():
            self.set(key, value)
    def set(self, key, value):
        if not isinstance(key, str):
            raise TypeError(key)
        self.values[key] = value
def register(name, **kwargs):
    for factor in (1, 2, 4):
        NETS[name] = Config(name, factor=factor, **kwargs)
"""
    lines = "".join(f"    register('net{i}', width={i}, depth=2, rate=1)\n" for i in range(calls))
    result = lint(f"{NET}{registry}def main():\n{lines}    train(tf.zeros([1, 2]))\nmain()\n")
    assert codes(result) == ["BN101"]
    assert result.left == []


def test_a_long_top_level_is_followed_to_its_end() -> None:
    colors = "def color(r, g):\n    value = r + g\n    return value\nCOLORS = {}\n"
    lines = "".join(f"COLORS['c{i}'] = color({i}, 3)\n" for i in range(1500))
    result = lint(f"{NET}{colors}{lines}train(tf.zeros([1, 2]))\n")
    assert codes(result) == ["BN101"]
    assert result.left == []
