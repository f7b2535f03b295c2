"""Read Keras files in a process of their own.

A corrupt HDF5 file can send the HDF5 library round in circles or crash it. That must not be the
end of an inspection of several files, so it gets a process with limits.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bnlint.execution.executor import limit_memory
from bnlint.runtime.moving_statistics import Statistics
from bnlint.runtime.stored.keras_files import KerasFile, KerasLayer, read_keras
from bnlint.runtime.stored.protos import LoadError

_SECONDS = 60.0
_BYTES_PER_SECOND = 20e6  # slow disks have to be waited for
_MEMORY = 1 << 34  # bytes of address space, where the system can limit it
_REFUSED = 3  # the process' exit code when the file is not readable
_VECTORS = ("mean", "variance", "gamma", "beta")
# Isolated from the current folder (which may hold an h5py.py), then with our own import path.
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    "from bnlint.runtime.stored.isolated import main; main(sys.argv[2])"
)


def read_keras_isolated(path: Path, seconds: float = _SECONDS) -> KerasFile:
    """`read_keras` in another process.

    Args:
      path: the file.
      seconds: how long that may take, beside one second for every 20 MB.

    Raises:
      LoadError: the file is not readable, or reading it crashes or does not end.
      OSError: it cannot be opened.
    """
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
    limit = seconds + size / _BYTES_PER_SECOND
    imports = json.dumps([entry for entry in sys.path if entry])
    command = [sys.executable, "-I", "-c", _PROGRAM, imports, str(path.absolute())]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        raise LoadError(f"reading it takes more than {limit:.0f} s: corrupt") from None
    if done.returncode == _REFUSED:
        raise LoadError(done.stderr.decode("utf-8", "replace").strip())
    if done.returncode != 0:
        text = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise LoadError(f"reading it ends in a crash: corrupt ({text or done.returncode})")
    return _unpacked(done.stdout)


def main(path: str) -> None:
    """Read the file and write it to stdout, as an `.npz` file with a JSON part."""
    limit_memory(_MEMORY)
    try:
        packed = _packed(read_keras(Path(path)))
    except (LoadError, OSError, MemoryError) as error:
        sys.stderr.write(str(error) or type(error).__name__)
        raise SystemExit(_REFUSED) from None
    sys.stdout.buffer.write(packed)


def _packed(found: KerasFile) -> bytes:
    import numpy as np

    groups = found.stored.groups
    vectors = {
        f"{number}.{part}": values
        for number, one in enumerate(groups)
        for part in _VECTORS
        if (values := getattr(one, part)) is not None
    }
    rest = {
        "layers": [asdict(one) for one in found.layers],
        "always_training": found.always_training,
        "called_in_inference": found.called_in_inference,
        "keras_3": found.keras_3,
        "foreign": found.foreign,
        "steps": found.stored.steps,
        "groups": [(one.name, one.decay, one.is_batch_norm) for one in groups],
    }
    stream = io.BytesIO()
    text = np.frombuffer(json.dumps(rest).encode(), np.uint8)
    np.savez(stream, json=text, **vectors)  # type: ignore[arg-type, unused-ignore]
    return stream.getvalue()


def _unpacked(packed: bytes) -> KerasFile:
    import numpy as np

    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        vectors: dict[str, Any] = dict(arrays)
    rest = json.loads(vectors.pop("json").tobytes())
    found = KerasFile(
        layers=[KerasLayer(**one) for one in rest["layers"]],
        always_training=rest["always_training"],
        called_in_inference=rest["called_in_inference"],
        keras_3=rest["keras_3"],
        foreign=rest["foreign"],
    )
    found.stored.steps = rest["steps"]
    for number, (name, decay, is_batch_norm) in enumerate(rest["groups"]):
        parts = {part: vectors.get(f"{number}.{part}") for part in _VECTORS}
        one = Statistics(name, **parts, decay=decay, is_batch_norm=is_batch_norm)
        found.stored.groups.append(one)
    return found
