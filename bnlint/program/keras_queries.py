"""Questions about how Keras models are trained: what is frozen when, for how long, on what.

What each Keras does is recorded in fixtures/oracle/keras.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bnlint.program.events import (
    BatchNorm,
    FlagKind,
    Freeze,
    KerasCall,
    KerasCompile,
    KerasCopy,
    KerasRun,
    Program,
)

Use = KerasRun | KerasCall


def training_uses(program: Program) -> list[Use]:
    """`fit` and the like, and training steps with a tape, in order."""
    fits = [run for run in program.keras_runs if run.kind == "fit"]
    steps = [call for call in program.keras_calls if call.purpose == "train"]
    uses: list[Use] = [*fits, *steps]
    return sorted(uses, key=lambda use: use.time)


def inference_layers(program: Program) -> set[int]:
    """Keras layers whose moving statistics something reads: evaluate, predict, `model(x)`."""
    runs = [run.batch_norms for run in program.keras_runs if run.kind != "fit"]
    calls = [call.batch_norms for call in program.keras_calls if call.purpose == "eval"]
    return {norm.layer for norms in (*runs, *calls) for norm in norms if not norm.training.is_true}


# --- fine-tuning ---------------------------------------------------------------------------


@dataclass(frozen=True)
class FineTuning:
    """A pretrained net that is trained frozen first, then unfrozen.

    Attributes:
      unfreeze: where it is unfrozen.
      norm: one of its batch norms, as the training afterwards applies it.
      use: that training.
      overridden: `training=False` is written where the net is called, which Keras 3 overrides.
      partly: a part of it is frozen again, as the first layers are.
    """

    unfreeze: Freeze
    norm: BatchNorm
    use: Use
    overridden: bool
    partly: bool


def fine_tuned_in_training_mode(program: Program) -> Iterator[FineTuning]:
    """Unfrozen pretrained nets whose batch norms train on the statistics of the new batches."""
    if not program.loads:
        return
    uses = training_uses(program)
    # What evaluate and predict pass is written nowhere.
    written_false = {
        norm.layer
        for norm in program.batch_norms
        if norm.training.is_false and norm.training.location is not None
    }
    found: set[int] = set()
    for use in uses:
        for norm in use.batch_norms:
            freeze = _last_freeze(program, norm.layer, use.time)
            if freeze is None or freeze.value is not True or id(freeze) in found:
                continue
            overridden = norm.layer in written_false
            if (
                norm.trainable is not False
                and (norm.training.is_true or (overridden and not norm.training.is_false))
                and _was_frozen(program, uses, norm.layer, freeze)
                and _takes_effect(program, freeze, use)
            ):
                found.add(id(freeze))
                yield FineTuning(freeze, norm, use, overridden, _partly(program, norm, freeze, use))


def _partly(program: Program, norm: BatchNorm, unfreeze: Freeze, use: Use) -> bool:
    return any(
        freeze.partial and freeze.value is False and not freeze.conditional
        for freeze in program.freezes
        if norm.layer in freeze.layers and unfreeze.time < freeze.time < use.time
    )


def _was_frozen(program: Program, uses: list[Use], layer: int, unfreeze: Freeze) -> bool:
    """All training before `unfreeze` left the layer frozen, and weights were loaded before that.

    Nets that are frozen and unfrozen in turns, as those of GANs, are trained first.
    """
    before = [
        (use, norm)
        for use in uses
        if use.time < unfreeze.time
        for norm in use.batch_norms
        if norm.layer == layer
    ]
    if not before or any(norm.trainable is not False for _, norm in before):
        return False
    return any(load.time < before[0][0].time for load in program.loads)


def _takes_effect(program: Program, freeze: Freeze, use: Use) -> bool:
    """What is set is what `use` trains with: Keras 2 reads it in `compile`."""
    if isinstance(use, KerasCall) or program.keras == {"3"}:
        return True
    return any(
        freeze.time < event.time < use.time
        for event in program.keras_compiles
        if event.model == use.model
    )


def _last_freeze(program: Program, layer: int, time: float) -> Freeze | None:
    """The last `trainable = ...` that a layer got before `time`.

    What freezes a part of a net leaves the rest of it: `for layer in base.layers[:100]`.
    """
    freezes = [
        freeze
        for freeze in program.freezes
        if layer in freeze.layers and freeze.time < time
        if not (freeze.partial and freeze.value is False)
    ]
    return max(freezes, key=lambda freeze: freeze.time, default=None)


# --- trainable after compile ---------------------------------------------------------------


@dataclass(frozen=True)
class LateFreeze:
    """`trainable = ...` between a model's `compile` and its `fit`."""

    freeze: Freeze
    compiled: KerasCompile
    run: KerasRun


