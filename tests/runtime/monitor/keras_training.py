"""Small models on scikit-learn's digits, for Keras 3 and tf-keras alike.

`test_callbacks.py` imports this under Keras 3, and runs it as a script under tf-keras, where
TF_USE_LEGACY_KERAS=1 must be set before TensorFlow is imported.
"""

import json
import os
import sys
import warnings
from typing import Any

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

from bnlint import keras_callback
from bnlint.findings import Finding
from bnlint.runtime.monitor.statistics import BatchNormWarning

if os.environ.get("TF_USE_LEGACY_KERAS") == "1":
    import tf_keras as keras
else:
    import keras

DIGITS, LABELS = load_digits(return_X_y=True)
DIGITS = DIGITS.astype(np.float32)


def net(momentum: float = 0.9, trainable: bool = True, **options: Any) -> Any:
    """Dense, batch norm, dense. `training`: fixed in the functional call."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input([64])
    hidden = keras.layers.Dense(16, activation="relu")(inputs)
    norm = keras.layers.BatchNormalization(momentum=momentum, name="bn", trainable=trainable)
    outputs = keras.layers.Dense(10)(norm(hidden, **options))
    return compiled(keras.Model(inputs, outputs))


def compiled(model: Any, **options: Any) -> Any:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss, **options)
    return model


class Forgets(keras.Model):  # type: ignore[misc]
    """Its own `train_step` calls the model without training=True."""

    def train_step(self, data: Any) -> dict[str, Any]:
        images, labels = data[:2]
        with tf.GradientTape() as tape:
            logits = self(images)
            loss = tf.reduce_mean(
                keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
            )
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss}


class Subclassed(keras.Model):  # type: ignore[misc]
    """Not built before its first batch."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = keras.layers.Dense(16)
        self.norm = keras.layers.BatchNormalization(momentum=0.9)
        self.out = keras.layers.Dense(10)

    def call(self, images: Any, training: bool | None = None) -> Any:
        return self.out(self.norm(self.hidden(images), training=training))


def fit(model: Any, epochs: int = 1, batch: int = 32, **options: Any) -> tuple[Any, list[Finding]]:
    """The callback after training, and what it told."""
    found: list[Finding] = []
    watcher = keras_callback(model, on_finding=found.append, **{"overhead": 1.0, **options})
    with warnings.catch_warnings():
        warnings.simplefilter("error", BatchNormWarning)
        model.fit(DIGITS, LABELS, batch, epochs, verbose=0, callbacks=[watcher])
    return watcher, found


def forgets(base: Any = None) -> Any:
    model = base or net()
    return compiled(Forgets(model.inputs, model.outputs))


def nested(training: bool) -> Any:
    """A pretrained net inside another, called as the Keras guides say: `training=False`."""
    inner = net()
    fit(inner, epochs=2)
    inputs = keras.Input([64])
    return compiled(keras.Model(inputs, inner(inputs, training=training)))


def stopped_after(model: Any, **options: Any) -> int:
    """Training steps that a stopping callback let run, out of 570."""
    fit(model, epochs=10, stop=True, **options)
    return int(model.optimizer.iterations.numpy())


def same_names() -> Any:
    """Two batch norms that share a name, in two nested models."""
    inputs = keras.Input([64])
    middle = net()
    middle = keras.Model(middle.inputs, middle.outputs, name="first")
    last = keras.Sequential([keras.layers.BatchNormalization(name="bn")], name="last")
    last.build([None, 10])
    return compiled(keras.Model(inputs, last(middle(inputs))))


def nan_after_a_while() -> tuple[list[Finding], int]:
    """NaN comes into the statistics with the 21st batch."""
    model = compiled(Subclassed())
    digits = DIGITS[:960].copy()
    digits[640:] = np.nan
    found: list[Finding] = []
    watcher = keras_callback(model, on_finding=found.append, overhead=1.0, stop=True)
    model.fit(digits, LABELS[:960], 32, 5, verbose=0, shuffle=False, callbacks=[watcher])
    return found, int(model.optimizer.iterations.numpy())


def nan_from_the_start() -> Any:
    model = net()
    model.get_layer("bn").moving_mean.assign([np.nan] * 16)
    return model


def results() -> dict[str, Any]:
    """What the callback says in every situation, as plain values."""

    def codes(model: Any, **options: Any) -> list[str]:
        return [one.code for one in fit(model, **options)[1]]

    healthy = net()
    watcher, found = fit(healthy, epochs=2)
    first_watch = watcher.watch
    healthy.fit(DIGITS, LABELS, 32, 1, verbose=0, callbacks=[watcher])
    subclassed, found_in_subclassed = fit(compiled(Subclassed()), epochs=2)
    nan, nan_steps = nan_after_a_while()
    return {
        "healthy": [one.code for one in found],
        "healthy_watched": sorted(first_watch.latest),
        "second_fit_watches_anew": first_watch is not watcher.watch and watcher.findings == [],
        "frozen": codes(net(trainable=False)),
        "forgets": codes(forgets()),
        "forgets_one_step": codes(forgets(), batch=2000),
        "pretrained_in_inference_mode": codes(nested(training=False)),
        "always_training": codes(net(training=True)),
        "slow": codes(net(momentum=0.999)),
        "smoke_test": codes(net(momentum=0.999), batch=64),
        "subclassed": [one.code for one in found_in_subclassed],
        "subclassed_watched": len(subclassed.watch.latest),
        "steps_per_execution": codes(compiled(net(), steps_per_execution=10), epochs=2),
        "stop": stopped_after(forgets()),
        "stop_at_once": stopped_after(nan_from_the_start()),
        "nan": [one.code for one in nan],
        "nan_steps": nan_steps,
        "same_names": sorted(fit(same_names())[0].watch.layers),
        "start_only": fit(net(), batch=600, overhead=0.0)[0].watch is None,
    }


if __name__ == "__main__":
    assert keras.__name__ == os.environ.get("EXPECTED_KERAS", keras.__name__)
    json.dump(results(), sys.stdout)
