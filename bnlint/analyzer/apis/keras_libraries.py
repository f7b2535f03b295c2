"""Networks of libraries on top of Keras: which of them have batch norm.

Recorded from the packages in fixtures/oracle/keras/libraries.json.
"""

from __future__ import annotations

import re

from bnlint.analyzer.apis.keras import loaded_or_ready_made
from bnlint.analyzer.apis.library import TensorFlow
from bnlint.analyzer.apis.registry import Kind, api, method
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.values import (
    Choice,
    Const,
    ListValue,
    Setting,
    Symbol,
    Value,
    constant,
)

# Names of presets, models and modules with batch norm.
WITH_BATCH_NORM = re.compile(
    r"(?:resne[stx]t?|senet|densenet|efficientnet|mobilenet|inception|nasnet|xception|darknet|yolo|"
    r"segformer|hgnet|basnet)(?!_?v5)"
)


def names_batch_norm(name: object) -> bool:
    """A network of this name has batch norm; False if that is not known."""
    return isinstance(name, str) and WITH_BATCH_NORM.search(name.lower()) is not None


def _text(value: Value | None) -> object:
    """A name, or the first that a setting or a branch may choose."""
    if isinstance(value, Choice):
        return next((text for text in map(_text, value.options) if text is not None), None)
    if isinstance(value, Setting):
        return next(iter(value.hints), None)
    return constant(value, str)


# --- efficientnet, segmentation_models, image-classifiers --------------------------------------


@api(
    *(f"efficientnet.{keras}.EfficientNet{size}" for keras in ("keras", "tfkeras")
      for size in ("B0", "B1", "B2", "B3", "B4", "B5", "B6", "B7", "L2")),
    signature="include_top=True, weights='imagenet', *args, **kwargs", word="efficientnet",
    makes_batch_norm=True,
)  # fmt: skip
def efficientnet(tf: TensorFlow, call: Call) -> Value:
    return loaded_or_ready_made(tf, call, call.weights, has_norms=True)


@api(
    *(f"segmentation_models.{name}" for name in ("Unet", "FPN", "Linknet", "PSPNet")),
    signature="backbone_name='vgg16', input_shape=None, classes=1, activation='sigmoid', "
    "weights=None, encoder_weights='imagenet', *args, **kwargs", word="segmentation_models",
    makes_batch_norm=True,
)  # fmt: skip
def segmentation_model(tf: TensorFlow, call: Call) -> Value:
    """Its decoder has batch norm, whatever the backbone."""
    return loaded_or_ready_made(tf, call, call.encoder_weights, has_norms=True)


class Classifier(Kind):
    """A network that `Classifiers.get` gave. `name`: its name."""

    def __init__(self, name: object) -> None:
        super().__init__()
        self.name = name

    @method(
        "classification_models.model", called="__call__",
        signature="input_shape=None, input_tensor=None, weights=None, *args, **kwargs",
    )  # fmt: skip
    def call(self, tf: TensorFlow, call: Call) -> Value:
        return loaded_or_ready_made(
            tf, call, call.weights or Const(None), has_norms=names_batch_norm(self.name)
        )


@api("classification_models.keras.Classifiers.get",
     "classification_models.tfkeras.Classifiers.get", "classification_models.Classifiers.get",
     signature="name")  # fmt: skip
def classifier(tf: TensorFlow, call: Call) -> Value:
    """(the network, its preprocessing); apis/words.py has the word that files are scanned for."""
    return ListValue((Classifier(_text(call.name)), Symbol()))


# --- keras_cv, keras_hub, tensorflow_hub -------------------------------------------------------


@api("keras_hub.models.from_preset", signature="preset, load_weights=True, **kwargs",
     word="from_preset", makes_batch_norm=True)  # fmt: skip
def from_preset(tf: TensorFlow, call: Call) -> Value:
    """`keras_cv.models.ImageClassifier.from_preset("resnet50_imagenet")`, and the like."""
    return loaded_or_ready_made(tf, call, None, has_norms=names_batch_norm(_text(call.preset)))


@api("tensorflow_hub.KerasLayer", signature="handle, trainable=False, *args, **kwargs",
     word="tensorflow_hub", makes_batch_norm=True)  # fmt: skip
def hub_layer(tf: TensorFlow, call: Call) -> Value:
    """A trained module; frozen unless it is said to be trainable."""
    named = names_batch_norm(_text(call.handle))
    return loaded_or_ready_made(
        tf, call, None, has_norms=named, trainable=call.trainable or Const(False)
    )
