"""Baselines: findings that were there before bnlint came, in a file that people can review."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping

import msgspec

from bnlint.findings import Finding, line_at
from bnlint.lint.config import ConfigError
from bnlint.lint.save import save
from bnlint.sources.regular import read_regular

MAX_BYTES = 64 * 1024 * 1024  # some hundred thousand findings
VERSION = 2


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    """A known finding.

    Attributes:
      code: of its rule. path: of its file, from the baseline's folder, with slashes.
      text: its line, or its op, layer or variable, by which it is known when lines have moved.
      message: for the reader. count: how many such findings the file has.
    """

    code: str
    path: str
    text: str
    message: str
    count: int = 1


class Baseline(msgspec.Struct):
    """A file of known findings."""

    version: int
    findings: list[Entry]


def entries_of(path: str, findings: Iterable[Finding], texts: Mapping[str, str]) -> list[Entry]:
    """Findings as entries of the baseline `path`, sorted."""
    known: dict[tuple[str, str, str], Entry] = {}
    for finding in findings:
        entry = _entry(finding, texts, os.path.dirname(path) or ".")
        same = known.setdefault((entry.code, entry.path, entry.text), entry)
        if same is not entry:
            same.count += 1
    return sorted(known.values(), key=lambda entry: (entry.path, entry.code, entry.text))


def _entry(finding: Finding, texts: Mapping[str, str], root: str) -> Entry:
    place = finding.location
    relative = os.path.relpath(place.path, root).replace(os.sep, "/")
    text = (line_at(texts, place) or "").strip() or place.node
    return Entry(finding.code, relative, text, finding.message)


def write_baseline(path: str, entries: list[Entry]) -> None:
    """Writes a baseline.

    Raises:
      ConfigError: the file cannot be written.
    """
    record = msgspec.to_builtins(Baseline(VERSION, entries))
    save(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def read_baseline(path: str) -> list[Entry]:
    """The entries of a baseline.

    Raises:
      ConfigError: the file cannot be read or is not a baseline.
    """
    try:
        baseline = msgspec.json.decode(read_regular(path, MAX_BYTES), type=Baseline)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not a bnlint baseline ({error})") from error
    if baseline.version != VERSION:
        raise ConfigError(
            f"{path}: written by another version of bnlint; write it again (--write-baseline)"
        )
    return baseline.findings


def unknown(
    path: str, findings: Iterable[Finding], texts: Mapping[str, str]
) -> tuple[list[Finding], list[Entry]]:
    """(findings that the baseline `path` does not know, what is left of its entries).

    A finding is known by code, path and text; where its entry's file is gone, by code and text, so
    that a renamed file's findings stay known.

    Raises:
      ConfigError: the baseline cannot be read or is not one.
    """
    root = os.path.dirname(path) or "."
    left = read_baseline(path)
    by_place = {(entry.code, entry.path, entry.text): entry for entry in left}
    moved = {
        (entry.code, entry.text): entry
        for entry in left
        if not os.path.lexists(os.path.join(root, entry.path))
    }
    kept = []
    for finding in findings:
        asked = _entry(finding, texts, root)
        entry = by_place.get((asked.code, asked.path, asked.text))
        if entry is None or not entry.count:
            entry = moved.get((asked.code, asked.text))
        if entry is not None and entry.count:
            entry.count -= 1
        else:
            kept.append(finding)
    return kept, [entry for entry in left if entry.count]
