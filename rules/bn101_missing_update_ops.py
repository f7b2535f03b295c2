"""BN101: a network with batch norm is trained and nothing runs its UPDATE_OPS."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Finding, Related, Severity
from bnlint.program.events import Program
from bnlint.program.queries import Lost, count, lost_updates
from bnlint.program.repairs import attach_updates
from bnlint.program.whole_project import WholeProject
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN101",
    name="missing-update-ops",
    severity=Severity.ERROR,
    summary="batch norm is trained but nothing runs its UPDATE_OPS",
    symptoms=(
        "all test images get the same class",
        "all predictions same class",
        "moving_mean and moving_variance are not updated",
        "moving_mean stays 0 and moving_variance stays 1",
        "accuracy drops when is_training=False",
        "low training loss, bad evaluation",
        "good results with is_training=True, chance level with is_training=False",
    ),
    why="""
In TensorFlow 1 graphs a batch norm does not update its moving mean and variance when it is trained.
It puts the update ops into the collection `tf.GraphKeys.UPDATE_OPS`, and `minimize` and
`apply_gradients` ignore that collection. The moving statistics stay at their initial 0 and 1:
training looks fine, and evaluation with `is_training=False` gives chance-level or constant
predictions. A Keras layer in such a graph keeps its updates to itself, in `layer.updates`.
""",
    help="Create the train op inside "
    "`with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):`, or use "
    "`slim.learning.create_train_op`, which does it for you.",
    found_by=("check", "inspect"),
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for lost in lost_updates(program, RULE.code):
        op = lost.op
        if lost.batch_norms[0].updates == "layer":
            yield _of_keras(lost)
            continue
        if lost.batch_norms[0].updates == "op":
            yield _written_by_hand(lost)
            continue
        yield RULE.finding(
            op.location,
            f"this train op trains {count(lost.batch_norms)}, and nothing runs the UPDATE_OPS "
            "that update the moving statistics",
            related=lost.related(),
            confidence=lost.confidence,
            fix=attach_updates(program, op, lost.batch_norms),
        )


def _of_keras(lost: Lost) -> Finding:
    return RULE.finding(
        lost.op.location,
        f"this train op trains {count(lost.batch_norms)} of Keras, whose updates are in "
        "`layer.updates`, not in UPDATE_OPS, and nothing runs them",
        related=lost.related(),
        confidence=min(lost.confidence, Confidence.MEDIUM),
    )


def _written_by_hand(lost: Lost) -> Finding:
    return RULE.finding(
        lost.op.location,
        f"this train op trains {count(lost.batch_norms)} written by hand, and nothing runs the ops "
        "that update the moving statistics",
        related=lost.related(),
        confidence=min(lost.confidence, Confidence.MEDIUM),
    )


@RULE.check_project
def check_project(project: WholeProject) -> Iterator[Finding]:
    for op, norm in project.never_updated():
        # A GAN whose nets are in training mode for good may do without moving statistics.
        deliberate = project.is_adversarial and norm.flag is not None
        yield RULE.finding(
            op.location,
            "this train op has networks with batch norm, and nothing in this project can run the "
            "UPDATE_OPS that update the moving statistics: no file reads them or calls what does",
            related=[Related(norm.location, "a batch norm whose updates nothing can run")],
            confidence=Confidence.LOW if deliberate else Confidence.MEDIUM,
        )


RULE.examples(
    bad=(
        example(
            "plain minimize",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=True)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
train_op = tf.train.AdamOptimizer().minimize(loss)  # <- BN101
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    sess.run(train_op)
""",
        ),
        example(
            "Keras layers in a TF1 graph: the updates are not in UPDATE_OPS",
            """
import tensorflow as tf

is_training = tf.placeholder(tf.bool, [])
x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.int32, [None])
h = tf.keras.layers.Dense(32)(x)
h = tf.keras.layers.BatchNormalization()(h, training=is_training)
loss = tf.losses.sparse_softmax_cross_entropy(y, tf.keras.layers.Dense(10)(h))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)  # <- BN101
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for images, labels in batches():
        sess.run(train_op, {x: images, y: labels, is_training: True})
""",
        ),
    ),
    good=(
        example(
            "the train op depends on UPDATE_OPS",
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
            "create_train_op attaches them",
            """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.batch_norm(slim.fully_connected(x, 8), is_training=True)
tf.losses.mean_squared_error(y, slim.fully_connected(h, 1))
train_op = slim.learning.create_train_op(tf.losses.get_total_loss(), tf.train.AdamOptimizer())
slim.learning.train(train_op, '/tmp/logs')
""",
        ),
    ),
)
