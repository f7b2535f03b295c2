"""BN701: fine-tuning unfreezes a pretrained net, and its batch norms with it."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Finding, Related, Severity
from bnlint.program.events import Program
from bnlint.program.keras_queries import FineTuning, fine_tuned_in_training_mode
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN701",
    name="keras-fine-tuning-batch-norm",
    severity=Severity.WARNING,
    summary="fine-tuning runs the batch norms of an unfrozen pretrained net in training mode",
    symptoms=(
        "fine-tuning with batch norm makes accuracy worse",
        "transfer learning validation accuracy stays at chance level",
    ),
    why="""
While `base.trainable` is False, `fit` runs its batch norms in inference mode. Once it is True, they
normalize with each new batch's statistics, and overwrite the pretrained ones with those of the
small data set: accuracy drops when fine-tuning begins.

`base(x, training=False)` prevents that in tf.keras 2. In Keras 3 `fit` overrides it
(fixtures/oracle/keras: "nested | training false | frozen base unfrozen and compiled anew").
""",
    help=(
        "Freeze the batch norms of the net again after unfreezing it. In tf.keras 2 "
        "`base(x, training=False)` is enough."
    ),
    found_by=("check", "inspect"),
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for tuning in fine_tuned_in_training_mode(program):
        yield RULE.finding(
            tuning.unfreeze.location,
            _message(program, tuning),
            related=[
                Related(tuning.use.location, "fine-tuned here"),
                Related(tuning.norm.definition or tuning.norm.location, "the net with batch norm"),
            ],
            confidence=_confidence(program, tuning),
        )


def _message(program: Program, tuning: FineTuning) -> str:
    what = "the batch norms of this net run in training mode when it is fine-tuned"
    if not tuning.overridden:
        return f"{what}: they lose their pretrained statistics"
    if program.keras == {"3"}:
        return f"{what}: in fit, Keras 3 overrides the training=False that the net is called with"
    return f"on Keras 3 {what}: fit overrides the training=False that the net is called with"


def _confidence(program: Program, tuning: FineTuning) -> Confidence:
    if tuning.overridden and program.keras != {"3"}:
        return Confidence.LOW  # right on the other versions
    known = tuning.norm.trainable is True or tuning.partly
    sure = known and not tuning.unfreeze.partial
    if not sure or tuning.unfreeze.conditional:
        return Confidence.LOW
    return Confidence.HIGH if tuning.overridden else Confidence.MEDIUM


RULE.examples(
    bad=(
        example(
            "the base is unfrozen for fine-tuning",
            """
from tensorflow import keras

base = keras.applications.MobileNetV2(include_top=False, pooling='avg')
base.trainable = False
model = keras.Sequential([base, keras.layers.Dense(10)])
model.compile('adam', 'sparse_categorical_crossentropy')
model.fit(images, labels)
base.trainable = True  # <- BN701
model.compile(keras.optimizers.Adam(1e-5), 'sparse_categorical_crossentropy')
model.fit(images, labels)
""",
        ),
        example(
            "training=False, which fit overrides in Keras 3",
            """
import keras
from keras import ops

base = keras.applications.EfficientNetV2B0(include_top=False, pooling='avg')
base.trainable = False
inputs = keras.Input((96, 96, 3))
x = base(inputs, training=False)
model = keras.Model(inputs, keras.layers.Dense(10)(x))
model.compile('adam', 'sparse_categorical_crossentropy')
model.fit(images, labels)
base.trainable = True  # <- BN701
model.compile(keras.optimizers.Adam(1e-5), 'sparse_categorical_crossentropy')
model.fit(images, labels)
""",
        ),
    ),
    good=(
        example(
            "its batch norms stay frozen",
            """
from tensorflow import keras

base = keras.applications.MobileNetV2(include_top=False, pooling='avg')
base.trainable = False
model = keras.Sequential([base, keras.layers.Dense(10)])
model.compile('adam', 'sparse_categorical_crossentropy')
model.fit(images, labels)
base.trainable = True
for layer in base.layers:
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.trainable = False
model.compile(keras.optimizers.Adam(1e-5), 'sparse_categorical_crossentropy')
model.fit(images, labels)
""",
        ),
        example(
            "training=False with tf-keras, where the written flag wins",
            """
import tf_keras as keras

base = keras.applications.MobileNetV2(include_top=False, pooling='avg')
base.trainable = False
inputs = keras.Input((96, 96, 3))
x = base(inputs, training=False)
model = keras.Model(inputs, keras.layers.Dense(10)(x))
model.compile('adam', 'sparse_categorical_crossentropy')
model.fit(images, labels)
base.trainable = True
model.compile(keras.optimizers.Adam(1e-5), 'sparse_categorical_crossentropy')
model.fit(images, labels)
""",
        ),
    ),
)
