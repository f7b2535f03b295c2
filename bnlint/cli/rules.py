"""`bnlint rules` and `bnlint explain`."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from bnlint.cli.completion import complete_rule
from bnlint.registry import all_rules
from bnlint.reporting.explanation import with_examples


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
    """Explain RULE (a code such as BN101, or a name) with a bad and a good example."""
    for known in all_rules().values():
        if rule.upper() == known.code or rule == known.name:
            Console().print(Markdown(with_examples(known)))
            return
    raise click.UsageError(f"no rule {rule!r}: see `bnlint rules`")
