"""The GitHub action's script, run as a runner runs it, with inputs as a workflow gives them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    """RUNNER_TEMP, where the action's first steps have installed bnlint."""
    command = tmp_path / "bnlint" / "bin" / "bnlint"
    command.parent.mkdir(parents=True)
    command.write_text(f"#!{sys.executable}\nfrom bnlint.cli.main import main\nmain()\n")
    command.chmod(0o755)
    return tmp_path


def run(runner: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    (step,) = [step for step in ACTION["runs"]["steps"] if step.get("id") == "lint"]
    given = {name: spec["default"] for name, spec in ACTION["inputs"].items()} | inputs
    expressions = {f"${{{{ inputs.{name} }}}}": value for name, value in given.items()}
    environment = {name: expressions[text] for name, text in step["env"].items()}
    own = {"RUNNER_TEMP": str(runner), "GITHUB_STEP_SUMMARY": str(runner / "summary.md")}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        env=os.environ | environment | own,
        cwd=ROOT / "fixtures", capture_output=True, text=True,
    )  # fmt: skip


def test_findings_are_annotated_and_fail_the_job(runner: Path) -> None:
    result = run(runner, paths="demo")
    assert result.returncode == 1
    assert "::error title=bnlint BN101 missing-update-ops,file=demo/train.py," in result.stdout


def test_the_job_s_summary_has_what_is_annotated(runner: Path) -> None:
    result = run(runner, paths="demo")
    assert result.returncode == 1
    summary = (runner / "summary.md").read_text()
    assert summary.startswith("## bnlint\n") and "demo/train.py:" in summary
    (runner / "summary.md").unlink()
    run(runner, paths="demo", summary="false")
    assert not (runner / "summary.md").exists()


def test_the_job_s_own_python_stays_as_it_is() -> None:
    (step,) = [s for s in ACTION["runs"]["steps"] if "setup-python" in s.get("uses", "")]
    assert step["with"]["update-environment"] is False


def test_what_is_saved_is_what_is_restored() -> None:
    restore, save = [s for s in ACTION["runs"]["steps"] if "actions/cache/" in s.get("uses", "")]
    assert restore["with"]["path"] == save["with"]["path"]
    assert save["if"].startswith("always()")  # findings fail the job, and are kept


def test_options_text_and_sarif(runner: Path) -> None:
    log = runner / "bnlint.sarif"
    inputs = {"arguments": "--select BN1 --exit-zero", "annotations": "false"}
    result = run(runner, paths="demo/train.py demo/nets.py", **inputs, **{"sarif-file": str(log)})
    assert result.returncode == 0 and "1 finding in 2 files" in result.stdout
    assert json.loads(log.read_text())["runs"][0]["results"][0]["ruleId"] == "BN101"


def test_what_is_in_an_input_is_never_run(runner: Path) -> None:
    result = run(runner, paths="$(touch owned) `touch owned`; touch owned")
    assert result.returncode == 2
    assert not (ROOT / "fixtures" / "owned").exists()
