"""Networks that libraries build: slim's `nets`, their arg scopes, their factory.

What each network does with is_training, and which layers have batch norm without an arg scope, was
counted on TF 1.15.5 (fixtures/oracle/networks.py). Models that live in models/research/slim only
are as their source has them. A network is recorded as a few layers under the arg scope of its call:
all of its batch norms are built the same way.
"""

from __future__ import annotations

import functools

import msgspec

from bnlint.analyzer.apis.graphs_and_scopes import reuse_flag
from bnlint.analyzer.apis.library import TensorFlow, scope_name
from bnlint.analyzer.apis.registry import FUNCTIONS, Kind, api, method
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.apis.slim import CurrentScope
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.values import (
    NONE,
    UNKNOWN,
    Choice,
    Const,
    DictValue,
    External,
    ListValue,
    Setting,
    Symbol,
    Value,
    constant,
    join,
    symbol_of,
)
from bnlint.program.events import UPDATE_OPS

BATCH_NORM = External("slim.batch_norm")


class Network(msgspec.Struct, frozen=True):
    """What a network does apart from convolutions.

    Attributes:
      scope: its variable scope when the caller names none.
      sets_mode: it sets is_training of batch_norm, whatever the arg scope around it says.
      default: is_training when the caller passes none.
      always: "conv" when its convolutions ask for batch norm themselves, "plain" when it also calls
        batch_norm by itself: it has some without an arg scope; else "".
    """

    scope: str
    sets_mode: bool = True
    default: bool = True
    always: str = ""


@functools.cache
def _networks() -> dict[str, Network]:
    """By canonical name, without "slim.nets."."""
    found = {"alexnet.alexnet_v2": Network("alexnet_v2", sets_mode=False)}
    found["overfeat.overfeat"] = Network("overfeat", sets_mode=False)
    for name in ("vgg_a", "vgg_16", "vgg_19"):
        found[f"vgg.{name}"] = Network(name, sets_mode=False)
    for version in ("v1", "v2"):
        own = "plain" if version == "v2" else ""
        for depth in ("50", "101", "152", "200"):
            name = f"resnet_{version}_{depth}"
            found[f"resnet_{version}.{name}"] = Network(name, always=own)
    for version in ("V1", "V2", "V3", "V4"):
        name = f"inception_{version.lower()}"
        found[f"{name}.{name}"] = found[f"inception.{name}"] = Network(f"Inception{version}")
    name = "inception_resnet_v2"
    found[f"{name}.{name}"] = found[f"inception.{name}"] = Network("InceptionResnetV2")
    found["mobilenet_v1.mobilenet_v1"] = Network("MobilenetV1", always="conv")
    found["mobilenet.mobilenet_v2.mobilenet"] = Network("MobilenetV2", default=False, always="conv")
    return found


# models/research/slim only, or without an is_training of their own.
_MORE = {
    "inception_v4.inception_v4": "inputs, num_classes=1001, is_training=True, "
    "dropout_keep_prob=0.8, reuse=None, scope='InceptionV4', create_aux_logits=True",
    "inception_resnet_v2.inception_resnet_v2": "inputs, num_classes=1001, is_training=True, "
    "dropout_keep_prob=0.8, reuse=None, scope='InceptionResnetV2', create_aux_logits=True, "
    "activation_fn=None",
    "mobilenet_v1.mobilenet_v1": "inputs, num_classes=1000, dropout_keep_prob=0.999, "
    "is_training=True, min_depth=8, depth_multiplier=1.0, conv_defs=None, prediction_fn=None, "
    "spatial_squeeze=True, reuse=None, scope='MobilenetV1', global_pool=False",
    "mobilenet.mobilenet_v2.mobilenet": "input_tensor, num_classes=1001, depth_multiplier=1.0, "
    "scope='MobilenetV2', conv_defs=None, finegrain_classification_mode=False, min_depth=None, "
    "divisible_by=None, activation_fn=None, is_training=False, reuse=None, **kwargs",
}


def _network(tf: TensorFlow, call: Call) -> Value:
    """(output, end points) of one of slim's networks."""
    network = _networks()[call.api.removeprefix("slim.nets.")]
    given = tf.scoped_arguments(call.api)
    call = call.with_defaults(given) if given else call
    scope, unknown = scope_name(call.get("scope"))
    path = tf.recorder.scopes.full_path(scope, network.scope, unknown)
    reuse = reuse_flag(call.get("reuse"), tf.recorder.scopes.reuse)
    mode = call.get("is_training")
    if mode is None and (call.rest is not None or not network.default):
        mode = UNKNOWN if call.rest is not None else Const(False)
    tf.scoped.append(_own_scopes(tf, network, mode))
    try:
        with tf.recorder.scopes.opened(path, reuse, None if unknown else scope or network.scope):
            output = _layers(tf, call, network)
    finally:
        tf.scoped.pop()
    for norm in output.batch_norms - symbol_of(call.first).batch_norms:
        norm.takes_mode = network.sets_mode
    return ListValue((output, DictValue(rest=output)))


