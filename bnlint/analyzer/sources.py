"""From paths to texts: which files to look at, and how to read them safely.

Nothing here imports or runs the code that is read.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import stat
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathspec import GitIgnoreSpec

from bnlint.config import MAX_FILE_SIZE, Config
from bnlint.findings import FileError, Location

SUFFIXES = (".py", ".pyw", ".ipynb")

DEFAULT_EXCLUDES = (
    "__pycache__/",
    "__pypackages__/",
    "node_modules/",
    "site-packages/",
    "venv/",
    ".*/",  # .git, .hg, .svn, .venv, .tox, .nox, .eggs, caches, .ipynb_checkpoints
)
"""Folders nobody wants linted: version control, environments, caches, installed packages."""

_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class CellSpan:
    """Where a notebook's code cell lies in its Source's text.

    Attributes:
      cell: 1-based number among all of the notebook's cells.
      first_line: 1-based line of `text` at which it starts.
      lines: how many lines of `text` it has.
    """

    cell: int
    first_line: int
    lines: int


@dataclass(frozen=True)
class Source:
    """One Python text to analyse.

    The analyzer reports lines of `text`; for notebooks `place` turns them into cell and line.

    Attributes:
      path: the file as the user named it.
      module: dotted name relative to its import root, e.g. "nets.resnet"; a package's
        `__init__.py` has the package's name.
      text: decoded, without BOM, line ends as in the file.
      cells: code cells of a notebook, in order; empty for Python files.
      encoding: codec that gives the file's bytes back ("utf-8-sig" where there is a BOM).
    """

    path: str
    module: str
    text: str
    cells: tuple[CellSpan, ...] = ()
    encoding: str = "utf-8"

    @property
    def is_package(self) -> bool:
        """Whether this is a package's `__init__.py` (relative imports start in it)."""
        return os.path.basename(self.path) == "__init__.py"

    def place(self, line: int) -> tuple[int, int]:
        """(cell, line in that cell) of a line of `text`; cell 0 outside notebooks."""
        for span in reversed(self.cells):
            if line >= span.first_line:
                return span.cell, line - span.first_line + 1
        return 0, line

    def text_line(self, location: Location) -> int:
        """The line of `text` that a location in this file means; inverse of `place`."""
        for span in self.cells:
            if span.cell == location.cell:
                return span.first_line + location.line - 1
        return location.line


def split_lines(text: str) -> list[str]:
    """Lines as Python counts them (only LF, CRLF and CR end a line), without their ends."""
    return _LINE_END.split(text)


# --- which files -----------------------------------------------------------------------------


def discover(paths: Iterable[str], config: Config) -> Iterator[str | FileError]:
    """The files to look at, each once, in a stable order.

    A file that is named is always taken. Folders are walked: Python files and notebooks not
    excluded by `config`, the default excludes or (unless switched off) `.gitignore` files.
    Links to folders are not followed, so that loops end; folders that cannot be read and paths
    that do not exist come out as FileErrors.
    """
    seen: set[str] = set()
    walker = _Walker(config)
    for path in paths:
        for item in walker.walk(path) if os.path.isdir(path) else [_named(path)]:
            if isinstance(item, FileError):
                yield item
                continue
            real = os.path.realpath(item)
            if real not in seen:
                seen.add(real)
                yield item


def _named(path: str) -> str | FileError:
    if os.path.islink(path) and not os.path.exists(path):
        return FileError(path, f"broken link to {os.readlink(path)}")
    return path if os.path.exists(path) else FileError(path, "no such file or folder")


@dataclass(frozen=True)
class _Patterns:
    """gitignore patterns and the folder they are relative to."""

    base: str
    spec: GitIgnoreSpec

    def verdict(self, path: str, is_folder: bool) -> bool | None:
        """True: left out, False: explicitly kept, None: says nothing."""
        relative = os.path.relpath(path, self.base).replace(os.sep, "/")
        if relative.startswith("../"):
            return None
        return self.spec.check_file(relative + "/" if is_folder else relative).include


