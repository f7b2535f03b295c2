"""slim, tf.contrib.layers and tf.layers: arg_scope, layers and batch norm."""

from __future__ import annotations

from collections.abc import Callable

from bnlint.analyzer.apis.graph import reuse_flag
from bnlint.analyzer.apis.graph_state import UPDATE_OPS, Scope, constant, list_of
from bnlint.analyzer.apis.library import (
    CONTEXTS,
    OBJECT_CALLS,
    OBJECT_METHODS,
    TensorFlow,
    handles,
    scope_name,
)
from bnlint.analyzer.interpreter.flags import flag_of
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.loops import loop_items
from bnlint.analyzer.interpreter.values import (
    UNKNOWN,
    Choice,
    Const,
    DictValue,
    External,
    Function,
    Object,
    Symbol,
    Value,
    symbol_of,
)
from bnlint.analyzer.syntax import nodes
from bnlint.findings import Location
from bnlint.program.events import ArgScope, BatchNorm, Flag

Leave = Callable[[], None]

# Functions that arg_scope can set, by every name they go by.
_ALIASES = {
    "slim.convolution2d": "slim.conv2d", "slim.convolution": "slim.convolution",
    "slim.conv2d_transpose": "slim.conv2d_transpose",
    "slim.convolution2d_transpose": "slim.conv2d_transpose",
    "slim.separable_convolution2d": "slim.separable_conv2d",
    "slim.convolution2d_in_plane": "slim.conv2d_in_plane",
    "slim.convolution1d": "slim.conv1d", "slim.convolution3d": "slim.conv3d",
}  # fmt: skip
_LAYERS = {
    # name: (default scope, positions of activation_fn, normalizer_fn, normalizer_params)
    "slim.conv2d": ("Conv", 7, 8, 9),
    "slim.conv1d": ("Conv", 7, 8, 9),
    "slim.conv3d": ("Conv", 7, 8, 9),
    "slim.convolution": ("Conv", 7, 8, 9),
    "slim.conv2d_in_plane": ("ConvInPlane", 6, 7, 8),
    "slim.conv2d_transpose": ("Conv2d_transpose", 6, 7, 8),
    "slim.conv3d_transpose": ("Conv3d_transpose", 6, 7, 8),
    "slim.separable_conv2d": ("SeparableConv2d", 8, 9, 10),
    "slim.fully_connected": ("fully_connected", 2, 3, 4),
    "slim.linear": ("fully_connected", 2, 3, 4),
    "slim.relu": ("fully_connected", 2, 3, 4),
    "slim.relu6": ("fully_connected", 2, 3, 4),
}


def canonical_op(value: Value) -> object:
    """What an arg_scope keys a function with."""
    if isinstance(value, External):
        return _ALIASES.get(value.name, value.name)
    if isinstance(value, Function):
        return value.definition
    return None


def _scoped(tf: TensorFlow, name: str, args: Args) -> Args:
    """`args` with what the current arg_scope adds."""
    extra = tf.scoped_arguments(_ALIASES.get(name, name))
    if not extra:
        return args
    return Args(args.positional, {**extra, **args.keywords}, args.rest)


# --- arg_scope -----------------------------------------------------------------------------


