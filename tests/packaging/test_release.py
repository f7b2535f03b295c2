"""What a release needs: a changelog, a version that the tag repeats, and a workflow for both."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())


def test_every_python_that_ci_runs_is_a_classifier() -> None:
    ci = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    tested = ci["jobs"]["ci"]["strategy"]["matrix"]["python"]
    said = {item.rpartition(" ")[2] for item in PROJECT["classifiers"] if ":: 3." in item}
    assert said == set(tested)


def test_only_a_tag_publishes_and_only_that_job_may() -> None:
    assert WORKFLOW[True]["push"] == {"tags": ["v*"]}  # YAML reads `on` as true
    publish = WORKFLOW["jobs"]["publish"]
    assert "refs/tags/" in publish["if"] and publish["needs"] == "build"
    assert publish["permissions"]["id-token"] == "write"
    assert "permissions" not in WORKFLOW["jobs"]["build"]
    assert WORKFLOW["permissions"] == {"contents": "read"}


def test_the_changelog_has_room_for_the_next_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)
    assert headings[0] in ("Unreleased", PROJECT["version"])
    assert len(headings) == len(set(headings))
