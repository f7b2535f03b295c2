"""Questions about Keras models: who runs one in the wrong mode.

What each Keras does is recorded in fixtures/oracle/keras.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bnlint.findings import Confidence
from bnlint.program.events import (
    LEARNING_PHASE_KEY,
    BatchNorm,
    ClueKind,
    FlagKind,
    KerasCall,
    KerasRun,
    LearningPhase,
    Program,
    SessionRun,
    TrainOp,
    in_evaluation,
)
from bnlint.program.words import FEW_SHOT, words


def trained_in_inference_mode(program: Program) -> Iterator[tuple[KerasCall, Confidence]]:
    """Calls of a model in a training step in which no batch norm runs in training mode."""
    calls = [call for call in program.keras_calls if call.purpose == "train"]
    switched = _in_training_mode(calls)
    for call in calls:
        norms = switchable(call.batch_norms)
        # Where the same layers are trained with the flag too, the mode is chosen call by call: a
        # second loss on the inference output, say.
        mixed = not norms or any(norm.layer in switched for norm in norms)
        if mixed or _is_chosen(program, call) or _phase_is_true(program, call.time):
            continue
        sure = not call.conditional and all(_is_open(norm) for norm in norms)
        yield call, Confidence.HIGH if sure else Confidence.MEDIUM


def _in_training_mode(calls: list[KerasCall]) -> set[int]:
    """The layers that some of these calls run, or may run, in training mode."""
    return {
        norm.layer
        for call in calls
        for norm in call.batch_norms
        if not (_is_open(norm) or norm.training.is_false)
    }


def _is_open(norm: BatchNorm) -> bool:
    """Nobody said in which mode: in TensorFlow 2 that is inference mode."""
    return norm.training.kind is FlagKind.LEARNING_PHASE and not norm.training.explicit


def _is_chosen(program: Program, call: KerasCall) -> bool:
    """Inference mode was written at the call, for weights that were trained before."""
    return call.training.is_false and call.training.explicit and bool(program.loads)


def _phase_is_true(program: Program, time: int) -> bool:
    """set_learning_phase(1) holds, which `model(x)` follows outside of `fit`, too."""
    phases = [phase for phase in program.learning_phases if phase.time < time]
    return bool(phases) and phases[-1].value is not False


def switchable(norms: list[BatchNorm]) -> list[BatchNorm]:
    """Those that are not frozen: in TensorFlow 2 a frozen one runs in inference mode."""
    return [norm for norm in norms if norm.trainable is True]


def purpose_of(call: KerasCall) -> str:
    """What a call is for: "train", "eval", "export" or "unknown"."""
    if call.in_tape:
        return "train"
    if call.exported:
        return "export"
    layer = any(norm.layer == call.model for norm in call.batch_norms)
    if call.differentiated or layer:  # a layer by itself is a part of something
        return "unknown"
    kinds = {clue.kind for clue in call.clues}
    told = bool(kinds) and ClueKind.SAMPLING not in kinds
    return "eval" if told or in_evaluation(call.frames) else "unknown"


def evaluated_in_training_mode(program: Program) -> Iterator[tuple[KerasCall, Confidence]]:
    """Calls of a model in an evaluation or export that run a batch norm in training mode."""
    if program.runs or program.train_ops or program.uses_estimator:
        return  # a graph: the flags say in which mode it is built
    adapted = _adapted(program)
    trained = {call.model for call in program.keras_calls if call.purpose == "train"}
    for call in program.keras_calls:
        if call.purpose not in ("eval", "export") or call.model in adapted or _few_shot(call):
            continue
        if any(norm.training.is_true for norm in switchable(call.batch_norms)):
            # Of several nets that are trained, one may well sample by the batch: pix2pix.
            sure = len(trained) < 2 or in_evaluation(call.frames)
            yield call, Confidence.MEDIUM if sure else Confidence.LOW


def _adapted(program: Program) -> set[int]:
    """Models that are differentiated outside of training steps: meta-learning adapts them to
    the statistics of a task on purpose."""
    calls = (call for call in program.keras_calls if call.differentiated and not call.in_tape)
    return {call.model for call in calls if call.training.is_true}


def _few_shot(call: KerasCall) -> bool:
    """Names say that it is a task of few-shot learning, whose batch statistics are wanted."""
    names = [frame.function.rpartition(".")[2] for frame in call.frames]
    names += [clue.text for clue in call.clues]
    names += [parameter for frame in call.frames for parameter in frame.arguments]
    return any(not FEW_SHOT.isdisjoint(words(name)) for name in names)


@dataclass(frozen=True)
class FixedMode:
    """A batch norm whose mode is written into the model, and a run that needs the other."""

    norm: BatchNorm
    run: KerasRun

    @property
    def where_called(self) -> bool:
        """The flag is written where the layer is called; else a parameter or attribute has it."""
        flag = self.norm.training.location
        place = self.norm.location
        return (
            flag is not None
            and flag.path == place.path
            and place.line <= flag.line <= max(place.line, place.end_line)
        )

    @property
    def in_call(self) -> bool:
        """A model's own `call` applies it; else it is part of a functional model."""
        return any(frame.function.endswith(".call") for frame in self.norm.frames)


