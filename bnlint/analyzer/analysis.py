"""The static analyzer: facts per file, a linked project, programs, and the rules over them."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from bnlint.findings import (
    INTERNAL,
    Counts,
    FileError,
    Finding,
    LeftProgram,
    internal_error,
    sorted_findings,
)

if TYPE_CHECKING:
    from bnlint.analyzer.cache import Cache
    from bnlint.analyzer.project.import_graph import File, SourceText
    from bnlint.analyzer.project.prescan import Scan, Words
    from bnlint.analyzer.tasks import Checked, Described, Member, Parsed
    from bnlint.execution.executor import Engine
    from bnlint.execution.progress import Progress
    from bnlint.program.outline import Overview
    from bnlint.rule import Rule

R = TypeVar("R")


@dataclass
class AnalysisResult:
    """All findings of all rules, unfiltered and sorted, and what could not be read or followed.

    Attributes:
      findings: sorted; not filtered by settings or comments.
      errors: of files that are not Python, are Python 2 (converted; not fatal), or on which the
        analyzer failed.
      left: programs that were not followed to their end.
      context: texts of the files that were read only because the given ones import them.
      checked: what was looked at, in the programs that were followed.
      not_understood: files that import a framework and mention batch norm, in parts of the
        project where no batch norm was understood.
    """

    findings: list[Finding] = field(default_factory=list)
    errors: list[FileError] = field(default_factory=list)
    left: list[LeftProgram] = field(default_factory=list)
    context: dict[str, str] = field(default_factory=dict)
    checked: Counts = field(default_factory=Counts)
    not_understood: list[str] = field(default_factory=list)

    def add(self, checked: Checked) -> None:
        """Adds what was found in a part of the project, but for what is only in its context."""
        context = self.context
        self.findings += [item for item in checked.findings if not _elsewhere(item, context)]
        self.errors += [error for error in checked.errors if error.path not in context]
        self.left += [program for program in checked.left if program.path not in context]
        counts = [item for path, item in checked.counts.items() if path not in context]
        self.checked = sum(counts, self.checked)

    def merge(self, other: AnalysisResult) -> None:
        """Takes in what another part of the same run came to."""
        self.findings = sorted_findings(dict.fromkeys([*self.findings, *other.findings]))
        self.errors = list(dict.fromkeys([*self.errors, *other.errors]))
        self.left = list(dict.fromkeys([*self.left, *other.left]))
        self.context |= other.context
        self.checked += other.checked
        self.not_understood = sorted({*self.not_understood, *other.not_understood})


def analyze(
    sources: Sequence[SourceText],
    *,
    follow_imports: bool = False,
    progress: Progress | None = None,
    cache: Cache | None = None,
    engine: Engine | None = None,
    rules: Iterable[Rule] | None = None,
    keras: str = "",
    others: Sequence[SourceText] = (),
) -> AnalysisResult:
    """Analyzes files together, as one project.

    Args:
      sources: the files; they are parsed only if prescan says that they matter.
      follow_imports: also read the files beside them that they import, as context: what is found
        in those is left out, unless a file of `sources` is its cause.
      progress: is told how far the work is.
      cache, engine: results of earlier runs, and what does the work; neither changes the result.
      rules: run in this process and without a cache; every installed rule by default.
      keras: the Keras that the code is for: "tf1", "2" or "3"; "" to tell by the code.
      others: files that may import the given ones. Like imported files, they are read along: what
        is found is left out, unless a file of `sources` has a part in it.
    """
    run = _begun(cache, engine, rules, keras)
    run.progress = progress or run.progress
    groups = run.groups(sources, follow_imports, others)
    context = {file.path: file.source.text for group in groups for file in group if file.is_context}
    result = AnalysisResult(context=context, errors=run.errors)
    blank = run.not_followed(groups)
    for group, checked in zip(groups, run.checked(groups), strict=True):
        result.add(checked)
        if not any(item.has_batch_norm for item in checked.counts.values()):
            blank += group
    result.findings = sorted_findings(result.findings)
    result.errors = list(dict.fromkeys(result.errors))
    result.errors += run.syntax_errors(blank, result.errors)
    result.not_understood = run.mentioning_batch_norm(blank, result.errors)
    return result


def _begun(
    cache: Cache | None, engine: Engine | None, rules: Iterable[Rule] | None, keras: str
) -> _Run:
    from bnlint.analyzer.cache import Cache
    from bnlint.execution.executor import Serial

    if rules is None:
        return _Run(cache or Cache(), engine or Serial(), keras=keras)
    return _Run(Cache(), Serial(), tuple(rules), keras)


def _elsewhere(finding: Finding, context: dict[str, str]) -> bool:
    """Every place of the finding is in files that were only read along."""
    places = [finding.location, *(related.location for related in finding.related)]
    return all(place.path in context for place in places)


def describe(
    sources: Sequence[SourceText], *, cache: Cache | None = None, engine: Engine | None = None
) -> Overview:
    """The programs of files and of what they import, as `analyze` understands them.

    Args:
      sources: the files.
      cache, engine: see `analyze`; of earlier runs, only the facts of files are used.
    """
    from bnlint.analyzer.cache import Cache
    from bnlint.execution.executor import Serial
    from bnlint.program.outline import Overview

    run = _Run(cache or Cache(), engine or Serial())
    groups = run.groups(sources, follow_imports=True)
    context = {file.path for group in groups for file in group if file.is_context}
    overview = Overview(errors=run.errors, files=len(sources))
    blank = {
        "nothing in it, or linked with it, trains, evaluates or saves": run.not_followed(groups)
    }
    for group, result in zip(groups, run.described(groups), strict=True):
        shown = [item for item in result.programs if item.entry.location.path not in context]
        overview.programs += shown
        overview.idle += result.idle
        overview.outside += [gap for gap in result.outside if gap.location.path not in context]
        overview.left += [item for item in result.left if item.path not in context]
        overview.errors += [error for error in result.errors if error.path not in context]
        if not any(item.counts.has_batch_norm for item in result.programs):
            known = result.programs or result.idle
            reason = "no program here builds one" if known else "no program here may build one"
            blank.setdefault(reason, []).extend(group)
    for reason, files in blank.items():
        paths = run.mentioning_batch_norm(files, overview.errors)
        overview.left += [LeftProgram(path, "file", f"no batch norm: {reason}") for path in paths]
    return overview


BATCH = 1000  # files whose facts are held at a time


def _batches(groups: list[list[File]]) -> Iterator[list[list[File]]]:
    batch: list[list[File]] = []
    for group in groups:
        batch.append(group)
        if sum(map(len, batch)) >= BATCH:
            yield batch
            batch = []
    yield batch


class _Run:
    """One analysis."""

    def __init__(
        self,
        cache: Cache,
        engine: Engine,
        rules: tuple[Rule, ...] | None = None,
        keras: str = "",
    ) -> None:
        from bnlint.execution.progress import Silent

        self.cache = cache
        self.keras = keras
        self.rules = rules
        self.engine = engine
        self.progress: Progress = Silent()
        self._digests: dict[str, bytes] = {}
        self._scans: dict[bytes, bytes] = {}
        self._new_scans: dict[bytes, bytes] = {}
        self._files: list[File] = []
        self.errors: list[FileError] = []

    # --- which files ---------------------------------------------------------------------

    def groups(
        self,
        sources: Sequence[SourceText],
        follow_imports: bool,
        others: Sequence[SourceText] = (),
    ) -> list[list[File]]:
        """The parts of the project that have to be followed."""
        from bnlint.analyzer.interpreter.names import FRAMEWORKS
        from bnlint.analyzer.project.import_graph import File, components
        from bnlint.analyzer.project.prescan import imports_framework, mentions, names_in_code

        files = [File(source) for source in sources]
        seeds = [file for file in files if mentions(file.source.text, FRAMEWORKS)]
        if not seeds:
            return []
        importers = self._importers(files, others)
        files += importers
        seeds += [file for file in importers if mentions(file.source.text, FRAMEWORKS)]
        self._scans = self.cache.get(self._key("scan", file) for file in seeds)
        seeds = [
            file
            for file in seeds
            if imports_framework(self._scan(file), FRAMEWORKS)
            or names_in_code(file.source.text, FRAMEWORKS)
        ]
        if follow_imports:
            files += self._context(files, seeds)
        groups = components(files, FRAMEWORKS, self._scan)
        groups = [group for group in groups if not all(file.is_context for file in group)]
        self.cache.put(self._new_scans)
        self._scans, self._new_scans = {}, {}
        self._files = files
        return groups

    def _importers(self, files: list[File], others: Sequence[SourceText]) -> list[File]:
        """Those of the others that import one of the files, directly or through others."""
        from bnlint.analyzer.project.import_graph import File
        from bnlint.analyzer.project.imported_files import Disk

        disk = Disk()
        waiting: list[tuple[File, set[str]]] = []
        for source in others:
            file = File(source, is_context=True)
            file.scan = self._scan(file)
            waiting.append((file, set(map(os.path.abspath, disk.imported_paths(file)))))
        found: list[File] = []
        reached = {os.path.abspath(file.path) for file in files}
        while reached:
            near = [file for file, imported in waiting if not reached.isdisjoint(imported)]
            waiting = [item for item in waiting if reached.isdisjoint(item[1])]
            found += near
            reached = {os.path.abspath(file.path) for file in near}
        return found

    def not_followed(self, groups: list[list[File]]) -> list[File]:
        """The files in none of the groups."""
        followed = {id(file) for group in groups for file in group}
        return [file for file in self._files if id(file) not in followed]

    def syntax_errors(self, files: list[File], errors: list[FileError]) -> list[FileError]:
        """What is wrong with those of the files that name a batch norm, and were not parsed since
        nothing in them begins a program: a file that cannot be read may hide one."""
        wanted = set(self.mentioning_batch_norm(files, errors))
        unread = [file for file in files if file.path in wanted and self._scan(file).builds]
        if not unread:
            return []
        parsed = self._parsed(unread)
        facts = [(file.path, parsed[self._digest(file)]) for file in unread]
        return [
            FileError(path, item.error, item.line, column=item.column)
            for path, item in facts
            if item.error and item.fatal
        ]

    def mentioning_batch_norm(self, files: list[File], errors: list[FileError]) -> list[str]:
        """Paths of those that import a framework and write of batch norm outside of comments.

        Files with errors, tests and files that were not given are left out.
        """
        from bnlint.analyzer.interpreter.names import FRAMEWORKS
        from bnlint.analyzer.project.prescan import mentions, uses_batch_norm

        known = {error.path for error in errors if error.fatal}
        found = [
            file.path
            for file in files
            if not (file.is_context or file.path in known)
            and mentions(file.source.text, FRAMEWORKS)
            and uses_batch_norm(file.source.text, self._scan(file), FRAMEWORKS)
        ]
        if not found:
            return []
        from bnlint.analyzer.project.entry_points import is_test_file

        return sorted(path for path in found if not is_test_file(path))

    def _context(self, files: list[File], seeds: list[File]) -> list[File]:
        """Every file on disk that a seed imports, and that these import."""
        from bnlint.analyzer.project.import_graph import File
        from bnlint.analyzer.project.imported_files import MAX_FILES, Disk, read_context

        disk = Disk()
        known = {os.path.abspath(file.path): file for file in files}
        real: set[str] | None = None  # only asked for when a path is not among the given ones
        found: list[File] = []
        todo, seen = list(seeds), {id(file) for file in seeds}
        while todo and len(found) < MAX_FILES:
            file = todo.pop()
            file.scan = self._scan(file)
            for path in disk.imported_paths(file):
                other = known.get(os.path.abspath(path))
                if other is None:
                    real = real or {os.path.realpath(path) for path in known}
                    source = read_context(path) if os.path.realpath(path) not in real else None
                    if source is None:
                        continue
                    other = known[os.path.abspath(path)] = File(source, is_context=True)
                    real.add(os.path.realpath(path))
                    found.append(other)
                if id(other) not in seen:
                    seen.add(id(other))
                    todo.append(other)
        return sorted(found, key=lambda file: file.path)

    def _scan(self, file: File) -> Scan:
        import msgspec

        from bnlint.analyzer.project.prescan import Scan, scan

        if file.scan is not None:
            return file.scan
        key = self._key("scan", file)
        stored = self._scans.get(key)
        if stored is not None:
            try:
                file.scan = msgspec.msgpack.decode(stored, type=Scan)
                return file.scan
            except msgspec.DecodeError:
                pass
        try:
            result = scan(file.source.text, self._words)
            self._new_scans[key] = msgspec.msgpack.encode(result)
        except Exception as error:  # no text ends the run
            self.errors.append(internal_error(file.path, error))
            result = Scan(False, False, False, False, (), None)
        file.scan = result
        return result

    @functools.cached_property
    def _words(self) -> Words:
        """What to scan files for. It follows from all declarations, which take a while to load."""
        import msgspec

        from bnlint.analyzer.project.prescan import Words

        key = self.cache.key("words")
        stored = self.cache.get([key]).get(key)
        if stored is not None:
            with contextlib.suppress(msgspec.DecodeError):
                return msgspec.msgpack.decode(stored, type=Words)
        from bnlint.analyzer.apis.words import WORDS

        self.cache.put({key: msgspec.msgpack.encode(WORDS)})
        return WORDS

    def _key(self, kind: str, file: File) -> bytes:
        return self.cache.key(kind, self._digest(file))

    def _digest(self, file: File) -> bytes:
        from bnlint.analyzer.cache import digest

        known = self._digests.get(file.path)
        if known is None:
            text = file.source.text.encode("utf-8", "surrogatepass")
            known = self._digests[file.path] = digest(text)
        return known

    # --- their findings ------------------------------------------------------------------

    def checked(self, groups: list[list[File]]) -> Iterator[Checked]:
        """What the rules say about each group, in order."""
        for batch in _batches(groups) if groups else ():
            yield from self._checked(batch)

    def _checked(self, groups: list[list[File]]) -> Iterator[Checked]:
        keys = [self._group_key(group) for group in groups]
        known = _decoded(self.cache.get(keys))
        missing = [group for group, key in zip(groups, keys, strict=True) if key not in known]
        for group, checked in zip(missing, self._check(missing), strict=True):
            known[self._group_key(group)] = checked
        yield from (known[key] for key in keys)

    def _group_key(self, group: list[File]) -> bytes:
        parts = [
            part
            for file in group
            for part in (
                # A name that another locale decodes otherwise is another name: findings hold it.
                file.path.encode("utf-8", "surrogatepass"),
                file.name.encode("utf-8", "surrogatepass"),
                "\0".join(file.place).encode("utf-8", "surrogatepass"),
                self._digest(file),
            )
        ]
        return self.cache.key("findings", self.keras.encode(), *parts)

    def _check(self, groups: list[list[File]]) -> Iterator[Checked]:
        """Works the findings of groups out, and keeps them."""
        from bnlint.analyzer.tasks import Checked, check
        from bnlint.execution.executor import Serial

        task = functools.partial(check, rules=self.rules, keras=self.keras)
        if isinstance(self.engine, Serial):
            task = functools.partial(task, told=self.progress.at)
        for group, (result, errors) in zip(groups, self._worked(task, groups), strict=True):
            if result is None:
                yield Checked([], errors)
                continue
            errors += result.errors
            checked = Checked(result.findings, errors, result.left, result.counts)
            self._keep(group, checked)
            yield checked

    def _worked(
        self, task: Callable[[list[Member]], R], groups: list[list[File]]
    ) -> Iterator[tuple[R | None, list[FileError]]]:
        """What a task makes of each group (None: its process died), and errors of the files."""
        from bnlint.execution.executor import Crashed

        parsed = self._parsed([file for group in groups for file in group if file.is_candidate])
        needed = [self._needed(group, parsed) for group in groups]
        parsed |= self._parsed([file for group in needed for file in group], parsed)
        work = [[self._member(file, parsed) for file in group] for group in needed]
        self.progress.begin("following programs from files", sum(map(len, work)))
        for members, result in zip(work, self.engine.map(task, work), strict=True):
            trouble = [item.parsed.trouble(item.path) for item in members]
            errors = [error for error in trouble if error is not None]
            if isinstance(result, Crashed):
                crash = FileError(members[0].path, "the analyzer's process died on this project")
                yield None, [*errors, crash]
            else:
                yield result, errors

    def _needed(self, group: list[File], parsed: dict[bytes, Parsed]) -> list[File]:
        """What leads to those candidates that, once parsed, have indeed what rules look for."""
        from bnlint.analyzer.project.entry_points import may_matter
        from bnlint.analyzer.project.import_graph import leading_to
        from bnlint.analyzer.tasks import module_of

        targets = []
        for file in group:
            if file.is_candidate:
                member = self._member(file, parsed)
                module = module_of(member)
                # What cannot be read wholly is reported with its group.
                if (
                    module is None
                    or member.parsed.error
                    or may_matter(module, file.is_relevant, self._words)
                ):
                    targets.append(file)
        return leading_to(group, targets)

    # --- their programs ------------------------------------------------------------------

    def described(self, groups: list[list[File]]) -> Iterator[Described]:
        """The programs of each group, in order."""
        from bnlint.analyzer.tasks import Described, describe

        for batch in _batches(groups):
            for result, errors in self._worked(describe, batch):
                described = result or Described()
                described.errors = [*errors, *described.errors]
                yield described

    def _keep(self, group: list[File], checked: Checked) -> None:
        """Stores findings, unless memory was short or the like: the next run may fare better."""
        import msgspec

        if any(error.message.startswith(INTERNAL) for error in checked.errors):
            return
        # A file name that is not UTF-8 cannot be written as JSON.
        with contextlib.suppress(ValueError, RecursionError):
            self.cache.put({self._group_key(group): msgspec.json.encode(checked)})

    def _member(self, file: File, parsed: dict[bytes, Parsed]) -> Member:
        from bnlint.analyzer.tasks import Member

        return Member(file.path, file.name, file.is_package, parsed[self._digest(file)], file.place)

    def _parsed(
        self, files: list[File], known: Mapping[bytes, Parsed] = MappingProxyType({})
    ) -> dict[bytes, Parsed]:
        """The facts of files by content, from the cache or parsed now; not of those known."""
        import msgspec

        from bnlint.analyzer.tasks import Parsed, parse
        from bnlint.execution.executor import Crashed

        files = [file for file in files if self._digest(file) not in known]
        by_key = {self._key("facts", file): file for file in files}
        parsed: dict[bytes, Parsed] = {}
        for key, data in self.cache.get(by_key).items():
            try:
                parsed[self._digest(by_key[key])] = msgspec.msgpack.decode(data, type=Parsed)
            except msgspec.DecodeError:
                continue
        todo = {self._digest(file): file for file in files if self._digest(file) not in parsed}
        texts = [file.source.text for file in todo.values()]
        new: dict[bytes, bytes] = {}
        if texts:
            self.progress.begin("parsing", len(texts))
        for file, result in zip(todo.values(), self.engine.map(parse, texts), strict=True):
            self.progress.at(file.path)
            if isinstance(result, Crashed):
                result = Parsed(error="the analyzer's process died on this file")
            elif not result.error.startswith(INTERNAL):
                new[self._key("facts", file)] = msgspec.msgpack.encode(result)
            parsed[self._digest(file)] = result
        self.cache.put(new)
        return parsed


def _decoded(stored: dict[bytes, bytes]) -> dict[bytes, Checked]:
    import msgspec

    from bnlint.analyzer.tasks import Checked

    known: dict[bytes, Checked] = {}
    for key, data in stored.items():
        try:
            known[key] = msgspec.json.decode(data, type=Checked)
        except (msgspec.DecodeError, RecursionError):
            continue
    return known
