"""A page for every rule, made from its rule file, and their index.

What a page shows as bnlint's output and repair is what bnlint says about the rule's first bad
example when the site is built. What users call the mistake (`Rule.symptoms`) are entries of the
search index. The cases in `fixtures/rules` have a page of their own, which the search leaves out:
its programs would hide the rules. A picture `docs/reproductions/CODE.png` is shown when it is there
(`bnlint reproduce CODE --png docs/reproductions/CODE.png` makes it).
"""

from __future__ import annotations

import difflib
import io
import shutil
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from bnlint.analyzer.analysis import analyze
from bnlint.findings import Finding, Report
from bnlint.lint.fixes import fix_text
from bnlint.registry import all_rules
from bnlint.reporting import render
from bnlint.rule import Example, Rule
from bnlint.testing import ExampleFile, read_cases

PICTURES = Path(__file__).parent / "reproductions"
CASES = Path(__file__).parents[1] / "fixtures" / "rules"
GROUPS = {
    "BN0": "bnlint itself",
    "BN1": "UPDATE_OPS: the train step does not update the moving statistics",
    "BN2": "is_training: the network runs in the wrong mode",
    "BN3": "State: statistics are not saved or restored, or converge too slowly",
    "BN4": "The loss",
    "BN5": "Found in checkpoints and models",
    "BN6": "Found in predictions",
    "BN7": "Keras training: what is frozen, shared, copied, and on which batches",
}


def write_rule_pages(folder: Path) -> None:
    """Writes every page into `folder`. Files that are right already are left alone, so that
    Sphinx builds anew only what changed."""
    folder.mkdir(exist_ok=True)
    pages = {"index.md": index()}
    for rule in all_rules().values():
        pages[f"{rule.code}.md"] = page(rule)
        if _has_cases(rule):
            pages[f"{rule.code}-cases.md"] = cases_page(rule)
        if _picture(rule).exists():
            shutil.copy2(_picture(rule), folder)
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def index() -> str:
    """The page that lists every rule by group."""
    parts = [
        "# Rules",
        "`bnlint explain CODE` shows the same text on the terminal. "
        "[Symptoms](../symptoms.md) leads from what you see to a rule.",
    ]
    for prefix, title in GROUPS.items():
        rules = [rule for rule in all_rules().values() if rule.code.startswith(prefix)]
        if rules:
            lines = ["| code | name | what it finds | severity | repair |", "| - | - | - | - | - |"]
            lines += [_index_row(rule) for rule in rules]
            parts += [f"## {prefix}xx {title}", "\n".join(lines)]
    pages = "\n".join(f"{rule.code} <{rule.code}>" for rule in all_rules().values())
    parts.append(f"```{{toctree}}\n:hidden:\n\n{pages}\n```")
    return "\n\n".join(parts) + "\n"


def _index_row(rule: Rule) -> str:
    repair = _repair(_findings_of(rule.code)) if rule.checker is not None else ""
    cells = (f"[{rule.code}]({rule.code}.md)", rule.name, rule.summary, rule.severity.value, repair)
    return f"| {' | '.join(cells)} |"


def page(rule: Rule) -> str:
    """One rule's page."""
    parts = [f"# {rule.code} {rule.name}", *_index_entries(rule)]
    parts += [f"**{_sentence(rule.summary)}.**", _facts(rule)]
    parts += ["## Why", rule.why.strip(), *_what_you_see(rule)]
    parts += ["## How to repair it", rule.help]
    if rule.bad:
        parts += _said(rule)
    for title, examples in (("Flagged", rule.bad), ("Not flagged", rule.good)):
        if examples:
            parts.append(f"## {title}")
        for example in examples:
            parts += [f"**{_sentence(example.title)}**", *_code(example)]
    count = len(_cases(rule, "bad")) + len(_cases(rule, "good"))
    if count:
        parts.append(f"[{count} more programs]({rule.code}-cases.md) are its test cases.")
    return "\n\n".join(parts) + "\n"


def _index_entries(rule: Rule) -> Iterator[str]:
    """What users call the mistake, for the search: an entry that is searched for comes first."""
    for symptom in rule.symptoms:
        yield f"```{{index}} ! single: {symptom}\n```"


