"""Tensors, constants and library objects: what an operation on TensorFlow's values is told."""

from __future__ import annotations

import functools
import hashlib
import itertools
import operator
from collections.abc import Iterable
from typing import Any

import msgspec

from bnlint.findings import Location
from bnlint.program.events import BatchNorm, CollectionRead, Flag, LogOfTensor, TrainOp

next_number = itertools.count(1).__next__


class Value:
    """Base of all values. Those that do not change are msgspec structs: fast to make."""

    __slots__ = ()

    def held(self) -> tuple[Value | None, ...]:
        """The values inside it that an operation on it may use."""
        return ()


class Const(Value, msgspec.Struct, frozen=True, eq=False):
    """A known Python constant.

    `key` names the variable it was last read from ("train.is_training"), `location` is where
    it was written. `left_out` is the call that left a parameter at this default.
    """

    value: Any
    location: Location | None = None
    key: str = ""
    left_out: Location | None = None


class External(Value, msgspec.Struct, frozen=True, eq=False):
    """A name outside the project, canonical: "tensorflow.train.Saver", "slim.conv2d"."""

    name: str


class Setting(Value, msgspec.Struct, frozen=True, eq=False):
    """A Python value that the user gives when the program starts: FLAGS.x, a parsed argument.

    Conditions on it are undecided. `hints` are values it is known to be able to take (its default
    first, then its choices): a network that is chosen by name is followed with the first that fits.
    `key` is its identity. `default` holds what it is when the user gives nothing, if that is known.
    """

    key: str
    hints: tuple[Any, ...] = ()
    default: tuple[Any, ...] = ()


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


class Object(Stateful):
    """A library object, such as a session; slots: symbol, what it holds of the graph, if any."""

    __slots__ = ()

    def held(self) -> tuple[Value | None, ...]:
        return (self.slots.get("symbol"),)


class Method(Value, msgspec.Struct, frozen=True, eq=False):
    """`receiver.name` where the receiver is a library object or a symbol."""

    receiver: Value
    name: str

    def held(self) -> tuple[Value | None, ...]:
        """An attribute of something that is not known is not known either."""
        root = root_of(self)
        return (root,) if isinstance(root, Symbol) and root.unknown else ()


def root_of(value: Value) -> Value:
    """`x` of `x.shape.as_list`: what attributes of attributes were read from."""
    while isinstance(value, Method):
        value = value.receiver
    return value


class VariableSet(msgspec.Struct, frozen=True):
    """Which variables a list of variables holds, or gradients are of.

    Attributes:
      collections: the graph collections that they were read from: "trainable_variables".
      scopes: the scopes that they were limited to.
      models: the Keras models whose they are, by number; statistics_of: those of which it holds
        the non-trainable ones, too.
      filtered: a condition that is not decided left some of them out; it kept, or dropped, those
        that it calls "moving" or "batch_norm".
      words: a filter kept those in whose names is one of these; none if that is not known.
      partial: gradients of some of the trainable variables only.
    """

    collections: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    models: frozenset[int] = frozenset()
    statistics_of: frozenset[int] = frozenset()
    filtered: bool = False
    keeps_statistics: bool = False
    drops_statistics: bool = False
    partial: bool = False
    words: frozenset[str] = frozenset()

    def __or__(self, other: VariableSet) -> VariableSet:
        """Those of both."""
        if other is NO_VARIABLES or other is self:
            return self
        return VariableSet(
            self.collections | other.collections,
            self.scopes | other.scopes,
            self.models | other.models,
            self.statistics_of | other.statistics_of,
            self.filtered or other.filtered,
            self.keeps_statistics or other.keeps_statistics,
            self.drops_statistics or other.drops_statistics,
            self.partial or other.partial,
            self.words | other.words if self.words and other.words else frozenset(),
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
      of_gradient: it is computed from gradients of the loss by variables.
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
    of_gradient: bool = False
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


NOTHING: frozenset[Any] = frozenset()
NONE = Const(None)
UNKNOWN = Symbol(incomplete=True, unknown=True)
TENSOR = Symbol()


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
        of_gradient=any(symbol.of_gradient for symbol in found),
        data_names=NOTHING.union(*(symbol.data_names for symbol in found)),
        logs=NOTHING.union(*(symbol.logs for symbol in found)),
    )


def leaves(values: Iterable[Value | None]) -> list[Symbol]:
    """The symbols inside values, through lists, dicts and choices."""
    found: list[Symbol] = []
    seen: set[int] = set()
    todo: list[Value | None] = list(values)
    while todo:
        value = todo.pop()
        if isinstance(value, Symbol):
            found.append(value)
        elif value is not None and (held := value.held()) and id(value) not in seen:
            seen.add(id(value))
            todo.extend(held)
    return found


def constant(value: Value | None, kind: Any) -> Any:
    """The Python constant of type `kind` in `value`, else None."""
    if isinstance(value, Const) and isinstance(value.value, kind):
        return value.value
    return None
