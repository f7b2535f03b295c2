"""What earlier runs found out about files, kept on disk.

An SQLite database per project in write-ahead mode: concurrent runs share it, and a run that is
killed leaves it as it was. It is private: it lies in the user's cache folder, readable by its
owner only. And it is not trusted either: its name and every value's checksum depend on a secret of
the installation, so that nothing that came with a checkout or was made elsewhere is ever opened or
believed; its schema is checked before it is asked anything; values are bounded, and decoded by
msgspec with their types checked (no pickle). A cache that cannot be used is rebuilt or done
without, silently: it is never a reason for a run to fail, nor for a different result.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import sqlite3
import stat
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

_DAY = 24 * 3600
KEEP_DAYS = 30
MAX_BYTES = 512 * 1024 * 1024
MAX_VALUE = 128 * 1024 * 1024  # bytes; the facts of the largest source are a few times its size
_SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55\n# Made by bnlint.\n"
_TABLE = "CREATE TABLE entries (key BLOB PRIMARY KEY, value BLOB NOT NULL, used INTEGER NOT NULL)"
# A damaged database's messages and texts may not be UTF-8; columns hold values of any type.
_DAMAGE = (sqlite3.Error, UnicodeError, TypeError)
_BATCH = 500  # SQLite takes at most 999 parameters
_STEPS = 100_000  # SQLite instructions between two looks at
_MOST_STEPS = 1000  # of those: seconds, where a batch takes milliseconds
_BESIDE = ("", "-wal", "-shm", "-journal")
_SECRET = "secret"
_SECRET_BYTES = 32


def digest(*parts: bytes, secret: bytes = b"") -> bytes:
    """A 128-bit hash of byte strings, and of where one ends and the next begins.

    With a secret, nobody else can make it (RFC 7693, keyed hashing).
    """
    state = hashlib.blake2b(digest_size=16, key=secret)
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.digest()


@functools.cache
def fingerprint() -> bytes:
    """Identifies everything besides the linted files that a result depends on.

    bnlint's files and the files of all rules (either may be edited in place), Python (for the
    letters and literals it knows), libcst, msgspec and fissix. Another version of these is another
    installation: their main files were written at another time.
    """
    from bnlint.registry import rule_files

    parts = [sys.version]
    root = Path(__file__).parents[1]  # bnlint
    rooms = ("analyzer", "program", "sources")
    files = [*root.glob("*.py"), *(f for room in rooms for f in (root / room).rglob("*.py"))]
    files += map(Path, rule_files())
    found = (importlib.util.find_spec(library) for library in ("libcst", "msgspec", "fissix"))
    files += [Path(spec.origin) for spec in found if spec is not None and spec.origin]
    for file in sorted(files):
        status = file.stat()
        parts.append(f"{file} {status.st_size} {status.st_mtime_ns}")
    return digest(*(part.encode() for part in parts))


def user_folder() -> str:
    """Where the caches of this user's projects are (see platformdirs.user_cache_dir)."""
    import platformdirs

    return platformdirs.user_cache_dir("bnlint", appauthor=False)


