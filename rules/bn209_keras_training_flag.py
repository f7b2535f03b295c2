"""BN209: a Keras model runs with the wrong training flag."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Edit, Finding, Fix, Related, Severity
from bnlint.program.events import KerasCall, Program
from bnlint.program.keras import (
    built_with_true,
    evaluated_with_true,
    trained_in_inference_mode,
    wrong_learning_phases,
)
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN209",
    name="keras-training-flag",
    severity=Severity.ERROR,
    summary="a Keras model runs with the wrong training flag",
    why="""
Keras decides by itself in `fit`, `evaluate` and `predict`; elsewhere the program does. One code
covers the four ways to get it wrong, because what happens and the repair are the same:

- a training step calls `model(x)`, which is inference mode, inside a GradientTape and in a custom
  `train_step` too: batch norm normalizes with its moving statistics and does not update them;
- an evaluation calls `model(x, training=True)`: each batch is normalized by itself;
- the functional model is built with `training=True`, which overrules `evaluate` and `predict`;
- the model is built under `K.set_learning_phase`, and used in the other mode.

(Checked on Keras 3.15 and tf-keras 2.21.)
""",
    help="Pass `training=True` in the training step and `training=False` (or nothing) elsewhere.",
    found_by=("check", "inspect"),
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for call in trained_in_inference_mode(program):
        yield _training_step(call)
    for call in evaluated_with_true(program):
        how = "with training=True" if call.training.explicit else "by its default"
        yield RULE.finding(
            call.location,
            f"this evaluation calls the model {how}: batch norm uses each batch's own statistics",
            related=_layer(call),
            confidence=Confidence.MEDIUM,
        )
    for norm, run in built_with_true(program):
        yield RULE.finding(
            norm.location,
            "this batch norm is built with training=True: it uses each batch's own statistics "
            "in evaluate and predict too",
            related=[Related(run.location, f"the model is used by {run.kind} here")],
            confidence=Confidence.MEDIUM,
        )
    for phase, run in wrong_learning_phases(program):
        yield RULE.finding(
            phase.location,
            f"the network is built with learning phase {int(bool(phase.value))} and used by "
            f"{run.kind}",
            related=[Related(run.location, f"{run.kind} runs in the wrong mode")],
            confidence=Confidence.MEDIUM,
        )


def _training_step(call: KerasCall) -> Finding:
    edit = Edit("set-keyword", call.location, name="training", value="True")
    return RULE.finding(
        call.location,
        "this training step calls the model without training=True: batch norm runs in inference "
        "mode and is not updated",
        related=_layer(call),
        confidence=Confidence.MEDIUM if call.conditional else Confidence.HIGH,
        fix=Fix("Pass training=True", (edit,), safe=False),
    )


def _layer(call: KerasCall) -> list[Related]:
    place = call.batch_norm
    return [Related(place, "a batch norm of the model")] if place is not None else []


RULE.examples(
    bad=(
        example(
            "a custom loop without training=True",
            """
import tensorflow as tf
from tensorflow.keras import layers
model = tf.keras.Sequential([layers.BatchNormalization(), layers.Dense(1)])
optimizer = tf.keras.optimizers.Adam()
for x in batches():
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(x))  # <- BN209
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
""",
        ),
        example(
            "training=True in the test step",
            nets="""
from tensorflow import keras

def make_net():
    inputs = keras.Input((64,))
    h = keras.layers.BatchNormalization()(keras.layers.Dense(32)(inputs))
    return keras.Model(inputs, keras.layers.Dense(10)(h))
""",
            train="""
import tensorflow as tf
from tensorflow import keras
from nets import make_net

model = make_net()
optimizer = keras.optimizers.Adam()
loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
accuracy = keras.metrics.SparseCategoricalAccuracy()

def train_step(x, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))

def test_step(x, y):
    accuracy.update_state(y, model(x, training=True))  # <- BN209

for x, y in train_data:
    train_step(x, y)
for x, y in test_data:
    test_step(x, y)
""",
        ),
    ),
    good=(
        example(
            "training=True",
            """
import tensorflow as tf
from tensorflow.keras import layers
model = tf.keras.Sequential([layers.BatchNormalization(), layers.Dense(1)])
optimizer = tf.keras.optimizers.Adam()
for x in batches():
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
""",
        ),
        example(
            "fit, evaluate and predict",
            """
from tensorflow import keras

model = keras.Sequential([
    keras.layers.Dense(32), keras.layers.BatchNormalization(), keras.layers.Dense(10)])
model.compile('adam', keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(images, labels)
model.evaluate(test_images, test_labels)
print(model(test_images))
""",
        ),
    ),
)
