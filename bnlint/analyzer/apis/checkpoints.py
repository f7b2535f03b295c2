"""Savers, and what else loads and saves variables."""

from __future__ import annotations

from bnlint.analyzer.apis.library import TensorFlow, text_of
from bnlint.analyzer.apis.registry import Kind, any_method, api, method
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.apis.variables import left_out, selection_of
from bnlint.analyzer.interpreter.values import NONE, UNKNOWN, Instance, Value
from bnlint.findings import Location
from bnlint.program import events


class Saver(Kind):
    """A tf.train.Saver."""

    def __init__(self, event: events.Saver) -> None:
        super().__init__()
        self.event = event

    @method("tf.train.Saver.save")
    def save(self, tf: TensorFlow, call: Call) -> Value:
        self.event.saves.append(tf.recorder.here(call.node))
        return UNKNOWN

    @method("tf.train.Saver.restore")
    def restore(self, tf: TensorFlow, call: Call) -> Value:
        self.event.restores.append(tf.recorder.here(call.node))
        _restored(tf, self.event.graph)
        if self.event.selection.kind == "trainable":
            tf.program.loads_without_statistics.add(tf.program.loads[-1])
        return NONE


class Supervisor(Kind):
    """A tf.train.Supervisor or Scaffold."""


@api("tf.train.Saver", saves=True)
def saver(tf: TensorFlow, call: Call) -> Value:
    arguments = call.arguments
    keyword = "var_list" if "var_list" in arguments.keywords else None
    if keyword is None and arguments.positional:
        keyword = ""
    return Saver(_record_saver(tf, call, call.var_list, keyword, []))


def _record_saver(
    tf: TensorFlow, call: Call, listed: Value | None, keyword: str | None, restores: list[Location]
) -> events.Saver:
    selection = selection_of(tf, listed, call.node)
    event = events.Saver(
        location=tf.recorder.here(call.node), selection=selection, saves=[], restores=restores,
        batch_norms=left_out(tf, selection, listed), other_full_saver=False,
        tf_name=tf.recorder.tf_name(), var_list_keyword=keyword, graph=tf.recorder.graph,
        conditional=tf.recorder.conditional, time=tf.interpreter.tick(),
    )  # fmt: skip
    tf.program.savers.append(event)
    return event


def _restored(tf: TensorFlow, graph: int) -> None:
    tf.program.restored.add(graph)
    tf.recorder.loaded(graph)


@any_method("tf.train.Saver.restore", "tf.train.Checkpoint.restore", restores=True, ends=True)
def restore(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    if "sav" in text_of(call.node) or "restor" in text_of(call.node):
        _restored(tf, tf.recorder.graph)
        return NONE
    return None


@any_method("keras.Model.load_weights", "keras.Model.set_weights", "keras.Model.load_pretrained",
            "keras.Model.load_npz", signature="*args, **kwargs", restores=True)  # fmt: skip
def load_weights(receiver: Value, tf: TensorFlow, call: Call) -> Value | None:
    """Keras's ways to load weights, and those of libraries on top of TensorFlow."""
    if not isinstance(receiver, Instance):
        tf.recorder.loaded(tf.recorder.graph)
    return None


@api("tf.train.Supervisor", "tf.train.Scaffold")
def supervisor(tf: TensorFlow, call: Call) -> Value:
    if isinstance(call.saver, Saver):
        call.saver.event.saves.append(tf.recorder.here(call.node))
    return Supervisor()


@api(
    "tf.train.init_from_checkpoint", "tf.contrib.framework.init_from_checkpoint",
    "tf.contrib.framework.assign_from_values", "tf.contrib.framework.assign_from_values_fn",
    "tf.import_graph_def", "tf.saved_model.loader.load", "tf.saved_model.load",
)  # fmt: skip
def load(tf: TensorFlow, call: Call) -> Value:
    _restored(tf, tf.recorder.graph)
    return UNKNOWN


@api("tf.train.import_meta_graph", makes_batch_norm=True, restores=True, ends=True)
def import_meta_graph(tf: TensorFlow, call: Call) -> Value:
    """The saver of a graph whose networks, placeholders and train ops are known by name only."""
    _restored(tf, tf.recorder.graph)
    return Saver(_record_saver(tf, call, None, None, []))


@api("tf.contrib.framework.assign_from_checkpoint",
     "tf.contrib.framework.assign_from_checkpoint_fn")  # fmt: skip
def assign_from_checkpoint(tf: TensorFlow, call: Call) -> Value:
    _restored(tf, tf.recorder.graph)
    if call.var_list is not None:
        _record_saver(tf, call, call.var_list, None, [tf.recorder.here(call.node)])
    return UNKNOWN
