"""Settings: `[tool.bnlint]` in pyproject.toml, or bnlint.toml, overridden by options."""

from __future__ import annotations

import difflib
import functools
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from bnlint.findings import Confidence, FileError, Finding
from bnlint.registry import all_rules
from bnlint.sources.files import DEFAULT_EXCLUDES
from bnlint.sources.ignore_patterns import IgnorePatterns
from bnlint.sources.regular import read_regular

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


OWN_FILE = "bnlint.toml"
MAX_BYTES = 1024 * 1024  # of a settings file
MAX_ITEMS = 1000  # of a list of settings
_STRINGS = f"a list of at most {MAX_ITEMS} strings"
# What each setting is, in words.
SETTINGS = {
    "select": _STRINGS,
    "ignore": _STRINGS,
    "exclude": _STRINGS,
    "confidence": '"low", "medium" or "high"',
    "baseline": "a path",
    "keras": '"tf1", "2" or "3"',
    "per-file-ignores": f"a table of at most {MAX_ITEMS} lists of strings",
}
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
      file: where the settings come from; None if they are the defaults.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    per_file_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    confidence: Confidence = Confidence.MEDIUM
    baseline: str = ""
    keras: str = ""
    root: str = "."
    file: Path | None = field(default=None, compare=False)

    def but(self, **changes: Any) -> Config:
        """A copy with the given settings replaced; None and () leave the old value."""
        given = {key: value for key, value in changes.items() if value not in (None, ())}
        return replace(self, **given)

    def shown(self) -> dict[str, Any]:
        """The settings by their names in files."""
        return {
            "select": list(self.select) or ["ALL"],
            "ignore": list(self.ignore),
            "exclude": list(self.exclude),
            "confidence": self.confidence.value,
            "baseline": self.baseline,
            "keras": self.keras,
            "per-file-ignores": {key: list(codes) for key, codes in self.per_file_ignores.items()},
        }

    def of(self, path: str) -> Config:
        """These settings, whatever the file (see Settings.of)."""
        return self

    def reports(self, finding: Finding) -> bool:
        """The settings let this finding through."""
        if finding.confidence < self.confidence or not self.enabled(finding.code):
            return False
        return not any(
            matches(finding.code, codes)
            for pattern, codes in self.per_file_ignores.items()
            if self._path_matches(finding.location.path, pattern)
        )

    def excludes(self, path: str, *, defaults: bool = False) -> bool:
        """`exclude` (or with `defaults` the usual caches and environments) names this file, or a
        folder above it."""
        patterns = IgnorePatterns([*(DEFAULT_EXCLUDES if defaults else ()), *self.exclude])
        names = os.path.relpath(path, self.root).split(os.sep)
        if os.pardir in names:
            return False
        folders = any(patterns.match_entry(names[:end], True) for end in range(1, len(names)))
        return folders or patterns.match_entry(names, False)

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
        if rule.name == selector.lower():
            return rule.code
    return selector.upper()


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


@functools.cache
def covered(selector: str) -> frozenset[str]:
    """The codes that a code, prefix or name covers; none if it is none of these."""
    code = _code(selector)
    return frozenset(known for known in all_rules() if code == "ALL" or known.startswith(code))


def matches(code: str, selectors: Iterable[str]) -> bool:
    """Some selector covers `code`."""
    return specificity(code, selectors) > 0


