"""What sessions run and are fed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bnlint.analyzer.apis.feeds import feeds_of
from bnlint.analyzer.apis.hand_written import HandWritten
from bnlint.analyzer.apis.recording.tensors import Tensors
from bnlint.analyzer.apis.recording.timeline import Timeline
from bnlint.analyzer.apis.recording.train_ops import TrainOps
from bnlint.analyzer.interpreter.values import Symbol, Value, constant, list_of, symbol_of
from bnlint.analyzer.syntax import nodes
from bnlint.program.events import Clue, SessionRun, TrainingLength
from bnlint.program.words import names_train_op


@dataclass
class SessionRuns:
    """The Session.runs of a program; `fetched`: id of one -> everything it fetches."""

    at: Timeline
    tensors: Tensors
    fetched: dict[int, Symbol] = field(default_factory=dict)

    def add(
        self,
        node: nodes.Node,
        fetches: Value,
        feeds: Value | None,
        *,
        others_may_feed: bool = False,
        clues: Iterable[Clue] = (),
    ) -> SessionRun:
        """Records a Session.run of `fetches` with `feeds`."""
        at, program = self.at, self.at.program
        symbol = symbol_of(fetches)
        path = at.interpreter.path
        fed = feeds_of(feeds, self.tensors.key_of, path)
        imported = not fed.values.keys().isdisjoint(program.imported_tensors)
        event = SessionRun(
            location=at.here(node), fetches_unknown=symbol.unknown or _fetches_train_op(fetches),
            train_ops=at.on_path(symbol.train_ops),
            batch_norms=at.on_path(symbol.batch_norms - fed.cut),
            updates=[], feeds=fed.values, feeds_unknown=fed.unknown or imported or others_may_feed,
            clues=tuple(dict.fromkeys((*self.tensors.fed_false(fed.values), *clues))),
            frames=tuple(at.interpreter.frames),
            graph=at.graph, conditional=at.conditional, time=at.interpreter.tick(),
            path=path, fed_numbers=frozenset(fed.numbers), fed_by=fed.by,
        )  # fmt: skip
        at.remember_path(event)
        self.fetched[id(event)] = symbol
        program.runs.append(event)
        steps = at.interpreter.loop_steps()
        if event.train_ops and steps:
            program.training_lengths.append(TrainingLength(steps, event.location, event.time))
        return event

    def finish(self, train_ops: TrainOps, hand_written: HandWritten) -> None:
        """Finds the updates that each run fetches beside its train ops."""
        for run in self.at.program.runs:
            own = {norm for op in run.train_ops for norm in train_ops.symbol_of(op).runs}
            run.updates = hand_written.built(self.at.program, self.fetched[id(run)].runs - own)


def _fetches_train_op(fetches: Value) -> bool:
    """Something is fetched by a name such as "train_op"."""
    names = (constant(item, str) for item in list_of(fetches))
    return any(names_train_op(name) for name in names if name is not None)
