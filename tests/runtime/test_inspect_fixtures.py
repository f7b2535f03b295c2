"""Graphs, checkpoints and Keras files exported from TF 1.15.5 and TF 2.21, broken and fixed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

from bnlint.runtime.inspect import inspect_path

pytestmark = pytest.mark.tensorflow
GRAPHS = Path(__file__).parents[2] / "fixtures" / "graphs"
CASES = sorted(
    path
    for path in GRAPHS.iterdir()
    if path.suffix in (".meta", ".pb", ".pbtxt", ".h5", ".keras")
    or path.name.startswith(("saved", "checkpoint"))
)

# Mistakes that come with the one in the name: the .meta beside a checkpoint shows why nothing was
# updated, and updates that run on serving come from batch norms in training mode.
ALSO = {
    "checkpoint_BN501_trained_without_updates": {"BN101"},
    "checkpoint_BN501_unnamed": {"BN101"},
    "saved_BN108_updates_on_serving": {"BN201"},
}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_the_finding_is_the_one_in_the_name(path: Path) -> None:
    report = inspect_path(str(path))
    assert not any(error.fatal for error in report.errors)
    expected = set(re.findall(r"BN\d{3}", path.name))
    found = {finding.code for finding in report.findings}
    assert found == expected | ALSO.get(path.name, set())


@pytest.mark.parametrize(
    "path", [one for one in CASES if one.suffix in (".meta", ".pb")], ids=lambda path: path.name
)
def test_tensorflows_own_messages_give_the_same(path: Path) -> None:
    """`inspect_path` reads with the classes that TensorBoard ships."""
    from tensorflow.core.framework import graph_pb2
    from tensorflow.core.protobuf import meta_graph_pb2

    import bnlint

    kind = meta_graph_pb2.MetaGraphDef if path.suffix == ".meta" else graph_pb2.GraphDef
    message = kind.FromString(path.read_bytes())
    report = inspect_path(str(path))
    same = bnlint.inspect_graph(message, path=str(path))
    stored = {"BN501", "BN502"}  # constants of frozen graphs, which files alone are asked for
    assert [one for one in report.findings if one.code not in stored] == same.findings
    assert report.train_ops == same.train_ops


def test_graphs_need_no_tensorflow() -> None:
    names = ["BN101_slim.meta", "ok_frozen_inference.pb", "ok_frozen_inference.pbtxt"]
    program = (
        "import sys; from bnlint.runtime.inspect import inspect_path;"
        f"[inspect_path(one) for one in {names}]; assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=GRAPHS, check=True)


@pytest.mark.parametrize("keep", [0, 1, 100, 1000])
def test_a_truncated_graph_is_one_error_that_names_the_file(tmp_path: Path, keep: int) -> None:
    file = tmp_path / "cut.meta"
    file.write_bytes((GRAPHS / "BN101_slim.meta").read_bytes()[:keep])
    report = inspect_path(str(file))
    assert report.exit_code == 2 and not report.findings
    (error,) = report.errors
    assert error.path == str(file) and error.message


def test_no_such_file() -> None:
    assert inspect_path("none.meta").exit_code == 2
