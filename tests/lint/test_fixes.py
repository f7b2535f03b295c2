"""Repairs: made on every bad example, and on the shapes of code they have to fit."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from bnlint.analyzer.analysis import analyze
from bnlint.findings import Edit, Finding, Location
from bnlint.lint.fixes import CannotFix, apply_edits, fix_text
from bnlint.registry import all_rules
from bnlint.rule import Example
from bnlint.sources.files import Source
from bnlint.testing import read_cases

REPAIRED = ("BN101", "BN104", "BN203", "BN207", "BN209", "BN301")
ODD = "import   tensorflow  # odd   spacing"
CASES = Path(__file__).parents[2] / "fixtures" / "rules"
BAD = {
    code: [*all_rules()[code].bad, *read_cases(CASES / code / "bad").values()] for code in REPAIRED
}
EXAMPLES = [
    pytest.param(case, code, id=f"{code}-{case.title}") for code in BAD for case in BAD[code]
]


def findings_of(files: dict[str, str]) -> list[Finding]:
    sources = [Source(path, path[:-3].replace("/", "."), text) for path, text in files.items()]
    result = analyze(sources)
    assert not result.errors
    return result.findings


def repaired(files: dict[str, str], unsafe: bool) -> dict[str, str]:
    """Every file with all fixes made, again until nothing changes (as `--fix` does)."""
    for _ in range(10):
        findings = findings_of(files)
        fixed = {
            path: fix_text(text, [f for f in findings if f.location.path == path], unsafe)[0]
            for path, text in files.items()
        }
        if fixed == files:
            return files
        files = fixed
    pytest.fail("fixes never end")


@pytest.mark.parametrize(("case", "code"), EXAMPLES)
def test_repaired_examples_lint_clean(case: Example, code: str) -> None:
    before = findings_of(dict(case.files))
    fixable = {f.location for f in before if f.fix is not None}
    after = findings_of(repaired(dict(case.files), unsafe=True))
    codes_before = {f.code for f in before}
    assert {f.code for f in after} <= codes_before, "a repair made a new mistake"
    left = [f for f in after if f.fix is not None and f.code == code]
    assert not left
    unfixable = [f for f in before if f.code == code and f.location not in fixable]
    assert len([f for f in after if f.code == code]) <= len(unfixable)


@pytest.mark.parametrize("code", REPAIRED)
def test_each_rule_repairs_at_least_one_of_its_examples(code: str) -> None:
    assert any(f.fix for case in BAD[code] for f in findings_of(dict(case.files)) if f.code == code)


@pytest.mark.parametrize(("case", "code"), EXAMPLES)
def test_safe_fixes_leave_other_lines_alone(case: Example, code: str) -> None:
    """Lines that no fix is about keep every character, comments and spacing included."""
    text_before = {
        path: text.replace("import tensorflow", f"{ODD}\nimport tensorflow", 1)
        for path, text in case.files.items()
    }
    findings = findings_of(text_before)
    for path, text in text_before.items():
        mine = [f for f in findings if f.location.path == path and f.fix is not None]
        fixed, count = fix_text(text, mine, unsafe=True)
        changed = [
            line
            for line in difflib.ndiff(text.splitlines(), fixed.splitlines())
            if line.startswith("- ")
        ]
        spans = sum(f.location.end_line - f.location.line + 1 for f in mine)
        assert len(changed) <= spans + count
        assert (ODD in text) == (ODD in fixed)


def call_at(text: str, call: str) -> Location:
    """The (one-line) place of `call` in `text`."""
    for number, line in enumerate(text.splitlines(), 1):
        if call in line:
            column = line.index(call) + 1
            return Location("f.py", number, column, number, column + len(call))
    raise AssertionError(call)


@pytest.mark.parametrize(
    ("text", "call", "name", "fixed"),
    [
        ("y = net(x)\n", "net(x)", "training", "y = net(x, training=True)\n"),
        ("y = net(x,)\n", "net(x,)", "training", "y = net(x, training=True,)\n"),
        ("y = net()\n", "net()", "training", "y = net(training=True)\n"),
        ("y = net(x, **k)\n", "net(x, **k)", "training", "y = net(x, training=True, **k)\n"),
        ("y = net(x).mean()\n", "net(x)", "training", "y = net(x, training=True).mean()\n"),
        ("y = net(3)(x)\n", "net(3)", "training", "y = net(3, training=True)(x)\n"),
        ("y = net(3)(x)\n", "net(3)(x)", "training", "y = net(3)(x, training=True)\n"),
        ("y = (net(x))\n", "net(x)", "training", "y = (net(x, training=True))\n"),
        (
            "y = net(x, training=False)  # why\n",
            "net(x, training=False)",
            "training",
            "y = net(x, training=True)  # why\n",
        ),
    ],
)
def test_set_keyword(text: str, call: str, name: str, fixed: str) -> None:
    edit = Edit("set-keyword", call_at(text, call), name=name, value="True")
    assert apply_edits(text, [edit]) == fixed


@pytest.mark.parametrize(
    ("text", "name", "fixed"),
    [
        ("s = Saver(var_list=v)\n", "var_list", "s = Saver()\n"),
        ("s = Saver(var_list=v, max_to_keep=3)\n", "var_list", "s = Saver(max_to_keep=3)\n"),
        ("s = Saver(max_to_keep=3, var_list=v)\n", "var_list", "s = Saver(max_to_keep=3)\n"),
        ("s = Saver(v)\n", "", "s = Saver()\n"),
        ("s = Saver(v, max_to_keep=3)\n", "", "s = Saver(max_to_keep=3)\n"),
    ],
)
def test_drop_keyword(text: str, name: str, fixed: str) -> None:
    call = text[len("s = ") : -1]
    assert apply_edits(text, [Edit("drop-keyword", call_at(text, call), name=name)]) == fixed


def test_an_argument_is_not_dropped_when_others_would_move() -> None:
    text = "s = Saver(v, True)\n"
    with pytest.raises(CannotFix):
        apply_edits(text, [Edit("drop-keyword", call_at(text, "Saver(v, True)"), name="")])


def test_an_edit_whose_place_is_gone_is_refused() -> None:
    edit = Edit("set-keyword", Location("f.py", 3, 1, 3, 5), name="a", value="1")
    with pytest.raises(CannotFix):
        apply_edits("y = net(x)\n", [edit])
