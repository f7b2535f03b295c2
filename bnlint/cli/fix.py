"""`bnlint --fix` and `--diff`: repairs, written to the files or shown."""

from __future__ import annotations

import difflib
import os
import stat
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import click

from bnlint.analyzer.cache import Cache
from bnlint.findings import FileError, internal_error, lines_of
from bnlint.lint.config import Config, Settings
from bnlint.lint.fixes import fix_sources
from bnlint.lint.ignore_comments import ignored_text
from bnlint.lint.run import LintRun, Stdin, lint
from bnlint.reporting.counts import count
from bnlint.reporting.escapes import printable, printable_line
from bnlint.sources.atomic_write import rewrite
from bnlint.sources.files import MAX_BYTES, Source, source_from_bytes
from bnlint.sources.regular import Refused, read_regular


@dataclass(frozen=True)
class Tree:
    """What is repaired.

    Attributes:
      config: its settings. roots: folders that no link may lead out of. cache: for linting again.
      stdin: code whose repaired text goes to stdout, and not into any file.
    """

    config: Config | Settings
    roots: list[str]
    cache: Cache
    stdin: Stdin | None


def fix(run: LintRun, tree: Tree, options: dict[str, Any]) -> LintRun:
    """Repairs (or shows the repairs) and reports what is left.

    Args:
      run: what was found. options: the command's options.
    """
    unsafe = options["unsafe_fixes"]
    changed, notes = fix_sources(run, tree.config, unsafe=unsafe, cache=tree.cache)
    for note in notes:
        click.echo(printable(note), err=True)
    if options["diff"]:
        _show_diff(run, changed)
        return run
    failed = _write_all(run, changed, tree)
    if changed:
        click.echo(f"Fixed {count(len(changed), 'file')}.", err=True)
    sources = [
        replace(item, text=changed.get(path, item.text)) for path, item in run.sources.items()
    ]
    left = lint(sources, tree.config, cache=tree.cache) if changed else run
    left.report.errors = list(dict.fromkeys([*left.report.errors, *run.report.errors, *failed]))
    return left


def add_ignores(run: LintRun, roots: list[str]) -> list[FileError]:
    """Silences every finding in the linted files by a comment on its line; what failed."""
    changed: dict[str, str] = {}
    failed = []
    places = [(finding.location, finding.code) for finding in run.report.findings]
    for place, code in sorted(places, reverse=True):
        source = run.sources.get(place.path)
        if source is None or place.cell:
            where = "a notebook" if place.cell else "not among the linted files"
            failed.append(FileError(place.path, f"{code} is not silenced: {where}"))
            continue
        text = ignored_text(changed.get(place.path, source.text), place.line, code)
        if text is not None:
            changed[place.path] = text
    failed += _write_all(run, changed, Tree(Config(), roots, Cache(), None))
    click.echo(f"Silenced findings in {count(len(changed), 'file')}.", err=True)
    return failed


def _write_all(run: LintRun, changed: dict[str, str], tree: Tree) -> list[FileError]:
    """Writes the new texts; those that cannot be written are taken out of `changed`."""
    failed: list[FileError] = []
    for path, text in list(changed.items()):
        if tree.stdin is not None and path == tree.stdin.name:
            continue
        try:
            old, new = _encoded(run.sources[path], text, read_regular(path, MAX_BYTES))
            rewrite(path, old, new, tree.roots)
            continue
        except FileNotFoundError:
            failed.append(FileError(path, "not fixed: deleted meanwhile"))
        except Refused as error:
            failed.append(FileError(path, error.reason))
        except OSError as error:
            failed.append(FileError(path, f"cannot be written: {error.strerror}"))
        except Exception as error:
            failed.append(internal_error(path, error))
        del changed[path]
    if tree.stdin is not None:
        failed += _print_fixed(run, changed, tree.stdin)
    return failed


def _print_fixed(run: LintRun, changed: dict[str, str], stdin: Stdin) -> list[FileError]:
    """Code from stdin goes to stdout, repaired or as it was."""
    failed: list[FileError] = []
    path, data = stdin.name, stdin.data
    if path in changed:
        try:
            _, data = _encoded(run.sources[path], changed[path], data)
        except Refused as error:
            failed.append(FileError(path, error.reason))
            del changed[path]
    sys.stdout.buffer.write(data)
    return failed


def _encoded(source: Source, text: str, data: bytes) -> tuple[bytes, bytes]:
    """The file's bytes before and after.

    Raises:
      Refused: `data` is not what was linted, or its encoding writes other lines differently, too.
    """
    read = source_from_bytes(data, source.path)
    if isinstance(read, FileError) or read.text != source.text:
        raise Refused(source.path, "not fixed: changed meanwhile")
    try:
        same = source.text.encode(source.encoding) == data
        new = text.encode(source.encoding)
        same = same and new.decode(source.encoding) == text
    except UnicodeError:
        same = False
    if not same:
        raise Refused(
            source.path, f"not fixed: {source.encoding} text is not written back as it was"
        )
    return data, new


def _show_diff(run: LintRun, changed: dict[str, str]) -> None:
    for path, text in changed.items():
        before = lines_of(run.sources[path].text)
        name = printable(path)
        lines: Iterable[str] = difflib.unified_diff(before, lines_of(text), name, name)
        if _is_shown():
            lines = (printable_line(line.rstrip("\r\n")) + "\n" for line in lines)
        click.echo("".join(lines), nl=False)


def _is_shown() -> bool:
    """The output goes to a terminal or a CI log, and not into a file or to `patch`."""
    if sys.stdout.isatty():
        return True
    in_log = any(os.environ.get(name) for name in ("GITHUB_ACTIONS", "TF_BUILD"))
    try:
        return in_log and not stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError):
        return in_log
