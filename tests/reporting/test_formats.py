"""What other tools read, checked against their schemas, over reports of real runs."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from bnlint.cli.main import cli
from bnlint.lint.repairs import replacements as replacements_of
from bnlint.version import DOCUMENTATION

ROOT = Path(__file__).parents[2]
# https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json
SARIF = json.loads((ROOT / "fixtures/schemas/sarif-2.1.0-errata01.json").read_text())
# https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
GITLAB: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "location", "severity"],
        "properties": {
            "description": {"type": "string", "minLength": 1},
            "check_name": {"type": "string", "minLength": 1},
            "fingerprint": {"type": "string", "minLength": 1},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {
                    "path": {"type": "string", "pattern": r"^(?!\./)"},
                    "lines": {
                        "type": "object",
                        "required": ["begin"],
                        "properties": {"begin": {"type": "integer", "minimum": 1}},
                    },
                },
            },
        },
    },
}
BROKEN = """\
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(x, training=True)
train_op = tf.train.AdamOptimizer().minimize(tf.reduce_mean(h))
with tf.Session() as sess:
    sess.run(train_op)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two equal scripts, one with spaces and a hash in its name, a notebook and a broken file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(BROKEN + "s = 1  # bnlint: ignore[BN301]\n")
    (tmp_path / "my é #1 100%.py").write_text(BROKEN)
    (tmp_path / "broken.py").write_text("x = (import tensorflow; batch_normalization.minimize\n")
    cells = [{"cell_type": "code", "source": BROKEN}]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells, "nbformat": 4}))
    return tmp_path


def bnlint(*arguments: str, paths: tuple[str, ...] = (".",)) -> str:
    result = CliRunner().invoke(cli, ["check", *arguments, *paths])
    assert result.exit_code in (0, 1, 2), result.output
    return result.stdout


def records() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(bnlint("--format", "json"))["findings"]
    return found


def test_the_project_has_what_the_formats_must_show(project: Path) -> None:
    assert sorted(item["code"] for item in records()) == ["BN001", "BN101", "BN101", "BN101"]


def sarif(*arguments: str, paths: tuple[str, ...] = (".",)) -> dict[str, Any]:
    log: dict[str, Any] = json.loads(bnlint("--format", "sarif", *arguments, paths=paths))
    jsonschema.Draft4Validator(SARIF).validate(log)
    return log


def test_sarif_fits_the_published_schema(project: Path) -> None:
    (run,) = sarif()["runs"]
    assert len(run["results"]) == len(records())
    for result in run["results"]:
        rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
        assert rule["id"] == result["ruleId"]
    (notification,) = run["invocations"][0]["toolExecutionNotifications"]
    assert "broken.py" in json.dumps(notification)


def test_sarif_of_a_clean_run_and_of_one_with_only_errors_fits_too(project: Path) -> None:
    assert sarif("--select", "BN4")["runs"][0]["results"] == []
    assert sarif(paths=("nowhere.py",))["runs"][0]["results"] == []


def test_sarif_rules_lead_to_their_pages_and_explain_themselves(project: Path) -> None:
    driver = sarif()["runs"][0]["tool"]["driver"]
    assert driver["informationUri"] == DOCUMENTATION
    for rule in driver["rules"]:
        assert rule["helpUri"] == f"{DOCUMENTATION}rules/{rule['id']}/"
        assert f"# {rule['id']} " in rule["help"]["markdown"]
        assert rule["properties"]["precision"] == "high"
        assert "tensorflow" in rule["properties"]["tags"]
        assert rule["help"]["text"].endswith(".") and rule["shortDescription"]["text"][-1] == "."


def test_sarif_messages_link_to_every_related_place(project: Path) -> None:
    (result,) = sarif("--select", "BN101", paths=("train.py",))["runs"][0]["results"]
    links = re.findall(r"\[([^\]]+)\]\((\d+)\)", result["message"]["text"])
    related = {str(item["id"]): item["message"]["text"] for item in result["relatedLocations"]}
    assert related and {number: text for text, number in links} == related
    first, *others = result["message"]["text"].split("\n")
    assert first.endswith(".") and others[-1].startswith("Create the train op inside")


def test_sarif_shows_the_text_at_the_place(project: Path) -> None:
    text = BROKEN.replace(".minimize(tf.reduce_mean(h))", ".minimize(\n    tf.reduce_mean(h)\n)")
    for script, end in ((BROKEN, "minimize(tf.reduce_mean(h))"), (text, "(h)\n)")):
        (project / "train.py").write_text(script)
        (result,) = sarif(paths=("train.py",))["runs"][0]["results"]
        shown = result["locations"][0]["physicalLocation"]["region"]["snippet"]["text"]
        assert shown in script and shown.startswith("tf.train.Adam") and shown.endswith(end)


def replaced(text: str, replacements: list[tuple[dict[str, int], str]], names: str) -> str:
    """`text` after replacements, whose places are named in the manner of SARIF or of bnlint."""
    first, column, last, end = names.split()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for place, new in sorted(replacements, key=lambda item: -item[0][first]):
        begin = starts[place[first] - 1] + place[column] - 1
        text = text[:begin] + new + text[starts[place[last] - 1] + place[end] - 1 :]
    return text


