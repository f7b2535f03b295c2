"""BN203: tf.layers or Keras batch norm in a graph is trained without training=True."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Edit, Finding, Fix, Related, Severity
from bnlint.program.events import BatchNorm, Program, TrainOp
from bnlint.program.keras import left_to_learning_phase
from bnlint.program.queries import ignored_training_parameter
from bnlint.program.whole_project import WholeProject
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN203",
    name="training-relies-on-inference-default",
    severity=Severity.ERROR,
    summary="batch norm is trained with its default training=False",
    symptoms=(
        "tf.layers batch normalization does not learn statistics",
        "tf.layers.batch_normalization without training=True",
    ),
    why="""
`tf.layers.batch_normalization` has `training=False` by default (slim has `is_training=True`). A
network that is trained without passing `training` normalizes with the moving statistics, which stay
at 0 and 1 because inference mode makes no update ops: batch norm does nothing but scale and shift,
and activations are never normalized. A Keras layer in a graph that a session trains is the same: it
follows the learning phase, which only Keras' `fit` feeds.
""",
    help="Pass `training=` (True while training, False in evaluation), and run UPDATE_OPS, or the "
    "`updates` of a Keras layer.",
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for norm in program.batch_norms:
        ops = program.trained(norm)
        if not ops or norm.trainable is False or not _is_left_to_default(norm):
            continue
        restored = program.starts_pretrained(norm.graph)
        if program.loads_statistics(norm) and ops[0].trains_some:
            continue  # fine-tuning around a network that is frozen on purpose
        yield _finding(norm, ops[0], unsure=restored)
    for op, norms in left_to_learning_phase(program):
        if not program.starts_pretrained(op.graph):
            yield _keras_finding(op, norms)


def _keras_finding(op: TrainOp, norms: list[BatchNorm]) -> Finding:
    others = len({norm.location for norm in norms}) - 1
    which = f"this and {others} more" if others else "this"
    verb = "norms are" if others else "norm is"
    return RULE.finding(
        norms[0].location,
        f"{which} Keras batch {verb} trained in inference mode: `training` is not passed, and "
        "nothing feeds or sets the learning phase",
        related=[Related(op.location, "it is trained by this train op")],
        confidence=Confidence.MEDIUM if norms[0].conditional or op.conditional else Confidence.HIGH,
    )


def _is_left_to_default(norm: BatchNorm) -> bool:
    flag = norm.training
    unexplained = ignored_training_parameter(norm) is None  # else BN207 says more
    return norm.api == "tf.layers" and flag.is_false and not flag.explicit and unexplained


def _finding(norm: BatchNorm, op: TrainOp, unsure: bool) -> Finding:
    parameter = norm.frames[-1].training_parameter if norm.frames else None
    value = parameter.name if parameter is not None else "True"
    edit = Edit("set-keyword", norm.location, name="training", value=value)
    # `training=True` in a network that is also evaluated would be the next mistake.
    fix = Fix(f"Pass training={value}", (edit,), safe=parameter is not None)
    unsure = unsure or norm.conditional or op.conditional
    return RULE.finding(
        norm.location,
        "this batch norm is trained in inference mode: `training` is not passed and defaults to "
        "False",
        related=[Related(op.location, "it is trained by this train op")],
        confidence=Confidence.MEDIUM if unsure else Confidence.HIGH,
        fix=fix,
    )


@RULE.check_project
def check_project(project: WholeProject) -> Iterator[Finding]:
    for op, norm in project.trained_on_inference_default():
        yield RULE.finding(
            norm.location,
            "no code of this project gives this batch norm `training`, so it is in inference mode "
            "(the default) in training, too",
            related=[Related(op.location, "the project trains with this")],
            confidence=Confidence.MEDIUM,
        )


RULE.examples(
    bad=(
        example(
            "training is not passed",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32))  # <- BN203
loss = tf.reduce_mean(tf.layers.dense(h, 1))
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.control_dependencies(update_ops):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    sess.run(train_op)
""",
        ),
        example(
            "training never passed",
            """
import tensorflow as tf

images = tf.placeholder(tf.float32, [None, 28, 28, 1])
labels = tf.placeholder(tf.int32, [None])
x = tf.layers.conv2d(images, 32, 3, use_bias=False)
x = tf.nn.relu(tf.layers.batch_normalization(x))  # <- BN203
logits = tf.layers.dense(tf.layers.flatten(x), 10)
loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for _ in range(1000):
        sess.run(train_op)
""",
        ),
    ),
    good=(
        example(
            "training=True",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=True)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.control_dependencies(update_ops):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    sess.run(train_op)
""",
        ),
        example(
            "training=True with its updates",
            """
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(x, training=True)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(train_op)
""",
        ),
    ),
)
