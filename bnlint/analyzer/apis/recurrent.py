"""Recurrent networks: cells of the project that TensorFlow calls at every step.

Checked on TF 1.15.5: what a cell puts into UPDATE_OPS is inside a loop, where nothing outside can
run it (control dependencies on it fail); updates in place (`updates_collections=None`) do run.
"""

from __future__ import annotations

from bnlint.analyzer.apis.library import TensorFlow, scope_name
from bnlint.analyzer.apis.registry import Kind, api
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.values import (
    UNKNOWN,
    Choice,
    Instance,
    ListValue,
    Value,
    list_of,
    symbol_of,
)


class Cells(Kind):
    """Cells that are stacked or wrapped, from the first that is called to the last."""

    def __init__(self, cells: list[Value]) -> None:
        super().__init__()
        self.cells = cells


@api("tf.nn.rnn_cell.MultiRNNCell", "tf.contrib.rnn.MultiRNNCell",
     "tf.nn.rnn_cell.DropoutWrapper", "tf.contrib.rnn.DropoutWrapper",
     "tf.nn.rnn_cell.ResidualWrapper", "tf.contrib.rnn.ResidualWrapper",
     "tf.nn.rnn_cell.DeviceWrapper", "tf.contrib.rnn.DeviceWrapper",
     "tf.contrib.rnn.AttentionCellWrapper", "tf.contrib.seq2seq.AttentionWrapper",
     signature="cell, *args, **kwargs")  # fmt: skip
def wrapper(tf: TensorFlow, call: Call) -> Value:
    given = call.cell if call.cell is not None else call.extra.get("cells")
    return Cells(_cells(given))


def _cells(value: Value | None) -> list[Value]:
    """The cells in a list, a wrapper or a value."""
    if isinstance(value, Cells):
        return value.cells
    if isinstance(value, ListValue):
        return [cell for item in list_of(value) for cell in _cells(item)]
    if isinstance(value, Choice):
        return [cell for option in value.options for cell in _cells(option)]
    return [value] if value is not None else []


def _run(tf: TensorFlow, call: Call, *cells: Value | None) -> Value:
    output = symbol_of(call.inputs)
    name, unknown = scope_name(call.scope)
    name = name or "rnn"
    path = tf.recorder.scopes.full_path(name, "", unknown)
    with tf.recorder.scopes.opened(path, tf.recorder.scopes.reuse, None if unknown else name):
        for cell in (one for given in cells for one in _cells(given)):
            if isinstance(cell, Instance):
                result = tf.call_value(cell, Args([output, UNKNOWN]), call.node)
                # The state is not known, but nothing that an op could wait for.
                output = symbol_of(output, result).replace(unknown=False)
    return tf.op(output, *call.values())


@api("tf.nn.dynamic_rnn", "tf.nn.static_rnn", "tf.contrib.rnn.static_rnn", "tf.nn.rnn",
     signature="cell, inputs, *args, scope=None, **kwargs")  # fmt: skip
def recurrent(tf: TensorFlow, call: Call) -> Value:
    return _run(tf, call, call.cell)


@api("tf.nn.bidirectional_dynamic_rnn", "tf.nn.static_bidirectional_rnn",
     "tf.contrib.rnn.static_bidirectional_rnn", "tf.nn.bidirectional_rnn",
     signature="cell_fw, cell_bw, inputs, *args, scope=None, **kwargs")  # fmt: skip
def bidirectional(tf: TensorFlow, call: Call) -> Value:
    return _run(tf, call, call.cell_fw, call.cell_bw)
