"""Repaired programs are trained on TensorFlow: they run, and the moving means move."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bnlint.lint.config import Config
from bnlint.lint.fixes import fix_sources
from bnlint.lint.run import lint
from bnlint.sources.files import Source

START = """\
import numpy as np
import tensorflow.compat.v1 as tf
import bnlint.slim as slim

x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 4])


def net(values, scope):
    with tf.variable_scope(scope, reuse=tf.AUTO_REUSE):
        hidden = slim.fully_connected(values, 8, activation_fn=None, scope="in")
        hidden = slim.batch_norm(hidden, is_training=True, decay=0.5, scope="norm")
        return slim.fully_connected(tf.nn.relu(hidden), 4, activation_fn=None, scope="out")


data = np.random.RandomState(0).rand(16, 4) + 3.0
optimizer = tf.train.GradientDescentOptimizer(0.01)
"""
END = """
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for _ in range(3):
        STEPS
    moved = [abs(value).max() for value in session.run(slim.get_variables_by_suffix("moving_mean"))]
"""
ONE = "session.run(step, {x: data})"
PROGRAMS = {
    "plain": ("loss = tf.reduce_mean(net(x, 'a') ** 2)\nstep = optimizer.minimize(loss)\n", ONE),
    "returned": (
        "def train(loss):\n    return optimizer.minimize(loss)\n\n\n"
        "step = train(tf.reduce_mean(net(x, 'a') ** 2))\n",
        ONE,
    ),
    "on a line with others": (
        "loss = tf.reduce_mean(net(x, 'a') ** 2); step = optimizer.minimize(loss); a = 1  # so\n",
        ONE,
    ),
    "in another call": (
        "loss = tf.reduce_mean(net(x, 'a') ** 2)\nstep = tf.group(optimizer.minimize(loss))\n",
        ONE,
    ),
    "collected and forgotten": (
        "loss = tf.reduce_mean(net(x, 'a') ** 2)\nstep = optimizer.minimize(loss)\n"
        "update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)\n",
        ONE,
    ),
    "collected too early": (
        "update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)\n"
        "loss = tf.reduce_mean(net(x, 'a') ** 2)\n"
        "with tf.control_dependencies(update_ops):\n    step = optimizer.minimize(loss)\n",
        ONE,
    ),
    "dropped by create_train_op": (
        "loss = tf.reduce_mean(net(x, 'a') ** 2)\n"
        "step = slim.learning.create_train_op(loss, optimizer, update_ops=[])\n",
        ONE,
    ),
    # Each step feeds its own placeholder only: all of UPDATE_OPS would ask for both.
    "two networks": (
        "first = tf.reduce_mean(net(x, 'a') ** 2)\nsecond = tf.reduce_mean(net(y, 'b') ** 2)\n"
        "step_a = optimizer.minimize(first)\nstep_b = optimizer.minimize(second)\n",
        "session.run(step_a, {x: data}); session.run(step_b, {y: data})",
    ),
}
# Runs every program that it is given in a graph of its own; says how far the moving means moved.
DRIVER = """
import json, sys
import tensorflow.compat.v1 as tf

tf.disable_eager_execution()
found = {}
for name, text in json.load(sys.stdin).items():
    with tf.Graph().as_default():
        names = {}
        exec(compile(text, name, "exec"), names)
        found[name] = [float(value) for value in names["moved"]]
print(json.dumps(found))
"""


def program(name: str) -> str:
    body, steps = PROGRAMS[name]
    return START + body + END.replace("STEPS", steps)


def repaired(name: str) -> str:
    """The program with its safe repairs."""
    text = program(name)
    run = lint([Source("train.py", "train", text)], Config())
    assert run.report.findings, name
    changed, _ = fix_sources(run, Config(), unsafe=False)
    return changed.get("train.py", text)


@pytest.fixture(scope="module")
def moved() -> dict[str, list[float]]:
    """name -> the largest moving mean of each batch norm, of the broken and the repaired ones."""
    pytest.importorskip("tensorflow")
    texts = {f"broken {name}": program(name) for name in PROGRAMS}
    texts |= {name: repaired(name) for name in PROGRAMS}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_repaired_program_updates_what_the_broken_one_does_not(
    moved: dict[str, list[float]], name: str
) -> None:
    assert not any(moved[f"broken {name}"])
    assert moved[name] and all(value > 0.01 for value in moved[name])


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_left_to_find(name: str) -> None:
    assert lint([Source("train.py", "train", repaired(name))], Config()).report.findings == []


def test_statements_around_a_repair_keep_their_line_and_comment() -> None:
    lines = repaired("on a line with others").splitlines()
    at = lines.index("    step = optimizer.minimize(loss)")
    assert lines[at - 2].startswith("loss = ") and not lines[at - 2].endswith(";")
    assert lines[at + 1] == "a = 1  # so"


def test_update_ops_of_a_network_that_needs_another_feed_are_not_attached_safely() -> None:
    text = program("two networks").replace("'b'", "'a'")
    (first, *_) = lint([Source("train.py", "train", text)], Config()).report.findings
    assert first.fix is not None and not first.fix.safe


def test_a_statement_that_also_builds_the_network_is_not_wrapped() -> None:
    body = "step = optimizer.minimize(tf.reduce_mean(net(x, 'a') ** 2))\n"
    text = START + body + END.replace("STEPS", ONE)
    (finding,) = lint([Source("train.py", "train", text)], Config()).report.findings
    assert finding.fix is None
