"""What a name may stand for anywhere in the project: by name alone, following no program.

Every assignment, default, argument and feed of a name counts, whichever scope it is in. So this
says too much rather than too little: what is `only True` here is True wherever it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bnlint.analyzer.project.modules import Module
from bnlint.analyzer.syntax import nodes
from bnlint.findings import Location

DEPTH = 6  # names on the way from a flag to its values


@dataclass(frozen=True)
class Source:
    """One value that a name may have: True, False, or None for anything else.

    Attributes:
      kind: "literal", "default" (of a parameter), "fed" (to a placeholder), "unknown".
    """

    value: bool | None
    location: Location
    kind: str


@dataclass(frozen=True, eq=False)
class _Written:
    """An expression, and the module it stands in."""

    value: nodes.Expr | None
    module: Module
    kind: str

    @property
    def location(self) -> Location:
        return self.module.facts.location(self.value or nodes.Node(0, 0))


_WRAPPERS = frozenset("constant convert_to_tensor cast bool identity Variable".split())
_INSTANCE_CALLS = ("__call__", "call", "forward")


class NameValues:
    """The index over some modules and the nodes in each."""

    def __init__(self, modules: Iterable[tuple[Module, Iterable[nodes.Node]]]) -> None:
        self._assigned: dict[str, list[_Written]] = {}
        self._passed: dict[str, list[_Written]] = {}
        self._fed: dict[str, list[_Written]] = {}
        self._calls: dict[str, list[tuple[nodes.Call, Module]]] = {}
        self._parameters: dict[str, list[tuple[nodes.Param, int, tuple[str, ...], Module]]] = {}
        self._instances: dict[str, set[str]] = {}  # class -> names its instances are given
        known = list(modules)
        for module, every in known:
            for node in every:
                self._index(node, module)
        for module, _ in known:
            for function, owner in module.facts.functions:
                self._index_parameters(function, owner, module)

    # --- the index -------------------------------------------------------------------------

    def _index(self, node: nodes.Node, module: Module) -> None:
        if isinstance(node, nodes.Assign):
            for target in node.targets:
                self._index_target(target, node.value, module)
        elif isinstance(node, nodes.Call):
            self._calls.setdefault(last_name(node.func), []).append((node, module))
            for argument in node.args:
                if argument.keyword not in ("", "*", "**"):
                    written = _Written(argument.value, module, "literal")
                    self._passed.setdefault(argument.keyword, []).append(written)
        elif isinstance(node, nodes.DictDisplay):
            for key, value in node.items:
                self._index_fed(key, value, module)
        elif isinstance(node, nodes.For | nodes.AugAssign):
            target = node.target
            for name in nodes.names_in(target):
                self._assigned.setdefault(name, []).append(_Written(None, module, "unknown"))

    def _index_target(self, target: nodes.Expr, value: nodes.Expr, module: Module) -> None:
        if isinstance(target, nodes.Subscript):
            self._index_fed(target.index, value, module)
        elif isinstance(target, nodes.Display):
            same = isinstance(value, nodes.Display) and len(value.items) == len(target.items)
            for number, item in enumerate(target.items):
                part = value.items[number] if same and isinstance(value, nodes.Display) else None
                self._assign(last_name(item), part, module)
        else:
            self._assign(last_name(target), value, module)

    def _assign(self, name: str, value: nodes.Expr | None, module: Module) -> None:
        self._assigned.setdefault(name, []).append(_Written(value, module, "literal"))
        if isinstance(value, nodes.Call):
            self._instances.setdefault(last_name(value.func), set()).add(name)

    def _index_fed(self, key: nodes.Expr | None, value: nodes.Expr, module: Module) -> None:
        name = last_name(key) if key is not None else ""
        if isinstance(key, nodes.Const) and isinstance(key.value, str):
            name = key.value.removesuffix(":0").rpartition("/")[2]
        if name:
            self._fed.setdefault(name, []).append(_Written(value, module, "fed"))

    def _index_parameters(self, function: nodes.FunctionDef, owner: str, module: Module) -> None:
        callees = self._callees(function, owner)
        # Without a decorator that says otherwise, a method's first parameter is not passed.
        skipped = 1 if owner and "staticmethod" not in nodes.names_in(function.decorators) else 0
        for number, param in enumerate(function.params):
            index = number - skipped if param.kind == "positional" else -1
            entry = (param, index, callees, module)
            self._parameters.setdefault(param.name, []).append(entry)

    def _callees(self, function: nodes.FunctionDef, owner: str) -> tuple[str, ...]:
        cls = owner.rpartition(".")[2]
        if owner and function.name == "__init__":
            return (cls, "__init__")
        if owner and function.name in _INSTANCE_CALLS:
            return (*sorted(self._instances.get(cls, ())), function.name, "")
        return (function.name,)

    def assigned(self, name: str) -> list[nodes.Expr]:
        """What is assigned to a name, wherever that is known."""
        return [item.value for item in self._assigned.get(name, ()) if item.value is not None]

    def calls_of_instances(self, made: nodes.Call, module: Module) -> list[nodes.Call]:
        """Calls in `module` of the names that the object made by a call is given."""
        names = [
            name
            for name, items in self._assigned.items()
            if any(item.value is made for item in items)
        ]
        return [
            call for name in names for call, where in self._calls.get(name, ()) if where is module
        ]

    def overridden_defaults(self, names: frozenset[str]) -> set[Location]:
        """The defaults of parameters of these names that some call replaces by something else
        than True."""
        return {
            module.facts.location(param.default)
            for name in sorted(names & self._parameters.keys())
            for param, index, callees, module in self._parameters[name]
            if param.default is not None
            and any(
                _passes(call, name, index)
                for callee in callees
                if callee != "__init__"  # of whichever class
                for call, _ in self._calls.get(callee, ())
            )
        }

    # --- the answer --------------------------------------------------------------------------

    def of(self, value: nodes.Expr | None, module: Module) -> set[Source]:
        """Everything that an expression may be as a training flag.

        Each name is looked up once, where it is nearest: the ways between names are too many to
        go over each.
        """
        found: set[Source] = set()
        seen: set[str] = set()
        level: list[_Written | Source] = [_Written(value, module, "literal")]
        for depth in range(DEPTH, -1, -1):
            reads: dict[str, _Written] = {}
            for part in self._parts(level):
                if isinstance(part, Source):
                    found.add(part)
                elif (name := last_name(part.value)) not in seen:
                    if depth:
                        reads.setdefault(name, part)
                    else:
                        found.add(Source(None, part.location, "unknown"))
            seen |= reads.keys()
            level = [item for name, read in reads.items() for item in self._named(name, read)]
        return found

    def _parts(self, level: list[_Written | Source]) -> Iterator[_Written | Source]:
        """The sources that expressions give, and the names in them that stand for others."""
        todo = list(level)
        while todo:
            item = todo.pop()
            value = item.value
            if isinstance(item, Source):
                yield item
            elif isinstance(value, nodes.Const) and isinstance(value.value, bool | int):
                yield Source(bool(value.value), item.location, item.kind)
            elif isinstance(value, nodes.Name | nodes.Attribute):
                yield item
            elif isinstance(value, nodes.Ternary):
                for branch in (value.body, value.orelse):
                    todo.append(_Written(branch, item.module, item.kind))
            elif (
                isinstance(value, nodes.Call) and last_name(value.func) in _WRAPPERS and value.args
            ):
                todo.append(_Written(value.args[0].value, item.module, item.kind))
            else:
                yield Source(None, item.location, "unknown")

    def _named(self, name: str, read: _Written) -> Iterator[_Written | Source]:
        found = False
        for written in self._written(name):
            found = True
            if is_placeholder(written.value):
                yield from self._of_placeholder(name, written)
            else:
                yield written
        if not found:
            yield Source(None, read.location, "unknown")

    def _written(self, name: str) -> Iterator[_Written]:
        yield from self._assigned.get(name, ())
        for param, index, callees, module in self._parameters.get(name, ()):
            if param.default is not None:
                yield _Written(param.default, module, "default")
            passed = list(self._passed_to(index, callees))
            yield from passed
            if param.default is None and not passed and name not in self._passed:
                yield _Written(None, module, "unknown")
        yield from self._passed.get(name, ())

    def _passed_to(self, index: int, callees: tuple[str, ...]) -> Iterator[_Written]:
        for callee in callees:
            for call, module in self._calls.get(callee, ()):
                positional = [item for item in call.args if item.keyword in ("", "*")]
                if any(item.keyword in ("*", "**") for item in call.args):
                    yield _Written(None, module, "unknown")
                elif 0 <= index < len(positional):
                    yield _Written(positional[index].value, module, "literal")

    def _of_placeholder(self, name: str, written: _Written) -> Iterator[_Written | Source]:
        call = written.value
        assert isinstance(call, nodes.Call)
        if last_name(call.func) == "placeholder_with_default" and call.args:
            yield _Written(call.args[0].value, written.module, "default")
        given = next((item.value for item in call.args if item.keyword == "name"), None)
        names = {name}
        if isinstance(given, nodes.Const) and isinstance(given.value, str):
            names.add(given.value)
        feeds = [feed for each in sorted(names) for feed in self._fed.get(each, ())]
        yield from feeds
        if not feeds:
            yield Source(None, written.location, "unknown")


def _wrapped(value: nodes.Expr | None) -> nodes.Expr | None:
    """x of `tf.cast(x, ...)` and the like."""
    if isinstance(value, nodes.Call) and value.args and last_name(value.func) in _WRAPPERS:
        return value.args[0].value
    return None


def _passes(call: nodes.Call, name: str, index: int) -> bool:
    """A call passes something else than True for the parameter `name`, which is the positional
    one at `index` (-1: none)."""
    positional = [item.value for item in call.args if not item.keyword]
    passed = [item.value for item in call.args if item.keyword == name]
    passed += positional[index : index + 1] if index >= 0 else []
    return any(not (isinstance(item, nodes.Const) and item.value is True) for item in passed)


def is_placeholder(value: nodes.Expr | None) -> bool:
    """`tf.placeholder(...)` or `tf.placeholder_with_default(...)`."""
    named = last_name(value.func) if isinstance(value, nodes.Call) else ""
    return named in ("placeholder", "placeholder_with_default")


def last_name(value: nodes.Expr | None) -> str:
    """`c` of `a.b.c` or `a().c`; "" of anything else."""
    if isinstance(value, nodes.Name):
        return value.id
    return value.attr if isinstance(value, nodes.Attribute) else ""
