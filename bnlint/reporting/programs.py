"""Programs as they were understood: a tree for people, JSON for tools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import IO, Any, TypeVar

from rich.text import Text
from rich.tree import Tree

from bnlint.findings import Counts, Location
from bnlint.program.events import Gap
from bnlint.program.outline import (
    EvaluationOutline,
    KerasOutline,
    NormsOutline,
    Outline,
    Overview,
    ReadOutline,
    RunOutline,
    SaverOutline,
    TrainOpOutline,
)
from bnlint.reporting import escapes
from bnlint.reporting.counts import count
from bnlint.reporting.escapes import printable, printable_line
from bnlint.reporting.machine import location_record
from bnlint.reporting.terminal import Terminal
from bnlint.reporting.text import checked


@dataclass
class Branch:
    """A line, and what stands below it."""

    text: str
    below: list[Branch] = field(default_factory=list)
    style: str = ""


def render_overview(
    overview: Overview,
    format: str,
    stream: IO[str],
    *,
    place: Callable[[Location], Location] = lambda location: location,
    color: bool | None = None,
) -> None:
    """Writes `overview` to `stream`.

    Args:
      overview: what to show.
      format: "text" (a tree on a terminal; elsewhere indented lines, which are never cut) or "json"
        (one object: version 1 and the attributes of Overview).
      stream: a text stream.
      place: where a place of the analyzed text is for the user; notebooks have cells.
      color: None asks the stream.
    """
    if format == "json":
        record = _record(overview, place)
        stream.write(escapes.to_json({"version": 1, **record}))
        return
    console = Terminal(stream, color)
    for branch in _branches(overview, _Writer(place)):
        if console.is_terminal:
            console.print(_tree(branch), soft_wrap=False, overflow="fold")
        else:
            _indented(console, branch, 0)
    console.print(_end(overview))


def _record(value: Any, place: Callable[[Location], Location]) -> Any:
    """Plain data of dataclasses."""
    if isinstance(value, Location):
        return location_record(place(value))
    if is_dataclass(value):
        return {item.name: _record(getattr(value, item.name), place) for item in fields(value)}
    if isinstance(value, list | tuple):
        return [_record(item, place) for item in value]
    return value


def _tree(branch: Branch) -> Tree:
    tree = Tree(Text(printable(branch.text), branch.style))
    tree.children += [_tree(below) for below in branch.below]
    return tree


def _indented(console: Terminal, branch: Branch, depth: int) -> None:
    console.print(Text("  " * depth + printable_line(branch.text), branch.style))
    for below in branch.below:
        _indented(console, below, depth + 1)


def _branches(overview: Overview, write: _Writer) -> Iterator[Branch]:
    for program in overview.programs:
        yield write.program(program)
    imports = [Branch(f"{gap.what} in {write.at(gap.location)}") for gap in overview.outside]
    if imports:
        yield Branch("imported from outside the linted files", imports, "bold")
    trouble = [f"{item.path}: {item.reason}" for item in overview.left]
    for error in overview.errors:
        if error.fatal:
            line = f":{error.line}" if error.line else ""
            trouble.append(f"{error.path}{line}: {error.message}")
    notes = Counter(error.message for error in overview.errors if not error.fatal)
    trouble += [f"{count(number, 'file')}: {note}" for note, number in notes.items()]
    if trouble:
        yield Branch("about files", list(map(Branch, trouble)), "bold yellow")


def _end(overview: Overview) -> str:
    counts = sum((program.counts for program in overview.programs), Counts())
    end = f"{count(overview.files, 'file')}. {checked(counts)}"
    if overview.idle:
        end += f" Not shown: {count(overview.idle, 'program')} without any of this."
    return end


class _Writer:
    """Says what happens in a program, in lines."""

    def __init__(self, place: Callable[[Location], Location]) -> None:
        self._place = place

    def at(self, location: Location) -> str:
        """A place as the user can find it: "train.py:12:5"."""
        return str(self._place(location))

    def places(self, locations: tuple[Location, ...]) -> str:
        """The first of several places, and how many more there are."""
        more = len(locations) - 1
        return self.at(locations[0]) + (f" and {count(more, 'other place')}" if more else "")

    def program(self, program: Outline) -> Branch:
        """A program and everything in it."""
        entry = program.entry
        if entry.kind == "script":
            name = f"script {entry.name}"
        else:
            mode = f" in mode {entry.mode}" if entry.mode else ""
            name = f"{entry.kind} {entry.name}{mode}, {self.at(entry.location)}"
        below = [
            *_section(
                f"batch norms: {program.counts.batch_norms}", self.norms, program.batch_norms
            ),
            *_section("train ops", self.train_op, program.train_ops),
            *_section("collections that are read", self.read, program.collection_reads),
            *_section("session runs", self.run, program.session_runs),
            *_section("evaluations", self.evaluation, program.evaluations),
            *_section("savers", self.saver, program.savers),
            *_section("Keras models", self.keras, program.keras),
            *_section("knowledge lost", self.gap, program.gaps),
        ]
        if program.uses_estimator:
            below.append(Branch("uses an Estimator: its model_fn is a program in each mode"))
        if program.left:
            below.append(Branch(f"not followed to its end: {program.left}", [], "bold yellow"))
        return Branch(name, below, "bold cyan")

    def norms(self, item: NormsOutline) -> str:
        """Batch norms that are alike."""
        written = f", from {self.places(item.mode_from)}" if item.mode_from else ""
        return _joined(
            f"{item.count} of {item.api} in {item.network or 'the script'}, "
            f"{self.places(item.locations)}",
            f"mode: {item.mode}{written}",
            f"updates: {_updates(item)}",
            item.scope and f"scope {item.scope}",
            "trained" if item.trained else "not trained",
            item.reused and f"{item.reused} share the variables of earlier ones",
            _graph(item.graph),
            item.conditional and "under a condition",
        )

    def train_op(self, item: TrainOpOutline) -> str:
        """A train op."""
        answers = {
            "run": item.updates_run,
            "not run": item.updates_not_run,
            "not known": item.updates_unknown,
        }
        updates = ", ".join(f"{number} {answer}" for answer, number in answers.items() if number)
        return _joined(
            f"{item.api}, {self.at(item.location)}",
            f"trains {count(item.batch_norms, 'batch norm')}",
            updates and f"their updates: {updates}",
            item.loss != "known" and f"loss {item.loss}",
            _ENDS[item.end],
            _graph(item.graph),
        )

    def read(self, item: ReadOutline) -> str:
        """A read of an op collection."""
        scope = "an unknown scope" if item.scope is None else f"scope {item.scope}"
        return _joined(
            f"{item.collection}, {self.at(item.location)}",
            item.scope != "" and scope,
            f"holds updates of {count(item.batch_norms, 'batch norm')}",
            item.missed and f"misses those of {item.missed}",
            _graph(item.graph),
        )

    def run(self, item: RunOutline) -> str:
        """A session run."""
        fed = [name if value is None else f"{name}={value}" for name, value in item.feeds]
        fed += ["something unknown"] * item.feeds_unknown
        return _joined(
            self.at(item.location),
            item.train_ops and f"trains ({', '.join(map(self.at, item.train_ops))})",
            f"computes {count(item.batch_norms, 'batch norm')}",
            item.updates and f"runs updates of {item.updates}",
            item.fetches_unknown and "fetches something unknown",
            fed and f"feeds {', '.join(fed)}",
            _clues(item.clues),
            _graph(item.graph),
        )

    def evaluation(self, item: EvaluationOutline) -> str:
        """An evaluation."""
        return _joined(
            f"{item.kind}, {self.at(item.location)}",
            f"of {count(item.batch_norms, 'batch norm')}",
            f"{item.confidence} confidence",
            _clues(item.clues),
        )

    def saver(self, item: SaverOutline) -> str:
        """A saver."""
        return _joined(
            f"{self.at(item.location)}",
            f"variables: {item.selection}",
            item.saves and f"saves in {', '.join(map(self.at, item.saves))}",
            item.restores and f"restores in {', '.join(map(self.at, item.restores))}",
            f"{count(item.batch_norms, 'batch norm')} in its graph",
            _graph(item.graph),
        )

    def keras(self, item: KerasOutline) -> str:
        """A Keras model called or run."""
        has = {"yes": "has batch norm", "no": "has no batch norm"}
        return _joined(
            f"{item.kind}, {self.at(item.location)}",
            item.kind == "call" and f"training: {item.mode}",
            has.get(item.has_batch_norm, "may have batch norm"),
            item.purpose != "unknown" and f"to {item.purpose}",
            item.in_tape and "under a gradient tape",
            item.frozen and "frozen",
        )

    def gap(self, gap: Gap) -> str:
        """Where knowledge was lost."""
        given = f", given {gap.given}" if gap.given else ""
        what = f"{gap.what} " if gap.what else ""
        return f"{what}in {self.at(gap.location)}{given}: {gap.reason}"


_ENDS = {
    "run": "it is run",
    "never run": "it is never run",
    "handed on": "it goes to code that is not followed",
}
_T = TypeVar("_T")


def _section(title: str, write: Callable[[_T], str], items: Sequence[_T]) -> list[Branch]:
    """A heading with a line for each item; nothing without items."""
    below = [Branch(write(item) + _times(item)) for item in items]
    return [Branch(title, below, "bold")] if below else []


def _times(item: object) -> str:
    times = getattr(item, "times", 1)
    return f" ({times} times)" if times > 1 else ""


def _joined(*parts: object) -> str:
    """The parts that are there."""
    return "; ".join(str(part) for part in parts if part)


def _updates(item: NormsOutline) -> str:
    return f"in collection {item.collection}" if item.updates == "collection" else item.updates


def _graph(graph: int) -> str:
    """The first graph goes without saying."""
    return f"graph {graph}" if graph else ""


def _clues(clues: tuple[str, ...]) -> str:
    return f"looks like an evaluation ({', '.join(clues)})" if clues else ""
