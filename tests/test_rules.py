"""Every rule's examples, run through the analyzer, and the rules' metadata."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import bnlint.rules
import pytest

from bnlint.analyzer import analyze
from bnlint.rule import Example, Rule, all_rules

RULES = all_rules()
STATIC = [rule for rule in RULES.values() if not rule.runtime_only]


@dataclass(frozen=True)
class File:
    """One file of an example, as the analyzer takes it."""

    path: str
    module: str
    text: str


def lint(example: Example) -> set[tuple[str, int, str]]:
    """(path, line, code) of what every static rule reports."""
    result = analyze(
        [
            File(path, path[: -len(".py")].replace("/", "."), text)
            for path, text in example.files.items()
        ]
    )
    assert not result.errors
    return {(f.location.path, f.location.line, f.code) for f in result.findings}


def cases(kind: str) -> list[object]:
    return [
        pytest.param(case, id=f"{rule.code}-{case.title}")
        for rule in STATIC
        for case in getattr(rule, kind)
    ]


@pytest.mark.parametrize("case", cases("bad"))
def test_bad_example_is_flagged_exactly_where_marked(case: Example) -> None:
    assert case.expected()
    assert lint(case) == case.expected()


@pytest.mark.parametrize("case", cases("good"))
def test_good_example_has_no_finding(case: Example) -> None:
    assert not case.expected()
    assert lint(case) == set()


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_rule_is_documented(rule: Rule) -> None:
    assert rule.summary and rule.why and rule.help
    assert re.fullmatch(r"BN\d{3}", rule.code)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name)
    assert rule.runtime_only == (rule.checker is None)


@pytest.mark.parametrize("rule", STATIC, ids=lambda rule: rule.code)
def test_rule_has_examples(rule: Rule) -> None:
    wanted = 6 if rule.code.startswith(("BN1", "BN2")) else 3
    assert len(rule.bad) >= 2
    assert len(rule.good) >= wanted
    for case in rule.bad:
        assert any(code == rule.code for _, _, code in case.expected()), case.title


def test_codes_are_unique_and_files_are_named_after_them() -> None:
    files = sorted(path.stem for path in Path(bnlint.rules.__path__[0]).glob("bn*.py"))
    names = sorted(f"{r.code.lower()}_{r.name.replace('-', '_')}" for r in RULES.values())
    assert files == names
