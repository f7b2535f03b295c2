"""Writing reports to files, for the commands."""

from __future__ import annotations

import click

from bnlint.lint.config import ConfigError
from bnlint.lint.save import save


def write_report(path: str, text: str) -> None:
    """Write a report, wholly or not at all; a usage error (exit code 2) where that fails."""
    try:
        save(path, text)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
