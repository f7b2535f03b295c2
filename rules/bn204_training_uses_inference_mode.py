"""BN204: a network is trained with is_training=False."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Finding, Related, Severity
from bnlint.program.events import BatchNorm, Program, TrainOp
from bnlint.program.queries import count
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN204",
    name="training-uses-inference-mode",
    severity=Severity.ERROR,
    summary="a network is trained with is_training=False",
    why="""With `is_training=False` batch norm normalises with the moving statistics and creates no update
ops. Trained from scratch, they stay at mean 0 and variance 1: the layers are scaled and shifted but
never normalised, and deep networks train slowly or diverge. Fine-tuning around restored, frozen
statistics is the one use, and is not reported.""",
    help="Build the training network with `is_training=True`, or feed a placeholder with True.",
    bad=(
        example(
            "training and evaluation in two graphs of one script",
            """
import tensorflow as tf
slim = tf.contrib.slim

def net(x, is_training):
    h = slim.fully_connected(x, 32, normalizer_fn=slim.batch_norm,
                             normalizer_params={'is_training': is_training})
    return slim.fully_connected(h, 10, activation_fn=None)

def train():
    x = tf.placeholder(tf.float32, [None, 64])
    y = tf.placeholder(tf.int32, [None])
    loss = tf.losses.sparse_softmax_cross_entropy(y, net(x, False))  # <- BN204
    train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())
    saver = tf.train.Saver()
    with tf.Session() as sess:
        for images, labels in batches():
            sess.run(train_op, {x: images, y: labels})
        saver.save(sess, 'model.ckpt')

def evaluate():
    x = tf.placeholder(tf.float32, [None, 64])
    scores = net(x, False)
    saver = tf.train.Saver()
    with tf.Session() as sess:
        saver.restore(sess, 'model.ckpt')
        print(sess.run(scores, {x: read_images()}))

with tf.Graph().as_default():
    train()
with tf.Graph().as_default():
    evaluate()
""",
        ),
        example(
            "False written in the training script",
            nets="""
import tensorflow as tf
slim = tf.contrib.slim

def net(x, is_training):
    with slim.arg_scope([slim.batch_norm], is_training=is_training):
        x = slim.fully_connected(x, 32, normalizer_fn=slim.batch_norm)
        return slim.fully_connected(x, 10, activation_fn=None)
""",
            train="""
import tensorflow as tf
from nets import net
slim = tf.contrib.slim

x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.int32, [None])
loss = tf.losses.sparse_softmax_cross_entropy(y, net(x, is_training=False))  # <- BN204
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())
slim.learning.train(train_op, 'logs')
""",
        ),
        example(
            "training=False in tf.layers",
            """
import tensorflow.compat.v1 as tf

x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.int32, [None])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=False)  # <- BN204
loss = tf.losses.sparse_softmax_cross_entropy(y, tf.layers.dense(h, 10))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    for _ in range(1000):
        sess.run(train_op)
""",
        ),
        example(
            "an estimator's mode compared the wrong way round",
            """
import tensorflow.compat.v1 as tf

def model_fn(features, labels, mode):
    training = mode != tf.estimator.ModeKeys.TRAIN
    h = tf.layers.dense(features['x'], 32)
    h = tf.layers.batch_normalization(h, training=training)  # <- BN204
    scores = tf.layers.dense(h, 10)
    loss = tf.losses.sparse_softmax_cross_entropy(labels, scores)
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        train_op = tf.train.AdamOptimizer().minimize(loss, tf.train.get_global_step())
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

tf.estimator.Estimator(model_fn).train(lambda: None)
""",
        ),
    ),
    good=(
        example(
            "fine-tuning around frozen statistics from a checkpoint",
            """
import tensorflow as tf
slim = tf.contrib.slim

x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.int32, [None])
with slim.arg_scope([slim.batch_norm], is_training=False):
    h = slim.fully_connected(x, 32, normalizer_fn=slim.batch_norm, scope='backbone')
scores = slim.fully_connected(h, 10, activation_fn=None, scope='head')
loss = tf.losses.sparse_softmax_cross_entropy(y, scores)
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())
variables = slim.get_variables_to_restore(exclude=['head'])
slim.learning.train(train_op, 'logs', init_fn=slim.assign_from_checkpoint_fn('r.ckpt', variables))
""",
        ),
        example(
            "only the head is trained, the backbone's weights come from a saver",
            """
import tensorflow as tf
slim = tf.contrib.slim

x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.int32, [None])
h = slim.fully_connected(x, 32, normalizer_fn=slim.batch_norm, scope='backbone',
                         normalizer_params={'is_training': False})
