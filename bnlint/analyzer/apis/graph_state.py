"""The graph under construction, and the events that make up a `Program`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bnlint.analyzer.apis.feeds import feeds_of
from bnlint.analyzer.apis.hand_written import HandWritten
from bnlint.analyzer.apis.keras_outputs import Activations
from bnlint.analyzer.interpreter.interpreter import Interpreter
from bnlint.analyzer.interpreter.values import (
    Const,
    ListValue,
    Object,
    Symbol,
    Value,
    symbol_of,
)
from bnlint.analyzer.syntax import nodes
from bnlint.findings import Location
from bnlint.program.evaluations import find_evaluations
from bnlint.program.events import (
    LEARNING_PHASE_KEY,
    Answer,
    BatchNorm,
    Clue,
    ClueKind,
    CollectionRead,
    ControlBlock,
    Evaluation,
    Flag,
    FlagKind,
    KerasCall,
    Program,
    Rebinding,
    SessionRun,
    TrainingLength,
    TrainOp,
)
from bnlint.program.keras import purpose_of
from bnlint.program.words import names_train_op, names_training_flag, names_variable

_Timed = TypeVar("_Timed", BatchNorm, TrainOp)


@dataclass
class Scope:
    """One level of tf.variable_scope. `path` is None when a name on the way is not known."""

    path: str | None
    reuse: bool | None  # None: AUTO_REUSE or not known


@dataclass
class CollectionEntry:
    """Something put into an op collection."""

    name: str
    graph: int
    symbol: Symbol
    path: dict[str, bool]
    scope: str | None


@dataclass
class Recorder:
    """State of the graph while a program is followed, and the program so far."""

    interpreter: Interpreter
    program: Program
    graph: int = 0
    graphs: int = 0
    scopes: list[Scope] = field(default_factory=lambda: [Scope("", False)])
    counters: dict[tuple[int, str, str], int] = field(default_factory=dict)
    by_scope: dict[tuple[int, str], list[BatchNorm]] = field(default_factory=dict)
    collections: list[CollectionEntry] = field(default_factory=list)
    controls: list[tuple[ControlBlock, Symbol]] = field(default_factory=list)
    conditions: list[Flag] = field(default_factory=list)  # enclosing tf.cond predicates
    tapes: list[Object] = field(default_factory=list)
    paths: dict[int, dict[str, bool]] = field(default_factory=dict)
    op_symbols: dict[int, Symbol] = field(default_factory=dict)
    bundles: list[Symbol] = field(default_factory=list)
    escapes: list[Symbol] = field(default_factory=list)
    updates_escaped: bool = False  # ops of an op collection went out of sight
    run_symbols: dict[int, Symbol] = field(default_factory=dict)
    keras_tapes: dict[int, list[Object]] = field(default_factory=dict)
    keras_parts: dict[int, set[int]] = field(default_factory=dict)
    # Keras calls that are being followed: the batch norms each applied, the `training` it has.
    keras_applied: list[list[BatchNorm]] = field(default_factory=list)
    keras_contexts: list[Value] = field(default_factory=list)
    exporting: bool = False  # an exported function is being followed
    activations: Activations = field(default_factory=Activations)
    keras_layers: dict[int, Object] = field(default_factory=dict)  # batch norm layers by number
    trained_by: dict[int, set[int]] = field(default_factory=dict)  # tape -> models
    # A placeholder's key -> the names it goes by; (graph, tensor name) -> its key.
    flag_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tensors: dict[tuple[int, str], str] = field(default_factory=dict)
    hand_written: HandWritten = field(default_factory=HandWritten)

    # --- helpers ---------------------------------------------------------------------------

    def here(self, node: nodes.Node) -> Location:
        return self.interpreter.location(node)

    @property
    def conditional(self) -> bool:
        return bool(self.interpreter.path) or bool(self.conditions)

    def loaded(self, graph: int) -> None:
        """Variables of `graph` get values from outside."""
        time = self.interpreter.tick()
        self.program.loads.append((graph, time))
        if not self.conditional and not any(map(_goes_on, self.interpreter.around)):
            self.program.certain_loads.append(time)

    def new_graph(self) -> int:
        """The number of a graph of its own."""
        self.graphs += 1
        return self.graphs

    def remember_path(self, event: object) -> None:
        self.paths[id(event)] = self.interpreter.path

    def _on_path(self, events: Iterable[_Timed]) -> list[_Timed]:
        """Those of `events` that can have happened before this one, in their order."""
        path = self.interpreter.path
        return sorted(
            (event for event in events if self.compatible(event, path)),
            key=lambda event: event.time,
        )

    def compatible(self, event: object, path: dict[str, bool]) -> bool:
        """`event` and something on `path` can happen in the same run of the program."""
        theirs = self.paths.get(id(event), {})
        return all(path.get(key, value) is value for key, value in theirs.items())

    def tf_name(self) -> str:
        """How the current file writes TF1-style symbols: "tf", "tf.compat.v1", ..."""
        module = self.interpreter.module
        if module is None:
            return ""
        for node in nodes.local_imports(module.facts.body):
            if isinstance(node, nodes.Import):
                for name, alias in node.names:
                    if name == "tensorflow.compat.v1" and alias:
                        return alias
                    if name == "tensorflow":
                        is_v2 = {"compat", "v1"} <= module.facts.reads
                        return (alias or name) + (".compat.v1" if is_v2 else "")
            elif node.module == "tensorflow.compat":
                return next((alias or name for name, alias in node.names if name == "v1"), "")
        return ""

    def simple_statement(self, node: nodes.Node) -> Location | None:
        """The simple statement of the current file that holds `node`."""
        statement = self.interpreter.statement
        if isinstance(statement, nodes.Assign | nodes.ExprStmt) and (
            statement.start <= node.start and node.end <= statement.end
        ):
            return self.here(statement)
        return None

    # --- scopes ----------------------------------------------------------------------------

    def scope_path(self, name: str | None, default: str, unknown: bool = False) -> str | None:
        """The full path of a variable scope opened here: `name`, or `default` made unique."""
        outer = self.scopes[-1].path
        if outer is None or unknown:
            return None
        if name is None:
            key = (self.graph, outer, default)
            count = self.counters.get(key, 0)
            self.counters[key] = count + 1
            name = f"{default}_{count}" if count else default
        path = f"{outer}/{name}" if outer else name
        # Opening a scope by name starts its inner default names over, as TensorFlow does.
        for graph, scope, inner in list(self.counters):
            if graph == self.graph and (scope == path or scope.startswith(path + "/")):
                del self.counters[graph, scope, inner]
        return path

    @contextmanager
    def open_scope(self, scope: Scope) -> Iterator[None]:
        self.scopes.append(scope)
        try:
            yield
        finally:
            self.scopes.pop()

    # --- ops and control dependencies --------------------------------------------------------

    def op(self, symbol: Symbol) -> Symbol:
        """A new op: it also depends on what the enclosing control_dependencies hold."""
        if not self.controls:
            return symbol
        held = symbol_of(symbol, *(inputs for _, inputs in self.controls))
        for block, _ in self.controls:
            block.empty = False
        result = symbol.replace(
            runs=held.runs, train_ops=held.train_ops, reads=held.reads,
            incomplete=held.incomplete, unknown=held.unknown,
        )  # fmt: skip
        if result.train_ops:
            self.bundles.append(result)
        return result

    def control_block(self, node: nodes.With, inputs: Value) -> ControlBlock:
        symbol = symbol_of(inputs)
        block = ControlBlock(
            location=self.here(node), end_line=self.here(node).end_line,
            reads=sorted(symbol.reads, key=lambda read: read.time),
            batch_norms=sorted(symbol.runs, key=lambda norm: norm.time),
            unknown=symbol.incomplete, holds=[], empty=True, time=self.interpreter.tick(),
        )  # fmt: skip
        self.program.control_blocks.append(block)
        self.controls.append((block, symbol))
        return block

    # --- batch norms -------------------------------------------------------------------------

    def batch_norm(
        self,
        node: nodes.Node,
        inputs: Symbol,
        *,
        api: str,
        training: Flag,
        collection: str | None,
        collection_known: bool,
        scope: str | None,
        trainable: bool | None,
        decay: float | None,
        definition: Location | None = None,
        reuses: BatchNorm | None = None,
        reuse: bool | None = False,
        layer: int = 0,
    ) -> tuple[BatchNorm, Symbol]:
        """Builds a batch norm; returns it and its output."""
        if reuses is None and scope is not None:
            reuses = self._built_in(scope)
        updates = self._updates(api, training, collection, collection_known)
        event = BatchNorm(
            location=self.here(node), definition=definition, api=api, training=training,
            updates=updates, collection=collection if collection_known else None, scope=scope,
            reuses=reuses, reuse_unknown=scope is None and reuses is None, trainable=trainable,
            decay=decay, frames=tuple(self.interpreter.frames), graph=self.graph,
            conditional=self.conditional, time=self.interpreter.tick(), path=self.interpreter.path,
            layer=layer,
        )  # fmt: skip
        if reuse is None and reuses is None:
            event.reuse_unknown = True
        if scope is not None:
            self.by_scope.setdefault((self.graph, scope), []).append(event)
        self.remember_path(event)
        self.program.batch_norms.append(event)
        if updates == "collection" and collection is not None:
            entry = Symbol(runs=frozenset([event]))
            self._collect(collection, entry, scope)
        output = symbol_of(inputs)
        runs = output.runs | {event} if updates in ("in-place", "unknown") else output.runs
        return event, self.op(output.replace(batch_norms=output.batch_norms | {event}, runs=runs))

    def _built_in(self, scope: str) -> BatchNorm | None:
        """The first batch norm of this scope that the same run of the program may have built."""
        path = self.interpreter.path
        built = self.by_scope.get((self.graph, scope), ())
        return next((norm for norm in built if self.compatible(norm, path)), None)

    def _updates(self, api: str, training: Flag, collection: str | None, known: bool) -> str:
        if training.is_false:
            return "none"
        if api == "keras":
            return "layer"
        if not known:
            return "unknown"
        return "in-place" if collection is None else "collection"

    # --- collections -------------------------------------------------------------------------

    def _collect(self, name: str, symbol: Symbol, scope: str | None) -> None:
        path = self.interpreter.path
        self.collections.append(CollectionEntry(name, self.graph, symbol, path, scope))

    def add_to_collection(self, name: str, value: Value, scoped: bool = True) -> None:
        """`scoped`: what is added is named by the variable scope, so that filters find it."""
        self._collect(name, symbol_of(value), self.scopes[-1].path if scoped else None)

    def read_collection(self, node: nodes.Node, name: str, scope: str | None) -> Symbol:
        """`tf.get_collection(name, scope)`; `scope` "" for no filter, None if not known."""
        path = self.interpreter.path
        kept: list[Symbol] = []
        missed: list[BatchNorm] = []
        for entry in self.collections:
            if entry.name != name or entry.graph != self.graph:
                continue
            if any(path.get(key, value) is not value for key, value in entry.path.items()):
                continue
            # Without a known scope on either side, what is left out is not known: nothing is.
            inside = not scope or entry.scope is None or entry.scope.startswith(scope)
            if inside:
                kept.append(entry.symbol)
            else:
                missed.extend(entry.symbol.runs)
        symbol = symbol_of(*kept)
        read = CollectionRead(
            location=self.here(node), collection=name, scope=scope,
            batch_norms=sorted(symbol.runs, key=lambda norm: norm.time), missed=missed,
            graph=self.graph, conditional=self.conditional, time=self.interpreter.tick(),
        )  # fmt: skip
        self.remember_path(read)
        self.program.collection_reads.append(read)
        incomplete = symbol.incomplete or scope is None
        return symbol.replace(reads=symbol.reads | {read}, incomplete=incomplete)

    # --- train ops and runs ------------------------------------------------------------------

    def train_op(
        self,
        node: nodes.Node,
        api: str,
        loss: Symbol,
        *,
        attaches_updates: bool = False,
        update_ops_argument: str = "default",
        updates: Symbol | None = None,
        trainable_scope: str | None = None,
        trains_some: bool = False,
    ) -> Symbol:
        """Records a train op; `updates` are the ops it attaches by itself."""
        path = self.interpreter.path
        norms = self._on_path(loss.batch_norms)
        own = self.op(symbol_of(loss, updates))
        event = TrainOp(
            location=self.here(node), api=api, statement=self.simple_statement(node),
            tf_name=self.tf_name(), batch_norms=norms,
            loss_unknown=loss.incomplete, attaches_updates=attaches_updates,
            update_ops_argument=update_ops_argument,
            control_blocks=[block for block, _ in self.controls],
            reads=sorted(own.reads, key=lambda read: read.time), trainable_scope=trainable_scope,
            trains_some=trains_some, graph=self.graph, frames=tuple(self.interpreter.frames),
            conditional=self.conditional, time=self.interpreter.tick(), used=False, escapes=False,
            loss_opaque=loss.unknown, path=path,
        )  # fmt: skip
        for block, _ in self.controls:
            block.holds.append(event)
        self.remember_path(event)
        self.program.train_ops.append(event)
        unknown = any(inputs.incomplete for _, inputs in self.controls)
        unknown |= updates is not None and updates.incomplete
        self.op_symbols[id(event)] = own.replace(incomplete=unknown, unknown=unknown)
        return Symbol(
            runs=own.runs, train_ops=own.train_ops | {event}, reads=own.reads,
            incomplete=unknown, unknown=unknown,
        )  # fmt: skip

    def session_run(
        self,
        node: nodes.Node,
        fetches: Value,
        feeds: Value | None,
        *,
        others_may_feed: bool = False,
        clues: Iterable[Clue] = (),
    ) -> SessionRun:
        """Records a Session.run of `fetches` with `feeds`."""
        symbol = symbol_of(fetches)
        path = self.interpreter.path
        fed = feeds_of(feeds, self.tensor_key, path)
        imported = not fed.values.keys().isdisjoint(self.program.imported_tensors)
        event = SessionRun(
            location=self.here(node), fetches_unknown=symbol.unknown or _fetches_train_op(fetches),
            train_ops=self._on_path(symbol.train_ops),
            batch_norms=self._on_path(symbol.batch_norms - fed.cut),
            updates=[], feeds=fed.values, feeds_unknown=fed.unknown or imported or others_may_feed,
            clues=tuple(dict.fromkeys((*self._fed_false(fed.values), *clues))),
            frames=tuple(self.interpreter.frames),
            graph=self.graph, conditional=self.conditional, time=self.interpreter.tick(),
            path=path, fed_numbers=frozenset(fed.numbers), fed_by=fed.by,
        )  # fmt: skip
        self.remember_path(event)
        self.run_symbols[id(event)] = symbol
        self.program.runs.append(event)
        steps = self.interpreter.loop_steps()
        if event.train_ops and steps:
            self.program.training_lengths.append(TrainingLength(steps, event.location, event.time))
        return event

    def placeholder(self, kind: FlagKind, name: str | None, node: nodes.Node) -> Flag:
        """A new placeholder, as a training flag; its key is what feeds know it by."""
        key = f"placeholder{self.interpreter.tick()}"
        path = self.scopes[-1].path
        if name and path is not None:
            self.tensors[self.graph, f"{path}/{name}:0" if path else f"{name}:0"] = key
        statement = self.interpreter.statement
        targets = statement.targets if isinstance(statement, nodes.Assign) else []
        names = [name] if name else []
        if len(targets) == 1 and isinstance(targets[0], nodes.Name | nodes.Attribute):
            names += list(nodes.names_in(targets[0]))[:1]
        self.flag_names[key] = tuple(names)
        return Flag(kind, True, self.here(node), key, name=next(reversed(names), ""))

    def tensor_key(self, name: str) -> str:
        """The key of the tensor `name` of the current graph, which may have been imported."""
        if LEARNING_PHASE_KEY in name:  # "keras_learning_phase:0", perhaps in a scope
            self.program.reads_learning_phase = True
            return LEARNING_PHASE_KEY
        known = self.tensors.get((self.graph, name))
        if known is not None:
            return known
        key = f"tensor{self.graph}:{name}"
        short = name.rpartition(":")[0].rpartition("/")[2]
        self.flag_names[key] = (short,)
        self.program.imported_tensors[key] = name
        return key

    def tensor_by_name(self, name: str | None) -> Symbol:
        """`graph.get_tensor_by_name(name)`: in a graph that nothing trains, the network's output.

        An unknown tensor may be any of the graph: it depends on every batch norm that was built.
        """
        trained = any(op.graph == self.graph for op in self.program.train_ops)
        norms = () if trained else self.program.batch_norms
        held = Symbol(
            batch_norms=frozenset(norm for norm in norms if norm.graph == self.graph),
            incomplete=True,
        )
        if name is None:
            return held.replace(unknown=True)
        if names_variable(name):
            return Symbol(key=self.tensor_key(name), incomplete=True)
        return held.replace(key=self.tensor_key(name), unknown=names_train_op(name))

    def _fed_false(self, fed: dict[str, bool | None]) -> Iterator[Clue]:
        for key, value in fed.items():
            if value is False:
                names = [name for name in self.flag_names.get(key, ()) if names_training_flag(name)]
                yield from (Clue(ClueKind.FED_FALSE, f"`{name}`") for name in names[:1])

    def evaluation(self, location: Location, kind: str, norms: list[BatchNorm]) -> None:
        """A library evaluates a network by itself."""
        time = self.interpreter.tick()
        self.program.evaluations.append(Evaluation(location, kind, norms, None, time))

    # --- the end -----------------------------------------------------------------------------

    def finish(self) -> Program:
        """Answers the questions that need the whole program."""
        self.hand_written.finish(self)
        self.program.placeholder_names = self.flag_names
        reads = {read.location for read in self.program.collection_reads}
        path = self.program.entry.location.path
        whole = self.interpreter.project.whole
        self.program.overridden_defaults = whole.overridden_defaults
        if not self.updates_escaped and not whole.may_run_updates(path, reads):
            self.program.sees_all_updates = not self.program.left
        for op in self.program.train_ops:
            self._finish_train_op(op)
        for run in self.program.runs:
            own = {norm for op in run.train_ops for norm in self.op_symbols[id(op)].runs}
            run.updates = self.hand_written.built(self, self.run_symbols[id(run)].runs - own)
        for read in self.program.collection_reads:
            self._finish_read(read)
        self._finish_keras()
        self._finish_rebindings()
        find_evaluations(self.program)
        self._finish_savers()
        return self.program

    def _finish_train_op(self, op: TrainOp) -> None:
        own = self.op_symbols[id(op)]
        # A train op that only rides along as a dependency of another op runs with that op.
        runs = [run for run in self.program.runs if op in run.train_ops]
        carriers = [self.run_symbols[id(run)] for run in runs]
        op.used = bool(runs)
        op.escapes = any(op in symbol.train_ops for symbol in self.escapes)
        if not runs:
            carriers = [symbol for symbol in self.bundles if op in symbol.train_ops]
            op.used = bool(carriers)
        together = symbol_of(own, *carriers)
        op.reads = sorted(together.reads, key=lambda read: read.time)
        unknown = own.unknown or any(symbol.unknown for symbol in carriers)
        for norm in self.program.batch_norms:
            # The same variables are updated whichever copy's update op runs.
            family = self._family(norm)
            updated = any(self.hand_written.one(held) in family for held in together.runs)
            if updated or norm.updates == "none":
                answer = Answer.YES
            elif unknown and self.program.may_update_unseen(norm):
                answer = Answer.UNKNOWN
            else:
                answer = Answer.NO
            op._runs[id(norm)] = answer
            if answer is Answer.YES and norm.updates == "collection" and not op.attaches_updates:
                op._unless[id(norm)] = self._needed_setting(op, norm, family)

    def _needed_setting(self, op: TrainOp, norm: BatchNorm, family: set[BatchNorm]) -> str:
        """The setting at whose default no read gives `op` the updates of `norm`."""
        reads = [read for read in op.reads if not family.isdisjoint(read.batch_norms)]
        needed = [self._off_by_default(self.paths[id(read)], op, norm) for read in reads]
        return needed[0] if needed and all(needed) else ""

    def _off_by_default(self, path: dict[str, bool], op: TrainOp, norm: BatchNorm) -> str:
        for key, value in path.items():
            usual = self.interpreter.by_default.get(key)
            decided = key in op.path or key in norm.path or key == norm.training.key
            if usual is not None and usual.holds is not value and not decided:
                return usual.setting
        return ""

    def _family(self, norm: BatchNorm) -> set[BatchNorm]:
        root = _root(norm)
        return {other for other in self.program.batch_norms if _root(other) is root}

    def _finish_read(self, read: CollectionRead) -> None:
        returned = set(read.batch_norms)
        later = [
            norm
            for norm in self.program.batch_norms
            if norm.graph == read.graph and norm.collection == read.collection
            and norm.has_update_ops and norm not in returned and norm not in read.missed
            and norm.time > read.time and self.compatible(norm, self.paths.get(id(read), {}))
        ]  # fmt: skip
        read.missed = [*read.missed, *later]

    def _finish_keras(self) -> None:
        for call in self.program.keras_calls:
            tapes = self.keras_tapes.get(id(call), [])
            call.in_tape = any(self._trains(tape, call) for tape in tapes)
            call.differentiated = bool(tapes)
            call.purpose = purpose_of(call)

    def _trains(self, tape: Object, call: KerasCall) -> bool:
        """Gradients of `tape` are applied to variables of what is called, or of what it is part
        of."""
        called = {call.model, *(norm.layer for norm in call.batch_norms)}
        trained = self.trained_by.get(tape.number, ())
        return any(called & self.keras_parts.get(owner, set()) for owner in trained)

    def _finish_rebindings(self) -> None:
        ordered = self.program.rebindings
        for rebinding in ordered:
            following = [
                other.time
                for other in ordered
                if other.name == rebinding.name and other.time > rebinding.time
            ]
            end = min(following, default=self.interpreter.time + 1)
            rebinding.runs_after = [
                run for run in self.program.runs if rebinding.time < run.time < end
            ]

    def multiplied(self, product: Symbol) -> None:
        """A logarithm was multiplied: `labels * log(x)`, a cross entropy by hand."""
        for event in self.program.logs:
            if event in product.logs:
                event.in_loss = True

    def rebinding_of(self, key: str, name: str, value: bool, node: nodes.Node) -> None:
        """A Python flag that built batch norms changes."""
        built = [norm for norm in self.program.batch_norms if norm.training.key == key]
        if not built:
            return
        for earlier in self.program.rebindings:
            earlier.rebuilt |= any(
                norm.time > earlier.time and norm.training.key == key for norm in built
            )
        self.program.rebindings.append(
            Rebinding(name, value, self.here(node), built, False, [], self.interpreter.tick())
        )

    def mark_rebuilt(self, norm: BatchNorm) -> None:
        """A batch norm was built with a flag variable that had been set again."""
        for rebinding in self.program.rebindings:
            if any(old.training.key == norm.training.key for old in rebinding.batch_norms):
                rebinding.rebuilt = True

    def _finish_savers(self) -> None:
        for saver in self.program.savers:
            kept = [norm for norm in saver.batch_norms if not norm.only_batch_statistics]
            trains = saver.selection.kind == "trainable"
            saver.batch_norms = [n for n in kept if not (trains and n.statistics_trainable)]
            saver.other_full_saver = any(
                other is not saver
                and other.graph == saver.graph
                and other.selection.kind in ("all", "trainable-plus-moving")
                for other in self.program.savers
            )


def _goes_on(statement: nodes.Stmt | None) -> bool:
    """A `try` after whose failure the program goes on."""
    handlers = statement.handlers if isinstance(statement, nodes.Try) else []
    return any(not _raises(handler) for handler in handlers)


def _raises(block: list[nodes.Stmt]) -> bool:
    last = block[-1] if block else None
    return isinstance(last, nodes.Jump) and last.kind == "raise"


def _root(norm: BatchNorm) -> BatchNorm:
    while norm.reuses is not None:
        norm = norm.reuses
    return norm


def _fetches_train_op(fetches: Value) -> bool:
    """Something is fetched by a name such as "train_op"."""
    names = (constant(item, str) for item in list_of(fetches))
    return any(names_train_op(name) for name in names if name is not None)


def list_of(value: Value | None) -> list[Value]:
    """The items of a list value, else the value itself."""
    if value is None:
        return []
    if isinstance(value, ListValue):
        return [*value.items, *([value.rest] if value.rest is not None else [])]
    return [value]


def constant(value: Value | None, kind: Any) -> Any:
    """The Python constant of type `kind` in `value`, else None."""
    if isinstance(value, Const) and isinstance(value.value, kind):
        return value.value
    return None
