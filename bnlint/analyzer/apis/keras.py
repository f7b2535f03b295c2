"""Keras: layers, models, and what they are made of."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from bnlint.analyzer.apis.keras_batch_norm import KerasBatchNormalization
from bnlint.analyzer.apis.keras_calls import (
    keras_flag,
    outermost_call,
    passed_training,
    running_with,
    training_in,
)
from bnlint.analyzer.apis.keras_methods import (
    default_training,
    own_method,
    training_argument,
    with_training,
)
from bnlint.analyzer.apis.keras_norm_layers import apply_norm_layer, build_once, norm_layer
from bnlint.analyzer.apis.library import (
    INSTANCE_ATTRIBUTES,
    INSTANTIATED,
    SET_ATTRIBUTES,
    WATCHED_FUNCTIONS,
    TensorFlow,
    is_keras,
)
from bnlint.analyzer.apis.registry import FUNCTIONS, Kind, any_method, api, method
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.calls import call_function
from bnlint.analyzer.interpreter.containers import list_method
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.values import (
    NONE,
    TENSOR,
    UNKNOWN,
    Choice,
    Const,
    Function,
    Instance,
    ListValue,
    Object,
    Stateful,
    Super,
    Symbol,
    Value,
    VariableSet,
    constant,
    leaves,
    symbol_of,
)
from bnlint.analyzer.syntax import nodes
from bnlint.findings import Location
from bnlint.program.events import (
    LEARNING_PHASE_KEY,
    BatchNorm,
    Flag,
    FlagKind,
    Freeze,
)

# Networks of keras.applications, of every version; and those without batch norm. Counted by
# building them: fixtures/oracle/keras/applications_*.json.
APPLICATIONS = """
ConvNeXtBase ConvNeXtLarge ConvNeXtSmall ConvNeXtTiny ConvNeXtXLarge DenseNet121 DenseNet169
DenseNet201 EfficientNetB0 EfficientNetB1 EfficientNetB2 EfficientNetB3 EfficientNetB4
EfficientNetB5 EfficientNetB6 EfficientNetB7 EfficientNetV2B0 EfficientNetV2B1 EfficientNetV2B2
EfficientNetV2B3 EfficientNetV2L EfficientNetV2M EfficientNetV2S InceptionResNetV2 InceptionV3
MobileNet MobileNetV2 MobileNetV3Large MobileNetV3Small NASNetLarge NASNetMobile RegNetX002
RegNetX004 RegNetX006 RegNetX008 RegNetX016 RegNetX032 RegNetX040 RegNetX064 RegNetX080 RegNetX120
RegNetX160 RegNetX320 RegNetY002 RegNetY004 RegNetY006 RegNetY008 RegNetY016 RegNetY032 RegNetY040
RegNetY064 RegNetY080 RegNetY120 RegNetY160 RegNetY320 ResNet101 ResNet101V2 ResNet152 ResNet152V2
ResNet50 ResNet50V2 ResNetRS101 ResNetRS152 ResNetRS200 ResNetRS270 ResNetRS350 ResNetRS420
ResNetRS50 VGG16 VGG19 Xception
""".split()
WITHOUT_BATCH_NORM = ("VGG", "ConvNeXt")


# --- layers --------------------------------------------------------------------------------


@api("keras.backend.learning_phase")
def learning_phase(tf: TensorFlow, call: Call) -> Value:
    tf.program.reads_learning_phase = True
    flag = Flag(FlagKind.LEARNING_PHASE, True, tf.recorder.here(call.node), LEARNING_PHASE_KEY)
    return TENSOR.replace(flag=flag, key=LEARNING_PHASE_KEY)


class KerasLayer(Kind):
    """A layer of Keras that has no batch norm."""

    def __init__(self, made: Location, kind: str, activation: Value | None) -> None:
        super().__init__()
        self.made = made
        self.kind = kind
        self.activation = activation

    @method("keras.layers.Layer.__call__")
    def call(self, tf: TensorFlow, call: Call) -> Value:
        output = tf.op(*call.values())
        if constant(self.activation, str) in ("softmax", "sigmoid"):
            output = output.replace(linear="probabilities", made=self.made)
        return tf.recorder.keras.activations.made(output, self.number, self.kind, call.first)


def _keras_layer(tf: TensorFlow, call: Call) -> Value:
    kind = call.api.rpartition(".")[2]
    return KerasLayer(tf.recorder.here(call.node), kind, call.get("activation"))


for _name in (
    "Dense", "Conv1D", "Conv2D", "Conv3D", "Activation", "Dropout", "Flatten", "ReLU",
    "MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "Embedding", "LSTM", "GRU",
    "Add", "Concatenate", "Reshape", "Conv2DTranspose", "SeparableConv2D", "DepthwiseConv2D",
    "ZeroPadding2D", "UpSampling2D", "LeakyReLU", "Lambda", "LayerNormalization", "MaxPool2D",
    "Softmax", "InputLayer", "PReLU", "GlobalAveragePooling1D", "GlobalAveragePooling3D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D",
):  # fmt: skip
    api(f"keras.layers.{_name}")(_keras_layer)


@api("keras.Input", "keras.layers.Input")
def keras_input(tf: TensorFlow, call: Call) -> Value:
    return tf.recorder.keras.activations.input(call.shape)


class Wrapper(Kind):
    """A layer around another: TimeDistributed, Bidirectional. slots: layer."""

    @method("keras.layers.Layer.__call__")
    def call(self, tf: TensorFlow, call: Call) -> Value:
        passed = passed_training(call.arguments.keywords.get("training"), call.rest)
        with (
            outermost_call(tf, self, passed, call.arguments, call.node),
            running_with(tf, training_in(tf, passed)),
        ):
            inputs = symbol_of(*call.values())
            output = tf.call_value(self.slots["layer"], Args([inputs]), call.node)
        return tf.op(inputs, output)


@api("keras.layers.TimeDistributed", "keras.layers.Bidirectional", "keras.layers.Wrapper",
     "keras.layers.SpectralNormalization")  # fmt: skip
def wrapper(tf: TensorFlow, call: Call) -> Value:
    return Wrapper(layer=call.layer or UNKNOWN)


# --- models --------------------------------------------------------------------------------


class SomeOfLayer(Kind):
    """A batch norm layer that is, or is not, in a part of `model.layers`. slots: layer."""

    classes = KerasBatchNormalization.classes


class LayersOf(ListValue):
    """`model.layers` where only the batch norms among them are known.

    One of them may stand for all of a library's network: a part of the list holds some of it.
    """

    __slots__ = ()

    def some(self) -> Value:
        return ListValue(tuple(SomeOfLayer(layer=layer) for layer in self.items), self.rest)


class KerasModel(Kind):
    """A Sequential, functional, loaded or ready-made model. slots: layers, symbol (its outputs).

    `loaded`: when it was read from a file, whose layers are not known.
    """

    def __init__(self, layers: ListValue, outputs: Symbol, loaded: int | None = None) -> None:
        super().__init__(layers=layers, symbol=outputs)
        self.loaded = loaded

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
        given = call.arguments
        training = given.keywords.get("training") or given.get(1)
        passed = passed_training(training, call.rest)
        with outermost_call(tf, self, passed, given, call.node):
            context = training_in(tf, passed)
            with running_with(tf, context):
                output = symbol_of(*call.values(), _without_keras_norms(self))
                output = self._layer_by_layer(tf, output, call.node)
            return tf.op(self._graph(tf, output, keras_flag(context), call.node))

    def _layer_by_layer(self, tf: TensorFlow, output: Symbol, node: nodes.Call) -> Symbol:
        if not isinstance(self.layers, LayersOf) and isinstance(self.layers, ListValue):
            for layer in self.layers.items:
                result = tf.call_value(layer, Args([output]), node)
                output = result if isinstance(result, Symbol) else symbol_of(result)
        return output

    def _graph(self, tf: TensorFlow, output: Symbol, training: Flag, node: nodes.Call) -> Symbol:
        """A functional model called on other inputs applies its batch norms again."""
        for norm in _functional_norms(self):
            layer = tf.recorder.keras.layers.get(norm.layer)
            if isinstance(layer, KerasBatchNormalization):
                output = layer.apply_again(tf, norm, output, training, node)
        return output

    def attribute(self, tf: TensorFlow, name: str) -> Value | None:
        if name in _MODEL_VARIABLES:
            return model_variables(tf, self, name)
        if name in ("output", "outputs"):
            return symbol_of(self)
        return TENSOR if name in ("input", "inputs") else None

    @method("keras.Model.get_layer")
    def get_layer(self, tf: TensorFlow, call: Call) -> Value:
        return symbol_of(self).replace(incomplete=True)


def _without_keras_norms(model: KerasModel) -> Symbol:
    """The model's output without the batch norms that a call applies again."""
    symbol: Symbol = model.slots["symbol"]
    others = frozenset(norm for norm in symbol.batch_norms if norm.api != "keras")
    return symbol.replace(batch_norms=others)


