"""Questions about Keras models: who runs one in the wrong mode."""

from __future__ import annotations

from collections.abc import Iterator

from bnlint.program.events import (
    Answer,
    BatchNorm,
    FlagKind,
    KerasCall,
    KerasRun,
    LearningPhase,
    Program,
)


def trained_in_inference_mode(program: Program) -> Iterator[KerasCall]:
    """Calls of a model in a training step that leave `training` to Keras, which means False."""
    if program.freezes_layers:
        return  # the frozen part has to stay in inference mode
    switched = {call.model for call in _calls(program, "train") if call.training.explicit}
    for call in _calls(program, "train"):
        # Where the same model is trained with the flag too, the mode is chosen call by call: a
        # second loss on its inference output, say.
        if not call.training.explicit and call.default is not True and call.model not in switched:
            yield call


def evaluated_with_true(program: Program) -> Iterator[KerasCall]:
    """Calls of a model in an evaluation that run in training mode, by argument or default."""
    for call in _calls(program, "eval"):
        if call.training.is_true or (call.default is True and not call.training.explicit):
            yield call


def built_with_true(program: Program) -> Iterator[tuple[BatchNorm, KerasRun]]:
    """Batch norms with `training=True` in a functional model, and what evaluates or predicts."""
    for run in program.keras_runs:
        for norm in run.batch_norms if run.kind in ("evaluate", "predict") else ():
            if norm.api == "keras" and norm.training.is_true and norm.training.explicit:
                yield norm, run
                break


def wrong_learning_phases(program: Program) -> Iterator[tuple[LearningPhase, KerasRun]]:
    """Phases under which a model was built, and the first run of it in the other mode."""
    for phase in program.learning_phases:
        if phase.value is not None and not phase.conditional:
            runs = (run for run in program.keras_runs if _contradicts(program, phase, run))
            yield from ((phase, run) for run in list(runs)[:1])


def _calls(program: Program, purpose: str) -> Iterator[KerasCall]:
    """The calls of models whose batch norm `training` switches."""
    for call in program.keras_calls:
        if call.purpose == purpose and call.has_batch_norm is Answer.YES and not call.frozen:
            yield call


def _contradicts(program: Program, phase: LearningPhase, run: KerasRun) -> bool:
    following = (other.time for other in program.learning_phases if other.time > phase.time)
    end = min(following, default=float("inf"))
    # The phase counts where the graph is built; batch norms built before keep the switch.
    built = any(
        phase.time < norm.time < end and norm.training.kind is FlagKind.LEARNING_PHASE
        for norm in run.batch_norms
    )
    frozen = not phase.value and (bool(program.loads) or run.frozen)
    return built and not frozen and (run.kind == "fit") is not phase.value
