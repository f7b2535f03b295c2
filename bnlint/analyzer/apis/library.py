"""The Library of an interpreter: what TensorFlow, slim, Keras and a little of Python's do.

Functions and kinds of objects are declared in the other files of this room (see registry.py). A
function that is not declared is an op: its result depends on everything it was given.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import PurePath

from bnlint.analyzer.apis.gaps import OUTSIDE, add_gap, add_mixture
from bnlint.analyzer.apis.recording.recorder import Recorder
from bnlint.analyzer.apis.registry import FUNCTIONS, METHODS, Kind, Roles, names, nothing
from bnlint.analyzer.interpreter.attributes import instance_attribute
from bnlint.analyzer.interpreter.containers import dict_method, list_method
from bnlint.analyzer.interpreter.interpreter import Interpreter
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.names import PURE, ROOTS
from bnlint.analyzer.interpreter.operators import lift
from bnlint.analyzer.interpreter.values import (
    TENSOR,
    UNKNOWN,
    Choice,
    ClassValue,
    Const,
    DictValue,
    Function,
    Instance,
    ListValue,
    Object,
    Setting,
    Symbol,
    Value,
    constant,
    join,
    leaves,
    root_of,
    symbol_of,
)
from bnlint.analyzer.syntax import nodes
from bnlint.findings import Location
from bnlint.program.events import ArgScope, Program
from bnlint.program.words import names_eval_data

# What a call of an instance runs: its own, or what frameworks' base classes call.
CALLED_WITH_INSTANCE = ("__call__", "call", "_build", "forward")


class TensorFlow:
    """The Library of an interpreter (see interpreter.Library)."""

    def __init__(self, interpreter: Interpreter, program: Program) -> None:
        self.interpreter = interpreter
        self.program = program
        self.recorder = Recorder(interpreter, program)
        self.scoped: list[dict[object, dict[str, Value]]] = [{}]
        self.scope_events: list[tuple[ArgScope, ...]] = [()]
        self.model_fns: list[tuple[Value, Value]] = []
        self.called = False

    @property
    def script(self) -> str:
        """The name of the file that the program begins in: "train", "eval_inception"."""
        return PurePath(self.program.entry.location.path).stem

    def was_called(self) -> bool:
        """See interpreter.Library."""
        return self.called

    def has_events(self) -> bool:
        """See interpreter.Library."""
        return self.program.has_events

    # --- calls -----------------------------------------------------------------------------

    def call(self, name: str, args: Args, node: nodes.Call) -> Value:
        root = name.split(".", 1)[0]
        self.called = self.called or root in ROOTS
        known = FUNCTIONS.get(name)
        if known is not None:
            result: Value = known.handler(self, known.bind(args, node))
            return result
        if root in ROOTS:
            return self._framework_call(name.rsplit(".", 1)[-1], args, node)
        if root in PURE:
            return symbol_of(*args.values()).replace(incomplete=True, key=_call_key(name, args))
        self._out_of_sight(OUTSIDE, args, node)
        return self._unknown_call(name, args)

    def _framework_call(self, short: str, args: Args, node: nodes.Call) -> Value:
        if short.endswith("Optimizer"):
            return Optimizer()
        self._call_back(args, node)
        return self.op(*args.values())

    def _call_back(self, args: Args, node: nodes.Call) -> None:
        """Functions handed to TensorFlow (map_fn, while_loop, py_function...) may be called."""
        for value in args.values():
            if isinstance(value, Function) and not value.definition.reads.isdisjoint(_builders()):
                self.interpreter.call(value, unknown_arguments(value), node)

    def _unknown_call(self, name: str, args: Args) -> Value:
        symbol = symbol_of(*args.values())
        self.escaped(symbol)
        return symbol.replace(incomplete=True, unknown=True, key=_call_key(name, args))

    def _out_of_sight(self, reason: str, args: Args, node: nodes.Call) -> None:
        self._note_gap(reason, args, node)
        for handed_over in OUT_OF_SIGHT:
            handed_over(self, args, node)

    def _note_gap(self, reason: str, args: Args, node: nodes.Call) -> None:
        if self.program.gaps is not None:
            add_gap(self.program.gaps, self.recorder.here(node), reason, args, node)

    def _note_mixture(self, *values: Value | None) -> None:
        statement = self.interpreter.statement
        if self.program.gaps is not None and statement is not None:
            add_mixture(self.program.gaps, self.recorder.here(statement), values)

    def call_object(self, target: Value, args: Args, node: nodes.Call) -> Value:
        if isinstance(target, Kind) and "__call__" in target.methods:
            return self._call_own(target, "__call__", args, node)
        if isinstance(target, Symbol) and not target.unknown:
            return self.op(target, *args.values())
        self._out_of_sight("what is called is not known", args, node)
        symbol = symbol_of(target, *args.values())
        self.escaped(symbol)
        key = f"{target.key}()" if isinstance(target, Symbol) and target.key else ""
        return symbol.replace(incomplete=True, unknown=True, key=key)

    def call_method(self, receiver: Value, name: str, args: Args, node: nodes.Call) -> Value:
        if isinstance(receiver, Choice):
            options = [self.call_method(option, name, args, node) for option in receiver.options]
            return join(options)
        if isinstance(receiver, ListValue):
            return list_method(self.interpreter, receiver, name, args)
        if isinstance(receiver, DictValue):
            return dict_method(self.interpreter, receiver, name, args)
        if isinstance(receiver, Const) and isinstance(receiver.value, str):
            return _string_method(receiver, name, args)
        if isinstance(receiver, Setting):
            return _string_method(receiver, name, args)
        if isinstance(receiver, Kind) and name in receiver.methods:
            return self._call_own(receiver, name, args, node)
        for known in METHODS.get(name, ()):
            result: Value | None = known.handler(receiver, self, known.bind(args, node))
            if result is not None:
                return result
        return self._unknown_method(receiver, name, args, node)

    def _call_own(self, receiver: Kind, name: str, args: Args, node: nodes.Call) -> Value:
        known = receiver.methods[name]
        result: Value = known.handler(receiver, self, known.bind(args, node))
        return result

    def _unknown_method(self, receiver: Value, name: str, args: Args, node: nodes.Call) -> Value:
        symbol = symbol_of(receiver, *args.values())
        root = root_of(receiver)
        if isinstance(root, Symbol) and not root.unknown:
            return self.op(symbol)  # a tensor's own: get_shape, assign, shape.as_list
        if isinstance(root, Kind):
            return self.op(symbol)
        self._note_gap("whose method it is is not known", args, node)
        self.escaped(symbol_of(*args.values()))
        key = ""
        if isinstance(receiver, Symbol) and receiver.key:
            key = _call_key(f"{receiver.key}.{name}", args)
        return symbol.replace(incomplete=True, unknown=True, key=key)

    def call_instance(self, instance: Instance, args: Args, node: nodes.Call) -> Value:
        for method in CALLED_WITH_INSTANCE:
            if method == "call" and is_keras(instance.cls):
                break
            for cls in instance.cls.lineage():
                function = cls.slots.get(method)
                if isinstance(function, Function):
                    bound = instance_attribute(self.interpreter, instance, method, node)
                    return self.interpreter.call(bound, args, node)
        if is_keras(instance.cls):
            for known in METHODS["__call__"]:
                result: Value | None = known.handler(instance, self, known.bind(args, node))
                if result is not None:
                    return result
        self._note_gap("its class has no method that is called so", args, node)
        return symbol_of(*args.values()).replace(incomplete=True, unknown=True)

    def instantiated(self, instance: Instance, args: Args, node: nodes.Node) -> None:
        instance.slots.setdefault("__made__", self.recorder.here(node) if node.end else None)
        for known in INSTANTIATED:
            known(self, instance, args, node)

    # --- attributes and names --------------------------------------------------------------

    def attribute(self, receiver: Value, name: str) -> Value | None:
        if name in ("updates", "get_updates_for"):
            self.program.reads_layer_updates = True
        if isinstance(receiver, Symbol):
            if name == "shape" and not receiver.unknown:
                return TENSOR  # sizes: no op waits for them
            if name in METHODS:
                return None
            if name in ("output", "outputs") and receiver.batch_norms:
                return receiver  # `base.layers[-1].output`, `base.get_layer("conv5").output`
            if receiver.unknown and receiver.key:
                return receiver.replace(key=f"{receiver.key}.{name}", flag=None)
            if name in ("op", "outputs", "values") or receiver.unknown:
                return None if not receiver.key else receiver
            return None
        if isinstance(receiver, Instance):
            known = INSTANCE_ATTRIBUTES.get(name)
            return known(self, receiver) if known is not None and is_keras(receiver.cls) else None
        if isinstance(receiver, Kind):
            return receiver.attribute(self, name)
        return None

    def named(self, name: str, value: Value) -> Value:
        if names_eval_data(name):
            value = _as_data(value, [name])
        if isinstance(value, Symbol) and value.key in self.recorder.tensors.names:
            self.recorder.tensors.names[value.key] += (name,)
        return value

    def drawn_from(self, expression: nodes.Expr, value: Value) -> Value:
        if isinstance(expression, nodes.Const | nodes.Name) or not isinstance(value, Symbol):
            return value
        return _as_data(
            value, [name for name in nodes.texts_in(expression) if names_eval_data(name)]
        )

    def attribute_set(self, owner: Value, name: str, value: Value, node: nodes.Node) -> None:
        known = SET_ATTRIBUTES.get(name)
        if known is not None:
            known(self, owner, value, node)

    def call_function(self, function: Function, args: Args, node: nodes.Call) -> Value | None:
        """See interpreter.Library."""
        known = WATCHED_FUNCTIONS.get(function.definition.name)
        return known(self, function, args, node) if known is not None else None

    def declares(self, name: str) -> bool:
        """See interpreter.Library."""
        return name in FUNCTIONS

    def external(self, name: str) -> Value | None:
        head, _, tail = name.rpartition(".")
        if tail in ("TRAIN", "EVAL", "PREDICT", "INFER") and head.endswith("ModeKeys"):
            return Const({"TRAIN": "train", "EVAL": "eval"}.get(tail, "infer"))
        if head.endswith("GraphKeys"):
            return Const(_GRAPH_KEYS.get(tail, tail.lower()))
        if head.endswith(".FLAGS"):
            return self._flag(tail)
        return None

    def _flag(self, name: str) -> Setting:
        """A command line flag; the current module's definition of it wins."""
        defined = self.interpreter.project.flags.get(name, {})
        module = self.interpreter.module
        if module is not None and module.name in defined:
            found: Setting = defined[module.name]
            return found
        return next(reversed(defined.values()), Setting(f"FLAGS.{name}"))

    def enter(self, manager: Value, node: nodes.With) -> tuple[Value, Callable[[], None]]:
        if isinstance(manager, Kind):
            return manager.enter(self, node)
        known = isinstance(manager, Instance | Object | Symbol)
        return (manager if known else UNKNOWN), nothing

    def rebound(self, key: str, old: Const, new: Const, name: str, node: nodes.Node) -> None:
        self.recorder.rebindings.add(key, name, bool(new.value), node)

    def scoped_arguments(self, key: object) -> dict[str, Value]:
        return self.scoped[-1].get(key, {})

    def convert(self, left: Value, right: Value, op: str) -> Symbol:
        self._note_mixture(left, right)
        symbol = self.recorder.controls.op(symbol_of(left, right))
        if op == "*":
            self.recorder.multiplied(symbol)
        symbol = self.recorder.hand_written.computed(self.recorder, op, left, right, symbol)
        made = _logits(left) or _logits(right)
        if op in ("+", "-") and made is not None:  # a bias moves logits, they stay unbounded
            return symbol.replace(linear="logits", made=made)
        return symbol

    def escaped(self, value: Value) -> None:
        for symbol in leaves([value]):
            if symbol.train_ops:
                self.recorder.train_ops.escapes.append(symbol)
            if symbol.reads:
                self.recorder.updates_escaped = True

    # --- for handlers ----------------------------------------------------------------------

    def op(self, *values: Value | None) -> Symbol:
        """A new op of these inputs."""
        self._note_mixture(*values)
        return self.recorder.controls.op(symbol_of(*values))

    def call_value(self, function: Value, args: Args, node: nodes.Node) -> Value:
        """Calls back into the program."""
        return self.interpreter.call(function, args, node)


