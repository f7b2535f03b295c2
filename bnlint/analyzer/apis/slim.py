"""slim and tf.contrib.layers: arg_scope, layers, batch norm, repeat and stack."""

from __future__ import annotations

from contextlib import AbstractContextManager

from bnlint.analyzer.apis.batch_norms import (
    activated,
    collection_of,
    is_none,
    mark_rebuilt,
    training_flag,
)
from bnlint.analyzer.apis.graphs_and_scopes import reuse_flag
from bnlint.analyzer.apis.library import TensorFlow, scope_name
from bnlint.analyzer.apis.registry import FUNCTIONS, Kind, Leave, api
from bnlint.analyzer.apis.signature import Call
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
    constant,
    list_of,
    symbol_of,
)
from bnlint.analyzer.syntax import nodes
from bnlint.program.events import ArgScope

# Functions that arg_scope can set, by every name they go by.
_ALIASES = {
    "slim.convolution2d": "slim.conv2d", "slim.convolution": "slim.convolution",
    "slim.conv2d_transpose": "slim.conv2d_transpose",
    "slim.convolution2d_transpose": "slim.conv2d_transpose",
    "slim.separable_convolution2d": "slim.separable_conv2d",
    "slim.convolution2d_in_plane": "slim.conv2d_in_plane",
    "slim.convolution1d": "slim.conv1d", "slim.convolution3d": "slim.conv3d",
}  # fmt: skip
# Layers that may be given a normalizer, and the scope that each opens.
_LAYERS = {
    "slim.conv2d": "Conv",
    "slim.conv1d": "Conv",
    "slim.conv3d": "Conv",
    "slim.convolution": "Conv",
    "slim.conv2d_in_plane": "ConvInPlane",
    "slim.conv2d_transpose": "Conv2d_transpose",
    "slim.conv3d_transpose": "Conv3d_transpose",
    "slim.separable_conv2d": "SeparableConv2d",
    "slim.fully_connected": "fully_connected",
    "slim.linear": "fully_connected",
    "slim.relu": "fully_connected",
    "slim.relu6": "fully_connected",
}


def canonical_op(value: Value) -> object:
    """What an arg_scope keys a function with."""
    if isinstance(value, External):
        return _ALIASES.get(value.name, value.name)
    if isinstance(value, Function):
        return value.definition
    return None


def _scoped(tf: TensorFlow, call: Call) -> Call:
    """`call` with what the current arg_scope adds."""
    extra = tf.scoped_arguments(_ALIASES.get(call.api, call.api))
    return call.with_defaults(extra) if extra else call


# --- arg_scope -----------------------------------------------------------------------------

Scopes = dict[object, dict[str, Value]]  # by function


class CurrentScope(Kind):
    """What an arg_scope set, as `with arg_scope(...) as saved:` gives it."""

    def __init__(self, mapping: Scopes, events: tuple[ArgScope, ...]) -> None:
        super().__init__()
        self.mapping = mapping
        self.events = events


