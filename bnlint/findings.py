"""What every part of bnlint reports in: findings, the places they point at, and file errors.

This module imports nothing but the standard library; analyzer, runtime, reporting and
cli all speak it.
"""

from __future__ import annotations

import enum
import functools
import io
import operator
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field
from typing import Any


def lines_of(text: str) -> list[str]:
    """Lines with their ends, where Python's tokenizer and the language server protocol see them.

    `str.splitlines` would end lines at form feeds and other separators, too.
    """
    return io.StringIO(text, newline="").readlines()


class Severity(enum.Enum):
    """How bad a finding is when it is true (the SARIF `level` values)."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "note"


@functools.total_ordering
class Confidence(enum.Enum):
    """How sure bnlint is that a finding is true; ordered LOW < MEDIUM < HIGH."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    def __lt__(self, other: Confidence) -> bool:
        order = ("low", "medium", "high")
        return order.index(self.value) < order.index(other.value)


@dataclass(frozen=True, order=True)
class Location:
    """A place in a file.

    Attributes:
      path: the file as the user named it (relative paths stay relative).
      line: 1-based line; 0 when the place has no line (a graph, a checkpoint).
      column: 1-based column in characters; 0 when unknown.
      end_line, end_column: end of the span, `end_column` exclusive; 0 when unknown.
      cell: 1-based notebook cell, 0 outside notebooks. With a cell, `line` counts in that cell.
      node: op, layer or variable name for places inside graphs, models and checkpoints.
    """

    path: str
    line: int = 0
    column: int = 0
    end_line: int = 0
    end_column: int = 0
    cell: int = 0
    node: str = ""

    def __str__(self) -> str:
        """`path:line:column`, `path:cell 3:line:column` or `path:node`."""
        parts = [self.path]
        if self.cell:
            parts.append(f"cell {self.cell}")
        if self.line:
            parts += [str(self.line), str(self.column)]
        if self.node:
            parts.append(self.node)
        return ":".join(parts)


def text_key(place: Location) -> str:
    """Under which name a place's text is kept: the file's path, with the cell in a notebook."""
    return f"{place.path}:cell {place.cell}" if place.cell else place.path


def line_at(texts: Mapping[str, str], place: Location) -> str | None:
    """The source line of a place, without its end; None if it is not known."""
    lines = lines_of(texts.get(text_key(place), ""))
    return lines[place.line - 1].rstrip("\r\n") if 0 < place.line <= len(lines) else None


@dataclass(frozen=True)
class Related:
    """Another place that matters for a finding (the eval call, the net's batch norm)."""

    location: Location
    message: str


@dataclass(frozen=True)
class Edit:
    """One mechanical change to a source file; `bnlint.lint.fixes` carries it out with libcst.

    Attributes:
      kind: "wrap-in-update-ops" (put the statement at `location` in
        `with tf.control_dependencies(tf.get_collection(UPDATE_OPS)):`, with TensorFlow
        written as `value` and the collection filtered by the scope `name`, if there is one),
        "move-into-control-dependencies" (move that statement to the end of the
        `control_dependencies` block at `target`), "set-keyword" (in the call at
        `location` set keyword `name` to source `value`), or "drop-keyword" (an empty `name`
        is the first argument by position).
      location: start of the statement or call to change.
      target: the second place, for the kinds that have one.
      name, value: keyword and its new source text.
    """

    kind: str
    location: Location
    target: Location | None = None
    name: str = ""
    value: str = ""


@dataclass(frozen=True)
class Fix:
    """Edits that together repair a finding. `safe` fixes keep the meaning of correct programs."""

    message: str
    edits: tuple[Edit, ...]
    safe: bool = True


@dataclass(frozen=True)
class Finding:
    """One diagnostic.

    Attributes:
      code: stable rule code, e.g. "BN101".
      name: the rule's name in words, e.g. "missing-update-ops".
      message: one sentence that says what is wrong here.
      location: where to look first.
      severity, confidence: see the enums.
      related: other places that matter, in reading order.
      help: how to repair it, one or two sentences.
      fix: a mechanical repair, if there is one.
    """

    code: str
    name: str
    message: str
    location: Location
    severity: Severity = Severity.WARNING
    confidence: Confidence = Confidence.HIGH
    related: tuple[Related, ...] = ()
    help: str = ""
    fix: Fix | None = None


