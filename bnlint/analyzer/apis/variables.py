"""Lists of variables, as optimizers and savers are given them."""

from __future__ import annotations

import os

from bnlint.analyzer.apis.library import TensorFlow, scope_name
from bnlint.analyzer.apis.registry import api
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.values import (
    Choice,
    Const,
    ListValue,
    Symbol,
    Value,
    VariableSet,
    constant,
    list_of,
    symbol_of,
)
from bnlint.analyzer.syntax import nodes
from bnlint.program.events import BatchNorm, VariableSelection


def variables(collection: str, scope: str | None = None) -> Symbol:
    """The variables of a collection, those under a scope."""
    scopes = frozenset([scope]) if scope else frozenset()
    return Symbol(variables=VariableSet(frozenset([collection]), scopes))


@api("tf.trainable_variables", "tf.contrib.slim.get_trainable_variables")
def trainable_variables(tf: TensorFlow, call: Call) -> Value:
    return _listed("trainable_variables", call)


@api("tf.global_variables", "tf.all_variables", "tf.contrib.slim.get_variables",
     "tf.contrib.slim.get_model_variables", "tf.model_variables")  # fmt: skip
def all_variables(tf: TensorFlow, call: Call) -> Value:
    return _listed("variables", call)


def _listed(collection: str, call: Call) -> Symbol:
    name, unknown = scope_name(call.scope)
    return variables(collection, name).replace(incomplete=unknown)


@api("tf.contrib.slim.get_variables_to_restore")
def variables_to_restore(tf: TensorFlow, call: Call) -> Value:
    texts = [constant(item, str) or "" for item in list_of(call.exclude)]
    drops = any("moving" in text for text in texts)
    return Symbol(variables=VariableSet(frozenset(["variables"]), drops_statistics=drops))


def scope_of(value: Value | None) -> str | None:
    """The scope that a list of variables, or gradients of it, were limited to.

    Of several scopes, what their names begin with.
    """
    scopes = value.variables.scopes if isinstance(value, Symbol) else ()
    return os.path.commonprefix(sorted(scopes)) or None  # noqa: RUF071  (tf compares so too)


def trains_some(value: Value | None) -> bool:
    """This list of variables to train may leave some out."""
    if value is None or (isinstance(value, Const) and value.value is None):
        return False
    chosen = value.variables if isinstance(value, Symbol) else VariableSet()
    every = chosen.collections == {"trainable_variables"} and not (chosen.scopes or chosen.filtered)
    return not every or symbol_of(value).incomplete


def selection_of(tf: TensorFlow, value: Value | None, node: nodes.Node) -> VariableSelection:
    """What a saver that is given this list of variables saves."""
    location = tf.recorder.here(node)
    if value is None or (isinstance(value, Const) and value.value is None):
        return VariableSelection("all", location)
    return VariableSelection(_selected(value, symbol_of(value)), location)


def _selected(value: Value, symbol: Symbol) -> str:
    chosen = symbol.variables
    if chosen.drops_statistics:
        return "filtered-moving"
    if isinstance(value, Choice) or symbol.unknown or not chosen.collections:
        return "unknown"
    if chosen.collections == {"trainable_variables"}:
        more = isinstance(value, ListValue) and bool(value.items)
        return "unknown" if chosen.keeps_statistics or more else "trainable"
    if chosen.collections == {"variables"} and not chosen.filtered:
        return "all"
    if chosen.keeps_statistics and "trainable_variables" in chosen.collections:
        return "trainable-plus-moving"
    return "unknown"


def left_out(tf: TensorFlow, selection: VariableSelection, listed: Value | None) -> list[BatchNorm]:
    """The batch norms of the graph, but those whose statistics a trainable selection holds, and
    those of other scopes than the list was limited to."""
    scopes = tuple(listed.variables.scopes) if isinstance(listed, Symbol) else ()
    return [
        norm
        for norm in tf.program.batch_norms
        if norm.graph == tf.recorder.graph
        and not (norm.statistics_trainable and selection.kind == "trainable")
        and not (scopes and norm.scope is not None and not norm.scope.startswith(scopes))
    ]
