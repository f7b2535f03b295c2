"""The picture in README shows what bnlint says today."""

from __future__ import annotations

import html
import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def shown(svg: str) -> str:
    """The text of a picture, without spaces: they are drawn in several ways."""
    return re.sub(r"\s+", "", html.unescape(re.sub(r"<[^>]+>", " ", svg.partition("<g ")[2])))


def test_the_picture_is_up_to_date_and_asks_no_other_site() -> None:
    spec = importlib.util.spec_from_file_location("picture", ROOT / "docs/terminal_picture.py")
    assert spec is not None and spec.loader is not None
    picture = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(picture)
    drawn = picture.PICTURE.read_text("utf-8")
    assert "BN101" in drawn and "url(http" not in drawn.replace('"', "")
    assert shown(drawn) == shown(picture.draw()), "run: python docs/terminal_picture.py"
