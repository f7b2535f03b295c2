"""Python builtins and functools, as far as programs build networks with them."""

from __future__ import annotations

from bnlint.analyzer.apis.library import TensorFlow, unknown_arguments
from bnlint.analyzer.apis.registry import Kind, api, method
from bnlint.analyzer.apis.settings import Namespace
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.chosen import choose
from bnlint.analyzer.interpreter.containers import dict_method, update
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.loops import loop_items
from bnlint.analyzer.interpreter.values import (
    NONE,
    UNKNOWN,
    Choice,
    ClassValue,
    ConfigValue,
    Const,
    DictValue,
    External,
    Function,
    Instance,
    ListValue,
    Method,
    ModuleValue,
    Partial,
    RecordValue,
    Setting,
    Symbol,
    Value,
    join,
    symbol_of,
    truth,
)
from bnlint.analyzer.syntax import nodes


@api("functools.partial", signature="*args, **kwargs")
def partial(tf: TensorFlow, call: Call) -> Value:
    if not call.more:
        return UNKNOWN
    function, *given = call.more
    return Partial(function, tuple(given), call.extra)


@api("builtins.range", "builtins.xrange", "six.moves.range", "six.moves.xrange", signature="*args")
def range_(tf: TensorFlow, call: Call) -> Value:
    numbers = [value.value for value in call.more if isinstance(value, Const)]
    integers = [number for number in numbers if isinstance(number, int)]
    if len(integers) == len(call.more) and 1 <= len(integers) <= 3:
        try:
            return Const(range(*integers))
        except ValueError:
            return UNKNOWN
    return Symbol(incomplete=True)


@api("builtins.len", signature="obj")
def length(tf: TensorFlow, call: Call) -> Value:
    value = call.obj
    if isinstance(value, ListValue | DictValue) and value.rest is None:
        return Const(len(value.items))
    return Symbol(incomplete=True)


@api("builtins.list", "builtins.tuple", "builtins.set", "builtins.frozenset", "builtins.sorted",
     signature="iterable=(), **kwargs")  # fmt: skip
def sequence(tf: TensorFlow, call: Call) -> Value:
    value = call.iterable
    if value is None:
        return ListValue()
    if isinstance(value, ListValue):
        return ListValue(value.items, value.rest)
    if isinstance(value, DictValue):
        return dict_method(tf.interpreter, value, "keys", call.arguments)
    return ListValue(rest=symbol_of(value)) if isinstance(value, Symbol) else value


@api("builtins.reversed", "builtins.iter", "six.iteritems", "six.itervalues", "tqdm.tqdm",
     signature="iterable, *args, **kwargs")  # fmt: skip
def same(tf: TensorFlow, call: Call) -> Value:
    value = call.iterable
    if isinstance(value, DictValue):
        return dict_method(tf.interpreter, value, "items", call.arguments)
    return value if value is not None else UNKNOWN


@api("builtins.dict", "collections.OrderedDict", "builtins.vars", signature="*args, **kwargs")
def mapping(tf: TensorFlow, call: Call) -> Value:
    if call.more and isinstance(call.more[0], ModuleValue):
        return call.more[0]
    result = DictValue()
    for value in call.more:
        if isinstance(value, Namespace):
            options = {key: item for key, item in value.slots.items() if isinstance(item, Value)}
            update(tf.interpreter, result, DictValue(options, UNKNOWN))
        elif isinstance(value, DictValue):
            dict_method(tf.interpreter, result, "update", call.arguments)
        else:
            result.slots["rest"] = symbol_of(value, UNKNOWN)
    for keyword, value in call.extra.items():
        result.slots["=", keyword] = value
    if call.rest is not None:
        result.slots["rest"] = call.rest
    return result


@api("easydict.EasyDict", "munch.Munch", "munch.munchify", "bunch.Bunch", "box.Box", "addict.Dict",
     "attrdict.AttrDict", "dotmap.DotMap", "ml_collections.ConfigDict", "yacs.config.CfgNode",
     "types.SimpleNamespace", "argparse.Namespace", "tf.contrib.training.HParams",
     signature="*args, **kwargs")  # fmt: skip
def config(tf: TensorFlow, call: Call) -> Value:
    return _as_config(mapping(tf, call))


