"""Read batch-norm variables out of TensorFlow checkpoints (both formats) and `.npz` files."""

from __future__ import annotations

import math
import os
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bnlint.runtime.moving_statistics import Statistics
from bnlint.runtime.stored.names import Group, group_by_shape, is_part, step_names
from bnlint.runtime.stored.protos import LoadError
from bnlint.runtime.stored.statistics import MAX_ELEMENTS, MAX_TOTAL

# TensorFlow's reader translates the errors of corrupt files to any of these.
_READ_ERRORS = (RuntimeError, ValueError, TypeError, IndexError, KeyError, OSError)
# Both checkpoint formats end in a LevelDB table footer with this magic number.
_TABLE_MAGIC = bytes.fromhex("57fb808b247547db")
_MAX_INDEX = 1 << 28
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_MAX_NPZ = 1 << 32  # bytes of arrays, unpacked
_STATE_LINE = re.compile(r'^model_checkpoint_path:\s*"([^"\n]+)"', re.MULTILINE)


@dataclass
class Stored:
    """What a file stores of a model.

    Attributes:
      groups: its batch norms; vectors of size 0 stand for those that are there and not read.
      steps: how many steps it was trained; None where that is not known.
      has_data: the values are there, and not only the names.
    """

    groups: list[Statistics] = field(default_factory=list)
    steps: int | None = None
    has_data: bool = True


def index_of(prefix: str) -> Path:
    """The index of a checkpoint. Its prefix may end in a slash: then the file is `.index`."""
    return Path(prefix + ".index")


def checkpoint_prefix(path: Path) -> str | None:
    """The prefix that `path` (an `.index` or data file, a prefix, or a folder) stands for."""
    if path.is_dir():
        return _newest(path)
    text = str(path)
    if path.name.endswith(".index"):
        return text.removesuffix(".index")
    if ".data-" in path.name:
        return text[: text.rindex(".data-")]
    if index_of(text).is_file():
        return text
    return text if path.is_file() and _has_footer(path) else None


def _newest(folder: Path) -> str | None:
    """What the folder's `checkpoint` file names, or else the newest index in it."""
    state = folder / "checkpoint"
    if state.is_file() and state.stat().st_size < MAX_ELEMENTS:
        named = _STATE_LINE.search(state.read_text("utf-8", "replace"))
        if named:
            # The folder may have been moved since: only the name counts.
            prefix = os.path.join(folder, named[1].replace("\\", "/").rpartition("/")[2])
            if index_of(prefix).is_file() or Path(prefix).is_file():
                return prefix
    # Not `glob`, which leaves out a file that is called `.index`.
    indexes = [one for one in folder.iterdir() if one.name.endswith(".index")]
    indexes.sort(key=lambda one: (one.stat().st_mtime, one.name))
    return str(indexes[-1]).removesuffix(".index") if indexes else None


