"""Follows a program through the project's files without running it.

This module knows Python: names, calls, classes, branches, loops. What a library function
does is asked of a `Library` (see tensorflow_api.py). Both sides of a branch that the facts
do not decide are followed, and what they changed is merged.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from bnlint.analyzer.interpreter.names import canonical
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
    ModuleValue,
    Object,
    Partial,
    RecordValue,
    Setting,
    Stateful,
    Symbol,
    Value,
    join,
    lift,
    symbol_of,
    truth,
)
from bnlint.analyzer.project.modules import Module, Project
from bnlint.analyzer.syntax import nodes
from bnlint.findings import Location
from bnlint.program.events import TRAINING_PARAMETER_NAMES, Flag, FlagKind, Frame, Parameter

# Statements and calls per program. Real training scripts take a few thousand; of 60 real packages
# the largest program with a finding took 29,000. Where anything of interest happened at all, the
# first call of TensorFlow came within 3,500 steps, mostly 500, and the first event within 9,400.
# Code that is longer without builds configurations, or belongs to another framework.
MAX_STEPS = 60_000
MAX_STEPS_WITHOUT_TENSORFLOW = 5_000
MAX_STEPS_WITHOUT_EVENTS = 12_000
MAX_IMPORT_STEPS = 3_000  # in a module's top level; from there on its calls are not followed
MAX_DEPTH = 60  # nested project calls
MAX_UNROLL = 8  # items of a literal list that a loop is followed through one by one

_MISSING: Any = object()


class BudgetExceeded(Exception):
    """The program is larger than the interpreter follows."""


@dataclass
class Args:
    """Evaluated arguments; `rest` stands for unknown `*args`/`**kwargs`."""

    positional: list[Value] = field(default_factory=list)
    keywords: dict[str, Value] = field(default_factory=dict)
    rest: Symbol | None = None

    def get(self, index: int | None, *names: str) -> Value | None:
        """The argument at `index` or with one of `names`; None if it was not passed."""
        if index is not None and index < len(self.positional):
            return self.positional[index]
        for name in names:
            if name in self.keywords:
                return self.keywords[name]
        return None

    def values(self) -> list[Value]:
        """Every argument."""
        extra = [self.rest] if self.rest is not None else []
        return [*self.positional, *self.keywords.values(), *extra]


class Library(Protocol):
    """What the interpreter asks about code outside the project."""

    def call(self, name: str, args: Args, node: nodes.Call) -> Value:
        """The result of calling the external function `name`."""

    def call_object(self, target: Value, args: Args, node: nodes.Call) -> Value:
        """The result of calling a library object or symbol."""

    def call_method(self, receiver: Value, name: str, args: Args, node: nodes.Call) -> Value:
        """The result of `receiver.name(...)`."""

    def attribute(self, receiver: Value, name: str) -> Value | None:
        """`receiver.name` for a library object; None if it is a method or not known."""

    def named(self, name: str, value: Value) -> Value:
        """`value` as it is bound to a variable of this name."""

    def attribute_set(self, name: str, value: Value) -> None:
        """`something.name = value` happens."""

    def external(self, name: str) -> Value | None:
        """The value of an external constant such as ModeKeys.TRAIN; None if it is not one."""

    def enter(self, manager: Value, node: nodes.With) -> tuple[Value, Callable[[], None]]:
        """Enters a context manager: the `as` value, and what to do at the end."""

    def call_instance(self, instance: Instance, args: Args, node: nodes.Call) -> Value:
        """The result of calling an instance of a project class."""

    def instantiated(self, instance: Instance, args: Args, node: nodes.Node) -> None:
        """An instance of a project class was made."""

    def rebound(self, key: str, old: Const, new: Const, name: str, node: nodes.Node) -> None:
        """A variable that held a bool now holds another value."""

    def scoped_arguments(self, key: object) -> dict[str, Value]:
        """Arguments that the current arg_scope sets for a function."""

    def convert(self, left: Value, right: Value, op: str) -> Symbol:
        """The result of an arithmetic operator on tensors."""

    def escaped(self, value: Value) -> None:
        """The value went where the interpreter does not follow."""

    def was_called(self) -> bool:
        """The program called TensorFlow, slim or Keras."""

    def has_events(self) -> bool:
        """Something happened that a rule may look at."""


@dataclass(eq=False)
class Journal:
    """Old values of the slots changed since it was opened."""

    old: dict[tuple[int, Any], tuple[dict[Any, Any], Any]] = field(default_factory=dict)

    def record(self, slots: dict[Any, Any], key: Any) -> None:
        entry = (id(slots), key)
        if entry not in self.old:
            self.old[entry] = (slots, slots.get(key, _MISSING))

    def undo(self) -> dict[tuple[int, Any], tuple[dict[Any, Any], Any]]:
        """Puts the old values back and returns the new ones."""
        new = {}
        for entry, (slots, old) in self.old.items():
            new[entry] = (slots, slots.get(entry[1], _MISSING))
            _put(slots, entry[1], old)
        return new


def _put(slots: dict[Any, Any], key: Any, value: Any) -> None:
    if value is _MISSING:
        slots.pop(key, None)
    else:
        slots[key] = value


class Interpreter:
    """Follows one program. `path` holds the undecided conditions that were assumed."""

    def __init__(self, project: Project, make_library: Callable[[Interpreter], Library]) -> None:
        self.project = project
        self.steps = 0
        self.call_limit = MAX_STEPS
        self.time = 0
        self.frames: list[Frame] = []
        self.active: list[nodes.FunctionDef] = []
        self.path: dict[str, bool] = {}
        self.loop_depth = 0
        self.loop_sizes: list[int | None] = []
        self.journals: list[Journal] = []
        self.returns: list[list[Value]] = []
        self.yield_hooks: list[Callable[[Value], None] | None] = []
        self.module: Module | None = None
        self.statement: nodes.Stmt | None = None
        self.script_env = Env.__new__(Env)
        self.script_env.slots = {}
        self.called: set[int] = set()  # ids of the definitions that were followed
        self.library = make_library(self)

    # --- bookkeeping -----------------------------------------------------------------------

    def tick(self) -> int:
        """The next moment of program time."""
        self.time += 1
        return self.time

    def location(self, node: nodes.Node) -> Location:
        """Where `node` of the current module stands."""
        assert self.module is not None
        return self.module.facts.location(node)

    def assign_slot(self, slots: dict[Any, Any], key: Any, value: Any) -> None:
        """Every change of state goes through here, so that branches can be undone."""
        self._record(slots, key)
        slots[key] = value

    def _record(self, slots: dict[Any, Any], key: Any) -> None:
        if self.journals:
            self.journals[-1].record(slots, key)

    def loop_steps(self) -> int | None:
        """How often the current statement runs, if every loop around it has a known length."""
        steps = 1
        for size in self.loop_sizes:
            if size is None:
                return None
            steps *= size
        return steps if self.loop_sizes else None

    def _step(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise BudgetExceeded
        if self.steps == MAX_STEPS_WITHOUT_TENSORFLOW and not self.library.was_called():
            raise BudgetExceeded
        if self.steps == MAX_STEPS_WITHOUT_EVENTS and not self.library.has_events():
            raise BudgetExceeded

    # --- modules ---------------------------------------------------------------------------

    def load(self, module: Module) -> None:
        """Fills a module's globals by following its top level, once."""
        if module.env.slots.get("__loaded__") is not None:
            return
        module.env.slots["__loaded__"] = True
        module.env.slots["__name__"] = Const(module.name)
        budget = self.steps, self.call_limit
        self.steps, self.call_limit = 0, MAX_IMPORT_STEPS  # its own, whoever imports it
        try:
            self.run_body(module, module.env)
        except BudgetExceeded:
            pass  # what it defined until then stays
        finally:
            self.steps, self.call_limit = budget

    def run_body(self, module: Module, env: Env) -> None:
        """Follows a module's top level with `env` as its globals."""
        outer, self.module = self.module, module
        outer_statement = self.statement
        self.returns.append([])
        try:
            self.block(module.facts.body, env)
        finally:
            self.returns.pop()
            self.module, self.statement = outer, outer_statement

    def module_attribute(self, module: Module, name: str) -> Value:
        """`module.name`: a global of it, or a sub-module."""
        self.load(module)
        value = module.env.slots.get(name)
        if isinstance(value, Value):
            return value
        for starred in module.star_imports:
            found = starred.env.slots.get(name)
            if isinstance(found, Value):
                return found
        submodule = self.project.submodule(module, name)
        if submodule is not None:
            self.load(submodule)
            return ModuleValue(submodule)
        return UNKNOWN

    # --- statements ------------------------------------------------------------------------

    def block(self, body: list[nodes.Stmt], env: Env) -> str:
        """Follows statements; "" or how control left: "return", "break", "continue", "raise"."""
        for statement in body:
            self._step()
            self.statement = statement
            flow = _STATEMENTS[type(statement)](self, statement, env)
            if flow:
                return flow
        return ""

    def expr_statement(self, node: nodes.ExprStmt, env: Env) -> str:
        self.expr(node.value, env)
        return ""

    def assign(self, node: nodes.Assign, env: Env) -> str:
        value = self.expr(node.value, env)
        for target in node.targets:
            self.bind(target, value, env, node)
        return ""

    def aug_assign(self, node: nodes.AugAssign, env: Env) -> str:
        old = self.expr(node.target, env)
        new = self.expr(node.value, env)
        if isinstance(old, ListValue) and node.op == "+":
            self.extend(old, new)
        else:
            self.bind(node.target, self.arithmetic(node.op, old, new), env, node)
        return ""

    def return_(self, node: nodes.Return, env: Env) -> str:
        value = self.expr(node.value, env) if node.value is not None else NONE
        self.returns[-1].append(value)
        return "return"

    def if_(self, node: nodes.If, env: Env) -> str:
        known, assume, deny = self.condition(node.test, env)
        if known is not None:
            return self.block(node.body if known else node.orelse, env)
        return self.branch(
            assume, deny, lambda: self.block(node.body, env), lambda: self.block(node.orelse, env)
        )

    def branch(
        self,
        assume: dict[str, bool],
        deny: dict[str, bool],
        then: Callable[[], str],
        otherwise: Callable[[], str],
    ) -> str:
        """Follows both sides and merges what they changed."""
        path = self.path
        journal = Journal()
        self.journals.append(journal)
        self.path = {**path, **assume}
        try:
            first_flow = then()
        finally:
            self._close()
        first_path = self.path
        first = journal.undo()
        journal = Journal()
        self.journals.append(journal)
        self.path = {**path, **deny}
        try:
            second_flow = otherwise()
        finally:
            self._close()
        second_path = self.path
        self.path = path
        if first_flow and not second_flow:
            self.path = second_path  # the rest runs only on this side
            return ""
        if second_flow and not first_flow:
            journal.undo()
            self._redo(first)
            self.path = first_path
            return ""
        self._merge(first, journal)
        if first_flow and second_flow:
            return first_flow if first_flow == second_flow else "return"
        return ""

    def _close(self) -> None:
        """Ends the innermost journal; the one around it can then undo its changes, too."""
        inner = self.journals.pop()
        if self.journals:
            outer = self.journals[-1].old
            for entry, old in inner.old.items():
                if entry not in outer:
                    outer[entry] = old

    def _redo(self, changes: dict[tuple[int, Any], tuple[dict[Any, Any], Any]]) -> None:
        for (_, key), (slots, value) in changes.items():
            self._record(slots, key)
            _put(slots, key, value)

    def _merge(
        self, first: dict[tuple[int, Any], tuple[dict[Any, Any], Any]], second: Journal
    ) -> None:
        for entry, (slots, value) in first.items():
            key = entry[1]
            other = slots.get(key, _MISSING)
            self._record(slots, key)
            _put(slots, key, _either(value, other))
        for entry, (slots, old) in second.old.items():
            if entry not in first and old is not _MISSING:
                _put(slots, entry[1], _either(slots.get(entry[1], _MISSING), old))

    def for_(self, node: nodes.For, env: Env) -> str:
        iterable = self.expr(node.iterable, env)
        self.loop_depth += 1
        numbers = iterable.value if isinstance(iterable, Const) else None
        self.loop_sizes.append(len(numbers) if isinstance(numbers, range) else None)
        try:
            for item in self.loop_items(iterable):
                self.bind(node.target, item, env, node)
                flow = self.block(node.body, env)
                if flow == "return":
                    return flow
                if flow in ("break", "raise"):
                    break
        finally:
            self.loop_depth -= 1
            self.loop_sizes.pop()
        return self.block(node.orelse, env)

    def loop_items(self, iterable: Value) -> list[Value]:
        """The values a loop is followed with; one unknown item when they are not known."""
        if isinstance(iterable, Const) and isinstance(iterable.value, range):
            # The second time round shows what reuse and appends do; more shows nothing new.
            return [Const(number) for number in iterable.value[:2]]
        if isinstance(iterable, ListValue):
            items = list(iterable.items[:MAX_UNROLL])
            others = [*iterable.items[MAX_UNROLL:], iterable.rest]
            if any(item is not None for item in others):  # one value stands for all of them
                constants = any(isinstance(item, Const) for item in others)
                items.append(symbol_of(*others, UNKNOWN if constants else None))
            return items
        if isinstance(iterable, DictValue):
            return self.loop_items(self._keys(iterable))
        if isinstance(iterable, Choice):
            longest = max(
                (self.loop_items(option) for option in iterable.options), key=len, default=[]
            )
            return longest
        if isinstance(iterable, External):
            return [self.library.named(iterable.name, UNKNOWN)]
        return [symbol_of(iterable) if isinstance(iterable, Symbol) else UNKNOWN]

    def while_(self, node: nodes.While, env: Env) -> str:
        known, _, _ = self.condition(node.test, env)
        if known is False:
            return self.block(node.orelse, env)
        self.loop_depth += 1
        self.loop_sizes.append(None)
        try:
            flow = self.block(node.body, env)
        finally:
            self.loop_depth -= 1
            self.loop_sizes.pop()
        return flow if flow == "return" else ""

    def with_(self, node: nodes.With, env: Env) -> str:
        return self._with_items(node, 0, env)

    def _with_items(self, node: nodes.With, index: int, env: Env) -> str:
        if index == len(node.items):
            return self.block(node.body, env)
        expression, target = node.items[index]
        manager = self.expr(expression, env)
        if isinstance(manager, Object) and manager.kind == "generator context":
            return self._with_generator(manager, node, index, env)
        value, leave = self.library.enter(manager, node)
        try:
            if target is not None:
                self.bind(target, value, env, node)
            return self._with_items(node, index + 1, env)
        finally:
            leave()

    def _with_generator(self, manager: Object, node: nodes.With, index: int, env: Env) -> str:
        """A project function under @contextmanager: the block runs where it yields."""
        flows: list[str] = []
        target = node.items[index][1]
        module = self.module

        def at_yield(value: Value) -> None:
            if flows:
                return
            inner, self.module = self.module, module
            hooks, self.yield_hooks = self.yield_hooks, []
            frames, self.frames = self.frames, self.frames[: manager.slots["depth"]]
            returns, self.returns = self.returns, self.returns[:-1]
            try:
                if target is not None:
                    self.bind(target, value, env, node)
                flows.append(self._with_items(node, index + 1, env))
            finally:
                self.module, self.yield_hooks, self.frames = inner, hooks, frames
                self.returns = returns

        manager.slots["depth"] = len(self.frames)
        function, args = manager.slots["function"], manager.slots["args"]
        self.call_function(function, args, node, at_yield=at_yield)
        if not flows:
            return self._with_items(node, index + 1, env)
        return flows[0]

    def try_(self, node: nodes.Try, env: Env) -> str:
        flow = self.block(node.body, env)
        if not flow:
            flow = self.block(node.orelse, env)
        for handler in node.handlers:
            key = f"#exception{handler[0].start if handler else 0}"
            flow = self._handled(key, handler, env, flow)
        final = self.block(node.final, env)
        return final or flow

    def _handled(self, key: str, handler: list[nodes.Stmt], env: Env, flow: str) -> str:
        """A handler may run instead of the rest of the body."""
        result = self.branch({key: True}, {}, lambda: self.block(handler, env), lambda: flow)
        self.path = {name: value for name, value in self.path.items() if name != key}
        return result

    def define_function(self, node: nodes.FunctionDef, env: Env) -> str:
        function = Function(node, env)
        value: Value = function
        for decorator in reversed(node.decorators):
            value = self.decorate(decorator, value, env)
        self.assign_slot(env.slots, node.name, value)
        return ""

    def decorate(self, decorator: nodes.Expr, value: Value, env: Env) -> Value:
        """`@decorator` on a function or class."""
        called = isinstance(decorator, nodes.Call)
        func = self.expr(decorator.func if isinstance(decorator, nodes.Call) else decorator, env)
        name = func.name if isinstance(func, External) else ""
        short = name.rsplit(".", 1)[-1]
        if isinstance(value, Function):
            if short == "add_arg_scope":
                value.is_arg_scoped = True
                return value
            if short in ("contextmanager", "tf_contextmanager"):
                value.is_context_manager = True
                return value
            if (
                short in ("property", "cached_property", "lazy_property")
                or name == "abc.abstractproperty"
            ):
                value.is_property = True
                return value
            if short == "staticmethod":
                value.is_static = True
                return value
            if short == "classmethod":
                value.is_class_method = True
                return value
        if isinstance(func, Function):
            return self._decorate_by_project(func, decorator if called else None, value, env)
        return value  # functools.wraps, tf.function, registries...: the function stays itself

    def _decorate_by_project(
        self, func: Function, call: nodes.Expr | None, value: Value, env: Env
    ) -> Value:
        node = nodes.Call(func.definition.start, func.definition.start, nodes.Name(0, 0, ""), [])
        decorator: Value = func
        if isinstance(call, nodes.Call):
            decorator = self.call(func, self.arguments(call, env), call)
        result = self.call(decorator, Args([value]), node)
        # A decorator we cannot follow almost always gives the function back, wrapped.
        if isinstance(result, Function) and result.definition.reads & {"tf", "yield"}:
            return result
        if isinstance(result, Function) and result is not value:
            result.is_property = result.is_property or "property" in func.definition.name
            return result
        return value

    def define_class(self, node: nodes.ClassDef, env: Env) -> str:
        bases = tuple(self.expr(base, env) for base in node.bases)
        cls = ClassValue(node, env, bases)
        body_env = Env(env.module, env, node.name)
        self.block(node.body, body_env)
        for name, value in body_env.slots.items():
            if isinstance(value, Function):
                value.owner = cls
            cls.slots[name] = value
        decorated: Value = cls
        for decorator in reversed(node.decorators):
            decorated = self.decorate(decorator, decorated, env)
        self.assign_slot(env.slots, node.name, decorated)
        return ""

    def import_(self, node: nodes.Import, env: Env) -> str:
        assert self.module is not None
        for name, alias in node.names:
            self._import_one(name, alias, env, self.module)
        return ""

    def _import_one(self, name: str, alias: str, env: Env, importer: Module) -> None:
        module = self.project.resolve(name, importer)
        if module is not None:
            self.load(module)
        if alias or "." not in name:
            value = ModuleValue(module) if module is not None else External(canonical(name))
            self.assign_slot(env.slots, alias or name, value)
            return
        root = name.split(".")[0]
        root_module = self.project.resolve(root, importer)
        value = ModuleValue(root_module) if root_module is not None else External(canonical(root))
        self.assign_slot(env.slots, root, value)

    def import_from(self, node: nodes.ImportFrom, env: Env) -> str:
        assert self.module is not None
        importer = self.module
        if node.level:
            module = self.project.resolve_relative(node.level, node.module, importer)
        else:
            module = self.project.resolve(node.module, importer)
        for name, alias in node.names:
            if name == "*":
                self._import_star(module, env, importer)
            else:
                value = self._imported(node, module, name, importer)
                self.assign_slot(env.slots, alias or name, value)
        return ""

    def _imported(
        self, node: nodes.ImportFrom, module: Module | None, name: str, importer: Module
    ) -> Value:
        if module is not None:
            value = self.module_attribute(module, name)
            if value is not UNKNOWN:
                return value
        full = f"{node.module}.{name}" if node.module else name
        if node.level:
            submodule = self.project.resolve_relative(node.level, full, importer)
        else:
            submodule = self.project.resolve(full, importer)
        if submodule is not None:
            self.load(submodule)
            return ModuleValue(submodule)
        if module is not None or node.level:
            return UNKNOWN
        known = canonical(full)
        return self.library.external(known) or External(known)

    def _import_star(self, module: Module | None, env: Env, importer: Module) -> None:
        if module is None or module is importer:
            return
        self.load(module)
        importer.star_imports.append(module)
        for name, value in module.env.slots.items():
            if isinstance(value, Value) and not str(name).startswith("_"):
                self.assign_slot(env.slots, name, value)

    def jump(self, node: nodes.Jump, env: Env) -> str:
        if node.value is not None:
            self.expr(node.value, env)
        return node.kind

    def global_(self, node: nodes.Global, env: Env) -> str:
        env.outer_names.update(node.names)
        return ""

    # --- binding ---------------------------------------------------------------------------

    def bind(self, target: nodes.Expr, value: Value, env: Env, node: nodes.Node) -> None:
        """`target = value`."""
        if isinstance(target, nodes.Name):
            value = self.library.named(target.id, value)
            home = self._home(env, target.id) if target.id in env.outer_names else env
            self._bind_slot(
                home.slots,
                target.id,
                f"{home.name}#{home.number}.{target.id}",
                value,
                target.id,
                node,
            )
        elif isinstance(target, nodes.Attribute):
            self._bind_attribute(target, value, env, node)
        elif isinstance(target, nodes.Display):
            self._unpack(target, value, env, node)
        elif isinstance(target, nodes.Subscript):
            self._bind_item(target, value, env)
        elif isinstance(target, nodes.Starred):
            self.bind(target.value, symbol_of(value), env, node)

    def _home(self, env: Env, name: str) -> Env:
        scope = env.parent
        while scope is not None and scope.parent is not None:
            if name in scope.slots:
                return scope
            scope = scope.parent
        return scope or env

    def _bind_slot(
        self, slots: dict[Any, Any], name: str, key: str, value: Value, shown: str, node: nodes.Node
    ) -> None:
        if isinstance(value, Const) and isinstance(value.value, bool):
            old = slots.get(name)
            value = Const(value.value, value.location, key)
            if isinstance(old, Const) and old.key == key and old.value is not value.value:
                self.library.rebound(key, old, value, shown, node)
        self.assign_slot(slots, name, value)

    def _bind_attribute(
        self, target: nodes.Attribute, value: Value, env: Env, node: nodes.Node
    ) -> None:
        owner = self.expr(target.value, env)
        shown = nodes.dotted(target) or target.attr
        self.library.attribute_set(target.attr, value)
        for option in owner.options if isinstance(owner, Choice) else (owner,):
            if isinstance(option, Instance | Object | ClassValue):
                key = f"#{option.number}.{target.attr}"
                self._bind_slot(option.slots, target.attr, key, value, shown, node)
            elif isinstance(option, ModuleValue):
                self.assign_slot(option.module.env.slots, target.attr, value)
            else:
                self.library.escaped(value)

    def _unpack(self, target: nodes.Display, value: Value, env: Env, node: nodes.Node) -> None:
        items = target.items
        starred = any(isinstance(item, nodes.Starred) for item in items)
        for index, item in enumerate(items):
            if starred:
                part: Value = symbol_of(value)
            else:
                part = self.item(value, Const(index))
            self.bind(item, part, env, node)

    def _bind_item(self, target: nodes.Subscript, value: Value, env: Env) -> None:
        owner = self.expr(target.value, env)
        index = self.expr(target.index, env) if target.index is not None else UNKNOWN
        if isinstance(owner, DictValue):
            key = dict_key(index)
            if key is None:
                rest = symbol_of(owner.rest, value, index).but(maybe=True)
                self.assign_slot(owner.slots, "rest", rest)
            else:
                self.assign_slot(owner.slots, ("=", key), value)
        elif isinstance(owner, ListValue):
            self.assign_slot(owner.slots, "rest", symbol_of(owner.rest, value))
        else:
            self.library.escaped(value)

    # --- conditions ------------------------------------------------------------------------

    def condition(
        self, test: nodes.Expr, env: Env
    ) -> tuple[bool | None, dict[str, bool], dict[str, bool]]:
        """(truth if known, what holds when it is true, what holds when it is false)."""
        if isinstance(test, nodes.Unary) and test.op == "not":
            known, assume, deny = self.condition(test.value, env)
            return (None if known is None else not known), deny, assume
        if isinstance(test, nodes.BoolOp):
            return self._bool_condition(test, env)
        value = self.expr(test, env)
        known = truth(value)
        if known is not None:
            return known, {}, {}
        key, positive = condition_key(value)
        if not key:
            key, positive = f"#{self.tick()}", True
        if key in self.path:
            return self.path[key] is positive, {}, {}
        return None, {key: positive}, {key: not positive}

    def _bool_condition(
        self, test: nodes.BoolOp, env: Env
    ) -> tuple[bool | None, dict[str, bool], dict[str, bool]]:
        stop = test.op == "or"  # the value of the left side that decides everything
        left, left_true, left_false = self.condition(test.left, env)
        if left is stop:
            return stop, {}, {}
        right, right_true, right_false = self.condition(test.right, env)
        if right is stop:
            return stop, {}, {}
        if left is not None:
            return right, right_true, right_false
        if right is not None:
            return left, left_true, left_false
        if stop:
            return None, {f"#{self.tick()}": True}, {**left_false, **right_false}
        return None, {**left_true, **right_true}, {f"#{self.tick()}": True}

    # --- expressions -----------------------------------------------------------------------

    def expr(self, node: nodes.Expr, env: Env) -> Value:
        """The value of an expression."""
        return _EXPRESSIONS[type(node)](self, node, env)

    def const(self, node: nodes.Const, env: Env) -> Value:
        location = self.location(node) if isinstance(node.value, bool) else None
        return Const(node.value, location)

    def name(self, node: nodes.Name, env: Env) -> Value:
        scope: Env | None = env
        while scope is not None:
            value = scope.slots.get(node.id)
            if isinstance(value, Value):
                return value
            scope = scope.parent
        return External(f"builtins.{node.id}") if node.id in _BUILTINS else UNKNOWN

    def attribute(self, node: nodes.Attribute, env: Env) -> Value:
        return self.get_attribute(self.expr(node.value, env), node.attr, node)

    def get_attribute(self, owner: Value, name: str, node: nodes.Node) -> Value:
        """`owner.name`."""
        if isinstance(owner, External):
            full = canonical(f"{owner.name}.{name}")
            return self.library.external(full) or External(full)
        if isinstance(owner, ModuleValue):
            return self.module_attribute(owner.module, name)
        if isinstance(owner, Instance):
            return self.instance_attribute(owner, name, node)
        if isinstance(owner, ClassValue):
            return self.class_attribute(owner, name)
        if isinstance(owner, Choice):
            return join([self.get_attribute(option, name, node) for option in owner.options])
        if isinstance(owner, Object) and owner.kind == "super":
            return self._super_attribute(owner, name)
        if isinstance(owner, RecordValue) and name in owner.fields:
            return owner.items[owner.fields.index(name)]
        if isinstance(owner, Setting) and name in ("value", "default"):
            return owner  # absl's FlagHolder
        known = self.library.attribute(owner, name)
        if known is not None:
            return known
        if isinstance(owner, Object) and isinstance(owner.slots.get(name), Value):
            return owner.slots[name]
        return Method(owner, name)

    def instance_attribute(self, owner: Instance, name: str, node: nodes.Node) -> Value:
        """`instance.name`, bound; a Method when no project class defines it."""
        value = owner.slots.get(name)
        if isinstance(value, Value):
            return value
        for cls in owner.cls.lineage():
            value = cls.slots.get(name)
            if isinstance(value, Function):
                bound = self._bound(value, owner)
                if value.is_property:
                    return self.call(bound, Args(), _call_node(node))
                return bound
            if isinstance(value, Value):
                return value
        for cls in owner.cls.lineage():
            getattr_ = cls.slots.get("__getattr__")
            if isinstance(getattr_, Function):
                return UNKNOWN
        return self.library.attribute(owner, name) or Method(owner, name)

    def _bound(self, function: Function, owner: Value) -> Function:
        if function.is_static:
            return function
        if function.is_class_method and isinstance(owner, Instance):
            owner = owner.cls
        bound = Function(function.definition, function.env, owner, function.owner)
        bound.is_arg_scoped = function.is_arg_scoped
        bound.is_context_manager = function.is_context_manager
        return bound

    def class_attribute(self, owner: ClassValue, name: str) -> Value:
        """`Class.name`."""
        for cls in owner.lineage():
            value = cls.slots.get(name)
            if isinstance(value, Function) and value.is_class_method:
                return self._bound(value, owner)
            if isinstance(value, Value):
                return value
        return UNKNOWN

    def _super_attribute(self, owner: Object, name: str) -> Value:
        instance, after = owner.slots["instance"], owner.slots["cls"]
        if isinstance(instance, Instance):
            lineage = instance.cls.lineage()
            start = lineage.index(after) + 1 if after in lineage else 0
            for cls in lineage[start:]:
                value = cls.slots.get(name)
                if isinstance(value, Function):
                    return self._bound(value, instance)
        return Method(owner, name)

    def call_expr(self, node: nodes.Call, env: Env) -> Value:
        self._step()
        func = self.expr(node.func, env)
        if isinstance(func, External) and func.name == "builtins.super":
            return self._super(env)
        args = self.arguments(node, env)
        return self.call(func, args, node)

    def _super(self, env: Env) -> Value:
        scope: Env | None = env
        while scope is not None:
            function = scope.slots.get("__function__")
            if isinstance(function, Function) and function.owner is not None:
                return Object("super", instance=function.bound, cls=function.owner)
            scope = scope.parent
        return UNKNOWN

    def arguments(self, node: nodes.Call, env: Env) -> Args:
        """Evaluates a call's arguments."""
        args = Args()
        for argument in node.args:
            value = self.expr(argument.value, env)
            if argument.keyword == "*":
                self._spread(args, value)
            elif argument.keyword == "**":
                self._spread_keywords(args, value)
            elif argument.keyword:
                args.keywords[argument.keyword] = value
            else:
                args.positional.append(value)
        return args

    def _spread(self, args: Args, value: Value) -> None:
        if isinstance(value, ListValue):
            args.positional.extend(value.items)
            if value.rest is not None:
                args.rest = symbol_of(args.rest, value.rest)
        elif not (isinstance(value, Const) and value.value is None):
            args.rest = symbol_of(
                args.rest, value, UNKNOWN if not isinstance(value, Symbol) else None
            )

    def _spread_keywords(self, args: Args, value: Value) -> None:
        if isinstance(value, DictValue):
            for key, item in value.items.items():
                if isinstance(key, str) and not _is_symbol_key(key):
                    args.keywords.setdefault(key, item)
            if value.rest is not None:
                args.rest = symbol_of(args.rest, value.rest)
        else:
            args.rest = symbol_of(args.rest, value, UNKNOWN)

    def call(self, func: Value, args: Args, node: nodes.Node) -> Value:
        """`func(*args)`."""
        call_node = _call_node(node)
        if isinstance(func, Function):
            if func.is_context_manager:
                return Object("generator context", function=func, args=args)
            return self.call_function(func, args, call_node)
        if isinstance(func, External):
            return self.library.call(func.name, args, call_node)
        if isinstance(func, Method):
            return self.library.call_method(func.receiver, func.name, args, call_node)
        if isinstance(func, ClassValue):
            return self.instantiate(func, args, call_node)
        if isinstance(func, Partial):
            merged = Args(
                [*func.args, *args.positional], {**func.kwargs, **args.keywords}, args.rest
            )
            return self.call(func.func, merged, call_node)
        if isinstance(func, Choice):
            return self._call_choice(func, args, call_node)
        if isinstance(func, Instance):
            return self.library.call_instance(func, args, call_node)
        return self.library.call_object(func, args, call_node)

    def _call_choice(self, func: Choice, args: Args, node: nodes.Call) -> Value:
        results = []
        for index, option in enumerate(func.options):
            if isinstance(option, Const):
                continue  # None until it is set
            self.path, path = {**self.path, f"#choice{node.start}": index == 0}, self.path
            results.append(self.call(option, args, node))
            self.path = path
        return join(results) if results else UNKNOWN

    def instantiate(self, cls: ClassValue, args: Args, node: nodes.Call) -> Value:
        """`Class(...)`."""
        instance = Instance(cls)
        for base in cls.lineage():
            init = base.slots.get("__init__")
            if isinstance(init, Function):
                self.call(self._bound(init, instance), args, node)
                break
        else:  # a dataclass or attrs class: its keywords become attributes
            for name, value in args.keywords.items():
                self.assign_slot(instance.slots, name, value)
        self.library.instantiated(instance, args, node)
        return instance

    def call_function(
        self,
        function: Function,
        args: Args,
        node: nodes.Node,
        at_yield: Callable[[Value], None] | None = None,
    ) -> Value:
        """Follows a project function's body with these arguments."""
        definition = function.definition
        too_deep = self.active.count(definition) > 1 or len(self.active) >= MAX_DEPTH
        if too_deep or self.steps > self.call_limit:
            return symbol_of(*args.values()).but(maybe=True)
        self._step()
        env = Env(function.module, function.env, definition.qualname)
        env.slots["__function__"] = function
        passed = self._bind_parameters(function, args, env)
        self.frames.append(self._frame(function, env, passed, node))
        state = (self.module, self.path, self.statement, self.loop_depth)
        self.module = function.module
        self.active.append(definition)
        self.called.add(id(definition))
        self.returns.append([])
        self.yield_hooks.append(at_yield)
        try:
            flow = self.block(definition.body, env)
        finally:
            self.yield_hooks.pop()
            returned = self.returns.pop()
            self.active.pop()
            self.frames.pop()
            self.module, self.path, self.statement, self.loop_depth = state
        if definition.is_generator:
            return ListValue(tuple(env.slots.get("__yielded__", ())))
        if not flow or not returned:
            returned.append(NONE)
        return join(returned)

    def _bind_parameters(self, function: Function, args: Args, env: Env) -> set[str]:
        """Puts arguments into `env`; returns the names that were passed."""
        definition = function.definition
        positional = list(args.positional)
        keywords = dict(args.keywords)
        if function.is_arg_scoped:
            keywords = {**self.library.scoped_arguments(definition), **keywords}
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
            elif args.rest is not None:
                env.slots[param.name] = self._maybe_passed(param, args.rest, function)
            elif param.default is not None:
                env.slots[param.name] = self.default(param, function)
            else:
                env.slots[param.name] = UNKNOWN.but(key=f"{definition.qualname}.{param.name}")
        return passed

    def _maybe_passed(self, param: nodes.Param, rest: Symbol, function: Function) -> Value:
        unknown = rest.but(maybe=True, key=f"{function.definition.qualname}.{param.name}?")
        return unknown

    def default(self, param: nodes.Param, function: Function) -> Value:
        """The value of a parameter's default."""
        assert param.default is not None
        outer, self.module = self.module, function.module
        try:
            return self.expr(param.default, function.env)
        finally:
            self.module = outer

    def _frame(self, function: Function, env: Env, passed: set[str], node: nodes.Node) -> Frame:
        definition = function.definition
        parameters = []
        for param in definition.params:
            if param.name not in TRAINING_PARAMETER_NAMES:
                continue
            value = env.slots.get(param.name, UNKNOWN)
            default = param.default.value if isinstance(param.default, nodes.Const) else None
            parameters.append(
                Parameter(
                    name=param.name,
                    used=param.name in definition.reads,
                    value=flag_of(value),
                    has_default=param.default is not None,
                    default=default if isinstance(default, bool) else None,
                    passed=param.name in passed,
                )
            )
        call = self.location(node) if self.module is not None and node.end else None
        name = f"{function.module.name}.{definition.qualname}"
        return Frame(name, function.module.facts.location(definition), call, tuple(parameters))

    def display(self, node: nodes.Display, env: Env) -> Value:
        items: list[Value] = []
        rest: Symbol | None = None
        for item in node.items:
            if isinstance(item, nodes.Starred):
                value = self.expr(item.value, env)
                if isinstance(value, ListValue):
                    items.extend(value.items)
                    value_rest = value.rest
                else:
                    value_rest = symbol_of(value) if isinstance(value, Symbol) else UNKNOWN
                if value_rest is not None:
                    rest = symbol_of(rest, value_rest)
            else:
                items.append(self.expr(item, env))
        return ListValue(tuple(items), rest)

    def dict_display(self, node: nodes.DictDisplay, env: Env) -> Value:
        result = DictValue()
        for key, item in node.items:
            value = self.expr(item, env)
            if key is None:
                self._update(result, value)
                continue
            index = self.expr(key, env)
            constant = dict_key(index)
            if constant is None:  # a fed tensor's key keeps what it is computed from
                result.slots["rest"] = symbol_of(result.rest, value, index).but(maybe=True)
            else:
                result.slots[("=", constant)] = value
        return result

    def _update(self, target: DictValue, value: Value) -> None:
        if isinstance(value, DictValue):
            for key, item in value.items.items():
                self.assign_slot(target.slots, ("=", key), item)
            if value.rest is not None:
                self.assign_slot(target.slots, "rest", symbol_of(target.rest, value.rest))
        else:
            self.assign_slot(target.slots, "rest", symbol_of(target.rest, value, UNKNOWN))

    def binary(self, node: nodes.Binary, env: Env) -> Value:
        return self.arithmetic(node.op, self.expr(node.left, env), self.expr(node.right, env))

    def arithmetic(self, op: str, left: Value, right: Value) -> Value:
        """`left op right`."""
        if isinstance(left, Const | Setting) and isinstance(right, Const | Setting):
            return lift(functools.partial(_fold, op), left, right)
        if isinstance(left, ListValue) and isinstance(right, ListValue) and op == "+":
            rest = symbol_of(left.rest, right.rest) if left.rest or right.rest else None
            return ListValue(left.items + right.items, rest)
        if isinstance(left, ListValue) and op == "+":
            return ListValue(left.items, symbol_of(left.rest, right))
        if isinstance(right, ListValue) and op == "+":
            return ListValue(right.items, symbol_of(right.rest, left))
        if isinstance(left, ListValue) and op in ("*", "-"):
            return left
        return self.library.convert(left, right, op)

    def compare(self, node: nodes.Compare, env: Env) -> Value:
        left, right = self.expr(node.left, env), self.expr(node.right, env)
        if isinstance(left, Const) and isinstance(right, Const):
            return _fold_compare(node.op, left.value, right.value)
        if isinstance(right, Const) and right.value is None and node.op in ("is", "is not"):
            return self._compare_none(left, node.op == "is")
        if node.op in ("in", "not in") and isinstance(left, Const):
            return self._contains(left, right, node.op == "not in")
        left_key, right_key = _compare_key(left), _compare_key(right)
        if left_key and right_key:
            negate, op = _POSITIVE.get(node.op, ("", node.op))
            symbol = symbol_of(left, right)
            return symbol.but(maybe=True, key=f"{negate}{left_key}{op}{right_key}")
        return symbol_of(left, right).but(maybe=True)

    def _compare_none(self, left: Value, positive: bool) -> Value:
        if isinstance(left, Symbol) and left.maybe and not left.batch_norms:
            key = f"{left.key} is None" if left.key else ""
            return Symbol(maybe=True, key=key if positive or not key else f"!{key}")
        if isinstance(left, Choice):
            return Symbol(maybe=True)
        if isinstance(left, External | Setting):
            name = condition_key(left)[0]
            return Symbol(maybe=True, key=("" if positive else "!") + f"{name} is None")
        return Const(not positive)

    def _contains(self, left: Const, right: Value, negate: bool) -> Value:
        if (
            isinstance(right, Const)
            and isinstance(right.value, str)
            and isinstance(left.value, str)
        ):
            return Const((left.value in right.value) is not negate)
        if isinstance(right, DictValue) and right.rest is None:
            return Const((left.value in right.items) is not negate)
        if isinstance(right, ListValue) and right.rest is None:
            constants = [item.value for item in right.items if isinstance(item, Const)]
            if len(constants) == len(right.items):
                return Const((left.value in constants) is not negate)
        return Symbol(maybe=True)

    def bool_op(self, node: nodes.BoolOp, env: Env) -> Value:
        left = self.expr(node.left, env)
        known = truth(left)
        if known is None:
            return join([left, self.expr(node.right, env)])
        if known is (node.op == "or"):
            return left
        return self.expr(node.right, env)

    def unary(self, node: nodes.Unary, env: Env) -> Value:
        value = self.expr(node.value, env)
        if node.op == "not":
            known = truth(value)
            if known is not None:
                return Const(not known, self.location(node))
            key, positive = condition_key(value)
            symbol = symbol_of(value) if isinstance(value, Symbol) else Symbol(maybe=True)
            return symbol.but(maybe=True, key=f"{'!' if positive else ''}{key}" if key else "")
        if isinstance(value, Const) and isinstance(value.value, int | float) and node.op == "-":
            return Const(-value.value)
        if isinstance(value, Setting):
            return lift(lambda number: _fold("-", 0, number), value)
        return self.library.convert(value, NONE, node.op)

    def ternary(self, node: nodes.Ternary, env: Env) -> Value:
        known, assume, deny = self.condition(node.test, env)
        if known is not None:
            return self.expr(node.body if known else node.orelse, env)
        path = self.path
        self.path = {**path, **assume}
        first = self.expr(node.body, env)
        self.path = {**path, **deny}
        second = self.expr(node.orelse, env)
        self.path = path
        return join([first, second])

    def subscript(self, node: nodes.Subscript, env: Env) -> Value:
        owner = self.expr(node.value, env)
        if node.index is None:
            return owner if isinstance(owner, ListValue | Symbol) else symbol_of(owner)
        return self.item(owner, self.expr(node.index, env))

    def item(self, owner: Value, index: Value) -> Value:
        """`owner[index]`."""
        if (
            isinstance(owner, ListValue)
            and isinstance(index, Const)
            and isinstance(index.value, int)
        ):
            if -len(owner.items) <= index.value < len(owner.items) and owner.rest is None:
                return owner.items[index.value]
            if 0 <= index.value < len(owner.items):
                return owner.items[index.value]
            return owner.rest if owner.rest is not None else UNKNOWN
        if isinstance(owner, ListValue):
            return (
                join([*owner.items, *([owner.rest] if owner.rest else [])])
                if owner.items or owner.rest
                else UNKNOWN
            )
        if isinstance(owner, DictValue):
            return self._dict_item(owner, index)
        if isinstance(owner, Setting):
            return Setting(f"{owner.key}[{dict_key(index)!r}]")
        if isinstance(owner, Choice):
            return join([self.item(option, index) for option in owner.options])
        if isinstance(owner, Symbol):
            key = dict_key(index)
            sub_key = f"{owner.key}[{key!r}]" if owner.key and key is not None else ""
            flag = owner.flag if not sub_key else None
            return owner.but(key=sub_key, flag=flag, linear=owner.linear)
        if isinstance(owner, External):
            key = dict_key(index)
            return UNKNOWN.but(key=f"{owner.name}[{key!r}]" if key is not None else "")
        return symbol_of(owner).but(maybe=True)

    def _dict_item(self, owner: DictValue, index: Value) -> Value:
        items = owner.items
        key = dict_key(index)
        if key is not None and key in items:
            return items[key]
        for hint in index.hints if isinstance(index, Setting) else ():
            found = items.get(dict_key(Const(hint)))
            if found is not None:
                return found
        if items and (key is None or _is_symbol_key(key)):  # one of them, by an unknown name
            rest = [owner.rest] if owner.rest is not None else []
            return join([*items.values(), *rest])
        return owner.rest if owner.rest is not None else UNKNOWN

    def starred(self, node: nodes.Starred, env: Env) -> Value:
        return self.expr(node.value, env)

    def lambda_(self, node: nodes.Lambda, env: Env) -> Value:
        return Function(node.function, env)

    def comprehension(self, node: nodes.Comprehension, env: Env) -> Value:
        inner = Env(env.module, env, env.name)
        result = ListValue()
        mapping = DictValue()
        self._comprehend(node, 0, inner, result, mapping)
        return mapping if node.kind == "dict" else result

    def _comprehend(
        self, node: nodes.Comprehension, depth: int, env: Env, out: ListValue, mapping: DictValue
    ) -> None:
        if depth == len(node.loops):
            element = self.expr(node.element, env)
            if node.key is not None:
                key = dict_key(self.expr(node.key, env))
                if key is None:
                    mapping.slots["rest"] = symbol_of(mapping.rest, element).but(maybe=True)
                else:
                    mapping.slots[("=", key)] = element
            elif isinstance(element, Symbol):
                out.slots["rest"] = symbol_of(out.rest, element)
            else:
                out.slots["items"] = (*out.items, element)
            return
        target, iterable, conditions = node.loops[depth]
        for item in self.loop_items(self.expr(iterable, env)):
            self.bind(target, item, env, node)
            decided = [self.condition(condition, env)[0] for condition in conditions]
            if False in decided:
                continue
            before = out.rest
            self._comprehend(node, depth + 1, env, out, mapping)
            if None in decided and out.rest is not None and out.rest is not before:
                # A filter we cannot decide: some of these, and which ones matters.
                tags = out.rest.tags | {"filtered", *_filter_tags(conditions)}
                out.slots["rest"] = out.rest.but(maybe=True, tags=frozenset(tags))

    def walrus(self, node: nodes.Walrus, env: Env) -> Value:
        value = self.expr(node.value, env)
        if node.target:
            self.assign_slot(env.slots, node.target, value)
        return value

    def other(self, node: nodes.Other, env: Env) -> Value:
        values = [self.expr(part, env) for part in node.parts]
        if node.yields:
            self._yielded(join(values) if values else NONE, env)
        if not values:
            return Symbol(maybe=True)
        return symbol_of(*values).but(maybe=True)

    def _yielded(self, value: Value, env: Env) -> None:
        hook = self.yield_hooks[-1] if self.yield_hooks else None
        if hook is not None:
            hook(value)
        else:
            yielded = env.slots.get("__yielded__", ())
            if len(yielded) < MAX_UNROLL:
                env.slots["__yielded__"] = (*yielded, value)

    # --- lists -----------------------------------------------------------------------------

    def extend(self, target: ListValue, value: Value) -> None:
        """`target.extend(value)`."""
        if isinstance(value, ListValue):
            self.assign_slot(target.slots, "items", target.items + value.items)
            if value.rest is not None:
                self.assign_slot(target.slots, "rest", symbol_of(target.rest, value.rest))
        else:
            self.assign_slot(target.slots, "rest", symbol_of(target.rest, value))

    def list_method(self, target: ListValue, name: str, args: Args) -> Value:
        """A method of a list, tuple or set."""
        value = args.get(0, "object")
        if name in ("append", "add", "insert", "appendleft"):
            added = args.positional[-1:] if args.positional else []
            self.assign_slot(target.slots, "items", target.items + tuple(added))
            return NONE
        if name in ("extend", "update") and value is not None:
            self.extend(target, value)
            return NONE
        if name in ("discard", "remove", "sort", "reverse", "clear"):
            return NONE  # what is still in it, and in which order, is not followed
        if name == "pop":
            return target.items[-1] if target.items else target.rest or UNKNOWN
        if name in ("copy", "union") and (value is None or name == "copy"):
            return target
        if name in ("union", "__add__") and value is not None:
            return self.arithmetic("+", target, value)
        return symbol_of(target, *args.values()).but(maybe=True)

    def _keys(self, target: DictValue) -> ListValue:
        """The keys of a dict; one unknown key stands for those that are not known."""
        keys = tuple(Const(key) for key in target.items if not _is_symbol_key(key))
        known = target.rest is None and len(keys) == len(target.items)
        return ListValue(keys, None if known and keys else UNKNOWN)

    def dict_method(self, target: DictValue, name: str, args: Args) -> Value:
        """A method of a dict."""
        if name in ("get", "pop", "setdefault"):
            default = args.get(1, "default") or NONE
            index = args.positional[0] if args.positional else UNKNOWN
            key = dict_key(index)
            if target.items and (key is None or key in target.items or _is_symbol_key(key)):
                return self._dict_item(target, index)
            return join([target.rest, default]) if target.rest is not None else default
        if name == "update":
            for value in args.positional:
                self._update(target, value)
            for keyword, value in args.keywords.items():
                self.assign_slot(target.slots, ("=", keyword), value)
            return NONE
        if name == "copy":
            return DictValue(target.items, target.rest)
        if name == "values":
            return ListValue(tuple(target.items.values()), target.rest)
        if name == "items":
            pairs = tuple(ListValue((Const(key), value)) for key, value in target.items.items())
            return ListValue(pairs, target.rest)
        if name == "keys":
            return self._keys(target)
        return symbol_of(target, *args.values()).but(maybe=True)