def _as_config(value: Value) -> Value:
    """A dict, and the dicts in it, as objects with attributes."""
    if not isinstance(value, DictValue):
        return value
    return ConfigValue({key: _as_config(item) for key, item in value.items.items()}, value.rest)


@api("collections.namedtuple", signature="typename, field_names, **kwargs")
def namedtuple(tf: TensorFlow, call: Call) -> Value:
    names = call.field_names
    texts = [names] if isinstance(names, Const) else getattr(names, "items", ())
    fields = tuple(
        name
        for text in texts
        if isinstance(text, Const) and isinstance(text.value, str)
        for name in text.value.replace(",", " ").split()
    )
    return NamedTuple(fields)


class NamedTuple(Kind):
    """A class made by collections.namedtuple: its signature is its fields."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        super().__init__()
        self.slots["fields"] = self.fields = fields

    @method("collections.namedtuple.__call__", signature="*args, **kwargs")
    def call(self, tf: TensorFlow, call: Call) -> Value:
        absent: Value = call.rest if call.rest is not None else UNKNOWN
        given = {**call.extra, **dict(zip(self.fields, call.more, strict=False))}
        return RecordValue(self.fields, tuple(given.get(field, absent) for field in self.fields))


@api("builtins.zip", signature="*args, **kwargs")
def zip_(tf: TensorFlow, call: Call) -> Value:
    lists = [value for value in call.more if isinstance(value, ListValue)]
    if len(lists) == len(call.more) and all(item.rest is None for item in lists):
        rows = zip(*(item.items for item in lists), strict=False)
        return ListValue(tuple(ListValue(tuple(row)) for row in rows))
    if call.more and all(_of_a_model(value) for value in call.more):
        # One row stands for all: what is assigned to what stays known.
        return ListValue((ListValue(tuple(call.more)),))
    return ListValue(rest=symbol_of(*call.more))


def _of_a_model(value: Value) -> bool:
    """Variables of a Keras model, not their gradients."""
    return isinstance(value, Symbol) and bool(value.variables.models) and value.tape is None


@api("builtins.enumerate", signature="iterable, start=0")
def enumerate_(tf: TensorFlow, call: Call) -> Value:
    items = loop_items(tf.interpreter, call.iterable) if call.iterable is not None else []
    return ListValue(tuple(ListValue((Const(index), item)) for index, item in enumerate(items)))


@api("builtins.map", signature="function, *iterables")
def map_(tf: TensorFlow, call: Call) -> Value:
    function = call.function
    if function is None or len(call.more) != 1:
        return symbol_of(*call.values()).replace(incomplete=True)
    (iterable,) = call.more
    items = loop_items(tf.interpreter, iterable)
    return ListValue(tuple(tf.call_value(function, Args([item]), call.node) for item in items))


@api("builtins.filter", signature="function, iterable")
def filter_(tf: TensorFlow, call: Call) -> Value:
    return ListValue(rest=symbol_of(*call.values()).replace(incomplete=True))


@api("builtins.getattr", signature="obj, name, default=None", imports_by_name=True)
def getattr_(tf: TensorFlow, call: Call) -> Value:
    name, owner = call.name, call.obj

    def look_up(text: object) -> Value | None:
        if owner is None or not isinstance(text, str):
            return None
        value = tf.interpreter.get_attribute(owner, text, call.node)
        return None if value is UNKNOWN or isinstance(value, Method) else value

    found = None
    if isinstance(name, Setting):
        found = choose(tf.interpreter, name, look_up)
    elif isinstance(name, Const):
        found = look_up(name.value)
    return found or call.default or UNKNOWN


@api("builtins.globals", signature="*args", imports_by_name=True)
def globals_(tf: TensorFlow, call: Call) -> Value:
    """The names of the current module."""
    module = tf.interpreter.module
    return ModuleValue(module) if module is not None else UNKNOWN


@api("builtins.setattr", signature="obj, name, value")
def setattr_(tf: TensorFlow, call: Call) -> Value:
    owner, name, value = call.obj, call.name, call.value
    if value is None:
        return NONE
    if isinstance(owner, Instance) and isinstance(name, Const):
        tf.interpreter.assign_slot(owner.slots, name.value, value)
    else:
        tf.escaped(value)
    return NONE


@api("builtins.hasattr", signature="obj, name")
def hasattr_(tf: TensorFlow, call: Call) -> Value:
    owner, name = call.obj, call.name
    if isinstance(owner, Instance) and isinstance(name, Const) and name.value in owner.slots:
        return Const(True)
    return Symbol(incomplete=True)


@api("builtins.callable", signature="obj")
def callable_(tf: TensorFlow, call: Call) -> Value:
    value = call.obj
    if isinstance(value, Function | Partial | External):
        return Const(True)
    return Const(False) if isinstance(value, Const) else Symbol(incomplete=True)


@api("builtins.isinstance", signature="obj, kind")
def isinstance_(tf: TensorFlow, call: Call) -> Value:
    value, kind = call.obj, call.kind
    names = [kind] if isinstance(kind, External) else list(getattr(kind, "items", ()))
    wanted = {item.name for item in names if isinstance(item, External)}
    if isinstance(value, Instance) and isinstance(kind, ClassValue):
        return Const(kind in value.cls.lineage())
    if isinstance(value, Kind) and value.classes and wanted:
        return Const(bool(wanted & value.classes))
    if isinstance(value, Const) and wanted:
        return Const(f"builtins.{type(value.value).__name__}" in wanted)
    if isinstance(value, ListValue) and wanted:
        return Const(True) if wanted & {"builtins.list", "builtins.tuple"} else Const(False)
    if isinstance(value, DictValue) and wanted:
        return Const("builtins.dict" in wanted)
    return Symbol(incomplete=True)


@api("builtins.bool", "builtins.int", "builtins.float", "builtins.str",
     signature="value=None, *args, **kwargs")  # fmt: skip
def convert(tf: TensorFlow, call: Call) -> Value:
    value, func = call.value, call.node.func
    short = func.id if isinstance(func, nodes.Name) else ""
    if isinstance(value, Const):
        try:
            converter = {"bool": bool, "int": int, "float": float, "str": str}[short]
            return Const(converter(value.value), value.location, value.key)
        except (KeyError, ValueError, TypeError):
            return Symbol(incomplete=True)
    if short == "bool" and value is not None and truth(value) is not None:
        return Const(truth(value))
    return value if isinstance(value, Symbol | Choice | Setting) else Symbol(incomplete=True)


@api("builtins.any", "builtins.all", "builtins.min", "builtins.max", "builtins.abs",
     signature="*args, **kwargs")  # fmt: skip
def undecided(tf: TensorFlow, call: Call) -> Value:
    return symbol_of(*call.values()).replace(incomplete=True)


@api("builtins.sum", signature="*args, **kwargs")
def sum_(tf: TensorFlow, call: Call) -> Value:
    return tf.op(*call.values())


@api("builtins.print", "builtins.super", signature="*args, **kwargs")
def nothing(tf: TensorFlow, call: Call) -> Value:
    return NONE


@api("builtins.type", signature="obj, *args, **kwargs")
def type_(tf: TensorFlow, call: Call) -> Value:
    value = call.obj
    return value.cls if isinstance(value, Instance) else UNKNOWN


@api("builtins.next", signature="iterator, default=None")
def next_(tf: TensorFlow, call: Call) -> Value:
    value = call.iterator
    if isinstance(value, ListValue) and value.items:
        return join(list(value.items))
    return symbol_of(*call.values()).replace(incomplete=True)


class PlainContext(Kind):
    """A context manager that changes nothing."""


@api("contextlib.suppress", "contextlib.nullcontext", signature="*args, **kwargs")
def plain_context(tf: TensorFlow, call: Call) -> Value:
    return PlainContext()


@api("absl.app.run", "tensorflow.app.run", "tensorflow.platform.app.run",
     signature="main=None, argv=None, **kwargs")  # fmt: skip
def app_run(tf: TensorFlow, call: Call) -> Value:
    """Runs `main` of the calling module, or the function it is given."""
    function = call.main
    if function is None and tf.interpreter.script_env is not None:
        function = tf.interpreter.script_env.slots.get("main")
    if function is None:
        return NONE
    return tf.call_value(function, Args([Symbol(incomplete=True)]), call.node)


@api("fire.Fire", "plac.call", "typer.run", "argh.dispatch_command",
     signature="component=None, *args, **kwargs")  # fmt: skip
def command_line(tf: TensorFlow, call: Call) -> Value:
    """Calls the function it is given with what stands on the command line."""
    function = call.component
    if not isinstance(function, Function):
        return UNKNOWN
    return tf.call_value(function, unknown_arguments(function), call.node)
