"""Writing users' files: wholly or not at all, and never over what somebody else wrote meanwhile."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterable

from bnlint.sources.regular import Refused, read_regular

_PREFIX, _SUFFIX = ".bnlint-", ".tmp"
_TEMPORARY = re.compile(r"\.bnlint-\w{8}\.tmp")
_STALE = 3600  # seconds; no file takes that long to write


def write_atomically(path: str, data: bytes) -> None:
    """Writes `data` to the file at `path` (through a symbolic link, to its target).

    The data goes to a temporary file beside it, is flushed to the disk, and takes the file's
    place in one step, with the old permissions. What is no regular file is written to.

    Raises:
      Refused: the path is a link out of its folder, which may have come with a checkout.
      OSError: it cannot be written. In either case nothing was changed.
    """
    if _is_stream(path):
        with open(path, "wb") as stream:
            stream.write(data)
        return
    target = os.path.realpath(path)
    if os.path.islink(path) and not _is_below(target, os.path.dirname(path)):
        raise Refused(path, f"not written: a link leads out of its folder, to {target}")
    try:
        status: os.stat_result | None = os.stat(target)
    except FileNotFoundError:
        status = None
    _replace(target, data, status, None)


def _is_stream(path: str) -> bool:
    """What is written to and not replaced: `/dev/stdout` (whatever it is), a pipe."""
    folder = os.path.realpath(os.path.dirname(path))
    if folder == "/dev" or folder.startswith(("/dev/", "/proc/")):
        return True
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def rewrite(path: str, old: bytes, new: bytes, roots: Iterable[str]) -> None:
    """Replaces a file that holds `old`, in the manner of `write_atomically`.

    Args:
      path: the file. old, new: what it holds and is to hold.
      roots: folders; a link may not lead out of all of them.

    Raises:
      Refused: the file is not what it was, or replacing it would do more than change its text:
        to a file outside of `roots`, to its owner, or to its other names.
      OSError: it cannot be written. In either case nothing was changed.
    """
    target = os.path.realpath(path)
    if not any(_is_below(target, root) for root in roots):
        raise Refused(path, f"not fixed: a link leads out of the tree, to {target}")
    try:
        status = os.lstat(target)
    except FileNotFoundError:
        raise Refused(path, "not fixed: deleted meanwhile") from None
    if status.st_nlink > 1:
        raise Refused(path, f"not fixed: the file has {status.st_nlink} names (hard links)")
    _remove_stale(os.path.dirname(target))
    _replace(target, new, status, old)


def _is_below(target: str, root: str) -> bool:
    root = os.path.realpath(root)
    return target == root or target.startswith(os.path.join(root, ""))


def _replace(target: str, data: bytes, status: os.stat_result | None, old: bytes | None) -> None:
    handle, temporary = tempfile.mkstemp(
        dir=os.path.dirname(target), prefix=_PREFIX, suffix=_SUFFIX
    )
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if status is not None:
            _keep_owner(temporary, target, status)
        os.chmod(temporary, stat.S_IMODE(status.st_mode) if status is not None else 0o644)
        if old is not None:
            _check_unchanged(target, old)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _keep_owner(temporary: str, target: str, status: os.stat_result) -> None:
    own = os.stat(temporary)
    if (own.st_uid, own.st_gid) == (status.st_uid, status.st_gid) or not hasattr(os, "chown"):
        return
    try:
        os.chown(temporary, status.st_uid, status.st_gid)
    except OSError:
        raise Refused(target, "not written: it would change its owner") from None


def _check_unchanged(target: str, old: bytes) -> None:
    try:
        same = read_regular(target, len(old), follow=False) == old
    except FileNotFoundError:
        raise Refused(target, "not fixed: deleted meanwhile") from None
    except Refused:  # larger, or no regular file any more
        same = False
    if not same:
        raise Refused(target, "not fixed: changed meanwhile")


def _remove_stale(folder: str) -> None:
    """Takes away what a run that was killed left in its middle."""
    limit = time.time() - _STALE
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < limit:
                        os.unlink(entry.path)
