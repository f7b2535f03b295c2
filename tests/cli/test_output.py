"""What reaches the terminal and files: statistics, output files, colors and progress."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bnlint.cli.main import cli
from bnlint.sources import atomic_write

BROKEN = """\
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(x, training=True)
logits = tf.layers.dense(h, 10)
loss = -tf.reduce_sum(x * tf.log(logits))
train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(train_op)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """30 broken files: enough for a progress line."""
    for number in range(30):
        (tmp_path / f"train{number:02}.py").write_text(BROKEN)
    return tmp_path


def bnlint(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def test_statistics_count_every_rule(tree: Path) -> None:
    result = bnlint(tree, "--statistics", "--format", "concise")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "30 BN101 missing-update-ops" in lines
    assert "30 BN401 log-of-logits" in lines
    assert "60 findings in 30 files, 30 fixable." in lines


def test_the_report_goes_to_the_output_file_and_replaces_it_as_a_whole(tree: Path) -> None:
    target = tree / "report.json"
    target.write_text("old " * 10_000)
    result = bnlint(tree / "train00.py", "--format", "json", "--output-file", target)
    assert result.exit_code == 1 and result.stdout == ""
    codes = {item["code"] for item in json.loads(target.read_text())["findings"]}
    assert codes == {"BN101", "BN401"}
    assert [path.name for path in tree.iterdir() if "report" in path.name] == ["report.json"]


def test_one_run_writes_several_reports(tree: Path) -> None:
    sarif, page = tree / "a=b.sarif", tree / "report.md"
    reports = ("--report", f"sarif={sarif}", "--report", f"markdown={page}")
    result = bnlint(tree / "train00.py", "--format", "concise", *reports)
    assert result.exit_code == 1 and result.stdout.count("BN101") == 1
    (run,) = json.loads(sarif.read_text())["runs"]
    assert {item["ruleId"] for item in run["results"]} == {"BN101", "BN401"}
    assert "BN401" in page.read_text()


@pytest.mark.parametrize("value", ["sarif", "sarif=", "xml=report.xml", "=report.txt"])
def test_a_report_needs_a_format_and_a_file(tree: Path, value: str) -> None:
    result = bnlint(tree / "train00.py", "--report", value)
    assert result.exit_code == 2 and "FORMAT=FILE" in result.stderr


def test_an_output_file_that_cannot_be_written_is_named(tree: Path) -> None:
    result = bnlint(tree / "train00.py", "--output-file", tree / "none" / "report.txt")
    assert result.exit_code == 2
    assert "report.txt" in result.stderr and "Traceback" not in result.stderr


def test_a_fix_that_cannot_be_written_is_an_error_and_its_finding_stays(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, old: bytes, new: bytes, roots: list[str]) -> None:
        if path.endswith("train03.py"):
            raise PermissionError(13, "Permission denied", path)
        atomic_write.rewrite(path, old, new, roots)

    monkeypatch.setattr("bnlint.cli.fix.rewrite", refuse)
    result = bnlint(tree, "--fix", "--select", "BN101", "--format", "json")
    assert result.exit_code == 2
    report = json.loads(result.stdout)
    (error,) = report["errors"]
    assert error["path"].endswith("train03.py") and "Permission denied" in error["message"]
    (finding,) = report["findings"]
    assert finding["location"]["path"].endswith("train03.py")
    assert (tree / "train03.py").read_text() == BROKEN
    assert "control_dependencies" in (tree / "train04.py").read_text()


@pytest.mark.parametrize(("color", "escaped"), [("always", True), ("never", False)])
def test_color(tree: Path, color: str, escaped: bool) -> None:
    result = CliRunner().invoke(cli, [str(tree / "train00.py"), "--color", color], color=True)
    assert ("\x1b[" in result.stdout) is escaped


PATIENT = """\
import sys
from bnlint.cli import main, progress
progress.PATIENCE = float(sys.argv.pop(1))
main.main()
"""


def on_a_terminal(patience: float, *args: object) -> tuple[str, str]:
    """(stdout, stderr) of bnlint with a terminal as its stderr, and a bar after some seconds."""
    main, secondary = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    command = [sys.executable, "-c", PATIENT, str(patience), *map(str, args)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=secondary, env=environment, text=True
    ) as process:
        os.close(secondary)
        assert process.stdout is not None
        stdout = process.stdout.read()
    shown = b""
    while True:
        try:
            chunk = os.read(main, 65536)
        except OSError:  # the terminal's other side is closed
            break
        if not chunk:
            break
        shown += chunk
    os.close(main)
    return stdout, shown.decode()


def test_progress_is_shown_on_a_terminal_only(tree: Path) -> None:
    stdout, stderr = on_a_terminal(0, tree, "--format", "concise", "--no-cache")
    for stage in ("reading", "parsing", "following programs"):
        assert stage in stderr
    for count in ("/?", "0/1", "0/30"):  # the files are equal: one is parsed
        assert count in stderr
    assert "train29.py" in stderr
    assert stdout.count("BN101") == 30 and "\x1b" not in stdout
    piped = bnlint(tree, "--format", "concise")
    assert piped.stderr == ""


def test_a_short_run_shows_no_progress(tree: Path) -> None:
    _, stderr = on_a_terminal(3600, tree / "train00.py", "--format", "concise")
    assert stderr == ""
