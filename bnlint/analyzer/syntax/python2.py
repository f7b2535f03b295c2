"""Python 2 files: turned into Python 3 by fissix (lib2to3), with places in the original text.

Only the fixers for syntax run: what TensorFlow calls mean is the same in both. fissix keeps
every line where it is; within a line that it changed, a place is found by what the two versions
of the line have in common.
"""

from __future__ import annotations

import bisect
import difflib
import functools
import logging
import re
from collections.abc import Callable
from typing import Any

from bnlint.analyzer.syntax import nodes
from bnlint.findings import lines_of

NOTICE = "Python 2: analyzed as converted to Python 3 by fissix"
_FIXERS = "print except exec repr ne numliterals raise throw tuple_params".split()


@functools.cache
def _tool(print_function: bool) -> Any:
    from fissix.pgen2 import driver

    packaged = driver.load_packaged_grammar
    # Its own grammar is read each time: fissix would trust a pickle in the user's cache folder, and
    # fail where that folder cannot be made. The second argument is the pickle's name, not used.
    driver.load_packaged_grammar = lambda _, source: driver.load_grammar(
        source, source, save=False, force=True
    )
    try:
        from fissix.refactor import RefactoringTool
    finally:
        driver.load_packaged_grammar = packaged
    logging.getLogger("fissix").setLevel(logging.CRITICAL)
    fixers = [f"fissix.fixes.fix_{name}" for name in _FIXERS]
    return RefactoringTool(fixers, {"print_function": print_function})


def to_python3(text: str, print_function: bool = False) -> str | None:
    """`text` in Python 3 with the same number of lines; None if fissix cannot tell how.

    Args:
      text: Python 2.
      print_function: `print` is a function in it, as after a `__future__` import.
    """
    try:
        whole = text if text.endswith("\n") else text + "\n"
        converted = str(_tool(print_function).refactor_string(whole, ""))
    except Exception:  # fissix raises whatever its fixers run into
        return None
    if not text.endswith("\n"):
        converted = converted.removesuffix("\n")
    converted = _INDENT.sub(lambda indent: indent[0].expandtabs(8), converted)
    same = converted.count("\n") == text.count("\n")
    return converted if same and converted != text else None


# Python 3 wants tabs and spaces to agree; to Python 2 a tab goes to the next multiple of 8.
_INDENT = re.compile(r"^[ ]*\t[ \t]*", re.MULTILINE)


def moved(facts: nodes.ModuleFacts, converted: str, original: str) -> nodes.ModuleFacts:
    """Facts about `converted` with the places of `original`."""
    place = _places(converted, original)
    for node in nodes.nodes_in(facts.body):
        node.start, node.end = place(node.start), place(node.end)
    starts = nodes.line_starts(original)
    return nodes.ModuleFacts(
        facts.path, facts.module, facts.is_package, facts.body, starts, facts.reads
    )


def _places(converted: str, original: str) -> Callable[[int], int]:
    after, before = lines_of(converted), lines_of(original)
    after_starts, before_starts = nodes.line_starts(converted), nodes.line_starts(original)

    @functools.cache
    def blocks(line: int) -> list[tuple[int, int, int]]:
        return _common(after[line], before[line])

    def place(offset: int) -> int:
        line = min(bisect.bisect_right(after_starts, offset), len(after), len(before)) - 1
        if line < 0:
            return 0
        column = offset - after_starts[line]
        if after[line] != before[line]:
            # The last common part that begins at or before the column.
            start, there, size = max(block for block in blocks(line) if block[0] <= column)
            column = there + min(column - start, size)
        return before_starts[line] + column

    return place


MAX_LINE = 1000  # characters; finding what two lines share takes the square of their length


def _common(after: str, before: str) -> list[tuple[int, int, int]]:
    """(start in `after`, start in `before`, length) of the parts that two lines share."""
    if max(len(after), len(before)) > MAX_LINE:
        return [(0, 0, 0)]
    matcher = difflib.SequenceMatcher(None, after, before, autojunk=False)
    return [(0, 0, 0), *matcher.get_matching_blocks()[:-1]]
