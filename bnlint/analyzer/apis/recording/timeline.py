"""When, where and under which conditions of a followed program something happens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from bnlint.analyzer.interpreter.interpreter import Interpreter
from bnlint.analyzer.syntax import nodes
from bnlint.findings import Location
from bnlint.program.events import BatchNorm, Flag, Program, TrainOp

_Timed = TypeVar("_Timed", BatchNorm, TrainOp)


@dataclass
class Timeline:
    """Where a program has been followed to.

    Attributes:
      graph: the number of the current graph.
      graphs: how many graphs there are beside the default one.
      conditions: enclosing tf.cond predicates.
      paths: id of an event -> the undecided conditions that were assumed when it happened.
    """

    interpreter: Interpreter
    program: Program
    graph: int = 0
    graphs: int = 0
    conditions: list[Flag] = field(default_factory=list)
    paths: dict[int, dict[str, bool]] = field(default_factory=dict)

    def here(self, node: nodes.Node) -> Location:
        return self.interpreter.location(node)

    @property
    def conditional(self) -> bool:
        return bool(self.interpreter.path) or bool(self.conditions)

    def new_graph(self) -> int:
        """The number of a graph of its own."""
        self.graphs += 1
        return self.graphs

    def remember_path(self, event: object) -> None:
        self.paths[id(event)] = self.interpreter.path

    def path_of(self, event: object) -> dict[str, bool]:
        return self.paths.get(id(event), {})

    def compatible(self, event: object, path: dict[str, bool]) -> bool:
        """`event` and something on `path` can happen in the same run of the program."""
        return all(path.get(key, value) is value for key, value in self.path_of(event).items())

    def on_path(self, events: Iterable[_Timed]) -> list[_Timed]:
        """Those of `events` that can have happened before this moment, in their order."""
        path = self.interpreter.path
        return sorted(
            (event for event in events if self.compatible(event, path)),
            key=lambda event: event.time,
        )

    def simple_statement(self, node: nodes.Node) -> Location | None:
        """The simple statement of the current file that holds `node`."""
        statement = self.interpreter.statement
        if isinstance(statement, nodes.Assign | nodes.ExprStmt | nodes.Return) and (
            statement.start <= node.start and node.end <= statement.end
        ):
            return self.here(statement)
        return None

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
