"""No file of a linted tree ends the run, hangs it, or takes findings of other files along."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bnlint.analyzer.analysis import analyze
from bnlint.sources.files import Source

PROGRAM = """\
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(x, training=True)
loss = tf.reduce_mean(h)
train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(train_op)
"""
BROKEN = "import tensorflow\nx = = 1\nbatch_normalization, minimize\n"
Run = Callable[..., Any]  # see conftest.py: in a process of its own, or (`lint`) in this one
posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX files")
HERE = "."


def report(run: Run, *arguments: object, code: int) -> dict[str, list[dict[str, str]]]:
    done = run("--format", "json", *arguments, HERE)
    got = done.returncode if isinstance(done, subprocess.CompletedProcess) else done.exit_code
    assert got == code, done.stderr
    loaded: dict[str, list[dict[str, str]]] = json.loads(done.stdout)
    assert [item["code"] for item in loaded["findings"]].count("BN101") == 1
    return loaded


# --- files that are no files -------------------------------------------------------------------


def make_special(path: Path, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))
    else:
        path.symlink_to(kind)


@posix
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("x.py", "pipe"),
        ("x.py", "/dev/zero"),
        ("x.ipynb", "socket"),
        ("nets.py", "/dev/stdin"),
        (".gitignore", "pipe"),
        (".gitignore", "/dev/zero"),
    ],
)
def test_what_is_no_regular_file_is_named_and_not_opened(
    name: str, kind: str, tmp_path: Path, train: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    train.write_text("import nets\n" + PROGRAM)
    monkeypatch.chdir(tmp_path)
    make_special(tmp_path / name, kind)
    (error,) = report(run, code=2)["errors"]
    assert name in error["path"]
    linked_settings = name == ".gitignore" and kind.startswith("/")
    assert ("symbolic link" if linked_settings else "not a regular file") in error["message"]


@posix
@pytest.mark.parametrize("kind", ["pipe", "/dev/zero"])
def test_an_imported_file_outside_of_what_is_linted_is_left_out(
    kind: str, tmp_path: Path, train: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    train.write_text("import nets\n" + PROGRAM)
    monkeypatch.chdir(tmp_path)
    make_special(tmp_path / "nets.py", kind)
    assert run("--format", "concise", train).returncode == 1


@posix
@pytest.mark.parametrize("kind", ["pipe", "/dev/zero"])
def test_settings_that_are_no_regular_file_are_refused(
    kind: str, tmp_path: Path, train: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_special(tmp_path / "pyproject.toml", kind)
    done = run(HERE)
    assert done.returncode == 2
    assert b"pyproject.toml: not a regular file" in done.stderr


# --- patterns and settings ---------------------------------------------------------------------


@pytest.mark.parametrize("line", ["!", "\\", "a\\", "[z-a]", "*a" * 60 + "b", "**/a/" * 40 + "b"])
def test_any_pattern_is_a_pattern(line: str, tmp_path: Path, train: Path, lint: Run) -> None:
    (tmp_path / ("a" * 120 + ".py")).write_text("import tensorflow\n")
    (tmp_path / ".gitignore").write_text(line + "\n")
    (tmp_path / "pyproject.toml").write_text(
        f"[tool.bnlint]\nexclude = [{json.dumps(line)}]\n"
        f'[tool.bnlint.per-file-ignores]\n{json.dumps(line)} = ["BN102"]\n'
    )
    assert not report(lint, "--exclude", line, code=1)["errors"]


def test_a_gitignore_of_too_many_patterns_is_named(tmp_path: Path, train: Path, lint: Run) -> None:
    (tmp_path / ".gitignore").write_text("*a*b\n" * 6000)
    (error,) = report(lint, code=2)["errors"]
    assert ".gitignore" in error["path"] and "more than" in error["message"]


SETTINGS = {
    "a number for a table": ("tool = 1\n", "tool must be a table"),
    "deep nesting": ("x=" + "[" * 100_000, "nested too deeply"),
    "deep tables": ("x=" + "{a=" * 100_000, "nested too deeply"),
    "not UTF-8": ("# \udcff\n", "codec can't decode"),
    "a device as baseline": ('[tool.bnlint]\nbaseline = "/dev/zero"\n', "leads out of the project"),
    "another folder": ('[tool.bnlint]\nbaseline = "../x.json"\n', "leads out of the project"),
    "a NUL character": ('[tool.bnlint]\nbaseline = "a\\u0000b"\n', "is not a path"),
    "where to write": ('[tool.bnlint]\ncache-dir = "x"\n', "cannot say where to write"),
    "control characters": ('[tool.bnlint]\n"\\u001b[2J" = 1\n', "\\x1b[2J: unknown setting"),
    "a long list": (f"[tool.bnlint]\nexclude = {['x'] * 1001}\n", "at most 1000 strings"),
    "too large": ("#" * (1024 * 1024 + 1), "larger than"),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_bad_settings_are_one_line_that_names_the_file(
    kind: str, tmp_path: Path, train: Path, lint: Run
) -> None:
    text, message = SETTINGS[kind]
    (tmp_path / "pyproject.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    done = lint(HERE)
    assert done.exit_code == 2 and not done.stdout
    (line,) = done.stderr.splitlines()
    assert "pyproject.toml" in line and message in line


@posix
def test_a_baseline_behind_a_link_out_of_the_tree_is_refused(
    tmp_path: Path, train: Path, lint: Run
) -> None:
    (tmp_path / "known.json").symlink_to("/dev/zero")
    (tmp_path / "pyproject.toml").write_text('[tool.bnlint]\nbaseline = "known.json"\n')
    done = lint(HERE)
    assert done.exit_code == 2 and "leads out of the project" in done.stderr


@pytest.mark.parametrize("text", ["[" * 100_000, "{}", "1", '{"findings": {"a": 1e999}}', "\0"])
def test_what_is_no_baseline_is_named(text: str, tmp_path: Path, train: Path, lint: Run) -> None:
    (tmp_path / "known.json").write_text(text)
    (tmp_path / "pyproject.toml").write_text('[tool.bnlint]\nbaseline = "known.json"\n')
    done = lint(HERE)
    assert done.exit_code == 2 and "known.json: not a bnlint baseline" in done.stderr


# --- texts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cookie", ["undefined", "punycode", "idna", "rot13", "base64", "mbcs"])
def test_encodings_that_are_none_for_sources_are_named(
    cookie: str, tmp_path: Path, train: Path, lint: Run
) -> None:
    (tmp_path / "x.py").write_text(f"# coding: {cookie}\n{PROGRAM}\u00e9\n", encoding="latin-1")
    found = report(lint, code=2)
    assert [error["path"] for error in found["errors"]] == [os.path.join(HERE, "x.py")]


def test_half_a_surrogate_pair_in_a_notebook_is_no_obstacle(
    tmp_path: Path, train: Path, lint: Run
) -> None:
    cells = [{"cell_type": "code", "source": PROGRAM + "# \ud800\n"}]
    (tmp_path / "x.ipynb").write_text(json.dumps({"cells": cells}))
    train.unlink()
    for _ in range(2):  # the second run reads the cache
        assert not report(lint, code=1)["errors"]


@posix
@pytest.mark.parametrize("content", [PROGRAM, BROKEN])
@pytest.mark.parametrize("options", [(), ("--no-cache",)])
def test_a_name_that_is_not_utf8_is_no_obstacle(
    content: str, options: tuple[str, ...], tmp_path: Path, train: Path, lint: Run
) -> None:
    if sys.platform == "darwin":
        pytest.skip("its file systems have no such names")
    name = os.path.join(os.fsencode(tmp_path), b"caf\xe9.py")
    with open(name, "w") as stream:
        stream.write(content)
    for format_ in ("text", "concise", "json", "sarif", "github", "gitlab", "junit"):
        done = lint(*options, "--format", format_, HERE)
        assert done.exit_code == (1 if content == PROGRAM else 2)
        assert "caf" in done.stdout or (format_ == "gitlab" and content == BROKEN)


# --- errors that nobody foresaw ----------------------------------------------------------------


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("odd"), KeyError("k")])
@pytest.mark.parametrize(
    "place",
    [
        "bnlint.analyzer.follow.load",
        "bnlint.analyzer.follow._follow",
        "bnlint.analyzer.project.prescan.scan",
        "bnlint.analyzer.syntax.parse.module_facts",
        "bnlint.analyzer.syntax.nodes.decode",
    ],
)
def test_an_error_in_one_file_leaves_the_others_findings(
    place: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    module, _, name = place.rpartition(".")
    real = getattr(importlib.import_module(module), name)

    def failing(*arguments: object) -> object:
        if "HOSTILE" in repr(arguments) or any(_is_hostile(item) for item in arguments):
            raise error
        return real(*arguments)

    monkeypatch.setattr(place, failing)
    hostile = PROGRAM + "HOSTILE = 1\n"
    result = analyze([Source("bad/x.py", "x", hostile), Source("good/y.py", "y", PROGRAM)])
    assert ("good/y.py", "BN101") in {(one.location.path, one.code) for one in result.findings}
    assert any(one.path == "bad/x.py" and one.fatal for one in result.errors)
    assert any(type(error).__name__ in one.message for one in result.errors)


def _is_hostile(item: object) -> bool:
    """Something of the hostile file: its facts, its module, its entry point."""
    module = getattr(item, "module", item)
    facts = getattr(module, "facts", None)
    return getattr(facts, "path", "") == "bad/x.py" or item == "bad/x.py"


FAILING = """\
import sys
from bnlint.cli import check, main
def fail(*arguments):
    raise {error}
check._settings = fail
main.main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("ValueError('what\\n\\x1b[2J')", "error: internal error: ValueError: what"),
        ("MemoryError()", "error: internal error: MemoryError"),
        ("OSError(5, 'Input/output error', 'x.py')", "error: x.py: Input/output error"),
        ("RecursionError()", "error: internal error: RecursionError"),
    ],
)
def test_an_unexpected_error_is_one_line_and_exit_code_2(
    error: str, line: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", FAILING.format(error=error), HERE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and not done.stdout
    (only,) = done.stderr.splitlines()
    assert only.startswith(line) and "\x1b" not in only


@pytest.mark.parametrize("place", ["before", "behind"])
def test_debug_shows_where_an_error_comes_from(place: str, tmp_path: Path) -> None:
    arguments = ["--debug", HERE] if place == "before" else [HERE, "--debug"]
    command = [sys.executable, "-c", FAILING.format(error="ValueError('what')"), *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1] == "error: internal error: ValueError: what"


@posix
def test_a_deleted_current_folder_is_one_line(tmp_path: Path, run: Run) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = f'cd "{gone}" && rmdir "{gone}" && exec "{sys.executable}" -m bnlint .'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1 and "current folder" in done.stderr
