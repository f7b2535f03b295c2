"""Each mistake, measured on the real training run, and its repair."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from bnlint.cli.main import cli
from bnlint.reproduce.figures import draw
from bnlint.reproduce.page import page
from bnlint.reproduce.programs import all_pairs
from bnlint.reproduce.tables import bars, detail, summary

pytestmark = pytest.mark.tensorflow

CODES = list(all_pairs())
# Training goes well, and evaluation normalizes by moving statistics that nobody filled.
STALE = ["BN101", "BN102", "BN103", "BN104", "BN105", "BN106", "BN107", "BN301", "BN302"]
# Training goes well, and evaluation normalizes every image by itself.
WRONG_MODE = ["BN201", "BN202", "BN205", "BN206", "BN207", "BN208"]
# Training runs without batch norm, and a deep sigmoid network does not learn that way.
NO_BATCH_NORM = ["BN203", "BN204", "BN209"]
# Training goes well, and the moving statistics are not those of the data.
OFF = ["BN701", "BN702", "BN704", "BN705"]

# What the inspector can see of each mistake while it runs, and in the files that are left. It
# knows the graph, not the code: updates in UPDATE_OPS that never run are BN101 whatever was
# tried, and a mode that the code chose shows in the predictions only.
AT_RUN_TIME = {
    **dict.fromkeys(["BN101", "BN102", "BN103", "BN104", "BN105", "BN106"], "BN101"),
    **dict.fromkeys([*WRONG_MODE, "BN203", "BN302"], "BN601"),
    **dict.fromkeys(["BN204", "BN209"], "BN501"),
    **{code: code for code in ("BN107", "BN210", "BN301", "BN303")},
}


def test_every_effect_is_asserted_below() -> None:
    alone = ["BN108", "BN210", "BN303", "BN401", "BN706"]
    grouped = [*STALE, *WRONG_MODE, *NO_BATCH_NORM, *OFF, *alone]
    assert sorted(grouped) == CODES


@pytest.mark.parametrize("code", CODES)
def test_the_fixed_program_trains_and_evaluates_well(comparisons, code: str) -> None:
    fixed = comparisons[code].fixed
    assert fixed.final_train_accuracy > 0.9 and fixed.test_accuracy > 0.9
    assert fixed.top_share < 0.25
    assert fixed.layers and fixed.mean_distance < 0.3 and fixed.variance_ratio < 1.5
    assert fixed.findings == ()


@pytest.mark.parametrize("code", STALE)
def test_training_goes_well_and_evaluation_collapses(comparisons, code: str) -> None:
    broken = comparisons[code].broken
    assert broken.final_train_accuracy > 0.9
    assert broken.test_accuracy < 0.25 and broken.top_share > 0.6
    assert broken.mean_distance > 0.5 and broken.variance_ratio > 10


@pytest.mark.parametrize("code", WRONG_MODE)
def test_single_images_all_get_one_class(comparisons, code: str) -> None:
    broken = comparisons[code].broken
    assert broken.final_train_accuracy > 0.9
    assert broken.test_accuracy < 0.25 and broken.top_share > 0.95


@pytest.mark.parametrize("code", NO_BATCH_NORM)
def test_without_batch_norm_nothing_is_learned(comparisons, code: str) -> None:
    broken = comparisons[code].broken
    assert broken.final_train_accuracy < 0.25 and broken.final_loss > 2
    assert broken.test_accuracy < 0.25 and broken.top_share > 0.6
    for layer in broken.layers:
        assert set(layer.moving_mean) == {0.0} and set(layer.moving_variance) == {1.0}


@pytest.mark.parametrize("code", OFF)
def test_keras_statistics_that_do_not_fit_cost_accuracy(comparisons, code: str) -> None:
    one = comparisons[code]
    assert one.broken.test_accuracy < one.fixed.test_accuracy - 0.1


def test_batches_of_one_image_teach_nothing(comparisons) -> None:
    broken = comparisons["BN706"].broken
    assert broken.final_train_accuracy < 0.25 and broken.final_loss > 2
    assert broken.test_accuracy < 0.25


def test_updates_in_evaluation_change_the_model_and_its_answers(comparisons) -> None:
    one = comparisons["BN108"]
    assert one.broken.final_train_accuracy > 0.9 and one.broken.test_accuracy < 0.25
    # The same checkpoint was restored; only the broken evaluation wrote to it.
    moved = one.broken.layers[0].moving_mean
    assert moved != one.fixed.layers[0].moving_mean


def test_a_second_network_is_an_untrained_one(comparisons) -> None:
    broken = comparisons["BN210"].broken
    assert broken.final_train_accuracy > 0.9 and broken.test_accuracy < 0.3
    assert set(broken.layers[0].moving_mean) == {0.0}


def test_slow_moving_averages_are_nearly_their_initial_values(comparisons) -> None:
    broken = comparisons["BN303"].broken
    assert broken.final_train_accuracy > 0.9
    assert broken.test_accuracy < 0.4 and broken.top_share > 0.5
    assert broken.mean_distance > 0.5 and broken.variance_ratio > 5


def test_the_logarithm_of_logits_is_nan(comparisons) -> None:
    broken = comparisons["BN401"].broken
    assert broken.loss[-1] != broken.loss[-1]
    assert broken.final_train_accuracy < 0.6 and broken.test_accuracy < 0.6


@pytest.mark.parametrize("code", AT_RUN_TIME)
def test_the_inspector_agrees(comparisons, code: str) -> None:
    assert AT_RUN_TIME[code] in comparisons[code].broken.findings


def test_all_formats_show_the_collapse(comparisons) -> None:
    from rich.console import Console

    one = comparisons["BN101"]
    console = Console(width=80, record=True, color_system=None)
    console.print(detail(one), summary(list(comparisons.values())))
    text = console.export_text()
    assert f"{one.broken.test_accuracy:.1%}" in text and bars(one.broken.histogram).strip() in text
    assert all(f"{code} " in text for code in CODES) and "…" not in text
    html = page([one])
    assert f"{one.broken.test_accuracy:.1%}" in html and "+train_op = slim.learning" in html
    assert not re.search(r"(src|href)=\"(?!data:|#)", html)
    assert draw([one]).startswith(b"\x89PNG")
    plain = json.loads(json.dumps(comparisons["BN401"].to_dict(), allow_nan=False))
    assert plain["broken"]["final_loss"] is None and plain["fixed"]["test_accuracy"] > 0.9


def test_the_command_runs_a_pair_and_writes_its_files(tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("a.png", "a.html")]
    arguments = ["reproduce", "eval-relies-on-training-default", "--format", "json"]
    result = CliRunner().invoke(cli, [*arguments, "--png", files[0], "--html", files[1]])
    assert result.exit_code == 0, result.output
    (one,) = json.loads(result.stdout)
    assert one["code"] == "BN202" and len(one["broken"]["loss"]) == len(one["fixed"]["loss"])
    assert one["broken"]["top_share"] > 0.95 > one["fixed"]["top_share"]
    assert all(Path(file).stat().st_size > 10_000 for file in files)
