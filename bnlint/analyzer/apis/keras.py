"""Keras: layers and models, custom loops with GradientTape, the learning phase."""

from __future__ import annotations

from collections.abc import Callable

from bnlint.analyzer.apis.graph_state import constant, list_of
from bnlint.analyzer.apis.library import (
    CONTEXTS,
    FUNCTIONS,
    OBJECT_CALLS,
    OBJECT_METHODS,
    TensorFlow,
    handles,
    handles_method,
    is_keras,
)
from bnlint.analyzer.interpreter.attributes import instance_attribute
from bnlint.analyzer.interpreter.containers import list_method
from bnlint.analyzer.interpreter.flags import flag_of
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.values import (
    NONE,
    TENSOR,
    UNKNOWN,
    Const,
    DictValue,
    External,
    Function,
    Instance,
    ListValue,
    Object,
    Stateful,
    Symbol,
    Value,
    symbol_of,
)
from bnlint.analyzer.syntax import nodes
from bnlint.findings import Location
from bnlint.program.events import (
    Answer,
    Flag,
    FlagKind,
    KerasCall,
    KerasRun,
    LearningPhase,
)

# keras.applications with batch norm (VGG has none).
_APPLICATIONS_WITH_BATCH_NORM = (
    "ResNet", "MobileNet", "Inception", "Xception", "DenseNet", "EfficientNet", "NASNet", "RegNet",
)  # fmt: skip


# --- layers --------------------------------------------------------------------------------