def _functional_norms(model: KerasModel) -> list[BatchNorm]:
    """One for each layer: in the mode in which the model's graph last applies it."""
    symbol: Symbol = model.slots["symbol"]
    ordered = sorted(symbol.batch_norms, key=lambda norm: norm.time)
    return list({norm.layer: norm for norm in ordered if norm.api == "keras"}.values())


_MODEL_VARIABLES = (
    "trainable_variables", "trainable_weights", "variables", "weights", "non_trainable_variables",
    "non_trainable_weights",
)  # fmt: skip


def model_variables(tf: TensorFlow, model: Stateful, name: str) -> Value:
    """`model.weights`, `model.trainable_variables`..."""
    tf.recorder.keras.parts[model.number] = parts_of(model)
    models = frozenset([model.number])
    statistics = frozenset() if name.startswith("trainable") else models
    return Symbol(variables=VariableSet(models=models, statistics_of=statistics))


def _losses_or_updates(tf: TensorFlow, model: Instance) -> Value:
    return TENSOR


def _layers_of_instance(tf: TensorFlow, model: Instance) -> Value:
    return LayersOf(tuple(layers_of(tf, model)), Symbol(incomplete=True))


INSTANCE_ATTRIBUTES.update(
    {name: functools.partial(model_variables, name=name) for name in _MODEL_VARIABLES}
)
INSTANCE_ATTRIBUTES.update(dict.fromkeys(("updates", "losses"), _losses_or_updates))
INSTANCE_ATTRIBUTES["layers"] = _layers_of_instance


