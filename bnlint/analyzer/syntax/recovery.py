"""What can be read of a text that is not Python 3 as a whole.

Each statement at the top level is tried by itself. One of Python 2 is converted; in any other that
does not parse, the lines at fault are left out. Lines keep their numbers.
"""

from __future__ import annotations

import bisect
import re
import warnings
from ast import PyCF_ONLY_AST
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from bnlint.analyzer.syntax import python2
from bnlint.analyzer.syntax.lines import Line, logical_lines
from bnlint.analyzer.syntax.nesting import nested_too_deeply
from bnlint.analyzer.syntax.nodes import line_starts

TOO_DEEP = "nested too deeply to be analyzed"
MAX_LINES = 10  # lines of a text that are left out one by one; after that, whole statements
MAX_RETRIED = 500_000  # characters of a statement that are parsed again without a line
_BATCH = 10_000  # characters of statements that are parsed together: few of them are at fault
MAX_CONVERTED = 500_000  # characters; converting takes ten times as long as parsing


class Problem(NamedTuple):
    """What is wrong, in Python's own words, and where (both from 1)."""

    line: int
    column: int
    message: str


@dataclass
class Recovered:
    """What was made of a text.

    Attributes:
      text: Python 3 of as many lines.
      problems: why lines were left out, one problem each.
    """

    text: str = ""
    problems: list[Problem] = field(default_factory=list)


def recovered(text: str) -> Recovered:
    """As much of `text` as can be read."""
    result = Recovered()
    parts: list[str] = []
    line = 0
    for statement in _suspects(text):
        problem = problem_in(statement)
        if problem is not None:
            converted = _converted(statement, text) if problem.message != TOO_DEEP else None
            if converted is not None:
                statement = converted
            else:
                statement = _without_bad_lines(statement, problem, line, result.problems)
        parts.append(statement)
        line += len(line_starts(statement)) - 1
    result.text = "".join(parts)
    return result


def problem_in(text: str) -> Problem | None:
    """What keeps `text` from being read, if anything; it is never run."""
    import libcst

    if nested_too_deeply(text):
        return Problem(1, 1, TOO_DEEP)
    try:
        libcst.parse_module(text)
    except libcst.ParserSyntaxError as error:
        unread = Problem(error.raw_line, error.raw_column + 1, "libcst cannot read this syntax")
        return _python_says(text) or unread
    except Exception as error:  # a letter that is newer than this Python's Unicode, for one
        first = str(error).strip().partition("\n")[0]
        return _python_says(text) or Problem(1, 1, first or "invalid syntax")
    return None


def _python_says(text: str) -> Problem | None:
    """What Python's own parser finds wrong, in plainer words than libcst's."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the code's warnings are its owner's
            compile(text, "", "exec", flags=PyCF_ONLY_AST, dont_inherit=True)
    except SyntaxError as error:
        return Problem(error.lineno or 1, max(error.offset or 1, 1), error.msg)
    except (RecursionError, MemoryError):  # MemoryError: the parser's own stack is full
        return Problem(1, 1, TOO_DEEP)
    except ValueError:  # half a surrogate pair
        return None
    return None


def _converted(statement: str, text: str) -> str | None:
    if len(text) > MAX_CONVERTED:
        return None
    converted = python2.to_python3(statement, "print_function" in text)
    return converted if converted is not None and problem_in(converted) is None else None


def _suspects(text: str) -> Iterator[str]:
    """The statements of `text`; those that can be read together, in one piece."""
    batch: list[str] = []
    size = 0
    for statement in _top_level(text):
        if size + len(statement) > _BATCH:
            yield from _split(batch)
            batch, size = [], 0
        batch.append(statement)
        size += len(statement)
    yield from _split(batch)


def _split(batch: list[str]) -> list[str]:
    whole = "".join(batch)
    return [whole] if len(batch) > 1 and problem_in(whole) is None else batch


def _top_level(text: str) -> Iterator[str]:
    """The statements that begin without indentation, each with its blocks and decorators."""
    start, decorated = 0, False
    for line in logical_lines(text):
        if not line.indent:
            if line.start > start and not decorated and line.word not in _CONTINUED:
                yield text[start : line.start]
                start = line.start
            decorated = line.word == "@"
    yield text[start:]


def _without_bad_lines(statement: str, problem: Problem, line: int, problems: list[Problem]) -> str:
    """A statement with `pass` for what does not parse; problems count lines from `line`."""
    current: Problem | None = problem
    done: set[int] = set()
    most = min(MAX_LINES - len(problems), max(MAX_RETRIED // len(statement), 1))
    while current is not None and len(done) < most and current.message != TOO_DEEP:
        lines = logical_lines(statement)
        offset = line_starts(statement)[min(current.line, len(line_starts(statement))) - 1]
        at = max(bisect.bisect_right([item.start for item in lines], offset) - 1, 0)
        if at in done or not lines:
            break
        done.add(at)
        problems.append(_moved(current, line))
        statement = _replaced(statement, lines, at)
        current = problem_in(statement)
    if current is None:
        return statement
    if not done:
        problems.append(_moved(current, line))
    return "\n" * (len(line_starts(statement)) - 1)


def _moved(problem: Problem, lines: int) -> Problem:
    """The problem of a statement that begins after so many lines; messages name lines as well."""
    message = _LINE.sub(lambda match: f"line {int(match[1]) + lines}", problem.message)
    return Problem(problem.line + lines, problem.column, message)


_LINE = re.compile(r"\bline (\d+)")
# What stands for the head of a block that does not parse: nobody knows whether it runs.
_HEADS = {
    "elif": "elif _:", "else": "else:", "except": "except:", "finally": "finally:",
    "case": "case _:", "def": "def _():", "class": "class _:",
}  # fmt: skip
_CONTINUED = frozenset("elif else except finally".split())


def _replaced(statement: str, lines: list[Line], at: int) -> str:
    line = lines[at]
    has_block = at + 1 < len(lines) and len(lines[at + 1].indent) > len(line.indent)
    code = _HEADS.get(line.word, "if _:") if has_block else "pass"
    ends = "\n" * (len(line_starts(statement[line.start : line.end])) - 1)
    return f"{statement[: line.start]}{line.indent}{code}{ends}{statement[line.end :]}"
