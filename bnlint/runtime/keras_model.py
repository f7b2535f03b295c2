"""Live Keras models (Keras 3 and tf-keras), and what a Keras file's settings say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bnlint.findings import Confidence, Finding, Location, Related, sorted_findings
from bnlint.registry import all_rules
from bnlint.runtime.moving_statistics import Moments, Statistics
from bnlint.runtime.outline import with_statistics
from bnlint.runtime.report import BatchNormInfo, GraphReport
from bnlint.runtime.stored.keras_files import KerasFile, settings
from bnlint.runtime.stored.protos import LoadError
from bnlint.runtime.stored.statistics import Measured, check_measured, check_stored

_BATCH = 64  # rows run at a time in a measured check
_SHOWN = 10


def check_model(model: Any, data: Any, path: str) -> GraphReport:
    """See `bnlint.runtime.inspect.inspect_model`."""
    layers = batch_norm_layers(model)
    groups = [stored_statistics(layer) for layer in layers]
    findings = [
        *check_stored(groups, path, _steps(model)),
        *always_training(_flags_in_config(model), path),
    ]
    measured = [] if data is None else measure_model(model, data)
    findings += check_measured(measured, path)
    return GraphReport(
        findings=sorted_findings(findings),
        files=1,
        measured=tuple(measured),
        batch_norms=with_statistics(
            [keras_info(layer.name, vars(layer)) for layer in layers], groups
        ),
    )


def batch_norm_layers(model: Any) -> list[Any]:
    """The batch-norm layers of a model, those inside its layers and blocks included.

    Raises:
      TypeError: `model` has no layers.
    """
    # Keras' public `layers` leaves out what custom layers hold; this exists in Keras 2 and 3.
    flatten = getattr(model, "_flatten_layers", None)
    if flatten is None:
        raise TypeError(f"{type(model).__name__} is no Keras model")
    return [
        layer
        for layer in flatten(include_self=True, recursive=True)
        if any(base.__name__ == "BatchNormalization" for base in type(layer).__mro__)
    ]


def stored_statistics(layer: Any) -> Statistics:
    """The vectors of a batch-norm layer; None for those it does not have (yet)."""
    return Statistics(
        layer.name,
        mean=_values(layer, "moving_mean"),
        variance=_values(layer, "moving_variance"),
        gamma=_values(layer, "gamma"),
        beta=_values(layer, "beta"),
        decay=getattr(layer, "momentum", None),
    )


def _values(layer: Any, name: str) -> Any:
    import numpy as np

    variable = getattr(layer, name, None)
    return None if variable is None else np.asarray(variable.numpy(), np.float64)


def _steps(model: Any) -> int | None:
    iterations = getattr(getattr(model, "optimizer", None), "iterations", None)
    return None if iterations is None else int(iterations.numpy())


def _flags_in_config(model: Any) -> KerasFile:
    """How a model's configuration says that its batch norms are called."""
    try:
        config = model.get_config()
    except NotImplementedError:  # subclassed models need not have one
        return KerasFile()
    found = settings({"config": config})
    # tf-keras is `tf_keras`; of `keras` TensorFlow 2.16 and later take version 3.
    found.keras_3 = any(base.__module__.startswith("keras.src") for base in type(model).__mro__)
    return found


