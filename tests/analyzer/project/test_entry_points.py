"""Networks that a program reaches in a roundabout way are still followed to its train op.

Every project stands here once; `TRAIN(loss)` is replaced by a step that loses the updates (bad)
and by one that runs them (good).
"""

from __future__ import annotations

import pytest

from bnlint.rule import Example, example
from bnlint.testing import findings_in

BAD = "train_op = tf.train.AdamOptimizer(1e-3).minimize({loss})  # <- BN101"
GOOD = """with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer(1e-3).minimize({loss})"""

NETS = """
import tensorflow as tf
slim = tf.contrib.slim

def arg_scope(is_training):
    with slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm,
                        normalizer_params={'is_training': is_training}) as scope:
        return scope

def small(images, is_training):
    with slim.arg_scope(arg_scope(is_training)):
        return slim.flatten(slim.conv2d(images, 8, [3, 3], activation_fn=tf.nn.relu))

def large(images, is_training):
    with slim.arg_scope(arg_scope(is_training)):
        net = slim.conv2d(images, 8, [3, 3])
        return slim.flatten(slim.conv2d(net, 8, [3, 3]))
"""

LOSS = """
    images = tf.placeholder(tf.float32, [None, 28, 28, 1])
    labels = tf.placeholder(tf.int32, [None])
    logits = slim.fully_connected(net(images, True), 10, activation_fn=None)
    loss = tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
    TRAIN(loss)
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        while True:
            sess.run(train_op, {images: batch(), labels: batch()})
"""

HEAD = """
import tensorflow as tf
slim = tf.contrib.slim
"""

