"""BN105: the scope filter of the UPDATE_OPS read leaves out the batch norms that are trained."""

from collections.abc import Iterator

from bnlint.findings import Finding, Related, Severity
from bnlint.program.events import Program
from bnlint.program.queries import count, lost_updates
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN105",
    name="update-ops-wrong-scope",
    severity=Severity.ERROR,
    summary="a scope filter on UPDATE_OPS leaves out the trained network",
    symptoms=(
        "one of two networks does not update its batch norm",
        "UPDATE_OPS with a scope returns an empty list",
    ),
    why="""
`tf.get_collection(key, scope)` keeps only ops whose name begins with `scope`. With the wrong scope
(another tower, the other net of a GAN, a typo) the update ops of the trained network are left out
and its moving statistics are never updated.
""",
    help="Read UPDATE_OPS without a scope, or with the scope of the network that this step trains.",
    found_by=("check", "inspect"),
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for lost in lost_updates(program, RULE.code):
        if lost.read is None:
            continue
        train_op = Related(lost.op.location, "this train op trains it")
        yield RULE.finding(
            lost.read.location,
            f"the scope {lost.read.scope!r} leaves out the update ops of "
            f"{count(lost.batch_norms)} that are trained",
            related=lost.related(train_op),
            confidence=lost.confidence,
        )


RULE.examples(
    bad=(
        example(
            "the scope of another network",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 64])
with tf.variable_scope('classifier'):
    h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=True)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS, 'encoder')  # <- BN105
with tf.control_dependencies(update_ops):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    sess.run(train_op)
""",
        ),
        example(
            "another net's scope",
            """
import tensorflow.compat.v1 as tf
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
training = tf.placeholder(tf.bool)
with tf.variable_scope('net'):
    h = tf.layers.batch_normalization(tf.layers.dense(x, 8), training=training, name='bn')
loss = tf.losses.mean_squared_error(y, tf.layers.dense(h, 1))
optimizer = tf.train.AdamOptimizer(1e-3)
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS, scope='resnet')  # <- BN105
with tf.control_dependencies(update_ops):
    train_op = optimizer.minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op, {training: True})
""",
        ),
    ),
    good=(
        example(
            "the network's own scope",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 64])
with tf.variable_scope('classifier'):
    h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=True)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS, 'classifier')
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
