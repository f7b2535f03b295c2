"""The files around those that are linted, which may import them.

A hook gets the files of a commit. A change in `nets.py` may break `train.py`, which is not among
them: what a named file does is judged with the programs of its project.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from bnlint.analyzer.interpreter.names import FRAMEWORKS
from bnlint.analyzer.project.prescan import mentions
from bnlint.lint.config import OWN_FILE, Settings
from bnlint.lint.run import collect
from bnlint.sources.files import SUFFIXES, Source

# What lies in the top folder of a project.
MARKS = (".git", ".hg", "pyproject.toml", "setup.py", "setup.cfg", OWN_FILE)


def around(sources: Sequence[Source], paths: Sequence[str], settings: Settings) -> list[Source]:
    """The other files of the projects of the files that `paths` names that may import them.

    A file without a framework in it is not asked for; neither are folders, which are linted whole.
    Files of the projects that cannot be read are left out: they are not what is linted.
    """
    known = {os.path.realpath(source.path) for source in sources}
    named = {path for path in paths if not os.path.isdir(path)}
    asked = [item for item in sources if item.path in named and mentions(item.text, FRAMEWORKS)]
    places = dict.fromkeys(path for source in asked for path in _beside(source.path))
    found, _ = collect(list(places), settings)
    others = [source for source in found if os.path.realpath(source.path) not in known]
    return _naming(others, {source.module.rpartition(".")[2] for source in asked})


def _naming(others: list[Source], names: set[str]) -> list[Source]:
    """Those that mention one of the modules, and those that mention these.

    This only saves looking at the rest: the analyzer knows what really imports what.
    """
    chosen: list[Source] = []
    while names:
        word = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(names)))})\b")
        near = [source for source in others if word.search(source.text)]
        others = [source for source in others if not word.search(source.text)]
        chosen += near
        names = {source.module.rpartition(".")[2] for source in near}
    return chosen


def _beside(path: str) -> list[str]:
    """The top folder of the file's project; the files of its own folder if it is in none."""
    folder = Path(os.path.abspath(path)).parent
    for candidate in (folder, *folder.parents):
        if any(os.path.lexists(candidate / mark) for mark in MARKS):
            return [os.path.relpath(candidate)]
    with os.scandir(os.path.relpath(folder)) as entries:
        return sorted(entry.path for entry in entries if entry.name.endswith(SUFFIXES))
