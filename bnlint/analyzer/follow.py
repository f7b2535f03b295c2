"""Follows the program of every entry point of a project."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bnlint.analyzer.apis.library import TensorFlow
from bnlint.analyzer.apis.words import WORDS
from bnlint.analyzer.interpreter.budget import BudgetExceeded
from bnlint.analyzer.interpreter.calls import call_function, default_value
from bnlint.analyzer.interpreter.imports import load, run_body
from bnlint.analyzer.interpreter.interpreter import Interpreter, World
from bnlint.analyzer.interpreter.language import LANGUAGE
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.values import (
    CALLED,
    UNKNOWN,
    ClassValue,
    Const,
    DictValue,
    Env,
    External,
    Function,
    Instance,
    Partial,
    Symbol,
    Value,
)
from bnlint.analyzer.project import entry_points
from bnlint.analyzer.project.modules import Module, Project
from bnlint.analyzer.syntax import nodes
from bnlint.findings import FileError, LeftProgram, internal_error
from bnlint.program.events import EntryPoint, Gap, Program

HANDLERS = LANGUAGE  # imported for what it registers
MAX_ALTERNATIVES = 3  # further programs of one entry point, by what its settings choose
MAX_PREPARATIONS = 4  # methods of a class that are called before the one that is followed
NESTED = "it is nested too deeply"
THRIFTY = "it is long: only what can lead to batch norm, training or evaluation was followed"
MODES = {"train": "train", "eval": "eval", "infer": "predict"}


@dataclass
class Trouble:
    """What was not followed: `errors` of the interpreter, and programs that were `left`."""

    errors: list[FileError] = field(default_factory=list)
    left: list[LeftProgram] = field(default_factory=list)


def programs(project: Project, trouble: Trouble, *, note_gaps: bool = False) -> Iterator[Program]:
    """Every program of the project, one per entry point (and mode of a model_fn).

    What the interpreter fails on, or leaves before the end, is added to `trouble`. With
    `note_gaps`, programs note where knowledge was lost.
    """
    call_graph = entry_points.CallGraph(project, WORDS)
    world = World(project, call_graph.idle(), note_gaps)
    _load_all(world, call_graph.modules, trouble)
    called = Called()
    for root in call_graph.roots():
        # What a script called (tf.app.run) had arguments that are known there.
        if id(root.function) not in called.by_scripts or entry_points.is_model_fn(
            root.function, WORDS
        ):
            yield from _guarded(world, root, called, trouble)
    for root in call_graph.uncalled(called.at_all):
        yield from _guarded(world, root, called, trouble)


@dataclass
class Called:
    """ids of the functions that some program, or a script, was followed into."""

    at_all: set[int] = field(default_factory=set)
    by_scripts: set[int] = field(default_factory=set)


def _guarded(
    world: World, root: entry_points.Root, called: Called, trouble: Trouble
) -> Iterator[Program]:
    """The programs of one entry point; a bug that one of them meets must not end the run."""
    path = root.module.facts.path
    name = root.function.qualname if root.function is not None else "the script"
    try:
        for program in _follow(world, root, called):
            if program.left:
                entry = program.entry
                what = "script" if entry.kind == "script" else entry.name
                trouble.left.append(LeftProgram(path, what, program.left))
            yield program
    except Exception as error:
        trouble.errors.append(internal_error(path, error, f"following {name}"))


def _load_all(world: World, modules: list[Module], trouble: Trouble) -> None:
    """Fills every module's globals once; what import-time code builds is not a program."""
    start = nodes.ModuleFacts("", "", False, [], [0]).location(nodes.Node(0, 0))
    interpreter = _interpreter(world, Program(EntryPoint("", "import", "", start)))
    for module in modules:
        path = module.facts.path
        try:
            load(interpreter, module)
        except RecursionError:
            trouble.left.append(LeftProgram(path, "import", NESTED))
        except Exception as error:  # what one module does must not end the run
            trouble.errors.append(internal_error(path, error))
    trouble.left += [
        LeftProgram(module.facts.path, "import", reason) for module, reason in world.too_long
    ]


