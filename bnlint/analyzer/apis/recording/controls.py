"""Control dependencies: what new ops wait for."""

from __future__ import annotations

from dataclasses import dataclass, field

from bnlint.analyzer.apis.recording.timeline import Timeline
from bnlint.analyzer.interpreter.values import Symbol, Value, symbol_of
from bnlint.analyzer.syntax import nodes
from bnlint.program.events import ControlBlock


@dataclass
class Controls:
    """The enclosing control_dependencies.

    Attributes:
      blocks: each with what it waits for, outermost first.
      bundles: ops that run train ops beside other things: tf.group and the like.
    """

    at: Timeline
    blocks: list[tuple[ControlBlock, Symbol]] = field(default_factory=list)
    bundles: list[Symbol] = field(default_factory=list)

    def op(self, symbol: Symbol) -> Symbol:
        """A new op: it also depends on what the enclosing blocks hold."""
        if not self.blocks:
            return symbol
        held = symbol_of(symbol, *(inputs for _, inputs in self.blocks))
        for block, _ in self.blocks:
            block.empty = False
        result = symbol.replace(
            runs=held.runs, train_ops=held.train_ops, reads=held.reads,
            incomplete=held.incomplete, unknown=held.unknown,
        )  # fmt: skip
        if result.train_ops:
            self.bundles.append(result)
        return result

    def open(self, node: nodes.With, inputs: Value) -> ControlBlock:
        """`with tf.control_dependencies(inputs):`"""
        symbol = symbol_of(inputs)
        location = self.at.here(node)
        block = ControlBlock(
            location=location, end_line=location.end_line,
            reads=sorted(symbol.reads, key=lambda read: read.time),
            batch_norms=sorted(symbol.runs, key=lambda norm: norm.time),
            unknown=symbol.incomplete, holds=[], empty=True, time=self.at.interpreter.tick(),
        )  # fmt: skip
        self.at.program.control_blocks.append(block)
        self.blocks.append((block, symbol))
        return block
