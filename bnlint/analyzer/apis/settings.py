"""Settings of the command line: tf.app.flags, absl.flags, argparse, optparse; import by name."""

from __future__ import annotations

from bnlint.analyzer.apis.library import TensorFlow
from bnlint.analyzer.apis.registry import Kind, api, method
from bnlint.analyzer.apis.signature import Call
from bnlint.analyzer.interpreter.chosen import choose
from bnlint.analyzer.interpreter.imports import load, module_attribute
from bnlint.analyzer.interpreter.names import canonical
from bnlint.analyzer.interpreter.values import (
    CALLED,
    NONE,
    UNKNOWN,
    Choice,
    Const,
    External,
    ListValue,
    ModuleValue,
    Setting,
    Value,
    join,
)

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


def _define(tf: TensorFlow, call: Call, choices: Value | None) -> Value:
    """DEFINE_x(name, default, ...): remembers what the flag can be."""
    name, default = call.name or call.flag_name, call.default or call.default_value
    module = tf.interpreter.module
    if not isinstance(name, Const) or not isinstance(name.value, str) or module is None:
        return UNKNOWN
    setting = _setting(f"FLAGS.{name.value}", default or NONE, choices)
    tf.interpreter.project.flags.setdefault(name.value, {})[module.name] = setting
    return setting


def _setting(key: str, default: Value | None, choices: Value | None) -> Setting:
    """A setting by its default (None: not known) and its choices."""
    known = tuple(dict.fromkeys((*_constants(default), *_constants(choices))))
    return Setting(key, known, (default.value,) if isinstance(default, Const) else ())


def _define_plain(tf: TensorFlow, call: Call) -> Value:
    return _define(tf, call, None)


def _define_enum(tf: TensorFlow, call: Call) -> Value:
    return _define(tf, call, call.enum_values)


# TF 1.0's own flags call the first two flag_name and default_value.
_OTHERS = "help=None, *more, flag_name=None, default_value=None, **args"
for _module in _FLAG_MODULES:
    for _kind in _PLAIN_FLAGS:
        api(f"{_module}.DEFINE_{_kind}", signature=f"name, default, {_OTHERS}")(_define_plain)
    api(f"{_module}.DEFINE_enum", signature=f"name, default, enum_values, {_OTHERS}")(_define_enum)


# --- argparse ------------------------------------------------------------------------------


class Parser(Kind):
    """An argparse parser, or a group of one; slots: ("option", name) -> Setting."""

    @method("argparse.ArgumentParser.add_argument", called="add_argument add",
            signature="*flags, dest=None, action=None, default=None, choices=None, required=None, "
            "**kwargs",
            )  # fmt: skip
    def add_argument(self, tf: TensorFlow, call: Call) -> Value:
        names = [name for value in call.more for name in _constants(value)]
        long = [name for name in names if isinstance(name, str) and name.startswith("--")]
        given = _constants(call.dest) or tuple(long or names)
        if not given:
            return UNKNOWN
        name = str(given[0]).lstrip("-").replace("-", "_")
        action, default = _constants(call.action), call.default
        if default is None and action in (("store_true",), ("store_false",)):
            default = Const(action == ("store_false",))
        elif default is None and long and not call.given("required"):
            default = NONE
        setting = _setting(f"args.{name}", default, call.choices)
        tf.interpreter.assign_slot(self.slots, ("option", name), setting)
        return UNKNOWN

    @method("argparse.ArgumentParser.add_argument_group", signature="*args, **kwargs",
            called="add_argument_group add_mutually_exclusive_group add_subparsers add_parser "
            "add_option_group",
            )  # fmt: skip
    def same(self, tf: TensorFlow, call: Call) -> Value:
        return self

    @method("argparse.ArgumentParser.set_defaults", signature="**kwargs")
    def set_defaults(self, tf: TensorFlow, call: Call) -> Value:
        for name, value in call.extra.items():
            known = isinstance(value, Const)
            setting = _setting(f"args.{name}", value, None) if known else value
            earlier = self.slots.get(("option", name))
            if isinstance(earlier, (*CALLED, Choice)) and not known:
                setting = join([earlier, value])  # each sub-command has a function of its own
            tf.interpreter.assign_slot(self.slots, ("option", name), setting)
        return NONE

    @method("argparse.ArgumentParser.parse_args", signature="*args, **kwargs")
    def parse_args(self, tf: TensorFlow, call: Call) -> Value:
        return Namespace(
            **{key[1]: value for key, value in self.slots.items() if isinstance(key, tuple)}
        )

    @method("argparse.ArgumentParser.parse_known_args", signature="*args, **kwargs")
    def parse_known_args(self, tf: TensorFlow, call: Call) -> Value:
        return ListValue((self.parse_args(tf, call), UNKNOWN))


