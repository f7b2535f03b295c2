"""What the interpreter computes with: Python values as far as they are known, and tensors.

Mutable Python objects (environments, instances, lists, dicts) keep their state in a dict
`slots`, so that one journal can undo and merge the two sides of an undecided branch.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import operator
from collections.abc import Iterable
from typing import Any

import msgspec

from bnlint.analyzer.project.modules import Module
from bnlint.analyzer.syntax import nodes
from bnlint.findings import Location
from bnlint.program.events import BatchNorm, CollectionRead, Flag, LogOfTensor, TrainOp

next_number = itertools.count(1).__next__


class Value:
    """Base of all values. Those that do not change are msgspec structs: fast to make."""

    __slots__ = ()


class Const(Value, msgspec.Struct, frozen=True, eq=False):
    """A known Python constant.

    `key` names the variable it was last read from ("train.is_training"), `location` is where
    it was written.
    """

    value: Any
    location: Location | None = None
    key: str = ""


class VariableSet(msgspec.Struct, frozen=True):
    """Which variables a list of variables holds, or gradients are of.

    Attributes:
      collections: the graph collections that they were read from: "trainable_variables".
      scopes: the scopes that they were limited to.
      models: the Keras models whose they are, by number.
      filtered: a condition that is not decided left some of them out; it kept, or dropped, those
        that it calls "moving" or "batch_norm".
      partial: gradients of some of the trainable variables only.
    """

    collections: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    models: frozenset[int] = frozenset()
    filtered: bool = False
    keeps_statistics: bool = False
    drops_statistics: bool = False
    partial: bool = False

    def __or__(self, other: VariableSet) -> VariableSet:
        """Those of both."""
        if other is NO_VARIABLES or other is self:
            return self
        return VariableSet(
            self.collections | other.collections,
            self.scopes | other.scopes,
            self.models | other.models,
            self.filtered or other.filtered,
            self.keeps_statistics or other.keeps_statistics,
            self.drops_statistics or other.drops_statistics,
            self.partial or other.partial,
        )


NO_VARIABLES = VariableSet()


class Statistics(msgspec.Struct, frozen=True, eq=False):
    """Means and variances that a hand-written batch norm may normalize with.

    Attributes:
      batch: the batch norms whose current batch they are computed from.
      moving: the variables, or shadows of an ExponentialMovingAverage, that hold moving averages.
      switch: the flag that selects the batch's (True) or the moving ones (False), if one does.
      role: "deviation" of a square root, "inverse" of its reciprocal, "centered" of a tensor that
        the mean was subtracted from, else "".
    """

    batch: frozenset[BatchNorm] = frozenset()
    moving: frozenset[str] = frozenset()
    switch: Flag | None = None
    role: str = ""


class Symbol(Value, msgspec.Struct, frozen=True, eq=False):
    """A tensor, an op, or anything else that is not a known Python object.

    Attributes:
      batch_norms: batch norms on whose output it depends.
      runs: batch norms whose updates run whenever this runs.
      after: those of `runs` that only a pass-through (tf.identity, with_dependencies) waits for;
        its gradient does not read the tensor, so a train op of this loss does not run them.
      train_ops: train ops that run whenever this runs.
      reads: collection reads it holds or depends on.
      incomplete: something unknown is in its history, so the sets may lack members.
      unknown: it is not even known to be free of update ops (result of unknown code).
      key: identity, for feeds and for conditions on the same unknown value; "" if none.
      flag: what it is as a training flag, if it is one.
      linear: "logits" or "probabilities" when a layer's output range is known; made: its place.
      tape: the gradient tape whose gradients it holds.
      variables: which variables it holds or is a gradient of.
      data_names: names for evaluation data that it was bound to: "x_test".
      logs: the logarithms it depends on.
      statistics: what a batch norm written by hand may normalize with, if it is that.
    """

    batch_norms: frozenset[BatchNorm] = frozenset()
    runs: frozenset[BatchNorm] = frozenset()
    train_ops: frozenset[TrainOp] = frozenset()
    reads: frozenset[CollectionRead] = frozenset()
    incomplete: bool = False
    unknown: bool = False
    key: str = ""
    flag: Flag | None = None
    linear: str = ""
    made: Location | None = None
    tape: Object | None = None
    variables: VariableSet = NO_VARIABLES
    data_names: frozenset[str] = frozenset()
    logs: frozenset[LogOfTensor] = frozenset()
    after: frozenset[BatchNorm] = frozenset()
    statistics: Statistics | None = None

    def replace(self, **changes: Any) -> Symbol:
        """A copy with changes."""
        if changes.get("key"):
            changes["key"] = short_key(changes["key"])
        return msgspec.structs.replace(self, **changes)


MAX_KEY = 300


def short_key(key: str) -> str:
    """`key`, or as good an identity of bounded length."""
    if len(key) <= MAX_KEY:
        return key
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16)
    return f"{key[:60]}...{digest.hexdigest()}"


class External(Value, msgspec.Struct, frozen=True, eq=False):
    """A name outside the project, canonical: "tensorflow.train.Saver", "slim.conv2d"."""

    name: str


class Setting(Value, msgspec.Struct, frozen=True, eq=False):
    """A Python value that the user gives when the program starts: FLAGS.x, a parsed argument.

    Conditions on it are undecided. `hints` are values it is known to be able to take (its default
    first, then its choices): a network that is chosen by name is followed with the first that fits.
    `key` is its identity.
    """

    key: str
    hints: tuple[Any, ...] = ()


class ModuleValue(Value, msgspec.Struct, frozen=True, eq=False):
    """A module of the project."""

    module: Module


class Slots(dict[Any, Any]):
    """The state of a mutable object; `number` orders all of them by when they were made."""

    __slots__ = ("number",)

    def __init__(self, values: dict[Any, Any]) -> None:
        super().__init__(values)
        self.number = next_number()


class Stateful(Value):
    """A mutable object; its state is in `slots`, changed only through the interpreter."""

    __slots__ = ("slots",)

    def __init__(self, **slots: Any) -> None:
        self.slots = Slots(slots)

    @property
    def number(self) -> int:
        """The object's identity; later objects have higher ones."""
        return self.slots.number