def _interpreter(
    world: World, program: Program, chosen: dict[str, Any] | None = None
) -> Interpreter:
    return Interpreter(world, lambda interpreter: TensorFlow(interpreter, program), chosen)


def _follow(world: World, root: entry_points.Root, called: Called) -> Iterator[Program]:
    if root.function is None:
        yield from _follow_script(world, root.module, called)
    elif entry_points.is_model_fn(root.function, WORDS) and not root.owner:
        for mode in MODES:
            yield from _follow_function(world, root, mode, called)
    else:
        yield from _follow_function(world, root, "", called)


def _run(world: World, entry: EntryPoint, module: Module, action: object) -> Iterator[Program]:
    """Follows `action(interpreter)`, and again for what else its settings may choose by name."""
    alternatives: dict[str, tuple[Any, ...]] = {}
    yield from _run_once(world, entry, module, action, {}, alternatives)
    others = [(key, name) for key, names in alternatives.items() for name in names]
    for key, name in others[:MAX_ALTERNATIVES]:
        other = dataclasses.replace(entry, choice=f"{key} = {name!r}")
        yield from _run_once(world, other, module, action, {key: name}, {})


def _run_once(
    world: World,
    entry: EntryPoint,
    module: Module,
    action: object,
    chosen: dict[str, Any],
    alternatives: dict[str, tuple[Any, ...]],
) -> Iterator[Program]:
    """One program; what it changes in modules is undone at the end.

    Args:
      world, entry, module, action: see `_run`.
      chosen: what it takes for settings.
      alternatives: filled with what else they may choose.
    """
    gaps: list[Gap] | None = [] if world.notes_gaps else None
    program = Program(entry, gaps=gaps, keras=world.keras.of(module))
    interpreter = _interpreter(world, program, chosen)
    library = interpreter.library
    assert isinstance(library, TensorFlow) and callable(action)
    interpreter.module = module
    journal = interpreter.journals.open()
    model_fns: list[tuple[Value, Value]] = []
    try:
        if world.steps_left <= 0:
            raise BudgetExceeded("the programs of its project take too many steps together")
        result = action(interpreter)
        # A model_fn returns to the Estimator, which runs the train op and adds nothing to it.
        if isinstance(result, Value) and entry.kind not in ("script", "model_fn"):
            library.escaped(result)
    except BudgetExceeded as left:
        program.left = str(left)
    except RecursionError:
        program.left = NESTED
    finally:
        world.steps_left -= interpreter.budget.steps
        if program.gaps is not None and interpreter.budget.is_thrifty:
            program.gaps.append(Gap(entry.location, "", THRIFTY))
        model_fns = library.model_fns
        alternatives.update(interpreter.alternatives)
        yield library.recorder.finish()
        if entry.mode == "":
            for function, params in model_fns:
                yield from _follow_model_fn(world, module, function, params)
        journal.undo()


def _follow_script(world: World, module: Module, called: Called) -> Iterator[Program]:
    start = nodes.Node(0, 0)
    entry = EntryPoint(module.facts.path, "script", "", module.facts.location(start))
    env = Env(module, None, module.name)
    env.slots["__name__"] = Const("__main__")

    def action(interpreter: Interpreter) -> None:
        interpreter.script_env = env
        try:
            run_body(interpreter, module, env)
        finally:
            called.at_all.update(interpreter.called)
            called.by_scripts.update(interpreter.called)

    yield from _run(world, entry, module, action)


def _follow_function(
    world: World, root: entry_points.Root, mode: str, called: Called
) -> Iterator[Program]:
    definition = root.function
    assert definition is not None
    kind = "model_fn" if mode else "method" if root.owner else "function"
    location = root.module.facts.location(definition)
    name = f"{root.module.name}.{definition.qualname}"
    entry = EntryPoint(name, kind, MODES.get(mode, ""), location)

    def action(interpreter: Interpreter) -> Value | None:
        try:
            function = _root_function(interpreter, root)
            if function is None:
                return None
            args = _unknown_arguments(interpreter, function, mode)
            return call_function(interpreter, function, args, nodes.Node(0, 0))
        finally:
            called.at_all.update(interpreter.called)

    yield from _run(world, entry, root.module, action)


