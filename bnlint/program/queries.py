"""Questions that several rules ask a `Program`: which updates never run, and what was tried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from bnlint.findings import Confidence, Location, Related
from bnlint.program.events import (
    UPDATE_OPS,
    Answer,
    ArgScope,
    BatchNorm,
    ClueKind,
    CollectionRead,
    ControlBlock,
    Evaluation,
    Flag,
    Frame,
    Parameter,
    Program,
    TrainOp,
)


@dataclass(frozen=True)
class Lost:
    """A train op, and the batch norms it trains whose moving averages nothing updates.

    Attributes:
      op: the train op.
      batch_norms: at least one, in the order they were built.
      cause: the code of the one rule that reports it.
      read: the collection read to blame, for the causes that have one.
      block: the control_dependencies block that the train op is outside of (BN104).
    """

    op: TrainOp
    batch_norms: tuple[BatchNorm, ...]
    cause: str
    read: CollectionRead | None = None
    block: ControlBlock | None = None

    @property
    def unless(self) -> str:
        """The setting that has to be given for the updates to run; "" if nothing runs them."""
        return self.op.lost_unless(self.batch_norms[0])

    @property
    def confidence(self) -> Confidence:
        """HIGH when facts decide everything, LOW when code out of sight may run the updates."""
        if self.op.escapes:
            return Confidence.LOW
        norms = self.batch_norms
        # Some of a loss nearly always comes from code out of sight (the input data).
        if self.op.loss_unknown or self.op.conditional or self.unless:
            return Confidence.MEDIUM
        if all(norm.conditional or norm.reuse_unknown for norm in norms):
            return Confidence.MEDIUM
        return Confidence.HIGH

    def related(self, *more: Related) -> list[Related]:
        """The net's first batch norm that loses its updates, then `more`."""
        return [batch_norm_place(self.batch_norms[0]), *more]


def batch_norm_place(norm: BatchNorm) -> Related:
    """Points at a batch norm in plain words."""
    return Related(norm.location, "this batch norm's moving mean and variance are never updated")


def lost_updates(program: Program, cause: str) -> Iterator[Lost]:
    """Every train op that loses updates for the reason that the rule `cause` is about.

    Each (train op, batch norm) pair has one cause, so one mistake gives one code.
    """
    for op in program.train_ops:
        norms = [norm for norm in op.batch_norms if is_lost(program, op, norm)]
        if not norms:
            continue
        # One finding per train op: the first lost batch norm decides the cause.
        found = _cause(program, op, norms)
        if found.cause == cause:
            yield found


def is_lost(program: Program, op: TrainOp, norm: BatchNorm) -> bool:
    """Nothing in the program runs the updates of `norm`, and `op` is the one that should."""
    if norm.graph != op.graph or norm.training.is_false:
        return False
    if not (norm.has_update_ops or _keeps_updates_in_layer(program, op, norm)):
        return False
    if _always_fed_false(program, op, norm):
        return False
    trainers = _that_may_run(program, program.trained(norm))
    others = [other for other in program.train_ops if other not in trainers]
    if any(_runs_updates(trainer, norm) for trainer in trainers) or any(
        other.used and other.runs_updates_of(norm) is Answer.YES for other in others
    ):
        return False
    unseen = program.may_update_unseen(norm)
    if any(norm in run.updates or (run.fetches_unknown and unseen) for run in program.runs):
        return False
    # A GAN's losses pass through both nets; each train op answers for the net it trains.
    # So it does for a net that several losses pass through in copies of its own.
    copies = {other for other in program.batch_norms if other.built is norm.built}
    sharing = [step for step in program.train_ops if not copies.isdisjoint(step.batch_norms)]
    owners = [step for step in _that_may_run(program, sharing) if _owns(step, norm)]
    return op in owners or (op in trainers and not owners)


def _that_may_run(program: Program, ops: list[TrainOp]) -> list[TrainOp]:
    """Without train ops that the program replaces: others are run, and these go nowhere."""
    if any(run.fetches_unknown for run in program.runs):
        return ops
    return [op for op in ops if op.used or op.escapes] or ops


def _runs_updates(op: TrainOp, norm: BatchNorm) -> bool:
    """It does, or may do so, whatever the settings are."""
    certain = norm.training.is_true or norm.training.is_tensor
    if certain and op.lost_unless(norm):
        return False
    return op.runs_updates_of(norm) is not Answer.NO