def _has_footer(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(0, 2)
        if stream.tell() < 48:  # the footer's size
            return False
        stream.seek(-8, 2)
        return stream.read() == _TABLE_MAGIC


def read_checkpoint(prefix: str, known: Iterable[Group] = ()) -> Stored:
    """The batch norms of a checkpoint.

    Args:
      prefix: its prefix.
      known: the batch norms that its graph shows.

    Raises:
      LoadError: the index is corrupt, or a shard is missing, short or corrupt.
      OSError: there is no such file.
    """
    index = index_of(prefix)
    main = index if index.is_file() else Path(prefix)
    if main.stat().st_size > _MAX_INDEX:
        raise LoadError(f"the checkpoint index has more than {_MAX_INDEX} bytes")
    if not _has_footer(main):
        raise LoadError("not a checkpoint, or a truncated one")
    try:
        reader = open_checkpoint(prefix)
        shapes = reader.get_variable_to_shape_map()
        names = _readable_names(reader, shapes)
    except UnicodeDecodeError as error:
        raise LoadError("corrupt checkpoint: a name is not text") from error
    groups = group_by_shape({plain: shapes[name] for plain, name in names.items()}, known)
    read = [name for group in groups for name in group.parts.values()] + step_names(names)
    check_total(math.prod(shapes[names[name]]) for name in read)
    has_data = main != index or any(
        one.name.startswith(f"{index.name.removesuffix('.index')}.data-")
        for one in index.parent.iterdir()
    )
    if not has_data:
        return Stored([_unread(group) for group in groups], has_data=False)
    return _collect(names, groups, lambda name: _vector(reader, name, shapes))


def _unread(group: Group) -> Statistics:
    import numpy as np

    vectors: dict[str, Any] = {part: np.zeros(0) for part in group.parts}
    return Statistics(group.scope, is_batch_norm=group.is_batch_norm, **vectors)


def check_total(sizes: Iterable[int]) -> None:
    """Raises LoadError when a file's batch-norm vectors have more elements than any model's."""
    total = sum(sizes)
    if total > MAX_TOTAL:
        raise LoadError(f"its batch norms have {total} elements, more than the {MAX_TOTAL} read")


def open_checkpoint(prefix: str) -> Any:
    """TensorFlow's reader of a checkpoint, which runs nothing.

    Raises:
      LoadError: it is corrupt.
    """
    from bnlint.runtime.native_logs import import_tensorflow

    import_tensorflow()
    import tensorflow as tf

    try:
        # Not `load_checkpoint`, which takes a prefix that ends in a slash for a folder.
        return tf.compat.v1.train.NewCheckpointReader(prefix)
    except (tf.errors.OpError, *_READ_ERRORS) as error:
        raise LoadError(f"corrupt checkpoint: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    text = str(getattr(error, "message", error)).strip().partition("\n")[0][:200]
    return text or type(error).__name__


def _readable_names(reader: Any, shapes: Mapping[str, Any]) -> dict[str, str]:
    """Names as a program has them -> names in the checkpoint. Object-based checkpoints name a
    variable by the path to it; its own name is in the object graph, for those that need it.
    """
    full = _full_names(reader) if _OBJECT_GRAPH in shapes else {}
    names = {}
    for name in shapes:
        if ".OPTIMIZER_SLOT" in name or name == _OBJECT_GRAPH:
            continue
        plain = name.removesuffix(_VALUE)
        if is_part(plain) or step_names([plain]) or not full:
            names[plain] = name
        elif name in full and "optimizer" not in name.split("/"):
            # An optimizer's slots are named for their variables: "SGD/m/bn/gamma".
            names.setdefault(full[name], name)
    return names


def _full_names(reader: Any) -> dict[str, str]:
    import tensorflow as tf
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto import trackable_object_graph_pb2

    try:
        serialized = reader.get_tensor(_OBJECT_GRAPH)
        graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(serialized)
    except (tf.errors.OpError, DecodeError, *_READ_ERRORS) as error:
        raise LoadError(f"corrupt object graph: {_first_line(error)}") from error
    return {
        attribute.checkpoint_key: attribute.full_name
        for node in graph.nodes
        for attribute in node.attributes
        if attribute.full_name
    }


def _vector(reader: Any, name: str, shapes: Mapping[str, Any]) -> Any:
    import numpy as np
    import tensorflow as tf

    size = math.prod(shapes[name])
    if size > MAX_ELEMENTS:
        raise LoadError(f"{name!r} has {size} elements, too many for a batch norm")
    try:
        values = np.asarray(reader.get_tensor(name))
    except (tf.errors.OpError, *_READ_ERRORS) as error:
        raise LoadError(f"cannot read {name!r}: {_first_line(error)}") from error
    return as_floats(values)


def as_floats(values: Any) -> Any:
    """A float64 array of numbers (bfloat16 included); None for anything else."""
    import numpy as np

    values = np.asarray(values)
    if values.dtype.kind in "OSUMm":
        return None
    return values.astype(np.float64)


def _collect(names: Mapping[str, str], groups: Iterable[Group], read: Any) -> Stored:
    stored = Stored()
    for group in groups:
        vectors = {part: read(names[name]) for part, name in group.parts.items()}
        one = Statistics(group.scope, **vectors, is_batch_norm=group.is_batch_norm)
        one.decay = group.decay
        stored.groups.append(one.in_order() if group.in_doubt else one)
    stored.steps = largest_step(read(names[name]) for name in step_names(names))
    return stored


def largest_step(values: Iterable[Any]) -> int | None:
    """The largest step count among scalars; None when there is none."""
    steps = [int(value.reshape(-1)[0]) for value in values if value is not None and value.size == 1]
    return max(steps, default=None)


def read_npz(path: Path) -> dict[str, Any]:
    """The arrays of an `.npz` file, none of them pickled.

    Raises:
      LoadError: it is no `.npz` file, holds Python objects, or unpacks to more than 4 GiB.
      OSError: it cannot be opened.
    """
    import numpy as np

    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MAX_NPZ:
                raise LoadError(f"its arrays have more than {_MAX_NPZ} bytes")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (FileNotFoundError, PermissionError, IsADirectoryError, LoadError, MemoryError):
        raise
    # zipfile and numpy's header parser tell of corrupt files by most of Python's exceptions.
    except Exception as error:
        raise LoadError(f"not a readable .npz file of numbers: {_first_line(error)}") from error
