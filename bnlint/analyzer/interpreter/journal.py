"""Changes of state that can be undone and merged: both sides of a branch start alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bnlint.analyzer.interpreter.values import Slots, Symbol, Value, join, next_number

_ABSENT: Any = object()

Changes = dict[tuple[int, Any], tuple[Slots, Any]]  # (number of the slots, key): slots and value


@dataclass(eq=False)
class Journal:
    """Old values of the slots changed since it was opened.

    Objects that were made since then are left alone: only this side of a branch knows them.
    """

    old: Changes = field(default_factory=dict)
    number: int = field(default_factory=next_number)

    def record(self, slots: Slots, key: Any) -> None:
        """Keeps the value of `slots[key]`, which is about to change."""
        entry = (slots.number, key)
        if slots.number < self.number and entry not in self.old:
            self.old[entry] = (slots, slots.get(key, _ABSENT))

    def undo(self) -> Changes:
        """Puts the old values back and returns the new ones."""
        new = {}
        for entry, (slots, old) in self.old.items():
            new[entry] = (slots, slots.get(entry[1], _ABSENT))
            _put(slots, entry[1], old)
        return new


class Journals:
    """The open journals, innermost last. Without one, changes are final."""

    def __init__(self) -> None:
        self._open: list[Journal] = []

    def open(self) -> Journal:
        """Opens a journal."""
        self._open.append(Journal())
        return self._open[-1]

    def close(self) -> None:
        """Ends the innermost journal; the one around it can then undo its changes, too."""
        inner = self._open.pop()
        if self._open:
            outer = self._open[-1].old
            for entry, old in inner.old.items():
                outer.setdefault(entry, old)

    def assign(self, slots: Slots, key: Any, value: Any) -> None:
        """`slots[key] = value`."""
        if self._open:
            self._open[-1].record(slots, key)
        slots[key] = value

    def redo(self, changes: Changes) -> None:
        """Makes changes that were undone."""
        for (_, key), (slots, value) in changes.items():
            self._change(slots, key, value)

    def merge(self, first: Changes, second: Journal) -> None:
        """Merges the undone changes of one side with those of the other, which stand."""
        for entry, (slots, value) in first.items():
            other = slots.get(entry[1], _ABSENT)
            self._change(slots, entry[1], _either(value, other))
        for entry, (slots, old) in second.old.items():
            if entry not in first and old is not _ABSENT:
                _put(slots, entry[1], _either(slots.get(entry[1], _ABSENT), old))

    def _change(self, slots: Slots, key: Any, value: Any) -> None:
        if self._open:
            self._open[-1].record(slots, key)
        _put(slots, key, value)


def _put(slots: Slots, key: Any, value: Any) -> None:
    if value is _ABSENT:
        slots.pop(key, None)
    else:
        slots[key] = value


def _either(left: Any, right: Any) -> Any:
    """What a slot holds after either side: a value, the items of a list, or an internal mark."""
    if left is _ABSENT:
        return right
    if right is _ABSENT:
        return left
    if isinstance(left, tuple) and isinstance(right, tuple):
        return _either_items(left, right)
    if isinstance(left, Value) and isinstance(right, Value):
        return join([left, right])
    if left is None and isinstance(right, Symbol):
        return right.replace(incomplete=True)
    return left if left is not None else right


def _either_items(left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[Any, ...]:
    """The items of a list after either branch: what they share, then what each added."""
    shared = 0
    for mine, theirs in zip(left, right, strict=False):
        if mine is not theirs:
            break
        shared += 1
    return (*left, *right[shared:])