# --- helpers -------------------------------------------------------------------------------


def flag_of(value: Value | None, explicit: bool = True, via: str = "argument") -> Flag:
    """A value as a training flag."""
    if isinstance(value, Const) and isinstance(value.value, bool | int | float):
        kind = FlagKind.TRUE if value.value else FlagKind.FALSE
        return Flag(kind, explicit, value.location, value.key, via=via)
    if isinstance(value, Symbol):
        if value.flag is not None:
            flag = value.flag
            return Flag(flag.kind, explicit, flag.location, flag.key, flag.default, via)
        if not value.maybe and not value.opaque:
            return Flag(FlagKind.TENSOR, explicit, value.made, value.key, via=via)
        return Flag(FlagKind.UNKNOWN, explicit, None, value.key, via=via)
    if isinstance(value, Setting):
        return Flag(FlagKind.UNKNOWN, explicit, None, value.key, via=via)
    if isinstance(value, Choice):
        flags = [flag_of(option, explicit, via) for option in value.options]
        if len({flag.kind for flag in flags}) == 1:
            return flags[0]
    return Flag(FlagKind.UNKNOWN, explicit, via=via)


def condition_key(value: Value) -> tuple[str, bool]:
    """(identity of an undecided condition, False if the value is its negation)."""
    if isinstance(value, External):
        return value.name, True
    if isinstance(value, Symbol | Setting) and value.key:
        return (value.key[1:], False) if value.key.startswith("!") else (value.key, True)
    return "", True


