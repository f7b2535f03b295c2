"""Every format stays well-formed whatever stands in a finding."""

import json
import xml.etree.ElementTree as ET
from io import StringIO

import pytest

from bnlint.findings import FileError, Finding, Location, Report
from bnlint.reporting import FORMATS, render


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
    elif name == "markdown":
        assert r"bad \[red\]" in text and r"\<tag\>" in text and "\x1b" not in text
    else:
        assert "\x1b" not in text and "[red]" in text
