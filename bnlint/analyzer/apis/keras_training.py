"""Keras training: fit, evaluate and predict, custom loops with GradientTape, learning phase."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bnlint.analyzer.apis.keras import KerasModel, layers_of
from bnlint.analyzer.apis.keras_calls import applying
from bnlint.analyzer.apis.keras_lengths import measure_training
from bnlint.analyzer.apis.keras_methods import own_method
from bnlint.analyzer.apis.library import TensorFlow, is_keras, unknown_arguments
from bnlint.analyzer.apis.registry import any_method, api
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.calls import call_function
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.values import (
    NONE,
    UNKNOWN,
    Const,
    DictValue,
    External,
    Function,
    Instance,
    Super,
    Symbol,
    Value,
    constant,
    list_of,
    truth,
)
from bnlint.analyzer.syntax import nodes
from bnlint.program.events import BatchNorm, KerasCompile, KerasRun, LearningPhase

# Keras calls the model's own step with each batch; its own ones call the model.
_STEPS = {"fit": "train_step", "evaluate": "test_step", "predict": "predict_step"}


def _is_model(value: Value) -> bool:
    return isinstance(value, KerasModel) or (isinstance(value, Instance) and is_keras(value.cls))


def _run(kind: str) -> Callable[[Value, TensorFlow, Call], Value | None]:
    def handler(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
        if not _is_model(receiver):
            return None
        recorded = len(tf.program.keras_runs)
        _record_run(tf, receiver, kind, call.node)
        if kind == "fit":
            measure_training(tf, tf.program.keras_runs[recorded], call)
        if kind == "fit" and _validates(call):
            _record_run(tf, receiver, "evaluate", call.node)
        return UNKNOWN.replace(unknown=False)

    return handler


def _validates(call: Call) -> bool:
    values = (call.get("validation_data"), call.get("validation_split"))
    return any(value is not None and truth(value) is not False for value in values)


def _record_run(tf: TensorFlow, model: Value, kind: str, node: nodes.Call) -> None:
    assert isinstance(model, Instance | KerasModel)
    event = KerasRun(
        location=tf.recorder.here(node), kind=kind, batch_norms=[], model=model.number,
        conditional=tf.recorder.conditional, time=tf.interpreter.tick(),
        loaded=model.loaded if isinstance(model, KerasModel) else None,
    )  # fmt: skip
    tf.program.keras_runs.append(event)
    step = own_method(model, _STEPS.get(kind, "")) if isinstance(model, Instance) else None
    if step is not None:
        call_function(tf.interpreter, step, Args([Symbol(incomplete=True)]), node)
    else:
        training = None if kind == "export" else kind == "fit"
        event.batch_norms = _applied_by_keras(tf, model, training, node)


def _applied_by_keras(
    tf: TensorFlow, model: Instance | KerasModel, training: bool | None, node: nodes.Call
) -> list[BatchNorm]:
    """The batch norms that a step of Keras' own applies: `model(x, training=...)`.

    An export passes None: what is written in the model holds there, in Keras 3 too.
    """
    keywords: dict[str, Value] = {"training": Const(training)}
    if tf.program.keras == {"3"} and not _names_training(model):
        keywords = {}  # Keras 3 passes it only to a `call` that names it
    # What Keras runs by itself is no part of the graph that the program builds and exports.
    outer = tf.recorder.graph
    tf.recorder.graph = tf.recorder.new_graph()
    with applying(tf) as norms:
        tf.call_value(model, Args([Symbol(incomplete=True)], keywords), node)
    tf.recorder.graph = outer
    return list({id(norm): norm for norm in norms}.values())


def _names_training(model: Instance | KerasModel) -> bool:
    call = own_method(model, "call") if isinstance(model, Instance) else None
    return call is None or any(param.name == "training" for param in call.definition.params)


any_method("keras.Model.fit", trains=True)(_run("fit"))
any_method("keras.Model.fit_generator", trains=True)(_run("fit"))
any_method("keras.Model.train_on_batch", trains=True)(_run("fit"))
any_method("keras.Model.predict", evaluates=True)(_run("predict"))
any_method("keras.Model.predict_on_batch", "keras.Model.predict_generator",
           evaluates=True)(_run("predict"))  # fmt: skip
any_method("keras.Model.evaluate", "keras.Model.evaluate_generator",
           "keras.Model.test_on_batch", evaluates=True)(_run("evaluate"))  # fmt: skip


# --- exports -------------------------------------------------------------------------------


@api("tf.saved_model.save", word="saved_model", saves=True)
def saved_model(tf: TensorFlow, call: Call) -> Value:
    """Exports functions: those of `signatures`, else the object's with a signature of their own."""
    functions = _signatures(call.signatures)
    if isinstance(call.obj, Instance) and not any(isinstance(one, Function) for one in functions):
        functions = list(_functions_with_signature(call.obj))
    if not _export_functions(tf, functions, call.node):
        _record_export(tf, call.obj, call.node)
    return NONE


