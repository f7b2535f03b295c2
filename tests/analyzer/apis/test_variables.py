"""Which variables a train op is for, and a saver saves, as far as lists of variables say so."""

from __future__ import annotations

import pytest

from bnlint.analyzer.follow import Trouble, programs
from bnlint.analyzer.project.modules import Project
from bnlint.analyzer.syntax.parse import module_facts
from bnlint.program.events import Program

NETWORK = """
import tensorflow as tf
slim = tf.contrib.slim
x = tf.placeholder(tf.float32, [None, 8])
with tf.variable_scope('nets/body'):
    net = tf.layers.batch_normalization(tf.layers.dense(x, 8), training=True)
with tf.variable_scope('nets/head'):
    loss = tf.reduce_mean(tf.layers.dense(net, 1))
head = tf.trainable_variables('nets/head')
body = tf.trainable_variables('nets/body')
optimizer = tf.train.GradientDescentOptimizer(0.1)
"""


def followed(statement: str) -> Program:
    facts = module_facts(NETWORK + statement + "\n", "train.py", "train")
    trouble = Trouble()
    (program,) = programs(Project([facts]), trouble)
    assert trouble == Trouble()
    return program


@pytest.mark.parametrize(
    ("step", "scope", "some"),
    [
        ("optimizer.minimize(loss)", None, False),
        ("optimizer.minimize(loss, None, head)", "nets/head", True),
        # Of two scopes, what both names begin with.
        ("optimizer.minimize(loss, var_list=head + body)", "nets/", True),
        ("apply(optimizer.compute_gradients(loss, head))", "nets/head", True),
        ("apply(optimizer.compute_gradients(loss, var_list=head))", "nets/head", True),
        ("apply(zip(tf.gradients(loss, head), head))", "nets/head", True),
        ("apply(zip(tf.gradients(loss, tf.trainable_variables()), head))", "nets/head", False),
        # A penalty on a part of the network limits nothing: its gradients are of everything.
        ("apply(optimizer.compute_gradients(loss + tf.add_n(head)))", None, False),
        ("slim.learning.create_train_op(loss, optimizer, 0, [], head)", "nets/head", True),
    ],
)
def test_a_train_op_knows_its_variables(step: str, scope: str | None, some: bool) -> None:
    (op,) = followed("step = " + step.replace("apply", "optimizer.apply_gradients")).train_ops
    assert (op.trainable_scope, op.trains_some) == (scope, some)


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ("", "all"),
        ("None", "all"),
        ("tf.global_variables()", "all"),
        ("tf.trainable_variables()", "trainable"),
        ("var_list=tf.trainable_variables()", "trainable"),
        ("[v for v in tf.global_variables() if 'moving' not in v.name]", "filtered-moving"),
        (
            "tf.trainable_variables() + [v for v in tf.global_variables() if 'moving' in v.name]",
            "trainable-plus-moving",
        ),
        ("slim.get_variables_to_restore(None, ['moving_mean'])", "filtered-moving"),
        ("load_names()", "unknown"),
    ],
)
def test_a_saver_knows_its_variables(variables: str, kind: str) -> None:
    (saver,) = followed(f"saver = tf.train.Saver({variables})").savers
    assert saver.selection.kind == kind
