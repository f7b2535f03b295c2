"""How people find their way: help, misspelled words, the list of rules and links to their pages."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from bnlint.cli.check import check
from bnlint.cli.main import cli
from bnlint.registry import all_rules
from bnlint.version import rule_page

BROKEN = """\
import tensorflow as tf
h = tf.layers.batch_normalization(x, training=True)
train_op = tf.train.AdamOptimizer().minimize(h)
"""
LINK = re.compile(r"\x1b\]8;[^;]*;(?P<url>[^\x1b]+)\x1b\\")


def bnlint(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def terminal(*args: object, columns: int = 80) -> str:
    """What bnlint shows on a terminal."""
    main, secondary = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns)}
    command = [sys.executable, "-m", "bnlint.cli.main", *map(str, args)]
    with subprocess.Popen(command, stdout=secondary, stderr=secondary, env=environment) as process:
        os.close(secondary)
        shown = b""
        try:
            while chunk := os.read(main, 65536):
                shown += chunk
        except OSError:  # the terminal's other side is closed
            pass
        os.close(main)
        process.wait()
    return shown.decode().replace("\r\n", "\n")


def unstyled(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", LINK.sub("", text)).replace("\x1b]8;;\x1b\\", "")


def test_the_first_help_shows_every_option_of_the_default_command() -> None:
    shown = bnlint("--help").stdout
    options = [item for item in check.params if isinstance(item, click.Option)]
    assert options and all(option.opts[0] in shown for option in options)
    assert "[PATHS]... | COMMAND" in shown
    assert shown.count("--debug") == 1


@pytest.mark.parametrize(("word", "meant"), [("chek", "check"), ("Expain", "explain")])
def test_a_misspelled_command_is_recognized(word: str, meant: str, tmp_path: Path) -> None:
    result = bnlint(word, tmp_path)
    assert result.exit_code == 2 and f"did you mean {meant!r}?" in result.stderr


def test_files_with_names_like_commands_are_linted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "train.py").write_text(BROKEN)
    assert "BN101" in bnlint("runs").stdout
    missing = bnlint("nothing_like_it")
    assert missing.exit_code == 2 and "did you mean" not in missing.output


def test_rules_are_explained_by_code_prefix_and_name_in_any_case() -> None:
    shown = bnlint("explain", "bn101", "Missing-Update-Ops", "bn30").stdout
    assert [code for code in all_rules() if f"{code} " in shown] == [
        "BN101", "BN301", "BN302", "BN303",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "meant"), [("BN100", "BN10"), ("mising-update-ops", "missing-update-ops")]
)
def test_a_misspelled_rule_is_recognized(word: str, meant: str) -> None:
    result = bnlint("explain", word)
    assert result.exit_code == 2 and f"did you mean '{meant}" in result.stderr


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_the_list_of_rules_is_whole_on_any_terminal(columns: int) -> None:
    shown = unstyled(terminal("rules", columns=columns))
    words = " ".join(shown.split())
    for rule in all_rules().values():
        assert f"{rule.code} {rule.name} " in shown
        assert " ".join(rule.summary.split()) in words


def test_the_list_of_rules_has_a_line_each_in_a_pipe() -> None:
    lines = bnlint("rules").stdout.splitlines()
    assert len(lines) == len(all_rules())
    for line, rule in zip(lines, all_rules().values(), strict=True):
        assert line.startswith(f"{rule.code} {rule.name} ") and line.endswith(rule.summary)


@pytest.mark.parametrize("columns", [60, 80])
def test_sentences_break_between_words_on_a_terminal(tmp_path: Path, columns: int) -> None:
    file = tmp_path / "train.py"
    file.write_text(BROKEN)
    message, *_ = unstyled(terminal(file, "--select", "BN101", columns=columns)).split("  --> ")
    lines = message[message.index("BN101") :].splitlines()
    assert len(lines) > 1 and all(len(line) <= columns for line in lines)
    whole, *_ = bnlint(file, "--select", "BN101").stdout.splitlines()  # a pipe gets one line
    assert " ".join(" ".join(lines).split()) == whole


def test_codes_link_to_their_pages_on_a_terminal_only(tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text(BROKEN)
    links = {match["url"] for match in LINK.finditer(terminal(file))}
    assert links == {rule_page("BN101")}
    assert not LINK.search(bnlint(file, "--color", "always").stdout)
