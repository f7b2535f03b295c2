"""BN706: batch norm over a batch of one example."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Finding, Related, Severity
from bnlint.program.events import Program
from bnlint.program.keras_queries import trained_on_single_examples
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN706",
    name="keras-batch-of-one",
    severity=Severity.ERROR,
    summary="batch norm after a dense layer is trained with a batch size of 1",
    symptoms=("batch size 1 with batch norm learns nothing",),
    why="""
In training mode batch norm subtracts the batch's mean. After `Dense`, `Flatten` or global pooling a
batch of one example has one value for each feature, which is its own mean: the output is `beta`
for any input, and nothing before it learns. The moving variance goes to 0, which evaluation then
divides by. (After a convolution there is the whole image to take statistics of.)
""",
    help="Use larger batches, or a LayerNormalization, which does not look at the batch.",
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for run, norm in trained_on_single_examples(program):
        yield RULE.finding(
            run.location,
            "batches of one example: what this batch norm gives does not depend on its input",
            related=[Related(norm.definition or norm.location, "it follows a layer without axes")],
            confidence=Confidence.HIGH if norm.input.rank == 2 else Confidence.MEDIUM,
        )


RULE.examples(
    bad=(
        example(
            "batch_size=1",
            """
from tensorflow import keras

model = keras.Sequential([
    keras.layers.Dense(64), keras.layers.BatchNormalization(), keras.layers.Dense(10)])
model.compile('adam', keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(images, labels, batch_size=1)  # <- BN706
""",
        ),
        example(
            "after global pooling",
            """
from tensorflow import keras

inputs = keras.Input((32, 32, 3))
x = keras.layers.Conv2D(16, 3)(inputs)
x = keras.layers.GlobalAveragePooling2D()(x)
x = keras.layers.BatchNormalization()(x)
model = keras.Model(inputs, keras.layers.Dense(10)(x))
model.compile('adam', keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(images, labels, batch_size=1, epochs=3)  # <- BN706
""",
        ),
    ),
    good=(
        example(
            "batch_size=32",
            """
from tensorflow import keras

model = keras.Sequential([
    keras.layers.Dense(64), keras.layers.BatchNormalization(), keras.layers.Dense(10)])
model.compile('adam', keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(images, labels, batch_size=32)
""",
        ),
        example(
            "after a convolution: statistics of the image's positions",
            """
from tensorflow import keras

inputs = keras.Input((256, 256, 3))
x = keras.layers.Conv2D(16, 3)(inputs)
x = keras.layers.BatchNormalization()(x)
model = keras.Model(inputs, keras.layers.Conv2D(3, 3)(x))
model.compile('adam', 'mse')
model.fit(images, targets, batch_size=1)
""",
        ),
    ),
)
