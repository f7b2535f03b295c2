"""BN106: `update_ops` of create_train_op or optimize_loss lacks the batch norms' updates."""

from collections.abc import Iterator

from bnlint.findings import Edit, Finding, Fix, Severity
from bnlint.program.events import Program
from bnlint.program.queries import count, lost_updates
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN106",
    name="create-train-op-drops-updates",
    severity=Severity.ERROR,
    summary="create_train_op is given update_ops without the batch norm updates",
    symptoms=("create_train_op does not update batch norm",),
    why="""
`create_train_op` and `optimize_loss` run everything in UPDATE_OPS by default (`update_ops=None`).
Any other value *replaces* that default: `update_ops=[]`, or a list without the batch norms'
updates, drops them, and the moving statistics are never updated.
""",
    help="Leave `update_ops` out, or pass `tf.get_collection(tf.GraphKeys.UPDATE_OPS)` with your "
    "own ops added.",
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for lost in lost_updates(program, RULE.code):
        fix = None
        if lost.op.update_ops_argument == "empty":
            edit = Edit("drop-keyword", lost.op.location, name="update_ops")
            alone = len({op.location for op in program.train_ops}) == 1
            fix = Fix("Leave update_ops out: its default is UPDATE_OPS", (edit,), safe=alone)
        yield RULE.finding(
            lost.op.location,
            f"update_ops replaces the default, so the updates of {count(lost.batch_norms)} are "
            "dropped",
            related=lost.related(),
            confidence=lost.confidence,
            fix=fix,
        )


RULE.examples(
    bad=(
        example(
            "an empty list",
            """
import tensorflow as tf
import tf_slim as slim
x = tf.placeholder(tf.float32, [None, 64])
h = slim.batch_norm(slim.fully_connected(x, 32))
loss = tf.reduce_mean(h)
optimizer = tf.train.AdamOptimizer()
train_op = slim.learning.create_train_op(loss, optimizer, update_ops=[])  # <- BN106
slim.learning.train(train_op, 'logs')
""",
        ),
        example(
            "an empty list",
            """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': True})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
optimizer = tf.train.AdamOptimizer(1e-3)
train_op = slim.learning.create_train_op(loss, optimizer, update_ops=[])  # <- BN106
slim.learning.train(train_op, '/tmp/logs')
""",
        ),
    ),
    good=(
        example(
            "the default: everything in UPDATE_OPS",
            """
import tensorflow as tf
import tf_slim as slim
x = tf.placeholder(tf.float32, [None, 64])
h = slim.batch_norm(slim.fully_connected(x, 32))
loss = tf.reduce_mean(h)
optimizer = tf.train.AdamOptimizer()
train_op = slim.learning.create_train_op(loss, optimizer)
slim.learning.train(train_op, 'logs')
""",
        ),
        example(
            "updates passed explicitly",
            """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': True})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer(1e-3), update_ops=update_ops)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
""",
        ),
    ),
)
