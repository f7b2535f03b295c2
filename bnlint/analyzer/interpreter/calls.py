"""Calls: arguments, and the project's functions, classes and instances when they are called."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from bnlint.analyzer.interpreter.budget import MAX_DEPTH
from bnlint.analyzer.interpreter.containers import is_identity
from bnlint.analyzer.interpreter.flags import flag_of
from bnlint.analyzer.interpreter.interpreter import CALLS, EXPRESSIONS, Interpreter, follows
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.values import (
    NONE,
    UNKNOWN,
    Choice,
    ClassValue,
    Const,
    DictValue,
    Env,
    External,
    Function,
    Instance,
    ListValue,
    Method,
    Object,
    Partial,
    Super,
    Symbol,
    Value,
    join,
    symbol_of,
)
from bnlint.analyzer.syntax import nodes
from bnlint.findings import Location
from bnlint.program.events import Frame, Parameter
from bnlint.program.words import TRAINING_PARAMETER_NAMES


class GeneratorContext(Value, msgspec.Struct, eq=False):
    """A call of a project function under @contextmanager, until `with` enters it."""

    function: Function
    args: Args


@follows(EXPRESSIONS, nodes.Call)
def call_expression(interpreter: Interpreter, node: nodes.Call, env: Env) -> Value:
    interpreter.budget.spend()
    func = interpreter.expr(node.func, env)
    if isinstance(func, External) and func.name == "builtins.super":
        return _super(env)
    return interpreter.call(func, arguments(interpreter, node, env), node)


def _super(env: Env) -> Value:
    """`super()` in the method whose variables `env` holds."""
    scope: Env | None = env
    while scope is not None:
        function = scope.function
        if function is not None and function.owner is not None:
            return Super(function.bound, function.owner)
        scope = scope.parent
    return UNKNOWN


# --- arguments -----------------------------------------------------------------------------


def arguments(interpreter: Interpreter, node: nodes.Call, env: Env) -> Args:
    """Evaluates a call's arguments."""
    args = Args()
    for argument in node.args:
        value = interpreter.expr(argument.value, env)
        if argument.keyword == "*":
            _spread(args, value)
        elif argument.keyword == "**":
            _spread_keywords(args, value)
        elif argument.keyword:
            args.keywords[argument.keyword] = value
        else:
            args.positional.append(value)
    return args


def _spread(args: Args, value: Value) -> None:
    if isinstance(value, ListValue):
        together = ListValue((*args.positional, *value.items), value.rest)
        args.positional[:] = together.items
        if together.rest is not None:
            args.rest = symbol_of(args.rest, together.rest)
    elif not (isinstance(value, Const) and value.value is None):
        args.rest = symbol_of(args.rest, value, UNKNOWN if not isinstance(value, Symbol) else None)


def _spread_keywords(args: Args, value: Value) -> None:
    if isinstance(value, DictValue):
        for key, item in value.items.items():
            if isinstance(key, str) and not is_identity(key):
                args.keywords.setdefault(key, item)
        if value.rest is not None:
            args.rest = symbol_of(args.rest, value.rest)
    else:
        args.rest = symbol_of(args.rest, value, UNKNOWN)


# --- what is called ------------------------------------------------------------------------


@follows(CALLS, External)
def call_external(interpreter: Interpreter, func: External, args: Args, node: nodes.Call) -> Value:
    return interpreter.library.call(func.name, args, node)


@follows(CALLS, Method)
def call_method(interpreter: Interpreter, func: Method, args: Args, node: nodes.Call) -> Value:
    return interpreter.library.call_method(func.receiver, func.name, args, node)


@follows(CALLS, Instance)
def call_instance(interpreter: Interpreter, func: Instance, args: Args, node: nodes.Call) -> Value:
    return interpreter.library.call_instance(func, args, node)


@follows(CALLS, Partial)
def call_partial(interpreter: Interpreter, func: Partial, args: Args, node: nodes.Call) -> Value:
    positional = [*func.args, *args.positional]
    keywords = {**func.kwargs, **args.keywords}
    return interpreter.call(func.func, Args(positional, keywords, args.rest), node)


@follows(CALLS, Choice)
def call_choice(interpreter: Interpreter, func: Choice, args: Args, node: nodes.Call) -> Value:
    results = []
    for index, option in enumerate(func.options):
        if isinstance(option, Const):
            continue  # None until it is set
        with interpreter.assuming({f"#choice{node.start}": index == 0}):
            results.append(interpreter.call(option, args, node))
    return join(results) if results else UNKNOWN


@follows(CALLS, ClassValue)
def instantiate(interpreter: Interpreter, cls: ClassValue, args: Args, node: nodes.Call) -> Value:
    """`Class(...)`."""
    instance = Instance(cls)
    for base in cls.lineage():
        init = base.slots.get("__init__")
        if isinstance(init, Function):
            interpreter.call(init.bound_to(instance), args, node)
            break
    else:  # a dataclass, attrs class or named tuple: its arguments become attributes
        given = {**dict(zip(_fields(cls), args.positional, strict=False)), **args.keywords}
        for name, value in given.items():
            interpreter.assign_slot(instance.slots, name, value)
    interpreter.library.instantiated(instance, args, node)
    return instance


