"""`BatchNormHook` in real training of small nets on scikit-learn's digits."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("sklearn")

import tensorflow as tf
from sklearn.datasets import load_digits

from bnlint import BatchNormHook, slim
from bnlint.findings import Finding
from bnlint.runtime.monitor.statistics import BatchNormWarning

pytestmark = pytest.mark.tensorflow
v1 = tf.compat.v1

DIGITS, LABELS = load_digits(return_X_y=True)
DIGITS = DIGITS.astype(np.float32)


@pytest.fixture(autouse=True)
def graph() -> Iterator[Any]:
    with tf.Graph().as_default() as graph:
        v1.set_random_seed(1)
        yield graph


class Net:
    """One batch norm; `train_op` and the placeholders it needs."""

    def __init__(self, *, updates: bool, decay: float = 0.9, training: Any = None) -> None:
        self.images = v1.placeholder(tf.float32, [None, 64], name="images")
        self.classes = v1.placeholder(tf.int64, [None], name="classes")
        self.is_training = v1.placeholder(tf.bool, [], name="is_training")
        net = slim.fully_connected(
            self.images,
            16,
            normalizer_fn=slim.batch_norm,
            normalizer_params={
                "is_training": self.is_training if training is None else training,
                "decay": decay,
            },
        )
        logits = slim.fully_connected(net, 10, activation_fn=None)
        loss = v1.losses.sparse_softmax_cross_entropy(self.classes, logits)
        optimizer = v1.train.AdamOptimizer(1e-2)
        self.accuracy = tf.reduce_mean(
            tf.cast(tf.equal(tf.argmax(logits, 1), self.classes), tf.float32)
        )
        if updates:
            self.train_op = slim.learning.create_train_op(loss, optimizer, check_numerics=False)
        else:
            self.train_op = optimizer.minimize(loss)

    def feed(self, step: int, training: bool = True) -> dict[Any, Any]:
        rows = np.arange(step * 32, step * 32 + 32) % len(DIGITS)
        return {
            self.images: DIGITS[rows],
            self.classes: LABELS[rows],
            self.is_training: training,
        }


def train(
    net: Net,
    hook: Any,
    steps: int = 30,
    feed: Callable[[int], dict[Any, Any]] | None = None,
    fetches: Any = None,
) -> int:
    """Steps that ran."""
    ran = 0
    with v1.train.MonitoredTrainingSession(hooks=[hook]) as session:
        while ran < steps and not session.should_stop():
            session.run(net.train_op if fetches is None else fetches, (feed or net.feed)(ran))
            ran += 1
    return ran


def hook_of(found: list[Finding], **options: Any) -> Any:
    return BatchNormHook(on_finding=found.append, **options)


def codes(found: list[Finding]) -> list[str]:
    return [finding.code for finding in found]


def test_a_lost_update_is_found_at_the_first_step() -> None:
    found: list[Finding] = []
    net = Net(updates=False)
    hook = hook_of(found)
    assert train(net, hook, steps=1) == 1
    assert codes(found) == ["BN101"]
    assert hook.findings == found and hook.report is not None
    assert hook.report.train_ops


def test_a_lost_update_is_told_only_once() -> None:
    found: list[Finding] = []
    train(Net(updates=False), hook_of(found, overhead=1.0), steps=40)
    assert codes(found) == ["BN101"]


def test_a_healthy_training_is_silent() -> None:
    net = Net(updates=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", BatchNormWarning)
        train(net, BatchNormHook(overhead=1.0), steps=200)


def test_the_default_is_a_warning() -> None:
    with pytest.warns(BatchNormWarning, match="BN101"):
        train(Net(updates=False), BatchNormHook(), steps=1)


def test_stop() -> None:
    assert train(Net(updates=False), hook_of([], stop=True), steps=50) == 1


def test_inference_mode_during_training_is_found() -> None:
    """The updates hang on the train op, but `is_training` is False in every step."""
    found: list[Finding] = []
    net = Net(updates=True)
    train(net, hook_of(found, overhead=1.0), steps=30, feed=lambda step: net.feed(step, False))
    assert codes(found) == ["BN205", "BN101"]
    assert "still at their initial 0 and 1" in found[1].message
    assert found[1].location.node == "fully_connected/BatchNorm/moving_mean"


def test_a_decay_too_slow_is_told_at_the_end() -> None:
    found: list[Finding] = []
    train(Net(updates=True, decay=0.999), hook_of(found), steps=60)
    assert codes(found) == ["BN303"]


def test_nan_statistics_are_told_when_they_appear() -> None:
    found: list[Finding] = []
    net = Net(updates=True)

    def feed(step: int) -> dict[Any, Any]:
        values = net.feed(step)
        if step >= 5:
            values[net.images] = np.full((32, 64), np.nan, np.float32)
        return values

    ran = train(net, hook_of(found, overhead=1.0, stop=True), steps=50, feed=feed)
    assert codes(found) == ["BN502"] and ran == 6


def test_updates_fetched_beside_the_train_op_are_fine() -> None:
    found: list[Finding] = []
    net = Net(updates=False)
    updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
    train(net, hook_of(found), steps=20, fetches={"train": net.train_op, "updates": updates})
    assert found == []


def test_evaluation_runs_are_no_training_steps() -> None:
    found: list[Finding] = []
    net = Net(updates=False)
    hook = hook_of(found)
    train(net, hook, steps=3, fetches=net.accuracy, feed=lambda step: net.feed(step, False))
    assert found == [] and hook.report is None


@pytest.mark.parametrize(
    ("training", "same_batch", "expected"),
    [(True, False, ["BN201"]), (True, True, []), (False, False, [])],
)
def test_an_evaluation_in_training_mode(
    training: bool, same_batch: bool, expected: list[str]
) -> None:
    """Metrics of the batch that was just trained on are no evaluation."""
    found: list[Finding] = []
    net = Net(updates=True)
    hook = hook_of(found, overhead=0.0)
    trained, other = net.feed(0), net.feed(1)
    with v1.train.MonitoredSession(hooks=[hook]) as session:
        for _ in range(3):
            session.run(net.train_op, trained)
        fed = {**(trained if same_batch else other), net.is_training: training}
        session.run(net.accuracy, fed)
    assert codes(found) == expected


@pytest.mark.parametrize("restored", [False, True])
def test_training_in_inference_mode(restored: bool) -> None:
    """Statistics that were restored may be kept on purpose."""
    found: list[Finding] = []
    net = Net(updates=True, training=False)
    (mean,) = [one for one in v1.global_variables() if "moving_mean" in one.name]
    with v1.train.MonitoredSession(hooks=[hook_of(found, overhead=0.0)]) as session:
        if restored:
            session.run(mean.initializer, {mean.initializer.inputs[1]: np.full(16, 0.5)})
        session.run(net.train_op, net.feed(0))
    # The placeholder that is fed and that nothing reads is another mistake (BN205).
    assert ("BN204" in codes(found)) is not restored


def test_ever_new_fetches_are_told_apart() -> None:
    found: list[Finding] = []
    net = Net(updates=False)
    values = [tf.constant(number) for number in range(80)]
    hook = hook_of(found)
    with v1.train.MonitoredTrainingSession(hooks=[hook]) as session:
        for value in values:
            session.run([value, value], net.feed(0))
        assert hook.report is None
        for value in values:
            session.run({"train": net.train_op, "value": value}, net.feed(0))
    assert codes(found) == ["BN101"]


def test_each_train_op_of_a_gan_is_inspected() -> None:
    found: list[Finding] = []
    with v1.variable_scope("good"):
        good = Net(updates=True)
    with v1.variable_scope("bad"):
        # Fetched at every second step, after the good one.
        bad = Net(updates=False)
    hook = hook_of(found)
    with v1.train.MonitoredTrainingSession(hooks=[hook]) as session:
        for step in range(4):
            session.run(good.train_op, good.feed(step))
            if step:
                session.run(bad.train_op, bad.feed(step))
    assert codes(found) == ["BN101"] and "'bad/Adam'" in found[0].message


def test_a_named_train_op() -> None:
    found: list[Finding] = []
    net = Net(updates=False)
    train(net, hook_of(found, train_op=net.train_op.name), steps=2)
    assert codes(found) == ["BN101"]


def test_a_plain_session_is_watched_by_hand() -> None:
    """What `bnlint run` does without a monitored session."""
    from bnlint.runtime.monitor.session import SessionMonitor

    found: list[Finding] = []
    net = Net(updates=False)
    monitor = SessionMonitor(found.append)
    with v1.Session() as session:
        init = v1.global_variables_initializer()
        assert not monitor.before_run(session.graph, init, None, session)
        session.run(init)
        assert monitor.before_run(session.graph, [net.train_op], net.feed(0), session)
        with tf.Graph().as_default() as other:
            tf.constant(1.0, name="other")
            assert not monitor.before_run(other, "other:0", None, session)
    assert codes(found) == ["BN101"]


def test_a_failing_inspection_does_not_end_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    from bnlint.runtime import inspect

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken inspector")

    monkeypatch.setattr(inspect, "inspect_graph", fail)
    with pytest.warns(BatchNormWarning, match="broken inspector"):
        assert train(Net(updates=False), BatchNormHook(), steps=5) == 5


def test_the_hook_adds_nothing_to_the_graph(graph: Any) -> None:
    net = Net(updates=True)
    with v1.train.MonitoredTrainingSession() as session:
        session.run(net.train_op, net.feed(0))
    size = len(graph.get_operations())
    graph._unsafe_unfinalize()
    train(net, hook_of([], overhead=1.0), steps=20)
    assert len(graph.get_operations()) - size <= 10  # the second session's own


def test_slim_learning_train_style_loop_learns_while_watched() -> None:
    """The watched net's inference works: statistics moved as they do without the hook."""
    net = Net(updates=True)
    hook = hook_of([], overhead=1.0)
    with v1.train.MonitoredTrainingSession(hooks=[hook]) as session:
        for step in range(150):
            session.run(net.train_op, net.feed(step))
        accuracy = session.run(
            net.accuracy,
            net.feed(0, False) | {net.images: DIGITS[1000:], net.classes: LABELS[1000:]},
        )
    assert accuracy > 0.8 and hook.findings == []
