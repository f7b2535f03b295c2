"""MkDocs hook: a page for every rule, made from its rule file, and their index.

What a page shows as bnlint's output and repair is what bnlint says about the rule's first bad
example when the site is built. The cases in `fixtures/rules` have a page of their own, which the
search leaves out: its programs would hide the rules. A picture `docs/reproductions/CODE.png` is
shown when it is there (`bnlint reproduce CODE --png docs/reproductions/CODE.png` makes it).
"""

from __future__ import annotations

import difflib
import io
import textwrap
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

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


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Lists the rules' pages in the navigation."""
    for section in config.nav or []:
        if "Rules" in section:
            section["Rules"] += [
                {f"{rule.code} {rule.name}": f"rules/{rule.code}.md"}
                for rule in all_rules().values()
            ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages."""
    files.append(File.generated(config, "rules/index.md", content=index()))
    for rule in all_rules().values():
        files.append(File.generated(config, f"rules/{rule.code}.md", content=page(rule)))
        if _cases(rule, "bad") or _cases(rule, "good"):
            content = cases_page(rule)
            files.append(File.generated(config, f"rules/{rule.code}-cases.md", content=content))
        picture = PICTURES / f"{rule.code}.png"
        if picture.exists():
            uri = f"rules/{picture.name}"
            files.append(File.generated(config, uri, abs_src_path=str(picture)))
    return files


def index() -> str:
    """The page that lists every rule by group."""
    parts = ["# Rules", "`bnlint explain CODE` shows the same text on the terminal."]
    for prefix, title in GROUPS.items():
        rules = [rule for rule in all_rules().values() if rule.code.startswith(prefix)]
        if rules:
            rows = [f"| [{rule.code}]({rule.code}.md) | {rule.name} | {rule.summary} |"
                    for rule in rules]  # fmt: skip
            table = "\n".join(["| code | name | what it finds |", "| --- | --- | --- |", *rows])
            parts += [f"## {prefix}xx {title}", table]
    return "\n\n".join(parts) + "\n"


def page(rule: Rule) -> str:
    """One rule's page."""
    parts = [f"# {rule.code} {rule.name}", f"**{_sentence(rule.summary)}.**"]
    findings = [finding for example in rule.bad for finding in _findings(rule, example)]
    parts += [_facts(rule, findings), "## Why", rule.why.strip()]
    if (PICTURES / f"{rule.code}.png").exists():
        parts.append("## What you see")
        parts.append(
            f"[![Broken and fixed, trained and evaluated]({rule.code}.png)]({rule.code}.png)"
        )
        parts.append(f"`bnlint reproduce {rule.code}` runs these trainings and draws this.")
    parts += ["## How to repair it", rule.help]
    if rule.bad:
        parts += _said(rule)
    for title, examples in (("Flagged", rule.bad), ("Not flagged", rule.good)):
        if examples:
            parts.append(f"## {title}")
        for example in examples:
            parts += [f"### {_sentence(example.title)}", *_code(example)]
    count = len(_cases(rule, "bad")) + len(_cases(rule, "good"))
    if count:
        parts.append(f"[{count} more programs]({rule.code}-cases.md) are its test cases.")
    return "\n\n".join(parts) + "\n"


def cases_page(rule: Rule) -> str:
    """The page with a rule's test cases, every one to open."""
    parts = [
        "---\nsearch:\n  exclude: true\n---",
        f"# {rule.code} {rule.name}: test cases",
        f"Programs that the tests of [{rule.code}]({rule.code}.md) run, besides the examples "
        f"on its page. A comment `# <- {rule.code}` marks the line of a finding.",
    ]
    for title, kind in (("Flagged", "bad"), ("Not flagged", "good")):
        cases = _cases(rule, kind)
        if cases:
            parts.append(f"## {title}")
        for example in cases:
            body = textwrap.indent("\n\n".join(_code(example)), "    ")
            parts.append(f'??? example "{_sentence(example.title)}"\n\n{body}')
    return "\n\n".join(parts) + "\n"


def _cases(rule: Rule, kind: str) -> list[Example]:
    return list(read_cases(CASES / rule.code / kind).values())


def _sentence(text: str) -> str:
    """`text` with a capital letter, unless it begins with code."""
    first, *_ = text.split()
    return text[0].upper() + text[1:] if first.strip(",:").isalpha() else text


def _facts(rule: Rule, findings: list[Finding]) -> str:
    """Severity, where it is found, and what the findings in the bad examples are like."""
    commands = " and ".join(f"`bnlint {command}`" for command in rule.found_by)
    rows = [("Severity", rule.severity.value), ("Found by", commands)]
    if rule.checker is not None:
        levels = sorted({finding.confidence for finding in findings}, reverse=True)
        fixes = {finding.fix.safe for finding in findings if finding.fix is not None}
        repair = "`--fix`" if True in fixes else "`--fix --unsafe-fixes`" if fixes else "by hand"
        rows += [
            ("Confidence", " or ".join(level.value for level in levels)),
            ("Repair", repair),
        ]
    names, values = zip(*rows, strict=True)
    lines = (names, ["---"] * len(rows), values)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


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
        yield f'```python title="{path}"\n{text.rstrip()}\n```'
