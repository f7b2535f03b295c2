"""`inspect --data` runs a forward pass of its own making, and nothing else that a file holds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
from bnlint.runtime.graph.forward_ops import FORWARD_OPS  # noqa: E402
from bnlint.runtime.inspect import inspect_path  # noqa: E402

v1 = tf.compat.v1
pytestmark = pytest.mark.tensorflow


def batch_norm(x: Any, resource: bool = False, kernel: Any = None) -> Any:
    """A batch norm in inference mode behind a dense layer of identity."""
    with v1.variable_scope("dense", use_resource=resource):
        weights = v1.get_variable("kernel", initializer=np.eye(4, dtype=np.float32))
    with v1.variable_scope("bn", use_resource=resource):
        gamma, beta, mean, variance = (
            v1.get_variable(name, [4], initializer=v1.constant_initializer(value))
            for name, value in (
                ("gamma", 1.0),
                ("beta", 0.0),
                ("moving_mean", 2.0),
                ("moving_variance", 3.0),
            )
        )
    hidden = tf.reshape(tf.matmul(x, weights), [-1, 1, 1, 4])
    return v1.nn.fused_batch_norm(hidden, gamma, beta, mean, variance, is_training=False)[0]


def save_checkpoint(
    folder: Path, build: Callable[[Any], Any], save: Callable[[], Any] = lambda: v1.train.Saver()
) -> Path:
    folder.mkdir(exist_ok=True)
    with tf.Graph().as_default(), v1.Session() as session:
        build(v1.placeholder(tf.float32, [None, 4], "x"))
        saver = save()
        session.run(v1.global_variables_initializer())
        saver.save(session, str(folder / "model.ckpt"), write_state=False)
    return folder


def data(folder: Path) -> str:
    values = np.random.default_rng(1).normal(5.0, 2.0, (100, 4)).astype(np.float32)
    np.savez(folder / "x.npz", x=values)
    return str(folder / "x.npz")


def measured(folder: Path, path: Path) -> Any:
    report = inspect_path(str(path), None, data(folder))
    assert not report.errors, report.errors
    (one,) = report.measured
    return one


@pytest.mark.parametrize("resource", [False, True])
def test_statistics_are_measured(resource: bool, tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "model", lambda x: batch_norm(x, resource))
    one = measured(tmp_path, path)
    values = np.load(tmp_path / "x.npz")["x"].astype(np.float64)
    np.testing.assert_allclose(one.batch.mean, values.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(one.batch.variance, values.var(axis=0), rtol=1e-5)
    assert one.stored.mean.tolist() == [2.0] * 4 and one.stored.variance.tolist() == [3.0] * 4


def test_variables_are_found_by_the_names_they_are_saved_under(tmp_path: Path) -> None:
    def renamed() -> Any:
        names = {f"ema/{one.op.name}": one for one in v1.global_variables()}
        return v1.train.Saver(names)

    path = save_checkpoint(tmp_path / "model", batch_norm, renamed)
    assert measured(tmp_path, path).stored.mean.tolist() == [2.0] * 4


def test_slices_of_partitioned_variables_are_put_in_place(tmp_path: Path) -> None:
    def build(x: Any) -> Any:
        halves = v1.fixed_size_partitioner(2)
        random = v1.random_uniform_initializer(1.0, 2.0, seed=3)
        weights = v1.get_variable("w", [4, 4], partitioner=halves, initializer=random)
        return batch_norm(tf.matmul(x, tf.convert_to_tensor(weights)))

    path = save_checkpoint(tmp_path / "model", build)
    one = measured(tmp_path, path)
    values = np.load(tmp_path / "x.npz")["x"].astype(np.float64)
    reader = tf.train.load_checkpoint(str(tmp_path / "model" / "model.ckpt"))
    saved = reader.get_tensor("w").astype(np.float64)
    np.testing.assert_allclose(one.batch.mean, (values @ saved).mean(axis=0), rtol=1e-4)


def save_model(folder: Path, before: Callable[[Any], Any], main_op: Any = None) -> Path:
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 4], "x")
        y = batch_norm(before(x))
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder))
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, main_op=main_op and main_op()
        )
        builder.save()
    return folder


def test_what_restores_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    target = tmp_path / "written"

    def build(x: Any) -> None:
        batch_norm(x)

    def save() -> Any:
        with tf.control_dependencies([tf.io.write_file(str(target), "text")]):
            return v1.train.Saver()

    path = save_checkpoint(tmp_path / "model", build, save)
    target.unlink()  # saving did run it
    assert measured(tmp_path, path).stored.mean.tolist() == [2.0] * 4
    assert not target.exists()


def test_what_initializes_a_saved_model_is_not_run(tmp_path: Path) -> None:
    target = tmp_path / "written"
    path = save_model(
        tmp_path / "saved", lambda x: x, lambda: tf.io.write_file(str(target), "text")
    )
    target.unlink(missing_ok=True)
    v1.reset_default_graph()
    with tf.Graph().as_default(), v1.Session() as session:
        v1.saved_model.load(session, ["serve"], str(path))
    assert target.exists()  # as TensorFlow does
    target.unlink()
    assert measured(tmp_path, path).stored.mean.tolist() == [2.0] * 4
    assert not target.exists()


def hidden_write(target: Path) -> dict[str, Callable[[Any], Any]]:
    """Ways to put a WriteFile where a forward pass goes through."""

    def write() -> Any:
        return tf.io.write_file(str(target), "text")

    def control(x: Any) -> Any:
        with tf.control_dependencies([write()]):
            return tf.identity(x)

    def function(x: Any) -> Any:
        @tf.function
        def body(value: Any) -> Any:
            write()
            return value * 1.0

        return body(x)

    def branch(x: Any) -> Any:
        def taken() -> Any:
            with tf.control_dependencies([write()]):
                return x * 1.0

        return tf.cond(tf.size(x) > 0, taken, lambda: x)

    return {"control": control, "function": function, "branch": branch}


@pytest.mark.parametrize("way", ["control", "function", "branch"])
def test_a_write_on_the_way_is_refused_by_its_name(way: str, tmp_path: Path) -> None:
    target = tmp_path / "written"
    path = save_model(tmp_path / "saved", hidden_write(target)[way])
    report = inspect_path(str(path), None, data(tmp_path))
    (error,) = report.errors
    assert "WriteFile" in error.message and error.fatal
    assert not target.exists()


def test_an_endless_loop_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bnlint.runtime.graph.measure._TIMEOUT", 500)

    def forever(x: Any) -> Any:
        v1.disable_control_flow_v2()
        return tf.while_loop(lambda value: tf.size(value) >= 0, lambda value: value * 1.0, [x])

    path = save_model(tmp_path / "saved", forever)
    report = inspect_path(str(path), None, data(tmp_path))
    (error,) = report.errors
    assert "does not run on this data" in error.message


OUTSIDE = """
ReadFile WriteFile MatchingFiles SaveV2 RestoreV2 Save Restore SaveSlices RestoreSlice
MergeV2Checkpoints PyFunc PyFuncStateless EagerPyFunc Print PrintV2 DebugIdentity
InitializeTableFromTextFileV2 TextLineReaderV2 ReaderReadV2 TFRecordDataset IteratorGetNext
QueueDequeueV2 LoadAndRemapMatrix WriteSummary CreateSummaryFileWriter RemoteCall LookupTableFindV2
""".split()


def test_the_list_names_ops_of_tensorflow_and_none_that_reaches_out() -> None:
    from tensorflow.python.framework import op_def_registry

    unknown = {name for name in FORWARD_OPS if op_def_registry.get(name) is None}
    # Kernels of these are registered with their first use.
    assert not unknown, unknown
    assert not FORWARD_OPS & set(OUTSIDE)
    words = ("File", "Save", "Restore", "Print", "PyFunc", "Dataset", "Summary", "Queue", "Remote",
             "Reader", "Rpc", "Debug", "Send", "Recv", "Iterator", "Checkpoint")  # fmt: skip
    assert not [name for name in FORWARD_OPS for word in words if word in name]
