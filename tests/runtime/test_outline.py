"""What an inspection says that it recognized."""

import json
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

from click.testing import CliRunner

from bnlint.cli.inspect import inspect
from bnlint.runtime.inspect import inspect_path
from bnlint.runtime.report import Spread

pytestmark = pytest.mark.tensorflow
GRAPHS = Path(__file__).parents[2] / "fixtures" / "graphs"


def text_of(name: str, *options: str) -> str:
    return CliRunner().invoke(inspect, [str(GRAPHS / name), *options]).output


def test_train_ops_and_updates() -> None:
    broken, right = text_of("BN101_slim.meta"), text_of("ok_slim_create_train_op.meta")
    assert "2 batch norms, 1 train op" in broken
    assert "train op Adam: runs 0 updates of batch norms, misses 4" in broken
    assert broken.count("train, updates never run") == 2
    assert "train op train_op/control_dependency: runs 4 updates" in right
    assert right.count("train, updates run") == 2


def test_every_train_op_has_the_name_that_its_program_gave_it() -> None:
    assert inspect_path(GRAPHS / "ok_chained_train_ops.meta").train_ops == ("train_both",)
    accumulated = inspect_path(GRAPHS / "ok_accumulated_gradients.meta")
    assert set(accumulated.train_ops) == {"sum_up", "descend"}
    by_hand = inspect_path(GRAPHS / "BN101_gradient_descent_by_hand.meta")
    assert by_hand.train_ops == ("descend",)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("checkpoint_ok_trained", 2),
        ("checkpoint_ok_names_by_hand", 2),
        ("ok_frozen_inference.pb", 2),
        ("ok_keras_trained.keras", 2),
        ("ok_keras_trained.h5", 2),
        ("ok_keras.weights.h5", 2),
        ("saved2_ok_keras_export", 2),
    ],
)
def test_statistics_that_are_stored(name: str, count: int) -> None:
    found = inspect_path(GRAPHS / name).batch_norms
    assert len(found) == count
    for one in found:
        for spread in (one.mean, one.variance):
            assert isinstance(spread, Spread)
            assert spread.minimum <= spread.median <= spread.maximum


def test_json() -> None:
    report = json.loads(text_of("BN101_slim.meta", "--format", "json"))
    assert [one["mode"] for one in report["batch_norms"]] == ["train", "train"]
    assert [one["reached"] for one in report["batch_norms"]] == [False, False]
    (train_op,) = report["train_ops"]
    assert train_op["name"] == "Adam" and len(train_op["misses_updates"]) == 4


def test_nothing_recognized_is_said() -> None:
    text = text_of("ok_layer_and_instance_norm.meta")
    assert "0 batch norms recognized" in text


def test_names_are_not_cut(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    import numpy as np

    name = "block/" * 40 + "bn"
    with h5py.File(tmp_path / "long.weights.h5", "w") as file:
        for part, value in (("moving_mean", 0.5), ("moving_variance", 2.0), ("gamma", 1.5)):
            file[f"{name}/{part}"] = np.full(4, value)
    text = CliRunner().invoke(inspect, [str(tmp_path / "long.weights.h5")]).output
    assert f"{name}: mean 0.5 … 0.5 … 0.5, variance 2 … 2 … 2" in text
