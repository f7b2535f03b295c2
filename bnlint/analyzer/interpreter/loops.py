"""Loops and comprehensions: literal lists item by item, everything else once."""

from __future__ import annotations

import msgspec

from bnlint.analyzer.interpreter.bindings import bind
from bnlint.analyzer.interpreter.budget import MAX_UNROLL
from bnlint.analyzer.interpreter.conditions import condition
from bnlint.analyzer.interpreter.containers import keyed, keys_of
from bnlint.analyzer.interpreter.interpreter import EXPRESSIONS, STATEMENTS, Interpreter, follows
from bnlint.analyzer.interpreter.values import (
    UNKNOWN,
    Choice,
    Const,
    DictValue,
    Env,
    External,
    ListValue,
    Symbol,
    Value,
    VariableSet,
    symbol_of,
)
from bnlint.analyzer.syntax import nodes


@follows(STATEMENTS, nodes.For)
def for_(interpreter: Interpreter, node: nodes.For, env: Env) -> str:
    iterable = interpreter.expr(node.iterable, env)
    with interpreter.loop(_length(iterable)):
        for item in loop_items(interpreter, iterable):
            item = interpreter.library.drawn_from(node.iterable, item)
            bind(interpreter, node.target, item, env, node)
            flow = interpreter.block(node.body, env)
            if flow == "return":
                return flow
            if flow in ("break", "raise"):
                break
    return interpreter.block(node.orelse, env)


def _length(iterable: Value) -> int | None:
    numbers = iterable.value if isinstance(iterable, Const) else None
    try:
        return len(numbers) if isinstance(numbers, range) else None
    except OverflowError:  # more than a machine word holds
        return None


def loop_items(interpreter: Interpreter, iterable: Value) -> list[Value]:
    """The values a loop is followed with; one unknown item when they are not known."""
    if isinstance(iterable, Const) and isinstance(iterable.value, range):
        # The second time round shows what reuse and appends do; more shows nothing new.
        return [Const(number) for number in iterable.value[:2]]
    if isinstance(iterable, ListValue):
        return _list_items(iterable)
    if isinstance(iterable, DictValue):
        return _list_items(keys_of(iterable))
    if isinstance(iterable, Choice):
        options = (loop_items(interpreter, option) for option in iterable.options)
        return max(options, key=len, default=[])
    if isinstance(iterable, External):
        return [interpreter.library.named(iterable.name, UNKNOWN)]
    return [symbol_of(iterable) if isinstance(iterable, Symbol) else UNKNOWN]


def _list_items(iterable: ListValue) -> list[Value]:
    items = list(iterable.items[:MAX_UNROLL])
    others = [*iterable.items[MAX_UNROLL:], iterable.rest]
    if any(item is not None for item in others):  # one value stands for all of them
        constants = any(isinstance(item, Const) for item in others)
        items.append(symbol_of(*others, UNKNOWN if constants else None))
    return items


@follows(STATEMENTS, nodes.While)
def while_(interpreter: Interpreter, node: nodes.While, env: Env) -> str:
    known, _, _ = condition(interpreter, node.test, env)
    if known is False:
        return interpreter.block(node.orelse, env)
    with interpreter.loop(None):
        flow = interpreter.block(node.body, env)
    return flow if flow == "return" else ""


# --- comprehensions ------------------------------------------------------------------------


@follows(EXPRESSIONS, nodes.Comprehension)
def comprehension(interpreter: Interpreter, node: nodes.Comprehension, env: Env) -> Value:
    inner = Env(env.module, env, env.name)
    result: ListValue | DictValue = DictValue() if node.kind == "dict" else ListValue()
    _comprehend(interpreter, node, 0, inner, result)
    return result


def _comprehend(
    interpreter: Interpreter,
    node: nodes.Comprehension,
    depth: int,
    env: Env,
    out: ListValue | DictValue,
) -> None:
    """Follows the loops from the one at `depth` on."""
    if depth == len(node.loops):
        _element(interpreter, node, env, out)
        return
    target, iterable, conditions = node.loops[depth]
    for item in loop_items(interpreter, interpreter.expr(iterable, env)):
        interpreter.budget.spend()
        bind(interpreter, target, item, env, node)
        decided = [condition(interpreter, test, env)[0] for test in conditions]
        if False in decided:
            continue
        before = out.rest
        _comprehend(interpreter, node, depth + 1, env, out)
        filtered = None in decided and isinstance(out, ListValue)
        if filtered and out.rest is not None and out.rest is not before:
            # A filter we cannot decide: some of these, and which ones matters.
            kept = out.rest.variables | _filtered(conditions)
            kept = msgspec.structs.replace(kept, words=_words(conditions))
            out.slots["rest"] = out.rest.replace(incomplete=True, variables=kept)


def _element(
    interpreter: Interpreter, node: nodes.Comprehension, env: Env, out: ListValue | DictValue
) -> None:
    element = interpreter.expr(node.element, env)
    if isinstance(out, DictValue):
        key = interpreter.expr(node.key, env) if node.key is not None else UNKNOWN
        out.slots.update(keyed(out, key, element))
    elif isinstance(element, Symbol):
        out.slots["rest"] = symbol_of(out.rest, element)
    else:
        longer = ListValue((*out.items, element), out.rest)
        out.slots.update(longer.slots)


def _filtered(conditions: list[nodes.Expr]) -> VariableSet:
    """What a filter says about batch norms' statistics: `if "moving_mean" not in v.name`."""
    keeps = drops = False
    for test in (part for whole in conditions for part in _conjuncts(whole)):
        negative = isinstance(test, nodes.Compare) and test.op == "not in"
        negative = negative or (isinstance(test, nodes.Unary) and test.op == "not")
        for node in nodes.nodes_in(test):
            text = node.value if isinstance(node, nodes.Const) else None
            if isinstance(text, str) and any(word in text for word in _BATCH_NORM_WORDS):
                drops, keeps = drops or negative, keeps or not negative
    return VariableSet(filtered=True, keeps_statistics=keeps, drops_statistics=drops)


def _words(conditions: list[nodes.Expr]) -> frozenset[str]:
    """ "g_" of `if "g_" in v.name`, and both of `if v.name.startswith("a") or "b" in v.name`."""
    todo, found = list(conditions), set()
    while todo:
        test = todo.pop()
        if isinstance(test, nodes.BoolOp) and test.op == "or":
            todo += [test.left, test.right]
            continue
        word = None
        if isinstance(test, nodes.Compare) and test.op == "in":
            word = test.left
        elif isinstance(test, nodes.Call) and nodes.dotted(test.func).endswith(".startswith"):
            word = test.args[0].value if len(test.args) == 1 else None
        if len(conditions) > 1 or not isinstance(word, nodes.Const):
            return frozenset()  # more is decided than the one word
        found.add(str(word.value))
    return frozenset(found)


def _conjuncts(test: nodes.Expr) -> list[nodes.Expr]:
    """`a`, `b` and `c` of `a and b and c`."""
    if isinstance(test, nodes.BoolOp) and test.op == "and":
        return [*_conjuncts(test.left), *_conjuncts(test.right)]
    return [test]


_BATCH_NORM_WORDS = ("moving", "BatchNorm", "batch_norm", "bn")
