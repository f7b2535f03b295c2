"""A value as a training flag: what `is_training=...` was given."""

from __future__ import annotations

import dataclasses

from bnlint.analyzer.interpreter.values import Choice, Const, Setting, Symbol, Value
from bnlint.program.events import Flag, FlagKind


def flag_of(value: Value | None, explicit: bool = True, via: str = "argument") -> Flag:
    """A value as a training flag."""
    if isinstance(value, Const) and isinstance(value.value, bool | int | float):
        kind = FlagKind.TRUE if value.value else FlagKind.FALSE
        return Flag(kind, explicit, value.location, value.key, via=via, left_out=value.left_out)
    if isinstance(value, Symbol):
        return _symbol_flag(value, explicit, via)
    if isinstance(value, Setting):
        return Flag(FlagKind.UNKNOWN, explicit, None, value.key, via=via)
    if isinstance(value, Choice):
        flags = [flag_of(option, explicit, via) for option in value.options]
        if len({flag.kind for flag in flags}) == 1:
            return flags[0]
    return Flag(FlagKind.UNKNOWN, explicit, via=via)


def _symbol_flag(value: Symbol, explicit: bool, via: str) -> Flag:
    if value.flag is not None:
        return dataclasses.replace(value.flag, explicit=explicit, via=via)
    if not value.incomplete and not value.unknown:
        return Flag(FlagKind.TENSOR, explicit, value.made, value.key, via=via)
    return Flag(FlagKind.UNKNOWN, explicit, None, value.key, via=via)
