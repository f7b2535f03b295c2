"""BN201: a network that is evaluated was built with is_training=True."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Finding, Related, Severity
from bnlint.program.events import BatchNorm, Program
from bnlint.program.queries import evaluated_in_training_mode
from bnlint.program.repairs import infer_at
from bnlint.program.whole_project import WholeProject
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN201",
    name="eval-uses-training-mode",
    severity=Severity.ERROR,
    summary="a network that is evaluated was built with is_training=True",
    symptoms=(
        "predictions depend on the other images of the batch",
        "evaluation uses batch statistics",
        "different results with batch size 1 in evaluation",
        "same image, different prediction each time",
    ),
    why="""
In training mode batch norm normalizes with the statistics of the current batch and ignores the
moving ones. An evaluation then depends on which images share a batch: batches of one image, or of
one class, give nearly constant outputs.
""",
    help="Build the evaluation network with `is_training=False`, or feed a placeholder.",
    found_by=("check", "inspect"),
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for wrong in evaluated_in_training_mode(program, explicit=True):
        yield RULE.finding(
            wrong.location,
            _message(wrong.norm),
            related=wrong.related(),
            confidence=wrong.confidence,
            fix=infer_at(program, wrong.location, wrong.norm),
        )


def _message(norm: BatchNorm) -> str:
    if norm.only_batch_statistics:
        return (
            "this network is evaluated with the statistics of the batch: its batch norm is written "
            "by hand and keeps no moving ones"
        )
    return "this network is evaluated in training mode: is_training is True"


@RULE.check_project
def check_project(project: WholeProject) -> Iterator[Finding]:
    for evaluation, norm in project.never_in_inference_mode(has_flag=True):
        yield RULE.finding(
            norm.flag or norm.location,
            "everywhere in this project this batch norm is given True, so it is in training mode "
            "in evaluation, too",
            related=[Related(evaluation.location, f"`{evaluation.name}`: an evaluation")],
            confidence=Confidence.LOW,
        )


RULE.examples(
    bad=(
        example(
            "True in an evaluation",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=True)  # <- BN201
scores = tf.layers.dense(h, 10)
with tf.Session() as sess:
    tf.train.Saver().restore(sess, 'model.ckpt')
    print(sess.run(scores))
""",
        ),
        example(
            "exported for serving in training mode",
            """
import tensorflow.compat.v1 as tf

x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=True)  # <- BN201
scores = tf.layers.dense(h, 10)
with tf.Session() as sess:
    tf.train.Saver().restore(sess, 'model.ckpt')
    tf.saved_model.simple_save(sess, 'export', {'x': x}, {'scores': scores})
""",
        ),
    ),
    good=(
        example(
            "False in an evaluation",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=False)
scores = tf.layers.dense(h, 10)
with tf.Session() as sess:
    tf.train.Saver().restore(sess, 'model.ckpt')
    print(sess.run(scores))
""",
        ),
        example(
            "evaluation with is_training=False",
            """
import tensorflow as tf
slim = tf.contrib.slim

def net(x, is_training):
    x = slim.fully_connected(x, 32, normalizer_fn=slim.batch_norm,
                             normalizer_params={'is_training': is_training})
    return slim.fully_connected(x, 10, activation_fn=None)

x = tf.placeholder(tf.float32, [None, 64])
scores = net(x, is_training=False)
with tf.Session() as sess:
    tf.train.Saver().restore(sess, 'model.ckpt')
    print(sess.run(scores))
""",
        ),
    ),
)
