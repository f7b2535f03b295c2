"""Files that the linted files import: read so that one staged file is judged with its project."""

from __future__ import annotations

import os
from collections.abc import Iterator

from bnlint.analyzer import ir
from bnlint.analyzer.sources import Source, read_source
from bnlint.findings import FileError

MAX_FILES = 2000  # imports of one project; a larger tree is linted as a folder


def imported_paths(facts: ir.ModuleFacts) -> Iterator[str]:
    """Existing files that the imports of a file may mean, on disk beside it or in its package."""
    folder = os.path.dirname(facts.path)
    depth = len(facts.module.split(".")) - (0 if facts.is_package else 1)
    root = os.path.normpath(os.path.join(folder, *[".."] * depth)) if depth else folder
    for node in ir.local_imports(facts.body):
        if isinstance(node, ir.Import):
            for name, _ in node.names:
                yield from _files(name, (folder, root))
        elif node.level:
            base = os.path.normpath(os.path.join(folder, *[".."] * (node.level - 1)))
            yield from _with_members(node, (base,))
        else:
            yield from _with_members(node, (folder, root))


def _with_members(node: ir.ImportFrom, bases: tuple[str, ...]) -> Iterator[str]:
    yield from _files(node.module, bases)
    for name, _ in node.names:
        if name != "*":
            yield from _files(f"{node.module}.{name}".strip("."), bases)


def _files(name: str, bases: tuple[str, ...]) -> Iterator[str]:
    parts = name.split(".") if name else []
    for base in dict.fromkeys(bases):
        stem = os.path.join(base, *parts)
        for path in (f"{stem}.py" if parts else "", os.path.join(stem, "__init__.py")):
            if path and os.path.isfile(path):
                yield path


def read_context(path: str) -> Source | None:
    """A context file; one that cannot be read is simply not there."""
    source = read_source(os.path.normpath(path))
    return None if isinstance(source, FileError) else source
