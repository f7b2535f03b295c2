"""Optimizers, gradients and train ops of graph mode."""

from __future__ import annotations

from bnlint.analyzer.apis.collections import read_by_library
from bnlint.analyzer.apis.library import Optimizer, TensorFlow, text_of
from bnlint.analyzer.apis.registry import Kind, any_method, api, method
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.apis.tapes import minimized_function, minimized_on_tape, tape_trains
from bnlint.analyzer.apis.variables import scope_of, trains_some
from bnlint.analyzer.interpreter.values import (
    TENSOR,
    Const,
    External,
    Function,
    Instance,
    ListValue,
    Object,
    Symbol,
    Value,
    VariableSet,
    list_of,
    symbol_of,
)
from bnlint.analyzer.syntax import nodes
from bnlint.program.events import UPDATE_OPS, FlagKind

# --- optimizers ----------------------------------------------------------------------------


@any_method("tf.train.Optimizer.minimize", trains=True, ends=True)
def minimize(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    loss = call.loss
    if minimized_on_tape(tf, loss, call.var_list, call.get("tape")):
        return TENSOR
    if loss is None or isinstance(loss, Const | Instance) or _is_other_instance(receiver):
        return None
    tf.program.differentiated.add(tf.recorder.graph)
    if isinstance(loss, Function):
        minimized_function(tf, loss, call.var_list, call.node)
        return TENSOR
    if not (symbol_of(loss).batch_norms or _is_optimizer(receiver, call.node)):
        return None
    return tf.recorder.train_ops.add(
        call.node, "minimize", differentiated(loss), trainable_scope=scope_of(call.var_list),
        trainable_words=symbol_of(call.var_list).variables.words,
        trains_some=trains_some(call.var_list),
    )  # fmt: skip


def _is_other_instance(receiver: Value) -> bool:
    """An instance of a project class that is no optimizer of graph mode."""
    return isinstance(receiver, Instance) and not _is_own_optimizer(receiver)


def _is_own_optimizer(receiver: Value) -> bool:
    """An instance of a project class on top of tf.train.Optimizer or one of its subclasses."""
    return isinstance(receiver, Instance) and any(
        base.endswith("Optimizer") and not base.startswith("keras.")
        for base in receiver.cls.external_bases()
    )


def _is_optimizer(receiver: Value, node: nodes.Call) -> bool:
    if _is_own_optimizer(receiver):
        return True
    if isinstance(receiver, Object):
        return isinstance(receiver, Optimizer)
    words = text_of(node)
    return any(word in words for word in ("opt", "adam", "sgd", "trainer", "solver"))


@any_method("tf.train.Optimizer.compute_gradients")
def compute_gradients(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    tf.program.differentiated.add(tf.recorder.graph)
    trained = symbol_of(call.var_list).variables
    of = VariableSet(scopes=trained.scopes, partial=trains_some(call.var_list), words=trained.words)
    pair = tf.op(differentiated(call.loss)).replace(variables=of, of_gradient=True)
    return ListValue((ListValue((pair, TENSOR)),))


@api("tf.gradients", trains=True)
def gradients(tf: TensorFlow, call: Call) -> Value:
    if not _is_input(call.xs):
        tf.program.differentiated.add(tf.recorder.graph)
    trained = symbol_of(call.xs).variables
    of = VariableSet(scopes=trained.scopes, partial=trains_some(call.xs), words=trained.words)
    by_variables = bool(trained.collections)
    return tf.op(differentiated(call.ys)).replace(variables=of, of_gradient=by_variables)


def _is_input(value: Value | None) -> bool:
    """A placeholder: its gradient explains or attacks a prediction, it does not train."""
    kinds = (FlagKind.PLACEHOLDER, FlagKind.PLACEHOLDER_WITH_DEFAULT)
    inputs = [item.flag for item in list_of(value) if isinstance(item, Symbol)]
    return bool(inputs) and all(flag is not None and flag.kind in kinds for flag in inputs)


def differentiated(loss: Value | None) -> Symbol:
    """What the gradients of `loss` run.

    Checked on TF 1.15.5: `minimize(tf.identity(loss))` under control_dependencies(update_ops)
    makes a train op that does not depend on the update ops.
    """
    symbol = symbol_of(loss)
    return symbol.replace(runs=symbol.runs - loss.after) if isinstance(loss, Symbol) else symbol


@any_method("tf.train.Optimizer.apply_gradients", trains=True, ends=True)
def apply_gradients(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    gradient = symbol_of(call.grads_and_vars)
    if tape_trains(tf, gradient):
        return TENSOR
    if _is_other_instance(receiver):
        return None
    if not (gradient.batch_norms or _is_optimizer(receiver, call.node)):
        return None
    return tf.recorder.train_ops.add(
        call.node, "apply_gradients", gradient, trainable_scope=scope_of(gradient),
        trainable_words=gradient.variables.words, trains_some=gradient.variables.partial,
    )  # fmt: skip


class KerasOptimizer(Kind):
    """An optimizer of Keras: what it trains is seen by the tape."""

    @method("tf.keras.optimizers.Optimizer.minimize")
    def minimize(self, tf: TensorFlow, call: Call) -> Value:
        if minimized_on_tape(tf, call.loss, call.var_list, call.get("tape")):
            return TENSOR
        tf.program.differentiated.add(tf.recorder.graph)
        symbol = symbol_of(call.loss)
        if isinstance(call.loss, Function):
            minimized_function(tf, call.loss, call.var_list, call.node)
            return TENSOR
        if tf.recorder.keras.tapes or not symbol.batch_norms:
            return TENSOR
        return tf.recorder.train_ops.add(
            call.node, "minimize", differentiated(call.loss),
            trainable_scope=scope_of(call.var_list),
            trains_some=trains_some(call.var_list),
        )  # fmt: skip

    @method("tf.keras.optimizers.Optimizer.apply_gradients")
    def apply_gradients(self, tf: TensorFlow, call: Call) -> Value:
        tape_trains(tf, symbol_of(call.grads_and_vars))
        return TENSOR

    @method("keras.optimizers.Optimizer.apply")
    def apply(self, tf: TensorFlow, call: Call) -> Value:
        tape_trains(tf, symbol_of(call.grads))
        return TENSOR


def _keras_optimizer(tf: TensorFlow, call: Call) -> Value:
    return KerasOptimizer()


for _name in ("Adam", "SGD", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam", "Ftrl", "AdamW"):
    api(f"keras.optimizers.{_name}", f"keras.optimizers.legacy.{_name}", f"tf.optimizers.{_name}")(
        _keras_optimizer
    )


# --- train ops -----------------------------------------------------------------------------


def _attached(tf: TensorFlow, value: Value | None, node: nodes.Call) -> tuple[str, Symbol]:
    """(how update_ops was given, the ops that are attached)."""
    if value is None:
        return "default", read_by_library(tf, UPDATE_OPS, node)
    if isinstance(value, External) or (isinstance(value, Const) and value.value is None):
        # None means the default for optimize_loss, create_train_op's marker object likewise.
        return _attached(tf, None, node)
    if isinstance(value, ListValue) and not value.items and value.rest is None:
        return "empty", TENSOR
    symbol = symbol_of(value)
    return ("unknown" if symbol.unknown else "given"), symbol


def _train_op(
    tf: TensorFlow, call: Call, kind: str, loss: Value | None, trained: str, scope: str | None
) -> Symbol:
    """A train op of a function that attaches `update_ops`; `trained`: its list of variables."""
    tf.program.differentiated.add(tf.recorder.graph)
    how, updates = _attached(tf, call.update_ops, call.node)
    if call.rest is not None:
        how, updates = "unknown", updates.replace(incomplete=True)
    return tf.recorder.train_ops.add(
        call.node, kind, symbol_of(loss), attaches_updates=call.roles.attaches_updates,
        update_ops_argument=how, updates=updates,
        trainable_scope=scope, trains_some=trains_some(call.get(trained)),
    )  # fmt: skip


@api(
    "tf.contrib.slim.learning.create_train_op", "tf.contrib.training.create_train_op",
    trains=True, attaches_updates=True, ends=True,
)  # fmt: skip
def create_train_op(tf: TensorFlow, call: Call) -> Value:
    scope = scope_of(call.variables_to_train)
    return _train_op(tf, call, "create_train_op", call.total_loss, "variables_to_train", scope)


@api("tf.contrib.layers.optimize_loss", trains=True, attaches_updates=True, ends=True)
def optimize_loss(tf: TensorFlow, call: Call) -> Value:
    return _train_op(tf, call, "optimize_loss", call.loss, "variables", None)
