"""What is known of slim.nets equals what TF 1.15.5 builds (fixtures/oracle/networks.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bnlint.analyzer.follow import Trouble, programs
from bnlint.analyzer.project.modules import Project
from bnlint.analyzer.syntax.parse import module_facts
from bnlint.program.events import BatchNorm, FlagKind

RECORD = Path(__file__).parents[3] / "fixtures" / "oracle" / "networks.json"
FACTS: dict[str, dict[str, Any]] = json.loads(RECORD.read_text("utf-8"))
PROGRAM = """
import tensorflow as tf
from tensorflow.contrib import slim
from tensorflow.contrib.slim import nets
x = tf.placeholder(tf.float32, [2, 224, 224, 3])
with slim.arg_scope({scope}):
    y = {call}
with tf.Session() as sess:
    tf.train.Saver().restore(sess, 'model')
    sess.run(y, {{x: images}})
"""


def program_of(case: str) -> str:
    """A program that does what the case was recorded for."""
    what, *mode, how = case.split(", ")
    if what == "conv2d":
        return PROGRAM.format(
            scope="nets.resnet_v1.resnet_arg_scope()", call="slim.conv2d(x, 4, 3)"
        )
    module, _, function = what.partition(".")
    scope = "[]"
    if how == "in its arg scope":
        own = {"vgg": "vgg", "resnet_v1": "resnet", "resnet_v2": "resnet"}.get(module, function)
        scope = f"nets.{module}.{own}_arg_scope()"
    return PROGRAM.format(scope=scope, call=f"nets.{what}({', '.join(['x', '4', *mode])})[0]")


def batch_norms(text: str) -> list[BatchNorm]:
    trouble = Trouble()
    found = list(programs(Project([module_facts(text, "test.py", "test")]), trouble))
    assert trouble == Trouble()
    return found[0].batch_norms if found else []


@pytest.mark.parametrize("case", FACTS)
def test_a_network_has_batch_norms_in_the_mode_of_tensorflow(case: str) -> None:
    facts, norms = FACTS[case], batch_norms(program_of(case))
    assert bool(norms) is bool(facts["batch_norms"])
    modes = {norm.training.kind for norm in norms}
    assert modes <= {FlagKind.TRUE if facts["depends"] else FlagKind.FALSE}
    assert any(norm.has_update_ops for norm in norms) is bool(facts["update_ops"])