def unknown_arguments(function: Function) -> Args:
    """An unknown value for each positional parameter."""
    count = sum(param.kind == "positional" for param in function.definition.params)
    bound = 1 if function.bound is not None else 0
    return Args([Symbol(incomplete=True)] * (count - bound))


class Optimizer(Kind):
    """An optimizer of graph mode."""


# What attributes of an instance of a project's Keras model or layer are, by name.
INSTANCE_ATTRIBUTES: dict[str, Callable[[TensorFlow, Instance], Value]] = {}
# What making an instance of a project's class does.
INSTANTIATED: list[Callable[[TensorFlow, Instance, Args, nodes.Node], None]] = []
# What setting an attribute does, by name: (owner, value, where).
SET_ATTRIBUTES: dict[str, Callable[[TensorFlow, Value, Value, nodes.Node], None]] = {}
# What a call of something that is not known may do with what it is given.
OUT_OF_SIGHT: list[Callable[[TensorFlow, Args, nodes.Call], None]] = []
# Methods of the project that the library looks at when they are called, by name.
WATCHED_FUNCTIONS: dict[str, Callable[[TensorFlow, Function, Args, nodes.Call], Value | None]] = {}


@functools.cache
def _builders() -> frozenset[str]:
    """A function that mentions one of these may build a network, or train it."""

    def builds(roles: Roles) -> bool:
        graph_mode = roles.trains and roles.ends
        return roles.makes_batch_norm or roles.makes_layer or graph_mode

    return names(builds) | _NETWORK_WORDS


