"""Known findings: what a baseline knows when files change."""

import json
from pathlib import Path

import pytest

from bnlint.lint.config import Config, ConfigError
from bnlint.lint.known import apply_baselines, renew_baselines
from bnlint.lint.run import LintRun, lint
from bnlint.sources.files import Source

BROKEN = """\
import tensorflow.compat.v1 as tf

x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(x, training=True)
train_op = tf.train.AdamOptimizer().minimize(tf.reduce_mean(h))
with tf.Session() as sess:
    sess.run(train_op)
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(baseline=str(tmp_path / "known.json"), root=str(tmp_path))


def linted(tmp_path: Path, config: Config, text: str = BROKEN, name: str = "train.py") -> LintRun:
    """A run over one file, which is there on the disk, too."""
    path = tmp_path / name
    path.write_text(text)
    return lint([Source(str(path), path.stem, text)], config)


def test_a_baseline_can_be_read_by_people(tmp_path: Path, config: Config) -> None:
    assert renew_baselines(linted(tmp_path, config), config) == {config.baseline: 1}
    (entry,) = json.loads(Path(config.baseline).read_text())["findings"]
    assert entry["code"] == "BN101"
    assert entry["path"] == "train.py"
    assert entry["text"].startswith("train_op = ")
    assert "UPDATE_OPS" in entry["message"]


def test_known_findings_stay_known_when_lines_move_or_the_file_is_renamed(
    tmp_path: Path, config: Config
) -> None:
    renew_baselines(linted(tmp_path, config), config)
    moved = linted(tmp_path, config, "# a new line\n" + BROKEN)
    assert apply_baselines(moved, config) == [] and moved.report.findings == []
    (tmp_path / "train.py").unlink()
    renamed = linted(tmp_path, config, name="training.py")
    assert apply_baselines(renamed, config) == [] and renamed.report.findings == []


def test_a_second_finding_like_a_known_one_is_new(tmp_path: Path, config: Config) -> None:
    renew_baselines(linted(tmp_path, config), config)
    copy = linted(tmp_path, config, name="copy.py")
    apply_baselines(copy, config)
    assert [finding.code for finding in copy.report.findings] == ["BN101"]


def test_entries_that_are_no_longer_found_are_named(tmp_path: Path, config: Config) -> None:
    renew_baselines(linted(tmp_path, config), config)
    mended = linted(tmp_path, config, "import tensorflow\n")
    (note,) = apply_baselines(mended, config)
    assert "BN101 in train.py" in note
    assert renew_baselines(mended, config) == {config.baseline: 0}


def test_entries_of_other_files_and_of_rules_that_are_off_stay(
    tmp_path: Path, config: Config
) -> None:
    renew_baselines(linted(tmp_path, config), config)
    other = linted(tmp_path, config, "import tensorflow\n", "other.py")
    assert apply_baselines(other, config) == []
    assert renew_baselines(other, config) == {config.baseline: 1}
    off = config.but(ignore=("BN1",))
    assert renew_baselines(linted(tmp_path, off), off) == {config.baseline: 1}


@pytest.mark.parametrize(
    "text", ["", "[]", '{"version": 1, "findings": {}}', '{"version": 3, "findings": []}', "[" * 9]
)
def test_what_is_no_baseline_is_refused(tmp_path: Path, config: Config, text: str) -> None:
    Path(config.baseline).write_text(text)
    with pytest.raises(ConfigError, match=r"known\.json"):
        apply_baselines(linted(tmp_path, config), config)
