"""Find the batch norms of a graph: fused ops and `tf.nn.batch_normalization` arithmetic.

A batch norm is told from layer, instance and group norm by its moving statistics: it reads
them, or an op assigns a variable from its batch statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from bnlint.runtime.graph.table import ASSIGN_OPS, IF_OPS, MERGE_OPS, Edge, Graph, array_value
from bnlint.runtime.moving_statistics import Statistics
from bnlint.runtime.report import BatchNormInfo, Kind, Mode

FUSED_OPS = frozenset(
    {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "_FusedBatchNormEx"}
)
_SWITCH_OPS = frozenset({"Switch", "RefSwitch"})
_SELECT_OPS = frozenset({"Select", "SelectV2"})
_ADD_OPS = frozenset({"Add", "AddV2"})
_SHIFTS = _ADD_OPS | {"BiasAdd"}
_DIVISIONS = frozenset({"RealDiv", "Div"})
# What may lie between batch statistics and the assignment of the moving ones: arithmetic of a
# moving average, of an unbiased variance and of a debiased mean.
_AVERAGING_OPS = (
    frozenset(["Mul", "Sub", "Add", "AddV2", "AddN", "Neg", "RealDiv", "Div"]) | ASSIGN_OPS
)
_AVERAGING_STEPS = 64
_FUSED_EPSILON = 1e-4  # default of the ops' `epsilon` attribute in TensorFlow's op registry

Statistic = Literal["mean", "variance"]
_BOTH: tuple[Statistic, Statistic] = ("mean", "variance")


@dataclass(slots=True)
class BatchNorm:
    """A batch norm in the node table.

    Attributes:
      node: the op that names it.
      kind, mode, epsilon, decay: as in BatchNormInfo.
      input: the normalized edge.
      scale, offset: edges of gamma and beta; None where there is none.
      training: nodes that normalize with batch statistics when they run.
      inference: nodes that normalize with moving statistics when they run.
      predicate: what decides between the two; `train_when` is its value in training.
      batch: edges of the batch statistics.
      moving: ids of the moving statistics' variables (Consts in a frozen graph).
      updates: ids of the ops that assign each moving statistic.
    """

    node: int
    kind: Kind
    input: Edge
    mode: Mode = "unknown"
    epsilon: float | None = None
    decay: float | None = None
    scale: Edge | None = None
    offset: Edge | None = None
    training: tuple[int, ...] = ()
    inference: tuple[int, ...] = ()
    predicate: Edge | None = None
    train_when: bool = True
    batch: dict[Edge, Statistic] = field(default_factory=dict)
    moving: dict[Statistic, int] = field(default_factory=dict)
    updates: dict[Statistic, list[int]] = field(default_factory=dict)

    @property
    def nodes(self) -> tuple[int, ...]:
        return self.training + self.inference

    @property
    def update_ops(self) -> list[int]:
        return sorted({op for ops in self.updates.values() for op in ops})


def find_batch_norms(graph: Graph) -> list[BatchNorm]:
    """Every batch norm of the graph, in graph order, with its updates."""
    cores = [*_fused(graph), *_unfused(graph), *_divided(graph)]
    _find_updates(graph, cores)
    kept = _live(graph, [one for one in cores if one.moving or _learns_per_channel(graph, one)])
    for one in kept:
        _settle_mode(graph, one)
    return sorted(kept, key=lambda one: one.node)


def _live(graph: Graph, found: list[BatchNorm]) -> list[BatchNorm]:
    """Those of the main graph and of the functions that it calls. A library also holds other
    traces of the same functions (without gradients, for training); they count when it is all
    there is.
    """
    called = graph.called_functions()
    live = [one for one in found if graph.nodes[one.node].function in called]
    return live or found


def describe(graph: Graph, one: BatchNorm) -> BatchNormInfo:
    """The public description of a batch norm."""
    switch, default = "", None
    if one.predicate is not None:
        switch = graph.tensor_name(one.predicate)
        value = default_value(graph, one.predicate)
        default = None if value is None else value == one.train_when
    return BatchNormInfo(
        name=graph.nodes[one.node].name,
        kind=one.kind,
        mode=one.mode,
        switch=switch if one.mode == "switched" else "",
        default=default if one.mode == "switched" else None,
        moving_mean=_name(graph, one.moving.get("mean")),
        moving_variance=_name(graph, one.moving.get("variance")),
        update_ops=tuple(graph.label(op) for op in one.update_ops),
        gamma=_parameter(graph, one.scale),
        beta=_parameter(graph, one.offset),
        input=graph.tensor_name(one.input),
        epsilon=one.epsilon,
        decay=one.decay,
        function=graph.nodes[one.node].function,
    )


def constant_statistics(graph: Graph, one: BatchNorm) -> Statistics | None:
    """The statistics of a frozen graph's batch norm; None where they are no constants."""
    mean, variance = (_constant(graph, one.moving.get(which)) for which in _BOTH)
    if mean is None or variance is None:
        return None
    edges = (one.scale, one.offset)
    gamma, beta = (_constant(graph, edge and graph.strip(edge)[0]) for edge in edges)
    return Statistics(graph.nodes[one.node].name, mean, variance, gamma, beta)


