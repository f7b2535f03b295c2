"""Writing reports and baselines."""

from __future__ import annotations

from bnlint.lint.config import ConfigError
from bnlint.sources.atomic_write import write_atomically


def save(path: str, text: str) -> None:
    """Write a file, wholly or not at all.

    Raises:
      ConfigError: it cannot be written.
    """
    try:
        write_atomically(path, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
