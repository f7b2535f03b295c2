"""BN401: a cross entropy takes the logarithm of unnormalised logits."""

from collections.abc import Iterator

from bnlint.findings import Finding, Related, Severity
from bnlint.program.events import Program
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN401",
    name="log-of-logits",
    severity=Severity.ERROR,
    summary="a hand-written cross entropy takes the logarithm of logits",
    why="""Logits are any real numbers: the logarithm of a negative one is NaN, and one NaN makes every
weight NaN in the next step. A cross entropy needs probabilities, which a softmax gives, and
`softmax_cross_entropy_with_logits` computes both in a numerically safe way.""",
    help="Use `tf.nn.softmax_cross_entropy_with_logits(labels=Y, logits=logits)`.",
    bad=(
        example(
            "create_train_op ties the updates, only the logarithm is wrong",
            """
import tensorflow as tf
from tensorflow.python.ops import control_flow_ops
slim = tf.contrib.slim

def model(images, is_training):
    with slim.arg_scope([slim.conv2d, slim.fully_connected], normalizer_fn=slim.batch_norm,
                        normalizer_params={'is_training': is_training}):
        net = slim.conv2d(images, 32, [5, 5])
        net = slim.max_pool2d(net, [2, 2])
        net = slim.flatten(net)
    return slim.fully_connected(net, 10, activation_fn=None)

X = tf.placeholder(tf.float32, [None, 28, 28, 1])
Y = tf.placeholder(tf.float32, [None, 10])
logits = model(X, is_training=True)
cross_entropy = -tf.reduce_sum(Y * tf.log(logits))  # <- BN401
optimizer = tf.train.AdamOptimizer(1e-4)
train_op = slim.learning.create_train_op(cross_entropy, optimizer)
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
if update_ops:
    updates = tf.group(*update_ops)
    cross_entropy = control_flow_ops.with_dependencies([updates], cross_entropy)

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for i in range(20000):
        sess.run(train_op)
""",
        ),
        example(
            "matmul and bias",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 784])
y = tf.placeholder(tf.float32, [None, 10])
w = tf.Variable(tf.zeros([784, 10]))
b = tf.Variable(tf.zeros([10]))
logits = tf.matmul(x, w) + b
loss = tf.reduce_mean(-tf.reduce_sum(y * tf.log(logits), 1))  # <- BN401
train_op = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
""",
        ),
        example(
            "dense without activation",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 784])
y = tf.placeholder(tf.float32, [None, 10])
w = tf.Variable(tf.zeros([784, 10]))
b = tf.Variable(tf.zeros([10]))
logits = tf.layers.dense(x, 10)
loss = -tf.reduce_sum(y * tf.math.log(logits))  # <- BN401
train_op = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
""",
        ),
    ),
    good=(
        example(
            "softmax before the logarithm",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 784])
y = tf.placeholder(tf.float32, [None, 10])
w = tf.Variable(tf.zeros([784, 10]))
b = tf.Variable(tf.zeros([10]))
p = tf.nn.softmax(tf.matmul(x, w) + b)
loss = -tf.reduce_sum(y * tf.log(p))
train_op = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
""",
        ),
        example(
            "softmax as activation",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 784])
y = tf.placeholder(tf.float32, [None, 10])
w = tf.Variable(tf.zeros([784, 10]))
b = tf.Variable(tf.zeros([10]))
p = tf.layers.dense(x, 10, activation=tf.nn.softmax)
loss = -tf.reduce_sum(y * tf.log(p))
train_op = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
""",
        ),
        example(
            "with_logits",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 784])
y = tf.placeholder(tf.float32, [None, 10])
w = tf.Variable(tf.zeros([784, 10]))
b = tf.Variable(tf.zeros([10]))
logits = tf.matmul(x, w) + b
loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits_v2(labels=y, logits=logits))
train_op = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
""",
        ),
        example(
            "sigmoid",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 784])
y = tf.placeholder(tf.float32, [None, 10])
w = tf.Variable(tf.zeros([784, 10]))
b = tf.Variable(tf.zeros([10]))
p = tf.sigmoid(tf.matmul(x, w) + b)
loss = -tf.reduce_mean(y * tf.log(p) + (1 - y) * tf.log(1 - p))
train_op = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
""",
        ),
        example(
            "clipped positive",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 784])
y = tf.placeholder(tf.float32, [None, 10])
w = tf.Variable(tf.zeros([784, 10]))
b = tf.Variable(tf.zeros([10]))
p = tf.clip_by_value(tf.matmul(x, w) + b, 1e-10, 1.0)
loss = -tf.reduce_sum(y * tf.log(p))
train_op = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
""",
        ),
        example(
            "logarithm of a feature",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 784])
y = tf.placeholder(tf.float32, [None, 10])
w = tf.Variable(tf.zeros([784, 10]))
b = tf.Variable(tf.zeros([10]))
features = tf.log(x + 1.0)
logits = tf.matmul(features, w) + b
loss = tf.losses.softmax_cross_entropy(y, logits)
train_op = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
""",
        ),
    ),
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for log in program.logs:
        if log.of != "logits" or not log.in_loss:
            continue
        related = [Related(log.layer, "the logits are made here")] if log.layer else []
        yield RULE.finding(
            log.location,
            "logarithm of logits: negative values give NaN in this cross entropy",
            related=related,
        )
