"""Find the train ops of a graph: the ops that run an optimizer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bnlint.runtime.graph.table import Graph

# ApplyAdam, ResourceApplyMomentum, ResourceSparseApplyAdagrad, SparseApplyFtrl, ...: the
# optimizer kernels of TensorFlow's `training_ops`.
OPTIMIZER_OP = re.compile(
    r"(Resource)?(Sparse)?Apply(GradientDescent|ProximalGradientDescent|Adadelta|Adagrad\w*"
    r"|ProximalAdagrad|Ftrl\w*|Momentum|KerasMomentum|Adam\w*|RMSProp|CenteredRMSProp"
    r"|AddSign|PowerSign)(V2)?"
)


def find_train_ops(graph: Graph) -> list[int]:
    """The main graph's ops that run an optimizer and that nothing else waits for.

    `minimize` and `apply_gradients` group their kernels under one op; what users group,
    count or average on top of it is followed, so the op found is the one a program fetches.
    """
    queue = [number for number, node in enumerate(graph.nodes) if OPTIMIZER_OP.fullmatch(node.op)]
    seen, tops = set(queue), []
    while queue:
        number = queue.pop()
        node = graph.nodes[number]
        # What only reads a variable that has been trained does not train.
        after = [one for one in graph.consumers[number] if graph.nodes[one].op != "ReadVariableOp"]
        if node.function:
            after += graph.functions[node.function].callers
        elif not after:
            tops.append(number)
        fresh = [one for one in after if one not in seen]
        seen.update(fresh)
        queue += fresh
    return sorted(tops)


def named_nodes(graph: Graph, wanted: Any) -> list[int]:
    """Ids of ops, tensors or names; of nested sequences and mappings, of all they hold.

    Raises:
      UnknownNode: the graph has no such op.
      TypeError: it is nothing that has a name.
    """
    if wanted is None:
        return []
    if isinstance(wanted, Mapping):
        return named_nodes(graph, list(wanted.values()))
    if isinstance(wanted, str) or hasattr(wanted, "name"):
        return [graph.find(wanted if isinstance(wanted, str) else _name_of(wanted))]
    if isinstance(wanted, Iterable):
        return [number for one in wanted for number in named_nodes(graph, one)]
    raise TypeError(f"{wanted!r} is no operation, tensor or name")


def _name_of(fetch: Any) -> str:
    """A variable's value lies in its read op, but its name is its handle's: both run it."""
    if not isinstance(fetch.name, str):
        raise TypeError(f"{fetch!r} is no operation, tensor or name")
    return fetch.name
