"""`[tool.bnlint]` in pyproject.toml: finding it, checking it, and what it says."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from bnlint.findings import Confidence

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_FILE_SIZE = 5 * 1024 * 1024
"""Bytes; larger files are not read. The largest hand-written module in CPython is 0.3 MiB."""


class ConfigError(Exception):
    """A configuration file that cannot be used; the message names the file and the key."""


@dataclass(frozen=True)
class Config:
    """The settings of one run.

    Attributes:
      root: folder that patterns and baseline paths are relative to.
      select, ignore: rule codes, code prefixes or rule names; an empty `select` is every rule.
      per_file_ignores: gitignore pattern -> codes not reported in files that match.
      exclude: gitignore patterns of files never looked at, besides the default ones.
      confidence: findings below it are hidden.
      respect_gitignore: leave out what `.gitignore` files leave out.
      max_file_size: in bytes; a larger file is reported as an error.
      baseline: file of known findings, or None.
    """

    root: Path = field(default_factory=Path.cwd)
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    per_file_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    confidence: Confidence = Confidence.MEDIUM
    respect_gitignore: bool = True
    max_file_size: int = MAX_FILE_SIZE
    baseline: Path | None = None


def load_config(start: Path, explicit: Path | None = None) -> Config:
    """The settings for a run over `start`.

    They are read from `explicit` if given, else from the nearest `pyproject.toml` with a
    `[tool.bnlint]` table in `start` or above it, else in the current folder or above it.

    Raises:
      ConfigError: the file cannot be read, is no TOML, or has a setting that is wrong.
    """
    if explicit is not None:
        return _read(explicit, _table(explicit) or {})
    for file in _candidates(start):
        table = _table(file)
        if table is not None:
            return _read(file, table)
    return Config()


def _candidates(start: Path) -> Iterable[Path]:
    """The pyproject.toml files upward from `start`, then upward from the current folder."""
    place = start.absolute()
    folders = [place, *place.parents] if place.is_dir() else list(place.parents)
    here = Path.cwd()
    for folder in dict.fromkeys([*folders, here, *here.parents]):
        file = folder / "pyproject.toml"
        if file.is_file():
            yield file


def _table(file: Path) -> Any:
    try:
        data = tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot read it: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from None
    tool = data.get("tool")
    return tool.get("bnlint") if isinstance(tool, dict) else None


def _read(file: Path, table: Any) -> Config:
    if not isinstance(table, dict):
        raise ConfigError(f"{file}: [tool.bnlint] must be a table")
    settings: dict[str, Any] = {"root": file.absolute().parent}
    for key, value in table.items():
        if key not in _READERS:
            known = ", ".join(sorted(_READERS))
            raise ConfigError(f"{file}: unknown setting `{key}` in [tool.bnlint]; known: {known}")
        try:
            settings[key.replace("-", "_")] = _READERS[key](value)
        except ValueError as error:
            raise ConfigError(f"{file}: `{key}` in [tool.bnlint] {error}") from None
    if "baseline" in settings:
        settings["baseline"] = settings["root"] / settings["baseline"]
    return Config(**settings)


def _strings(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("must be a list of strings")
    return tuple(value)


def _table_of_strings(value: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise ValueError('must be a table such as {"tests/*" = ["BN201"]}')
    return {pattern: _strings(codes) for pattern, codes in value.items()}


def _confidence(value: Any) -> Confidence:
    try:
        return Confidence(value)
    except ValueError:
        raise ValueError('must be "low", "medium" or "high"') from None


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _size(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError("must be a positive number of bytes")
    return value


def _path(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a file name")
    return value


_READERS: dict[str, Callable[[Any], Any]] = {
    "select": _strings,
    "ignore": _strings,
    "exclude": _strings,
    "per-file-ignores": _table_of_strings,
    "confidence": _confidence,
    "respect-gitignore": _bool,
    "max-file-size": _size,
    "baseline": _path,
}
assert {key.replace("-", "_") for key in _READERS} | {"root"} == {f.name for f in fields(Config)}
