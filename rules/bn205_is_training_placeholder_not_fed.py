"""BN205: an is_training placeholder that a run does not feed, or feeds with the wrong value."""

from collections.abc import Iterator
from dataclasses import replace

from bnlint.findings import Confidence, Finding, Related, Severity
from bnlint.program.events import FedSetting, Flag, FlagKind, Program, SessionRun, together
from bnlint.program.keras import runs_without_learning_phase
from bnlint.program.words import names_training_flag
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN205",
    name="is-training-placeholder-not-fed",
    severity=Severity.ERROR,
    summary="an is_training placeholder that a run does not feed, or feeds with the wrong value",
    symptoms=(
        "is_training placeholder is not fed",
        "placeholder_with_default stays at its default",
    ),
    why="""
A network that is switched by a placeholder needs it in every run. Without a default, a run that
does not feed it fails. With the default False (or fed False) training normalizes with moving
statistics that stay at 0 and 1; with the default True (or fed True) evaluation normalizes each
batch by itself. A SavedModel whose signature does not name the placeholder cannot be served.
""",
    help="Feed True where the network trains and False where it is evaluated, or use "
    "`tf.placeholder_with_default(False, [])` and feed True in training.",
    found_by=("check", "inspect"),
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for key, flag in _placeholders(program).items():
        runs = [run for run in program.runs if any(norm.switch.key == key for norm in run.networks)]
        yield from _unfed(runs, flag)
        yield from _evaluated_with_true(program, runs, flag)
        yield from _trained_with_false(program, runs, flag)
    for run, norm in runs_without_learning_phase(program):
        if not program.starts_pretrained(run.graph):
            yield RULE.finding(
                run.location,
                "this training step does not feed Keras' learning phase: batch norm runs in "
                "inference mode and is not updated",
                related=[Related(norm.location, "this batch norm follows it")],
                confidence=Confidence.MEDIUM if run.conditional else Confidence.HIGH,
            )
    yield from _imported_with_true(program)


def _placeholders(program: Program) -> dict[str, Flag]:
    kinds = (FlagKind.PLACEHOLDER, FlagKind.PLACEHOLDER_WITH_DEFAULT)
    flags = (norm.switch for norm in program.batch_norms)
    return {flag.key: flag for flag in flags if flag.kind in kinds and flag.key}


def _value(run: SessionRun, flag: Flag) -> bool | None:
    """What the placeholder is in a run; None if not known or not fed."""
    if flag.key in run.feeds:
        return run.feeds[flag.key]
    return None if run.feeds_unknown else flag.default


def _unfed(runs: list[SessionRun], flag: Flag) -> Iterator[Finding]:
    if flag.kind is not FlagKind.PLACEHOLDER:
        return
    for run in runs:
        if flag.key not in run.feeds and not run.feeds_unknown:
            yield _finding(run, flag, "this run does not feed the is_training placeholder")


def _evaluated_with_true(program: Program, runs: list[SessionRun], flag: Flag) -> Iterator[Finding]:
    restored = {evaluation.run for evaluation in program.evaluations}
    training = [run for run in runs if run.train_ops]
    for run in runs:
        if run.train_ops or _estimates(run) or not (run.evaluates or run in restored):
            continue
        setting = run.fed_by.get(flag.key)
        if setting is not None:
            yield from _evaluated_with_setting(run, flag, setting, training)
        elif _value(run, flag) is True:
            how = "is fed True" if flag.key in run.feeds else "has the default True"
            yield _finding(
                run, flag, f"this evaluation runs in training mode: the placeholder {how}"
            )


def _evaluated_with_setting(
    run: SessionRun, flag: Flag, setting: FedSetting, training: list[SessionRun]
) -> Iterator[Finding]:
    """The user chooses what is fed: for the training steps, too, or with the default True."""
    beside = [step for step in training if together(step.path, run.path)]
    if any(step.fed_by.get(flag.key) == setting for step in beside):
        how = f"`{setting.name}`, as in the training steps"
    elif setting.default is True:
        how = f"`{setting.name}`, which is True by default"
    else:
        return
    # Where one run of the program cannot do both, the user may well set it for the evaluation.
    usual = Confidence.MEDIUM if beside or not training else Confidence.LOW
    message = f"this evaluation runs in training mode: the placeholder is fed {how}"
    yield replace(_finding(run, flag, message), confidence=usual)


