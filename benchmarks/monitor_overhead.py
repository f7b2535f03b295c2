"""What the session hook and the Keras callback cost per training step.

Usage: TF_CPP_MIN_LOG_LEVEL=3 python benchmarks/monitor_overhead.py [--rounds 30]

Two measurements, because a machine's noise is larger than what is measured:

- CPU time: blocks of steps with and without the monitor, in alternating order, in one process
  whose TensorFlow has one thread, so that other processes disturb little. Overhead is the median
  over the rounds of (with - without) / without; the range is a bootstrap's 95 % interval of it.
- own time: wall-clock time spent inside the monitor's own methods, as a share of the whole.

The one-time inspection at the first step is measured on its own.
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

from bnlint import BatchNormHook, keras_callback, slim

v1 = tf.compat.v1
SECONDS = 0.5  # of a block
RESULTS = Path(__file__).with_suffix(".md")
# name: (batch, image side, channels, convolutions). The smallest step is the worst case.
SIZES = {"small": (32, 8, 16, 3), "medium": (64, 16, 32, 8), "deep": (32, 16, 32, 24)}


class OwnTime:
    """Counts the time spent in some methods of an object."""

    def __init__(self, watched: Any, names: list[str]) -> None:
        self.seconds = 0.0
        for name in names:
            setattr(watched, name, self._timed(getattr(watched, name)))

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            begin = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - begin

        return timed


def data(size: str) -> tuple[np.ndarray, np.ndarray]:
    batch, side, _, _ = SIZES[size]
    random = np.random.default_rng(0)
    images = random.normal(size=(batch, side, side, 3)).astype(np.float32)
    return images, random.integers(0, 10, batch)


class SlimTraining:
    """A slim net in a monitored session, with or without the hook."""

    def __init__(self, size: str, watched: bool) -> None:
        _, _, channels, depth = SIZES[size]
        self.images, self.labels = data(size)
        with tf.Graph().as_default():
            self.inputs = v1.placeholder(tf.float32, self.images.shape)
            net = self.inputs
            for _ in range(depth):
                net = slim.conv2d(
                    net,
                    channels,
                    3,
                    normalizer_fn=slim.batch_norm,
                    normalizer_params={"is_training": True, "decay": 0.9},
                )
            logits = slim.fully_connected(slim.flatten(net), 10, activation_fn=None)
            loss = v1.losses.sparse_softmax_cross_entropy(self.labels, logits)
            self.train_op = slim.learning.create_train_op(loss, v1.train.AdamOptimizer(1e-3))
            self.hook = BatchNormHook(on_finding=print)
            self.own = OwnTime(self.hook, ["before_run", "after_run"])
            self.session = v1.train.MonitoredTrainingSession(hooks=[self.hook] if watched else [])
        self.run(1)
        self.first = self.own.seconds
        self.own.seconds = 0.0

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.session.run(self.train_op, {self.inputs: self.images})

    def close(self) -> None:
        self.session.close()


class KerasTraining:
    """A Keras model in `fit`, with or without the callback."""

    def __init__(self, size: str, watched: bool) -> None:
        _, side, channels, depth = SIZES[size]
        self.images, self.labels = data(size)
        layers: list[Any] = [keras.Input([side, side, 3])]
        for _ in range(depth):
            layers += [
                keras.layers.Conv2D(channels, 3, padding="same", use_bias=False),
                keras.layers.BatchNormalization(momentum=0.9),
                keras.layers.ReLU(),
            ]
        layers += [keras.layers.Flatten(), keras.layers.Dense(10)]
        self.model = keras.Sequential(layers)
        self.model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        self.watcher = keras_callback(self.model, on_finding=print)
        methods = ["on_train_begin", "on_train_batch_end", "on_train_end"]
        self.own = OwnTime(self.watcher, methods)
        self.callbacks = [self.watcher] if watched else []
        self.run(2)
        self.first = self.own.seconds
        self.own.seconds = 0.0

    def run(self, steps: int) -> None:
        batch = tf.data.Dataset.from_tensors((self.images, self.labels)).repeat(steps)
        self.model.fit(batch, epochs=1, verbose=0, callbacks=self.callbacks)

    def close(self) -> None:
        pass


def measure(kind: Callable[[str, bool], Any], size: str, rounds: int) -> dict[str, float]:
    """Milliseconds and shares; see the module's docstring."""
    clock = time.process_time
    plain, watched = kind(size, False), kind(size, True)
    for training in (plain, watched):
        training.run(20)
    begin = clock()
    plain.run(20)
    steps = max(10, round(SECONDS / ((clock() - begin) / 20)))
    watched.own.seconds = wall = 0.0
    times: dict[Any, list[float]] = {plain: [], watched: []}
    for number in range(rounds):
        for training in (plain, watched) if number % 2 else (watched, plain):
            begin, wall_begin = clock(), time.perf_counter()
            training.run(steps)
            times[training].append((clock() - begin) / steps)
            if training is watched:
                wall += time.perf_counter() - wall_begin
    without, with_ = np.array(times[plain]), np.array(times[watched])
    ratios = (with_ - without) / without
    random = np.random.default_rng(0)
    medians = np.median(random.choice(ratios, (4000, rounds)), axis=1)
    for training in (plain, watched):
        training.close()
    return {
        "step": float(np.median(without)) * 1e3,
        "overhead": float(np.median(ratios)),
        "low": float(np.quantile(medians, 0.025)),
        "high": float(np.quantile(medians, 0.975)),
        "own": watched.own.seconds / wall,
        "first": watched.first,
        "steps": float(steps * rounds),
    }


def machine() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return (
        f"{len(names)} x {names[0]}, Python {platform.python_version()},"
        f" TensorFlow {tf.__version__}, Keras {keras.__version__}, no GPU"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    lines = [
        "# What watching costs",
        "",
        f"Made by `benchmarks/monitor_overhead.py --rounds {options.rounds}`, which explains the"
        " columns. Machine:",
        f"{machine()}; load average at the end {{load}}.",
        "",
        "| monitor | net (batch, side, channels, batch norms) | step, CPU ms | overhead, CPU time"
        " | 95 % interval | own time | first step, once, ms | steps |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    kinds = {"BatchNormHook": SlimTraining, "keras_callback": KerasTraining}
    for name, kind in kinds.items():
        for size, shape in SIZES.items():
            found = measure(kind, size, options.rounds)
            lines.append(
                f"| {name} | {size} {shape} | {found['step']:.1f} | {found['overhead']:+.2%}"
                f" | {found['low']:+.2%} to {found['high']:+.2%} | {found['own']:.2%}"
                f" | {found['first'] * 1e3:.0f} | {found['steps']:.0f} |"
            )
            print(lines[-1], flush=True)
    load = Path("/proc/loadavg").read_text().split()[1]
    options.output.write_text("\n".join(lines).replace("{load}", load) + "\n")


if __name__ == "__main__":
    main()
