"""Conditions: what is known when they hold, and `and`, `or`, `not` as values."""

from __future__ import annotations

from bnlint.analyzer.interpreter.chosen import decided
from bnlint.analyzer.interpreter.interpreter import EXPRESSIONS, Interpreter, Usual, follows
from bnlint.analyzer.interpreter.values import (
    CONFIG,
    Const,
    Env,
    External,
    Setting,
    Symbol,
    Value,
    join,
    truth,
)
from bnlint.analyzer.syntax import nodes

# (truth if known, what holds when it is true, what holds when it is false)
Condition = tuple["bool | None", "dict[str, bool]", "dict[str, bool]"]


def condition(interpreter: Interpreter, test: nodes.Expr, env: Env) -> Condition:
    """`test` as a condition, under those of the current path."""
    if isinstance(test, nodes.Unary) and test.op == "not":
        known, assume, deny = condition(interpreter, test.value, env)
        return (None if known is None else not known), deny, assume
    if isinstance(test, nodes.BoolOp):
        return _bool_condition(interpreter, test, env)
    value = decided(interpreter, interpreter.expr(test, env))
    key, positive = condition_key(value)
    known = truth(value) if not key.startswith(CONFIG) else None
    if known is not None:
        return known, {}, {}
    if not key:
        key, positive = f"#{interpreter.tick()}", True
    if isinstance(value, Setting) and value.default:
        interpreter.by_default[key] = Usual(bool(value.default[0]), value.key)
    if key in interpreter.path:
        return interpreter.path[key] is positive, {}, {}
    return None, {key: positive}, {key: not positive}


def _bool_condition(interpreter: Interpreter, test: nodes.BoolOp, env: Env) -> Condition:
    stop = test.op == "or"  # the value of the left side that decides everything
    left, left_true, left_false = condition(interpreter, test.left, env)
    if left is stop:
        return stop, {}, {}
    right, right_true, right_false = condition(interpreter, test.right, env)
    if right is stop:
        return stop, {}, {}
    if left is not None:
        return right, right_true, right_false
    if right is not None:
        return left, left_true, left_false
    if stop:
        return None, {f"#{interpreter.tick()}": True}, {**left_false, **right_false}
    return None, {**left_true, **right_true}, {f"#{interpreter.tick()}": True}


def condition_key(value: Value) -> tuple[str, bool]:
    """(identity of an undecided condition, False if the value is its negation)."""
    if isinstance(value, External):
        return value.name, True
    if isinstance(value, Const) and value.key.startswith(CONFIG):
        return value.key, True
    if isinstance(value, Symbol | Setting) and value.key:
        return (value.key[1:], False) if value.key.startswith("!") else (value.key, True)
    return "", True


@follows(EXPRESSIONS, nodes.BoolOp)
def bool_op(interpreter: Interpreter, node: nodes.BoolOp, env: Env) -> Value:
    left = interpreter.expr(node.left, env)
    known = truth(left)
    if known is None:
        return join([left, interpreter.expr(node.right, env)])
    if known is (node.op == "or"):
        return left
    return interpreter.expr(node.right, env)
