"""`bnlint --watch` in a process of its own, over real file changes."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

BROKEN = """\
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(x, training=True)
train_op = tf.train.AdamOptimizer().minimize(tf.reduce_mean(h))
with tf.Session() as sess:
    sess.run(train_op)
"""


class Watch:
    """A running `bnlint --watch --format concise`; its lines come as they are written."""

    def __init__(self, *paths: Path) -> None:
        command = [sys.executable, "-u", "-m", "bnlint.cli.main", "--watch", "--format", "concise"]
        self.process = subprocess.Popen(
            [*command, *map(str, paths)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=paths[0].parent,
        )  # fmt: skip
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)

    def until(self, text: str) -> list[str]:
        """The lines up to the one that holds `text`."""
        seen = []
        while not seen or text not in seen[-1]:
            try:
                seen.append(self.lines.get(timeout=60))
            except queue.Empty:
                raise AssertionError(f"no {text!r} in {seen}") from None
        return seen


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "train.py").write_text(BROKEN)
    return folder


@pytest.fixture
def watching(folder: Path) -> Iterator[Watch]:
    watch = Watch(folder)
    yield watch
    watch.process.kill()
    watch.process.wait()


def test_changes_new_files_settings_and_removals_are_seen(folder: Path, watching: Watch) -> None:
    first = watching.until("Watching for changes")
    assert any("BN101" in line for line in first)

    (folder / "train.py").write_text("import tensorflow\n")
    changed = watching.until("No findings")
    assert any("train.py ---" in line for line in changed)

    (folder / "other.py").write_text(BROKEN)
    assert any("other.py:5" in line for line in watching.until("1 finding in 2 files"))

    (folder / "pyproject.toml").write_text('[tool.bnlint]\nignore = ["BN101"]\n')
    watching.until("No findings in 2 files, 1 suppressed")

    (folder / "pyproject.toml").write_text("[tool.bnlint]\nselekt = 1\n")
    watching.until("selekt")  # said, and the watch goes on

    (folder / "pyproject.toml").unlink()
    watching.until("1 finding in 2 files")
    (folder / "other.py").unlink()
    watching.until("No findings in 1 file")


def test_ctrl_c_ends_it_quietly(watching: Watch) -> None:
    watching.until("Watching for changes")
    watching.process.send_signal(signal.SIGINT)
    assert watching.process.wait(60) == 0
    assert not any("Traceback" in line for line in list(watching.lines.queue))


def test_a_single_file_is_watched_when_an_editor_replaces_it(folder: Path) -> None:
    watch = Watch(folder / "train.py")
    try:
        watch.until("Watching for changes")
        fresh = folder / "train.py.tmp"
        fresh.write_text("import tensorflow\n")
        fresh.replace(folder / "train.py")
        watch.until("No findings in 1 file")
    finally:
        watch.process.kill()
        watch.process.wait()


@pytest.mark.parametrize("arguments", [["-"], ["nowhere"], [".", "--write-baseline"]])
def test_what_cannot_be_watched_is_a_usage_error(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "bnlint.cli.main", "--watch", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert result.returncode == 2 and "Error" in result.stderr