def _as_data(value: Value, names: list[str]) -> Value:
    """`value` as data of these names, if it is a value from outside that no network made."""
    if names and isinstance(value, Symbol) and value.incomplete and not value.batch_norms:
        return value.replace(data_names=value.data_names | set(names))
    return value


def _logits(value: Value) -> Location | None:
    """Where `value` was made, if it is logits."""
    return value.made if isinstance(value, Symbol) and value.linear == "logits" else None


def is_keras(cls: ClassValue) -> bool:
    """The class descends from a Keras Model or Layer."""
    return any(
        name.startswith("keras.") or name in ("tensorflow.Module", "tensorflow.layers.Layer")
        for name in cls.external_bases()
    )


def text_of(node: nodes.Call) -> str:
    """The receiver of a method call as written, lower case: "self.sess"."""
    if isinstance(node.func, nodes.Attribute):
        return nodes.dotted(node.func.value).lower()
    return ""


def scope_name(value: Value | None) -> tuple[str | None, bool]:
    """(name, unknown) of a scope/name argument; (None, False) when it was not passed."""
    if value is None or (isinstance(value, Const) and value.value is None):
        return None, False
    name = constant(value, str)
    return (name, False) if name is not None else (None, True)


def _call_key(name: str, args: Args) -> str:
    """An identity for the result of the same call with the same constants."""
    parts = []
    for value in args.positional:
        if not isinstance(value, Const):
            return ""
        parts.append(repr(value.value))
    return f"{name}({', '.join(parts)})" if not args.keywords and not args.rest else ""


