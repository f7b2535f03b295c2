"""BN301: a Saver saves only the trainable variables, without the moving statistics."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Edit, Finding, Fix, Related, Severity
from bnlint.program.events import Program
from bnlint.program.queries import count
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN301",
    name="saver-drops-moving-statistics",
    severity=Severity.ERROR,
    summary="a Saver of trainable variables loses the moving mean and variance",
    symptoms=(
        "saver does not save moving_mean",
        "accuracy drops after restoring the checkpoint",
        "Key moving_mean not found in checkpoint",
    ),
    why="""
`moving_mean` and `moving_variance` are not trainable, so `tf.trainable_variables()` leaves them
out. A checkpoint written with that list holds the weights but not the statistics: evaluation from
it fails to restore them, or runs with their initial 0 and 1.
""",
    help="Use `tf.train.Saver()` without a variable list, or add the moving statistics to the "
    "list.",
    found_by=("check", "inspect"),
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for saver in program.savers:
        dropped = saver.selection.kind in ("trainable", "filtered-moving")
        if not dropped or not saver.batch_norms or not saver.saves or saver.other_full_saver:
            continue
        fix = None
        if saver.var_list_keyword is not None:
            edit = Edit("drop-keyword", saver.location, name=saver.var_list_keyword)
            fix = Fix("Save every variable", (edit,))
        yield RULE.finding(
            saver.location,
            f"this Saver leaves out the moving mean and variance of {count(saver.batch_norms)}",
            related=[
                Related(saver.selection.location, "the variables are chosen here"),
                Related(saver.batch_norms[0].location, "the batch norm"),
            ],
            confidence=Confidence.MEDIUM if saver.conditional else Confidence.HIGH,
            fix=fix,
        )


RULE.examples(
    bad=(
        example(
            "only the trainable variables",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=True)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.control_dependencies(update_ops):
    train_op = tf.train.AdamOptimizer().minimize(loss)
saver = tf.train.Saver(tf.trainable_variables())  # <- BN301
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    sess.run(train_op)
    saver.save(sess, 'model.ckpt')
""",
        ),
        example(
            "trainable variables",
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
saver = tf.train.Saver(var_list=tf.trainable_variables())  # <- BN301
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
    saver.save(sess, '/tmp/model.ckpt')
""",
        ),
    ),
    good=(
        example(
            "every variable",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=True)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.control_dependencies(update_ops):
    train_op = tf.train.AdamOptimizer().minimize(loss)
saver = tf.train.Saver()
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    sess.run(train_op)
    saver.save(sess, 'model.ckpt')
""",
        ),
        example(
            "every variable",
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
saver = tf.train.Saver()
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
    saver.save(sess, '/tmp/model.ckpt')
""",
        ),
    ),
)
