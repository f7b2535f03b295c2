"""Why a session run may be an evaluation: the names of its data, functions and results."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from bnlint.analyzer.interpreter.values import Value, leaves
from bnlint.analyzer.syntax import nodes
from bnlint.program.events import TRAINING_PARAMETER_NAMES, Clue, ClueKind, Frame

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_EVALUATION = frozenset(
    "test testing val valid validation validate eval evaluation evaluate evaluator dev".split()
)
_INFERENCE = frozenset(
    "infer inference predict prediction predictor detect recognize recognise classify".split()
)
_SAMPLING = frozenset(
    "sample sampler sampling generate demo visualize visualise reconstruct complete deploy "
    "serve interpolate".split()
)
_TRAINING = frozenset(["train", "training", "trainer", "fit", "learn"])
_FLAG = frozenset(["train", "training", "istraining", "istrain", "phase"])


def words(name: str) -> list[str]:
    """The words of a name, lower case: "valImages_2" -> ["val", "images"]."""
    return [word.lower() for word in _WORD.findall(name)]


def names_eval_data(name: str) -> bool:
    """A name such as `test_images`, `x_val` or `data.validation.labels`."""
    found = words(name)
    return not _EVALUATION.isdisjoint(found) and _TRAINING.isdisjoint(found)


def names_training_flag(name: str) -> bool:
    """A name such as `is_training`, `phase_train` or `train_mode`."""
    return name in TRAINING_PARAMETER_NAMES or not _FLAG.isdisjoint(words(name))


def data_clues(feeds: Value | None, node: nodes.Call) -> Iterator[Clue]:
    """What is fed is named test, validation or eval data."""
    for symbol in leaves((feeds,)):
        for tag in symbol.tags:
            if tag.startswith("eval data:"):
                yield Clue(ClueKind.DATA, tag.removeprefix("eval data:"))
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
        if not _TRAINING.isdisjoint(found):
            continue
        if not _EVALUATION.isdisjoint(found):
            yield Clue(ClueKind.RESULT, name)
        elif not _SAMPLING.isdisjoint(found):
            yield Clue(ClueKind.SAMPLING, name)


def _within(node: nodes.Node, statement: nodes.Node) -> bool:
    return statement.start <= node.start and node.end <= statement.end


def _purpose(names: Iterable[str], kind: ClueKind) -> Iterator[Clue]:
    for name in names:
        found = words(name)
        if not _TRAINING.isdisjoint(found):
            continue
        if not (_EVALUATION | _INFERENCE).isdisjoint(found):
            yield Clue(kind, name)
        elif not _SAMPLING.isdisjoint(found):
            yield Clue(ClueKind.SAMPLING, name)
