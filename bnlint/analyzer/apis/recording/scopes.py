"""Variable scopes and name scopes, by the names that TensorFlow gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    """The scopes that are open, outermost first.

    Variables are named by variable scopes alone, ops by name scopes. A variable scope opens a name
    scope, too, under a name that is new in its graph: entered again, `a` is `a_1` for ops.

    Attributes:
      open: variable scopes.
      names: name scopes by their full names; None when a name on the way is not known.
      counters: how often (graph, scope) had a variable scope of this default name.
      taken: (graph, name of a name scope) -> the conditions under which it was opened.
    """

    at: Timeline
    open: list[Scope] = field(default_factory=lambda: [Scope("", False)])
    names: list[str | None] = field(default_factory=lambda: [""])
    counters: dict[tuple[int, str, str], int] = field(default_factory=dict)
    taken: dict[tuple[int, str], list[dict[str, bool]]] = field(default_factory=dict)

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

    def op_name(self, scope: str | None) -> str | None:
        """What the names of ops begin with that a layer in this variable scope makes here."""
        outer = self.names[-1]
        if outer is None:
            return None
        own = scope.rpartition("/")[2] if scope is not None else ""
        return f"{outer}/{own}" if outer else own

    def name_scope(self, name: str | None, unknown: bool = False) -> Callable[[], None]:
        """Opens a name scope; the result closes it. Like tf.name_scope, a name that ends with "/"
        is one that was opened before, and no name stands for the graph's root."""
        outer = self.names[-1]
        if name == "":
            name = None
        if unknown or (name and not name.endswith("/") and outer is None):
            full = None
        elif name is None or name.endswith("/"):
            full = (name or "").rstrip("/")
        else:
            full = self._unique(f"{outer}/{name}" if outer else name)
        self.names.append(full)

        def close() -> None:
            self.names.pop()

        return close

    def _unique(self, name: str) -> str:
        path = self.at.interpreter.path
        found, count = name, 0
        while any(
            all(path.get(key, value) is value for key, value in other.items())
            for other in self.taken.get((self.at.graph, found.lower()), ())
        ):
            count += 1
            found = f"{name}_{count}"
        self.taken.setdefault((self.at.graph, found.lower()), []).append(path)
        return found

    def variable_scope(
        self, path: str | None, reuse: bool | None, name: str | None
    ) -> Callable[[], None]:
        """Opens the variable scope `path`, and the name scope `name`; the result closes both."""
        self.open.append(Scope(path, reuse))
        # The root scope, entered again, leaves names as they are.
        close_names = self.name_scope(name, unknown=name is None) if name != "" else None

        def close() -> None:
            self.open.pop()
            if close_names is not None:
                close_names()

        return close

    @contextmanager
    def opened(self, path: str | None, reuse: bool | None, name: str | None) -> Iterator[None]:
        """See variable_scope."""
        close = self.variable_scope(path, reuse, name)
        try:
            yield
        finally:
            close()

    def begin_anew(self) -> Callable[[], None]:
        """Leaves all scopes, as for another graph; the result enters them again."""
        outer = self.open, self.names
        self.open, self.names = [Scope("", False)], [""]

        def back() -> None:
            self.open, self.names = outer

        return back