class ArgScopeContext(Kind):
    """What slim.arg_scope(first, **keywords) gives to `with`."""

    def __init__(self, first: Value | None, keywords: dict[str, Value], rest: Symbol | None):
        super().__init__()
        self.first = first
        self.keywords = keywords
        self.rest = rest

    def enter(self, tf: TensorFlow, node: nodes.With) -> tuple[Value, Leave]:
        first = self.first
        if isinstance(first, Choice):
            saved = [option for option in first.options if isinstance(option, Object)]
            first = saved[0] if saved else first
        mapping = self._entered(tf, first)
        event = self._record(tf, first, node)
        events = (*tf.scope_events[-1], event)
        if isinstance(first, CurrentScope):
            events = first.events
        tf.scoped.append(mapping)
        tf.scope_events.append(events)

        def leave() -> None:
            tf.scoped.pop()
            tf.scope_events.pop()

        return CurrentScope(mapping, events), leave

    def _entered(self, tf: TensorFlow, first: Value | None) -> Scopes:
        if isinstance(first, CurrentScope):
            return dict(first.mapping)
        if isinstance(first, ArgScopeContext):
            # `with arg_scope(f()):` where f returns an arg_scope that was never entered.
            return first._entered(tf, first.first)
        mapping = dict(tf.scoped[-1])
        for target in list_of(first):
            key = canonical_op(target)
            if key is not None:
                mapping[key] = {**mapping.get(key, {}), **self.keywords}
        if isinstance(first, Symbol) or self.rest is not None:
            # A scope that is not known may set anything, is_training included.
            unknown = UNKNOWN.replace(key=f"arg_scope{self.number}")
            for key in ("slim.batch_norm", *_LAYERS):
                given = {"is_training": unknown} if key == "slim.batch_norm" else {}
                mapping[key] = {**mapping.get(key, {}), **given}
        return mapping

    def _record(self, tf: TensorFlow, first: Value | None, node: nodes.With) -> ArgScope:
        if isinstance(first, ArgScopeContext):  # made elsewhere, entered here
            return first._record(tf, first.first, node)
        targets = [canonical_op(target) for target in list_of(first)]
        names = tuple(
            target.rsplit(".", 1)[-1] if isinstance(target, str) else target.name
            for target in targets
            if isinstance(target, str | nodes.FunctionDef)
        )
        training = self.keywords.get("is_training")
        params = self.keywords.get("normalizer_params")
        inner = params.items.get("is_training") if isinstance(params, DictValue) else None
        event = ArgScope(
            location=tf.recorder.here(node), targets=names,
            sets_training=flag_of(training) if training is not None else None,
            covers_batch_norm="slim.batch_norm" in targets,
            normalizer_params_training=flag_of(inner) if inner is not None else None,
            batch_norms=[], time=tf.interpreter.tick(),
        )  # fmt: skip
        tf.program.arg_scopes.append(event)
        return event


@api("tf.contrib.slim.arg_scope")
def arg_scope(tf: TensorFlow, call: Call) -> Value:
    return ArgScopeContext(call.list_ops_or_scope, call.extra, call.rest)


@api("tf.contrib.slim.add_arg_scope")
def add_arg_scope(tf: TensorFlow, call: Call) -> Value:
    if isinstance(call.func, Function):
        call.func.is_arg_scoped = True
    return call.func if call.func is not None else UNKNOWN


@api("tf.contrib.framework.current_arg_scope")
def current_arg_scope(tf: TensorFlow, call: Call) -> Value:
    return CurrentScope(tf.scoped[-1], tf.scope_events[-1])


# --- layers --------------------------------------------------------------------------------


def _layer(name: str, default_scope: str) -> None:
    def handler(tf: TensorFlow, call: Call) -> Value:
        call = _scoped(tf, call)
        given = call.activation_fn
        output = _normalized_layer(tf, call, default_scope)
        linear = is_none(given) if given is not None else name == "slim.linear"
        result = activated(tf, given, output, call.node)
        return (
            result.replace(linear="logits", made=tf.recorder.here(call.node)) if linear else result
        )

    aliases = (alias for alias, target in _ALIASES.items() if target == name)
    api(name, *aliases, makes_layer=True)(handler)


def _normalized_layer(tf: TensorFlow, call: Call, default_scope: str) -> Symbol:
    """The layer before its activation."""
    scope, unknown = scope_name(call.scope)
    reuse = reuse_flag(call.reuse, tf.recorder.scopes.reuse)
    path = tf.recorder.scopes.full_path(scope, default_scope, unknown)
    with tf.recorder.scopes.opened(path, reuse, None if unknown else scope or default_scope):
        output = tf.op(symbol_of(call.inputs))
        function = call.normalizer_fn
        if function is None or is_none(function):
            return output
        return _normalize(tf, function, call.normalizer_params, output, call.node)


def _normalize(
    tf: TensorFlow, function: Value, params: Value | None, output: Symbol, node: nodes.Call
) -> Symbol:
    """`normalizer_fn(output, **normalizer_params)`."""
    if isinstance(function, Choice):
        options = [option for option in function.options if not is_none(option)]
        results = [_normalize(tf, option, params, output, node) for option in options]
        return symbol_of(*results) if results else output
    args = Args([output])
    if isinstance(params, DictValue):
        args.keywords = {str(key): value for key, value in params.items.items()}
        args.rest = params.rest
    elif params is not None and not is_none(params):
        args.rest = symbol_of(params, UNKNOWN)
    if isinstance(function, External) and function.name == "slim.batch_norm":
        return _batch_norm(tf, FUNCTIONS["slim.batch_norm"].bind(args, node), "normalizer_params")
    return symbol_of(tf.call_value(function, args, node))


