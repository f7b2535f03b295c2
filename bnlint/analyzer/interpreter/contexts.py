"""`with`: the library's context managers, and generators of the project that are some."""

from __future__ import annotations

from bnlint.analyzer.interpreter.bindings import bind
from bnlint.analyzer.interpreter.calls import GeneratorContext, call_function
from bnlint.analyzer.interpreter.interpreter import STATEMENTS, Interpreter, follows
from bnlint.analyzer.interpreter.values import Env, Object, Value, each_option
from bnlint.analyzer.syntax import nodes


@follows(STATEMENTS, nodes.With)
def with_(interpreter: Interpreter, node: nodes.With, env: Env) -> str:
    return _with_items(interpreter, node, 0, env)


def _with_items(interpreter: Interpreter, node: nodes.With, index: int, env: Env) -> str:
    """Enters the managers from the one at `index` on, and follows the body."""
    if index == len(node.items):
        return interpreter.block(node.body, env)
    expression, target = node.items[index]
    manager = _one_manager(interpreter.expr(expression, env))
    if isinstance(manager, GeneratorContext):
        return _with_generator(interpreter, manager, node, index, env)
    value, leave = interpreter.library.enter(manager, node)
    try:
        if target is not None:
            bind(interpreter, target, value, env, node)
        return _with_items(interpreter, node, index + 1, env)
    finally:
        leave()


def _one_manager(manager: Value) -> Value:
    """The one to enter of several, by an undecided condition: the one that may set something.

    In `arg_scope(...) if params is not None else nullcontext()`, that is the scope.
    """
    options = each_option(manager)
    for kind in (Object, GeneratorContext):
        for option in options:
            if isinstance(option, kind):
                return option
    return manager


def _with_generator(
    interpreter: Interpreter, manager: GeneratorContext, node: nodes.With, index: int, env: Env
) -> str:
    """A project function under @contextmanager: the block runs where it yields."""
    flows: list[str] = []
    target = node.items[index][1]
    module, depth = interpreter.module, len(interpreter.frames)

    def at_yield(value: Value) -> None:
        if flows:
            return
        state = (
            interpreter.module,
            interpreter.yield_hooks,
            interpreter.frames,
            interpreter.returns,
        )
        interpreter.module = module
        interpreter.yield_hooks = []
        interpreter.frames = interpreter.frames[:depth]
        interpreter.returns = interpreter.returns[:-1]
        try:
            if target is not None:
                bind(interpreter, target, value, env, node)
            flows.append(_with_items(interpreter, node, index + 1, env))
        finally:
            (
                interpreter.module,
                interpreter.yield_hooks,
                interpreter.frames,
                interpreter.returns,
            ) = state

    call_function(interpreter, manager.function, manager.args, node, at_yield)
    return flows[0] if flows else _with_items(interpreter, node, index + 1, env)
