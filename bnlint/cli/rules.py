"""`bnlint rules` and `bnlint explain`."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console
from rich.markdown import Markdown
from rich.padding import Padding
from rich.text import Text

from bnlint.cli.completion import complete_rule
from bnlint.lint.config import did_you_mean
from bnlint.registry import all_rules
from bnlint.reporting.explanation import with_examples
from bnlint.rule import Rule
from bnlint.version import rule_page


@click.command()
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text")
def rules(format_: str) -> None:
    """List every rule."""
    if format_ == "json":
        click.echo(json.dumps([_record(rule) for rule in all_rules().values()], indent=2))
        return
    console = Console(highlight=False)
    for rule in all_rules().values():
        found_by = ", ".join(f"bnlint {command}" for command in rule.found_by)
        name = Text.assemble((rule.code, _linked("bold", rule)), f" {rule.name} ")
        facts = Text(f"({rule.severity.value}; {found_by})", "dim")
        if console.is_terminal:
            console.print(name + facts, soft_wrap=True)
            console.print(Padding(Text(rule.summary), (0, 0, 0, 6)))
        else:  # a line each, whole, for grep
            console.print(name + facts + f": {rule.summary}", soft_wrap=True)


def _record(rule: Rule) -> dict[str, Any]:
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity.value,
        "summary": rule.summary,
        "found_by": list(rule.found_by),
        "why": rule.why.strip(),
        "help": rule.help,
        "symptoms": list(rule.symptoms),
        "url": rule_page(rule.code) or None,
    }


def _linked(style: str, rule: Rule) -> str:
    page = rule_page(rule.code)
    return f"{style} link {page}" if page else style


@click.command()
@click.argument("rule", nargs=-1, required=True, shell_complete=complete_rule)
def explain(rule: tuple[str, ...]) -> None:
    """Explain each RULE (a code such as BN101, a prefix, or a name), with examples."""
    for known in dict.fromkeys(code for word in rule for code in _codes(word)):
        Console().print(Markdown(with_examples(all_rules()[known])))


def _codes(word: str) -> list[str]:
    """The rules that a code, prefix or name covers.

    Raises:
      click.UsageError: there is none; names one that is spelled alike.
    """
    rules = all_rules().values()
    codes = [r.code for r in rules if r.code.startswith(word.upper()) or r.name == word.lower()]
    if word and codes:
        return codes
    names = [name for rule in rules for name in (rule.code, rule.name)]
    hint = did_you_mean(word, names) or ": see `bnlint rules`"
    raise click.UsageError(f"no rule {word!r}{hint}")
