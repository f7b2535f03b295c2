"""Keras: layers and models, custom loops with GradientTape, the learning phase."""

from __future__ import annotations

from collections.abc import Callable

from bnlint.analyzer.apis.batch_norms import is_none
from bnlint.analyzer.apis.graph_state import constant, list_of
from bnlint.analyzer.apis.library import INSTANCE_ATTRIBUTES, TensorFlow, is_keras
from bnlint.analyzer.apis.registry import Kind, Leave, any_method, api, method
from bnlint.analyzer.apis.signature import Call
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
    Stateful,
    Symbol,
    Value,
    VariableSet,
    symbol_of,
)
from bnlint.analyzer.syntax import nodes
from bnlint.findings import Location
from bnlint.program.events import (
    Answer,
    BatchNorm,
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


class KerasBatchNormalization(Kind):
    """A keras.layers.BatchNormalization; slots: trainable."""

    def __init__(self, made: Location, trainable: Value, momentum: float | None) -> None:
        super().__init__(trainable=trainable)
        self.made = made
        self.momentum = momentum
        self.norm: BatchNorm | None = None

    @method("keras.layers.BatchNormalization.call", called="__call__")
    def call(self, tf: TensorFlow, call: Call) -> Value:
        return self.apply(tf, call.inputs, keras_flag(call.training, call.rest), call.node)

    def apply(
        self, tf: TensorFlow, inputs: Value | None, training: Flag, node: nodes.Call
    ) -> Symbol:
        """The layer's output; its first application makes its variables."""
        norm, output = tf.recorder.batch_norm(
            node, symbol_of(inputs), api="keras", training=training, collection=None,
            collection_known=True, scope=None, trainable=constant(self.slots["trainable"], bool),
            decay=self.momentum, definition=self.made, reuses=self.norm,
        )  # fmt: skip
        norm.reuse_unknown = False
        self.norm = self.norm or norm
        return output


@api("keras.layers.BatchNormalization", "keras.layers.SyncBatchNormalization",
     "keras.layers.experimental.SyncBatchNormalization", makes_batch_norm=True)  # fmt: skip
def batch_normalization(tf: TensorFlow, call: Call) -> Value:
    momentum = call.number("momentum")
    return KerasBatchNormalization(
        tf.recorder.here(call.node),
        call.extra.get("trainable") or NONE,
        momentum if momentum is not None else 0.99,
    )


def keras_flag(training: Value | None, rest: Symbol | None) -> Flag:
    """The `training` argument of a Keras call."""
    if training is None and rest is not None:
        return flag_of(UNKNOWN)
    if training is None or is_none(training):
        return Flag(FlagKind.LEARNING_PHASE, explicit=False)
    return flag_of(training)


@api("keras.backend.learning_phase")
def learning_phase(tf: TensorFlow, call: Call) -> Value:
    return TENSOR.replace(flag=Flag(FlagKind.LEARNING_PHASE, True, tf.recorder.here(call.node)))


class KerasLayer(Kind):
    """A layer of Keras that has no batch norm."""

    def __init__(self, made: Location, activation: Value | None) -> None:
        super().__init__()
        self.made = made
        self.activation = activation

    @method("keras.layers.Layer.__call__")
    def call(self, tf: TensorFlow, call: Call) -> Value:
        output = tf.op(*call.values())
        if constant(self.activation, str) in ("softmax", "sigmoid"):
            return output.replace(linear="probabilities", made=self.made)
        return output


def _keras_layer(tf: TensorFlow, call: Call) -> Value:
    return KerasLayer(tf.recorder.here(call.node), call.get("activation"))


for _name in (
    "Dense", "Conv1D", "Conv2D", "Conv3D", "Activation", "Dropout", "Flatten", "ReLU",
    "MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "Embedding", "LSTM", "GRU",
    "Add", "Concatenate", "Reshape", "Conv2DTranspose", "SeparableConv2D", "DepthwiseConv2D",
    "ZeroPadding2D", "UpSampling2D", "LeakyReLU", "Lambda", "LayerNormalization", "MaxPool2D",
    "Softmax", "InputLayer", "PReLU",
):  # fmt: skip
    api(f"keras.layers.{_name}")(_keras_layer)


@api("keras.Input", "keras.layers.Input")
def keras_input(tf: TensorFlow, call: Call) -> Value:
    return TENSOR


# --- models --------------------------------------------------------------------------------


class KerasModel(Kind):
    """A Sequential, functional or ready-made model. slots: layers, symbol (its outputs).

    `has`: it is known to have batch norm.
    """

    def __init__(self, layers: ListValue, outputs: Symbol, has: bool = False) -> None:
        super().__init__(layers=layers, symbol=outputs)
        self.has = has

    @property
    def layers(self) -> Value:
        layers: Value = self.slots["layers"]
        return layers

    @method("keras.Sequential.add")
    def add(self, tf: TensorFlow, call: Call) -> Value:
        if isinstance(self.layers, ListValue) and call.layer is not None:
            list_method(tf.interpreter, self.layers, "append", Args([call.layer]))
        return NONE

    @method("keras.Model.__call__")
    def call(self, tf: TensorFlow, call: Call) -> Value:
        training = call.arguments.keywords.get("training")
        if not _inside_call(tf):
            _record_call(tf, self, call, None)
        output: Value = symbol_of(*call.values(), self)
        for layer in self.layers.items if isinstance(self.layers, ListValue) else ():
            if isinstance(layer, KerasBatchNormalization):
                output = layer.apply(tf, output, keras_flag(training, call.rest), call.node)
        return tf.op(self._applied_again(tf, symbol_of(output), call))

    def _applied_again(self, tf: TensorFlow, output: Symbol, call: Call) -> Symbol:
        """A functional model called on other inputs applies its batch norms again, in this mode."""
        training = keras_flag(call.arguments.keywords.get("training"), call.rest)
        if not training.explicit:
            return output
        for norm in sorted(symbol_of(self).batch_norms, key=lambda item: item.time):
            if norm.api == "keras":
                _, output = tf.recorder.batch_norm(
                    call.node, output, api="keras", training=training, collection=None,
                    collection_known=True, scope=None, trainable=norm.trainable, decay=norm.decay,
                    definition=norm.definition or norm.location, reuses=norm,
                )  # fmt: skip
        return output

    def attribute(self, tf: TensorFlow, name: str) -> Value | None:
        if name in _MODEL_VARIABLES:
            return _model_variables(tf, self)
        if name in ("output", "outputs"):
            return symbol_of(self)
        return None


_MODEL_VARIABLES = ("trainable_variables", "trainable_weights", "variables", "weights")


def _model_variables(tf: TensorFlow, model: Instance | KerasModel) -> Value:
    tf.recorder.keras_parts[model.number] = parts_of(model)
    return Symbol(variables=VariableSet(models=frozenset([model.number])))


def _losses_or_updates(tf: TensorFlow, model: Instance) -> Value:
    return TENSOR


INSTANCE_ATTRIBUTES.update(dict.fromkeys(_MODEL_VARIABLES, _model_variables))
INSTANCE_ATTRIBUTES.update(dict.fromkeys(("updates", "losses"), _losses_or_updates))


@api("keras.Sequential", "keras.models.Sequential")
def sequential(tf: TensorFlow, call: Call) -> Value:
    items = call.layers if isinstance(call.layers, ListValue) else ListValue()
    return KerasModel(ListValue(items.items, items.rest), TENSOR)


@api("keras.Model", "keras.models.Model", signature="inputs=None, outputs=None, **kwargs")
def functional_model(tf: TensorFlow, call: Call) -> Value:
    return KerasModel(_some_layers(), symbol_of(call.outputs))


def _some_layers() -> ListValue:
    """`model.layers` of a model whose layers are not told apart."""
    return ListValue(rest=Symbol(incomplete=True))


def _application(tf: TensorFlow, call: Call) -> Value:
    """A model of keras.applications."""
    has = call.api.rpartition(".")[2].startswith(_APPLICATIONS_WITH_BATCH_NORM)
    if call.weights is None or not is_none(call.weights):
        tf.recorder.loaded(tf.recorder.graph)
    return KerasModel(_some_layers(), TENSOR, has)


for _name in (
    "ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2", "MobileNet",
    "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "InceptionV3", "InceptionResNetV2",
    "Xception", "DenseNet121", "DenseNet169", "DenseNet201", "EfficientNetB0", "EfficientNetB1",
    "EfficientNetB2", "EfficientNetB3", "EfficientNetB4", "NASNetMobile", "NASNetLarge", "VGG16",
    "VGG19",
):  # fmt: skip
    api(f"keras.applications.{_name}", word="applications", makes_batch_norm=True)(_application)


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
        if isinstance(value, KerasBatchNormalization):
            return Answer.YES, value.made
        if isinstance(value, KerasModel) and value.has:
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


def _record_call(tf: TensorFlow, model: Value, call: Call, default: bool | None) -> KerasCall:
    has, where = batch_norm_of(model)
    training = keras_flag(call.arguments.keywords.get("training"), call.rest)
    event = KerasCall(
        location=tf.recorder.here(call.node), training=training, in_tape=False,
        purpose="unknown", has_batch_norm=has, frozen=_frozen(model),
        batch_norm=where, default=default, frames=tuple(tf.interpreter.frames),
        conditional=tf.recorder.conditional, time=tf.interpreter.tick(), model=_number_of(model),
    )  # fmt: skip
    tf.recorder.keras_tapes[id(event)] = list(tf.recorder.tapes)
    tf.program.keras_calls.append(event)
    return event


def _inside_call(tf: TensorFlow) -> bool:
    """Inside a Keras layer's own `call`, Keras passes `training` on by itself."""
    return any(definition.name in ("call", "__call__") for definition in tf.interpreter.active)


@any_method("keras.Model.__call__")
def call_model(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    """Calls an instance of a project's keras.Model or keras.layers.Layer."""
    if not isinstance(receiver, Instance) or not is_keras(receiver.cls):
        return None
    function = _own_call(receiver)
    if not _inside_call(tf) and _is_model(receiver):
        _record_call(tf, receiver, call, _call_default(function))
    if function is None:
        return tf.op(*call.values(), Symbol(incomplete=True))
    bound = instance_attribute(tf.interpreter, receiver, "call", call.node)
    args = call.arguments
    if not any(
        param.name == "training" or param.kind == "**" for param in function.definition.params
    ):
        args.keywords.pop("training", None)
    return tf.call_value(bound, args, call.node)


def _own_call(model: Instance) -> Function | None:
    for cls in model.cls.lineage():
        found = cls.slots.get("call")
        if isinstance(found, Function):
            return found
    return None


def _is_model(instance: Instance) -> bool:
    return any(name.endswith(("Model", "Sequential")) for name in instance.cls.external_bases())


def _call_default(function: Function | None) -> bool | None:
    for param in function.definition.params if function is not None else ():
        if param.name == "training" and isinstance(param.default, nodes.Const):
            return param.default.value if isinstance(param.default.value, bool) else None
    return None


# Keras calls the model's own step with each batch.
_STEPS = {"fit": "train_step", "evaluate": "test_step", "predict": "predict_step"}


def _call_step(tf: TensorFlow, model: Instance, name: str, node: nodes.Call) -> None:
    if any(isinstance(cls.slots.get(name), Function) for cls in model.cls.lineage()):
        step = instance_attribute(tf.interpreter, model, name, node)
        tf.call_value(step, Args([Symbol(incomplete=True)]), node)


def _run(kind: str) -> Callable[[Value, TensorFlow, Call], Value | None]:
    def handler(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
        own = isinstance(receiver, Instance) and is_keras(receiver.cls)
        if not own and not isinstance(receiver, KerasModel):
            return None
        norms = sorted(symbol_of(receiver).batch_norms, key=lambda norm: norm.time)
        event = KerasRun(
            location=tf.recorder.here(call.node), kind=kind, batch_norms=norms,
            frozen=_frozen(receiver), time=tf.interpreter.tick(),
        )  # fmt: skip
        tf.program.keras_runs.append(event)
        if isinstance(receiver, Instance):
            _call_step(tf, receiver, _STEPS[kind], call.node)
        return UNKNOWN.replace(unknown=False)

    return handler


# `fit` and predictions of a batch are nothing to report by themselves.
any_method("keras.Model.fit", "keras.Model.fit_generator", "keras.Model.train_on_batch",
           )(_run("fit"))  # fmt: skip
any_method("keras.Model.predict", evaluates=True)(_run("predict"))
any_method("keras.Model.predict_on_batch", "keras.Model.predict_generator")(_run("predict"))
any_method("keras.Model.evaluate", evaluates=True)(_run("evaluate"))


@api("keras.backend.set_learning_phase", sets_mode=True)
def set_learning_phase(tf: TensorFlow, call: Call) -> Value:
    value = constant(call.value, (bool, int))
    event = LearningPhase(
        tf.recorder.here(call.node), None if value is None else bool(value),
        tf.recorder.conditional, tf.interpreter.tick(),
    )  # fmt: skip
    tf.program.learning_phases.append(event)
    return NONE


# --- custom loops --------------------------------------------------------------------------


class Tape(Kind):
    """A tf.GradientTape."""

    def enter(self, tf: TensorFlow, node: nodes.With) -> tuple[Value, Leave]:
        tf.recorder.tapes.append(self)
        return self, lambda: tf.recorder.tapes.remove(self)

    @method("tf.GradientTape.gradient")
    def gradient(self, tf: TensorFlow, call: Call) -> Value:
        # Gradients with respect to inputs (saliency, gradient penalty) train nothing by themselves;
        # whether these train anything is decided by apply_gradients.
        return symbol_of(*call.values()).replace(tape=self)


@api("tf.GradientTape", trains=True)
def gradient_tape(tf: TensorFlow, call: Call) -> Value:
    return Tape()


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
