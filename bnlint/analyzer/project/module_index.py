"""Which file of a project a dotted module name means."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar


class Named(Protocol):
    """A file of the project."""

    @property
    def name(self) -> str:
        """Its dotted module name."""

    @property
    def path(self) -> str:
        """Where it is."""

    @property
    def is_package(self) -> bool:
        """It is an `__init__.py`."""


T = TypeVar("T", bound=Named)


class NameIndex(Generic[T]):
    """Files by module name and by every ending of it."""

    def __init__(self, items: Iterable[T]) -> None:
        self.by_name: dict[str, list[T]] = {}
        self._by_suffix: dict[str, list[T]] = {}
        self._nearest: dict[tuple[bool, str], dict[str, T]] = {}
        self._by_stem: dict[str, T] = {}
        for item in items:
            self._by_stem.setdefault(_stem(item.path), item)
            self.by_name.setdefault(item.name, []).append(item)
            parts = item.name.split(".")
            for index in range(len(parts)):
                self._by_suffix.setdefault(".".join(parts[index:]), []).append(item)

    def resolve(self, name: str, importer: Named) -> T | None:
        """The file that `import name` in `importer` means, if any.

        A file beside the importer wins, then an exact name. Otherwise scripts put folders on
        sys.path that the project does not tell us, so a module whose dotted name ends in `name`
        counts, the one that shares most folders with the importer; names of well-known libraries
        never match that way.
        """
        library = name.split(".")[0] in _LIBRARIES
        # A script's own folder comes first on sys.path: facenet/src/train.py imports
        # facenet/src/facenet.py, not the package around it.
        beside = "" if library else _beside(name, importer)
        if beside in self.by_name and not (
            name in self.by_name and _around(importer, self.by_name[beside][0])
        ):
            return self._closest(True, beside, importer)
        if name in self.by_name:
            return self._closest(True, name, importer)
        if library or name not in self._by_suffix:
            return None
        return self._closest(False, name, importer)

    def resolve_relative(self, level: int, name: str, importer: Named) -> T | None:
        """The file that `from ..name import` in `importer` means, by where both are."""
        above = [".."] * (level - 1)
        folder = posixpath.dirname(posix(importer.path))
        return self._by_stem.get(
            posixpath.normpath(posixpath.join(folder, *above, *name.split(".")))
        )

    def _closest(self, exact: bool, name: str, importer: Named) -> T:
        """The candidate whose path shares the most leading folders with the importer's."""
        candidates = (self.by_name if exact else self._by_suffix)[name]
        if len(candidates) == 1:
            return candidates[0]
        # Thousands of files may be called `utils`: the first one in each folder is remembered.
        below = self._nearest.get((exact, name))
        if below is None:
            below = self._nearest[exact, name] = {}
            for item in candidates:
                for folder in _ancestors(item.path):
                    below.setdefault(folder, item)
        return next(below[folder] for folder in _ancestors(importer.path) if folder in below)


def posix(path: str) -> str:
    """A path of any system with slashes."""
    return path.replace("\\", "/")


def _stem(path: str) -> str:
    """A file without its suffix; a package's `__init__.py` stands for its folder."""
    folder, file = posixpath.split(posix(path))
    name = file.rpartition(".")[0]
    return posixpath.normpath(folder if name == "__init__" else posixpath.join(folder, name))


def _beside(name: str, importer: Named) -> str:
    """The dotted name of a module in the importer's folder."""
    parts = importer.name.split(".")
    return ".".join([*(parts if importer.is_package else parts[:-1]), name])


def _around(importer: Named, found: Named) -> bool:
    """A module that imports its own name means the package of that name, not itself."""
    return found is importer or importer.name.startswith(found.name + ".")


def _ancestors(path: str) -> list[str]:
    """The path itself and every folder above it, the nearest first; "" last."""
    parts = posix(path).split("/")
    return ["/".join(parts[:count]) for count in range(len(parts), 0, -1)] + ["\0root"]


_LIBRARIES = frozenset(
    "tensorflow tf_slim keras tf_keras torch jax flax numpy scipy os sys re time math "
    "random collections functools itertools logging typing json six absl argparse".split()
)
