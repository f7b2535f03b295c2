"""BN106: create_train_op or optimize_loss is given `update_ops` that lack the batch norms' updates."""

from collections.abc import Iterator

from bnlint.rules import _clean

from bnlint.findings import Finding, Severity
from bnlint.program.events import Program
from bnlint.program.queries import count, lost_updates
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN106",
    name="create-train-op-drops-updates",
    severity=Severity.ERROR,
    summary="create_train_op is given update_ops without the batch norm updates",
    why="""`create_train_op` and `optimize_loss` run everything in UPDATE_OPS by default
(`update_ops=None`). Any other value *replaces* that default: `update_ops=[]`, or a list without
the batch norms' updates, drops them, and the moving statistics are never updated.""",
    help="Leave `update_ops` out, or pass `tf.get_collection(tf.GraphKeys.UPDATE_OPS)` with your own ops added.",
    bad=(
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
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer(1e-3), update_ops=[])  # <- BN106
slim.learning.train(train_op, '/tmp/logs')
""",
        ),
        example(
            "optimize_loss with an empty list",
            """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': True})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
train_op = tf.contrib.layers.optimize_loss(  # <- BN106
    loss, tf.train.get_or_create_global_step(), 0.1, 'SGD', update_ops=[])
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
""",
        ),
        example(
            "only an own op",
            """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': True})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
counter = tf.Variable(0, trainable=False)
count_up = tf.assign_add(counter, 1)
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer(1e-3), update_ops=[count_up])  # <- BN106
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
""",
        ),
    ),
    good=(
        _clean.CREATE_TRAIN_OP,
        _clean.CONTRIB_TRAINING,
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
        example(
            "updates with own ops",
            """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': True})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
counter = tf.Variable(0, trainable=False)
update_ops.append(tf.assign_add(counter, 1))
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer(1e-3), update_ops=update_ops)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
""",
        ),
        example(
            "None is the default",
            """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': True})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer(1e-3), update_ops=None)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
""",
        ),
        example(
            "updates in place",
            """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': True, 'updates_collections': None})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer(1e-3), update_ops=[])
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
""",
        ),
        example(
            "dropped but run beside the step",
            """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': True})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer(1e-3), update_ops=[])
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run([train_op, update_ops])
""",
        ),
        example(
            "frozen batch norm of a restored network",
            """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': False})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer(1e-3), update_ops=[])
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    tf.train.Saver().restore(sess, 'pretrained.ckpt')
    for step in range(50000):
        sess.run(train_op)
""",
        ),
    ),
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for lost in lost_updates(program, RULE.code):
        yield RULE.finding(
            lost.op.location,
            f"update_ops replaces the default, so the updates of {count(lost.batch_norms)} are "
            "dropped",
            related=lost.related(),
            confidence=lost.confidence,
        )
