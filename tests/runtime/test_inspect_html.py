"""The HTML page of an inspection, and what `bnlint inspect` prints and writes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

import numpy as np
from click.testing import CliRunner

from bnlint.cli.inspect import inspect
from bnlint.runtime.html import compare, draw_edges, render_html, short
from bnlint.runtime.inspect import inspect_path
from bnlint.runtime.report import BatchNormInfo, GraphReport

pytestmark = pytest.mark.tensorflow
GRAPHS = Path(__file__).parents[2] / "fixtures" / "graphs"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs far from those the checkpoint was trained on."""
    path = tmp_path_factory.mktemp("data") / "far.npz"
    rng = np.random.default_rng(0)
    np.savez(path, x=rng.normal(-300, 80, (16, 8, 8, 3)).astype(np.float32))
    return path


def page_of(name: str) -> str:
    return render_html([(name, inspect_path(GRAPHS / name))])


def test_missing_edges_are_drawn_red_and_present_ones_are_not() -> None:
    broken, fixed = page_of("BN101_slim.meta"), page_of("ok_slim_control_dependencies.meta")
    assert broken.count("2 updates never run") == 2 and "never run<" not in fixed
    # A trunk and two branches.
    assert broken.count('class="edge missing"') == 3 and 'class="edge missing"' not in fixed
    assert "BN101" in broken and "No findings." in fixed


def test_each_half_of_a_gan_has_its_own_edges_and_none_is_missing() -> None:
    edges = draw_edges(inspect_path(GRAPHS / "ok_gan.meta"))
    assert edges is not None
    assert [one.name for one in edges.trunks] == ["adam_d", "adam_g"]
    drawn = {(branch.x, branch.y) for branch in edges.branches}
    generator = [row.y for row in edges.rows if row.name.startswith("g/")]
    assert drawn == {
        *((edges.trunks[0].x, row.y) for row in edges.rows if row.y not in generator),
        *((edges.trunks[1].x, y) for y in generator),
    }
    assert all(branch.reached for branch in edges.branches)


def test_a_reused_copy_whose_variables_are_updated_is_not_missing() -> None:
    report = inspect_path(GRAPHS / "ok_two_towers_first_updates.meta")
    assert report.missed_updates == {}
    edges = draw_edges(report)
    assert edges is not None and len(edges.branches) < len(edges.rows)


def test_the_page_loads_nothing(data: Path) -> None:
    report = inspect_path(GRAPHS / "checkpoint_ok_trained", data=data)
    page = render_html([("x", report)])
    assert not re.search(r"<script|<link|<img|@import|url\(|https?://", page)


def test_names_are_escaped() -> None:
    evil = "<script>alert(1)</script>"
    report = GraphReport(
        batch_norms=(BatchNormInfo(evil, "fused", update_ops=(evil,)),),
        train_ops=(evil,),
        reached_updates={evil: ()},
        missed_updates={evil: (evil,)},
    )
    assert "<script" not in render_html([(evil, report)])


def test_measured_statistics_are_plotted(data: Path) -> None:
    report = inspect_path(GRAPHS / "checkpoint_ok_trained", data=data)
    first, _ = compare(report.measured)
    assert first.far and first.share == 1.0
    mean, variance = first.plots
    assert len(mean.points) == 4 == len(variance.points)
    page = render_html([("x", report)])
    assert page.count('class="point"') == 2 * 2 * 4


def test_values_that_are_not_finite_are_counted_not_drawn() -> None:
    path = GRAPHS / "BN502_keras_nan.keras"
    arrays = np.ones((8, 8, 8, 3), np.float32)
    from bnlint.runtime.keras_model import load_model, measure_model

    first = compare(measure_model(load_model(path), arrays))[0]
    assert first.plots[0].left_out == 1 and len(first.plots[0].points) == 3


@pytest.mark.parametrize("length", [10, 100, 101, 5000])
def test_a_short_name_keeps_both_ends(length: int) -> None:
    name = "a" * (length // 2) + "b" * (length - length // 2)
    shown = short(name)
    assert len(shown) == min(length, 100)
    assert shown[0] == "a" and shown[-1] == "b"


def test_the_command_writes_page_and_report(tmp_path: Path) -> None:
    predictions = tmp_path / "predictions.npz"
    np.savez(predictions, predictions=[0] * 500, labels=[0, 1, 2, 3, 4] * 100)
    page, saved = tmp_path / "page.html", tmp_path / "report.json"
    result = CliRunner().invoke(
        inspect,
        [
            *(str(GRAPHS / "BN101_slim.meta"), "--html", str(page)),
            *("--predictions", str(predictions), "--labels", "labels"),
            *("--format", "json", "--save-to", str(saved)),
        ],
    )
    assert result.exit_code == 1 and result.output == ""
    codes = {one["code"] for one in json.loads(saved.read_text())["findings"]}
    assert codes == {"BN101", "BN601"}
    text = page.read_text()
    assert "collapsed" in text and text.count('class="fill labels"') == 5


def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "none" / "page.html"
    result = CliRunner().invoke(inspect, [str(GRAPHS / "ok_frozen.meta"), "--html", str(path)])
    assert result.exit_code == 2 and "page.html" in result.output


def test_sarif_names_the_op() -> None:
    result = CliRunner().invoke(inspect, [str(GRAPHS / "BN101_slim.meta"), "--format", "sarif"])
    (found,) = json.loads(result.output)["runs"][0]["results"]
    assert found["ruleId"] == "BN101" and "net/conv1/BatchNorm" in json.dumps(found)


def test_tensorflow_prints_nothing() -> None:
    command = [sys.executable, "-m", "bnlint.cli.main", "inspect", str(GRAPHS / "ok_frozen.meta")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0 and result.stderr == ""
