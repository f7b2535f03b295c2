"""Modules: their top level, their attributes, and the statements that import them."""

from __future__ import annotations

from bnlint.analyzer.interpreter.budget import BudgetExceeded, ImportBudget
from bnlint.analyzer.interpreter.interpreter import STATEMENTS, Interpreter, follows
from bnlint.analyzer.interpreter.names import canonical
from bnlint.analyzer.interpreter.values import UNKNOWN, Const, Env, External, ModuleValue, Value
from bnlint.analyzer.project.modules import Module
from bnlint.analyzer.syntax import nodes

# --- modules -------------------------------------------------------------------------------


def load(interpreter: Interpreter, module: Module) -> None:
    """Fills a module's globals by following its top level, once."""
    env = interpreter.world.globals(module)
    if env.is_loaded:
        return
    env.is_loaded = True
    env.slots["__name__"] = Const(module.name)
    outer, interpreter.budget = interpreter.budget, ImportBudget(interpreter.library)
    try:
        run_body(interpreter, module, env)
    except BudgetExceeded as left:  # what it defined until then stays
        interpreter.world.too_long.append((module, str(left)))
    finally:
        interpreter.world.steps_left -= interpreter.budget.steps
        interpreter.budget = outer


def run_body(interpreter: Interpreter, module: Module, env: Env) -> None:
    """Follows a module's top level with `env` as its globals."""
    outer = interpreter.place()
    interpreter.module, interpreter.around = module, []
    interpreter.returns.append([])
    try:
        interpreter.block(module.facts.body, env)
    finally:
        interpreter.returns.pop()
        interpreter.return_to(outer)


def module_attribute(interpreter: Interpreter, module: Module, name: str) -> Value:
    """`module.name`: a global of it, or a sub-module."""
    load(interpreter, module)
    env = interpreter.world.globals(module)
    for scope in (env, *env.star_imports):
        value = scope.slots.get(name)
        if isinstance(value, Value):
            return value
    submodule = interpreter.project.submodule(module, name)
    if submodule is not None:
        load(interpreter, submodule)
        return ModuleValue(submodule)
    return UNKNOWN


# --- statements ----------------------------------------------------------------------------


@follows(STATEMENTS, nodes.Import)
def import_(interpreter: Interpreter, node: nodes.Import, env: Env) -> str:
    assert interpreter.module is not None
    for name, alias in node.names:
        _import_module(interpreter, name, alias, env, interpreter.module)
    return ""


def _import_module(
    interpreter: Interpreter, name: str, alias: str, env: Env, importer: Module
) -> None:
    module = interpreter.project.resolve(name, importer)
    if module is not None:
        load(interpreter, module)
    if alias or "." not in name:
        value = ModuleValue(module) if module is not None else External(canonical(name))
        interpreter.assign_slot(env.slots, alias or name, value)
        return
    root = name.split(".")[0]
    root_module = interpreter.project.resolve(root, importer)
    value = ModuleValue(root_module) if root_module is not None else External(canonical(root))
    interpreter.assign_slot(env.slots, root, value)


@follows(STATEMENTS, nodes.ImportFrom)
def import_from(interpreter: Interpreter, node: nodes.ImportFrom, env: Env) -> str:
    assert interpreter.module is not None
    importer = interpreter.module
    module = _resolve(interpreter, node, node.module, importer)
    for name, alias in node.names:
        if name == "*":
            _import_star(interpreter, module, env, importer)
            if module is None and not node.level:
                interpreter.world.globals(importer).star_libraries.append(node.module)
        else:
            value = _imported(interpreter, node, module, name, importer)
            interpreter.assign_slot(env.slots, alias or name, value)
    return ""


def _resolve(
    interpreter: Interpreter, node: nodes.ImportFrom, name: str, importer: Module
) -> Module | None:
    project = interpreter.project
    if node.level:
        return project.resolve_relative(node.level, name, importer)
    return project.resolve(name, importer)


def _imported(
    interpreter: Interpreter,
    node: nodes.ImportFrom,
    module: Module | None,
    name: str,
    importer: Module,
) -> Value:
    if module is not None:
        value = module_attribute(interpreter, module, name)
        if value is not UNKNOWN:
            return value
    full = f"{node.module}.{name}" if node.module else name
    submodule = _resolve(interpreter, node, full, importer)
    if submodule is not None:
        load(interpreter, submodule)
        return ModuleValue(submodule)
    if module is not None or node.level:
        return UNKNOWN
    known = canonical(full)
    return interpreter.library.external(known) or External(known)


def _import_star(
    interpreter: Interpreter, module: Module | None, env: Env, importer: Module
) -> None:
    if module is None or module is importer:
        return
    load(interpreter, module)
    names = interpreter.world.globals(module)
    interpreter.world.globals(importer).star_imports.append(names)
    for name, value in names.slots.items():
        if isinstance(value, Value) and not str(name).startswith("_"):
            interpreter.assign_slot(env.slots, name, value)
