"""Where a program evaluates a network, and how sure that is.

A session run evaluates when it trains nothing and something says that inference is wanted: its
data, what is fed, the names around it, or a program that restores a checkpoint and only runs.
"""

from __future__ import annotations

from bnlint.findings import Confidence, Location
from bnlint.program.events import (
    BatchNorm,
    Clue,
    ClueKind,
    Evaluation,
    Program,
    SessionRun,
    TrainOp,
    together,
)


def find_evaluations(program: Program) -> None:
    """Appends the program's evaluations; train ops and runs must be complete."""
    _drop_clues_of_training(program)
    _add_switched_flags(program)
    for location, graph, time in program.exports:
        _export(program, graph, time, location)
    for run in program.runs:
        _of_run(program, run)


def _drop_clues_of_training(program: Program) -> None:
    """What is also said of a run that trains (`test` of a test suite, `x_val`) says nothing."""
    said = {(clue.kind, clue.text) for run in program.runs if run.train_ops for clue in run.clues}
    for run in program.runs:
        if not run.train_ops:
            run.clues = tuple(clue for clue in run.clues if (clue.kind, clue.text) not in said)


def _add_switched_flags(program: Program) -> None:
    """A flag that training runs feed True and this run feeds False asks for inference mode."""
    switched = {
        key
        for run in program.runs
        if run.train_ops
        for key, value in run.feeds.items()
        if value is True and key not in run.fed_numbers
    }
    for run in program.runs:
        off = [key for key in run.feeds if run.feeds[key] is False and key not in run.fed_numbers]
        if run.train_ops or switched.isdisjoint(off):
            continue
        if not any(clue.kind is ClueKind.FED_FALSE for clue in run.clues):
            run.clues = (Clue(ClueKind.FED_FALSE, "a flag that training feeds True"), *run.clues)


def is_adversarial(ops: list[TrainOp]) -> bool:
    """Several train ops each train a part of one graph: a GAN, whose samples may well be
    normalized by their own batch on purpose."""
    return sum(op.trains_some for op in ops) > 1


def _export(program: Program, graph: int, time: int, location: Location) -> None:
    norms = [
        norm
        for norm in program.batch_norms
        if norm.graph == graph and norm.time < time and not program.trained(norm)
    ]
    if norms and not any(op.graph == graph for op in program.train_ops):
        _add(program, location, "export", norms)


def _of_run(program: Program, run: SessionRun) -> None:
    if not run.batch_norms:
        return
    ops = _train_ops_beside(program, run)
    if not ops:
        _restored(program, run)
        return
    trained = {norm for op in ops for norm in op.batch_norms}
    _second_net(program, run, ops, trained)
    shared = [norm for norm in run.batch_norms if norm in trained]
    if shared and run.clues and not run.train_ops:
        confidence = _confidence(program, run)
        if run.graph in program.restored and not any(_surely_beside(op, run) for op in ops):
            confidence = max(confidence, Confidence.MEDIUM)  # as when `if FLAGS.train:` is skipped
        _add(program, run.location, "trained net", shared, run, confidence)


def _second_net(
    program: Program, run: SessionRun, ops: list[TrainOp], trained: set[BatchNorm]
) -> None:
    """What no train op trains; it may well share the variables of what one does."""
    untrained = [norm for norm in run.batch_norms if norm not in trained]
    variables = {norm.built for norm in trained}
    copies = [norm for norm in untrained if norm.built in variables]
    named = any(clue.kind is ClueKind.RESULT for clue in run.clues)
    if run.train_ops and not named:  # it watches what it trains, by summaries
        untrained = [norm for norm in untrained if norm not in copies]
    if not any(op.loss_opaque for op in ops):
        if untrained:
            _add(program, run.location, "second net", untrained, run)
    elif copies and named:  # of a loss that is partly computed out of sight
        _add(program, run.location, "second net", copies, run, Confidence.MEDIUM)


def _train_ops_beside(program: Program, run: SessionRun) -> list[TrainOp]:
    """The train ops of the run's graph that something runs, in the same run of the program."""
    unknown = any(other.fetches_unknown for other in program.runs if other.graph == run.graph)
    return [
        op
        for op in program.train_ops
        if op.graph == run.graph
        and together(op.path, run.path)
        and (op.used or op.escapes or unknown)
    ]


def _surely_beside(op: TrainOp, run: SessionRun) -> bool:
    """Whenever the run happens, the train op was built, too."""
    return all(run.path.get(condition) is value for condition, value in op.path.items())


def _restored(program: Program, run: SessionRun) -> None:
    """The program trains nothing in this graph, whatever the network's class also builds."""
    built = any(op.graph == run.graph for op in program.train_ops)
    if run.graph in program.restored:
        if not built and run.graph in program.differentiated:
            return  # it trains in a way that is not understood
        confidence = Confidence.MEDIUM if built else Confidence.HIGH
        confidence = max(confidence, _confidence(program, run))
        _add(program, run.location, "restored session", run.batch_norms, run, confidence)
    elif built and run.evaluates:
        _add(program, run.location, "trained net", run.batch_norms, run, _confidence(program, run))


def _confidence(program: Program, run: SessionRun) -> Confidence:
    kinds = {clue.kind for clue in run.clues}
    if ClueKind.FED_FALSE in kinds:
        return Confidence.HIGH
    strong = kinds - {ClueKind.SAMPLING}
    if not strong or is_adversarial(_train_ops_beside(program, run)):
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
