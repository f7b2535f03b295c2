"""The programs that show each mistake: which there are, and by which names they are found."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from bnlint.registry import all_rules
from bnlint.rule import Rule

KINDS = ("broken", "fixed")

NOT_REPRODUCED = {
    "BN001": "a comment that suppresses nothing has no effect at run time",
    "BN501": "a symptom, not a cause: BN101 leaves the statistics at their initial values",
    "BN502": "a symptom, not a cause: training that diverges leaves NaN in the statistics",
    "BN503": "a symptom, not a cause: BN303 leaves the statistics far from the data",
    "BN601": "a symptom, not a cause: BN101 and most others collapse the predictions",
    "BN602": "a symptom, not a cause: BN101 and most others separate the two modes",
}
"""Rules without a program of their own, and why."""


class UnknownProgram(LookupError):
    """No program goes by this name; the message says why or which there are."""


@dataclass(frozen=True)
class Pair:
    """A broken program and its repaired twin, in files of their own.

    Attributes:
      code: of the rule that the broken program breaks.
      name: that rule's name, e.g. "missing-update-ops".
      broken, fixed: the scripts.
    """

    code: str
    name: str
    broken: Path
    fixed: Path

    def path(self, kind: str) -> Path:
        """The script of one of `KINDS`."""
        return self.broken if kind == "broken" else self.fixed

    def story(self, kind: str) -> str:
        """The script's docstring: what it does, and what comes of it."""
        return ast.get_docstring(ast.parse(self.path(kind).read_text(encoding="utf-8"))) or ""


def program_folder() -> Path:
    """Where the scripts are: `fixtures/programs`, installed as `bnlint.reproductions`."""
    return Path(str(files("bnlint.reproductions")))


def all_pairs() -> dict[str, Pair]:
    """Every pair by code, in code order."""
    rules = all_rules()
    found = {}
    for broken in sorted(program_folder().glob("bn[0-9]*_broken.py")):
        code = broken.name[:5].upper()
        fixed = broken.with_name(broken.name.replace("_broken.py", "_fixed.py"))
        found[code] = Pair(code, rules[code].name, broken, fixed)
    return found


def find_pair(name: str) -> Pair:
    """The pair of a rule, by its code ("BN101", "bn101") or name ("missing-update-ops").

    Raises:
      UnknownProgram: there is no such rule, or it has no program.
    """
    rule = _rule(name)
    if rule is None:
        raise UnknownProgram(f"no rule is called {name!r}: `bnlint reproduce --list` shows them")
    pair = all_pairs().get(rule.code)
    if pair is None:
        why = NOT_REPRODUCED.get(rule.code, "nobody wrote one")
        raise UnknownProgram(f"{rule.code} {rule.name} has no program: {why}")
    return pair


def _rule(name: str) -> Rule | None:
    wanted = name.strip().lower().replace("_", "-")
    for rule in all_rules().values():
        if wanted in (rule.code.lower(), rule.name):
            return rule
    return None
