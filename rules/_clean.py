"""Correct programs that several rules have to leave alone."""

from bnlint.rule import example

CONTROL_DEPENDENCIES = example(
    "control_dependencies around minimize",
    """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': True})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.control_dependencies(update_ops):
    train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
""",
)

SWITCHED_BY_PLACEHOLDER = example(
    "placeholder flag, control_dependencies",
    """
import tensorflow.compat.v1 as tf
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
training = tf.placeholder(tf.bool)
h = tf.layers.batch_normalization(tf.layers.dense(x, 8), training=training, name='bn')
loss = tf.losses.mean_squared_error(y, tf.layers.dense(h, 1))
optimizer = tf.train.AdamOptimizer(1e-3)
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.control_dependencies(update_ops):
    train_op = optimizer.minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op, {training: True})
""",
)

GROUPED = example(
    "grouped, and the group is run",
    """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': True})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
step_op = tf.group(train_op, *update_ops)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(step_op)
""",
)

FETCHED_TOGETHER = example(
    "fetched together",
    """
import tensorflow.compat.v1 as tf
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
training = tf.placeholder(tf.bool)
h = tf.layers.batch_normalization(tf.layers.dense(x, 8), training=training, name='bn')
loss = tf.losses.mean_squared_error(y, tf.layers.dense(h, 1))
optimizer = tf.train.AdamOptimizer(1e-3)
train_op = optimizer.minimize(loss)
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run([train_op, update_ops], {training: True})
""",
)

RUN_ON_THEIR_OWN = example(
    "updates run in a call of their own",
    """
import tensorflow.compat.v1 as tf
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
training = tf.placeholder(tf.bool)
h = tf.layers.batch_normalization(tf.layers.dense(x, 8), training=training, name='bn')
loss = tf.losses.mean_squared_error(y, tf.layers.dense(h, 1))
optimizer = tf.train.AdamOptimizer(1e-3)
train_op = optimizer.minimize(loss)
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op, {training: True})
        sess.run(update_ops, {training: True})
""",
)

CREATE_TRAIN_OP = example(
    "create_train_op by default",
    """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': True})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer(1e-3))
slim.learning.train(train_op, '/tmp/logs')
""",
)

CONTRIB_TRAINING = example(
    "contrib.training's create_train_op",
    """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': True})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
train_op = tf.contrib.training.create_train_op(loss, tf.train.AdamOptimizer(1e-3))
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
""",
)

TIED_TO_WHAT_IS_RUN = example(
    "collected after the train op, tied to a tensor that is run",
    """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': True})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
from tensorflow.python.ops import control_flow_ops
tied = control_flow_ops.with_dependencies([train_op, tf.group(*update_ops)], loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(tied)
""",
)

AVERAGED_AND_GROUPED = example(
    "an average over the variables made after the step, all grouped",
    """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': True})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.control_dependencies(update_ops):
    train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
ema = tf.train.ExponentialMovingAverage(0.999)
with tf.control_dependencies([train_op]):
    train_op = ema.apply(tf.trainable_variables())
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
""",
)

IN_PLACE = example(
    "updates in place",
    """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': True, 'updates_collections': None})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
""",
)

EVALUATED_WITH_FALSE = example(
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
)

PLACEHOLDER_FED = example(
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
)

SHARED_VARIABLES = example(
    "second network shares the variables and runs in inference mode",
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
loss = tf.losses.sparse_softmax_cross_entropy(y, net(x, True))
scores = net(x, False, reuse=True)
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())
with tf.Session() as sess:
    for _ in range(40):
        sess.run(train_op)
    print(sess.run(scores))
""",
)

TRAINING_ACCURACY = example(
    "training accuracy on the training network",
    """
import tensorflow as tf
slim = tf.contrib.slim

x = tf.placeholder(tf.float32, [None, 64])
y = tf.placeholder(tf.int32, [None])
h = slim.fully_connected(x, 32, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': True})
scores = slim.fully_connected(h, 10, activation_fn=None)
loss = tf.losses.sparse_softmax_cross_entropy(y, scores)
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())
with tf.Session() as sess:
    for _ in range(40):
        sess.run(train_op)
    print(sess.run(scores))
""",
)

RESUMED = example(
    "a training script that resumes from its checkpoint",
    """
import tensorflow as tf
slim = tf.contrib.slim

x = tf.placeholder(tf.float32, [None, 64])
h = slim.fully_connected(x, 32, normalizer_fn=slim.batch_norm)
loss = tf.reduce_mean(slim.fully_connected(h, 1, activation_fn=None))
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())
with tf.Session() as sess:
    tf.train.Saver().restore(sess, tf.train.latest_checkpoint('logs'))
    for _ in range(40):
        sess.run([train_op, loss])
""",
)

ESTIMATOR_MODE = example(
    "estimator passes the mode",
    """
import tensorflow as tf
slim = tf.contrib.slim

def model_fn(features, labels, mode):
    training = mode == tf.estimator.ModeKeys.TRAIN
    with slim.arg_scope([slim.batch_norm], is_training=training):
        h = slim.fully_connected(features['x'], 32, normalizer_fn=slim.batch_norm)
    scores = slim.fully_connected(h, 1, activation_fn=None)
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.estimator.EstimatorSpec(mode, predictions=scores)
    loss = tf.losses.mean_squared_error(labels, scores)
    train_op = None
    if training:
        train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

tf.estimator.Estimator(model_fn)
""",
)

PYTORCH_EVALUATION = example(
    "PyTorch evaluation",
    """
import torch
from torch import nn

model = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32))
model.load_state_dict(torch.load('model.pt'))
model.train(True)
print(model(torch.zeros(8, 64)))
""",
)
