"""Which files are read, and what is said of those that cannot be."""

import os
from pathlib import Path

import pytest

from bnlint.findings import FileError
from bnlint.sources.files import Source, discover, read_source, source_from_bytes


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


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("x = 1".encode("utf-16"), "UTF-16"),
        (b"x = 1\0", "NUL"),
        (b"# coding: nonsense\n", "encoding"),
        (b"x = 1\ny = 2\nz = '\xff'\n", "not valid utf-8"),
    ],
)
def test_undecodable_files_say_why(data: bytes, message: str) -> None:
    error = source_from_bytes(data, "x.py")
    assert isinstance(error, FileError) and message in error.message and error.path == "x.py"


def test_a_declared_encoding_and_a_bom_are_read() -> None:
    latin = source_from_bytes(b"# -*- coding: latin-1 -*-\nx = '\xe9'\n", "x.py")
    assert isinstance(latin, Source) and "é" in latin.text
    bom = source_from_bytes(b"\xef\xbb\xbfx = 1\n", "x.py")
    assert isinstance(bom, Source) and bom.text == "x = 1\n" and bom.encoding == "utf-8-sig"


def test_discovery(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "a.py").write_text("")
    (tmp_path / "pkg" / "ignored.py").write_text("")
    (tmp_path / ".gitignore").write_text("ignored.py\n")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "broken.py").symlink_to(tmp_path / "nowhere")
    errors: list[FileError] = []
    found = [Path(path).name for path in discover([str(tmp_path)], errors=errors)]
    assert found == ["broken.py", "a.py"] and not errors
    broken = read_source(str(tmp_path / "broken.py"))
    assert isinstance(broken, FileError) and "broken symbolic link" in broken.message
    assert isinstance(read_source(str(tmp_path / "folder.py")), FileError)
    assert list(discover([str(tmp_path / "none")], errors=errors)) == []
    assert errors[0].path.endswith("none")
