"""Lists and dicts, as far as their items are known."""

from __future__ import annotations

from typing import Any

from bnlint.analyzer.interpreter.values.symbols import UNKNOWN, Stateful, Symbol, Value, symbol_of

CONFIG = "settings "  # what the keys of values begin with that an object of settings holds
MAX_ITEMS = 512  # of a list that are told apart
MAX_KEYS = 4096  # of a dict that are told apart


class ListValue(Stateful):
    """A list, tuple or set.

    Slots: items (a tuple of Values), rest (a Symbol of unknown further items, or None). Items
    after the first MAX_ITEMS become unknown ones.
    """

    __slots__ = ()

    def __init__(self, items: tuple[Value, ...] = (), rest: Symbol | None = None) -> None:
        if len(items) > MAX_ITEMS:
            rest = symbol_of(rest, UNKNOWN, *items[MAX_ITEMS:])
            items = items[:MAX_ITEMS]
        super().__init__(items=items, rest=rest)

    def held(self) -> tuple[Value | None, ...]:
        return (*self.items, self.rest)

    def some(self) -> Value:
        """A part of it, as far as that is told apart."""
        return self

    @property
    def items(self) -> tuple[Value, ...]:
        return self.slots["items"]

    @property
    def rest(self) -> Symbol | None:
        return _one_symbol(self.slots["rest"])


class RecordValue(ListValue):
    """A named tuple."""

    __slots__ = ("fields",)

    def __init__(self, fields: tuple[str, ...], items: tuple[Value, ...]) -> None:
        super().__init__(items)
        self.fields = fields


class DictValue(Stateful):
    """A dict with constant keys. slots: "=" + key -> Value, and rest."""

    __slots__ = ()

    def __init__(self, items: dict[Any, Value] | None = None, rest: Symbol | None = None) -> None:
        super().__init__(rest=rest)
        for key, value in (items or {}).items():
            self.slots["=", key] = value  # tuple keys keep "rest" apart

    def held(self) -> tuple[Value | None, ...]:
        return (*self.items.values(), self.rest)

    @property
    def items(self) -> dict[Any, Value]:
        return {key[1]: value for key, value in self.slots.items() if isinstance(key, tuple)}

    @property
    def rest(self) -> Symbol | None:
        return _one_symbol(self.slots["rest"])

    def get(self, key: Any) -> Value | None:
        """The value at a constant key, if it is known."""
        return self.slots.get(("=", key)) if key is not None else None


class ConfigValue(DictValue):
    """A dict whose items are its attributes, too: an EasyDict."""

    __slots__ = ()


def _one_symbol(rest: Value | None) -> Symbol | None:
    """Unknown items after a branch: those of either side."""
    return rest if rest is None or isinstance(rest, Symbol) else symbol_of(rest)


def list_of(value: Value | None) -> list[Value]:
    """The items of a list value, else the value itself."""
    if value is None:
        return []
    if isinstance(value, ListValue):
        return [*value.items, *([value.rest] if value.rest is not None else [])]
    return [value]
