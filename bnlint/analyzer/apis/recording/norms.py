"""The batch norms of a program."""

from __future__ import annotations

from dataclasses import dataclass, field

from bnlint.analyzer.apis.recording.controls import Controls
from bnlint.analyzer.apis.recording.op_collections import Collections
from bnlint.analyzer.apis.recording.scopes import Scopes
from bnlint.analyzer.apis.recording.timeline import Timeline
from bnlint.analyzer.interpreter.values import Symbol, symbol_of
from bnlint.analyzer.syntax import nodes
from bnlint.findings import Location
from bnlint.program.events import BatchNorm, Flag


@dataclass
class Norms:
    """Builds batch norms; `by_scope`: (graph, variable scope) -> those whose variables it holds."""

    at: Timeline
    scopes: Scopes
    collections: Collections
    controls: Controls
    by_scope: dict[tuple[int, str], list[BatchNorm]] = field(default_factory=dict)

    def add(
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
        at = self.at
        if reuses is None and scope is not None:
            reuses = self._built_in(scope)
        updates = _updates(api, training, collection, collection_known)
        event = BatchNorm(
            location=at.here(node), definition=definition, api=api, training=training,
            updates=updates, collection=collection if collection_known else None, scope=scope,
            reuses=reuses, reuse_unknown=scope is None and reuses is None, trainable=trainable,
            decay=decay, frames=tuple(at.interpreter.frames), graph=at.graph,
            conditional=at.conditional, time=at.interpreter.tick(), path=at.interpreter.path,
            layer=layer,
        )  # fmt: skip
        if reuse is None and reuses is None:
            event.reuse_unknown = True
        if scope is not None:
            self.by_scope.setdefault((at.graph, scope), []).append(event)
        at.remember_path(event)
        at.program.batch_norms.append(event)
        if updates == "collection" and collection is not None:
            entry = Symbol(runs=frozenset([event]))
            self.collections.add(collection, entry, self.scopes.op_name(scope))
        output = symbol_of(inputs)
        runs = output.runs | {event} if updates in ("in-place", "unknown") else output.runs
        norms = output.batch_norms | {event}
        return event, self.controls.op(output.replace(batch_norms=norms, runs=runs))

    def _built_in(self, scope: str) -> BatchNorm | None:
        """The first batch norm of this scope that the same run of the program may have built."""
        path = self.at.interpreter.path
        built = self.by_scope.get((self.at.graph, scope), ())
        return next((norm for norm in built if self.at.compatible(norm, path)), None)


def _updates(api: str, training: Flag, collection: str | None, known: bool) -> str:
    if training.is_false:
        return "none"
    if api == "keras":
        return "layer"
    if not known:
        return "unknown"
    return "in-place" if collection is None else "collection"
