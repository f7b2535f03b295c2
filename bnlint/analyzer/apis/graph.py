"""TensorFlow's graph mode: scopes, collections, control dependencies, train ops, sessions."""

from __future__ import annotations

from collections.abc import Callable

from bnlint.analyzer.apis.clues import data_clues, function_clues, result_clues
from bnlint.analyzer.apis.graph_state import UPDATE_OPS, Scope, constant, list_of
from bnlint.analyzer.apis.library import (
    CONTEXTS,
    OBJECT_CALLS,
    OBJECT_METHODS,
    TensorFlow,
    _nothing,
    handles,
    handles_method,
    scope_name,
    text_of,
)
from bnlint.analyzer.interpreter.flags import flag_of
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.values import (
    NONE,
    TENSOR,
    UNKNOWN,
    Choice,
    Const,
    External,
    Function,
    Instance,
    ListValue,
    Method,
    Object,
    Symbol,
    Value,
    symbol_of,
)
from bnlint.analyzer.syntax import nodes
from bnlint.program.events import (
    BatchNorm,
    Flag,
    FlagKind,
    LogOfTensor,
    Saver,
    TrainingLength,
    VariableSelection,
)

Leave = Callable[[], None]


def _args(*positional: Value, **keywords: Value) -> Args:
    return Args(list(positional), dict(keywords))


# --- graphs and scopes ---------------------------------------------------------------------