def _constant(graph: Graph, number: int | None) -> Any:
    if number is None or graph.nodes[number].op != "Const":
        return None
    return array_value(graph.nodes[number].tensor)


def default_value(graph: Graph, predicate: Edge) -> bool | None:
    """What a predicate is when nothing feeds it; None when it must be fed or can change."""
    node = graph.nodes[predicate[0]]
    if node.op == "PlaceholderWithDefault" and node.inputs:
        value = graph.scalar(node.inputs[0])
    else:
        value = graph.scalar(predicate)
    return None if value is None else bool(value)


def _name(graph: Graph, variable: int | None) -> str:
    return "" if variable is None else graph.variable_name(variable)


def _parameter(graph: Graph, edge: Edge | None) -> str:
    return "" if edge is None else _name(graph, graph.variable(edge))


def _learns_per_channel(graph: Graph, one: BatchNorm) -> bool:
    """It has a gamma or beta variable (in a frozen graph, a constant), and its statistics are those
    of a batch. Layer and group norm run the fused op over ones and zeros: their parameters do not
    fit its channels; without the op they average over other axes.
    """
    affine = [graph.strip(edge)[0] for edge in (one.scale, one.offset) if edge is not None]
    if one.kind == "fused":
        return any(_is_parameter(graph, number) for number in affine)
    over_batch = bool(one.batch) and all(_averages_batch(graph, edge) for edge in one.batch)
    return over_batch and any(_is_stored(graph, number) for number in affine)


def _is_parameter(graph: Graph, number: int) -> bool:
    named = graph.nodes[number].name.rpartition("/")[2] in ("gamma", "beta")
    return graph.is_variable(number) or (graph.nodes[number].op == "Const" and named)


def _averages_batch(graph: Graph, edge: Edge) -> bool:
    """A mean over the examples of a batch, as the first axis: what no other normalization has."""
    node = graph.nodes[edge[0]]
    if node.op != "Mean" or len(node.inputs) != 2:
        return False
    axes = graph.nodes[graph.strip(node.inputs[1])[0]]
    values = array_value(axes.tensor) if axes.op == "Const" else None
    return values is not None and bool((values == 0).any())


# --- fused ---------------------------------------------------------------------------------


def _fused(graph: Graph) -> Iterator[BatchNorm]:
    """Fused batch norms; the two ops of a conditional on is_training make one."""
    waiting: dict[tuple[Edge, Edge, int | None], BatchNorm] = {}
    for number, node in enumerate(graph.nodes):
        if node.op not in FUSED_OPS or len(node.inputs) < 5:
            continue
        one = _fused_core(graph, number)
        branch = _branch(graph, number)
        if branch is None:
            yield one
            continue
        (root, inverted), taken = _root(graph, branch[0]), branch[1]
        one.predicate = root
        one.train_when = (taken != inverted) == bool(one.training)
        key = (graph.strip(one.input), root, graph.variable(node.inputs[2]))
        other = waiting.get(key)
        if other is None or bool(other.training) == bool(one.training):
            if other is not None:
                yield _without_predicate(other)
            waiting[key] = one
        else:
            del waiting[key]
            yield _joined(one, other)
    yield from (_without_predicate(one) for one in waiting.values())


