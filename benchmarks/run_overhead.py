"""What `bnlint run` and `bnlint.attach` add to a training step that they have seen before.

Usage: TF_CPP_MIN_LOG_LEVEL=3 python benchmarks/run_overhead.py [--steps 300]

CPU time inside the inspector's own methods, per step, is counted in three trainings, and compared
with a step of 10 ms. What wrapt takes to enter a method (below a microsecond) is left out. Writes
`run_overhead.md`. Sessions need a process of their own, so they come last: eager mode ends there.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import bnlint
from bnlint import slim
from bnlint.runtime.monitor.eager import EagerModes
from bnlint.runtime.monitor.session import SessionMonitor

STEP = 0.010  # seconds
RESULTS = Path(__file__).with_suffix(".md")
v1 = tf.compat.v1


class OwnTime:
    """Adds up the CPU time of some methods of a class, in seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def of(self, owner: type, name: str) -> None:
        method: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            begin = time.thread_time()
            try:
                return method(*args, **kwargs)
            finally:
                self.seconds += time.thread_time() - begin

        setattr(owner, name, timed)


def eager(layers: int, function: bool) -> Callable[[], Any]:
    parts = [
        layer
        for _ in range(layers)
        for layer in (keras.layers.Dense(8), keras.layers.BatchNormalization())
    ]
    model = keras.Sequential(parts)
    optimizer = keras.optimizers.SGD(0.01)
    images = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    model(images)

    def step() -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(images, training=True)))
        variables = model.trainable_variables
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    return tf.function(step) if function else step


def session(layers: int) -> Callable[[], Any]:
    graph = tf.Graph()
    with graph.as_default():
        images = v1.placeholder(tf.float32, [None, 8])
        is_training = v1.placeholder(tf.bool, [], "is_training")
        net = images
        for _ in range(layers):
            net = slim.batch_norm(slim.fully_connected(net, 8), is_training=is_training)
        loss = tf.reduce_mean(tf.square(net))
        train_op = slim.learning.create_train_op(loss, v1.train.GradientDescentOptimizer(0.01))
        initialize = v1.global_variables_initializer()
    running = v1.Session(graph=graph)
    running.run(initialize)
    batch = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    return lambda: running.run(train_op, {images: batch, is_training: True})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    steps = parser.parse_args().steps
    own = OwnTime()
    for owner, name in (
        (EagerModes, "called"),
        (EagerModes, "applied"),
        (SessionMonitor, "before_run"),
    ):
        own.of(owner, name)
    bnlint.attach()
    rows = []
    for name, step in (
        ("GradientTape, 1 batch norm", eager(1, function=False)),
        ("GradientTape, 10 batch norms", eager(10, function=False)),
        ("tf.function, 10 batch norms", eager(10, function=True)),
        ("session, 10 batch norms", session(10)),
    ):
        before = own.seconds
        step()
        step()
        first = own.seconds - before
        before, begin = own.seconds, time.thread_time()
        for _ in range(steps):
            step()
        whole = (time.thread_time() - begin) / steps
        each = (own.seconds - before) / steps
        rows.append(
            f"| {name} | {each * 1e6:.0f} | {each / STEP:.2%} | {whole * 1e3:.1f} "
            f"| {each / whole:.2%} | {first * 1e3:.0f} |"
        )
        print(rows[-1])
    head = (
        f"# What `bnlint run` costs\n\nMade by `benchmarks/run_overhead.py --steps {steps}`, which "
        f"explains the columns. Python {platform.python_version()}, TensorFlow {tf.__version__}, "
        f"Keras {keras.__version__}, no GPU.\n\n"
        "| training | per step, microseconds | of a step of 10 ms | its step, CPU ms of the main "
        "thread | of that | first two steps, once, ms |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
    )
    RESULTS.write_text(head + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
