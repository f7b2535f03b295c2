"""What the rules say about Keras is what was recorded of it (fixtures/oracle/keras)."""

import json
import re
import sys
from pathlib import Path

import pytest

from bnlint.analyzer.apis.keras import APPLICATIONS, WITHOUT_BATCH_NORM
from bnlint.analyzer.apis.keras_libraries import names_batch_norm

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "fixtures" / "oracle" / "keras"
KERASES = ("tf1", "tf1_v2", "tf_keras", "keras3")
CITING = [
    *(ROOT / "rules").glob("bn*.py"),
    ROOT / "bnlint" / "program" / "keras.py",
    *(ROOT / "bnlint" / "analyzer" / "apis").glob("keras*.py"),
]
# (row, what happens on TF 1.15 in a graph, tf-keras 2.21, Keras 3.15): S the moving statistics
# change, B a row's output depends on its batch, W gamma or beta change, - nothing of these.
FACTS = [
    # a training step without the flag, and what fit does by itself
    ("functional | training none | frozen no | phase no | tape, model(x)", "", "W", "W"),
    ("functional | training none | frozen no | phase no | fit", "SBW", "SBW", "SBW"),
    ("functional | training none | frozen no | phase no | predict", "-", "-", "-"),
    # an evaluation in training mode updates the statistics, too
    (
        "functional | training none | frozen no | phase no | model(x, training=True)",
        "B", "SB", "SB",
    ),
    # a flag written into a functional model: Keras 3 overrides it, except in model(x) and exports
    ("functional | training true | frozen no | phase no | predict", "B", "SB", "-"),
    ("functional | training true | frozen no | phase no | model(x)", "B", "SB", "SB"),
    ("functional | training true | frozen no | phase no | export", "B", "SB", "SB"),
    ("functional | training false | frozen no | phase no | fit", "W", "W", "SBW"),
    # the learning phase, where the network is built
    ("functional | training none | frozen no | phase 1 before the model | predict", "B", "-", ""),
    ("functional | training none | frozen no | phase 1 before the model | tape, model(x)",
     "", "SBW", ""),
    # a frozen layer
    ("functional | training none | frozen layer, before compile | phase no | tape, model(x)",
     "", "-", "-"),
    # a layer in a graph that a session trains
    ("layer in a TF 1 graph | trainable True | training not passed | layer.updates",
     "-", "-", "-"),
    ("layer in a TF 1 graph | trainable True | training learning_phase() fed 1 | layer.updates",
     "SB", "SB", "AttributeError"),
    ("layer in a TF 1 graph | trainable True | training True | UPDATE_OPS", "B", "B", "B"),
]  # fmt: skip


@pytest.fixture(scope="module")
def rows() -> dict[str, list[str]]:
    sys.path.insert(0, str(ROOT / "fixtures"))
    try:
        from oracle.keras import table
    finally:
        sys.path.pop(0)
    return dict(table.rows())


@pytest.mark.parametrize(("row", "tf1", "tf_keras", "keras3"), FACTS)
def test_recorded(
    rows: dict[str, list[str]], row: str, tf1: str, tf_keras: str, keras3: str
) -> None:
    cells = dict(zip(KERASES, rows[row], strict=True))
    assert (cells["tf1"], cells["tf_keras"], cells["keras3"]) == (tf1, tf_keras, keras3)


def test_every_cited_row_exists(rows: dict[str, list[str]]) -> None:
    cited = [
        " ".join(quoted.split())
        for file in CITING
        for quoted in re.findall(r'"([a-z][^"\n]* \| [^"]*)"', file.read_text("utf-8"))
    ]
    assert cited
    missing = [
        quoted
        for quoted in cited
        if not any(all(part in row for part in quoted.split(" | ")) for row in rows)
    ]
    assert not missing


@pytest.mark.parametrize("name", ["tf1", "tf_keras", "keras3"])
def test_networks_with_batch_norm(name: str) -> None:
    counts = json.loads((RECORD / f"applications_{name}.json").read_text())
    assert counts.keys() <= set(APPLICATIONS)
    for network, count in counts.items():
        assert (count == 0) is network.startswith(WITHOUT_BATCH_NORM), network


def test_networks_of_libraries() -> None:
    """Names that say batch norm are those of families that have it, or contain such a one's."""
    for library, networks in json.loads((RECORD / "libraries.json").read_text()).items():
        having = {name for name, has_norms in networks.items() if has_norms}
        named = {name for name in networks if names_batch_norm(name)}
        wrong = {name for name in named - having if not any(one in name for one in having)}
        assert not wrong, library
        assert len(named & having) >= 0.8 * len(having), library


def test_every_network_is_recorded() -> None:
    files = RECORD.glob("applications_*.json")
    recorded = {name for file in files for name in json.loads(file.read_text())}
    assert recorded == set(APPLICATIONS)
