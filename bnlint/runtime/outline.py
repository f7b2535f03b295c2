"""What an inspection looked at, so that "no findings" can be told from "nothing recognized"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from bnlint.findings import FileError
from bnlint.runtime.moving_statistics import Statistics
from bnlint.runtime.report import BatchNormInfo, GraphReport, Spread

_SHOWN = 24  # batch norms of one file that are listed unless all are asked for


def scope_of(one: BatchNormInfo) -> str:
    """What stored statistics of this batch norm are called."""
    return (one.gamma or one.beta or one.moving_mean).rpartition("/")[0]


def with_statistics(
    batch_norms: Sequence[BatchNormInfo], groups: Iterable[Statistics]
) -> tuple[BatchNormInfo, ...]:
    """The batch norms with what is stored of each, and those that are seen in the file alone."""
    by_name = {group.name: group for group in groups}
    # Keras' HDF5 files have a layer's name twice: "bn/bn".
    by_last: dict[str, list[str]] = {}
    for name in by_name:
        by_last.setdefault(_last(name), []).append(name)
    found = []
    for one in batch_norms:
        names = [name for name in (scope_of(one), one.name) if name in by_name]
        if one.kind == "keras" and not names and len(by_last.get(_last(one.name), ())) == 1:
            names = by_last[_last(one.name)]
        if names:
            group = by_name[names[0]]
            one = replace(one, mean=Spread.of(group.mean), variance=Spread.of(group.variance))
        found.append(one)
    if batch_norms:
        return tuple(found)  # object-based files have names of their own for the same variables
    return tuple(
        _stored(group)
        for group in by_name.values()
        if group.mean is not None or group.variance is not None or group.is_batch_norm
    )


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _stored(group: Statistics) -> BatchNormInfo:
    return BatchNormInfo(
        group.name,
        "stored",
        decay=group.decay,
        mean=Spread.of(group.mean),
        variance=Spread.of(group.variance),
    )


def nothing_recognized(report: GraphReport, path: str) -> list[FileError]:
    """Notes where an inspection without findings does not mean much."""
    if any(error.fatal for error in report.errors):
        return []
    if not report.batch_norms:
        message = (
            "0 batch norms recognized, so nothing was checked. If there are some, their graph may "
            "lie elsewhere (.meta, saved_model.pb); predictions can be checked without it "
            "(`bnlint predictions`)"
        )
        return [FileError(path, message, fatal=False)]
    updating = any(one.update_ops for one in report.batch_norms)
    if updating and not report.train_ops and not report.serves:
        message = (
            "0 train ops recognized, so whether training runs the updates was not checked: name "
            "the train op with `--train-op`"
        )
        return [FileError(path, message, fatal=False)]
    return []


def outline(report: GraphReport, path: str, every: bool = False) -> Iterator[str]:
    """A tree of what was recognized, a line a train op and a batch norm."""
    norms, train_ops = report.batch_norms, report.train_ops
    parts = [_count(len(norms), "batch norm")]
    if train_ops or any(one.update_ops for one in norms):
        parts.append(_count(len(train_ops), "train op"))
    yield f"{path}: {', '.join(parts)}"
    shown = norms if every else norms[:_SHOWN]
    lines = [_train_op(report, name) for name in train_ops]
    lines += [f"{one.name}: {_batch_norm(one)}" for one in shown]
    if len(shown) < len(norms):
        lines.append(f"and {len(norms) - len(shown)} more batch norms (--list shows all)")
    for number, line in enumerate(lines):
        yield f"{'└' if number == len(lines) - 1 else '├'}─ {line}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _train_op(report: GraphReport, name: str) -> str:
    reached = len(report.reached_updates.get(name, ()))
    missed = len(report.missed_updates.get(name, ()))
    text = f"train op {name}: runs {_count(reached, 'update')} of batch norms"
    return f"{text}, misses {missed}" if missed else text


def _batch_norm(one: BatchNormInfo) -> str:
    parts = [] if one.mode == "unknown" else [one.mode_text]
    if one.reached is not None:
        parts.append("updates run" if one.reached else "updates never run")
    elif one.kind in ("fused", "unfused") and one.mode != "infer" and not one.update_ops:
        parts.append("no updates")
    if one.decay is not None:
        parts.append(f"decay {one.decay:g}")
    for what, spread in (("mean", one.mean), ("variance", one.variance)):
        if spread is not None:
            parts.append(
                f"{what} {spread.minimum:.3g} … {spread.median:.3g} … {spread.maximum:.3g}"
            )
    if one.mean is None and one.variance is None and one.kind == "stored":
        parts.append("no moving statistics")
    return ", ".join(parts) or one.kind
