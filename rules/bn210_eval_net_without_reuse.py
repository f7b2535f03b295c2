"""BN210: an evaluation network with batch-norm statistics of its own."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Finding, Related, Severity
from bnlint.program.events import Program
from bnlint.program.queries import built_apart, separate_copies
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN210",
    name="eval-net-without-reuse",
    severity=Severity.ERROR,
    summary="an evaluation network with batch-norm statistics of its own",
    symptoms=(
        "evaluation network has batch norm variables of its own",
        "variables are not reused in the evaluation network",
    ),
    why="""
A network that is built a second time without sharing variables has moving statistics (and weights)
of its own, which nothing trains: they stay at 0 and 1. slim and `tf.layers` give the second copy
new names (`BatchNorm_1`, `batch_normalization_1`) without an error.
""",
    help="Build the second network with `reuse=True` in the same variable scope, or use one "
    "network and a placeholder.",
    found_by=("check", "inspect"),
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for evaluation, copy, trained in separate_copies(program):
        place, other = built_apart(copy, trained)
        yield RULE.finding(
            place,
            "this evaluation network has batch-norm statistics of its own "
            f"({copy.scope}), which nothing trains",
            related=[
                Related(other, f"the trained network is built here ({trained.scope})"),
                Related(evaluation.location, "the second network is evaluated here"),
            ],
            confidence=Confidence.MEDIUM if copy.conditional else Confidence.HIGH,
        )


RULE.examples(
    bad=(
        example(
            "the network is built a second time",
            """
import tensorflow as tf
import tf_slim as slim
def net(x, training):
    return tf.layers.batch_normalization(tf.layers.dense(x, 32), training=training)
x = tf.placeholder(tf.float32, [None, 64])
loss = tf.reduce_mean(net(x, True))
scores = net(x, False)  # <- BN210
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())
with tf.Session() as sess:
    sess.run(train_op)
    print(sess.run(scores))
""",
        ),
        example(
            "the network function called twice",
            """
import tensorflow as tf
slim = tf.contrib.slim

def net(x, is_training):
    h = slim.fully_connected(x, 32, normalizer_fn=slim.batch_norm,
                             normalizer_params={'is_training': is_training})
    return slim.fully_connected(h, 10, activation_fn=None)

x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.int32, [None])
loss = tf.losses.sparse_softmax_cross_entropy(y, net(x, is_training=True))
test_scores = net(x, is_training=False)  # <- BN210
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())
with tf.Session() as sess:
    for _ in range(9000):
        sess.run(train_op, next_batch())
    print(sess.run(test_scores, {x: test_images}))
""",
        ),
    ),
    good=(
        example(
            "both share the variables",
            """
import tensorflow as tf
import tf_slim as slim
def net(x, training):
    with tf.variable_scope('net', reuse=tf.AUTO_REUSE):
        return tf.layers.batch_normalization(tf.layers.dense(x, 32), training=training)
x = tf.placeholder(tf.float32, [None, 64])
loss = tf.reduce_mean(net(x, True))
scores = net(x, False)
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())
with tf.Session() as sess:
    sess.run(train_op)
    print(sess.run(scores))
""",
        ),
        example(
            "AUTO_REUSE",
            """
import tensorflow.compat.v1 as tf

def net(x, training):
    with tf.variable_scope('net', reuse=tf.AUTO_REUSE):
        h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=training)
        return tf.layers.dense(h, 10)

x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.int32, [None])
loss = tf.losses.sparse_softmax_cross_entropy(y, net(x, True))
test_scores = net(x, False)
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(train_op, next_batch())
    print(sess.run(test_scores, {x: test_images}))
""",
        ),
    ),
)