def _root_function(interpreter: Interpreter, root: entry_points.Root) -> Function | None:
    """The root as a value; a method is bound to a new instance made from unknown arguments."""
    definition = root.function
    assert definition is not None
    env = interpreter.world.globals(root.module)
    if not root.owner:
        value = env.slots.get(definition.name)
        if isinstance(value, Function) and value.definition is definition:
            return value
        return Function(definition, env)
    cls = env.slots.get(root.owner)
    if not isinstance(cls, ClassValue):
        return None
    function = cls.slots.get(definition.name)
    if not isinstance(function, Function) or function.is_static or function.is_class_method:
        return function if isinstance(function, Function) else None
    instance = Instance(cls)
    for base in cls.lineage():
        init = base.slots.get("__init__")
        if isinstance(init, Function):
            _call_with_unknowns(interpreter, init, instance)
            break
    bound = function.bound_to(instance)
    _prepare(interpreter, bound, instance, {id(function.definition)})
    return bound


def _call_with_unknowns(interpreter: Interpreter, method: Function, instance: Instance) -> None:
    bound = method.bound_to(instance)
    args = _unknown_arguments(interpreter, bound, "")
    call_function(interpreter, bound, args, nodes.Node(0, 0))


def _prepare(
    interpreter: Interpreter, function: Function, instance: Instance, done: set[int]
) -> None:
    """First calls the methods that set what `function` reads: `build` before `train`."""
    for cls in instance.cls.lineage():
        for method in list(cls.slots.values()):
            if not isinstance(method, Function) or id(method.definition) in done:
                continue
            made = nodes.assigned_attributes(method.definition) & function.definition.reads
            if len(done) <= MAX_PREPARATIONS and not made <= instance.slots.keys():
                done.add(id(method.definition))
                _prepare(interpreter, method, instance, done)
                _call_with_unknowns(interpreter, method, instance)


def _unknown_arguments(interpreter: Interpreter, function: Function, mode: str) -> Args:
    """Every parameter as an unknown of its own, so that equal conditions stay equal."""
    args = Args()
    params = function.definition.params
    if function.bound is not None or (function.owner is not None and not function.is_static):
        params = params[1:]
    for param in params:
        if param.kind in ("*", "**"):
            continue
        value: Value = UNKNOWN.replace(
            key=f"{function.definition.qualname}.{param.name}", unknown=param.name != "labels"
        )
        if param.name == "mode" and mode:
            value = Const(mode)
        elif isinstance(param.default, nodes.Name | nodes.Attribute):
            default = default_value(interpreter, param, function)  # net_fn=resnet
            value = default if isinstance(default, (*CALLED, External)) else value
        args.keywords[param.name] = value
    return args


def _follow_model_fn(
    world: World, module: Module, function: Value, params: Value
) -> Iterator[Program]:
    """A model_fn that a program handed to an Estimator, in each mode."""
    target = function.func if isinstance(function, Partial) else function
    if not isinstance(target, Function):
        return
    given = [param.name for param in target.definition.params]
    location = target.module.facts.location(target.definition)
    name = f"{target.module.name}.{target.definition.qualname}"
    for mode, purpose in MODES.items():
        entry = EntryPoint(name, "model_fn", purpose, location)

        def action(interpreter: Interpreter, mode: str = mode) -> Value:
            keywords: dict[str, Value] = {}
            for parameter in given:
                if parameter == "mode":
                    keywords[parameter] = Const(mode)
                elif parameter == "params":
                    known = isinstance(params, DictValue)
                    keywords[parameter] = params if known else UNKNOWN.replace(key="params")
                elif parameter in ("features", "labels"):
                    keywords[parameter] = Symbol(key=parameter)
            node = nodes.Call(0, 0, nodes.Name(0, 0, ""), [])
            return interpreter.call(function, Args([], keywords), node)

        yield from _run(world, entry, target.module, action)
