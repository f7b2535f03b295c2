"""Reports as text for people and as the formats that tools read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO

from bnlint.findings import Report
from bnlint.reporting.replacements import Repairs

FORMATS = ("text", "concise", "json", "sarif", "github", "gitlab", "junit", "markdown")
WITH_REPAIRS = ("json", "sarif")  # the formats that say what a repair replaces


def render(
    report: Report,
    format: str,
    stream: IO[str],
    *,
    sources: Mapping[str, str] | None = None,
    repairs: Repairs | None = None,
    color: bool | None = None,
    statistics: bool = False,
    verbose: bool = False,
    quiet: bool = False,
) -> None:
    """Writes `report` to `stream`.

    Args:
      report: what to show. format: one of FORMATS.
      stream: a text stream.
      sources: path -> text, for excerpts; files that are missing are shown without one.
      repairs: for formats WITH_REPAIRS, what each finding's repair replaces.
      color: for "text" and "concise"; None asks the stream.
      statistics: for "text" and "concise", a count per rule and of what was checked, in
        place of the findings.
      verbose: for "text" and "concise", name the programs that were left, as `statistics` does,
        and every file that was not understood.
      quiet: for "text" and "concise", findings and errors only.

    Raises:
      ValueError: `format` is not one of FORMATS.
    """
    if format in ("text", "concise"):
        from bnlint.reporting.text import TextReporter

        reporter = TextReporter(stream, sources or {}, color, format == "concise")
        reporter.render(report, statistics, verbose, quiet)
    elif format == "sarif":
        from bnlint.reporting.sarif import to_sarif

        stream.write(to_sarif(report, repairs or {}, sources or {}))
    elif format == "markdown":
        from bnlint.reporting.markdown import to_markdown

        stream.write(to_markdown(report))
    elif format == "json":
        from bnlint.reporting.machine import to_json

        stream.write(to_json(report, repairs or {}))
    elif format in FORMATS:
        from bnlint.reporting import machine

        stream.write(getattr(machine, f"to_{format}")(report))
    else:
        raise ValueError(f"unknown format {format!r}: one of {', '.join(FORMATS)}")
