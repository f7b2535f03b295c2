"""Functions and classes as they are defined: `def`, `lambda`, `class`, decorators."""

from __future__ import annotations

from bnlint.analyzer.interpreter.calls import arguments
from bnlint.analyzer.interpreter.interpreter import EXPRESSIONS, STATEMENTS, Interpreter, follows
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.values import ClassValue, Env, External, Function, Value
from bnlint.analyzer.syntax import nodes

_MARKS = {  # decorators of libraries that change how a function is used
    "add_arg_scope": "is_arg_scoped",
    "contextmanager": "is_context_manager",
    "tf_contextmanager": "is_context_manager",
    "property": "is_property",
    "cached_property": "is_property",
    "lazy_property": "is_property",
    "abstractproperty": "is_property",
    "staticmethod": "is_static",
    "classmethod": "is_class_method",
}


@follows(EXPRESSIONS, nodes.Lambda)
def lambda_(interpreter: Interpreter, node: nodes.Lambda, env: Env) -> Value:
    return Function(node.function, env)


@follows(STATEMENTS, nodes.FunctionDef)
def define_function(interpreter: Interpreter, node: nodes.FunctionDef, env: Env) -> str:
    value = _decorated(interpreter, Function(node, env), node.decorators, env)
    interpreter.assign_slot(env.slots, node.name, value)
    return ""


@follows(STATEMENTS, nodes.ClassDef)
def define_class(interpreter: Interpreter, node: nodes.ClassDef, env: Env) -> str:
    bases = tuple(interpreter.expr(base, env) for base in node.bases)
    cls = ClassValue(node, env, bases)
    body_env = Env(env.module, env, node.name)
    interpreter.block(node.body, body_env)
    for name, value in body_env.slots.items():
        if isinstance(value, Function):
            value.owner = cls
        cls.slots[name] = value
    interpreter.assign_slot(
        env.slots, node.name, _decorated(interpreter, cls, node.decorators, env)
    )
    return ""


def _decorated(
    interpreter: Interpreter, value: Value, decorators: list[nodes.Expr], env: Env
) -> Value:
    for decorator in reversed(decorators):
        value = _decorate(interpreter, decorator, value, env)
    return value


def _decorate(interpreter: Interpreter, decorator: nodes.Expr, value: Value, env: Env) -> Value:
    """`@decorator` on a function or class."""
    call = decorator if isinstance(decorator, nodes.Call) else None
    func = interpreter.expr(decorator.func if isinstance(decorator, nodes.Call) else decorator, env)
    if isinstance(func, External) and isinstance(value, Function):
        mark = _MARKS.get(func.name.rsplit(".", 1)[-1])
        if mark is not None:
            setattr(value, mark, True)
    if isinstance(func, Function):
        return _decorate_by_project(interpreter, func, call, value, env)
    return value  # functools.wraps, tf.function, registries...: the function stays itself


def _decorate_by_project(
    interpreter: Interpreter, func: Function, call: nodes.Call | None, value: Value, env: Env
) -> Value:
    node = nodes.Call(func.definition.start, func.definition.start, nodes.Name(0, 0, ""), [])
    decorator: Value = func
    if call is not None:
        decorator = interpreter.call(func, arguments(interpreter, call, env), call)
    result = interpreter.call(decorator, Args([value]), node)
    # A decorator we cannot follow almost always gives the function back, wrapped.
    if isinstance(result, Function) and result.definition.reads & {"tf", "yield"}:
        return result
    if isinstance(result, Function) and result is not value:
        result.is_property = result.is_property or "property" in func.definition.name
        return result
    return value
