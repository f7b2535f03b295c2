"""What a feed_dict gives to the flags of a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bnlint.analyzer.interpreter.conditions import condition_key
from bnlint.analyzer.interpreter.containers import identity_of
from bnlint.analyzer.interpreter.values import (
    Const,
    DictValue,
    Setting,
    Symbol,
    Value,
    symbol_of,
    truth,
)
from bnlint.program.events import BatchNorm, FedSetting, Path


@dataclass
class Feeds:
    """A feed_dict; see the attributes of SessionRun of these names.

    Attributes:
      cut: batch norms that are not computed, since what follows them is fed:
        `run(decoded, {latent: z})` runs no encoder.
    """

    values: dict[str, bool | None] = field(default_factory=dict)
    numbers: set[str] = field(default_factory=set)
    by: dict[str, FedSetting] = field(default_factory=dict)
    unknown: bool = False
    cut: frozenset[BatchNorm] = frozenset()


def feeds_of(feeds: Value | None, tensor_key: Callable[[str], str], path: Path) -> Feeds:
    """Reads a feed_dict; `tensor_key` gives a tensor's key by its name ("is_training:0")."""
    found = Feeds()
    if feeds is None or (isinstance(feeds, Const) and feeds.value is None):
        return found
    if not isinstance(feeds, DictValue):
        found.unknown = True
        return found
    found.unknown = feeds.rest is not None
    found.cut = symbol_of(feeds.rest).batch_norms
    for name, item in feeds.items.items():
        key = identity_of(name)
        if not key and isinstance(name, str):
            key = tensor_key(name)
        if key:
            _add(found, key, item, path)
    return found


def _add(found: Feeds, key: str, item: Value, path: Path) -> None:
    value = _fed_value(item)
    identity, positive = condition_key(item)
    if value is None and identity in path:  # `if FLAGS.train: run(op, {training: FLAGS.train})`
        value = path[identity] is positive
    found.values[key] = value
    if isinstance(item, Const) and not isinstance(item.value, bool):
        found.numbers.add(key)
    if value is None and isinstance(item, Setting):
        default = truth(Const(item.default[0])) if item.default else None
        found.by[key] = FedSetting(item.key, default)


def _fed_value(item: Value) -> bool | None:
    """What numpy makes of a fed value; a tf.Variable is an object, and so True (TF 1.15.5)."""
    if isinstance(item, Const) and isinstance(item.value, bool | int):
        return bool(item.value)
    if isinstance(item, Symbol) and item.key.startswith("variable") and item.flag is not None:
        return True
    return None
