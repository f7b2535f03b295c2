"""Recall and precision on public repositories that were labeled by reading, before bnlint ran.

    python benchmarks/labelled.py --checkouts DIR benchmarks/labels/*.jsonl

DIR holds a git clone of each labeled repository, named `owner+name` (or `owner+name/repo` for a
bare one); the labeled commit is unpacked from it, and nothing of it is executed. A label is one
JSON object a line:

    repo, commit, path, split, source, complete (every file was read: other findings are false),
    mistakes: [{file, line, codes (accepted ones), why, optional (deliberate: counts neither way)}],
    judged: [{file, line, code, true, why}] (findings judged afterwards)

A finding and a mistake meet if the file and an accepted code agree and their lines are at most 40
apart (line 0: anywhere in the file). One finding serves one mistake; further ones near a labeled
mistake count neither way. Findings of every confidence are read; the table says what each level
is worth, and the default (medium and above) is summed up.
"""

from __future__ import annotations

import argparse
import collections
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REACH = 40  # lines
LEVELS = ("high", "medium", "low")
SUFFIXES = (".py", ".ipynb", ".toml", ".cfg", ".ini")


@dataclass
class Tally:
    """Counts of one run: by confidence level true and false, and the misses by first code."""

    true: collections.Counter[str] = field(default_factory=collections.Counter)
    false: collections.Counter[str] = field(default_factory=collections.Counter)
    missed: collections.Counter[str] = field(default_factory=collections.Counter)
    unjudged: int = 0


@dataclass
class Found:
    """A finding, and whether a label has claimed it."""

    file: str
    line: int
    code: str
    level: str
    used: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("labels", nargs="+", type=Path)
    parser.add_argument("--checkouts", type=Path, required=True)
    options = parser.parse_args()
    for path in options.labels:
        tally = Tally()
        for text in path.read_text(encoding="utf-8").splitlines():
            score(json.loads(text), options.checkouts, tally)
        report(path.stem, tally)


def score(label: dict[str, Any], checkouts: Path, tally: Tally) -> None:
    """Lints one labeled repository and adds what came of it."""
    found = lint(label, checkouts)
    if found is None:
        print(f"not scored: {label['repo']}", file=sys.stderr)
        return
    for mistake in label["mistakes"]:
        _claim(mistake, found, label["repo"], tally)
    for item in found:
        if not item.used:
            _judge(item, label, tally)


def _claim(mistake: dict[str, Any], found: list[Found], repo: str, tally: Tally) -> None:
    near = [item for item in found if not item.used and meets(item, mistake, mistake["codes"])]
    if mistake.get("optional"):
        for item in near:
            item.used = True
        return
    visible = [item for item in near if item.level != "low"]
    if near:
        best = min(visible or near, key=lambda item: abs(item.line - mistake["line"]))
        best.used = True
        tally.true[best.level] += 1
    if not visible:
        tally.missed[mistake["codes"][0]] += 1
        print(f"missed: {repo} {mistake['file']}:{mistake['line']} {mistake['codes'][0]}")


def _judge(item: Found, label: dict[str, Any], tally: Tally) -> None:
    for judged in label["judged"]:
        if meets(item, judged, [judged["code"]]):
            (tally.true if judged["true"] else tally.false)[item.level] += 1
            return
    same_file = [mistake for mistake in label["mistakes"] if mistake["file"] == item.file]
    if any(item.code in mistake["codes"] or mistake.get("optional") for mistake in same_file):
        return  # another sign of a labeled mistake
    if label["complete"]:
        tally.false[item.level] += 1
        print(f"false: {label['repo']} {item.file}:{item.line} {item.code} ({item.level})")
    else:
        tally.unjudged += 1


def meets(item: Found, place: dict[str, Any], codes: list[str]) -> bool:
    """The finding says what the label says, near enough."""
    if item.file != place["file"] or item.code not in codes:
        return False
    return not place["line"] or abs(item.line - place["line"]) <= REACH


def lint(label: dict[str, Any], checkouts: Path) -> list[Found] | None:
    """The findings in the labeled commit; None where there is no clone of it."""
    clone = checkouts / label["repo"].replace("/", "+")
    clone = clone / "repo" if (clone / "repo").exists() else clone
    with tempfile.TemporaryDirectory() as folder:
        if not clone.exists() or not _unpack(clone, label["commit"], folder):
            return None
        command = [sys.executable, "-m", "bnlint", "--format", "json", "--no-cache"]
        run = subprocess.run(
            [*command, "--confidence", "low", label["path"]], cwd=folder, capture_output=True
        )
        return list(_findings(run.stdout))


def _unpack(clone: Path, commit: str, folder: str) -> bool:
    """Writes the commit's files that bnlint reads; no links, and none that the clone lacks."""
    git = ["git", "-C", str(clone)]
    tree = subprocess.run([*git, "ls-tree", "-rz", commit], capture_output=True, text=True)
    if tree.returncode:
        return False
    entries = [line.split("\t", 1) for line in tree.stdout.split("\0") if line]
    for head, name in entries:
        mode, _, blob = head.split()
        if mode.startswith("100") and name.endswith(SUFFIXES):
            read = subprocess.run([*git, "cat-file", "blob", blob], capture_output=True)
            if read.returncode == 0:
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(read.stdout)
    return True


def _findings(output: bytes) -> Iterator[Found]:
    for item in json.loads(output)["findings"]:
        place = item["location"]
        path = place["path"].removeprefix("./")
        yield Found(path, place["line"], item["code"], item["confidence"])


def report(name: str, tally: Tally) -> None:
    print(f"\n{name}")
    print("| confidence | true | false | share true |")
    print("|---|---|---|---|")
    for level in LEVELS:
        print(_row(level, tally.true[level], tally.false[level]))
    true = tally.true["high"] + tally.true["medium"]
    print(_row("default", true, tally.false["high"] + tally.false["medium"]))
    missed = tally.missed.total()
    print(f"recall at the default confidence: {true / max(true + missed, 1):.2f} ({missed} missed)")
    print("missed:", dict(tally.missed), "unjudged:", tally.unjudged)


def _row(level: str, true: int, false: int) -> str:
    share = f"{true / (true + false):.2f}" if true + false else "-"
    return f"| {level} | {true} | {false} | {share} |"


if __name__ == "__main__":
    main()
