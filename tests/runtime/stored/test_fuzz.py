"""Mutated files are findings or one clear error, never an exception, a crash or a long run.

CI runs the same few examples each time. For a longer, random run:

    BNLINT_FUZZ=100000 pytest tests/runtime/test_loaders_fuzz.py
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bnlint.runtime.inspect import inspect_path
from bnlint.runtime.stored.checkpoints import read_npz
from bnlint.runtime.stored.protos import LoadError

pytestmark = pytest.mark.tensorflow
GRAPHS = Path(__file__).parents[3] / "fixtures" / "graphs"
# The smallest fixture of each kind: the mutations matter, not what is mutated.
CORPUS = (
    "BN101_slim.meta",
    "BN201_frozen.pb",
    "ok_frozen_inference.pbtxt",
    "ok_control_flow_v2.meta",
    "ok_keras_untrained.keras",
    "ok_keras_untrained.h5",
    "ok_keras.weights.h5",
    "saved2_ok_keras_export/saved_model.pb",
    "saved_BN205_needs_is_training/saved_model.pb",
    "saved_BN205_needs_is_training/variables/variables.index",
    "checkpoint2_BN501_objects/model.index",
    "checkpoint2_BN501_objects/model.data-00000-of-00001",
    "checkpoint_ok_trained/model.ckpt-400.index",
    "checkpoint_ok_trained/model.ckpt-400.meta",
)
_LONG = int(os.environ.get("BNLINT_FUZZ", "0"))
fuzzed = settings(
    max_examples=_LONG or 12,
    derandomize=not _LONG,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

# One change: where (as a share of the length), which kind, how long, and with what.
change = st.tuples(
    st.floats(0, 1, exclude_max=True),
    st.sampled_from(["flip", "cut", "delete", "repeat", "insert", "ones", "zeros"]),
    st.integers(1, 64),
    st.binary(min_size=1, max_size=16),
)
changes = st.lists(change, min_size=1, max_size=4)


def mutated(content: bytes, edits: list[tuple[float, str, int, bytes]]) -> bytes:
    for where, kind, length, extra in edits:
        at = int(where * len(content))
        end = min(at + length, len(content))
        part = content[at:end]
        new = {
            "flip": bytes(one ^ extra[i % len(extra)] for i, one in enumerate(part)),
            "delete": b"",
            "repeat": part * 3,
            "insert": extra + part,
            "ones": b"\xff" * len(part),
            "zeros": bytes(len(part)),
        }
        content = content[:at] if kind == "cut" else content[:at] + new[kind] + content[end:]
    return content


def inspect_copy(name: str, content: bytes, folder: Path) -> None:
    """Inspect a copy of the fixture in which one file has this content."""
    top = name.split("/")[0]
    if (GRAPHS / top).is_dir():
        shutil.copytree(GRAPHS / top, folder / top)
    (folder / name).write_bytes(content)
    report = inspect_path(folder / top)
    assert all(error.message and str(folder) in error.path for error in report.errors)
    assert report.exit_code in (0, 1, 2)


@pytest.mark.parametrize("name", CORPUS)
@fuzzed
@given(changes)
def test_a_mutated_file_is_no_crash(name: str, edits: list[tuple[float, str, int, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        inspect_copy(name, mutated((GRAPHS / name).read_bytes(), edits), Path(folder))


@pytest.mark.parametrize("suffix", [".meta", ".pb", ".pbtxt", ".keras", ".h5", ".index", ""])
@fuzzed
@given(st.binary(max_size=200))
def test_noise_is_an_error(suffix: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "noise" + suffix)
        path.write_bytes(content)
        report = inspect_path(path)
        assert report.exit_code == 2 and not report.findings


@fuzzed
@given(changes)
def test_a_mutated_config_is_no_crash(edits: list[tuple[float, str, int, bytes]]) -> None:
    """The archive's checksums would keep mutations from its contents."""
    source = GRAPHS / "BN209_keras_training_call.keras"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
            for one in old.namelist():
                content = old.read(one)
                new.writestr(one, mutated(content, edits) if one == "config.json" else content)
        report = inspect_path(path)
        assert all(error.message for error in report.errors)


@fuzzed
@given(changes)
def test_a_mutated_npz_is_arrays_or_an_error(edits: list[tuple[float, str, int, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.npz")
        np.savez(path, x=np.zeros((3, 4), np.float32), y=np.arange(5))
        path.write_bytes(mutated(path.read_bytes(), edits))
        try:
            arrays = read_npz(path)
        except LoadError as error:
            assert str(error)
        else:
            assert all(one.dtype != object for one in arrays.values())