class ListValue(Stateful):
    """A list, tuple or set.

    Slots: items (a tuple of Values), rest (a Symbol of unknown further items, or None). Items
    after the first MAX_ITEMS become unknown ones.
    """

    __slots__ = ()

    def __init__(self, items: tuple[Value, ...] = (), rest: Symbol | None = None) -> None:
        if len(items) > MAX_ITEMS:
            rest = symbol_of(rest, UNKNOWN, *items[MAX_ITEMS:])
            items = items[:MAX_ITEMS]
        super().__init__(items=items, rest=rest)

    @property
    def items(self) -> tuple[Value, ...]:
        return self.slots["items"]

    @property
    def rest(self) -> Symbol | None:
        return _one_symbol(self.slots["rest"])


class RecordValue(ListValue):
    """A named tuple."""

    __slots__ = ("fields",)

    def __init__(self, fields: tuple[str, ...], items: tuple[Value, ...]) -> None:
        super().__init__(items)
        self.fields = fields


class DictValue(Stateful):
    """A dict with constant keys. slots: "=" + key -> Value, and rest."""

    __slots__ = ()

    def __init__(self, items: dict[Any, Value] | None = None, rest: Symbol | None = None) -> None:
        super().__init__(rest=rest)
        for key, value in (items or {}).items():
            self.slots["=", key] = value  # tuple keys keep "rest" apart

    @property
    def items(self) -> dict[Any, Value]:
        return {key[1]: value for key, value in self.slots.items() if isinstance(key, tuple)}

    @property
    def rest(self) -> Symbol | None:
        return _one_symbol(self.slots["rest"])

    def get(self, key: Any) -> Value | None:
        """The value at a constant key, if it is known."""
        return self.slots.get(("=", key)) if key is not None else None


def _one_symbol(rest: Value | None) -> Symbol | None:
    """Unknown items after a branch: those of either side."""
    return rest if rest is None or isinstance(rest, Symbol) else symbol_of(rest)


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

    __slots__ = ("is_loaded", "star_imports")

    def __init__(self, module: Module) -> None:
        super().__init__(module, None, module.name)
        self.is_loaded = False
        self.star_imports: list[Globals] = []


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


class Super(Value, msgspec.Struct, eq=False):
    """`super()` in a method of `cls`, bound to `instance` (None: not known)."""

    instance: Value | None
    cls: ClassValue


class Object(Stateful):
    """A library object, such as a session; slots: symbol, what it holds of the graph, if any."""

    __slots__ = ()


class Method(Value, msgspec.Struct, frozen=True, eq=False):
    """`receiver.name` where the receiver is a library object or a symbol."""

    receiver: Value
    name: str


class Choice(Value, msgspec.Struct, frozen=True, eq=False):
    """One of a few values, by an undecided branch."""

    options: tuple[Value, ...]


NOTHING: frozenset[Any] = frozenset()
NONE = Const(None)
UNKNOWN = Symbol(incomplete=True, unknown=True)
TENSOR = Symbol()
MAX_ITEMS = 512  # of a list that are told apart
MAX_KEYS = 4096  # of a dict that are told apart
MAX_LINEAGE = 100  # classes that an attribute is looked for in
MAX_OPTIONS = 4
MAX_COMPARED = 16  # different values; more only matter in that they are many
FOLLOWED = 2  # of more options than that, how many functions or classes are called
CALLED = (Function, ClassValue, Partial, ModuleValue)
KEPT = (*CALLED, Instance)


