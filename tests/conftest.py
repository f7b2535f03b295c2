"""A cache folder for the tests alone, and Dask clusters for every part that can use one."""

import os
import tempfile
from collections.abc import Iterator

import pytest

from bnlint.execution.dask_executor import Dask

# The commands that tests start inherit it; the user's own cache is left alone.
_CACHES = tempfile.TemporaryDirectory(prefix="bnlint-tests-")
os.environ["XDG_CACHE_HOME"] = _CACHES.name


@pytest.fixture
def cluster() -> Iterator[Dask]:
    pytest.importorskip("distributed")
    engine = Dask(jobs=2)
    yield engine
    engine.close()


@pytest.fixture
def strict_cluster() -> Iterator[Dask]:
    """One death gives a task up: every restart of a worker takes seconds."""
    pytest.importorskip("distributed")
    import dask

    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        engine = Dask(jobs=1)
        yield engine
        engine.close()
