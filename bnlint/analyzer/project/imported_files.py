"""Files that the linted files import: read so that one staged file is judged with its project."""

from __future__ import annotations

import os
from collections.abc import Iterator

from bnlint.analyzer.project.import_graph import File
from bnlint.analyzer.project.prescan import Import
from bnlint.findings import FileError
from bnlint.sources.files import Source, read_source

MAX_FILES = 2000  # imports of one project; a larger tree is linted as a folder


class Disk:
    """Which files exist, each folder listed once."""

    def __init__(self) -> None:
        self._names: dict[str, frozenset[str]] = {}

    def imported_paths(self, file: File) -> Iterator[str]:
        """Existing files that a file's imports may mean, beside it or in its package."""
        folder = os.path.dirname(file.path)
        depth = len(file.name.split(".")) - (0 if file.is_package else 1)
        root = os.path.normpath(os.path.join(folder, *[".."] * depth)) if depth else folder
        for node in file.scan.imports if file.scan is not None else ():
            if node.level:
                base = os.path.normpath(os.path.join(folder, *[".."] * (node.level - 1)))
                yield from self._with_members(node, (base,))
            else:
                yield from self._with_members(node, (folder, root))

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
