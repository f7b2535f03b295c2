"""`bnlint run`: the user's script with the inspector attached, in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("sklearn")

pytestmark = pytest.mark.tensorflow
DEMO = Path(__file__).parents[3] / "fixtures" / "demo"

PREAMBLE = """\
import sys
import numpy as np
import tensorflow.compat.v1 as tf
from bnlint import slim

tf.disable_eager_execution()
x = tf.placeholder(tf.float32, [None, 4])
"""
BODY = """\
net = slim.batch_norm(x, is_training=True, decay=0.9)
loss = tf.reduce_mean(tf.square(slim.fully_connected(net, 1)))
optimizer = tf.train.GradientDescentOptimizer(0.1)
"""
BROKEN = PREAMBLE + BODY + "train_op = optimizer.minimize(loss)\n"
FIXED = PREAMBLE + BODY + "train_op = slim.learning.create_train_op(loss, optimizer)\n"
PLAIN = """\
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(3):
        sess.run(train_op, {x: np.ones([8, 4])})
        print("step", step, flush=True)
"""
MONITORED = """\
with tf.train.MonitoredTrainingSession() as sess:
    for step in range(3):
        sess.run(train_op, {x: np.ones([8, 4])})
"""
KERAS = """\
import numpy as np
import keras
inputs = keras.Input([4])
norm = keras.layers.BatchNormalization(name="bn")
model = keras.Model(inputs, norm(inputs{training}))
model.compile("sgd", "mse")
data = np.ones([8, 4], np.float32)
for epoch in range(2):
    model.fit(data, data, 8, 1, 0{callbacks})
print("done")
"""
GRAPH_MODE_KERAS = """\
import numpy as np
import tensorflow as tf
import tf_keras as keras
tf.compat.v1.disable_eager_execution()
inputs = keras.Input([4])
model = keras.Model(inputs, keras.layers.BatchNormalization(momentum=0.5)(inputs))
model.compile("sgd", "mse")
data = np.ones([8, 4], np.float32)
model.fit(data, data, verbose=0)
"""


def bnlint_run(
    folder: Path, script: str, *args: str, options: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """`bnlint run OPTIONS script.py ARGS` in `folder`."""
    (folder / "script.py").write_text(script)
    return run_there(folder, ["run", *options, "script.py", *args], **environment)


def run_there(
    folder: Path, args: list[str], **environment: str
) -> subprocess.CompletedProcess[str]:
    code = "import sys; from bnlint.cli.main import main; main(sys.argv[1:])"
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        cwd=folder,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "COLUMNS": "200"} | environment,
        capture_output=True,
        text=True,
    )


def test_a_broken_script_is_told_at_its_first_step_with_both_lines(tmp_path: Path) -> None:
    done = bnlint_run(tmp_path, BROKEN + PLAIN)
    assert done.returncode == 1
    assert done.stdout == "step 0\nstep 1\nstep 2\n"
    assert "BN101 missing-update-ops" in done.stderr
    assert "--> script.py:8:1" in done.stderr
    assert "8 | net = slim.batch_norm" in done.stderr
    assert "script.py:11:1" in done.stderr and "11 | train_op = optimizer.minimize" in done.stderr


def test_a_fixed_script_is_clean(tmp_path: Path) -> None:
    done = bnlint_run(tmp_path, FIXED + PLAIN)
    assert done.returncode == 0, done.stderr
    assert "BN" not in done.stderr and "nothing was checked" not in done.stderr


def test_json_in_a_file_and_the_scripts_own_exit_code(tmp_path: Path) -> None:
    done = bnlint_run(
        tmp_path,
        BROKEN + MONITORED + "sys.exit(7)\n",
        options=("--format", "json", "--save-to", "report.json"),
    )
    assert done.returncode == 7 and "BN101" not in done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    (finding,) = report["findings"]
    assert finding["code"] == "BN101" and finding["confidence"] == "high"
    assert (finding["location"]["path"], finding["location"]["line"]) == ("script.py", 8)
    assert report["files"] == 1


def test_stop_ends_the_script_before_its_first_step(tmp_path: Path) -> None:
    """Its JSON is one document, at the end of stderr."""
    done = bnlint_run(tmp_path, BROKEN + PLAIN, options=("--stop", "--format", "json"))
    assert done.returncode == 1 and done.stdout == ""
    assert "Traceback" not in done.stderr
    report = json.loads(done.stderr[done.stderr.index("{\n") :])
    assert [one["code"] for one in report["findings"]] == ["BN101"]


def test_the_demo(tmp_path: Path) -> None:
    """It imports `tf_slim`; here that is bnlint's reference."""
    (tmp_path / "tf_slim.py").write_text("from bnlint.slim import *\n")
    done = run_there(DEMO, ["run", "train.py"], PYTHONPATH=str(tmp_path))
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("test accuracy")
    assert "BN101" in done.stderr
    assert re.search(r"--> nets\.py:\d+:1", done.stderr)
    assert "train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)" in done.stderr


def test_keras_fit(tmp_path: Path) -> None:
    script = KERAS.format(training="", callbacks=", [keras.callbacks.History()]")
    script = script.replace("data = ", "norm.moving_mean.assign([np.nan] * 4)\ndata = ")
    done = bnlint_run(tmp_path, script)
    assert done.returncode == 1 and done.stdout == "done\n", done.stderr
    assert done.stderr.count("BN502 invalid-statistics") == 1  # though there are two fits
    assert "--> script.py:4:1" in done.stderr


