"""Settings that a program is started with: tf.app.flags, absl.flags, argparse; import by name."""

from __future__ import annotations

from bnlint.analyzer.apis.library import OBJECT_METHODS, TensorFlow, handles
from bnlint.analyzer.interpreter.imports import load
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.names import canonical
from bnlint.analyzer.interpreter.values import (
    NONE,
    UNKNOWN,
    Choice,
    Const,
    External,
    ListValue,
    ModuleValue,
    Object,
    Setting,
    Value,
    join,
)
from bnlint.analyzer.syntax import nodes

_FLAG_MODULES = ("tensorflow.app.flags", "tensorflow.flags", "absl.flags", "gflags")
_PLAIN_FLAGS = "string integer float bool boolean list".split()


def _constants(value: Value | None) -> tuple[object, ...]:
    """The known, given values in a default or a list of choices."""
    if isinstance(value, Const):
        return (value.value,) if value.value is not None else ()
    if isinstance(value, ListValue):
        return tuple(part for item in value.items for part in _constants(item))
    return ()


# --- flags ---------------------------------------------------------------------------------


def _define(tf: TensorFlow, args: Args, choices: Value | None) -> Value:
    """DEFINE_x(name, default, ...): remembers what the flag can be."""
    name, default = args.get(0, "name", "flag_name"), args.get(1, "default", "default_value")
    module = tf.interpreter.module
    if not isinstance(name, Const) or not isinstance(name.value, str) or module is None:
        return UNKNOWN
    known = tuple(dict.fromkeys((*_constants(default), *_constants(choices))))
    tf.interpreter.project.flags.setdefault(name.value, {})[module.name] = known
    return Setting(f"FLAGS.{name.value}", known)


def _define_plain(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return _define(tf, args, None)


def _define_enum(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return _define(tf, args, args.get(2, "enum_values"))


for _module in _FLAG_MODULES:
    for _kind in _PLAIN_FLAGS:
        handles(f"{_module}.DEFINE_{_kind}")(_define_plain)
    handles(f"{_module}.DEFINE_enum")(_define_enum)


# --- argparse ------------------------------------------------------------------------------


@handles("argparse.ArgumentParser", "configargparse.ArgParser", "configargparse.ArgumentParser")
def argument_parser(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return Object("parser")


def _add_argument(tf: TensorFlow, parser: Object, args: Args, node: nodes.Call) -> Value:
    names = [name for value in args.positional for name in _constants(value)]
    long = [name for name in names if isinstance(name, str) and name.startswith("--")]
    given = _constants(args.get(None, "dest")) or tuple(long or names)
    if not given:
        return UNKNOWN
    name = str(given[0]).lstrip("-").replace("-", "_")
    action = _constants(args.get(None, "action"))
    known = (*_constants(args.get(None, "default")), *_constants(args.get(None, "choices")))
    if action in (("store_true",), ("store_false",)):
        known = (action == ("store_false",),)
    setting = Setting(f"args.{name}", tuple(dict.fromkeys(known)))
    tf.interpreter.assign_slot(parser.slots, ("option", name), setting)
    return UNKNOWN


def _same_parser(tf: TensorFlow, parser: Object, args: Args, node: nodes.Call) -> Value:
    return parser


def _set_defaults(tf: TensorFlow, parser: Object, args: Args, node: nodes.Call) -> Value:
    for name, value in args.keywords.items():
        known = isinstance(value, Const)
        setting = Setting(f"args.{name}", _constants(value)) if known else value
        tf.interpreter.assign_slot(parser.slots, ("option", name), setting)
    return NONE


def _parse_args(tf: TensorFlow, parser: Object, args: Args, node: nodes.Call) -> Value:
    options = {key[1]: value for key, value in parser.slots.items() if isinstance(key, tuple)}
    return Object("namespace", **options)


def _parse_known_args(tf: TensorFlow, parser: Object, args: Args, node: nodes.Call) -> Value:
    return ListValue((_parse_args(tf, parser, args, node), UNKNOWN))


OBJECT_METHODS["parser", "add_argument"] = _add_argument
OBJECT_METHODS["parser", "add"] = _add_argument
OBJECT_METHODS["parser", "set_defaults"] = _set_defaults
OBJECT_METHODS["parser", "parse_args"] = _parse_args
OBJECT_METHODS["parser", "parse_known_args"] = _parse_known_args
for _name in (
    "add_argument_group", "add_mutually_exclusive_group", "add_subparsers", "add_parser",
):  # fmt: skip
    OBJECT_METHODS["parser", _name] = _same_parser


# --- import by name ------------------------------------------------------------------------


@handles("importlib.import_module", "builtins.__import__")
def import_module(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return _imported(tf, args.get(0, "name"), args.get(1, "package"))


@handles("imp.load_source", "imp.load_module", "importlib.util.module_from_spec")
def load_source(tf: TensorFlow, args: Args, node: nodes.Call) -> Value:
    return Object("some module")


def _imported(tf: TensorFlow, name: Value | None, package: Value | None) -> Value:
    if isinstance(name, Choice):
        return join([_imported(tf, option, package) for option in name.options])
    known = name.hints if isinstance(name, Setting) else _constants(name)
    importer = tf.interpreter.module
    for text in known:
        if not isinstance(text, str) or importer is None:
            continue
        level = len(text) - len(text.lstrip("."))
        base = [str(part) for part in _constants(package)] if level else []
        full = ".".join([*base, text.lstrip(".")])
        module = tf.interpreter.project.resolve(full, importer)
        if module is None and level and not base:
            module = tf.interpreter.project.resolve_relative(level, text[level:], importer)
        if module is not None:
            load(tf.interpreter, module)
            return ModuleValue(module)
        if isinstance(name, Const):
            return External(canonical(full))
    return Object("some module")
