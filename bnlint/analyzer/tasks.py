"""The two pieces of work that any engine does: a file's facts, and a component's findings.

Both take and give plain data, so that they run in this process, in another, or on another
machine with the same result.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from bnlint.analyzer.project.module_index import Place
from bnlint.findings import (
    INTERNAL,
    FileError,
    Finding,
    LeftProgram,
    described,
    internal_error,
)

if TYPE_CHECKING:
    from bnlint.analyzer.follow import Trouble
    from bnlint.analyzer.project.modules import Project
    from bnlint.rule import Rule

TOO_DEEP = "nested too deeply to be analyzed"


class Parsed(msgspec.Struct, array_like=True, frozen=True):
    """What parsing a text gave: its facts (see nodes.encode), or what is wrong in which line.

    A Python 2 text has both: facts of its conversion, and a notice.
    """

    facts: bytes = b""
    error: str = ""
    line: int = 0

    def trouble(self, path: str) -> FileError | None:
        """The error or notice, about the file at `path`."""
        if not self.error:
            return None
        return FileError(path, self.error, self.line, fatal=not self.facts)


class Member(msgspec.Struct, array_like=True, frozen=True):
    """A file of a component: its facts, what it is called and where it is."""

    path: str
    module: str
    is_package: bool
    parsed: Parsed
    place: Place


class Checked(msgspec.Struct, array_like=True, frozen=True):
    """What the rules say about a component, and the programs that were not followed to the end."""

    findings: list[Finding]
    errors: list[FileError]
    left: list[LeftProgram] = []


def parse(text: str) -> Parsed:
    """The facts of one text, or what is wrong; no text ends the run."""
    with _collector_paused():
        try:
            first = _parse(text)
            if first.facts or first.error == TOO_DEEP:
                return first
            return _parse_python2(text) or first
        except Exception as error:
            return Parsed(error=f"{INTERNAL}: {described(error)}")


def _parse(text: str) -> Parsed:
    from bnlint.analyzer.syntax import nodes
    from bnlint.analyzer.syntax.parse import NestedTooDeeply, module_facts

    try:
        return Parsed(nodes.encode(module_facts(text, "", "")))
    except (NestedTooDeeply, RecursionError):  # the latter: while the facts are written
        return Parsed(error=TOO_DEEP)
    except Exception as error:
        return _not_python3(error)


def _not_python3(error: Exception) -> Parsed:
    import libcst  # imported by now: only its parser tells what is wrong

    if isinstance(error, libcst.ParserSyntaxError):
        return Parsed(error=f"not valid Python 3: {_first_line(error)}", line=error.raw_line)
    if isinstance(error, libcst.CSTValidationError):  # a letter newer than Python's Unicode
        return Parsed(error=f"not valid Python 3: {_first_line(error)}")
    raise error


def _parse_python2(text: str) -> Parsed | None:
    from bnlint.analyzer.syntax import nodes, python2

    converted = python2.to_python3(text, "")
    second = _parse(converted) if converted is not None else None
    if converted is None or second is None or not second.facts:
        return None
    facts = python2.moved(nodes.decode(second.facts, "", "", False), converted, text)
    return Parsed(nodes.encode(facts), python2.NOTICE)


def _first_line(error: Exception) -> str:
    message = getattr(error, "message", "") or str(error)
    return message.strip().splitlines()[0] if message.strip() else "syntax error"


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


def check(members: list[Member], rules: Sequence[Rule] | None = None) -> Checked:
    """The findings of every rule (or of `rules`) in one component."""
    from bnlint.analyzer.follow import Trouble
    from bnlint.analyzer.project.modules import Project
    from bnlint.analyzer.syntax import nodes
    from bnlint.registry import all_rules

    facts: list[nodes.ModuleFacts] = []
    places: list[Place] = []
    errors: list[FileError] = []
    for item in members:
        if item.parsed.facts:
            try:
                facts.append(
                    nodes.decode(item.parsed.facts, item.path, item.module, item.is_package)
                )
                places.append(item.place)
            except Exception as error:  # a damaged cache, no memory
                errors.append(internal_error(item.path, error))
    chosen = list(all_rules().values()) if rules is None else list(rules)
    findings: list[Finding] = []
    trouble = Trouble()
    with _collector_slowed():
        try:
            _run_rules(Project(facts, places), chosen, findings, trouble)
        except Exception as error:  # outside of any one program
            errors.append(internal_error(members[0].path, error))
    converted = {item.path for item in members if item.parsed.facts and item.parsed.error}
    kept = [_marked(item, converted) for item in _merged(findings)]
    errors += trouble.errors
    return Checked(kept, list(dict.fromkeys(errors)), list(dict.fromkeys(trouble.left)))


def _marked(finding: Finding, converted: set[str]) -> Finding:
    """A finding in a Python 2 file says so; its repair would need a parse of the original."""
    edits = finding.fix.edits if finding.fix is not None else ()
    if finding.location.path in converted:
        note = "(A Python 2 file, analyzed as converted by fissix.)"
        finding = replace(finding, help=f"{finding.help} {note}".strip())
    if any(edit.location.path in converted for edit in edits):
        finding = replace(finding, fix=None)
    return finding


def _run_rules(
    project: Project, rules: list[Rule], findings: list[Finding], trouble: Trouble
) -> None:
    """Adds the findings in every program of a project, and to `trouble` what goes wrong."""
    from bnlint.analyzer.follow import programs

    for program in programs(project, trouble):
        for rule in rules:
            try:
                findings.extend(rule.run(program))
            except Exception as error:  # one rule's bug must not hide the others' findings
                where = program.entry.location.path
                trouble.errors.append(internal_error(where, error, rule.code))


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
