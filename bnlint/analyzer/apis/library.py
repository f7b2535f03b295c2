"""What TensorFlow, slim, Keras and a little of Python's library do, in the interpreter's terms.

Handlers are registered by canonical name (see names.py). A function without a handler is an
op: its result depends on everything it was given.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath

from bnlint.analyzer.apis.clues import names_eval_data
from bnlint.analyzer.apis.graph_state import Recorder, constant
from bnlint.analyzer.interpreter.attributes import instance_attribute
from bnlint.analyzer.interpreter.containers import dict_method, list_method
from bnlint.analyzer.interpreter.imports import module_attribute
from bnlint.analyzer.interpreter.interpreter import Interpreter
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.operators import lift
from bnlint.analyzer.interpreter.values import (
    NONE,
    TENSOR,
    UNKNOWN,
    Choice,
    ClassValue,
    Const,
    DictValue,
    Function,
    Instance,
    ListValue,
    ModuleValue,
    Object,
    Partial,
    Setting,
    Symbol,
    Value,
    join,
    leaves,
    symbol_of,
)
from bnlint.analyzer.syntax import nodes
from bnlint.findings import Location
from bnlint.program.events import ArgScope, Program

Handler = Callable[["TensorFlow", Args, nodes.Call], Value]
MethodHandler = Callable[["TensorFlow", Value, Args, nodes.Call], "Value | None"]

FUNCTIONS: dict[str, Handler] = {}
METHODS: dict[str, list[MethodHandler]] = {}
OBJECT_CALLS: dict[str, Callable[[TensorFlow, Object, Args, nodes.Call], Value]] = {}
OBJECT_METHODS: dict[tuple[str, str], Callable[[TensorFlow, Object, Args, nodes.Call], Value]] = {}
CONTEXTS: dict[
    str, Callable[[TensorFlow, Object, nodes.With], tuple[Value, Callable[[], None]]]
] = {}
CONSTANTS: dict[str, Value] = {}
INSTANCE_BASES: dict[str, str] = {}

# Functions of these libraries neither build graphs nor hold ops.
_PURE = frozenset(
    "numpy math os sys re time random scipy json glob shutil logging datetime builtins "
    "collections itertools functools operator string copy pickle cv2 PIL matplotlib pandas "
    "sklearn tqdm six argparse absl types typing warnings".split()
)
_FRAMEWORKS = frozenset(["tensorflow", "slim", "keras", "moving_averages"])


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Registers the handler of external functions."""

    def register(function: Handler) -> Handler:
        for name in names:
            FUNCTIONS[name] = function
        return function

    return register