def dict_key(value: Value) -> Any:
    """The constant a dict is keyed with; tensors and FLAGS are keyed by identity."""
    if isinstance(value, Const):
        try:
            hash(value.value)
        except TypeError:
            return None
        return value.value if value.value is not None else "\0None"
    if isinstance(value, Symbol | Setting) and value.key:
        return f"\0{value.key}"
    if isinstance(value, External):
        return f"\0{value.name}"
    if isinstance(value, Stateful):
        return f"\0#{value.number}"
    return None


def symbol_key(key: Any) -> str:
    """The identity behind a dict key made from a symbol, or ""."""
    return key[1:] if _is_symbol_key(key) else ""


def _is_symbol_key(key: Any) -> bool:
    return isinstance(key, str) and key.startswith("\0")


def _compare_key(value: Value) -> str:
    if isinstance(value, Const):
        return repr(value.value)
    return condition_key(value)[0]


def _filter_tags(conditions: list[nodes.Expr]) -> Iterator[str]:
    """Words that a filter mentions, e.g. "moving" in `if "moving_mean" not in v.name`."""
    for condition in conditions:
        negative = isinstance(condition, nodes.Compare) and condition.op == "not in"
        negative = negative or (isinstance(condition, nodes.Unary) and condition.op == "not")
        for text in _strings(condition):
            if any(word in text for word in ("moving", "BatchNorm", "batch_norm", "bn")):
                yield "drops moving" if negative else "keeps moving"