PROJECTS = {
    "importlib and argparse's default": example(
        "",
        nets__small="from .blocks import small as inference\n",
        nets__blocks=NETS,
        train=HEAD
        + """
import argparse
import importlib
import sys

def main(args):
    net = importlib.import_module(args.model_def).inference
"""
        + LOSS
        + """
def parse_arguments(argv):
    parser = argparse.ArgumentParser()
    parser.add_argument('--model_def', type=str, default='nets.small')
    parser.add_argument('--epochs', type=int, default=10)
    return parser.parse_args(argv)

if __name__ == '__main__':
    main(parse_arguments(sys.argv[1:]))
""",
    ),
    "importlib, a name put together from a flag": example(
        "",
        nets__small=NETS.replace("def large", "def network"),
        train=HEAD
        + """
from importlib import import_module
tf.app.flags.DEFINE_string('net', 'small', 'network')
FLAGS = tf.app.flags.FLAGS

def main(_):
    net = getattr(import_module('nets.' + FLAGS.net), 'network')
"""
        + LOSS
        + """
if __name__ == '__main__':
    tf.app.run()
""",
    ),
    "a module named only on the command line": example(
        "",
        nets__deep=NETS,
        train=HEAD
        + """
import argparse
import importlib
parser = argparse.ArgumentParser()
parser.add_argument('network')
args = parser.parse_args()

def main():
    net = importlib.import_module(args.network).small
"""
        + LOSS
        + """
main()
""",
    ),
    "slim's nets_factory": example(
        "",
        nets__nets=NETS,
        nets__nets_factory="""
import functools
import tensorflow as tf
from nets import nets
slim = tf.contrib.slim
networks_map = {'a': nets.small, 'b': nets.large, 'c': nets.small, 'd': nets.large,
                'e': nets.small, 'f': nets.large}

def get_network_fn(name, is_training=False):
    if name not in networks_map:
        raise ValueError('Name of network unknown %s' % name)
    func = networks_map[name]
    @functools.wraps(func)
    def network_fn(images):
        return func(images, is_training=is_training)
    return network_fn
""",
        train=HEAD
        + """
from nets import nets_factory
tf.app.flags.DEFINE_string('model_name', 'b', 'The name of the architecture to train.')
FLAGS = tf.app.flags.FLAGS

def main(_):
    network = nets_factory.get_network_fn(FLAGS.model_name, is_training=True)
    net = lambda images, is_training: network(images)
"""
        + LOSS
        + """
if __name__ == '__main__':
    tf.app.run(main)
""",
    ),
    "registry filled by a decorator, key not known": example(
        "",
        registry="""
_NETS = {}

def register(name):
    def decorator(function):
        _NETS[name] = function
        return function
    return decorator

def get(name):
    return _NETS[name]
""",
        nets=NETS.replace("def small", "@register('small')\ndef small").replace(
            "import tensorflow", "from registry import register\nimport tensorflow"
        ),
        train=HEAD
        + """
import json
import nets
import registry

def main():
    config = json.load(open('config.json'))
    net = registry.get(config['net'])
"""
        + LOSS
        + """
if __name__ == '__main__':
    main()
""",
    ),
    "registry of classes filled by a decorator": example(
        "",
        registry="""
class Factory:
    nets = {}

    @classmethod
    def register(cls, name):
        def wrap(net):
            cls.nets[name] = net
            return net
        return wrap
""",
        models=NETS
        + """
from registry import Factory

@Factory.register('res')
class Res(object):
    def __call__(self, images, is_training):
        return small(images, is_training)
""",
        train=HEAD
        + """
import models
from registry import Factory
from absl import app, flags
flags.DEFINE_enum('net', None, ['res', 'vgg'], 'which')

def main(argv):
    net = Factory.nets[flags.FLAGS.net]()
"""
        + LOSS
        + """
app.run(main)
""",
    ),
    "a click command and a dict of networks": example(
        "",
        nets=NETS,
        train=HEAD
        + """
import click
import nets
NETS = {'small': nets.small, 'large': nets.large}

@click.command()
@click.option('--name', type=click.Choice(sorted(NETS)), default='small')
def train(name):
    net = NETS[name]
"""
        + LOSS
        + """
if __name__ == '__main__':
    train()
""",
    ),
    "a command line made by fire": example(
        "",
        nets=NETS,
        train=HEAD
        + """
import fire
from nets import small as net

def train(steps=100):
    print(steps)
"""
        + LOSS
        + """
if __name__ == '__main__':
    fire.Fire(train)
""",
    ),
    "one of many by if and elif": example(
        "",
        nets=NETS,
        train=HEAD
        + """
import argparse
import nets

def choose(name):
    if name == 'a':
        net = nets.small
    elif name == 'b':
        net = nets.large
    elif name == 'c':
        net = nets.small
    elif name == 'd':
        net = nets.large
    else:
        raise ValueError(name)
    return net

def main(args):
    net = choose(args.net)
"""
        + LOSS
        + """
if __name__ == '__main__':
    parser = argparse.ArgumentParser()
    parser.add_argument('--net')
    FLAGS, rest = parser.parse_known_args()
    main(FLAGS)
""",
    ),
    "undecided flags on the way": example(
        "",
        nets=NETS,
        train=HEAD
        + """
import nets
flags = tf.app.flags
flags.DEFINE_bool('large', False, '')
flags.DEFINE_float('lr', 0.1, '')
flags.DEFINE_integer('gpus', 1, '')
FLAGS = flags.FLAGS

def main(_):
    if FLAGS.gpus < 1:
        raise ValueError('no GPU')
    net = nets.large if FLAGS.large else nets.small
"""
        + LOSS
        + """
tf.app.run()
""",
    ),
    "built by a base class, trained in another file": example(
        "",
        base="""
import tensorflow as tf

class Model(object):
    def __init__(self, size):
        self.images = tf.placeholder(tf.float32, [None, size, size, 1])
        self.labels = tf.placeholder(tf.float32, [None, 1])
        self.build()

    def build(self):
        raise NotImplementedError

    def fit(self, sess, data):
        for images, labels in data:
            sess.run(self.train_op, {self.images: images, self.labels: labels})
""",
        model="""
import tensorflow as tf
from base import Model

class Net(Model):
    def __init__(self, size, width=8):
        self.width = width
        super(Net, self).__init__(size)

    def build(self):
        net = tf.layers.conv2d(self.images, self.width, 3)
        net = tf.nn.relu(tf.layers.batch_normalization(net, training=True))
        self.loss = tf.losses.mean_squared_error(
            self.labels, tf.layers.dense(tf.layers.flatten(net), 1))
        TRAIN(self.loss)
        self.train_op = train_op
""",
        main="""
import tensorflow as tf
from model import Net

with tf.Session() as sess:
    net = Net(28)
    sess.run(tf.global_variables_initializer())
    net.fit(sess, load())
    tf.train.Saver().save(sess, 'model')
""",
    ),
    "a class nobody instantiates: build, then train": example(
        "",
        model="""
import tensorflow as tf

class Net:
    def __init__(self, config):
        self.images = tf.placeholder(tf.float32, [None, 4])
        self.labels = tf.placeholder(tf.float32, [None, 1])
        self.config = config

    def build_model(self):
        net = tf.layers.batch_normalization(tf.layers.dense(self.images, 8), training=True)
        self.loss = tf.reduce_mean(tf.square(tf.layers.dense(net, 1) - self.labels))

    def train(self, data):
        TRAIN(self.loss)
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer())
            for images, labels in data:
                sess.run(train_op, {self.images: images, self.labels: labels})
""",
    ),
    "the loss goes through the collection of losses": example(
        "",
        train="""
import tensorflow as tf
slim = tf.contrib.slim
images = tf.placeholder(tf.float32, [None, 28, 28, 1])
labels = tf.placeholder(tf.float32, [None, 10])
net = slim.conv2d(images, 8, [3, 3], normalizer_fn=slim.batch_norm)
logits = slim.fully_connected(slim.flatten(net), 10, activation_fn=None)
tf.losses.softmax_cross_entropy(labels, logits)
total_loss = tf.losses.get_total_loss()
TRAIN(total_loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    while True:
        sess.run(train_op)
""",
    ),
    "a named tuple of parts": example(
        "",
        train="""
import collections
import tensorflow as tf
Parts = collections.namedtuple('Parts', ['images', 'loss'])

def build():
    images = tf.placeholder(tf.float32, [None, 4])
    net = tf.layers.batch_normalization(tf.layers.dense(images, 8), training=True)
    return Parts(images, loss=tf.nn.l2_loss(net))

parts = build()
TRAIN(parts.loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    while True:
        sess.run(train_op, {parts.images: batch()})
""",
    ),
    "layers chained by a decorator, outputs picked by name": example(
        "",
        network="""
import tensorflow as tf

def layer(op):
    def decorated(self, *args, **kwargs):
        name = kwargs.setdefault('name', op.__name__)
        output = op(self, self.terminals[0], *args, **kwargs)
        self.layers[name] = output
        self.feed(output)
        return self
    return decorated

class Network(object):
    def __init__(self, inputs, training):
        self.layers = dict(inputs)
        self.terminals = []
        self.training = training
        self.setup()

    def feed(self, *args):
        self.terminals = []
        for fed in args:
            if isinstance(fed, str):
                fed = self.layers[fed]
            self.terminals.append(fed)
        return self

    @layer
    def conv(self, inputs, width, name):
        net = tf.layers.conv2d(inputs, width, 3)
        return tf.nn.relu(tf.layers.batch_normalization(net, training=self.training))

    def outputs(self):
        return [self.layers[name] for name in sorted(self.layers.keys()) if 'out' in name]
""",
        train="""
import tensorflow as tf
from network import Network

class Net(Network):
    def setup(self):
        (self.feed('data')
             .conv(8, name='conv1').conv(8, name='conv2').conv(8, name='conv3')
             .conv(8, name='conv4').conv(8, name='conv5').conv(8, name='conv6')
             .conv(8, name='conv7').conv(8, name='conv8').conv(8, name='conv9')
             .conv(1, name='out1'))

images = tf.placeholder(tf.float32, [None, 99, 99, 3])
losses = []
for output in Net({'data': images}, True).outputs():
    losses.append(tf.nn.l2_loss(output))
loss = tf.add_n(losses)
TRAIN(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    while True:
        sess.run(train_op, {images: batch()})
""",
    ),
    "a script beside the module it imports, in a package of that name": example(
        "",
        face__init="",
        face__src__face=NETS,
        face__src__train=HEAD
        + """
import face

def main():
    net = face.small
"""
        + LOSS
        + """
if __name__ == '__main__':
    main()
""",
    ),
}


