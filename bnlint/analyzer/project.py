"""The linked project: its modules, and what a dotted name means in each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bnlint.analyzer import ir
from bnlint.analyzer.values import Env


@dataclass(eq=False)
class Module:
    """One file of the project; `env` holds its globals, filled when it is first imported."""

    facts: ir.ModuleFacts
    env: Env = field(init=False)
    star_imports: list[Module] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.env = Env(self, None, self.facts.module)

    @property
    def name(self) -> str:
        return self.facts.module


class Project:
    """All modules of a run by dotted name."""

    def __init__(self, facts: Iterable[ir.ModuleFacts]) -> None:
        self.modules: list[Module] = [Module(item) for item in facts]
        # Command line flags: name -> {name of the module that defines it: its known values}.
        self.flags: dict[str, dict[str, tuple[object, ...]]] = {}
        self.by_name: dict[str, list[Module]] = {}
        for module in self.modules:
            self.by_name.setdefault(module.name, []).append(module)
        self._by_suffix: dict[str, list[Module]] = {}
        for module in self.modules:
            parts = module.name.split(".")
            for index in range(len(parts)):
                self._by_suffix.setdefault(".".join(parts[index:]), []).append(module)

    def resolve(self, name: str, importer: Module) -> Module | None:
        """The project module that `import name` in `importer` means, if any.

        An exact name wins. Otherwise scripts put folders on sys.path that the project does not
        tell us, so a unique module whose dotted name ends in `name` counts when it shares a
        folder with the importer; names of well-known libraries never match that way.
        """
        exact = self.by_name.get(name)
        library = name.split(".")[0] in _LIBRARIES
        # A script's own folder comes first on sys.path: facenet/src/train.py imports
        # facenet/src/facenet.py, not the package around it.
        beside = [] if library else self.by_name.get(_beside(name, importer), [])
        if beside and not (exact and _around(importer, beside[0])):
            return _nearest(beside, importer)
        if exact:
            return _nearest(exact, importer)
        if library:
            return None
        candidates = self._by_suffix.get(name, [])
        return _nearest(candidates, importer) if candidates else None

    def defining(self, name: str, importer: Module) -> list[Module]:
        """Modules below the importer's folder with a function or class `name` at top level."""
        folder = importer.facts.path.replace("\\", "/").rpartition("/")[0]
        return [
            module
            for module in self.modules
            if module is not importer
            and module.facts.path.replace("\\", "/").startswith(folder)
            and (
                name in module.facts.classes
                or any(function.qualname == name for function, _ in module.facts.functions)
            )
        ]

    def resolve_relative(self, level: int, name: str, importer: Module) -> Module | None:
        """The module that `from ..name import` in `importer` means."""
        parts = importer.name.split(".")
        keep = len(parts) - level + (1 if importer.facts.is_package else 0)
        base = parts[: max(keep, 0)]
        full = ".".join([*base, *([name] if name else [])])
        found = self.by_name.get(full)
        return _nearest(found, importer) if found else None


def _beside(name: str, importer: Module) -> str:
    """The dotted name of a module in the importer's folder."""
    parts = importer.name.split(".")
    return ".".join([*(parts if importer.facts.is_package else parts[:-1]), name])


def _around(importer: Module, found: Module) -> bool:
    """A module that imports its own name means the package of that name, not itself."""
    return found is importer or importer.name.startswith(found.name + ".")


def _nearest(candidates: list[Module], importer: Module) -> Module:
    """The candidate whose path shares the most leading folders with the importer's."""
    here = importer.facts.path.replace("\\", "/").split("/")

    def shared(module: Module) -> int:
        there = module.facts.path.replace("\\", "/").split("/")
        count = 0
        for left, right in zip(here, there, strict=False):
            if left != right:
                break
            count += 1
        return count

    return max(candidates, key=shared)


_LIBRARIES = frozenset(
    "tensorflow tf_slim keras tf_keras torch jax flax numpy scipy os sys re time math "
    "random collections functools itertools logging typing json six absl argparse".split()
)
