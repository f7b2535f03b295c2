"""Sessions, slim's training and evaluation loops, exports."""

from __future__ import annotations

from bnlint.analyzer.apis.checkpoints import Saver, initialize
from bnlint.analyzer.apis.clues import (
    branch_clues,
    data_clues,
    function_clues,
    named_clues,
    result_clues,
)
from bnlint.analyzer.apis.graphs_and_scopes import Graph, make_default
from bnlint.analyzer.apis.library import OUT_OF_SIGHT, TensorFlow, text_of
from bnlint.analyzer.apis.registry import Kind, Leave, any_method, api
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.values import (
    NONE,
    UNKNOWN,
    Instance,
    ListValue,
    Symbol,
    Value,
    constant,
)
from bnlint.analyzer.syntax import nodes
from bnlint.program.events import TrainingLength

# --- sessions ------------------------------------------------------------------------------


class Session(Kind):
    """A session of a graph (None: the current one); `hooks`: hooks may feed."""

    def __init__(self, graph: int | None = None, hooks: bool = False) -> None:
        super().__init__()
        self.graph = graph
        self.hooks = hooks

    def enter(self, tf: TensorFlow, node: nodes.With) -> tuple[Value, Leave]:
        """Makes its graph the default one, as Session.__enter__ does."""
        if self.graph is None or self.graph == tf.recorder.graph:
            return self, lambda: None
        return self, make_default(tf, self.graph)


@api(
    "tf.Session", "tf.InteractiveSession", "tf.train.MonitoredSession",
    "tf.train.MonitoredTrainingSession", "tf.train.SingularMonitoredSession",
    "tf.get_default_session", "keras.backend.get_session",
)  # fmt: skip
def session(tf: TensorFlow, call: Call) -> Value:
    # A hook may feed (tf.train.FeedFnHook and the user's own).
    chosen = call.graph
    return Session(
        chosen.graph if isinstance(chosen, Graph) else None,
        call.given("hooks") and not _feed_nothing(call.hooks),
    )


def _feed_nothing(hooks: Value | None) -> bool:
    """Hooks of the project's own classes without a before_run: only that can feed."""
    return (
        isinstance(hooks, ListValue)
        and hooks.rest is None
        and all(
            isinstance(hook, Instance)
            and not any("before_run" in cls.slots for cls in hook.cls.lineage())
            for hook in hooks.items
        )
    )


@any_method(
    "tf.train.Supervisor.managed_session", "tf.train.Supervisor.prepare_or_wait_for_session",
    "tf.test.TestCase.test_session", "tf.test.TestCase.cached_session",
    signature="*args, **kwargs",
)  # fmt: skip
def managed_session(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    return Session()


@any_method("tf.Operation.run")
def run_operation(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    if isinstance(receiver, Symbol) and not receiver.unknown and receiver.train_ops:
        _record_run(tf, receiver, call.feed_dict, call.node)
        return NONE
    return None


@any_method("tf.Session.run")
def run(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    fetches = call.fetches
    known = isinstance(receiver, Session) or "sess" in text_of(call.node)
    if fetches is None or not known or isinstance(receiver, Instance):
        return None
    outer = tf.recorder.graph
    if isinstance(receiver, Session) and receiver.graph is not None:
        tf.recorder.graph = receiver.graph
    hooks = isinstance(receiver, Session) and receiver.hooks
    _record_run(tf, fetches, call.feed_dict, call.node, others_may_feed=hooks)
    tf.recorder.graph = outer
    return UNKNOWN.replace(unknown=False)


@any_method("tf.Tensor.eval")
def evaluate_tensor(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    if isinstance(receiver, Symbol) and receiver.batch_norms:
        _record_run(tf, receiver, call.feed_dict, call.node)
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
        *data_clues(fetches, feeds, node.args[-1:]),
        *function_clues(tf.interpreter.frames, tf.script),
        *result_clues(tf.interpreter.statement, node),
        *branch_clues(tf.interpreter.around, node),
    ]
    tf.recorder.runs.add(node, fetches, feeds, others_may_feed=others_may_feed, clues=clues)


def _evaluate_out_of_sight(tf: TensorFlow, args: Args, node: nodes.Call) -> None:
    """`faces.validate(session, embeddings)`: runs the outputs that it is given in the session."""
    values = args.values()
    outputs = [item for item in values if isinstance(item, Symbol) and item.batch_norms]
    clues = list(named_clues(nodes.dotted(node.func)))
    if clues and outputs and any(isinstance(item, Session) for item in values):
        tf.recorder.runs.add(
            node, ListValue(tuple(outputs)), UNKNOWN, others_may_feed=True, clues=clues
        )


OUT_OF_SIGHT.append(_evaluate_out_of_sight)


# --- loops of slim and tf.contrib.training -------------------------------------------------


@api("tf.contrib.slim.learning.train", "tf.contrib.training.train")
def learning_train(tf: TensorFlow, call: Call) -> Value:
    if call.train_op is not None:
        own_step = call.train_step_fn is not None
        tf.recorder.runs.add(call.node, call.train_op, None, others_may_feed=own_step)
    initialize(tf, call.init_fn, call)
    record_length(tf, call.number_of_steps, call.node)
    if isinstance(call.saver, Saver):
        call.saver.event.saves.append(tf.recorder.here(call.node))
    return NONE


def record_length(tf: TensorFlow, steps: Value | None, node: nodes.Call) -> None:
    """Training is told to run this number of steps."""
    known = constant(steps, int)
    if known:
        event = TrainingLength(known, tf.recorder.here(node), tf.interpreter.tick())
        tf.program.training_lengths.append(event)


@api(
    "tf.contrib.slim.evaluation.evaluate_once", "tf.contrib.slim.evaluation.evaluation_loop",
    "tf.contrib.slim.evaluation.evaluate_repeatedly", "tf.contrib.training.evaluate_once",
    "tf.contrib.training.evaluate_repeatedly", evaluates=True, ends=True,
)  # fmt: skip
def evaluate(tf: TensorFlow, call: Call) -> Value:
    norms = [norm for norm in tf.program.batch_norms if norm.graph == tf.recorder.graph]
    if norms and not tf.program.train_ops:
        tf.recorder.evaluation(tf.recorder.here(call.node), "slim.evaluation", norms)
    return UNKNOWN


# --- exports -------------------------------------------------------------------------------


@api("tf.saved_model.simple_save", "tf.graph_util.convert_variables_to_constants",
     saves=True, ends=True)  # fmt: skip
def export(tf: TensorFlow, call: Call) -> Value:
    place = (tf.recorder.here(call.node), tf.recorder.graph, tf.interpreter.tick())
    tf.program.exports.append(place)
    return UNKNOWN


@any_method("tf.saved_model.builder.SavedModelBuilder.add_meta_graph_and_variables", saves=True)
def add_meta_graph(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    return export(tf, call)