@handles("slim.arg_scope")
def arg_scope(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    first = args.get(0, "list_ops_or_scope")
    keywords = {key: value for key, value in args.keywords.items() if key != "list_ops_or_scope"}
    return Object("arg_scope", first=first, keywords=keywords, rest=args.rest, node=node)


@handles("slim.add_arg_scope")
def add_arg_scope(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    value = args.get(0, "func")
    if isinstance(value, Function):
        value.is_arg_scoped = True
    return value if value is not None else UNKNOWN


@handles("slim.current_arg_scope")
def current_arg_scope(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return Object("scope", mapping=tf.scoped[-1], events=tf.scope_events[-1])


def _enter_arg_scope(tf: TensorFlow, manager: Object, node: nodes.With) -> tuple[Value, Leave]:
    first = manager.slots["first"]
    if isinstance(first, Choice):
        saved = [option for option in first.options if isinstance(option, Object)]
        first = saved[0] if saved else first
    mapping = _entered(tf, manager, first)
    event = _record_scope(tf, manager, first, node)
    entered = _saved_scope(first)
    events = entered.slots["events"] if entered is not None else (*tf.scope_events[-1], event)
    tf.scoped.append(mapping)
    tf.scope_events.append(events)

    def leave() -> None:
        tf.scoped.pop()
        tf.scope_events.pop()

    return Object("scope", mapping=mapping, events=events), leave


def _saved_scope(first: Value | None) -> Object | None:
    """The scope that `with arg_scope(saved):` puts in place of the current one."""
    return first if isinstance(first, Object) and first.kind == "scope" else None


def _entered(
    tf: TensorFlow, manager: Object, first: Value | None
) -> dict[object, dict[str, Value]]:
    if isinstance(first, Object) and first.kind == "scope":
        return dict(first.slots["mapping"])
    if isinstance(first, Object) and first.kind == "arg_scope":
        # `with arg_scope(f()):` where f returns an arg_scope that was never entered.
        return _entered(tf, first, first.slots["first"])
    mapping = dict(tf.scoped[-1])
    for target in list_of(first):
        key = canonical_op(target)
        if key is not None:
            mapping[key] = {**mapping.get(key, {}), **manager.slots["keywords"]}
    if isinstance(first, Symbol) or manager.slots["rest"] is not None:
        # A scope that is not known may set anything, is_training included.
        unknown = UNKNOWN.replace(key=f"arg_scope{manager.number}")
        for key in ("slim.batch_norm", *_LAYERS):
            given = {"is_training": unknown} if key == "slim.batch_norm" else {}
            mapping[key] = {**mapping.get(key, {}), **given}
    return mapping


def _record_scope(
    tf: TensorFlow, manager: Object, first: Value | None, node: nodes.With
) -> ArgScope:
    if isinstance(first, Object) and first.kind == "arg_scope":  # made elsewhere, entered here
        return _record_scope(tf, first, first.slots["first"], node)
    keywords: dict[str, Value] = manager.slots["keywords"]
    targets = [canonical_op(target) for target in list_of(first)]
    names = tuple(
        target.rsplit(".", 1)[-1] if isinstance(target, str) else target.name
        for target in targets
        if isinstance(target, str | nodes.FunctionDef)
    )
    training = keywords.get("is_training")
    params = keywords.get("normalizer_params")
    inner = params.items.get("is_training") if isinstance(params, DictValue) else None
    event = ArgScope(
        location=tf.recorder.here(node), targets=names,
        sets_training=flag_of(training) if training is not None else None,
        covers_batch_norm="slim.batch_norm" in targets,
        normalizer_params_training=flag_of(inner) if inner is not None else None,
        has_normalizer_params=params is not None, batch_norms=[], time=tf.interpreter.tick(),
    )  # fmt: skip
    tf.program.arg_scopes.append(event)
    return event


CONTEXTS["arg_scope"] = _enter_arg_scope


# --- layers --------------------------------------------------------------------------------


def _layer(name: str) -> None:
    default_scope, activation, normalizer, params = _LAYERS[name]

    def handler(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
        args = _scoped(tf, name, args)
        inputs = symbol_of(args.get(0, "inputs"))
        scope, unknown = scope_name(args.get(None, "scope"))
        reuse = reuse_flag(args.get(None, "reuse"), tf.recorder.scopes[-1].reuse)
        path = tf.recorder.scope_path(scope, default_scope, unknown)
        with tf.recorder.open_scope(Scope(path, reuse)):
            output = tf.op(inputs)
            function = args.get(normalizer, "normalizer_fn")
            if function is not None and not _is_none(function):
                output = _normalize(
                    tf, function, args.get(params, "normalizer_params"), output, node
                )
        given = args.get(activation, "activation_fn")
        linear = _is_none(given) if given is not None else name == "slim.linear"
        activated = _activated(tf, given, output, node)
        if linear:
            return activated.replace(linear="logits", made=tf.recorder.here(node))
        return activated

    handles(name, *(alias for alias, target in _ALIASES.items() if target == name))(handler)


def _activated(tf: TensorFlow, function: Value | None, output: Symbol, node: nodes.Call) -> Symbol:
    short = function.name.rsplit(".", 1)[-1] if isinstance(function, External) else ""
    if short in ("softmax", "sigmoid"):
        return output.replace(linear="probabilities", made=tf.recorder.here(node))
    return output.replace(linear="")


def _is_none(value: Value | None) -> bool:
    return isinstance(value, Const) and value.value is None


def _normalize(
    tf: TensorFlow, function: Value, params: Value | None, output: Symbol, node: nodes.Call
) -> Symbol:
    """`normalizer_fn(output, **normalizer_params)`."""
    if isinstance(function, Choice):
        options = [option for option in function.options if not _is_none(option)]
        results = [_normalize(tf, option, params, output, node) for option in options]
        return symbol_of(*results) if results else output
    args = Args([output])
    if isinstance(params, DictValue):
        args.keywords = {str(key): value for key, value in params.items.items()}
        args.rest = params.rest
    elif params is not None and not _is_none(params):
        args.rest = symbol_of(params, UNKNOWN)
    if isinstance(function, External) and function.name == "slim.batch_norm":
        return _batch_norm(tf, args, node, "normalizer_params")
    return symbol_of(tf.call_value(function, args, node))


for _name in _LAYERS:
    _layer(_name)


# --- batch norm ----------------------------------------------------------------------------


@handles("slim.batch_norm")
def batch_norm(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return _batch_norm(tf, args, node, "argument")


def _training_flag(
    tf: TensorFlow, value: Value | None, via: str, rest: Symbol | None, default: bool
) -> Flag:
    if value is None:
        if rest is not None:
            return flag_of(UNKNOWN, via=via)
        return flag_of(Const(default), explicit=False, via=via)
    return flag_of(value, via=via)


def _batch_norm(tf: TensorFlow, args: Args, node: nodes.Call, via: str) -> Symbol:
    """Positions are those of tf_slim 1.1: decay 1, activation_fn 5, updates_collections 8,
    is_training 9, reuse 10."""
    explicit = args.get(9, "is_training")
    merged = _scoped(tf, "slim.batch_norm", args)
    training = merged.get(9, "is_training")
    how = via if explicit is not None else "arg_scope"
    scope, unknown = scope_name(merged.get(None, "scope"))
    path = tf.recorder.scope_path(scope, "BatchNorm", unknown)
    reuse = reuse_flag(merged.get(10, "reuse"), tf.recorder.scopes[-1].reuse)
    collection, known = _collection(merged.get(8, "updates_collections"), merged.rest)
    norm, output = tf.recorder.batch_norm(
        node, symbol_of(merged.get(0, "inputs")), api="slim",
        training=_training_flag(tf, training, how, merged.rest, default=True),
        collection=collection, collection_known=known, scope=path,
        trainable=constant(merged.get(None, "trainable"), bool),
        decay=_number(merged.get(1, "decay"), 0.999), reuse=reuse,
    )  # fmt: skip
    norm.zero_debias = not _is_false(merged.get(None, "zero_debias_moving_mean"))
    norm.statistics_trainable = _may_be_trainable(merged.get(None, "variables_collections"))
    for event in tf.scope_events[-1]:
        event.batch_norms.append(norm)
    _mark_rebuilt(tf)
    return _activated(tf, merged.get(5, "activation_fn"), output, node)


def _is_false(value: Value | None) -> bool:
    return value is None or (isinstance(value, Const) and not value.value)


def _may_be_trainable(collections: Value | None) -> bool:
    """variables_collections (a list, or a dict by variable) puts statistics among the trainable."""
    if isinstance(collections, DictValue):
        named = [collections.items.get(name) for name in ("moving_mean", "moving_variance")]
        return any(_may_be_trainable(value) for value in named) or collections.rest is not None
    names = [item for item in list_of(collections) if not _is_none(item)]
    return any(constant(name, str) in (None, "trainable_variables") for name in names)


def _mark_rebuilt(tf: TensorFlow) -> None:
    norm = tf.program.batch_norms[-1]
    if norm.training.key:
        tf.recorder.mark_rebuilt(norm)


def _collection(value: Value | None, rest: Symbol | None) -> tuple[str | None, bool]:
    """(collection, known); collection None means in place."""
    if value is None:
        return (UPDATE_OPS, True) if rest is None else (None, False)
    if _is_none(value):
        return None, True
    name = constant(value, str)
    return (name, True) if name is not None else (None, False)


def _number(value: Value | None, default: float | None) -> float | None:
    if value is None:
        return default
    number = constant(value, (int, float))
    return float(number) if number is not None else None


# --- tf.layers -----------------------------------------------------------------------------


@handles("tensorflow.layers.batch_normalization")
def layers_batch_normalization(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    """tf.layers.batch_normalization(inputs, axis, momentum=0.99, ..., training=False at 12)."""
    name, unknown = scope_name(args.get(14, "name"))
    path = tf.recorder.scope_path(name, "batch_normalization", unknown)
    reuse = reuse_flag(args.get(15, "reuse"), tf.recorder.scopes[-1].reuse)
    momentum = _number(args.get(2, "momentum"), 0.99)
    trainable = constant(args.get(13, "trainable"), bool)
    return _layers_norm(tf, args, args.get(12, "training"), node, path, reuse, momentum, trainable)


def _layers_norm(
    tf: TensorFlow, args: Args, training: Value | None, node: nodes.Call, path: str | None,
    reuse: bool | None, momentum: float | None, trainable: bool | None,
    first: BatchNorm | None = None, definition: Location | None = None,
) -> Symbol:  # fmt: skip
    _, output = tf.recorder.batch_norm(
        node, symbol_of(args.get(0, "inputs")), api="tf.layers",
        training=_training_flag(tf, training, "argument", args.rest, default=False),
        collection=UPDATE_OPS, collection_known=True, scope=path, trainable=trainable,
        decay=momentum, reuse=reuse, reuses=first, definition=definition,
    )  # fmt: skip
    _mark_rebuilt(tf)
    return output


@handles("tensorflow.layers.BatchNormalization")
def layers_class(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return Object(
        "layers batch norm", trainable=constant(args.get(None, "trainable"), bool),
        momentum=_number(args.get(1, "momentum"), 0.99), made=tf.recorder.here(node), norm=None,
    )  # fmt: skip


def _call_layers_class(tf: TensorFlow, layer: Object, args: Args, node: nodes.Call) -> Value:
    output = _layers_norm(
        tf, args, args.get(1, "training"), node, None, False, layer.slots["momentum"],
        layer.slots["trainable"], layer.slots["norm"], layer.slots["made"],
    )  # fmt: skip
    layer.slots["norm"] = layer.slots["norm"] or tf.program.batch_norms[-1]
    return output


OBJECT_CALLS["layers batch norm"] = _call_layers_class
OBJECT_METHODS["layers batch norm", "apply"] = _call_layers_class
OBJECT_METHODS["layers batch norm", "__call__"] = _call_layers_class


def _plain_layer(activation_position: int) -> Callable[[TensorFlow, Args, nodes.Call], Value]:
    def handler(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
        output = tf.op(args.get(0, "inputs"))
        given = args.get(activation_position, "activation")
        if given is None or _is_none(given):
            return output.replace(linear="logits", made=tf.recorder.here(node))
        return _activated(tf, given, output, node)

    return handler


handles("tensorflow.layers.dense")(_plain_layer(2))
handles("tensorflow.layers.conv2d", "tensorflow.layers.conv1d")(_plain_layer(7))


# --- repeat and stack ----------------------------------------------------------------------


@handles("slim.repeat")
def repeat(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    """slim.repeat(inputs, repetitions, layer, *args, **kwargs)."""
    if len(args.positional) < 3:
        return tf.op(*args.values())
    inputs, _, layer, *rest = args.positional
    scope, unknown = scope_name(args.get(None, "scope"))
    keywords = {key: value for key, value in args.keywords.items() if key != "scope"}
    path = tf.recorder.scope_path(scope, "Repeat", unknown)
    with tf.recorder.open_scope(Scope(path, tf.recorder.scopes[-1].reuse)):
        call = Args([inputs, *rest], keywords, args.rest)
        return symbol_of(tf.call_value(layer, call, node))


@handles("slim.stack")
def stack(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    """slim.stack(inputs, layer, stack_args, **kwargs)."""
    if len(args.positional) < 3:
        return tf.op(*args.values())
    output, layer, stack_args = args.positional[:3]
    scope, unknown = scope_name(args.get(None, "scope"))
    keywords = {key: value for key, value in args.keywords.items() if key != "scope"}
    path = tf.recorder.scope_path(scope, "Stack", unknown)
    with tf.recorder.open_scope(Scope(path, tf.recorder.scopes[-1].reuse)):
        for item in loop_items(tf.interpreter, stack_args):
            call = Args([output, *list_of(item)], dict(keywords), args.rest)
            output = symbol_of(tf.call_value(layer, call, node))
    return output
