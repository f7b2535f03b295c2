"""Hostile and broken inputs: huge, deep, old, unreadable; and runs that are killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bnlint.analyzer.analysis import analyze
from bnlint.analyzer.syntax.nesting import MAX_BRACKETS
from bnlint.analyzer.syntax.recovery import TOO_DEEP
from bnlint.analyzer.tasks import parse
from bnlint.findings import FileError
from bnlint.sources.files import Source, discover, read_source

PROGRAM = """\
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(x, training=True)
loss = tf.reduce_mean(h)
train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(train_op)
"""
MANY = 10_000


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "(" * MANY + ")" * MANY,
        "x = " + "[" * MANY,
        "x = 1" + " + 1" * MANY,
        "x = (1" + "\n + 1" * MANY + ")",
        "x = 1" + " \\\n + 1" * MANY,
        "x = " + "not " * MANY + "1",
        "x = " + "-" * MANY + "1",
        "x = a" + ".b" * MANY,
        "x = a" + "[0]" * MANY,
        "x = a" + "()" * MANY,
        "x = 1" + " and 1" * MANY,
        "x = " + "1 if a else " * MANY + "1",
        "x = " + "lambda: " * MANY + "1",
        "if a: pass\n" + "elif a: pass\n" * MANY,
        "x = " + '"a" ' * MANY,
        "x = [a" + " for a in b" * MANY + "]",
        "x = " + "{1:" * MANY + "1" + "}" * MANY,
        "x = f'{" + "(" * MANY + ")" * MANY + "}'",
        """x = f'{a("}' '")}' + """ + "(" * MANY + ")" * MANY,
        "x = " + "(yield " * MANY + ")" * MANY,
        "x = f(" + "lambda x=(" * MANY,
        "import " + ".".join("a" * MANY),
        "match x:\n case " + "A(" * 20 + ")" * 20 + ": pass",
        "match x:\n case " + "[" * 40 + "]" * 40 + ": pass",
        "match x:\n case " + "{1:" * 20 + "1" + "}" * 20 + ": pass",
    ],
    ids=lambda text: text[:12],
)
def test_deep_expressions_are_refused_at_once(text: str) -> None:
    assert parse(text + "\n").error == TOO_DEEP


@pytest.mark.parametrize(
    "text",
    [
        "return (\n" * MANY,
        "x = f(" + "1 2, " * MANY,
        "".join(" " * i + "if a:\n" for i in range(300)),
        "x = " + "[" * 150 + "1 2" + "]" * 150,
        "(" + ")" * MANY,
    ],
    ids=lambda text: text[:12],
)
def test_deep_and_broken_expressions_are_syntax_errors(text: str) -> None:
    assert parse(text + "\n").error.startswith("syntax error: ")


def test_what_is_nested_too_deeply_hides_nothing_else() -> None:
    deep = f"{PROGRAM}deep = {'[' * MANY}{']' * MANY}\n"
    result = analyze([Source("deep.py", "deep", deep)])
    assert [finding.code for finding in result.findings] == ["BN101"]
    assert [error.line for error in result.errors] == [PROGRAM.count("\n") + 1]


@pytest.mark.parametrize(
    "text",
    [
        "x = 1" + " + 1" * 200,
        "x = " + "(" * (MAX_BRACKETS - 1) + "1" + ")" * (MAX_BRACKETS - 1),
        "x = [" + "1, " * MANY + "]",
        "x = '''" + "([{\n" * MANY + "'''",
        "x = {" + "'a': f(a.b, [1]),\n" * 500 + "}",
        "# " + "(" * MANY,
        "x = " + '"a" ' * 200,
        "x = [a" + " for a in b" * 200 + "]",
        "if a: pass\n" + "elif a: pass\n" * 200,
        "x = " + "a + " * 200 + "b",
    ],
    ids=lambda text: text[:12],
)
def test_long_but_flat_code_is_parsed(text: str) -> None:
    assert parse(text + "\n").error == ""
    assert analyze([Source("flat.py", "flat", f"{PROGRAM}{text}\n")]).errors == []


def test_python_2_is_converted_and_findings_stand_in_the_original() -> None:
    text = (
        "# -*- coding: utf-8 -*-\n"
        "import tensorflow as tf\n"
        "x = tf.placeholder(tf.float32, [None, 0777])\n"
        "h = tf.layers.batch_normalization(x, training=True)\n"
        "print 'made', h\n"
        "try:\n"
        "    loss = tf.reduce_mean(h)\n"
        "except ValueError, error:\n"
        "    raise RuntimeError, 'no'\n"
        "if 1 <> 2: train_op = tf.train.AdamOptimizer().minimize(loss); print 'x'\n"
        "exec 'pass'\n"
        "with tf.Session() as sess:\n"
        "    print >>f, sess.run(train_op)\n"
    )
    result = analyze([Source("old.py", "old", text)])
    (finding,) = result.findings
    line = text.splitlines()[9]
    assert (finding.code, finding.location.line) == ("BN101", 10)
    excerpt = line[finding.location.column - 1 : finding.location.end_column - 1]
    assert excerpt == "tf.train.AdamOptimizer().minimize(loss)"
    assert "Python 2" in finding.help and finding.fix is None
    (notice,) = result.errors
    assert "Python 2" in notice.message and "fissix" in notice.message and not notice.fatal


def test_what_is_no_python_at_all_is_a_fatal_error() -> None:
    result = analyze([Source("x.py", "x", "import tensorflow\nbatch_norm minimize\n")])
    (error,) = result.errors
    assert error.fatal and "syntax error" in error.message and error.line == 2


def test_huge_files_are_not_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge.py"
    with huge.open("wb") as stream:
        stream.truncate(100 * 1024 * 1024)
    error = read_source(str(huge))
    assert isinstance(error, FileError) and "larger than" in error.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_and_folders_are_named(tmp_path: Path) -> None:
    secret, folder = tmp_path / "secret.py", tmp_path / "folder"
    secret.write_text("x = 1\n")
    folder.mkdir()
    secret.chmod(0)
    folder.chmod(0)
    errors: list[FileError] = []
    paths = list(discover([str(tmp_path)], errors=errors))
    folder.chmod(0o700)
    assert [error.path for error in errors] == [str(folder)]
    assert isinstance(read_source(paths[0]), FileError)


def test_symbolic_links_in_circles_end(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.py").write_text("")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "self.py").symlink_to(tmp_path / "self.py")
    found = [os.path.relpath(path, tmp_path) for path in discover([str(tmp_path)])]
    assert sorted(found) == ["a/x.py", "self.py"]
    assert isinstance(read_source(str(tmp_path / "self.py")), FileError)


def test_linted_code_is_never_run_or_imported(tmp_path: Path) -> None:
    trap = "open({!r}, 'w').close()\n".format(str(tmp_path / "sprung"))
    for name in ("sitecustomize.py", "conftest.py", "setup.py", "train.py", "msgspec.py"):
        (tmp_path / name).write_text(trap + PROGRAM)
    script = str(Path(sys.executable).parent / "bnlint")
    run = subprocess.run([script, "."], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1 and "BN101" in run.stdout
    assert not (tmp_path / "sprung").exists()


def test_a_killed_fix_leaves_every_file_old_or_new(tmp_path: Path) -> None:
    files = [tmp_path / f"train{number}.py" for number in range(25)]
    command = [sys.executable, "-m", "bnlint.cli.main", "--fix", "--no-cache", str(tmp_path)]
    old = {file: (PROGRAM + f"# {file.name}\n").encode() for file in files}
    for file, data in old.items():
        file.write_bytes(data)
    subprocess.run(command, capture_output=True)
    new = {file: file.read_bytes() for file in files}
    assert all(new[file] != old[file] for file in files)
    mixed = 0
    for _ in range(4):
        for file, data in old.items():
            file.write_bytes(data)
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # The kill falls into the writing: it begins when the first file has changed.
        while run.poll() is None and files[0].read_bytes() == old[files[0]]:
            time.sleep(0.0005)
        time.sleep(0.001 * mixed)
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        state = [file.read_bytes() for file in files]
        assert all(data in (old[file], new[file]) for file, data in zip(files, state, strict=True))
        mixed += state != list(new.values())
    assert mixed, "every kill came too late: nothing was tested"
