"""pytest plugin: the `assert_batch_norm_healthy` fixture. TensorFlow loads on first use only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bnlint.runtime.report import GraphReport


@pytest.fixture
def assert_batch_norm_healthy() -> Callable[..., GraphReport]:
    """Function `(graph, train_op=None, **options)` that fails the test on batch-norm findings.

    `graph` is a `tf.Graph`, `GraphDef` or `MetaGraphDef`, checked by `bnlint.inspect_graph`,
    which takes the other arguments too; or a Keras model, checked by `bnlint.inspect_model`.
    `ignore` lists rule codes (or their prefixes) that this test accepts. Returns the report.

    Raises:
      TypeError: `graph` is none of these, or a Keras model came with a train op (it has none).
    """
    return _assert_healthy


def _assert_healthy(
    graph: Any, train_op: Any = None, *, ignore: str | Sequence[str] = (), **options: Any
) -> GraphReport:
    __tracebackhide__ = True
    from bnlint.runtime.inspect import inspect_graph, inspect_model

    ignored = (ignore,) if isinstance(ignore, str) else tuple(ignore)
    if hasattr(graph, "layers"):
        if train_op is not None:
            raise TypeError("a Keras model has no train_op")
        report = inspect_model(graph, **options)
    else:
        report = inspect_graph(graph, train_op=train_op, **options)
    problems = [error.message for error in report.errors]
    for finding in report.findings:
        if not finding.code.startswith(ignored):
            place = f"\n    at {finding.location}" if finding.location.node else ""
            problems.append(f"{finding.code} {finding.message}{place}\n    {finding.help}")
    if problems:
        pytest.fail("batch norm is not healthy:\n" + "\n".join(problems), pytrace=False)
    return report
