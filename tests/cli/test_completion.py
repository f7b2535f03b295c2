"""Shell completion, in the shells that are here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A PATH on which `bnlint` is this checkout's."""
    command = tmp_path / "bin" / "bnlint"
    command.parent.mkdir()
    command.write_text(
        f"#!{sys.executable}\nfrom bnlint.cli.main import main\nmain()\n", encoding="utf-8"
    )
    command.chmod(0o755)
    (tmp_path / "train.py").touch()
    return os.environ | {"PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}"}


def complete(line: str, environment: dict[str, str], folder: Path) -> set[str]:
    """What bash offers for `line`, through the function that `bnlint completion` defines."""
    script = (
        'eval "$(bnlint completion bash)"; '
        'COMP_LINE="$1"; COMP_WORDS=($1); [[ $1 == *" " ]] && COMP_WORDS+=(""); '
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _bnlint_completion bnlint; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    result = subprocess.run(
        ["bash", "-c", script, "bash", line],
        env=environment, cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(result.stdout.split())


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("bnlint ins", {"inspect"}),
        ("bnlint --watch --exit-z", {"--exit-zero"}),
        ("bnlint --exit-z", {"--exit-zero"}),
        ("bnlint --format sa", {"sarif"}),
        ("bnlint explain BN10", {f"BN10{number}" for number in range(1, 9)}),
        ("bnlint --select BN201,BN30", {"BN201,BN301", "BN201,BN302", "BN201,BN303"}),
        ("bnlint check --ignore missing-u", {"missing-update-ops"}),
    ],
)
def test_bash(environment: dict[str, str], tmp_path: Path, line: str, offered: set[str]) -> None:
    assert complete(line, environment, tmp_path) == offered


def test_bash_offers_commands_first(environment: dict[str, str], tmp_path: Path) -> None:
    assert {"check", "explain", "lsp", "init"} <= complete("bnlint ", environment, tmp_path)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_valid(environment: dict[str, str], shell: str, tmp_path: Path) -> None:
    made = subprocess.run(
        ["bnlint", "completion", shell], env=environment, capture_output=True, text=True, check=True
    )
    assert "_BNLINT_COMPLETE" in made.stdout
    if shutil.which(shell):
        script = tmp_path / "script"
        script.write_text(made.stdout)
        subprocess.run([shell, "-n", str(script)], check=True)