class Namespace(Kind):
    """Parsed arguments; slots: name -> Setting."""

    def attribute(self, tf: TensorFlow, name: str) -> Value | None:
        return self.slots.get(name) or Setting(f"args.{name}")


class OptionParser(Parser):
    """An optparse parser: it gives (options, other arguments)."""

    @method("optparse.OptionParser.add_option",
            signature="*flags, dest=None, action=None, default=None, choices=None, required=None, "
            "**kwargs")  # fmt: skip
    def add_option(self, tf: TensorFlow, call: Call) -> Value:
        return self.add_argument(tf, call)

    @method("optparse.OptionParser.parse_args", signature="*args, **kwargs")
    def parse_args(self, tf: TensorFlow, call: Call) -> Value:
        return ListValue((super().parse_args(tf, call), UNKNOWN))


@api("optparse.OptionGroup", signature="parser, *args, **kwargs")
def option_group(tf: TensorFlow, call: Call) -> Value:
    return call.parser or UNKNOWN


@api("optparse.OptionParser", signature="*args, **kwargs")
def option_parser(tf: TensorFlow, call: Call) -> Value:
    return OptionParser()


@api("argparse.ArgumentParser", "configargparse.ArgParser", "configargparse.ArgumentParser",
     signature="*args, **kwargs")  # fmt: skip
def argument_parser(tf: TensorFlow, call: Call) -> Value:
    return Parser()


# --- import by name ------------------------------------------------------------------------


class SomeModule(Kind):
    """A module that is imported by a name that is not known."""

    def attribute(self, tf: TensorFlow, name: str) -> Value | None:
        """Any module of the project that defines it."""
        importer = tf.interpreter.module
        found: list[Value] = []
        for module in tf.interpreter.project.defining(name, importer) if importer else ():
            found.append(module_attribute(tf.interpreter, module, name))
        return join([*found, UNKNOWN]) if found else UNKNOWN


@api("importlib.import_module", signature="name, package=None", imports_by_name=True)
def import_module(tf: TensorFlow, call: Call) -> Value:
    return _imported(tf, call.name, call.package)


@api("builtins.__import__", signature="name, globals=None, locals=None, fromlist=(), level=0")
def import_(tf: TensorFlow, call: Call) -> Value:
    return _imported(tf, call.name, None)


@api("imp.load_source", "imp.load_module", signature="name, *args, **kwargs", imports_by_name=True)
def load_source(tf: TensorFlow, call: Call) -> Value:
    return SomeModule()


api("importlib.util.module_from_spec", signature="spec")(load_source)


def _imported(tf: TensorFlow, name: Value | None, package: Value | None) -> Value:
    if isinstance(name, Choice):
        return join([_imported(tf, option, package) for option in name.options])
    found = None
    if isinstance(name, Setting):
        found = choose(tf.interpreter, name, lambda text: _by_name(tf, text, package))
    elif isinstance(name, Const) and isinstance(name.value, str):
        text = name.value
        base = [str(part) for part in _constants(package)] if text.startswith(".") else []
        external = External(canonical(".".join([*base, text.lstrip(".")])))
        found = _by_name(tf, text, package) or external
    return found or SomeModule()


def _by_name(tf: TensorFlow, text: object, package: Value | None) -> ModuleValue | None:
    """The project's module of that name."""
    importer = tf.interpreter.module
    if not isinstance(text, str) or importer is None:
        return None
    level = len(text) - len(text.lstrip("."))
    base = [str(part) for part in _constants(package)] if level else []
    full = ".".join([*base, text.lstrip(".")])
    module = tf.interpreter.project.resolve(full, importer)
    if module is None and level and not base:
        module = tf.interpreter.project.resolve_relative(level, text[level:], importer)
    if module is None:
        return None
    load(tf.interpreter, module)
    return ModuleValue(module)
