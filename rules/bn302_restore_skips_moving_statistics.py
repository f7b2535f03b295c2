"""BN302: a restore or copy takes only the trainable variables along."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Finding, Related, Severity
from bnlint.program.events import BatchNorm, Program
from bnlint.program.keras_queries import copied_without_statistics
from bnlint.program.queries import count
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN302",
    name="restore-skips-moving-statistics",
    severity=Severity.ERROR,
    summary="a restore or copy leaves the moving mean and variance at their initial values",
    symptoms=(
        "pretrained weights loaded but batch norm statistics are not",
        "moving statistics are lost when weights are copied",
    ),
    why="""
A network in inference mode normalizes with its moving mean and variance. They are not trainable: a
restore of `tf.trainable_variables()` leaves them at their initial 0 and 1 (after an initializer
ran) and the outputs are wrong although every weight is right. So does a copy between Keras models
that pairs their `trainable_weights`, as updates of EMA and target networks do.
""",
    help="Restore or copy every variable, moving statistics included (Keras: `weights`).",
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    yield from _keras_copies(program)
    for saver in program.savers:
        skipped = saver.selection.kind in ("trainable", "filtered-moving")
        if not skipped or not saver.restores or saver.saves or saver.other_full_saver:
            continue
        # Statistics that the program learns itself need no restoring.
        norms = [norm for norm in saver.batch_norms if _only_infers(program, norm)]
        if not norms or len(norms) < len(saver.batch_norms):
            continue
        yield RULE.finding(
            saver.location,
            f"this restore leaves the moving mean and variance of {count(norms)} at their "
            "initial values",
            related=[
                Related(saver.restores[0], "restored here"),
                Related(norms[0].location, "this batch norm uses its moving statistics"),
            ],
            confidence=Confidence.MEDIUM if saver.conditional else Confidence.HIGH,
        )


def _keras_copies(program: Program) -> Iterator[Finding]:
    for copy, use in copied_without_statistics(program):
        what = "averages" if copy.averages else "copies"
        yield RULE.finding(
            copy.location,
            f"this {what} trainable variables only: the moving mean and variance of the model that "
            "is written stay at their initial values",
            related=[Related(use.location, "used in inference mode here")],
            confidence=Confidence.LOW if copy.conditional else Confidence.MEDIUM,
        )


def _only_infers(program: Program, norm: BatchNorm) -> bool:
    """The program never learns the statistics: the flag is False, or a placeholder that no run
    feeds True in a program without a train op."""
    if norm.training.is_false:
        return True
    runs = [run for run in program.runs if norm in run.batch_norms]
    fed = [run.feeds.get(norm.training.key) for run in runs]
    return norm.training.is_tensor and not program.train_ops and bool(runs) and True not in fed


RULE.examples(
    bad=(
        example(
            "by keyword",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 4])
h = tf.layers.batch_normalization(tf.layers.dense(x, 8), training=False)
logits = tf.layers.dense(h, 3)
saver = tf.train.Saver(var_list=tf.trainable_variables())  # <- BN302
with tf.Session() as sess:
    saver.restore(sess, '/tmp/model.ckpt')
    print(sess.run(logits))
""",
        ),
        example(
            "frozen fine-tuning on statistics that were never restored",
            """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': False})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
saver = tf.train.Saver(tf.trainable_variables())  # <- BN302
train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    saver.restore(sess, '/tmp/pretrained.ckpt')
    for step in range(50000):
        sess.run(train_op)
""",
        ),
    ),
    good=(
        example(
            "global variables",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 4])
h = tf.layers.batch_normalization(tf.layers.dense(x, 8), training=False)
logits = tf.layers.dense(h, 3)
saver = tf.train.Saver(tf.global_variables())
with tf.Session() as sess:
    saver.restore(sess, '/tmp/model.ckpt')
    print(sess.run(logits))
""",
        ),
        example(
            "trainable plus moving statistics",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 4])
h = tf.layers.batch_normalization(tf.layers.dense(x, 8), training=False)
logits = tf.layers.dense(h, 3)
moving = [v for v in tf.global_variables() if 'moving' in v.name]
saver = tf.train.Saver(tf.trainable_variables() + moving)
with tf.Session() as sess:
    saver.restore(sess, '/tmp/model.ckpt')
    print(sess.run(logits))
""",
        ),
    ),
)