def _fused_core(graph: Graph, number: int) -> BatchNorm:
    node = graph.nodes[number]
    data, scale, offset, mean, variance = node.inputs[:5]
    training = bool(node.attrs.get("is_training", True))
    one = BatchNorm(
        number,
        "fused",
        data,
        mode="train" if training else "infer",
        epsilon=node.attrs.get("epsilon", _FUSED_EPSILON),
        scale=scale,
        offset=offset,
        training=(number,) if training else (),
        inference=() if training else (number,),
    )
    if training:
        one.batch = {(number, 1): "mean", (number, 2): "variance"}
    else:
        _set_moving(graph, one, "mean", mean)
        _set_moving(graph, one, "variance", variance)
    return one


def _set_moving(graph: Graph, one: BatchNorm, which: Statistic, edge: Edge) -> None:
    sources = {number for number, _ in graph.leaves(edge) if _is_stored(graph, number)}
    if len(sources) == 1:
        one.moving[which] = sources.pop()


def _is_stored(graph: Graph, number: int) -> bool:
    return graph.is_variable(number) or graph.nodes[number].op == "Const"


def _joined(first: BatchNorm, second: BatchNorm) -> BatchNorm:
    """One batch norm of the training and the inference op of a conditional."""
    train, infer = (first, second) if first.training else (second, first)
    train.mode = "switched"
    train.node = min(train.node, infer.node)
    train.inference, train.moving = infer.inference, infer.moving
    return train


def _without_predicate(one: BatchNorm) -> BatchNorm:
    """A conditional about something else than training."""
    one.predicate = None
    return one


def _branch(graph: Graph, number: int) -> tuple[Edge, bool] | None:
    """The innermost condition under which a node runs, and the value it needs."""
    for edge in graph.nodes[number].inputs[:3]:
        source = graph.nodes[edge[0]]
        if source.op in _SWITCH_OPS and len(source.inputs) == 2:
            return source.inputs[1], edge[1] == 1
    return _calling_branch(graph, graph.nodes[number].function)


def _calling_branch(graph: Graph, function: str) -> tuple[Edge, bool] | None:
    for _ in range(len(graph.functions)):
        if not function or len(graph.functions[function].callers) != 1:
            return None
        caller = graph.nodes[graph.functions[function].callers[0]]
        if caller.op in IF_OPS and caller.inputs:
            return caller.inputs[0], ("then_branch", function) in caller.calls
        function = caller.function
    return None


def _root(graph: Graph, predicate: Edge) -> tuple[Edge, bool]:
    """Where a predicate comes from, and whether it is negated on the way."""
    inverted = False
    for _ in range(16):
        predicate = graph.strip(predicate)
        node = graph.nodes[predicate[0]]
        if node.op == "LogicalNot" and node.inputs:
            inverted = not inverted
        elif node.op != "ToBool" or not node.inputs:
            break
        predicate = node.inputs[0]
    return predicate, inverted


# --- unfused -------------------------------------------------------------------------------


def _unfused(graph: Graph) -> Iterator[BatchNorm]:
    """`x * inv + (beta - mean * inv)` with `inv = rsqrt(variance + epsilon) * gamma`, as
    `tf.nn.batch_normalization` writes it.
    """
    for number, node in enumerate(graph.nodes):
        if node.op != "Rsqrt" or not node.inputs:
            continue
        variance = _plus_epsilon(graph, node.inputs[0])
        if variance is None:
            continue
        for scaled, gamma in _scaled(graph, number):
            one = _affine(graph, scaled)
            if one is not None:
                one.epsilon, one.scale = variance[1], gamma
                yield _with_statistics(graph, one, variance[0])
                break


def _divided(graph: Graph) -> Iterator[BatchNorm]:
    """`(x - mean) / sqrt(variance + epsilon) * gamma + beta`, in the orders people write it."""
    for number, node in enumerate(graph.nodes):
        if node.op not in ("Sqrt", "Rsqrt") or not node.inputs:
            continue
        variance = _plus_epsilon(graph, node.inputs[0])
        if variance is None:
            continue
        for quotient, centered, gamma in _quotients(graph, number):
            total, scale, offset = _scale_and_shift(graph, quotient, gamma)
            data, mean = graph.nodes[centered].inputs
            one = BatchNorm(total, "unfused", data, scale=scale, offset=offset)
            one.epsilon = variance[1]
            _read_statistic(graph, one, "mean", mean)
            yield _with_statistics(graph, one, variance[0])


