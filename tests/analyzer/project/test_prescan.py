"""What a text may import, without parsing it: every import, in time linear in the text."""

import re
import sys
from types import FrameType
from typing import Any

import pytest

from bnlint.analyzer.project import prescan
from bnlint.analyzer.project.prescan import Import


@pytest.mark.parametrize(
    ("text", "imports"),
    [
        ("import a.b, c as d\n", [Import(0, "a.b", ()), Import(0, "c", ())]),
        ("from . import a\n", [Import(1, "", ("a",))]),
        ("from ..a.b import (c as d,  # (x\n  e,\n)\n", [Import(2, "a.b", ("c", "e"))]),
        ("from.a import b\n", [Import(1, "a", ("b",))]),
        ("from a \\\n  import b, \\\n  c\n", [Import(0, "a", ("b", "c"))]),
        ("from fromage import a\n", [Import(0, "fromage", ("a",))]),
        ("x = 1; import a; y\n", [Import(0, "a", ())]),
        ("'''import (see below'''\nimport a\n", [Import(0, "a", ())]),
        ("important = reimport\n", []),
    ],
)
def test_imports(text: str, imports: list[Import]) -> None:
    found = prescan._imports(text)
    assert [item for item in found if item in imports] == imports
    assert len(found) == len(imports) or "see below" in text


class Counted:
    """A pattern that counts the characters it has gone over.

    What it repeats cannot match in two ways and nothing has to come after it, so that each is
    looked at once (the patterns of imports hold no `$`, `\\Z` or text after a repeat).
    """

    steps = 0

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern = pattern

    def __getattr__(self, name: str) -> Any:
        def called(text: str, *place: int) -> Any:
            result = getattr(self.pattern, name)(text, *place)
            start = place[0] if place else 0
            Counted.steps += (result.end() if result is not None else len(text)) - start + 1
            return result

        return called


WORD = frozenset(["net"])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("net", True),
        ("a.net(x)", True),
        ("f('text', net)", True),
        ("f(\"it's\", net)  # '", True),
        (r"'a\'' + net", True),
        ('"""a "quoted" text""" + net', True),
        ("nets = subnet = net2 = _net", False),
        ("# net", False),
        ("'''\nnet\n'''", False),
        ('"""\nit\'s "net" """', False),
        ("'net'", False),
        ('"""open\nnet', False),
        ("x = 'a\\", False),
    ],
)
def test_names_in_code_are_whole_words_outside_of_strings_and_comments(
    text: str, named: bool
) -> None:
    assert prescan.names_in_code(text, WORD) == named


HOSTILE = {
    "comments in brackets that stay open": "import (\n{}",
    "brackets that stay open": "import (",
    "brackets in comments": "# import (\n",
    "prose": "import (see below\n",
    "one line": "import ",
    "blanks before": "from" + " " * 390 + "import\n",
    "many froms": "from " * 80 + "import x\n",
    "dots": "import a" + ".a" * 500 + "\n",
    "continued": "from a \\\nimport \\\n",
}


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE)
def test_twice_the_text_takes_twice_the_steps(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_IMPORT", "_NAMES", "_NAMES_IN_BRACKETS"):
        monkeypatch.setattr(prescan, name, Counted(getattr(prescan, name)))

    def steps(count: int) -> int:
        Counted.steps = 0
        text = unit.format("#a\n" * 20 * count) if "{" in unit else unit * count
        return _lines_run(text) + Counted.steps

    assert steps(1600) <= 2.2 * steps(800)


def _lines_run(text: str) -> int:
    count = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        prescan._imports(text)
    finally:
        sys.settrace(before)
    return count
