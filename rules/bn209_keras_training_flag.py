"""BN209: a Keras model runs with the wrong training flag."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Edit, Finding, Fix, Related, Severity
from bnlint.program.events import BatchNorm, KerasCall, Program
from bnlint.program.keras import (
    FixedMode,
    evaluated_in_training_mode,
    fixed_in_inference_mode,
    fixed_in_training_mode,
    trained_in_inference_mode,
    wrong_learning_phases,
)
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN209",
    name="keras-training-flag",
    severity=Severity.ERROR,
    summary="a Keras model runs with the wrong training flag",
    symptoms=(
        "Keras batch norm in a custom training loop is not updated",
        "GradientTape loop with model(x) and without training=True",
        "Keras accuracy is high in fit and low in evaluate",
        "learning_phase is wrong",
    ),
    why="""
Keras decides by itself in `fit`, `evaluate` and `predict`; elsewhere the program does. One code
covers the ways to get it wrong, because what happens and the repair are the same:

- a training step calls `model(x)`, or `self.call(x)`, in a GradientTape or a custom `train_step`:
  that is inference mode, and batch norm is not updated ("tape, model(x)");
- an evaluation or export calls `model(x, training=True)`: each batch is normalized by itself;
- `training=` is written where the layer is called, or the model's flag has a name of its own, which
  Keras never sets ("functional | training true | predict");
- the model is built under `K.set_learning_phase` and used in the other mode, in TensorFlow 1.

(Recorded from TensorFlow 1.15, tf-keras 2.21 and Keras 3.15: `fixtures/oracle/keras`.)
""",
    help="Pass `training=True` in the training step and `training=False` (or nothing) elsewhere.",
    found_by=("check", "inspect"),
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for call, confidence in trained_in_inference_mode(program):
        yield _training_step(call, confidence)
    for call, confidence in evaluated_in_training_mode(program):
        what = "exported function" if call.purpose == "export" else "evaluation"
        yield RULE.finding(
            call.location,
            f"this {what} calls the model {_how(call)}: batch norm uses each batch's own "
            "statistics",
            related=_layer(call.batch_norms),
            confidence=confidence,
        )
    for fixed in fixed_in_training_mode(program):
        yield _always_in_training_mode(program, fixed)
    for fixed in fixed_in_inference_mode(program):
        yield _never_in_training_mode(fixed)
    for phase, run in wrong_learning_phases(program):
        yield RULE.finding(
            phase.location,
            f"the network is built with learning phase {int(bool(phase.value))} and used by "
            f"{run.kind}",
            related=[Related(run.location, f"{run.kind} runs in the wrong mode")],
            confidence=Confidence.MEDIUM,
        )


def _training_step(call: KerasCall, confidence: Confidence) -> Finding:
    edit = Edit("set-keyword", call.location, name="training", value="True")
    if call.by == "call":
        how = "self.call(...), which tells Keras nothing of training"
        fix = None
    elif call.training.is_false and call.training.explicit:
        how, fix = "the model with training=False", None
    else:
        how = "the model without training=True"
        # A flag of the model's own name or position would not be reached by `training`.
        takes = not any(norm.training.is_false for norm in call.batch_norms)
        fix = Fix("Pass training=True", (edit,), safe=False) if takes else None
    return RULE.finding(
        call.location,
        f"this training step calls {how}: batch norm runs in inference mode and is not updated",
        related=_layer(call.batch_norms),
        confidence=confidence,
        fix=fix,
    )


def _how(call: KerasCall) -> str:
    if call.training.is_true and call.training.explicit:
        return "with training=True"
    return "by its default" if not call.training.explicit else "in training mode"


def _always_in_training_mode(program: Program, fixed: FixedMode) -> Finding:
    kind = fixed.run.kind
    where = "in the exported model" if kind == "export" else "in evaluate and predict"
    written = "with training=True" if fixed.where_called else "in training mode by default"
    functional = not fixed.in_call
    version = ""
    if functional and "3" in program.keras and kind != "export":
        version = " (Keras 3 overrides it there, but not in model(x) and exports)"
    return RULE.finding(
        fixed.norm.location,
        f"this batch norm is called {written}: it uses each batch's own statistics {where} "
        f"too{version}",
        related=[Related(fixed.run.location, f"the model is used by {kind} here")],
        confidence=Confidence.MEDIUM,
    )


def _never_in_training_mode(fixed: FixedMode) -> Finding:
    if fixed.where_called:
        return RULE.finding(
            fixed.norm.location,
            "this batch norm is called with training=False: it runs in inference mode in fit too, "
            "and is not updated",
            related=[Related(fixed.run.location, "the model is trained here")],
            confidence=Confidence.MEDIUM,
        )
    return RULE.finding(
        fixed.run.location,
        "fit does not set the flag that this model's batch norm takes: Keras passes `training` "
        "and nothing else, so it runs in inference mode and is not updated",
        related=_layer([fixed.norm]),
        confidence=Confidence.MEDIUM,
    )


def _layer(norms: list[BatchNorm]) -> list[Related]:
    if not norms:
        return []
    place = norms[0].definition or norms[0].location
    return [Related(place, "a batch norm of the model")]


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