def _quotients(graph: Graph, root: int) -> Iterator[tuple[int, int, Edge | None]]:
    """(what is normalized, `x - mean`, gamma if it is in there) where `root` is divided by."""
    if graph.nodes[root].op == "Rsqrt":
        for factor, gamma in [(root, None), *_scaled(graph, root)]:
            for reader in _readers(graph, factor):
                other = _other_input(graph, reader, factor)
                if graph.nodes[reader].op == "Mul" and other and _is_difference(graph, other[0]):
                    yield reader, other[0], gamma
        return
    for reader in _readers(graph, root):
        node = graph.nodes[reader]
        if node.op in _DIVISIONS and _other_input(graph, reader, root) == node.inputs[0]:
            yield from ((reader, *one) for one in _numerators(graph, node.inputs[0]))


def _numerators(graph: Graph, edge: Edge) -> Iterator[tuple[int, Edge | None]]:
    """(`x - mean`, gamma) of `x - mean` or `gamma * (x - mean)`."""
    number = graph.strip(edge)[0]
    if _is_difference(graph, number):
        yield number, None
    elif graph.nodes[number].op == "Mul" and len(graph.nodes[number].inputs) == 2:
        left, right = graph.nodes[number].inputs
        for centered, gamma in ((left, right), (right, left)):
            if _is_difference(graph, centered[0]):
                yield centered[0], gamma


def _is_difference(graph: Graph, number: int) -> bool:
    node = graph.nodes[number]
    return node.op == "Sub" and len(node.inputs) == 2


def _scale_and_shift(
    graph: Graph, number: int, gamma: Edge | None
) -> tuple[int, Edge | None, Edge | None]:
    """The last op, gamma and beta of a normalized value that is scaled and then shifted."""
    if gamma is None:
        for reader in _readers(graph, number):
            other = _other_input(graph, reader, number)
            if graph.nodes[reader].op == "Mul" and _holds_parameter(graph, other):
                number, gamma = reader, other
                break
    for reader in _readers(graph, number):
        other = _other_input(graph, reader, number)
        if graph.nodes[reader].op in _SHIFTS and _holds_parameter(graph, other):
            return reader, gamma, other
    return number, gamma, None


def _holds_parameter(graph: Graph, edge: Edge | None) -> bool:
    return edge is not None and _is_stored(graph, graph.strip(edge)[0])


def _plus_epsilon(graph: Graph, edge: Edge) -> tuple[Edge, float] | None:
    node = graph.nodes[edge[0]]
    if node.op not in _ADD_OPS or len(node.inputs) != 2:
        return None
    for variance, constant in (node.inputs, node.inputs[::-1]):
        epsilon = graph.scalar(constant)
        if epsilon is not None:
            return variance, epsilon
    return None


def _readers(graph: Graph, number: int) -> Iterator[int]:
    """Nodes that read a node's first output, past casts to the input's type."""
    for reader in graph.consumers[number]:
        if graph.nodes[reader].op == "Cast":
            yield from graph.consumers[reader]
        else:
            yield reader


def _other_input(graph: Graph, number: int, source: int) -> Edge | None:
    """The second operand of a binary op that reads `source`, past casts."""
    inputs = graph.nodes[number].inputs
    if len(inputs) != 2:
        return None
    for mine, other in (inputs, inputs[::-1]):
        at = graph.nodes[mine[0]]
        if mine[0] == source or (at.op == "Cast" and at.inputs[:1] == ((source, 0),)):
            return other
    return None


def _scaled(graph: Graph, rsqrt: int) -> Iterator[tuple[int, Edge | None]]:
    yield rsqrt, None
    for reader in _readers(graph, rsqrt):
        if graph.nodes[reader].op == "Mul":
            yield reader, _other_input(graph, reader, rsqrt)


def _affine(graph: Graph, inv: int) -> BatchNorm | None:
    products = [one for one in _readers(graph, inv) if graph.nodes[one].op == "Mul"]
    for product in products:
        for shift in _readers(graph, product):
            found = _shift_of(graph, shift, product)
            mean = _other_input(graph, product, inv)
            if found is None or mean is None:
                continue
            for total in _readers(graph, shift):
                scaled = _other_input(graph, total, shift)
                if graph.nodes[total].op not in _ADD_OPS or scaled is None:
                    continue
                data = _other_input(graph, scaled[0], inv) if scaled[0] in products else None
                if data is not None:
                    one = BatchNorm(total, "unfused", data, offset=found[0])
                    _read_statistic(graph, one, "mean", mean)
                    return one
    return None


