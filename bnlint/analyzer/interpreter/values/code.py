"""What code is made of: modules, variables, functions, classes and their instances."""

from __future__ import annotations

import msgspec

from bnlint.analyzer.interpreter.values.symbols import External, Stateful, Value
from bnlint.analyzer.project.modules import Module
from bnlint.analyzer.syntax import nodes

MAX_LINEAGE = 100  # classes that an attribute is looked for in


class ModuleValue(Value, msgspec.Struct, frozen=True, eq=False):
    """A module of the project."""

    module: Module


class Env(Stateful):
    """Variables of a module, function call or class body.

    Attributes:
      module: whose code reads them.
      parent: the variables around these, or None.
      name: of the module, function or class.
      outer_names: declared `global` or `nonlocal`.
      function: the function whose call this is, or None.
      yielded: what the call has yielded so far.
    """

    __slots__ = ("function", "module", "name", "outer_names", "parent", "yielded")

    def __init__(self, module: Module, parent: Env | None = None, name: str = "") -> None:
        super().__init__()
        self.module = module
        self.parent = parent
        self.name = name
        self.outer_names: set[str] = set()
        self.function: Function | None = None
        self.yielded: list[Value] = []


class Globals(Env):
    """A module's variables, filled when it is first imported."""

    __slots__ = ("is_loaded", "star_imports", "star_libraries")

    def __init__(self, module: Module) -> None:
        super().__init__(module, None, module.name)
        self.is_loaded = False
        self.star_imports: list[Globals] = []
        self.star_libraries: list[str] = []  # `from tensorflow.keras.layers import *`


class Function(Value, msgspec.Struct, eq=False):
    """A function of the project; `bound` is its self or cls."""

    definition: nodes.FunctionDef
    env: Env
    bound: Value | None = None
    owner: ClassValue | None = None
    is_arg_scoped: bool = False
    is_context_manager: bool = False
    is_property: bool = False
    is_static: bool = False
    is_class_method: bool = False

    @property
    def module(self) -> Module:
        return self.env.module

    def bound_to(self, owner: Value) -> Function:
        """The method of `owner`, an instance or a class."""
        if self.is_static:
            return self
        if self.is_class_method and isinstance(owner, Instance):
            owner = owner.cls
        bound = Function(self.definition, self.env, owner, self.owner)
        bound.is_arg_scoped = self.is_arg_scoped
        bound.is_context_manager = self.is_context_manager
        return bound


class ClassValue(Stateful):
    """A class of the project. Its attributes are its slots."""

    __slots__ = ("_lineage", "bases", "definition", "env")

    def __init__(self, definition: nodes.ClassDef, env: Env, bases: tuple[Value, ...]) -> None:
        super().__init__()
        self.definition = definition
        self.env = env
        self.bases = bases
        self._lineage: list[ClassValue] = []

    def lineage(self) -> list[ClassValue]:
        """This class and its project bases, most derived first (depth first is close enough)."""
        if not self._lineage:
            found: dict[int, ClassValue] = {}
            todo: list[Value] = [self]
            while todo and len(found) < MAX_LINEAGE:
                cls = todo.pop()
                if isinstance(cls, ClassValue) and cls.number not in found:
                    found[cls.number] = cls
                    todo.extend(reversed(cls.bases))
            self._lineage = list(found.values())
        return self._lineage

    def external_bases(self) -> set[str]:
        """Canonical names of the library classes it descends from."""
        return {
            base.name for cls in self.lineage() for base in cls.bases if isinstance(base, External)
        }


class Instance(Stateful):
    """An instance of a project class. Its attributes are its slots."""

    __slots__ = ("cls",)

    def __init__(self, cls: ClassValue) -> None:
        super().__init__()
        self.cls = cls


class Partial(Value, msgspec.Struct, eq=False):
    """functools.partial, and methods of library objects with their receiver."""

    func: Value
    args: tuple[Value, ...] = ()
    kwargs: dict[str, Value] = msgspec.field(default_factory=dict)

    def held(self) -> tuple[Value | None, ...]:
        return self.args


class Super(Value, msgspec.Struct, eq=False):
    """`super()` in a method of `cls`, bound to `instance` (None: not known)."""

    instance: Value | None
    cls: ClassValue
