"""What a rule file declares.

A rule is one module in `rules/` (installed as `bnlint.rules`) with a module-level `RULE`.
Its examples are documentation and tests; further test cases are files (see `bnlint.testing`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bnlint.findings import Confidence, Finding, Fix, Location, Related, Severity

if TYPE_CHECKING:
    from bnlint.program.events import Program
    from bnlint.program.whole_project import WholeProject

CODE = re.compile(r"[A-Z]{2,8}\d{3}")
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MARK = re.compile(rf"#\s*<-\s*(?P<codes>{CODE.pattern}(?:\s*,\s*{CODE.pattern})*)")


@dataclass(frozen=True)
class Example:
    """A small program, bad or good.

    Attributes:
      title: what the program shows, in a few words.
      files: path -> source. In bad examples a comment `# <- BN101` (or `# <- BN101, BN401`)
        at a line's end marks that exactly these findings are reported on this line.
    """

    title: str
    files: Mapping[str, str]

    def expected(self) -> set[tuple[str, int, str]]:
        """(path, line, code) of every marked finding."""
        return {
            (path, number, code.strip())
            for path, source in self.files.items()
            for number, line in enumerate(source.splitlines(), 1)
            for match in _MARK.finditer(line)
            for code in match["codes"].split(",")
        }


def example(title: str, source: str = "", **files: str) -> Example:
    """An Example from one source (named `train.py`) or keyword files (`nets="..."` -> nets.py)."""
    named = {"train.py": source} if source else {}
    named.update({f"{name.replace('__', '/')}.py": text for name, text in files.items()})
    return Example(title, {name: text.strip("\n") + "\n" for name, text in named.items()})


Check = Callable[["Program"], Iterable[Finding]]
ProjectCheck = Callable[["WholeProject"], Iterable[Finding]]


@dataclass
class Rule:
    """One diagnostic.

    Attributes:
      code: "BN101"; name: "missing-update-ops".
      severity: of its findings.
      summary: one line, for `bnlint rules`.
      why: what TensorFlow does, and what the user then sees. Markdown.
      help: how to repair it. One or two sentences.
      symptoms: what users see, in the words that they search for.
      bad, good: examples; every bad one is flagged where marked, no good one is flagged at all.
        The first of each is the rule's face: `bnlint explain` shows it.
      found_by: the commands that report it: "check" (the linter), "inspect" (with `bnlint run` and
        the library), "predictions".
    """

    code: str
    name: str
    severity: Severity
    summary: str
    why: str
    help: str
    bad: tuple[Example, ...] = ()
    good: tuple[Example, ...] = ()
    found_by: tuple[str, ...] = ("check",)
    symptoms: tuple[str, ...] = ()
    checker: Check | None = field(default=None, repr=False)
    project_checker: ProjectCheck | None = field(default=None, repr=False)

    @property
    def runtime_only(self) -> bool:
        """The linter does not report it."""
        return "check" not in self.found_by

    def check(self, function: Check) -> Check:
        """Decorator that names the rule's check: Program -> findings."""
        self.checker = function
        return function

    def check_project(self, function: ProjectCheck) -> ProjectCheck:
        """Decorator that names the rule's second opinion, after every program was checked: all
        files of a project together -> findings."""
        self.project_checker = function
        return function

    def examples(self, *, bad: tuple[Example, ...], good: tuple[Example, ...]) -> None:
        """Sets `bad` and `good` at the end of a rule's file, below the check."""
        self.bad, self.good = bad, good

    def run(self, program: Program) -> Iterator[Finding]:
        """Findings of this rule in one program."""
        if self.checker is not None:
            yield from self.checker(program)

    def run_project(self, project: WholeProject) -> Iterator[Finding]:
        """Findings of this rule in all files of a project together."""
        if self.project_checker is not None:
            yield from self.project_checker(project)

    def finding(
        self,
        location: Location,
        message: str,
        *,
        related: Iterable[Related] = (),
        confidence: Confidence = Confidence.HIGH,
        fix: Fix | None = None,
    ) -> Finding:
        """A Finding of this rule, with its code, name, severity and help filled in."""
        return Finding(
            code=self.code,
            name=self.name,
            message=message,
            location=location,
            severity=self.severity,
            confidence=confidence,
            related=tuple(related),
            help=self.help,
            fix=fix,
        )
