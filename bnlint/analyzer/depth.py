"""Texts that would overflow libcst's native parser, found before it sees them."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterable, Iterator

MAX_BRACKETS = 200  # CPython's own limit (MAXLEVEL in its tokenizer)
MAX_ELIFS = 2000
MAX_CHAIN = 1000  # operators of one expression that nest in each other; libcst takes a second
# "a" "b" ...: one constant to ast.
_STRINGS = re.compile(rf"""(?:[A-Za-z]{{0,2}}(?:"[^"\n\\]*"|'[^'\n\\]*')\s*){{{MAX_CHAIN}}}""")
_BRACKET_OR_LINE = re.compile(r"[()\[\]{}\n]")


def nested_too_deeply(text: str) -> bool:
    """Parsing `text` would overflow libcst's native stack, which ends the process, or take long.

    Measured with libcst 1.9: 1,000 brackets or elifs parse, 10,000 of either crash; the time for
    `1 + 1 + ...`, `not not ...` or `a.b.b...` grows with the square of their number, to 20
    seconds and more for 10,000.
    """
    if text.count("elif ") > MAX_ELIFS:
        return True
    depth, longest = _extent(text)
    if depth > MAX_BRACKETS and _depth(_tokens(text)) > MAX_BRACKETS:
        return True
    return longest > 2 * MAX_CHAIN and _has_long_chain(text)


def _extent(text: str) -> tuple[int, int]:
    """(how deep brackets nest, characters of the longest statement); at most too large."""
    depth = deepest = longest = start = 0
    for match in _BRACKET_OR_LINE.finditer(text):
        if match[0] == "\n":
            end = match.start()
            if depth == 0 and text[end - 1 : end] != "\\":
                longest = max(longest, end - start)
                start = end
        elif match[0] in "([{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth = max(depth - 1, 0)
    return deepest, max(longest, len(text) - start)


def _has_long_chain(text: str) -> bool:
    """Some expression nests too deeply, by CPython's parser (slower, so only for suspects)."""
    if _STRINGS.search(text):
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (RecursionError, MemoryError):
        return True
    except (SyntaxError, ValueError):  # newer or older Python, or broken: libcst will tell
        return False
    todo: list[tuple[ast.AST, int]] = [(tree, 0)]
    while todo:
        node, depth = todo.pop()
        if depth > MAX_CHAIN:
            return True
        deeper = depth + _levels(node) if isinstance(node, ast.expr) else 0
        todo.extend((child, deeper) for child in ast.iter_child_nodes(node))
    return False


def _levels(node: ast.expr) -> int:
    """How many nodes of libcst nest for one of ast, which keeps these chains flat."""
    if isinstance(node, ast.BoolOp):
        return len(node.values)
    if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return len(node.generators)
    return 1


def _depth(brackets: Iterable[str]) -> int:
    depth = deepest = 0
    for bracket in brackets:
        depth += 1 if bracket in "([{" else -1
        deepest = max(deepest, depth)
    return deepest


def _tokens(text: str) -> Iterator[str]:
    """Brackets outside strings and comments (slower, so only for suspects)."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.OP and token.string in "()[]{}":
                yield token.string
    except (tokenize.TokenError, SyntaxError):  # newer tokenizers have the same limit
        yield from "(" * (MAX_BRACKETS + 1)
