"""Comparisons as one HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
import difflib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from bnlint.reproduce.figures import draw
from bnlint.reproduce.programs import KINDS
from bnlint.reproduce.runner import Comparison
from bnlint.reproduce.tables import rows


def page(comparisons: Sequence[Comparison]) -> str:
    """The page: per pair its story, a picture, the numbers and what was changed."""
    import jinja2

    source = files("bnlint.reproduce").joinpath("page.html.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined,
                                     trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    return environment.from_string(source).render(pairs=[_view(one) for one in comparisons])


def _view(one: Comparison) -> dict[str, Any]:
    broken, fixed = rows(one.broken), rows(one.fixed)
    picture = base64.b64encode(draw([one], "png", titles=False)).decode("ascii")
    return {
        "code": one.pair.code,
        "name": one.pair.name,
        "broken_story": one.pair.story("broken").split("\n\n"),
        "fixed_story": one.pair.story("fixed"),
        "picture": f"data:image/png;base64,{picture}",
        "rows": [(name, value, fixed[name]) for name, value in broken.items()],
        "evaluation": (f"{one.broken.test_accuracy:.0%}", f"{one.fixed.test_accuracy:.0%}"),
        "changes": _changes(one),
    }


def _changes(one: Comparison) -> list[tuple[str, str]]:
    """(class, line) of the difference, without the two docstrings."""
    broken, fixed = (_code(one.pair.path(kind).read_text(encoding="utf-8")) for kind in KINDS)
    lines = difflib.unified_diff(broken, fixed, n=2, lineterm="")
    kinds = {"+": "added", "-": "removed", "@": "place"}
    return [(kinds.get(line[:1], "same"), line) for line in list(lines)[2:]]


def _code(source: str) -> list[str]:
    """The lines after the docstring."""
    return source.split('"""', 2)[2].strip("\n").splitlines()
