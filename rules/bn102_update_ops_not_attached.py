"""BN102: the update ops are collected or grouped, but no train step runs them."""

from collections.abc import Iterator

from bnlint.findings import Finding, Related, Severity
from bnlint.program.events import Program
from bnlint.program.queries import Lost, count, lost_updates
from bnlint.program.repairs import attach_updates
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN102",
    name="update-ops-not-attached",
    severity=Severity.ERROR,
    summary="update ops are collected, but the train step neither depends on them nor runs them",
    symptoms=(
        "update_ops has no effect",
        "update_ops are collected but the moving mean does not change",
    ),
    why="""
Reading `tf.GraphKeys.UPDATE_OPS`, or grouping what it holds, only makes a Python list or a new op:
nothing runs until a fetched op depends on it. Tying the updates to the loss (`with_dependencies`,
`tf.identity` under `control_dependencies`) after the train op exists changes a tensor that the
train op never looks at. The moving statistics stay at their initial values and evaluation with
`is_training=False` is wrong.
""",
    help="Create the train op inside "
    "`with tf.control_dependencies(update_ops):`, or run `tf.group(train_op, *update_ops)` in each "
    "step.",
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for lost in lost_updates(program, RULE.code):
        related = []
        if lost.read is not None:
            related.append(Related(lost.read.location, "the update ops are collected here"))
        yield RULE.finding(
            lost.op.location,
            _message(lost),
            related=lost.related(*related),
            confidence=lost.confidence,
            fix=attach_updates(program, lost.op, lost.batch_norms),
        )


def _message(lost: Lost) -> str:
    if lost.unless:
        return (
            f"with the default of `{lost.unless}`, nothing runs the update ops of "
            f"{count(lost.batch_norms)} in training mode"
        )
    return (
        f"the update ops of {count(lost.batch_norms)} are collected, but this train op does not "
        "depend on them and no session run fetches them"
    )


RULE.examples(
    bad=(
        example(
            "collected and forgotten",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=True)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
train_op = tf.train.AdamOptimizer().minimize(loss)  # <- BN102
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    sess.run(train_op)
""",
        ),
        example(
            "collected and forgotten",
            """
import tensorflow.compat.v1 as tf
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
training = tf.placeholder(tf.bool)
h = tf.layers.batch_normalization(tf.layers.dense(x, 8), training=training, name='bn')
loss = tf.losses.mean_squared_error(y, tf.layers.dense(h, 1))
optimizer = tf.train.AdamOptimizer(1e-3)
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
train_op = optimizer.minimize(loss)  # <- BN102
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op, {training: True})
""",
        ),
    ),
    good=(
        example(
            "train op and updates are run together",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=True)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
train_op = tf.train.AdamOptimizer().minimize(loss)
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    sess.run([train_op, update_ops])
""",
        ),
        example(
            "fetched together",
            """
import tensorflow.compat.v1 as tf
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
training = tf.placeholder(tf.bool)
h = tf.layers.batch_normalization(tf.layers.dense(x, 8), training=training, name='bn')
loss = tf.losses.mean_squared_error(y, tf.layers.dense(h, 1))
optimizer = tf.train.AdamOptimizer(1e-3)
train_op = optimizer.minimize(loss)
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run([train_op, update_ops], {training: True})
""",
        ),
    ),
)
