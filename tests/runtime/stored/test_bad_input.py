"""Hostile and broken files: one clear error each, nothing executed, bounded memory."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow")

import h5py
import numpy as np

from bnlint.runtime.inspect import inspect_path
from bnlint.runtime.stored.checkpoints import read_npz
from bnlint.runtime.stored.protos import LoadError

pytestmark = pytest.mark.tensorflow
GRAPHS = Path(__file__).parents[3] / "fixtures" / "graphs"
CHECKPOINT = "checkpoint_ok_trained/model.ckpt-400"


class Payload:
    """Unpickling this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


def only_error(path: Path, data: Path | None = None) -> str:
    report = inspect_path(path, data=data)
    assert report.exit_code == 2
    (error,) = report.errors
    assert error.path in (str(path), str(data))
    return error.message


# --- code that must not run ----------------------------------------------------------------


@pytest.mark.parametrize(
    "suffix", [".meta", ".pb", ".pbtxt", ".keras", ".h5", ".index", ".pkl", ""]
)
def test_a_pickle_is_refused_whatever_it_is_called(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / ("model" + suffix)
    path.write_bytes(pickle.dumps(Payload(tmp_path / "executed")))
    only_error(path)
    assert not (tmp_path / "executed").exists()


def test_the_payload_works() -> None:
    """Without this, the test above could not fail."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "executed")
        pickle.loads(pickle.dumps(Payload(target))).close()
        assert target.exists()


def test_object_arrays_in_the_data_are_not_unpickled(tmp_path: Path) -> None:
    data = tmp_path / "x.npz"
    np.savez(data, x=np.array([Payload(tmp_path / "executed")], dtype=object))
    message = only_error(GRAPHS / "ok_keras_trained.keras", data)
    assert "allow_pickle=False" in message
    assert not (tmp_path / "executed").exists()


def lambda_model(folder: Path, suffix: str) -> Path:
    """A model whose Lambda makes a file whenever it is called."""
    import keras

    target = str(folder / "executed")
    inputs = keras.Input((4,), name="x")
    hidden = keras.layers.BatchNormalization(name="bn")(inputs)
    touch = keras.layers.Lambda(lambda x: (open(target, "w").close(), x)[1], output_shape=(4,))
    path = folder / ("lambda" + suffix)
    model = keras.Model(inputs, touch(hidden))
    model.save(path)
    model(np.zeros((1, 4), np.float32))
    Path(target).unlink()  # which shows that the Lambda works
    return path


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_lambda_code_is_never_run(tmp_path: Path, suffix: str) -> None:
    path = lambda_model(tmp_path, suffix)
    report = inspect_path(path)
    assert report.exit_code == 0 and [one.name for one in report.batch_norms] == ["bn"]
    data = tmp_path / "x.npz"
    np.savez(data, x=np.zeros((9, 4), np.float32))
    assert "Lambda" in only_error(path, data)
    assert not (tmp_path / "executed").exists()


def test_a_class_of_another_module_is_not_imported(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with (
        zipfile.ZipFile(GRAPHS / "ok_keras_trained.keras") as old,
        zipfile.ZipFile(path, "w") as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"]["layers"][1].update(module="evil.code", class_name="Layer")
                content = json.dumps(config).encode()
            new.writestr(name, content)
    data = tmp_path / "x.npz"
    np.savez(data, x=np.zeros((9, 8, 8, 3), np.float32))
    assert "evil.code.Layer" in only_error(path, data)


def test_ops_that_reach_outside_are_not_run(tmp_path: Path) -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    folder = tmp_path / "model"
    folder.mkdir()
    with tf.Graph().as_default(), v1.Session() as session:
        path = v1.placeholder(tf.string, [], "path")
        x = tf.reshape(tf.io.decode_raw(tf.io.read_file(path), tf.float32), [-1, 1, 1, 2])
        one = v1.get_variable("gamma", [2]), v1.get_variable("beta", [2])
        mean = v1.get_variable("bn/moving_mean", [2])
        variance = v1.get_variable("bn/moving_variance", [2])
        v1.nn.fused_batch_norm(x, *one, mean, variance, is_training=False)
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(folder / "model.ckpt"), write_state=False)
    data = tmp_path / "x.npz"
    np.savez(data, path=np.array(["/etc/passwd"]))
    assert "ReadFile" in only_error(folder, data)


# --- sizes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.meta", "a.pb", "a.pbtxt", "a.keras", "a.h5", "a.index"])
def test_a_sparse_file_of_3_gb_is_not_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with path.open("wb") as stream:
        stream.truncate(3 << 30)
    assert only_error(path)


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (50 << 20))
        archive.writestr("model.weights.h5", b"")
    assert path.stat().st_size < 100_000
    assert "unpacks to 52428800 bytes" in only_error(path)


def test_an_npz_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    header = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (1 << 31,)}
    np.lib.format.write_array_header_2_0(header, shape)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue())
    content = bytearray(path.read_bytes())
    # The announced size, in the central directory.
    at = content.rindex(b"PK\x01\x02") + 24
    content[at : at + 4] = (0xFFFFFFF0).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(LoadError):
        read_npz(path)


def test_vectors_of_an_hdf5_bomb_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:
        for number in range(20):
            # Chunks that were never written take no room in the file.
            file.create_dataset(
                f"bn{number}/moving_mean", (1 << 23,), "f8", chunks=True, compression="gzip"
            )
    assert "elements" in only_error(path)


def test_a_tensor_shape_asks_for_no_memory(tmp_path: Path) -> None:
    from tensorflow.core.framework import graph_pb2

    graph = graph_pb2.GraphDef.FromString((GRAPHS / "ok_frozen_inference.pb").read_bytes())
    for node in graph.node:
        if node.op == "Const" and "moving_mean" in node.name:
            tensor = node.attr["value"].tensor
            del tensor.tensor_shape.dim[:]
            tensor.ClearField("tensor_content")
            tensor.tensor_shape.dim.add(size=1 << 40)
            tensor.float_val.append(0.0)
    path = tmp_path / "huge.pb"
    path.write_bytes(graph.SerializeToString())
    report = inspect_path(path)
    assert report.exit_code == 0 and len(report.batch_norms) == 2


# --- broken ----------------------------------------------------------------------------------


def graph_with(*nodes: tuple[str, str, list[str]]) -> bytes:
    from tensorflow.core.framework import graph_pb2

    graph = graph_pb2.GraphDef()
    for name, op, inputs in nodes:
        graph.node.add(name=name, op=op, input=inputs)
    return bytes(graph.SerializeToString())


def test_unknown_ops_are_nothing_special(tmp_path: Path) -> None:
    path = tmp_path / "unknown.pb"
    path.write_bytes(graph_with(("x", "MyCompanysOp", []), ("y", "Another>Op", ["x:7", "^x"])))
    assert inspect_path(path).exit_code == 0


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([("y", "Add", ["x"])], "'x', which is not in the graph"),
        ([("x", "Add", []), ("x", "Add", [])], "two nodes are named 'x'"),
        ([("x", "Add", []), ("y", "Add", ["x:one"])], "malformed input 'x:one'"),
    ],
)
def test_a_graph_that_contradicts_itself(tmp_path: Path, nodes: Any, message: str) -> None:
    path = tmp_path / "graph.pb"
    path.write_bytes(graph_with(*nodes))
    assert message in only_error(path)


def test_edges_in_circles_end(tmp_path: Path) -> None:
    path = tmp_path / "circle.pb"
    path.write_bytes(
        graph_with(
            *[("a", "Identity", ["b"]), ("b", "Identity", ["a"])],
            ("mean", "Select", ["a", "mean", "mean"]),
            ("variance", "Merge", ["variance", "mean"]),
            ("bn", "FusedBatchNormV3", ["a", "a", "a", "mean", "variance"]),
            *[("eps", "Const", []), ("sum", "AddV2", ["variance", "eps"])],
            *[("rsqrt", "Rsqrt", ["sum"]), ("xs", "Mul", ["a", "rsqrt"])],
            *[("ms", "Mul", ["mean", "rsqrt"]), ("shift", "Sub", ["a", "ms"])],
            *[("out", "AddV2", ["xs", "shift"]), ("up", "AssignSub", ["mean", "variance"])],
        )
    )
    assert inspect_path(path).exit_code == 0


def copied(folder: Path) -> Path:
    shutil.copytree(GRAPHS / "checkpoint_ok_trained", folder / "checkpoint")
    return folder / "checkpoint"


def test_missing_data(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "model.ckpt-400.data-00000-of-00001").unlink()
    assert "data files are missing" in only_error(folder)


def test_missing_data_where_names_suffice(tmp_path: Path) -> None:
    shutil.copy(GRAPHS / "checkpoint_BN301_trainable_only" / "model.ckpt-20.index", tmp_path)
    report = inspect_path(str(tmp_path))
    assert [one.code for one in report.findings] == ["BN301"]
    assert [one.fatal for one in report.errors] == [False]
    assert report.exit_code == 1


def test_a_short_shard(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    os.truncate(folder / "model.ckpt-400.data-00000-of-00001", 100)
    assert only_error(folder)


def test_an_index_without_its_end(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    os.truncate(folder / "model.ckpt-400.index", 200)
    assert "truncated" in only_error(folder)


def test_a_saved_model_without_variables(tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    shutil.copytree(GRAPHS / "saved_ok_inference", folder)
    (folder / "variables" / "variables.index").unlink()
    assert "variables.index is missing" in only_error(folder)


def test_links_out_of_an_hdf5_file_are_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["moving_mean"] = np.full(3, np.nan)
        file["moving_variance"] = np.ones(3)
    path = tmp_path / "links.h5"
    with h5py.File(path, "w") as file:
        file["bn"] = h5py.ExternalLink("other.h5", "/")
        file["loop"] = h5py.SoftLink("/loop")
        file["here"] = file["/"]
    assert inspect_path(path).exit_code == 0


def test_external_storage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "external.h5"
    (tmp_path / "raw").write_bytes(bytes(64))
    with h5py.File(path, "w") as file:
        file.create_dataset("bn/moving_mean", (8,), "f8", external=[("raw", 0, 64)])
    assert "another file" in only_error(path)


def test_an_hdf5_file_that_sends_its_library_round_in_circles(tmp_path: Path) -> None:
    from bnlint.runtime.stored.isolated import read_keras_isolated

    content = bytearray((GRAPHS / "ok_keras_untrained.h5").read_bytes())
    first = content.index(b"GCOL") + 16
    content[first : first + 16] = bytes(16)  # free space of no size, so the next is here again
    path = tmp_path / "circles.h5"
    path.write_bytes(content)
    with pytest.raises(LoadError, match="takes more than"):
        read_keras_isolated(path, seconds=3)


def test_a_folder_with_its_own_h5py_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "h5py.py").write_text("open('executed', 'w').close()")
    shutil.copy(GRAPHS / "BN502_keras_nan.h5", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert [one.code for one in inspect_path("BN502_keras_nan.h5").findings] == ["BN502"]
    assert not (tmp_path / "executed").exists()


def test_a_config_nested_too_deep(tmp_path: Path) -> None:
    path = tmp_path / "deep.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "[" * 100_000 + "]" * 100_000)
        archive.writestr("model.weights.h5", b"")
    assert only_error(path)


def test_one_bad_file_does_not_stop_the_rest(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from bnlint.cli.inspect import inspect

    bad = tmp_path / "bad.meta"
    bad.write_bytes(b"nonsense")
    result = CliRunner().invoke(inspect, [str(bad), str(GRAPHS / "BN101_slim.meta")])
    assert result.exit_code == 2
    assert "bad.meta" in result.output and "BN101" in result.output


def test_the_checkpoint_file_names_no_other_folder(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "checkpoint").write_text('model_checkpoint_path: "/elsewhere/model.ckpt-400"\n')
    report = inspect_path(folder)
    assert report.exit_code == 0 and len(report.batch_norms) == 2
