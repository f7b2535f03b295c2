"""Operators: arithmetic and comparisons of constants, settings, lists and tensors."""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable
from typing import Any

from bnlint.analyzer.interpreter.budget import MAX_BITS, MAX_TEXT
from bnlint.analyzer.interpreter.chosen import compared, decided
from bnlint.analyzer.interpreter.conditions import condition_key
from bnlint.analyzer.interpreter.interpreter import EXPRESSIONS, Interpreter, Usual, follows
from bnlint.analyzer.interpreter.values import (
    NONE,
    Choice,
    Const,
    DictValue,
    Env,
    External,
    ListValue,
    Setting,
    Symbol,
    Value,
    further,
    short_key,
    symbol_of,
    truth,
)
from bnlint.analyzer.syntax import nodes

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    "//": operator.floordiv, "%": operator.mod,
}  # fmt: skip
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge, "is": lambda left, right: left is right or left == right,
    "is not": lambda left, right: left is not right and left != right,
    "in": lambda left, right: left in right, "not in": lambda left, right: left not in right,
}  # fmt: skip
_POSITIVE = {  # how a comparison reads without negation
    "!=": ("!", "=="), "is": ("", "=="), "is not": ("!", "=="), "not in": ("!", "in"),
    ">=": ("!", "<"), "<=": ("!", ">"),
}  # fmt: skip
_FOLDABLE = (int, float, str, bool)
_WIDE = re.compile(r"%[^%a-zA-Z]*?(?:\*|\d{4})")  # "%*d", "%1000000000d": a width to be feared


@follows(EXPRESSIONS, nodes.Binary)
def binary(interpreter: Interpreter, node: nodes.Binary, env: Env) -> Value:
    left, right = interpreter.expr(node.left, env), interpreter.expr(node.right, env)
    return arithmetic(interpreter, node.op, left, right)