@handles("keras.layers.BatchNormalization", "keras.layers.SyncBatchNormalization")
def batch_normalization(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return Object(
        "keras batch norm", made=tf.recorder.here(node), norm=None,
        trainable=args.get(None, "trainable") or Const(None), momentum=args.get(1, "momentum"),
    )  # fmt: skip


def _call_batch_normalization(tf: TensorFlow, layer: Object, args: Args, node: nodes.Call) -> Value:
    momentum = constant(layer.slots["momentum"], (int, float))
    norm, output = tf.recorder.batch_norm(
        node, symbol_of(args.get(0, "inputs")), api="keras",
        training=keras_flag(args, 1), collection=None, collection_known=True, scope=None,
        trainable=constant(layer.slots["trainable"], bool),
        decay=float(momentum) if momentum is not None else 0.99,
        definition=layer.slots["made"], reuses=layer.slots["norm"],
    )  # fmt: skip
    norm.reuse_unknown = False
    layer.slots["norm"] = layer.slots["norm"] or norm
    return output


OBJECT_CALLS["keras batch norm"] = _call_batch_normalization


def keras_flag(args: Args, position: int | None) -> Flag:
    """The `training` argument of a Keras call."""
    value = args.get(position, "training")
    if value is None and args.rest is not None:
        return flag_of(UNKNOWN)
    if value is None or (isinstance(value, Const) and value.value is None):
        return Flag(FlagKind.LEARNING_PHASE, explicit=False)
    return flag_of(value)


@handles("keras.backend.learning_phase")
def learning_phase(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return TENSOR.replace(flag=Flag(FlagKind.LEARNING_PHASE, True, tf.recorder.here(node)))


def _keras_layer(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    activation = args.get(None, "activation")
    return Object("keras layer", made=tf.recorder.here(node), activation=activation)


def _call_layer(tf: TensorFlow, layer: Object, args: Args, node: nodes.Call) -> Value:
    output = tf.op(*args.values())
    name = constant(layer.slots["activation"], str)
    if name in ("softmax", "sigmoid"):
        return output.replace(linear="probabilities", made=layer.slots["made"])
    return output


OBJECT_CALLS["keras layer"] = _call_layer
for _name in ("Dense", "Conv1D", "Conv2D", "Conv3D", "Activation", "Dropout", "Flatten", "ReLU",
              "MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "Embedding", "LSTM",
              "GRU", "Add", "Concatenate", "Reshape", "Conv2DTranspose", "SeparableConv2D",
              "DepthwiseConv2D", "ZeroPadding2D", "UpSampling2D", "LeakyReLU", "Lambda",
              "LayerNormalization", "MaxPool2D", "Softmax", "InputLayer", "PReLU",
              ):  # fmt: skip
    FUNCTIONS[f"keras.layers.{_name}"] = _keras_layer


@handles("keras.Input", "keras.layers.Input")
def keras_input(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return TENSOR


# --- models --------------------------------------------------------------------------------


@handles("keras.Sequential", "keras.models.Sequential")
def sequential(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    layers = args.get(0, "layers")
    items = layers if isinstance(layers, ListValue) else ListValue()
    return Object("keras model", layers=ListValue(items.items, items.rest), symbol=TENSOR)


def _add_layer(tf: TensorFlow, model: Object, args: Args, node: nodes.Call) -> Value:
    layers = model.slots.get("layers")
    if isinstance(layers, ListValue):
        list_method(tf.interpreter, layers, "append", args)
    return NONE


OBJECT_METHODS["keras model", "add"] = _add_layer


@handles("keras.Model", "keras.models.Model")
def functional_model(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    outputs = args.get(1, "outputs")
    return Object("keras model", symbol=symbol_of(outputs), layers=_some_layers())


def _some_layers() -> ListValue:
    """`model.layers` of a model whose layers are not told apart."""
    return ListValue(rest=Symbol(incomplete=True))


def application(tf: TensorFlow, name: str, args: Args, node: nodes.Call) -> Value:
    """A model of keras.applications."""
    has = name.startswith(_APPLICATIONS_WITH_BATCH_NORM)
    weights = args.get(None, "weights")
    if not (isinstance(weights, Const) and weights.value is None):
        tf.recorder.loaded(tf.recorder.graph)
    return Object("keras model", symbol=TENSOR, layers=_some_layers(), has=has)


for _name in (
    "ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2", "MobileNet",
    "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "InceptionV3", "InceptionResNetV2",
    "Xception", "DenseNet121", "DenseNet169", "DenseNet201", "EfficientNetB0", "EfficientNetB1",
    "EfficientNetB2", "EfficientNetB3", "EfficientNetB4", "NASNetMobile", "NASNetLarge", "VGG16",
    "VGG19",
):  # fmt: skip

    def _make(tf: TensorFlow, args: Args, node: nodes.Call, name: str = _name) -> Value:
        return application(tf, name, args, node)

    FUNCTIONS[f"keras.applications.{_name}"] = _make


def _layer_children(owner: Value, seen: set[int]) -> list[Value]:
    """Everything an instance, model or list directly holds."""
    if not isinstance(owner, Stateful) or owner.number in seen:
        return []
    seen.add(owner.number)
    held = list(owner.items) if isinstance(owner, ListValue) else list(owner.slots.values())
    return [value for value in held if isinstance(value, Value)]


def batch_norm_of(owner: Value) -> tuple[Answer, Location | None]:
    """(has batch norm, where one of its BatchNormalization layers is made)."""
    seen: set[int] = set()
    todo: list[Value] = [owner]
    unknown = False
    while todo:
        value = todo.pop()
        if isinstance(value, Object) and value.kind == "keras batch norm":
            return Answer.YES, value.slots["made"]
        if isinstance(value, Object) and value.slots.get("has") is True:
            return Answer.YES, None
        if isinstance(value, Symbol):
            if value.batch_norms:
                norm = min(value.batch_norms, key=lambda item: item.time)
                return Answer.YES, norm.definition or norm.location
            unknown |= value.unknown
        todo.extend(_layer_children(value, seen))
    return (Answer.UNKNOWN if unknown else Answer.NO), None


def _frozen(owner: Value) -> bool:
    value = owner.slots.get("trainable") if isinstance(owner, Stateful) else None
    return isinstance(value, Const) and value.value is False


def _number_of(model: Value) -> int:
    return model.number if isinstance(model, Stateful) else 0


def parts_of(model: Value) -> set[int]:
    """Identities of a model and of all it holds, at any depth."""
    seen: set[int] = set()
    todo: list[Value] = [model]
    while todo:
        todo.extend(_layer_children(todo.pop(), seen))
    return seen


def _record_call(
    tf: TensorFlow, model: Value, args: Args, node: nodes.Call, default: bool | None
) -> KerasCall:
    has, where = batch_norm_of(model)
    event = KerasCall(
        location=tf.recorder.here(node), training=keras_flag(args, None), in_tape=False,
        in_tape_unknown=False, purpose="unknown", has_batch_norm=has, frozen=_frozen(model),
        batch_norm=where, default=default, frames=tuple(tf.interpreter.frames),
        conditional=tf.recorder.conditional, time=tf.interpreter.tick(), model=_number_of(model),
    )  # fmt: skip
    tf.recorder.keras_tapes[id(event)] = list(tf.recorder.tapes)
    tf.program.keras_calls.append(event)
    return event


def _inside_call(tf: TensorFlow) -> bool:
    """Inside a Keras layer's own `call`, Keras passes `training` on by itself."""
    return any(definition.name in ("call", "__call__") for definition in tf.interpreter.active)


def _call_model(tf: TensorFlow, model: Object, args: Args, node: nodes.Call) -> Value:
    if not _inside_call(tf):
        _record_call(tf, model, args, node, None)
    layers = model.slots.get("layers")
    output: Value = symbol_of(*args.values(), model)
    for layer in layers.items if isinstance(layers, ListValue) else ():
        if isinstance(layer, Object) and layer.kind == "keras batch norm":
            call = _arguments(output, args)
            output = _call_batch_normalization(tf, layer, call, node)
    return tf.op(_applied_again(tf, model, symbol_of(output), args, node))


def _applied_again(
    tf: TensorFlow, model: Object, output: Symbol, args: Args, node: nodes.Call
) -> Symbol:
    """A functional model called on other inputs applies its batch norms anew, in this mode."""
    training = keras_flag(args, None)
    if not training.explicit:
        return output
    for norm in sorted(symbol_of(model).batch_norms, key=lambda item: item.time):
        if norm.api == "keras":
            _, output = tf.recorder.batch_norm(
                node, output, api="keras", training=training, collection=None,
                collection_known=True, scope=None, trainable=norm.trainable, decay=norm.decay,
                definition=norm.definition or norm.location, reuses=norm,
            )  # fmt: skip
    return output


def _arguments(inputs: Value, args: Args) -> Args:
    training = args.get(None, "training")
    return Args([inputs], {"training": training} if training is not None else {}, args.rest)


OBJECT_CALLS["keras model"] = _call_model


def call_model(tf: TensorFlow, instance: Instance, args: Args, node: nodes.Call) -> Value:
    """Calls an instance of a project's keras.Model or keras.layers.Layer."""
    function = None
    for cls in instance.cls.lineage():
        found = cls.slots.get("call")
        if isinstance(found, Function):
            function = found
            break
    if not _inside_call(tf) and _is_model(instance):
        _record_call(tf, instance, args, node, _call_default(function))
    if function is None:
        return tf.op(*args.values(), Symbol(incomplete=True))
    bound = instance_attribute(tf.interpreter, instance, "call", node)
    if not any(
        param.name == "training" or param.kind == "**" for param in function.definition.params
    ):
        args.keywords.pop("training", None)
    return tf.call_value(bound, args, node)


def _is_model(instance: Instance) -> bool:
    return any(name.endswith(("Model", "Sequential")) for name in instance.cls.external_bases())


def _call_default(function: Function | None) -> bool | None:
    for param in function.definition.params if function is not None else ():
        if param.name == "training" and isinstance(param.default, nodes.Const):
            return param.default.value if isinstance(param.default.value, bool) else None
    return None


_STEPS = {"fit": "train_step", "evaluate": "test_step", "predict": "predict_step"}


def _call_step(tf: TensorFlow, model: Instance, name: str, node: nodes.Call) -> None:
    """Keras calls the model's own step with each batch."""
    if any(isinstance(cls.slots.get(name), Function) for cls in model.cls.lineage()):
        step = instance_attribute(tf.interpreter, model, name, node)
        tf.call_value(step, Args([Symbol(incomplete=True)]), node)


def _note_run(kind: str) -> Callable[[TensorFlow, Value, Args, nodes.Call], Value | None]:
    def handler(tf: TensorFlow, receiver: Value, args: Args, node: nodes.Call) -> Value | None:
        model = isinstance(receiver, Object) and receiver.kind == "keras model"
        if not model and not (isinstance(receiver, Instance) and is_keras(receiver.cls)):
            return None
        norms = sorted(symbol_of(receiver).batch_norms, key=lambda norm: norm.time)
        event = KerasRun(
            location=tf.recorder.here(node), kind=kind, batch_norms=norms,
            frozen=_frozen(receiver), time=tf.interpreter.tick(),
        )  # fmt: skip
        tf.program.keras_runs.append(event)
        if isinstance(receiver, Instance):
            _call_step(tf, receiver, _STEPS[kind], node)
        return UNKNOWN.replace(unknown=False)

    return handler


for _name, _kind in (
    ("fit", "fit"), ("fit_generator", "fit"), ("train_on_batch", "fit"), ("predict", "predict"),
    ("evaluate", "evaluate"), ("predict_on_batch", "predict"), ("predict_generator", "predict"),
):  # fmt: skip
    handles_method(_name)(_note_run(_kind))


@handles("keras.backend.set_learning_phase")
def set_learning_phase(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    value = constant(args.get(0, "value"), (bool, int))
    event = LearningPhase(
        tf.recorder.here(node), None if value is None else bool(value),
        tf.recorder.conditional, tf.interpreter.tick(),
    )  # fmt: skip
    tf.program.learning_phases.append(event)
    return NONE


# --- custom loops --------------------------------------------------------------------------


@handles("tensorflow.GradientTape")
def gradient_tape(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return Object("tape", trained=set())


def _enter_tape(tf: TensorFlow, tape: Object, node: nodes.With) -> tuple[Value, Callable[[], None]]:
    tf.recorder.tapes.append(tape)
    return tape, lambda: tf.recorder.tapes.remove(tape)


CONTEXTS["tape"] = _enter_tape


def _tape_gradient(tf: TensorFlow, tape: Object, args: Args, node: nodes.Call) -> Value:
    # Gradients with respect to inputs (saliency, gradient penalty) train nothing by themselves;
    # whether these train anything is decided by apply_gradients.
    return symbol_of(*args.values()).replace(tape=tape)


OBJECT_METHODS["tape", "gradient"] = _tape_gradient


def _keras_optimizer(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return Object("keras optimizer")


for _name in ("Adam", "SGD", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam", "Ftrl", "AdamW"):
    for _module in ("keras.optimizers", "keras.optimizers.legacy", "tensorflow.optimizers"):
        FUNCTIONS[f"{_module}.{_name}"] = _keras_optimizer


@handles("tensorflow.function", "tensorflow.autograph.experimental.do_not_convert")
def tf_function(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return args.positional[0] if args.positional else External("tensorflow.function")


def _strategy_run(tf: TensorFlow, receiver: Value, args: Args, node: nodes.Call) -> Value | None:
    """strategy.run(step_fn, args=(...)) calls step_fn."""
    function = args.get(0, "fn")
    if not isinstance(function, Function):
        return None
    given = list_of(args.get(1, "args"))
    keywords = args.get(2, "kwargs")
    named = keywords.items if isinstance(keywords, DictValue) else {}
    return tf.call_value(function, Args(given, dict(named)), node)


handles_method("run", "experimental_run_v2", "call_for_each_replica")(_strategy_run)
