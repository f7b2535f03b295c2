"""However deep or long a text is: facts, or one clear error, and what comes after it is read."""

import contextlib
import sys
from collections.abc import Callable, Iterator

import pytest

from bnlint.analyzer import tasks
from bnlint.analyzer.syntax import nesting, nodes, recovery
from bnlint.execution import executor

EXPRESSIONS: dict[str, Callable[[int], str]] = {
    "+": lambda n: "x = " + "a + " * n + "a\n",
    "**": lambda n: "x = " + "a ** " * n + "a\n",
    "attributes": lambda n: "x = a" + ".b" * n + "\n",
    "calls": lambda n: "x = a" + "()" * n + "\n",
    "parentheses": lambda n: "x = " + "(" * n + "a" + ")" * n + "\n",
    "lists": lambda n: "x = " + "[" * n + "]" * n + "\n",
    "dictionaries": lambda n: "x = " + "{1: " * n + "a" + "}" * n + "\n",
    "subscripts": lambda n: "x = " + "a[" * n + "0" + "]" * n + "\n",
    "comparisons": lambda n: "x = " + "a < " * n + "a\n",
    "not": lambda n: "x = " + "not " * n + "a\n",
    "lambda": lambda n: "x = " + "lambda: " * n + "a\n",
    "conditions": lambda n: "x = " + "a if a else " * n + "a\n",
    "comprehensions": lambda n: "x = [a" + " for a in b" * n + "]\n",
    "strings": lambda n: "x = " + "'' " * n + "\n",
    "dotted import": lambda n: "import a" + ".a" * n + "\n",
    "elif": lambda n: "if a: b\n" + "elif a: b\n" * n,
}
BLOCKS = {
    "if": "if a:", "for": "for a in b:", "while": "while a:", "def": "def f():",
    "with": "with a:", "try": "try:", "class": "class A:",
}  # fmt: skip
DEPTHS = (50, 1_000, 10_000, 100_000)


def blocks(head: str, depth: int) -> str:
    text = "".join(f"{' ' * level}{head}\n" for level in range(depth)) + " " * depth + "a\n"
    if head == "try:":
        text += "".join(f"{' ' * level}finally: a\n" for level in reversed(range(depth)))
    return text


DEEP = (recovery.TOO_DEEP, "too many levels of indentation")  # the latter: as Python says it


@contextlib.contextmanager
def deep_stack() -> Iterator[None]:
    """As the command has it."""
    limit = sys.getrecursionlimit()
    executor.prepare()
    yield
    sys.setrecursionlimit(limit)


def check_parsed(text: str) -> str:
    """What comes after `text` is read, if the file is not too large; the error, if any."""
    with deep_stack():
        parsed = tasks.parse(text + "marker = 1\n")
        if "tokens, not analyzed" in parsed.error:
            return parsed.error
        facts = nodes.decode(parsed.facts, "x.py", "x", False)
    (last,) = (item for item in facts.body[-1:] if isinstance(item, nodes.Assign))
    assert [target.id for target in last.targets if isinstance(target, nodes.Name)] == ["marker"]
    assert not parsed.error or any(words in parsed.error for words in DEEP)
    return parsed.error


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("shape", EXPRESSIONS)
def test_deep_expressions(shape: str, depth: int) -> None:
    error = check_parsed(EXPRESSIONS[shape](depth))
    assert not error if depth == 50 else (error or depth == 1_000)


# Deeper ones are larger than any file that is read: n levels have n * n / 2 blanks.
@pytest.mark.parametrize("depth", [20, 90, 500, 2_000])
@pytest.mark.parametrize("shape", BLOCKS)
def test_deep_blocks(shape: str, depth: int) -> None:
    error = check_parsed(blocks(BLOCKS[shape], depth))
    assert not error if depth == 20 else (error or depth < 2_000)


@pytest.mark.parametrize("code", ["x = 1\n", "x=1;", "1, ", "f(a)(b).c[d] # e\n"])
def test_a_file_of_too_many_tokens_is_one_error(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nesting, "MAX_TOKENS", 2_000)
    small = tasks.parse(code * 100 + "\n")
    assert small.facts and not small.error
    large = tasks.parse(code * 2_000 + "\n")
    assert not large.facts and large.error == "more than 2,000 tokens, not analyzed" and large.fatal
    comments = tasks.parse("# " + code.strip() * 2_000 + "\n")
    assert comments.facts and not comments.error


def parsed_characters(monkeypatch: pytest.MonkeyPatch, text: str) -> int:
    """How much is given to the parser."""
    import libcst

    count = 0
    real = libcst.parse_module

    def counting(part: str) -> object:
        nonlocal count
        count += len(part)
        return real(part)

    with monkeypatch.context() as patch:
        patch.setattr(libcst, "parse_module", counting)
        assert tasks.parse(text).error
    return count


BAD = "x = = 1\n"


@pytest.mark.parametrize(
    "text",
    [
        "x = f(1)\n" * 2_000 + BAD,
        BAD + "x = f(1)\n" * 2_000,
        "x = f(1)\n" * 1_000 + BAD + "x = f(1)\n" * 1_000,
        "def f():\n" + "    x = f(1)\n" * 2_000 + "    " + BAD,
        ("x = f(1)\n" * 200 + BAD) * 9,
    ],
)
def test_an_error_costs_a_few_times_the_size_of_its_file(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parsed_characters(monkeypatch, text) <= 6 * len(text)


def test_a_large_statement_is_not_parsed_again_for_each_of_its_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recovery, "MAX_RETRIED", 30_000)
    text = "def f():\n" + ("    x = f(1)\n" * 200 + "    " + BAD) * 9
    assert parsed_characters(monkeypatch, text) <= 5 * len(text)
    parsed = tasks.parse(text)
    assert "syntax error" in parsed.error and parsed.line == 202
