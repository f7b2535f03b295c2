"""The import contract of `pyproject.toml` is kept, and the documentation shows its rooms."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("importlinter")
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "pages" / "architecture.md"


def test_the_import_contract_is_kept() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "imports.py")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_every_room_is_on_the_architecture_page() -> None:
    parts = (path.stem for path in (ROOT / "bnlint").iterdir() if path.suffix in ("", ".py"))
    rooms = {part for part in parts if not part.startswith("_")} | {"rules", "reproductions"}
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == rooms
