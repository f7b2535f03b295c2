"""Every rule's examples and cases, run through the analyzer, and the rules' metadata."""

from __future__ import annotations

import io
import re
from pathlib import Path

import bnlint.rules
import pytest
from rich.console import Console
from rich.markdown import Markdown

import bnlint
from bnlint.registry import all_rules
from bnlint.reporting.explanation import with_examples
from bnlint.rule import CODE, NAME, Example, Rule
from bnlint.testing import findings_in, read_cases

CASES = Path(__file__).parents[2] / "fixtures" / "rules"
SHARED = read_cases(CASES / "shared_good")
RULES = all_rules()
STATIC = [rule for rule in RULES.values() if rule.checker is not None]


def cases(rule: Rule, kind: str) -> dict[str, Example]:
    """A rule's examples and its cases in `fixtures/rules`, by name."""
    examples: tuple[Example, ...] = getattr(rule, kind)
    return {item.title: item for item in examples} | read_cases(CASES / rule.code / kind)


def every_case(kind: str) -> list[object]:
    return [
        pytest.param(case, id=f"{rule.code}-{name}")
        for rule in STATIC
        for name, case in cases(rule, kind).items()
    ]


@pytest.mark.parametrize("case", every_case("bad"))
def test_bad_example_is_flagged_exactly_where_marked(case: Example) -> None:
    assert case.expected()
    assert findings_in(case) == case.expected()


@pytest.mark.parametrize("case", every_case("good"))
def test_good_example_has_no_finding(case: Example) -> None:
    assert not case.expected()
    assert findings_in(case) == set()


@pytest.mark.parametrize("case", SHARED.values(), ids=SHARED)
def test_no_rule_flags_the_shared_good_programs(case: Example) -> None:
    assert findings_in(case) == set()


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_rule_is_documented(rule: Rule) -> None:
    assert rule.summary and rule.why and rule.help
    assert CODE.fullmatch(rule.code) and rule.code.startswith("BN")
    assert NAME.fullmatch(rule.name)
    # BN001 is about the comments themselves: it is reported once all other rules have run.
    assert rule.runtime_only == (rule.checker is None) or rule.code == "BN001"


@pytest.mark.parametrize("rule", STATIC, ids=lambda rule: rule.code)
def test_rule_has_examples(rule: Rule) -> None:
    assert len(rule.bad) == len(rule.good) == 2, "more belong in fixtures/rules"
    for case in cases(rule, "bad").values():
        assert any(code == rule.code for _, _, code in case.expected()), case.title


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_explanation_fits_a_screen(rule: Rule) -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(Markdown(with_examples(rule)))
    assert len(console.export_text().splitlines()) <= 48


def test_every_case_belongs_to_a_rule() -> None:
    folders = {path.name: path for path in CASES.iterdir() if path.name != "shared_good"}
    assert folders.keys() <= {rule.code for rule in STATIC}
    assert {path.name for folder in folders.values() for path in folder.iterdir()} <= {
        "bad",
        "good",
    }


def test_codes_are_unique_and_files_are_named_after_them() -> None:
    files = sorted(path.stem for path in Path(bnlint.rules.__path__[0]).glob("bn*.py"))
    names = sorted(f"{r.code.lower()}_{r.name.replace('-', '_')}" for r in RULES.values())
    assert files == names


def test_rules_say_which_commands_report_them() -> None:
    """The codes that the inspector's source names are those of rules that say "inspect"."""
    folder = Path(bnlint.__path__[0]) / "runtime"
    files = [path for path in folder.rglob("*.py") if path.parent.name != "predictions"]
    named = {code for path in files for code in re.findall(r'"(BN\d{3})"', path.read_text())}
    assert named == {rule.code for rule in RULES.values() if "inspect" in rule.found_by}
