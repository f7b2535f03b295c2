"""Canonical names of TensorFlow's APIs, whatever they were imported through."""

from __future__ import annotations

import functools
import re

# Longest prefix first. What follows the prefix stays.
_PREFIXES = (
    ("tensorflow.compat.v1.keras", "keras"),
    ("tensorflow.compat.v2.keras", "keras"),
    ("tensorflow.python.keras", "keras"),
    ("tensorflow.contrib.keras", "keras"),
    ("tensorflow.keras", "keras"),
    ("tf_keras", "keras"),
    ("keras_applications", "keras.applications"),
    ("tensorflow.compat.v1", "tensorflow"),
    ("tensorflow.compat.v2", "tensorflow"),
    ("tensorflow.contrib.slim", "slim"),
    ("tensorflow.contrib.framework", "slim"),
    ("tensorflow.contrib.layers", "slim"),
    ("tensorflow.contrib.training", "slim.training"),
    ("tensorflow.contrib.metrics", "slim.metrics"),
    ("tensorflow.contrib.losses", "slim.losses"),
    ("tf_slim", "slim"),
    ("bnlint.slim", "slim"),
    ("tensorflow.python.layers.normalization", "tensorflow.layers"),
    ("tensorflow.python.layers.layers", "tensorflow.layers"),
    ("tensorflow.python.layers.convolutional", "tensorflow.layers"),
    ("tensorflow.python.layers.core", "tensorflow.layers"),
    ("tensorflow.python.training.moving_averages", "moving_averages"),
    ("tensorflow.python.training", "tensorflow.train"),
    ("tensorflow.estimator", "tensorflow.estimator"),
    ("tensorflow_estimator", "tensorflow.estimator"),
)
# What code imports TensorFlow and Keras by, and what canonical names begin with.
FRAMEWORKS = frozenset(prefix.split(".")[0] for prefix, _ in _PREFIXES) | {"keras"}
ROOTS = frozenset(short.split(".")[0] for _, short in _PREFIXES)
# Functions of these libraries neither build graphs nor hold ops.
PURE = frozenset(
    "numpy math os sys re time random scipy json glob shutil logging datetime builtins "
    "collections itertools functools operator string copy pickle cv2 PIL matplotlib pandas "
    "sklearn tqdm six argparse absl types typing warnings".split()
)
# Sub-modules in which slim's functions really live; they are dropped from the middle of names.
_SLIM_INNER = frozenset(
    "slim python ops layers arg_scope variables regularizers initializers optimizers framework "
    "normalization".split()
)
# Networks of models/research/slim, by how programs import them.
_NETS = re.compile(
    r"^(?:(?:models\.)?(?:research\.)?slim\.)?nets\."
    r"(?=(?:alexnet|cifarnet|inception\w*|lenet|mobilenet\w*|nets_factory|overfeat|resnet_utils|"
    r"resnet_v[12]|vgg)(?:\.|$))"
)
_PYTHON_OPS = re.compile(r"^tensorflow\.python\.(?:ops|framework|platform|client)\.\w+\.(?=\w)")
_KERAS_APPLICATIONS = re.compile(r"^keras\.(?:src\.)?applications\.(?:\w+\.)*(?=[A-Z]\w+$)")
_PRESETS = re.compile(r"^keras_(?:cv|hub|nlp)\.(?:\w+\.)*from_preset$")
_KERAS_LAYERS = re.compile(r"^keras\.(?:src\.)?layers\.(?:\w+\.)*(?=\w+$)")


@functools.lru_cache(maxsize=16384)
def canonical(name: str) -> str:
    """The canonical form of an external dotted name, e.g. "slim.batch_norm".

    "slim." stands for tf.contrib.slim, tf_slim, tf.contrib.layers and tf.contrib.framework
    (they export the same objects), "keras." for keras, tf.keras and tf_keras, "tensorflow."
    for tf and tf.compat.v1.
    """
    for prefix, short in _PREFIXES:
        if name == prefix or name.startswith(prefix + "."):
            name = short + name[len(prefix) :]
            break
    name = _NETS.sub("slim.nets.", name)
    if name.startswith("slim."):
        first, *middle, last = name.split(".")
        name = ".".join([first, *(part for part in middle if part not in _SLIM_INNER), last])
    elif name.startswith("tensorflow.python."):
        name = _PYTHON_OPS.sub("tensorflow.", name)
    elif name.startswith("keras.") and ".layers." in name:
        name = _KERAS_LAYERS.sub("keras.layers.", name)
    elif name.startswith("keras.") and "applications." in name:
        name = _KERAS_APPLICATIONS.sub("keras.applications.", name)
    elif name.endswith(".from_preset"):
        name = _PRESETS.sub("keras_hub.models.from_preset", name)
    return name
