"""Everything that is recorded of a program while it is followed."""

from __future__ import annotations

from dataclasses import dataclass, field

from bnlint.analyzer.apis.hand_written import HandWritten
from bnlint.analyzer.apis.recording.controls import Controls
from bnlint.analyzer.apis.recording.keras_state import KerasState
from bnlint.analyzer.apis.recording.norms import Norms
from bnlint.analyzer.apis.recording.op_collections import Collections
from bnlint.analyzer.apis.recording.rebindings import Rebindings
from bnlint.analyzer.apis.recording.scopes import Scopes
from bnlint.analyzer.apis.recording.session_runs import SessionRuns
from bnlint.analyzer.apis.recording.tensors import Tensors
from bnlint.analyzer.apis.recording.timeline import Timeline
from bnlint.analyzer.apis.recording.train_ops import TrainOps
from bnlint.analyzer.interpreter.values import Symbol
from bnlint.analyzer.syntax import nodes
from bnlint.findings import Location
from bnlint.program.evaluations import find_evaluations
from bnlint.program.events import BatchNorm, Evaluation, Load, Program


@dataclass
class Recorder(Timeline):
    """The parts of a program's record, each with a file of its own.

    Attributes:
      updates_escaped: ops of an op collection went out of sight.
    """

    hand_written: HandWritten = field(default_factory=HandWritten)
    keras: KerasState = field(default_factory=KerasState)
    updates_escaped: bool = False

    def __post_init__(self) -> None:
        self.scopes = Scopes(self)
        self.collections = Collections(self)
        self.controls = Controls(self)
        self.norms = Norms(self, self.scopes, self.collections, self.controls)
        self.tensors = Tensors(self, self.scopes)
        self.train_ops = TrainOps(self, self.controls)
        self.runs = SessionRuns(self, self.tensors)
        self.rebindings = Rebindings(self)

    def loaded(
        self,
        graph: int,
        *,
        statistics: bool = True,
        scopes: tuple[str, ...] = (),
        keras: bool = False,
        resumes: bool = False,
    ) -> None:
        """Variables of `graph` get values from outside: see program.events.Load."""
        time = self.interpreter.tick()
        self.program.loads.append(
            Load(graph, time, statistics, scopes, keras, resumes, self.interpreter.path)
        )
        if not self.conditional and not any(map(_goes_on, self.interpreter.around)):
            self.program.certain_loads.append(time)

    def evaluation(self, location: Location, kind: str, norms: list[BatchNorm]) -> None:
        """A library evaluates a network by itself."""
        time = self.interpreter.tick()
        self.program.evaluations.append(Evaluation(location, kind, norms, None, time))

    def multiplied(self, product: Symbol) -> None:
        """A logarithm was multiplied: `labels * log(x)`, a cross entropy by hand."""
        for event in self.program.logs:
            if event in product.logs:
                event.in_loss = True

    def finish(self) -> Program:
        """Answers the questions that need the whole program."""
        program = self.program
        self.hand_written.finish(self)
        program.placeholder_names = self.tensors.names
        self._see_all_updates()
        self.train_ops.finish(self.runs.fetched, self.hand_written)
        self.runs.finish(self.train_ops, self.hand_written)
        self.collections.finish()
        self.keras.finish(program)
        self.rebindings.finish()
        find_evaluations(program)
        self._finish_savers()
        return program

    def _see_all_updates(self) -> None:
        whole = self.interpreter.project.whole
        self.program.overridden_defaults = whole.overridden_defaults
        reads = {read.location for read in self.program.collection_reads}
        path = self.program.entry.location.path
        if not self.updates_escaped and not whole.may_run_updates(path, reads):
            self.program.sees_all_updates = not self.program.left

    def _finish_savers(self) -> None:
        for saver in self.program.savers:
            kept = [norm for norm in saver.batch_norms if not norm.only_batch_statistics]
            trains = saver.selection.kind == "trainable"
            saver.batch_norms = [n for n in kept if not (trains and n.statistics_trainable)]
            saver.other_full_saver = any(
                other is not saver
                and other.graph == saver.graph
                and other.selection.kind in ("all", "trainable-plus-moving")
                for other in self.program.savers
            )


def _goes_on(statement: nodes.Stmt | None) -> bool:
    """A `try` after whose failure the program goes on."""
    handlers = statement.handlers if isinstance(statement, nodes.Try) else []
    return any(not _raises(handler) for handler in handlers)


def _raises(block: list[nodes.Stmt]) -> bool:
    last = block[-1] if block else None
    return isinstance(last, nodes.Jump) and last.kind == "raise"
