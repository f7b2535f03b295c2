"""Signatures of library functions, and calls bound by them.

`signatures/*.pyi` holds one family (module) per file as the real libraries have it, one `def` a
line; where versions differ, one `@overload` each, TensorFlow 1 first. A file is read when a
function of it is first called, a line is parsed when that function is.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import Any

import msgspec

from bnlint.analyzer.apis.roles import Roles
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.values import Const, Symbol, Value
from bnlint.analyzer.syntax import nodes

STUBS = Path(__file__).parent / "signatures"


class Signature(msgspec.Struct, frozen=True):
    """The parameters of one function of one version.

    Attributes:
      positional: names of those that may be given by position, in order; without `self`.
      names: names of all.
      more, keywords: it takes `*args`, `**kwargs`.
      defaults: known defaults (None, numbers, strings) by name.
    """

    positional: tuple[str, ...]
    names: frozenset[str]
    more: bool = False
    keywords: bool = False
    defaults: dict[str, Any] = {}

    def fits(self, args: Args) -> bool:
        """These arguments can be passed."""
        if len(args.positional) > len(self.positional) and not self.more:
            return False
        return self.keywords or args.keywords.keys() <= self.names


@functools.cache
def signatures(name: str) -> tuple[Signature, ...]:
    """The recorded signatures of a canonical name: a function, class or method."""
    module, _, short = name.rpartition(".")
    owner, _, cls = module.rpartition(".")
    family = _stub(module)
    lines = family.get(short) or family.get(f"{short}.__init__") or []
    return tuple(parsed(line) for line in lines or _stub(owner).get(f"{cls}.{short}", []))


def parsed(line: str) -> Signature:
    """A signature from `def f(a, b=1): ...`."""
    definition = ast.parse(line).body[0]
    assert isinstance(definition, ast.FunctionDef)
    given = definition.args
    positional = [arg.arg for arg in (*given.posonlyargs, *given.args)]
    defaults = dict(zip(reversed(positional), reversed(given.defaults), strict=False))
    for arg, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        if default is not None:
            defaults[arg.arg] = default
    return Signature(
        tuple(name for name in positional if name != "self"),
        frozenset(positional) | {arg.arg for arg in given.kwonlyargs},
        given.vararg is not None,
        given.kwarg is not None,
        {name: value for name, node in defaults.items() if (value := _literal(node)) is not ...},
    )


def _literal(node: ast.expr) -> Any:
    """A default's value; `...` stands for what is no literal."""
    return node.value if isinstance(node, ast.Constant) else ast.literal_eval(node)


@functools.cache
def _stub(module: str) -> dict[str, list[str]]:
    """{"function" or "Class.method": its `def` lines} of one family."""
    found: dict[str, list[str]] = {}
    path = STUBS / f"{module}.pyi"
    if not path.is_file():
        return found
    owner = ""
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("class "):
            owner = line[len("class ") :].rstrip(":") + "."
        elif line.startswith("def "):
            owner = ""
        if line.lstrip().startswith("def "):
            name = line.split("(", 1)[0].split()[1]
            found.setdefault(owner + name, []).append(line.strip())
    return found


class Call:
    """One call of a library function: its arguments by the names of its parameters.

    `call.loss` is what was passed for the parameter `loss`, by position or by keyword; None when
    nothing was. A name that no version of the function has is an error of the handler. A parameter
    whose name is an attribute of this class is read as `call["node"]`.

    Attributes:
      api: the function's canonical name; roles: what it was declared to do.
      node: where it is called.
      arguments: what was passed, as written; `rest` stands for unknown `*args` and `**kwargs`.
      more: positional arguments beyond the parameters; extra: keywords that are no parameter.
    """

    def __init__(
        self,
        api: str,
        roles: Roles,
        versions: tuple[Signature, ...],
        arguments: Args,
        node: nodes.Call,
    ) -> None:
        self.api = api
        self.roles = roles
        self.node = node
        self.arguments = arguments
        self._versions = versions
        fitting = (version for version in versions if version.fits(arguments))
        self._signature = next(fitting, versions[0])
        given = arguments.positional
        positional = self._signature.positional
        self._bound = {**arguments.keywords, **dict(zip(positional, given, strict=False))}
        self.more = given[len(positional) :]

    @property
    def rest(self) -> Symbol | None:
        return self.arguments.rest

    @property
    def extra(self) -> dict[str, Value]:
        names = self._signature.names
        return {key: value for key, value in self.arguments.keywords.items() if key not in names}

    @property
    def first(self) -> Value | None:
        """The first parameter's argument, whatever its name (`logits`, `x`, `features`)."""
        positional = self._signature.positional
        if not positional:
            return self.more[0] if self.more else None
        return self._bound.get(positional[0])

    def __getitem__(self, name: str) -> Value | None:
        if not any(name in version.names for version in self._versions):
            raise AttributeError(f"{self.api} has no parameter {name}")
        return self._bound.get(name)

    def __getattr__(self, name: str) -> Value | None:
        return self[name]

    def given(self, name: str) -> bool:
        """Something other than None was passed, or may have been."""
        value = self[name]
        if value is None:
            return self.rest is not None
        return not (isinstance(value, Const) and value.value is None)

    def number(self, name: str) -> float | None:
        """The number that was passed, or the default; None if it is not known."""
        value = self[name]
        known = self._signature.defaults.get(name) if value is None else None
        if isinstance(value, Const):
            known = value.value
        return float(known) if isinstance(known, int | float) else None

    def get(self, name: str) -> Value | None:
        """`call[name]`, for a function that may have no such parameter."""
        return self._bound.get(name)

    def with_defaults(self, extra: dict[str, Value]) -> Call:
        """The same call, with further keywords where the program passes none."""
        given = self.arguments
        arguments = Args(given.positional, {**extra, **given.keywords}, given.rest)
        return Call(self.api, self.roles, self._versions, arguments, self.node)

    def values(self) -> list[Value]:
        """Every argument."""
        return self.arguments.values()
