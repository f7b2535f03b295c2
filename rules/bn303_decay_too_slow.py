"""BN303: decay and number of steps leave the moving statistics near their initial values."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Finding, Related, Severity
from bnlint.limits import too_short
from bnlint.program.events import Answer, BatchNorm, Program
from bnlint.program.keras_queries import trained_for_known_steps
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN303",
    name="decay-too-slow",
    severity=Severity.INFO,
    summary="the moving averages cannot get far from their initial values in so few steps",
    symptoms=(
        "batch norm decay 0.999 is too slow for a short training",
        "evaluation is bad at first and gets good late in training",
    ),
    why="""
After n steps a moving average with decay d still holds the fraction d^n of its initial value: with
0.999 (slim's default) after 500 steps 61 % is still the initial 0 or 1. Evaluation then normalizes
with statistics that are mostly made up. bnlint reports more than 10 %.
""",
    help="Use a smaller decay (0.9 to 0.99), `zero_debias_moving_mean=True`, or more steps.",
    found_by=("check", "inspect"),
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    yield from _keras(program)
    for length in program.training_lengths:
        slow = [
            norm
            for op in program.train_ops
            for norm in op.batch_norms
            if norm.decay is not None
            and not norm.zero_debias
            and not norm.training.is_false
            and _is_read(program, norm)
            and op.runs_updates_of(norm) is Answer.YES
            and too_short(norm.decay, length.steps)
        ]
        if not slow:
            continue
        decay = slow[0].decay or 0.0
        yield RULE.finding(
            length.location,
            f"after {length.steps} steps with decay {decay:g}, {decay**length.steps:.0%} of the "
            "moving statistics is still their initial value",
            related=[Related(slow[0].location, f"this batch norm's decay is {decay:g}")],
            confidence=Confidence.MEDIUM,
        )


def _keras(program: Program) -> Iterator[Finding]:
    """Keras counts no steps of its own and starts at 0 and 1 without a correction."""
    found: set[object] = set()
    for training in trained_for_known_steps(program):
        decay, steps = training.norm.decay or 0.0, training.steps
        place = training.norm.definition or training.norm.location
        if place in found or not decay or not too_short(decay, steps):
            continue
        found.add(place)
        yield RULE.finding(
            place,
            f"after {steps} steps with momentum {decay:g}, {decay**steps:.0%} of the moving "
            "statistics is still their initial value",
            related=[Related(training.use.location, "trained here")],
            confidence=Confidence.MEDIUM,
        )


def _is_read(program: Program, norm: BatchNorm) -> bool:
    """Something may use the statistics; not if the program runs the network in training mode
    for its results, too."""
    used = any(norm in run.batch_norms for run in program.runs if not run.train_ops)
    return not (norm.training.is_true and used)


RULE.examples(
    bad=(
        example(
            "slim's default decay of 0.999, 500 steps",
            """
import tensorflow as tf
import tf_slim as slim
x = tf.placeholder(tf.float32, [None, 64])
h = slim.batch_norm(slim.fully_connected(x, 32))
loss = tf.reduce_mean(h)
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())
slim.learning.train(train_op, 'logs', number_of_steps=500)  # <- BN303
""",
        ),
        example(
            "slim's default, 500 steps",
            """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': True})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.control_dependencies(update_ops):
    train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(500):
        sess.run(train_op)  # <- BN303
""",
        ),
    ),
    good=(
        example(
            "a decay of 0.9",
            """
import tensorflow as tf
import tf_slim as slim
x = tf.placeholder(tf.float32, [None, 64])
h = slim.batch_norm(slim.fully_connected(x, 32), decay=0.9)
loss = tf.reduce_mean(h)
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())
slim.learning.train(train_op, 'logs', number_of_steps=500)
""",
        ),
        example(
            "zero_debias_moving_mean corrects for the start",
            """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': True, 'zero_debias_moving_mean': True})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer(1e-3))
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(500):
        sess.run(train_op)
""",
        ),
    ),
)
