"""Positions of libcst nodes as text offsets.

libcst's PositionProvider makes a CodeRange object for every node, whitespace included, and
takes about eight times as long as writing the code out. This does the same walk (a node's
code is written in order, so the offset is the length so far) and keeps two numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType

import libcst as cst
from libcst._nodes.internal import CodegenState


class _Span:
    """Context manager that records how far the text had come when a node began and ended."""

    __slots__ = ("end_node", "node", "start_node", "state")

    def __init__(self, state: _OffsetState, node: cst.CSTNode, end_node: cst.CSTNode | None):
        self.state = state
        self.node = node
        self.end_node = end_node

    def __enter__(self) -> None:
        self.state.spans[id(self.node)] = (self.state.offset, self.state.offset)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        spans = self.state.spans
        start = spans[id(self.node)][0]
        end = spans.get(id(self.end_node), (0, 0))[1] if self.end_node is not None else 0
        spans[id(self.node)] = (start, end or self.state.offset)


@dataclass
class _OffsetState(CodegenState):
    offset: int = 0
    spans: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add_indent_tokens(self) -> None:
        for token in self.indent_tokens:
            self.offset += len(token)

    def add_token(self, value: str) -> None:
        self.offset += len(value)

    def record_syntactic_position(  # type: ignore[override]  # a plain object is faster than a generator
        self,
        node: cst.CSTNode,
        *,
        start_node: cst.CSTNode | None = None,
        end_node: cst.CSTNode | None = None,
    ) -> _Span:
        return _Span(self, node, end_node)


def spans(module: cst.Module) -> dict[int, tuple[int, int]]:
    """id(node) -> (start, end) offsets in `module.code`, `end` exclusive.

    Covers every expression and statement; blocks end where their last statement ends.
    """
    state = _OffsetState(
        default_indent=module.default_indent, default_newline=module.default_newline
    )
    module._codegen(state)
    return state.spans
