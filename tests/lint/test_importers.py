"""A file that is named is judged with the programs that import it."""

from pathlib import Path

import pytest

from bnlint.lint.config import Settings
from bnlint.lint.importers import around
from bnlint.lint.run import LintRun, collect, lint

NETS = """\
import tensorflow.compat.v1 as tf

def net(x):
    return tf.layers.batch_normalization(tf.layers.dense(x, 8), training=True)
"""
TRAIN = """\
import tensorflow.compat.v1 as tf
from nets import net

loss = tf.reduce_mean(net(tf.placeholder(tf.float32, [None, 8])))
train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(train_op)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "unrelated.py").write_text(TRAIN.replace("from nets import net", "net = abs"))
    return tmp_path


def linted(*paths: Path) -> LintRun:
    names = [str(path) for path in paths]
    settings = Settings()
    sources, errors = collect(names, settings)
    return lint(sources, settings, errors, others=around(sources, names, settings))


@pytest.mark.parametrize("mark", ["", ".git", "pyproject.toml"])
def test_what_a_named_file_breaks_elsewhere_is_found(folder: Path, mark: str) -> None:
    if mark:
        (folder / mark).touch()
    run = linted(folder / "nets.py")
    (finding,) = run.report.findings
    assert finding.code == "BN101"
    assert finding.location.path.endswith("train.py")
    assert (run.report.files, run.report.not_understood) == (1, [])


def test_what_another_file_breaks_is_not_told(folder: Path) -> None:
    (folder / "own.py").write_text(NETS.replace("net(", "other("))
    assert linted(folder / "own.py").report.findings == []


def test_files_that_do_not_mention_a_named_one_are_not_read_along(folder: Path) -> None:
    (folder / "data.py").write_text("import tensorflow\n")
    sources, _ = collect([str(folder / "nets.py")], Settings())
    others = around(sources, [str(folder / "nets.py")], Settings())
    names = [Path(source.path).name for source in others]
    assert "train.py" in names and "data.py" not in names


def test_a_folder_and_a_file_without_a_framework_have_no_importers(folder: Path) -> None:
    plain = folder / "plain.py"
    plain.write_text("net = 1\n")
    for path in (folder, plain):
        sources, _ = collect([str(path)], Settings())
        assert around(sources, [str(path)], Settings()) == []
