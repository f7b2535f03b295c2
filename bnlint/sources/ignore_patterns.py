"""Patterns of files to leave out, in `.gitignore`'s syntax (git-scm.com/docs/gitignore).

The patterns may be a stranger's. A path is matched in at most (length of pattern) x (length of
path) steps, whatever the pattern: neither `*` nor `**` ever goes back before the one that follows
it (the method of Python's fnmatch.translate). Lines that mean nothing match nothing, as in git.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_PATTERNS = 5_000  # the largest collections of .gitignore templates have about 2,000 lines
MAX_BYTES = 256 * 1024
MAX_LENGTH = 4096  # of a pattern: no longer than a path

# A name matches if it is this one, if the expression matches it whole, or always (None: `**`).
_Segment = str | re.Pattern[str] | None


@dataclass(frozen=True)
class _Pattern:
    """One line: the path's segments that it matches, and how."""

    segments: tuple[_Segment, ...]
    negated: bool
    folders_only: bool
    anywhere: bool  # a single name, at any depth

    def matches(self, names: Sequence[str], is_folder: bool) -> bool:
        if self.folders_only and not is_folder:
            return False
        if self.anywhere:
            return _matches_name(self.segments[0], names[-1])
        return _matches_all(self.segments, names)


class IgnorePatterns:
    """Patterns in order; the last one that matches decides.

    Raises:
      ValueError: more than MAX_PATTERNS lines.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        lines = list(lines)
        if len(lines) > MAX_PATTERNS:
            raise ValueError(f"more than {MAX_PATTERNS} patterns")
        parsed = (_parse(line) for line in lines)
        self._patterns = [pattern for pattern in parsed if pattern is not None]
        self._patterns.reverse()

    def match_entry(self, names: Sequence[str], is_folder: bool) -> bool:
        """An entry of a folder that is not left out itself is left out."""
        for pattern in self._patterns:
            if pattern.matches(names, is_folder):
                return not pattern.negated
        return False

    def match_file(self, path: str) -> bool:
        """A file, by its path with "/", is left out, or a folder above it is."""
        names = [name for name in path.split("/") if name not in ("", ".")]
        return any(
            self.match_entry(names[:count], is_folder=count < len(names))
            for count in range(1, len(names) + 1)
        )


def _parse(line: str) -> _Pattern | None:
    line = _without_end_blanks(line.removesuffix("\n").removesuffix("\r"))
    if not line or line.startswith("#"):
        return None
    negated = line.startswith("!")
    line = line[negated:]
    folders_only = line.endswith("/")
    line = line[:-1] if folders_only else line
    if line.startswith("\\/"):  # an escaped slash in front is a name's, and no name has one
        return None
    line = _ESCAPED_SLASH.sub(r"\1/", line)
    anywhere = "/" not in line
    parts = line.removeprefix("/").split("/")
    if "" in parts or _ends_in_backslash(line) or len(line) > MAX_LENGTH:
        return None
    segments = [None if part == "**" and not anywhere else _segment(part) for part in parts]
    # `a/**` is everything inside `a`, not `a` itself; elsewhere `**` may stand for no folder.
    if not anywhere and segments[-1] is None:
        segments.append(_segment("*"))
    return _Pattern(tuple(segments), negated, folders_only, anywhere)


def _without_end_blanks(line: str) -> str:
    stripped = line.rstrip(" ")
    return stripped + " " if stripped != line and _ends_in_backslash(stripped) else stripped


def _ends_in_backslash(text: str) -> bool:
    """The last character is a backslash that escapes what would follow."""
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


_ESCAPED_SLASH = re.compile(r"(?<!\\)((?:\\\\)*)\\/")
_GLOB = re.compile(r"[*?\[\\]")
# POSIX classes as git knows them.
_CLASSES = {
    "alnum": "a-zA-Z0-9", "alpha": "a-zA-Z", "blank": " \\t", "cntrl": "\\0-\\x1f\\x7f",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": "!-/:-@\\[-`{-~",
    "space": " \\t\\n\\r\\v\\f", "upper": "A-Z", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_CLASS = re.compile(r"\[:(\w{1,6}):\]")
_NEVER = re.compile(r"(?!)")


@functools.lru_cache(maxsize=4096)
def _segment(text: str) -> _Segment:
    if not _GLOB.search(text):
        return text
    pieces: list[list[str]] = [[]]  # expressions of one character each, between the stars
    at = 0
    while at < len(text):
        if text[at] == "*":
            pieces.append([])
            at += 1
            continue
        expression, at = _one_character(text, at)
        pieces[-1].append(expression)
    return re.compile(_with_stars(["".join(piece) for piece in pieces]), re.DOTALL)


def _with_stars(pieces: list[str]) -> str:
    first, *rest = pieces
    if not rest:
        return first
    *middle, last = rest
    # Once found, the leftmost place of a piece is kept: no other one could help what follows.
    found = (f"(?=(?P<p{n}>.*?{piece}))(?P=p{n})" for n, piece in enumerate(middle) if piece)
    return f"{first}{''.join(found)}.*{last}"


def _one_character(text: str, at: int) -> tuple[str, int]:
    """The expression of what stands at `at`, and where the next begins."""
    if text[at] == "?":
        return ".", at + 1
    if text[at] == "\\":
        return re.escape(text[at + 1]), at + 2
    if text[at] == "[":
        return _bracket(text, at + 1)
    return re.escape(text[at]), at + 1


def _bracket(text: str, at: int) -> tuple[str, int]:
    """A set of characters, from behind its `[`; one that is not closed matches nothing."""
    negated = text[at : at + 1] in ("!", "^")
    at += negated
    members: list[str] = []
    start = at
    while at < len(text):
        if text[at] == "]" and at > start:
            inside = "".join(members)
            if not inside:  # only classes that do not exist
                return ("." if negated else "(?!)"), at + 1
            return f"[{'^' if negated else ''}{inside}]", at + 1
        named = _CLASS.match(text, at)
        if named:
            members.append(_CLASSES.get(named[1], ""))
            at = named.end()
            continue
        first, at = _member(text, at)
        last = first
        if text[at : at + 1] == "-" and text[at + 1 : at + 2] not in ("", "]"):
            last, at = _member(text, at + 1)
        range_ = f"{re.escape(first)}-{re.escape(last)}"
        members.append(range_ if first <= last else re.escape(first))  # [z-a] is z, as in git
    return "(?!)", len(text)


def _member(text: str, at: int) -> tuple[str, int]:
    if text[at] == "\\" and at + 1 < len(text):
        return text[at + 1], at + 2
    return text[at], at + 1


def _matches_name(segment: _Segment, name: str) -> bool:
    if isinstance(segment, re.Pattern):
        return segment.fullmatch(name) is not None
    return segment is None or segment == name


def _matches_all(segments: Sequence[_Segment], names: Sequence[str]) -> bool:
    """The names match one by one, `**` (None) any number of them."""
    here = there = 0
    star = back = -1  # the last `**`, and the name from which on the rest is tried
    while there < len(names):
        if here < len(segments) and segments[here] is None:
            star, back = here, there
            here += 1
        elif here < len(segments) and _matches_name(segments[here], names[there]):
            here, there = here + 1, there + 1
        elif star >= 0:
            back += 1
            here, there = star + 1, back
        else:
            return False
    return all(segment is None for segment in segments[here:])
