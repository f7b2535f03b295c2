"""Values that are one of several, and what is known of them: joined, compared, true or false."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from bnlint.analyzer.interpreter.values.code import (
    ClassValue,
    Function,
    Instance,
    ModuleValue,
    Partial,
)
from bnlint.analyzer.interpreter.values.containers import DictValue, ListValue
from bnlint.analyzer.interpreter.values.symbols import (
    UNKNOWN,
    Const,
    External,
    Setting,
    Symbol,
    Value,
    symbol_of,
)

MAX_OPTIONS = 4
MAX_COMPARED = 16  # different values; more only matter in that they are many
FOLLOWED = 2  # of more options than that, how many functions or classes are called
CALLED = (Function, ClassValue, Partial, ModuleValue)
KEPT = (*CALLED, Instance)


class Choice(Value, msgspec.Struct, frozen=True, eq=False):
    """One of a few values, by an undecided branch."""

    options: tuple[Value, ...]

    def held(self) -> tuple[Value | None, ...]:
        return self.options


def join(values: list[Value]) -> Value:
    """One value that stands for any of `values`."""
    flat: list[Value] = []
    for value in values:
        flat.extend(each_option(value))
    unique = _unique(flat, MAX_COMPARED)
    if len(unique) == 1:
        return unique[0]
    if len(unique) > MAX_OPTIONS:
        others = symbol_of(*flat).replace(incomplete=True)
        # Of many networks to choose from, some are followed: each is a program that can be.
        called = _unique((value for value in flat if isinstance(value, KEPT)), FOLLOWED)
        return Choice((*called, others.replace(unknown=True))) if called else others
    return Choice(tuple(unique))


def _unique(values: Iterable[Value], count: int) -> list[Value]:
    """The first `count` different values."""
    unique: list[Value] = []
    for value in values:
        if not any(same(value, other) for other in unique):
            unique.append(value)
            if len(unique) == count:
                break
    return unique


def same(left: Value, right: Value) -> bool:
    """The values are known to be the same."""
    if left is right:
        return True
    if isinstance(left, Const) and isinstance(right, Const):
        return type(left.value) is type(right.value) and left.value == right.value
    if isinstance(left, External) and isinstance(right, External):
        return left.name == right.name
    if isinstance(left, Setting) and isinstance(right, Setting):
        return left.key == right.key
    return False


def further(items: Value) -> Symbol:
    """The items of something that is not a list: they are unknown, unless it is a symbol."""
    return items if isinstance(items, Symbol) else symbol_of(items, UNKNOWN)


def each_option(value: Value) -> tuple[Value, ...]:
    """The values that `value` may be: more than one by an undecided branch."""
    return value.options if isinstance(value, Choice) else (value,)


def truth(value: Value) -> bool | None:
    """`bool(value)` if known."""
    if isinstance(value, Const):
        return bool(value.value)
    if isinstance(value, ListValue):
        return True if value.items else (truth(value.rest) if value.rest is not None else False)
    if isinstance(value, DictValue):
        return True if len(value.slots) > 1 else (None if value.rest is not None else False)
    if isinstance(value, Choice):
        known = {truth(option) for option in value.options}
        return known.pop() if len(known) == 1 else None
    if isinstance(value, Symbol):
        # An UPDATE_OPS read: when it is empty there is nothing to attach, so `if update_ops:`
        # is followed into its body.
        return True if value.reads and value.runs else None
    if isinstance(value, External | Setting):
        return None
    return True