def _own_scopes(
    tf: TensorFlow, network: Network, mode: Value | None
) -> dict[object, dict[str, Value]]:
    """The arg scope of a network's layers."""
    scoped = dict(tf.scoped[-1])
    if network.sets_mode and not (isinstance(mode, Const) and mode.value is None):
        norm = dict(scoped.get("slim.batch_norm", {}))
        norm.pop("is_training", None)  # the network's own default replaces it
        scoped["slim.batch_norm"] = {**norm, **({} if mode is None else {"is_training": mode})}
    return scoped


def _layers(tf: TensorFlow, call: Call, network: Network) -> Symbol:
    more: dict[str, Value] = {"normalizer_fn": BATCH_NORM} if network.always == "conv" else {}
    named = {"scope": Const("conv1"), **more}
    output = tf.call("slim.conv2d", Args([symbol_of(call.first), NONE, NONE], named), call.node)
    if network.always == "plain":
        named = {"scope": Const("postnorm")}
        output = tf.call("slim.batch_norm", Args([output], named), call.node)
    return symbol_of(output)


def _declare() -> None:
    """Each network, by the modules that have it."""
    names: dict[str, list[str]] = {}
    for name in _networks():
        names.setdefault(name.rpartition(".")[2], []).append(name)
    for found in names.values():
        signature = next((_MORE[name] for name in found if name in _MORE), "")
        full = (f"slim.nets.{name}" for name in found)
        api(*full, signature=signature, makes_batch_norm=True)(_network)


_declare()


# --- arg scopes ----------------------------------------------------------------------------


def _scope_with(
    tf: TensorFlow, functions: tuple[str, ...], normalizer: Value, params: dict[str, Value]
) -> CurrentScope:
    """The current arg scope, in which `functions` are normalized, and batch_norm has `params`."""
    mapping = dict(tf.scoped[-1])
    for name in functions:
        mapping[name] = {**mapping.get(name, {}), "normalizer_fn": normalizer}
    mapping["slim.batch_norm"] = {**mapping.get("slim.batch_norm", {}), **params}
    return CurrentScope(mapping, tf.scope_events[-1])


def _decay(call: Call, name: str) -> dict[str, Value]:
    decay = call.number(name)
    return {"decay": Const(decay) if decay is not None else UNKNOWN}


@api(
    "slim.nets.resnet_utils.resnet_arg_scope", "slim.nets.resnet_v1.resnet_arg_scope",
    "slim.nets.resnet_v2.resnet_arg_scope", makes_batch_norm=True,
)  # fmt: skip
def resnet_arg_scope(tf: TensorFlow, call: Call) -> Value:
    """Batch norm for conv2d, without is_training: its layers are in training mode by default."""
    params = _decay(call, "batch_norm_decay")
    if "is_training" in call.extra:  # models/research/slim of 2017 and before
        params["is_training"] = call.extra["is_training"]
    return _scope_with(tf, ("slim.conv2d",), BATCH_NORM, params)


_INCEPTION = "inception_v1 inception_v2 inception_v3 inception_v4 inception_resnet_v2".split()


@api(
    *(f"slim.nets.{module}.{name}_arg_scope"
      for name in _INCEPTION for module in (name, "inception")),
    "slim.nets.inception_utils.inception_arg_scope", makes_batch_norm=True,
    signature="weight_decay=0.00004, use_batch_norm=True, batch_norm_decay=0.9997, *args, **kwargs",
)  # fmt: skip
def inception_arg_scope(tf: TensorFlow, call: Call) -> Value:
    """Batch norm for conv2d by normalizer_params, without is_training."""
    normalizer = NONE if constant(call.use_batch_norm, bool) is False else BATCH_NORM
    given = call.extra.get("batch_norm_updates_collections")
    params = {"updates_collections": given if given is not None else Const(UPDATE_OPS)}
    return _scope_with(
        tf, ("slim.conv2d",), normalizer, {**_decay(call, "batch_norm_decay"), **params}
    )