for _name, _default_scope in _LAYERS.items():
    _layer(_name, _default_scope)


# --- batch norm ----------------------------------------------------------------------------


@api("tf.contrib.slim.batch_norm", makes_batch_norm=True)
def batch_norm(tf: TensorFlow, call: Call) -> Value:
    return _batch_norm(tf, call, "argument")


def _batch_norm(tf: TensorFlow, call: Call, via: str) -> Symbol:
    how = via if call.is_training is not None else "arg_scope"
    call = _scoped(tf, call)
    scope, unknown = scope_name(call.scope)
    path = tf.recorder.scopes.full_path(scope, "BatchNorm", unknown)
    collection, known = collection_of(call.updates_collections, call.rest)
    norm, output = tf.recorder.norms.add(
        call.node, symbol_of(call.inputs), api="slim",
        training=training_flag(call.is_training, how, call.rest, default=True),
        collection=collection, collection_known=known, scope=path,
        trainable=constant(call.trainable, bool), decay=call.number("decay"),
        reuse=reuse_flag(call.reuse, tf.recorder.scopes.reuse),
    )  # fmt: skip
    norm.zero_debias = not _is_false(call.zero_debias_moving_mean)
    norm.statistics_trainable = _may_be_trainable(call.variables_collections)
    norm.takes_mode = via == "argument"
    for event in tf.scope_events[-1]:
        event.batch_norms.append(norm)
    mark_rebuilt(tf, norm)
    return activated(tf, call.activation_fn, output, call.node)


def _is_false(value: Value | None) -> bool:
    return value is None or (isinstance(value, Const) and not value.value)


def _may_be_trainable(collections: Value | None) -> bool:
    """variables_collections (a list, or a dict by variable) puts statistics among the trainable."""
    if isinstance(collections, DictValue):
        named = [collections.items.get(name) for name in ("moving_mean", "moving_variance")]
        return any(_may_be_trainable(value) for value in named) or collections.rest is not None
    names = [item for item in list_of(collections) if not is_none(item)]
    return any(constant(name, str) in (None, "trainable_variables") for name in names)


# --- repeat and stack ----------------------------------------------------------------------


@api("tf.contrib.slim.repeat")
def repeat(tf: TensorFlow, call: Call) -> Value:
    """slim.repeat(inputs, repetitions, layer, *args, **kwargs)."""
    if call.inputs is None or call.layer is None:
        return tf.op(*call.values())
    with _own_scope(tf, call, "Repeat"):
        args = Args([call.inputs, *call.more], _without_scope(call), call.rest)
        return symbol_of(tf.call_value(call.layer, args, call.node))


@api("tf.contrib.slim.stack")
def stack(tf: TensorFlow, call: Call) -> Value:
    """slim.stack(inputs, layer, stack_args, **kwargs)."""
    output, layer = call.inputs, call.layer
    if output is None or layer is None or call.stack_args is None:
        return tf.op(*call.values())
    with _own_scope(tf, call, "Stack"):
        for item in loop_items(tf.interpreter, call.stack_args):
            args = Args([output, *list_of(item)], _without_scope(call), call.rest)
            output = symbol_of(tf.call_value(layer, args, call.node))
    return output


def _own_scope(tf: TensorFlow, call: Call, default: str) -> AbstractContextManager[None]:
    scope, unknown = scope_name(call.extra.get("scope"))
    path = tf.recorder.scopes.full_path(scope, default, unknown)
    name = None if unknown else scope or default
    return tf.recorder.scopes.opened(path, tf.recorder.scopes.reuse, name)


def _without_scope(call: Call) -> dict[str, Value]:
    return {key: value for key, value in call.extra.items() if key != "scope"}
