"""Read Keras files (`.keras`, `.h5`, `.weights.h5`) without Keras: no layer is ever built, so
no Lambda, custom object or pickle in them can run.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bnlint.runtime.moving_statistics import Statistics
from bnlint.runtime.stored.checkpoints import Stored, as_floats, check_total, largest_step
from bnlint.runtime.stored.names import group_variables, step_names
from bnlint.runtime.stored.protos import LoadError
from bnlint.runtime.stored.statistics import MAX_ELEMENTS

_MAX_CONFIG = 1 << 26
_MAX_WEIGHTS = 1 << 33  # bytes
_MAX_RATIO = 100  # Keras does not compress its archives; deflate can reach 1032:1
_ANY_RATIO = 1 << 20  # bytes that may be packed however well
_MAX_OBJECTS = 1 << 20  # HDF5 groups and data sets that are looked at
# Layers that hold Python code, or load it from elsewhere.
_RUN_CODE = frozenset({"Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer"})
_RUN_CODE |= {"FlaxLayer", "function"}
_BATCH_NORMS = frozenset({"BatchNormalization", "BatchNormalizationV1", "SyncBatchNormalization"})


@dataclass
class KerasLayer:
    """A batch-norm layer's settings. `path` is its name below its models: "backbone/bn_1"."""

    path: str
    config: Mapping[str, Any]


@dataclass
class KerasFile:
    """What a Keras file holds.

    Attributes:
      layers: its batch-norm layers.
      always_training: names of batch norms called with `training=True`.
      called_in_inference: names of trainable ones called with `training=False`.
      keras_3: Keras 3 wrote it, in which `fit`, `evaluate` and `predict` override these flags.
      stored: their vectors.
      foreign: classes that are not Keras', or that run code from the file or from outside of it.
    """

    layers: list[KerasLayer] = field(default_factory=list)
    always_training: list[str] = field(default_factory=list)
    called_in_inference: list[str] = field(default_factory=list)
    keras_3: bool = False
    stored: Stored = field(default_factory=Stored)
    foreign: list[str] = field(default_factory=list)


def is_keras_file(path: Path) -> bool:
    """Named or made like one: a zip archive or an HDF5 file."""
    if path.suffix in (".keras", ".h5", ".hdf5"):
        return True
    with path.open("rb") as stream:
        return stream.read(8) == b"\x89HDF\r\n\x1a\n"


def read_keras(path: Path) -> KerasFile:
    """A `.keras` archive or an HDF5 file, whichever it is.

    Raises:
      LoadError: it is neither, is truncated, or would unpack to more than a model's size.
      OSError: it cannot be opened.
    """
    try:
        if zipfile.is_zipfile(path):
            return _read_archive(path)
        with path.open("rb") as stream:
            return _read_hdf5(stream)
    except RecursionError as error:
        raise LoadError("its layers are nested too deep") from error


# --- archive -------------------------------------------------------------------------------


def _read_archive(path: Path) -> KerasFile:
    try:
        with zipfile.ZipFile(path) as archive:
            config = _member(archive, "config.json", _MAX_CONFIG)
            metadata = _member(archive, "metadata.json", _MAX_CONFIG)
            weights = _member(archive, "model.weights.h5", _MAX_WEIGHTS)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise LoadError(f"corrupt .keras archive: {error}") from error
    found = settings(_json(config))
    version = _json(metadata)
    found.keras_3 = _is_3(version.get("keras_version") if isinstance(version, dict) else None)
    found.stored = _read_hdf5(io.BytesIO(weights)).stored
    _add_decays(found)
    return found


def _is_3(version: Any) -> bool:
    number = str(version).partition(".")[0]
    return number.isdecimal() and int(number) >= 3


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise LoadError(f"not a .keras archive: it has no {name}") from None
    most = min(limit, max(_ANY_RATIO, _MAX_RATIO * info.compress_size))
    if info.file_size > most:
        raise LoadError(f"{name} unpacks to {info.file_size} bytes, which no model needs")
    with archive.open(info) as stream:
        # zipfile stops at the announced size, whatever the data would unpack to.
        return stream.read()


