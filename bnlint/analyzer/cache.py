"""What earlier runs found out about files, kept on disk.

An SQLite database in write-ahead mode: concurrent runs share it, and a run that is killed leaves
it as it was. It lies in the user's tree, so nothing in it is trusted: values carry a checksum and
are decoded by msgspec with their types checked (no pickle), and a symbolic link in its place is
not followed. A cache that cannot be used is rebuilt or done without, silently: it is never a
reason for a run to fail, nor for a different result.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import sqlite3
import sys
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FOLDER = ".bnlint_cache"
_DAY = 24 * 3600
KEEP_DAYS = 30
MAX_BYTES = 512 * 1024 * 1024
_SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55\n# Made by bnlint.\n"
_TABLE = (
    "CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB NOT NULL, "
    "used INTEGER NOT NULL)"
)
_BATCH = 500  # SQLite takes at most 999 parameters


def digest(*parts: bytes) -> bytes:
    """A 128-bit hash of byte strings, and of where one ends and the next begins."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.digest()


@functools.cache
def fingerprint() -> bytes:
    """Identifies everything besides the linted files that a result depends on.

    bnlint's version and files, and the files of all rules (either may be edited in place), Python
    (for the letters and literals it knows), libcst and fissix.
    """
    import bnlint
    from bnlint.registry import rule_set

    parts = [bnlint.__version__, sys.version]
    for library in ("libcst", "msgspec", "fissix"):
        with contextlib.suppress(PackageNotFoundError):
            parts.append(f"{library} {version(library)}")
    root = Path(bnlint.__file__).parent
    rooms = ("analyzer", "program", "sources")
    files = [*root.glob("*.py"), *(f for room in rooms for f in (root / room).rglob("*.py"))]
    files += [Path(file) for file in rule_set().files.values()]
    for file in sorted(files):
        status = file.stat()
        parts.append(f"{file} {status.st_size} {status.st_mtime_ns}")
    return digest(*(part.encode() for part in parts))


class Cache:
    """A store of byte strings by key; without a folder it keeps nothing.

    Args:
      folder: where the database is; made if it is not there.
      salt: results that depend on it are kept apart.
    """

    def __init__(self, folder: str | None = None, salt: bytes = b"") -> None:
        self._salt = digest(fingerprint(), salt) if folder is not None else b""
        self._database: sqlite3.Connection | None = None
        self._path = os.path.join(folder, "results.sqlite3") if folder is not None else ""
        if folder is not None:
            self._open(folder)

    def key(self, kind: str, *parts: bytes) -> bytes:
        """The key of a value of some kind that depends on `parts`."""
        return digest(self._salt, kind.encode(), *parts)

    def get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The known values among `keys`."""
        if self._database is None:
            return {}
        wanted = list(dict.fromkeys(keys))
        found: dict[bytes, bytes] = {}
        old: list[bytes] = []
        now = int(time.time())
        try:
            for start in range(0, len(wanted), _BATCH):
                part = wanted[start : start + _BATCH]
                marks = ",".join("?" * len(part))
                query = f"SELECT key, value, used FROM entries WHERE key IN ({marks})"
                for key, value, used in self._database.execute(query, part):
                    if isinstance(value, bytes) and value[:16] == digest(key, value[16:]):
                        found[key] = value[16:]
                        if now - used > _DAY:
                            old.append(key)
            if old:
                with self._database as database:
                    rows = [(now, key) for key in old]
                    database.executemany("UPDATE entries SET used = ? WHERE key = ?", rows)
        except (sqlite3.Error, TypeError) as error:
            self._failed(error)
        return found

    def put(self, values: Mapping[bytes, bytes]) -> None:
        """Keeps values for later runs."""
        if self._database is None or not values:
            return
        now = int(time.time())
        rows = [(key, digest(key, value) + value, now) for key, value in values.items()]
        try:
            with self._database as database:
                database.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            self._failed(error)

    def close(self) -> None:
        """Forgets what nobody used for long, and closes the file."""
        if self._database is None:
            return
        with contextlib.suppress(sqlite3.Error):
            self._trim()
        with contextlib.suppress(sqlite3.Error):
            self._database.close()
        self._database = None

    def _trim(self) -> None:
        assert self._database is not None
        if os.path.getsize(self._path) < MAX_BYTES:
            return
        with self._database as database:
            limit = int(time.time()) - KEEP_DAYS * _DAY
            dropped = database.execute("DELETE FROM entries WHERE used < ?", (limit,)).rowcount
            if not dropped:
                database.execute("DELETE FROM entries")
        self._database.execute("VACUUM")

    def _open(self, folder: str) -> None:
        if os.path.islink(folder) or os.path.islink(self._path):
            return  # somebody else's file may be behind it
        try:
            os.makedirs(folder, exist_ok=True)
            for name, text in ((".gitignore", "*\n"), ("CACHEDIR.TAG", _SIGNATURE)):
                with (
                    contextlib.suppress(FileExistsError),
                    open(os.path.join(folder, name), "x") as f,
                ):
                    f.write(text)
            self._database = self._connect()
        except sqlite3.DatabaseError as error:
            self._failed(error)
        except OSError:
            return

    def _connect(self) -> sqlite3.Connection:
        # A thread of a language server may hand the connection on; runs never share one.
        database = sqlite3.connect(self._path, timeout=5, check_same_thread=False)
        try:
            database.execute("PRAGMA trusted_schema = OFF")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(_TABLE)
            database.execute("SELECT key, value, used FROM entries LIMIT 1").fetchall()
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _failed(self, error: Exception) -> None:
        """A damaged database is replaced by an empty one; any other trouble ends its use."""
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
        self._database = None
        if isinstance(error, sqlite3.OperationalError) and not _wrong_table(error):
            return  # locked for long, read-only, disk full
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                os.unlink(self._path + suffix)
        with contextlib.suppress(sqlite3.Error, OSError):
            self._database = self._connect()


def _wrong_table(error: sqlite3.OperationalError) -> bool:
    return any(text in str(error) for text in ("no such column", "malformed", "not a table"))