class CallbackList:
    def __init__(self, callbacks: list[str]) -> None:
        self.callbacks = callbacks


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        ((1, 2), {"callbacks": None}),
        ((), {"callbacks": "theirs"}),
        ((), {"callbacks": ("theirs",)}),
        ((1, 2, 3, 4, 5, ["theirs"], 0.1), {}),
        ((1, 2, 3, 4, 5, None), {"shuffle": False}),
    ],
)
def test_a_callback_more(args: tuple, kwargs: dict) -> None:
    from bnlint.runtime.monitor.run_script import _with_callback

    new_args, new_kwargs = _with_callback(args, kwargs, "ours")
    positional = len(args) > 5
    given = args[5] if positional else kwargs.get("callbacks")
    found = new_args[5] if positional else new_kwargs["callbacks"]
    assert found == (["theirs"] if given else []) + ["ours"]
    assert (new_args[:5], new_args[6:]) == (args[:5], args[6:])
    assert {**new_kwargs, "callbacks": None} == {**kwargs, "callbacks": None} or positional


def test_a_callback_more_in_a_callback_list() -> None:
    from bnlint.runtime.monitor.run_script import _with_callback

    theirs = CallbackList(["theirs"])
    assert _with_callback((), {"callbacks": theirs}, "ours") == ((), {"callbacks": theirs})
    assert theirs.callbacks == ["theirs", "ours"]


@pytest.mark.parametrize("training", ["", ", training=True"])
def test_a_healthy_keras_fit(tmp_path: Path, training: str) -> None:
    """`fit` of Keras 3 overrides the flag at the call."""
    done = bnlint_run(tmp_path, KERAS.format(training=training, callbacks=""))
    assert done.returncode == 0 and done.stdout == "done\n", done.stderr


def test_keras_in_graph_mode(tmp_path: Path) -> None:
    pytest.importorskip("tf_keras")
    done = bnlint_run(tmp_path, GRAPH_MODE_KERAS, TF_USE_LEGACY_KERAS="1")
    assert done.returncode == 0, done.stderr
    assert "nothing was checked" not in done.stderr


SEMANTICS = """\
import os, pickle, sys
class Point:
    pass
assert type(pickle.loads(pickle.dumps(Point()))) is Point
assert __name__ == "__main__" and sys.modules["__main__"].Point is Point
print(sys.argv, __file__, sys.path[0] == os.path.dirname(os.path.realpath(__file__)))
print(sys.getrecursionlimit(), __spec__ is None)
import helper
"""


def test_the_script_sees_what_python_would_show_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "helper.py").write_text("print('helper', __name__)\n")
    (tmp_path / "sub" / "script.py").write_text(SEMANTICS)
    args = ["sub/script.py", "--lr", "1", "--", "x"]
    with_python = subprocess.run(
        [sys.executable, *args], cwd=tmp_path, capture_output=True, text=True
    )
    done = run_there(tmp_path, ["run", args[0], "--", *args[1:]])
    assert done.stdout == with_python.stdout != ""
    assert run_there(tmp_path, ["run", *args]).stdout == done.stdout


@pytest.mark.parametrize(
    "end",
    [
        "sys.exit(3)",
        "sys.exit('no data')",
        "sys.exit()",
        "sys.exit(True)",
        "raise SystemExit(0)",
        "def f():\n    1 / 0\nf()",
        "try:\n    {}['a']\nexcept KeyError:\n    raise ValueError('b')",
        "sys.excepthook = lambda *_: print('my hook')\n1 / 0",
        "def broken(:",
        "import atexit; atexit.register(print, 'bye')",
        "import no_such_module_at_all",
    ],
)
def test_it_ends_as_with_python(tmp_path: Path, end: str) -> None:
    (tmp_path / "script.py").write_text(f"import sys\nprint('ran')\n{end}\n")
    with_python = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True
    )
    done = run_there(tmp_path, ["run", "script.py"])
    nothing = "bnlint: the script ran no train op and no fit; nothing was checked\n"

    assert done.returncode == with_python.returncode
    assert done.stdout == with_python.stdout
    assert done.stderr == with_python.stderr + nothing


def test_an_interrupt(tmp_path: Path) -> None:
    done = bnlint_run(
        tmp_path, f"import os\nos.kill(os.getpid(), {int(signal.SIGINT)})\nprint(1)\n"
    )
    assert done.returncode == 130 and "KeyboardInterrupt" in done.stderr and done.stdout == ""


def test_an_exception_after_findings_keeps_both(tmp_path: Path) -> None:
    done = bnlint_run(tmp_path, BROKEN + PLAIN + "    raise RuntimeError('afterwards')\n")
    assert done.returncode == 1
    assert "BN101" in done.stderr and "RuntimeError: afterwards" in done.stderr


@pytest.mark.parametrize("args", [[], ["none.py"], ["--no-such-option", "script.py"]])
def test_usage_errors(tmp_path: Path, args: list[str]) -> None:
    assert run_there(tmp_path, ["run", *args]).returncode == 2