def _what_you_see(rule: Rule) -> Iterator[str]:
    picture = _picture(rule)
    if rule.symptoms or picture.exists():
        yield "## What you see"
    if rule.symptoms:
        yield "\n".join(f"- {_sentence(symptom)}" for symptom in rule.symptoms)
    if picture.exists():
        yield f"[![Broken and fixed, trained and evaluated]({picture.name})]({picture.name})"
        yield f"`bnlint reproduce {rule.code}` runs these trainings and draws this."


def cases_page(rule: Rule) -> str:
    """The page with a rule's test cases, every one to open."""
    parts = [
        "---\nnosearch: true\norphan: true\n---",
        f"# {rule.code} {rule.name}: test cases",
        f"Programs that the tests of [{rule.code}]({rule.code}.md) run, besides the examples "
        f"on its page. A comment `# <- {rule.code}` marks the line of a finding.",
    ]
    for title, kind in (("Flagged", "bad"), ("Not flagged", "good")):
        cases = _cases(rule, kind)
        if cases:
            parts.append(f"## {title}")
        for example in cases:
            body = "\n\n".join(_code(example))
            parts.append(f"::::{{dropdown}} {_sentence(example.title)}\n{body}\n::::")
    return "\n\n".join(parts) + "\n"


def _has_cases(rule: Rule) -> bool:
    return bool(_cases(rule, "bad") or _cases(rule, "good"))


def _picture(rule: Rule) -> Path:
    return PICTURES / f"{rule.code}.png"


def _cases(rule: Rule, kind: str) -> list[Example]:
    return list(read_cases(CASES / rule.code / kind).values())


def _sentence(text: str) -> str:
    """`text` with a capital letter, unless it begins with code."""
    first, *_ = text.split()
    return text[0].upper() + text[1:] if first.strip(",:").isalpha() else text


def _facts(rule: Rule) -> str:
    """Severity, where it is found, and what the findings in the bad examples are like."""
    commands = " and ".join(f"`bnlint {command}`" for command in rule.found_by)
    rows = [("Severity", rule.severity.value), ("Found by", commands)]
    if rule.checker is not None:
        findings = _findings_of(rule.code)
        levels = sorted({finding.confidence for finding in findings}, reverse=True)
        rows += [
            ("Confidence", " or ".join(level.value for level in levels)),
            ("Repair", _repair(findings)),
        ]
    names, values = zip(*rows, strict=True)
    lines = (names, ["---"] * len(rows), values)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _repair(findings: Iterable[Finding]) -> str:
    fixes = {finding.fix.safe for finding in findings if finding.fix is not None}
    return "`--fix`" if True in fixes else "`--fix --unsafe-fixes`" if fixes else "by hand"


@cache
def _findings_of(rule_code: str) -> tuple[Finding, ...]:
    """The findings of a rule in its bad examples."""
    rule = all_rules()[rule_code]
    return tuple(finding for example in rule.bad for finding in _findings(rule, example))


def _findings(rule: Rule, example: Example) -> list[Finding]:
    files = [
        ExampleFile(path, path.removesuffix(".py").replace("/", "."), text)
        for path, text in example.files.items()
    ]
    return [item for item in analyze(files).findings if item.code == rule.code]


def _said(rule: Rule) -> Iterator[str]:
    """The report on the first bad example, and the repair if there is one."""
    example = rule.bad[0]
    findings = _findings(rule, example)
    stream = io.StringIO()
    report = Report(findings=findings, files=len(example.files))
    render(report, "text", stream, sources=example.files, color=False)
    yield "## What bnlint says"
    yield f"About the first example below:\n\n```text\n{stream.getvalue().rstrip()}\n```"
    for path, text in example.files.items():
        here = [finding for finding in findings if finding.location.path == path]
        fixed, count = fix_text(text, here, unsafe=True)
        if count:
            lines = difflib.unified_diff(
                text.splitlines(keepends=True), fixed.splitlines(keepends=True), path, path
            )
            yield f"`bnlint --fix` turns it into:\n\n```diff\n{''.join(lines).rstrip()}\n```"


def _code(example: Example) -> Iterator[str]:
    for path, text in example.files.items():
        yield f"```{{code-block}} python\n:caption: {path}\n\n{text.rstrip()}\n```"
