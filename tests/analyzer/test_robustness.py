"""Any input gives findings or a clean error; positions are exact."""

import json
import xml.etree.ElementTree as ET
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bnlint.analyzer.analysis import analyze
from bnlint.analyzer.syntax import nodes
from bnlint.analyzer.syntax.parse import module_facts
from bnlint.findings import FileError, Finding, Location, Report
from bnlint.reporting import FORMATS, render
from bnlint.sources.files import Source, discover, read_source, source_from_bytes

CASES = Path(__file__).parents[2] / "fixtures" / "rules"
TEXTS = [path.read_text("utf-8") for path in sorted(CASES.rglob("*.py"))]
SOURCES = sorted(Path(nodes.__file__).parent.glob("*.py"))


# Words without which nothing would be parsed.
HEADER = "import tensorflow as tf  # batch_norm, minimize\n"


def lint_bytes(data: bytes) -> None:
    source = source_from_bytes(data, "x.py")
    if isinstance(source, Source):
        result = analyze([source])
        assert all(error.path == "x.py" and error.message for error in result.errors)
        assert not any("internal error" in error.message for error in result.errors)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
@example("\U00013460".encode())  # a letter to libcst, unknown to older Pythons
def test_any_bytes(data: bytes) -> None:
    lint_bytes(HEADER.encode() + data)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(TEXTS), st.randoms(use_true_random=False))
def test_programs_with_missing_lines(text: str, random: object) -> None:
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines if random.random() > 0.15]  # type: ignore[attr-defined]
    lint_bytes((HEADER + "".join(kept)).encode())


def test_deep_nesting_is_an_error_not_a_crash() -> None:
    text = HEADER + "x = " + "(" * 5000 + "1" + ")" * 5000 + "\n"
    result = analyze([Source("deep.py", "deep", text)])
    assert [error.message for error in result.errors] == [
        "nested too deeply to be analyzed (this statement was left out, the rest was analyzed)"
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_name_and_attribute_stands_where_the_facts_say(path: Path) -> None:
    text = path.read_text()
    facts = module_facts(text, str(path), "m")
    checked = 0
    todo: list[object] = list(facts.body)
    while todo:
        node = todo.pop()
        if isinstance(node, nodes.Name):
            place = text[node.start : node.end]
            assert place == node.id or place[-1] in "'\""  # an f-string around it
            checked += 1
        if isinstance(node, nodes.Attribute):
            assert text[node.start : node.end].endswith((node.attr, "'", '"'))
        if isinstance(node, list | tuple):
            todo.extend(node)
        elif isinstance(node, nodes.Node | nodes.Argument | nodes.Param):
            todo.extend(getattr(node, name) for name in node.__struct_fields__)
    assert checked or not facts.functions


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


def report() -> Report:
    finding = Finding(
        "BN101", "missing-update-ops", "bad [red]\x1b[31m & <tag>", Location("a,b:c.py", 1, 1, 1, 2)
    )
    return Report([finding], [FileError("x\n.py", "broken")], files=2)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_well_formed_and_carries_no_control_characters(name: str) -> None:
    stream = StringIO()
    render(report(), name, stream, sources={"a,b:c.py": "x\x1b[0m = [bold]1\n"})
    text = stream.getvalue()
    assert "BN101" in text
    if name in ("json", "sarif", "gitlab"):
        json.loads(text)
    elif name == "junit":
        ET.fromstring(text)
    elif name == "github":
        assert "file=a%2Cb%3Ac.py" in text and text.count("\n") == 2
    else:
        assert "\x1b" not in text and "[red]" in text
