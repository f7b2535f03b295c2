"""Files that the linted files import: read so that one staged file is judged with its project."""

from __future__ import annotations

import os
from collections.abc import Iterator

from bnlint.analyzer.project.import_graph import File, Projects
from bnlint.analyzer.project.module_index import MAX_SUFFIX, folders_above, posix
from bnlint.analyzer.project.prescan import Import
from bnlint.findings import FileError
from bnlint.sources.files import Source, read_source

MAX_FILES = 2000  # imports of one project; a larger tree is linted as a folder


class Disk:
    """Which files exist, each folder listed once."""

    def __init__(self) -> None:
        self._names: dict[str, frozenset[str]] = {}
        self._projects = Projects()

    def imported_paths(self, file: File) -> Iterator[str]:
        """Existing files that a file's imports may mean.

        They are looked for beside it, in the folder above its package, and in those up to its
        project's folder. Without a marked project the folders up to the current one count, from
        which `python -m` may run it.
        """
        folder = os.path.dirname(file.path)
        depth = len(file.name.split(".")) - (0 if file.is_package else 1)
        root = os.path.normpath(os.path.join(folder, *[".."] * depth)) if depth else folder
        others = list(self._above(file.path))
        for node in file.scan.imports if file.scan is not None else ():
            if node.level:
                base = os.path.normpath(os.path.join(folder, *[".."] * (node.level - 1)))
                yield from self._with_members(node, (base,))
            else:
                itself = self._outside(folder, node.module.partition(".")[0])
                yield from self._with_members(node, (folder, root, *others, *itself))

    def _above(self, path: str) -> Iterator[str]:
        """The folders above a file's own, up to that of its project, as its path names them."""
        own = os.path.dirname(path)
        last = self._projects.place(path).project or posix(os.getcwd())
        folders = list(folders_above(posix(os.path.abspath(path))))
        for count in range(1, folders.index(last) + 1 if last in folders else 0):
            yield os.path.normpath(os.path.join(own, *[".."] * count))

    def _outside(self, folder: str, package: str) -> Iterator[str]:
        """The folder above the one, around a file, that is called as a package is."""
        names = posix(os.path.abspath(folder)).split("/")[-MAX_SUFFIX:]
        for count, name in enumerate(reversed(names), 1):
            if name == package:
                yield os.path.normpath(os.path.join(folder, *[".."] * count))

    def _with_members(self, node: Import, bases: tuple[str, ...]) -> Iterator[str]:
        yield from self._files(node.module, bases)
        for name in node.names:
            if name != "*":
                yield from self._files(f"{node.module}.{name}".strip("."), bases)

    def _files(self, name: str, bases: tuple[str, ...]) -> Iterator[str]:
        parts = name.split(".") if name else []
        for base in dict.fromkeys(bases):
            stem = os.path.join(base, *parts)
            for path in (f"{stem}.py" if parts else "", os.path.join(stem, "__init__.py")):
                if path and self._exists(path):
                    yield path

    def _exists(self, path: str) -> bool:
        folder, name = os.path.split(path)
        names = self._names.get(folder)
        if names is None:
            try:
                with os.scandir(folder or ".") as entries:
                    names = frozenset(entry.name for entry in entries)
            except OSError:
                names = frozenset()
            self._names[folder] = names
        return name in names and os.path.isfile(path)


def read_context(path: str) -> Source | None:
    """A context file; one that cannot be read is simply not there."""
    source = read_source(os.path.normpath(path))
    return None if isinstance(source, FileError) else source
