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
    why="""`arg_scope` sets arguments for the functions in its list and for no others, and an inner
`normalizer_params` replaces the outer one as a whole. A batch norm that does not get `is_training`
runs in slim's default, training mode, also when the network is evaluated.""",
    help="Name `slim.batch_norm` in the arg_scope's list, and keep `is_training` in every "
    "`normalizer_params`.",
    bad=(
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
        example(
            "inner normalizer_params replace the outer ones",
            nets="""
import tensorflow as tf
slim = tf.contrib.slim

def net(x, is_training):
    params = {'is_training': is_training, 'decay': 0.9}
    with slim.arg_scope([slim.fully_connected], normalizer_fn=slim.batch_norm,
                        normalizer_params=params):
        x = slim.fully_connected(x, 32)
        x = slim.fully_connected(x, 32, normalizer_params={'decay': 0.99})  # <- BN206
        return slim.fully_connected(x, 10, activation_fn=None, normalizer_fn=None)
""",
            train="""
import tensorflow as tf
from nets import net
slim = tf.contrib.slim

is_training = tf.placeholder(tf.bool, [])
x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.int32, [None])
loss = tf.losses.sparse_softmax_cross_entropy(y, net(x, is_training))
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())
with tf.Session() as sess:
    for _ in range(9000):
        sess.run(train_op, {is_training: True})
    print(sess.run(loss, {is_training: False}))
""",
        ),
        example(
            "in normalizer_params of conv2d, while batch_norm is called by itself",
            scopes="""
import tensorflow as tf
slim = tf.contrib.slim

def resnet_arg_scope(is_training):
    params = {'is_training': is_training}
    with slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm,
                        normalizer_params=params) as scope:
        return scope
""",
            evaluate="""
import tensorflow as tf
from scopes import resnet_arg_scope
slim = tf.contrib.slim

x = tf.placeholder(tf.float32, [None, 8, 8, 1])
with slim.arg_scope(resnet_arg_scope(is_training=False)):
    h = slim.conv2d(x, 8, [3, 3])
    h = slim.batch_norm(h)  # <- BN206
scores = slim.fully_connected(slim.flatten(h), 10, activation_fn=None)
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
        example(
            "two nested scopes, one for dropout, one for batch norm",
            """
import tensorflow as tf
slim = tf.contrib.slim

def net(x, is_training):
    with slim.arg_scope([slim.dropout], is_training=is_training):
        with slim.arg_scope([slim.batch_norm], is_training=is_training):
            x = slim.fully_connected(x, 32, normalizer_fn=slim.batch_norm)
            return slim.fully_connected(slim.dropout(x), 10, activation_fn=None)

x = tf.placeholder(tf.float32, [None, 64])
scores = net(x, is_training=False)
with tf.Session() as sess:
    tf.train.Saver().restore(sess, 'model.ckpt')
    print(sess.run(scores))
""",
        ),
        example(
            "inner normalizer_params that keep is_training",
            """
import tensorflow as tf
slim = tf.contrib.slim

def net(x, is_training):
    params = {'is_training': is_training, 'decay': 0.9}
    with slim.arg_scope([slim.fully_connected], normalizer_fn=slim.batch_norm,
                        normalizer_params=params):
        x = slim.fully_connected(x, 32)
        x = slim.fully_connected(x, 32, normalizer_params=dict(params, decay=0.99))
        return slim.fully_connected(x, 10, activation_fn=None, normalizer_fn=None)

x = tf.placeholder(tf.float32, [None, 64])
scores = net(x, is_training=False)
with tf.Session() as sess:
    tf.train.Saver().restore(sess, 'model.ckpt')
    print(sess.run(scores))
""",
        ),
        example(
            "a scope from another file that covers both",
            scopes="""
import tensorflow as tf
slim = tf.contrib.slim

def inception_arg_scope(is_training=True):
    with slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training):
        with slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm) as scope:
            return scope
""",
            evaluate="""
import tensorflow as tf
from scopes import inception_arg_scope
slim = tf.contrib.slim

x = tf.placeholder(tf.float32, [None, 8, 8, 1])
with slim.arg_scope(inception_arg_scope(is_training=False)):
    h = slim.batch_norm(slim.conv2d(x, 8, [3, 3]))
scores = slim.fully_connected(slim.flatten(h), 10, activation_fn=None)
with tf.Session() as sess:
    tf.train.Saver().restore(sess, 'model.ckpt')
    print(sess.run(scores))
""",
        ),
        example(
            "a network that only trains: True is the default",
            """
import tensorflow as tf
slim = tf.contrib.slim

x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.int32, [None])
with slim.arg_scope([slim.dropout], is_training=True):
    h = slim.fully_connected(x, 32, normalizer_fn=slim.batch_norm)
    scores = slim.fully_connected(slim.dropout(h), 10, activation_fn=None)
loss = tf.losses.sparse_softmax_cross_entropy(y, scores)
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())
slim.learning.train(train_op, 'logs')
""",
        ),
        example(
            "a saved scope replaces the outer one as a whole, dropout's flag included",
            """
import tensorflow as tf
slim = tf.contrib.slim

def training_scope():
    with slim.arg_scope([slim.fully_connected], normalizer_fn=slim.batch_norm) as scope:
        return scope

def net(x, keep):
    with slim.arg_scope([slim.dropout], is_training=keep):
        with slim.arg_scope(training_scope()):
            return slim.fully_connected(x, 10)

x = tf.placeholder(tf.float32, [None, 64])
loss = tf.reduce_mean(net(x, True))
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())
slim.learning.train(train_op, 'logs')
""",
        ),
        example(
            "layer norm and dropout share a scope",
            """
import tensorflow as tf
slim = tf.contrib.slim

def net(x, is_training):
    with slim.arg_scope([slim.dropout], is_training=is_training):
        x = slim.fully_connected(x, 32, normalizer_fn=slim.layer_norm)
        return slim.fully_connected(slim.dropout(x), 10, activation_fn=None)

x = tf.placeholder(tf.float32, [None, 64])
scores = net(x, is_training=False)
with tf.Session() as sess:
    tf.train.Saver().restore(sess, 'model.ckpt')
    print(sess.run(scores))
""",
        ),
        example(
            "not slim: a function of the project called arg_scope",
            """
import contextlib
from torch import nn

@contextlib.contextmanager
def arg_scope(functions, **arguments):
    yield functions

def net(x, is_training):
    with arg_scope([nn.Dropout], is_training=is_training):
        return nn.BatchNorm1d(64)(x)
""",
        ),
    ),
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
        f"{message} is_training; it trains always",
        related=[Related(scope.location, "is_training is set here")],
        confidence=Confidence.MEDIUM if unsure else Confidence.HIGH,
    )
