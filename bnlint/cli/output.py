"""Writing reports and baselines to files, for the commands."""

from __future__ import annotations

import click

from bnlint.lint.config import ConfigError
from bnlint.sources.atomic_write import write_atomically


def save(path: str, text: str) -> None:
    """Write a file, wholly or not at all.

    Raises:
      ConfigError: it cannot be written.
    """
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error


def write_report(path: str, text: str) -> None:
    """Write a report, wholly or not at all; a usage error (exit code 2) where that fails."""
    try:
        save(path, text)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
