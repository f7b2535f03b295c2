"""BN107: `updates_collections` names a collection of its own, and nothing runs that."""

from collections.abc import Iterator

from bnlint.findings import Finding, Related, Severity
from bnlint.program.events import Program
from bnlint.program.queries import count, lost_updates
from bnlint.rule import Rule, example

RULE = Rule(
    code="BN107",
    name="custom-collection-never-run",
    severity=Severity.ERROR,
    summary="updates_collections names a collection that nothing runs",
    symptoms=("updates_collections with a name of my own",),
    why="""
With `updates_collections='name'` the update ops go to that collection and not to UPDATE_OPS.
Neither `create_train_op` nor the usual `control_dependencies` over UPDATE_OPS sees them, so the
program must collect and run them itself.
""",
    help="Drop `updates_collections`, or run `tf.get_collection` of that collection with the train "
    "op.",
    found_by=("check", "inspect"),
)


@RULE.check
def check(program: Program) -> Iterator[Finding]:
    for lost in lost_updates(program, RULE.code):
        norm = lost.batch_norms[0]
        where = norm.definition or norm.location
        yield RULE.finding(
            lost.op.location,
            f"{count(lost.batch_norms)} put their updates into the collection "
            f"{norm.collection!r}, which this train op does not run",
            related=lost.related(Related(where, "the collection is set for this batch norm")),
            confidence=lost.confidence,
        )


RULE.examples(
    bad=(
        example(
            "a collection that nothing runs",
            """
import tensorflow as tf
import tf_slim as slim
x = tf.placeholder(tf.float32, [None, 64])
h = slim.batch_norm(slim.fully_connected(x, 32), updates_collections='bn_updates')
loss = tf.reduce_mean(h)
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())  # <- BN107
slim.learning.train(train_op, 'logs')
""",
        ),
        example(
            "create_train_op sees only UPDATE_OPS",
            """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': True,
                                            'updates_collections': 'bn_updates'})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer(1e-3))  # <- BN107
slim.learning.train(train_op, '/tmp/logs')
""",
        ),
    ),
    good=(
        example(
            "UPDATE_OPS, which create_train_op runs",
            """
import tensorflow as tf
import tf_slim as slim
x = tf.placeholder(tf.float32, [None, 64])
h = slim.batch_norm(slim.fully_connected(x, 32))
loss = tf.reduce_mean(h)
train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())
slim.learning.train(train_op, 'logs')
""",
        ),
        example(
            "custom collection given to create_train_op",
            """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
h = slim.fully_connected(x, 8, normalizer_fn=slim.batch_norm,
                         normalizer_params={'is_training': True,
                                            'updates_collections': 'bn_updates'})
loss = tf.losses.mean_squared_error(y, slim.fully_connected(h, 1, activation_fn=None))
train_op = slim.learning.create_train_op(
    loss, tf.train.AdamOptimizer(1e-3), update_ops=tf.get_collection('bn_updates'))
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(50000):
        sess.run(train_op)
""",
        ),
    ),
)