@api("keras.Sequential", "keras.models.Sequential")
def sequential(tf: TensorFlow, call: Call) -> Value:
    items = call.layers if isinstance(call.layers, ListValue) else ListValue()
    return KerasModel(ListValue(items.items, items.rest), TENSOR)


# Keras 1 called them `input` and `output`.
@api("keras.Model", "keras.models.Model",
     signature="inputs=None, outputs=None, input=None, output=None, **kwargs")  # fmt: skip
def functional_model(tf: TensorFlow, call: Call) -> Value:
    outputs = call.outputs if call.outputs is not None else call.output
    return _model_with(tf, symbol_of(outputs))


def _model_with(tf: TensorFlow, outputs: Symbol, loaded: int | None = None) -> KerasModel:
    model = KerasModel(LayersOf(rest=Symbol(incomplete=True)), outputs, loaded)
    known = (tf.recorder.keras.layers.get(norm.layer) for norm in _functional_norms(model))
    layers = tuple(layer for layer in known if layer is not None)
    model.slots["layers"] = LayersOf(layers, outputs.replace(incomplete=True))
    return model


def ready_made(tf: TensorFlow, call: Call, trainable: Value | None = None) -> KerasModel:
    """A network of a library, with batch norm."""
    here = tf.recorder.here(call.node)
    layer = KerasBatchNormalization(here, trainable or Const(True), None)
    tf.recorder.keras.layers[layer.number] = layer
    flag = Flag(FlagKind.LEARNING_PHASE, explicit=False)
    return _model_with(tf, layer.apply(tf, TENSOR, flag, call.node))


