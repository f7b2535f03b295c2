"""BN401: a cross entropy takes the logarithm of unnormalized logits."""

from collections.abc import Iterator

from bnlint.findings import Finding, Related, Severity
from bnlint.program.events import Program
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN401",
    name="log-of-logits",
    severity=Severity.ERROR,
    summary="a hand-written cross entropy takes the logarithm of logits",
    symptoms=("loss is NaN with a softmax written by hand",),
    why="""
Logits are any real numbers: the logarithm of a negative one is NaN, and one NaN makes every weight
NaN in the next step. A cross entropy needs probabilities, which a softmax gives, and
`softmax_cross_entropy_with_logits` computes both in a numerically safe way.
""",
    help="Use `tf.nn.softmax_cross_entropy_with_logits(labels=Y, logits=logits)`.",
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


RULE.examples(
    bad=(
        example(
            "logarithm of the last layer's output",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.float32, [None, 10])
logits = tf.layers.dense(x, 10)
loss = -tf.reduce_sum(y * tf.log(logits))  # <- BN401
train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
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
            "the loss takes the logits",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.float32, [None, 10])
logits = tf.layers.dense(x, 10)
loss = tf.nn.softmax_cross_entropy_with_logits_v2(labels=y, logits=logits)
train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
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
    ),
)
