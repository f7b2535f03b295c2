"""BN204: a network is trained with is_training=False."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Finding, Related, Severity
from bnlint.program.events import BatchNorm, Program, TrainOp
from bnlint.program.queries import count
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN204",
    name="training-uses-inference-mode",
    severity=Severity.ERROR,
    summary="a network is trained with is_training=False",
    symptoms=(
        "training with is_training=False",
        "loss becomes NaN or training is unstable with is_training=False",
    ),
    why="""
With `is_training=False` batch norm normalizes with the moving statistics and creates no update ops.
Trained from scratch, they stay at mean 0 and variance 1: the layers are scaled and shifted but
never normalized, and deep networks train slowly or diverge. Fine-tuning around restored, frozen
statistics is the one use, and is not reported.
""",
    help="Build the training network with `is_training=True`, or feed a placeholder with True.",
    found_by=("check", "inspect"),
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    if program.entry.mode in ("eval", "predict"):
        return  # an estimator builds its train op in every mode, and runs it in one
    if program.stops_gradients:
        return  # a network that is cut off is frozen on purpose
    for op in program.train_ops:
        if program.starts_pretrained(op.graph) or _switches_some(program, op.graph):
            continue  # so is a restored one, or a part of one
        norms = [norm for norm in op.batch_norms if _is_told_to(norm)]
        if norms and not op.trains_some and len(norms) == len(op.batch_norms):
            yield _finding(op, norms)


def _switches_some(program: Program, graph: int) -> bool:
    """Some batch norm of the graph can run in training mode."""
    return any(not norm.training.is_false for norm in program.batch_norms if norm.graph == graph)


def _is_told_to(norm: BatchNorm) -> bool:
    """Somebody wrote False; a default is BN203's, a Keras layer is frozen that way."""
    return norm.training.explicit and norm.trainable is not False and norm.api != "keras"


def _finding(op: TrainOp, norms: list[BatchNorm]) -> Finding:
    first = norms[0]
    unsure = op.conditional or op.loss_unknown or first.conditional
    return RULE.finding(
        first.training.location or first.location,
        f"this network is trained in inference mode: is_training is False for its {count(norms)}",
        related=[
            Related(first.location, "a batch norm whose statistics never move"),
            Related(op.location, "it is trained by this train op"),
        ],
        confidence=Confidence.MEDIUM if unsure else Confidence.HIGH,
    )


RULE.examples(
    bad=(
        example(
            "False in the training",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=False)  # <- BN204
loss = tf.reduce_mean(tf.layers.dense(h, 1))
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.control_dependencies(update_ops):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    sess.run(train_op)
""",
        ),
        example(
            "training=False in tf.layers",
            """
import tensorflow.compat.v1 as tf

x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.int32, [None])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=False)  # <- BN204
loss = tf.losses.sparse_softmax_cross_entropy(y, tf.layers.dense(h, 10))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    for _ in range(1000):
        sess.run(train_op)
""",
        ),
    ),
    good=(
        example(
            "True in the training",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=True)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.control_dependencies(update_ops):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    sess.run(train_op)
""",
        ),
        example(
            "part of the network is frozen on purpose, the rest trains",
            """
import tensorflow as tf
slim = tf.contrib.slim

x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.int32, [None])
h = slim.fully_connected(x, 32, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': False})
h = slim.fully_connected(h, 32, normalizer_fn=slim.batch_norm)
loss = tf.losses.sparse_softmax_cross_entropy(y, slim.fully_connected(h, 10, activation_fn=None))
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())
""",
        ),
    ),
)