def handles_method(*names: str) -> Callable[[MethodHandler], MethodHandler]:
    """Registers what `x.name()` does on a receiver that nobody else knows; None: not mine."""

    def register(function: MethodHandler) -> MethodHandler:
        for name in names:
            METHODS.setdefault(name, []).append(function)
        return function

    return register


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
        self.called = self.called or root in _FRAMEWORKS
        handler = FUNCTIONS.get(name)
        if handler is not None:
            return handler(self, args, node)
        short = name.rsplit(".", 1)[-1]
        if root in _FRAMEWORKS:
            return self._framework_call(short, args, node)
        if root in _PURE:
            return symbol_of(*args.values()).replace(incomplete=True, key=_call_key(name, args))
        return self._unknown_call(name, args)

    def _framework_call(self, short: str, args: Args, node: nodes.Call) -> Value:
        if short.endswith("Optimizer"):
            return Object("optimizer")
        self._call_back(args, node)
        return self.op(*args.values())

    def _call_back(self, args: Args, node: nodes.Call) -> None:
        """Functions handed to TensorFlow (map_fn, while_loop, py_function...) may be called."""
        for value in args.values():
            if isinstance(value, Function) and not value.definition.reads.isdisjoint(_BUILDERS):
                self.interpreter.call(value, unknown_arguments(value), node)

    def _unknown_call(self, name: str, args: Args) -> Value:
        symbol = symbol_of(*args.values())
        self.escaped(symbol)
        return symbol.replace(incomplete=True, unknown=True, key=_call_key(name, args))

    def call_object(self, target: Value, args: Args, node: nodes.Call) -> Value:
        if isinstance(target, Object) and target.kind in OBJECT_CALLS:
            return OBJECT_CALLS[target.kind](self, target, args, node)
        if isinstance(target, Symbol) and not target.unknown:
            return self.op(target, *args.values())
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
        if isinstance(receiver, Object):
            known = OBJECT_METHODS.get((receiver.kind, name))
            if known is not None:
                return known(self, receiver, args, node)
        for handler in METHODS.get(name, ()):
            result = handler(self, receiver, args, node)
            if result is not None:
                return result
        return self._unknown_method(receiver, name, args)

    def _unknown_method(self, receiver: Value, name: str, args: Args) -> Value:
        symbol = symbol_of(receiver, *args.values())
        if isinstance(receiver, Symbol) and not receiver.unknown:
            return self.recorder.op(symbol)  # a tensor's own method: get_shape, assign, as_list
        if isinstance(receiver, Object) and receiver.kind != "unknown":
            return self.recorder.op(symbol)
        self.escaped(symbol_of(*args.values()))
        key = ""
        if isinstance(receiver, Symbol) and receiver.key:
            key = _call_key(f"{receiver.key}.{name}", args)
        return symbol.replace(incomplete=True, unknown=True, key=key)

    def call_instance(self, instance: Instance, args: Args, node: nodes.Call) -> Value:
        from bnlint.analyzer.apis.keras import call_model

        for method in ("__call__", "call", "_build", "forward"):
            if method == "call" and is_keras(instance.cls):
                return call_model(self, instance, args, node)
            for cls in instance.cls.lineage():
                function = cls.slots.get(method)
                if isinstance(function, Function):
                    bound = instance_attribute(self.interpreter, instance, method, node)
                    return self.interpreter.call(bound, args, node)
        if is_keras(instance.cls):
            return call_model(self, instance, args, node)
        return symbol_of(*args.values()).replace(incomplete=True, unknown=True)

    def instantiated(self, instance: Instance, args: Args, node: nodes.Node) -> None:
        instance.slots.setdefault("__made__", self.recorder.here(node) if node.end else None)

    # --- attributes and names --------------------------------------------------------------

    def attribute(self, receiver: Value, name: str) -> Value | None:
        if name in ("updates", "get_updates_for"):
            self.program.reads_layer_updates = True
        if isinstance(receiver, Symbol):
            if receiver.unknown and receiver.key:
                return receiver.replace(key=f"{receiver.key}.{name}", flag=None)
            if name in ("op", "outputs", "values") or receiver.unknown:
                return None if not receiver.key else receiver
            return None
        if isinstance(receiver, Instance):
            if is_keras(receiver.cls) and name in _MODEL_VARIABLES:
                return self._model_variables(receiver)
            if is_keras(receiver.cls) and name in ("updates", "losses"):
                return Symbol()
            return None
        if isinstance(receiver, Object):
            if receiver.kind == "keras model" and name in _MODEL_VARIABLES:
                return self._model_variables(receiver)
            if receiver.kind == "some module":
                return self._of_some_module(name)
            if receiver.kind == "namespace":
                return receiver.slots.get(name) or Setting(f"args.{name}")
            if receiver.kind == "keras_model" and name in ("output", "outputs"):
                return symbol_of(receiver)
            if receiver.kind == "scope_value" and name in ("name", "original_name_scope"):
                return Const(receiver.slots["path"]) if receiver.slots["path"] else UNKNOWN
            return None
        return None

    def named(self, name: str, value: Value) -> Value:
        data = isinstance(value, Symbol) and value.incomplete and not value.batch_norms
        if data and isinstance(value, Symbol) and names_eval_data(name):
            return value.replace(tags=value.tags | {f"eval data:{name}"})
        if isinstance(value, Symbol) and value.key in self.recorder.flag_names:
            self.recorder.flag_names[value.key] += (name,)
        return value

    def attribute_set(self, name: str, value: Value) -> None:
        if name == "trainable" and isinstance(value, Const) and value.value is False:
            self.program.freezes_layers = True

    def _model_variables(self, model: Instance | Object) -> Symbol:
        from bnlint.analyzer.apis.keras import parts_of

        self.recorder.keras_parts[model.number] = parts_of(model)
        return Symbol(tags=frozenset([f"model:{model.number}"]))

    def _of_some_module(self, name: str) -> Value:
        """`module.name` of a module that is imported by an unknown name: any that defines it."""
        importer = self.interpreter.module
        found: list[Value] = []
        for module in self.interpreter.project.defining(name, importer) if importer else ():
            found.append(module_attribute(self.interpreter, module, name))
        return join([*found, UNKNOWN]) if found else UNKNOWN

    def external(self, name: str) -> Value | None:
        known = CONSTANTS.get(name)
        if known is not None:
            return known
        head, _, tail = name.rpartition(".")
        if tail in ("TRAIN", "EVAL", "PREDICT", "INFER") and head.endswith("ModeKeys"):
            return Const({"TRAIN": "train", "EVAL": "eval"}.get(tail, "infer"))
        if head.endswith("GraphKeys"):
            return Const(_GRAPH_KEYS.get(tail, tail.lower()))
        if head.endswith(".FLAGS"):
            return Setting(f"FLAGS.{tail}", self._flag_values(tail))
        return None

    def _flag_values(self, name: str) -> tuple[object, ...]:
        """Known values of a flag; the current module's definition of it wins."""
        defined = self.interpreter.project.flags.get(name, {})
        module = self.interpreter.module
        if module is not None and module.name in defined:
            return defined[module.name]
        return next(reversed(defined.values()), ())

    def enter(self, manager: Value, node: nodes.With) -> tuple[Value, Callable[[], None]]:
        if isinstance(manager, Object) and manager.kind in CONTEXTS:
            return CONTEXTS[manager.kind](self, manager, node)
        if isinstance(manager, Instance):
            return manager, _nothing
        if isinstance(manager, Object):
            return manager, _nothing
        return (manager if isinstance(manager, Symbol) else UNKNOWN), _nothing

    def rebound(self, key: str, old: Const, new: Const, name: str, node: nodes.Node) -> None:
        self.recorder.rebinding_of(key, name, bool(new.value), node)

    def scoped_arguments(self, key: object) -> dict[str, Value]:
        return self.scoped[-1].get(key, {})

    def convert(self, left: Value, right: Value, op: str) -> Symbol:
        symbol = self.recorder.op(symbol_of(left, right))
        if op == "*":
            self.recorder.multiplied(symbol)
        made = _logits(left) or _logits(right)
        if op in ("+", "-") and made is not None:  # a bias moves logits, they stay unbounded
            return symbol.replace(linear="logits", made=made)
        return symbol

    def escaped(self, value: Value) -> None:
        for symbol in leaves([value]):
            if symbol.train_ops:
                self.recorder.escapes.append(symbol)

    # --- for handlers ----------------------------------------------------------------------

    def op(self, *values: Value | None) -> Symbol:
        """A new op of these inputs."""
        return self.recorder.op(symbol_of(*values))

    def call_value(self, function: Value, args: Args, node: nodes.Node) -> Value:
        """Calls back into the program."""
        return self.interpreter.call(function, args, node)