def arithmetic(interpreter: Interpreter, op: str, left: Value, right: Value) -> Value:
    """`left op right`."""
    if isinstance(left, Const | Setting) and isinstance(right, Const | Setting):
        return lift(functools.partial(_fold, op), left, right)
    if op == "+" and isinstance(left, ListValue) and isinstance(right, ListValue):
        interpreter.budget.spend((len(left.items) + len(right.items)) // 64)
        rest = symbol_of(left.rest, right.rest) if left.rest or right.rest else None
        return ListValue(left.items + right.items, rest)
    if op == "+" and isinstance(left, ListValue):
        return ListValue(left.items, symbol_of(left.rest, further(right)))
    if op == "+" and isinstance(right, ListValue):
        return ListValue(right.items, symbol_of(right.rest, further(left)))
    if op in ("*", "-") and isinstance(left, ListValue):
        return left
    return interpreter.library.convert(left, right, op)


@follows(EXPRESSIONS, nodes.Unary)
def unary(interpreter: Interpreter, node: nodes.Unary, env: Env) -> Value:
    value = interpreter.expr(node.value, env)
    if node.op == "not":
        known = truth(value)
        if known is not None:
            return Const(not known, interpreter.location(node))
        key, positive = condition_key(value)
        symbol = symbol_of(value) if isinstance(value, Symbol) else Symbol()
        return symbol.replace(incomplete=True, key=f"{'!' if positive else ''}{key}" if key else "")
    if isinstance(value, Const) and isinstance(value.value, int | float) and node.op == "-":
        return Const(-value.value)
    if isinstance(value, Setting):
        return lift(lambda number: _fold("-", 0, number), value)
    return interpreter.library.convert(value, NONE, node.op)


@follows(EXPRESSIONS, nodes.Compare)
def compare(interpreter: Interpreter, node: nodes.Compare, env: Env) -> Value:
    left = decided(interpreter, interpreter.expr(node.left, env))
    right = decided(interpreter, interpreter.expr(node.right, env))
    compared(interpreter, left, right, *getattr(right, "items", ()))
    if isinstance(left, Const) and isinstance(right, Const):
        return _fold_compare(node.op, left.value, right.value)
    if isinstance(right, Const) and right.value is None and node.op in ("is", "is not"):
        return _compare_none(left, node.op == "is")
    if node.op in ("in", "not in") and isinstance(left, Const):
        return _contains(left, right, node.op == "not in")
    left_key, right_key = _compare_key(left), _compare_key(right)
    if left_key and right_key:
        negate, op = _POSITIVE.get(node.op, ("", node.op))
        symbol = symbol_of(left, right)
        key = f"{negate}{left_key}{op}{right_key}"
        decided_by(interpreter, key, node.op, left, right)
        return symbol.replace(incomplete=True, key=key)
    return symbol_of(left, right).replace(incomplete=True)


def decided_by(interpreter: Interpreter, key: str, op: str, left: Value, right: Value) -> None:
    """Remembers what the condition `key` on a setting is at its default."""
    setting = left if isinstance(left, Setting) else right
    if not isinstance(setting, Setting):
        return
    sides = [value.default if isinstance(value, Setting) else _values(value)
             for value in (left, right)]  # fmt: skip
    result = _fold_compare(op, *sides[0], *sides[1]) if all(sides) else NONE
    if isinstance(result, Const) and isinstance(result.value, bool):
        positive = not key.startswith("!")
        usual = Usual(result.value is positive, setting.key)
        interpreter.by_default[key.removeprefix("!")] = usual


def _values(value: Value) -> tuple[Any, ...]:
    return (value.value,) if isinstance(value, Const) else ()


def _compare_key(value: Value) -> str:
    return repr(value.value) if isinstance(value, Const) else condition_key(value)[0]


def _compare_none(left: Value, positive: bool) -> Value:
    if isinstance(left, Symbol) and left.incomplete and not left.batch_norms:
        key = f"{left.key} is None" if left.key else ""
        return Symbol(incomplete=True, key=key if positive or not key else f"!{key}")
    if isinstance(left, Choice):
        return Symbol(incomplete=True)
    if isinstance(left, External | Setting):
        name = condition_key(left)[0]
        return Symbol(incomplete=True, key=("" if positive else "!") + f"{name} is None")
    return Const(not positive)


def _contains(left: Const, right: Value, negate: bool) -> Value:
    if isinstance(right, DictValue) and right.rest is None:
        return Const((right.get(left.value) is not None) is not negate)
    if isinstance(right, ListValue) and right.rest is None:
        constants = [item.value for item in right.items if isinstance(item, Const)]
        if len(constants) == len(right.items):
            return Const((left.value in constants) is not negate)
    return Symbol(incomplete=True)


# --- constants -----------------------------------------------------------------------------


def _fold(op: str, left: Any, right: Any) -> Value:
    """Constant arithmetic, bounded: numbers stay numbers and strings stay short."""
    function = _ARITHMETIC.get(op)
    if function is None or not isinstance(left, _FOLDABLE) or not isinstance(right, _FOLDABLE):
        return Symbol(incomplete=True)
    if (isinstance(left, str) or isinstance(right, str)) and not _stays_short(op, left, right):
        return Symbol(incomplete=True)
    try:
        result = function(left, right)
    except (ArithmeticError, TypeError, ValueError):
        return Symbol(incomplete=True)
    if isinstance(result, int) and result.bit_length() > MAX_BITS:
        return Symbol(incomplete=True)
    return Const(result)


def _stays_short(op: str, left: Any, right: Any) -> bool:
    if op not in ("+", "%") or len(str(left)) + len(str(right)) > MAX_TEXT:
        return False
    return op == "+" or not (isinstance(left, str) and _WIDE.search(left))


def _fold_compare(op: str, left: Any, right: Any) -> Value:
    if isinstance(right, range) and not isinstance(left, int):  # each number would be compared
        return Symbol(incomplete=True)
    try:
        return Const(bool(_COMPARISONS[op](left, right)))
    except (KeyError, TypeError):
        return Symbol(incomplete=True)


# --- settings ------------------------------------------------------------------------------


def lift(function: Callable[..., Value], *values: Value) -> Value:
    """`function` of Consts; of Settings, a Setting whose hints went through `function`.

    Anything else gives an unknown value.
    """
    settings = [value for value in values if isinstance(value, Setting)]
    if not all(isinstance(value, Const | Setting) for value in values):
        return Symbol(incomplete=True)
    if not settings:
        return function(*(value.value for value in values if isinstance(value, Const)))
    hints: list[Any] = []
    for index in range(max(len(setting.hints) for setting in settings)):
        if all(setting.hints for setting in settings):
            result = function(*(_hint(value, index) for value in values))
            hints += [result.value] if isinstance(result, Const) else []
    words = (value.key if isinstance(value, Setting) else _text(value) for value in values)
    return Setting(short_key("(" + " ".join(words) + ")"), tuple(hints))


def _hint(value: Value, index: int) -> Any:
    if isinstance(value, Setting):
        return value.hints[min(index, len(value.hints) - 1)]
    return value.value if isinstance(value, Const) else None


def _text(value: Value) -> str:
    return repr(value.value)[:100] if isinstance(value, Const) else ""
