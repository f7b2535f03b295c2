"""`bnlint.inspect_graph` on live graphs: reachability through control flow and function bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

import bnlint
from bnlint.runtime.graph.table import GraphError, UnknownNode

pytestmark = pytest.mark.tensorflow
v1 = tf.compat.v1
UPDATES = v1.GraphKeys.UPDATE_OPS


@pytest.fixture(autouse=True, params=["control flow v1", "control flow v2"])
def graph(request: pytest.FixtureRequest) -> Iterator[tf.Graph]:
    """An empty graph, once for Switch and Merge and once for If and While."""
    was = v1.control_flow_v2_enabled()
    (v1.enable_control_flow_v2 if "v2" in request.param else v1.disable_control_flow_v2)()
    with tf.Graph().as_default() as made:
        yield made
    (v1.enable_control_flow_v2 if was else v1.disable_control_flow_v2)()


def variables(name: str) -> list[Any]:
    with v1.variable_scope(name, reuse=v1.AUTO_REUSE, use_resource=True):
        return [
            v1.get_variable("gamma", [3], initializer=v1.ones_initializer()),
            v1.get_variable("beta", [3], initializer=v1.zeros_initializer()),
            v1.get_variable("moving_mean", [3], trainable=False),
            v1.get_variable("moving_variance", [3], trainable=False),
        ]


def normalized(x: Any, moving: list[Any], training: bool) -> tuple[Any, Callable[[], list[Any]]]:
    """Output, and what makes the update ops."""
    gamma, beta, mean, variance = moving
    if not training:
        return v1.nn.fused_batch_norm(x, gamma, beta, mean, variance, is_training=False)[0], list
    y, batch_mean, batch_variance = v1.nn.fused_batch_norm(x, gamma, beta, is_training=True)
    pairs = ((mean, batch_mean), (variance, batch_variance))
    return y, lambda: [one.assign_sub((one - batch) * 0.1).op for one, batch in pairs]


def batch_norm(x: Any, name: str = "bn") -> tuple[Any, list[Any]]:
    y, updates = normalized(x, variables(name), True)
    return y, updates()


def images() -> Any:
    return v1.placeholder(tf.float32, [8, 4, 4, 3], "x")


def minimize(y: Any, *before: Any) -> Any:
    optimizer = v1.train.GradientDescentOptimizer(0.1)
    with tf.control_dependencies(list(before)):
        return optimizer.minimize(tf.reduce_mean(tf.square(y)), name="train")


def codes(graph: Any, *args: Any, **kwargs: Any) -> list[str]:
    return [one.code for one in bnlint.inspect_graph(graph, *args, **kwargs).findings]


# --- train op, fetches, feeds ----------------------------------------------------------------


def test_updates_attached_and_not(graph: tf.Graph) -> None:
    y, updates = batch_norm(images())
    bare = minimize(y)
    with tf.control_dependencies([bare, *updates]):
        whole = tf.no_op("whole")
    assert codes(graph, bare) == ["BN101"]
    assert codes(graph, "train") == ["BN101"]
    assert codes(graph, whole) == []
    report = bnlint.inspect_graph(graph, whole)
    assert set(report.reached_updates["whole"]) == {one.name for one in updates}


def test_fetches_settle_it(graph: tf.Graph) -> None:
    y, updates = batch_norm(images())
    train = minimize(y)
    assert codes(graph, fetches=[train, updates]) == []
    (found,) = bnlint.inspect_graph(graph, fetches={"train": train, "loss": y}).findings
    assert found.code == "BN101" and found.confidence.value == "high"
    assert codes(graph, fetches=y) == []


def test_graph_def_and_meta_graph(graph: tf.Graph) -> None:
    minimize(batch_norm(images())[0])
    assert codes(graph.as_graph_def()) == ["BN101"]
    assert codes(v1.train.export_meta_graph(graph=graph)) == ["BN101"]


def test_a_custom_collection(graph: tf.Graph) -> None:
    y, updates = batch_norm(images())
    for one in updates:
        v1.add_to_collection("my_updates", one)
    minimize(y)
    assert codes(graph) == ["BN107"]


def test_an_optimizer_of_ones_own(graph: tf.Graph) -> None:
    y, updates = batch_norm(images())
    (gradient,) = tf.gradients(y, v1.trainable_variables()[:1])
    train = v1.trainable_variables()[0].assign_sub(gradient).op
    assert codes(graph) == ["BN101"]
    assert codes(graph, train) == ["BN101"]
    assert codes(graph, [train, *updates]) == []


def test_what_is_not_there(graph: tf.Graph) -> None:
    batch_norm(images())
    with pytest.raises(UnknownNode):
        bnlint.inspect_graph(graph, "nothing")
    with pytest.raises(TypeError):
        bnlint.inspect_graph(object())
    broken = graph.as_graph_def()
    broken.node[-1].input.append("nowhere")
    with pytest.raises(GraphError):
        bnlint.inspect_graph(broken)


# --- conditionals ----------------------------------------------------------------------------


def switched(training: Any, attached: bool) -> Any:
    """A batch norm in `tf.cond`, its updates in the training branch."""
    x, moving = images(), variables("bn")

    def train() -> Any:
        y, updates = normalized(x, moving, True)
        if not attached:
            return y
        with tf.control_dependencies(updates()):
            return tf.identity(y)

    return tf.cond(training, train, lambda: normalized(x, moving, False)[0])


def test_updates_in_a_branch_are_reached(graph: tf.Graph) -> None:
    training = v1.placeholder(tf.bool, [], "is_training")
    minimize(switched(training, True))
    report = bnlint.inspect_graph(graph)
    assert report.findings == []
    (one,) = report.batch_norms
    assert one.mode_text == "switched on is_training:0, must be fed" and len(one.update_ops) == 2


def test_the_default_is_read(graph: tf.Graph) -> None:
    training = v1.placeholder_with_default(False, [], "is_training")
    train = minimize(switched(training, True))
    (one,) = bnlint.inspect_graph(graph).batch_norms
    assert one.mode == "switched" and one.default is False
    assert codes(graph, fetches=train, feeds=["x"]) == ["BN205"]
    assert codes(graph, fetches=train, feeds={"x": None, training: True}) == []


def test_an_inverted_flag(graph: tf.Graph) -> None:
    evaluating = v1.placeholder_with_default(True, [], "is_eval")
    switched(tf.logical_not(evaluating), True)
    (one,) = bnlint.inspect_graph(graph).batch_norms
    assert one.switch == "is_eval:0" and one.default is False


@pytest.mark.parametrize("attached", [True, False])
def test_updates_in_a_conditional_of_their_own(graph: tf.Graph, attached: bool) -> None:
    """`tf.layers` with a placeholder: forward pass and updates are two conditionals."""
    training = v1.placeholder(tf.bool, [], "is_training")
    x, moving = images(), variables("bn")
    gamma, beta, mean, variance = moving

    def train() -> Any:
        return v1.nn.fused_batch_norm(x, gamma, beta, is_training=True)

    def infer() -> Any:
        return v1.nn.fused_batch_norm(x, gamma, beta, mean, variance, is_training=False)

    y, batch_mean, batch_variance = tf.cond(training, train, infer)
    rate = tf.cond(training, lambda: 0.1, lambda: 0.0)
    updates = [
        one.assign_sub((one - batch) * rate).op
        for one, batch in ((mean, batch_mean), (variance, batch_variance))
    ]
    minimize(y, *(updates if attached else ()))
    assert codes(graph) == ([] if attached else ["BN101"])


# --- loops -----------------------------------------------------------------------------------


@pytest.mark.parametrize("attached", [True, False])
def test_a_batch_norm_inside_a_loop(graph: tf.Graph, attached: bool) -> None:
    moving = variables("bn")

    def body(step: Any, x: Any) -> Any:
        y, updates = normalized(x, moving, True)
        if not attached:
            return step + 1, y
        with tf.control_dependencies(updates()):
            return step + 1, tf.identity(y)

    _, y = v1.while_loop(lambda step, _: step < 3, body, [0, images()])
    train = minimize(y)
    report = bnlint.inspect_graph(graph, train)
    # Without update ops nothing tells this batch norm from others: no finding is made of it.
    assert report.findings == []
    reached = report.reached_updates["train"]
    assert len(reached) == (2 if attached else 0)


def test_a_train_op_inside_a_loop(graph: tf.Graph) -> None:
    x = images()
    y, updates = batch_norm(x)

    def body(step: Any) -> Any:
        with tf.control_dependencies([y]):
            return step + 1

    (last,) = [v1.while_loop(lambda step: step < 3, body, [0])]
    with tf.control_dependencies([last]):
        train = minimize(y)
    assert codes(graph, train) == ["BN101"]
    with tf.control_dependencies([train, *updates]):
        assert codes(graph, tf.no_op("all")) == []


# --- functions -------------------------------------------------------------------------------


@pytest.mark.parametrize("updating", [True, False])
def test_a_net_in_a_function(graph: tf.Graph, updating: bool) -> None:
    """A `tf.function` called from a graph runs its updates (PartitionedCall), or has none."""
    moving = variables("bn")

    @tf.function
    def net(x: Any) -> Any:
        y, updates = normalized(x, moving, True)
        if updating:
            updates()
        return tf.square(y)

    train = minimize(net(images()))
    report = bnlint.inspect_graph(graph, train)
    assert report.findings == []
    assert len(report.reached_updates["train"]) == (2 if updating else 0)
    (one,) = report.batch_norms
    assert one.mode == "train" and one.function


def test_updates_in_a_function_that_nothing_calls_in_training(graph: tf.Graph) -> None:
    moving = variables("bn")
    y, updates = normalized(images(), moving, True)
    batch = y.op.outputs[1:3]
    del updates

    @tf.function
    def update(mean: Any, variance: Any) -> None:
        moving[2].assign_sub((moving[2] - mean) * 0.1)
        moving[3].assign_sub((moving[3] - variance) * 0.1)

    update(*batch)
    calls = [one for one in graph.get_operations() if "PartitionedCall" in one.type]
    train = minimize(y)
    assert codes(graph, train) == ["BN101"]
    assert codes(graph, [train, *calls]) == []


def test_a_deep_chain_of_functions_ends(graph: tf.Graph) -> None:
    moving = variables("bn")

    def layer(depth: int) -> Callable[[Any], Any]:
        @tf.function
        def call(x: Any) -> Any:
            if depth:
                return layer(depth - 1)(x)
            y, updates = normalized(x, moving, True)
            updates()
            return tf.square(y)

        return call

    train = minimize(layer(6)(images()))
    report = bnlint.inspect_graph(graph, train)
    assert report.findings == [] and len(report.reached_updates["train"]) == 2


def test_shared_statistics_of_two_calls(graph: tf.Graph) -> None:
    """One function called twice: its batch norm is listed once, and updated."""
    moving = variables("bn")

    @tf.function
    def net(x: Any) -> Any:
        y, updates = normalized(x, moving, True)
        updates()
        return tf.square(y)

    train = minimize(net(images()) + net(images()))
    report = bnlint.inspect_graph(graph, train)
    assert report.findings == [] and len(report.batch_norms) == 1
