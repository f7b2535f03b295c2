"""BN209: a Keras model runs with the wrong training flag."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Edit, Finding, Fix, Related, Severity
from bnlint.program.events import (
    Answer,
    FlagKind,
    KerasCall,
    KerasRun,
    LearningPhase,
    Program,
)
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN209",
    name="keras-training-flag",
    severity=Severity.ERROR,
    summary="a Keras model runs with the wrong training flag",
    why="""Keras decides by itself in `fit`, `evaluate` and `predict`. A call `model(x)` outside them runs in
inference mode, inside a GradientTape and in a custom `train_step` too: batch norm then normalises
with its moving statistics and does not update them. A flag written into the model (`training=True` in
the functional call, `K.set_learning_phase(1)`) overrules Keras: prediction then normalises each batch
by itself. (Checked on Keras 3.15 and tf-keras 2.21.)""",
    help="Pass `training=True` in the training step and `training=False` (or nothing) elsewhere.",
    found_by=("check", "inspect"),
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for call in program.keras_calls:
        if call.has_batch_norm is Answer.YES and not call.frozen:
            if not program.freezes_layers:  # its frozen part has to stay in inference mode
                yield from _training_step(program, call)
            yield from _evaluation(call)
    for run in program.keras_runs:
        if run.kind in ("evaluate", "predict"):
            yield from _always_training(run)
    for phase in program.learning_phases:
        yield from _learning_phase(program, phase)


def _training_step(program: Program, call: KerasCall) -> Iterator[Finding]:
    if call.purpose != "train" or call.training.explicit or call.default is True:
        return
    # Where the same model is trained with the flag too, the mode is chosen call by call: a second
    # loss on its inference output, say.
    if any(
        other.model == call.model and other.purpose == "train" and other.training.explicit
        for other in program.keras_calls
    ):
        return
    edit = Edit("set-keyword", call.location, name="training", value="True")
    yield RULE.finding(
        call.location,
        "this training step calls the model without training=True: batch norm runs in inference "
        "mode and is not updated",
        related=_layer(call),
        confidence=Confidence.MEDIUM if call.conditional else Confidence.HIGH,
        fix=Fix("Pass training=True", (edit,), safe=False),
    )


def _evaluation(call: KerasCall) -> Iterator[Finding]:
    by_default = not call.training.explicit and call.default is True
    if call.purpose != "eval" or not (call.training.is_true or by_default):
        return
    how = "by its default" if by_default else "with training=True"
    yield RULE.finding(
        call.location,
        f"this evaluation calls the model {how}: batch norm uses each batch's own statistics",
        related=_layer(call),
        confidence=Confidence.MEDIUM,
    )


def _always_training(run: KerasRun) -> Iterator[Finding]:
    for norm in run.batch_norms:
        if norm.api == "keras" and norm.training.is_true and norm.training.explicit:
            yield RULE.finding(
                norm.location,
                "this batch norm is built with training=True: it uses each batch's own statistics "
                "in evaluate and predict too",
                related=[Related(run.location, f"the model is used by {run.kind} here")],
                confidence=Confidence.MEDIUM,
            )
            return


def _learning_phase(program: Program, phase: LearningPhase) -> Iterator[Finding]:
    if phase.value is None or phase.conditional:
        return
    following = (other.time for other in program.learning_phases if other.time > phase.time)
    end = min(following, default=float("inf"))
    for run in program.keras_runs:
        # The phase counts where the graph is built; batch norms built before keep the switch.
        built = any(
            phase.time < norm.time < end and norm.training.kind is FlagKind.LEARNING_PHASE
            for norm in run.batch_norms
        )
        wrong = run.kind != "fit" if phase.value else run.kind == "fit"
        frozen = not phase.value and (bool(program.loads) or run.frozen)
        if built and wrong and not frozen:
            yield RULE.finding(
                phase.location,
                f"the network is built with learning phase {int(phase.value)} and used by "
                f"{run.kind}",
                related=[Related(run.location, f"{run.kind} runs in the wrong mode")],
                confidence=Confidence.MEDIUM,
            )
            return


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
