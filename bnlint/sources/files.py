"""Finding and reading the files to lint: Python files and notebooks, never executed."""

from __future__ import annotations

import io
import json
import os
import re
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bnlint.findings import FileError, Location
from bnlint.sources import ignore_patterns
from bnlint.sources.ignore_patterns import IgnorePatterns
from bnlint.sources.regular import Refused, read_regular

MAX_BYTES = 5 * 1024 * 1024  # generated code and data; no hand-written source is this large
SUFFIXES = (".py", ".pyw", ".ipynb")
DEFAULT_EXCLUDES = (
    ".git", ".hg", ".svn", ".tox", ".nox", ".venv", "venv", "node_modules", "__pycache__",
    ".mypy_cache", ".ruff_cache", ".pytest_cache", ".ipynb_checkpoints", "build", "dist",
    "*.egg-info", "site-packages",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """One file's Python text.

    Attributes:
      path: as the user named it. module: dotted name, from the outermost folder that is a
        package (or the file's own name).
      text: Python text; a notebook's code cells one after another.
      cells: for notebooks, (first line in `text`, cell number) of each code cell, in order.
      encoding: of the file, for writing it back; newline: "\\n" or "\\r\\n".
    """

    path: str
    module: str
    text: str
    cells: tuple[tuple[int, int], ...] = ()
    encoding: str = "utf-8"

    def cell_texts(self) -> dict[int, str]:
        """The text of each code cell of a notebook, by the cell's number."""
        lines = self.text.split("\n")
        ends = [*(start - 1 for start, _ in self.cells[1:]), len(lines)]
        return {
            number: "\n".join(lines[start - 1 : end])
            for (start, number), end in zip(self.cells, ends, strict=False)
        }

    def to_cell(self, location: Location) -> Location:
        """A location in `text` as (cell, line in that cell) for notebooks."""
        if not self.cells or not location.line:
            return location
        start, number = max(
            (cell for cell in self.cells if cell[0] <= location.line), default=self.cells[0]
        )
        shift = start - 1
        return Location(
            location.path, location.line - shift, location.column,
            max(location.end_line - shift, 0), location.end_column, number, location.node,
        )  # fmt: skip


ZIPS = (".zip", ".whl", ".egg")
TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def is_archive(path: str) -> bool:
    """The path is a file with the name of an archive (see bnlint.sources.archives)."""
    return path.lower().endswith((*ZIPS, *TARS)) and os.path.isfile(path)


def discover(
    paths: Sequence[str],
    exclude: Sequence[str] = (),
    errors: list[FileError] | None = None,
    seen: set[str] | None = None,
    suffixes: tuple[str, ...] = SUFFIXES,
) -> Iterator[str]:
    """The files to lint below `paths`, each once, in sorted order per folder. `seen` has those that
    were found before, and `suffixes` end the names of files that are taken from folders.

    Files named directly are always taken. Folders are walked without `exclude` patterns
    (gitignore syntax) and without what the folder's own `.gitignore` files leave out;
    symbolic links to folders are followed once. Trouble is added to `errors`.
    """
    problems = errors if errors is not None else []
    seen = seen if seen is not None else set()
    patterns = IgnorePatterns([*DEFAULT_EXCLUDES, *exclude])
    for path in paths:
        if os.path.isdir(path):
            yield from _walk(path, patterns, problems, seen, suffixes)
        elif not os.path.lexists(path):
            problems.append(FileError(path, "no such file or folder"))
        elif _first_time(path, seen):
            yield path


def _first_time(path: str, seen: set[str]) -> bool:
    real = os.path.realpath(path)
    if real in seen:
        return False
    seen.add(real)
    return True


def _walk(
    root: str,
    patterns: IgnorePatterns,
    errors: list[FileError],
    seen: set[str],
    suffixes: tuple[str, ...],
) -> Iterator[str]:
    # Folder -> its .gitignore and those above it, each with the folder's depth below the root.
    ignored: dict[str, list[tuple[int, IgnorePatterns]]] = {}
    for folder, folders, files in os.walk(root, followlinks=True, onerror=_note(errors)):
        if not _first_time(folder, seen):
            folders.clear()  # a symbolic link led back here
            continue
        above = _names(os.path.relpath(folder, root))
        active = list(ignored.get(os.path.dirname(folder), ()) if folder != root else ())
        own = _read_gitignore(folder, errors)
        if own is not None:
            active.append((len(above), own))
        ignored[folder] = active

        def kept(
            name: str,
            is_folder: bool,
            above: list[str] = above,
            active: list[tuple[int, IgnorePatterns]] = active,
        ) -> bool:
            names = [*above, name]
            if patterns.match_entry(names, is_folder):
                return False
            return not any(spec.match_entry(names[depth:], is_folder) for depth, spec in active)

        folders[:] = sorted(name for name in folders if kept(name, True))
        for name in sorted(files):
            path = os.path.join(folder, name)
            if name.endswith(suffixes) and kept(name, False) and _first_time(path, seen):
                yield path


def _names(relative: str) -> list[str]:
    return [] if relative == "." else relative.split(os.sep)


def _note(errors: list[FileError]):  # type: ignore[no-untyped-def]
    def note(error: OSError) -> None:
        errors.append(FileError(str(error.filename), error.strerror or "cannot be read"))

    return note


def _read_gitignore(folder: str, errors: list[FileError]) -> IgnorePatterns | None:
    path = os.path.join(folder, ".gitignore")
    try:
        # git does not follow a link here, either: it may lead out of the tree.
        data = read_regular(path, ignore_patterns.MAX_BYTES, follow=False)
        return IgnorePatterns(data.decode("utf-8", "replace").split("\n"))
    except (Refused, ValueError) as error:
        reason = error.reason if isinstance(error, Refused) else str(error)
        errors.append(FileError(path, reason))
    except OSError:  # there is none, or it is not for this user: as git
        pass
    return None


def read_source(path: str, max_bytes: int = MAX_BYTES) -> Source | FileError:
    """Reads one file, or says why it cannot be linted."""
    try:
        data = read_regular(path, max_bytes)
    except OSError as error:
        broken = os.path.islink(path) and not isinstance(error, Refused)
        reason = "broken symbolic link" if broken else error.strerror
        return FileError(path, reason or "cannot be read")
    return source_from_bytes(data, path)


def source_from_bytes(data: bytes, path: str) -> Source | FileError:
    """A Source from a file's bytes (also for stdin, named `path`)."""
    if path.endswith(".ipynb"):
        return _notebook(data, path)
    decoded = _decode(data, path)
    if isinstance(decoded, FileError):
        return decoded
    text, encoding = decoded
    return Source(path, module_name(path), text, encoding=encoding)


def _decode(data: bytes, path: str) -> tuple[str, str] | FileError:
    """Text and encoding by PEP 263 (a BOM or a cookie, else UTF-8)."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return FileError(path, "UTF-16 text: Python source must be UTF-8 or declare its encoding")
    if b"\0" in data:
        return FileError(path, "holds NUL bytes: a binary file?")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return _without_halves(data.decode(encoding)), encoding
    except UnicodeDecodeError as error:
        return FileError(path, f"is not valid {encoding}: {error.reason} at byte {error.start}")
    except (SyntaxError, LookupError, UnicodeError) as error:
        return FileError(path, f"encoding: {error}")


_HALVES = re.compile("[\ud800-\udfff]")


def _without_halves(text: str) -> str:
    """Half a surrogate pair is no character: JSON and some encodings let it through."""
    return _HALVES.sub("\N{REPLACEMENT CHARACTER}", text)


def module_name(path: str) -> str:
    """The dotted module name of a file, counted from the folder above its outermost package."""
    file = Path(os.path.abspath(path))
    parts = [] if file.stem == "__init__" else [file.stem]
    folder = file.parent
    while (folder / "__init__.py").exists() and folder.name:
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts) or file.parent.name


_MAGIC = re.compile(r"^(\s*)(?:[%!?].*|\w+\s*\?{1,2}\s*)$")
_ASSIGNED_MAGIC = re.compile(r"^(\s*[\w, ]+=\s*)[%!].*$")


def _notebook(data: bytes, path: str) -> Source | FileError:
    try:
        notebook = json.loads(data.decode("utf-8"))
        cells = notebook["cells"]
        language = notebook.get("metadata", {}).get("language_info", {}).get("name", "python")
        if language != "python":
            return Source(path, module_name(path), "")
        lines, spans = _cell_lines(cells)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return FileError(path, "not a Jupyter notebook (nbformat 4 JSON)")
    text = _without_halves("\n".join(lines) + "\n")
    return Source(path, module_name(path), text, tuple(spans))


def _cell_lines(cells: list[dict[str, object]]) -> tuple[list[str], list[tuple[int, int]]]:
    lines: list[str] = []
    spans: list[tuple[int, int]] = []
    for number, cell in enumerate(cells, 1):
        if cell["cell_type"] != "code":
            continue
        source = cell["source"]
        text = source if isinstance(source, str) else "".join(source)  # type: ignore[arg-type]
        spans.append((len(lines) + 1, number))
        body = text.split("\n")
        if body[0].startswith("%%") and not body[0].startswith(("%%time", "%%capture")):
            body = ["" for _ in body]  # a cell of another language
        lines.extend(_without_magic(line) for line in body)
    return lines, spans


def _without_magic(line: str) -> str:
    """IPython's own syntax becomes a statement that does nothing, on the same line."""
    assigned = _ASSIGNED_MAGIC.match(line)
    if assigned:
        return f"{assigned[1]}None"
    magic = _MAGIC.match(line)
    return f"{magic[1]}pass" if magic else line