def fixed_in_training_mode(program: Program) -> Iterator[FixedMode]:
    """Batch norms that evaluate and predict run in training mode, whatever Keras passes."""
    seen: set[int] = set()
    for run in program.keras_runs:
        for norm in switchable(run.batch_norms) if run.kind != "fit" else ():
            if norm.training.is_true and norm.layer not in seen:
                seen.add(norm.layer)
                yield FixedMode(norm, run)
                break


def fixed_in_inference_mode(program: Program) -> Iterator[FixedMode]:
    """Batch norms of the project's own models that `fit` trains in inference mode."""
    seen: set[int] = set()
    for run in program.keras_runs:
        norms = switchable(run.batch_norms)
        if run.kind != "fit" or not norms or program.loads:
            continue
        fixed = [FixedMode(norm, run) for norm in norms]
        in_call = all(item.norm.training.is_false and item.in_call for item in fixed)
        if in_call and norms[0].layer not in seen:
            seen.add(norms[0].layer)
            yield fixed[0]


def wrong_learning_phases(program: Program) -> Iterator[tuple[LearningPhase, KerasRun]]:
    """Phases under which a model was built, and the first run of it in the other mode.

    TensorFlow 1 only: later Kerases pass the mode in fit, evaluate and predict.
    """
    if "tf1" not in program.keras:
        return
    for phase in program.learning_phases:
        if phase.value is not None and not phase.conditional:
            runs = (run for run in program.keras_runs if _contradicts(program, phase, run))
            yield from ((phase, run) for run in list(runs)[:1])


def _contradicts(program: Program, phase: LearningPhase, run: KerasRun) -> bool:
    following = (other.time for other in program.learning_phases if other.time > phase.time)
    end = min(following, default=float("inf"))
    # The phase counts where the graph is built; batch norms built before keep the switch.
    times = [norm.built.time for norm in run.batch_norms if _is_open(norm.built)]
    if run.loaded is not None:
        times.append(run.loaded)
    built = any(phase.time < time < end for time in times)
    # Training resumed from a file in inference mode is fine-tuning; from scratch it is a mistake.
    loaded = any(time < run.time for time in program.certain_loads)
    frozen = not phase.value and (loaded or not switchable(run.batch_norms))
    return built and not frozen and (run.kind == "fit") is not phase.value


# --- layers in a graph of TensorFlow 1 ---------------------------------------------------------


def left_to_learning_phase(program: Program) -> Iterator[tuple[TrainOp, list[BatchNorm]]]:
    """Train ops, and the Keras layers that they train without a flag: these follow the learning
    phase, a placeholder with the default False that only Keras' own `fit` feeds.

    Recorded in fixtures/oracle/keras: "layer in a TF 1 graph | training not passed".
    """
    if _switches_learning_phase(program) or _wants_updates(program):
        return
    seen: set[BatchNorm] = set()
    for op in program.train_ops if not program.keras_runs else ():
        left = [norm for norm in op.batch_norms if _is_left(norm) and norm not in seen]
        seen.update(left)
        if op.used and left:
            yield op, left


def _is_left(norm: BatchNorm) -> bool:
    return norm.api == "keras" and _is_open(norm) and norm.trainable is True


def runs_without_learning_phase(program: Program) -> Iterator[tuple[SessionRun, BatchNorm]]:
    """Session runs that train layers which follow the learning phase, and do not feed it, in a
    program that runs their updates or feeds it elsewhere."""
    if any(phase.value is not False for phase in program.learning_phases):
        return
    if not (_wants_updates(program) or program.reads_learning_phase):
        return
    for run in program.runs:
        followers = (norm for norm in run.networks if _follows_learning_phase(norm))
        norm = min(followers, key=lambda item: item.time, default=None)
        fed = run.feeds.get(LEARNING_PHASE_KEY, False) is not False
        fed |= run.feeds_unknown and program.reads_learning_phase
        if run.train_ops and norm is not None and not fed:
            yield run, norm


def _follows_learning_phase(norm: BatchNorm) -> bool:
    open_ = norm.training.kind is FlagKind.LEARNING_PHASE
    return norm.api == "keras" and open_ and norm.trainable is True


def _wants_updates(program: Program) -> bool:
    """`layer.updates` is read: batch norm is meant to train."""
    return program.reads_layer_updates


def _switches_learning_phase(program: Program) -> bool:
    """The phase is set to training, or the program has its placeholder and may feed it."""
    set_ = any(phase.value is not False for phase in program.learning_phases)
    return set_ or program.reads_learning_phase
