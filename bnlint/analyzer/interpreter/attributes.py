"""Attributes of the project's modules, classes and instances, and of what else has fields."""

from __future__ import annotations

from bnlint.analyzer.interpreter.budget import MAX_TEXT
from bnlint.analyzer.interpreter.containers import DICT_METHODS
from bnlint.analyzer.interpreter.imports import module_attribute
from bnlint.analyzer.interpreter.interpreter import ATTRIBUTES, EXPRESSIONS, Interpreter, follows
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.names import canonical
from bnlint.analyzer.interpreter.values import (
    CONFIG,
    UNKNOWN,
    Choice,
    ClassValue,
    ConfigValue,
    Const,
    Env,
    External,
    Function,
    Instance,
    Method,
    ModuleValue,
    RecordValue,
    Setting,
    Super,
    Value,
    join,
)
from bnlint.analyzer.syntax import nodes


@follows(EXPRESSIONS, nodes.Attribute)
def attribute(interpreter: Interpreter, node: nodes.Attribute, env: Env) -> Value:
    return interpreter.get_attribute(interpreter.expr(node.value, env), node.attr, node)


@follows(ATTRIBUTES, External)
def external_attribute(
    interpreter: Interpreter, owner: External, name: str, node: nodes.Node
) -> Value:
    if len(owner.name) > MAX_TEXT:  # `x = x.next`, again and again
        return UNKNOWN
    full = canonical(f"{owner.name}.{name}")
    return interpreter.library.external(full) or External(full)


@follows(ATTRIBUTES, ModuleValue)
def of_module(interpreter: Interpreter, owner: ModuleValue, name: str, node: nodes.Node) -> Value:
    if name == "__dict__":
        return owner
    return module_attribute(interpreter, owner.module, name)


@follows(ATTRIBUTES, Instance)
def instance_attribute(
    interpreter: Interpreter, owner: Instance, name: str, node: nodes.Node
) -> Value:
    """`instance.name`, bound; a Method when no project class defines it."""
    value = owner.slots.get(name)
    if isinstance(value, Value):
        return value
    lineage = owner.cls.lineage()
    for cls in lineage:
        value = cls.slots.get(name)
        if isinstance(value, Function) and value.is_property:
            return interpreter.call(value.bound_to(owner), Args(), node)
        if isinstance(value, Value):
            return value.bound_to(owner) if isinstance(value, Function) else value
    if any(isinstance(cls.slots.get("__getattr__"), Function) for cls in lineage):
        return UNKNOWN
    return interpreter.library_attribute(owner, name)


@follows(ATTRIBUTES, ClassValue)
def class_attribute(
    interpreter: Interpreter, owner: ClassValue, name: str, node: nodes.Node
) -> Value:
    """`Class.name`."""
    for cls in owner.lineage():
        value = cls.slots.get(name)
        if isinstance(value, Function) and value.is_class_method:
            return value.bound_to(owner)
        if isinstance(value, Value):
            return value
    return UNKNOWN


@follows(ATTRIBUTES, Super)
def super_attribute(interpreter: Interpreter, owner: Super, name: str, node: nodes.Node) -> Value:
    """`super().name`: of the classes after the one whose method says so."""
    if isinstance(owner.instance, Instance):
        lineage = owner.instance.cls.lineage()
        start = lineage.index(owner.cls) + 1 if owner.cls in lineage else 0
        for cls in lineage[start:]:
            value = cls.slots.get(name)
            if isinstance(value, Function):
                return value.bound_to(owner.instance)
    return Method(owner, name)


@follows(ATTRIBUTES, Choice)
def choice_attribute(interpreter: Interpreter, owner: Choice, name: str, node: nodes.Node) -> Value:
    return join([interpreter.get_attribute(option, name, node) for option in owner.options])


@follows(ATTRIBUTES, RecordValue)
def record_attribute(
    interpreter: Interpreter, owner: RecordValue, name: str, node: nodes.Node
) -> Value:
    if name in owner.fields:
        return owner.items[owner.fields.index(name)]
    return interpreter.library_attribute(owner, name)


@follows(ATTRIBUTES, ConfigValue)
def config_attribute(
    interpreter: Interpreter, owner: ConfigValue, name: str, node: nodes.Node
) -> Value:
    """What is written in a program may be changed before it runs: conditions are undecided."""
    known, key = owner.get(name), f"{CONFIG}{owner.number}.{name}"
    if isinstance(known, Const) and isinstance(known.value, str):
        return Setting(key, (known.value,), (known.value,))
    if isinstance(known, Const) and isinstance(known.value, bool):
        value = interpreter.path.get(key, known.value)
        return Const(value, known.location, key)
    if known is not None:
        return known
    if name in DICT_METHODS:
        return Method(owner, name)
    return (owner.rest or UNKNOWN).replace(key=key)


@follows(ATTRIBUTES, Setting)
def setting_attribute(
    interpreter: Interpreter, owner: Setting, name: str, node: nodes.Node
) -> Value:
    if name in ("value", "default"):
        return owner  # absl's FlagHolder
    return interpreter.library_attribute(owner, name)
