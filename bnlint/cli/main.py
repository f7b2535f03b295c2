"""The `bnlint` command."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from bnlint.cli.last_resort import NoReader, debug_option, ended_well, terminate_on_sigterm
from bnlint.execution.executor import prepare
from bnlint.version import version

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# Loaded when they are called: their modules may need the `runtime` extra.
_LAZY = {
    "check": "bnlint.cli.check:check",
    "diagnose": "bnlint.cli.diagnose:diagnose",
    "show": "bnlint.cli.show:show",
    "explain": "bnlint.cli.rules:explain",
    "rules": "bnlint.cli.rules:rules",
    "inspect": "bnlint.cli.inspect:inspect",
    "predictions": "bnlint.cli.predictions:predictions",
    "run": "bnlint.cli.run:run",
    "reproduce": "bnlint.cli.reproduce:reproduce",
    "init": "bnlint.cli.init:init",
    "completion": "bnlint.cli.completion:completion",
    "lsp": "bnlint.cli.lsp:lsp",
}
_HELP = {
    "check": "Lint files and folders (the default command).",
    "diagnose": "Say why all test images get the same class.",
    "show": "Show programs as they are understood.",
    "explain": "Explain a rule, with bad and good examples.",
    "rules": "List the rules.",
    "inspect": "Inspect a graph, checkpoint or model.",
    "predictions": "Look for collapsed classes in predictions.",
    "run": "Run a training script with the inspector attached.",
    "reproduce": "Train a broken program and its repaired twin, and compare.",
    "init": "Write settings to pyproject.toml, and a pre-commit hook.",
    "completion": "Print a shell's completion script.",
    "lsp": "Run the language server, for editors.",
}


class _Commands(click.Group):
    """Commands by name; anything else is a path to check."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_LAZY)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        target = _LAZY.get(name)
        if target is None:
            return None
        module, attribute = target.split(":")
        try:
            command: click.Command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            missing = error.name or ""
            if missing.startswith("bnlint"):
                raise
            raise click.UsageError(
                f"`bnlint {name}` needs {missing}: pip install 'bnlint[runtime]'"
            ) from error
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_HELP.items()))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The group's own options, the commands, and the options of `check`, the default."""
        super().format_options(ctx, formatter)
        check = self.get_command(ctx, "check")
        assert check is not None
        shown = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        records = [
            parameter.get_help_record(ctx)
            for parameter in check.get_params(ctx)
            if isinstance(parameter, click.Option) and not shown.intersection(parameter.opts)
        ]
        with formatter.section("Options of check, the default command"):
            formatter.write_dl([record for record in records if record is not None])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands, else what may follow `check`, which need not be written."""
        from click.shell_completion import CompletionItem

        commands = [
            CompletionItem(name, help=text)
            for name, text in _HELP.items()
            if name.startswith(incomplete)
        ]
        check = self.get_command(ctx, "check")
        assert check is not None
        if incomplete.startswith("-"):
            own = super().shell_complete(ctx, incomplete)
            return own + check.shell_complete(click.Context(check, ctx), incomplete)
        # Shells replace the list by files where one item asks for them.
        return commands or [CompletionItem(incomplete, type="file")]

    def invoke(self, ctx: click.Context) -> Any:
        """click itself would end with exit code 1 where nobody reads the output any more."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise NoReader from error

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = ("--help", "-h", "--version")
        start = 1 if args[:1] == ["--debug"] else 0
        if args[start:] and args[start] not in _LAZY and args[start] not in own:
            _refuse_misspelled(args[start])
            args = [*args[:start], "check", *args[start:]]
        return super().parse_args(ctx, args)


def _refuse_misspelled(word: str) -> None:
    """A word that is almost a command, and no path.

    Raises:
      click.UsageError: names the command.
    """
    if word.isalpha() and not os.path.lexists(word):
        from bnlint.lint.config import did_you_mean

        if hint := did_you_mean(word, _LAZY):
            raise click.UsageError(f"{word!r} is neither a command nor a file{hint}")


def _show_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        click.echo(f"bnlint, version {version()}")
        context.exit()


@click.group(
    cls=_Commands,
    subcommand_metavar="[PATHS]... | COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--version", is_flag=True, expose_value=False, is_eager=True,
              callback=_show_version, help="Show the version and exit.")  # fmt: skip
@debug_option
def cli() -> None:
    """Find batch-norm training/eval mistakes in TensorFlow code, graphs and predictions.

    `bnlint PATH...` is short for `bnlint check PATH...`.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Entry point.

    Exit codes: 0 clean, 1 findings, 2 usage, read or internal errors, 130 Ctrl-C, 141 nobody reads
    the output any more, 143 SIGTERM.
    """
    terminate_on_sigterm()
    prepare()
    given = list(args) if args is not None else None
    sys.exit(ended_well(lambda: cli.main(given, prog_name="bnlint", standalone_mode=False)))


if __name__ == "__main__":
    main()
