"""Consoles that know neither UTF-8 nor colors: nothing is lost, and nothing is a crash."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

BROKEN = """\
import tensorflow as tf
h = tf.layers.batch_normalization(x, training=True)
train_op = tf.train.AdamOptimizer().minimize(h)  # 训练
"""
COLORED = b"\x1b[1;31m"


def bnlint(folder: Path, *args: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "bnlint", *args]
    variables = {"NO_COLOR": "", "FORCE_COLOR": "", **environment}
    return subprocess.run(command, cwd=folder, env=os.environ | variables, capture_output=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(BROKEN, "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"PYTHONIOENCODING": "cp437"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["cp1252", "cp437", "C"],
)
def test_what_the_console_cannot_show_is_escaped(folder: Path, environment: dict[str, str]) -> None:
    done = bnlint(folder, "train.py", **environment)
    assert done.returncode == 1 and done.stderr == b""
    assert b"BN101" in done.stdout and rb"# \u8bad\u7ec3" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux only")
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_files_whose_names_are_not_utf_8_are_linted(folder: Path, locale: str) -> None:
    (folder / "train.py").rename(folder / os.fsdecode(b"caf\xe9.py"))
    settings = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for _ in range(2):  # the second time from the cache
        done = bnlint(folder, ".", **settings)
        assert done.returncode == 1 and b"BN101" in done.stdout, done.stderr
        assert rb"caf\udce9.py:3:12" in done.stdout


def test_clicolor_force_colors_a_pipe_and_no_color_wins(folder: Path) -> None:
    assert COLORED not in bnlint(folder, "train.py").stdout
    assert COLORED in bnlint(folder, "train.py", CLICOLOR_FORCE="1").stdout
    forced = bnlint(folder, "train.py", CLICOLOR_FORCE="1", NO_COLOR="1").stdout
    assert COLORED not in forced and b"31m" not in forced


@pytest.mark.parametrize("no_color", ["", "1"])
def test_no_color_holds_on_a_terminal(folder: Path, no_color: str) -> None:
    main, secondary = pty.openpty()
    command = [sys.executable, "-m", "bnlint", "train.py"]
    environment = os.environ | {"TERM": "xterm-256color", "NO_COLOR": no_color}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=secondary) as process:
        os.close(secondary)
        shown = b""
        try:
            while chunk := os.read(main, 65536):
                shown += chunk
        except OSError:  # the terminal's other side is closed
            pass
        os.close(main)
        assert process.wait() == 1
    assert b"BN101" in shown
    assert (b"31m" in shown) is not bool(no_color)
