"""Placeholders, and tensors that are known by their names in a graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from bnlint.analyzer.apis.recording.scopes import Scopes
from bnlint.analyzer.apis.recording.timeline import Timeline
from bnlint.analyzer.interpreter.values import Symbol
from bnlint.analyzer.syntax import nodes
from bnlint.program.events import LEARNING_PHASE_KEY, Clue, ClueKind, Flag, FlagKind, Path, together
from bnlint.program.words import names_train_op, names_training_flag, names_variable


@dataclass
class Tensors:
    """What feeds and fetches go by.

    Attributes:
      names: a placeholder's key -> the names it goes by.
      keys: (graph, tensor name) -> the keys of the placeholders of that name, each with the
        conditions that it is made under.
    """

    at: Timeline
    scopes: Scopes
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    keys: dict[tuple[int, str], list[tuple[str, Path]]] = field(default_factory=dict)

    def placeholder(self, kind: FlagKind, name: str | None, node: nodes.Node) -> Flag:
        """A new placeholder, as a training flag; its key is what feeds know it by."""
        key = f"placeholder{self.at.interpreter.tick()}"
        path = self.scopes.path
        if name and path is not None:
            full = f"{path}/{name}:0" if path else f"{name}:0"
            made = self.keys.setdefault((self.at.graph, full), [])
            made.append((key, self.at.interpreter.path))
        statement = self.at.interpreter.statement
        targets = statement.targets if isinstance(statement, nodes.Assign) else []
        names = [name] if name else []
        if len(targets) == 1 and isinstance(targets[0], nodes.Name | nodes.Attribute):
            names += list(nodes.names_in(targets[0]))[:1]
        self.names[key] = tuple(names)
        return Flag(kind, True, self.at.here(node), key, name=next(reversed(names), ""))

    def key_of(self, name: str) -> str:
        """The key of the tensor `name` of the current graph, which may have been imported."""
        program, graph = self.at.program, self.at.graph
        if LEARNING_PHASE_KEY in name:  # "keras_learning_phase:0", perhaps in a scope
            program.reads_learning_phase = True
            return LEARNING_PHASE_KEY
        path = self.at.interpreter.path
        known = [key for key, made in self.keys.get((graph, name), ()) if together(made, path)]
        if known:
            return known[-1]
        key = f"tensor{graph}:{name}"
        short = name.rpartition(":")[0].rpartition("/")[2]
        self.names[key] = (short,)
        program.imported_tensors[key] = name
        return key

    def by_name(self, name: str | None) -> Symbol:
        """`graph.get_tensor_by_name(name)`: in a graph that nothing trains, the network's output.

        An unknown tensor may be any of the graph: it depends on every batch norm that was built.
        """
        program, graph = self.at.program, self.at.graph
        trained = any(op.graph == graph for op in self.at.on_path(program.train_ops))
        norms = () if trained else self.at.on_path(program.batch_norms)
        held = Symbol(
            batch_norms=frozenset(norm for norm in norms if norm.graph == graph), incomplete=True
        )
        if name is None:
            return held.replace(unknown=True)
        if names_variable(name):
            return Symbol(key=self.key_of(name), incomplete=True)
        return held.replace(key=self.key_of(name), unknown=names_train_op(name))

    def fed_false(self, fed: dict[str, bool | None]) -> Iterator[Clue]:
        """Training flags that are fed False, by their names."""
        for key, value in fed.items():
            if value is False:
                names = [name for name in self.names.get(key, ()) if names_training_flag(name)]
                yield from (Clue(ClueKind.FED_FALSE, f"`{name}`") for name in names[:1])