def _json(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, UnicodeDecodeError) as error:
        raise LoadError(f"the model's configuration is not JSON: {error}") from error


# --- configuration -------------------------------------------------------------------------


def settings(config: Any) -> KerasFile:
    """The batch norms in a serialized model: `{"class_name": ..., "config": {...}}`."""
    found = KerasFile(foreign=sorted(set(_foreign(config))))
    for layer in _layers(config):
        _walk(layer, "", _flags(layer), found)
    return found


def _foreign(entry: Any) -> Iterator[str]:
    """Serialized objects that Keras could not rebuild from its own, harmless classes."""
    if isinstance(entry, list):
        for one in entry:
            yield from _foreign(one)
    elif isinstance(entry, dict):
        name, module = entry.get("class_name"), entry.get("module")
        if name in _RUN_CODE or not _is_of_keras(module):
            yield f"{module}.{name}" if isinstance(module, str) and module else str(name)
        for key, one in entry.items():
            if key != "compile_config":  # models are built without their optimizer and losses
                yield from _foreign(one)


def _is_of_keras(module: Any) -> bool:
    if module is None:
        return True  # Keras 2 names no modules; unknown classes have to be registered
    return (
        isinstance(module, str)
        and re.fullmatch(r"(tf_keras|keras|builtins)(\.[\w.]+)?", module) is not None
    )


def _layers(entry: Any) -> list[Any]:
    """The layers of a model, or the one that a wrapper (TimeDistributed) holds."""
    config = entry.get("config") if isinstance(entry, dict) else None
    if isinstance(config, list):  # Sequential of Keras 2.0
        return config
    if not isinstance(config, dict):
        return []
    layers = config.get("layers")
    return layers if isinstance(layers, list) else [config.get("layer")]


def _walk(layer: Any, prefix: str, flags: frozenset[bool], found: KerasFile) -> None:
    """Collect a layer's batch norms. `flags`: the values of `training` it is called with."""
    if not isinstance(layer, dict):
        return
    config = layer.get("config")
    settings = config if isinstance(config, dict) else {}
    name = str(layer.get("name") or settings.get("name") or "")
    path = f"{prefix}/{name}" if prefix else name
    if layer.get("class_name") in _BATCH_NORMS:
        found.layers.append(KerasLayer(path, settings))
        if True in flags and settings.get("trainable", True) is not False:
            found.always_training.append(path)
        elif flags and settings.get("trainable", True) is not False:
            found.called_in_inference.append(path)
    for inner in _layers(layer):
        _walk(inner, path, flags or _flags(inner), found)


def _flags(layer: Any) -> frozenset[bool]:
    nodes = layer.get("inbound_nodes") if isinstance(layer, dict) else None
    given = (kwargs.get("training") for kwargs in _call_kwargs(nodes))
    return frozenset(flag for flag in given if isinstance(flag, bool))


def _call_kwargs(nodes: Any) -> Iterator[Mapping[str, Any]]:
    """Keyword arguments of a layer's calls: `{"kwargs": {...}}` in Keras 3, the fourth item of
    `[[layer, node, tensor, {...}], ...]` in Keras 2.
    """
    for node in nodes if isinstance(nodes, list) else ():
        if isinstance(node, dict):
            if isinstance(kwargs := node.get("kwargs"), dict):
                yield kwargs
            continue
        entries = node if isinstance(node, list) else ()
        for one in [entries, *entries]:
            if isinstance(one, list) and len(one) == 4 and isinstance(one[3], dict):
                yield one[3]


def _add_decays(found: KerasFile) -> None:
    """Give stored statistics their layer's momentum, where one and only one layer fits."""
    by_name: dict[str, list[KerasLayer]] = {}
    for layer in found.layers:
        by_name.setdefault(layer.path.rpartition("/")[2], []).append(layer)
    for one in found.stored.groups:
        layers = by_name.get(one.name.rpartition("/")[2], [])
        if len(layers) == 1 and isinstance(momentum := layers[0].config.get("momentum"), float):
            one.decay = momentum


# --- weights -------------------------------------------------------------------------------