scores = slim.fully_connected(h, 10, activation_fn=None, scope='head')
loss = tf.losses.sparse_softmax_cross_entropy(y, scores)
head = tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, 'head')
train_op = tf.train.AdamOptimizer().minimize(loss, var_list=head)
""",
        ),
        example(
            "part of the network is frozen on purpose, the rest trains",
            """
import tensorflow as tf
slim = tf.contrib.slim

x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.int32, [None])
h = slim.fully_connected(x, 32, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': False})
h = slim.fully_connected(h, 32, normalizer_fn=slim.batch_norm)
loss = tf.losses.sparse_softmax_cross_entropy(y, slim.fully_connected(h, 10, activation_fn=None))
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())
""",
        ),
        example(
            "frozen variables",
            """
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(x, training=False, trainable=False)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
train_op = tf.train.AdamOptimizer().minimize(loss)
""",
        ),
        example(
            "features behind tf.stop_gradient",
            """
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=False)
loss = tf.reduce_mean(tf.layers.dense(tf.stop_gradient(h), 1))
train_op = tf.train.AdamOptimizer().minimize(loss)
""",
        ),
        example(
            "the inference copy of a network that trains",
            """
import tensorflow as tf
slim = tf.contrib.slim

def net(x, is_training, reuse=None):
    with tf.variable_scope('net', reuse=reuse):
        x = slim.fully_connected(x, 32, normalizer_fn=slim.batch_norm, scope='fc1',
                                 normalizer_params={'is_training': is_training})
        return slim.fully_connected(x, 10, activation_fn=None, scope='fc2')

x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.int32, [None])
train_loss = tf.losses.sparse_softmax_cross_entropy(y, net(x, True))
eval_scores = net(x, False, reuse=True)
train_op = slim.learning.create_train_op(train_loss, tf.train.AdamOptimizer())
""",
        ),
        example(
            "a helper's default is False, the training script passes True",
            nets="""
import tensorflow as tf

def net(x, training=False):
    h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=training)
    return tf.layers.dense(h, 10)
""",
            train="""
import tensorflow as tf
from nets import net

x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.int32, [None])
loss = tf.losses.sparse_softmax_cross_entropy(y, net(x, training=True))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
""",
        ),
        example(
            "Keras fine-tuning calls the frozen base with training=False",
            """
import tensorflow as tf
from tensorflow import keras

base = keras.applications.MobileNetV2(include_top=False, input_shape=(96, 96, 3))
base.trainable = False
inputs = keras.Input((96, 96, 3))
x = base(inputs, training=False)
outputs = keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x))
model = keras.Model(inputs, outputs)
model.compile('adam', keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(tf.zeros((8, 96, 96, 3)), tf.zeros(8))
""",
        ),
        example(
            "PyTorch trains with frozen running statistics",
            """
import torch
from torch import nn

model = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.Linear(32, 10))
model.eval()
optimizer = torch.optim.Adam(model.parameters())
nn.functional.cross_entropy(model(torch.zeros(8, 64)), torch.zeros(8).long()).backward()
optimizer.step()
""",
        ),
    ),
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    if program.entry.mode in ("eval", "predict"):
        return  # an estimator builds its train op in every mode, and runs it in one
    if program.stops_gradients:
        return  # a network that is cut off is frozen on purpose
    for op in program.train_ops:
        if program.starts_pretrained(op.graph) or _switches_some(program, op.graph):
            continue  # so is a restored one, or a part of one
        norms = [norm for norm in op.batch_norms if _is_told_to(norm)]
        if norms and not op.trains_some and len(norms) == len(op.batch_norms):
            yield _finding(op, norms)


def _switches_some(program: Program, graph: int) -> bool:
    """Some batch norm of the graph can run in training mode."""
    return any(not norm.training.is_false for norm in program.batch_norms if norm.graph == graph)


def _is_told_to(norm: BatchNorm) -> bool:
    """Somebody wrote False; a default is BN203's, a Keras layer is frozen that way."""
    return norm.training.explicit and norm.trainable is not False and norm.api != "keras"


def _finding(op: TrainOp, norms: list[BatchNorm]) -> Finding:
    first = norms[0]
    unsure = op.conditional or op.loss_unknown or first.conditional
    return RULE.finding(
        first.training.location or first.location,
        f"this network is trained in inference mode: is_training is False for its {count(norms)}",
        related=[
            Related(first.location, "a batch norm whose statistics never move"),
            Related(op.location, "it is trained by this train op"),
        ],
        confidence=Confidence.MEDIUM if unsure else Confidence.HIGH,
    )
