"""Which files belong together: the import graph, without parsing, and its independent parts."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bnlint.analyzer.project.module_index import NameIndex, Place, folders_above, posix
from bnlint.analyzer.project.prescan import Import, Scan


class SourceText(Protocol):
    """What the analyzer needs of a source file (see bnlint.sources.files.Source)."""

    @property
    def path(self) -> str:
        """The file as the user named it."""

    @property
    def module(self) -> str:
        """Dotted module name, relative to its import root."""

    @property
    def text(self) -> str:
        """The Python text."""


@dataclass(eq=False)
class File:
    """A file of the project; `scan` is filled in before files are linked, `place` then."""

    source: SourceText
    is_context: bool = False
    scan: Scan | None = None
    place: Place = field(default=Place(""))
    neighbors: list[File] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.source.module

    @property
    def path(self) -> str:
        return self.source.path

    @property
    def is_package(self) -> bool:
        return posix(self.path).endswith("__init__.py")


def components(files: Sequence[File]) -> list[list[File]]:
    """The groups of files, linked by imports, in which some rule could find something.

    Every file has its `scan`. Groups come in the order of their first files; each in the order
    of `files`.
    """
    projects = Projects()
    for file in files:
        file.place = projects.place(file.path)
    index = NameIndex(files)
    below = _Folders(files)
    for file in files:
        for target in _targets(file, index, below):
            if target is not file:
                file.neighbors.append(target)
                target.neighbors.append(file)
    order = {id(file): number for number, file in enumerate(files)}
    groups = [
        sorted(group, key=lambda file: order[id(file)])
        for group in _connected(files)
        if worth_following(file.scan for file in group if file.scan is not None)
    ]
    return sorted(groups, key=lambda group: order[id(group[0])])


def worth_following(scans: Iterable[Scan]) -> bool:
    """Some program in these files may build a batch norm, or log logits, and act on it."""
    known = list(scans)
    return (
        any(item.framework for item in known)
        and any(item.acts for item in known)
        and any(item.builds or item.logs for item in known)
    )


def _targets(file: File, index: NameIndex[File], below: _Folders) -> Iterator[File]:
    """Everything that a file may import."""
    scan = file.scan
    assert scan is not None
    for node in scan.imports:
        for name in _modules(node):
            found = (
                index.resolve_relative(node.level, name, file)
                if node.level
                else index.resolve(name, file)
            )
            if found is not None:
                yield found
    if scan.by_name is not None:
        yield from below.folder(posixpath.dirname(file.place.file))
        for name in scan.by_name:
            yield from below.package(name)
            yield from below.folder(index.namespace(name, file))


class Projects:
    """The projects of files: the nearest folder that holds a project's files.

    `import utils` in one of a company's repositories does not mean another one's utils.py.
    """

    MARKS = (".git", "setup.py", "pyproject.toml", "setup.cfg")

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def place(self, path: str) -> Place:
        """Where the file at `path` is."""
        file = os.path.abspath(path)
        folder = os.path.dirname(file)
        new: list[str] = []
        while (project := self._known.get(folder)) is None:
            new.append(folder)
            if any(os.path.exists(os.path.join(folder, mark)) for mark in self.MARKS):
                project = posix(folder)
                break
            if folder == os.path.dirname(folder):
                project = ""
                break
            folder = os.path.dirname(folder)
        self._known.update(dict.fromkeys(new, project))
        return Place(posix(file), project)


MAX_PARTS = 64  # of a dotted name; no path is deeper


def _modules(node: Import) -> Iterator[str]:
    parts = node.module.split(".", MAX_PARTS)[:MAX_PARTS] if node.module else []
    if node.level:
        yield node.module
    else:
        for count in range(1, len(parts) + 1):
            yield ".".join(parts[:count])
    for name in node.names:
        yield ".".join([*parts, name])


class _Folders:
    """The files of a folder or a top-level package, made on first use."""

    def __init__(self, files: Sequence[File]) -> None:
        self.files = files
        self.by_folder: dict[str, list[File]] = {}
        self.by_package: dict[str, list[File]] = {}

    def folder(self, folder: str) -> list[File]:
        """The files anywhere below a folder."""
        if not self.by_folder:
            for file in self.files:
                for above in folders_above(file.place.file):
                    self.by_folder.setdefault(above, []).append(file)
        return self.by_folder.get(folder, [])

    def package(self, name: str) -> list[File]:
        """The modules of a top-level package."""
        if not self.by_package:
            for file in self.files:
                self.by_package.setdefault(file.name.split(".")[0], []).append(file)
        return self.by_package.get(name, [])


def _connected(files: Iterable[File]) -> Iterator[list[File]]:
    seen: set[int] = set()
    for file in files:
        if id(file) in seen:
            continue
        seen.add(id(file))
        group, todo = [], [file]
        while todo:
            item = todo.pop()
            group.append(item)
            for other in item.neighbors:
                if id(other) not in seen:
                    seen.add(id(other))
                    todo.append(other)
        yield group
