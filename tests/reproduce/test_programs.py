"""The programs themselves: complete, found by name, and judged rightly by the linter."""

import ast
import importlib.util
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bnlint.cli import reproduce as command
from bnlint.cli.main import cli
from bnlint.registry import all_rules
from bnlint.reproduce.programs import (
    NOT_REPRODUCED,
    UnknownProgram,
    all_pairs,
    find_pair,
    program_folder,
)

PAIRS = all_pairs()


def bnlint(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def found(*paths: str) -> set[tuple[str, str]]:
    """(file name, code) of every finding, at the lowest confidence."""
    result = bnlint(*paths, "--format", "json", "--confidence", "low")
    report = json.loads(result.stdout)
    assert not report["errors"]
    return {
        (Path(finding["location"]["path"]).name, finding["code"]) for finding in report["findings"]
    }


def test_every_rule_has_a_pair_or_a_reason_why_not() -> None:
    # Rules of plugins are in all_rules() too: theirs is for them to show.
    own = {code for code in all_rules() if code.startswith("BN")}
    assert set(PAIRS) | set(NOT_REPRODUCED) == own
    assert not set(PAIRS) & set(NOT_REPRODUCED)


def test_the_folder_linted_as_a_whole_gives_exactly_the_broken_ones() -> None:
    expected = {
        (pair.broken.name, code)
        for code, pair in PAIRS.items()
        if not all_rules()[code].runtime_only
    }
    assert found(str(program_folder())) == expected


@pytest.mark.parametrize("code", PAIRS)
def test_each_file_linted_alone(code: str) -> None:
    pair = PAIRS[code]
    assert found(str(pair.fixed)) == set()
    if not all_rules()[code].runtime_only:
        assert found(str(pair.broken)) == {(pair.broken.name, code)}


@pytest.mark.parametrize("code", PAIRS)
def test_the_twins_differ_in_the_mistake_only(code: str) -> None:
    pair = PAIRS[code]
    broken, fixed = (path.read_text().split('"""', 2)[2] for path in (pair.broken, pair.fixed))
    assert ast.dump(ast.parse(broken)) != ast.dump(ast.parse(fixed))
    common = set(broken.splitlines()) & set(fixed.splitlines())
    assert len(common) > 0.7 * len(set(fixed.splitlines()))
    assert pair.story("broken") and pair.story("fixed")


@pytest.mark.parametrize("name", ["BN101", "bn101", "missing-update-ops", "missing_update_ops"])
def test_pairs_are_found_by_code_and_by_name(name: str) -> None:
    assert find_pair(name).code == "BN101"


@pytest.mark.parametrize("name", ["BN999", "nonsense", "BN001"])
def test_what_has_no_program_is_a_usage_error(name: str) -> None:
    with pytest.raises(UnknownProgram, match=name):
        find_pair(name)
    result = bnlint("reproduce", name)
    assert result.exit_code == 2 and name in result.output


def test_no_name_is_a_usage_error() -> None:
    assert bnlint("reproduce").exit_code == 2


def test_the_list_needs_no_tensorflow() -> None:
    result = bnlint("reproduce", "--list", "--format", "json")
    assert [item["code"] for item in json.loads(result.stdout)] == list(PAIRS)
    text = bnlint("reproduce", "--list").stdout
    assert "BN101" in text and "no program" in text


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        command.importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "sklearn" else real(name, *rest),
    )
    result = bnlint("reproduce", "BN101")
    assert result.exit_code == 2
    assert "needs scikit-learn: pip install 'bnlint[reproduce]'" in result.output
