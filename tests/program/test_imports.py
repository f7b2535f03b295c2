"""The import contract of `pyproject.toml` is kept."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("importlinter")
ROOT = Path(__file__).parents[2]


def test_the_import_contract_is_kept() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "imports.py")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout
