"""Rules of other distributions: installed for real in a folder on `sys.path`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bnlint.registry import all_rules
from bnlint.rule import Rule
from bnlint.testing import check_rule

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TEMPLATE = Path(__file__).parents[2] / "fixtures" / "plugin"
TRAIN = """\
import tensorflow.compat.v1 as tf

x = tf.placeholder(tf.float32, [None, 4])
h = tf.layers.batch_normalization(x, training=True, momentum=0.999)
loss = tf.reduce_mean(h)
train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(train_op)
"""


def install(site: Path, name: str, entry_points: str, modules: dict[str, str]) -> None:
    """What an installer leaves behind: the modules, and a .dist-info with the entry points."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[bnlint.rules]\n{entry_points}\n")
    for module, text in modules.items():
        (site / f"{module}.py").write_text(text)


def bnlint(site: Path, *args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bnlint.cli.main", *map(str, args)]
    environment = os.environ | {"PYTHONPATH": str(site)}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site folder with the template plugin."""
    site = tmp_path / "site"
    table = tomllib.loads((TEMPLATE / "pyproject.toml").read_text())["project"]
    points = table["entry-points"]["bnlint.rules"]
    install(site, table["name"], "\n".join(f"{k} = {v}" for k, v in points.items()), {})
    shutil.copytree(TEMPLATE / "acme_bnlint", site / "acme_bnlint")
    (tmp_path / "train.py").write_text(TRAIN)
    return site


def codes(result: subprocess.CompletedProcess[str]) -> set[str]:
    return {finding["code"] for finding in json.loads(result.stdout)["findings"]}


def test_an_installed_rule_is_run_listed_and_explained(site: Path, tmp_path: Path) -> None:
    result = bnlint(site, tmp_path / "train.py", "--format", "json")
    assert result.returncode == 1, result.stderr
    assert codes(result) == {"BN101", "ACM101"}
    selected = bnlint(site, tmp_path / "train.py", "--format", "json", "--select", "ACM")
    assert codes(selected) == {"ACM101"}
    listed = json.loads(bnlint(site, "rules", "--format", "json").stdout)
    assert "ACM101" in [rule["code"] for rule in listed]
    assert "Acme trains for few steps" in bnlint(site, "explain", "ACM101").stdout


def test_the_template_s_own_tests_pass(site: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", TEMPLATE / "tests"]
    environment = os.environ | {"PYTHONPATH": str(site)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0 and "1 passed" in result.stdout, result.stdout


RULE_HEAD = "from bnlint.findings import Severity\nfrom bnlint.rule import Rule\n"
RULE = "Rule({code!r}, {name!r}, Severity.INFO, 's', 'w', 'h')"


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("import nowhere_to_be_found", "nowhere_to_be_found"),
        ("raise SystemError('at import')", "at import"),
        ("x = 1", "has no RULE or RULES"),
        ("RULE = 'no rule'", "is not a bnlint.rule.Rule"),
        (RULE_HEAD + "RULE = " + RULE.format(code="BN101", name="mine"), "taken by another"),
        (RULE_HEAD + "RULE = " + RULE.format(code="BN999", name="mine"), "bnlint's own"),
        (RULE_HEAD + "RULE = " + RULE.format(code="acm1", name="mine"), "not of the form ABC123"),
        (RULE_HEAD + "RULE = " + RULE.format(code="XY100", name="My Rule"), "words-with-dashes"),
        (RULE_HEAD + "RULES = [" + (RULE.format(code="XY100", name="a") + ",") * 2 + "]", "taken"),
    ],
)
def test_a_broken_plugin_is_named_and_everything_else_runs(
    site: Path, tmp_path: Path, module: str, reason: str
) -> None:
    install(site, "broken", "bad = broken_rules", {"broken_rules": module})
    result = bnlint(site, tmp_path / "train.py", "--format", "json")
    assert result.returncode == 2
    assert codes(result) == {"BN101", "ACM101"}
    (error,) = json.loads(result.stdout)["errors"]
    assert error["path"] == "broken[bad = broken_rules]"
    assert "broken rule plugin" in error["message"] and reason in error["message"]


def test_a_rule_that_raises_is_named_and_everything_else_runs(site: Path, tmp_path: Path) -> None:
    module = (
        RULE_HEAD
        + "RULE = "
        + RULE.format(code="XY100", name="raises")
        + "\n@RULE.check\ndef check(program):\n    raise KeyError('oops')\n"
    )
    install(site, "raising", "bad = raising_rules", {"raising_rules": module})
    result = bnlint(site, tmp_path / "train.py", "--format", "json")
    assert result.returncode == 2 and codes(result) == {"BN101", "ACM101"}
    assert "internal error in XY100" in json.loads(result.stdout)["errors"][0]["message"]


def own(base: str, **changes: object) -> Rule:
    return replace(all_rules()[base], **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (own("BN101", code="bn"), "not of the form"),
        (own("BN101", why=" "), "has no why"),
        (own("BN101", checker=None), "has no check"),
        (own("BN101", good=()), "needs bad and good"),
        (own("BN101", checker=lambda program: []), "not found"),
        (own("BN104", bad=own("BN101").bad), "no line is marked"),
        (own("BN101", good=own("BN101").bad), "marks a finding"),
    ],
)
def test_check_rule_refuses(rule: Rule, reason: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(reason)):
        check_rule(rule)


def test_check_rule_accepts_an_own_rule() -> None:
    check_rule(all_rules()["BN104"])
