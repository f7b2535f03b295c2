"""A program with a finding, and the command in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bnlint.cli.main import cli

PROGRAM = """\
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(x, training=True)
loss = tf.reduce_mean(h)
train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(train_op)
"""
BROKEN = "import tensorflow\nx = = 1\nbatch_normalization, minimize\n"

Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `bnlint` in tmp_path; whatever happens, it must not end in a traceback."""

    def bnlint(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, **options.pop("env", {})}  # type: ignore[dict-item]
        settings = {"cwd": tmp_path, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        done = subprocess.run(
            [sys.executable, "-m", "bnlint", *map(str, arguments)],
            env=environment,
            **{**settings, **options},  # type: ignore[call-overload]
        )
        assert b"Traceback" not in (done.stderr or b""), done.stderr.decode(errors="replace")
        return done

    return bnlint


@pytest.fixture
def lint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `bnlint` in this process, in tmp_path: much faster."""
    monkeypatch.chdir(tmp_path)

    def bnlint(*arguments: object) -> Result:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return bnlint


@pytest.fixture
def train(tmp_path: Path) -> Path:
    """A file with one finding."""
    file = tmp_path / "train.py"
    file.write_text(PROGRAM)
    return file