def _keeps_updates_in_layer(program: Program, op: TrainOp, norm: BatchNorm) -> bool:
    """A Keras layer in a TF1 graph, whose updates are in `layer.updates`, which nobody reads.

    Checked on TF 1.15.5: tf.keras.layers.BatchNormalization adds nothing to UPDATE_OPS.
    """
    trains = norm.training.is_true or norm.training.is_tensor
    in_session = any(op in run.train_ops for run in program.runs)
    return norm.updates == "layer" and trains and in_session and not program.reads_layer_updates


def _always_fed_false(program: Program, op: TrainOp, norm: BatchNorm) -> bool:
    """Every run of `op` switches `norm` to inference mode: there is nothing to update."""
    runs = [run for run in program.runs if op in run.train_ops]
    return bool(runs) and all(run.feeds.get(norm.training.key) is False for run in runs)


def _owns(op: TrainOp, norm: BatchNorm) -> bool:
    if norm.scope is None:
        return True
    if op.trainable_scope is not None and not norm.scope.startswith(op.trainable_scope):
        return False
    words = op.trainable_words
    return not words or any(word in f"{norm.scope}/" for word in words)


def _cause(program: Program, op: TrainOp, norms: list[BatchNorm]) -> Lost:
    """Why `op` loses the updates: the most telling attempt that the program made."""
    first = norms[0]
    lost = tuple(norms)
    if op.attaches_updates and op.update_ops_argument in ("empty", "given"):
        return Lost(op, lost, "BN106")
    if first.updates in ("layer", "op"):  # in no collection
        return Lost(op, lost, "BN101")
    if first.collection != UPDATE_OPS:
        return Lost(op, lost, "BN107")
    reads = [
        read
        for read in program.collection_reads
        if read.graph == op.graph and read.collection == UPDATE_OPS
    ]
    full = [read for read in reads if first in read.batch_norms]
    if full:
        block = _block_before(program, op, first)
        return Lost(op, lost, "BN104" if block else "BN102", full[-1], block)
    for read in reversed(reads):
        if first in read.missed:
            return Lost(op, lost, "BN103" if read.time < first.time else "BN105", read)
    return Lost(op, lost, "BN101")


def _block_before(program: Program, op: TrainOp, norm: BatchNorm) -> ControlBlock | None:
    """The last block over the updates before `op`, if it holds no train op."""
    blocks = [
        block
        for block in program.control_blocks
        if norm in block.batch_norms and block.time < op.time and not block.holds
    ]
    return blocks[-1] if blocks else None


def count(norms: Iterable[BatchNorm]) -> str:
    """ "1 batch norm", "3 batch norms": distinct places, however often a loop builds them."""
    number = len({norm.location for norm in norms})
    return f"{number} batch norm{'s' if number != 1 else ''}"


@dataclass(frozen=True)
class WrongMode:
    """A batch norm that is in training mode for good, in a network that is evaluated.

    Attributes:
      norm: the first such batch norm of the network.
      evaluation: the evaluation that shows it most clearly.
      confidence: that the evaluation wants inference mode, and gets this batch norm.
      omission: the call that leaves the flag to its default, where other calls of that function
        pass it.
      copy_for_inference: the program has built the same network in inference mode, too: the run
        fetches outputs of the wrong copy.
    """

    norm: BatchNorm
    evaluation: Evaluation
    confidence: Confidence
    omission: Location | None = None
    copy_for_inference: bool = False

    @property
    def location(self) -> Location:
        """What has to change: the run that fetches the wrong copy, the call that leaves the flag
        out, the flag that says True, or the batch norm on its default."""
        if self.copy_for_inference:
            return self.evaluation.location
        return self.omission or self.norm.training.location or self.norm.location

    def related(self) -> list[Related]:
        """The batch norm, unless the finding points at it, and the evaluation."""
        places = [Related(self.evaluation.location, _why_evaluation(self.evaluation))]
        if self.norm.location != self.location:
            places.insert(0, Related(self.norm.location, "a batch norm in training mode"))
        flag = self.norm.training
        if flag.left_out is not None and flag.location is not None:
            if self.location == flag.left_out:
                places.insert(0, Related(flag.location, "the default"))
            elif self.location == flag.location:
                places.append(Related(flag.left_out, "a call that leaves it to this default"))
        return places