def loaded_or_ready_made(
    tf: TensorFlow, call: Call, weights: Value | None, *, has_norms: bool,
    trainable: Value | None = None,
) -> KerasModel:  # fmt: skip
    """A network of a library, with trained weights unless `weights` is None in the program.

    Args:
      tf, call: see registry.api.
      weights: what was passed for them; without that a library loads some.
      has_norms: it has batch norm; else that is not known.
      trainable: whether it may be trained, if not True.
    """
    if weights is None or constant(weights, object) is not None or not isinstance(weights, Const):
        tf.recorder.loaded(tf.recorder.graph, keras=True)
    if not has_norms:
        return _model_with(tf, Symbol(incomplete=True))
    return ready_made(tf, call, trainable)


def _application(tf: TensorFlow, call: Call) -> Value:
    """A model of keras.applications."""
    if call.api.rpartition(".")[2].startswith(WITHOUT_BATCH_NORM):
        loaded_or_ready_made(tf, call, call.get("weights"), has_norms=False)
        return _model_with(tf, TENSOR)
    return loaded_or_ready_made(tf, call, call.get("weights"), has_norms=True)


for _name in APPLICATIONS:
    api(f"keras.applications.{_name}", word="applications", makes_batch_norm=True)(_application)


@api("keras.models.load_model", "keras.models.model_from_json", "keras.models.model_from_config",
     "keras.models.model_from_yaml", "keras.saving.load_model", makes_batch_norm=True,
     signature="*args, **kwargs")  # fmt: skip
def loaded_model(tf: TensorFlow, call: Call) -> Value:
    """A model from a file: what it holds is not known."""
    tf.recorder.loaded(tf.recorder.graph, keras=True)
    return _model_with(tf, Symbol(incomplete=True), tf.interpreter.tick())


@api("keras.models.clone_model")
def clone_model(tf: TensorFlow, call: Call) -> Value:
    if isinstance(call.model, KerasModel) and not _functional_norms(call.model):
        return KerasModel(call.model.slots["layers"], call.model.slots["symbol"])
    return ready_made(tf, call) if layers_of(tf, call.model) else _model_with(tf, TENSOR)


def _held(owner: Value) -> Iterator[Value]:
    """What an instance, model or list directly holds."""
    if isinstance(owner, Choice):
        yield from owner.options
    elif isinstance(owner, ListValue):
        yield from owner.items
    elif isinstance(owner, Stateful):
        yield from (value for value in owner.slots.values() if isinstance(value, Value))


def _parts(model: Value) -> Iterator[Value]:
    """A model and all it holds, at any depth."""
    seen: set[int] = set()
    todo: list[Value] = [model]
    while todo:
        value = todo.pop()
        if isinstance(value, Stateful):
            if value.number in seen:
                continue
            seen.add(value.number)
        yield value
        todo.extend(_held(value))


def parts_of(model: Value) -> set[int]:
    """Numbers of a model, of all it holds, and of the batch norm layers of its graph."""
    numbers: set[int] = set()
    for part in _parts(model):
        if isinstance(part, Stateful):
            numbers.add(part.number)
        for symbol in leaves([part]):
            numbers |= {norm.layer for norm in symbol.batch_norms if norm.layer}
    return numbers


def layers_of(tf: TensorFlow, model: Value | None) -> list[KerasBatchNormalization]:
    """The batch norm layers in a model."""
    numbers = parts_of(model) if model is not None else set()
    known = tf.recorder.keras.layers
    layers = (known[number] for number in sorted(numbers & known.keys()))
    return [layer for layer in layers if isinstance(layer, KerasBatchNormalization)]


_MODEL = "(model)"  # of an instance: what the constructor of its library class made

# --- models and layers of the project ----------------------------------------------------------


