"""BN207: a network takes is_training and its batch norm does not get it."""

from collections.abc import Iterator

from bnlint.findings import Confidence, Edit, Finding, Fix, Location, Related, Severity
from bnlint.program.events import BatchNorm, Frame, Parameter, Program
from bnlint.program.queries import ignored_training_parameter, misplaced_flag, missed_by_scope
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN207",
    name="is-training-not-forwarded",
    severity=Severity.ERROR,
    summary="a network takes is_training and its batch norm does not get it",
    symptoms=(
        "is_training makes no difference",
        "is_training argument is ignored",
    ),
    why="""
The function has a parameter that says whether it trains, and batch norm in it runs on its own
default instead: slim always trains, `tf.layers` never does. Callers who pass the right mode still
get the wrong network.
""",
    help="Pass the parameter on to the batch norm (or set it with `arg_scope`).",
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    calls: set[Location | None] = set()
    for norm in program.batch_norms:
        if norm.trainable is False or missed_by_scope(program, norm):
            continue
        parameter = ignored_training_parameter(norm)
        misplaced = misplaced_flag(norm)
        if parameter is not None:
            yield _ignored(norm, parameter)
        elif misplaced is not None and misplaced[0].call not in calls:
            calls.add(misplaced[0].call)  # one call, however many layers it leads to
            yield _misplaced(norm, *misplaced)


def _ignored(norm: BatchNorm, parameter: Parameter) -> Finding:
    frame = next(item for item in reversed(norm.frames) if item.training_parameter is parameter)
    if norm.api == "custom":
        return _written_by_hand(norm, frame, parameter)
    keyword = "training" if norm.api == "tf.layers" else "is_training"
    fix = None
    if frame is norm.frames[-1] and norm.takes_mode:
        edit = Edit("set-keyword", norm.location, name=keyword, value=parameter.name)
        fix = Fix(f"Pass {keyword}={parameter.name}", (edit,), safe=False)
    how = "is hard-coded to training mode" if norm.training.explicit else "runs on its default"
    return RULE.finding(
        norm.location,
        f"this batch norm {how}; the function's `{parameter.name}` does not reach it",
        related=[Related(frame.location, f"`{parameter.name}` is taken here")],
        confidence=Confidence.MEDIUM if parameter.used else Confidence.HIGH,
        fix=fix,
    )


def _misplaced(norm: BatchNorm, frame: Frame, parameter: Parameter) -> Finding:
    own = frame.training_parameter
    assert own is not None
    return RULE.finding(
        frame.call or frame.location,
        f"`{parameter.value.name}` is passed as `{parameter.name}`; `{own.name}` stays at its "
        "default, training mode",
        related=[
            Related(frame.location, f"`{own.name}` is another parameter"),
            Related(norm.location, "a batch norm that never reads the placeholder"),
        ],
    )


def _written_by_hand(norm: BatchNorm, frame: Frame, parameter: Parameter) -> Finding:
    # In a function that uses it for something else, such as dropout, it may be meant so.
    return RULE.finding(
        norm.location,
        "this batch norm always normalizes with the statistics of the batch; the function's "
        f"`{parameter.name}` does not switch it",
        related=[Related(frame.location, f"`{parameter.name}` is taken here")],
        confidence=Confidence.LOW if parameter.used else Confidence.MEDIUM,
    )


RULE.examples(
    bad=(
        example(
            "the parameter does not reach batch norm",
            """
import tensorflow as tf
import tf_slim as slim

def net(x, is_training):
    h = slim.batch_norm(slim.fully_connected(x, 32))  # <- BN207
    return slim.dropout(h, is_training=is_training)

scores = net(tf.placeholder(tf.float32, [None, 64]), is_training=False)
with tf.Session() as sess:
    tf.train.Saver().restore(sess, 'model.ckpt')
    print(sess.run(scores))
""",
        ),
        example(
            "dropout gets it, batch norm does not",
            """
import tensorflow as tf

def net(x, training):
    h = tf.layers.batch_normalization(tf.layers.dense(x, 32))  # <- BN207
    return tf.layers.dense(tf.layers.dropout(h, training=training), 1)

x = tf.placeholder(tf.float32, [None, 64])
loss = tf.reduce_mean(net(x, training=True))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(train_op)
""",
        ),
    ),
    good=(
        example(
            "it is passed on",
            """
import tensorflow as tf
import tf_slim as slim

def net(x, is_training):
    h = slim.batch_norm(slim.fully_connected(x, 32), is_training=is_training)
    return slim.dropout(h, is_training=is_training)

scores = net(tf.placeholder(tf.float32, [None, 64]), is_training=False)
with tf.Session() as sess:
    tf.train.Saver().restore(sess, 'model.ckpt')
    print(sess.run(scores))
""",
        ),
        example(
            "passed as an argument",
            """
import tensorflow as tf

def net(x, training):
    return tf.layers.batch_normalization(x, training=training)

x = tf.placeholder(tf.float32, [None, 64])
h = net(x, True)
loss = tf.reduce_mean(tf.layers.dense(h, 1))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
""",
        ),
    ),
)