def _why_evaluation(evaluation: Evaluation) -> str:
    clues = evaluation.run.clues if evaluation.run is not None else ()
    if not clues:
        return f"the network is evaluated here ({evaluation.kind})"
    return f"the network is evaluated here: {_WHY_CLUE[clues[0].kind].format(clues[0].text)}"


_WHY_CLUE = {
    ClueKind.FED_FALSE: "{} is fed False, and this batch norm does not read it",
    ClueKind.DATA: "it is fed `{}`",
    ClueKind.FUNCTION: "in `{}`",
    ClueKind.RESULT: "the result is `{}`",
    ClueKind.BRANCH: "under `{}`",
    ClueKind.SAMPLING: "`{}`; deliberate for some methods, such as pix2pix",
}


def evaluated_in_training_mode(program: Program, explicit: bool) -> Iterator[WrongMode]:
    """Networks that are evaluated with a statically True training flag, one finding per flag.

    Args:
      explicit: True for flags that somebody passed, False for slim's default.
    """
    found: dict[Location, WrongMode] = {}
    left_out: dict[Location, set[Location | None]] = {}
    told = _functions_told_the_mode(program)
    for evaluation in program.evaluations:
        for norm in evaluation.batch_norms:
            if is_explicit(norm) is not explicit or has_own_rule(program, norm):
                continue
            if norm.selected_by is not None or not program.in_training_mode(norm, evaluation.run):
                continue
            confidence = evaluation.confidence
            if norm.conditional:
                confidence = min(confidence, Confidence.MEDIUM)
            if norm.only_batch_statistics:  # it may be meant so: nothing else is kept
                confidence = Confidence.LOW
            omission = _omitting_call(norm, told)
            place = norm.frames[-2].location if omission and norm.frames[1:] else _flag_place(norm)
            left_out.setdefault(place, set()).add(norm.training.left_out)
            if place not in found or found[place].confidence < confidence:
                first = found[place].norm if place in found else norm
                copied = has_copy_for_inference(program, norm)
                found[place] = WrongMode(first, evaluation, confidence, omission, copied)
    for place, wrong in found.items():
        call = wrong.norm.training.left_out
        known = wrong.norm.training.location in program.overridden_defaults
        if call is not None and left_out[place] == {call} and known:
            wrong = replace(wrong, omission=wrong.omission or call)
        yield wrong


def is_explicit(norm: BatchNorm) -> bool:
    """Somebody chose its mode: by a flag, or by writing what it normalizes with."""
    return norm.training.explicit or norm.api == "custom"


def has_copy_for_inference(program: Program, norm: BatchNorm) -> bool:
    """A batch norm in inference mode shares the variables of `norm`, which is trained."""
    if not program.trained(norm):
        return False
    return any(
        other.training.is_false and (other.reuses is norm or norm.reuses is other)
        for other in program.batch_norms
    )


def _functions_told_the_mode(program: Program) -> set[Location]:
    """The functions around batch norms whose training parameter some call passes."""
    frames = (norm.frames[-1] for norm in program.batch_norms if norm.frames)
    return {
        frame.location
        for frame in frames
        if frame.training_parameter is not None and frame.training_parameter.passed
    }


def _omitting_call(norm: BatchNorm, told: set[Location]) -> Location | None:
    """The call of the function around `norm` that leaves its training parameter to the default,
    where the program's other calls of that function pass it."""
    if not norm.frames or norm.training.location is None:
        return None
    frame = norm.frames[-1]
    own = frame.training_parameter
    if own is None or own.passed or frame.call is None:
        return None
    return frame.call if frame.location in told else None


def _flag_place(norm: BatchNorm) -> Location:
    """Where one change mends the mode: the flag's place, or the function on the default."""
    if norm.training.location is not None:
        return norm.training.location
    return norm.frames[-1].location if norm.frames else Location(norm.location.path)


def has_own_rule(program: Program, norm: BatchNorm) -> bool:
    """BN206, BN207 or BN208 says more precisely why the batch norm is in the wrong mode."""
    return (
        any(norm in change.batch_norms and not change.rebuilt for change in program.rebindings)
        or ignored_training_parameter(norm) is not None
        or misplaced_flag(norm) is not None
        or missed_by_scope(program, norm) is not None
    )