def _imported_with_true(program: Program) -> Iterator[Finding]:
    """`sess.run("scores:0", {"is_training:0": True})` of a graph that was imported."""
    for run in program.runs:
        names = [program.imported_tensors[key] for key, value in run.feeds.items()
                 if value is True and key in program.imported_tensors
                 and key not in run.fed_numbers]  # fmt: skip
        flags = [name for name in names if names_training_flag(_short(name))]
        if flags and run.graph in program.restored and _only_evaluates(program, run):
            yield RULE.finding(
                run.location,
                f"this evaluation of a restored graph runs in training mode: `{flags[0]}` is fed "
                "True",
                confidence=Confidence.MEDIUM,
            )


def _only_evaluates(program: Program, run: SessionRun) -> bool:
    """It trains nothing: the program neither has train ops of this graph nor saves what it did."""
    ops = (op for op in program.train_ops if together(op.path, run.path))
    if run.train_ops or any(op.graph == run.graph for op in ops):
        return False
    saved = any(saver.saves for saver in program.savers)
    return run.evaluates or not (run.fetches_unknown or saved)


def _short(name: str) -> str:
    """The name of a tensor without its scopes and its number: "a/is_training:0" gives
    "is_training"."""
    return name.partition(":")[0].rpartition("/")[2]


def _estimates(run: SessionRun) -> bool:
    """It runs collected update ops without a train op: statistics are estimated on purpose."""
    return any(norm.has_update_ops for norm in run.updates)


def _trained_with_false(program: Program, runs: list[SessionRun], flag: Flag) -> Iterator[Finding]:
    training = [run for run in runs if run.train_ops]
    if program.stops_gradients or any(program.starts_pretrained(run.graph) for run in training):
        return  # frozen on purpose
    if not training or any(_value(run, flag) is not False for run in training):
        return
    if any(op.trains_some for run in training for op in run.train_ops):
        return
    how = "is fed False" if flag.key in training[0].feeds else "has the default False"
    yield _finding(
        training[0], flag, f"the network is trained in inference mode: the placeholder {how}"
    )


def _finding(run: SessionRun, flag: Flag, message: str) -> Finding:
    related = [Related(flag.location, "the placeholder")] if flag.location is not None else []
    confidence = Confidence.MEDIUM if run.conditional else Confidence.HIGH
    return RULE.finding(run.location, message, related=related, confidence=confidence)


RULE.examples(
    bad=(
        example(
            "the placeholder is not fed",
            """
import tensorflow as tf
training = tf.placeholder(tf.bool, [])
x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=training)
scores = tf.layers.dense(h, 10)
with tf.Session() as sess:
    tf.train.Saver().restore(sess, 'model.ckpt')
    print(sess.run(scores, {x: images}))  # <- BN205
""",
        ),
        example(
            "a restored network predicts with True",
            """
import tensorflow as tf
slim = tf.contrib.slim

is_training = tf.placeholder(tf.bool, [])
x = tf.placeholder(tf.float32, [None, 64])
with slim.arg_scope([slim.batch_norm], is_training=is_training):
    h = slim.fully_connected(x, 32, normalizer_fn=slim.batch_norm)
scores = slim.fully_connected(h, 10, activation_fn=None)
with tf.Session() as sess:
    tf.train.Saver().restore(sess, 'model.ckpt')
    print(sess.run(scores, {x: read_images(), is_training: True}))  # <- BN205
""",
        ),
    ),
    good=(
        example(
            "False is fed",
            """
import tensorflow as tf
training = tf.placeholder(tf.bool, [])
x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=training)
scores = tf.layers.dense(h, 10)
with tf.Session() as sess:
    tf.train.Saver().restore(sess, 'model.ckpt')
    print(sess.run(scores, {x: images, training: False}))
""",
        ),
        example(
            "the default is False and training feeds True",
            """
import tensorflow.compat.v1 as tf

is_training = tf.placeholder_with_default(False, [])
x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(tf.layers.dense(x, 32), training=is_training)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(train_op, {x: images, is_training: True})
    print(sess.run(loss, {x: test_images}))
""",
        ),
    ),
)