def _shift_of(graph: Graph, shift: int, product: int) -> tuple[Edge | None] | None:
    """(beta,) of `beta - product` or (None,) of `-product`; None when it is neither."""
    node = graph.nodes[shift]
    if node.op == "Neg":
        return (None,)
    if node.op == "Sub" and len(node.inputs) == 2 and node.inputs[0][0] != product:
        return (node.inputs[0],)
    return None


def _with_statistics(graph: Graph, one: BatchNorm, variance: Edge) -> BatchNorm:
    _read_statistic(graph, one, "variance", variance)
    if one.mode in ("train", "switched"):
        one.training = (one.node,)
    else:
        one.inference = (one.node,)
    return one


def _read_statistic(graph: Graph, one: BatchNorm, which: Statistic, edge: Edge) -> None:
    """Note where a mean or variance comes from: the batch, a variable, or one of both."""
    _set_moving(graph, one, which, edge)
    for leaf in graph.leaves(edge):
        if not _is_stored(graph, leaf[0]):
            one.batch[leaf] = which
    if which == "mean":
        one.mode = _statistic_mode(graph, edge)
        choice = _choice(graph, edge)
        if one.mode == "switched" and choice is not None:
            one.predicate, inverted = _root(graph, choice[0])
            one.train_when = (_statistic_mode(graph, choice[1]) == "train") != inverted


def _statistic_mode(graph: Graph, edge: Edge, depth: int = 4) -> Mode:
    """Where the mean comes from, and so in which mode the batch norm runs. Conditionals within
    conditionals are followed `depth` deep: nothing keeps a graph from having them in circles.
    """
    leaves = graph.leaves(edge)
    stored = {_is_stored(graph, number) for number, _ in leaves}
    if any(graph.nodes[number].op in ("Placeholder", "_Arg") for number, _ in leaves) or not stored:
        return "infer" if stored == {True} else "unknown"
    if len(stored) == 1:
        return "infer" if stored.pop() else "train"
    choice = _choice(graph, edge)
    if choice is None or depth == 0:
        return "unknown"
    sides = [_statistic_mode(graph, side, depth - 1) for side in choice[1:]]
    return "switched" if sorted(sides) == ["infer", "train"] else "unknown"


def _choice(graph: Graph, edge: Edge) -> tuple[Edge, Edge, Edge] | None:
    """(predicate, value if true, value if false) of a value that a conditional chose."""
    edge = graph.strip(edge)
    node = graph.nodes[edge[0]]
    if node.op in _SELECT_OPS and len(node.inputs) == 3:
        return node.inputs[0], node.inputs[1], node.inputs[2]
    if node.op in IF_OPS and node.inputs:
        calls = dict(node.calls)
        sides = [graph.functions[calls[key]].returns for key in ("then_branch", "else_branch")]
        if all(edge[1] < len(returns) for returns in sides):
            return node.inputs[0], sides[0][edge[1]], sides[1][edge[1]]
    if node.op in MERGE_OPS and len(node.inputs) == 2:
        return _merged(graph, node.inputs[0], node.inputs[1])
    return None


def _merged(graph: Graph, first: Edge, second: Edge) -> tuple[Edge, Edge, Edge] | None:
    sides = {
        taken: (predicate, side)
        for side in (first, second)
        if (found := _switched_by(graph, side)) is not None
        for predicate, taken in [found]
    }
    if set(sides) != {True, False}:
        return None
    return sides[True][0], sides[True][1], sides[False][1]


def _switched_by(graph: Graph, edge: Edge) -> tuple[Edge, bool] | None:
    """The Switch a Merge input comes through: its predicate and branch."""
    seen, queue = {edge}, [edge]
    while queue and len(seen) <= _AVERAGING_STEPS:
        number, port = queue.pop(0)
        node = graph.nodes[number]
        if node.op in _SWITCH_OPS and len(node.inputs) == 2:
            return node.inputs[1], port == 1
        before = [*node.inputs, *((control, 0) for control in node.controls)]
        fresh = [one for one in before if one not in seen]
        seen.update(fresh)
        queue += fresh
    return None


