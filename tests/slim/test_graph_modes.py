"""Reference slim outside the oracle: TF 2's modes, and what TF 1.15 cannot run on a CPU."""

import os
import subprocess
import sys
import textwrap

import pytest

tf = pytest.importorskip("tensorflow")
np = pytest.importorskip("numpy")
pytestmark = pytest.mark.tensorflow


def normalized(data, layout, is_training, **options):
    """(outputs, moving mean, moving variance) after one update of a fused layer."""
    import bnlint.slim as slim

    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        inputs = v1.placeholder(tf.float32, data.shape)
        with slim.arg_scope([slim.batch_norm], data_format=layout, decay=0.6, scale=True):
            outputs = slim.batch_norm(inputs, is_training=is_training, **options)
        session.run(v1.global_variables_initializer())
        found = session.run(outputs, {inputs: data})
        updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
        session.run(updates, {inputs: data})
        averages = [
            session.run(slim.get_variables_by_name(f"moving_{name}")[0])
            for name in ("mean", "variance")
        ]
        return [found, *averages]


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("options", [{}, {"updates_collections": None}], ids=["core", "forced"])
def test_fused_channels_first_equals_channels_last(is_training, options):
    data = np.random.RandomState(0).randn(5, 4, 3, 2).astype(np.float32)
    last = normalized(data, "NHWC", is_training, **options)
    first = normalized(np.transpose(data, [0, 3, 1, 2]), "NCHW", is_training, **options)
    first[0] = np.transpose(first[0], [0, 2, 3, 1])
    for found, wanted in zip(first, last, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_evaluation_loop_evaluates_every_checkpoint(tmp_path):
    import bnlint.slim as slim

    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        step = slim.get_or_create_global_step()
        saver = v1.train.Saver()
        session.run(step.initializer)
        paths = [saver.save(session, str(tmp_path / "model"), global_step=n) for n in (1, 2)]
    seen = []

    def checkpoints(folder, *args):
        yield from paths

    with v1.Graph().as_default(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(slim.evaluation, "checkpoints_iterator", checkpoints)
        step = slim.get_or_create_global_step()
        v1.summary.scalar("step", step)
        result = slim.evaluation.evaluation_loop(
            "", str(tmp_path), str(tmp_path / "logs"), num_evals=2,
            eval_op=tf.py_function(lambda: seen.append(1), [], []), final_op=step,
        )  # fmt: skip
    assert result == 0
    assert len(seen) == 4


PROGRAM = """
    import sys
    import numpy as np
    import tensorflow.compat.v1 as tf
    tf.disable_v2_behavior()
    import bnlint.slim as slim

    def loss_of(is_training):
        x = tf.constant(np.random.RandomState(0).randn(32, 4), tf.float32)
        labels = slim.one_hot_encoding(tf.cast(x[:, 0] > 0, tf.int32), 2)
        params = {"is_training": is_training, "decay": 0.5}
        net = slim.fully_connected(
            x, 8, normalizer_fn=slim.batch_norm, normalizer_params=params)
        logits = slim.fully_connected(net, 2, activation_fn=None)
        slim.losses.softmax_cross_entropy(logits, labels)
        return slim.losses.get_total_loss()

    with tf.Graph().as_default():
        tf.set_random_seed(1)
        train_op = slim.learning.create_train_op(
            loss_of(True), tf.train.AdamOptimizer(0.05))
        trained = slim.learning.train(train_op, sys.argv[1], number_of_steps=60)
    with tf.Graph().as_default():
        evaluated = slim.evaluation.evaluate_once(
            "", tf.train.latest_checkpoint(sys.argv[1]), sys.argv[1] + "/eval",
            final_op=loss_of(False))
    print("losses", float(trained), float(evaluated))
"""


def test_program_without_v2_behavior_trains_and_evaluates(tmp_path):
    """In its own process: eager mode can only be disabled at the start of a program."""
    program = textwrap.dedent(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    trained, evaluated = map(float, done.stdout.split("losses")[1].split())
    assert trained < 0.2
    assert abs(evaluated - trained) < 0.1