class Cache:
    """A store of byte strings by key; without a folder it keeps nothing.

    Args:
      folder: where the database is; made if it is not there.
      project: path of the project; each has a database of its own.
      salt: results that depend on it are kept apart.
    """

    def __init__(self, folder: str | None = None, project: str = "", salt: bytes = b"") -> None:
        self._salt = b""
        self._secret = b""
        self._database: sqlite3.Connection | None = None
        self._path = ""
        self._steps = 0
        if folder is not None:
            with contextlib.suppress(OSError, RuntimeError):  # no home, no rights, disk full
                self._open(folder, project, salt)

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
                self._steps = 0
                part = wanted[start : start + _BATCH]
                marks = ",".join("?" * len(part))
                query = f"SELECT key, value, used FROM entries WHERE key IN ({marks})"
                for key, value, used in self._database.execute(query, part):
                    if isinstance(value, bytes) and value[:16] == self._checksum(key, value[16:]):
                        found[key] = value[16:]
                        if now - used > _DAY:
                            old.append(key)
            if old:
                with self._database as database:
                    rows = [(now, key) for key in old]
                    database.executemany("UPDATE entries SET used = ? WHERE key = ?", rows)
        except _DAMAGE as error:
            self._failed(error)
        return found

    def _checksum(self, key: bytes, value: bytes) -> bytes:
        return digest(key, value, secret=self._secret)

    def put(self, values: Mapping[bytes, bytes]) -> None:
        """Keeps values for later runs."""
        if self._database is None or not values:
            return
        now = int(time.time())
        rows = [
            (key, self._checksum(key, value) + value, now)
            for key, value in values.items()
            if len(value) < MAX_VALUE - 16
        ]
        self._steps = 0
        try:
            with self._database as database:
                database.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows)
        except _DAMAGE as error:
            self._failed(error)

    def close(self) -> None:
        """Forgets what nobody used for long, and closes the file."""
        if self._database is None:
            return
        with contextlib.suppress(*_DAMAGE, OSError):
            self._trim()
            _sweep(os.path.dirname(self._path))
        with contextlib.suppress(*_DAMAGE):
            self._database.close()
        self._database = None

    def _trim(self) -> None:
        assert self._database is not None
        if os.path.getsize(self._path) < MAX_BYTES:
            return
        self._database.set_progress_handler(None, 0)  # this may take its time
        with self._database as database:
            limit = int(time.time()) - KEEP_DAYS * _DAY
            dropped = database.execute("DELETE FROM entries WHERE used < ?", (limit,)).rowcount
            if not dropped:
                database.execute("DELETE FROM entries")
        self._database.execute("VACUUM")

    def _open(self, folder: str, project: str, salt: bytes) -> None:
        self._secret = _secret(user_folder())
        _make_private(folder)
        for name, text in ((".gitignore", "*\n"), ("CACHEDIR.TAG", _SIGNATURE)):
            with contextlib.suppress(FileExistsError), open(os.path.join(folder, name), "x") as f:
                f.write(text)
        self._salt = digest(fingerprint(), salt)
        # Nobody else can tell this name, and so put a database there.
        identity = os.fsencode(os.path.realpath(project))
        name = digest(b"project", identity, secret=self._secret).hex()
        self._path = os.path.join(folder, f"{name}.sqlite3")
        try:
            self._database = self._connect()
        except _DAMAGE as error:
            self._failed(error)

    def _connect(self) -> sqlite3.Connection:
        self._check_files()
        # A thread of a language server may hand the connection on; runs never share one.
        database = sqlite3.connect(self._path, timeout=5, check_same_thread=False)
        try:
            if sys.version_info >= (3, 11):
                database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
            self._steps = 0
            database.set_progress_handler(self._step, _STEPS)
            database.execute("PRAGMA trusted_schema = OFF")
            database.execute("PRAGMA cell_size_check = ON")
            schema = database.execute(
                "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL LIMIT 2"
            ).fetchall()
            if schema not in ([], [(_TABLE,)]):
                raise sqlite3.DatabaseError("not the table that bnlint makes")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(_TABLE.replace("TABLE", "TABLE IF NOT EXISTS", 1))
        except _DAMAGE:
            database.close()
            raise
        return database

    def _check_files(self) -> None:
        """Makes the database's file, or sees to it that what is there is this user's own.

        Raises:
          OSError: it is not.
        """
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        for suffix in _BESIDE:
            with contextlib.suppress(FileNotFoundError):
                status = os.lstat(self._path + suffix)
                _check_owner(self._path + suffix, status, stat.S_ISREG(status.st_mode))
        # In write-ahead mode there is none: a journal can name further files to delete.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._path}-journal")
        if os.path.getsize(self._path) > 2 * MAX_BYTES:
            _unlink_database(self._path)

    def _step(self) -> bool:
        """Called by SQLite now and then; True ends the statement."""
        self._steps += 1
        return self._steps > _MOST_STEPS

    def _failed(self, error: Exception) -> None:
        """A damaged database is replaced by an empty one; any other trouble ends its use."""
        if self._database is not None:
            with contextlib.suppress(*_DAMAGE):
                self._database.close()
        self._database = None
        if isinstance(error, sqlite3.OperationalError) and not _wrong_table(error):
            return  # locked for long, read-only, disk full
        _unlink_database(self._path)
        with contextlib.suppress(*_DAMAGE, OSError):
            self._database = self._connect()


def _wrong_table(error: sqlite3.OperationalError) -> bool:
    return any(
        text in str(error) for text in ("no such column", "malformed", "not a table", "interrupted")
    )


def _unlink_database(path: str) -> None:
    for suffix in _BESIDE:
        with contextlib.suppress(OSError):
            os.unlink(path + suffix)


def _sweep(folder: str) -> None:
    """Forgets projects that were not linted for long, so that the folder does not grow forever."""
    limit = time.time() - KEEP_DAYS * _DAY
    with os.scandir(folder) as entries:
        old = [
            entry.path
            for entry in entries
            if entry.name.endswith(".sqlite3") and entry.stat().st_mtime < limit
        ]
    for path in old:
        _unlink_database(path)


def _make_private(folder: str) -> None:
    """Makes a folder for this user alone.

    Raises:
      OSError: it is there and another user's, or everybody may write into it.
    """
    os.makedirs(folder, mode=0o700, exist_ok=True)
    status = os.stat(folder)
    closed = not status.st_mode & stat.S_IWOTH or os.name == "nt"
    _check_owner(folder, status, stat.S_ISDIR(status.st_mode) and closed)


def _check_owner(path: str, status: os.stat_result, fits: bool) -> None:
    own = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    if not (own and fits):
        raise PermissionError(f"{path} is not this user's own")


def _secret(folder: str) -> bytes:
    """The installation's secret, made at its first run.

    Raises:
      OSError: it cannot be kept, or is not this user's own.
    """
    _make_private(folder)
    path = os.path.join(folder, _SECRET)
    try:
        return _read_secret(path)
    except FileNotFoundError:
        pass
    import secrets
    import tempfile

    handle, temporary = tempfile.mkstemp(dir=folder)  # readable by its owner only
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(secrets.token_bytes(_SECRET_BYTES))
        with contextlib.suppress(FileExistsError):  # another run was faster
            os.link(temporary, path)
    finally:
        os.unlink(temporary)
    return _read_secret(path)


def _read_secret(path: str) -> bytes:
    from bnlint.sources.regular import read_regular

    status = os.lstat(path)
    _check_owner(
        path,
        status,
        stat.S_ISREG(status.st_mode) and (os.name == "nt" or not status.st_mode & 0o077),
    )
    secret = read_regular(path, _SECRET_BYTES, follow=False)
    if len(secret) != _SECRET_BYTES:
        raise PermissionError(f"{path} is damaged")
    return secret
