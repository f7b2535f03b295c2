"""Default arguments per scope: `arg_scope` and `add_arg_scope`.

A scope is a dictionary {function key: {argument: value}}. Scopes nest: an inner
scope starts from a copy of the outer one, and an argument given in the call wins
over every scope. Semantics of `tf.contrib.framework.arg_scope` (TF 1.15).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Scope = dict[Any, dict[str, Any]]

_stack: list[Scope] = [{}]
_keyword_names: dict[Any, tuple[str, ...]] = {}


def current_arg_scope() -> Scope:
    """The innermost active scope."""
    return _stack[-1]


def arg_scope_func_key(op: Callable[..., Any]) -> Any:
    """The key under which a scope stores the defaults of `op`."""
    return getattr(op, "_key_op", str(op))


def has_arg_scope(func: Callable[..., Any]) -> bool:
    """True when `func` was decorated with `add_arg_scope`."""
    return arg_scope_func_key(func) in _keyword_names


def arg_scoped_arguments(func: Callable[..., Any]) -> tuple[str, ...]:
    """Names of the arguments of `func` that an `arg_scope` can set.

    Raises:
      AssertionError: `func` is not decorated with `add_arg_scope`.
    """
    assert has_arg_scope(func)
    return _keyword_names[arg_scope_func_key(func)]


def add_arg_scope(func: Callable[..., Any]) -> Callable[..., Any]:
    """Lets an `arg_scope` set the keyword arguments of `func`."""
    key = arg_scope_func_key(func)
    _keyword_names[key] = _names_with_default(func)

    @functools.wraps(func)
    def func_with_args(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **{**current_arg_scope().get(key, {}), **kwargs})

    func_with_args._key_op = key  # type: ignore[attr-defined]
    return func_with_args


@contextmanager
def arg_scope(list_ops_or_scope: Any, **kwargs: Any) -> Iterator[Scope]:
    """Sets default arguments for a list of functions, or re-enters a saved scope.

    Args:
      list_ops_or_scope: list or tuple of functions decorated with
          `add_arg_scope`, or a scope that an earlier `arg_scope` yielded.
      **kwargs: the defaults; must be empty when a saved scope is given.

    Yields:
      The scope now active, to be re-entered later.

    Raises:
      TypeError: neither a list, a tuple nor a scope was given.
      ValueError: a function is not decorated, or a saved scope came with kwargs.
    """
    scope = _entered_scope(list_ops_or_scope, kwargs)
    _stack.append(scope)
    try:
        yield scope
    finally:
        _stack.pop()


def _entered_scope(list_ops_or_scope: Any, kwargs: dict[str, Any]) -> Scope:
    if isinstance(list_ops_or_scope, dict):
        if kwargs:
            raise ValueError(
                "When attempting to re-use a scope by suppling adictionary, kwargs must be empty."
            )
        return dict(list_ops_or_scope)
    if not isinstance(list_ops_or_scope, (list, tuple)):
        raise TypeError("list_ops_or_scope must either be a list/tuple or reused scope (i.e. dict)")
    scope = dict(current_arg_scope())
    for op in list_ops_or_scope:
        if not has_arg_scope(op):
            raise ValueError(f"{(op.__module__, op.__name__)} is not decorated with @add_arg_scope")
        key = arg_scope_func_key(op)
        scope[key] = {**scope.get(key, {}), **kwargs}
    return scope


def _names_with_default(func: Callable[..., Any]) -> tuple[str, ...]:
    code, defaults = func.__code__, func.__defaults__ or ()
    return tuple(code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount])
