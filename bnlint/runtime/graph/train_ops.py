"""Find the train ops of a graph: what writes variables by their gradients."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bnlint.runtime.graph.table import ASSIGN_OPS, Graph

# Every kernel of TensorFlow's `training_ops` (ApplyAdam, ResourceSparseApplyAdagrad, ...), and
# what takes gradients in for SyncReplicasOptimizer.
OPTIMIZER_OP = re.compile(
    r"(Resource)?(Sparse)?Apply[A-Z]\w*|(Resource|Sparse)?AccumulatorApplyGradient"
)
_WRITE_OP = re.compile(r"(Resource)?Scatter(Nd)?(Add|Sub|Update)")
# `tf.gradients` and GradientTape name the scopes of what they add. Kernels that only gradients
# have tell them where a scope was renamed.
_GRADIENT_SCOPE = re.compile(r"(^|/)(gradients(_\d+)?|gradient_tape)/")
_GRADIENT_OP = re.compile(r"\w+Grad(V\d)?|Conv\dDBackpropFilter(V2)?|\w+BackpropFilter")
_TRAIN_OP = "train_op"
_TRAINABLE = "trainable_variables"


@dataclass
class Optimization:
    """Where a graph trains.

    Attributes:
      writes: ids of the ops that write trained variables, or collect gradients for that.
      trained: ids of the variables that they train.
      sources: ids of everything that the written values are computed from.
    """

    writes: set[int] = field(default_factory=set)
    trained: set[int] = field(default_factory=set)
    sources: set[int] = field(default_factory=set)


def find_optimization(graph: Graph, updates: Iterable[int] = ()) -> Optimization:
    """The optimizer kernels of a graph, and the assignments of values that gradients gave.

    The latter are optimizers written in Python (AdaMax, Shampoo, BERT's, Keras 3's), by hand
    (`v.assign_sub(rate * gradient)`), and the sums of gradients over several steps.

    Args:
      graph: the graph.
      updates: ids of ops that write moving statistics, which is no training.
    """
    kernels = {number for number, node in enumerate(graph.nodes) if OPTIMIZER_OP.fullmatch(node.op)}
    found = Optimization(set(kernels))
    seeds = [number for number, node in enumerate(graph.nodes) if _is_gradient(graph, number)]
    if seeds:
        model = _trainable(graph, seeds)
        from_gradients = _from_gradients(graph, seeds, model)
        written = {
            number: target
            for number in set(_assignments(graph)).difference(updates)
            if any(from_gradients[source] for source, _ in graph.nodes[number].inputs[1:])
            and (target := graph.variable(graph.nodes[number].inputs[0])) is not None
        }
        found.writes |= {number for number, target in written.items() if target in model}
        read = _sources(graph, _values(graph, found.writes))
        found.writes |= {number for number, target in written.items() if target in read}
        found.trained |= {target for target in written.values() if target in model}
    targets = (graph.variable(edge) for one in kernels for edge in graph.nodes[one].inputs[:1])
    found.trained |= {target for target in targets if target is not None}
    found.sources = _sources(graph, _values(graph, found.writes))
    return found


def find_train_ops(graph: Graph, optimization: Optimization | None = None) -> list[int]:
    """The main graph's ops that train and that nothing else waits for.

    `minimize` and `apply_gradients` group what they write under one op; what users group,
    count or average on top of it is followed, so the op found is the one a program fetches.
    The collection `train_op`, which TensorFlow's optimizers and slim fill, has those of optimizers
    that are not recognized.
    """
    if optimization is None:
        optimization = find_optimization(graph)
    members = (name.split(":")[0] for name in graph.collections.get(_TRAIN_OP, ()))
    listed = {graph.index["", name] for name in members if ("", name) in graph.index}
    return _tops(graph, optimization.writes | listed)


def _tops(graph: Graph, writes: set[int]) -> list[int]:
    queue, seen = list(writes), set(writes)
    tops: list[int] = []
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
    return sorted(_users(graph, tops))


def _users(graph: Graph, tops: list[int]) -> list[int]:
    """Without what is no train op of its own: loose ends of gradients that were made to wait for
    another train op, the queue of tokens that SyncReplicasOptimizer fills, and summaries.
    """
    meant = [
        one
        for one in tops
        if not _GRADIENT_SCOPE.search(graph.nodes[one].name)
        and not graph.nodes[one].op.startswith("QueueEnqueue")
        and "Summary" not in graph.nodes[one].op
    ]
    return meant or tops


# --- gradients -----------------------------------------------------------------------------


def _is_gradient(graph: Graph, number: int) -> bool:
    node = graph.nodes[number]
    named = _GRADIENT_SCOPE.search(node.name) or _GRADIENT_SCOPE.search(f"{node.function}/")
    return bool(named or _GRADIENT_OP.fullmatch(node.op))


def _assignments(graph: Graph) -> Iterator[int]:
    for number, node in enumerate(graph.nodes):
        if len(node.inputs) >= 2 and (node.op in ASSIGN_OPS or _WRITE_OP.fullmatch(node.op)):
            yield number


def _sources(graph: Graph, starts: Iterable[int]) -> set[int]:
    """What the values of `starts` are computed from, over data edges and calls."""
    seen, queue = set(starts), list(starts)
    while queue:
        node = graph.nodes[queue.pop()]
        before = [source for source, _ in node.inputs]
        for _, name in node.calls:
            before += [source for source, _ in graph.functions[name].returns]
        if node.op == "_Arg":
            before += graph.functions[node.function].callers
        fresh = [one for one in before if one not in seen]
        seen.update(fresh)
        queue += fresh
    return seen


def _trainable(graph: Graph, gradients: Iterable[int]) -> set[int]:
    """The variables that what is differentiated depends on; of these the collection of trainable
    variables names the ones that count, where there is such a collection.
    """
    variables = {one for one in _sources(graph, gradients) if graph.is_variable(one)}
    listed = set(graph.collections.get(_TRAINABLE, ()))
    chosen = {one for one in variables if graph.nodes[one].name in listed}
    return chosen if listed else variables


def _from_gradients(graph: Graph, seeds: Iterable[int], model: set[int]) -> bytearray:
    """1 for every node whose value comes from a gradient. Trained variables do not hand that on:
    what reads them is the network. Sums of gradients and an optimizer's slots do.
    """
    hit = bytearray(len(graph.nodes))
    queue = list(seeds)
    for seed in queue:
        hit[seed] = 1
    while queue:
        number = queue.pop()
        for one in _receivers(graph, number, model):
            if not hit[one]:
                hit[one] = 1
                queue.append(one)
    return hit


def _receivers(graph: Graph, number: int, model: set[int]) -> Iterator[int]:
    node = graph.nodes[number]
    if node.function:
        function = graph.functions[node.function]
        if any(source == number for source, _ in function.returns):
            yield from function.callers
    for reader in graph.consumers[number]:
        after = graph.nodes[reader]
        ports = [port for port, (source, _) in enumerate(after.inputs) if source == number]
        if not ports:
            continue
        writes = after.op in ASSIGN_OPS or _WRITE_OP.fullmatch(after.op)
        if not writes:
            yield reader
            for _, name in after.calls:
                yield from _arguments(graph, name, reader, number)
        elif ports != [0]:
            target = graph.variable(after.inputs[0])
            yield from () if target is None or target in model else (target, reader)


def _arguments(graph: Graph, name: str, caller: int, source: int) -> Iterator[int]:
    for argument in graph.functions[name].args:
        if any(edge[0] == source for edge in graph.passes((argument, 0))):
            yield argument


def _values(graph: Graph, writes: Iterable[int]) -> list[int]:
    """What is written, or what it is computed from."""
    return [source for one in writes for source, _ in graph.nodes[one].inputs[1:]]


# --- names ---------------------------------------------------------------------------------


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
