"""The cache is private: nothing that came with a checkout, or was made elsewhere, is believed."""

import os
import shutil
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from bnlint.analyzer import cache as cache_module
from bnlint.analyzer.analysis import analyze
from bnlint.analyzer.cache import Cache, user_folder
from bnlint.sources.files import Source

PROGRAM = """\
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(x, training=True)
train_op = tf.train.AdamOptimizer().minimize(tf.reduce_mean(h))
with tf.Session() as sess:
    sess.run(train_op)
"""
posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX owners and links")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's cache folder that nobody has used yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "bnlint"


def bnlint(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bnlint", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def database_of(folder: Path) -> Path:
    (file,) = folder.glob("*.sqlite3")
    return file


def add_hot_journal(database: Path, victim: Path) -> None:
    """A roll-back journal that names a super-journal, which SQLite would delete."""
    with sqlite3.connect(database) as connection:
        connection.execute(cache_module._TABLE)
    connection.close()
    page = database.read_bytes()[:4096]
    magic, nonce = bytes.fromhex("d9d505f920a163d7"), 7
    checksum = (nonce + sum(page[at] for at in range(len(page) - 200, 0, -200))) & 0xFFFFFFFF
    head = magic + struct.pack(">IIIII", 1, nonce, database.stat().st_size // 4096, 512, 4096)
    record = struct.pack(">I", 1) + page + struct.pack(">I", checksum)
    name = os.fsencode(victim)
    tail = struct.pack(">I", 0x40000000 // 4096 + 1) + name
    tail += struct.pack(">II", len(name), sum(name) & 0xFFFFFFFF) + magic
    Path(f"{database}-journal").write_bytes(head.ljust(512, b"\0") + record + tail)


def test_the_attack_itself_works_where_nothing_prevents_it(tmp_path: Path) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("text")
    add_hot_journal(tmp_path / "x.sqlite3", victim)
    with sqlite3.connect(tmp_path / "x.sqlite3") as connection:
        connection.execute("SELECT * FROM entries").fetchall()
    assert not victim.exists()


@pytest.mark.parametrize("place", ["tree", "cache folder"])
def test_a_journal_that_names_a_victim_deletes_nothing(
    place: str, tmp_path: Path, home: Path
) -> None:
    victim, tree = tmp_path / "victim.txt", tmp_path / "tree"
    victim.write_text("text")
    (tree / ".bnlint_cache").mkdir(parents=True)
    (tree / "train.py").write_text(PROGRAM)
    (tree / "pyproject.toml").write_text("[tool.bnlint]\n")
    if place == "tree":
        add_hot_journal(tree / ".bnlint_cache" / "results.sqlite3", victim)
    else:
        bnlint(tree, ".")
        database = database_of(home)
        for file in home.glob("*.sqlite3*"):
            file.unlink()
        add_hot_journal(database, victim)
    assert "BN101" in bnlint(tree, ".").stdout
    assert victim.read_text() == "text"


@pytest.mark.parametrize("kind", ["file", "link", "pipe", "folder"])
@posix
def test_nothing_in_the_tree_is_opened_or_written(kind: str, tmp_path: Path, home: Path) -> None:
    other = tmp_path / "other"
    other.write_text("text")
    (tmp_path / "tree").mkdir()
    place = tmp_path / "tree" / ".bnlint_cache"
    if kind == "link":
        place.symlink_to(other)
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place.write_text("text")
    (tmp_path / "tree" / "train.py").write_text(PROGRAM)
    for _ in range(2):
        assert "BN101" in bnlint(tmp_path / "tree", ".").stdout
    assert sorted(os.listdir(tmp_path / "tree")) == [".bnlint_cache", "train.py"]
    assert other.read_text() == "text" and (kind != "folder" or not os.listdir(place))
    assert database_of(home).exists()


@posix
def test_folder_secret_and_databases_are_their_owners_only(home: Path, tmp_path: Path) -> None:
    for project in ("a", "b"):
        Cache(user_folder(), str(tmp_path / project)).close()
    assert home.stat().st_mode & 0o777 == 0o700
    files = [*home.glob("*.sqlite3*"), home / "secret"]
    assert len(files) >= 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def findings(folder: Path) -> int:
    cache = Cache(str(folder), "project")
    try:
        return len(analyze([Source("train.py", "train", PROGRAM)], cache=cache).findings)
    finally:
        cache.close()


def test_an_entry_from_elsewhere_hides_no_finding(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bnlint.analyzer import tasks

    with monkeypatch.context() as patched:
        patched.setattr(tasks, "check", lambda members, **options: tasks.Checked([], []))
        assert findings(tmp_path / "poison") == 0
    assert findings(tmp_path / "poison") == 0  # the same installation believes itself
    (home / "secret").unlink()  # another installation
    assert findings(tmp_path / "own") == 1
    shutil.copy(database_of(tmp_path / "poison"), database_of(tmp_path / "own"))
    assert findings(tmp_path / "own") == 1


VIEWS = {
    "endless": "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t)"
    " SELECT x'00' AS key, x'00' AS value, 1 AS used FROM t WHERE n < 0",
    "huge": "SELECT x'00' AS key, zeroblob(900000000) AS value, 1 AS used",
}


@pytest.mark.parametrize("kind", VIEWS)
def test_a_database_with_a_view_is_replaced_before_it_is_asked(
    kind: str, home: Path, tmp_path: Path
) -> None:
    assert findings(tmp_path) == 1
    file = database_of(tmp_path)
    file.unlink()
    with sqlite3.connect(file) as database:
        database.execute(f"CREATE VIEW entries AS {VIEWS[kind]}")
    database.close()
    assert findings(tmp_path) == 1
    with sqlite3.connect(file) as database:
        assert database.execute("SELECT type FROM sqlite_master WHERE sql > ''").fetchall() == [
            ("table",)
        ]


def test_a_schema_that_is_not_utf8_is_replaced(home: Path, tmp_path: Path) -> None:
    assert findings(tmp_path) == 1
    file = database_of(tmp_path)
    with sqlite3.connect(file) as database:
        database.execute("ALTER TABLE entries RENAME TO caf_entries")
    database.close()
    file.write_bytes(file.read_bytes().replace(b"caf_entries", b"caf\xd2entries"))
    for _ in range(2):
        assert findings(tmp_path) == 1


def test_a_statement_that_does_not_end_is_ended(home: Path, tmp_path: Path) -> None:
    cache = Cache(str(tmp_path))
    assert cache._database is not None
    endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t"
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        cache._database.execute(endless).fetchall()


@posix
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_no_regular_file_is_not_opened(
    suffix: str, kind: str, home: Path, tmp_path: Path
) -> None:
    assert findings(tmp_path / "cache") == 1
    place = Path(f"{database_of(tmp_path / 'cache')}{suffix}")
    place.unlink(missing_ok=True)
    (tmp_path / "other").write_bytes(b"data")
    if kind == "link":
        place.symlink_to(tmp_path / "other")
    else:
        os.mkfifo(place)
    assert findings(tmp_path / "cache") == 1
    assert (tmp_path / "other").read_bytes() == b"data"
    assert place.is_symlink() if kind == "link" else place.is_fifo()


@posix
def test_a_folder_open_to_everybody_is_not_used(home: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    assert findings(tmp_path / "shared") == 1
    assert not os.listdir(tmp_path / "shared")


def test_projects_that_are_gone_are_forgotten(home: Path, tmp_path: Path) -> None:
    Cache(str(tmp_path), "old").close()
    old = database_of(tmp_path)
    os.utime(old, (0, 0))
    Cache(str(tmp_path), "new").close()
    assert not old.exists() and database_of(tmp_path).exists()


def test_settings_of_the_project_cannot_move_the_cache(home: Path, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.bnlint]\ncache-dir = "here"\n')
    (tmp_path / "train.py").write_text(PROGRAM)
    run = bnlint(tmp_path, ".")
    assert run.returncode == 2 and "pyproject.toml: tool.bnlint.cache-dir" in run.stderr
    assert not (tmp_path / "here").exists()
