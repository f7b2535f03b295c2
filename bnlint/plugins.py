"""Third-party rules: distributions offer them through the entry point group `bnlint.rules`.

An entry point names a `Rule`, a module with a `RULE` or `RULES`, or a list of rules.
Their codes have a prefix of their own: `BN` is bnlint's.
"""

from __future__ import annotations

import contextlib
import os
import sys
import types
from collections.abc import Container, Iterator
from typing import TYPE_CHECKING

from bnlint.findings import FileError

if TYPE_CHECKING:
    from importlib import metadata

    from bnlint.rule import Rule

GROUP = "bnlint.rules"


class PluginError(Exception):
    """An entry point does not give a usable rule."""


def any_installed() -> bool:
    """Some distribution may offer rules; importlib.metadata, which knows for sure, is not loaded.

    Installed distributions have a folder of metadata beside their modules, with the entry points
    in a file of it. Where modules come from something else than folders, there may be plugins.
    """
    for place in dict.fromkeys(sys.path):
        folder = place or os.curdir
        if not os.path.isdir(folder):
            if os.path.exists(folder):  # a zip file
                return True
            continue
        if any(_offers_rules(path) for path in _metadata(folder)):
            return True
    return False


def _metadata(folder: str) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if name.endswith((".dist-info", ".egg-info")):
                yield os.path.join(folder, name)
            elif name.endswith(".egg"):
                yield os.path.join(folder, name, "EGG-INFO")


def _offers_rules(path: str) -> bool:
    try:
        with open(os.path.join(path, "entry_points.txt"), "rb") as stream:
            return GROUP.encode() in stream.read()
    except FileNotFoundError:
        return False
    except OSError:
        return True


def plugin_rules(taken: Container[str]) -> tuple[dict[str, tuple[Rule, str]], list[FileError]]:
    """Rules of every installed plugin.

    A plugin that cannot be loaded, for whatever reason, gives an error and no rules; the other
    plugins are not touched by it.

    Args:
      taken: codes that are in use.

    Returns:
      code -> (rule, its file), and the errors.
    """
    found: dict[str, tuple[Rule, str]] = {}
    errors: list[FileError] = []
    if not any_installed():
        return found, errors
    from importlib import metadata

    for point in sorted(metadata.entry_points(group=GROUP)):
        try:
            fresh: dict[str, tuple[Rule, str]] = {}
            for rule in _rules(point.load()):
                _check(rule, taken, found | fresh)
                fresh[rule.code] = (rule, _file(rule, point))
        except Exception as error:  # importing other people's code may raise anything
            reason = str(error) if isinstance(error, PluginError) else repr(error)
            errors.append(FileError(_title(point), f"broken rule plugin: {reason}"))
        else:
            found |= fresh
    return found, errors


def _title(point: metadata.EntryPoint) -> str:
    owner = point.dist.name if point.dist is not None else "unknown distribution"
    return f"{owner}[{point.name} = {point.value}]"


def _rules(loaded: object) -> list[Rule]:
    """The rules that an entry point's object stands for."""
    from bnlint.rule import Rule

    if isinstance(loaded, types.ModuleType):
        module = loaded
        loaded = getattr(module, "RULES", None) or getattr(module, "RULE", None)
        if loaded is None:
            raise PluginError(f"module {module.__name__} has no RULE or RULES")
    rules: list[Rule] = []
    for rule in loaded if isinstance(loaded, (list, tuple)) else [loaded]:
        if not isinstance(rule, Rule):
            raise PluginError(f"{rule!r} is not a bnlint.rule.Rule")
        rules.append(rule)
    return rules


def _check(rule: Rule, taken: Container[str], found: Container[str]) -> None:
    from bnlint.rule import CODE, NAME

    if not CODE.fullmatch(rule.code):
        raise PluginError(f"code {rule.code!r} is not of the form ABC123")
    if not NAME.fullmatch(rule.name):
        raise PluginError(f"{rule.code}: name {rule.name!r} is not of the form words-with-dashes")
    if rule.code in taken or rule.code in found:
        raise PluginError(f"code {rule.code} is taken by another rule")
    if rule.code.startswith("BN"):
        raise PluginError(f"code {rule.code}: the prefix BN is bnlint's own")


def _file(rule: Rule, point: metadata.EntryPoint) -> str:
    """Where the rule is written: its check's file, or the file of the entry point's module."""
    import inspect

    if rule.checker is not None:
        return inspect.getsourcefile(rule.checker) or ""
    return getattr(sys.modules.get(point.module), "__file__", None) or ""
