"""Lists of variables, as optimizers and savers are given them."""

from __future__ import annotations

from bnlint.analyzer.apis.graph_state import constant, list_of
from bnlint.analyzer.apis.library import TensorFlow, scope_name
from bnlint.analyzer.apis.registry import api
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.values import Choice, Const, ListValue, Symbol, Value, symbol_of
from bnlint.analyzer.syntax import nodes
from bnlint.program.events import BatchNorm, VariableSelection


def variables(collection: str, scope: str | None = None) -> Symbol:
    """The variables of a collection, those under a scope."""
    tags = {f"variables:{collection}"}
    if scope:
        tags.add(f"scope:{scope}")
    return Symbol(tags=frozenset(tags))


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
    symbol = variables("variables")
    if any("moving" in text for text in texts):
        return symbol.replace(tags=symbol.tags | {"drops moving"})
    return symbol


def scope_of(value: Value | None) -> str | None:
    """The scope that a list of variables, or gradients of it, were limited to."""
    if isinstance(value, Symbol):
        for tag in value.tags:
            if tag.startswith("scope:"):
                return tag[len("scope:") :]
    return None


def selection_of(tf: TensorFlow, value: Value | None, node: nodes.Node) -> VariableSelection:
    """What a saver that is given this list of variables saves."""
    location = tf.recorder.here(node)
    if value is None or (isinstance(value, Const) and value.value is None):
        return VariableSelection("all", location)
    return VariableSelection(_selected(value, symbol_of(value)), location)


def _selected(value: Value, symbol: Symbol) -> str:
    kinds = {tag for tag in symbol.tags if tag.startswith("variables:")}
    keeps_moving = "keeps moving" in symbol.tags
    if "drops moving" in symbol.tags:
        return "filtered-moving"
    if isinstance(value, Choice) or symbol.unknown or not kinds:
        return "unknown"
    if kinds == {"variables:trainable_variables"}:
        more = isinstance(value, ListValue) and bool(value.items)
        return "unknown" if keeps_moving or more else "trainable"
    if kinds == {"variables:variables"} and "filtered" not in symbol.tags:
        return "all"
    if keeps_moving and "variables:trainable_variables" in kinds:
        return "trainable-plus-moving"
    return "unknown"


def left_out(tf: TensorFlow, selection: VariableSelection) -> list[BatchNorm]:
    """The batch norms of the graph, but those whose statistics a trainable selection holds."""
    return [
        norm
        for norm in tf.program.batch_norms
        if norm.graph == tf.recorder.graph
        and not (norm.statistics_trainable and selection.kind == "trainable")
    ]


def models_of(gradient: Symbol) -> set[int]:
    """The Keras models whose variables these gradients are of."""
    return {int(tag[len("model:") :]) for tag in gradient.tags if tag.startswith("model:")}
