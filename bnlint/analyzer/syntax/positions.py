"""Positions of libcst nodes as text offsets.

libcst's position providers make an object for every node, whitespace included, and take one and a
half times as long as parsing. This is the same walk (a node's code is written in order, so the
offset is the length so far), which keeps two numbers for each expression and statement only, and
takes a third of the time of parsing.

libcst has no public way to write a module into a state of one's own: `Module.code_for_node` makes
its own, and the position providers of libcst.metadata call `Module._codegen`, as is done here.
"""

from __future__ import annotations

from types import TracebackType

import libcst as cst
from libcst.metadata.span_provider import ByteSpanPositionProvider, SpanProvidingCodegenState

Span = tuple[int, int]  # offsets of a node in the text, `end` exclusive


class _Recorder:
    """Context manager that records how far the text had come when a node began and ended."""

    __slots__ = ("end_node", "node", "state")

    def __init__(self, state: _OffsetState, node: cst.CSTNode, end_node: cst.CSTNode | None):
        self.state = state
        self.node = node
        self.end_node = end_node

    def __enter__(self) -> None:
        self.state.spans[id(self.node)] = (self.state.position, self.state.position)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        spans = self.state.spans
        start = spans[id(self.node)][0]
        end = spans.get(id(self.end_node), (0, 0))[1] if self.end_node is not None else 0
        spans[id(self.node)] = (start, end or self.state.position)


class _OffsetState(SpanProvidingCodegenState):
    def __init__(self, module: cst.Module) -> None:
        super().__init__(
            default_indent=module.default_indent,
            default_newline=module.default_newline,
            provider=ByteSpanPositionProvider(),
        )
        self.spans: dict[int, Span] = {}

    def add_indent_tokens(self) -> None:
        for token in self.indent_tokens:
            self.position += len(token)

    def add_token(self, value: str) -> None:
        self.position += len(value)

    def before_codegen(self, node: cst.CSTNode) -> None:
        """Whitespace has no place of its own."""

    def after_codegen(self, node: cst.CSTNode) -> None:
        """Whitespace has no place of its own."""

    def record_syntactic_position(  # type: ignore[override]  # a plain object is faster than a generator
        self,
        node: cst.CSTNode,
        *,
        start_node: cst.CSTNode | None = None,
        end_node: cst.CSTNode | None = None,
    ) -> _Recorder:
        return _Recorder(self, node, end_node)


def spans(module: cst.Module) -> dict[int, Span]:
    """id(node) -> (start, end) offsets in `module.code`, `end` exclusive.

    Covers every expression and statement; blocks end where their last statement ends.
    """
    state = _OffsetState(module)
    module._codegen(state)
    return state.spans