def frozen_after_compile(program: Program) -> Iterator[LateFreeze]:
    """What Keras 2 does not see: it reads `trainable` when a model is compiled."""
    found: set[int] = set()
    for run in program.keras_runs:
        compiled = _last_compile(program, run)
        if run.kind != "fit" or compiled is None:
            continue
        for layer in sorted(compiled.layers):
            freeze = _last_freeze(program, layer, run.time)
            if (
                freeze is not None
                and freeze.time > compiled.time
                and freeze.value is not None
                and freeze.value is not _trainable(program, layer, compiled.time)
                and not _is_for_another(program, freeze, compiled)
                and id(freeze) not in found
            ):
                found.add(id(freeze))
                yield LateFreeze(freeze, compiled, run)


def _last_compile(program: Program, run: KerasRun) -> KerasCompile | None:
    before = [
        event
        for event in program.keras_compiles
        if event.model == run.model and event.time < run.time
    ]
    return max(before, key=lambda event: event.time, default=None)


def _trainable(program: Program, layer: int, time: float) -> bool | None:
    """Whether a layer is trainable at that time; None if that is not known."""
    freeze = _last_freeze(program, layer, time)
    if freeze is None:
        first = next((norm for norm in program.batch_norms if norm.layer == layer), None)
        return True if first is None or first.trainable is not None else None
    return freeze.value


def _is_for_another(program: Program, freeze: Freeze, compiled: KerasCompile) -> bool:
    """What is set is meant for another model, compiled afterwards: a GAN's discriminator is
    frozen in the combined model."""
    return any(
        event.time > freeze.time and event.model != compiled.model and event.layers & freeze.layers
        for event in program.keras_compiles
    )


# --- momentum and number of steps ----------------------------------------------------------


@dataclass(frozen=True)
class ShortTraining:
    """A batch norm that all of a program's `fit`s together train for so many steps."""

    norm: BatchNorm
    steps: int
    use: Use


def trained_for_known_steps(program: Program) -> Iterator[ShortTraining]:
    """Keras batch norms that start anew, are trained a known number of steps, and are used."""
    if program.loads:
        return
    used = inference_layers(program)
    uses = training_uses(program)
    for layer in sorted(used):
        trained = [
            (use, norm)
            for use in uses
            for norm in use.batch_norms
            if norm.layer == layer and not norm.training.is_false
        ]
        steps = _total(use for use, _ in trained)
        if steps is not None and trained:
            use, norm = trained[0]
            yield ShortTraining(norm, steps, use)


def _total(uses: Iterable[Use]) -> int | None:
    """Steps of all trainings; a loop's second round, which is followed too, is in its count."""
    by_place: dict[object, int] = {}
    for use in uses:
        if use.steps is None:
            return None
        by_place[use.location] = use.steps
    return sum(by_place.values())


def trained_layers(program: Program) -> set[int]:
    """Keras layers that some training updates."""
    return {
        norm.layer
        for use in training_uses(program)
        for norm in use.batch_norms
        if norm.trainable is not False and not norm.training.is_false
    }


@dataclass(frozen=True)
class FastMomentum:
    """A moving average that forgets all but the last batches.

    Attributes:
      norm: a batch norm with this momentum.
      used: it is also evaluated with, in the same program.
    """

    norm: BatchNorm
    used: bool


