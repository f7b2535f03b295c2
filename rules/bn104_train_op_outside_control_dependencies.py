"""BN104: the control_dependencies block over the update ops does not hold the train op."""

from collections.abc import Iterator

from bnlint.findings import Edit, Finding, Fix, Related, Severity
from bnlint.program.events import Program
from bnlint.program.queries import count, lost_updates
from bnlint.program.repairs import attach_updates
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN104",
    name="train-op-outside-control-dependencies",
    severity=Severity.ERROR,
    summary="the train op is made outside the control_dependencies block over the update ops",
    symptoms=("control_dependencies has no effect on batch norm updates",),
    why="""
`tf.control_dependencies` affects only ops that are *created* inside the block. A train op made
outside it has no dependency on the update ops, not even when its loss went through `tf.identity` in
the block: the gradient of an identity does not read it (checked on TensorFlow 1.15). The moving
statistics are not updated.
""",
    help="Move the call that makes the train op into the `control_dependencies` block.",
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for lost in lost_updates(program, RULE.code):
        op, block = lost.op, lost.block
        if block is None:
            continue
        fix = attach_updates(program, op, lost.batch_norms)
        if op.statement is not None and block.empty:
            edit = Edit("move-into-control-dependencies", op.statement, target=block.location)
            fix = Fix("Move the train op into the control_dependencies block", (edit,))
        yield RULE.finding(
            op.location,
            "this train op is made outside the control_dependencies block, so it does not run "
            f"the updates of {count(lost.batch_norms)}",
            related=lost.related(Related(block.location, "the block over the update ops")),
            confidence=lost.confidence,
            fix=fix,
        )


RULE.examples(
    bad=(
        example(
            "an empty block",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=True)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.control_dependencies(update_ops):
    pass
train_op = tf.train.AdamOptimizer().minimize(loss)  # <- BN104
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    sess.run(train_op)
""",
        ),
        example(
            "block holds only Python",
            """
import tensorflow.compat.v1 as tf
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
training = tf.placeholder(tf.bool)
h = tf.layers.batch_normalization(tf.layers.dense(x, 8), training=training, name='bn')
loss = tf.losses.mean_squared_error(y, tf.layers.dense(h, 1))
optimizer = tf.train.AdamOptimizer(1e-3)
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.control_dependencies(update_ops):
    pass
train_op = optimizer.minimize(loss)  # <- BN104
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op, {training: True})
""",
        ),
    ),
    good=(
        example(
            "the train op is made in the block",
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
            "control_dependencies around minimize",
            """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': True})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.control_dependencies(update_ops):
    train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
""",
        ),
    ),
)
