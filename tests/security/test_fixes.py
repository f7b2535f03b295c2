"""`--fix` writes over nothing that it did not read, and changes a file's text only."""

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bnlint.cli import fix as fix_module

PROGRAM = """\
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(x, training=True)
loss = tf.reduce_mean(h)
train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(train_op)
"""
Run = Callable[..., Any]
posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX files")


def meanwhile(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Does something between the linting and the writing."""
    real = fix_module.fix_sources

    def fixing(*arguments: Any, **options: Any) -> Any:
        result = real(*arguments, **options)
        action()
        return result

    monkeypatch.setattr(fix_module, "fix_sources", fixing)


def test_a_file_that_was_edited_meanwhile_is_left_alone(
    train: Path, lint: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = train.with_name("other.py")
    other.write_text(PROGRAM + "# other\n")
    meanwhile(monkeypatch, lambda: train.write_text(PROGRAM + "# MY EDIT\n"))
    done = lint("--fix", ".")
    assert done.exit_code == 2
    assert "train.py: not fixed: changed meanwhile" in done.stdout
    assert train.read_text() == PROGRAM + "# MY EDIT\n"
    assert "control_dependencies" in other.read_text()


def test_a_file_that_changes_at_the_last_moment_is_left_alone(
    train: Path, lint: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bnlint.sources import atomic_write

    real = atomic_write._keep_owner

    def editing(*arguments: Any) -> None:
        train.write_text("# MY EDIT\n")
        real(*arguments)

    monkeypatch.setattr(atomic_write, "_keep_owner", editing)
    assert "changed meanwhile" in lint("--fix", ".").stdout
    assert train.read_text() == "# MY EDIT\n" and os.listdir(train.parent) == ["train.py"]


def test_a_file_that_was_deleted_meanwhile_stays_deleted(
    train: Path, lint: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, train.unlink)
    done = lint("--fix", ".")
    assert done.exit_code == 2 and "not fixed: deleted meanwhile" in done.stdout
    assert not train.exists()


@posix
def test_mode_and_owner_are_kept(train: Path, lint: Run) -> None:
    train.chmod(0o754)
    if os.geteuid() == 0:
        os.chown(train, 12345, 54321)
    before = train.stat()
    lint("--fix", ".")
    after = train.stat()
    assert "control_dependencies" in train.read_text()
    assert stat.S_IMODE(after.st_mode) == 0o754
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)


@posix
@pytest.mark.parametrize("where", ["inside", "outside"])
def test_links_are_followed_inside_the_tree_only(
    where: str, tmp_path: Path, lint: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    for folder in (tree / "sub", outside):
        folder.mkdir(parents=True)
    target = (tree / "sub" if where == "inside" else outside) / "real.txt"
    target.write_text(PROGRAM)
    (tree / "train.py").symlink_to(target)
    monkeypatch.chdir(tree)
    done = lint("--fix", ".")
    assert (tree / "train.py").is_symlink()
    if where == "inside":
        assert done.exit_code == 0 and "control_dependencies" in target.read_text()
    else:
        assert done.exit_code == 2 and "a link leads out of the tree" in done.stdout
        assert target.read_text() == PROGRAM


@posix
def test_hard_links_are_not_broken(train: Path, lint: Run) -> None:
    os.link(train, train.with_name("second.txt"))
    done = lint("--fix", ".")
    assert done.exit_code == 2 and "2 names (hard links)" in done.stdout
    assert train.read_text() == PROGRAM and train.stat().st_nlink == 2


@pytest.mark.parametrize(
    ("encoding", "line"), [("utf-7", "s = '+AGE-'\n"), ("unicode_escape", "s = '\\\\u00e9'\n")]
)
def test_an_encoding_that_would_rewrite_other_lines_is_left_alone(
    encoding: str, line: str, train: Path, lint: Run
) -> None:
    text = f"# coding: {encoding}\n{line}" + PROGRAM
    train.write_text(text)
    done = lint("--fix", ".")
    assert train.read_text() == text
    assert done.exit_code in (1, 2) and "Fixed" not in done.stderr


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8-sig", "cp1252"])
def test_other_encodings_are_kept(encoding: str, train: Path, lint: Run) -> None:
    text = f"# coding: {encoding}\ns = '\u00e9'\n" + PROGRAM
    train.write_bytes(text.encode(encoding))
    assert lint("--fix", ".").exit_code == 0
    fixed = train.read_bytes()
    assert fixed.startswith(text[:30].encode(encoding)) and b"control_dependencies" in fixed
    assert fixed.decode(encoding).count("\u00e9") == 1


def test_what_a_killed_run_left_is_taken_away(train: Path, lint: Run) -> None:
    left, new, own = (
        train.with_name(name)
        for name in (".bnlint-abcdefgh.tmp", ".bnlint-ijklmnop.tmp", ".bnlint-notes.tmp")
    )
    for file in (left, new, own):
        file.write_text("")
    for file in (left, own):
        os.utime(file, (time.time() - 7200,) * 2)
    lint("--fix", ".")
    assert not left.exists() and new.exists() and own.exists()


# --- code from stdin ---------------------------------------------------------------------------


def fix_stdin(run: Run, text: bytes, *arguments: object) -> Any:
    return run("--fix", *arguments, "-", input=text)


def test_repaired_code_from_stdin_goes_to_stdout_and_nothing_is_written(
    train: Path, run: Run
) -> None:
    train.write_text("# precious\n")
    before = sorted(os.listdir(train.parent))
    done = fix_stdin(run, PROGRAM.encode(), "--stdin-filename", "train.py")
    assert done.returncode == 0
    assert b"control_dependencies" in done.stdout and done.stdout.startswith(b"import tensorflow")
    assert b"No findings" in done.stderr
    assert train.read_text() == "# precious\n" and sorted(os.listdir(train.parent)) == before


@pytest.mark.parametrize("text", [b"x = 1\r\n", b"x = = tensorflow\n", b"\xff\xfe\0", b""])
def test_code_from_stdin_that_is_not_repaired_comes_back_as_it_was(text: bytes, run: Run) -> None:
    assert fix_stdin(run, text).stdout == text


# --- reports and settings ----------------------------------------------------------------------


@posix
@pytest.mark.parametrize("where", ["inside", "outside", "nowhere"])
def test_reports_are_not_written_through_links_out_of_their_folder(
    where: str, tmp_path: Path, lint: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tree").mkdir()
    monkeypatch.chdir(tmp_path / "tree")
    target = tmp_path / ("tree" if where == "inside" else ".") / "target"
    if where != "nowhere":
        target.write_text("precious\n")
    Path("report.json").symlink_to(target)
    Path("train.py").write_text(PROGRAM)
    done = lint("--format", "json", "--output-file", "report.json", ".")
    if where == "inside":
        assert done.exit_code == 1 and "BN101" in target.read_text()
        return
    assert done.exit_code == 2 and "a link leads out of its folder" in done.stderr
    assert not target.exists() if where == "nowhere" else target.read_text() == "precious\n"


@posix
def test_init_adds_settings_to_no_file_elsewhere(
    tmp_path: Path, lint: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "victim").write_text("# precious\n")
    (tmp_path / "tree" / "pyproject.toml").symlink_to(tmp_path / "victim")
    assert lint("init", "--no-pre-commit", "tree").exit_code != 0
    assert (tmp_path / "victim").read_text() == "# precious\n"


def test_init_says_so_where_settings_nest_too_deeply(tmp_path: Path, lint: Run) -> None:
    (tmp_path / "pyproject.toml").write_text("x=" + "[" * 100_000)
    done = lint("init", "--no-pre-commit", ".")
    assert done.exit_code == 2 and "nested too deeply" in done.stderr


@posix
def test_an_output_that_is_a_device_is_written_to(train: Path, run: Run) -> None:
    done = run("--output-file", "/dev/stdout", ".")
    assert done.returncode == 1 and b"BN101" in done.stdout
