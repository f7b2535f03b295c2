"""Texts that would overflow libcst's native stack or keep it busy for minutes, found before."""

from __future__ import annotations

import itertools
import re

from bnlint.analyzer.syntax.lines import tokens

MAX_BRACKETS = 200  # CPython's own limit (MAXLEVEL in its tokenizer)
MAX_LEVELS = 1000  # operators, brackets and parts of names that nest in each other
MAX_ELIFS = 2000
# Measured with libcst 1.9: 3,000 brackets, 10,000 operators or elifs end the process. The time
# for n levels grows with n * n, to 20 seconds for 10,000 of `1 + 1 + ...`; in patterns of `case`
# it grows fourfold with each bracket. A level of work takes libcst about 2 microseconds.
MAX_WORK = 1_000_000
_FREE_LEVELS = 20  # what ordinary code reaches
_SHORT = 200  # characters of a statement that takes libcst no longer than ordinary code
_MAX_SQUARES = 10_000_000
_BRACKET_OR_LINE = re.compile(r"[()\[\]{}\n\r]")
_CASE = re.compile(r"^[ \t\f]*case\b", re.MULTILINE)
_OPERATORS = frozenset("and or not if else lambda await yield from for".split())
# libcst takes about 25 microseconds and 2.5 KB for a token. Of the sources of TensorFlow, SciPy and
# mypy, generated ones included, the largest has 132,000.
MAX_TOKENS = 250_000


def too_large(text: str) -> bool:
    """Parsing `text` would take more than some 6 seconds and 600 MB, whatever is in it."""
    if len(text) <= MAX_TOKENS:
        return False
    code = (token for token in tokens(text) if token.kind not in ("blank", "end"))
    return next(itertools.islice(code, MAX_TOKENS, None), None) is not None


def nested_too_deeply(text: str) -> bool:
    """Parsing `text` would overflow libcst's native stack, which ends the process, or take long."""
    is_suspect = text.count("elif") > MAX_ELIFS or _CASE.search(text) or _is_suspect(text)
    return bool(is_suspect) and _Levels(text).are_too_many


def _is_suspect(text: str) -> bool:
    """A quick look, which takes brackets in strings and comments for brackets."""
    depth = deepest = squares = start = 0
    for match in _BRACKET_OR_LINE.finditer(text):
        character = match[0]
        if character in "\r\n":
            end = match.start()
            if depth == 0 and text[end - 1 : end] != "\\":
                squares += _square(end - start)
                start = end
        elif character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth = max(depth - 1, 0)
    return deepest > MAX_BRACKETS or squares + _square(len(text) - start) > _MAX_SQUARES


def _square(length: int) -> int:
    """Work that a statement of so many characters could make, if every other one is an operator."""
    return length * length if length > _SHORT else 0


class _Levels:
    """How deep the syntax tree of a text gets, and how much work that is for libcst.

    Inside an f-string Python 3.12 reads code, and strings in it, as this does not: what opens in
    strings that come after one on its line counts as well.
    """

    def __init__(self, text: str) -> None:
        self.brackets: list[int] = []  # the chain of operators around each open bracket
        self.chain = 0  # operators of the current expression that nest in each other
        self.below = 0  # the levels of what is around it
        self.work = 0
        self.deepest = 0
        self.elifs: dict[int, int] = {}  # by their columns
        self.after_fstring = self.in_pattern = False
        self._count(text)

    @property
    def are_too_many(self) -> bool:
        return (
            self.deepest > MAX_LEVELS
            or self.work > MAX_WORK
            or max(self.elifs.values(), default=0) > MAX_ELIFS
        )

    def _count(self, text: str) -> None:
        begins, start = True, 0
        for kind, token, place in tokens(text):
            if kind == "end":
                begins, start = True, place + len(token)
                if not self.brackets:
                    self.chain = 0
                    self.after_fstring = False
            elif kind != "blank":
                if begins and not self.brackets:
                    self._begin(token, place - start)
                begins = False
                self._token(kind, token)
                if self.work > MAX_WORK or self.deepest > MAX_LEVELS:
                    return

    def _begin(self, word: str, column: int) -> None:
        """A statement begins."""
        self.in_pattern = word == "case"
        if word == "elif":
            self.elifs[column] = self.elifs.get(column, 0) + 1
        elif word == "if" and self.elifs.get(column, 0) <= MAX_ELIFS:
            self.elifs.pop(column, None)

    def _token(self, kind: str, token: str) -> None:
        if kind == "open":
            self._open()
        elif kind == "close":
            if self.brackets:
                self.chain = self.brackets.pop()
                self.below -= self.chain + 1
                self._nest(1)
        elif kind == "string":
            self._string(token)
        elif token in ",;":
            self.chain = 0
        elif (kind == "other" and token not in ":=") or token in _OPERATORS:
            self._nest(1)

    def _string(self, token: str) -> None:
        quote = min(i for i in (token.find("'"), token.find('"')) if i >= 0)
        is_formatted = bool({"f", "F", "t", "T"} & set(token[:quote]))
        if is_formatted or self.after_fstring:
            self._nest(sum(map(token.count, "([{.+-*/%@&|^~<>")))
        self.after_fstring |= is_formatted
        self._nest(1)  # strings side by side nest in the one before

    def _open(self) -> None:
        self.brackets.append(self.chain)
        self.below += self.chain + 1
        self.chain = 0
        if self.in_pattern:
            self.work += 4 ** min(len(self.brackets), 20)
        if len(self.brackets) > MAX_BRACKETS:
            self.deepest = MAX_LEVELS + 1
        self._nest(0)

    def _nest(self, levels: int) -> None:
        self.chain += levels
        level = self.below + self.chain
        self.deepest = max(self.deepest, level)
        self.work += max(level - _FREE_LEVELS, 0)
