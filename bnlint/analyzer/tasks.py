"""The work that any engine does: a file's facts, a component's findings or its programs.

All take and give plain data, so that they run in this process, in another, or on another
machine with the same result.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from bnlint.analyzer.project.module_index import Place
from bnlint.findings import (
    INTERNAL,
    Confidence,
    Counts,
    FileError,
    Finding,
    LeftProgram,
    described,
    internal_error,
)

if TYPE_CHECKING:
    from bnlint.analyzer.follow import Trouble
    from bnlint.analyzer.project.modules import Module, Project
    from bnlint.program.events import Gap, Program
    from bnlint.program.outline import Outline
    from bnlint.rule import Rule


class Parsed(msgspec.Struct, array_like=True, frozen=True):
    """What parsing a text gave: its facts (see nodes.encode), and what is wrong in which place.

    A Python 2 text has facts of its conversion, and a notice; one of which statements were left
    out has facts of the others, and an error.
    """

    facts: bytes = b""
    error: str = ""
    line: int = 0
    column: int = 0
    fatal: bool = True

    def trouble(self, path: str) -> FileError | None:
        """The error or notice, about the file at `path`."""
        if not self.error:
            return None
        return FileError(path, self.error, self.line, self.fatal, self.column)


class Member(msgspec.Struct, array_like=True, frozen=True):
    """A file of a component: its facts, what it is called and where it is."""

    path: str
    module: str
    is_package: bool
    parsed: Parsed
    place: Place


@dataclass
class Described:
    """The programs of a component in outline; see Overview for the rest."""

    programs: list[Outline] = field(default_factory=list)
    idle: int = 0
    outside: list[Gap] = field(default_factory=list)
    left: list[LeftProgram] = field(default_factory=list)
    errors: list[FileError] = field(default_factory=list)


class Checked(msgspec.Struct, array_like=True, frozen=True):
    """What the rules say about a component, the programs that were not followed to the end, and
    what was looked at in all of them, by the file that they begin in."""

    findings: list[Finding]
    errors: list[FileError]
    left: list[LeftProgram] = []
    counts: dict[str, Counts] = {}


def parse(text: str) -> Parsed:
    """The facts of one text, or of as much of it as can be read; no text ends the run."""
    with _collector_paused():
        try:
            return _parse(text) or _recovered(text)
        except Exception as error:
            return Parsed(error=f"{INTERNAL}: {described(error)}")


def _parse(text: str) -> Parsed | None:
    from bnlint.analyzer.syntax import nesting, nodes
    from bnlint.analyzer.syntax.parse import Unreadable, module_facts

    if nesting.too_large(text):
        return Parsed(error=f"more than {nesting.MAX_TOKENS:,} tokens, not analyzed")
    try:
        return Parsed(nodes.encode(module_facts(text, "", "")))
    except (Unreadable, RecursionError):  # the latter: while the facts are written
        return None


def _recovered(text: str) -> Parsed:
    from bnlint.analyzer.syntax import nodes, python2, recovery
    from bnlint.analyzer.syntax.parse import Unreadable, module_facts

    result = recovery.recovered(text)
    try:
        facts = python2.moved(module_facts(result.text, "", ""), result.text, text)
        encoded = nodes.encode(facts) if facts.body else b""
    except (Unreadable, RecursionError):
        encoded = b""
    if not result.problems and encoded:
        return Parsed(encoded, python2.NOTICE, fatal=False)
    line, column, message = result.problems[0] if result.problems else (0, 0, recovery.TOO_DEEP)
    if message != recovery.TOO_DEEP:
        message = f"syntax error: {message}"
    if encoded:
        message += f" ({_left_out(len(result.problems))})"
    return Parsed(encoded, message, line, column)


def _left_out(count: int) -> str:
    what = f"and {count - 1} more were" if count > 1 else "was"
    return f"this statement {what} left out, the rest was analyzed"


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Syntax trees hold no cycles: looking for some in them takes a fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def _collector_slowed() -> Iterator[None]:
    """Following programs makes many objects and few cycles: fewer collections save a sixth."""
    thresholds = gc.get_threshold()
    gc.set_threshold(20_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def check(
    members: list[Member],
    rules: Sequence[Rule] | None = None,
    keras: str = "",
    told: Callable[[str], None] | None = None,
) -> Checked:
    """The findings of every rule (or of `rules`) in one component.

    Args:
      members: the files.
      rules: every rule by default.
      keras: the version that the settings name, if they do.
      told: called with each file that a program begins in, when the first of it was followed.
    """
    from bnlint.analyzer.follow import Trouble, programs
    from bnlint.analyzer.whole_project import gather
    from bnlint.program.counts import counts_of
    from bnlint.registry import all_rules

    errors: list[FileError] = []
    if not members:
        return Checked([], errors)
    project = _project(members, errors, keras)
    chosen = list(all_rules().values()) if rules is None else list(rules)
    findings: list[Finding] = []
    trouble = Trouble()
    counts: dict[str, Counts] = {}
    with _collector_slowed():
        try:
            project.whole = gather(project)
            for program in programs(project, trouble):
                path = program.entry.location.path
                if told is not None and path not in counts:
                    told(path)
                counts[path] = counts.get(path, Counts()) + counts_of(program)
                findings += _run_rules(program, chosen, trouble)
                project.whole.followed.add(program)
            project.whole.followed.reported(findings)
            findings += _run_project_rules(project, chosen, trouble)
        except Exception as error:  # outside of any one program
            errors.append(internal_error(members[0].path, error))
    changed = {
        item.path: item.parsed.fatal for item in members if item.parsed.facts and item.parsed.error
    }
    kept = [_marked(item, changed) for item in _merged(findings)]
    errors += trouble.errors
    left = list(dict.fromkeys(trouble.left))
    return Checked(kept, list(dict.fromkeys(errors)), left, counts)


def describe(members: list[Member]) -> Described:
    """The programs of one component in outline, with the places where knowledge was lost."""
    from bnlint.analyzer.apis.gaps import outside
    from bnlint.analyzer.follow import Trouble, programs
    from bnlint.program.outline import outline

    result = Described()
    if not members:
        return result
    project = _project(members, result.errors)
    trouble = Trouble()
    with _collector_slowed():
        try:
            result.outside = outside(project)
            for program in programs(project, trouble, note_gaps=True):
                shown = outline(program)
                if shown.is_empty:
                    result.idle += 1
                else:
                    result.programs.append(shown)
        except Exception as error:  # outside of any one program
            result.errors.append(internal_error(members[0].path, error))
    result.errors += trouble.errors
    # Programs that were left say so themselves.
    result.left = [item for item in dict.fromkeys(trouble.left) if item.entry == "import"]
    return result


def _project(members: list[Member], errors: list[FileError], keras: str = "") -> Project:
    """The files of a component, linked; those whose facts cannot be read are added to `errors`."""
    from bnlint.analyzer.project.modules import Project
    from bnlint.analyzer.syntax import nodes

    facts: list[nodes.ModuleFacts] = []
    places: list[Place] = []
    for item in members:
        if item.parsed.facts:
            try:
                facts.append(
                    nodes.decode(item.parsed.facts, item.path, item.module, item.is_package)
                )
                places.append(item.place)
            except Exception as error:  # a damaged cache, no memory
                errors.append(internal_error(item.path, error))
    return Project(facts, places, keras)


def module_of(member: Member) -> Module | None:
    """A file of a component on its own; None if it has no facts."""
    from bnlint.analyzer.project.modules import Module
    from bnlint.analyzer.syntax import nodes

    if not member.parsed.facts:
        return None
    try:
        facts = nodes.decode(member.parsed.facts, member.path, member.module, member.is_package)
    except Exception:  # `check` says so
        return None
    return Module(facts, member.place)


def _marked(finding: Finding, changed: dict[str, bool]) -> Finding:
    """A finding in a file that is not Python 3 says so; a repair would need to parse the original.

    Args:
      finding: what was found.
      changed: the files that were converted (False), or of which statements were left out (True).
    """
    edits = finding.fix.edits if finding.fix is not None else ()
    incomplete = changed.get(finding.location.path)
    if incomplete is not None:
        note = _INCOMPLETE if incomplete else _CONVERTED
        finding = replace(finding, help=f"{finding.help} {note}".strip())
    if incomplete:
        finding = replace(finding, confidence=min(finding.confidence, Confidence.MEDIUM))
    if any(edit.location.path in changed for edit in edits):
        finding = replace(finding, fix=None)
    return finding


_CONVERTED = "(A Python 2 file, analyzed as converted by fissix.)"
_INCOMPLETE = "(A statement of this file does not parse and was left out.)"


def _run_rules(program: Program, rules: list[Rule], trouble: Trouble) -> list[Finding]:
    """The findings in one program; what goes wrong is added to `trouble`."""
    findings: list[Finding] = []
    for rule in rules:
        try:
            findings.extend(rule.run(program))
        except Exception as error:  # one rule's bug must not hide the others' findings
            where = program.entry.location.path
            trouble.errors.append(internal_error(where, error, rule.code))
    return findings


def _run_project_rules(project: Project, rules: list[Rule], trouble: Trouble) -> list[Finding]:
    """The findings in all files of a project together, after its programs."""
    findings: list[Finding] = []
    for rule in rules:
        try:
            findings.extend(rule.run_project(project.whole))
        except Exception as error:
            trouble.errors.append(internal_error(project.modules[0].path, error, rule.code))
    return findings


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
