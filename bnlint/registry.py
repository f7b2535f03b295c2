"""The registry: every rule, bnlint's own and those of installed plug-ins."""

from __future__ import annotations

import functools
import importlib
import os
import pkgutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bnlint.findings import FileError

if TYPE_CHECKING:
    from bnlint.rule import Rule


@dataclass(frozen=True)
class RuleSet:
    """Every rule that could be loaded, and what was wrong with those that could not.

    Attributes:
      rules: code -> rule, in code order. files: code -> path of the rule's file.
      errors: one per broken third-party entry point; `path` names it and its distribution.
    """

    rules: dict[str, Rule]
    files: dict[str, str]
    errors: tuple[FileError, ...]


@functools.cache
def rule_set() -> RuleSet:
    """bnlint's own rules (any module of `bnlint.rules`) and those of installed plugins."""
    import bnlint.rules
    from bnlint.plugins import plugin_rules

    own: dict[str, Rule] = {}
    files: dict[str, str] = {}
    for info in pkgutil.iter_modules(bnlint.rules.__path__):
        if not info.name.startswith("_"):
            module = importlib.import_module(f"bnlint.rules.{info.name}")
            own[module.RULE.code] = module.RULE
            files[module.RULE.code] = str(module.__file__)
    others, errors = plugin_rules(own)
    files |= {code: file for code, (_, file) in others.items()}
    rules = own | {code: rule for code, (rule, _) in others.items()}
    return RuleSet(dict(sorted(rules.items())), files, tuple(errors))


def rule_files() -> list[str]:
    """Paths of the files of all rules; bnlint's own are not imported for that."""
    import bnlint.rules
    from bnlint.plugins import any_installed

    if any_installed():
        return list(rule_set().files.values())
    return [
        os.path.join(folder, name)
        for folder in bnlint.rules.__path__
        for name in os.listdir(folder)
        if name.endswith(".py")
    ]


def broken_plugins() -> tuple[FileError, ...]:
    """What was wrong with rules of other packages; no rule is imported if there are none."""
    from bnlint.plugins import any_installed

    return rule_set().errors if any_installed() else ()


def all_rules() -> dict[str, Rule]:
    """Every rule by code, in code order."""
    return rule_set().rules
