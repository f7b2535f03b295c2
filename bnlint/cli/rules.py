"""`bnlint rules` and `bnlint explain`."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from bnlint.cli.completion import complete_rule
from bnlint.registry import all_rules
from bnlint.rule import Example, Rule


@click.command()
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text")
def rules(format_: str) -> None:
    """List every rule."""
    if format_ == "json":
        records = [
            {
                "code": rule.code,
                "name": rule.name,
                "severity": rule.severity.value,
                "summary": rule.summary,
                "found_by": list(rule.found_by),
            }
            for rule in all_rules().values()
        ]
        click.echo(json.dumps(records, indent=2))
        return
    table = Table("Code", "Name", "Severity", "Found by", "What it finds")
    for rule in all_rules().values():
        how = ", ".join(rule.found_by)
        table.add_row(rule.code, rule.name, rule.severity.value, how, rule.summary)
    Console().print(table)


@click.command()
@click.argument("rule", shell_complete=complete_rule)
def explain(rule: str) -> None:
    """Explain RULE (a code such as BN101, or a name)."""
    for known in all_rules().values():
        if rule.upper() == known.code or rule == known.name:
            Console().print(Markdown(markdown(known)))
            return
    raise click.UsageError(f"no rule {rule!r}: see `bnlint rules`")


def markdown(rule: Rule) -> str:
    """A rule's documentation, made from its rule file."""
    parts = [explanation(rule)]
    for title, examples in (("Bad", rule.bad), ("Good", rule.good)):
        for example in examples:
            parts.append(f"## {title}: {example.title}")
            parts += _code(example)
    return "\n\n".join(parts) + "\n"


def explanation(rule: Rule) -> str:
    """A rule's documentation without its examples, in Markdown."""
    parts = [
        f"# {rule.code} {rule.name}",
        f"**{rule.severity.value}**: {rule.summary}",
        "## Why",
        rule.why.strip(),
        "## How to repair it",
        rule.help,
    ]
    return "\n\n".join(parts)


def _code(example: Example) -> list[str]:
    return [f"`{path}`\n\n```python\n{text}```" for path, text in example.files.items()]
