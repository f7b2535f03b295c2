"""Train ops, and which batch norms they update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bnlint.analyzer.apis.hand_written import HandWritten
from bnlint.analyzer.apis.recording.controls import Controls
from bnlint.analyzer.apis.recording.timeline import Timeline
from bnlint.analyzer.interpreter.values import Symbol, symbol_of
from bnlint.analyzer.syntax import nodes
from bnlint.program.events import Answer, BatchNorm, TrainOp


@dataclass
class TrainOps:
    """The train ops of a program.

    Attributes:
      symbols: id of a train op -> what runs with it.
      escapes: what went out of sight, as an argument of unknown code.
      assignments: of an optimizer that the project writes itself: what its assignments run, by
        what they are computed from and the call that they are in.
    """

    at: Timeline
    controls: Controls
    symbols: dict[int, Symbol] = field(default_factory=dict)
    escapes: list[Symbol] = field(default_factory=list)
    assignments: dict[object, Symbol] = field(default_factory=dict)

    def symbol_of(self, op: TrainOp) -> Symbol:
        """What runs with `op`."""
        return self.symbols[id(op)]

    def add(
        self,
        node: nodes.Node,
        api: str,
        loss: Symbol,
        *,
        attaches_updates: bool = False,
        update_ops_argument: str = "default",
        updates: Symbol | None = None,
        trainable_scope: str | None = None,
        trainable_words: frozenset[str] = frozenset(),
        trains_some: bool = False,
    ) -> Symbol:
        """Records a train op; `updates` are the ops it attaches by itself."""
        at, blocks = self.at, self.controls.blocks
        own = self.controls.op(symbol_of(loss, updates))
        event = TrainOp(
            location=at.here(node), api=api, statement=at.simple_statement(node),
            tf_name=at.tf_name(), batch_norms=at.on_path(loss.batch_norms),
            loss_unknown=loss.incomplete, attaches_updates=attaches_updates,
            update_ops_argument=update_ops_argument,
            control_blocks=[block for block, _ in blocks],
            reads=sorted(own.reads, key=lambda read: read.time), trainable_scope=trainable_scope,
            trains_some=trains_some, graph=at.graph, frames=tuple(at.interpreter.frames),
            conditional=at.conditional, time=at.interpreter.tick(), used=False, escapes=False,
            loss_opaque=loss.unknown, path=at.interpreter.path, trainable_words=trainable_words,
        )  # fmt: skip
        for block, _ in blocks:
            block.holds.append(event)
        at.remember_path(event)
        at.program.train_ops.append(event)
        unknown = any(inputs.incomplete for _, inputs in blocks)
        unknown |= updates is not None and updates.incomplete
        self.symbols[id(event)] = own.replace(incomplete=unknown, unknown=unknown)
        return Symbol(
            runs=own.runs, train_ops=own.train_ops | {event}, reads=own.reads,
            incomplete=unknown, unknown=unknown,
        )  # fmt: skip

    def add_assignment(
        self,
        node: nodes.Node,
        gradient: Symbol,
        *,
        trainable_scope: str | None,
        trains_some: bool,
    ) -> Symbol:
        """Variables are assigned what gradients say; all such assignments of one call are one
        train op."""
        frames = tuple(self.at.interpreter.frames)
        key = (gradient.batch_norms, frames[-1].call if frames else None, self.at.graph)
        known = self.assignments.get(key)
        if known is None:
            known = self.assignments[key] = self.add(
                node, "assign", gradient, trainable_scope=trainable_scope, trains_some=trains_some
            )
        return known

    # --- the end -----------------------------------------------------------------------------

    def finish(self, fetched: Mapping[int, Symbol], hand_written: HandWritten) -> None:
        """Decides which updates run with each train op; `fetched`: what each Session.run gets."""
        self._drop_records_of_gradients()
        for op in self.at.program.train_ops:
            self._finish(op, fetched, hand_written)

    def _drop_records_of_gradients(self) -> None:
        """Where an optimizer trains the same batch norms, assignments only note its gradients."""
        program = self.at.program
        by_optimizers = {
            norm for op in program.train_ops if op.api != "assign" for norm in op.batch_norms
        }
        dropped = {
            op
            for op in program.train_ops
            if op.api == "assign" and not by_optimizers.isdisjoint(op.batch_norms)
        }
        if not dropped:
            return
        program.train_ops = [op for op in program.train_ops if op not in dropped]
        for ops in (
            *(run.train_ops for run in program.runs),
            *(block.holds for block in program.control_blocks),
        ):
            ops[:] = [op for op in ops if op not in dropped]

    def _finish(
        self, op: TrainOp, fetched: Mapping[int, Symbol], hand_written: HandWritten
    ) -> None:
        own = self.symbols[id(op)]
        # A train op that only rides along as a dependency of another op runs with that op.
        runs = [run for run in self.at.program.runs if op in run.train_ops]
        carriers = [fetched[id(run)] for run in runs]
        op.used = bool(runs)
        op.escapes = any(op in symbol.train_ops for symbol in self.escapes)
        if not runs:
            carriers = [symbol for symbol in self.controls.bundles if op in symbol.train_ops]
            op.used = bool(carriers)
        together = symbol_of(own, *carriers)
        op.reads = sorted(together.reads, key=lambda read: read.time)
        unknown = own.unknown or any(symbol.unknown for symbol in carriers)
        updated = {hand_written.one(norm) for norm in together.runs}
        for norm in self.at.program.batch_norms:
            # The same variables are updated whichever copy's update op runs.
            family = self._family(norm)
            if not family.isdisjoint(updated) or norm.updates == "none":
                answer = Answer.YES
            elif unknown and self.at.program.may_update_unseen(norm):
                answer = Answer.UNKNOWN
            else:
                answer = Answer.NO
            op._runs[id(norm)] = answer
            if answer is Answer.YES and norm.updates == "collection" and not op.attaches_updates:
                op._unless[id(norm)] = self._needed_setting(op, norm, family)

    def _needed_setting(self, op: TrainOp, norm: BatchNorm, family: set[BatchNorm]) -> str:
        """The setting at whose default no read gives `op` the updates of `norm`."""
        reads = [read for read in op.reads if not family.isdisjoint(read.batch_norms)]
        needed = [self._off_by_default(self.at.path_of(read), op, norm) for read in reads]
        return needed[0] if needed and all(needed) else ""

    def _off_by_default(self, path: dict[str, bool], op: TrainOp, norm: BatchNorm) -> str:
        for key, value in path.items():
            usual = self.at.interpreter.by_default.get(key)
            decided = key in op.path or key in norm.path or key == norm.training.key
            if usual is not None and usual.holds is not value and not decided:
                return usual.setting
        return ""

    def _family(self, norm: BatchNorm) -> set[BatchNorm]:
        root = _root(norm)
        return {other for other in self.at.program.batch_norms if _root(other) is root}


def _root(norm: BatchNorm) -> BatchNorm:
    while norm.reuses is not None:
        norm = norm.reuses
    return norm