# --- updates -------------------------------------------------------------------------------


def _find_updates(graph: Graph, cores: list[BatchNorm]) -> None:
    """Give every batch norm the ops that assign a variable from its batch statistics."""
    by_edge: dict[Edge, list[tuple[BatchNorm, Statistic]]] = {}
    for one in cores:
        for edge, which in one.batch.items():
            by_edge.setdefault(edge, []).append((one, which))
    for number, node in enumerate(graph.nodes):
        if node.op in ASSIGN_OPS and len(node.inputs) >= 2:
            found = _averaged(graph, node.inputs[1], by_edge.keys())
            target = graph.variable(node.inputs[0]) if found else None
            for edge in found:
                for one, which in by_edge[edge]:
                    _add_update(graph, one, which, number, target)


def _averaged(graph: Graph, value: Edge, wanted: object) -> list[Edge]:
    """The wanted edges from which an assigned value is computed by moving-average arithmetic."""
    seen, queue, found = {value}, [value], []
    while queue and len(seen) <= _AVERAGING_STEPS:
        edge = queue.pop()
        if edge in wanted:  # type: ignore[operator]
            found.append(edge)
            continue
        node = graph.nodes[edge[0]]
        before = graph.passes(edge)
        if not before and node.op in _AVERAGING_OPS:
            before = node.inputs
        fresh = [one for one in before if one not in seen]
        seen.update(fresh)
        queue += fresh
    return found


def _add_update(
    graph: Graph, one: BatchNorm, which: Statistic, assign: int, target: int | None
) -> None:
    if target is None or one.moving.setdefault(which, target) != target:
        return
    one.updates.setdefault(which, []).append(assign)
    decay = _decay(graph, assign, target)
    if decay is not None:
        one.decay = decay


def _decay(graph: Graph, assign: int, variable: int) -> float | None:
    """Weight of the old value in `v -= (v - batch) * (1 - decay)` or in
    `v = v * decay + batch * (1 - decay)`; None for any other arithmetic.
    """
    node = graph.nodes[assign]
    value = graph.nodes[graph.strip(node.inputs[1])[0]]
    if node.op.startswith("AssignSub") and value.op == "Mul":
        rates = [_number(graph, edge) for edge in value.inputs]
        found = [1.0 - rate for rate in rates if rate is not None]
    else:
        found = [
            rate
            for term in value.inputs
            if value.op in _ADD_OPS and graph.nodes[graph.strip(term)[0]].op == "Mul"
            for rate in _weights(graph, graph.strip(term)[0], variable)
        ]
    if len(found) != 1 or not 0.0 <= found[0] <= 1.0:
        return None
    return round(found[0], 6)  # float32 holds 0.99 as 0.99000001


def _weights(graph: Graph, product: int, variable: int) -> Iterator[float]:
    inputs = graph.nodes[product].inputs
    if any(graph.variable(edge) == variable for edge in inputs):
        yield from (rate for edge in inputs if (rate := _number(graph, edge)) is not None)


def _number(graph: Graph, edge: Edge, depth: int = 4) -> float | None:
    """A constant, `1 - constant`, or the one value unlike 1 that a conditional on is_training
    chooses (in inference Keras averages with decay 1, that is not at all).
    """
    edge = graph.strip(edge)
    node = graph.nodes[edge[0]]
    if node.op == "Const":
        return graph.scalar(edge)
    if depth == 0:
        return None
    if node.op == "Sub" and len(node.inputs) == 2:
        left, right = (_number(graph, one, depth - 1) for one in node.inputs)
        return None if left is None or right is None else left - right
    choice = _choice(graph, edge)
    if choice is None:
        return None
    values = {_number(graph, side, depth - 1) for side in choice[1:]} - {1.0}
    return values.pop() if len(values) == 1 else None


def _settle_mode(graph: Graph, one: BatchNorm) -> None:
    """A switch on a constant always goes the same way."""
    if one.mode != "switched" or one.predicate is None:
        return
    if graph.nodes[one.predicate[0]].op == "Const":
        value = default_value(graph, one.predicate)
        if value is not None:
            one.mode = "train" if value == one.train_when else "infer"
            one.predicate = None
