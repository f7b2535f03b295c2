"""`bnlint run` on GradientTape loops and `train_on_batch`: what mode each call has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("keras")

pytestmark = pytest.mark.tensorflow

LOOP = """\
import numpy as np
import {keras} as keras
import tensorflow as tf

model = keras.Sequential([keras.layers.Dense(8), keras.layers.BatchNormalization(name="bn")])
optimizer = keras.optimizers.SGD(0.01)
data = np.random.default_rng(0).normal(3, 2, (16, 4)).astype("float32")
model(data)
{before}
def step(images):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(images{flag})))
    variables = model.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))

{function}
for _ in range(3):
    step(data)
{after}
print("done")
"""
FUNCTION = "step = tf.function(step)"
TRAIN, INFER = ", training=True", ", training=False"
PRETRAINED = "model.layers[1].moving_mean.assign([0.5] * 8)"
EVALUATION = "print(float(tf.reduce_sum(model(data, training=True))))"
TEST_FUNCTION = "test = tf.function(lambda x: model(x, training=True))\ntest(data)"
ANEW = "model(data, training=True)\nmodel(data, training=False)"


def run(folder: Path, keras: str = "keras", **parts: str) -> subprocess.CompletedProcess[str]:
    filled = {"keras": keras, "before": "", "flag": TRAIN, "function": "", "after": ""} | parts
    (folder / "script.py").write_text(LOOP.format(**filled))
    legacy = "1" if keras == "tf_keras" else "0"
    return subprocess.run(
        [sys.executable, "-m", "bnlint", "run", "--format", "concise", "script.py"],
        cwd=folder,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_USE_LEGACY_KERAS": legacy},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ({"flag": ""}, 12),
        ({"flag": INFER, "function": FUNCTION}, 12),
        ({"after": EVALUATION}, 19),
        ({"after": TEST_FUNCTION}, 19),
    ],
)
def test_a_wrong_mode(tmp_path: Path, parts: dict[str, str], line: int) -> None:
    done = run(tmp_path, **parts)
    assert done.returncode == 1 and done.stdout.endswith("done\n"), done.stderr
    assert f"script.py:{line}:1:bn: BN209" in done.stderr


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"function": FUNCTION},
        {"flag": INFER, "before": PRETRAINED},
        {"after": ANEW},
        {"before": "model(data, training=True)"},
    ],
)
def test_a_right_one(tmp_path: Path, parts: dict[str, str]) -> None:
    done = run(tmp_path, **parts)
    assert done.returncode == 0, done.stderr
    assert "BN" not in done.stderr and "nothing was checked" not in done.stderr


@pytest.mark.parametrize(("flag", "code"), [("", 1), (TRAIN, 0)])
def test_tf_keras(tmp_path: Path, flag: str, code: int) -> None:
    pytest.importorskip("tf_keras")
    done = run(tmp_path, "tf_keras", flag=flag)
    assert done.returncode == code, done.stderr


def test_a_module_and_its_arguments(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    program = "import sys\nprint(sys.argv[1:], __name__, __package__)\n"
    (tmp_path / "package" / "__main__.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-m", "bnlint", "run", "-m", "package", "--", "--rate", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['--rate', '1'] __main__ package\n"


def test_attach(tmp_path: Path) -> None:
    script = LOOP.format(keras="keras", before="", flag="", function="", after="")
    (tmp_path / "script.py").write_text("import bnlint; bnlint.attach()\n" + script)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0 and "BatchNormWarning: BN209" in done.stderr
