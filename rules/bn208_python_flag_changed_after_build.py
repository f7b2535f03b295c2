"""BN208: a Python flag is changed after the network was built with it."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Finding, Related, Severity
from bnlint.program.events import Program
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN208",
    name="python-flag-changed-after-build",
    severity=Severity.ERROR,
    summary="a Python flag is changed after the network was built with it",
    symptoms=("changing is_training after the graph was built",),
    why="""
A Python bool is read once, when the graph is built. Setting the variable to another value later
does not change the network: an evaluation after `is_training = False` still runs in training mode.
""",
    help="Use a placeholder (`tf.placeholder_with_default(False, [])`) and feed it, or build a "
    "second network that shares the variables.",
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for rebinding in program.rebindings:
        affected = [
            run
            for run in rebinding.runs_after
            if not run.train_ops and set(run.batch_norms) & set(rebinding.batch_norms)
        ]
        if rebinding.rebuilt or not affected:
            continue
        yield RULE.finding(
            rebinding.location,
            f"`{rebinding.name}` is set to {rebinding.value} after the network was built with "
            f"{not rebinding.value}: the graph does not change",
            related=[
                Related(rebinding.batch_norms[0].location, "built with the old value"),
                Related(affected[0].location, "this run still uses the old value"),
            ],
            confidence=Confidence.MEDIUM if affected[0].conditional else Confidence.HIGH,
        )


RULE.examples(
    bad=(
        example(
            "a Python variable is changed",
            """
import tensorflow as tf
is_training = True
x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=is_training)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.control_dependencies(update_ops):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    sess.run(train_op)
    is_training = False  # <- BN208
    print(sess.run(h))
""",
        ),
        example(
            "variable of the script",
            """
import tensorflow as tf

is_training = True
x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(x, training=is_training)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for _ in range(40):
        sess.run(train_op)
    is_training = False  # <- BN208
    print(sess.run(loss))
""",
        ),
    ),
    good=(
        example(
            "a placeholder is fed",
            """
import tensorflow as tf
is_training = tf.placeholder(tf.bool, [])
x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=is_training)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.control_dependencies(update_ops):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    sess.run(train_op, {is_training: True})
    print(sess.run(h, {is_training: False}))
""",
        ),
        example(
            "a placeholder is fed",
            """
import tensorflow as tf

training = tf.placeholder_with_default(False, [])
x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(x, training=training)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    is_training = True
    sess.run(train_op, {training: is_training})
    is_training = False
    sess.run(loss, {training: is_training})
""",
        ),
    ),
)
