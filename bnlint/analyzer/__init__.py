"""The static analyzer: facts per file, a linked project, programs, and the rules over them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from bnlint.findings import FileError, Finding, sorted_findings

if TYPE_CHECKING:
    from bnlint.analyzer.ir import ModuleFacts
    from bnlint.analyzer.project import Project
    from bnlint.rule import Rule


# Code that names none of these builds no TensorFlow graph (tf_slim and tf_keras included).
_FRAMEWORK = re.compile(r"tensorflow|tf_slim|keras|bnlint\.slim")
_IMPORTS = re.compile(r"^[ \t]*(?:from|import)[ \t].*", re.MULTILINE)
_WORD = re.compile(r"\w+")


class SourceText(Protocol):
    """What the analyzer needs of a source file (see bnlint.analyzer.sources.Source)."""

    @property
    def path(self) -> str:
        """The file as the user named it."""

    @property
    def module(self) -> str:
        """Dotted module name, relative to its import root."""

    @property
    def text(self) -> str:
        """The Python text."""


@dataclass
class AnalysisResult:
    """All findings of all rules, unfiltered and sorted, and the files that could not be read."""

    findings: list[Finding] = field(default_factory=list)
    errors: list[FileError] = field(default_factory=list)
    context: dict[str, str] = field(default_factory=dict)


def analyze(
    sources: Sequence[SourceText],
    *,
    follow_imports: bool = False,
    progress: Callable[[str], None] | None = None,
    rules: Iterable[Rule] | None = None,
) -> AnalysisResult:
    """Analyzes files together, as one project.

    Args:
      sources: the files.
      follow_imports: also read the files beside them that they import. What is found in those is
        left out of the result; their texts are in `context`, for excerpts.
      progress: called with each path as it is parsed, and with the name of
        each entry point as it is followed.
      rules: the rules to run; every installed rule by default.

    Returns:
      Findings and errors. A file that is not Python 3 gives a FileError and is left out; an
      internal error in one program or rule gives a FileError and leaves that program out.
    """
    from bnlint.analyzer.project import Project

    result = AnalysisResult()
    facts: list[ModuleFacts] = []
    for source in _worth_parsing(sources, facts):
        if progress is not None:
            progress(source.path)
        parsed = _facts(source)
        if isinstance(parsed, FileError):
            result.errors.append(parsed)
        else:
            facts.append(parsed)
    if follow_imports:
        _add_imports(facts, result)
    findings, errors = _check(Project(facts), progress, rules)
    result.findings = sorted_findings(
        finding
        for finding in _merged(findings)
        if os.path.normpath(finding.location.path) not in result.context
    )
    result.errors += dict.fromkeys(error for error in errors if error.path not in result.context)
    return result


def _worth_parsing(sources: Sequence[SourceText], facts: list[ModuleFacts]) -> Iterator[SourceText]:
    """Files that mention a framework, then files that those import or that import those.

    `facts` grows while the caller parses what it is given; nothing else is ever parsed.
    """
    waiting = []
    for source in sources:
        if _FRAMEWORK.search(source.text):
            yield source
        else:
            waiting.append(source)
    done = 0
    while done < len(facts):
        imported = set().union(*(_imported_names(item) for item in facts[done:]))
        parsed = {item.module.rsplit(".", 1)[-1] for item in facts[done:]}
        done = len(facts)
        chosen = [
            item
            for item in waiting
            if item.module.rsplit(".", 1)[-1] in imported
            or not parsed.isdisjoint(_imported_words(item.text))
        ]
        waiting = [item for item in waiting if item not in chosen]
        yield from chosen


def _imported_words(text: str) -> set[str]:
    """Words of the import statements in a text, found without parsing it."""
    return {word for line in _IMPORTS.findall(text) for word in _WORD.findall(line)}


def _imported_names(facts: ModuleFacts) -> set[str]:
    """Last components of every module that a file may import."""
    from bnlint.analyzer import ir

    names: set[str] = set()
    for node in ir.local_imports(facts.body):
        if isinstance(node, ir.ImportFrom):
            names.update(node.module.split("."))
            names.update(name for name, _ in node.names)
        else:
            names.update(part for name, _ in node.names for part in name.split("."))
    return names


def _add_imports(facts: list[ModuleFacts], result: AnalysisResult) -> None:
    """Adds the facts of every file that `facts` import, and of those that these import."""
    from bnlint.analyzer.context import MAX_FILES, imported_paths, read_context

    known = {os.path.realpath(item.path) for item in facts}
    todo = list(facts)
    while todo and len(result.context) < MAX_FILES:
        for path in imported_paths(todo.pop()):
            real = os.path.realpath(path)
            if real in known:
                continue
            known.add(real)
            source = read_context(path)
            parsed = _facts(source) if source is not None else None
            if source is not None and parsed is not None and not isinstance(parsed, FileError):
                result.context[source.path] = source.text
                facts.append(parsed)
                todo.append(parsed)


def _facts(source: SourceText) -> ModuleFacts | FileError:
    import libcst

    from bnlint.analyzer.facts import module_facts, nested_too_deeply

    if nested_too_deeply(source.text):
        return FileError(source.path, "nested too deeply to be analyzed")
    is_package = source.path.replace("\\", "/").endswith("__init__.py")
    try:
        return module_facts(source.text, source.path, source.module, is_package)
    except libcst.ParserSyntaxError as error:
        return FileError(source.path, f"not valid Python 3: {_first_line(error)}", error.raw_line)
    except libcst.CSTValidationError as error:  # e.g. a letter newer than Python's Unicode
        return FileError(source.path, f"not valid Python 3: {_first_line(error)}")
    except RecursionError:
        return FileError(source.path, "nested too deeply to be analyzed")


def _first_line(error: Exception) -> str:
    message = getattr(error, "message", "") or str(error)
    return message.strip().splitlines()[0] if message.strip() else "syntax error"


def _check(
    project: Project,
    progress: Callable[[str], None] | None,
    rules: Iterable[Rule] | None,
) -> tuple[list[Finding], list[FileError]]:
    from bnlint.analyzer.programs import programs
    from bnlint.rule import all_rules

    findings: list[Finding] = []
    errors: list[FileError] = []
    chosen = list(all_rules().values() if rules is None else rules)
    for program in programs(project, errors):
        if progress is not None:
            progress(program.entry.name)
        for rule in chosen:
            try:
                findings.extend(rule.run(program))
            except Exception as error:  # one rule's bug must not hide the others' findings
                where = program.entry.location.path
                errors.append(FileError(where, f"internal error in {rule.code}: {error!r}"))
    return findings, errors


def _merged(findings: Iterable[Finding]) -> list[Finding]:
    """One finding per code and place: several programs may pass through the same lines."""
    best: dict[tuple[str, str, int, int], Finding] = {}
    for finding in findings:
        place = finding.location
        key = (finding.code, place.path, place.line, place.column)
        known = best.get(key)
        if known is None or known.confidence < finding.confidence:
            best[key] = finding
    return list(best.values())
