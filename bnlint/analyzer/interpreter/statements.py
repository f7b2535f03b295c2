"""Simple statements: expressions, assignments, `return`, `raise`, `global`."""

from __future__ import annotations

from bnlint.analyzer.interpreter.bindings import bind
from bnlint.analyzer.interpreter.containers import extend
from bnlint.analyzer.interpreter.interpreter import STATEMENTS, Interpreter, follows
from bnlint.analyzer.interpreter.operators import arithmetic
from bnlint.analyzer.interpreter.values import NONE, Env, ListValue
from bnlint.analyzer.syntax import nodes


@follows(STATEMENTS, nodes.ExprStmt)
def expression(interpreter: Interpreter, node: nodes.ExprStmt, env: Env) -> str:
    interpreter.expr(node.value, env)
    return ""


@follows(STATEMENTS, nodes.Assign)
def assign(interpreter: Interpreter, node: nodes.Assign, env: Env) -> str:
    value = interpreter.library.drawn_from(node.value, interpreter.expr(node.value, env))
    for target in node.targets:
        bind(interpreter, target, value, env, node)
    return ""


@follows(STATEMENTS, nodes.AugAssign)
def augmented_assign(interpreter: Interpreter, node: nodes.AugAssign, env: Env) -> str:
    old = interpreter.expr(node.target, env)
    new = interpreter.expr(node.value, env)
    if isinstance(old, ListValue) and node.op == "+":
        extend(interpreter, old, new)
    else:
        bind(interpreter, node.target, arithmetic(interpreter, node.op, old, new), env, node)
    return ""


@follows(STATEMENTS, nodes.Return)
def return_(interpreter: Interpreter, node: nodes.Return, env: Env) -> str:
    value = interpreter.expr(node.value, env) if node.value is not None else NONE
    interpreter.returns[-1].append(value)
    return "return"


@follows(STATEMENTS, nodes.Jump)
def jump(interpreter: Interpreter, node: nodes.Jump, env: Env) -> str:
    if node.value is not None:
        interpreter.expr(node.value, env)
    return node.kind


@follows(STATEMENTS, nodes.Global)
def global_(interpreter: Interpreter, node: nodes.Global, env: Env) -> str:
    env.outer_names.update(node.names)
    return ""
