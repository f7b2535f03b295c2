"""BN101: a network with batch norm is trained and nothing runs its UPDATE_OPS."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Edit, Finding, Fix, Severity
from bnlint.program.events import Program
from bnlint.program.queries import Lost, count, lost_updates
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN101",
    name="missing-update-ops",
    severity=Severity.ERROR,
    summary="batch norm is trained but nothing runs its UPDATE_OPS",
    why="""In TensorFlow 1 graphs a batch norm does not update its moving mean and variance when
it is trained. It puts the update ops into the collection `tf.GraphKeys.UPDATE_OPS`, and
`minimize` and `apply_gradients` ignore that collection. The moving statistics stay at their
initial 0 and 1: training looks fine, and evaluation with `is_training=False` gives chance-level
or constant predictions. A Keras layer in such a graph keeps its updates to itself, in
`layer.updates`.""",
    help="Create the train op inside "
    "`with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):`, or use "
    "`slim.learning.create_train_op`, which does it for you.",
    found_by=("check", "inspect"),
    bad=(
        example(
            "slim network, plain minimize",
            """
import tensorflow as tf
slim = tf.contrib.slim

def net(images):
    with slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm,
                        normalizer_params={'is_training': True}):
        x = slim.conv2d(images, 32, [3, 3])
        x = slim.conv2d(x, 64, [3, 3])
    return slim.fully_connected(slim.flatten(x), 10, activation_fn=None)

images = tf.placeholder(tf.float32, [None, 28, 28, 1])
labels = tf.placeholder(tf.int32, [None])
loss = tf.losses.sparse_softmax_cross_entropy(labels, net(images))
train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)  # <- BN101

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(10000):
        sess.run(train_op)
""",
        ),
        example(
            "network in another file, gradients clipped by hand",
            nets="""
import tensorflow.compat.v1 as tf

class Net:
    def __init__(self, training):
        self.training = training

    def block(self, x, filters):
        x = tf.layers.conv2d(x, filters, 3, use_bias=False)
        x = tf.layers.batch_normalization(x, training=self.training)
        return tf.nn.relu(x)

    def build(self, x):
        x = self.block(self.block(x, 32), 64)
        return tf.layers.dense(tf.layers.flatten(x), 10)
""",
            train="""
import tensorflow.compat.v1 as tf
from nets import Net

def main():
    images = tf.placeholder(tf.float32, [None, 32, 32, 3])
    labels = tf.placeholder(tf.int32, [None])
    training = tf.placeholder(tf.bool, name='training')
    logits = Net(training).build(images)
    loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
    optimizer = tf.train.MomentumOptimizer(0.1, 0.9)
    grads, tvars = zip(*optimizer.compute_gradients(loss))
    grads, _ = tf.clip_by_global_norm(grads, 5.0)
    train_op = optimizer.apply_gradients(zip(grads, tvars))  # <- BN101
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        for _ in range(20000):
            sess.run([train_op, loss], feed_dict={training: True})

if __name__ == '__main__':
    main()
""",
        ),
        example(
            "estimator model_fn",
            """
import tensorflow as tf

def model_fn(features, labels, mode):
    training = mode == tf.estimator.ModeKeys.TRAIN
    x = tf.layers.dense(features['x'], 64)
    x = tf.layers.batch_normalization(x, training=training)
    logits = tf.layers.dense(tf.nn.relu(x), 10)
    loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
    if mode == tf.estimator.ModeKeys.EVAL:
        return tf.estimator.EstimatorSpec(mode, loss=loss)
    optimizer = tf.train.AdamOptimizer()
    train_op = optimizer.minimize(loss, global_step=tf.train.get_global_step())  # <- BN101
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

estimator = tf.estimator.Estimator(model_fn, '/tmp/model')
""",
        ),
        example(
            "Keras layers in a TF1 graph: the updates are not in UPDATE_OPS",
            """
import tensorflow as tf

is_training = tf.placeholder(tf.bool, [])
x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.int32, [None])
h = tf.keras.layers.Dense(32)(x)
h = tf.keras.layers.BatchNormalization()(h, training=is_training)
loss = tf.losses.sparse_softmax_cross_entropy(y, tf.keras.layers.Dense(10)(h))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)  # <- BN101
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for images, labels in batches():
        sess.run(train_op, {x: images, y: labels, is_training: True})
""",
        ),
        example(
            "a functional Keras model called in a TF1 graph",
            """
import tensorflow as tf
from tensorflow.keras import layers

