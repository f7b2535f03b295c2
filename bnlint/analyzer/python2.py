"""Python 2 files: turned into Python 3 by fissix (lib2to3), with places in the original text.

Only the fixers for syntax run: what TensorFlow calls mean is the same in both. fissix keeps
every line where it is; within a line that it changed, a place is found by what the two versions
of the line have in common at their beginnings and ends.
"""

from __future__ import annotations

import bisect
import functools
import logging
from collections.abc import Callable
from typing import Any

from bnlint.analyzer import ir

NOTICE = "Python 2 syntax: analyzed as converted to Python 3 by fissix"
_FIXERS = "print except exec repr ne numliterals raise throw tuple_params".split()


@functools.cache
def _tool() -> Any:
    from fissix.refactor import RefactoringTool

    logging.getLogger("fissix").setLevel(logging.CRITICAL)
    return RefactoringTool([f"fissix.fixes.fix_{name}" for name in _FIXERS])


def to_python3(text: str, path: str) -> str | None:
    """`text` in Python 3 with the same number of lines; None if fissix cannot tell how."""
    try:
        converted = str(_tool().refactor_string(text if text.endswith("\n") else text + "\n", path))
    except Exception:  # fissix raises whatever its fixers run into
        return None
    if not text.endswith("\n"):
        converted = converted.removesuffix("\n")
    same = converted.count("\n") == text.count("\n")
    return converted if same and converted != text else None


def moved(facts: ir.ModuleFacts, converted: str, original: str) -> ir.ModuleFacts:
    """Facts about `converted` with the places of `original`."""
    place = _places(converted, original)
    _move(facts.body, place)
    starts = _starts(original.splitlines(keepends=True))
    return ir.ModuleFacts(
        facts.path, facts.module, facts.is_package, facts.body, starts, facts.reads
    )


def _starts(lines: list[str]) -> list[int]:
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    return starts


def _places(converted: str, original: str) -> Callable[[int], int]:
    after, before = converted.splitlines(keepends=True), original.splitlines(keepends=True)
    after_starts, before_starts = _starts(after), _starts(before)

    def place(offset: int) -> int:
        line = min(bisect.bisect_right(after_starts, offset), len(after), len(before)) - 1
        if line < 0:
            return 0
        column = _column(after[line], before[line], offset - after_starts[line])
        return before_starts[line] + column

    return place


def _column(after: str, before: str, column: int) -> int:
    if after == before:
        return column
    shared = _shared(after, before)
    if column <= shared:
        return column
    tail = min(_shared(after[::-1], before[::-1]), len(before) - shared)
    if column >= len(after) - tail:
        return column - len(after) + len(before)
    return shared


def _shared(left: str, right: str) -> int:
    """How many characters two texts have in common at their beginnings."""
    count = 0
    for mine, theirs in zip(left, right, strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def _move(part: object, place: Callable[[int], int]) -> None:
    todo: list[object] = [part]
    while todo:
        node = todo.pop()
        if isinstance(node, list | tuple):
            todo.extend(node)
        elif isinstance(node, ir.Node | ir.Argument | ir.Param):
            if isinstance(node, ir.Node):
                node.start, node.end = place(node.start), place(node.end)
            todo.extend(getattr(node, name) for name in node.__struct_fields__)
