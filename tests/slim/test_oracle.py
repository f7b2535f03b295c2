"""Reference slim equals tf.contrib.slim of TF 1.15.5 (fixtures/oracle)."""

import importlib.util
import json
from pathlib import Path

import pytest

tf = pytest.importorskip("tensorflow")
np = pytest.importorskip("numpy")
pytestmark = pytest.mark.tensorflow

ORACLE = Path(__file__).parents[2] / "fixtures" / "oracle"
_spec = importlib.util.spec_from_file_location("oracle_cases", ORACLE / "cases.py")
cases = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(cases)
NAMES = json.loads((ORACLE / "names.json").read_text())


@pytest.fixture(scope="module")
def expected():
    with np.load(ORACLE / "values.npz") as arrays:
        return dict(arrays)


@pytest.fixture
def tf1_behaviour():
    """Reference variables and tf.cond of TF 1, on which op names depend."""
    v1 = tf.compat.v1
    v1.disable_resource_variables()
    v1.disable_control_flow_v2()
    yield
    v1.enable_control_flow_v2()
    v1.enable_resource_variables()


def test_grid_is_the_generated_one():
    assert set(NAMES) == set(cases.grid())


@pytest.mark.parametrize("name", sorted(cases.grid()))
def test_equals_contrib_slim(name, expected, tf1_behaviour):
    import bnlint.slim as slim

    case = cases.grid()[name]
    if "error" in NAMES[name]:
        with pytest.raises(Exception) as caught:
            cases.run(tf, slim, case)
        assert type(caught.value).__name__ == NAMES[name]["error"]
        return
    names, values = cases.run(tf, slim, case)
    assert names == NAMES[name]
    wanted = {k.split("|", 1)[1]: v for k, v in expected.items() if k.startswith(name + "|")}
    assert set(values) == set(wanted)
    for key, value in wanted.items():
        np.testing.assert_allclose(values[key], value, rtol=1e-5, atol=1e-5, err_msg=key)
