"""Why a session run may be an evaluation: the names of its data, functions and results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bnlint.analyzer.interpreter.values import Value, leaves
from bnlint.analyzer.syntax import nodes
from bnlint.program.events import Clue, ClueKind, Frame
from bnlint.program.words import EVALUATION, INFERENCE, SAMPLING, TRAINING, names_eval_data, words

_WANTS_INFERENCE = EVALUATION | INFERENCE


def data_clues(
    fetches: Value | None, feeds: Value | None, arguments: list[nodes.Argument]
) -> Iterator[Clue]:
    """What is fed, in these arguments, or what the fetched graph reads, is named test, validation
    or eval data."""
    for symbol in leaves((feeds, fetches)):
        for name in sorted(symbol.data_names):
            yield Clue(ClueKind.DATA, name)
        if names_eval_data(symbol.key):
            yield Clue(ClueKind.DATA, symbol.key)
    for argument in arguments:
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


def named_clues(called: str) -> Iterator[Clue]:
    """The last name of what is called says that it evaluates."""
    yield from _purpose([called.rpartition(".")[2]], ClueKind.FUNCTION)


def result_clues(statement: nodes.Stmt | None, node: nodes.Call) -> Iterator[Clue]:
    """The variables that take the result (`val_loss`; not `loss_val`, which is a value), or the
    words it is printed with."""
    if statement is None or not _within(node, statement):
        return
    if isinstance(statement, nodes.ExprStmt):
        for part in nodes.nodes_in(statement.value):
            if isinstance(part, nodes.Const) and isinstance(part.value, str):
                yield from _purpose([part.value[:60]], ClueKind.RESULT)
    if not isinstance(statement, nodes.Assign):
        return
    for target in statement.targets:
        for name in nodes.names_in(target):
            value = name.removesuffix("_val")
            yield from _purpose([value], ClueKind.RESULT)


def branch_clues(around: Iterable[nodes.Stmt | None], node: nodes.Call) -> Iterator[Clue]:
    """A condition or loop around the run, in its function: `if mode == "test":`, the else of
    `if FLAGS.train:`, `for batch in val_batches:`."""
    for statement in around:
        if isinstance(statement, nodes.If):
            texts = list(nodes.texts_in(statement.test))
            if any(_within(node, inner) for inner in statement.body):
                if not isinstance(statement.test, nodes.Unary):
                    yield from _purpose(texts, ClueKind.BRANCH)
            elif not isinstance(statement.test, nodes.Unary | nodes.BoolOp):
                named = [text for text in texts if not TRAINING.isdisjoint(words(text))]
                yield from (Clue(ClueKind.BRANCH, f"else of {text}") for text in named[:1])
        elif isinstance(statement, nodes.For):
            texts = list(nodes.texts_in([statement.target, statement.iterable]))
            yield from _purpose(texts, ClueKind.BRANCH)


def _within(node: nodes.Node, statement: nodes.Node) -> bool:
    return statement.start <= node.start and node.end <= statement.end


def _purpose(names: Iterable[str], kind: ClueKind) -> Iterator[Clue]:
    for name in names:
        found = words(name)
        if not TRAINING.isdisjoint(found):
            continue
        if not _WANTS_INFERENCE.isdisjoint(found):
            yield Clue(kind, name)
        elif not SAMPLING.isdisjoint(found):
            yield Clue(ClueKind.SAMPLING, name)
