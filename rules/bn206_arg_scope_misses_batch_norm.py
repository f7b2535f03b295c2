"""BN206: an arg_scope sets is_training, but not for the batch norm inside it."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Finding, Related, Severity
from bnlint.program.events import ArgScope, BatchNorm, Flag, FlagKind, Program
from bnlint.program.queries import ignored_training_parameter, missed_by_scope
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN206",
    name="arg-scope-misses-batch-norm",
    severity=Severity.ERROR,
    summary="an arg_scope sets is_training, but not for the batch norm inside it",
    symptoms=(
        "arg_scope does not set is_training",
        "slim.batch_norm ignores arg_scope",
    ),
    why="""
`arg_scope` sets arguments for the functions in its list and for no others, and an inner
`normalizer_params` replaces the outer one as a whole. A batch norm that does not get `is_training`
runs in slim's default, training mode, even when the network is evaluated.
""",
    help="Name `slim.batch_norm` in the arg_scope's list, and keep `is_training` in every "
    "`normalizer_params`.",
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for norm in program.batch_norms:
        missed = missed_by_scope(program, norm)
        if missed is None or norm.trainable is False:
            continue
        scope, flag = missed
        # True agrees with the default, unless callers can pass something else.
        if not flag.is_true or ignored_training_parameter(norm) is not None:
            yield _finding(scope, flag, norm)


def _finding(scope: ArgScope, flag: Flag, norm: BatchNorm) -> Finding:
    if flag is scope.normalizer_params_training:
        message = "this batch norm does not get the arg_scope's `normalizer_params`, which hold"
    else:
        names = ", ".join(dict.fromkeys(scope.targets)) or "other functions"
        message = f"this batch norm is not in the arg_scope's list ({names}), which sets"
    unsure = flag.is_true or flag.kind is FlagKind.UNKNOWN or norm.conditional
    return RULE.finding(
        norm.location,
        f"{message} is_training; it always runs in training mode",
        related=[Related(scope.location, "is_training is set here")],
        confidence=Confidence.MEDIUM if unsure else Confidence.HIGH,
    )


RULE.examples(
    bad=(
        example(
            "the scope sets it for dropout only",
            """
import tensorflow as tf
import tf_slim as slim
x = tf.placeholder(tf.float32, [None, 64])
with slim.arg_scope([slim.dropout], is_training=False):
    h = slim.batch_norm(slim.fully_connected(x, 32))  # <- BN206
    scores = slim.fully_connected(slim.dropout(h), 10)
with tf.Session() as sess:
    tf.train.Saver().restore(sess, 'model.ckpt')
    print(sess.run(scores))
""",
        ),
        example(
            "set for dropout only",
            """
import tensorflow as tf
slim = tf.contrib.slim

def net(x, is_training):
    with slim.arg_scope([slim.dropout], is_training=is_training):
        x = slim.fully_connected(x, 32, normalizer_fn=slim.batch_norm)  # <- BN206
        x = slim.dropout(x)
        return slim.fully_connected(x, 10, activation_fn=None)

x = tf.placeholder(tf.float32, [None, 64])
scores = net(x, is_training=False)
with tf.Session() as sess:
    tf.train.Saver().restore(sess, 'model.ckpt')
    print(sess.run(scores))
""",
        ),
    ),
    good=(
        example(
            "batch_norm is in the list",
            """
import tensorflow as tf
import tf_slim as slim
x = tf.placeholder(tf.float32, [None, 64])
with slim.arg_scope([slim.batch_norm, slim.dropout], is_training=False):
    h = slim.batch_norm(slim.fully_connected(x, 32))
    scores = slim.fully_connected(slim.dropout(h), 10)
with tf.Session() as sess:
    tf.train.Saver().restore(sess, 'model.ckpt')
    print(sess.run(scores))
""",
        ),
        example(
            "batch_norm is in the list",
            """
import tensorflow as tf
slim = tf.contrib.slim

def net(x, is_training):
    with slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training):
        x = slim.fully_connected(x, 32, normalizer_fn=slim.batch_norm)
        return slim.fully_connected(slim.dropout(x), 10, activation_fn=None)

x = tf.placeholder(tf.float32, [None, 64])
scores = net(x, is_training=False)
with tf.Session() as sess:
    tf.train.Saver().restore(sess, 'model.ckpt')
    print(sess.run(scores))
""",
        ),
    ),
)
