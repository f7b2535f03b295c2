"""The registry: every rule, bnlint's own and those of installed plug-ins."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from dataclasses import dataclass

from bnlint.findings import FileError
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


def all_rules() -> dict[str, Rule]:
    """Every rule by code, in code order."""
    return rule_set().rules
