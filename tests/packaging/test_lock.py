"""`requirements-dev.lock` has everything that `.[dev,bench]` asks for, in versions that fit."""

from __future__ import annotations

import re
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
LOCKED = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)


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
    for name, version in LOCKED.findall((ROOT / "requirements-dev.lock").read_text()):
        locked.setdefault(canonicalize_name(name), []).append(Version(version))
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
    assert not stale, f"lock again (its first lines say how): {stale}"


def test_every_locked_file_has_a_hash() -> None:
    text = (ROOT / "requirements-dev.lock").read_text()
    blocks = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
    assert len(blocks) == len(LOCKED.findall(text))
    assert all("--hash=sha256:" in block for block in blocks)
