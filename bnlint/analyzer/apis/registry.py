"""What is known about library functions: one declaration each, by real name.

    @api("tf.contrib.layers.optimize_loss", trains=True, attaches_updates=True, ends=True)
    def optimize_loss(tf: TensorFlow, call: Call) -> Value: ...

`call` holds the arguments by name (see signature.py). The roles (roles.py) say what the function
does; the words that a file is scanned for, and the functions that programs begin from, follow from
them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from bnlint.analyzer.apis.roles import Roles
from bnlint.analyzer.apis.signature import Call, Signature, parsed, signatures
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.names import canonical
from bnlint.analyzer.interpreter.values import Object, Value
from bnlint.analyzer.syntax import nodes

Leave = Callable[[], None]
F = TypeVar("F", bound=Callable[..., Any])


class Api:
    """A declared function or method: `handler(tf, call)`, or `handler(receiver, tf, call)`."""

    def __init__(
        self,
        name: str,
        handler: Callable[..., Any],
        roles: Roles,
        family: tuple[str, ...],
        signature: str,
    ) -> None:
        self.name = name
        self.handler = handler
        self.roles = roles
        self._family = family
        self._signature = signature

    @functools.cached_property
    def versions(self) -> tuple[Signature, ...]:
        """Its signatures: recorded ones, first its own, or the one written in the declaration."""
        if self._signature:
            return (parsed(f"def f({self._signature}): ..."),)
        found = list(signatures(self.name))
        for name in self._family:
            found += [one for one in signatures(name) if one not in found]
        if not found:
            raise LookupError(f"no signature of {self.name} is recorded")
        return tuple(found)

    def bind(self, args: Args, node: nodes.Call) -> Call:
        """The call, its arguments by name."""
        return Call(self.name, self.roles, self.versions, args, node)


FUNCTIONS: dict[str, Api] = {}
METHODS: dict[str, list[Api]] = {}  # by short name, of receivers of any kind
# (the word that texts mention it by, its short name, what it does)
DECLARED: list[tuple[str, str, Roles]] = []


def api(*names: str, signature: str = "", word: str = "", **roles: bool) -> Callable[[F], F]:
    """Declares library functions or classes: `function(tf, call)` is what a call gives.

    Args:
      names: real names, such as "tf.layers.dense"; they may be of several libraries.
      signature: "a, b=None" of what is not recorded in signatures/ (Python's own library).
      word: what a file that uses it mentions, if that is not the last part of the name: its module,
        where texts are scanned for one word instead of many names.
      roles: see Roles.
    """
    full = tuple(_full_name(name) for name in names)
    known = Roles(**roles)

    def register(function: F) -> F:
        for name in full:
            FUNCTIONS[name] = Api(name, function, known, full, signature)
            short = name.rpartition(".")[2]
            DECLARED.append((word or short, short, known))
        return function

    return register


def _full_name(name: str) -> str:
    return canonical("tensorflow" + name[2:] if name.startswith("tf.") else name)


def _full_method_name(name: str) -> str:
    owner, _, short = name.rpartition(".")
    return f"{_full_name(owner)}.{short}"


def any_method(*names: str, signature: str = "", **roles: bool) -> Callable[[F], F]:
    """Declares what `x.method()` does on a receiver whose kind need not be known.

    `function(receiver, tf, call)` gives None for "not mine". `names` are real names of methods
    ("tf.train.Optimizer.minimize"): their signatures, the likeliest first.
    """
    full = tuple(_full_method_name(name) for name in names)
    known = Roles(**roles)

    def register(function: F) -> F:
        for short in dict.fromkeys(name.rpartition(".")[2] for name in full):
            family = tuple(name for name in full if name.endswith("." + short))
            METHODS.setdefault(short, []).append(
                Api(family[0], function, known, family if not signature else full, signature)
            )
            DECLARED.append((short, short, known))
        return function

    return register


def method(
    name: str, *more: str, called: str = "", signature: str = "", **roles: bool
) -> Callable[[F], F]:
    """Declares a method of a Kind: `function(self, tf, call)`.

    Args:
      name: real name, such as "tf.train.Saver.save"; more: of other versions or aliases.
      called: what programs call it, if not that: "__call__ apply".
      signature, roles: see `api`.
    """
    full = tuple(_full_method_name(item) for item in (name, *more))
    known = Roles(**roles)

    def register(function: F) -> F:
        shorts = called.split() or dict.fromkeys(item.rpartition(".")[2] for item in full)
        function.__dict__["methods"] = {
            short: Api(full[0], function, known, full, signature) for short in shorts
        }
        DECLARED.extend((short, short, known) for short in shorts)
        return function

    return register


class Kind(Object):
    """A library object that is followed: a session, a saver, a Keras model.

    A subclass has methods (see `method`), may be entered with `with`, and may know attributes. What
    it holds of the program's values is in `slots`, which branches undo and merge.
    """

    methods: ClassVar[dict[str, Api]] = {}
    classes: ClassVar[frozenset[str]] = frozenset()  # what isinstance says it is, if that is known

    def __init_subclass__(cls) -> None:
        own = [getattr(item, "methods", {}) for item in vars(cls).values() if callable(item)]
        cls.methods = {**cls.methods, **{name: one for found in own for name, one in found.items()}}

    # `tf` is the library.TensorFlow, which is made of what this file has.
    def enter(self, tf: Any, node: nodes.With) -> tuple[Value, Leave]:
        """`with self as x`: (x, what to do at the end)."""
        return self, nothing

    def attribute(self, tf: Any, name: str) -> Value | None:
        """`self.name`; None if it is a method, or not known."""
        return None


def nothing() -> None:
    """Nothing happens at the end of this context."""


def words(having: Callable[[Roles], bool]) -> frozenset[str]:
    """What texts mention functions with these roles by."""
    return frozenset(word for word, _, roles in DECLARED if having(roles))


def names(having: Callable[[Roles], bool]) -> frozenset[str]:
    """What code calls functions with these roles by, or reaches them through."""
    return frozenset(name for *both, roles in DECLARED if having(roles) for name in both)
