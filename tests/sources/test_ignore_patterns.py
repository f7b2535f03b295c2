"""Patterns of `.gitignore` files mean what git says, and none takes long."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from bnlint.sources.ignore_patterns import MAX_PATTERNS, IgnorePatterns

NAMES = ["a.py", "b.py", "ab", "a b", "z", "!x", "#x", "a]", "-", "é.py", "a.b.py", "A.py", "1"]
SPECIAL = [
    "!", "\\", "a\\", "[z-a]", "[", "[]", "[!]", "a[", "[a", "**", "***", "/", "//", "!/", "\\!x",
    "\\#x", "#x", "a\\ ", "a b ", "/a.py", "a.py/", "**/a.py", "d/**", "d/**/a.py", "**/d/**",
    "[[:alpha:]]*", "[[:digit:]]", "[!a]*.py", "[^a]*.py", "[]a]]", "a[]]", "[a\\]]*", "*.py",
    "*a*b*", "d\\/a.py", "a\\\\/b", "\\/a.py",
    "?", "??", "d/*", "!a.py", "*", "[[:nothing:]]", "a//b", "/**", "**/", "d/", "!d/",
    "[a-]", "*[-z]",
]  # fmt: skip


def git_ignores(folder: Path, lines: list[str], paths: list[str]) -> set[str]:
    (folder / ".gitignore").write_text("\n".join(lines) + "\n", encoding="utf-8")
    run = subprocess.run(
        ["git", "-c", "core.excludesFile=", "check-ignore", "--stdin", "-z", "--no-index"],
        cwd=folder,
        input="\0".join(paths).encode(),
        capture_output=True,
    )
    assert run.returncode in (0, 1), run.stderr
    return {name for name in run.stdout.decode().split("\0") if name}


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_patterns_mean_what_git_says(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    folders = ["", "d/", "d/e/", "d/a/"]
    paths = [folder + name for folder in folders for name in NAMES]
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    random_ = random.Random(1)
    cases = [[line] for line in SPECIAL]
    cases += [random_.choices(SPECIAL, k=random_.randint(2, 4)) for _ in range(60)]
    pieces = ["*", "**", "?", "a", "b", ".py", "/", "d", "[a-c]", "[!b]", "\\a", "\\", "é", "!"]
    cases += [["".join(random_.choices(pieces, k=random_.randint(1, 6)))] for _ in range(150)]
    different = []
    for lines in cases:
        patterns = IgnorePatterns(lines)
        ours = {path for path in paths if patterns.match_file(path)}
        if ours != git_ignores(tmp_path, lines, paths):
            different.append(lines)
    assert not different


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("*a" * 2000 + "b", "a" * 250),
        ("**/a/" * 800 + "b", "a/" * 2000 + "c"),
        ("[" * 4096, "a"),
        ("*" * 4096 + "b", "a" * 250),
        ("[[:alpha:]" * 400, "a" * 250),
        ("?*" * 2000 + "b", "a" * 250),
    ],
)
def test_no_pattern_takes_long(line: str, path: str) -> None:
    # An expression that went back to each star would not end within the age of the universe.
    assert not IgnorePatterns([line]).match_file(path)


def test_a_file_of_too_many_patterns_is_refused() -> None:
    with pytest.raises(ValueError, match="more than"):
        IgnorePatterns(["x"] * (MAX_PATTERNS + 1))
