"""BN704: one batch norm layer normalizes two different activations."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Finding, Related, Severity
from bnlint.program.events import Program
from bnlint.program.keras_queries import SharedLayer, applied_to_two_activations
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN704",
    name="keras-shared-batch-norm",
    severity=Severity.WARNING,
    summary="one BatchNormalization layer is applied to the outputs of different layers",
    symptoms=("one batch norm layer for two inputs",),
    why="""
A BatchNormalization layer has one moving mean and variance. Applied to the outputs of two different
layers in one forward pass, each is normalized with its own statistics in training, while the moving
ones become a mixture of both: in evaluation neither is normalized as it was trained. `gamma` and
`beta` are shared, too. (A whole tower that is applied twice, as in siamese nets, is different:
there both inputs come from the same layers.)
""",
    help="Make a BatchNormalization layer for each place.",
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    seen: set[object] = set()
    for shared in applied_to_two_activations(program):
        first, second = shared.first, shared.second
        if second.location in seen:
            continue
        seen.add(second.location)
        yield RULE.finding(
            second.location,
            "this batch norm layer has already normalized another layer's output: evaluation uses "
            "a mixture of their statistics",
            related=[
                Related(first.location, "applied here first"),
                Related(second.definition or second.location, "one layer, one set of statistics"),
            ],
            confidence=_confidence(shared),
        )


def _confidence(shared: SharedLayer) -> Confidence:
    sure = shared.used and not shared.second.conditional
    return Confidence.MEDIUM if sure else Confidence.LOW


RULE.examples(
    bad=(
        example(
            "one layer for two places",
            """
from tensorflow import keras

norm = keras.layers.BatchNormalization()
inputs = keras.Input((64,))
x = norm(keras.layers.Dense(32)(inputs))
x = norm(keras.layers.Dense(32)(x))  # <- BN704
model = keras.Model(inputs, keras.layers.Dense(10)(x))
model.compile('adam', keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(images, labels)
""",
        ),
        example(
            "in the call of a model",
            """
from tensorflow import keras

class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv1 = keras.layers.Conv2D(16, 3)
        self.conv2 = keras.layers.Conv2D(16, 3)
        self.norm = keras.layers.BatchNormalization()
        self.relu = keras.layers.ReLU()

    def call(self, x, training=None):
        x = self.relu(self.norm(self.conv1(x), training=training))
        return self.relu(self.norm(self.conv2(x), training=training))  # <- BN704

net = Net()
net.compile('adam', 'mse')
net.fit(images, targets)
""",
        ),
    ),
    good=(
        example(
            "a layer for each",
            """
from tensorflow import keras

inputs = keras.Input((64,))
x = keras.layers.BatchNormalization()(keras.layers.Dense(32)(inputs))
x = keras.layers.BatchNormalization()(keras.layers.Dense(32)(x))
model = keras.Model(inputs, keras.layers.Dense(10)(x))
model.compile('adam', keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(images, labels)
""",
        ),
        example(
            "a tower applied to two inputs",
            """
from tensorflow import keras

dense = keras.layers.Dense(32)
norm = keras.layers.BatchNormalization()
left, right = keras.Input((64,)), keras.Input((64,))
a = norm(dense(left))
b = norm(dense(right))
model = keras.Model([left, right], keras.layers.Concatenate()([a, b]))
model.compile('adam', 'mse')
model.fit(pairs, targets)
""",
        ),
    ),
)
