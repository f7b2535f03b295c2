"""`bnlint show`: programs as they were understood."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bnlint.analyzer.analysis import describe
from bnlint.cli.main import cli
from bnlint.execution.executor import Processes
from bnlint.program.outline import Overview
from bnlint.reporting.programs import render_overview
from bnlint.sources.files import Source

NETS = """\
import tensorflow as tf

def block(x, is_training):
    return tf.layers.batch_normalization(x, training=is_training)

def encoder(x, is_training):
    with tf.variable_scope("encoder"):
        x = block(x, is_training)
        x = block(x, is_training)
        return block(x, is_training)

def decoder(x):
    with tf.variable_scope("decoder"):
        return block(x, True)
"""
TRAIN = """\
import tensorflow as tf
import nets

x = tf.placeholder(tf.float32, [None, 64])
is_training = tf.placeholder(tf.bool)
loss = tf.reduce_mean(nets.decoder(nets.encoder(x, is_training)))
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS, "encoder")
with tf.control_dependencies(update_ops):
    train_op = tf.train.AdamOptimizer().minimize(loss)
saver = tf.train.Saver(tf.trainable_variables())
with tf.Session() as sess:
    saver.restore(sess, "start.ckpt")
    sess.run(train_op, {x: images, is_training: True})
    test_loss = sess.run(loss, {x: images, is_training: False})
    saver.save(sess, "end.ckpt")
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BNLINT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "train.py").write_text(TRAIN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bnlint(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def shown(*args: object) -> Any:
    return json.loads(bnlint("show", "--format", "json", *args).stdout)


def lines(text: str, heading: str) -> list[str]:
    """What stands below a heading of the text output."""
    _, found, below = text.partition(f"  {heading}")
    assert found, text
    result = []
    for line in below.splitlines()[1:]:
        if not line.startswith("    "):
            break
        result.append(line.strip())
    return result


def test_a_program_is_printed_as_it_was_understood(project: Path) -> None:
    result = bnlint("show")
    assert result.exit_code == 0
    text = result.stdout
    assert text.splitlines()[0] == "script ./train.py"
    encoder, decoder = lines(text, "batch norms: 4")
    assert encoder.startswith("3 of tf.layers in nets.encoder, ./nets.py:4:12; ")
    assert "mode: placeholder `is_training`, from ./train.py:5:15" in encoder
    assert "updates: in collection update_ops" in encoder and "scope encoder" in encoder
    assert decoder.startswith("1 of tf.layers in nets.decoder, ") and "mode: True" in decoder
    (train_op,) = lines(text, "train ops")
    assert train_op == (
        "minimize, ./train.py:9:16; trains 4 batch norms; their updates: 3 run, 1 not run; "
        "it is run"
    )
    (read,) = lines(text, "collections that are read")
    assert "scope encoder" in read and "3 batch norms" in read and "misses those of 1" in read
    train, evaluate = lines(text, "session runs")
    assert "trains (./train.py:9:16)" in train and "is_training=True" in train
    assert "computes 4 batch norms" in evaluate and "feeds is_training=False, x" in evaluate
    (evaluation,) = lines(text, "evaluations")
    assert evaluation.startswith("trained net, ./train.py:14:17; of 4 batch norms; high confidence")
    (saver,) = lines(text, "savers")
    assert "variables: trainable" in saver
    assert "saves in ./train.py:15:5" in saver and "restores in ./train.py:12:5" in saver
    assert "knowledge lost" not in text
    assert text.splitlines()[-1] == (
        "2 files. Checked 1 program: 4 batch norms, 1 train op, 1 evaluation."
    )


def test_json_holds_the_same(project: Path) -> None:
    record = shown()
    assert record["version"] == 1 and record["files"] == 2 and record["left"] == []
    (program,) = record["programs"]
    assert program["entry"]["kind"] == "script" and program["entry"]["name"] == "./train.py"
    assert program["counts"]["batch_norms"] == 4
    encoder, decoder = program["batch_norms"]
    assert (encoder["count"], encoder["network"]) == (3, "nets.encoder")
    assert encoder["locations"][0]["path"] == "./nets.py"
    assert (decoder["mode"], decoder["trained"]) == ("True", True)
    (train_op,) = program["train_ops"]
    assert (train_op["updates_run"], train_op["updates_not_run"]) == (3, 1)
    feeds = [run["feeds"] for run in program["session_runs"]]
    assert feeds == [[["is_training", True], ["x", None]], [["is_training", False], ["x", None]]]


def test_a_feed_that_nothing_reads_keeps_its_name(project: Path) -> None:
    train = project / "train.py"
    train.write_text(train.read_text().replace("nets.encoder(x, is_training)", "x"))
    (program,) = shown()["programs"]
    assert ["is_training", False] in program["session_runs"][-1]["feeds"]


def test_the_entry_filter_takes_names_and_paths(project: Path) -> None:
    (project / "other.py").write_text(TRAIN)
    assert [item["entry"]["name"] for item in shown()["programs"]] == ["./other.py", "./train.py"]
    (program,) = shown("--entry", "other")["programs"]
    assert program["entry"]["name"] == "./other.py"
    text = bnlint("show", "--entry", "nothing").stdout
    assert text == "3 files. No programs with batch norm.\n"


def test_repeats_are_counted(project: Path) -> None:
    train = project / "train.py"
    step = "    sess.run(train_op, {x: images, is_training: True})\n"
    train.write_text(train.read_text().replace(step, f"    for _ in range(100):\n    {step}"))
    first = lines(bnlint("show").stdout, "session runs")[0]
    assert "trains" in first and first.endswith(" times)")


def test_keras_models_and_functions_that_nobody_calls(project: Path) -> None:
    (project / "train.py").write_text(
        "import tensorflow as tf\n"
        "def run(x, y):\n"
        "    layers = [tf.keras.layers.Dense(4), tf.keras.layers.BatchNormalization()]\n"
        "    model = tf.keras.Sequential(layers)\n"
        "    model.fit(x, y)\n"
        "    model.evaluate(x, y)\n"
        "    return model(x, training=True)\n"
    )
    text = bnlint("show", "train.py").stdout
    assert text.splitlines()[0] == "function train.run, train.py:2:1"
    call, fit, evaluate = lines(text, "Keras models")
    assert call.startswith("call, train.py:7:12; training: True; has batch norm")
    assert fit.startswith("fit, train.py:5:5; ") and evaluate.startswith("evaluate, train.py:6:5; ")


def test_a_model_fn_is_a_program_in_each_mode(project: Path) -> None:
    (project / "train.py").write_text(
        "import tensorflow as tf\n"
        "def model_fn(features, labels, mode):\n"
        "    training = mode == tf.estimator.ModeKeys.TRAIN\n"
        "    h = tf.layers.batch_normalization(features, training=training)\n"
        "    op = tf.train.AdamOptimizer().minimize(h)\n"
        "    return tf.estimator.EstimatorSpec(mode, loss=h, train_op=op)\n"
    )
    programs = shown("train.py")["programs"]
    modes = [(item["entry"]["mode"], item["batch_norms"][0]["mode"]) for item in programs]
    assert modes == [("train", "True"), ("eval", "False"), ("predict", "False")]


def test_files_that_were_not_understood_say_why(project: Path) -> None:
    (project / "train.py").unlink()
    (project / "bad.py").write_text("import tensorflow\nbatch_norm minimize\n")
    result = bnlint("show")
    assert result.exit_code == 2
    text = result.stdout
    assert "./nets.py: no batch norm: nothing in it, or linked with it, trains, evaluates" in text
    assert "./bad.py:2: " in text


def test_files_that_are_given_are_shown_with_what_they_import(project: Path) -> None:
    (program,) = shown("train.py")["programs"]
    assert program["batch_norms"][0]["locations"][0]["path"] == "nets.py"
    assert shown("missing.py")["errors"][0]["message"] == "no such file or folder"


def test_notebooks_have_cells(project: Path) -> None:
    cells = [["import tensorflow as tf\n"], TRAIN.splitlines(keepends=True)[1:]]
    notebook = {
        "cells": [{"cell_type": "code", "source": cell} for cell in cells],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (project / "train.ipynb").write_text(json.dumps(notebook))
    (program,) = shown("train.ipynb")["programs"]
    (train_op,) = program["train_ops"]
    assert (train_op["location"]["cell"], train_op["location"]["line"]) == (2, 8)


def overview(folder: Path) -> Overview:
    paths = sorted(folder.glob("*.py"))
    return describe([Source(path.name, path.stem, path.read_text()) for path in paths])


def test_processes_give_the_same(project: Path) -> None:
    for name in ("first", "second"):
        (project / name).mkdir()
        (project / name / "train.py").write_text(TRAIN)
        (project / name / "nets.py").write_text(NETS)
    sources = [
        Source(str(path), path.stem, path.read_text()) for path in sorted(project.rglob("*.py"))
    ]
    engine = Processes(2)
    try:
        result = describe(sources, engine=engine)
    finally:
        engine.close()
    assert len(result.programs) == 3
    assert result == describe(sources)


class Narrow(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_tree_without_cut_names(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("TERM", "xterm")
    stream, pipe = Narrow(), io.StringIO()
    render_overview(overview(project), "text", stream, color=True)
    render_overview(overview(project), "text", pipe)
    assert "└── " in stream.getvalue() and "└" not in pipe.getvalue()
    whole = pipe.getvalue().split()
    assert "nets.encoder," in whole and "\x1b" not in pipe.getvalue()
    assert "nets.encoder," in stream.getvalue() and "…" not in stream.getvalue()
    assert max(map(len, pipe.getvalue().splitlines())) > 100


def test_names_cannot_write_to_the_terminal(project: Path) -> None:
    nets = project / "nets.py"
    nets.write_text(NETS.replace('"encoder"', r'"\x1b[31mencoder"'))
    text = bnlint("show").stdout
    assert "\x1b" not in text and r"scope \x1b[31mencoder" in text
