"""`bnlint.inspect_model` on live Keras 3 and tf-keras models, and their saved forms."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow")

import keras
import numpy as np
import tensorflow as tf

import bnlint
from bnlint.runtime.inspect import inspect_path

pytestmark = pytest.mark.tensorflow


def codes(report: Any) -> list[str]:
    assert not report.errors
    return [one.code for one in report.findings]


def model_of(**call: Any) -> Any:
    inputs = keras.Input((6,), name="x")
    hidden = keras.layers.Dense(4)(inputs)
    hidden = keras.layers.BatchNormalization(name="bn", momentum=0.9)(hidden, **call)
    return keras.Model(inputs, keras.layers.Dense(2)(hidden))


def fitted(model: Any, epochs: int = 40) -> Any:
    rng = np.random.default_rng(0)
    x, y = rng.normal(2, 3, (64, 6)).astype(np.float32), rng.normal(0, 1, (64, 2))
    model.compile("sgd", "mse")
    model.fit(x, y, epochs=epochs, batch_size=32, verbose=0)
    return model


def test_a_fitted_model_is_healthy() -> None:
    report = bnlint.inspect_model(fitted(model_of()))
    assert codes(report) == []
    (one,) = report.batch_norms
    assert (one.name, one.kind, one.decay, one.epsilon) == ("bn", "keras", 0.9, 0.001)


def test_called_in_training_mode() -> None:
    assert codes(bnlint.inspect_model(fitted(model_of(training=True)))) == ["BN209"]


def test_few_steps() -> None:
    assert codes(bnlint.inspect_model(fitted(model_of(), epochs=2))) == ["BN303"]


def test_reset_and_broken_statistics() -> None:
    model = fitted(model_of())
    layer = model.get_layer("bn")
    layer.moving_mean.assign(np.zeros(4))
    layer.moving_variance.assign(np.ones(4))
    assert codes(bnlint.inspect_model(model)) == ["BN501"]
    layer.moving_variance.assign([1.0, -2.0, 1.0, np.inf])
    assert codes(bnlint.inspect_model(model)) == ["BN502"]


def test_measured_on_data() -> None:
    model = fitted(model_of())
    rng = np.random.default_rng(1)
    near = rng.normal(2, 3, (64, 6)).astype(np.float32)
    assert codes(bnlint.inspect_model(model, near)) == []
    report = bnlint.inspect_model(model, near * 50)
    assert codes(report) == ["BN503"]
    (one,) = report.measured
    # The layer's input does not depend on the batch norm: its moments can be computed directly.
    dense = np.asarray(model.layers[1](near * 50), np.float64)
    np.testing.assert_allclose(one.batch.mean, dense.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(one.batch.variance, dense.var(axis=0), rtol=1e-4)


def test_a_layer_that_is_held_and_never_called_is_no_finding() -> None:
    class Block(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.used = keras.layers.BatchNormalization(name="bn_used")
            self.spare = keras.layers.BatchNormalization(name="bn_spare")

        def call(self, x: Any) -> Any:
            return self.used(x)

    inputs = keras.Input((4,))
    assert not bnlint.inspect_model(keras.Model(inputs, Block()(inputs))).findings


def test_batch_norms_inside_blocks_and_wrappers() -> None:
    class Block(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.bn = keras.layers.BatchNormalization(name="inner")

        def call(self, x: Any, training: bool = False) -> Any:
            return self.bn(x, training=training)

    inputs = keras.Input((5, 6))
    hidden = keras.layers.TimeDistributed(keras.layers.BatchNormalization(name="timed"))(inputs)
    inner = keras.Sequential([keras.Input((5, 6)), keras.layers.BatchNormalization(name="nested")])
    model = keras.Model(inputs, Block()(inner(hidden)))
    report = bnlint.inspect_model(model)
    assert {one.name for one in report.batch_norms} == {"timed", "nested", "inner"}
    assert codes(report) == []


def test_not_a_model() -> None:
    with pytest.raises(TypeError):
        bnlint.inspect_model(object())


def test_a_train_step_as_a_function() -> None:
    model = model_of()
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)

    def step(x: Any, training: bool) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x, training=training)))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    spec = tf.TensorSpec([4, 6])
    report = bnlint.inspect_graph(tf.function(step).get_concrete_function(spec, True).graph)
    assert codes(report) == []
    assert [(one.mode, len(one.update_ops)) for one in report.batch_norms] == [("train", 2)]
    frozen = bnlint.inspect_graph(tf.function(step).get_concrete_function(spec, False).graph)
    assert codes(frozen) == ["BN204"]
    assert [one.mode for one in frozen.batch_norms] == ["infer"]


def test_an_application_has_no_findings_in_any_form(tmp_path: Path) -> None:
    """`benchmarks/inspect_models.py` does this for every family of them."""
    model = keras.applications.MobileNetV2(
        alpha=0.35, weights=None, input_shape=(32, 32, 3), classes=4
    )
    wanted = sum(isinstance(one, keras.layers.BatchNormalization) for one in model.layers)
    model.save(tmp_path / "model.keras")
    model.save(tmp_path / "model.h5")
    model.export(str(tmp_path / "saved"), verbose=False)
    reports = [bnlint.inspect_model(model)]
    reports += [inspect_path(tmp_path / one) for one in ("model.keras", "model.h5", "saved")]
    for report in reports:
        assert codes(report) == [] and len(report.batch_norms) == wanted


_TF_KERAS = """
import sys
import numpy as np
import tf_keras as keras
import bnlint
from bnlint.runtime.inspect import inspect_path

inputs = keras.Input((6,))
bn = keras.layers.BatchNormalization(name="bn", momentum=0.9)
model = keras.Model(inputs, keras.layers.Dense(2)(bn(keras.layers.Dense(4)(inputs), **CALL)))
rng = np.random.default_rng(0)
model.compile("sgd", "mse")
x = rng.normal(2, 3, (64, 6))
model.fit(x, rng.normal(0, 1, (64, 2)), epochs=40, verbose=0)
report = bnlint.inspect_model(model)
print([one.code for one in report.findings], len(report.batch_norms))
print([one.code for one in bnlint.inspect_model(model, x).findings])
print([one.code for one in bnlint.inspect_model(model, x * 50).findings])
for name in ("m.keras", "m.h5", "saved"):
    model.save(sys.argv[1] + "/" + name)
    report = inspect_path(sys.argv[1] + "/" + name)
    codes = sorted({one.code for one in report.findings})
    print(name, codes, len(report.batch_norms), report.errors)
"""


@pytest.mark.parametrize(("call", "code"), [({}, None), ({"training": True}, "BN209")])
def test_tf_keras(call: dict[str, bool], code: str | None, tmp_path: Path) -> None:
    pytest.importorskip("tf_keras")
    result = subprocess.run(
        [sys.executable, "-c", _TF_KERAS.replace("CALL", repr(call)), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert result.returncode == 0, result.stderr
    expected = [code] if code else []
    served = ["BN108", "BN201"] if code else []
    assert result.stdout.splitlines() == [
        f"{expected} 1",
        str(expected),
        str([*expected, "BN503"]),
        f"m.keras {expected} 1 []",
        f"m.h5 {expected} 1 []",
        f"saved {served} 1 []",
    ]
