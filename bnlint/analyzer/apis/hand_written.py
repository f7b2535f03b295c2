"""Batch norms written by hand: from the moments of a batch to what was normalized with them.

`tf.nn.moments` begins one. Its mean and variance are followed (Symbol.statistics) through the ops
that keep them what they are, into moving averages and through the switch between the two. Where a
tensor is normalized with them, the batch norm is built. Moments that normalize nothing are none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from bnlint.analyzer.interpreter.interpreter import Interpreter
from bnlint.analyzer.interpreter.values import Const, Statistics, Symbol, Value, leaves
from bnlint.analyzer.syntax import nodes
from bnlint.findings import Location
from bnlint.program.events import UPDATE_OPS, BatchNorm, Flag, FlagKind, Program

LOSSES = "losses"  # what is in this collection may wait for updates, but is none


class GraphState(Protocol):
    """What hand-written batch norms ask of the graph that they are built in: see Recorder."""

    @property
    def interpreter(self) -> Interpreter: ...
    @property
    def program(self) -> Program: ...
    @property
    def graph(self) -> int: ...
    @property
    def scopes(self) -> Any: ...
    @property
    def collections(self) -> Any: ...
    @property
    def conditions(self) -> Sequence[Flag]: ...
    @property
    def conditional(self) -> bool: ...
    def here(self, node: nodes.Node) -> Location: ...
    def remember_path(self, event: object) -> None: ...


@dataclass
class HandWritten:
    """The hand-written batch norms of a program, while it is followed.

    Attributes:
      averages: variable or shadow -> the batch norms whose moments are averaged into it.
      trainable: those of the variables that are trainable.
      inputs: id of a batch norm -> what its moments are of.
      begun: all of them, built or not, so that no id is used twice.
      same: a batch norm that is part of another one -> that one.
      in_place: ids of those whose output waits for their updates.
      unswitched: ids of those that are averaged outside of tf.cond, with a constant decay.
      constant: variables that are not trainable and begin as zeros, ones or a number.
      unaveraged: ids of those that normalize with such variables, which nothing averages into.
      probing: a layer is followed apart from the program, to see whether it is a batch norm.
    """

    averages: dict[str, list[BatchNorm]] = field(default_factory=dict)
    trainable: set[str] = field(default_factory=set)
    inputs: dict[int, Symbol] = field(default_factory=dict)
    begun: list[BatchNorm] = field(default_factory=list)
    same: dict[BatchNorm, BatchNorm] = field(default_factory=dict)
    in_place: set[int] = field(default_factory=set)
    unswitched: set[int] = field(default_factory=set)
    constant: set[str] = field(default_factory=set)
    unaveraged: set[int] = field(default_factory=set)
    probing: bool = False

    # --- statistics on their way -----------------------------------------------------------

    def begin(self, recorder: GraphState, inputs: Symbol, location: Location) -> BatchNorm:
        """The batch norm that the moments of `inputs` may be for."""
        event = BatchNorm(
            location=location, definition=None, api="custom", training=Flag(FlagKind.UNKNOWN),
            updates="none", collection=None, scope=recorder.scopes.path, reuses=None,
            reuse_unknown=True, trainable=None, decay=None,
            frames=tuple(recorder.interpreter.frames), graph=recorder.graph,
            conditional=recorder.conditional, time=recorder.interpreter.tick(),
        )  # fmt: skip
        self.begun.append(event)
        self.inputs[id(event)] = inputs
        return event

    def statistics_of(self, *values: Value | None) -> Statistics | None:
        """The statistics in `values`, as one."""
        found = [known for leaf in leaves(values) if (known := self._known(leaf)) is not None]
        if len(found) < 2:
            return found[0] if found else None
        return Statistics(
            frozenset().union(*(known.batch for known in found)),
            frozenset().union(*(known.moving for known in found)),
            next((known.switch for known in found if known.switch is not None), None),
        )

    def _known(self, leaf: Symbol) -> Statistics | None:
        if leaf.statistics is None and leaf.key in self.averages:
            return Statistics(moving=frozenset([leaf.key]))
        return leaf.statistics

    def keep(self, result: Symbol, *values: Value | None) -> Symbol:
        """`result` of an op that leaves statistics what they are: a cast, a reshape."""
        known = self.statistics_of(*values)
        return result if known is None else result.replace(statistics=known)

    def selected(
        self, predicate: Flag, first: Value | None, second: Value | None
    ) -> Statistics | None:
        """The statistics that `tf.cond(predicate, first, second)` selects from."""
        true, false = self.statistics_of(first), self.statistics_of(second)
        if true is None or false is None:
            return true or false
        both = Statistics(true.batch | false.batch, true.moving | false.moving)
        if predicate.kind in (FlagKind.TRUE, FlagKind.FALSE):
            return _switched(true if predicate.is_true else false, predicate)
        if true.batch and not false.batch:
            return _switched(both, predicate)
        if false.batch and not true.batch:
            return _switched(both, predicate.negated)
        return _switched(both, true.switch or false.switch)

    # --- moving averages -------------------------------------------------------------------

    def average_into(self, name: str, batch: Iterable[BatchNorm]) -> None:
        """The moments of `batch` are averaged into the variable or shadow `name`."""
        held = self.averages.setdefault(name, [])
        held.extend(norm for norm in batch if norm not in held)

    def is_switched(self, recorder: GraphState, decay: Value | None, known: Statistics) -> bool:
        """Something may decide whether the average that is updated here moves."""
        constant = decay is None or isinstance(decay, Const)
        return bool(recorder.conditions) or known.switch is not None or not constant

    # --- arithmetic ------------------------------------------------------------------------

    def computed(
        self, recorder: GraphState, op: str, left: Value, right: Value, result: Symbol
    ) -> Symbol:
        """`left op right` is `result`: perhaps statistics, perhaps what they normalized."""
        mine, theirs = self.statistics_of(left), self.statistics_of(right)
        known = self.statistics_of(left, right)
        if known is None:
            return result
        roles = (mine.role if mine else "", theirs.role if theirs else "")
        normalizes = roles[1] == "deviation" if op == "/" else op == "*" and "inverse" in roles
        if normalizes and self._is_input(left, right, known):
            where = recorder.interpreter.statement
            assert where is not None
            return self.normalized(recorder, recorder.here(where), result, known)
        of_tensor = mine is None and isinstance(left, Symbol)
        role = "centered" if op == "-" and of_tensor else _role(op, roles)
        return result.replace(statistics=msgspec.structs.replace(known, role=role))

    def _is_input(self, left: Value, right: Value, known: Statistics) -> bool:
        """One side is the tensor that is normalized: less its mean, or as it is."""
        inputs = [self.inputs[id(norm)] for norm in known.batch]
        for side in (left, right):
            own = side.statistics if isinstance(side, Symbol) else None
            if own is not None and own.role == "centered":
                return True
            if any(side is one for one in inputs):
                return True
        return False

    # --- the batch norm --------------------------------------------------------------------

    def normalized(
        self,
        recorder: GraphState,
        location: Location,
        result: Symbol,
        known: Statistics | None,
        flag: Flag | None = None,
    ) -> Symbol:
        """`result` was normalized with these statistics: the batch norm is built."""
        norm = self._built_from(recorder, known, location) if known is not None else None
        if norm is None or known is None:
            return result.replace(statistics=None)
        norm.location, norm.time = location, recorder.interpreter.tick()
        norm.frames = tuple(recorder.interpreter.frames)
        norm.conditional, norm.path = recorder.conditional, recorder.interpreter.path
        norm.training = _flag(norm, known, flag)
        recorder.remember_path(norm)
        recorder.program.batch_norms.append(norm)
        if not known.batch.isdisjoint(result.runs):
            self.in_place.add(id(norm))
        norms = result.batch_norms | {norm}
        return result.replace(batch_norms=norms, statistics=None)

    def _built_from(
        self, recorder: GraphState, known: Statistics, location: Location
    ) -> BatchNorm | None:
        batch = sorted(known.batch, key=self.begun.index)
        if not batch:
            return self._of_averages(recorder, known, location)
        first = batch[0]
        for other in batch[1:]:
            self.same.setdefault(other, first)
        if first in recorder.program.batch_norms:  # normalized twice with the same moments
            again = self.begin(recorder, self.inputs[id(first)], location)
            again.reuses = first
            return again
        return first

    def _of_averages(
        self, recorder: GraphState, known: Statistics, location: Location
    ) -> BatchNorm | None:
        """Normalized with moving averages only: shares them with the batch norm that has them."""
        owners = [norm for name in sorted(known.moving) for norm in self.averages.get(name, ())]
        if not owners and not (len(known.moving) > 1 and self.constant.issuperset(known.moving)):
            return None
        norm = self.begin(recorder, Symbol(), location)
        if owners:
            norm.reuses = owners[0]
        else:
            self.unaveraged.add(id(norm))
        return norm

    # --- the end ---------------------------------------------------------------------------

    def finish(self, recorder: GraphState) -> None:
        """Says how each batch norm is updated, and which of them share their averages."""
        program = recorder.program
        if not self.begun and not self.same:
            return
        program.batch_norms = [
            norm
            for norm in program.batch_norms
            if norm not in self.same and not (id(norm) in self.unaveraged and _given(program, norm))
        ]
        events: list[Any] = [
            *program.collection_reads, *program.control_blocks, *program.train_ops, *program.runs,
            *program.evaluations, *program.savers, *program.arg_scopes, *program.rebindings,
            *program.keras_runs,
        ]  # fmt: skip
        for event in events:
            event.batch_norms = self.built(program, event.batch_norms)
        for read in program.collection_reads:
            read.missed = self.built(program, read.missed)
        for norm in program.batch_norms:
            norm.reuses = self.one(norm.reuses) if norm.reuses is not None else None
            if norm.api == "custom":
                self._finish_norm(recorder, norm)
        for owners in self.averages.values():
            sharing = self.built(program, owners)
            for later in sharing[1:]:
                later.reuses = later.reuses or sharing[0]

    def _finish_norm(self, recorder: GraphState, norm: BatchNorm) -> None:
        names = [name for name, owners in self.averages.items() if self._part(norm, owners)]
        norm.statistics_trainable = bool(names) and self.trainable.issuperset(names)
        # Only tf.get_variable in a known scope says whether variables are shared.
        norm.reuse_unknown = norm.reuses is None and not any(":" in name for name in names)
        if id(norm) in self.unaveraged:  # its variables are there for nothing else
            norm.training = dataclasses.replace(norm.training, explicit=True)
        if not names or norm.training.is_false:
            norm.updates = "none"
            return
        # Moving averages are kept, and a branch that was followed leaves them out here.
        norm.training = dataclasses.replace(norm.training, explicit=True)
        holding = [
            entry.name
            for entry in recorder.collections.entries
            if entry.name != LOSSES and any(self.one(held) is norm for held in entry.symbol.runs)
        ]
        if id(norm) in self.in_place:
            norm.updates = "in-place"
            norm.updates_always = norm.training.is_tensor and id(norm) in self.unswitched
        elif holding:
            norm.updates = "collection"
            norm.collection = UPDATE_OPS if UPDATE_OPS in holding else holding[0]
        else:
            # What is assigned to trainable variables only may be their first values.
            norm.updates = "unknown" if norm.statistics_trainable else "op"

    def _part(self, norm: BatchNorm, owners: list[BatchNorm]) -> bool:
        return any(self.one(owner) is norm for owner in owners)

    def built(self, program: Program, norms: Iterable[BatchNorm]) -> list[BatchNorm]:
        """The batch norms of `norms`, each one once, in the order they were built."""
        found = {self.one(norm) for norm in norms}
        return [norm for norm in program.batch_norms if norm in found]

    def one(self, norm: BatchNorm) -> BatchNorm:
        """The batch norm that `norm` is a part of, or itself."""
        while norm in self.same:
            norm = self.same[norm]
        return norm


def _given(program: Program, norm: BatchNorm) -> bool:
    """Its statistics may be loaded or assigned."""
    return program.assigns_variables or program.starts_pretrained(norm.graph)


def _switched(known: Statistics, switch: Flag | None) -> Statistics:
    return Statistics(known.batch, known.moving, switch)


def _role(op: str, roles: tuple[str, str]) -> str:
    """What `left op right` is to a batch norm, from what the two sides are."""
    mine, theirs = roles
    if op == "/" and theirs == "deviation":
        return "inverse"  # 1 / sqrt(variance), gamma / sqrt(variance)
    if op in ("+", "*") and (not mine or not theirs):
        return mine or theirs  # sqrt(variance) + epsilon, gamma * rsqrt(variance)
    return ""


def _flag(norm: BatchNorm, known: Statistics, passed: Flag | None) -> Flag:
    """The training flag of a batch norm that was built with these statistics."""
    if passed is not None and passed.key:
        return passed
    if known.switch is not None:
        return known.switch
    parameter = norm.frames[-1].training_parameter if norm.frames else None
    value = parameter.value if parameter is not None and parameter.used else None
    kind = FlagKind.TRUE if known.batch else FlagKind.FALSE
    if value is not None and value.kind is kind:
        return value
    return passed or Flag(kind, explicit=False)
