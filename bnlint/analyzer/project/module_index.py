"""Which file of a project a dotted module name means, by where files are, as `sys.path` would."""

from __future__ import annotations

import posixpath
import sys
from collections.abc import Iterable, Iterator
from typing import Generic, NamedTuple, Protocol, TypeVar


class Place(NamedTuple):
    """Where a file is.

    Attributes:
      file: its absolute path, with slashes.
      project: the folder of the project that it belongs to; "" if no folder is marked as one.
    """

    file: str
    project: str = ""


class Named(Protocol):
    """A file of the project."""

    @property
    def name(self) -> str:
        """Its dotted module name, counted from the folder above its outermost `__init__.py`."""

    @property
    def place(self) -> Place:
        """Where it is."""


T = TypeVar("T", bound=Named)
MAX_SUFFIX = 5  # parts of a name that is looked for anywhere in a project
REFERENCE_SLIM = frozenset(["bnlint", "bnlint.slim"])  # `from bnlint import slim`
MAX_ABOVE = 50  # folders above a file that are considered


class NameIndex(Generic[T]):
    """Files by where they are, and by the endings of their paths."""

    def __init__(self, items: Iterable[T]) -> None:
        self._by_stem: dict[str, T] = {}
        self._folders: set[str] = set()
        self._by_suffix: dict[str, list[T]] = {}
        self._nearest: dict[str, dict[str, T | None]] = {}
        self._search_paths: dict[tuple[str, str], list[str]] = {}
        for item in items:
            file = item.place.file
            if file.endswith(".ipynb"):
                continue  # notebooks import, and are not imported
            stem = _stem(file)
            if stem not in self._by_stem or _is_package(file):  # a package hides a module
                self._by_stem[stem] = item
            self._add_folders(posixpath.dirname(file))
        for stem, item in self._by_stem.items():
            parts = stem.rsplit("/", MAX_SUFFIX)[1:]
            for index in range(len(parts)):
                self._by_suffix.setdefault(".".join(parts[index:]), []).append(item)
        # Most names that imports mention are of classes and functions: no file is called so.
        self._last_parts = {posixpath.basename(stem) for stem in self._by_stem}
        self._last_parts |= {posixpath.basename(folder) for folder in self._folders}

    def _add_folders(self, folder: str) -> None:
        while folder not in self._folders:
            self._folders.add(folder)
            folder = posixpath.dirname(folder)

    def resolve(self, name: str, importer: Named) -> T | None:
        """The file that `import name` in `importer` means, if any.

        The folders that can be on `sys.path` come in this order: the importer's own (a script's
        is the first; Python 2 begins there, too), the one above its outermost package, then those
        above its own, the nearest first. Scripts put further folders on `sys.path` that the
        project does not tell us: if there is no such file, one of the same project whose path ends
        in `name` is meant, provided that a single one is nearest to the importer.
        """
        if name in REFERENCE_SLIM:
            return None  # known by what it does, as slim is, beside its own sources, too
        if name.rpartition(".")[2] not in self._last_parts:
            return None
        library = name.partition(".")[0] in LIBRARIES
        path = name.replace(".", "/")
        folders = self._search_path(importer)
        for folder in folders:
            item = self._by_stem.get(f"{folder}/{path}")
            if item is None or item is importer:
                continue  # a module that imports its own name means a package of that name
            if not library or _hides_library(name, folder, item, importer):
                return item
        if library or any(f"{folder}/{path}" in self._folders for folder in folders):
            return None
        return self._elsewhere(name, importer)

    def namespace(self, name: str, importer: Named) -> str:
        """The folder without an `__init__.py` that `import name` means; "" if there is none.

        `resolve` comes first: modules and packages anywhere on `sys.path` hide such folders.
        """
        if name.partition(".")[0] in LIBRARIES or name.rpartition(".")[2] not in self._last_parts:
            return ""
        path = name.replace(".", "/")
        found = (f"{folder}/{path}" for folder in self._search_path(importer))
        return next((folder for folder in found if folder in self._folders), "")

    def _search_path(self, importer: Named) -> list[str]:
        key = importer.place.file, importer.name
        known = self._search_paths.get(key)
        if known is None:
            known = self._search_paths[key] = list(_search_path(importer))
        return known

    def resolve_relative(self, level: int, name: str, importer: Named) -> T | None:
        """The file that `from ..name import` in `importer` means, by where both are."""
        return self._by_stem.get(_relative(level, name, importer))

    def relative_namespace(self, level: int, name: str, importer: Named) -> str:
        """The folder without an `__init__.py` that `from ..name import` means, or ""."""
        folder = _relative(level, name, importer)
        return folder if folder in self._folders else ""

    def below(self, package: Named, name: str) -> T | None:
        """The sub-module `name` of a package."""
        return self._by_stem.get(f"{posixpath.dirname(package.place.file)}/{name}")

    def _elsewhere(self, name: str, importer: Named) -> T | None:
        """The nearest file of the importer's project, or another project's installed package."""
        if name not in self._by_suffix:
            return None
        below = self._nearest.get(name)
        if below is None:
            below = self._nearest[name] = self._by_folder(name)
        for folder in _in_project(importer.place):
            if folder in below:
                return below[folder]
        return below.get("installed") if "." in name else None

    def _by_folder(self, name: str) -> dict[str, T | None]:
        """The one file of that name below each folder; None if there are several."""
        found: dict[str, T | None] = {}
        exact: set[str] = set()  # what is a package's full name comes before endings of others
        for item in sorted(self._by_suffix[name], key=lambda item: item.name != name):
            folders = list(_in_project(item.place))
            if item.name == name:
                exact.update(folders)
                if _is_installed(name, item.place):
                    folders.append("installed")
            for folder in folders:
                if item.name == name or folder not in exact:
                    found[folder] = None if folder in found else item
        return found


