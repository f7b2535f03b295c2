"""`uv.lock` has everything that `.[dev,bench]` asks for, in versions that fit, with hashes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKED: list[dict[str, Any]] = tomllib.loads((ROOT / "uv.lock").read_text())["package"]


def requirements(*extras: str) -> Iterator[Requirement]:
    """What the project and these extras need, with the extras that they name."""
    texts = [text for extra in extras for text in PROJECT["optional-dependencies"][extra]]
    for requirement in map(Requirement, texts):
        if requirement.name == PROJECT["name"]:
            yield from requirements(*requirement.extras)
        else:
            yield requirement


def test_the_lock_fits_the_project() -> None:
    locked: dict[str, list[Version]] = {}
    for package in LOCKED:
        if "version" in package:
            locked.setdefault(package["name"], []).append(Version(package["version"]))
    needed = [*map(Requirement, PROJECT["dependencies"]), *requirements("dev", "bench")]
    assert needed
    stale = [
        str(requirement)
        for requirement in needed
        if not any(
            requirement.specifier.contains(version)
            for version in locked.get(canonicalize_name(requirement.name), ())
        )
    ]
    assert not stale, f"run `uv lock`: {stale}"


def test_every_locked_file_has_a_hash() -> None:
    released = [package for package in LOCKED if "registry" in package["source"]]
    files = [
        file
        for package in released
        for file in (*package.get("wheels", ()), package.get("sdist"))
        if file is not None
    ]
    assert len(files) >= len(released) > 50
    assert all(file["hash"].startswith("sha256:") for file in files)
