"""Reference slim equals tf.contrib.slim of TF 1.15.5 (fixtures/oracle)."""

import functools
import importlib
import json
import sys
from pathlib import Path

import pytest

tf = pytest.importorskip("tensorflow")
np = pytest.importorskip("numpy")
pytestmark = pytest.mark.tensorflow

FIXTURES = Path(__file__).parents[2] / "fixtures"
if str(FIXTURES) not in sys.path:
    sys.path.append(str(FIXTURES))

FAMILIES = ["api", "batch_norm", "errors", "layers", "losses", "training", "variables"]
TOLERANCE = {"float16": 2e-3}
# With TF 2's control flow and variables, ops have other names and these collections
# hold reads of variables: there only the numbers of their members are compared.
NAMED_AFTER_OPS = {"update_ops", "my_updates", "more_updates", "train_op", "ends", "more_ends"}


@functools.cache
def family(name):
    """(module, facts, arrays) of a family, as recorded."""
    module = importlib.import_module(f"oracle.{name}")
    facts = json.loads((FIXTURES / "oracle" / f"{name}.json").read_text())
    path = FIXTURES / "oracle" / f"{name}.npz"
    arrays = {case: {} for case in facts}
    if path.exists():
        with np.load(path) as stored:
            for key in stored.files:
                case, _, label = key.partition("|")
                arrays[case][label] = stored[key]
    return module, facts, arrays


@pytest.fixture
def tf1_behavior():
    """What `disable_v2_behavior` sets for graphs; op names depend on it."""
    v1 = tf.compat.v1
    v1.disable_resource_variables()
    v1.disable_control_flow_v2()
    v1.disable_v2_tensorshape()
    yield
    v1.enable_v2_tensorshape()
    v1.enable_control_flow_v2()
    v1.enable_resource_variables()


def all_cases():
    return [
        (name, case)
        for name in FAMILIES
        for case in importlib.import_module(f"oracle.{name}").CASES
    ]


@pytest.mark.parametrize("name", FAMILIES)
def test_recorded_cases_are_the_present_ones(name):
    module, facts, _ = family(name)
    assert set(facts) == set(module.CASES)


@pytest.mark.parametrize(("name", "case"), all_cases())
def test_equals_contrib_slim(name, case, tf1_behavior):
    import bnlint.slim as slim

    module, facts, arrays = family(name)
    found, values = as_recorded(module.run(tf, slim, module.CASES[case]), facts[case])
    assert found == facts[case]
    assert_close(values, arrays[case])


@pytest.mark.parametrize(("name", "case"), all_cases())
def test_equals_contrib_slim_with_tf2_variables(name, case):
    import bnlint.slim as slim

    module, facts, arrays = family(name)
    found, values = as_recorded(module.run(tf, slim, module.CASES[case]), facts[case])
    assert portable(found) == portable(facts[case])
    assert_close(values, arrays[case])


def as_recorded(result, facts):
    """`result` as it looks in the files; without numbers when TF 1.15 had no CPU kernel."""
    found, values = result
    found = json.loads(json.dumps(found))
    if facts.get("runs") is False:
        return {**found, "runs": False}, {}
    return found, values


def portable(facts):
    """`facts` without the names that depend on the kind of variables and conditions."""
    kept = {key: value for key, value in facts.items() if key not in ("output", "after")}
    if "collections" in kept:
        kept["collections"] = {
            key: len(members) if key in NAMED_AFTER_OPS else members
            for key, members in kept["collections"].items()
        }
    return kept


def assert_close(values, wanted):
    assert set(values) == set(wanted)
    for key, value in wanted.items():
        tolerance = TOLERANCE.get(str(value.dtype), 1e-5)
        np.testing.assert_allclose(values[key], value, rtol=tolerance, atol=tolerance, err_msg=key)