@dataclass(frozen=True)
class FileError:
    """A file that could not be (fully) read.

    Attributes:
      path: the file. message: one sentence.
      line, column: 1-based place in it; 0 when unknown.
      fatal: it is an error, which makes the exit code 2; otherwise a note.
      cell: 1-based notebook cell, 0 outside notebooks. With a cell, `line` counts in that cell.
    """

    path: str
    message: str
    line: int = 0
    fatal: bool = True
    column: int = 0
    cell: int = 0

    @property
    def location(self) -> Location:
        """The place: a character wide where there is a column."""
        column = self.column or int(bool(self.line))
        end = (self.line, self.column + 1) if self.column else (0, 0)
        return Location(self.path, self.line, column, *end, self.cell)


def described(error: BaseException) -> str:
    """An exception in one line."""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


INTERNAL = "internal error"


def internal_error(path: str, error: BaseException, where: str = "") -> FileError:
    """An exception that nobody foresaw, met in the work on one file."""
    return FileError(path, f"{INTERNAL}{where and f' in {where}'}: {described(error)}")


@dataclass(frozen=True)
class LeftProgram:
    """A program that was not followed to its end, so that findings may be missing.

    Attributes:
      path: the file of its entry point.
      entry: the entry point: "script", "import", or the dotted name of a function.
      reason: why, as a clause: "it takes more than 60,000 steps".
    """

    path: str
    entry: str
    reason: str


@dataclass(frozen=True)
class Counts:
    """What was looked at in the programs that were followed.

    Attributes:
      programs: those that build, train, run, save or evaluate something. One function that two
        programs call is looked at in both, so all other counts are per program.
      batch_norms: as they are built, not lines of code; loops are followed a few times only.
      train_ops, session_runs: see bnlint.program.events.
      evaluations: places that evaluate, predict or export, also those of Keras.
      keras_calls: Keras models called or fitted.
    """

    programs: int = 0
    batch_norms: int = 0
    train_ops: int = 0
    session_runs: int = 0
    evaluations: int = 0
    keras_calls: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*map(operator.add, astuple(self), astuple(other)))

    @property
    def has_batch_norm(self) -> bool:
        """A batch norm was understood, or a Keras model that may hold some."""
        return bool(self.batch_norms or self.keras_calls)


@dataclass
class Report:
    """Everything one run has to say.

    Attributes:
      findings: sorted by location, then code.
      errors: files that could not be read.
      files: how many files (or graphs, models, checkpoints) were looked at.
      suppressed: how many findings a comment, baseline or setting silenced.
      left: programs that were not followed to their end.
      checked: what the linter looked at; None where it did not run.
      not_understood: files that import a framework and mention batch norm, where no batch norm
        was understood.
    """

    findings: list[Finding] = field(default_factory=list)
    errors: list[FileError] = field(default_factory=list)
    files: int = 0
    suppressed: int = 0
    left: list[LeftProgram] = field(default_factory=list)
    checked: Counts | None = None
    not_understood: list[str] = field(default_factory=list)

    def details(self) -> dict[str, Any]:
        """What else a report of this kind knows, for JSON: key -> plain data."""
        return {}

    @property
    def exit_code(self) -> int:
        """0 clean, 1 findings, 2 a file could not be read."""
        if any(error.fatal for error in self.errors):
            return 2
        return 1 if self.findings else 0


def sorted_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Findings without exact repeats, by path, cell, line, column, code."""
    unique = dict.fromkeys(findings)

    def key(finding: Finding) -> tuple[str, int, int, int, str, str]:
        place = finding.location
        return (place.path, place.cell, place.line, place.column, finding.code, place.node)

    return sorted(unique, key=key)
