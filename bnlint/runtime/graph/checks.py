"""What is wrong with the batch norms of one graph."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from bnlint.findings import Confidence, Finding, Location, Related
from bnlint.registry import all_rules
from bnlint.runtime.graph.batch_norms import BatchNorm, default_value, describe
from bnlint.runtime.graph.table import ASSIGN_OPS, Graph, GraphError, Signature, UnknownNode

UPDATE_OPS = "update_ops"
_SHOWN = 10  # batch norms named in one finding
_BOOL = 10  # DataType.DT_BOOL
_IS_TRAINING = re.compile(
    r"(^|/)((is_?)?train(ing)?(_?(phase|mode|flag))?|phase(_?train)?)(_\d+)?$", re.I
)
_TRAIN_OPS = 32  # each costs a walk over the graph
_PLACEHOLDERS = ("Placeholder", "PlaceholderWithDefault")


@dataclass(frozen=True)
class Step:
    """What one training step runs.

    Attributes:
      train_ops: ids of the ops that run an optimizer.
      fetches: ids of everything the step runs; None when not known.
      feeds: fed tensors' op names -> fed value (None: not known); None when nothing is known.
      trained: ids of the variables that the graph's optimizers write.
      sources: ids of everything that what they write is computed from.
    """

    train_ops: Sequence[int]
    fetches: Sequence[int] | None = None
    feeds: Mapping[str, Any] | None = None
    trained: Set[int] = frozenset()
    sources: Set[int] = frozenset()


def running(graph: Graph, step: Step) -> Step:
    """The step without train ops that its fetches do not run (those of a GAN's other half)."""
    run = graph.reach(step.fetches or ())
    return replace(step, train_ops=[op for op in step.train_ops if run[op]])


def reached_updates(
    graph: Graph, batch_norms: Sequence[BatchNorm], step: Step
) -> dict[str, tuple[str, ...]]:
    """Train op -> the batch-norm update ops it runs, for the first 32 train ops."""
    updates = sorted({op for one in batch_norms for op in one.update_ops})
    found = {}
    for train_op in step.train_ops[:_TRAIN_OPS]:
        run = graph.reach([train_op])
        found[graph.label(train_op)] = tuple(graph.label(op) for op in updates if run[op])
    return found


def updated(graph: Graph, batch_norms: Sequence[BatchNorm], step: Step) -> Iterator[bool | None]:
    """For each batch norm whether the train ops (or the fetches) assign its moving statistics, if
    only through a copy of it; None where it has no updates, or nothing trains.
    """
    run = graph.reach([*step.train_ops, *(step.fetches or ())])
    written = _updated_variables(batch_norms, run)
    for one in batch_norms:
        known = one.update_ops and step.train_ops
        yield bool(written & set(one.moving.values())) if known else None


def missed_updates(
    graph: Graph, batch_norms: Sequence[BatchNorm], step: Step
) -> dict[str, tuple[str, ...]]:
    """Train op -> updates of the batch norms it trains that no train op runs."""
    missed, _ = _missed_and_updated(graph, batch_norms, step)
    found: dict[str, tuple[str, ...]] = {}
    for train_op in step.train_ops[:_TRAIN_OPS] if missed else ():
        run = graph.reach([train_op])
        trained = (one for one in missed if any(run[node] for node in one.training))
        updates = tuple(graph.label(op) for one in trained for op in one.update_ops)
        if updates:
            found[graph.label(train_op)] = updates
    return found


def _missed_and_updated(
    graph: Graph, batch_norms: Sequence[BatchNorm], step: Step
) -> tuple[list[BatchNorm], list[BatchNorm]]:
    """The batch norms that the step trains, without and with their updates."""
    run = graph.reach([*step.train_ops, *(step.fetches or ())])
    written = _updated_variables(batch_norms, run)
    missed: list[BatchNorm] = []
    updated: list[BatchNorm] = []
    for one in batch_norms:
        if one.update_ops and _trains(graph, one, step, run):
            (updated if written & set(one.moving.values()) else missed).append(one)
    return missed, updated


def check_training(
    graph: Graph, batch_norms: Sequence[BatchNorm], step: Step, path: str
) -> Iterator[Finding]:
    """BN101, BN105, BN107: batch norms that are trained, but whose updates no train op runs."""
    if not step.train_ops:
        return
    missed, updated = _missed_and_updated(graph, batch_norms, step)
    for code, members in _by_code(graph, missed, partly=bool(updated)).items():
        yield _unreached(graph, code, members, step, path, total=len(missed) + len(updated))


def _trains(graph: Graph, one: BatchNorm, step: Step, run: bytearray) -> bool:
    """The step normalizes with batch statistics here."""
    if not any(run[node] for node in one.training):
        return False
    return one.mode == "train" or (
        one.mode == "switched" and _fed_mode(graph, one, step) is not False
    )


def runs_in_training_mode(graph: Graph, one: BatchNorm, step: Step, run: bytearray) -> bool:
    """What is run normalizes with batch statistics here, for certain."""
    if not any(run[node] for node in one.training):
        return False
    return one.mode == "train" or (one.mode == "switched" and _fed_mode(graph, one, step) is True)


def evaluated(
    graph: Graph, members: Sequence[BatchNorm], path: str, confidence: Confidence
) -> Finding:
    """BN201: a run that trains nothing uses these batch norms in training mode."""
    fed = next((one for one in members if one.mode == "switched"), None)
    how = f", as {describe(graph, fed).switch!r} says" if fed is not None else ""
    message = (
        f"{_running(members)} in training mode{how} in a run that trains nothing: what it computes "
        "depends on the other examples of the batch"
    )
    return _finding(graph, "BN201", members, message, path, confidence)


def _fed_mode(graph: Graph, one: BatchNorm, step: Step) -> bool | None:
    """Whether a switched batch norm trains in this step; None when the feeds do not say."""
    if one.predicate is None or step.feeds is None:
        return None
    value = step.feeds.get(graph.nodes[one.predicate[0]].name)
    if isinstance(value, bool | int) or type(value).__name__ == "bool_":
        return bool(value) == one.train_when
    if graph.nodes[one.predicate[0]].name in step.feeds:
        return None
    default = default_value(graph, one.predicate)
    return None if default is None else default == one.train_when


def _updated_variables(batch_norms: Sequence[BatchNorm], run: bytearray) -> set[int]:
    """Moving statistics that some op assigns: a batch norm's own, or a reused copy's."""
    return {
        one.moving[which]
        for one in batch_norms
        for which, ops in one.updates.items()
        if any(run[op] for op in ops)
    }


def _run_by_collections(
    graph: Graph, batch_norms: Sequence[BatchNorm], names: Iterable[str]
) -> set[int]:
    """Moving statistics that are assigned when everything in these collections runs.

    A switched batch norm has an output of its conditional in the collection, not the update.
    """
    members = (name.split(":")[0] for key in names for name in graph.collections.get(key, ()))
    starts = [graph.index["", name] for name in members if ("", name) in graph.index]
    return _updated_variables(batch_norms, graph.reach(starts))


def _by_code(
    graph: Graph, missed: Sequence[BatchNorm], *, partly: bool
) -> dict[str, list[BatchNorm]]:
    by_custom = _run_by_collections(graph, missed, _custom(graph))
    listed = _run_by_collections(graph, missed, [UPDATE_OPS])
    codes: dict[str, list[BatchNorm]] = {}
    for one in missed:
        moving = set(one.moving.values())
        if moving & by_custom and not moving & listed:
            code = "BN107"
        else:
            code = "BN105" if partly else "BN101"
        codes.setdefault(code, []).append(one)
    return codes


def _unreached(
    graph: Graph, code: str, members: Sequence[BatchNorm], step: Step, path: str, total: int
) -> Finding:
    names = ", ".join(repr(graph.label(op)) for op in step.train_ops[:3])
    what = f"updates of {len(members)} of {total} trained batch norms"
    if total == 1:
        what = "updates of the trained batch norm"
    elif len(members) == total:
        what = f"updates of all {total} trained batch norms"
    ops, do = ("op", "does") if len(step.train_ops) == 1 else ("ops", "do")
    message = f"running train {ops} {names} {do} not run the moving-average {what}"
    if code == "BN107":
        message += f" (they are in collection {_collection(graph, members)!r})"
    confidence = Confidence.HIGH
    if step.fetches is None:
        message += ", so training must fetch them separately"
        separate = _grouped_elsewhere(graph, members, step)
        confidence = Confidence.LOW if separate else Confidence.MEDIUM
    return _finding(graph, code, members, message, path, confidence)


def _collection(graph: Graph, members: Sequence[BatchNorm]) -> str:
    return next(key for key in _custom(graph) if _run_by_collections(graph, members, [key]))


def _custom(graph: Graph) -> list[str]:
    """Collections that no library runs by itself."""
    return sorted(name for name in graph.collections if name not in (UPDATE_OPS, "train_op"))


def _grouped_elsewhere(graph: Graph, members: Sequence[BatchNorm], step: Step) -> bool:
    """An op outside the train op waits for all updates: a program may well fetch it."""
    waiting: Counter[int] = Counter()
    ops = {op for one in members for op in one.update_ops}
    for op in ops:
        waiting.update(
            {reader for reader in graph.consumers[op] if op in graph.nodes[reader].controls}
        )
    return any(count == len(ops) for count in waiting.values())


def check_feeds(
    graph: Graph, batch_norms: Sequence[BatchNorm], step: Step, path: str
) -> Iterator[Finding]:
    """BN205: the step runs batch norms whose is_training placeholder it does not feed, or feeds
    with the value of inference.
    """
    if step.feeds is None or step.fetches is None or not step.train_ops:
        return
    run = graph.reach([*step.train_ops, *step.fetches])
    inferring = [
        one
        for one in batch_norms
        if one.predicate is not None
        and one.mode == "switched"
        and graph.nodes[one.predicate[0]].op in _PLACEHOLDERS
        and any(run[node] for node in one.nodes)
    ]
    fed = [one for one in inferring if graph.nodes[one.predicate[0]].name in step.feeds]  # type: ignore[index]
    missing = [
        one
        for one in inferring
        if one not in fed and default_value(graph, one.predicate) != one.train_when  # type: ignore[arg-type]
    ]
    wrong = [one for one in fed if _fed_mode(graph, one, step) is False]
    if missing:
        message = (
            f"the training step does not feed {describe(graph, missing[0]).switch!r}, so "
            f"{_count(missing)} run in inference mode and learn no statistics"
        )
        yield _finding(graph, "BN205", missing, message, path, Confidence.HIGH)
    if wrong and len(wrong) == len(inferring) and _are_trained(graph, wrong, step):
        message = (
            f"the training step feeds {describe(graph, wrong[0]).switch!r} with the value of "
            f"inference, so {_count(wrong)} learn no statistics"
        )
        yield _finding(graph, "BN205", wrong, message, path, Confidence.MEDIUM)


def _are_trained(graph: Graph, members: Sequence[BatchNorm], step: Step) -> bool:
    edges = (edge for one in members for edge in (one.scale, one.offset) if edge is not None)
    return any(graph.variable(edge) in step.trained for edge in edges)


def check_inference(
    graph: Graph, batch_norms: Sequence[BatchNorm], step: Step, path: str
) -> Iterator[Finding]:
    """BN204: the train op trains batch norms that run in inference mode only, so that nothing ever
    gives them statistics.

    Frozen statistics are meant where a pretrained net is restored, which the graph does not say:
    hence low confidence. That statistics stayed at their initial values shows in a checkpoint.
    """
    if not step.train_ops:
        return
    run = graph.reach([*step.train_ops, *(step.fetches or ())])
    written = _written(graph)
    members = [
        one
        for one in batch_norms
        if one.mode == "infer"
        and any(run[node] for node in one.nodes)
        and len(one.moving) == 2
        and not set(one.moving.values()) & written
        and all(graph.is_variable(number) for number in one.moving.values())
        and any(graph.variable(edge) in step.trained for edge in (one.scale, one.offset) if edge)
    ]
    if members:
        message = (
            f"the train op trains {_count(members)} in inference mode, and nothing updates their "
            "moving statistics"
        )
        yield _finding(graph, "BN204", members, message, path, Confidence.LOW)


def check_evaluation(
    graph: Graph, batch_norms: Sequence[BatchNorm], step: Step, path: str
) -> Iterator[Finding]:
    """BN201: a second copy of the trained net, with the same variables, that runs in training mode
    and that no gradient goes through: it is there for an evaluation. (A train op may run it all the
    same, for its updates.)
    """
    if not step.sources or step.fetches is not None:
        return

    def is_trained(one: BatchNorm) -> bool:
        return not step.sources.isdisjoint(one.training)

    trained = {number for one in batch_norms if is_trained(one) for number in one.moving.values()}
    copies = [
        one
        for one in batch_norms
        if one.mode == "train" and not is_trained(one) and set(one.moving.values()) & trained
    ]
    if copies:
        only_drawn = all(_is_only_drawn(graph, one) for one in copies)
        message = (
            f"{_running(copies)} in training mode in a copy of the net that no train op trains: "
            "what it predicts depends on the other examples of the batch"
        )
        confidence = Confidence.LOW if only_drawn else Confidence.MEDIUM
        yield _finding(graph, "BN201", copies, message, path, confidence)


def _is_only_drawn(graph: Graph, one: BatchNorm) -> bool:
    """All that comes of it is summaries."""
    seen, queue, ends = {one.node}, [one.node], set()
    while queue:
        after = graph.consumers[queue.pop()]
        ends |= {reader for reader in after if graph.nodes[reader].op.endswith("Summary")}
        fresh = [reader for reader in after if reader not in seen | ends]
        if any(not graph.consumers[reader] for reader in fresh):
            return False
        seen.update(fresh)
        queue += fresh
    return bool(ends)


@dataclass(frozen=True)
class _Trouble:
    """What is wrong in a signature. `message` has `{where}` for the signatures it is wrong in."""

    code: str
    members: Sequence[BatchNorm]
    message: str


def check_serving(graph: Graph, batch_norms: Sequence[BatchNorm], path: str) -> Iterator[Finding]:
    """BN201, BN205, BN108: signatures that serve in training mode, ask for an is_training
    nobody can give, or update moving statistics. The same trouble in several signatures (Keras
    exports every model as two) is one finding.
    """
    merged: dict[tuple[str, ...], tuple[_Trouble, list[str]]] = {}
    for signature in graph.signatures:
        if not signature.serving or not signature.outputs:
            continue
        run = graph.reach(_outputs(graph, signature))
        used = [one for one in batch_norms if any(run[node] for node in one.nodes)]
        given = {name.split(":")[0] for name in signature.inputs.values()}
        for trouble in (
            *_training_mode(graph, used, run, given),
            *_not_given(graph, used, given),
            *_updating(used, run),
        ):
            names = {describe(graph, one).moving_mean or str(one.node) for one in trouble.members}
            key = (trouble.message, *sorted(names))
            merged.setdefault(key, (trouble, []))[1].append(repr(signature.key))
    for trouble, keys in merged.values():
        where = f"signature {keys[0]}" if len(keys) == 1 else f"signatures {', '.join(keys)}"
        message = trouble.message.replace("{where}", where)
        yield _finding(graph, trouble.code, trouble.members, message, path, Confidence.HIGH)


def _outputs(graph: Graph, signature: Signature) -> list[int]:
    try:
        return [graph.find(name) for name in signature.outputs.values() if name]
    except UnknownNode as error:
        raise GraphError(f"signature {signature.key!r}: {error.args[0]}") from error


def _training_mode(
    graph: Graph, used: Iterable[BatchNorm], run: bytearray, given: set[str]
) -> Iterator[_Trouble]:
    fixed = [
        one
        for one in used
        if one.mode == "train" and any(run[node] for node in one.training) and _is_named(graph, one)
    ]
    if fixed:
        message = (
            f"{_running(fixed)} in training mode in {{where}}: predictions depend on the "
            "other examples of the batch"
        )
        yield _Trouble("BN201", fixed, message)
    by_default = [
        one
        for one in used
        if one.predicate is not None
        and one.mode == "switched"
        and graph.nodes[one.predicate[0]].op == "PlaceholderWithDefault"
        and graph.nodes[one.predicate[0]].name not in given
        and default_value(graph, one.predicate) == one.train_when
    ]
    if by_default:
        switch = describe(graph, by_default[0]).switch
        message = (
            f"{_running(by_default)} in training mode by the default of {switch!r}, "
            "which is no input of {where}"
        )
        yield _Trouble("BN201", by_default, message)


def _is_named(graph: Graph, one: BatchNorm) -> bool:
    """Moving statistics prove a batch norm, and so do averages over the batch; without them its
    scope's name has to (instance norm runs the same op with a gamma of its own).
    """
    if one.kind == "unfused":
        return True
    scope = graph.nodes[one.node].name.rpartition("/")[0]
    return bool(one.moving) or bool(re.search(r"batch_?norm", scope, re.IGNORECASE))


def _not_given(graph: Graph, used: Iterable[BatchNorm], given: set[str]) -> Iterator[_Trouble]:
    members = [
        one
        for one in used
        if one.predicate is not None
        and one.mode == "switched"
        and graph.nodes[one.predicate[0]].op == "Placeholder"
        and not graph.nodes[one.predicate[0]].function
        and graph.nodes[one.predicate[0]].name not in given
    ]
    if members:
        switch = describe(graph, members[0]).switch
        message = (
            f"{switch!r} must be fed, but is no input of {{where}}: {_count(members)} cannot run "
            "unless it is fed by name"
        )
        yield _Trouble("BN205", members, message)


def _updating(used: Iterable[BatchNorm], run: bytearray) -> Iterator[_Trouble]:
    members = [
        one for one in used if one.mode != "switched" and any(run[op] for op in one.update_ops)
    ]
    if members:
        message = (
            f"the moving-average updates of {_count(members)} run in {{where}}: "
            "serving changes the model"
        )
        yield _Trouble("BN108", members, message)


def check_frozen(graph: Graph, batch_norms: Sequence[BatchNorm], path: str) -> Iterator[Finding]:
    """BN201 in a graph whose variables were turned into constants: it can only be for inference."""
    if graph.signatures or any(graph.is_variable(number) for number in range(len(graph.nodes))):
        return
    members = [one for one in batch_norms if one.mode == "train" and _is_named(graph, one)]
    if members:
        message = f"this frozen graph runs {_count(members)} in training mode"
        yield _finding(graph, "BN201", members, message, path, Confidence.MEDIUM)
    by_default = [
        one
        for one in batch_norms
        if one.predicate is not None
        and one.mode == "switched"
        and default_value(graph, one.predicate) == one.train_when
    ]
    if by_default:
        message = (
            f"this frozen graph runs {_count(by_default)} in training mode unless "
            f"{describe(graph, by_default[0]).switch!r} is fed"
        )
        yield _finding(graph, "BN201", by_default, message, path, Confidence.MEDIUM)


def check_dangling(
    graph: Graph, batch_norms: Sequence[BatchNorm], step: Step, path: str
) -> Iterator[Finding]:
    """BN205: an is_training placeholder that nothing reads, beside batch norms of a fixed mode."""
    fixed = [one for one in batch_norms if one.mode == "train" and one.moving]
    if not fixed and step.feeds:
        fixed = [one for one in batch_norms if one.mode == "infer"]
    for number, node in enumerate(graph.nodes) if fixed else ():
        if (
            node.op in _PLACEHOLDERS
            and not node.function
            and node.attrs.get("dtype") == _BOOL
            and _IS_TRAINING.search(node.name)
            and not graph.consumers[number]
        ):
            mode = "training" if fixed[0].mode == "train" else "inference"
            message = (
                f"nothing reads the placeholder '{node.name}:0', and {_running(fixed)} "
                f"in {mode} mode whatever is fed"
            )
            is_fed = step.feeds is not None and node.name in step.feeds
            confidence = Confidence.HIGH if is_fed else Confidence.MEDIUM
            yield _finding(graph, "BN205", fixed, message, path, confidence)
            return


def check_copies(
    graph: Graph, batch_norms: Sequence[BatchNorm], step: Step, path: str
) -> Iterator[Finding]:
    """BN210: the net was built a second time for evaluation, with moving statistics of its own
    that nothing ever writes.
    """
    if not step.train_ops:
        return
    run = graph.reach(step.train_ops)
    trained = {
        _plain_name(graph, one): one
        for one in batch_norms
        if one.update_ops and any(run[node] for node in one.training)
    }
    written = _written(graph)
    copies = [
        one
        for one in batch_norms
        if one.mode == "infer"
        and one.moving
        and not any(run[node] for node in one.nodes)
        and not set(one.moving.values()) & written
        and _plain_name(graph, one) in trained
    ]
    if copies:
        original = trained[_plain_name(graph, copies[0])]
        message = (
            f"{_count(copies)} run in inference mode with moving statistics that nothing updates "
            f"({describe(graph, copies[0]).moving_mean!r}), beside a trained copy with its own "
            f"({describe(graph, original).moving_mean!r})"
        )
        yield _finding(graph, "BN210", copies, message, path, Confidence.MEDIUM)


def _written(graph: Graph) -> set[int]:
    """Variables that are assigned by more than their initializer and a Saver."""
    written = set()
    for node in graph.nodes:
        if node.op not in ASSIGN_OPS or len(node.inputs) < 2:
            continue
        restored = any(
            graph.nodes[source].op == "RestoreV2" for source, _ in graph.leaves(node.inputs[1])
        )
        target = graph.variable(node.inputs[0])
        if target is None or restored:
            continue
        if node.name != f"{graph.nodes[target].name}/Assign":
            written.add(target)
    return written


def _plain_name(graph: Graph, one: BatchNorm) -> str:
    """The moving mean's name without the numbers that TensorFlow adds to repeated scopes."""
    return re.sub(r"_\d+(?=/|$)", "", describe(graph, one).moving_mean)


def _count(members: Sequence[BatchNorm]) -> str:
    return "1 batch norm" if len(members) == 1 else f"{len(members)} batch norms"


def _running(members: Sequence[BatchNorm]) -> str:
    return f"{_count(members)} {'runs' if len(members) == 1 else 'run'}"


def _finding(
    graph: Graph,
    code: str,
    members: Sequence[BatchNorm],
    message: str,
    path: str,
    confidence: Confidence,
) -> Finding:
    def place(one: BatchNorm) -> Location:
        return Location(path, node=graph.label(one.node))

    related = [Related(place(one), "also this batch norm") for one in members[1:_SHOWN]]
    return all_rules()[code].finding(
        place(members[0]), message, related=related, confidence=confidence
    )
