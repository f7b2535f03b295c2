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

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


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
      root: the folder that patterns are relative to.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    per_file_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    confidence: Confidence = Confidence.MEDIUM
    baseline: str = ""
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
        import pathspec

        relative = os.path.relpath(path, self.root)
        spec = pathspec.PathSpec.from_lines("gitignore", [pattern])
        return spec.match_file(relative)


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
        if file.is_file() and "bnlint" in _read_toml(file).get("tool", {}):
            return file
    return None


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from error


def load_config(file: Path | None) -> Config:
    """The settings in `file`.

    Raises:
      ConfigError: unreadable TOML, an unknown key, a wrong type or an unknown rule.
    """
    if file is None:
        return Config(root=os.getcwd())
    tool = _read_toml(file).get("tool", {})
    table = tool.get("bnlint", {}) if isinstance(tool, dict) else {}
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
        return replace(config, baseline=str(file.parent / value))
    if key == "per-file-ignores" and isinstance(value, dict):
        table = {
            pattern: check_selectors(_strings(codes, where), where)
            for pattern, codes in value.items()
        }
        return replace(config, per_file_ignores=table)
    known = "select, ignore, exclude, confidence, baseline, per-file-ignores"
    raise ConfigError(f"{where}: unknown setting or wrong type (settings: {known})")


def _strings(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{where}: must be a list of strings")
    return tuple(value)


def _confidence(value: Any, where: str) -> Confidence:
    try:
        return Confidence(value)
    except ValueError as error:
        raise ConfigError(f"{where}: must be low, medium or high") from error