inputs = layers.Input((64,))
h = layers.BatchNormalization()(layers.Dense(32)(inputs))
model = tf.keras.Model(inputs, layers.Dense(10)(h))

is_training = tf.placeholder(tf.bool, [])
x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.int32, [None])
loss = tf.losses.sparse_softmax_cross_entropy(y, model(x, training=is_training))
train_op = tf.train.AdamOptimizer().minimize(loss)  # <- BN101
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for images, labels in batches():
        sess.run(train_op, {x: images, y: labels, is_training: True})
""",
        ),
    ),
    good=(
        example(
            "a functional Keras model whose updates join the train op",
            """
import tensorflow as tf
from tensorflow.keras import layers

inputs = layers.Input((64,))
h = layers.BatchNormalization()(layers.Dense(32)(inputs))
model = tf.keras.Model(inputs, layers.Dense(10)(h))

x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.int32, [None])
loss = tf.losses.sparse_softmax_cross_entropy(y, model(x, training=True))
with tf.control_dependencies(model.get_updates_for(x)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for images, labels in batches():
        sess.run(train_op, {x: images, y: labels})
""",
        ),
        example(
            "Keras layers in a TF1 graph whose updates are run",
            """
import tensorflow as tf

is_training = tf.placeholder(tf.bool, [])
x = tf.placeholder(tf.float32, [None, 64])
norm = tf.keras.layers.BatchNormalization()
h = norm(tf.keras.layers.Dense(32)(x), training=is_training)
loss = tf.reduce_mean(tf.keras.layers.Dense(1)(h))
train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for images in batches():
        sess.run([train_op, norm.updates], {x: images, is_training: True})
""",
        ),
        example(
            "control_dependencies before apply_gradients in a helper of another file",
            helper="""
import tensorflow as tf

def make_train_op(optimizer, loss):
    grads = optimizer.compute_gradients(loss)
    update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    with tf.control_dependencies(update_ops):
        return optimizer.apply_gradients(grads)
""",
            train="""
import tensorflow as tf
import tf_slim as slim
from helper import make_train_op

x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.int32, [None])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params=dict(is_training=True))
loss = tf.losses.sparse_softmax_cross_entropy(y, slim.fully_connected(h, 2, activation_fn=None))
train_op = make_train_op(tf.train.GradientDescentOptimizer(0.1), loss)
with tf.Session() as sess:
    sess.run(train_op)
""",
        ),
        example(
            "estimator that does it right",
            """
import tensorflow as tf

def model_fn(features, labels, mode, params):
    training = mode == tf.estimator.ModeKeys.TRAIN
    x = tf.layers.dense(features['x'], params['units'])
    x = tf.layers.batch_normalization(x, training=training)
    logits = tf.layers.dense(tf.nn.relu(x), 10)
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.estimator.EstimatorSpec(mode, predictions={'logits': logits})
    loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
    train_op = None
    if training:
        with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
            train_op = tf.train.AdamOptimizer().minimize(loss, tf.train.get_global_step())
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

estimator = tf.estimator.Estimator(model_fn, '/tmp/model', params={'units': 64})
""",
        ),
        example(
            "contrib.gan attaches each net's updates",
            """
import tensorflow as tf
tfgan = tf.contrib.gan
layers = tf.contrib.layers

def generator(z):
    return layers.fully_connected(z, 16, normalizer_fn=layers.batch_norm)

def discriminator(x, _):
    return layers.fully_connected(x, 1, normalizer_fn=layers.batch_norm)

model = tfgan.gan_model(generator, discriminator, tf.zeros([8, 16]), tf.zeros([8, 4]))
loss = tfgan.gan_loss(model)
train_ops = tfgan.gan_train_ops(
    model, loss, tf.train.AdamOptimizer(1e-4), tf.train.AdamOptimizer(1e-4))
tfgan.gan_train(train_ops, '/tmp/gan')
""",
        ),
        example(
            "updates in place",
            """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
