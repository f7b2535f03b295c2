"""What the interpreter asks about code outside the project: a call's arguments, the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from bnlint.analyzer.interpreter.values import Const, Function, Instance, Symbol, Value
from bnlint.analyzer.syntax import nodes


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
    """The functions, objects and constants of TensorFlow and other libraries."""

    def call(self, name: str, args: Args, node: nodes.Call) -> Value:
        """The result of calling the external function `name`."""

    def call_object(self, target: Value, args: Args, node: nodes.Call) -> Value:
        """The result of calling a library object or symbol."""

    def call_method(self, receiver: Value, name: str, args: Args, node: nodes.Call) -> Value:
        """The result of `receiver.name(...)`."""

    def attribute(self, receiver: Value, name: str) -> Value | None:
        """`receiver.name` for a library object; None if it is a method or not known."""

    def declares(self, name: str) -> bool:
        """It knows the external function `name`."""

    def named(self, name: str, value: Value) -> Value:
        """`value` as it is bound to a variable of this name."""

    def drawn_from(self, expression: nodes.Expr, value: Value) -> Value:
        """`value` as it comes out of an assigned or iterated expression."""

    def attribute_set(self, owner: Value, name: str, value: Value, node: nodes.Node) -> None:
        """`owner.name = value` happened."""

    def call_function(self, function: Function, args: Args, node: nodes.Call) -> Value | None:
        """The result of calling a function of the project; None: as Python does."""

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
