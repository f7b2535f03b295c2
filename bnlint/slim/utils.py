"""Helpers shared by the layers: collections, aliases, static and dynamic conditions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from bnlint.slim._tf import tf

CHANNELS_FIRST = "NCHW"
CHANNELS_LAST = "NHWC"


def check_image_format(data_format: str) -> None:
    """Raises ValueError unless `data_format` is NHWC or NCHW."""
    if data_format not in (CHANNELS_FIRST, CHANNELS_LAST):
        raise ValueError("data_format has to be either NCHW or NHWC.")


def collect_named_outputs(collections: Any, alias: str, outputs: Any) -> Any:
    """Adds `outputs` under the name `alias` to `collections` (if any); returns it."""
    if collections:
        append_tensor_alias(outputs, alias)
        tf.add_to_collections(collections, outputs)
    return outputs


def append_tensor_alias(tensor: Any, alias: str) -> Any:
    """Appends `alias` (without a trailing slash) to the aliases of `tensor`."""
    tensor.aliases = [*getattr(tensor, "aliases", []), alias.removesuffix("/")]
    return tensor


def get_tensor_aliases(tensor: Any) -> list[str]:
    """Aliases of `tensor`; its own name when it has none."""
    if hasattr(tensor, "aliases"):
        return list(tensor.aliases)
    return [tensor.op.name if tensor.name.endswith(":0") else tensor.name]


def gather_tensors_aliases(tensors: list[Any]) -> list[str]:
    """Aliases of all `tensors`, in order."""
    return [alias for tensor in tensors for alias in get_tensor_aliases(tensor)]


def convert_collection_to_dict(collection: Any, clear_collection: bool = False) -> Any:
    """An ordered dictionary {alias: tensor} of a collection, e.g. of end points."""
    named = OrderedDict(
        (alias, tensor)
        for tensor in tf.get_collection(collection)
        for alias in get_tensor_aliases(tensor)
    )
    if clear_collection:
        tf.get_default_graph().clear_collection(collection)
    return named


def get_variable_collections(variables_collections: Any, name: str) -> Any:
    """Collections for the variable `name`: one list for all, or a dict per name."""
    if isinstance(variables_collections, dict):
        return variables_collections.get(name)
    return variables_collections


def constant_value(value: Any) -> Any:
    """The Python value behind `value`; None when only a session run can tell.

    Raises:
        ValueError: `value` is None.
    """
    if value is None:
        raise ValueError("value_or_tensor_or_var cannot be None")
    if isinstance(value, tf.Variable):
        return None
    if tf.is_tensor(value):
        return tf.get_static_value(value)
    return value


def constant_bool(value: Any) -> bool | None:
    """As `constant_value`, but only for booleans, as the core layers take them.

    Raises:
        TypeError: neither a tensor, a variable, a bool, 0 nor 1.
    """
    if isinstance(value, tf.Variable):
        return None
    if tf.is_tensor(value):
        value = tf.get_static_value(value)
        return None if value is None else bool(value)
    if value in (0, 1):
        return bool(value)
    raise TypeError(
        f"`pred` must be a Tensor, or a Python bool, or 1 or 0. Found instead: {type(value)}"
    )


def smart_cond(pred: Any, fn1: Callable[[], Any], fn2: Callable[[], Any]) -> Any:
    """`fn1()` or `fn2()` chosen while building when `pred` is known, else `tf.cond`."""
    value = constant_value(pred)
    if value is None:
        return tf.cond(pred, fn1, fn2)
    return fn1() if value else fn2()


def last_dimension(shape: Any, min_rank: int = 1) -> int:
    """Size of the last dimension.

    Raises:
        ValueError: unknown rank, rank below `min_rank`, or unknown last dimension.
    """
    return known_dimension(shape, -1, min_rank)


def known_dimension(shape: Any, index: int, min_rank: int = 1) -> int:
    """Size of dimension `index` of `shape`; ValueError when it is not known."""
    if shape.rank is None:
        raise ValueError("dims of shape must be known but is None")
    if shape.rank < min_rank:
        raise ValueError(f"rank of shape must be at least {min_rank} not: {shape.rank}")
    size = tf.dimension_value(shape[index])
    if size is None:
        raise ValueError(f"dimension {index} of shape must be known but is None: {shape}")
    return size


def n_integers(value: Any, count: int, name: str) -> tuple[int, ...]:
    """`value` repeated `count` times, or as it is when it already has `count` items.

    Raises:
        ValueError: anything but an integer or `count` integers.
    """
    items = (value,) * count if isinstance(value, int) else value
    try:
        numbers = tuple(int(item) for item in items)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != count:
        raise ValueError(f"`{name}` must be an integer or {count} integers, got {value!r}")
    return numbers


def checked_padding(padding: str) -> str:
    """`padding` in upper case; ValueError unless it is SAME or VALID."""
    upper = str(padding).upper()
    if upper not in ("SAME", "VALID"):
        raise ValueError(f'padding must be "VALID" or "SAME", got {padding!r}')
    return upper
