"""Tests for rules: `check_rule(RULE)` runs a rule's examples as bnlint's own are run.

A rule that needs many cases keeps them as files, in folders named `bad` and `good`: each case is a
file `NAME.py`, or a folder `NAME` with the files of a small project. `read_cases` reads them. The
guide "Writing a rule" shows a plugin with its test.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bnlint.analyzer.analysis import analyze
from bnlint.registry import rule_set
from bnlint.rule import CODE, NAME, Example, Rule

Place = tuple[str, int, str]


@dataclass(frozen=True)
class ExampleFile:
    """One file of an example, as the analyzer takes it."""

    path: str
    module: str
    text: str


def read_cases(folder: Path) -> dict[str, Example]:
    """The cases in a folder, by name and in order of name.

    Each `NAME.py` and each folder `NAME` is a case; a folder that is not there holds none. The
    title is the docstring's first line, in a folder that of the first file with a docstring.
    """
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return {
        path.stem: _case(path)
        for path in paths
        if path.suffix == ".py" or (path.is_dir() and path.name != "__pycache__")
    }


def _case(path: Path) -> Example:
    paths = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    root = path if path.is_dir() else path.parent
    files = {file.relative_to(root).as_posix(): file.read_text("utf-8") for file in paths}
    titles = (ast.get_docstring(ast.parse(text)) for text in files.values())
    title = next((title for title in titles if title), path.stem.replace("_", " "))
    return Example(title.splitlines()[0].rstrip("."), files)


def findings_in(example: Example, rules: Iterable[Rule] | None = None) -> set[Place]:
    """(path, line, code) of every finding in an example, of any confidence.

    Args:
      rules: the rules to run; every installed rule by default.

    Raises:
      AssertionError: a file of the example cannot be analyzed, or a rule has an internal error.
    """
    files = [
        ExampleFile(path, path.removesuffix(".py").replace("/", "."), text)
        for path, text in example.files.items()
    ]
    result = analyze(files, rules=rules)
    if result.errors:
        raise AssertionError(f"{example.title}: {[error.message for error in result.errors]}")
    return {(item.location.path, item.location.line, item.code) for item in result.findings}


def check_rule(rule: Rule, cases: Path | None = None) -> None:
    """Checks a rule's metadata, examples and cases, together with every installed rule.

    A bad example gives exactly the findings that its `# <- CODE` comments mark, one of them this
    rule's; a good example gives none.

    Args:
      rule: the rule.
      cases: a folder with folders `bad` and `good` of further examples, as `read_cases` reads them.

    Raises:
      AssertionError: says what is wrong, and with which example.
    """
    _require(bool(CODE.fullmatch(rule.code)), f"code {rule.code!r} is not of the form ABC123")
    _require(bool(NAME.fullmatch(rule.name)), f"name {rule.name!r} is not words-with-dashes")
    for attribute in ("summary", "why", "help"):
        _require(bool(getattr(rule, attribute).strip()), f"{rule.code} has no {attribute}")
    _require(rule.checker is not None, f"{rule.code} has no check")
    _require(bool(rule.bad and rule.good), f"{rule.code} needs bad and good examples")
    known = {**rule_set().rules, rule.code: rule}.values()
    more_bad = read_cases(cases / "bad").values() if cases is not None else ()
    more_good = read_cases(cases / "good").values() if cases is not None else ()
    for bad in (*rule.bad, *more_bad):
        marked = any(code == rule.code for _, _, code in bad.expected())
        _require(marked, f"{bad.title}: no line is marked `# <- {rule.code}`")
        _compare(bad, findings_in(bad, known))
    for good in (*rule.good, *more_good):
        _require(not good.expected(), f"{good.title}: a good example marks a finding")
        _compare(good, findings_in(good, known))


def _compare(example: Example, found: set[Place]) -> None:
    missing, extra = example.expected() - found, found - example.expected()
    _require(not missing, f"{example.title}: not found: {sorted(missing)}")
    _require(not extra, f"{example.title}: found, but not marked: {sorted(extra)}")


def _require(condition: bool, message: str) -> None:
    """An assertion that `python -O` keeps."""
    if not condition:
        raise AssertionError(message)
