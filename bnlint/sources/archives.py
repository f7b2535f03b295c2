"""Sources in zip files, wheels and tar files, read without unpacking them to the disk.

Nothing in an archive is trusted: sizes are counted while bytes come out (headers may lie), and
member names are only names.
"""

from __future__ import annotations

import io
import lzma
import posixpath
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from bnlint.findings import FileError
from bnlint.sources.files import MAX_BYTES, SUFFIXES, ZIPS, Source, source_from_bytes

MAX_TOTAL = 1024**3  # bytes that an archive may unpack to
MAX_MEMBERS = 100_000


def read_archive(path: str) -> tuple[list[Source], list[FileError]]:
    """Every Python file and notebook in an archive, named `path/member`, and what went wrong."""
    sources: list[Source] = []
    errors: list[FileError] = []
    names: set[str] = set()
    try:
        with open(path, "rb") as stream:
            read = _zip_members if path.lower().endswith(ZIPS) else _tar_members
            for name, data in read(stream):
                names.add(name)
                inside = f"{path}/{name}"
                if len(data) > MAX_BYTES:
                    errors.append(FileError(inside, f"larger than {MAX_BYTES} bytes, not read"))
                    continue
                source = source_from_bytes(data, inside)
                if isinstance(source, FileError):
                    errors.append(source)
                else:
                    sources.append(source)
    except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError,
            zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError) as error:  # fmt: skip
        errors.append(FileError(path, f"archive cannot be read: {error}"))
    start = len(path) + 1
    named = [replace(item, module=_module(item.path[start:], names)) for item in sources]
    return sorted(named, key=lambda item: item.path), errors


class _TooLarge(ValueError):
    """The archive unpacks to more than any project holds."""

    def __init__(self) -> None:
        super().__init__(f"unpacks to more than {MAX_TOTAL} bytes or {MAX_MEMBERS} files")


def _wanted(name: str) -> str:
    """The member's name in normal form; "" if it is no source or leads out of the archive."""
    normal = posixpath.normpath(name.replace("\\", "/"))
    outside = normal.startswith(("/", "../")) or "\0" in normal
    return normal if normal.endswith(SUFFIXES) and not outside else ""


def _zip_members(stream: BinaryIO) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise _TooLarge
        total = 0
        for member in members:
            name = _wanted(member.filename)
            if name and not member.is_dir():
                with archive.open(member) as opened:
                    data = opened.read(MAX_BYTES + 1)
                total += len(data)
                if total > MAX_TOTAL:
                    raise _TooLarge
                yield name, data


class _Counted(io.RawIOBase):
    """Reads another stream, up to MAX_TOTAL bytes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = MAX_TOTAL

    def read(self, size: int = -1) -> bytes:
        """Bytes of the stream."""
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise _TooLarge
        return data


def _tar_members(stream: BinaryIO) -> Iterator[tuple[str, bytes]]:
    # Unpacked bytes are counted: tarfile itself would skip over a bomb, byte by byte.
    with (
        _unpacked(stream) as plain,
        tarfile.open(fileobj=_Counted(plain), mode="r|") as archive,
    ):
        for count, member in enumerate(archive):
            if count >= MAX_MEMBERS:
                raise _TooLarge
            name = _wanted(member.name)
            opened = archive.extractfile(member) if name and member.isreg() else None
            if opened is not None:
                yield name, opened.read(MAX_BYTES + 1)


def _unpacked(stream: BinaryIO) -> BinaryIO:
    import bz2
    import gzip

    magic = stream.read(6)
    stream.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=stream)  # type: ignore[return-value]
    if magic.startswith(b"BZh"):
        return bz2.BZ2File(stream)  # type: ignore[return-value]
    if magic.startswith(b"\xfd7zXZ"):
        return lzma.LZMAFile(stream)  # type: ignore[return-value]
    return stream


def _module(name: str, names: set[str]) -> str:
    """The dotted module name of a member, counted from above its outermost package."""
    folder, file = posixpath.split(name)
    stem = file.rsplit(".", 1)[0]
    parts = [] if stem == "__init__" else [stem]
    while folder and posixpath.join(folder, "__init__.py") in names:
        folder, last = posixpath.split(folder)
        parts.insert(0, last)
    return ".".join(parts) or stem