def forgets_quickly(program: Program, limit: float) -> Iterator[FastMomentum]:
    """Trained batch norms whose momentum is at most `limit`, one for each function that sets it.

    A momentum of 0 keeps the last batch's statistics on purpose.
    """
    trained, used = trained_layers(program), inference_layers(program)
    seen: set[object] = set()
    for norm in program.batch_norms:
        if norm.decay is None or not 0 < norm.decay <= limit or norm.trainable is False:
            continue
        if norm.api == "keras":
            is_trained, is_used = norm.layer in trained, norm.layer in used
        else:
            is_trained = norm.api == "tf.layers" and bool(program.trained(norm))
            is_used = any(other is norm for _, other in program.evaluated())
        builder = norm.frames[-1].location if norm.frames else norm.location.path
        if is_trained and (builder, norm.decay) not in seen:
            seen.add((builder, norm.decay))
            yield FastMomentum(norm, is_used)


# --- batches of one ------------------------------------------------------------------------


def trained_on_single_examples(program: Program) -> Iterator[tuple[KerasRun, BatchNorm]]:
    """Trainings with batches of one example, and a batch norm that has one value to normalize.

    After a convolution a batch norm has all positions of the example to take statistics of.
    """
    for run in program.keras_runs:
        if run.kind != "fit" or run.batch_size != 1:
            continue
        for norm in run.batch_norms:
            flat = norm.input.rank == 2 or (norm.input.rank is None and norm.input.kind == "Dense")
            if flat and norm.trainable is True and norm.training.is_true:
                yield run, norm
                break


# --- layers that are shared ----------------------------------------------------------------


@dataclass(frozen=True)
class SharedLayer:
    """One batch norm layer that is applied to what two different layers give.

    Attributes:
      first, second: its applications, in one pass through the network.
      used: its moving statistics are read: `fit` is for models that predict, a training loop of
        a program that never predicts may be for a GAN's discriminator.
    """

    first: BatchNorm
    second: BatchNorm
    used: bool


def applied_to_two_activations(program: Program) -> Iterator[SharedLayer]:
    """Layers that are trained in training mode on two activations."""
    trained = trained_layers(program)
    fitted = {norm.layer for run in program.keras_runs for norm in run.batch_norms}
    used = fitted | inference_layers(program)
    first: dict[object, BatchNorm] = {}
    for norm in program.batch_norms:
        if norm.layer not in trained or not norm.input.layer or norm.training.is_false:
            continue
        # Frames are made anew by each call: equal ones are of one call of `call`.
        key = (norm.layer, tuple(id(frame) for frame in norm.frames))
        other = first.setdefault(key, norm)
        if other.input.layer != norm.input.layer and other.location != norm.location:
            yield SharedLayer(other, norm, norm.layer in used)


# --- copies of weights ---------------------------------------------------------------------


def copied_without_statistics(program: Program) -> Iterator[tuple[KerasCopy, Use]]:
    """Copies of the trainable variables of a net that is then used in inference mode.

    The statistics of the copy stay as they were made: nothing else copies them after that, and
    the copy is not trained itself.
    """
    trained, found = trained_layers(program), set()
    for copy in program.keras_copies:
        if copy.with_statistics or not copy.layers or copy.layers & trained:
            continue
        # The source has statistics worth copying: they were trained here, or loaded.
        if not copy.source_layers & trained and not program.loads:
            continue
        if any(other.with_statistics and _replaces(other, copy) for other in program.keras_copies):
            continue
        use = _used_in_inference_mode(program, copy.layers)
        if use is not None and copy.location not in found:
            found.add(copy.location)
            yield copy, use


def _replaces(other: KerasCopy, copy: KerasCopy) -> bool:
    """`other` copies the statistics as well, and not only before training."""
    return bool(other.layers & copy.layers) and (other.time > copy.time or not copy.averages)


def _used_in_inference_mode(program: Program, layers: frozenset[int]) -> Use | None:
    runs = [run for run in program.keras_runs if run.kind != "fit"]
    calls = [call for call in program.keras_calls if call.purpose != "train"]
    uses: list[Use] = [*runs, *calls]
    for use in sorted(uses, key=lambda use: use.time):
        for norm in use.batch_norms:
            if norm.layer in layers and _is_in_inference_mode(norm):
                return use
    return None


def _is_in_inference_mode(norm: BatchNorm) -> bool:
    flag = norm.training
    return flag.is_false or (flag.kind is FlagKind.LEARNING_PHASE and not flag.explicit)
