"""What pyproject.toml says about the project."""

import sys
from pathlib import Path

from bnlint.version import DOCUMENTATION

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def test_findings_and_the_package_index_link_to_the_same_documentation() -> None:
    assert PROJECT["urls"]["Documentation"] == DOCUMENTATION
