"""`bnlint diagnose`: evidence of several halves, joined into ranked causes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

pytest.importorskip("scipy.stats")

from bnlint.cli.main import cli
from bnlint.diagnosis.causes import CAUSES, Level, rank
from bnlint.diagnosis.evidence import CODE, MODEL, Evidence, Inputs, gather
from bnlint.findings import Confidence, Location
from bnlint.registry import all_rules
from bnlint.reproduce.programs import all_pairs
from bnlint.runtime.report import BatchNormInfo, GraphReport

BROKEN = """
import tensorflow.compat.v1 as tf
x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.int64, [None])
is_training = tf.placeholder(tf.bool)
logits = tf.layers.dense(tf.layers.batch_normalization(x, training=is_training), 2)
loss = tf.losses.sparse_softmax_cross_entropy(y, logits)
train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(train_op, {x: [[1.0] * 4], y: [0], is_training: True})
    sess.run(logits, {x: [[1.0] * 4], is_training: False})
"""
LABELS = np.arange(300) % 10


def diagnose(*args: object) -> Result:
    return CliRunner().invoke(cli, ["diagnose", *map(str, args)])


def found(*codes: str, half: str = CODE, confidence: Confidence = Confidence.HIGH) -> list:
    rules = all_rules()
    place = Location("train.py", 1)
    return [(half, rules[code].finding(place, "so it is", confidence=confidence)) for code in codes]


def model(mode: Any = "switched", default: bool | None = None) -> list:
    norm = BatchNormInfo("bn", "fused", mode=mode, switch="flag:0", default=default)
    return [("model.ckpt", GraphReport(files=1, batch_norms=(norm,)))]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(BROKEN)
    np.save("same.npy", np.full(300, 3))
    np.save("right.npy", LABELS)
    np.save("labels.npy", LABELS)
    return tmp_path


def test_code_and_predictions(folder: Path) -> None:
    result = diagnose("train.py", "same.npy", "--labels", "labels.npy")
    assert result.exit_code == 1
    assert result.output.startswith("Certain: the moving mean and variance are never updated")
    assert "train.py:8:12: BN101" in result.output
    assert "+with tf.control_dependencies(" in result.output
    assert len(result.output.splitlines()) <= 40


def test_json(folder: Path) -> None:
    record = json.loads(diagnose("train.py", "--format", "json").output)
    first = record["causes"][0]
    assert (first["cause"], first["level"], first["code"]) == (
        "updates-never-run", "certain", "BN101",
    )  # fmt: skip
    assert "+    train_op = tf.train.AdamOptimizer().minimize(loss)" in first["diff"]
    assert len(record["causes"]) == len(CAUSES)


def test_what_is_wrong_in_both_modes_is_not_batch_norm(folder: Path) -> None:
    args = ("same.npy", "--labels", "labels.npy", "--train-mode", "same.npy", "--format", "json")
    record = json.loads(diagnose(*args).output)
    levels = {one["cause"]: one["level"] for one in record["causes"]}
    assert record["causes"][0]["cause"] == "not-batch-norm"
    assert levels["updates-never-run"] == levels["wrong-decay"] == "excluded"


def test_nothing_is_wrong(folder: Path) -> None:
    args = ("right.npy", "--labels", "labels.npy", "--train-mode", "right.npy")
    result = diagnose(*args)
    assert result.exit_code == 0 and result.output.startswith("No cause is likely.")


def test_the_page_draws_both_modes_and_escapes(folder: Path) -> None:
    Path("<b>.npy").write_bytes(Path("same.npy").read_bytes())
    args = ("<b>.npy", "train.py", "--labels", "labels.npy", "--train-mode", "right.npy")
    diagnose(*args, "--html", "page.html")
    page = Path("page.html").read_text()
    assert "Predicted classes in both modes" in page and "100.0 % right" in page
    assert "<b>.npy" not in page and "&lt;b&gt;.npy" in page
    assert "<script" not in page and "src=" not in page
    assert '<span class="add">+with tf.control_dependencies' in page


@pytest.mark.parametrize("name", ["no.npy", "no.ckpt", "no.py", "torn.keras", "empty"])
def test_what_cannot_be_read_is_one_error_and_the_rest_goes_on(folder: Path, name: str) -> None:
    Path("torn.keras").write_bytes(b"PK\x03\x04 torn")
    Path("empty").mkdir()
    result = diagnose(name, "train.py")
    assert result.exit_code == 2
    assert result.output.count("error: ") == 1 and f"error: {name}" in result.output
    assert "updates-never-run" not in result.output and "Certain: the moving" in result.output


def test_nothing_given() -> None:
    result = diagnose()
    assert result.exit_code == 2 and "give code, a model or predictions" in result.output


def test_a_script_is_run_and_only_that(folder: Path) -> None:
    Path("eager.py").write_text("open('ran', 'w'); print('hello')")
    Path("linted.py").write_text("open('linted-ran', 'w')")
    evidence = gather(Inputs(("linted.py",), script=Path("eager.py")))
    assert Path("ran").exists() and not Path("linted-ran").exists()
    assert [error.fatal for error in evidence.errors] == [False]


def test_a_script_that_hangs_is_ended(folder: Path) -> None:
    Path("hangs.py").write_text("import time; time.sleep(600)")
    (error,) = gather(Inputs(script=Path("hangs.py"), timeout=0.2)).errors
    assert error.fatal and "was ended after" in error.message


def test_every_mistake_that_can_be_reproduced_has_a_cause() -> None:
    codes = [code for cause in CAUSES for code in cause.codes]
    assert len(codes) == len(set(codes)) and set(all_pairs()) <= set(codes) <= set(all_rules())


def test_two_halves_make_certain_what_one_leaves_likely() -> None:
    one = Evidence(findings=found("BN207", confidence=Confidence.MEDIUM))
    assert rank(one)[0].level is Level.LIKELY
    both = Evidence(
        findings=[*found("BN102"), *found("BN101", "BN501", half=MODEL)], models=model()
    )
    first = rank(both)[0]
    assert (first.level, first.code) == (Level.CERTAIN, "BN102")


def test_what_the_model_disproves_is_not_certain() -> None:
    """The checkpoint is of another program, or the code has changed since."""
    evidence = Evidence(findings=found("BN101"), models=model())
    first = rank(evidence)[0]
    assert first.level is not Level.CERTAIN
    assert "the stored moving statistics have moved from 0 and 1" in first.because


def test_low_confidence_alone_is_unlikely() -> None:
    evidence = Evidence(findings=found("BN303", confidence=Confidence.LOW))
    assert all(one.level is Level.UNLIKELY for one in rank(evidence))


@pytest.mark.parametrize(
    ("models", "codes", "cause"),
    [
        (model(), ("BN501",), "updates-never-run"),
        (model("infer"), ("BN501",), "training-in-inference-mode"),
    ],
)
def test_symptoms_alone_make_a_cause_likely(models: list, codes: tuple, cause: str) -> None:
    first = rank(Evidence(findings=found(*codes, half=MODEL), models=models))[0]
    assert (first.cause.key, first.level) == (cause, Level.LIKELY)


def test_a_small_gap_is_neither_for_nor_against(folder: Path) -> None:
    """A tenth of the rows lost: too little for BN602, too much to exclude batch norm."""
    lost = np.where(np.arange(300) % 12 == 0, (LABELS + 1) % 10, LABELS)
    np.save("lost.npy", lost)
    args = ("lost.npy", "--labels", "labels.npy", "--train-mode", "right.npy", "--format", "json")
    levels = {one["cause"]: one["level"] for one in json.loads(diagnose(*args).output)["causes"]}
    assert levels["updates-never-run"] == "likely" and levels["not-batch-norm"] == "excluded"


def test_a_decay_that_forgets(folder: Path) -> None:
    args = Inputs(("same.npy",), labels="labels.npy", train_mode=Path("right.npy"))
    evidence = gather(args)
    norm = BatchNormInfo("bn", "keras", mode="switched", decay=0.1)
    evidence.models = [("model.keras", GraphReport(files=1, batch_norms=(norm,)))]
    first = rank(evidence)[0]
    assert first.cause.key == "wrong-decay" and "the decay 0.1 keeps" in first.because[0]


def test_wrong_predictions_alone_show_no_cause(folder: Path) -> None:
    result = diagnose("same.npy", "--labels", "labels.npy")
    assert result.exit_code == 1
    assert result.output.startswith("The predictions are wrong, but nothing")
    assert "More could be said with" in result.output
