"""BN103: UPDATE_OPS is read before the network that fills it is built."""

from collections.abc import Iterator

from bnlint.findings import Finding, Related, Severity
from bnlint.program.events import Program
from bnlint.program.queries import count, lost_updates
from bnlint.program.repairs import attach_updates
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN103",
    name="update-ops-collected-too-early",
    severity=Severity.ERROR,
    summary="UPDATE_OPS is read before the network is built",
    symptoms=(
        "tf.get_collection(UPDATE_OPS) is empty",
        "update_ops is an empty list",
    ),
    why="""
`tf.get_collection` returns a copy of the collection as it is at that moment. Read before the
network is built, the list is empty (or lacks the later layers), and `control_dependencies` over it
waits for nothing. The moving statistics stay at their initial values.
""",
    help="Read `tf.GraphKeys.UPDATE_OPS` after the whole network is built.",
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for lost in lost_updates(program, RULE.code):
        if lost.read is None:
            continue
        train_op = Related(lost.op.location, "so this train op runs no updates")
        yield RULE.finding(
            lost.read.location,
            f"UPDATE_OPS is read before {count(lost.batch_norms)} put update ops into it",
            related=lost.related(train_op),
            confidence=lost.confidence,
            fix=attach_updates(program, lost.op, lost.batch_norms),
        )


RULE.examples(
    bad=(
        example(
            "read before the network is built",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 64])
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)  # <- BN103
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=True)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
with tf.control_dependencies(update_ops):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    sess.run(train_op)
""",
        ),
        example(
            "block opened before the slim network",
            """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):  # <- BN103
    h = slim.batch_norm(slim.fully_connected(x, 8), is_training=True)
    loss = tf.reduce_mean(tf.square(h))
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
""",
        ),
    ),
    good=(
        example(
            "read after the network is built",
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
