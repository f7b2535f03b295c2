"""`bnlint init` on real folders."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bnlint.cli.init import HOOK, SETTINGS
from bnlint.cli.main import cli
from bnlint.lint.config import Config, load_config


def init(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(cli, ["init", str(folder), *options])


EXISTING = [
    "",
    "# ours\n[project]\nname  =  'a'   # odd spacing\n",
    "[project]\nname = 'a'",
    "[tool.ruff]\nline-length = 99\n\n[other]\nx = [\n  1,  # one\n]\n[tool.mypy]\nstrict = 1\n",
    "[project]\r\nname = 'é'\r\n",
]


@pytest.mark.parametrize("text", EXISTING)
def test_the_file_keeps_every_byte_and_gets_settings_that_load(tmp_path: Path, text: str) -> None:
    file = tmp_path / "pyproject.toml"
    if text:
        file.write_bytes(text.encode())
    assert init(tmp_path).exit_code == 0
    after = file.read_bytes().decode()
    assert after.startswith(text) and "[tool.bnlint]" in after
    assert after.count("\r\n") in (0, after.count("\n"))
    assert load_config(file) == Config(root=str(tmp_path))
    again = init(tmp_path)
    assert again.exit_code == 0 and "kept as it is" in again.output
    assert file.read_bytes().decode() == after


def test_permissions_stay(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text("[project]\nname = 'a'\n")
    file.chmod(0o640)
    init(tmp_path)
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["pyproject.toml"]


def test_dry_run_shows_and_writes_nothing(tmp_path: Path) -> None:
    result = init(tmp_path, "--dry-run", "--pre-commit")
    assert result.exit_code == 0
    assert "+[tool.bnlint]" in result.output and "+repos:" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[project\n", "not valid TOML"),
        (b"name = '\xff'\n", "not UTF-8"),
        (b"tool = { ruff = {} }\n", "add by hand"),
    ],
)
def test_a_file_that_cannot_be_changed_is_named_and_left(
    tmp_path: Path, text: bytes, message: str
) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_bytes(text)
    result = init(tmp_path)
    assert result.exit_code == 2
    assert message in result.output and "pyproject.toml" in result.output
    assert file.read_bytes() == text


def test_the_hook_is_written_once_and_never_over_other_hooks(tmp_path: Path) -> None:
    hooks = tmp_path / ".pre-commit-config.yaml"
    assert not init(tmp_path).exit_code and not hooks.exists()
    init(tmp_path, "--pre-commit")
    assert hooks.read_text() == "repos:\n" + HOOK
    assert "kept as it is" in init(tmp_path, "--pre-commit").output
    hooks.write_text("repos: []  # none\n")
    assert HOOK in init(tmp_path, "--pre-commit").output
    assert hooks.read_text() == "repos: []  # none\n"


def test_the_settings_name_their_defaults() -> None:
    assert 'confidence = "medium"' in SETTINGS and Config().confidence.value == "medium"