@handles("tensorflow.Graph")
def graph(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    tf.recorder.graphs += 1
    return Object("graph", graph=tf.recorder.graphs)


@handles("tensorflow.get_default_graph")
def default_graph(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return Object("graph", graph=tf.recorder.graph)


@handles("tensorflow.reset_default_graph")
def reset_graph(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    tf.recorder.graphs += 1
    tf.recorder.graph = tf.recorder.graphs
    return NONE


def _as_default(tf: TensorFlow, owner: Object, args: Args, node: nodes.Call) -> Value:
    return Object("graph context", graph=owner.slots["graph"], owner=owner)


OBJECT_METHODS["graph", "as_default"] = _as_default


def _enter_graph(tf: TensorFlow, manager: Object, node: nodes.With) -> tuple[Value, Leave]:
    outer, outer_scopes = tf.recorder.graph, tf.recorder.scopes
    tf.recorder.graph = manager.slots["graph"]
    tf.recorder.scopes = [Scope("", False)]

    def leave() -> None:
        tf.recorder.graph, tf.recorder.scopes = outer, outer_scopes

    return manager.slots["owner"], leave


CONTEXTS["graph context"] = _enter_graph


@handles("tensorflow.variable_scope", "tensorflow.variable_op_scope")
def variable_scope(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return Object("variable_scope", args=args)


@handles("tensorflow.get_variable_scope")
def get_variable_scope(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return Object("scope_value", path=tf.recorder.scopes[-1].path)


def reuse_flag(value: Value | None, outer: bool | None) -> bool | None:
    """True, False, or None for AUTO_REUSE and what is not known."""
    if value is None or (isinstance(value, Const) and value.value is None):
        return outer
    if isinstance(value, Const):
        return bool(value.value) or outer
    return None


def _enter_variable_scope(tf: TensorFlow, manager: Object, node: nodes.With) -> tuple[Value, Leave]:
    args: Args = manager.slots["args"]
    first = args.get(0, "name_or_scope")
    default, default_unknown = scope_name(args.get(1, "default_name"))
    reuse = reuse_flag(args.get(4, "reuse"), tf.recorder.scopes[-1].reuse)
    if isinstance(first, Object) and first.kind == "scope_value":
        path = first.slots["path"]
    else:
        name, unknown = scope_name(first)
        unknown = unknown or (name is None and default is None) or default_unknown
        # A custom getter decides which variables there are (averages, shared ones).
        unknown = unknown or _given(args, "custom_getter")
        path = tf.recorder.scope_path(name, default or "", unknown)
    tf.recorder.scopes.append(Scope(path, reuse))
    return Object("scope_value", path=path), lambda: _pop(tf.recorder.scopes)


def _pop(stack: list[Scope]) -> None:
    stack.pop()


CONTEXTS["variable_scope"] = _enter_variable_scope


def _reuse_variables(tf: TensorFlow, owner: Object, args: Args, node: nodes.Call) -> Value:
    tf.recorder.scopes[-1].reuse = True
    return NONE


OBJECT_METHODS["scope_value", "reuse_variables"] = _reuse_variables


@handles("tensorflow.make_template")
def make_template(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    if len(args.positional) < 2:
        return UNKNOWN
    name, function, *rest = args.positional
    keywords = {key: value for key, value in args.keywords.items() if key != "create_scope_now_"}
    return Object("template", name=name, function=function, args=rest, keywords=keywords)


def _call_template(tf: TensorFlow, target: Object, args: Args, node: nodes.Call) -> Value:
    name, unknown = scope_name(target.slots["name"])
    path = tf.recorder.scope_path(name, "template", unknown)
    with tf.recorder.open_scope(Scope(path, None)):
        keywords = {**target.slots["keywords"], **args.keywords}
        merged = _args(*target.slots["args"], *args.positional, **keywords)
        return tf.call_value(target.slots["function"], merged, node)


OBJECT_CALLS["template"] = _call_template


# --- placeholders and flags ----------------------------------------------------------------


@handles("tensorflow.placeholder", "keras.backend.placeholder")
def placeholder(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    key = tf.recorder.placeholder(constant(args.get(2, "name"), str), node)
    flag = Flag(FlagKind.PLACEHOLDER, True, tf.recorder.here(node), key)
    return TENSOR.replace(key=key, flag=flag, made=flag.location)


@handles("tensorflow.placeholder_with_default")
def placeholder_with_default(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    key = tf.recorder.placeholder(constant(args.get(2, "name"), str), node)
    default = args.get(0, "input")
    known = constant(default, bool)
    if known is None and isinstance(default, Symbol) and default.flag is not None:
        known = {FlagKind.TRUE: True, FlagKind.FALSE: False}.get(default.flag.kind)
    kind = FlagKind.PLACEHOLDER_WITH_DEFAULT
    flag = Flag(kind, True, tf.recorder.here(node), key, known)
    return symbol_of(default).replace(key=key, flag=flag, made=flag.location)


@handles("tensorflow.constant", "tensorflow.convert_to_tensor")
def tensor_constant(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    value = args.get(0, "value")
    known = constant(value, bool)
    if known is None:
        return tf.op(*args.values())
    kind = FlagKind.TRUE if known else FlagKind.FALSE
    return TENSOR.replace(flag=Flag(kind, True, tf.recorder.here(node)))


@handles("tensorflow.Variable", "tensorflow.get_variable", "tensorflow.get_local_variable")
def variable(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    key = f"variable{tf.interpreter.tick()}"
    flag = Flag(FlagKind.TENSOR, True, tf.recorder.here(node), key)
    return TENSOR.replace(key=key, flag=flag, made=flag.location)


@handles("tensorflow.cond", "slim.smart_cond", "tensorflow.python.framework.smart_cond")
def cond(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    """Both functions build their ops; the predicate decides which run."""
    predicate = args.get(0, "pred") or UNKNOWN
    known = constant(predicate, bool)
    first, second = args.get(1, "true_fn", "fn1"), args.get(2, "false_fn", "fn2")
    if known is not None:
        chosen = first if known else second
        return tf.call_value(chosen, _args(), node) if chosen is not None else UNKNOWN
    tf.recorder.conditions.append(flag_of(predicate))
    try:
        results = [
            tf.call_value(branch, _args(), node) for branch in (first, second) if branch is not None
        ]
    finally:
        tf.recorder.conditions.pop()
    return tf.op(predicate, *results)


# --- collections and control dependencies --------------------------------------------------


def _read_collection(
    tf: TensorFlow, key: Value | None, scope: Value | None, node: nodes.Call
) -> Value:
    name = constant(key, str)
    text, unknown = scope_name(scope)
    if name is None:
        return UNKNOWN
    if name in ("trainable_variables", "variables", "model_variables"):
        return variables(name, text)
    held = tf.recorder.read_collection(node, name, None if unknown else text or "")
    return ListValue(rest=held)  # programs append their own ops to it


def _read_by_library(tf: TensorFlow, name: str, node: nodes.Call) -> Symbol:
    """A collection that TensorFlow or slim reads by itself: no read of the user's."""
    held = tf.recorder.read_collection(node, name, "")
    tf.program.collection_reads.pop()
    return held.replace(reads=frozenset())


@handles("tensorflow.get_collection", "tensorflow.get_collection_ref")
def get_collection(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return _read_collection(tf, args.get(0, "key"), args.get(1, "scope"), node)


@handles_method("get_collection", "get_collection_ref")
def graph_get_collection(
    tf: TensorFlow, receiver: Value, args: Args, node: nodes.Call
) -> Value | None:
    return _read_collection(tf, args.get(0, "name"), args.get(1, "scope"), node)


@handles("slim.get_update_ops")
def get_update_ops(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return _read_collection(tf, Const(UPDATE_OPS), args.get(0, "scope"), node)


@handles("tensorflow.add_to_collection", "tensorflow.add_to_collections")
def add_to_collection(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    value = args.get(1, "value")
    for item in list_of(args.get(0, "name", "names")):
        name = constant(item, str)
        if name is not None and value is not None:
            tf.recorder.add_to_collection(name, value)
    return NONE


@handles_method("add_to_collection")
def graph_add_to_collection(
    tf: TensorFlow, receiver: Value, args: Args, node: nodes.Call
) -> Value | None:
    return add_to_collection(tf, args, node)


@handles("tensorflow.control_dependencies")
def control_dependencies(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return Object("control_dependencies", inputs=args.get(0, "control_inputs") or NONE)


@handles_method("control_dependencies")
def graph_control_dependencies(
    tf: TensorFlow, receiver: Value, args: Args, node: nodes.Call
) -> Value | None:
    return control_dependencies(tf, args, node)


def _enter_control(tf: TensorFlow, manager: Object, node: nodes.With) -> tuple[Value, Leave]:
    inputs = manager.slots["inputs"]
    outer = tf.recorder.controls
    if isinstance(inputs, Const) and inputs.value is None:
        tf.recorder.controls = []  # control_dependencies(None) clears what encloses it
    else:
        tf.recorder.controls = list(outer)
        tf.recorder.control_block(node, inputs)

    def leave() -> None:
        tf.recorder.controls = outer

    return NONE, leave


CONTEXTS["control_dependencies"] = _enter_control


@handles("tensorflow.group", "tensorflow.tuple")
def group(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    values = [value for key, value in args.keywords.items() if key != "name"]
    symbol = tf.op(*args.positional, *values, args.rest)
    if symbol.train_ops:
        tf.recorder.bundles.append(symbol)
    return symbol.replace(batch_norms=symbol.batch_norms)


@handles("tensorflow.with_dependencies")
def with_dependencies(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    symbol = tf.op(*args.values())
    if symbol.train_ops:
        tf.recorder.bundles.append(symbol)
    return _pass_through(args.get(1, "output_tensor"), symbol)


def _pass_through(value: Value | None, result: Symbol) -> Symbol:
    """`result` forwards `value`: what it waits for besides is not on the way of gradients."""
    inputs = symbol_of(value)
    known = value.after if isinstance(value, Symbol) else frozenset()
    return result.replace(after=known | (result.runs - inputs.runs))


def _differentiated(loss: Value | None) -> Symbol:
    """What the gradients of `loss` run.

    Checked on TF 1.15.5: `minimize(tf.identity(loss))` under control_dependencies(update_ops)
    makes a train op that does not depend on the update ops.
    """
    symbol = symbol_of(loss)
    return symbol.replace(runs=symbol.runs - loss.after) if isinstance(loss, Symbol) else symbol


@handles("tensorflow.no_op")
def no_op(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return tf.op()


# --- losses --------------------------------------------------------------------------------


@handles("tensorflow.log", "tensorflow.math.log", "keras.backend.log", "keras.ops.log")
def log(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    value = args.get(0, "x")
    result = tf.op(value)
    if isinstance(value, Symbol) and value.linear:
        event = LogOfTensor(
            tf.recorder.here(node), value.linear, value.made, False, tf.interpreter.tick()
        )
        tf.program.logs.append(event)
        return result.replace(tags=result.tags | {f"log{id(event)}"})
    return result


@handles("tensorflow.multiply", "tensorflow.mul", "tensorflow.math.multiply")
def multiply(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    result = tf.op(*args.values())
    tf.recorder.multiplied(result)
    return result


def _activation(range_: str) -> Callable[[TensorFlow, Args, nodes.Call], Value]:
    def handler(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
        made = tf.recorder.here(node)
        return tf.op(args.get(0, "logits", "x", "features")).replace(linear=range_, made=made)

    return handler


handles(
    "tensorflow.nn.softmax", "tensorflow.sigmoid", "tensorflow.nn.sigmoid",
    "tensorflow.math.sigmoid", "slim.softmax", "keras.activations.softmax",
    "keras.activations.sigmoid", "tensorflow.math.softmax",
)(_activation("probabilities"))  # fmt: skip
handles("tensorflow.matmul", "tensorflow.linalg.matmul", "tensorflow.nn.bias_add",
        "tensorflow.nn.xw_plus_b")(_activation("logits"))  # fmt: skip


@handles("tensorflow.identity", "tensorflow.squeeze", "tensorflow.reshape", "slim.flatten")
def keep_range(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    value = args.get(0, "input", "tensor", "inputs")
    symbol = tf.op(value)
    if isinstance(value, Symbol):
        symbol = symbol.replace(linear=value.linear, made=value.made)
    return _pass_through(value, symbol)


@handles("tensorflow.stop_gradient", "keras.backend.stop_gradient", "keras.ops.stop_gradient")
def stop_gradient(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    tf.program.stops_gradients = True
    return tf.op(*args.values())


@handles("tensorflow.assign", "tensorflow.assign_add", "tensorflow.assign_sub")
def assign(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    tf.program.assigns_variables = True
    return tf.op(*args.values())


@handles_method("assign", "load")
def assign_method(tf: TensorFlow, receiver: Value, args: Args, node: nodes.Call) -> Value | None:
    if isinstance(receiver, Symbol):
        tf.program.assigns_variables = True
    return None


LOSSES = "losses"
_LOSS_FUNCTIONS = (
    "absolute_difference add_loss compute_weighted_loss cosine_distance hinge_loss huber_loss "
    "log_loss log mean_pairwise_squared_error mean_squared_error sigmoid_cross_entropy "
    "softmax_cross_entropy sparse_softmax_cross_entropy sum_of_squares sum_of_pairwise_squares"
).split()


def _loss(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    """tf.losses.*, slim.losses.*: the loss is also put into the collection of losses."""
    result = tf.op(*args.values())
    collection = args.get(None, "loss_collection")
    name = constant(collection, str) if collection is not None else LOSSES
    if name is not None:
        tf.recorder.add_to_collection(name, result, scoped=False)
    return result


for _name in _LOSS_FUNCTIONS:
    handles(f"tensorflow.losses.{_name}", f"slim.losses.{_name}")(_loss)


@handles(
    "tensorflow.losses.get_total_loss", "slim.losses.get_total_loss",
    "tensorflow.losses.get_losses", "slim.losses.get_losses",
)  # fmt: skip
def get_losses(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    """Everything in the collection of losses (scopes of losses are not known)."""
    return tf.op(_read_by_library(tf, LOSSES, node))


# --- train ops -----------------------------------------------------------------------------


def _var_list_scope(value: Value | None) -> str | None:
    if isinstance(value, Symbol):
        for tag in value.tags:
            if tag.startswith("scope:"):
                return tag[len("scope:") :]
    return None


def _given(args: Args, name: str) -> bool:
    """The keyword was passed, or may have been."""
    value = args.get(None, name)
    if value is None:
        return args.rest is not None
    return not (isinstance(value, Const) and value.value is None)


def _is_keras_optimizer(receiver: Value) -> bool:
    return isinstance(receiver, Object) and receiver.kind == "keras optimizer"


@handles_method("minimize")
def minimize(tf: TensorFlow, receiver: Value, args: Args, node: nodes.Call) -> Value | None:
    loss = args.get(0, "loss")
    if loss is None or isinstance(loss, Const | Instance) or isinstance(receiver, Instance):
        return None
    tf.program.differentiated.add(tf.recorder.graph)
    symbol = symbol_of(loss)
    if isinstance(loss, Function) or (_is_keras_optimizer(receiver) and tf.recorder.tapes):
        return TENSOR
    if not (symbol.batch_norms or _is_optimizer(receiver, node)):
        return None
    scope = _var_list_scope(args.get(None, "var_list"))
    symbol = _differentiated(loss)
    return tf.recorder.train_op(
        node, "minimize", symbol, trainable_scope=scope, trains_some=_given(args, "var_list")
    )


def _is_optimizer(receiver: Value, node: nodes.Call) -> bool:
    if isinstance(receiver, Object):
        return receiver.kind == "optimizer"
    words = text_of(node)
    return any(word in words for word in ("opt", "adam", "sgd", "trainer", "solver"))


@handles_method("compute_gradients")
def compute_gradients(
    tf: TensorFlow, receiver: Value, args: Args, node: nodes.Call
) -> Value | None:
    tf.program.differentiated.add(tf.recorder.graph)
    loss = args.get(0, "loss")
    variables_ = args.get(None, "var_list")
    scope = _var_list_scope(variables_)
    tags = frozenset([f"scope:{scope}"]) if scope else frozenset()
    if _given(args, "var_list"):
        tags |= {"trains some"}
    symbol = _differentiated(loss)
    pair = tf.op(symbol.replace(tags=symbol.tags | tags))
    return ListValue((ListValue((pair, TENSOR)),))


@handles("tensorflow.gradients")
def gradients(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    sources = args.get(1, "xs")
    if not _is_input(sources):
        tf.program.differentiated.add(tf.recorder.graph)
    scope = _var_list_scope(sources)
    symbol = tf.op(_differentiated(args.get(0, "ys")))
    tags = {f"scope:{scope}"} if scope else set()
    if "variables:trainable_variables" not in symbol_of(sources).tags or scope:
        tags.add("trains some")
    return symbol.replace(tags=symbol.tags | tags)


def _is_input(value: Value | None) -> bool:
    """A placeholder: its gradient explains or attacks a prediction, it does not train."""
    kinds = (FlagKind.PLACEHOLDER, FlagKind.PLACEHOLDER_WITH_DEFAULT)
    inputs = [item.flag for item in list_of(value) if isinstance(item, Symbol)]
    return bool(inputs) and all(flag is not None and flag.kind in kinds for flag in inputs)


def _models(gradient: Symbol) -> set[int]:
    """The Keras models whose variables these gradients are of."""
    return {int(tag[len("model:") :]) for tag in gradient.tags if tag.startswith("model:")}


@handles_method("apply_gradients")
def apply_gradients(tf: TensorFlow, receiver: Value, args: Args, node: nodes.Call) -> Value | None:
    if isinstance(receiver, Instance):
        return None
    gradient = symbol_of(args.get(0, "grads_and_vars"))
    tf.program.differentiated.add(tf.recorder.graph)
    if gradient.tape is not None:
        gradient.tape.slots["trained"] |= _models(gradient)
        return TENSOR
    if not (gradient.batch_norms or _is_optimizer(receiver, node)):
        return None
    if _is_keras_optimizer(receiver):
        return TENSOR
    return tf.recorder.train_op(
        node, "apply_gradients", gradient, trainable_scope=_var_list_scope(gradient),
        trains_some="trains some" in gradient.tags,
    )  # fmt: skip


def _attached(tf: TensorFlow, value: Value | None, node: nodes.Call) -> tuple[str, Symbol]:
    """(how update_ops was given, the ops that are attached)."""
    if value is None:
        return "default", _read_by_library(tf, UPDATE_OPS, node)
    if isinstance(value, External) or (isinstance(value, Const) and value.value is None):
        # None means the default for optimize_loss, create_train_op's marker object likewise.
        return _attached(tf, None, node)
    if isinstance(value, ListValue) and not value.items and value.rest is None:
        return "empty", TENSOR
    symbol = symbol_of(value)
    return ("unknown" if symbol.unknown else "given"), symbol


@handles("slim.learning.create_train_op", "slim.training.create_train_op")
def create_train_op(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    tf.program.differentiated.add(tf.recorder.graph)
    # tf.contrib.training and slim.learning agree on the first three parameters.
    given = args.get(3, "update_ops")
    how, updates = _attached(tf, given, node)
    if args.rest is not None:
        how, updates = "unknown", updates.replace(incomplete=True)
    loss = symbol_of(args.get(0, "total_loss"))
    scope = _var_list_scope(args.get(None, "variables_to_train"))
    return tf.recorder.train_op(
        node, "create_train_op", loss, update_ops_argument=how, updates=updates,
        trainable_scope=scope, trains_some=_given(args, "variables_to_train"),
    )  # fmt: skip


@handles("slim.optimize_loss")
def optimize_loss(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    tf.program.differentiated.add(tf.recorder.graph)
    how, updates = _attached(tf, args.get(8, "update_ops"), node)
    if args.rest is not None:
        how, updates = "unknown", updates.replace(incomplete=True)
    loss = symbol_of(args.get(0, "loss"))
    return tf.recorder.train_op(
        node, "optimize_loss", loss, update_ops_argument=how, updates=updates,
        trains_some=_given(args, "variables"),
    )  # fmt: skip


# --- running -------------------------------------------------------------------------------


@handles(
    "tensorflow.Session", "tensorflow.InteractiveSession", "tensorflow.train.MonitoredSession",
    "tensorflow.train.MonitoredTrainingSession", "tensorflow.train.SingularMonitoredSession",
    "tensorflow.get_default_session", "keras.backend.get_session",
)  # fmt: skip
def session(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    chosen = args.get(1, "graph")
    number = chosen.slots["graph"] if isinstance(chosen, Object) and chosen.kind == "graph" else -1
    # A hook may feed (tf.train.FeedFnHook and the user's own).
    return Object("session", graph=number, hooks=_given(args, "hooks"))


@handles_method("managed_session", "prepare_or_wait_for_session", "test_session", "cached_session")
def managed_session(tf: TensorFlow, receiver: Value, args: Args, node: nodes.Call) -> Value | None:
    return Object("session", graph=-1)


@handles_method("run")
def run(tf: TensorFlow, receiver: Value, args: Args, node: nodes.Call) -> Value | None:
    """Session.run, or Operation.run on an op."""
    if isinstance(receiver, Instance):
        return None
    if isinstance(receiver, Symbol) and not receiver.unknown and receiver.train_ops:
        _record_run(tf, receiver, args.get(0, "feed_dict"), node)
        return NONE
    fetches = args.get(0, "fetches")
    is_session = isinstance(receiver, Object) and receiver.kind == "session"
    if fetches is None or not (is_session or "sess" in text_of(node)):
        return None
    return _run(tf, receiver, fetches, args.get(1, "feed_dict"), node)


def _run(
    tf: TensorFlow, receiver: Value, fetches: Value, feeds: Value | None, node: nodes.Call
) -> Value:
    outer = tf.recorder.graph
    if isinstance(receiver, Object) and receiver.slots.get("graph", -1) >= 0:
        tf.recorder.graph = receiver.slots["graph"]
    hooks = isinstance(receiver, Object) and receiver.slots.get("hooks") is True
    _record_run(tf, fetches, feeds, node, others_may_feed=hooks)
    tf.recorder.graph = outer
    return UNKNOWN.replace(unknown=False)


@handles_method("eval")
def evaluate_tensor(tf: TensorFlow, receiver: Value, args: Args, node: nodes.Call) -> Value | None:
    if isinstance(receiver, Symbol) and receiver.batch_norms:
        _record_run(tf, receiver, args.get(0, "feed_dict"), node)
        return UNKNOWN.replace(unknown=False)
    return None


def _record_run(
    tf: TensorFlow,
    fetches: Value,
    feeds: Value | None,
    node: nodes.Call,
    others_may_feed: bool = False,
) -> None:
    clues = [
        *data_clues(feeds, node),
        *function_clues(tf.interpreter.frames, tf.script),
        *result_clues(tf.interpreter.statement, node),
    ]
    tf.recorder.session_run(node, fetches, feeds, others_may_feed=others_may_feed, clues=clues)


@handles("slim.learning.train", "slim.training.train")
def learning_train(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    fetched = args.get(0, "train_op")
    if fetched is not None:
        own_step = args.get(None, "train_step_fn") is not None
        tf.recorder.session_run(node, fetched, None, others_may_feed=own_step)
    if args.get(None, "init_fn") is not None:
        tf.recorder.loaded(tf.recorder.graph)
    steps = constant(args.get(None, "number_of_steps"), int)
    if steps:
        event = TrainingLength(steps, tf.recorder.here(node), tf.interpreter.tick())
        tf.program.training_lengths.append(event)
    saver = args.get(None, "saver")
    if isinstance(saver, Object) and saver.kind == "saver":
        saver.slots["event"].saves.append(tf.recorder.here(node))
    return NONE


@handles(
    "slim.evaluation.evaluate_once", "slim.evaluation.evaluation_loop",
    "slim.evaluation.evaluate_repeatedly", "slim.training.evaluate_once",
    "slim.training.evaluate_repeatedly",
)  # fmt: skip
def evaluate(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    norms = [norm for norm in tf.program.batch_norms if norm.graph == tf.recorder.graph]
    if norms and not tf.program.train_ops:
        tf.recorder.evaluation(tf.recorder.here(node), "slim.evaluation", norms)
    return UNKNOWN


@handles(
    "tensorflow.saved_model.simple_save", "tensorflow.graph_util.convert_variables_to_constants",
    "tensorflow.saved_model.save",
)  # fmt: skip
def export(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    place = (tf.recorder.here(node), tf.recorder.graph, tf.interpreter.tick())
    tf.program.exports.append(place)
    return UNKNOWN


@handles_method("add_meta_graph_and_variables")
def add_meta_graph(tf: TensorFlow, receiver: Value, args: Args, node: nodes.Call) -> Value | None:
    return export(tf, args, node)


@handles(
    "tensorflow.estimator.EstimatorSpec", "tensorflow.estimator.tpu.TPUEstimatorSpec",
    "tensorflow.contrib.tpu.TPUEstimatorSpec", "tensorflow.contrib.learn.ModelFnOps",
)  # fmt: skip
def estimator_spec(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    tf.program.uses_estimator = True
    mode = constant(args.get(0, "mode"), str)
    train_op = args.get(3, "train_op")
    if mode in (None, "train") and train_op is not None:
        # The Estimator's hooks may feed.
        tf.recorder.session_run(node, train_op, None, others_may_feed=True)
    if mode in ("eval", "infer"):
        outputs = symbol_of(*args.values())
        norms = sorted(outputs.batch_norms, key=lambda norm: norm.time)
        kind = "estimator eval" if mode == "eval" else "estimator predict"
        if norms:
            tf.recorder.evaluation(tf.recorder.here(node), kind, norms)
    return Object("estimator spec", symbol=symbol_of(*args.values()))


@handles(
    "tensorflow.estimator.Estimator", "tensorflow.estimator.tpu.TPUEstimator",
    "tensorflow.contrib.tpu.TPUEstimator", "tensorflow.contrib.learn.Estimator",
)  # fmt: skip
def estimator(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    tf.program.uses_estimator = True
    model_fn = args.get(0, "model_fn")
    if model_fn is not None:
        tf.model_fns.append((model_fn, args.get(None, "params") or UNKNOWN))
    return Object("estimator")


# --- variables and savers ------------------------------------------------------------------


def variables(kind: str, scope: str | None = None) -> Symbol:
    """A list of variables by collection, with a scope filter."""
    tags = {f"variables:{kind}"}
    if scope:
        tags.add(f"scope:{scope}")
    return Symbol(tags=frozenset(tags))


def _variables_handler(
    kind: str, position: int = 0
) -> Callable[[TensorFlow, Args, nodes.Call], Value]:
    def handler(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
        name, unknown = scope_name(args.get(position, "scope"))
        symbol = variables(kind, name)
        return symbol.replace(incomplete=unknown)

    return handler


handles("tensorflow.trainable_variables", "slim.get_trainable_variables")(
    _variables_handler("trainable_variables")
)
handles(
    "tensorflow.global_variables", "tensorflow.all_variables", "slim.get_variables",
    "slim.get_model_variables", "tensorflow.model_variables",
)(_variables_handler("variables"))  # fmt: skip


@handles("slim.get_variables_to_restore")
def variables_to_restore(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    texts = [constant(item, str) or "" for item in list_of(args.get(1, "exclude"))]
    symbol = variables("variables")
    if any("moving" in text for text in texts):
        return symbol.replace(tags=symbol.tags | {"drops moving"})
    return symbol


def _selection(tf: TensorFlow, value: Value | None, node: nodes.Node) -> VariableSelection:
    location = tf.recorder.here(node)
    if value is None or (isinstance(value, Const) and value.value is None):
        return VariableSelection("all", location)
    symbol = symbol_of(value)
    kinds = {tag for tag in symbol.tags if tag.startswith("variables:")}
    if "drops moving" in symbol.tags:
        return VariableSelection("filtered-moving", location)
    if isinstance(value, Choice) or symbol.unknown or not kinds:
        return VariableSelection("unknown", location)
    if kinds == {"variables:trainable_variables"}:
        known = not (isinstance(value, ListValue) and value.items)
        if "keeps moving" in symbol.tags or not known:
            return VariableSelection("unknown", location)
        return VariableSelection("trainable", location)
    if kinds == {"variables:variables"} and "filtered" not in symbol.tags:
        return VariableSelection("all", location)
    if "keeps moving" in symbol.tags and "variables:trainable_variables" in kinds:
        return VariableSelection("trainable-plus-moving", location)
    return VariableSelection("unknown", location)


def _left_out(tf: TensorFlow, selection: VariableSelection) -> list[BatchNorm]:
    """The batch norms of the graph, but those whose statistics a trainable selection holds."""
    return [
        norm
        for norm in tf.program.batch_norms
        if norm.graph == tf.recorder.graph
        and not (norm.statistics_trainable and selection.kind == "trainable")
    ]


@handles("tensorflow.train.Saver")
def saver(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    value = args.get(0, "var_list")
    keyword = "var_list" if "var_list" in args.keywords else "" if args.positional else None
    selection = _selection(tf, value, node)
    norms = _left_out(tf, selection)
    event = Saver(
        location=tf.recorder.here(node), selection=selection, saves=[],
        restores=[], batch_norms=norms, other_full_saver=False, tf_name=tf.recorder.tf_name(),
        var_list_keyword=keyword, graph=tf.recorder.graph,
        conditional=tf.recorder.conditional, time=tf.interpreter.tick(),
    )  # fmt: skip
    tf.program.savers.append(event)
    return Object("saver", event=event)


def _saver_save(tf: TensorFlow, owner: Object, args: Args, node: nodes.Call) -> Value:
    owner.slots["event"].saves.append(tf.recorder.here(node))
    return UNKNOWN


def _saver_restore(tf: TensorFlow, owner: Object, args: Args, node: nodes.Call) -> Value:
    event = owner.slots["event"]
    event.restores.append(tf.recorder.here(node))
    _restored(tf, event.graph)
    return NONE


OBJECT_METHODS["saver", "save"] = _saver_save
OBJECT_METHODS["saver", "restore"] = _saver_restore


def _restored(tf: TensorFlow, graph: int) -> None:
    tf.program.restored.add(graph)
    tf.recorder.loaded(graph)


@handles_method("restore")
def restore(tf: TensorFlow, receiver: Value, args: Args, node: nodes.Call) -> Value | None:
    if "sav" in text_of(node) or "restor" in text_of(node):
        _restored(tf, tf.recorder.graph)
        return NONE
    return None


@handles_method("load_weights", "load_pretrained", "load_npz", "set_weights")
def load_weights(tf: TensorFlow, receiver: Value, args: Args, node: nodes.Call) -> Value | None:
    if not isinstance(receiver, Instance):
        tf.recorder.loaded(tf.recorder.graph)
    return None


@handles("tensorflow.train.Supervisor", "tensorflow.train.Scaffold")
def supervisor(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    given = args.get(None, "saver")
    if isinstance(given, Object) and given.kind == "saver":
        given.slots["event"].saves.append(tf.recorder.here(node))
    return Object("supervisor")


@handles(
    "tensorflow.train.init_from_checkpoint", "slim.init_from_checkpoint",
    "slim.assign_from_checkpoint", "slim.assign_from_checkpoint_fn", "slim.assign_from_values",
    "slim.assign_from_values_fn", "tensorflow.import_graph_def",
    "tensorflow.train.import_meta_graph",
    "tensorflow.saved_model.loader.load", "tensorflow.saved_model.load",
)  # fmt: skip
def init_from_checkpoint(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    _restored(tf, tf.recorder.graph)
    position = 1 if "from_checkpoint" in nodes.dotted(node.func) else 0
    value = args.get(position, "var_list", "assignment_map")
    if value is not None and "assign_from_checkpoint" in nodes.dotted(node.func):
        place = tf.recorder.here(node)
        selection = _selection(tf, value, node)
        norms = _left_out(tf, selection)
        event = Saver(
            location=place, selection=selection, saves=[], restores=[place],
            batch_norms=norms, other_full_saver=False, tf_name=tf.recorder.tf_name(),
            var_list_keyword=None, graph=tf.recorder.graph,
            conditional=tf.recorder.conditional, time=tf.interpreter.tick(),
        )  # fmt: skip
        tf.program.savers.append(event)
    return UNKNOWN


# --- data loaders and loops that call back -------------------------------------------------


@handles("tensorflow.train.TrainSpec")
def train_spec(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    steps = constant(args.get(1, "max_steps"), int)
    if steps:
        event = TrainingLength(steps, tf.recorder.here(node), tf.interpreter.tick())
        tf.program.training_lengths.append(event)
    return Object("train spec")


@handles("tensorflow.while_loop", "tensorflow.map_fn", "tensorflow.scan")
def loops(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    results: list[Value] = []
    for value in args.positional[:2]:
        if isinstance(value, Function):
            inputs = [symbol_of(*args.positional)] * len(value.definition.params)
            results.append(tf.call_value(value, _args(*inputs), node))
    return tf.op(*args.values(), *results)


@handles_method("map", "flat_map", "interleave", "filter", "apply", "batch", "shuffle", "repeat")
def dataset_method(tf: TensorFlow, receiver: Value, args: Args, node: nodes.Call) -> Value | None:
    """tf.data pipelines carry no batch norm."""
    if isinstance(receiver, Symbol | Object | Method) and "dataset" in text_of(node):
        return Symbol(incomplete=True)
    return None


def _plain(tf: TensorFlow, manager: Object, node: nodes.With) -> tuple[Value, Leave]:
    return manager, _nothing


CONTEXTS["plain context"] = _plain
