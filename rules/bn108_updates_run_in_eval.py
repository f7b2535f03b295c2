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
    symptoms=(
        "evaluation changes the moving mean",
        "accuracy changes each time the test set is evaluated",
        "test data leaks into the moving statistics",
    ),
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
        anyway = [norm for norm in evaluation.batch_norms if run and _runs_anyway(norm, run)]
        if run is not None and anyway:
            yield _outside_of_switch(run, anyway)
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


def _runs_anyway(norm: BatchNorm, run: SessionRun) -> bool:
    """The run switches to inference mode, and the updates in place run all the same.

    Checked on TF 1.15.5: what is made outside of the functions of tf.cond, and only returned or
    waited for in one of them, runs whatever is selected.
    """
    outside = norm.updates_always or (norm.selected_by is not None and norm.training.is_true)
    in_place = norm.updates == "in-place" and norm in run.updates
    return outside and in_place and run.feeds.get(norm.switch.key) is False


def _outside_of_switch(run: SessionRun, norms: list[BatchNorm]) -> Finding:
    switch = norms[0].switch
    places = [Related(norms[0].location, "the batch norm whose statistics change")]
    if switch.location is not None:
        places.append(Related(switch.location, "the flag selects outputs, not what runs"))
    what = "their ops are" if norms[0].updates_always else "the training network is"
    return RULE.finding(
        run.location,
        f"this evaluation runs the moving-average updates of {count(norms)}: {what} made outside "
        "of the functions of tf.cond, and run whatever the flag is",
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
