"""BN207: a network takes is_training and its batch norm does not get it."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Edit, Finding, Fix, Related, Severity
from bnlint.program.events import Program
from bnlint.program.queries import ignored_training_parameter, missed_by_scope
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN207",
    name="is-training-not-forwarded",
    severity=Severity.ERROR,
    summary="a network takes is_training and its batch norm does not get it",
    why="""The function has a parameter that says whether it trains, and batch norm in it runs on its own
default instead: slim trains always, `tf.layers` never. Callers who pass the right mode still get
the wrong network.""",
    help="Pass the parameter on to the batch norm (or set it with `arg_scope`).",
    bad=(
        example(
            "parameter never used",
            nets="""
import tensorflow as tf
slim = tf.contrib.slim

def net(x, num_classes, is_training=True):
    x = slim.fully_connected(x, 64)
    x = slim.batch_norm(x)  # <- BN207
    return slim.fully_connected(x, num_classes, activation_fn=None)
""",
            train="""
import tensorflow as tf
from nets import net
slim = tf.contrib.slim

x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.int32, [None])
loss = tf.losses.sparse_softmax_cross_entropy(y, net(x, 10, is_training=True))
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())
slim.learning.train(train_op, 'logs')
""",
        ),
        example(
            "dropout gets it, batch norm does not",
            """
import tensorflow as tf

def net(x, training):
    h = tf.layers.batch_normalization(tf.layers.dense(x, 32))  # <- BN207
    return tf.layers.dense(tf.layers.dropout(h, training=training), 1)

x = tf.placeholder(tf.float32, [None, 64])
loss = tf.reduce_mean(net(x, training=True))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(train_op)
""",
        ),
    ),
    good=(
        example(
            "passed as an argument",
            """
import tensorflow as tf

def net(x, training):
    return tf.layers.batch_normalization(x, training=training)

x = tf.placeholder(tf.float32, [None, 64])
h = net(x, True)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
""",
        ),
        example(
            "passed by arg_scope",
            """
import tensorflow as tf
slim = tf.contrib.slim

def net(x, is_training):
    with slim.arg_scope([slim.batch_norm], is_training=is_training):
        return slim.fully_connected(x, 32, normalizer_fn=slim.batch_norm)

x = tf.placeholder(tf.float32, [None, 64])
h = net(x, True)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
""",
        ),
        example(
            "passed in normalizer_params built elsewhere",
            params="""
def batch_norm_params(is_training):
    return {'is_training': is_training, 'decay': 0.9}
""",
            train="""
import tensorflow as tf
from params import batch_norm_params
slim = tf.contrib.slim

def net(x, is_training):
    params = batch_norm_params(is_training)
    return slim.fully_connected(x, 32, normalizer_fn=slim.batch_norm, normalizer_params=params)

x = tf.placeholder(tf.float32, [None, 64])
h = net(x, True)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
""",
        ),
        example(
            "kept in self",
            """
import tensorflow as tf

class Net:
    def __init__(self, x, is_training):
        self.is_training = is_training
        self.h = self.build(x)

    def build(self, x):
        return tf.layers.batch_normalization(x, training=self.is_training)

x = tf.placeholder(tf.float32, [None, 64])
h = Net(x, True).h
loss = tf.reduce_mean(tf.layers.dense(h, 1))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
""",
        ),
        example(
            "negated on purpose",
            """
import tensorflow as tf

def net(x, is_training, freeze):
    return tf.layers.batch_normalization(x, training=is_training and not freeze)

x = tf.placeholder(tf.float32, [None, 64])
h = net(x, True, False)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
""",
        ),
        example(
            "frozen backbone, the flag is for dropout only",
            """
import tensorflow as tf
slim = tf.contrib.slim

def net(x, is_training):
    h = slim.fully_connected(x, 32, normalizer_fn=slim.batch_norm,
                             normalizer_params={'is_training': False})
    return slim.dropout(h, is_training=is_training)

x = tf.placeholder(tf.float32, [None, 64])
h = net(x, True)
slim.assign_from_checkpoint_fn('backbone.ckpt', slim.get_model_variables())
loss = tf.reduce_mean(tf.layers.dense(h, 1))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
""",
        ),
        example(
            "PyTorch module with a training parameter",
            """
from torch import nn

class Net(nn.Module):
    def __init__(self, is_training=True):
        super().__init__()
        self.bn = nn.BatchNorm1d(32)

    def forward(self, x):
        return self.bn(x)
""",
        ),
    ),
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for norm in program.batch_norms:
        parameter = ignored_training_parameter(norm)
        if parameter is None or norm.trainable is False or missed_by_scope(program, norm):
            continue
        keyword = "training" if norm.api == "tf.layers" else "is_training"
        edit = Edit("set-keyword", norm.location, name=keyword, value=parameter.name)
        yield RULE.finding(
            norm.location,
            f"this batch norm runs on its default; the function's `{parameter.name}` does not "
            "reach it",
            related=[Related(norm.frames[-1].location, f"`{parameter.name}` is taken here")],
            confidence=Confidence.MEDIUM if parameter.used else Confidence.HIGH,
            fix=Fix(f"Pass {keyword}={parameter.name}", (edit,), safe=False),
        )