params = {'is_training': True, 'updates_collections': None}
with slim.arg_scope([slim.fully_connected], normalizer_fn=slim.batch_norm,
                    normalizer_params=params):
    h = slim.fully_connected(x, 8)
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1))
train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(train_op)
""",
        ),
        example(
            "train op and updates fetched together",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = tf.layers.batch_normalization(tf.layers.dense(x, 8), training=True)
loss = tf.losses.mean_squared_error(y, tf.layers.dense(h, 1))
train_op = tf.train.AdamOptimizer().minimize(loss)
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for _ in range(100000):
        sess.run([train_op, update_ops])
""",
        ),
        example(
            "train op grouped with the updates",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = tf.layers.batch_normalization(tf.layers.dense(x, 8), training=True)
loss = tf.losses.mean_squared_error(y, tf.layers.dense(h, 1))
train_op = tf.train.AdamOptimizer().minimize(loss)
train_op = tf.group(train_op, *tf.get_collection(tf.GraphKeys.UPDATE_OPS))
with tf.Session() as sess:
    sess.run(train_op)
""",
        ),
        example(
            "frozen fine-tuning",
            """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.batch_norm(slim.fully_connected(x, 8), is_training=False)
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1))
train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    tf.train.Saver().restore(sess, '/tmp/pretrained')
    sess.run(train_op)
""",
        ),
        example(
            "create_train_op attaches them",
            """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.batch_norm(slim.fully_connected(x, 8), is_training=True)
tf.losses.mean_squared_error(y, slim.fully_connected(h, 1))
train_op = slim.learning.create_train_op(tf.losses.get_total_loss(), tf.train.AdamOptimizer())
slim.learning.train(train_op, '/tmp/logs')
""",
        ),
        example(
            "optimize_loss attaches them",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = tf.contrib.layers.batch_norm(tf.layers.dense(x, 8), is_training=True)
loss = tf.losses.mean_squared_error(y, tf.layers.dense(h, 1))
train_op = tf.contrib.layers.optimize_loss(loss, None, 0.01, 'Adam')
with tf.Session() as sess:
    sess.run(train_op)
""",
        ),
        example(
            "Keras fit runs layer updates",
            """
import tensorflow as tf
model = tf.keras.Sequential([
    tf.keras.layers.Dense(8), tf.keras.layers.BatchNormalization(), tf.keras.layers.Dense(1)])
model.compile('adam', 'mse')
model.fit(x, y, epochs=5)
""",
        ),
        example(
            "PyTorch names",
            """
import torch
from torch import nn
net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))
optimizer = torch.optim.Adam(net.parameters())
loss = nn.functional.mse_loss(net(torch.zeros(2, 4)), torch.zeros(2, 1))
loss.backward()
optimizer.step()
""",
        ),
        example(
            "multi-GPU towers with the last tower's updates",
            """
import tensorflow as tf

def average(tower_grads):
    result = []
    for pairs in zip(*tower_grads):
        grad = tf.reduce_mean(tf.stack([g for g, _ in pairs]), 0)
        result.append((grad, pairs[0][1]))
    return result

optimizer = tf.train.GradientDescentOptimizer(0.1)
tower_grads = []
with tf.variable_scope(tf.get_variable_scope()):
    for i in range(2):
        with tf.device('/gpu:%d' % i), tf.name_scope('tower_%d' % i) as scope:
            x = tf.placeholder(tf.float32, [None, 4])
            h = tf.layers.batch_normalization(x, training=True, name='bn')
            loss = tf.reduce_mean(tf.square(h))
            tf.get_variable_scope().reuse_variables()
            update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS, scope)
            tower_grads.append(optimizer.compute_gradients(loss))
with tf.control_dependencies(update_ops):
    train_op = optimizer.apply_gradients(average(tower_grads))
with tf.Session() as sess:
    sess.run(train_op)
""",
        ),
    ),
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for lost in lost_updates(program, RULE.code):
        op = lost.op
        if lost.batch_norms[0].updates == "layer":
            yield _of_keras(lost)
            continue
        fix = None
        if op.statement is not None and op.tf_name and op.api in ("minimize", "apply_gradients"):
            edit = Edit("wrap-in-update-ops", op.statement, value=op.tf_name)
            fix = Fix("Make the train op depend on UPDATE_OPS", (edit,))
        yield RULE.finding(
            op.location,
            f"this train op trains {count(lost.batch_norms)}, and nothing runs the UPDATE_OPS "
            "that update the moving statistics",
            related=lost.related(),
            confidence=lost.confidence,
            fix=fix,
        )


def _of_keras(lost: Lost) -> Finding:
    return RULE.finding(
        lost.op.location,
        f"this train op trains {count(lost.batch_norms)} of Keras, whose updates are in "
        "`layer.updates`, not in UPDATE_OPS, and nothing runs them",
        related=lost.related(),
        confidence=min(lost.confidence, Confidence.MEDIUM),
    )
