"""Read graph files without trusting them: sizes are bounded, nothing in them is run or imported.

TensorBoard ships the classes of TensorFlow's messages, which spares importing TensorFlow.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MAX_BINARY = (1 << 31) - 1
"""Protocol buffers cannot be larger than this (2 GiB), in bytes."""
MAX_TEXT = 1 << 28
"""Text protos take some 20 times their size in memory to parse, so they end at 256 MiB."""

_OP_NAME = re.compile(r"[A-Za-z0-9_.\\/>-]+")
_LOOKED_AT = 100  # nodes whose op name shows that a message was parsed as the right type


class LoadError(ValueError):
    """A file that cannot be read as what it claims to be. The message does not name the file."""


def is_saved_model(folder: Path) -> bool:
    """A folder with `saved_model.pb` or `saved_model.pbtxt`."""
    return any((folder / f"saved_model.{suffix}").is_file() for suffix in ("pb", "pbtxt"))


def newest_export(folder: Path) -> Path | None:
    """The SavedModel that an estimator exported last: its folder is named for the time."""
    exports = [one for one in folder.iterdir() if one.name.isdecimal() and is_saved_model(one)]
    return max(exports, key=lambda one: int(one.name), default=None)


def read_saved_model(folder: Path) -> Any:
    """The SavedModel proto of a folder."""
    binary = folder / "saved_model.pb"
    path = binary if binary.is_file() else folder / "saved_model.pbtxt"
    return _read(path, [_saved_model()])


def read_graph_file(path: Path) -> Any:
    """The GraphDef, MetaGraphDef or SavedModel in a `.meta`, `.pb` or `.pbtxt` file.

    Raises:
      LoadError: it is none of these, is truncated or too large.
      OSError: it cannot be opened.
    """
    from tensorboard.compat.proto import graph_pb2, meta_graph_pb2

    types = [graph_pb2.GraphDef, meta_graph_pb2.MetaGraphDef, _saved_model()]
    if path.name.endswith(".meta"):
        types = [meta_graph_pb2.MetaGraphDef]
    elif path.stem == "saved_model":
        types = [_saved_model()]
    return _read(path, types)


@functools.cache
def _saved_model() -> Any:
    """The class of SavedModel, a list of MetaGraphDef, which TensorBoard has no need of.

    See https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/protobuf/saved_model.proto
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from tensorboard.compat.proto import meta_graph_pb2

    graphs = meta_graph_pb2.MetaGraphDef.DESCRIPTOR
    file = descriptor_pb2.FileDescriptorProto(
        name="bnlint/saved_model.proto",
        package="bnlint",
        syntax="proto3",
        dependency=[graphs.file.name],
    )
    message = file.message_type.add(name="SavedModel")
    kinds = descriptor_pb2.FieldDescriptorProto
    message.field.add(
        name="saved_model_schema_version",
        number=1,
        type=kinds.TYPE_INT64,
        label=kinds.LABEL_OPTIONAL,
    )
    message.field.add(
        name="meta_graphs",
        number=2,
        type=kinds.TYPE_MESSAGE,
        label=kinds.LABEL_REPEATED,
        type_name=f".{graphs.full_name}",
    )
    descriptor = descriptor_pool.Default().Add(file)
    if descriptor is None:
        descriptor = descriptor_pool.Default().FindFileByName(file.name)
    return message_factory.GetMessageClass(descriptor.message_types_by_name["SavedModel"])


def _read(path: Path, types: list[Any]) -> Any:
    is_text = path.suffix in (".pbtxt", ".prototxt", ".txt")
    limit = MAX_TEXT if is_text else MAX_BINARY
    size = path.stat().st_size
    if size == 0:
        raise LoadError("the file is empty")
    if size > limit:
        raise LoadError(f"the file has {size} bytes, more than the {limit} that can be read")
    content = path.read_bytes()
    is_text = is_text or (path.name.endswith(".meta") and content.startswith(b"meta_info_def {"))
    for message_type in types:
        message = _parsed(message_type, content, is_text)
        if message is not None and _is_plausible(message):
            return message
    names = " or ".join(message_type.DESCRIPTOR.name for message_type in types)
    raise LoadError(f"not a {names}, or a truncated or corrupt one")


def _parsed(message_type: Any, content: bytes, is_text: bool) -> Any:
    from google.protobuf import text_format
    from google.protobuf.message import DecodeError

    try:
        if is_text:
            return text_format.Parse(content.decode("utf-8"), message_type())
        return message_type.FromString(content)
    except (DecodeError, text_format.ParseError, UnicodeDecodeError, RecursionError):
        return None


def _is_plausible(message: Any) -> bool:
    """Almost any bytes parse as some message: only real nodes show that it was the right one."""
    if hasattr(message, "meta_graphs"):
        return any(_is_plausible(one) for one in message.meta_graphs)
    if hasattr(message, "graph_def"):
        return _is_plausible(message.graph_def)
    return _are_nodes(message.node[:_LOOKED_AT])


def _are_nodes(nodes: Iterable[Any]) -> bool:
    nodes = list(nodes)
    return bool(nodes) and all(node.name and _OP_NAME.fullmatch(node.op) for node in nodes)
