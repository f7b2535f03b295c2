"""Markdown, for the summary of a CI job or a comment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from bnlint.findings import Finding, Location, Report
from bnlint.reporting.escapes import printable
from bnlint.reporting.machine import tool_path
from bnlint.reporting.text import summary
from bnlint.version import rule_page

MAX_ROWS = 200  # GitHub takes a megabyte, people less
_MARKUP = re.compile(r"([\\`*_\[\]<>&|~$@#])")


def to_markdown(report: Report) -> str:
    """A table of the findings, and what could not be read."""
    parts = ["## bnlint", _plain(summary(report))]
    if report.findings:
        head = ["| rule | where | what | repair |", "| --- | --- | --- | --- |"]
        parts.append("\n".join([*head, *map(_row, report.findings[:MAX_ROWS])]))
    if len(report.findings) > MAX_ROWS:
        parts.append(f"{len(report.findings) - MAX_ROWS} more are not shown.")
    parts.append("\n".join(_errors(report)))
    return "\n\n".join(filter(None, parts)) + "\n"


def _row(finding: Finding) -> str:
    code, page = _plain(finding.code), rule_page(finding.code)
    rule = f"[{code}]({page})" if page else code
    cells = [f"{rule} {_plain(finding.name)}", _place(finding.location), _plain(finding.message)]
    return f"| {' | '.join([*cells, _cell(finding.help)])} |"


def _errors(report: Report) -> Iterator[str]:
    for error in report.errors[:MAX_ROWS]:
        word = "error" if error.fatal else "note"
        yield f"- {word}: {_place(error.location)}: {_plain(error.message)}"
    if len(report.errors) > MAX_ROWS:
        yield f"- {len(report.errors) - MAX_ROWS} more"


def _place(location: Location) -> str:
    return _plain(str(replace(location, path=tool_path(location.path))))


def _plain(text: str) -> str:
    """Text that is shown as it is: neither Markdown nor HTML."""
    return _MARKUP.sub(r"\\\1", printable(text))


def _cell(text: str) -> str:
    """A rule's own words, which are Markdown, as they may stand in a table."""
    return " ".join(text.split()).replace("|", "\\|")
