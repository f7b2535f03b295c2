"""Logical lines of a text that may be broken or hostile, found in one pass over its tokens.

Python's own tokenizer stops at the first error; this one goes on, takes time linear in the text,
and knows just enough: strings, comments, brackets, words and where lines end.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

# Each alternative begins with other characters than the next, and what it repeats cannot match in
# two ways: nothing is tried twice.
_TOKEN = re.compile(
    r"""
    (?P<string> [A-Za-z]{0,3} (?:
        \"{3} [^"\\]* (?: (?: \\[\s\S] | "(?!"") ) [^"\\]* )* (?: \"{3} | \\?\Z )
      | '{3} [^'\\]* (?: (?: \\[\s\S] | '(?!'') ) [^'\\]* )* (?: '{3} | \\?\Z )
      | " [^"\\\r\n]* (?: \\ (?: \r\n | [\s\S] ) [^"\\\r\n]* )* (?: " | \\?\Z | (?=[\r\n]) )
      | ' [^'\\\r\n]* (?: \\ (?: \r\n | [\s\S] ) [^'\\\r\n]* )* (?: ' | \\?\Z | (?=[\r\n]) )
    ) )
  | (?P<word> \w+ )
  | (?P<open> [(\[{] )
  | (?P<close> [)\]}] )
  | (?P<end> \r\n | [\r\n] )
  | (?P<blank> [ \t\f]+ | \#[^\r\n]* | \\ (?: \r\n | [\r\n] ) )
  | (?P<other> [\s\S] )
    """,
    re.VERBOSE,
)


class Token(NamedTuple):
    """`kind` is a group of the pattern; the place is an offset in the text."""

    kind: str
    text: str
    start: int


def tokens(text: str) -> Iterator[Token]:
    """All of `text`, in order."""
    for match in _TOKEN.finditer(text):
        assert match.lastgroup is not None
        yield Token(match.lastgroup, match[0], match.start())


@dataclass
class Line:
    """A logical line: a simple statement, or the head of a compound one.

    Attributes:
      start, end: offsets of its first character, indentation included, and after its last line.
      indent: the whitespace before it.
      word: its first word, or its first character.
    """

    start: int
    end: int
    indent: str
    word: str


# Words at the start of a line which no expression in brackets holds there: a bracket that is open
# before them was never closed.
_STATEMENTS = frozenset(
    "assert break class continue def del except finally global import nonlocal pass raise return "
    "try while with".split()
)


def logical_lines(text: str) -> list[Line]:
    """The logical lines of a text; blank ones and comments belong to the line before."""
    lines: list[Line] = []
    current: Line | None = None
    depth, start, indent, begins = 0, 0, "", True
    for kind, token, place in tokens(text):
        if kind == "end":
            begins = True
            current = current if depth else None
            start, indent = place + len(token), ""
            continue
        if kind == "blank":
            if begins and token[0] in " \t\f":
                indent = token
            continue
        if begins and depth and token in _STATEMENTS:
            depth, current = 0, None
        begins = False
        if current is None:
            current = Line(start, start, indent, token)
            lines.append(current)
        depth = max(depth + (kind == "open") - (kind == "close"), 0)
    for line, following in itertools.pairwise(lines):
        line.end = following.start
    if lines:
        lines[-1].end = len(text)
    return lines
