"""The report a person reads on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import IO

from bnlint.findings import (
    Counts,
    FileError,
    Finding,
    LeftProgram,
    Location,
    Report,
    Severity,
    lines_of,
    text_key,
)
from bnlint.reporting.counts import count
from bnlint.reporting.escapes import printable, printable_line
from bnlint.reporting.plain import Lines, Part, Plain, shows_styles
from bnlint.version import rule_page

_STYLE = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.INFO: "bold cyan"}


class TextReporter:
    """Writes findings with source excerpts, or one line each when `concise`."""

    def __init__(
        self, stream: IO[str], sources: Mapping[str, str], color: bool | None, concise: bool
    ) -> None:
        self.sources = sources
        self.lines: dict[str, list[str]] = {}
        self.concise = concise
        self.linked = bool(getattr(stream, "isatty", lambda: False)())
        self._lines: Lines
        if shows_styles(stream, color):
            from bnlint.reporting.terminal import Terminal

            self._lines = Terminal(stream, color)
        else:
            self._lines = Plain(stream)

    def render(
        self, report: Report, statistics: bool, verbose: bool = False, quiet: bool = False
    ) -> None:
        for finding in () if statistics else report.findings:
            self._finding(finding)
        for error in report.errors:
            self._error(error)
        if quiet:
            return
        for program in report.left if statistics or verbose else ():
            self._left(program)
        if report.not_understood:
            self._not_understood(report.not_understood, len(report.not_understood) <= 3 or verbose)
        if statistics:
            self._statistics(report)
        self._lines.write_prose((summary(report), "bold" if report.findings else "green"), hang=0)

    def _line(self, *parts: Part) -> None:
        self._lines.write_line(*parts)

    def _finding(self, finding: Finding) -> None:
        style = _STYLE[finding.severity]
        where = printable_line(str(finding.location))
        fixable = " [*]" if _is_fixable(finding) else ""
        if self.concise:
            message = printable(finding.message)
            self._line((where, "bold"), ": ", self._code(finding, style), f"{fixable} {message}")
            return
        self._lines.write_prose(
            self._code(finding, style), " ", (finding.name, style), fixable, ": ",
            printable(finding.message),
        )  # fmt: skip
        self._line(("  --> ", "blue"), where, _doubt(finding))
        self._excerpt(finding.location, style)
        for related in finding.related:
            place = printable(str(related.location))
            why = (printable(related.message), "cyan")
            self._lines.write_prose(("  ::: ", "blue"), place, ": ", why, hang=6)
            self._excerpt(related.location, "cyan")
        if finding.help:
            self._lines.write_prose(("  = help: ", "blue"), printable(finding.help), hang=10)
        if finding.fix is not None and _is_fixable(finding):
            option = "--fix" if finding.fix.safe else "--fix --unsafe-fixes"
            repair = f"{printable(finding.fix.message)} ({option})"
            self._lines.write_prose(("  = fix: ", "blue"), repair, hang=9)
        self._line()

    def _code(self, finding: Finding, style: str) -> Part:
        """The code; on a terminal a link to the rule's page (elsewhere it would be litter)."""
        page = rule_page(finding.code) if self.linked else ""
        return (finding.code, f"{style} link {page}" if page else style)

    def _source_line(self, location: Location) -> str | None:
        key = text_key(location)
        if key not in self.lines:
            lines = lines_of(self.sources.get(key, ""))
            self.lines[key] = [line.rstrip("\r\n") for line in lines]
        lines = self.lines[key]
        return lines[location.line - 1] if 0 < location.line <= len(lines) else None

    def _excerpt(self, location: Location, style: str) -> None:
        line = self._source_line(location)
        if line is None:
            return
        number = str(location.line)
        gutter = " " * len(number)
        shown = printable(line.expandtabs(4))
        before = len(printable(line[: location.column - 1].expandtabs(4)))
        same_line = location.end_line == location.line
        end = location.end_column - 1 if same_line else len(line.rstrip())
        width = max(len(printable(line[:end].expandtabs(4))) - before, 1)
        self._line((f"  {gutter} |", "blue"))
        self._line((f"  {number} | ", "blue"), shown)
        self._line((f"  {gutter} | ", "blue"), " " * before, ("^" * width, style))

    def _error(self, error: FileError) -> None:
        place = error.location
        where = str(place)
        if error.line and not error.column:
            where = where.removesuffix(":1")
        word = ("error", "bold red") if error.fatal else ("note", "blue")
        self._lines.write_prose(word, f": {printable(where)}: {printable(error.message)}")
        if error.column and not self.concise:
            self._excerpt(place, "red")

    def _left(self, program: LeftProgram) -> None:
        place = f"{printable(program.path)}: {printable(program.entry)}"
        self._line(("left", "bold yellow"), f": {place}: {program.reason}")

    def _statistics(self, report: Report) -> None:
        names = {finding.code: finding.name for finding in report.findings}
        counts = Counter(finding.code for finding in report.findings)
        for code, number in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            self._line((f"{number:>6}  ", "bold"), f"{code} {names[code]}")
        for name, number in asdict(report.checked).items() if report.checked is not None else ():
            self._line((f"{number:>6}  ", "bold"), name.replace("_", " ").replace("keras", "Keras"))

    def _not_understood(self, paths: list[str], every: bool) -> None:
        shown = paths if every else paths[:3]
        names = ", ".join(map(printable, shown))
        more = "" if every else f" and {len(paths) - 3} more"
        what = "which imports a framework and mentions batch norm"
        if len(paths) > 1:
            what = "which import a framework and mention batch norm"
        self._lines.write_prose(
            ("warning", "bold yellow"),
            f": no batch norm was understood in {names}{more}, {what} (see `bnlint show`)",
        )


def _is_fixable(finding: Finding) -> bool:
    """`--fix` makes the repair: not in notebooks, where an editor can."""
    return finding.fix is not None and not finding.location.cell


def _doubt(finding: Finding) -> str:
    return "" if finding.confidence.value == "high" else f" ({finding.confidence.value} confidence)"


def summary(report: Report) -> str:
    found = count(len(report.findings), "finding") if report.findings else "No findings"
    parts = [f"{found} in {count(report.files, 'file')}"]
    if report.suppressed:
        parts.append(f"{report.suppressed} suppressed")
    if errors := sum(error.fatal for error in report.errors):
        parts.append(count(errors, "error"))
    if report.left:
        parts.append(f"{count(len(report.left), 'program')} left")
    fixable = sum(map(_is_fixable, report.findings))
    if fixable:
        parts.append(f"{fixable} fixable")
    text = ", ".join(parts) + "."
    if report.findings or report.checked is None:
        return text
    return f"{text} {checked(report.checked)}"


def checked(counts: Counts) -> str:
    """What a clean report is about, so that "no findings" can be told from "nothing looked at"."""
    if not counts.programs:
        return "No programs with batch norm."
    # Keras builds a Sequential's batch norms itself, so that none may be known one by one.
    norms = counts.batch_norms or not counts.keras_calls
    parts = [count(counts.batch_norms, "batch norm")] if norms else []
    others = {"train op": counts.train_ops, "evaluation": counts.evaluations,
              "Keras call": counts.keras_calls}  # fmt: skip
    parts += [count(number, word) for word, number in others.items() if number]
    return f"Checked {count(counts.programs, 'program')}: {', '.join(parts)}."
