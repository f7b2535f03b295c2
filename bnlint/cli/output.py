"""Writing reports to files, for the commands."""

from __future__ import annotations

import click


def write_report(path: str, text: str) -> None:
    """Write a report, wholly or not at all; a usage error (exit code 2) where that fails."""
    from bnlint.analyzer.files import write_atomically

    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise click.UsageError(f"{path}: cannot be written: {error.strerror}") from error
