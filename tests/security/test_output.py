"""What bnlint prints is harmless for terminals, CI logs and parsers, and ends well."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bnlint.reporting import FORMATS

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
posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX file names")
NAMES = {
    "escapes": "\x1b]0;title\x07\x1b[2Jx.py",
    "new line": "a\n::error file=x,line=1::text\nb.py",
    "carriage return": "a\r::set-output name=x::y.py",
    "first": "::error title=x::y.py",
    "older command": "##[error]x.py",
    "azure": "##vso[task.setvariable variable=x]y.py",
    "delete and C1": "a\x7f\x9bx.py",
    "other direction": "a\u202egpj.py",
    "markup": "a&<b>\"'.py",
    "controls": "a\x01\x02\x0b.py",
    "no character": "a\ufffe\uffff.py",
    "colons": "a:1:2: BN101.py",
    "percent": "a%0A::error::x.py",
    "rich markup": "[bold red]x[link=http:a]a.py",
    "commas": "a,line=3::x.py",
    "line separator": "a\u2028::error::b.py",
    "next line": "a\x85::error::b.py",
    "emoji": "\N{GRINNING FACE}.py",
    "blank": " .py",
}
FORBIDDEN = set(map(chr, [*range(0x20), *range(0x7F, 0xA0), 0x202E, 0x2028, 0x2029])) - {"\n"}


def check_output(text: str, format_: str) -> None:
    assert not FORBIDDEN & set(text)
    for line in text.split("\n"):
        assert "##[" not in line and "##vso[" not in line
        assert format_ == "github" or not line.lstrip().startswith("::") or line[:6] == "  ::: "
    if format_ in ("json", "sarif", "gitlab"):
        json.loads(text)
    elif format_ == "junit":
        ET.fromstring(text)
    elif format_ == "github":
        assert all(line.startswith("::") for line in text.splitlines())


@posix
@pytest.mark.parametrize("kind", NAMES)
def test_every_format_holds_for_any_file_name(
    kind: str, tmp_path: Path, lint: Callable[..., Any]
) -> None:
    (tmp_path / NAMES[kind]).write_text(PROGRAM)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / NAMES[kind]).write_text(BROKEN)
    for format_ in FORMATS:
        done = lint("--format", format_, "--", ".", NAMES[kind])
        assert done.exit_code == 2
        check_output(done.stdout, format_)
        assert not FORBIDDEN & set(done.stderr)


@pytest.mark.parametrize(
    ("encoding", "format_"),
    [
        ("ascii", "text"),
        ("cp1252", "text"),
        ("cp437", "concise"),
        ("cp437", "github"),
        ("utf-16", "text"),
    ],
)
def test_characters_that_an_encoding_lacks_are_escaped(
    encoding: str, format_: str, tmp_path: Path, run: Run
) -> None:
    name = "caf\u00e9 \u65e5\u672c.py"
    (tmp_path / name).write_text(PROGRAM.replace("loss", "\u635f\u5931"), encoding="utf-8")
    environment = {"PYTHONIOENCODING": encoding, "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = run("--format", format_, ".", env=environment)
    assert done.returncode == 1 and b"BN101" in done.stdout.replace(b"\0", b"")
    assert not done.stderr


HOSTILE_LINES = PROGRAM.replace(
    "train_op = tf", '"""\n::error file=x::injected\n##[error]\x1b[2J"""\ntrain_op = tf'
)


@pytest.mark.parametrize("variable", ["GITHUB_ACTIONS", "TF_BUILD"])
def test_a_diff_in_a_log_carries_no_commands(variable: str, tmp_path: Path, run: Run) -> None:
    (tmp_path / "train.py").write_text(HOSTILE_LINES)
    done = run("--diff", ".", env={variable: "true"})
    text = done.stdout.decode()
    assert "control_dependencies" in text and "injected" in text
    check_output(text, "diff")


@posix
def test_a_diff_on_a_terminal_carries_no_escapes(tmp_path: Path) -> None:
    import pty

    (tmp_path / "train.py").write_text(HOSTILE_LINES)
    main, secondary = pty.openpty()
    command = [sys.executable, "-m", "bnlint", "--diff", "--color", "never", "."]
    with subprocess.Popen(command, cwd=tmp_path, stdout=secondary, stderr=subprocess.PIPE):
        os.close(secondary)
        text = b""
        while True:
            try:
                part = os.read(main, 65536)
            except OSError:  # its other end is closed
                break
            text += part
            if not part:
                break
    os.close(main)
    assert b"control_dependencies" in text and b"\x1b" not in text


def test_a_diff_for_patch_is_exact(tmp_path: Path, run: Run) -> None:
    (tmp_path / "train.py").write_text(HOSTILE_LINES)
    environment = {"GITHUB_ACTIONS": "", "TF_BUILD": ""}
    done = run("--diff", "train.py", env=environment)
    assert "\n ::error file=x::injected\n" in done.stdout.decode()


# --- streams that are gone ---------------------------------------------------------------------


@posix
@pytest.mark.parametrize("format_", ["text", "json"])
def test_a_reader_that_leaves_ends_the_run_quietly(format_: str, tmp_path: Path) -> None:
    for number in range(120):
        (tmp_path / f"train{number}.py").write_text(PROGRAM + f"# {number}\n")
    command = [sys.executable, "-m", "bnlint", "--format", format_, "."]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as done:
        assert done.stdout is not None and done.stderr is not None
        done.stdout.close()
        assert done.stderr.read() == b""
    assert done.returncode == 141


@posix
@pytest.mark.parametrize(
    ("redirection", "message"),
    [
        (">&-", "error: standard output is closed\n"),
        ("> /dev/full", "error: standard output: No space left on device\n"),
        (">&- 2>&-", ""),
        ("> /dev/full 2> /dev/full", ""),
    ],
)
def test_an_output_that_cannot_be_written_is_exit_code_2(
    redirection: str, message: str, tmp_path: Path
) -> None:
    if "full" in redirection and not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    (tmp_path / "train.py").write_text(PROGRAM)
    command = f'"{sys.executable}" -m bnlint . {redirection}'
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)
