"""Findings as the Language Server Protocol has them (version 3.17)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lsprotocol import types
from pygls.workspace import PositionCodec

from bnlint.findings import FileError, Finding, Location, Severity

SEVERITY = {
    Severity.ERROR: types.DiagnosticSeverity.Error,
    Severity.WARNING: types.DiagnosticSeverity.Warning,
    Severity.INFO: types.DiagnosticSeverity.Information,
}


@dataclass(frozen=True)
class Places:
    """Turns bnlint's places into the client's.

    Attributes:
      uri: (path, notebook cell or 0) -> the document's URI.
      lines: that URI -> the document's lines, with their line ends.
      codec: the position encoding agreed with the client (UTF-16 by default).
    """

    uri: Callable[[str, int], str]
    lines: Callable[[str], list[str]]
    codec: PositionCodec

    def range(self, uri: str, location: Location) -> types.Range:
        """A Location (1-based lines and columns in characters) as a 0-based range in code units.

        A place without an end is its whole line; one without a line is the file's beginning.
        """
        lines = self.lines(uri)
        row = max(location.line - 1, 0)
        column = max(location.column - 1, 0)
        end_row, end_column = location.end_line - 1, location.end_column - 1
        if end_row < row or (end_row == row and end_column <= column):
            end_row = row
            end_column = len(lines[row].rstrip("\r\n")) if row < len(lines) else column
        span = types.Range(types.Position(row, column), types.Position(end_row, end_column))
        return self.codec.range_to_client_units(lines, span)

    def location(self, location: Location) -> types.Location:
        """A Location with its document."""
        uri = self.uri(location.path, location.cell)
        return types.Location(uri, self.range(uri, location))


def diagnostic(finding: Finding, places: Places, link: str | None) -> types.Diagnostic:
    """A finding; its help is part of the message, its other places are related information."""
    uri = places.uri(finding.location.path, finding.location.cell)
    doubt = (
        "" if finding.confidence.value == "high" else f" ({finding.confidence.value} confidence)"
    )
    return types.Diagnostic(
        range=places.range(uri, finding.location),
        message="\n".join(filter(None, [f"{finding.message}{doubt}", finding.help])),
        severity=SEVERITY[finding.severity],
        code=finding.code,
        code_description=types.CodeDescription(href=link) if link else None,
        source="bnlint",
        related_information=[
            types.DiagnosticRelatedInformation(places.location(item.location), item.message)
            for item in finding.related
        ],
    )


def error_diagnostic(error: FileError, places: Places) -> types.Diagnostic:
    """A file that could not be read: what is wrong in it is another tool's to say."""
    return types.Diagnostic(
        range=places.range(places.uri(error.path, error.cell), error.location),
        message=f"bnlint could not analyze this file: {error.message}",
        severity=types.DiagnosticSeverity.Warning,
        source="bnlint",
    )
