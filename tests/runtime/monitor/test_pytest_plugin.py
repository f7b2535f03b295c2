"""The `assert_batch_norm_healthy` fixture, in pytest runs of their own."""

import pytest

pytest.importorskip("tensorflow")

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.tensorflow

GRAPHS = """
    import pytest
    import tensorflow as tf
    from bnlint import slim

    v1 = tf.compat.v1

    def build(fixed):
        with tf.Graph().as_default() as graph:
            net = slim.batch_norm(v1.placeholder(tf.float32, [None, 4]), is_training=True)
            loss = tf.reduce_mean(slim.fully_connected(net, 1))
            optimizer = v1.train.GradientDescentOptimizer(0.1)
            minimize = optimizer.minimize if not fixed else (
                lambda loss: slim.learning.create_train_op(loss, optimizer))
            return graph, minimize(loss)

    def test_broken(assert_batch_norm_healthy):
        assert_batch_norm_healthy(*build(fixed=False))

    def test_fixed(assert_batch_norm_healthy):
        report = assert_batch_norm_healthy(*build(fixed=True))
        assert report.batch_norms and report.train_ops

    def test_accepted(assert_batch_norm_healthy):
        assert_batch_norm_healthy(*build(fixed=False), ignore=["BN1"])

    def test_accepted_by_one_code(assert_batch_norm_healthy):
        assert_batch_norm_healthy(*build(fixed=False), ignore="BN101")

    def test_named_train_op(assert_batch_norm_healthy):
        graph, train_op = build(fixed=False)
        assert_batch_norm_healthy(graph.as_graph_def(), train_op.name)

    def test_no_graph(assert_batch_norm_healthy):
        with pytest.raises(TypeError, match="is no tf.Graph"):
            assert_batch_norm_healthy(3)

    def test_keras(assert_batch_norm_healthy):
        import keras
        inputs = keras.Input([4])
        norm = keras.layers.BatchNormalization()
        assert_batch_norm_healthy(keras.Model(inputs, norm(inputs)))
        with pytest.raises(pytest.fail.Exception, match="BN209"):
            assert_batch_norm_healthy(keras.Model(inputs, norm(inputs, training=True)))

    def test_keras_takes_no_train_op(assert_batch_norm_healthy):
        import keras
        inputs = keras.Input([4])
        model = keras.Model(inputs, keras.layers.BatchNormalization()(inputs))
        with pytest.raises(TypeError, match="train_op"):
            assert_batch_norm_healthy(model, "train")
"""

NOT_USED = """
    import sys

    def test_without():
        heavy = {"tensorflow", "numpy", "libcst", "keras"} & set(sys.modules)
        assert not heavy, heavy

    def test_requested_but_not_called(assert_batch_norm_healthy):
        assert "tensorflow" not in sys.modules
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    # Only bnlint's plugin: others may import what this one must not.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return pytester


def test_graphs_and_models(run: pytest.Pytester) -> None:
    run.makepyfile(GRAPHS)
    result = run.runpytest_subprocess("-p", "bnlint.runtime.monitor.pytest_plugin", "-v")
    result.assert_outcomes(passed=6, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*::test_broken FAILED*",
            "*batch norm is not healthy:*",
            "*BN101 running train op 'GradientDescent' does not run*",
            "*    at *FusedBatchNorm*",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_plugin.py*Failed*")


def test_loading_the_plugin_imports_nothing_heavy(run: pytest.Pytester) -> None:
    run.makepyfile(NOT_USED)
    result = run.runpytest_subprocess("-p", "bnlint.runtime.monitor.pytest_plugin")
    result.assert_outcomes(passed=2)


def test_the_installed_entry_point_names_the_plugin() -> None:
    from importlib.metadata import entry_points

    (entry,) = [one for one in entry_points(group="pytest11") if one.name == "bnlint"]
    assert entry.value == "bnlint.runtime.monitor.pytest_plugin"
    assert entry.load().assert_batch_norm_healthy
