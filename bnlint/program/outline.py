"""A program in outline: what was understood of it, as plain data for whoever shows it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from bnlint.findings import Counts, FileError, LeftProgram, Location
from bnlint.program.counts import counts_of
from bnlint.program.events import (
    Answer,
    BatchNorm,
    CollectionRead,
    EntryPoint,
    Evaluation,
    Flag,
    FlagKind,
    Gap,
    KerasCall,
    KerasRun,
    Program,
    Saver,
    SessionRun,
    TrainOp,
)


@dataclass(frozen=True)
class NormsOutline:
    """Batch norms of one network that are alike.

    Attributes:
      count: how many; reused: how many of them share the variables of an earlier one.
      network: dotted name of the function that builds them: the outermost one that the program's
        batch norms do not all have in common, or else the innermost; "" for a script's top level.
      locations: the calls, in the order they are met.
      mode: their training flag in words; mode_from: where that was written, as far as known.
      api, updates, collection, graph, conditional: see BatchNorm.
      scope: the variable scope that all of them are in; None if it is not known.
      trained: some train op's loss depends on them.
    """

    count: int
    reused: int
    network: str
    locations: tuple[Location, ...]
    api: str
    mode: str
    mode_from: tuple[Location, ...]
    updates: str
    collection: str | None
    scope: str | None
    graph: int
    conditional: bool
    trained: bool


@dataclass(frozen=True)
class TrainOpOutline:
    """A train op: of how many of its batch norms it runs the updates, does not, or may do so.

    Attributes:
      end: what becomes of it: "run", "never run" or "handed on" to code that is not followed.
      loss: how much of its loss is known: "known", "partly unknown" or "from unknown code".
    """

    location: Location
    api: str
    batch_norms: int
    updates_run: int
    updates_not_run: int
    updates_unknown: int
    end: str
    loss: str
    graph: int
    times: int = 1


@dataclass(frozen=True)
class ReadOutline:
    """A read of an op collection, and how many update ops it returned and missed."""

    location: Location
    collection: str
    scope: str | None
    batch_norms: int
    missed: int
    graph: int
    times: int = 1


@dataclass(frozen=True)
class RunOutline:
    """A session run.

    Attributes:
      train_ops: places of those it runs; batch_norms: how many its results depend on.
      updates: how many batch norms' updates it runs besides its train ops.
      feeds: names of placeholders and what they are fed: True, False or None for anything else.
      clues: why it may evaluate.
    """

    location: Location
    train_ops: tuple[Location, ...]
    batch_norms: int
    updates: int
    feeds: tuple[tuple[str, bool | None], ...]
    feeds_unknown: bool
    fetches_unknown: bool
    clues: tuple[str, ...]
    graph: int
    times: int = 1


@dataclass(frozen=True)
class EvaluationOutline:
    """See Evaluation."""

    location: Location
    kind: str
    batch_norms: int
    confidence: str
    clues: tuple[str, ...]
    times: int = 1


@dataclass(frozen=True)
class SaverOutline:
    """See Saver."""

    location: Location
    selection: str
    saves: tuple[Location, ...]
    restores: tuple[Location, ...]
    batch_norms: int
    graph: int
    times: int = 1


@dataclass(frozen=True)
class KerasOutline:
    """A Keras model called or run; `kind`: "call", "fit", "evaluate" or "predict".

    Attributes:
      mode: the training flag in words. purpose, in_tape: see KerasCall.
      has_batch_norm: "yes" or "unknown". frozen: all of them are.
    """

    location: Location
    kind: str
    mode: str
    purpose: str
    in_tape: bool
    has_batch_norm: str
    frozen: bool
    times: int = 1


@dataclass(frozen=True)
class Outline:
    """One program. `left`, `uses_estimator`: see Program."""

    entry: EntryPoint
    counts: Counts
    batch_norms: list[NormsOutline] = field(default_factory=list)
    train_ops: list[TrainOpOutline] = field(default_factory=list)
    collection_reads: list[ReadOutline] = field(default_factory=list)
    session_runs: list[RunOutline] = field(default_factory=list)
    evaluations: list[EvaluationOutline] = field(default_factory=list)
    savers: list[SaverOutline] = field(default_factory=list)
    keras: list[KerasOutline] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    left: str = ""
    uses_estimator: bool = False

    @property
    def is_empty(self) -> bool:
        """Nothing to show: it has nothing to do with what bnlint looks for."""
        return not (self.counts.programs or self.left or self.gaps)


def outline(program: Program) -> Outline:
    """What was understood of a program."""
    keras = [*map(_keras_call, program.keras_calls), *map(_keras_run, program.keras_runs)]
    return Outline(
        entry=program.entry,
        counts=counts_of(program),
        batch_norms=_norms(program),
        train_ops=_merged([_train_op(op) for op in program.train_ops]),
        collection_reads=_merged([_read(read) for read in program.collection_reads]),
        session_runs=_merged([_run(program, run) for run in program.runs]),
        evaluations=_merged([_evaluation(item) for item in program.evaluations]),
        savers=_merged([_saver(saver) for saver in program.savers]),
        keras=_merged(keras),
        gaps=list(program.gaps or ()),
        left=program.left,
        uses_estimator=program.uses_estimator,
    )


_T = TypeVar(
    "_T", TrainOpOutline, ReadOutline, RunOutline, EvaluationOutline, SaverOutline, KerasOutline
)


def _merged(items: Sequence[_T]) -> list[_T]:
    """Each kind of item once, with how often it was met: loops are followed more than once."""
    return [replace(item, times=times) for item, times in Counter(items).items()]


def _norms(program: Program) -> list[NormsOutline]:
    trained = {norm for op in program.train_ops for norm in op.batch_norms}
    chains = [[frame.function for frame in norm.frames] for norm in program.batch_norms]
    common = len(_common(chains))
    groups: dict[tuple[object, ...], list[BatchNorm]] = {}
    for norm, chain in zip(program.batch_norms, chains, strict=True):
        key = (
            "".join(chain[: common + 1][-1:]), norm.graph, norm.api, mode(norm.switch),
            norm.updates, norm.collection, norm.conditional, norm in trained,
        )  # fmt: skip
        groups.setdefault(key, []).append(norm)
    return [_alike(str(key[0]), norms, trained) for key, norms in groups.items()]


def _common(chains: Iterable[list[str]]) -> list[str]:
    """What all lists begin with."""
    levels = zip(*chains, strict=False)
    return [level[0] for level in itertools.takewhile(lambda level: len(set(level)) == 1, levels)]


def _alike(network: str, norms: list[BatchNorm], trained: set[BatchNorm]) -> NormsOutline:
    first = norms[0]
    flags = [norm.switch.location for norm in norms]
    return NormsOutline(
        count=len(norms),
        reused=sum(norm.reuses is not None for norm in norms),
        network=network,
        locations=tuple(dict.fromkeys(norm.location for norm in norms)),
        api=first.api,
        mode=mode(first.switch),
        mode_from=tuple(dict.fromkeys(place for place in flags if place is not None)),
        updates=first.updates,
        collection=first.collection,
        scope=_common_scope([norm.scope for norm in norms]),
        graph=first.graph,
        conditional=first.conditional,
        trained=first in trained,
    )


def _common_scope(scopes: Iterable[str | None]) -> str | None:
    """The scope that all of them are in; None where one is not known."""
    parts: list[list[str]] = []
    for scope in scopes:
        if scope is None:
            return None
        parts.append(scope.split("/"))
    return "/".join(_common(parts))


_MODES = {
    FlagKind.TRUE: "True",
    FlagKind.FALSE: "False",
    FlagKind.LEARNING_PHASE: "Keras's learning phase",
    FlagKind.TENSOR: "a tensor",
}


def mode(flag: Flag) -> str:
    """A training flag in words: "True", "placeholder `is_training`", "unknown (FLAGS.mode)"."""
    text = _MODES.get(flag.kind, "unknown")
    if flag.kind is FlagKind.PLACEHOLDER:
        text = f"placeholder {_quoted(flag.name)}".strip()
    elif flag.kind is FlagKind.PLACEHOLDER_WITH_DEFAULT:
        text = f"placeholder {_quoted(flag.name)} with default {flag.default}".replace("  ", " ")
    elif flag.kind is FlagKind.UNKNOWN and flag.key:
        text += f" ({flag.key})"
    if not flag.explicit:
        return f"{text} by default"
    return text if flag.via == "argument" else f"{text} (through {flag.via})"


def _quoted(name: str) -> str:
    return f"`{name}`" if name else ""


def _train_op(op: TrainOp) -> TrainOpOutline:
    answers = Counter(op.runs_updates_of(norm) for norm in op.batch_norms)
    end = "run" if op.used else "handed on" if op.escapes else "never run"
    loss = "from unknown code" if op.loss_opaque else "partly unknown"
    return TrainOpOutline(
        location=op.location,
        api=op.api,
        batch_norms=len(op.batch_norms),
        updates_run=answers[Answer.YES],
        updates_not_run=answers[Answer.NO],
        updates_unknown=answers[Answer.UNKNOWN],
        end=end,
        loss=loss if op.loss_unknown or op.loss_opaque else "known",
        graph=op.graph,
    )


def _read(read: CollectionRead) -> ReadOutline:
    return ReadOutline(
        read.location, read.collection, read.scope, len(read.batch_norms), len(read.missed),
        read.graph,
    )  # fmt: skip


def _run(program: Program, run: SessionRun) -> RunOutline:
    return RunOutline(
        location=run.location,
        train_ops=tuple(dict.fromkeys(op.location for op in run.train_ops)),
        batch_norms=len(run.networks),
        updates=len(run.updates),
        feeds=tuple(sorted(_feeds(run.feeds, program.placeholder_names).items())),
        feeds_unknown=run.feeds_unknown,
        fetches_unknown=run.fetches_unknown,
        clues=_clues(run),
        graph=run.graph,
    )


def _feeds(
    feeds: Mapping[str, bool | None], names: Mapping[str, tuple[str, ...]]
) -> dict[str, bool | None]:
    """What is fed, by the last name of the placeholder: the variable it was bound to."""
    return {(names.get(key) or (key,))[-1]: value for key, value in feeds.items()}


def _clues(run: SessionRun | None) -> tuple[str, ...]:
    said = run.clues if run is not None and not run.train_ops else ()
    return tuple(f"{clue.kind.value}: {clue.text}" for clue in said)


def _evaluation(item: Evaluation) -> EvaluationOutline:
    return EvaluationOutline(
        item.location, item.kind, len(item.batch_norms), item.confidence.value, _clues(item.run)
    )


def _saver(saver: Saver) -> SaverOutline:
    return SaverOutline(
        saver.location, saver.selection.kind, tuple(dict.fromkeys(saver.saves)),
        tuple(dict.fromkeys(saver.restores)), len(saver.batch_norms), saver.graph,
    )  # fmt: skip


def _keras_call(call: KerasCall) -> KerasOutline:
    return KerasOutline(
        call.location, "call", mode(call.training), call.purpose, call.in_tape,
        *_applied(call.batch_norms),
    )  # fmt: skip


def _keras_run(run: KerasRun) -> KerasOutline:
    return KerasOutline(
        run.location, run.kind, "Keras's learning phase", "unknown", False,
        *_applied(run.batch_norms),
    )  # fmt: skip


def _applied(norms: list[BatchNorm]) -> tuple[str, bool]:
    """(whether there are batch norms, all of them are frozen)."""
    frozen = bool(norms) and all(norm.trainable is False for norm in norms)
    return ("yes" if norms else "unknown"), frozen


@dataclass
class Overview:
    """All programs of a run, and what stands in the way of understanding more.

    Attributes:
      programs: those with anything to show; idle: how many others there are.
      outside: imports of files that use a framework, of modules that are not linted.
      left: files whose top level was not followed to the end, and files that import a framework
        and mention batch norm, of which no batch norm was understood.
      errors: see Report.
      files: how many were looked at.
    """

    programs: list[Outline] = field(default_factory=list)
    idle: int = 0
    outside: list[Gap] = field(default_factory=list)
    left: list[LeftProgram] = field(default_factory=list)
    errors: list[FileError] = field(default_factory=list)
    files: int = 0
