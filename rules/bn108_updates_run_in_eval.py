"""BN108: an evaluation or prediction runs the batch norms' update ops."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Finding, Related, Severity
from bnlint.program.events import BatchNorm, Program, SessionRun
from bnlint.program.queries import count
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN108",
    name="updates-run-in-eval",
    severity=Severity.ERROR,
    summary="an evaluation runs the moving-average updates",
    why="""
Update ops move the statistics towards the batch they see. Run in evaluation they mix test data into
the model: results depend on the order of the test batches, improve the longer it runs, and are not
those of the checkpoint.
""",
    help="Fetch only outputs and metrics in evaluation, and feed or pass `is_training=False`.",
    found_by=("check", "inspect"),
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    # Statistics that are saved again were estimated on purpose.
    saved = {saver.graph for saver in program.savers if saver.saves}
    trained = {op.graph for op in program.train_ops}
    for evaluation in program.evaluations:
        run = evaluation.run
        updated = [norm for norm in evaluation.batch_norms if run and norm in run.updates]
        if run is not None:
            updated = [norm for norm in updated if _changes(norm, run)]
        unselected = [norm for norm in evaluation.batch_norms if run and _not_selected(norm, run)]
        if run is not None and unselected:
            yield _of_unselected(run, unselected)
            continue
        if run is None or not updated or run.graph in saved | trained:
            continue
        place = Related(updated[0].location, "the batch norm whose statistics change")
        yield RULE.finding(
            run.location,
            f"this evaluation runs the moving-average updates of {count(updated)}",
            related=[place],
            confidence=Confidence.MEDIUM if run.conditional else Confidence.HIGH,
        )


def _changes(norm: BatchNorm, run: SessionRun) -> bool:
    """The update op moves the statistics: it does nothing when its flag is fed False."""
    if not norm.has_update_ops:
        return False
    return norm.training.is_true or run.feeds.get(norm.training.key) is True


def _not_selected(norm: BatchNorm, run: SessionRun) -> bool:
    """It updates in place, in a training network that this run computes and does not use.

    Checked on TF 1.15.5: what the functions of tf.cond only return runs whatever is selected.
    """
    switch = norm.selected_by
    if switch is None or norm.updates != "in-place" or norm not in run.updates:
        return False
    return norm.training.is_true and run.feeds.get(switch.key) is False


def _of_unselected(run: SessionRun, norms: list[BatchNorm]) -> Finding:
    switch = norms[0].selected_by
    places = [Related(norms[0].location, "the batch norm whose statistics change")]
    if switch is not None and switch.location is not None:
        places.append(Related(switch.location, "the flag selects outputs, not what runs"))
    return RULE.finding(
        run.location,
        f"this evaluation runs the moving-average updates of {count(norms)}: the training network "
        "is built outside of the functions of tf.cond, so it runs whatever the flag is",
        related=places,
        confidence=Confidence.MEDIUM,
    )


RULE.examples(
    bad=(
        example(
            "restored model, updates fetched",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 4])
training = tf.placeholder(tf.bool)
h = tf.layers.batch_normalization(tf.layers.dense(x, 8), training=training)
logits = tf.layers.dense(h, 3)
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
saver = tf.train.Saver()
with tf.Session() as sess:
    saver.restore(sess, '/tmp/model.ckpt')
    print(sess.run([logits, update_ops], {training: True}))  # <- BN108
""",
        ),
        example(
            "predictions under control_dependencies",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 4])
training = tf.placeholder(tf.bool)
h = tf.layers.batch_normalization(tf.layers.dense(x, 8), training=training)
logits = tf.layers.dense(h, 3)
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
with tf.control_dependencies(update_ops):
    output = tf.identity(logits)
saver = tf.train.Saver()
with tf.Session() as sess:
    saver.restore(sess, '/tmp/model.ckpt')
    print(sess.run(output, {training: True}))  # <- BN108
""",
        ),
    ),
    good=(
        example(
            "restored model, outputs only",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 4])
training = tf.placeholder(tf.bool)
h = tf.layers.batch_normalization(tf.layers.dense(x, 8), training=training)
logits = tf.layers.dense(h, 3)
saver = tf.train.Saver()
with tf.Session() as sess:
    saver.restore(sess, '/tmp/model.ckpt')
    print(sess.run(logits, {training: False}))
""",
        ),
        example(
            "statistics are estimated again and saved",
            """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 4])
training = tf.placeholder(tf.bool)
h = tf.layers.batch_normalization(tf.layers.dense(x, 8), training=training)
logits = tf.layers.dense(h, 3)
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
saver = tf.train.Saver()
with tf.Session() as sess:
    saver.restore(sess, '/tmp/model.ckpt')
    for _ in range(100):
        sess.run(update_ops, {training: True})
    saver.save(sess, '/tmp/recalibrated.ckpt')
""",
        ),
    ),
)
