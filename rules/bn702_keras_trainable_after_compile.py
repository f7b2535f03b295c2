"""BN702: `trainable` is set between compile and fit, where Keras 2 does not see it."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Finding, Related, Severity
from bnlint.program.events import Program
from bnlint.program.keras_queries import LateFreeze, frozen_after_compile
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN702",
    name="keras-trainable-after-compile",
    severity=Severity.ERROR,
    summary="`trainable` is set after `compile`: no effect in TensorFlow 1 and tf.keras 2",
    symptoms=("layer.trainable=False has no effect",),
    why="""
TensorFlow 1 and tf.keras 2 (until TensorFlow 2.15, and tf-keras) read `trainable` when a model is
compiled. Set afterwards, `layer.trainable = False` changes nothing until the next `compile`: `fit`
goes on training the weights, and batch norm goes on updating its moving statistics. Keras 3 reads
it at every step, so there it takes effect at once.
(fixtures/oracle/keras: the rows "frozen model, after compile | fit".)
""",
    help="Set `trainable` before `compile`, or call `compile` again.",
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    if program.keras == {"3"}:
        return
    for late in frozen_after_compile(program):
        yield RULE.finding(
            late.freeze.location,
            _message(program, late),
            related=[
                Related(late.compiled.location, "compiled before"),
                Related(late.run.location, "trained without another compile"),
            ],
            confidence=_confidence(program, late),
        )


def _message(program: Program, late: LateFreeze) -> str:
    goes_on = "weights and moving statistics are still trained"
    effect = "what is unfrozen here is not trained" if late.freeze.value else goes_on
    version = " before Keras 3" if "3" in program.keras else ""
    return f"this has no effect{version} until the model is compiled again: {effect}"


def _confidence(program: Program, late: LateFreeze) -> Confidence:
    events = (late.freeze, late.compiled, late.run)
    if late.freeze.partial or any(event.conditional for event in events):
        return Confidence.LOW
    return Confidence.MEDIUM if "3" in program.keras or late.freeze.value else Confidence.HIGH


RULE.examples(
    bad=(
        example(
            "frozen after compile",
            """
import tf_keras as keras

base = keras.applications.MobileNetV2(include_top=False, pooling='avg')
model = keras.Sequential([base, keras.layers.Dense(10)])
model.compile('adam', 'sparse_categorical_crossentropy')
base.trainable = False  # <- BN702
model.fit(images, labels)
""",
        ),
        example(
            "unfrozen for fine-tuning, and not compiled again",
            """
import tf_keras as keras

base = keras.applications.ResNet50(include_top=False, pooling='avg')
base.trainable = False
model = keras.Sequential([base, keras.layers.Dense(10)])
model.compile('adam', 'sparse_categorical_crossentropy')
model.fit(images, labels, epochs=5)
base.trainable = True  # <- BN702
model.fit(images, labels, epochs=5)
""",
        ),
    ),
    good=(
        example(
            "frozen, then compiled",
            """
import tf_keras as keras

base = keras.applications.MobileNetV2(include_top=False, pooling='avg')
base.trainable = False
model = keras.Sequential([base, keras.layers.Dense(10)])
model.compile('adam', 'sparse_categorical_crossentropy')
model.fit(images, labels)
""",
        ),
        example(
            "a GAN's discriminator, frozen in the combined model only",
            """
import tf_keras as keras

def make_discriminator():
    return keras.Sequential([
        keras.Input((64,)), keras.layers.Dense(32), keras.layers.BatchNormalization(),
        keras.layers.Dense(1)])

discriminator = make_discriminator()
discriminator.compile('adam', keras.losses.BinaryCrossentropy(from_logits=True))
discriminator.trainable = False
generator = keras.Sequential([
    keras.Input((16,)), keras.layers.Dense(64), keras.layers.BatchNormalization()])
noise = keras.Input((16,))
combined = keras.Model(noise, discriminator(generator(noise)))
combined.compile('adam', keras.losses.BinaryCrossentropy(from_logits=True))
for real, z in batches():
    discriminator.train_on_batch(real, ones)
    combined.train_on_batch(z, ones)
""",
        ),
    ),
)
