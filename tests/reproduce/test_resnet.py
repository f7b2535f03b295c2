"""The ResNet of the reproductions."""

import sys

import numpy as np
import pytest
import tensorflow as tf

from bnlint.reproduce.programs import program_folder

pytestmark = pytest.mark.tensorflow
tf1 = tf.compat.v1


@pytest.fixture
def resnet(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(program_folder()))
    monkeypatch.delitem(sys.modules, "resnet", raising=False)
    from resnet import resnet

    with tf.Graph().as_default():
        yield resnet
    sys.modules.pop("resnet")


@pytest.mark.parametrize("blocks", [1, 3])
def test_layers_and_variables(resnet, blocks: int) -> None:
    """6 n + 2 weighted layers as in the paper, and two projected shortcuts."""
    X = tf1.placeholder(tf.float32, [None, 8, 8, 3])
    logits = resnet(X, 7, is_training=True, blocks=blocks)
    assert logits.shape.as_list() == [None, 7]
    names = [variable.op.name for variable in tf1.global_variables()]
    assert sum(name.endswith("weights") for name in names) == 6 * blocks + 2 + 2
    norms = 6 * blocks + 1 + 2
    assert sum(name.endswith("moving_mean") for name in names) == norms
    assert len(tf1.get_collection(tf1.GraphKeys.UPDATE_OPS)) == 2 * norms
    assert all(name.startswith("resnet/") for name in names)


def test_blocks_are_residual(resnet) -> None:
    """With the last gamma and beta of a block at 0 the block passes its (positive) input on."""
    images = np.random.default_rng(0).random((2, 8, 8, 1), "float32")
    X = tf1.placeholder(tf.float32, [None, 8, 8, 1])
    resnet(X, 10, is_training=False, depths=(4,), blocks=1)
    graph = tf1.get_default_graph()
    before = graph.get_tensor_by_name("resnet/conv1/Relu:0")
    (after,) = (
        op.outputs[0]
        for op in graph.get_operations()
        if op.type == "Relu" and op.name.startswith("resnet/stage1/unit1/Relu")
    )
    last = "resnet/stage1/unit1/conv2/BatchNorm/"
    silent = [v.assign(tf.zeros_like(v)) for v in tf1.global_variables(last + "(gamma|beta)")]
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        session.run(silent)
        np.testing.assert_array_equal(*session.run([before, after], {X: images}))


def test_is_training_may_be_a_tensor(resnet) -> None:
    X = tf1.placeholder(tf.float32, [None, 8, 8, 1])
    is_training = tf1.placeholder(tf.bool, [])
    logits = resnet(X, 10, is_training=is_training, blocks=1)
    images = np.random.default_rng(0).random((16, 8, 8, 1), "float32")
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        both = [session.run(logits, {X: images, is_training: mode}) for mode in (True, False)]
        alone = session.run(logits, {X: images[:1], is_training: False})
    assert np.abs(both[0] - both[1]).max() > 0.1
    # Inference does not depend on the rest of the batch.
    np.testing.assert_allclose(alone, both[1][:1], rtol=1e-4, atol=1e-4)
