"""Draws what bnlint prints about the demo as docs/pages/terminal.svg, for README and home page.

python docs/terminal_picture.py
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
PICTURE = HERE / "pages" / "terminal.svg"
DEMO = HERE.parent / "fixtures" / "demo"
WIDTH = 108  # columns


def output() -> str:
    """What a terminal shows, with its colors."""
    environment = {**os.environ, "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "bnlint", "--isolated", "--no-cache", "--color", "always"]
    done = subprocess.run(
        [*command, "train.py"], cwd=DEMO, env=environment, capture_output=True, text=True
    )
    return done.stdout


def draw() -> str:
    """The picture as SVG."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), color_system="256")
    console.print(Text("$ bnlint train.py", style="bold"))
    console.print(Text.from_ansi(output()))
    drawn = console.export_svg(title="bnlint", unique_id="bnlint")
    return re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)  # no other site is asked


if __name__ == "__main__":
    PICTURE.write_text(draw(), "utf-8")
