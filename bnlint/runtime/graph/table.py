"""A light node table over a GraphDef: every node of the main graph and of every function body.

Function bodies are in the table once, however often they are called, so everything that
walks the table is linear in its edges. A call passes values between the caller's inputs and
the body's arguments, and between the body's returns and the caller's outputs; `Graph.passes`
knows which ops hand a value on unchanged, calls included.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Edge = tuple[int, int]
"""(node id, output port)."""

VARIABLE_OPS = frozenset({"VarHandleOp", "VariableV2", "Variable"})
ASSIGN_OPS = frozenset(
    {
        "Assign",
        "AssignAdd",
        "AssignSub",
        "AssignVariableOp",
        "AssignAddVariableOp",
        "AssignSubVariableOp",
    }
)
_SAME_VALUE = frozenset(
    {
        *("Identity", "StopGradient", "PreventGradient", "CheckNumerics", "Snapshot"),
        *("RefIdentity", "ReadVariableOp", "Cast", "Squeeze", "Reshape", "ExpandDims"),
        *("BroadcastTo", "Enter", "RefEnter", "Exit", "RefExit", "NextIteration"),
        *("Switch", "RefSwitch"),
    }
)
MERGE_OPS = frozenset({"Merge", "RefMerge"})
IF_OPS = frozenset({"If", "StatelessIf"})
_WHILE_OPS = frozenset({"While", "StatelessWhile"})
_CASE_OPS = frozenset({"Case", "StatelessCase"})
_CALL_OPS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
# In function bodies an input is "node:output_name:index". Of the ops whose ports matter here,
# these outputs are not the first.
PORTS = {
    "batch_mean": 1,
    "batch_variance": 2,
    "reserve_space_1": 3,
    "reserve_space_2": 4,
    "reserve_space_3": 5,
    "output_true": 1,
}
KEPT_ATTRS = ("is_training", "epsilon", "shared_name", "dtype")
_RESOURCE = 20  # DataType.DT_RESOURCE
_FOLLOWED = 256  # how many hand-overs are followed before a value counts as unknown


class GraphError(ValueError):
    """The graph contradicts itself: an edge or a call names something that is not there."""


class UnknownNode(KeyError):
    """A name that was asked for is not in the graph."""


@dataclass(slots=True)
class Node:
    """One op.

    Attributes:
      name: its name; unique within its function.
      op: op type; "_Arg" for a function's arguments.
      function: the function whose body holds it, "" in the main graph.
      inputs: data edges, in order.
      controls: ids of control inputs.
      calls: functions it runs, by attribute ("f", "then_branch", ...; "" when the op is named
        for the function).
      attrs: `is_training`, `epsilon`, `shared_name`, `dtype`, as Python values.
      tensor: a Const's TensorProto, unread.
    """

    name: str
    op: str
    function: str
    inputs: tuple[Edge, ...] = ()
    controls: tuple[int, ...] = ()
    calls: tuple[tuple[str, str], ...] = ()
    attrs: dict[str, Any] = field(default_factory=dict)
    tensor: Any = None


@dataclass(slots=True)
class Function:
    """A function body: ids of its `_Arg` nodes, its returned edges, its roots and its callers."""

    name: str
    args: tuple[int, ...]
    returns: tuple[Edge, ...] = ()
    roots: tuple[int, ...] = ()
    callers: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Signature:
    """A SignatureDef: tensor names by key. `serving` is False for train and init signatures."""

    key: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    serving: bool = True


@dataclass
class Graph:
    """The node table, with what a MetaGraphDef adds to it.

    Attributes:
      collections: collection -> names of its ops and tensors (variables: their name).
      signatures: of a SavedModel's MetaGraphDef.
    """

    nodes: list[Node] = field(default_factory=list)
    functions: dict[str, Function] = field(default_factory=dict)
    index: dict[tuple[str, str], int] = field(default_factory=dict)
    collections: dict[str, list[str]] = field(default_factory=dict)
    signatures: list[Signature] = field(default_factory=list)
    _consumers: list[list[int]] | None = field(default=None, repr=False)

    def find(self, name: str) -> int:
        """Id of the main graph's node `name` (a tensor name will do). Raises UnknownNode."""
        op_name = name.removeprefix("^").split(":")[0]
        try:
            return self.index["", op_name]
        except KeyError:
            raise UnknownNode(f"the graph has no operation {op_name!r}") from None

    def label(self, node: int) -> str:
        """A node's name, with its function's in front: "f/conv/bn"."""
        found = self.nodes[node]
        return f"{found.function}/{found.name}" if found.function else found.name

    def tensor_name(self, edge: Edge) -> str:
        """ "is_training:0" """
        return f"{self.label(edge[0])}:{edge[1]}"

    @property
    def consumers(self) -> list[list[int]]:
        """For every node the nodes that read it, over data and control edges."""
        if self._consumers is None:
            readers: list[list[int]] = [[] for _ in self.nodes]
            for number, node in enumerate(self.nodes):
                for source in {source for source, _ in node.inputs} | set(node.controls):
                    readers[source].append(number)
            self._consumers = readers
        return self._consumers

    def passes(self, edge: Edge) -> tuple[Edge, ...]:
        """The edges whose value `edge` passes on; empty when it makes a value of its own."""
        number, port = edge
        node = self.nodes[number]
        if node.op in _SAME_VALUE:
            return node.inputs[:1]
        if node.op in MERGE_OPS:
            return node.inputs if port == 0 else ()
        if node.op == "IdentityN":
            return node.inputs[port : port + 1]
        if node.op == "_Arg":
            return tuple(self._passed_in(number))
        if node.calls:
            return tuple(self._handed_back(node, port))
        return ()

    def _passed_in(self, argument: int) -> Iterator[Edge]:
        function = self.functions[self.nodes[argument].function]
        place = argument - function.args[0]  # arguments are numbered in a row
        for caller in function.callers[: _FOLLOWED + 1]:
            offset = _first_argument(self.nodes[caller].op, caller_is_named=False)
            inputs = self.nodes[caller].inputs
            if offset is not None and place + offset < len(inputs):
                yield inputs[place + offset]

    def _handed_back(self, node: Node, port: int) -> Iterator[Edge]:
        if _first_argument(node.op, caller_is_named=node.calls[0][0] == "") is None:
            return
        for attribute, name in node.calls:
            returns = self.functions[name].returns
            if attribute != "cond" and port < len(returns):
                yield returns[port]

    def strip(self, edge: Edge) -> Edge:
        """Follow `edge` back while exactly one edge hands the value on."""
        for _ in range(_FOLLOWED):
            before = self.passes(edge)
            if len(before) != 1:
                break
            edge = before[0]
        return edge

    def leaves(self, edge: Edge) -> set[Edge]:
        """Where the value of `edge` may come from, over all branches, calls and iterations.

        Empty when that takes too long to follow.
        """
        seen, queue, found = {edge}, [edge], set()
        while queue:
            here = queue.pop()
            before = self.passes(here)
            if not before:
                found.add(here)
            fresh = [one for one in before if one not in seen]
            seen.update(fresh)
            queue += fresh
            if len(seen) > _FOLLOWED:
                return set()
        return found

    def variable(self, edge: Edge) -> int | None:
        """The variable that `edge` reads or refers to, if it is one and only one."""
        found = {number for number, _ in self.leaves(edge)}
        if len(found) != 1:
            return None
        number = found.pop()
        return number if self.is_variable(number) else None

    def is_variable(self, number: int) -> bool:
        """Variables, and the captured resources of a function's own graph."""
        node = self.nodes[number]
        captured = node.op in ("Placeholder", "_Arg") and node.attrs.get("dtype") == _RESOURCE
        return captured or node.op in VARIABLE_OPS

    def variable_name(self, number: int) -> str:
        """The name under which a checkpoint has the variable."""
        node = self.nodes[number]
        return str(node.attrs.get("shared_name") or node.name)

    def reach(self, starts: Iterable[int]) -> bytearray:
        """1 for every node that runs when `starts` run: back over data and control edges and
        into the bodies of called functions. Linear in the edges.
        """
        seen = bytearray(len(self.nodes))
        queue = list(starts)
        for start in queue:
            seen[start] = 1
        while queue:
            node = self.nodes[queue.pop()]
            before = [source for source, _ in node.inputs]
            before += node.controls
            for _, name in node.calls:
                before += self.functions[name].roots
            for source in before:
                if not seen[source]:
                    seen[source] = 1
                    queue.append(source)
        return seen

    def called_functions(self) -> set[str]:
        """The functions that the main graph's nodes call, also through others; "" among them."""
        by_function: dict[str, list[str]] = {}
        for node in self.nodes:
            if node.calls:
                by_function.setdefault(node.function, []).extend(name for _, name in node.calls)
        called, queue = {""}, [""]
        while queue:
            fresh = set(by_function.get(queue.pop(), ())) - called
            called |= fresh
            queue += fresh
        return called

    def scalar(self, edge: Edge) -> float | None:
        """The number (or bool, as 0.0 or 1.0) that `edge` always is, when it is a constant."""
        node = self.nodes[self.strip(edge)[0]]
        return scalar_value(node.tensor) if node.op == "Const" else None


def _first_argument(op: str, *, caller_is_named: bool) -> int | None:
    """Which of a caller's inputs is the body's first argument; None: they do not line up."""
    if op in IF_OPS or op in _CASE_OPS:
        return 1
    if op in _CALL_OPS or op in _WHILE_OPS or caller_is_named:
        return 0
    return None


def scalar_value(tensor: Any) -> float | None:
    """The only element of a TensorProto as a float; None when it has several, or no number."""
    values = array_value(tensor, limit=1)
    return None if values is None else float(values.reshape(-1)[0])


def array_value(tensor: Any, limit: int = 1 << 20) -> Any:
    """A TensorProto as a numpy array of bool, int or float; None when it is something else,
    malformed, or larger than `limit` elements (its shape alone can ask for any amount of memory).
    """
    import numpy as np
    from tensorboard.util.tensor_util import make_ndarray

    if tensor is None:
        return None
    size = 1
    for dim in tensor.tensor_shape.dim:
        size *= max(dim.size, 0)
    if not 0 < size <= limit:
        return None
    try:
        values = make_ndarray(tensor)
    except (TypeError, ValueError, KeyError):
        return None
    if values.size == 0 or not (values.dtype == bool or np.issubdtype(values.dtype, np.number)):
        return None
    return values
