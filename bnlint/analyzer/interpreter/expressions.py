"""Simple expressions: constants, names, subscripts, and what is only looked into."""

from __future__ import annotations

from bnlint.analyzer.interpreter.budget import MAX_TEXT, MAX_UNROLL
from bnlint.analyzer.interpreter.interpreter import EXPRESSIONS, Interpreter, follows
from bnlint.analyzer.interpreter.names import canonical
from bnlint.analyzer.interpreter.values import (
    NONE,
    UNKNOWN,
    Const,
    Env,
    External,
    ListValue,
    Symbol,
    Value,
    join,
    symbol_of,
)
from bnlint.analyzer.syntax import nodes

_BUILTINS = frozenset(
    "print len range zip enumerate list tuple dict set frozenset isinstance issubclass "
    "getattr hasattr setattr int float str bool super sum min max sorted map filter "
    "reversed any all type iter next open abs round repr callable property staticmethod "
    "classmethod object vars globals id hash divmod pow input format slice Exception ValueError "
    "TypeError KeyError NotImplementedError RuntimeError ImportError IOError "
    "AssertionError AttributeError".split()
)


@follows(EXPRESSIONS, nodes.Const)
def const(interpreter: Interpreter, node: nodes.Const, env: Env) -> Value:
    if isinstance(node.value, str) and len(node.value) > MAX_TEXT:
        return Symbol(incomplete=True)  # a document; nothing is computed with it
    location = interpreter.location(node) if isinstance(node.value, bool) else None
    return Const(node.value, location)


@follows(EXPRESSIONS, nodes.Name)
def name(interpreter: Interpreter, node: nodes.Name, env: Env) -> Value:
    scope: Env | None = env
    while scope is not None:
        value = scope.slots.get(node.id)
        if isinstance(value, Value):
            return value
        scope = scope.parent
    for library in interpreter.world.globals(env.module).star_libraries:
        full = canonical(f"{library}.{node.id}")
        if interpreter.library.declares(full):
            return External(full)
    return External(f"builtins.{node.id}") if node.id in _BUILTINS else UNKNOWN


@follows(EXPRESSIONS, nodes.Subscript)
def subscript(interpreter: Interpreter, node: nodes.Subscript, env: Env) -> Value:
    owner = interpreter.expr(node.value, env)
    if node.index is None:  # a slice
        if isinstance(owner, ListValue):
            return owner.some()
        return owner if isinstance(owner, Symbol) else symbol_of(owner)
    return interpreter.item(owner, interpreter.expr(node.index, env))


@follows(EXPRESSIONS, nodes.Starred)
def starred(interpreter: Interpreter, node: nodes.Starred, env: Env) -> Value:
    return interpreter.expr(node.value, env)


@follows(EXPRESSIONS, nodes.Walrus)
def walrus(interpreter: Interpreter, node: nodes.Walrus, env: Env) -> Value:
    value = interpreter.expr(node.value, env)
    if node.target:
        interpreter.assign_slot(env.slots, node.target, value)
    return value


@follows(EXPRESSIONS, nodes.Other)
def other(interpreter: Interpreter, node: nodes.Other, env: Env) -> Value:
    values = [interpreter.expr(part, env) for part in node.parts]
    if node.yields:
        _yielded(interpreter, join(values) if values else NONE, env)
    return symbol_of(*values).replace(incomplete=True)


def _yielded(interpreter: Interpreter, value: Value, env: Env) -> None:
    hook = interpreter.yield_hooks[-1] if interpreter.yield_hooks else None
    if hook is not None:
        hook(value)
    elif len(env.yielded) < MAX_UNROLL:
        env.yielded.append(value)