def _fields(cls: ClassValue) -> tuple[str, ...]:
    """The fields of the named tuple that a class descends from: `class Block(namedtuple(...))`."""
    bases = (base for each in cls.lineage() for base in each.bases)
    named = (
        base.slots["fields"]
        for base in bases
        if isinstance(base, Object) and "fields" in base.slots
    )
    return next(named, ())


@follows(CALLS, Function)
def call_project_function(
    interpreter: Interpreter, func: Function, args: Args, node: nodes.Call
) -> Value:
    if func.is_context_manager:
        return GeneratorContext(func, args)
    result = interpreter.library.call_function(func, args, node)
    return result if result is not None else call_function(interpreter, func, args, node)


def call_function(
    interpreter: Interpreter,
    function: Function,
    args: Args,
    node: nodes.Node,
    at_yield: Callable[[Value], None] | None = None,
) -> Value:
    """Follows a project function's body with these arguments."""
    definition = function.definition
    active = interpreter.active
    too_deep = active.count(definition) > 1 or len(active) >= MAX_DEPTH
    is_skipped = interpreter.budget.is_thrifty and id(definition) in interpreter.world.idle
    if too_deep or is_skipped:
        return symbol_of(*args.values()).replace(incomplete=True)
    interpreter.budget.spend()
    interpreter.called.add(id(definition))
    env = Env(function.module, function.env, definition.qualname)
    env.function = function
    call = interpreter.location(node) if interpreter.module is not None and node.end else None
    passed = _bind_parameters(interpreter, function, args, env, call)
    frame = _frame(function, env, passed, call)
    returned, flow = _follow_body(interpreter, function, env, frame, at_yield)
    if definition.is_generator:
        return ListValue(tuple(env.yielded))
    if not flow or not returned:
        returned.append(NONE)
    return join(returned)


def _follow_body(
    interpreter: Interpreter,
    function: Function,
    env: Env,
    frame: Frame,
    at_yield: Callable[[Value], None] | None,
) -> tuple[list[Value], str]:
    """What the function returned, and how it ended."""
    state = interpreter.place()
    interpreter.module, interpreter.around = function.module, []
    interpreter.frames.append(frame)
    interpreter.active.append(function.definition)
    interpreter.returns.append([])
    interpreter.yield_hooks.append(at_yield)
    try:
        flow = interpreter.block(function.definition.body, env)
    finally:
        interpreter.yield_hooks.pop()
        returned = interpreter.returns.pop()
        interpreter.active.pop()
        interpreter.frames.pop()
        interpreter.return_to(state)
    return returned, flow


# --- parameters ----------------------------------------------------------------------------


def _bind_parameters(
    interpreter: Interpreter, function: Function, args: Args, env: Env, call: Location | None
) -> set[str]:
    """Puts the arguments of `call` into `env`; returns the names that were passed."""
    definition = function.definition
    positional = list(args.positional)
    keywords = dict(args.keywords)
    if function.is_arg_scoped:
        keywords = {**interpreter.library.scoped_arguments(definition), **keywords}
    if function.bound is not None:
        positional.insert(0, function.bound)
    passed: set[str] = set()
    for param in definition.params:
        if param.kind == "*":
            env.slots[param.name] = ListValue(tuple(positional), args.rest)
            positional = []
        elif param.kind == "**":
            env.slots[param.name] = DictValue(keywords, args.rest)
        elif param.kind == "positional" and positional:
            env.slots[param.name] = positional.pop(0)
            keywords.pop(param.name, None)
            passed.add(param.name)
        elif param.name in keywords:
            env.slots[param.name] = keywords.pop(param.name)
            passed.add(param.name)
        else:
            value = _not_passed(interpreter, param, args.rest, function)
            if isinstance(value, Const) and isinstance(value.value, bool):
                value = msgspec.structs.replace(value, left_out=call)
            env.slots[param.name] = value
    return passed


def _not_passed(
    interpreter: Interpreter, param: nodes.Param, rest: Symbol | None, function: Function
) -> Value:
    name = f"{function.definition.qualname}.{param.name}"
    if rest is not None:  # it may be among the unknown arguments
        return rest.replace(incomplete=True, key=f"{name}?")
    if param.default is not None:
        return default_value(interpreter, param, function)
    return UNKNOWN.replace(key=name)


def default_value(interpreter: Interpreter, param: nodes.Param, function: Function) -> Value:
    """The value of a parameter's default."""
    assert param.default is not None
    outer, interpreter.module = interpreter.module, function.module
    try:
        return interpreter.expr(param.default, function.env)
    finally:
        interpreter.module = outer


def _frame(function: Function, env: Env, passed: set[str], call: Location | None) -> Frame:
    """The call as rules see it: where, and what its training parameters were given."""
    definition = function.definition
    parameters = []
    for param in definition.params:
        value = env.slots.get(param.name, UNKNOWN)
        fed = isinstance(value, Symbol) and value.flag is not None
        if param.name not in TRAINING_PARAMETER_NAMES and not fed:
            continue
        default = param.default.value if isinstance(param.default, nodes.Const) else None
        parameters.append(
            Parameter(
                name=param.name,
                used=param.name in definition.reads,
                value=flag_of(value),
                default=default if isinstance(default, bool) else None,
                passed=param.name in passed,
            )
        )
    name = f"{function.module.name}.{definition.qualname}"
    names = tuple(param.name for param in definition.params)
    return Frame(name, function.module.facts.location(definition), call, tuple(parameters), names)
