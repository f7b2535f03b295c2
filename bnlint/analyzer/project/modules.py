"""The linked project: its modules, and what a dotted name means in each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bnlint.analyzer.interpreter.values import Env
from bnlint.analyzer.project.module_index import NameIndex, posix
from bnlint.analyzer.syntax import nodes


@dataclass(eq=False)
class Module:
    """One file of the project; `env` holds its globals, filled when it is first imported."""

    facts: nodes.ModuleFacts
    env: Env = field(init=False)
    star_imports: list[Module] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.env = Env(self, None, self.facts.module)

    @property
    def name(self) -> str:
        return self.facts.module

    @property
    def path(self) -> str:
        return self.facts.path

    @property
    def is_package(self) -> bool:
        return self.facts.is_package


class Project:
    """All modules of a run; `resolve` and `resolve_relative` find them by dotted name."""

    def __init__(self, facts: Iterable[nodes.ModuleFacts]) -> None:
        self.modules: list[Module] = [Module(item) for item in facts]
        # Command line flags: name -> {name of the module that defines it: its known values}.
        self.flags: dict[str, dict[str, tuple[object, ...]]] = {}
        self.index = NameIndex(self.modules)
        self.by_name = self.index.by_name
        self.resolve = self.index.resolve
        self.resolve_relative = self.index.resolve_relative

    def defining(self, name: str, importer: Module) -> list[Module]:
        """Modules below the importer's folder with a function or class `name` at top level."""
        folder = posix(importer.facts.path).rpartition("/")[0]
        return [
            module
            for module in self.modules
            if module is not importer
            and posix(module.facts.path).startswith(folder)
            and (
                name in module.facts.classes
                or any(function.qualname == name for function, _ in module.facts.functions)
            )
        ]