def keras_info(name: str, config: Mapping[str, Any]) -> BatchNormInfo:
    """A layer's description, from its configuration or its attributes."""
    trainable = config.get("trainable", config.get("_trainable", True))
    return BatchNormInfo(
        name,
        "keras",
        # Keras decides at each call; a layer that is not trainable always infers.
        mode="infer" if trainable is False else "switched",
        switch="" if trainable is False else "training",
        default=None if trainable is False else False,
        moving_mean=f"{name}/moving_mean",
        moving_variance=f"{name}/moving_variance",
        gamma=f"{name}/gamma" if config.get("scale", True) else "",
        beta=f"{name}/beta" if config.get("center", True) else "",
        epsilon=_number(config.get("epsilon")),
        decay=_number(config.get("momentum")),
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def always_training(found: KerasFile, path: str) -> list[Finding]:
    """BN209: batch norms that a functional model calls with a fixed `training=True`.

    In Keras 3 `fit`, `evaluate` and `predict` override it, `model(x)` and `export` keep it
    (fixtures/oracle/keras: "functional | training true"). Which of them is used is not known here.
    """
    names = found.always_training
    if not names:
        return []
    where, confidence = "in inference", Confidence.HIGH
    if found.keras_3:
        where = "in `model(x)` and `export` (Keras 3 overrides it in fit, evaluate and predict)"
        confidence = Confidence.LOW
    message = f"{names[0]!r} is called with training=True, so it uses batch statistics {where}"
    return [_about(names, "BN209", message, "also called with training=True", path, confidence)]


def overridden_by_fit(model: Any, path: str) -> list[Finding]:
    """BN701: pretrained, trainable batch norms that a functional model of Keras 3 calls with
    `training=False`, as `fit` begins, which overrides that (fixtures/oracle/keras: "nested |
    training false"). Statistics at their initial values are not lost.
    """
    found = _flags_in_config(model)
    names = found.called_in_inference
    known = (stored_statistics(layer) for layer in batch_norm_layers(model))
    if not names or not found.keras_3 or all(one.at_initial_values for one in known):
        return []
    message = (
        f"{names[0]!r} is called with training=False and is trainable: `fit` of Keras 3 overrides "
        "that, and overwrites its moving statistics"
    )
    also = "also called with training=False"
    return [_about(names, "BN701", message, also, path, Confidence.MEDIUM)]


def _about(
    names: Sequence[str], code: str, message: str, also: str, path: str, confidence: Confidence
) -> Finding:
    if len(names) > 1:
        message += f" (as are {len(names) - 1} more batch norms)"
    related = [Related(Location(path, node=name), also) for name in names[1:_SHOWN]]
    place = Location(path, node=names[0])
    return all_rules()[code].finding(place, message, related=related, confidence=confidence)


# --- measured check ------------------------------------------------------------------------


def load_model(path: Path) -> Any:
    """Build a Keras file's model, in safe mode: Lambda code in it is refused, not run.

    Raises:
      LoadError: Keras cannot or will not build it.
    """
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    # Whatever a file's settings can do wrong, Keras passes on.
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise LoadError(f"Keras does not load it (for a measured check): {first}") from error


def measure_model(model: Any, data: Any) -> list[Measured]:
    """Run `data` in inference mode and take the moments of each batch norm's input (for BN503).

    Args:
      model: a built Keras model.
      data: what the model takes: an array of shape [examples, ...], or a dict of arrays by
        input name; a dict of one array is given to a model with one input whatever its name.

    Raises:
      LoadError: the model does not take this data.
    """
    import numpy as np

    layers = {id(layer): layer for layer in batch_norm_layers(model)}
    inputs = _inputs(model, data)
    sample = next(iter(inputs.values())) if isinstance(inputs, dict) else inputs
    examples = len(sample)
    with _recording(list(layers.values())) as moments:
        for start in range(0, examples, _BATCH):
            rows = slice(start, start + _BATCH)
            batch = (
                {name: np.asarray(one[rows]) for name, one in inputs.items()}
                if isinstance(inputs, dict)
                else np.asarray(inputs[rows])
            )
            try:
                model(batch, training=False)
            except (TypeError, ValueError, KeyError, RuntimeError) as error:
                first = str(error).strip().partition("\n")[0]
                raise LoadError(f"the model does not take this data: {first}") from error
    return [
        Measured(
            stored_statistics(layers[key]), one.statistics(), examples, float(layers[key].epsilon)
        )
        for key, one in moments.items()
    ]


def _inputs(model: Any, data: Any) -> Any:
    if (
        isinstance(data, dict)
        and len(data) == 1
        and len(getattr(model, "inputs", None) or [0]) == 1
    ):
        data = next(iter(data.values()))
    if isinstance(data, dict) and not data:
        raise LoadError("the data holds no array")
    return data


@contextmanager
def _recording(layers: Sequence[Any]) -> Iterator[dict[int, Moments]]:
    """While open, every call of these layers adds its input's moments."""
    moments: dict[int, Moments] = {}
    for layer in layers:
        # Past Keras' own __setattr__, which would track the function as a part of the layer.
        object.__setattr__(layer, "call", _recorder(layer, layer.call, moments))
    try:
        yield moments
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")


def _recorder(layer: Any, call: Any, moments: dict[int, Moments]) -> Any:
    import numpy as np

    axis = layer.axis[0] if isinstance(layer.axis, list | tuple) else layer.axis

    def record(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        values = np.asarray(inputs, np.float64)
        values = np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis])
        one = moments.setdefault(id(layer), Moments())
        one.add(len(values), values.mean(axis=0), values.var(axis=0))
        return call(inputs, *args, **kwargs)

    return record
