"""Checks the import contract: `[tool.importlinter]` in pyproject.toml.

The package is looked at as it is installed, because `rules/` is `bnlint.rules` only there.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "bnlint": "bnlint",
    "rules": "bnlint/rules",
    "fixtures/programs": "bnlint/reproductions",
}


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        for source, package in PACKAGES.items():
            shutil.copytree(ROOT / source, Path(folder, package))
        os.chdir(folder)
        sys.path.insert(0, folder)
        try:
            return lint_imports(str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True)
        finally:
            os.chdir(ROOT)


if __name__ == "__main__":
    sys.exit(main() != EXIT_STATUS_SUCCESS)
