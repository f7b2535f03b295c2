"""Branches: `if`, `a if b else c`, `try`. Where the facts do not decide, both sides happen."""

from __future__ import annotations

from collections.abc import Callable

from bnlint.analyzer.interpreter.conditions import condition
from bnlint.analyzer.interpreter.interpreter import EXPRESSIONS, STATEMENTS, Interpreter, follows
from bnlint.analyzer.interpreter.values import Env, Value, join
from bnlint.analyzer.syntax import nodes


def branch(
    interpreter: Interpreter,
    assume: dict[str, bool],
    deny: dict[str, bool],
    then: Callable[[], str],
    otherwise: Callable[[], str],
) -> str:
    """Follows both sides and merges what they changed."""
    path, journals = interpreter.path, interpreter.journals
    interpreter.budget.spend(len(path) // 64)
    first = journals.open()
    first_flow, first_path = _side(interpreter, {**path, **assume}, then)
    changes = first.undo()
    second = journals.open()
    second_flow, second_path = _side(interpreter, {**path, **deny}, otherwise)
    if first_flow and not second_flow:
        interpreter.path = second_path  # the rest runs only on this side
        return ""
    if second_flow and not first_flow:
        second.undo()
        journals.redo(changes)
        interpreter.path = first_path
        return ""
    interpreter.path = path
    journals.merge(changes, second)
    return first_flow if first_flow == second_flow else "return"


def _side(
    interpreter: Interpreter, path: dict[str, bool], follow: Callable[[], str]
) -> tuple[str, dict[str, bool]]:
    interpreter.path = path
    try:
        flow = follow()
    finally:
        interpreter.journals.close()
    return flow, interpreter.path


@follows(STATEMENTS, nodes.If)
def if_(interpreter: Interpreter, node: nodes.If, env: Env) -> str:
    known, assume, deny = condition(interpreter, node.test, env)
    if known is not None:
        return interpreter.block(node.body if known else node.orelse, env)
    return branch(
        interpreter,
        assume,
        deny,
        lambda: interpreter.block(node.body, env),
        lambda: interpreter.block(node.orelse, env),
    )


@follows(EXPRESSIONS, nodes.Ternary)
def ternary(interpreter: Interpreter, node: nodes.Ternary, env: Env) -> Value:
    known, assume, deny = condition(interpreter, node.test, env)
    if known is not None:
        return interpreter.expr(node.body if known else node.orelse, env)
    with interpreter.assuming(assume):
        first = interpreter.expr(node.body, env)
    with interpreter.assuming(deny):
        second = interpreter.expr(node.orelse, env)
    return join([first, second])


@follows(STATEMENTS, nodes.Try)
def try_(interpreter: Interpreter, node: nodes.Try, env: Env) -> str:
    flow = interpreter.block(node.body, env)
    if not flow:
        flow = interpreter.block(node.orelse, env)
    for handler in node.handlers:
        flow = _handled(interpreter, handler, env, flow)
    final = interpreter.block(node.final, env)
    return final or flow


def _handled(interpreter: Interpreter, handler: list[nodes.Stmt], env: Env, flow: str) -> str:
    """A handler may run instead of the rest of the body."""
    key = f"#exception{handler[0].start if handler else 0}"
    result = branch(
        interpreter, {key: True}, {}, lambda: interpreter.block(handler, env), lambda: flow
    )
    interpreter.path = {name: value for name, value in interpreter.path.items() if name != key}
    return result
