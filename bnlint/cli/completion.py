"""`bnlint completion`: shell completion, as click makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    bash: echo 'eval "$(bnlint completion bash)"' >> ~/.bashrc
    zsh:  echo 'eval "$(bnlint completion zsh)"' >> ~/.zshrc
    fish: bnlint completion fish > ~/.config/fish/completions/bnlint.fish
    """
    from click.shell_completion import get_completion_class

    from bnlint.cli.main import cli

    made = get_completion_class(shell)
    assert made is not None, shell
    click.echo(made(cli, {}, "bnlint", "_BNLINT_COMPLETE").source())


def complete_rule(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Codes and names of rules; of a list with commas, its last item."""
    from click.shell_completion import CompletionItem

    from bnlint.registry import all_rules

    before, comma, last = incomplete.rpartition(",")
    items = []
    for rule in all_rules().values():
        if rule.code.startswith(last.upper()):
            items.append(CompletionItem(before + comma + rule.code, help=rule.summary))
        elif last and rule.name.startswith(last):
            items.append(CompletionItem(before + comma + rule.name, help=rule.summary))
    return items
