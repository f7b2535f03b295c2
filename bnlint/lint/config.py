"""Settings: `[tool.bnlint]` in pyproject.toml, overridden by command-line options."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bnlint.findings import Confidence, Finding
from bnlint.registry import all_rules
from bnlint.sources.ignore_patterns import IgnorePatterns
from bnlint.sources.regular import read_regular

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


MAX_BYTES = 1024 * 1024  # of a settings file
MAX_ITEMS = 1000  # of a list of settings
_NESTING = 1000  # levels of calls: tables and lists nest a few deep


class ConfigError(Exception):
    """A setting that bnlint does not know or cannot use; the message names file and key."""


@dataclass(frozen=True)
class Config:
    """What to report and where to look.

    Attributes:
      select, ignore: rule codes, prefixes ("BN1") or names; an empty `select` means all.
      exclude: more patterns (gitignore syntax) to leave out.
      per_file_ignores: path pattern -> codes, prefixes or names.
      confidence: findings below it are not reported.
      baseline: path of a baseline file, or "".
      keras: the Keras that the code is for: "tf1" (TensorFlow 1), "2" (tf.keras until 2.15,
        tf-keras), "3"; "" to tell by the code.
      root: the folder that patterns are relative to.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    per_file_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    confidence: Confidence = Confidence.MEDIUM
    baseline: str = ""
    keras: str = ""
    root: str = "."

    def but(self, **changes: Any) -> Config:
        """A copy with the given settings replaced; None and () leave the old value."""
        given = {key: value for key, value in changes.items() if value not in (None, ())}
        return replace(self, **given)

    def reports(self, finding: Finding) -> bool:
        """The settings let this finding through."""
        if finding.confidence < self.confidence or not self.enabled(finding.code):
            return False
        return not any(
            matches(finding.code, codes)
            for pattern, codes in self.per_file_ignores.items()
            if self._path_matches(finding.location.path, pattern)
        )

    def enabled(self, code: str) -> bool:
        """`select` and `ignore` leave this rule on; the more specific of the two wins."""
        selected = specificity(code, self.select) if self.select else 1
        return selected > 0 and selected >= specificity(code, self.ignore)

    def _path_matches(self, path: str, pattern: str) -> bool:
        relative = os.path.relpath(path, self.root).replace(os.sep, "/")
        return IgnorePatterns([pattern]).match_file(relative)


def _code(selector: str) -> str:
    """A selector as a code or prefix; rule names become codes."""
    for rule in all_rules().values():
        if rule.name == selector:
            return rule.code
    return selector


def specificity(code: str, selectors: Iterable[str]) -> int:
    """Length of the longest selector that covers `code`, 0 if none does ("ALL" counts as 1)."""
    lengths = [0]
    for selector in selectors:
        prefix = _code(selector)
        if prefix == "ALL":
            lengths.append(1)
        elif code.startswith(prefix):
            lengths.append(len(prefix))
    return max(lengths)


def matches(code: str, selectors: Iterable[str]) -> bool:
    """Some selector covers `code`."""
    return specificity(code, selectors) > 0


def check_selectors(selectors: Iterable[str], where: str) -> tuple[str, ...]:
    """The selectors, or ConfigError for one that covers no rule."""
    result = tuple(selectors)
    for selector in result:
        known = selector == "ALL" or any(
            code.startswith(_code(selector)) for code in all_rules() if selector
        )
        if not known:
            raise ConfigError(f"{where}: unknown rule {selector!r} (see `bnlint rules`)")
    return result


def find_config(start: str) -> Path | None:
    """The nearest pyproject.toml with `[tool.bnlint]`, from `start` upward."""
    folder = Path(os.path.abspath(start))
    for candidate in (folder, *folder.parents):
        file = candidate / "pyproject.toml"
        if os.path.lexists(file) and "bnlint" in _tools(file):
            return file
    return None


def _tools(file: Path) -> dict[str, Any]:
    """The settings of every tool."""
    tools = _read_toml(file).get("tool", {})
    if not isinstance(tools, dict):
        raise ConfigError(f"{file}: tool must be a table")
    return tools


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return parse_toml(read_regular(str(file), MAX_BYTES).decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from error


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises:
      ValueError: it is not TOML, or nests deeper than any settings do.
    """
    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(_NESTING)  # the analyzer's own is too much for the C stack here
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    finally:
        sys.setrecursionlimit(limit)


def load_config(file: Path | None) -> Config:
    """The settings in `file`.

    Raises:
      ConfigError: unreadable TOML, an unknown key, a wrong type or an unknown rule.
    """
    if file is None:
        return Config(root=os.getcwd())
    table = _tools(file).get("bnlint", {})
    if not isinstance(table, dict):
        raise ConfigError(f"{file}: [tool.bnlint] must be a table")
    config = Config(root=str(file.parent))
    for key, value in table.items():
        config = _with_setting(config, key, value, f"{file}: tool.bnlint.{key}", file)
    return config


def _with_setting(config: Config, key: str, value: Any, where: str, file: Path) -> Config:
    if key in ("select", "ignore"):
        selectors = check_selectors(_strings(value, where), where)
        if key == "select":
            return replace(config, select=selectors)
        return replace(config, ignore=selectors)
    if key == "exclude":
        return replace(config, exclude=_strings(value, where))
    if key == "confidence":
        return replace(config, confidence=_confidence(value, where))
    if key == "baseline" and isinstance(value, str):
        return replace(config, baseline=_inside(file.parent, value, where))
    if key == "keras":
        return replace(config, keras=_keras(value, where))
    if key == "per-file-ignores" and isinstance(value, dict):
        return replace(config, per_file_ignores=_ignores_by_pattern(value, where))
    if key == "cache-dir":
        raise ConfigError(f"{where}: a project cannot say where to write (--cache-dir can)")
    known = "select, ignore, exclude, confidence, baseline, keras, per-file-ignores"
    raise ConfigError(f"{where}: unknown setting or wrong type (settings: {known})")


def _ignores_by_pattern(table: dict[str, Any], where: str) -> dict[str, tuple[str, ...]]:
    if len(table) > MAX_ITEMS:
        raise ConfigError(f"{where}: more than {MAX_ITEMS} patterns")
    return {
        pattern: check_selectors(_strings(codes, where), where) for pattern, codes in table.items()
    }


def _inside(root: Path, value: str, where: str) -> str:
    """A path that a project's settings name: below the project, links included."""
    path = root / value
    try:
        below = path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError) as error:  # links in a circle, a NUL character
        raise ConfigError(f"{where}: {value!r} is not a path: {error}") from error
    if not below:
        raise ConfigError(f"{where}: {value!r} leads out of the project")
    return str(path)


def _strings(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{where}: must be a list of strings")
    if len(value) > MAX_ITEMS:
        raise ConfigError(f"{where}: more than {MAX_ITEMS} items")
    return tuple(value)


def _keras(value: Any, where: str) -> str:
    if value not in ("tf1", "2", "3"):
        raise ConfigError(f'{where}: must be "tf1", "2" or "3"')
    return str(value)


def _confidence(value: Any, where: str) -> Confidence:
    try:
        return Confidence(value)
    except ValueError as error:
        raise ConfigError(f"{where}: must be low, medium or high") from error
