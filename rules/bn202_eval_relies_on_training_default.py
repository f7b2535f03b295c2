"""BN202: a slim network that is evaluated relies on the default is_training=True."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Finding, Related, Severity
from bnlint.program.events import Program
from bnlint.program.queries import evaluated_in_training_mode
from bnlint.program.repairs import infer_at
from bnlint.program.whole_project import WholeProject
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN202",
    name="eval-relies-on-training-default",
    severity=Severity.ERROR,
    summary="a slim network that is evaluated relies on the default is_training=True",
    symptoms=(
        "slim batch norm is in training mode by default",
        "slim evaluation without is_training=False",
    ),
    why="""
`slim.batch_norm` (and `tf.contrib.layers.batch_norm`) has `is_training=True` by default. A network
that is evaluated without passing it normalizes with the statistics of the current batch and ignores
what training collected.
""",
    help="Pass `is_training=False` to the batch norms of the evaluation network, for example by "
    "`arg_scope`.",
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for wrong in evaluated_in_training_mode(program, explicit=False):
        yield RULE.finding(
            wrong.location,
            "this network is evaluated, and its batch norm runs in slim's default training mode",
            related=wrong.related(),
            confidence=wrong.confidence,
            fix=infer_at(program, wrong.location, wrong.norm),
        )


@RULE.check_project
def check_project(project: WholeProject) -> Iterator[Finding]:
    for evaluation, norm in project.never_in_inference_mode(has_flag=False):
        yield RULE.finding(
            norm.location,
            "no code of this project gives this batch norm `is_training`, so it is in training "
            "mode (slim's default) in evaluation, too",
            related=[Related(evaluation.location, f"`{evaluation.name}`: an evaluation")],
            confidence=Confidence.LOW,
        )


RULE.examples(
    bad=(
        example(
            "slim's default in an evaluation",
            """
import tensorflow as tf
import tf_slim as slim
x = tf.placeholder(tf.float32, [None, 64])
h = slim.batch_norm(slim.fully_connected(x, 32))  # <- BN202
scores = slim.fully_connected(h, 10)
with tf.Session() as sess:
    tf.train.Saver().restore(sess, 'model.ckpt')
    print(sess.run(scores))
""",
        ),
        example(
            "slim.evaluation",
            """
import tensorflow as tf
slim = tf.contrib.slim

x = tf.placeholder(tf.float32, [None, 64])
h = slim.batch_norm(slim.fully_connected(x, 32))  # <- BN202
scores = slim.fully_connected(h, 10, activation_fn=None)
accuracy, update = tf.metrics.accuracy(tf.zeros([8]), tf.argmax(scores, 1))
slim.evaluation.evaluate_once('', 'model.ckpt', 'logs', num_evals=10, eval_op=update)
""",
        ),
    ),
    good=(
        example(
            "is_training=False",
            """
import tensorflow as tf
import tf_slim as slim
x = tf.placeholder(tf.float32, [None, 64])
h = slim.batch_norm(slim.fully_connected(x, 32), is_training=False)
scores = slim.fully_connected(h, 10)
with tf.Session() as sess:
    tf.train.Saver().restore(sess, 'model.ckpt')
    print(sess.run(scores))
""",
        ),
        example(
            "one network, switched by a placeholder that is fed",
            """
import tensorflow as tf

training = tf.placeholder(tf.bool, [])
x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=training)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(train_op, {training: True})
    print(sess.run(loss, {training: False}))
""",
        ),
    ),
)
