"""Reading files that strangers may have made: regular ones only, and never more than a limit."""

from __future__ import annotations

import os
import stat


class Refused(OSError):
    """A file that is not read or written; `reason` says why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(None, reason, path)
        self.strerror = self.reason = reason


def read_regular(path: str, limit: int, follow: bool = True) -> bytes:
    """The bytes of a regular file.

    Args:
      path: the file. limit: most bytes to read. follow: symbolic links may lead to the file.

    Raises:
      Refused: a folder, device, pipe or socket (opening one may block, reading it may never end),
        a link that is not to be followed, or a file of more than `limit` bytes.
      OSError: it cannot be read.
    """
    _check_kind(path, os.stat(path) if follow else os.lstat(path))
    # The file may have been replaced by a pipe since: do not wait for its writer.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    flags |= getattr(os, "O_CLOEXEC", 0) | (0 if follow else getattr(os, "O_NOFOLLOW", 0))
    handle = os.open(path, flags)
    with os.fdopen(handle, "rb") as stream:
        _check_kind(path, os.fstat(handle))
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise Refused(path, f"larger than {limit} bytes, not read")
    return data


def _check_kind(path: str, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        raise Refused(path, "is a folder, not a file")
    if stat.S_ISLNK(status.st_mode):
        raise Refused(path, "is a symbolic link, not read")
    raise Refused(path, "not a regular file, not read")
