"""Which files belong together: the import graph, without parsing, and its independent parts."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bnlint.analyzer.project.module_index import (
    NameIndex,
    Place,
    folders_above,
    last_part,
    posix,
)
from bnlint.analyzer.project.prescan import Import, Scan, imports_framework, mentions


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
    """A file of the project.

    Attributes:
      source: what is in it. is_context: it was read only because others import it.
      scan: filled in when it is first needed.
      place: where it is. imports: what it may import; see `components`.
      is_relevant: the import of a framework can be reached from it.
    """

    source: SourceText
    is_context: bool = False
    scan: Scan | None = None
    place: Place = field(default=Place(""))
    imports: list[File] = field(default_factory=list)
    is_relevant: bool = False

    @property
    def is_candidate(self) -> bool:
        """What rules look for may be written here."""
        known = self.scan
        if known is None:
            return False
        return (known.builds and known.names_tf) or (known.logs and self.is_relevant)

    @property
    def name(self) -> str:
        return self.source.module

    @property
    def path(self) -> str:
        return self.source.path

    @property
    def is_package(self) -> bool:
        return posix(self.path).endswith("__init__.py")


Scanned = Callable[[File], Scan]


def components(
    files: Sequence[File], frameworks: frozenset[str], scanned: Scanned
) -> list[list[File]]:
    """The groups of files, linked by imports, in which some rule could find something.

    These are the files from which the import of a framework can be reached, and what they import.
    All others are neither looked at closely nor parsed, however they are linked with these.
    Groups come in the order of their first files; each in the order of `files`.

    Args:
      files: of all projects.
      frameworks: what TensorFlow and Keras are imported by.
      scanned: gives a file's scan.
    """
    start = [
        file
        for file in files
        if mentions(file.source.text, frameworks) and imports_framework(scanned(file), frameworks)
    ]
    if not start:
        return []
    projects = Projects()
    for file in files:
        file.place = projects.place(file.path)
    links = _Links(files, scanned)
    for file in _importers(files, start, links):
        file.is_relevant = True
    relevant = [file for file in files if file.is_relevant]
    certain = _reached(relevant, links.imports)
    if not _worth_following(certain):
        return []
    needed = _reached(certain, links.all)
    for file in needed:
        file.imports = links.all(file)
    order = {id(file): number for number, file in enumerate(files)}
    known = {id(file) for file in certain}
    groups = [
        sorted(group, key=lambda file: order[id(file)])
        for group in _connected(needed)
        if _worth_following(file for file in group if id(file) in known)
    ]
    return sorted(groups, key=lambda group: order[id(group[0])])


def leading_to(group: list[File], targets: Iterable[File]) -> list[File]:
    """The relevant files of a group from which a target can be reached, and what these import.

    All that begins in the others goes on without the targets.
    """
    importers: dict[int, list[File]] = {}
    for file in group:
        for target in file.imports:
            importers.setdefault(id(target), []).append(file)
    above = _reached(targets, lambda file: importers.get(id(file), ()))
    needed = _reached((file for file in above if file.is_relevant), lambda file: file.imports)
    chosen = {id(file) for file in needed}
    return [file for file in group if id(file) in chosen]


def _worth_following(files: Iterable[File]) -> bool:
    """Some program in these files may build a batch norm, or log logits, and act on it."""
    known = list(files)
    return any(file.is_candidate for file in known) and any(
        file.scan is not None and file.scan.acts for file in known
    )


class _Links:
    """What files import, worked out for those that are asked for."""

    def __init__(self, files: Sequence[File], scanned: Scanned) -> None:
        self._scanned = scanned
        self._index = NameIndex(files)
        self._below = _Folders(files)
        self._imports: dict[int, list[File]] = {}

    def imports(self, file: File) -> list[File]:
        """Everything that the import statements of a file may mean."""
        known = self._imports.get(id(file))
        if known is None:
            index = self._index
            found = (
                index.resolve_relative(node.level, name, file)
                if node.level
                else index.resolve(name, file)
                for node in self._scanned(file).imports
                for name in _modules(node)
            )
            known = [item for item in found if item is not None and item is not file]
            self._imports[id(file)] = known
        return known

    def all(self, file: File) -> list[File]:
        """These, and everything that it may import by a name that it makes up."""
        others = dict.fromkeys(self._by_name(file))
        return [*self.imports(file), *(item for item in others if item is not file)]

    def _by_name(self, file: File) -> Iterator[File]:
        names = self._scanned(file).by_name
        if names is None:
            return
        yield from self._below.folder(posixpath.dirname(file.place.file))
        for name in names:
            yield from self._below.package(name)
            yield from self._below.folder(self._index.namespace(name, file))


MANY_NAMES = 20  # above that every file is looked at; searching for each name takes longer
_RELATIVE = re.compile(r"from\s*\.")


def _importers(files: Sequence[File], start: list[File], links: _Links) -> list[File]:
    """`start`, and all that import one of these, directly or through others.

    Whoever imports a file writes the last part of its name somewhere, or begins an import with
    dots below its package: only such files are looked at.
    """
    importers: dict[int, list[File]] = {}
    found: dict[int, File] = {}
    left = {id(file): file for file in files}
    asked: set[str] = set()
    todo = list(start)
    while todo:
        fresh = []
        while todo:
            file = todo.pop()
            if id(file) not in found:
                found[id(file)] = file
                fresh.append(file)
                todo.extend(importers.get(id(file), ()))
        for file in _candidates(list(left.values()), fresh, asked):
            del left[id(file)]
            for target in links.imports(file):
                importers.setdefault(id(target), []).append(file)
                if id(target) in found:
                    todo.append(file)
    return [file for file in files if id(file) in found]


def _candidates(files: list[File], targets: list[File], asked: set[str]) -> list[File]:
    """Those of `files` that may import one of `targets` by a name that is not in `asked` yet."""
    names = {last_part(file.place.file) for file in targets} - asked
    asked |= names
    if len(asked) > MANY_NAMES:
        return files
    folders = tuple(f"{posixpath.dirname(file.place.file)}/" for file in targets if file.is_package)
    return [
        file
        for file in files
        if any(name in file.source.text for name in names)
        or (file.place.file.startswith(folders) and _RELATIVE.search(file.source.text))
    ]


def _reached(files: Iterable[File], links: Callable[[File], Iterable[File]]) -> list[File]:
    """Files and all that the links lead to."""
    found: dict[int, File] = {}
    todo = list(files)
    while todo:
        file = todo.pop()
        if id(file) not in found:
            found[id(file)] = file
            todo.extend(links(file))
    return list(found.values())


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


def _connected(files: Sequence[File]) -> Iterator[list[File]]:
    """Files in groups that import nothing of each other."""
    neighbors: dict[int, list[File]] = {}
    for file in files:
        for target in file.imports:
            neighbors.setdefault(id(file), []).append(target)
            neighbors.setdefault(id(target), []).append(file)
    seen: set[int] = set()
    for file in files:
        if id(file) not in seen:
            group = _reached([file], lambda item: neighbors.get(id(item), ()))
            seen.update(map(id, group))
            yield group