def posix(path: str) -> str:
    """A path of any system with slashes."""
    return path.replace("\\", "/")


def _is_package(file: str) -> bool:
    return posixpath.basename(file).startswith("__init__.")


def _stem(file: str) -> str:
    """A file without its suffix; a package's `__init__.py` stands for its folder."""
    return posixpath.dirname(file) if _is_package(file) else posixpath.splitext(file)[0]


def last_part(file: str) -> str:
    """The last part of the names that a file is imported by."""
    return posixpath.basename(_stem(file))


def _relative(level: int, name: str, importer: Named) -> str:
    above = [".."] * (level - 1)
    folder = posixpath.dirname(importer.place.file)
    return posixpath.normpath(posixpath.join(folder, *above, *name.split(".")))


def _search_path(importer: Named) -> Iterator[str]:
    """The folders that can be on `sys.path`, in order (see `NameIndex.resolve`)."""
    file = importer.place.file
    own, *others = folders_above(file)
    root = _stem(file)
    for _ in importer.name.split("."):
        root = posixpath.dirname(root)
    yield own
    if root != own:
        yield root.rstrip("/")
    yield from (folder.rstrip("/") for folder in others if folder != root)


def folders_above(path: str) -> Iterator[str]:
    """The folders around a file, the nearest first."""
    for _ in range(MAX_ABOVE):
        folder = posixpath.dirname(path)
        if folder == path:
            return
        yield folder
        path = folder


def _in_project(place: Place) -> Iterator[str]:
    """The folders around a file up to its project's, the nearest first."""
    folders = list(folders_above(place.file))
    if place.project in folders:
        return iter(folders[: folders.index(place.project) + 1])
    return iter(folders)


def _is_installed(name: str, place: Place) -> bool:
    """A package at the top of its project, or in its `src`: other projects can import it."""
    top = _stem(place.file)
    for _ in name.split("."):
        top = posixpath.dirname(top)
    return bool(place.project) and top in (place.project, f"{place.project}/src")


def _hides_library(name: str, folder: str, item: Named, importer: Named) -> bool:
    """A file that `import name` means in place of the library of that name.

    A script's folder comes before the standard library; a framework's own tests import it.
    """
    is_beside = folder == posixpath.dirname(importer.place.file)
    return item.name == name and (is_beside or name.partition(".")[0] in _FRAMEWORKS)


# What Python 3 renamed or dropped, and what old programs still import.
PYTHON2_MODULES = frozenset(
    "BaseHTTPServer CGIHTTPServer ConfigParser Cookie HTMLParser Queue SimpleHTTPServer "
    "SocketServer StringIO Tkinter UserDict UserList UserString __builtin__ anydbm cPickle "
    "cProfile cStringIO commands cookielib copy_reg dummy_thread exceptions htmlentitydefs "
    "httplib imp itertools md5 popen2 sets sha thread tkFileDialog tkMessageBox urllib2 urlparse "
    "xmlrpclib distutils asyncore asynchat".split()
)
STANDARD_LIBRARY = sys.stdlib_module_names | PYTHON2_MODULES
_FRAMEWORKS = frozenset("tensorflow tf_slim keras tf_keras torch jax flax numpy scipy".split())
LIBRARIES = _FRAMEWORKS | STANDARD_LIBRARY | {"six", "absl"}
