"""Savers, and what else loads and saves variables."""

from __future__ import annotations

from bnlint.analyzer.apis.batch_norms import is_none
from bnlint.analyzer.apis.library import TensorFlow, text_of, unknown_arguments
from bnlint.analyzer.apis.registry import Kind, any_method, api, method
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.apis.variables import left_out, selection_of
from bnlint.analyzer.interpreter.values import NONE, UNKNOWN, Function, Instance, Symbol, Value
from bnlint.findings import Location
from bnlint.program import events


class Saver(Kind):
    """A tf.train.Saver."""

    def __init__(self, event: events.Saver, scopes: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.event = event
        self.scopes = scopes

    @method("tf.train.Saver.save")
    def save(self, tf: TensorFlow, call: Call) -> Value:
        self.event.saves.append(tf.recorder.here(call.node))
        return UNKNOWN

    @method("tf.train.Saver.restore")
    def restore(self, tf: TensorFlow, call: Call) -> Value:
        self.event.restores.append(tf.recorder.here(call.node))
        tf.program.restored.add(self.event.graph)
        tf.recorder.loaded(
            self.event.graph, statistics=self.event.selection.kind != "trainable",
            scopes=self.scopes, resumes=self._resumes(tf),
        )  # fmt: skip
        return NONE

    def _resumes(self, tf: TensorFlow) -> bool:
        """It restores slots of the optimizer, too: nothing but this training has written them."""
        event = self.event
        steps = [op.time for op in tf.program.train_ops if op.graph == event.graph]
        return event.selection.kind == "all" and bool(steps) and max(steps) < event.time


class Supervisor(Kind):
    """A tf.train.Supervisor or Scaffold."""


class Restorer(Kind):
    """A function that restores variables, such as assign_from_checkpoint_fn makes."""

    @method("tf.contrib.framework.assign_from_checkpoint_fn", called="__call__",
            signature="session")  # fmt: skip
    def call(self, tf: TensorFlow, call: Call) -> Value:
        return NONE  # it counts from where it is made


@api("tf.train.Saver", saves=True)
def saver(tf: TensorFlow, call: Call) -> Value:
    arguments = call.arguments
    keyword = "var_list" if "var_list" in arguments.keywords else None
    if keyword is None and arguments.positional:
        keyword = ""
    event = _record_saver(tf, call, call.var_list, keyword, [])
    return Saver(event, _scopes(call.var_list))


def _scopes(listed: Value | None) -> tuple[str, ...]:
    """The scopes that a list of variables was limited to."""
    return tuple(sorted(listed.variables.scopes)) if isinstance(listed, Symbol) else ()


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


def initialize(tf: TensorFlow, function: Value | None, call: Call) -> None:
    """A session is begun with `init_fn`, which nearly always loads weights."""
    if function is None or is_none(function) or isinstance(function, Restorer):
        return
    if isinstance(function, Function):
        before = len(tf.program.loads)
        tf.call_value(function, unknown_arguments(function), call.node)
        if len(tf.program.loads) > before:
            return
    tf.recorder.loaded(tf.recorder.graph)


@api("tf.train.Supervisor", "tf.train.Scaffold")
def supervisor(tf: TensorFlow, call: Call) -> Value:
    initialize(tf, call.init_fn, call)
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
    tf.program.restored.add(tf.recorder.graph)
    listed = call.var_list
    saver = _record_saver(tf, call, listed, None, [tf.recorder.here(call.node)])
    statistics = saver.selection.kind != "trainable"
    tf.recorder.loaded(tf.recorder.graph, statistics=statistics, scopes=_scopes(listed))
    return Restorer()