def _strings(node: nodes.Expr) -> Iterator[str]:
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, nodes.Compare | nodes.BoolOp | nodes.Binary):
        yield from _strings(node.left)
        yield from _strings(node.right)
    elif isinstance(node, nodes.Unary):
        yield from _strings(node.value)
    elif isinstance(node, nodes.Call):
        yield from _strings(node.func)
        for argument in node.args:
            yield from _strings(argument.value)
    elif isinstance(node, nodes.Attribute):
        yield from _strings(node.value)
    elif isinstance(node, nodes.Display):
        for item in node.items:
            yield from _strings(item)


def _either(left: Any, right: Any) -> Any:
    if left is _MISSING:
        return right
    if right is _MISSING:
        return left
    if isinstance(left, tuple) and isinstance(right, tuple):
        return _either_items(left, right)
    if isinstance(left, Value) and isinstance(right, Value):
        return join([left, right])
    if left is None and isinstance(right, Symbol):
        return right.but(maybe=True)
    return left if left is not None else right


def _either_items(left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[Any, ...]:
    """The items of a list after either branch: what they share, then what each added."""
    shared = 0
    for mine, theirs in zip(left, right, strict=False):
        if mine is not theirs:
            break
        shared += 1
    return (*left, *right[shared:])


def _call_node(node: nodes.Node) -> nodes.Call:
    if isinstance(node, nodes.Call):
        return node
    return nodes.Call(node.start, node.end, nodes.Name(node.start, node.end, ""), [])


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
_POSITIVE = {
    "!=": ("!", "=="), "is": ("", "=="), "is not": ("!", "=="), "not in": ("!", "in"),
    ">=": ("!", "<"), "<=": ("!", ">"),
}  # fmt: skip
_FOLDABLE = (int, float, str, bool)


def _fold(op: str, left: Any, right: Any) -> Value:
    """Constant arithmetic, bounded: numbers stay numbers and strings stay short."""
    function = _ARITHMETIC.get(op)
    if function is None or not isinstance(left, _FOLDABLE) or not isinstance(right, _FOLDABLE):
        return Symbol(maybe=True)
    if isinstance(left, str) or isinstance(right, str):
        if op not in ("+", "%") or len(str(left)) + len(str(right)) > 1000:
            return Symbol(maybe=True)
        if op == "%" and "*" in str(left):
            return Symbol(maybe=True)  # "%1000000000d"-like widths are not worth the risk
    try:
        result = function(left, right)
    except (ArithmeticError, TypeError, ValueError):
        return Symbol(maybe=True)
    if isinstance(result, int) and result.bit_length() > 256:
        return Symbol(maybe=True)
    return Const(result[:2000] if isinstance(result, str) else result)


def _fold_compare(op: str, left: Any, right: Any) -> Value:
    try:
        return Const(bool(_COMPARISONS[op](left, right)))
    except (KeyError, TypeError):
        return Symbol(maybe=True)


_BUILTINS = frozenset(
    "print len range zip enumerate list tuple dict set frozenset isinstance issubclass "
    "getattr hasattr setattr int float str bool super sum min max sorted map filter "
    "reversed any all type iter next open abs round repr callable property staticmethod "
    "classmethod object vars id hash divmod pow input format slice Exception ValueError "
    "TypeError KeyError NotImplementedError RuntimeError ImportError IOError "
    "AssertionError AttributeError".split()
)

_STATEMENTS: dict[type, Callable[[Interpreter, Any, Env], str]] = {
    nodes.ExprStmt: Interpreter.expr_statement,
    nodes.Assign: Interpreter.assign,
    nodes.AugAssign: Interpreter.aug_assign,
    nodes.Return: Interpreter.return_,
    nodes.If: Interpreter.if_,
    nodes.For: Interpreter.for_,
    nodes.While: Interpreter.while_,
    nodes.With: Interpreter.with_,
    nodes.Try: Interpreter.try_,
    nodes.FunctionDef: Interpreter.define_function,
    nodes.ClassDef: Interpreter.define_class,
    nodes.Import: Interpreter.import_,
    nodes.ImportFrom: Interpreter.import_from,
    nodes.Jump: Interpreter.jump,
    nodes.Global: Interpreter.global_,
}

_EXPRESSIONS: dict[type, Callable[[Interpreter, Any, Env], Value]] = {
    nodes.Const: Interpreter.const,
    nodes.Name: Interpreter.name,
    nodes.Attribute: Interpreter.attribute,
    nodes.Call: Interpreter.call_expr,
    nodes.Display: Interpreter.display,
    nodes.DictDisplay: Interpreter.dict_display,
    nodes.Binary: Interpreter.binary,
    nodes.Compare: Interpreter.compare,
    nodes.BoolOp: Interpreter.bool_op,
    nodes.Unary: Interpreter.unary,
    nodes.Ternary: Interpreter.ternary,
    nodes.Subscript: Interpreter.subscript,
    nodes.Starred: Interpreter.starred,
    nodes.Lambda: Interpreter.lambda_,
    nodes.Comprehension: Interpreter.comprehension,
    nodes.Walrus: Interpreter.walrus,
    nodes.Other: Interpreter.other,
}
