"""Why a session run may be an evaluation: the names of its data, functions and results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bnlint.analyzer.interpreter.values import Value, leaves
from bnlint.analyzer.syntax import nodes
from bnlint.program.events import Clue, ClueKind, Frame
from bnlint.program.words import EVALUATION, INFERENCE, SAMPLING, TRAINING, names_eval_data, words


def data_clues(feeds: Value | None, node: nodes.Call) -> Iterator[Clue]:
    """What is fed is named test, validation or eval data."""
    for symbol in leaves((feeds,)):
        for name in sorted(symbol.data_names):
            yield Clue(ClueKind.DATA, name)
        if names_eval_data(symbol.key):
            yield Clue(ClueKind.DATA, symbol.key)
    for argument in node.args[-1:]:
        for name in nodes.names_in(argument.value):
            if names_eval_data(name):
                yield Clue(ClueKind.DATA, name)


def function_clues(frames: Iterable[Frame], script: str) -> Iterator[Clue]:
    """The function, a class on the way, or the script says in its name what it is for."""
    for frame in frames:
        parts = frame.function.split(".")
        named = [part for part in parts[:-1] if part[:1].isupper()]
        yield from _purpose([*named, parts[-1]], ClueKind.FUNCTION)
    yield from _purpose([script], ClueKind.FUNCTION)


def result_clues(statement: nodes.Stmt | None, node: nodes.Call) -> Iterator[Clue]:
    """The variables that take the result: `val_loss`; not `loss_val`, which is a value."""
    if not isinstance(statement, nodes.Assign) or not _within(node, statement):
        return
    names = [name for target in statement.targets for name in nodes.names_in(target)]
    for name in names:
        found = words(name)
        if found and found[-1] == "val":
            found = found[:-1]
        if not TRAINING.isdisjoint(found):
            continue
        if not EVALUATION.isdisjoint(found):
            yield Clue(ClueKind.RESULT, name)
        elif not SAMPLING.isdisjoint(found):
            yield Clue(ClueKind.SAMPLING, name)


def _within(node: nodes.Node, statement: nodes.Node) -> bool:
    return statement.start <= node.start and node.end <= statement.end


def _purpose(names: Iterable[str], kind: ClueKind) -> Iterator[Clue]:
    for name in names:
        found = words(name)
        if not TRAINING.isdisjoint(found):
            continue
        if not (EVALUATION | INFERENCE).isdisjoint(found):
            yield Clue(kind, name)
        elif not SAMPLING.isdisjoint(found):
            yield Clue(ClueKind.SAMPLING, name)
