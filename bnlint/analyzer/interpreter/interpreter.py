"""Follows a program through the project's files without running it.

The interpreter owns the state of one program. What a statement, an expression, a called value,
the owner of an attribute or of an item does is registered by its type in the modules of this
package, one per topic; what a library's function does is asked of a `Library`. Both sides of a
branch that the facts do not decide are followed, and what they changed is merged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from bnlint.analyzer.interpreter.budget import GROUP_STEPS, GROUP_STEPS_PER_FILE, Budget
from bnlint.analyzer.interpreter.journal import Journals
from bnlint.analyzer.interpreter.library import Args, Library
from bnlint.analyzer.interpreter.values import (
    Env,
    Globals,
    Method,
    Object,
    Slots,
    Symbol,
    Value,
    symbol_of,
)
from bnlint.analyzer.project.keras_versions import KerasVersions
from bnlint.analyzer.project.modules import Module, Project
from bnlint.analyzer.syntax import nodes
from bnlint.findings import Location
from bnlint.program.events import Frame


class World:
    """A project and what its programs share.

    Attributes:
      idle: ids of functions that lead to nothing of interest; see Budget.is_thrifty.
      steps_left: for all programs together.
      too_long: modules whose top level was not followed to the end, and why.
      notes_gaps: programs note where knowledge is lost.
    """

    def __init__(
        self, project: Project, idle: frozenset[int] = frozenset(), notes_gaps: bool = False
    ) -> None:
        self.project = project
        self.idle = idle
        self.notes_gaps = notes_gaps
        self.steps_left = GROUP_STEPS + GROUP_STEPS_PER_FILE * len(project.modules)
        self.too_long: list[tuple[Module, str]] = []
        self.keras = KerasVersions(project)
        self._globals: dict[Module, Globals] = {}

    def globals(self, module: Module) -> Globals:
        """The variables of a module."""
        if module not in self._globals:
            self._globals[module] = Globals(module)
        return self._globals[module]


class Usual(NamedTuple):
    """What an undecided condition is when the user gives no value for its setting."""

    holds: bool
    setting: str


class Interpreter:
    """Follows one program.

    Attributes:
      library: what functions outside the project do.
      module, statement: where the program is.
      around: the compound statements of the current function around the statement, outermost first.
      time: counts events, so that rules can tell what came first.
      path: the undecided conditions that are assumed here.
      frames, active: the project's functions that are being called, outermost first.
      returns: per function, what it returned so far.
      yield_hooks: per function, what runs where it yields; None: the values are collected.
      loop_sizes: of the loops around the current statement, None where it is not known.
      chosen: what this program takes for settings that choose by name, by the settings' identity.
      alternatives: what else they may choose, likewise; a program each.
      compared: texts that settings are compared with, likewise.
      by_default: what undecided conditions on settings are at the settings' defaults, by identity.
      called: ids of the definitions that were followed.
    """

    def __init__(
        self,
        world: World,
        make_library: Callable[[Interpreter], Library],
        chosen: dict[str, Any] | None = None,
    ) -> None:
        self.world = world
        self.chosen = chosen or {}
        self.alternatives: dict[str, tuple[Any, ...]] = {}
        self.compared: dict[str, tuple[str, ...]] = {}
        self.project = world.project
        self.time = 0
        self.journals = Journals()
        self.path: dict[str, bool] = {}
        self.frames: list[Frame] = []
        self.active: list[nodes.FunctionDef] = []
        self.returns: list[list[Value]] = []
        self.yield_hooks: list[Callable[[Value], None] | None] = []
        self.loop_sizes: list[int | None] = []
        self.module: Module | None = None
        self.statement: nodes.Stmt | None = None
        self.around: list[nodes.Stmt | None] = []
        self.script_env: Env | None = None
        self.by_default: dict[str, Usual] = {}
        self.called: set[int] = set()
        self.library = make_library(self)
        self.budget = Budget(self.library)

    def tick(self) -> int:
        """The next moment of program time."""
        self.time += 1
        return self.time

    def location(self, node: nodes.Node) -> Location:
        """Where `node` of the current module stands."""
        assert self.module is not None
        return self.module.facts.location(node)

    def assign_slot(self, slots: Slots, key: Any, value: Any) -> None:
        """Every change of state goes through here, so that branches can be undone."""
        self.journals.assign(slots, key, value)

    def loop_steps(self) -> int | None:
        """How often the current statement runs, if every loop around it has a known length."""
        steps = 1
        for size in self.loop_sizes:
            if size is None:
                return None
            steps *= size
        return steps if self.loop_sizes else None

    @contextmanager
    def loop(self, size: int | None) -> Iterator[None]:
        """The body of a loop that runs `size` times (None: unknown) is followed."""
        self.loop_sizes.append(size)
        try:
            yield
        finally:
            self.loop_sizes.pop()

    @contextmanager
    def assuming(self, conditions: dict[str, bool]) -> Iterator[None]:
        """What is followed happens only under `conditions`, too."""
        path, self.path = self.path, {**self.path, **conditions}
        try:
            yield
        finally:
            self.path = path

    def place(self) -> tuple[Any, ...]:
        """Where the program is, for `return_to`."""
        return self.module, self.path, self.statement, self.around

    def return_to(self, place: tuple[Any, ...]) -> None:
        """A function or module that was called from `place` has ended."""
        self.module, self.path, self.statement, self.around = place

    # --- what is registered ------------------------------------------------------------------

    def block(self, body: list[nodes.Stmt], env: Env) -> str:
        """Follows statements; "" or how control left: "return", "break", "continue", "raise"."""
        self.around.append(self.statement)
        try:
            for statement in body:
                self.budget.spend()
                self.statement = statement
                flow = STATEMENTS[type(statement)](self, statement, env)
                if flow:
                    return flow
            return ""
        finally:
            self.around.pop()

    def expr(self, node: nodes.Expr, env: Env) -> Value:
        """The value of an expression."""
        return EXPRESSIONS[type(node)](self, node, env)

    def call(self, func: Value, args: Args, node: nodes.Node) -> Value:
        """`func(*args)`."""
        call = node if isinstance(node, nodes.Call) else _call_at(node)
        follow = CALLS.get(type(func))
        if follow is None:
            result = self.library.call_object(func, args, call)
        else:
            result = follow(self, func, args, call)
        if isinstance(result, Symbol):  # making it took as long as it depends on many
            self.budget.spend((len(result.batch_norms) + len(result.runs)) // 64)
        return result

    def get_attribute(self, owner: Value, name: str, node: nodes.Node) -> Value:
        """`owner.name`."""
        follow = ATTRIBUTES.get(type(owner))
        if follow is None:
            return self.library_attribute(owner, name)
        return follow(self, owner, name, node)

    def library_attribute(self, owner: Value, name: str) -> Value:
        """`owner.name` as the library knows it; else a method of it."""
        known = self.library.attribute(owner, name)
        if known is None and isinstance(owner, Object):
            known = owner.slots.get(name)
        return known if isinstance(known, Value) else Method(owner, name)

    def item(self, owner: Value, index: Value) -> Value:
        """`owner[index]`."""
        follow = ITEMS.get(type(owner))
        if follow is None:
            return symbol_of(owner).replace(incomplete=True)
        return follow(self, owner, index)


def _call_at(node: nodes.Node) -> nodes.Call:
    """A call without arguments written at `node`."""
    return nodes.Call(node.start, node.end, nodes.Name(node.start, node.end, ""), [])


STATEMENTS: dict[type, Callable[[Interpreter, Any, Env], str]] = {}
EXPRESSIONS: dict[type, Callable[[Interpreter, Any, Env], Value]] = {}
CALLS: dict[type, Callable[[Interpreter, Any, Args, nodes.Call], Value]] = {}
ATTRIBUTES: dict[type, Callable[[Interpreter, Any, str, nodes.Node], Value]] = {}
ITEMS: dict[type, Callable[[Interpreter, Any, Value], Value]] = {}

_Follow = TypeVar("_Follow", bound=Callable[..., Any])


def follows(table: dict[type, _Follow], *types: type) -> Callable[[_Follow], _Follow]:
    """Registers a function in one of the tables above for nodes or values of `types`."""

    def register(function: _Follow) -> _Follow:
        for kind in types:
            table[kind] = function
        return function

    return register
