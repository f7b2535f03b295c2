"""Where a program evaluates a network, and how sure that is.

A session run evaluates when it trains nothing and something says that inference is wanted: its
data, what is fed, the names around it, or a program that restores a checkpoint and only runs.
"""

from __future__ import annotations

from collections.abc import Iterable

from bnlint.findings import Confidence, Location
from bnlint.program.events import (
    BatchNorm,
    Clue,
    ClueKind,
    Evaluation,
    Program,
    SessionRun,
    TrainOp,
)


def find_evaluations(program: Program) -> None:
    """Appends the program's evaluations; train ops and runs must be complete."""
    drop_clues_of_training(program)
    for location, graph, time in program.exports:
        _export(program, graph, time, location)
    for run in program.runs:
        _of_run(program, run)


def drop_clues_of_training(program: Program) -> None:
    """What is also said of a run that trains (`test` of a test suite, `x_val`) says nothing."""
    said = {(clue.kind, clue.text) for run in program.runs if run.train_ops for clue in run.clues}
    for run in program.runs:
        run.clues = tuple(clue for clue in run.clues if (clue.kind, clue.text) not in said)


def is_adversarial(program: Program, graph: int) -> bool:
    """Several train ops each train a part of one graph: a GAN, whose samples may well be
    normalized by their own batch on purpose."""
    return sum(op.trains_some for op in program.train_ops if op.graph == graph) > 1


def _export(program: Program, graph: int, time: int, location: Location) -> None:
    norms = [
        norm
        for norm in program.batch_norms
        if norm.graph == graph and norm.time < time and not program.trained(norm)
    ]
    if norms and not any(op.graph == graph for op in program.train_ops):
        _add(program, location, "export", norms)


def _of_run(program: Program, run: SessionRun) -> None:
    if run.train_ops or not run.batch_norms:
        return
    ops = [op for op in program.train_ops if op.graph == run.graph]
    if not _trains(program, run.graph, ops):
        _restored(program, run, ops)
        return
    untrained = [norm for norm in run.batch_norms if not program.trained(norm)]
    if untrained and not any(op.loss_unknown for op in ops):
        _add(program, run.location, "second net", untrained, run)
    trained = [norm for norm in run.batch_norms if program.trained(norm)]
    if trained and run.clues:
        confidence = _confidence(run.clues, is_adversarial(program, run.graph))
        _add(program, run.location, "trained net", trained, run, confidence)


def _trains(program: Program, graph: int, ops: list[TrainOp]) -> bool:
    """The program trains in this graph, as far as its runs show."""
    if not ops:
        return False
    return any(
        run.graph == graph and (run.train_ops or run.fetches_unknown) for run in program.runs
    ) or any(op.escapes for op in ops)


def _restored(program: Program, run: SessionRun, ops: list[TrainOp]) -> None:
    if run.graph not in program.restored:
        if ops and run.evaluates:
            # A function that evaluates the net of a class that also builds its train op.
            confidence = _confidence(run.clues, is_adversarial(program, run.graph))
            _add(program, run.location, "trained net", run.batch_norms, run, confidence)
        return
    if not ops and run.graph in program.differentiated:
        return  # it trains in a way that is not understood
    confidence = Confidence.MEDIUM if ops else Confidence.HIGH
    if is_adversarial(program, run.graph):
        confidence = Confidence.LOW
    if any(clue.kind is ClueKind.FED_FALSE for clue in run.clues):
        confidence = Confidence.HIGH
    _add(program, run.location, "restored session", run.batch_norms, run, confidence)


def _confidence(clues: Iterable[Clue], adversarial: bool) -> Confidence:
    kinds = {clue.kind for clue in clues}
    if ClueKind.FED_FALSE in kinds:
        return Confidence.HIGH
    strong = kinds - {ClueKind.SAMPLING}
    if adversarial or not strong:
        return Confidence.LOW
    return Confidence.HIGH if len(strong) > 1 else Confidence.MEDIUM


def _add(
    program: Program,
    location: Location,
    kind: str,
    norms: list[BatchNorm],
    run: SessionRun | None = None,
    confidence: Confidence = Confidence.HIGH,
) -> None:
    time = run.time if run is not None else 0
    program.evaluations.append(Evaluation(location, kind, norms, run, time, confidence))