class _Walker:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.excludes = [
            _Patterns("", GitIgnoreSpec.from_lines(DEFAULT_EXCLUDES)),
            _Patterns(str(config.root), GitIgnoreSpec.from_lines(config.exclude)),
        ]

    def walk(self, folder: str) -> Iterator[str | FileError]:
        yield from self._walk(folder, self._ignores_above(folder))

    def _walk(self, folder: str, ignores: tuple[_Patterns, ...]) -> Iterator[str | FileError]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            yield FileError(folder, f"cannot read the folder: {error.strerror}")
            return
        ignores += self._ignores_in(folder)
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            wanted = is_folder or (entry.name.endswith(SUFFIXES) and not entry.is_dir())
            if not wanted or self._left_out(entry.path, entry.name, is_folder, ignores):
                continue
            if is_folder:
                yield from self._walk(entry.path, ignores)
            else:
                yield _named(entry.path)

    def _left_out(
        self, path: str, name: str, is_folder: bool, ignores: tuple[_Patterns, ...]
    ) -> bool:
        default, configured = self.excludes
        if default.spec.match_file(name + "/" if is_folder else name):
            return True
        absolute = os.path.abspath(path)
        if configured.verdict(absolute, is_folder):
            return True
        # The deepest .gitignore that says anything about a path decides, as in git.
        for patterns in reversed(ignores):
            verdict = patterns.verdict(absolute, is_folder)
            if verdict is not None:
                return verdict
        return False

    def _ignores_in(self, folder: str) -> tuple[_Patterns, ...]:
        if not self.config.respect_gitignore:
            return ()
        try:
            lines = Path(folder, ".gitignore").read_text("utf-8", "replace").splitlines()
        except OSError:
            return ()
        return (_Patterns(os.path.abspath(folder), GitIgnoreSpec.from_lines(lines)),)

    def _ignores_above(self, folder: str) -> tuple[_Patterns, ...]:
        """`.gitignore` files from the repository's root down to the parent of `folder`.

        None when they leave out `folder` itself: who names an ignored folder wants it linted.
        """
        place = Path(os.path.abspath(folder))
        found: tuple[_Patterns, ...] = ()
        parent = place
        while not (parent / ".git").exists():
            if parent.parent == parent:
                return ()  # not in a repository
            parent = parent.parent
            found = self._ignores_in(str(parent)) + found
        if any(patterns.verdict(str(place), True) for patterns in found):
            return ()
        return found


def matches(path: str, patterns: Iterable[str], root: Path) -> bool:
    """Whether gitignore `patterns`, relative to `root`, match a file."""
    spec = _Patterns(str(root), GitIgnoreSpec.from_lines(patterns))
    return bool(spec.verdict(os.path.abspath(path), False))


# --- reading ---------------------------------------------------------------------------------


class _Unreadable(Exception):
    """Why a file's content is no Python text."""


def read_source(path: str, max_size: int = MAX_FILE_SIZE) -> Source | FileError:
    """Read a Python file or notebook. Whatever is wrong with it comes back as a FileError."""
    try:
        data = _read_bytes(path, max_size)
        return source_from_bytes(data, path)
    except OSError as error:
        return FileError(path, f"cannot read it: {error.strerror or error}")
    except _Unreadable as error:
        return FileError(path, str(error))


def _read_bytes(path: str, max_size: int) -> bytes:
    # Opening a FIFO would wait for ever, so look before opening.
    kind = os.stat(path)
    if stat.S_ISDIR(kind.st_mode):
        raise _Unreadable("is a folder")
    if not stat.S_ISREG(kind.st_mode):
        raise _Unreadable("not a regular file")
    with open(path, "rb") as file:
        data = file.read(max_size + 1)
    if len(data) > max_size:
        raise _Unreadable(
            f"larger than max-file-size ({kind.st_size:,} bytes; the limit is {max_size:,})"
        )
    return data


def source_from_bytes(data: bytes, path: str) -> Source | FileError:
    """A Source from a file's content (from disk or standard input)."""
    try:
        if path.endswith(".ipynb"):
            text, cells = _notebook(_decode(data, notebook=True)[0])
            return Source(path, module_name(path), text, cells)
        text, encoding = _decode(data)
        return Source(path, module_name(path), text, (), encoding)
    except _Unreadable as error:
        return FileError(path, str(error))