def ignored_training_parameter(norm: BatchNorm) -> Parameter | None:
    """The training parameter that was passed to a function around a batch norm and stops there.

    The batch norm is on its default, or on a True that is written in its own call, although
    the function around it was told a mode. Functions farther out count where what they were
    told is not training mode: then the batch norm does the opposite.
    """
    if norm.api == "keras" or not norm.frames or not _on_a_constant(norm):
        return None
    parameter = norm.frames[-1].training_parameter
    if norm.api == "custom" and parameter is not None:
        told = parameter.value.is_tensor or parameter.value.is_false
        return parameter if parameter.passed and told else None
    if parameter is not None:
        ignored = parameter.passed and not (norm.training.explicit and parameter.used)
        return parameter if ignored else None
    if not norm.training.is_true:
        return None
    for frame in reversed(norm.frames[:-1]):
        outer = frame.training_parameter
        if outer is not None:
            told = outer.passed and (outer.value.is_tensor or outer.value.is_false)
            return outer if told else None
    return None


def _on_a_constant(norm: BatchNorm) -> bool:
    """On its default, or on True in the very call that builds it."""
    flag = norm.training
    if not flag.explicit:
        return True
    place, call = flag.location, norm.location
    return (
        flag.is_true
        and place is not None
        and place.path == call.path
        and call.line <= place.line <= max(call.line, call.end_line)
    )


def misplaced_flag(norm: BatchNorm) -> tuple[Frame, Parameter] | None:
    """The call that passes the training placeholder as another parameter (`Net(x, is_training)`
    of `Net(x, params, is_training=True)`), so that the mode stays at its default."""
    if not norm.training.is_true:
        return None
    for frame in reversed(norm.frames):
        parameter = frame.misplaced_flag
        if parameter is not None:
            return frame, parameter
    return None


def missed_by_scope(program: Program, norm: BatchNorm) -> tuple[ArgScope, Flag] | None:
    """The arg_scope around a batch norm on slim's default that sets the flag for other ops.

    Either `is_training` is set for functions without batch_norm among them, or it is in
    `normalizer_params` that this batch norm does not get: called directly, or replaced by
    normalizer_params of its own.
    """
    if norm.api != "slim" or norm.training.explicit:
        return None
    for scope in reversed(program.arg_scopes):
        if norm not in scope.batch_norms:
            continue
        direct = scope.sets_training if not scope.covers_batch_norm else None
        flag = scope.normalizer_params_training or direct
        if flag is not None:
            return scope, flag
    return None


def separate_copies(program: Program) -> Iterator[tuple[Evaluation, BatchNorm, BatchNorm]]:
    """(evaluation, untrained batch norm, trained batch norm) of networks that were built twice.

    Both come from the same line of code and have variables of their own. Programs that restore or
    assign variables are left out: the second network may get its values so (target networks).
    """
    if program.assigns_variables:
        return
    seen: set[Location] = set()
    loaded = {load.graph for load in program.loads}
    for evaluation in program.evaluations:
        run = evaluation.run
        if evaluation.kind != "second net" or run is None or run.graph in loaded:
            continue
        for norm in evaluation.batch_norms:
            trained = _trained_twin(program, norm)
            if trained is None:
                continue
            place, _ = built_apart(norm, trained)
            if place not in seen:
                seen.add(place)
                yield evaluation, norm, trained


def _has_own_variables(norm: BatchNorm) -> bool:
    return norm.scope is not None and norm.reuses is None and not norm.reuse_unknown


def _trained_twin(program: Program, norm: BatchNorm) -> BatchNorm | None:
    """The trained batch norm that the same code built in another variable scope."""
    if not _has_own_variables(norm) or program.trained(norm):
        return None
    if any(reuser.reuses is norm for reuser in program.batch_norms):
        return None  # shared with a network that may train
    for other in program.batch_norms:
        twin = other.location == norm.location and other.graph == norm.graph
        apart = twin and other.scope != norm.scope and _has_own_variables(other)
        if apart and program.trained(other):
            return other
    return None


def built_apart(norm: BatchNorm, other: BatchNorm) -> tuple[Location, Location]:
    """The calls where the call chains of two batch norms of one line of code part."""
    for mine, theirs in zip(norm.frames, other.frames, strict=False):
        if mine.call != theirs.call and mine.call is not None and theirs.call is not None:
            return mine.call, theirs.call
    return norm.location, other.location
