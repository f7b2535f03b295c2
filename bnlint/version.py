"""bnlint's version, as its installation says, and where its documentation is."""

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


# The published pages; `[project.urls]` in pyproject.toml says the same.
DOCUMENTATION = "https://bnlint.readthedocs.io/en/stable/"


def rule_page(code: str) -> str:
    """The address of a rule's page, "" for a rule of another package."""
    return f"{DOCUMENTATION}rules/{code}/" if code.startswith("BN") else ""
