"""Which stored variables are a batch norm's: by the names that layers give, by the graph, or by
names and shapes of people's own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

Shapes = Mapping[str, Sequence[int]]

_PARTS = {
    "moving_mean": "mean",
    "moving_variance": "variance",
    "moving_var": "variance",
    "gamma": "gamma",
    "beta": "beta",
}
_STEP_NAMES = frozenset({"global_step", "iter", "iteration", "iterations", "_iterations"})
_SCOPE = re.compile(r"(^|[/_.])(sync_?)?(batch_?norm(alization)?(_v\d)?|bn)([_\d./]|$)", re.I)
# Words of names that people give: pop_mean, running_var, ema_mu, sigma2, scale, offset.
_WORDS = {
    "mean": frozenset({"mean", "means", "mu", "avg", "average"}),
    "variance": frozenset({"variance", "var", "vars", "sigma", "std"}),
    "gamma": frozenset({"scale", "gamma"}),
    "beta": frozenset({"offset", "shift", "beta"}),
}
# `ExponentialMovingAverage.apply(tf.nn.moments(...))` names its variables for the moments' ops.
_AVERAGE = "/ExponentialMovingAverage"
_MOMENTS = {"Squeeze": "mean", "mean": "mean", "Squeeze_1": "variance", "variance": "variance"}


@dataclass
class Group:
    """A batch norm's variables.

    Attributes:
      scope: what findings call it.
      parts: their names, by "mean", "variance", "gamma" and "beta".
      decay: weight of the old moving value per update; None where it is not known.
      is_batch_norm: the graph or the scope's name says so; otherwise gamma and beta could be
        another normalization's.
      in_doubt: which statistic is which is a guess.
    """

    scope: str
    parts: dict[str, str] = field(default_factory=dict)
    decay: float | None = None
    is_batch_norm: bool = False
    in_doubt: bool = False

    @property
    def has_statistics(self) -> bool:
        return "mean" in self.parts or "variance" in self.parts

    @property
    def has_affine(self) -> bool:
        return "gamma" in self.parts or "beta" in self.parts


def step_names(names: Iterable[str]) -> list[str]:
    """The variables that count training steps."""
    return [name for name in names if name.removesuffix(":0").rpartition("/")[2] in _STEP_NAMES]


def is_part(name: str) -> bool:
    """It is called as a layer calls one of a batch norm's variables."""
    return name.removesuffix(":0").rpartition("/")[2] in _PARTS


def group_variables(names: Iterable[str]) -> list[Group]:
    """Variables with the names that layers give, by scope: "net/bn/moving_mean" is of "net/bn".

    Only the last part of a name decides, so layer norms' gamma and beta are grouped too.
    """
    groups: dict[str, Group] = {}
    for name in sorted(names):
        scope, _, last = name.removesuffix(":0").rpartition("/")
        if last in _PARTS:
            group = groups.setdefault(scope, Group(scope, is_batch_norm=_is_named(scope)))
            group.parts[_PARTS[last]] = name
    return list(groups.values())


def group_by_shape(shapes: Shapes, known: Iterable[Group] = ()) -> list[Group]:
    """Variables by scope, whatever people call them.

    Args:
      shapes: of all variables, by name.
      known: what a graph says of them. Those that are not stored are left out.

    Moving statistics are vectors as long as gamma and beta, in their scope or below it, and no
    optimizer has slots for them.
    """
    groups = [_stored_part(group, shapes) for group in known]
    taken = {name for group in groups for name in group.parts.values()}
    groups += group_variables(shapes.keys() - taken)
    slots = set(_slots(shapes))
    trained = {parent for slot in slots if (parent := _variable_of(slot, shapes)) is not None}
    loose = shapes.keys() - taken - slots - {n for one in groups for n in one.parts.values()}
    free = {name: shapes[name] for name in loose if _is_vector(shapes[name])}
    groups += _affine_by_words(free, groups)
    used = {name for one in groups for name in one.parts.values()}
    free = {name: free[name] for name in sorted(free.keys() - used - trained)}
    for group in sorted(groups, key=lambda one: -len(one.scope)):
        if group.has_affine and not group.has_statistics:
            _give_statistics(group, free, shapes)
    return groups


def _stored_part(group: Group, shapes: Shapes) -> Group:
    parts = {part: name for part, name in group.parts.items() if name in shapes}
    return Group(group.scope, parts, group.decay, is_batch_norm=True)


def _is_named(scope: str) -> bool:
    return _SCOPE.search(scope) is not None


def _is_vector(shape: Sequence[int]) -> bool:
    """Of one axis, or of several that are 1 but for one."""
    return len(shape) >= 1 and sum(size != 1 for size in shape) <= 1


def _slots(shapes: Shapes) -> Iterator[str]:
    """Optimizers and averages of weights name their variables below another's."""
    for name in shapes:
        if _variable_of(name, shapes) is not None:
            yield name


def _variable_of(name: str, shapes: Shapes) -> str | None:
    parent = name
    while "/" in parent:
        parent = parent.rpartition("/")[0]
        if parent in shapes:
            return parent
    return None


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z]+", name.lower()))


def _role(name: str) -> str | None:
    """What a name of somebody's own says that a vector is."""
    if name.endswith(_AVERAGE):
        return _MOMENTS.get(name.removesuffix(_AVERAGE).rpartition("/")[2])
    words = _words(name.rpartition("/")[2])
    roles = [role for role, known in _WORDS.items() if words & known]
    return roles[0] if len(roles) == 1 else None


def _affine_by_words(free: Shapes, groups: Sequence[Group]) -> list[Group]:
    """Scale and shift of scopes that are named as batch norms."""
    known = {group.scope for group in groups}
    found: dict[str, Group] = {}
    for name in sorted(free):
        scope, role = name.rpartition("/")[0], _role(name)
        if role in ("gamma", "beta") and scope not in known and _is_named(scope):
            found.setdefault(scope, Group(scope, is_batch_norm=True)).parts[role] = name
    return list(found.values())


def _give_statistics(group: Group, free: dict[str, Sequence[int]], shapes: Shapes) -> None:
    """The group's moving statistics, taken out of `free`.

    Two vectors whose names do not say which is which are taken in their order; values tell later.
    """
    size = math.prod(shapes[next(iter(group.parts.values()))])
    below = f"{group.scope}/" if group.scope else ""
    fitting = [n for n, shape in free.items() if n.startswith(below) and math.prod(shape) == size]
    for wanted in ("mean", "variance"):
        named = [name for name in fitting if _role(name) == wanted]
        if len(named) == 1:
            group.parts[wanted] = named[0]
    nameless = [name for name in fitting if _role(name) is None]
    if not group.has_statistics and len(fitting) == len(nameless) == 2:
        group.parts.update(zip(("mean", "variance"), sorted(nameless), strict=True))
        group.in_doubt = True
    for name in group.parts.values():
        free.pop(name, None)
