"""The Keras callback in `fit`, under Keras 3 and under tf-keras."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("sklearn")
pytest.importorskip("keras")

from bnlint import keras_callback
from bnlint.runtime.monitor.statistics import BatchNormWarning

pytestmark = pytest.mark.tensorflow
TRAINING = Path(__file__).with_name("keras_training.py")
EXPECTED = {
    "healthy": [],
    "healthy_watched": ["bn"],
    "frozen": [],
    "forgets": ["BN209"],
    "forgets_one_step": [],
    "pretrained_in_inference_mode": [],
    "always_training": ["BN209"],
    "slow": ["BN303"],
    "smoke_test": [],
    "subclassed": [],
    "subclassed_watched": 1,
    "steps_per_execution": [],
    "stop": 10,
    "stop_at_once": 1,
    "nan": ["BN502"],
    "nan_steps": 21,
    "second_fit_watches_anew": True,
    "same_names": ["bn", "bn#2"],
    "start_only": True,
}


# `fit` of Keras 3 overrides a flag that is written at the call; see fixtures/oracle/keras.
EXPECTED_OF_KERAS_3 = {"always_training": [], "pretrained_in_inference_mode": ["BN701"]}


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def results(request: pytest.FixtureRequest) -> dict[str, Any]:
    pytest.importorskip(request.param)
    legacy = "1" if request.param == "tf_keras" else "0"
    environment = os.environ | {
        "TF_USE_LEGACY_KERAS": legacy,
        "EXPECTED_KERAS": request.param,
        "KERAS_BACKEND": "tensorflow",
    }
    done = subprocess.run(
        [sys.executable, str(TRAINING)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    expected = EXPECTED | (EXPECTED_OF_KERAS_3 if request.param == "keras" else {})
    found = json.loads(done.stdout)
    return {situation: (found[situation], expected[situation]) for situation in EXPECTED}


@pytest.mark.parametrize("situation", EXPECTED)
def test_what_the_callback_says(results: dict[str, Any], situation: str) -> None:
    found, expected = results[situation]
    assert found == expected


def test_the_default_is_a_warning_and_failures_do_not_end_the_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import keras
    import numpy as np

    from bnlint.runtime import inspect

    inputs = keras.Input([4])
    norm = keras.layers.BatchNormalization()
    model = keras.Model(inputs, norm(inputs))
    model.compile("sgd", "mse")
    data = np.ones([8, 4], np.float32)
    norm.moving_mean.assign([np.nan] * 4)
    with pytest.warns(BatchNormWarning, match="BN502"):
        model.fit(data, data, verbose=0, callbacks=[keras_callback(model)])

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken inspector")

    monkeypatch.setattr(inspect, "inspect_model", fail)
    watcher = keras_callback(model)
    with pytest.warns(BatchNormWarning, match="broken inspector"):
        model.fit(data, data, epochs=3, verbose=0, callbacks=[watcher])
    assert int(model.optimizer.iterations.numpy()) == 4
    assert isinstance(watcher.failure, RuntimeError)


def test_no_keras_model() -> None:
    with pytest.raises(TypeError, match="not a Keras model"):
        keras_callback(object())
