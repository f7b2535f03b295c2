"""Predictions counted in processes and on a real Dask cluster: the same report everywhere."""

import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("scipy")
pytest.importorskip("pyarrow")

import numpy as np
import pyarrow
from pyarrow import csv, parquet

from bnlint import ModeGapMonitor, PredictionMonitor, monitor_shards
from bnlint.cli.main import cli
from bnlint.execution.dask_executor import Dask
from bnlint.execution.executor import Engine, Processes, Serial
from bnlint.runtime.predictions import collapse

ROWS = 3000
LABELS = np.arange(ROWS) % 10
SCORES = np.random.default_rng(0).normal(size=(ROWS, 10)) + 3 * np.eye(10)[LABELS // 2]
SCORES[7] = np.nan


def bnlint(*args: object) -> Result:
    return CliRunner().invoke(cli, ["predictions", *map(str, args)])


def metrics() -> list[dict[str, Any]]:
    return json.loads(Path("metrics.json").read_text())


def save(name: str, scores: np.ndarray, labels: np.ndarray) -> str:
    table = {str(index): column for index, column in enumerate(scores.T)}
    if name.endswith(".npz"):
        np.savez(name, scores=scores, label=labels)
    elif name.endswith(".csv"):
        csv.write_csv(pyarrow.table({**table, "label": labels}), name)
    else:
        parquet.write_table(pyarrow.table({**table, "label": labels}), name)
    return name


@pytest.fixture
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """30 files of 100 rows; two can't be read."""
    monkeypatch.chdir(tmp_path)
    files = [
        save(f"{start:04}.{kind}", SCORES[start : start + 100], LABELS[start : start + 100])
        for start in range(0, ROWS, 100)
        for kind in [("npz", "csv", "parquet")[start % 3]]
    ]
    Path("broken.npz").write_bytes(b"broken")
    return [*files[:9], "broken.npz", *files[9:], "none.csv"]


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """After a cluster's first result, a worker that has or does work is killed: its id."""
    victims: list[int] = []
    undisturbed = Dask.map

    def disturbed(engine: Dask, function: Callable, items: Sequence) -> Iterator:
        results = undisturbed(engine, function, items)
        yield next(results)
        client = engine.client
        busy = [
            one for work in (client.has_what(), client.processing()) for one in work if work[one]
        ]
        victims.append(client.run(os.getpid, workers=busy[-1:])[busy[-1]])
        os.kill(victims[0], signal.SIGKILL)
        yield from results

    monkeypatch.setattr(Dask, "map", disturbed)
    return victims


@pytest.mark.parametrize("merge", [[], ["--merge"]])
def test_a_cluster_whose_worker_is_killed_midway_prints_the_same(
    cluster: Dask, shards: list[str], killed: list[int], merge: list[str]
) -> None:
    # The workers were started elsewhere: relative names mean what they mean here.
    arguments = [*shards, "--labels", "label", *merge, "--metrics", "metrics.json"]
    local = bnlint(*arguments)
    statistics = Path("metrics.json").read_bytes()
    scheduler = cluster.client.scheduler.address
    remote = bnlint(*arguments, "--engine", "dask", "--scheduler", scheduler)
    assert killed and remote.exit_code == local.exit_code == 2
    assert remote.stdout == local.stdout and "BN601" in local.stdout
    assert Path("metrics.json").read_bytes() == statistics
    assert len(metrics()) == (1 if merge else 30)
    for error in ("broken.npz: can't be read", "none.csv: no such file"):
        assert local.stdout.count(error) == 1


@pytest.mark.parametrize("merge", [[], ["--merge"]])
def test_processes_print_the_same(shards: list[str], merge: list[str]) -> None:
    arguments = [*shards, "--labels", "label", *merge, "--format", "json"]
    assert bnlint(*arguments, "--jobs", 2).stdout == bnlint(*arguments).stdout


def test_merged_files_are_judged_as_one_file_of_all_rows(shards: list[str]) -> None:
    good = [name for name in shards if name not in ("broken.npz", "none.csv")]
    whole = save("whole.npz", SCORES, LABELS)
    train = save("train.parquet", np.eye(10)[LABELS], LABELS)
    trains = [
        save(f"train{start}.csv", np.eye(10)[LABELS[start : start + 100]], LABELS[:100])
        for start in range(0, ROWS, 100)
    ]
    options = ["--labels", "label", "--metrics", "metrics.json"]
    alone = bnlint(whole, "--train", train, *options)
    (expected,) = metrics()
    together = bnlint("--merge", *good, *(f"--train={name}" for name in trains), *options)
    (merged,) = metrics()
    assert together.exit_code == alone.exit_code == 1
    assert [merged["path"], *merged["merged"]] == good and expected["merged"] == []
    assert json.dumps([merged["predictions"], merged["gap"]]) == json.dumps(
        [expected["predictions"], expected["gap"]]
    )
    assert merged["predictions"]["nan_rows"] == 1 and merged["gap"]["gap"]
    assert f"{good[0]} and 29 more: 2999 rows" in together.stdout
    assert together.stdout.count("; 30 files counted together") == 3  # NaN, BN601 and BN602


DEADLY = """\
import os
from bnlint.runtime.predictions import check
from bnlint.runtime.predictions.files import read_chunks

def read_or_die(source):
    if source.path.name == "deadly.npy":
        os.kill(os.getpid(), 9)
    return read_chunks(source)

check.read_chunks = read_or_die
"""


@pytest.fixture
def deadly(tmp_path: Path) -> Iterator[str]:
    """A file that kills every worker started from now on that reads it."""
    pytest.importorskip("distributed")  # sets up the configuration that dask.config changes
    import dask

    np.save(tmp_path / "deadly.npy", LABELS)
    (tmp_path / "preload.py").write_text(DEADLY)
    with dask.config.set({"distributed.worker.preload": [str(tmp_path / "preload.py")]}):
        yield str(tmp_path / "deadly.npy")


@pytest.mark.parametrize("merge", [[], ["--merge"]])
def test_a_file_that_kills_its_workers_is_one_error_and_the_rest_goes_on(
    deadly: str, strict_cluster: Dask, shards: list[str], merge: list[str]
) -> None:
    scheduler = strict_cluster.client.scheduler.address
    engine = ["--engine", "dask", "--scheduler", scheduler]
    good = [name for name in shards if name.endswith("0.npz")][:3]
    result = bnlint(good[0], deadly, *good[1:], *engine, *merge, "--metrics", "metrics.json")
    assert result.exit_code == 2
    assert f"error: {deadly}: was given up" in result.stdout
    assert result.stdout.count("error:") == 1
    read = [path for one in metrics() for path in (one["path"], *one["merged"])]
    assert read == good


@pytest.mark.parametrize("make", [Serial, lambda: Processes(2), lambda: Dask(jobs=1)])
def test_monitors_are_merged_over_any_engine(make: Callable[[], Engine]) -> None:
    engine = make()
    result = monitor_shards(count_names, ["cat dog", "cat", "7", "", "cow"], engine)
    engine.close()
    assert result.monitor is not None
    assert result.monitor.predicted == {"cat": 2, "dog": 1, "cow": 1}
    assert result.failed == {
        2: "can't be merged with those before it: some classes are names and others are numbers",
        3: "no words",
    }


def test_a_shard_that_kills_its_process_is_given_up() -> None:
    engine = Processes(2)
    result = monitor_shards(count_names, ["cat", "deadly", "cat"], engine)
    engine.close()
    assert result.monitor is not None and result.monitor.predicted == {"cat": 2}
    assert list(result.failed) == [1] and "was given up" in result.failed[1]


def count_names(words: str) -> PredictionMonitor:
    if words == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    if not words:
        raise ValueError("no\nwords")
    monitor = PredictionMonitor()
    monitor.update([7] if words == "7" else words.split())
    return monitor


def test_no_shard_that_can_be_counted() -> None:
    assert monitor_shards(count_names, []).monitor is None
    result = monitor_shards(count_names, [""])
    assert result.monitor is None and result.failed == {0: "no words"}


def test_mistakes_in_the_users_function_are_raised() -> None:
    with pytest.raises(AttributeError):
        monitor_shards(count_names, [3])  # type: ignore[list-item]


def test_mode_gaps_are_merged() -> None:
    def count(start: int) -> ModeGapMonitor:
        gap = ModeGapMonitor()
        labels = LABELS[start : start + 1000]
        gap.update(labels, np.zeros(1000, int), labels)
        return gap

    whole = ModeGapMonitor()
    whole.update(LABELS, np.zeros(ROWS, int), LABELS)
    merged = monitor_shards(count, [2000, 0, 1000]).monitor
    assert merged is not None and merged.report() == whole.report()


def test_merged_monitors_stay_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collapse, "MAX_CLASSES", 10)
    one, other = PredictionMonitor(), PredictionMonitor()
    one.update(np.arange(10))
    other.update(np.arange(10) + 1)
    assert one.merge(one).predicted.total() == 20
    with pytest.raises(ValueError, match="more than 10 distinct values"):
        one.merge(other)


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two halves of an evaluation, and their labels, in files without columns."""
    monkeypatch.chdir(tmp_path)
    for name, half in (("a", LABELS[:1500]), ("b", LABELS[1500:] // 9)):
        np.save(f"{name}.npy", half)
        np.save(f"{name}_labels.npy", half * 0)


@pytest.mark.usefixtures("pair")
@pytest.mark.parametrize("merge", [[], ["--merge"]])
def test_each_file_may_have_labels_of_its_own(merge: list[str]) -> None:
    labels = ["--labels", "a_labels.npy", "--labels", "b_labels.npy"]
    bnlint("a.npy", "b.npy", *merge, *labels, "--metrics", "metrics.json")
    accuracies = [one["predictions"]["accuracy"] for one in metrics()]
    assert accuracies == pytest.approx([0.5] if merge else [0.1, 0.9])


@pytest.mark.usefixtures("pair")
def test_one_file_of_labels_is_not_taken_for_those_of_every_part() -> None:
    apart = ["a.npy", "b.npy", "--labels", "a_labels.npy"]
    assert bnlint(*apart).exit_code == 0
    result = bnlint("--merge", *apart)
    assert result.exit_code == 2 and result.stdout.count("repeat --labels: one for each FILE") == 2


@pytest.mark.usefixtures("pair")
@pytest.mark.parametrize("name", ["--labels", "--train"])
def test_more_files_of_labels_than_files(name: str) -> None:
    result = bnlint("a.npy", *[name, "a.npy"] * 3)
    assert result.exit_code == 2 and f"{name} belongs to one FILE each" in result.stderr


@pytest.mark.usefixtures("pair")
def test_parts_without_rows() -> None:
    np.save("empty.npy", LABELS[:0])
    assert bnlint("--merge", "empty.npy", "a.npy").exit_code == 0
    result = bnlint("--merge", "empty.npy", "empty.npy")
    assert result.exit_code == 2 and "empty.npy: holds no predictions" in result.stdout
