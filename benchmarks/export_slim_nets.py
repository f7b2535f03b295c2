"""Write MetaGraphs of the nets that `slim` ships, each trained in three ways.

    python export_slim_nets.py FOLDER

Runs with TensorFlow 1.15 (its contrib.slim) or with TensorFlow 2, TF_USE_LEGACY_KERAS=1 and
tf_slim 1.1. `NET.create_train_op.meta` and `NET.control_dependencies.meta` are right,
`NET.minimize.meta` never runs its batch norms' updates. `benchmarks/inspect_models.py` reads them.
"""

import os
import sys

import tensorflow.compat.v1 as tf

try:
    from tensorflow.contrib import slim
    from tensorflow.contrib.slim.python.slim.nets import inception, resnet_v1, resnet_v2
except ImportError:
    import tf_slim as slim
    from tf_slim.nets import inception, resnet_v1, resnet_v2

CLASSES = 10
NETS = {
    "resnet_v1_50": (resnet_v1.resnet_v1_50, resnet_v1.resnet_arg_scope, 64),
    "resnet_v1_101": (resnet_v1.resnet_v1_101, resnet_v1.resnet_arg_scope, 64),
    "resnet_v2_50": (resnet_v2.resnet_v2_50, resnet_v2.resnet_arg_scope, 64),
    "resnet_v2_152": (resnet_v2.resnet_v2_152, resnet_v2.resnet_arg_scope, 64),
    "inception_v1": (inception.inception_v1, inception.inception_v1_arg_scope, 224),
    "inception_v2": (inception.inception_v2, inception.inception_v2_arg_scope, 224),
    "inception_v3": (inception.inception_v3, inception.inception_v3_arg_scope, 299),
}


def train_op(loss, how):
    optimizer = tf.train.MomentumOptimizer(0.1, 0.9)
    if how == "create_train_op":
        return slim.learning.create_train_op(loss, optimizer)
    if how == "minimize":
        return optimizer.minimize(loss)
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        return optimizer.minimize(loss)


def export(name, how, folder):
    net, arg_scope, size = NETS[name]
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [None, size, size, 3], "images")
        labels = tf.placeholder(tf.int64, [None], "labels")
        with slim.arg_scope(arg_scope()):
            logits, end_points = net(images, CLASSES, is_training=True)
        loss = tf.losses.sparse_softmax_cross_entropy(labels, tf.reshape(logits, [-1, CLASSES]))
        if "AuxLogits" in end_points:
            loss += 0.4 * tf.losses.sparse_softmax_cross_entropy(labels, end_points["AuxLogits"])
        train_op(loss, how)
        path = os.path.join(folder, f"{name}.{how}.meta")
        tf.train.export_meta_graph(path, graph=graph, clear_extraneous_savers=True)


def main():
    for name in NETS:
        for how in ("create_train_op", "control_dependencies", "minimize"):
            export(name, how, sys.argv[1])


if __name__ == "__main__":
    tf.disable_v2_behavior()
    main()
