"""Python builtins and functools, as far as programs build networks with them."""

from __future__ import annotations

from bnlint.analyzer.apis.library import OBJECT_CALLS, TensorFlow, handles, unknown_arguments
from bnlint.analyzer.interpreter.containers import dict_method, update
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.loops import loop_items
from bnlint.analyzer.interpreter.values import (
    NONE,
    UNKNOWN,
    Choice,
    ClassValue,
    Const,
    DictValue,
    External,
    Function,
    Instance,
    ListValue,
    Object,
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


@handles("functools.partial")
def partial(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    if not args.positional:
        return UNKNOWN
    return Partial(args.positional[0], tuple(args.positional[1:]), dict(args.keywords))


@handles("builtins.range", "builtins.xrange", "six.moves.range", "six.moves.xrange")
def range_(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    numbers = [value.value for value in args.positional if isinstance(value, Const)]
    integers = [number for number in numbers if isinstance(number, int)]
    if len(integers) == len(args.positional) and 1 <= len(integers) <= 3:
        try:
            return Const(range(*integers))
        except ValueError:
            return UNKNOWN
    return Symbol(incomplete=True)


@handles("builtins.len")
def length(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    value = args.get(0)
    if isinstance(value, ListValue | DictValue) and value.rest is None:
        return Const(len(value.items))
    return Symbol(incomplete=True)


@handles("builtins.list", "builtins.tuple", "builtins.set", "builtins.frozenset", "builtins.sorted")
def sequence(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    value = args.get(0)
    if value is None:
        return ListValue()
    if isinstance(value, ListValue):
        return ListValue(value.items, value.rest)
    if isinstance(value, DictValue):
        return dict_method(tf.interpreter, value, "keys", args)
    return ListValue(rest=symbol_of(value)) if isinstance(value, Symbol) else value


@handles("builtins.reversed", "builtins.iter", "six.iteritems", "six.itervalues", "tqdm.tqdm")
def same(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    value = args.get(0)
    if isinstance(value, DictValue):
        return dict_method(tf.interpreter, value, "items", args)
    return value if value is not None else UNKNOWN


@handles("builtins.dict", "collections.OrderedDict", "builtins.vars")
def mapping(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    result = DictValue()
    for value in args.positional:
        if isinstance(value, Object) and value.kind == "namespace":
            options = {key: item for key, item in value.slots.items() if isinstance(item, Value)}
            update(tf.interpreter, result, DictValue(options, UNKNOWN))
        elif isinstance(value, DictValue):
            dict_method(tf.interpreter, result, "update", args)
        else:
            result.slots["rest"] = symbol_of(value, UNKNOWN)
    for keyword, value in args.keywords.items():
        result.slots["=", keyword] = value
    if args.rest is not None:
        result.slots["rest"] = args.rest
    return result


@handles("collections.namedtuple")
def namedtuple(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    names = args.get(1, "field_names")
    texts = [names] if isinstance(names, Const) else getattr(names, "items", ())
    fields = tuple(
        name
        for text in texts
        if isinstance(text, Const) and isinstance(text.value, str)
        for name in text.value.replace(",", " ").split()
    )
    return Object("namedtuple", fields=fields)


def _call_namedtuple(tf: TensorFlow, target: Object, args: Args, node: nodes.Call) -> Value:
    fields: tuple[str, ...] = target.slots["fields"]
    absent: Value = args.rest if args.rest is not None else UNKNOWN
    given = (args.get(index, field) or absent for index, field in enumerate(fields))
    return RecordValue(fields, tuple(given))


OBJECT_CALLS["namedtuple"] = _call_namedtuple


@handles("builtins.zip")
def zip_(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    lists = [value for value in args.positional if isinstance(value, ListValue)]
    if len(lists) == len(args.positional) and all(item.rest is None for item in lists):
        rows = zip(*(item.items for item in lists), strict=False)
        return ListValue(tuple(ListValue(tuple(row)) for row in rows))
    return ListValue(rest=symbol_of(*args.positional))


@handles("builtins.enumerate")
def enumerate_(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    items = loop_items(tf.interpreter, args.positional[0]) if args.positional else []
    return ListValue(tuple(ListValue((Const(index), item)) for index, item in enumerate(items)))


@handles("builtins.map")
def map_(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    if len(args.positional) != 2:
        return symbol_of(*args.values()).replace(incomplete=True)
    function, iterable = args.positional
    items = loop_items(tf.interpreter, iterable)
    return ListValue(tuple(tf.call_value(function, Args([item]), node) for item in items))


@handles("builtins.filter")
def filter_(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return ListValue(rest=symbol_of(*args.values()).replace(incomplete=True))


@handles("builtins.getattr")
def getattr_(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    name, owner = args.get(1), args.get(0)
    names = name.hints if isinstance(name, Setting) else ()
    if isinstance(name, Const):
        names = (name.value,)
    for text in names:
        found = tf.interpreter.get_attribute(owner, text, node) if owner is not None else None
        if isinstance(text, str) and found is not None and found is not UNKNOWN:
            return found
    return args.get(2) or UNKNOWN


@handles("builtins.setattr")
def setattr_(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    if len(args.positional) == 3:
        owner, name, value = args.positional
        if isinstance(owner, Instance) and isinstance(name, Const):
            tf.interpreter.assign_slot(owner.slots, name.value, value)
        else:
            tf.escaped(value)
    return NONE


@handles("builtins.hasattr")
def hasattr_(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    owner, name = args.get(0), args.get(1)
    if isinstance(owner, Instance) and isinstance(name, Const) and name.value in owner.slots:
        return Const(True)
    return Symbol(incomplete=True)


@handles("builtins.callable")
def callable_(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    value = args.get(0)
    if isinstance(value, Function | Partial | External):
        return Const(True)
    return Const(False) if isinstance(value, Const) else Symbol(incomplete=True)


@handles("builtins.isinstance")
def isinstance_(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    value, kind = args.get(0), args.get(1)
    names = [kind] if isinstance(kind, External) else list(getattr(kind, "items", ()))
    wanted = {item.name for item in names if isinstance(item, External)}
    if isinstance(value, Instance) and isinstance(kind, ClassValue):
        return Const(kind in value.cls.lineage())
    if isinstance(value, Const) and wanted:
        return Const(f"builtins.{type(value.value).__name__}" in wanted)
    if isinstance(value, ListValue) and wanted:
        return Const(True) if wanted & {"builtins.list", "builtins.tuple"} else Const(False)
    if isinstance(value, DictValue) and wanted:
        return Const("builtins.dict" in wanted)
    return Symbol(incomplete=True)


@handles("builtins.bool", "builtins.int", "builtins.float", "builtins.str")
def convert(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    value = args.get(0)
    short = node.func.id if isinstance(node.func, nodes.Name) else ""
    if isinstance(value, Const):
        try:
            converter = {"bool": bool, "int": int, "float": float, "str": str}[short]
            return Const(converter(value.value), value.location, value.key)
        except (KeyError, ValueError, TypeError):
            return Symbol(incomplete=True)
    if short == "bool" and value is not None and truth(value) is not None:
        return Const(truth(value))
    return value if isinstance(value, Symbol | Choice | Setting) else Symbol(incomplete=True)


@handles("builtins.any", "builtins.all", "builtins.min", "builtins.max", "builtins.abs")
def undecided(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return symbol_of(*args.values()).replace(incomplete=True)


@handles("builtins.sum")
def sum_(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return tf.op(*args.values())


@handles("builtins.print", "builtins.super")
def nothing(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return NONE


@handles("builtins.type")
def type_(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    value = args.get(0)
    return value.cls if isinstance(value, Instance) else UNKNOWN


@handles("builtins.next")
def next_(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    value = args.get(0)
    if isinstance(value, ListValue) and value.items:
        return join(list(value.items))
    return symbol_of(*args.values()).replace(incomplete=True)


@handles("contextlib.suppress", "contextlib.nullcontext")
def plain_context(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return Object("plain context")


@handles("absl.app.run", "tensorflow.app.run", "tensorflow.platform.app.run")
def app_run(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    """Runs `main` of the calling module, or the function it is given."""
    function = args.get(0, "main")
    if function is None and tf.interpreter.script_env is not None:
        function = tf.interpreter.script_env.slots.get("main")
    if function is None:
        return NONE
    return tf.call_value(function, Args([Symbol(incomplete=True)]), node)


@handles("fire.Fire", "plac.call", "typer.run", "argh.dispatch_command")
def command_line(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    """Calls the function it is given with what stands on the command line."""
    function = args.get(0, "component")
    if not isinstance(function, Function):
        return UNKNOWN
    return tf.call_value(function, unknown_arguments(function), node)
