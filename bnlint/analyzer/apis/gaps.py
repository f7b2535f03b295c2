"""Where following a program lost sight of what rules look at. Noted only when it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.names import FRAMEWORKS, PURE
from bnlint.analyzer.interpreter.values import Symbol, Value, leaves
from bnlint.analyzer.project.modules import Module, Project
from bnlint.analyzer.syntax import nodes
from bnlint.findings import Location
from bnlint.program.events import Flag, FlagKind, Gap
from bnlint.program.words import TRAINING_PARAMETER_NAMES, names_training_flag

MAX_GAPS = 20  # of a program
MAX_LESS = 10  # of those that matter less
TENSOR = "a tensor"
MIXED = "the output of a batch norm is computed with a value that is not known"
OUTSIDE = "it is not among the linted files"


def add_gap(gaps: list[Gap], place: Location, reason: str, args: Args, node: nodes.Call) -> None:
    """Adds a call that is not followed to `gaps`, if something that matters went into it."""
    given = _given(args) if len(gaps) < MAX_GAPS else ""
    if given == TENSOR and len(gaps) >= MAX_LESS:
        return
    gap = Gap(place, _written(node.func), reason, given)
    if given and gap not in gaps:
        gaps.append(gap)


def _written(expression: nodes.Expr) -> str:
    """What is called, about as it is written: "self.layers[...]"; "" where that says little."""
    if isinstance(expression, nodes.Attribute):
        base = _written(expression.value)
        return f"{base}.{expression.attr}" if base else ""
    if isinstance(expression, nodes.Subscript):
        base = _written(expression.value)
        return f"{base}[...]" if base else ""
    if isinstance(expression, nodes.Call):
        base = _written(expression.func)
        return f"{base}(...)" if base else ""
    return nodes.dotted(expression)


def add_mixture(gaps: list[Gap], place: Location, values: Sequence[Value | None]) -> None:
    """Adds an op on the output of a batch norm, if it also takes a value that is not known."""
    found = leaves(list(values))
    unknown = [symbol.key for symbol in found if symbol.unknown and not symbol.batch_norms]
    known = any(symbol.batch_norms and not symbol.unknown for symbol in found)
    if known and unknown and len(gaps) < MAX_LESS:
        gap = Gap(place, unknown[0], MIXED)
        if gap not in gaps:
            gaps.append(gap)


def outside(project: Project) -> list[Gap]:
    """Imports of what is not linted, in files that import a framework: networks may be there.

    One for each name and file; Python's own modules and those that hold no graphs are left out.
    """
    found: dict[tuple[str, str], Gap] = {}
    for module in project.modules:
        imports = list(nodes.local_imports(module.facts.body))
        names = [name for node in imports for name in _unresolved(node, module, project)]
        if any(name.split(".")[0] in FRAMEWORKS for _, name in names):
            for node, name in names:
                if name.split(".")[0] not in _HARMLESS:
                    gap = Gap(module.facts.location(node), name, OUTSIDE)
                    found.setdefault((module.path, name), gap)
    return list(found.values())


_HARMLESS = FRAMEWORKS | PURE | sys.stdlib_module_names


def _unresolved(
    node: nodes.Import | nodes.ImportFrom, module: Module, project: Project
) -> Iterator[tuple[nodes.Node, str]]:
    """The modules that a statement imports from outside of the project."""
    if isinstance(node, nodes.Import):
        for name, _ in node.names:
            if project.resolve(name, module) is None:
                yield node, name
    elif node.level:
        if project.resolve_relative(node.level, node.module, module) is None:
            yield node, "." * node.level + node.module
    elif project.resolve(node.module, module) is None:
        yield node, node.module


def _given(args: Args) -> str:
    """What a call was given whose fate matters, in words; "" for nothing of the kind.

    What already came out of unknown code was lost before.
    """
    known = [symbol for symbol in leaves(args.values()) if not symbol.unknown]
    if any(symbol.train_ops for symbol in known):
        return "a train op"
    if any(symbol.runs for symbol in known):
        return "update ops"
    if any(symbol.batch_norms for symbol in known):
        return "the output of a batch norm"
    if _has_flag(args):
        return "a training flag"
    if any(_is_tensor(symbol) for symbol in known):
        return TENSOR
    return ""


def _has_flag(args: Args) -> bool:
    if not TRAINING_PARAMETER_NAMES.isdisjoint(args.keywords):
        return True
    return any(_is_flag(value) for value in args.values())


def _is_flag(value: Value) -> bool:
    flag: Flag | None = value.flag if isinstance(value, Symbol) else None
    if flag is None:
        return False
    return flag.kind is FlagKind.LEARNING_PHASE or names_training_flag(flag.name)


def _is_tensor(symbol: Symbol) -> bool:
    """A placeholder, or what TensorFlow made of tensors that are all known."""
    return symbol.flag is not None or not symbol.incomplete