def check_selectors(selectors: Iterable[str], where: str) -> tuple[str, ...]:
    """The selectors, or ConfigError for one that covers no rule."""
    result = tuple(selectors)
    for selector in result:
        if not selector or not covered(selector):
            names = [name for rule in all_rules().values() for name in (rule.code, rule.name)]
            hint = did_you_mean(selector, names) or " (see `bnlint rules`)"
            raise ConfigError(f"{where}: unknown rule {selector!r}{hint}")
    return result


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ ": did you mean 'ignore'?", or "" if nothing is like `word`."""
    original = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), original, n=8)
    # All codes are alike: those of the same group (BN1) come first.
    best = max(close, key=lambda name: name[:3] == word.lower()[:3], default="")
    return f": did you mean {original[best]!r}?" if best else ""


def find_config(start: str) -> Path | None:
    """The nearest bnlint.toml, or pyproject.toml with `[tool.bnlint]`, from `start` upward.

    Raises:
      ConfigError: a pyproject.toml on the way cannot be read.
    """
    folder = Path(os.path.abspath(start))
    found = (_config_in(candidate) for candidate in (folder, *folder.parents))
    return next((file for file in found if file is not None), None)


def _config_in(folder: Path) -> Path | None:
    own = folder / OWN_FILE
    if os.path.lexists(own):
        return own
    file = folder / "pyproject.toml"
    return file if os.path.lexists(file) and "bnlint" in _tools(file) else None


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
    config = Config(root=str(file.parent), file=file)
    for key, value in _settings_in(file).items():
        config = _with_setting(config, key, value, f"{file}: {_prefix(file)}{key}", file)
    return config


def _is_project(file: Path) -> bool:
    """The settings are a table among those of other tools, not the whole file."""
    return file.name == "pyproject.toml"


def _prefix(file: Path) -> str:
    return "tool.bnlint." if _is_project(file) else ""


def _settings_in(file: Path) -> dict[str, Any]:
    if not _is_project(file):
        return _read_toml(file)
    table = _tools(file).get("bnlint", {})
    if not isinstance(table, dict):
        raise ConfigError(f"{file}: [tool.bnlint] must be a table")
    return table


def _with_setting(config: Config, key: str, value: Any, where: str, file: Path) -> Config:
    if key == "cache-dir":
        raise ConfigError(f"{where}: a project cannot say where to write (--cache-dir can)")
    if key not in SETTINGS:
        hint = did_you_mean(key, SETTINGS) or f" (settings: {', '.join(SETTINGS)})"
        raise ConfigError(f"{where}: unknown setting{hint}")
    value = _of_kind(key, value, where)
    if key in ("select", "ignore"):
        check_selectors(value, where)
    elif key == "per-file-ignores":
        for codes in value.values():
            check_selectors(codes, where)
    elif key == "baseline":
        value = _inside(file.parent, value, where)
    return replace(config, **{key.replace("-", "_"): value})


def _of_kind(key: str, value: Any, where: str) -> Any:
    """The value of a setting as Config has it."""
    import msgspec

    try:
        return msgspec.convert(value, _kinds()[key])
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: must be {SETTINGS[key]} ({error})") from error


@functools.cache
def _kinds() -> dict[str, Any]:
    """What each setting is, as msgspec checks it."""
    from msgspec import Meta

    few = Meta(max_length=MAX_ITEMS)
    strings = Annotated[tuple[str, ...], few]
    return {
        "select": strings,
        "ignore": strings,
        "exclude": strings,
        "confidence": Confidence,
        "baseline": str,
        "keras": Literal["tf1", "2", "3"],
        "per-file-ignores": Annotated[dict[str, strings], few],
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


class Settings:
    """The settings of every file: those of the nearest file of settings above it.

    Args:
      override: the command line's part, on top of any settings.
      file: settings for all files, instead of the nearest.
      isolated: no file of settings counts.

    Attributes:
      errors: settings inside of linted folders that could not be used; those of the folder above
        count instead.
    """

    def __init__(
        self,
        override: Callable[[Config], Config] = lambda config: config,
        file: Path | None = None,
        isolated: bool = False,
    ) -> None:
        self._override = override
        self._for_all = override(load_config(file)) if file or isolated else None
        self._by_folder: dict[Path, Config] = {}
        self.errors: list[FileError] = []

    def of(self, path: str) -> Config:
        """The settings for a file or folder. They are read once."""
        if self._for_all is not None:
            return self._for_all
        folder = path if os.path.isdir(path) else os.path.dirname(path)
        return self._in(Path(os.path.abspath(folder)))

    def check(self, path: str) -> None:
        """Reads the settings for a file or folder that is named.

        Raises:
          ConfigError: they cannot be read or used.
        """
        self.of(path)
        if self.errors:
            raise ConfigError(f"{self.errors[0].path}: {self.errors[0].message}")

    def _in(self, folder: Path) -> Config:
        if folder not in self._by_folder:
            self._by_folder[folder] = self._read(folder)
        return self._by_folder[folder]

    def _read(self, folder: Path) -> Config:
        try:
            file = _config_in(folder)
            if file is not None:
                return self._override(load_config(file))
        except ConfigError as error:
            file_name, _, reason = str(error).partition(": ")
            self.errors.append(FileError(file_name, reason))
        if folder.parent == folder:
            return self._override(Config(root=os.getcwd()))
        return self._in(folder.parent)
