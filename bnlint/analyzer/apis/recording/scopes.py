"""Variable scopes, by the names that TensorFlow gives them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bnlint.analyzer.apis.recording.timeline import Timeline


@dataclass
class Scope:
    """One level of tf.variable_scope. `path` is None when a name on the way is not known."""

    path: str | None
    reuse: bool | None  # None: AUTO_REUSE or not known


@dataclass
class Scopes:
    """The open variable scopes, outermost first, and the default names that are taken."""

    at: Timeline
    open: list[Scope] = field(default_factory=lambda: [Scope("", False)])
    counters: dict[tuple[int, str, str], int] = field(default_factory=dict)

    @property
    def path(self) -> str | None:
        """The full path of the current scope, None if not known."""
        return self.open[-1].path

    @property
    def reuse(self) -> bool | None:
        return self.open[-1].reuse

    def full_path(self, name: str | None, default: str, unknown: bool = False) -> str | None:
        """The full path of a variable scope opened here: `name`, or `default` made unique."""
        outer = self.path
        if outer is None or unknown:
            return None
        graph = self.at.graph
        if name is None:
            key = (graph, outer, default)
            count = self.counters.get(key, 0)
            self.counters[key] = count + 1
            name = f"{default}_{count}" if count else default
        path = f"{outer}/{name}" if outer else name
        # Opening a scope by name starts its inner default names over, as TensorFlow does.
        for of_graph, scope, inner in list(self.counters):
            if of_graph == graph and (scope == path or scope.startswith(path + "/")):
                del self.counters[of_graph, scope, inner]
        return path

    @contextmanager
    def opened(self, path: str | None, reuse: bool | None) -> Iterator[None]:
        self.open.append(Scope(path, reuse))
        try:
            yield
        finally:
            self.open.pop()