@any_method("keras.Model.export", saves=True)
def export(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    _record_export(tf, receiver, call.node)
    return NONE if _is_model(receiver) else None


@api("tf.lite.TFLiteConverter.from_keras_model", saves=True, signature="model")
def lite_model(tf: TensorFlow, call: Call) -> Value:
    _record_export(tf, call.model, call.node)
    return UNKNOWN.replace(unknown=False)


def _record_export(tf: TensorFlow, model: Value | None, node: nodes.Call) -> None:
    if model is not None and _is_model(model):
        _record_run(tf, model, "export", node)


@api("tf.lite.TFLiteConverter.from_concrete_functions", saves=True,
     signature="funcs, trackable_obj=None")  # fmt: skip
def lite_functions(tf: TensorFlow, call: Call) -> Value:
    _export_functions(tf, list_of(call.funcs), call.node)
    return UNKNOWN.replace(unknown=False)


def _export_functions(tf: TensorFlow, values: list[Value], node: nodes.Call) -> bool:
    """Follows functions of the program whose graph is exported; False if there are none."""
    functions = [value for value in values if isinstance(value, Function)]
    tf.recorder.keras.exporting = True
    try:
        for function in functions:
            tf.call_value(function, unknown_arguments(function), node)
    finally:
        tf.recorder.keras.exporting = False
    return bool(functions)


def _signatures(value: Value | None) -> list[Value]:
    return list(value.items.values()) if isinstance(value, DictValue) else list_of(value)


def _functions_with_signature(module: Instance) -> Iterator[Function]:
    for cls in module.cls.lineage():
        for value in cls.slots.values():
            decorators = value.definition.decorators if isinstance(value, Function) else []
            if isinstance(value, Function) and "input_signature" in _keywords(decorators):
                yield value.bound_to(module)


def _keywords(decorators: list[nodes.Expr]) -> set[str]:
    calls = (item for item in decorators if isinstance(item, nodes.Call))
    return {argument.keyword for call in calls for argument in call.args}


@any_method("tf.function.get_concrete_function", signature="*args, **kwargs")
def concrete_function(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    return receiver if isinstance(receiver, Function) else None


# --- compile, the learning phase, tf.function --------------------------------------------------


@any_method("keras.Model.compile")
def compile_model(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    if isinstance(receiver, Super) and receiver.instance is not None:
        receiver = receiver.instance  # `super().compile()` in the model's own `compile`
    if not isinstance(receiver, KerasModel | Instance) or not _is_model(receiver):
        return None
    layers = frozenset(layer.number for layer in layers_of(tf, receiver))
    tf.program.keras_compiles.append(
        KerasCompile(
            tf.recorder.here(call.node), receiver.number, layers, tf.recorder.conditional,
            tf.interpreter.tick(),
        )
    )  # fmt: skip
    return NONE


@api("keras.backend.set_learning_phase", sets_mode=True)
def set_learning_phase(tf: TensorFlow, call: Call) -> Value:
    value = constant(call.value, (bool, int))
    event = LearningPhase(
        tf.recorder.here(call.node), None if value is None else bool(value),
        tf.recorder.conditional, tf.interpreter.tick(),
    )  # fmt: skip
    tf.program.learning_phases.append(event)
    return NONE


@api("tf.function", "tf.autograph.experimental.do_not_convert")
def tf_function(tf: TensorFlow, call: Call) -> Value:
    return call.func or External("tensorflow.function")


@any_method("tf.distribute.Strategy.run", "tf.distribute.Strategy.experimental_run_v2")
def strategy_run(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    """strategy.run(step_fn, args=(...)) calls step_fn."""
    function = call.fn
    if not isinstance(function, Function):
        return None
    keywords = call["kwargs"]
    named = keywords.items if isinstance(keywords, DictValue) else {}
    return tf.call_value(function, Args(list_of(call["args"]), dict(named)), call.node)


any_method(
    "tf.distribute.ReplicaContext.call_for_each_replica", signature="fn, args=(), kwargs=None"
)(strategy_run)