def symbol_of(*values: Value | None) -> Symbol:
    """Everything that `values` depend on or run, as one symbol (its key, flag... are dropped)."""
    found = leaves(values)
    if len(found) < 2:
        return (
            found[0].replace(
                key="", flag=None, linear="", made=None, after=NOTHING, statistics=None
            )
            if found
            else TENSOR
        )
    return Symbol(
        batch_norms=NOTHING.union(*(symbol.batch_norms for symbol in found)),
        runs=NOTHING.union(*(symbol.runs for symbol in found)),
        train_ops=NOTHING.union(*(symbol.train_ops for symbol in found)),
        reads=NOTHING.union(*(symbol.reads for symbol in found)),
        incomplete=any(symbol.incomplete for symbol in found),
        unknown=any(symbol.unknown for symbol in found),
        tape=next((symbol.tape for symbol in found if symbol.tape), None),
        variables=functools.reduce(operator.or_, (symbol.variables for symbol in found)),
        data_names=NOTHING.union(*(symbol.data_names for symbol in found)),
        logs=NOTHING.union(*(symbol.logs for symbol in found)),
    )


def leaves(values: tuple[Value | None, ...] | list[Value]) -> list[Symbol]:
    """The symbols inside values, through lists, dicts and choices."""
    found: list[Symbol] = []
    seen: set[int] = set()
    todo: list[Value | None] = list(values)
    while todo:
        value = todo.pop()
        if isinstance(value, Symbol):
            found.append(value)
        elif type(value) in _LEAFLESS:  # most values: one look-up
            continue
        elif isinstance(value, Choice):
            todo.extend(value.options)
        elif isinstance(value, ListValue | DictValue):
            if value.number not in seen:
                seen.add(value.number)
                items = value.items
                todo.extend(items.values() if isinstance(items, dict) else items)
                todo.append(value.rest)
        elif isinstance(value, Object) and "symbol" in value.slots:
            todo.append(value.slots["symbol"])
        elif isinstance(value, Partial) and id(value) not in seen:
            seen.add(id(value))
            todo.extend(value.args)
    return found


# An instance handed to unknown code: what it holds is reachable, but rarely meant.
_LEAFLESS = frozenset((type(None), Const, External, Setting, Function, ClassValue, Instance))


def join(values: list[Value]) -> Value:
    """One value that stands for any of `values`."""
    flat: list[Value] = []
    for value in values:
        flat.extend(each_option(value))
    unique = _unique(flat, MAX_COMPARED)
    if len(unique) == 1:
        return unique[0]
    if len(unique) > MAX_OPTIONS:
        others = symbol_of(*flat).replace(incomplete=True)
        # Of many networks to choose from, some are followed: each is a program that can be.
        called = _unique((value for value in flat if isinstance(value, KEPT)), FOLLOWED)
        return Choice((*called, others.replace(unknown=True))) if called else others
    return Choice(tuple(unique))


def _unique(values: Iterable[Value], count: int) -> list[Value]:
    """The first `count` different values."""
    unique: list[Value] = []
    for value in values:
        if not any(same(value, other) for other in unique):
            unique.append(value)
            if len(unique) == count:
                break
    return unique


def same(left: Value, right: Value) -> bool:
    """The values are known to be the same."""
    if left is right:
        return True
    if isinstance(left, Const) and isinstance(right, Const):
        return type(left.value) is type(right.value) and left.value == right.value
    if isinstance(left, External) and isinstance(right, External):
        return left.name == right.name
    if isinstance(left, Setting) and isinstance(right, Setting):
        return left.key == right.key
    return False


def further(items: Value) -> Symbol:
    """The items of something that is not a list: they are unknown, unless it is a symbol."""
    return items if isinstance(items, Symbol) else symbol_of(items, UNKNOWN)


def each_option(value: Value) -> tuple[Value, ...]:
    """The values that `value` may be: more than one by an undecided branch."""
    return value.options if isinstance(value, Choice) else (value,)


def truth(value: Value) -> bool | None:
    """`bool(value)` if known."""
    if isinstance(value, Const):
        return bool(value.value)
    if isinstance(value, ListValue):
        return True if value.items else (truth(value.rest) if value.rest is not None else False)
    if isinstance(value, DictValue):
        return True if len(value.slots) > 1 else (None if value.rest is not None else False)
    if isinstance(value, Choice):
        known = {truth(option) for option in value.options}
        return known.pop() if len(known) == 1 else None
    if isinstance(value, Symbol):
        # An UPDATE_OPS read: when it is empty there is nothing to attach, so `if update_ops:`
        # is followed into its body.
        return True if value.reads and value.runs else None
    if isinstance(value, External | Setting):
        return None
    return True
