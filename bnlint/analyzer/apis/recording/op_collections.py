"""Collections of a graph: what was put into them, and what reads of them give."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bnlint.analyzer.apis.recording.timeline import Timeline
from bnlint.analyzer.interpreter.values import Symbol, symbol_of
from bnlint.analyzer.syntax import nodes
from bnlint.program.events import BatchNorm, CollectionRead


@dataclass
class CollectionEntry:
    """Something put into an op collection; `scope` is what its name begins with, if known."""

    name: str
    graph: int
    symbol: Symbol
    path: dict[str, bool]
    scope: str | None


@dataclass
class Collections:
    """The op collections of every graph."""

    at: Timeline
    entries: list[CollectionEntry] = field(default_factory=list)

    def add(self, name: str, symbol: Symbol, scope: str | None) -> None:
        path = self.at.interpreter.path
        self.entries.append(CollectionEntry(name, self.at.graph, symbol, path, scope))

    def read(self, node: nodes.Node, name: str, scope: str | None) -> Symbol:
        """`tf.get_collection(name, scope)`; `scope` "" for no filter, None if not known."""
        kept: list[Symbol] = []
        missed: list[BatchNorm] = []
        for entry in self._reachable(name):
            # Without a known scope on either side, what is left out is not known: nothing is.
            if not scope or entry.scope is None or _matches(entry.scope, scope):
                kept.append(entry.symbol)
            else:
                missed.extend(entry.symbol.runs)
        symbol = symbol_of(*kept)
        read = CollectionRead(
            location=self.at.here(node), collection=name, scope=scope,
            batch_norms=sorted(symbol.runs, key=lambda norm: norm.time), missed=missed,
            graph=self.at.graph, conditional=self.at.conditional,
            time=self.at.interpreter.tick(),
        )  # fmt: skip
        self.at.remember_path(read)
        self.at.program.collection_reads.append(read)
        incomplete = symbol.incomplete or scope is None
        return symbol.replace(reads=symbol.reads | {read}, incomplete=incomplete)

    def _reachable(self, name: str) -> list[CollectionEntry]:
        """What may have been put into the collection `name` of the current graph by now."""
        path = self.at.interpreter.path
        return [
            entry
            for entry in self.entries
            if entry.name == name
            and entry.graph == self.at.graph
            and all(path.get(key, value) is value for key, value in entry.path.items())
        ]

    def finish(self) -> None:
        """Notes what came into the collections after they were read."""
        for read in self.at.program.collection_reads:
            returned = set(read.batch_norms)
            later = [
                norm
                for norm in self.at.program.batch_norms
                if norm.graph == read.graph and norm.collection == read.collection
                and norm.has_update_ops and norm not in returned and norm not in read.missed
                and norm.time > read.time and self.at.compatible(norm, self.at.path_of(read))
            ]  # fmt: skip
            read.missed = [*read.missed, *later]


def _matches(name: str, scope: str) -> bool:
    """Filters are patterns, which TensorFlow matches with the beginning of an op's name."""
    return f"{name}/".startswith(scope) or not _PLAIN.fullmatch(scope)


_PLAIN = re.compile(r"[\w./-]*")  # what may stand in names; a pattern may match anything