@any_method("keras.Model.__call__")
def call_model(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    """Calls an instance of a project's keras.Model or keras.layers.Layer."""
    if not isinstance(receiver, Instance) or not is_keras(receiver.cls):
        return None
    function = own_method(receiver, "call")
    given = call.arguments
    build_once(tf, receiver, call.node)
    norm = norm_layer(tf, receiver, function, call.node)
    if norm is not None:
        return apply_norm_layer(tf, norm, function, given, call.node)
    passed = passed_training(training_argument(function, given), call.rest)
    with outermost_call(tf, receiver, passed, given, call.node):
        if function is None:
            return _call_inherited(tf, receiver, given, call)
        context = training_in(tf, passed, default_training(tf, function))
        with running_with(tf, context):
            args = with_training(function, given, context)
            return call_function(tf.interpreter, function, args, call.node)


def _call_inherited(tf: TensorFlow, receiver: Instance, args: Args, call: Call) -> Value:
    """An instance without a `call` of its own: of a Sequential or functional model's subclass."""
    model = receiver.slots.get(_MODEL)
    if isinstance(model, KerasModel):
        return tf.call_value(model, args, call.node)
    return tf.op(*call.values(), Symbol(incomplete=True))


@any_method("keras.Sequential.__init__", "keras.Model.__init__")
def construct_model(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    """`super().__init__(layers)` of a Sequential, or `(inputs, outputs)` of a functional model."""
    instance = receiver.instance if isinstance(receiver, Super) else None
    if not isinstance(instance, Instance) or not is_keras(instance.cls):
        return None
    return NONE if _make_model(tf, instance, call.arguments, call.node) else None


def _make_model(tf: TensorFlow, instance: Instance, args: Args, node: nodes.Call) -> bool:
    bases = instance.cls.external_bases()
    if not bases.isdisjoint(("keras.Sequential", "keras.models.Sequential")):
        model = sequential(tf, FUNCTIONS["keras.Sequential"].bind(args, node))
    elif not bases.isdisjoint(("keras.Model", "keras.models.Model")) and args.values():
        model = functional_model(tf, FUNCTIONS["keras.Model"].bind(args, node))
    else:
        return False
    tf.interpreter.assign_slot(instance.slots, _MODEL, model)
    return True


def _instantiated(tf: TensorFlow, instance: Instance, args: Args, node: nodes.Node) -> None:
    """A subclass without a constructor of its own takes the arguments of its base."""
    constructed = own_method(instance, "__init__") is not None or _MODEL in instance.slots
    if not constructed and is_keras(instance.cls) and isinstance(node, nodes.Call):
        _make_model(tf, instance, args, node)


@any_method("keras.Sequential.add")
def add_to_subclass(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    """`self.add(layer)` of a Sequential's subclass."""
    owner = receiver.instance if isinstance(receiver, Super) else receiver
    model = owner.slots.get(_MODEL) if isinstance(owner, Instance) else None
    return model.add(tf, call) if isinstance(model, KerasModel) else None


def call_directly(tf: TensorFlow, function: Function, args: Args, node: nodes.Call) -> Value | None:
    """`self.call(x)`: a function call that Keras knows nothing of. None inside another call."""
    owner = function.bound
    if not isinstance(owner, Instance) or not is_keras(owner.cls) or tf.recorder.keras.contexts:
        return None
    passed = passed_training(training_argument(function, args), args.rest)
    with outermost_call(tf, owner, passed, args, node, by="call"):
        return call_function(tf.interpreter, function, args, node)


# --- trainable -----------------------------------------------------------------------------


def set_trainable(tf: TensorFlow, owner: Value, value: Value, node: nodes.Node) -> None:
    """`owner.trainable = value`, which Keras sets for all layers inside, too."""
    known = constant(value, bool)
    partial = isinstance(owner, Symbol | SomeOfLayer)
    if not partial and not (isinstance(owner, Kind) or _is_keras_instance(owner)):
        return
    for layer in layers_of(tf, owner):
        unknown = partial and layer.trainable is not known
        tf.interpreter.assign_slot(layer.slots, "trainable", UNKNOWN if unknown else value)
    tf.program.freezes.append(
        Freeze(
            tf.recorder.here(node), known, owner.number if isinstance(owner, Object) else 0,
            frozenset(layer.number for layer in layers_of(tf, owner)), partial,
            tf.recorder.conditional, tf.interpreter.tick(),
        )
    )  # fmt: skip


def _is_keras_instance(owner: Value) -> bool:
    return isinstance(owner, Instance) and is_keras(owner.cls)


SET_ATTRIBUTES["trainable"] = set_trainable
INSTANTIATED.append(_instantiated)
WATCHED_FUNCTIONS["call"] = call_directly