def written(project: Example, step: str) -> Example:
    """`project` with `TRAIN(loss)` replaced by `step`."""
    files = {}
    for path, text in project.files.items():
        lines = []
        for line in text.splitlines():
            head, mark, loss = line.partition("TRAIN(")
            chosen = step.format(loss=loss.rstrip(")")) if mark else line
            lines += [head + part for part in chosen.splitlines()] if mark else [line]
        files[path.replace("init.py", "__init__.py")] = "\n".join(lines) + "\n"
    return Example(project.title, files)


@pytest.mark.parametrize("name", PROJECTS)
def test_lost_updates_are_found(name: str) -> None:
    project = written(PROJECTS[name], BAD)
    assert project.expected()
    assert findings_in(project) == project.expected()


@pytest.mark.parametrize("name", PROJECTS)
def test_run_updates_are_no_finding(name: str) -> None:
    assert findings_in(written(PROJECTS[name], GOOD)) == set()


VAE = """
import tensorflow as tf
slim = tf.contrib.slim
images = tf.placeholder(tf.float32, [None, 8])
latent = tf.nn.relu(slim.batch_norm(slim.fully_connected(images, 4), is_training=True)) + 1.0
output = slim.fully_connected(latent, 8, activation_fn=None)
saver = tf.train.Saver()
with tf.Session() as sess:
    saver.restore(sess, 'model')
    print(sess.run(output, {FEED: batch()}))
"""


def test_a_fed_tensor_is_not_computed() -> None:
    encoded = example("", VAE.replace("FEED", "images"))
    assert findings_in(encoded) == {("train.py", 4, "BN201")}
    decoded = example("", VAE.replace("FEED", "latent"))
    assert findings_in(decoded) == set()


@pytest.mark.parametrize(
    ("file", "function", "linted"),
    [
        ("train", "train_on_images", True),
        ("train", "test_on_images", True),
        ("test_train", "train_on_images", True),
        ("test_train", "test_on_images", False),
        ("train_test", "test_on_images", False),
    ],
)
def test_functions_that_pytest_runs_are_not_programs(
    file: str, function: str, linted: bool
) -> None:
    text = f"{HEAD}\nfrom nets import small as net\n\ndef {function}(batch):{LOSS}"
    files = {"nets": NETS, file: text.replace("TRAIN(loss)", BAD.format(loss="loss"))}
    assert bool(findings_in(example("", **files))) is linted


def test_a_module_that_computes_much_when_imported_still_defines_its_networks() -> None:
    tables = "def table(n):\n" + "    n = n + 1\n" * 30 + "    return n\n\n"
    calls = "".join(f"T{number} = table({number})\n" for number in range(1000))
    project = {
        "nets": tables + calls + NETS,
        "train": f"{HEAD}\nfrom nets import small as net\n{LOSS}",
    }
    project["train"] = (
        project["train"].replace("\n    ", "\n").replace("TRAIN(loss)", BAD.format(loss="loss"))
    )
    assert findings_in(example("", **project))
