"""`bnlint predictions` as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("scipy")

import numpy as np

from bnlint.cli.main import cli

LABELS = np.arange(500) % 10


def bnlint(*args: object) -> Result:
    return CliRunner().invoke(cli, ["predictions", *map(str, args)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save("labels.npy", LABELS)
    np.save("good.npy", np.where(np.arange(500) % 7, LABELS, 0))
    np.save("collapsed.npy", np.full(500, 3))
    Path("broken.npy").write_bytes(b"broken")
    return tmp_path


@pytest.mark.parametrize(
    ("files", "code"),
    [
        (["good.npy"], 0),
        (["collapsed.npy"], 1),
        (["good.npy", "collapsed.npy"], 1),
        (["broken.npy", "collapsed.npy"], 2),
        (["none.npy"], 2),
    ],
)
def test_exit_codes(folder: Path, files: list[str], code: int) -> None:
    assert bnlint(*files, "--labels", "labels.npy").exit_code == code


def test_text(folder: Path) -> None:
    result = bnlint("collapsed.npy", "broken.npy", "--labels", "labels.npy")
    assert "collapsed.npy: 500 rows" in result.stdout
    assert "1.00 effective classes (10.00 expected), top class 3 has 100.0%" in result.stdout
    assert "accuracy 10.0%" in result.stdout
    assert "BN601 prediction-collapse" in result.stdout
    assert "error: broken.npy: is not a .npy file" in result.stdout
    assert "Traceback" not in result.output


def test_json(folder: Path) -> None:
    report = json.loads(
        bnlint("collapsed.npy", "broken.npy", "--labels", "labels.npy", "--format", "json").stdout
    )
    assert [one["code"] for one in report["findings"]] == ["BN601"]
    assert [one["path"] for one in report["errors"]] == ["broken.npy"]


@pytest.mark.parametrize("format_", ["concise", "sarif", "github", "gitlab", "junit"])
def test_every_format_of_the_linter(folder: Path, format_: str) -> None:
    result = bnlint("collapsed.npy", "--labels", "labels.npy", "--format", format_)
    assert result.exit_code == 1 and "BN601" in result.stdout and "collapsed.npy" in result.stdout


def test_the_mode_gap(folder: Path) -> None:
    result = bnlint("collapsed.npy", "--train", "good.npy", "--labels", "labels.npy")
    assert "BN602 train-eval-mode-gap" in result.stdout
    assert (
        "modes disagree on" in result.stdout and "in training, 10.0% in inference" in result.stdout
    )


def test_reports_and_metrics_go_to_files(folder: Path) -> None:
    result = bnlint(
        "collapsed.npy", "--labels", "labels.npy", "--format", "json",
        "--save-to", "report.json", "--metrics", "metrics.json",
    )  # fmt: skip
    assert result.stdout == "" and result.exit_code == 1
    assert json.loads(Path("report.json").read_text())["findings"]
    (metrics,) = json.loads(Path("metrics.json").read_text())
    assert metrics["predictions"]["top_share"] == 1.0
    assert metrics["predictions"]["classes"][3] == {
        "name": 3, "predicted": 500, "labeled": 50, "correct": 50, "recall": 1.0
    }  # fmt: skip


def test_a_report_that_cannot_be_written(folder: Path) -> None:
    result = bnlint("good.npy", "--metrics", "no/such/folder/m.json")
    assert result.exit_code == 2 and "cannot be written" in result.stderr


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["good.npy", "collapsed.npy", "--train", "good.npy"],
        ["good.npy", "--expected", "uniform"],
        ["good.npy", "--alpha", "0.5"],
        ["good.npy", "--num-classes", "1"],
    ],
)
def test_usage_errors(folder: Path, args: list[str]) -> None:
    assert bnlint(*args).exit_code == 2


def test_expected_distributions(folder: Path) -> None:
    uniform = ["--expected", "uniform", "--num-classes", "10"]
    for options in (uniform, ["--expected", "labels.npy"]):
        assert bnlint("collapsed.npy", *options).exit_code == 1
        assert bnlint("good.npy", *options).exit_code == 0


def test_class_names_cannot_drive_the_terminal(folder: Path) -> None:
    np.save("names.npy", np.array(["\x1b[31m[red]cat", "dog"] * 50))
    result = bnlint("names.npy")
    assert "\x1b" not in result.stdout and "[red]cat" in result.stdout


def test_neither_tensorflow_nor_dask_is_imported(folder: Path) -> None:
    code = (
        "import sys; from bnlint.cli.main import cli\n"
        "try: cli.main(['predictions', 'good.npy'])\n"
        "except SystemExit: assert not {'tensorflow', 'dask', 'distributed'} & {*sys.modules}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder)