def _read_hdf5(stream: Any) -> KerasFile:
    import h5py

    try:
        with h5py.File(stream, "r") as file:
            return _from_hdf5(file)
    except LoadError:
        raise
    # h5py tells of corrupt files by any of these.
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, UnicodeDecodeError) as error:
        raise LoadError(f"not an HDF5 file, or a corrupt one: {error}") from error


def _from_hdf5(file: Any) -> KerasFile:
    config = file.attrs.get("model_config")
    found = settings(_json(config)) if isinstance(config, bytes | str) else KerasFile()
    version = file.attrs.get("keras_version")
    found.keras_3 = _is_3(version.decode() if isinstance(version, bytes) else version)
    vectors, names = dict(_data_sets(file)), {}
    for path in vectors:
        names[_variable_name(path, vectors, file, found)] = path
    names.pop("", None)
    groups = group_variables(names)
    read = [name for group in groups for name in group.parts.values()] + step_names(names)
    check_total(vectors[names[name]].size or 0 for name in read)
    found.stored.groups = [
        Statistics(
            group.scope,
            is_batch_norm=group.is_batch_norm,
            **{part: _values(vectors[names[name]]) for part, name in group.parts.items()},
        )
        for group in groups
    ]
    steps = [_values(vectors[names[name]]) for name in step_names(names)]
    steps += [_values(vectors["optimizer/vars/0"])] if "optimizer/vars/0" in vectors else []
    found.stored.steps = largest_step(steps)
    _add_decays(found)
    return found


def _data_sets(file: Any) -> Iterator[tuple[str, Any]]:
    """Data sets by path. Links are not followed out of the file, nor in circles."""
    import h5py

    queue, seen = [("", file)], 0
    visited = {hash(file.id)}
    while queue:
        prefix, group = queue.pop()
        for name in group:
            seen += 1
            if seen > _MAX_OBJECTS:
                raise LoadError(f"it holds more than {_MAX_OBJECTS} objects")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            found = group[name]
            path = f"{prefix}/{name}" if prefix else name
            if isinstance(found, h5py.Dataset):
                yield path, found
            elif isinstance(found, h5py.Group) and hash(found.id) not in visited:
                visited.add(hash(found.id))
                queue.append((path, found))


def _variable_name(path: str, vectors: Mapping[str, Any], file: Any, found: KerasFile) -> str:
    """A data set's name as "layer/moving_mean"; "" for what is no variable of a layer.

    Keras 2 stores variables by name. Keras 3 numbers them below `<layer>/vars`, in the order
    gamma, beta, moving_mean, moving_variance.
    """
    if path.startswith("optimizer_weights/") and not step_names([path]):
        return ""  # Keras 2 names an optimizer's slots for their variables
    layer, _, number = path.rpartition("/vars/")
    if not layer or not number.isdecimal():
        return path.removeprefix("model_weights/")
    if not layer.rpartition("/")[2].startswith(("batch_normalization", "sync_batch")):
        return ""
    order = ["gamma", "beta", "moving_mean", "moving_variance"]
    count = sum(f"{layer}/vars/{one}" in vectors for one in range(len(order)))
    name = _layer_name(file, layer)
    if count == 3:
        settings = [one.config for one in found.layers if one.path.endswith(name)]
        without_scale = any(one.get("scale") is False for one in settings)
        order.remove("gamma" if without_scale or not settings else "beta")
    elif count == 2:
        order = order[2:]
    return f"{name}/{order[int(number)]}" if int(number) < len(order) else ""


def _layer_name(file: Any, layer: str) -> str:
    """Keras 3 files the layer under its class; its own name is an attribute, since 3.8 or so."""
    name = file[f"{layer}/vars"].attrs.get("name")
    parents = [part for part in layer.split("/")[:-1] if part != "layers"]
    return "/".join([*parents, str(name) if isinstance(name, str) else layer.rpartition("/")[2]])


def _values(data: Any) -> Any:
    if data.size is None or data.size > MAX_ELEMENTS:
        raise LoadError(f"{data.name!r} has too many elements for a batch norm")
    if data.external or data.is_virtual:
        raise LoadError(f"{data.name!r} takes its values from another file")
    return as_floats(data[()])
