"""Lists, tuples, sets and dicts: how they are written, their items and their methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bnlint.analyzer.interpreter.chosen import choose
from bnlint.analyzer.interpreter.interpreter import EXPRESSIONS, ITEMS, Interpreter, follows
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.operators import arithmetic
from bnlint.analyzer.interpreter.values import (
    MAX_KEYS,
    NONE,
    UNKNOWN,
    Choice,
    ConfigValue,
    Const,
    DictValue,
    Env,
    External,
    ListValue,
    ModuleValue,
    RecordValue,
    Setting,
    Stateful,
    Symbol,
    Value,
    further,
    join,
    short_key,
    symbol_of,
)
from bnlint.analyzer.syntax import nodes

# --- keys ----------------------------------------------------------------------------------


def dict_key(value: Value) -> Any:
    """The constant a dict is keyed with; tensors and FLAGS are keyed by identity."""
    if isinstance(value, Const):
        try:
            hash(value.value)
        except TypeError:
            return None
        return value.value if value.value is not None else "\0None"
    if isinstance(value, Symbol | Setting) and value.key:
        return f"\0{value.key}"
    if isinstance(value, External):
        return f"\0{value.name}"
    if isinstance(value, Stateful):
        return f"\0#{value.number}"
    return None


def is_identity(key: Any) -> bool:
    """A dict key that stands for a tensor or another object, not for a constant."""
    return isinstance(key, str) and key.startswith("\0")


def identity_of(key: Any) -> str:
    """The identity behind a dict key that stands for a tensor or another object, or ""."""
    return key[1:] if is_identity(key) else ""


def keys_of(target: DictValue) -> ListValue:
    """The keys of a dict; one unknown key stands for those that are not known."""
    keys = tuple(Const(key) for key in target.items if not is_identity(key))
    known = target.rest is None and len(keys) == len(target.items)
    return ListValue(keys, None if known and keys else UNKNOWN)


# --- displays ------------------------------------------------------------------------------


@follows(EXPRESSIONS, nodes.Display)
def display(interpreter: Interpreter, node: nodes.Display, env: Env) -> Value:
    result = ListValue()
    items: list[Value] = []
    for item in node.items:
        value = interpreter.expr(item, env)
        if not isinstance(item, nodes.Starred):
            items.append(value)
        elif isinstance(value, ListValue):
            result = ListValue((*result.items, *items, *value.items), joined(result, value))
            items = []
        else:
            result = ListValue(result.items, symbol_of(result.rest, further(value)))
    return ListValue((*result.items, *items), result.rest)


@follows(EXPRESSIONS, nodes.DictDisplay)
def dict_display(interpreter: Interpreter, node: nodes.DictDisplay, env: Env) -> Value:
    result = DictValue()
    for key, item in node.items:
        value = interpreter.expr(item, env)
        if key is None:
            update(interpreter, result, value)
        else:
            result.slots.update(keyed(result, interpreter.expr(key, env), value))
    return result


def joined(left: ListValue, right: ListValue) -> Symbol | None:
    """The unknown items of both lists."""
    if left.rest is None or right.rest is None:
        return left.rest or right.rest
    return symbol_of(left.rest, right.rest)


# --- items ---------------------------------------------------------------------------------


def keyed(target: DictValue, index: Value, value: Value) -> dict[Any, Value]:
    """The slots that `target[index] = value` changes, and their new values."""
    if isinstance(index, Choice):  # `{model.training: True}` of either of two classes
        options = [keyed(target, option, value) for option in index.options]
        return {slot: changed for option in options for slot, changed in option.items()}
    key = dict_key(index)
    is_full = len(target.slots) > MAX_KEYS and target.get(key) is None
    if key is None or is_full:  # a fed tensor's key keeps what it is computed from
        return {"rest": symbol_of(target.rest, value, index).replace(incomplete=True)}
    return {("=", key): value}


@follows(ITEMS, ListValue, RecordValue)
def list_item(interpreter: Interpreter, owner: ListValue, index: Value) -> Value:
    items, rest = owner.items, owner.rest
    if isinstance(index, Const) and isinstance(index.value, int):
        first = 0 if rest is not None else -len(items)  # further items would be at the end
        if first <= index.value < len(items):
            return items[index.value]
        # Beyond a known list's end the program fails: no op comes from there.
        return rest if rest is not None else Symbol(incomplete=True)
    options = [*items, *([rest] if rest is not None else [])]
    return join(options) if options else UNKNOWN


@follows(ITEMS, DictValue, ConfigValue)
def dict_item(interpreter: Interpreter, owner: DictValue, index: Value) -> Value:
    key = dict_key(index)
    found = owner.get(key)
    if found is None and isinstance(index, Setting):
        found = choose(interpreter, index, lambda name: owner.get(dict_key(Const(name))))
    if found is not None:
        return found
    items = owner.items
    interpreter.budget.spend(len(items) // 64)
    if items and (key is None or is_identity(key)):  # one of them, by an unknown name
        rest = [owner.rest] if owner.rest is not None else []
        return join([*items.values(), *rest])
    return owner.rest if owner.rest is not None else UNKNOWN


@follows(ITEMS, Setting)
def setting_item(interpreter: Interpreter, owner: Setting, index: Value) -> Value:
    return Setting(short_key(f"{owner.key}[{dict_key(index)!r}]"))


@follows(ITEMS, Symbol)
def symbol_item(interpreter: Interpreter, owner: Symbol, index: Value) -> Value:
    key = dict_key(index)
    sub_key = f"{owner.key}[{key!r}]" if owner.key and key is not None else ""
    return owner.replace(key=sub_key, flag=None if sub_key else owner.flag)


@follows(ITEMS, ModuleValue)
def module_item(interpreter: Interpreter, owner: ModuleValue, index: Value) -> Value:
    """`module.__dict__[name]`, `globals()[name]`."""

    def look_up(name: object) -> Value | None:
        value = interpreter.get_attribute(owner, str(name), nodes.Node(0, 0))
        return None if value is UNKNOWN else value

    found = None
    if isinstance(index, Setting):
        found = choose(interpreter, index, look_up)
    elif isinstance(index, Const):
        found = look_up(index.value)
    return found if found is not None else UNKNOWN


@follows(ITEMS, External)
def external_item(interpreter: Interpreter, owner: External, index: Value) -> Value:
    key = dict_key(index)
    if owner.name == "sys.modules" and isinstance(index, Const) and interpreter.module is not None:
        module = interpreter.module
        if index.value not in ("__main__", module.name):
            module = interpreter.project.resolve(str(index.value), module) or module
        return ModuleValue(module)
    return UNKNOWN.replace(key=f"{owner.name}[{key!r}]" if key is not None else "")


@follows(ITEMS, Choice)
def choice_item(interpreter: Interpreter, owner: Choice, index: Value) -> Value:
    return join([interpreter.item(option, index) for option in owner.options])


def with_item(owner: ListValue, index: Value, value: Value) -> tuple[Value, ...]:
    """The known items of a list after `owner[index] = value`.

    Of an index that is not known, any may be the one; None is what lists are begun with, to be
    filled.
    """
    items = list(owner.items)
    known = index.value if isinstance(index, Const) and isinstance(index.value, int) else None
    if known is not None and 0 <= known < len(items):
        items[known] = value
        return tuple(items)
    filled = [item for item in items if not (isinstance(item, Const) and item.value is None)]
    common = join([*filled, value])
    return tuple(common for _ in items)


# --- lists ---------------------------------------------------------------------------------


def extend(interpreter: Interpreter, target: ListValue, value: Value) -> None:
    """`target.extend(value)`."""
    if isinstance(value, ListValue):
        _replace(interpreter, target, target.items + value.items, joined(target, value))
    else:
        _replace(interpreter, target, target.items, symbol_of(target.rest, further(value)))


def _replace(
    interpreter: Interpreter, target: ListValue, items: tuple[Value, ...], rest: Symbol | None
) -> None:
    """Other items take the place of those in `target`."""
    changed = ListValue(items, rest)
    interpreter.budget.spend(len(items) // 64)
    if len(changed.items) != len(target.items):
        interpreter.assign_slot(target.slots, "items", changed.items)
    if changed.rest is not target.rest:
        interpreter.assign_slot(target.slots, "rest", changed.rest)


def list_method(interpreter: Interpreter, target: ListValue, name: str, args: Args) -> Value:
    """A method of a list, tuple or set."""
    follow = _LIST_METHODS.get(name)
    result = follow(interpreter, target, args) if follow is not None else None
    return result or symbol_of(target, *args.values()).replace(incomplete=True)


def _append(interpreter: Interpreter, target: ListValue, args: Args) -> Value | None:
    added = tuple(args.positional[-1:])
    _replace(interpreter, target, target.items + added, target.rest)
    return NONE


def _extend(interpreter: Interpreter, target: ListValue, args: Args) -> Value | None:
    if not args.positional:  # such methods have no keywords
        return None
    extend(interpreter, target, args.positional[0])
    return NONE


def _reorder(interpreter: Interpreter, target: ListValue, args: Args) -> Value | None:
    return NONE  # what is still in it, and in which order, is not followed


def _pop(interpreter: Interpreter, target: ListValue, args: Args) -> Value | None:
    return target.items[-1] if target.items else target.rest or UNKNOWN


def _copy(interpreter: Interpreter, target: ListValue, args: Args) -> Value | None:
    return target


def _union(interpreter: Interpreter, target: ListValue, args: Args) -> Value | None:
    if not args.positional:
        return target
    return arithmetic(interpreter, "+", target, args.positional[0])


_ListMethod = Callable[[Interpreter, ListValue, Args], "Value | None"]
_LIST_METHODS: dict[str, _ListMethod] = {
    **dict.fromkeys(("append", "add", "insert", "appendleft"), _append),
    **dict.fromkeys(("extend", "update"), _extend),
    **dict.fromkeys(("discard", "remove", "sort", "reverse", "clear"), _reorder),
    **dict.fromkeys(("union", "__add__"), _union),
    "pop": _pop,
    "copy": _copy,
}


# --- dicts ---------------------------------------------------------------------------------


def update(interpreter: Interpreter, target: DictValue, value: Value) -> None:
    """`target.update(value)`."""
    if isinstance(value, DictValue):
        interpreter.budget.spend(len(value.slots) // 64)
        for key, item in value.items.items():
            for slot, changed in keyed(target, Const(key), item).items():
                interpreter.assign_slot(target.slots, slot, changed)
        if value.rest is not None:
            rest = symbol_of(target.rest, value.rest)
            interpreter.assign_slot(target.slots, "rest", rest)
    else:
        rest = symbol_of(target.rest, value, UNKNOWN)
        interpreter.assign_slot(target.slots, "rest", rest)


def dict_method(interpreter: Interpreter, target: DictValue, name: str, args: Args) -> Value:
    """A method of a dict."""
    follow = DICT_METHODS.get(name)
    interpreter.budget.spend(len(target.slots) // 64)
    if follow is None:
        return symbol_of(target, *args.values()).replace(incomplete=True)
    return follow(interpreter, target, args)


def _get(interpreter: Interpreter, target: DictValue, args: Args) -> Value:
    index = args.positional[0] if args.positional else UNKNOWN
    default = args.positional[1] if len(args.positional) > 1 else NONE
    key = dict_key(index)
    may_be_in_it = key is None or is_identity(key) or target.get(key) is not None
    if may_be_in_it and len(target.slots) > 1:
        return dict_item(interpreter, target, index)
    return join([target.rest, default]) if target.rest is not None else default


def _update(interpreter: Interpreter, target: DictValue, args: Args) -> Value:
    for value in args.positional:
        update(interpreter, target, value)
    for keyword, value in args.keywords.items():
        interpreter.assign_slot(target.slots, ("=", keyword), value)
    return NONE


def _dict_copy(interpreter: Interpreter, target: DictValue, args: Args) -> Value:
    return DictValue(target.items, target.rest)


def _values(interpreter: Interpreter, target: DictValue, args: Args) -> Value:
    return ListValue(tuple(target.items.values()), target.rest)


def _items(interpreter: Interpreter, target: DictValue, args: Args) -> Value:
    pairs = (ListValue((Const(key), value)) for key, value in target.items.items())
    return ListValue(tuple(pairs), target.rest)


def _keys(interpreter: Interpreter, target: DictValue, args: Args) -> Value:
    return keys_of(target)


DICT_METHODS: dict[str, Callable[[Interpreter, DictValue, Args], Value]] = {
    **dict.fromkeys(("get", "pop", "setdefault"), _get),
    "update": _update,
    "copy": _dict_copy,
    "values": _values,
    "items": _items,
    "keys": _keys,
}
