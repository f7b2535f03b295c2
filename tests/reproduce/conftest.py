"""Every program is run once; all tests look at that run."""

import importlib.util

import pytest

from bnlint.reproduce.programs import all_pairs

collect_ignore = []
if any(importlib.util.find_spec(name) is None for name in ("tensorflow", "sklearn", "tf_keras")):
    collect_ignore += ["test_effects.py", "test_resnet.py"]


@pytest.fixture(scope="session")
def comparisons():
    """code -> Comparison, of all pairs."""
    from bnlint.reproduce.runner import reproduce

    done = reproduce(list(all_pairs().values()))
    return {one.pair.code: one for one in done}
