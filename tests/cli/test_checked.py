"""A report says what was looked at, so that "no findings" is not taken for "nothing seen"."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bnlint.cli.main import cli

TRAINED = """\
import tensorflow as tf

def net(x, is_training):
    x = tf.layers.batch_normalization(x, training=is_training)
    x = tf.layers.batch_normalization(x, training=is_training)
    return tf.layers.batch_normalization(x, training=is_training)

x = tf.placeholder(tf.float32, [None, 64])
is_training = tf.placeholder(tf.bool)
loss = tf.reduce_mean(net(x, is_training))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(train_op, {is_training: True})
    test_loss = sess.run(loss, {is_training: False})
"""
KERAS = """\
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.Dense(4), tf.keras.layers.BatchNormalization()])
model.compile("adam", "mse")
model.fit(x, y)
model.evaluate(x, y)
"""
UNSEEN = """\
import tensorflow as tf
import nets

def forward(x):  # nets is not here
    return nets.resnet(x, normalizer_fn=nets.batch_norm)
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BNLINT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


def bnlint(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def written(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def test_a_clean_report_ends_with_what_was_checked(tmp_path: Path) -> None:
    result = bnlint(written(tmp_path, train=TRAINED))
    assert result.exit_code == 0
    assert result.stdout == (
        "No findings in 1 file. Checked 1 program: 3 batch norms, 1 train op, 1 evaluation.\n"
    )


def test_fit_and_evaluate_of_keras_count(tmp_path: Path) -> None:
    result = bnlint(written(tmp_path, train=KERAS))
    assert result.stdout == (
        "No findings in 1 file. Checked 1 program: 1 batch norm, 1 evaluation, 1 Keras call.\n"
    )


def test_programs_add_up_and_the_cache_knows(tmp_path: Path) -> None:
    written(tmp_path, train=TRAINED, again=TRAINED)
    expected = {
        "programs": 2,
        "batch_norms": 6,
        "train_ops": 2,
        "session_runs": 4,
        "evaluations": 2,
        "keras_calls": 0,
    }
    for options in ((), (), ("--no-cache",), ("--no-cache", "--jobs", "2")):
        report = json.loads(bnlint(tmp_path, "--format", "json", *options).stdout)
        assert report["checked"] == expected
        assert report["not_understood"] == []


def test_programs_of_files_that_are_only_imported_do_not_count(tmp_path: Path) -> None:
    written(tmp_path, train=TRAINED, other=f"import train\n{TRAINED}")
    alone = json.loads(bnlint(tmp_path / "other.py", "--format", "json").stdout)
    both = json.loads(bnlint(tmp_path, "--format", "json").stdout)
    assert (alone["checked"]["programs"], both["checked"]["programs"]) == (1, 2)


def test_statistics_count_what_was_checked(tmp_path: Path) -> None:
    lines = bnlint(written(tmp_path, train=TRAINED), "--statistics").stdout.splitlines()
    assert "     3  batch norms" in lines and "     2  session runs" in lines


def test_code_without_tensorflow_is_said_to_have_no_programs(tmp_path: Path) -> None:
    result = bnlint(written(tmp_path, plain="print('batch_norm')\n"))
    assert result.stdout == "No findings in 1 file. No programs with batch norm.\n"


@pytest.mark.parametrize("extra", ["", "    tf.train.AdamOptimizer().minimize(x)\n"])
def test_batch_norm_that_was_not_understood_is_a_warning(tmp_path: Path, extra: str) -> None:
    """Whether the file was followed, or had nothing that trains and was not."""
    written(tmp_path, train=TRAINED, unseen=UNSEEN + extra)
    result = bnlint(tmp_path)
    assert result.exit_code == 0
    warning, summary = result.stdout.splitlines()
    assert warning.startswith(f"warning: no batch norm was understood in {tmp_path}/unseen.py, ")
    assert "bnlint show" in warning
    assert "Checked" in summary and "3 batch norms" in summary
    report = json.loads(bnlint(tmp_path, "--format", "json").stdout)
    assert report["not_understood"] == [f"{tmp_path}/unseen.py"]


def test_a_long_warning_names_three_files_and_the_rest_on_request(tmp_path: Path) -> None:
    written(tmp_path, **{f"unseen{number}": UNSEEN for number in range(5)})
    short, verbose = bnlint(tmp_path).stdout, bnlint(tmp_path, "--verbose").stdout
    assert "unseen2.py and 2 more, which import" in short and "unseen3" not in short
    assert all(f"unseen{number}.py" in verbose for number in range(5))


@pytest.mark.parametrize(
    "text",
    [
        "import tensorflow as tf  # no batch_norm here\ntf.train.AdamOptimizer().minimize(x)\n",
        "import numpy as np\ndef batch_norm(x): return x - np.mean(x)\n",
    ],
)
def test_no_warning_without_framework_and_batch_norm(tmp_path: Path, text: str) -> None:
    assert "warning: " not in bnlint(written(tmp_path, module=text)).stdout


def test_no_warning_about_tests_and_files_that_do_not_parse(tmp_path: Path) -> None:
    written(tmp_path, test_nets=UNSEEN, broken=UNSEEN + "minimize evaluate\n")
    assert "warning: " not in bnlint(tmp_path).stdout
