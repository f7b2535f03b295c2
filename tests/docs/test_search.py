"""What a user with the symptom types into the site's search leads to the right rule first.

The site is built, and its own search code runs on its own index.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ("language_data.js", "searchtools.js")
# What the search code asks of a browser: an element to write to, and settings.
BROWSER = """
var element = {dataset: {}, childNodes: [], replaceChildren() {}};
element.appendChild = () => element;
var document = {getElementById: () => element, documentElement: element, addEventListener() {}};
var window = globalThis;
var localStorage = {setItem() {}};
var SPHINX_HIGHLIGHT_ENABLED = false;
var DOCUMENTATION_OPTIONS = {};
var _ready = () => {};
"""


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Any:
    racer = pytest.importorskip("py_mini_racer")
    pytest.importorskip("furo")
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "dirhtml", "-c", "docs"]
    subprocess.run([*command, "docs/pages", str(site)], cwd=ROOT, check=True)
    context = racer.MiniRacer()
    context.eval(BROWSER)
    for script in SCRIPTS:
        context.eval((site / "_static" / script).read_text("utf-8"))
    context.eval((site / "searchindex.js").read_text("utf-8"))
    return context


def results(search: Any, query: str) -> list[str]:
    """The pages found, best first."""
    code = f"JSON.stringify(Search._performSearch(...Search._parseQuery({json.dumps(query)})))"
    found = json.loads(search.eval(code))
    return list(dict.fromkeys(result[0] for result in reversed(found)))


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("all test images get the same class", "rules/BN101"),
        ("all predictions same class", "rules/BN101"),
        ("accuracy drops when is_training=False", "rules/BN101"),
        ("moving_mean not updated", "rules/BN101"),
        ("loss low but evaluation bad", "rules/BN101"),
        ("update_ops no effect", "rules/BN102"),
        ("UPDATE_OPS is empty", "rules/BN103"),
        ("control_dependencies has no effect", "rules/BN104"),
        ("predictions depend on the other images", "rules/BN201"),
        ("is_training makes no difference", "rules/BN207"),
        ("accuracy drops after restoring checkpoint", "rules/BN301"),
        ("saver does not save moving_mean", "rules/BN301"),
        ("GradientTape batch norm not updated", "rules/BN209"),
        ("trainable=False has no effect", "rules/BN702"),
        ("BN303", "rules/BN303"),
        ("decay-too-slow", "rules/BN303"),
    ],
)
def test_a_symptom_leads_to_its_rule(search: Any, query: str, page: str) -> None:
    assert results(search, query)[:1] == [page]


def test_test_cases_are_not_found(search: Any) -> None:
    assert not [page for page in results(search, "batch_normalization") if "cases" in page]
