"""What a setting chooses by name: a network, a module, a method. Each choice is a program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bnlint.analyzer.interpreter.interpreter import Interpreter
from bnlint.analyzer.interpreter.values import CALLED, Choice, Const, Instance, Setting, Value


def choose(
    interpreter: Interpreter, setting: Setting, look_up: Callable[[Any], Value | None]
) -> Value | None:
    """What the first name that the setting may be given stands for; None if none is known.

    Other names of functions, classes and modules are followed in programs of their own.
    """
    names = dict.fromkeys((*setting.hints, *interpreter.compared.get(setting.key, ())))
    if setting.key in interpreter.chosen:
        names = {interpreter.chosen[setting.key]: None}
    found = {name: value for name in names if (value := look_up(name)) is not None}
    if not found:
        return None
    first, *others = found
    others = [
        name for name in others if _is_followed(found[name]) and found[name] is not found[first]
    ]
    if others and _is_followed(found[first]):
        interpreter.alternatives.setdefault(setting.key, tuple(others))
    return found[first]


def _is_followed(value: Value) -> bool:
    return isinstance(value, (*CALLED, Instance, Choice))


def decided(interpreter: Interpreter, value: Value) -> Value:
    """`value`, or what this program takes for that setting."""
    if isinstance(value, Setting) and value.key in interpreter.chosen:
        return Const(interpreter.chosen[value.key])
    return value


def compared(interpreter: Interpreter, setting: Value, *others: Value) -> None:
    """Remembers what `setting` is compared with: it may be given that."""
    if isinstance(setting, Setting):
        values = [other.value for other in others if isinstance(other, Const)]
        texts = [value for value in values if isinstance(value, str)]
        known = interpreter.compared.get(setting.key, ())
        interpreter.compared[setting.key] = tuple(dict.fromkeys((*known, *texts)))
