"""Filters of collections match the names of ops, which name scopes begin.

The counts are those of `len(tf.get_collection(tf.GraphKeys.UPDATE_OPS, scope)) // 2` on TF 1.15.5.
"""

from __future__ import annotations

import pytest

from bnlint.analyzer.follow import Trouble, programs
from bnlint.analyzer.project.modules import Project
from bnlint.analyzer.syntax.parse import module_facts

# The ops of four batch norms are called tower_0/net/bn, tower_1/net/bn, other/net/bn and
# other_1/net/bn; their variables are net/bn and other/net/bn.
NETWORKS = """
import tensorflow as tf
def net(x):
    with tf.variable_scope('net', reuse=tf.AUTO_REUSE):
        return tf.layers.dense(tf.layers.batch_normalization(x, training=True, name='bn'), 1)
x = tf.placeholder(tf.float32, [8, 3])
loss = 0.0
for i in range(2):
    with tf.name_scope('tower_%d' % i) as tower:
        loss += tf.reduce_mean(net(x))
for i in range(2):
    with tf.variable_scope('other', reuse=tf.AUTO_REUSE) as other:
        loss += tf.reduce_mean(net(x))
tf.train.GradientDescentOptimizer(0.1).minimize(loss)
"""


@pytest.mark.parametrize(
    ("scope", "count"),
    [
        ("'tower'", 2),
        ("'tower_0/'", 1),
        ("'tower_1/net/bn'", 1),
        ("'net'", 0),
        ("'other'", 2),
        ("'other/'", 1),
        ("'.*net'", 4),
        ("tower", 1),
        ("other.name", 2),
        ("other.original_name_scope", 1),
    ],
)
def test_what_a_filter_finds(scope: str, count: int) -> None:
    text = f"{NETWORKS}tf.get_collection(tf.GraphKeys.UPDATE_OPS, {scope})\n"
    (program,) = programs(Project([module_facts(text, "train.py", "train")]), Trouble())
    (read,) = program.collection_reads
    assert len(read.batch_norms) == count
    assert len(read.missed) == 4 - count