def _string_method(text: Value, name: str, args: Args) -> Value:
    """A method of a string that is known, or of a setting."""
    if args.keywords or args.rest or name not in _STRING_METHODS:
        return Symbol(incomplete=True)
    if name == "join" and args.positional:
        items = args.positional[0]
        if not isinstance(items, ListValue) or items.rest is not None:
            return Symbol(incomplete=True)
        return lift(
            lambda separator, *parts: _applied(separator, "join", parts), text, *items.items
        )
    result = lift(lambda *parts: _applied(parts[0], name, *parts[1:]), text, *args.positional)
    if isinstance(result, Const) and isinstance(result.value, list | tuple):
        return ListValue(tuple(Const(part) for part in result.value))
    return result


def _applied(text: object, name: str, *parts: object) -> Value:
    if not isinstance(text, str) or len(text) > 1000:
        return Symbol(incomplete=True)
    try:
        result = getattr(text, name)(*parts)
    except (TypeError, ValueError, LookupError, AttributeError):
        return Symbol(incomplete=True)
    return Const(result if not isinstance(result, str) else result[:2000])


_STRING_METHODS = frozenset(
    "lower upper strip lstrip rstrip startswith endswith replace split rsplit join "
    "capitalize title".split()
)


_NETWORK_WORDS = frozenset("normalizer_fn UPDATE_OPS model net network".split())
_GRAPH_KEYS = {
    "UPDATE_OPS": "update_ops",
    "GLOBAL_VARIABLES": "variables",
    "TRAINABLE_VARIABLES": "trainable_variables",
    "MODEL_VARIABLES": "model_variables",
    "MOVING_AVERAGE_VARIABLES": "moving_average_variables",
    "LOSSES": "losses",
    "REGULARIZATION_LOSSES": "regularization_losses",
}
