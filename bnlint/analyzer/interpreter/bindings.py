"""Binding: what `target = value` changes."""

from __future__ import annotations

import msgspec

from bnlint.analyzer.interpreter.containers import keyed, with_item
from bnlint.analyzer.interpreter.interpreter import Interpreter
from bnlint.analyzer.interpreter.values import (
    CONFIG,
    UNKNOWN,
    ClassValue,
    ConfigValue,
    Const,
    DictValue,
    Env,
    Instance,
    ListValue,
    ModuleValue,
    Object,
    Slots,
    Value,
    each_option,
    symbol_of,
)
from bnlint.analyzer.syntax import nodes


def bind(
    interpreter: Interpreter, target: nodes.Expr, value: Value, env: Env, node: nodes.Node
) -> None:
    """`target = value`, by the statement or comprehension `node`."""
    if isinstance(target, nodes.Name):
        _bind_name(interpreter, target.id, value, env, node)
    elif isinstance(target, nodes.Attribute):
        _bind_attribute(interpreter, target, value, env, node)
    elif isinstance(target, nodes.Display):
        _unpack(interpreter, target, value, env, node)
    elif isinstance(target, nodes.Subscript):
        _bind_item(interpreter, target, value, env)
    elif isinstance(target, nodes.Starred):
        bind(interpreter, target.value, symbol_of(value), env, node)


def _bind_name(
    interpreter: Interpreter, name: str, value: Value, env: Env, node: nodes.Node
) -> None:
    home = _home(env, name) if name in env.outer_names else env
    value = interpreter.library.named(name, value)
    key = f"{home.name}#{home.number}.{name}"
    _bind_slot(interpreter, home.slots, name, _keyed_bool(value, key), name, node)


def _home(env: Env, name: str) -> Env:
    """Where a name that is declared global or nonlocal lives."""
    scope = env.parent
    while scope is not None and scope.parent is not None:
        if name in scope.slots:
            return scope
        scope = scope.parent
    return scope or env


def _keyed_bool(value: Value, key: str) -> Value:
    """A bool remembers the variable it was bound to, unless it comes from settings."""
    is_bool = isinstance(value, Const) and isinstance(value.value, bool)
    if isinstance(value, Const) and is_bool and not value.key.startswith(CONFIG):
        return msgspec.structs.replace(value, key=key)
    return value


def _bind_slot(
    interpreter: Interpreter,
    slots: Slots,
    name: str,
    value: Value,
    shown: str,
    node: nodes.Node,
) -> None:
    old = slots.get(name)
    if isinstance(value, Const) and isinstance(value.value, bool) and isinstance(old, Const):
        changes = old.key == value.key and old.value is not value.value
        if changes:
            interpreter.library.rebound(value.key, old, value, shown, node)
    interpreter.assign_slot(slots, name, value)


def _bind_attribute(
    interpreter: Interpreter, target: nodes.Attribute, value: Value, env: Env, node: nodes.Node
) -> None:
    owner = interpreter.expr(target.value, env)
    name = target.attr
    shown = nodes.dotted(target) or name
    for option in each_option(owner):
        if isinstance(option, Instance | Object | ClassValue):
            keyed_value = _keyed_bool(value, f"#{option.number}.{name}")
            _bind_slot(interpreter, option.slots, name, keyed_value, shown, node)
        elif isinstance(option, ConfigValue):
            interpreter.assign_slot(option.slots, ("=", name), value)
        elif isinstance(option, ModuleValue):
            slots = interpreter.world.globals(option.module).slots
            interpreter.assign_slot(slots, name, value)
        else:
            interpreter.library.escaped(value)
        interpreter.library.attribute_set(option, name, value, node)


def _unpack(
    interpreter: Interpreter, target: nodes.Display, value: Value, env: Env, node: nodes.Node
) -> None:
    starred = any(isinstance(item, nodes.Starred) for item in target.items)
    for index, item in enumerate(target.items):
        part = symbol_of(value) if starred else interpreter.item(value, Const(index))
        bind(interpreter, item, part, env, node)


def _bind_item(interpreter: Interpreter, target: nodes.Subscript, value: Value, env: Env) -> None:
    owner = interpreter.expr(target.value, env)
    index = interpreter.expr(target.index, env) if target.index is not None else UNKNOWN
    if isinstance(owner, DictValue):
        for key, changed in keyed(owner, index, value).items():
            interpreter.assign_slot(owner.slots, key, changed)
    elif isinstance(owner, ListValue):
        if owner.items and target.index is not None:
            interpreter.assign_slot(owner.slots, "items", with_item(owner, index, value))
        else:
            interpreter.assign_slot(owner.slots, "rest", symbol_of(owner.rest, value))
    else:
        interpreter.library.escaped(value)
