"""One lint run: files in, a filtered report out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bnlint.analyzer.analysis import AnalysisResult, analyze
from bnlint.analyzer.cache import Cache
from bnlint.execution.executor import Engine
from bnlint.execution.progress import Progress, Silent
from bnlint.findings import (
    FileError,
    Finding,
    Location,
    Report,
    internal_error,
    sorted_findings,
    text_key,
)
from bnlint.lint.config import Config, Settings, covered
from bnlint.registry import broken_plugins
from bnlint.sources.files import SUFFIXES, ZIPS, Source, discover, is_archive, read_source
from bnlint.sources.suppressions import UNUSED, suppress

# Tar files in folders are mostly data, and would have to be unpacked to see what they hold.
IN_FOLDERS = (*SUFFIXES, *ZIPS)


@dataclass
class LintRun:
    """A report and the sources it is about (path -> Source)."""

    report: Report = field(default_factory=Report)
    sources: dict[str, Source] = field(default_factory=dict)
    context: dict[str, str] = field(default_factory=dict)

    def texts_of(self, path: str) -> str:
        """The text of one file."""
        source = self.sources.get(path)
        return source.text if source is not None else self.context[path]

    def texts(self) -> dict[str, str]:
        """path -> text, for excerpts; of notebooks also that of each cell (see `text_key`)."""
        texts = dict(self.context)
        for path, source in self.sources.items():
            texts[path] = source.text
            for cell, text in source.cell_texts().items():
                texts[text_key(Location(path, cell=cell))] = text
        return texts


@dataclass(frozen=True)
class Stdin:
    """Code from standard input, and the name it goes by."""

    name: str
    data: bytes


def collect(
    paths: Sequence[str],
    settings: Settings,
    progress: Progress | None = None,
    *,
    force_exclude: bool = False,
) -> tuple[list[Source], list[FileError]]:
    """Reads every file below `paths`, and in the archives among them and below them.

    Args:
      paths: files, folders and archives. What the settings exclude is left out, even if named.
      force_exclude: files that are named are left out where the usual excludes name them, too.
    """
    progress = progress or Silent()
    progress.begin("reading", 0)
    errors: list[FileError] = []
    sources: list[Source] = []
    for path in _chosen(dict.fromkeys(paths), settings, errors, force_exclude):
        if is_archive(path):
            from bnlint.sources.archives import read_archive

            inside, problems = read_archive(path)
            sources += inside
            errors += problems
            continue
        progress.at(path)
        source = _read(path)
        if isinstance(source, FileError):
            errors.append(source)
        else:
            sources.append(source)
    return sources, errors


def _chosen(
    paths: Iterable[str], settings: Settings, errors: list[FileError], force_exclude: bool
) -> Iterator[str]:
    """The files and archives to read."""
    seen: set[str] = set()
    for path in paths:
        if os.path.isdir(path):
            for file in discover([path], settings.of(path).exclude, errors, seen, IN_FOLDERS):
                if not settings.of(file).excludes(file):
                    yield file
        elif not os.path.lexists(path) or not settings.of(path).excludes(
            path, defaults=force_exclude
        ):
            yield from discover([path], (), errors, seen)


def _read(path: str) -> Source | FileError:
    try:
        return read_source(path)
    except Exception as error:  # no file ends the run
        return internal_error(path, error)


def lint(
    sources: Sequence[Source],
    config: Config | Settings,
    errors: Sequence[FileError] = (),
    progress: Progress | None = None,
    cache: Cache | None = None,
    engine: Engine | None = None,
    others: Sequence[Source] = (),
) -> LintRun:
    """Analyzes sources together and applies suppressions and settings (see `analyze`).

    Args:
      others: files that may import the sources. What they do with them is reported, too.
    """
    result = _analyzed(
        sources, config, others=others, progress=progress, cache=cache, engine=engine,
        follow_imports=True,
    )  # fmt: skip
    run = LintRun(Report(errors=[*broken_plugins(), *errors, *result.errors], files=len(sources)))
    run.report.left = result.left
    run.report.checked = result.checked
    run.report.not_understood = result.not_understood
    run.context = result.context
    run.sources = {source.path: source for source in sources}
    kept: list[Finding] = []
    for path, found in _by_path(result.findings, run).items():
        settings = config.of(path)
        if path in run.context and settings.excludes(path):
            continue  # read along, and not the place of what a linted file causes
        stay, silenced = _unsuppressed(found, path, run, settings)
        reported = [finding for finding in stay if settings.reports(finding)]
        run.report.suppressed += silenced + len(stay) - len(reported)
        kept += reported
    run.report.errors = [_error_in_cell(error, run.sources) for error in run.report.errors]
    run.report.findings = sorted_findings(_in_cells(finding, run.sources) for finding in kept)
    return run


def _by_path(findings: Iterable[Finding], run: LintRun) -> dict[str, list[Finding]]:
    """Every linted file, and the others with findings, each with its findings."""
    found: dict[str, list[Finding]] = {path: [] for path in run.sources}
    for finding in findings:
        found.setdefault(finding.location.path, []).append(finding)
    return found


def _unsuppressed(
    found: list[Finding], path: str, run: LintRun, settings: Config
) -> tuple[list[Finding], int]:
    """The findings of a file that no comment silences, and how many one does."""
    broken = any(error.fatal and error.path == path for error in run.report.errors)
    judged = path in run.sources and not broken and settings.enabled(UNUSED)

    def unused(codes: frozenset[str]) -> bool:
        return any(map(settings.enabled, codes))

    try:
        return suppress(found, run.texts_of(path), path, covered, unused if judged else None)
    except Exception as error:
        run.report.errors.append(internal_error(path, error))
        return found, 0


def _analyzed(
    sources: Sequence[Source], config: Config | Settings, **options: Any
) -> AnalysisResult:
    """The analysis of all sources; where settings name several Kerases, one for each."""
    by_keras: dict[str, list[Source]] = {}
    for source in sources:
        by_keras.setdefault(config.of(source.path).keras, []).append(source)
    if len(by_keras) < 2:
        return analyze(sources, keras=next(iter(by_keras), ""), **options)
    results = [analyze(part, keras=keras, **options) for keras, part in by_keras.items()]
    whole = AnalysisResult()
    for result in results:
        whole.merge(result)
    return whole


def _in_cells(finding: Finding, sources: dict[str, Source]) -> Finding:
    """Notebook findings point at cells."""
    related = tuple(
        replace(item, location=sources[item.location.path].to_cell(item.location))
        if item.location.path in sources
        else item
        for item in finding.related
    )
    location = finding.location
    if location.path in sources:
        location = sources[location.path].to_cell(location)
    return replace(finding, location=location, related=related)


_LINE = re.compile(r"\bline (\d+)")


def _error_in_cell(error: FileError, sources: dict[str, Source]) -> FileError:
    """A notebook's errors point at cells, and so do the lines that their messages name."""
    if error.path not in sources:
        return error
    place = sources[error.path].to_cell(error.location)
    above = error.line - place.line

    def moved(match: re.Match[str]) -> str:
        return f"line {int(match[1]) - above}"

    message = _LINE.sub(moved, error.message) if place.cell else error.message
    return replace(error, line=place.line, cell=place.cell, message=message)