@api(
    "slim.nets.mobilenet_v1.mobilenet_v1_arg_scope",
    signature="is_training=True, weight_decay=0.00004, stddev=0.09, regularize_depthwise=False, "
    "batch_norm_decay=0.9997, **kwargs", makes_batch_norm=True,
)  # fmt: skip
def mobilenet_v1_arg_scope(tf: TensorFlow, call: Call) -> Value:
    functions = ("slim.conv2d", "slim.separable_conv2d")
    params = {**_decay(call, "batch_norm_decay"), **_mode(call)}
    return _scope_with(tf, functions, BATCH_NORM, params)


@api(
    "slim.nets.mobilenet.mobilenet_v2.training_scope",
    "slim.nets.mobilenet.mobilenet.training_scope",
    signature="is_training=True, weight_decay=0.00004, stddev=0.09, dropout_keep_prob=0.8, "
    "bn_decay=0.997", makes_batch_norm=True,
)  # fmt: skip
def mobilenet_training_scope(tf: TensorFlow, call: Call) -> Value:
    """It also sets is_training of the network itself, which is False without it."""
    functions = ("slim.conv2d", "slim.fully_connected", "slim.separable_conv2d")
    mode = _mode(call)
    scope = _scope_with(tf, functions, BATCH_NORM, {**_decay(call, "bn_decay"), **mode})
    scope.mapping["slim.nets.mobilenet.mobilenet_v2.mobilenet"] = mode or {
        "is_training": Const(True)
    }
    return scope


def _mode(call: Call) -> dict[str, Value]:
    """is_training as it was passed; None leaves it out."""
    given = call.is_training
    if given is None or (isinstance(given, Const) and given.value is None):
        return {}
    return {"is_training": given}


def _plain_arg_scope(tf: TensorFlow, call: Call) -> Value:
    return CurrentScope(dict(tf.scoped[-1]), tf.scope_events[-1])


for _name in ("vgg.vgg", "alexnet.alexnet_v2", "overfeat.overfeat", "cifarnet.cifarnet",
              "lenet.lenet"):  # fmt: skip
    api(f"slim.nets.{_name}_arg_scope", signature="weight_decay=0.0005")(_plain_arg_scope)


# --- the factory -----------------------------------------------------------------------------

# nets_factory's names whose arg scope is not called NAME_arg_scope in the network's own module.
_SCOPES = {"vgg": "vgg.vgg_arg_scope", "resnet": "resnet_utils.resnet_arg_scope"}


class NetworkFunction(Kind):
    """What nets_factory.get_network_fn gives: builds a network in its arg scope."""

    def __init__(self, names: tuple[str, ...], made: Call) -> None:
        super().__init__()
        self.names = names
        self.made = made

    @method("slim.nets.nets_factory.network_fn", called="__call__", signature="images, **kwargs")
    def call(self, tf: TensorFlow, call: Call) -> Value:
        made = [self._built(tf, call, name) for name in self.names]
        return join(made) if made else UNKNOWN

    def _built(self, tf: TensorFlow, call: Call, name: str) -> Value:
        """The same as `with arg_scope(...): network(images, num_classes, is_training=...)`."""
        full = next((one for one in _networks() if one.rpartition(".")[2] == name), "")
        if not full:
            return tf.op(*call.values())
        scope = FUNCTIONS.get(f"slim.nets.{_arg_scope_of(full)}")
        mode = self.made.is_training or Const(False)
        keywords = {"is_training": mode, **call.extra}
        scoped = dict(tf.scoped[-1])
        if scope is not None:
            entered = scope.handler(tf, scope.bind(Args(), call.node))
            scoped = entered.mapping
        tf.scoped.append(scoped)
        try:
            args = Args(
                [call.images or UNKNOWN, self.made.num_classes or NONE], keywords, call.rest
            )
            return tf.call(f"slim.nets.{full}", args, call.node)
        finally:
            tf.scoped.pop()

    def attribute(self, tf: TensorFlow, name: str) -> Value | None:
        return Symbol(incomplete=True)  # default_image_size


def _arg_scope_of(network: str) -> str:
    family = network.partition("_")[0].partition(".")[0]
    return _SCOPES.get(family, f"{network}_arg_scope")


@api(
    "slim.nets.nets_factory.get_network_fn", makes_batch_norm=True,
    signature="name, num_classes, weight_decay=0.0, is_training=False",
)  # fmt: skip
def get_network_fn(tf: TensorFlow, call: Call) -> Value:
    """A network by name; with a name that is not known, none is followed."""
    name = call.name
    options = name.options if isinstance(name, Choice) else (name,)
    known: list[object] = []
    for option in options:
        known += option.hints[:1] if isinstance(option, Setting) else [constant(option, str)]
    names = tuple(text for text in known if isinstance(text, str))
    return NetworkFunction(names, call) if names else UNKNOWN