def unknown_arguments(function: Function) -> Args:
    """An unknown value for each positional parameter."""
    count = sum(param.kind == "positional" for param in function.definition.params)
    bound = 1 if function.bound is not None else 0
    return Args([Symbol(incomplete=True)] * (count - bound))


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


def _nothing() -> None:
    """Nothing happens at the end of this context."""


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


_MODEL_VARIABLES = ("trainable_variables", "trainable_weights", "variables", "weights")
_GRAPH_KEYS = {
    "UPDATE_OPS": "update_ops",
    "GLOBAL_VARIABLES": "variables",
    "TRAINABLE_VARIABLES": "trainable_variables",
    "MODEL_VARIABLES": "model_variables",
    "MOVING_AVERAGE_VARIABLES": "moving_average_variables",
    "LOSSES": "losses",
    "REGULARIZATION_LOSSES": "regularization_losses",
}
_BUILDERS = frozenset(
    "batch_norm batch_normalization BatchNormalization normalizer_fn minimize "
    "apply_gradients UPDATE_OPS conv2d fully_connected dense model net network".split()
)

__all__ = [
    "CONSTANTS",
    "CONTEXTS",
    "FUNCTIONS",
    "NONE",
    "OBJECT_CALLS",
    "OBJECT_METHODS",
    "TENSOR",
    "ModuleValue",
    "Partial",
    "TensorFlow",
    "handles",
    "handles_method",
    "is_keras",
    "scope_name",
    "text_of",
]
