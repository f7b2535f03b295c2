"""bnlint's version, as its installation says."""

from __future__ import annotations

import functools


@functools.cache
def version() -> str:
    """Asked for where it is shown: importlib.metadata takes as long as the rest of the start."""
    from importlib import metadata

    try:
        return metadata.version("bnlint")
    except metadata.PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"
