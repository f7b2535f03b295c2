"""BN705: a momentum written as PyTorch counts it."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Finding, Severity
from bnlint.program.events import Program
from bnlint.program.keras_queries import FastMomentum, forgets_quickly
from bnlint.rule import Rule, example

FROM_PYTORCH = 0.2
DOUBTFUL = 0.5

RULE = Rule(
    code="BN705",
    name="keras-momentum-convention",
    severity=Severity.WARNING,
    summary="a momentum of 0.1, as PyTorch counts it, keeps only the last batches' statistics",
    symptoms=("momentum of PyTorch in Keras batch norm",),
    why="""
`momentum` is the share of the *old* moving statistics that each step keeps in Keras and
`tf.layers`: `moving = momentum * moving + (1 - momentum) * batch`. PyTorch counts the share of the
*new* batch. PyTorch's default of 0.1 is 0.9 here; written as 0.1 it keeps a tenth of the past:
evaluation normalizes with the statistics of about the last batch, and its result jumps from one
evaluation to the next.
""",
    help="Write 1 minus PyTorch's momentum: 0.9 for 0.1. Keras' default is 0.99.",
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for item in forgets_quickly(program, DOUBTFUL):
        decay = item.norm.decay or 0.0
        yield RULE.finding(
            item.norm.definition or item.norm.location,
            f"momentum {decay:g} keeps {decay:.0%} of the moving statistics at each step: "
            f"they are those of the last batches (PyTorch's {decay:g} is {1 - decay:g} here)",
            confidence=_confidence(decay, item),
        )


def _confidence(decay: float, item: FastMomentum) -> Confidence:
    return Confidence.MEDIUM if decay <= FROM_PYTORCH and item.used else Confidence.LOW


RULE.examples(
    bad=(
        example(
            "PyTorch's 0.1",
            """
from tensorflow import keras

model = keras.Sequential([
    keras.layers.Dense(64),
    keras.layers.BatchNormalization(momentum=0.1, epsilon=1e-5),  # <- BN705
    keras.layers.Dense(10),
])
model.compile('adam', keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(images, labels, epochs=10)
model.evaluate(test_images, test_labels)
""",
        ),
        example(
            "as a constant, in a model of its own",
            """
import tensorflow as tf

MOMENTUM = 0.1

class Block(tf.keras.layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.dense = tf.keras.layers.Dense(units)
        self.norm = tf.keras.layers.BatchNormalization(momentum=MOMENTUM)  # <- BN705

    def call(self, x, training=None):
        return tf.nn.relu(self.norm(self.dense(x), training=training))

class Net(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.block = Block(32)
        self.head = tf.keras.layers.Dense(10)

    def call(self, x, training=None):
        return self.head(self.block(x, training=training))

net = Net()
net.compile('adam', tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
net.fit(images, labels, validation_data=(test_images, test_labels))
""",
        ),
    ),
    good=(
        example(
            "0.9, which is PyTorch's 0.1",
            """
from tensorflow import keras

model = keras.Sequential([
    keras.layers.Dense(64),
    keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
    keras.layers.Dense(10),
])
model.compile('adam', keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(images, labels, epochs=10)
model.evaluate(test_images, test_labels)
""",
        ),
        example(
            "0: the statistics of the last batch, on purpose",
            """
from tensorflow import keras

model = keras.Sequential([
    keras.layers.Dense(64),
    keras.layers.BatchNormalization(momentum=0.0),
    keras.layers.Dense(10),
])
model.compile('adam', keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(images, labels, epochs=10)
model.evaluate(test_images, test_labels)
""",
        ),
    ),
)