@pytest.mark.parametrize("text", [BROKEN, BROKEN.replace("\n", "\r\n"), BROKEN.split("with")[0]])
def test_repairs_in_sarif_and_json_are_what_fix_makes(project: Path, text: str) -> None:
    script = project / "train.py"
    script.write_bytes(text.encode())
    (result,) = sarif(paths=("train.py",))["runs"][0]["results"]
    (change,) = result["fixes"][0]["artifactChanges"]
    assert change["artifactLocation"]["uri"] == "train.py"
    from_sarif = [
        (item["deletedRegion"], item["insertedContent"]["text"]) for item in change["replacements"]
    ]
    (finding,) = json.loads(bnlint("--format", "json", paths=("train.py",)))["findings"]
    from_json = [(item["location"], item["text"]) for item in finding["fix"]["edits"]]
    bnlint("--fix", paths=("train.py",))
    fixed = script.read_bytes().decode()
    assert fixed != text
    assert replaced(text, from_sarif, "startLine startColumn endLine endColumn") == fixed
    assert replaced(text, from_json, "line column end_line end_column") == fixed


def test_the_sarif_schema_does_refuse() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(SARIF).validate({"version": "2.1.0", "runs": [{}]})


def test_gitlab_has_what_its_documentation_asks_for(project: Path) -> None:
    issues = json.loads(bnlint("--format", "gitlab"))
    jsonschema.Draft202012Validator(GITLAB).validate(issues)
    assert len(issues) == len(records())
    prints = [issue["fingerprint"] for issue in issues]
    assert len(set(prints)) == len(prints)


def test_gitlab_fingerprints_survive_shifted_lines(project: Path) -> None:
    def prints() -> set[str]:
        return {issue["fingerprint"] for issue in json.loads(bnlint("--format", "gitlab"))}

    before = prints()
    script = project / "train.py"
    script.write_text("# one more line\n" + script.read_text())
    assert prints() == before


def test_junit_is_xml_with_a_failure_per_finding(project: Path) -> None:
    (suite,) = ET.fromstring(bnlint("--format", "junit"))
    assert int(suite.get("failures", "")) == len(suite.findall(".//failure")) == len(records())
    assert int(suite.get("errors", "")) == len(suite.findall(".//error")) == 1


def test_the_problem_matcher_reads_every_concise_line(project: Path) -> None:
    matcher = json.loads((ROOT / ".github/bnlint-matcher.json").read_text())
    (pattern,) = matcher["problemMatcher"][0]["pattern"]
    lines = bnlint("--format", "concise", "--color", "never").splitlines()
    matches = [match for match in map(re.compile(pattern["regexp"]).match, lines) if match]
    read = [
        (m[pattern["file"]], int(m[pattern["line"]]), int(m[pattern["column"]]),
         m[pattern["code"]], m[pattern["message"]])
        for m in matches
    ]  # fmt: skip
    assert read == [
        (place["path"], place["line"], place["column"], item["code"], item["message"])
        for item in records()
        for place in [item["location"]]
    ]


def test_github_annotations_name_file_and_line(project: Path) -> None:
    form = r"::(error|notice) (?:title=[^,:]+,)?file=([^,:]+)(?:,line=(\d+),col=\d+)?::"
    shown = [re.match(form, line) for line in bnlint("--format", "github").splitlines()]
    assert [(match[1], match[2], match[3]) for match in shown if match] == [
        ("error", "a.ipynb", None),  # a line of a cell is no line of the file
        ("error", "my é #1 100%25.py", "5"),
        ("error", "train.py", "5"),
        ("notice", "train.py", "8"),
        ("error", "broken.py", None),
    ]


def test_github_annotations_say_how_to_repair(project: Path) -> None:
    line = bnlint("--format", "github", paths=("train.py",)).splitlines()[0]
    _, help_, page = line.split("%0A")
    assert help_.startswith("Create the train op inside")
    assert page == f"{DOCUMENTATION}rules/BN101/"


def test_markdown_is_a_table_whose_cells_hold(project: Path) -> None:
    (project / "a|b [x](y) <img>.py").write_text(BROKEN)
    text = bnlint("--format", "markdown")
    rows = [line for line in text.splitlines() if line.startswith("| [BN")]
    assert len(rows) == len(records())
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in rows)
    assert r"a\|b \[x\](y) \<img\>.py:5:12" in text
    assert re.search(r"^- error: broken\.py", text, re.MULTILINE)


def test_every_format_names_files_from_the_current_folder(project: Path) -> None:
    for path in (".", str(project), "./train.py", "../" + project.name):
        (location, *_) = [
            issue["location"]
            for issue in json.loads(bnlint("--format", "gitlab", paths=(path,)))
            if issue["location"]["path"].endswith("train.py")
        ]
        assert location["path"] == "train.py"
        results = sarif(paths=(path,))["runs"][0]["results"]
        uris = [r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in results]
        assert "train.py" in uris


def test_a_notebook_place_is_in_the_text_not_in_the_line(project: Path) -> None:
    (result,) = sarif(paths=("a.ipynb",))["runs"][0]["results"]
    assert result["message"]["text"].startswith("cell 1, line 5: ")
    assert "region" not in result["locations"][0]["physicalLocation"]
    (issue,) = json.loads(bnlint("--format", "gitlab", paths=("a.ipynb",)))
    assert issue["description"].startswith("cell 1, line 5: ")
    assert issue["location"]["lines"] == {"begin": 1}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "a\n"),
        ("a\nb\n", "a\nc\nb\n"),
        ("a\nb", "a\nb\nc"),
        ("a\nb\n", "a\n"),
        ("a\nb", "a"),
        ("a\nb\nc\n", "A\nb\nC\n"),
    ],
)
def test_replacements_make_the_new_text(before: str, after: str) -> None:
    made = [
        ({"l": p.line, "c": p.column, "L": p.end_line, "C": p.end_column}, item.text)
        for item in replacements_of("x.py", before, after)
        for p in [item.location]
    ]
    assert replaced(before, made, "l c L C") == after
