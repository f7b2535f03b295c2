"""The linked project: its modules, and what a dotted name means in each."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bnlint.analyzer.project.module_index import NameIndex, Place, posix
from bnlint.analyzer.syntax import nodes
from bnlint.program.whole_project import WholeProject


@dataclass(eq=False)
class Module:
    """One file of the project."""

    facts: nodes.ModuleFacts
    place: Place

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
    """All modules of a run; `resolve` and `resolve_relative` find them by dotted name.

    Args:
      facts: of each file.
      places: where each file is; by default where its path says, from the current folder.
      keras: the Keras that the settings name ("tf1", "2", "3"), or "".
    """

    def __init__(
        self, facts: Iterable[nodes.ModuleFacts], places: Iterable[Place] = (), keras: str = ""
    ) -> None:
        self.keras = keras
        known = list(facts)
        where = list(places) or [Place(posix(os.path.abspath(item.path))) for item in known]
        pairs = zip(known, where, strict=True)
        self.modules: list[Module] = [Module(item, place) for item, place in pairs]
        # Command line flags: name -> {name of the module that defines it: its setting}.
        self.flags: dict[str, dict[str, Any]] = {}
        self.index = NameIndex(self.modules)
        # What the files say together; gathered before programs are followed.
        self.whole = WholeProject()
        self._namespaces: dict[str, Module] = {}

    def resolve(self, name: str, importer: Module) -> Module | None:
        """The module that `import name` means; a folder without `__init__.py` is an empty one."""
        module = self.index.resolve(name, importer)
        return module or self._namespace(self.index.namespace(name, importer))

    def resolve_relative(self, level: int, name: str, importer: Module) -> Module | None:
        """The module that `from ..name import` means."""
        module = self.index.resolve_relative(level, name, importer)
        return module or self._namespace(self.index.relative_namespace(level, name, importer))

    def submodule(self, package: Module, name: str) -> Module | None:
        """The module `name` of a package."""
        return self.index.below(package, name) if package.is_package else None

    def _namespace(self, folder: str) -> Module | None:
        if not folder:
            return None
        if folder not in self._namespaces:
            name, file = folder.rpartition("/")[2], f"{folder}/__init__.py"
            facts = nodes.ModuleFacts(file, name, True, [], [0])
            self._namespaces[folder] = Module(facts, Place(file))
        return self._namespaces[folder]

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
