"""`call` and other methods of a project's Keras models and layers."""

from __future__ import annotations

from bnlint.analyzer.apis.library import TensorFlow
from bnlint.analyzer.interpreter.calls import default_value
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.values import NONE, Function, Instance, Value


def own_method(model: Instance, name: str) -> Function | None:
    """The method of the project's class, bound; None if it has none."""
    for cls in model.cls.lineage():
        found = cls.slots.get(name)
        if isinstance(found, Function):
            return found.bound_to(model)
    return None


def training_argument(
    function: Function | None, args: Args, name: str = "training"
) -> Value | None:
    """What `call` is given for `training`."""
    return args.get(_index(function, name), name)


def _index(function: Function | None, name: str) -> int | None:
    """Where a parameter is among the positional arguments of the project's `call`."""
    params = function.definition.params[1:] if function is not None else ()
    names = [param.name for param in params if param.kind == "positional"]
    return names.index(name) if name in names else None


def default_training(tf: TensorFlow, function: Function, name: str = "training") -> Value | None:
    """The default of `training` in `call`'s signature."""
    for param in function.definition.params:
        if param.name == name and param.default is not None:
            return default_value(tf.interpreter, param, function)
    return None


def with_training(function: Function, args: Args, training: Value) -> Args:
    """The arguments that Keras gives `call`: `training`, if it takes it."""
    named = {param.name: param.kind for param in function.definition.params}
    takes = "training" in named or "**" in named.values()
    index = _index(function, "training")
    positional, keywords = list(args.positional), dict(args.keywords)
    keywords.pop("training", None)
    if index is not None and index < len(positional):
        positional[index] = training
    elif takes and ("training" in named or training is not NONE):
        keywords["training"] = training
    return Args(positional, keywords, args.rest)
