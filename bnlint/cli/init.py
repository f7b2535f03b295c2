"""`bnlint init`: settings in pyproject.toml and, if wanted, a pre-commit hook."""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path
from typing import Any

import click

from bnlint.lint.config import MAX_BYTES, parse_toml
from bnlint.sources.atomic_write import write_atomically
from bnlint.sources.regular import read_regular

SETTINGS = """\
[tool.bnlint]
# Codes ("BN101"), prefixes ("BN1") or names to leave out; `bnlint rules` lists them.
ignore = []
# Least confidence to report: "low", "medium" or "high".
confidence = "medium"
# More to leave out, in .gitignore's syntax.
exclude = []
"""
HOOKS_FILE = ".pre-commit-config.yaml"
HOOK = """\
  - repo: local
    hooks:
      - id: bnlint
        name: bnlint
        entry: bnlint --force-exclude
        language: system  # the bnlint that is installed here
        types_or: [python, jupyter]
        require_serial: true
"""


@click.command()
@click.argument("folder", default=".", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--pre-commit/--no-pre-commit",
    default=None,
    help="Also write a pre-commit hook (default: ask on a terminal).",
)
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
def init(folder: str, pre_commit: bool | None, dry_run: bool) -> None:
    """Write bnlint's settings to FOLDER's pyproject.toml. What is there already is kept."""
    try:
        changes = [_settings(Path(folder, "pyproject.toml"))]
        if pre_commit is None and not dry_run and sys.stdin.isatty():
            pre_commit = click.confirm(f"Add a pre-commit hook to {HOOKS_FILE}?")
        if pre_commit:
            changes.append(_hook(Path(folder, HOOKS_FILE)))
        for path, before, after in filter(None, changes):
            if dry_run:
                _show(path, before, after)
            else:
                write_atomically(str(path), after.encode())
                click.echo(f"{'Changed' if before else 'Wrote'} {path}")
    except OSError as error:
        raise click.FileError(str(error.filename), error.strerror or str(error)) from error


# A file, its text now ("" if it is not there) and its new text.
Change = tuple[Path, str, str]


def _settings(path: Path) -> Change | None:
    """The settings as a table at the file's end; nothing before it changes by a byte."""
    before = _read(path)
    old = _parse(path, before)
    tool = old.get("tool", {})
    if isinstance(tool, dict) and "bnlint" in tool:
        click.echo(f"{path} has [tool.bnlint] already: kept as it is.")
        return None
    newline = "\r\n" if "\r\n" in before else "\n"
    gap = "" if not before else newline if before.endswith("\n") else newline * 2
    after = before + gap + SETTINGS.replace("\n", newline)
    try:
        parse_toml(after)
    except ValueError as error:
        message = f"{path}: [tool.bnlint] cannot be added at its end ({error}); add by hand:"
        raise click.UsageError(f"{message}\n\n{SETTINGS}") from error
    return path, before, after


def _hook(path: Path) -> Change | None:
    before = _read(path)
    if not before.strip():
        return path, before, "repos:\n" + HOOK
    if "id: bnlint" in before:
        click.echo(f"{path} has a bnlint hook already: kept as it is.")
    else:
        click.echo(f"{path} is there already; add this to its `repos`:\n\n{HOOK}")
    return None


def _read(path: Path) -> str:
    """The file's text with its own line ends, "" if there is no such file."""
    if not os.path.lexists(path):
        return ""
    try:
        return read_regular(str(path), MAX_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{path}: not UTF-8: {error.reason}") from error


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return parse_toml(text)
    except ValueError as error:
        raise click.UsageError(f"{path}: not valid TOML: {error}") from error


def _show(path: Path, before: str, after: str) -> None:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True),
        after.splitlines(keepends=True),
        str(path) if before else os.devnull,
        str(path),
    )
    for line in lines:
        no_end = "" if line.endswith("\n") else "\n\\ No newline at end of file\n"
        click.echo(line + no_end, nl=False)
