"""One lint run: files in, a filtered report out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bnlint.analyzer.analysis import analyze
from bnlint.analyzer.cache import Cache
from bnlint.execution.executor import Engine
from bnlint.execution.progress import Progress, Silent
from bnlint.findings import FileError, Finding, Report, internal_error, sorted_findings
from bnlint.lint.config import Config
from bnlint.registry import broken_plugins
from bnlint.sources.files import Source, discover, is_archive, read_source
from bnlint.sources.ignore_patterns import IgnorePatterns
from bnlint.sources.suppressions import UNUSED, suppress


@dataclass
class LintRun:
    """A report and the sources it is about (path -> Source)."""

    report: Report = field(default_factory=Report)
    sources: dict[str, Source] = field(default_factory=dict)
    context: dict[str, str] = field(default_factory=dict)

    def texts(self) -> dict[str, str]:
        """path -> text, for excerpts."""
        return self.context | {path: source.text for path, source in self.sources.items()}


@dataclass(frozen=True)
class Stdin:
    """Code from standard input, and the name it goes by."""

    name: str
    data: bytes


def collect(
    paths: Sequence[str], config: Config, progress: Progress | None = None
) -> tuple[list[Source], list[FileError]]:
    """Reads every file below `paths`, and in the archives among them."""
    errors: list[FileError] = []
    sources: list[Source] = []
    archives = [path for path in dict.fromkeys(paths) if is_archive(path)]
    for path in archives:
        from bnlint.sources.archives import read_archive

        inside, problems = read_archive(path)
        sources += inside
        errors += problems
    paths = [path for path in paths if path not in archives]
    progress = progress or Silent()
    progress.begin("reading", 0)
    for path in discover(paths, config.exclude, errors):
        progress.at(path)
        source = _read(path)
        if isinstance(source, FileError):
            errors.append(source)
        else:
            sources.append(source)
    return sources, errors


def _read(path: str) -> Source | FileError:
    try:
        return read_source(path)
    except Exception as error:  # no file ends the run
        return internal_error(path, error)


def lint(
    sources: Sequence[Source],
    config: Config,
    errors: Sequence[FileError] = (),
    progress: Progress | None = None,
    cache: Cache | None = None,
    engine: Engine | None = None,
) -> LintRun:
    """Analyzes sources together and applies suppressions and settings (see `analyze`)."""
    result = analyze(
        sources, follow_imports=True, progress=progress, cache=cache, engine=engine,
        keras=config.keras,
    )  # fmt: skip
    run = LintRun(Report(errors=[*broken_plugins(), *errors, *result.errors], files=len(sources)))
    run.report.left = result.left
    run.report.checked = result.checked
    run.report.not_understood = result.not_understood
    run.context = result.context
    run.sources = {source.path: source for source in sources}
    by_path: dict[str, list[Finding]] = {}
    for finding in result.findings:
        if config.reports(finding):
            by_path.setdefault(finding.location.path, []).append(finding)
        else:
            run.report.suppressed += 1
    broken = {error.path for error in run.report.errors if error.fatal}
    kept: list[Finding] = []
    patterns = IgnorePatterns(config.exclude)
    for path, text in run.texts().items():
        found = by_path.get(path, [])
        linted = path in run.sources
        if not linted and (not found or patterns.match_file(path.replace("\\", "/"))):
            continue  # read along, and not the place of what a linted file causes
        unused = linted and config.enabled(UNUSED) and path not in broken
        try:
            stay, silenced = suppress(found, text, path, unused)
        except Exception as error:
            run.report.errors.append(internal_error(path, error))
            stay, silenced = found, 0
        run.report.suppressed += silenced
        kept += stay
    run.report.errors = [_error_in_cell(error, run.sources) for error in run.report.errors]
    run.report.findings = sorted_findings(_in_cells(finding, run.sources) for finding in kept)
    return run


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
