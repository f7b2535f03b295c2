"""The project as an editor sees it: files on disk, overridden by unsaved buffers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bnlint.analyzer.cache import Cache, user_folder
from bnlint.findings import FileError, Report
from bnlint.lint.config import Config, ConfigError, Settings
from bnlint.lint.known import apply_baselines
from bnlint.lint.run import LintRun, lint
from bnlint.sources.files import Source, discover, module_name, read_source, source_from_bytes


@dataclass(frozen=True)
class Snapshot:
    """What the editor holds at one moment.

    Attributes:
      folders: absolute paths of the workspace folders.
      buffers: absolute path -> text of every open document.
      notebooks: absolute path -> (is code, text) of every cell of every open notebook.
      rediscover: files may have come or gone since the last snapshot.
    """

    folders: tuple[str, ...]
    buffers: Mapping[str, str] = field(default_factory=dict)
    notebooks: Mapping[str, tuple[tuple[bool, str], ...]] = field(default_factory=dict)
    rediscover: bool = True


class WorkspaceLinter:
    """Lints snapshots; files that did not change on disk are not read again."""

    def __init__(self) -> None:
        self._disk: dict[str, tuple[tuple[int, int], Source | FileError]] = {}
        self._files: dict[str, list[str]] = {}

    def lint(self, snapshot: Snapshot) -> LintRun:
        """One run per workspace folder, and one for open files outside them, as one report.

        Settings that cannot be read are a FileError of their file; the folder is then linted with
        the default settings.
        """
        if snapshot.rediscover:
            self._files.clear()
        total = LintRun(Report())
        for folder, opened in _by_folder(snapshot).items():
            run = self._lint_folder(folder, opened, snapshot)
            total.sources |= run.sources
            total.context |= run.context
            total.report.findings += run.report.findings
            total.report.errors += run.report.errors
            total.report.files += run.report.files
        return total

    def _lint_folder(self, folder: str, opened: list[str], snapshot: Snapshot) -> LintRun:
        errors: list[FileError] = []
        settings = Settings()
        config = settings.of(folder or os.path.dirname(opened[0]))
        paths = dict.fromkeys([*self._discover(folder, config, errors), *opened])
        sources = []
        for path in paths:
            source = self._read(path, snapshot)
            if isinstance(source, FileError):
                errors.append(source)
            else:
                sources.append(source)
        cache = _cache(folder)
        try:
            run = lint(sources, settings, errors, cache=cache)
            run.report.errors += settings.errors
        finally:
            cache.close()
        try:
            apply_baselines(run, settings)
        except ConfigError as error:
            run.report.errors.append(FileError(config.baseline, str(error)))
        return run

    def _discover(self, folder: str, config: Config, errors: list[FileError]) -> list[str]:
        if not folder:
            return []
        if folder not in self._files:
            self._files[folder] = list(discover([folder], config.exclude, errors))
        return self._files[folder]

    def _read(self, path: str, snapshot: Snapshot) -> Source | FileError:
        if path in snapshot.buffers:
            return Source(path, module_name(path), snapshot.buffers[path])
        if path in snapshot.notebooks:
            return source_from_bytes(_as_notebook(snapshot.notebooks[path]), path)
        try:
            status = os.stat(path)
        except OSError:
            return read_source(path)
        stamp = (status.st_mtime_ns, status.st_size)
        known = self._disk.get(path)
        if known is None or known[0] != stamp:
            known = self._disk[path] = (stamp, read_source(path))
        return known[1]


def _by_folder(snapshot: Snapshot) -> dict[str, list[str]]:
    """Workspace folder (or "" for none) -> the open files in it."""
    grouped: dict[str, list[str]] = {folder: [] for folder in snapshot.folders}
    for path in [*snapshot.buffers, *snapshot.notebooks]:
        inside = [folder for folder in snapshot.folders if path.startswith(folder + os.sep)]
        grouped.setdefault(max(inside, key=len, default=""), []).append(path)
    return grouped


def _cache(folder: str) -> Cache:
    """The project's cache; beside a file that is opened from elsewhere nothing is written."""
    if not folder:
        return Cache()
    return Cache(os.environ.get("BNLINT_CACHE_DIR") or user_folder(), folder)


def _as_notebook(cells: Iterable[tuple[bool, str]]) -> bytes:
    record = {
        "cells": [
            {"cell_type": "code" if is_code else "markdown", "source": text}
            for is_code, text in cells
        ]
    }
    return json.dumps(record).encode()