def module_name(path: str) -> str:
    """Dotted module name: the file's name under every enclosing folder that is a package."""
    place = Path(os.path.abspath(path))
    parts = [] if place.name == "__init__.py" else [place.stem]
    for folder in place.parents:
        if not (folder / "__init__.py").is_file():
            break
        parts.append(folder.name)
    return ".".join(reversed(parts)) or place.parent.name


def _decode(data: bytes, notebook: bool = False) -> tuple[str, str]:
    """(text, codec) following PEP 263; notebooks are always UTF-8 (nbformat)."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _Unreadable("encoded in UTF-16, which Python does not read; save it as UTF-8")
    if b"\0" in data:
        raise _Unreadable("has NUL bytes: a binary file, or text in UTF-16 or UTF-32")
    try:
        encoding = (
            "utf-8-sig" if notebook else tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        )
        return data.decode(encoding), encoding
    except SyntaxError as error:
        raise _Unreadable(f"cannot decode it: {error.msg}") from None
    except UnicodeDecodeError as error:
        line = len(re.findall(rb"\r\n|\r|\n", data[: error.start])) + 1
        raise _Unreadable(
            f"cannot decode it as {encoding}: bad byte 0x{data[error.start]:02x} on line {line}"
        ) from None
    except LookupError as error:  # a codec that does not decode bytes to text, e.g. "rot13"
        raise _Unreadable(f"cannot decode it: {error}") from None


# --- notebooks -------------------------------------------------------------------------------

_CELL_MAGIC_OF_PYTHON = re.compile(r"%%(time|timeit|capture|prun)\b")
_MAGIC = re.compile(r"^(\s*)(?:[%!]|\?|.*[^\s#'\"]\?{1,2}\s*$)")
_MAGIC_ASSIGNMENT = re.compile(r"^(\s*[\w.,\s\[\]]+=)\s*[%!].*$")


def _notebook(text: str) -> tuple[str, tuple[CellSpan, ...]]:
    """One Python text from a notebook's code cells, and where each lies in it."""
    lines: list[str] = []
    spans = []
    for number, cell in enumerate(_cells(text), 1):
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        code = _plain_python(split_lines(_cell_text(cell)))
        spans.append(CellSpan(number, len(lines) + 1, len(code)))
        lines += code
    return "\n".join(lines) + "\n", tuple(spans)


def _cells(text: str) -> list[Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _Unreadable(f"not a notebook: {error}") from None
    if isinstance(data, dict):
        cells = data.get("cells")
        if cells is None and isinstance(data.get("worksheets"), list):  # nbformat 3
            sheets = [sheet for sheet in data["worksheets"] if isinstance(sheet, dict)]
            cells = [cell for sheet in sheets for cell in sheet.get("cells", [])]
        if isinstance(cells, list):
            return cells
    raise _Unreadable("not a notebook: no list of cells")


def _cell_text(cell: dict[str, Any]) -> str:
    source = cell.get("source", cell.get("input", ""))  # "input" in nbformat 3
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    return source if isinstance(source, str) else ""


def _plain_python(lines: list[str]) -> list[str]:
    """A cell's lines with IPython's magics and shell commands replaced by no-ops.

    Every line stays one line. A cell in another language (`%%bash`) becomes blank lines.
    """
    first = next((line for line in lines if line.strip()), "")
    if first.startswith("%%") and not _CELL_MAGIC_OF_PYTHON.match(first):
        return [""] * len(lines)
    plain = []
    continued = False  # a magic that ends in a backslash goes on in the next line
    for line in lines:
        if continued:
            continued = line.endswith("\\")
            plain.append("")
        elif match := _MAGIC_ASSIGNMENT.match(line):
            continued = line.endswith("\\")
            plain.append(f"{match[1]} None")
        elif match := _MAGIC.match(line):
            continued = line.endswith("\\")
            plain.append(f"{match[1]}pass")
        else:
            plain.append(line)
    return plain
