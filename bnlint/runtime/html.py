"""An inspection as one self-contained HTML page: no script, no style and no picture from elsewhere.

The drawing is SVG. This module does the geometry in pixels; `report.html.jinja` draws.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from bnlint.runtime.report import GraphReport
from bnlint.version import version

if TYPE_CHECKING:
    from bnlint.runtime.predictions.check import FileResult, PredictionsReport
    from bnlint.runtime.stored.statistics import Measured

_ROW = 24  # height of a batch norm's row in the drawing of edges
_TRUNK = 22  # between the vertical lines of two train ops
_TRAIN_OPS = 16  # as many trunks are drawn
_NAME = 100  # characters of a name before its middle is left out
_CLASSES = 40  # bars of a predictions histogram
_CHANNELS = 256  # points of a scatter plot
_PLOT = 150  # side of a scatter plot


@dataclass(frozen=True)
class Trunk:
    """A train op: its box's `y`, and the vertical line at `x` that its edges leave from."""

    name: str
    x: int
    y: int
    bottom: int
    missing: bool


@dataclass(frozen=True)
class Branch:
    """The edge from a train op's trunk to the updates of one batch norm."""

    x: int
    y: int
    reached: bool


@dataclass(frozen=True)
class EdgeRow:
    """One batch norm's update ops."""

    name: str
    y: int
    updates: tuple[str, ...]
    missing: bool


@dataclass(frozen=True)
class Edges:
    """The drawing of train ops and updates."""

    trunks: tuple[Trunk, ...]
    branches: tuple[Branch, ...]
    rows: tuple[EdgeRow, ...]
    left: int
    width: int
    height: int
    hidden: int


@dataclass(frozen=True)
class Scatter:
    """Channels as points (x: batch, y: moving) in a square; the diagonal is where they agree."""

    title: str
    points: tuple[tuple[float, float], ...]
    low: str
    high: str
    left_out: int


@dataclass(frozen=True)
class Comparison:
    """One measured batch norm. `share` is its distance's part of the longest bar."""

    name: str
    distance: float
    far: bool
    share: float
    plots: tuple[Scatter, ...]


@dataclass(frozen=True)
class Bar:
    """One class of the predictions; `labeled` is None without labels."""

    name: str
    predicted: float
    labeled: float | None
    recall: float | None


def render_html(
    reports: Sequence[tuple[str, GraphReport]], predictions: PredictionsReport | None = None
) -> str:
    """The page of one or several inspections.

    Args:
      reports: what was inspected (a path, or a name), and what `inspect_path`, `inspect_graph` or
        `inspect_model` said of it.
      predictions: checked predictions, to draw histograms of.
    """
    return render("bnlint.runtime/report.html.jinja", drawn(reports, predictions))


def render(template: str, values: dict[str, Any]) -> str:
    """A template, "package/file", which may extend "bnlint.runtime/report.html.jinja"."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = short
    environment.filters["code"] = _code
    return environment.get_template(template).render(values)


def _template(name: str) -> str:
    package, _, file = name.partition("/")
    return resources.files(package).joinpath(file).read_text("utf-8")


def drawn(
    reports: Sequence[tuple[str, GraphReport]], predictions: PredictionsReport | None = None
) -> dict[str, Any]:
    """What the template "report.html.jinja" draws (see `render_html`)."""
    return {
        "version": version(),
        "sections": [
            {
                "path": path,
                "report": report,
                "edges": draw_edges(report),
                "comparisons": compare(report.measured),
            }
            for path, report in reports
        ],
        "predictions": predictions,
        "histograms": [_histogram(one) for one in predictions.results] if predictions else [],
        "plot": _PLOT,
    }


def short(name: str, limit: int = _NAME) -> str:
    """A name that fits, its middle left out: "net/block1/un…/bn/FusedBatchNormV3"."""
    if len(name) <= limit:
        return name
    end = limit * 2 // 3
    return f"{name[: limit - end - 1]}…{name[-end:]}"


def _code(text: str) -> Any:
    """Escaped text, with `code` between backticks as HTML."""
    from markupsafe import Markup, escape

    parts = [str(escape(part)) for part in text.split("`")]
    return Markup("".join(f"<code>{one}</code>" if i % 2 else one for i, one in enumerate(parts)))


# --- edges ---------------------------------------------------------------------------------


def draw_edges(report: GraphReport) -> Edges | None:
    """Which train op runs which batch norm's updates, and which it should; None without both."""
    updating = [one for one in report.batch_norms if one.update_ops]
    train_ops = [
        op for op in report.train_ops if op in report.reached_updates or op in report.missed_updates
    ][:_TRAIN_OPS]
    if not updating or not train_ops:
        return None
    missed = {op for ops in report.missed_updates.values() for op in ops}
    top = (len(train_ops) + 1) * _ROW
    rows = [
        EdgeRow(one.name, top + _ROW * place, one.update_ops, bool(missed & set(one.update_ops)))
        for place, one in enumerate(updating)
    ]
    trunks, branches = [], []
    for place, name in enumerate(train_ops):
        x = 12 + _TRUNK * place
        edges = list(_branches(report, name, rows, x))
        branches += edges
        trunks.append(
            Trunk(
                name,
                x,
                _ROW * place + _ROW // 2,
                bottom=max((one.y for one in edges), default=_ROW * (place + 1)),
                missing=any(not one.reached for one in edges),
            )
        )
    left = 12 + _TRUNK * len(train_ops) + 30
    longest = max(len(short(one.name)) for one in updating)
    return Edges(
        tuple(trunks),
        tuple(branches),
        tuple(rows),
        left,
        width=left + 190 + 8 * max(longest, *(len(short(op)) for op in train_ops)),
        height=top + _ROW * len(rows),
        hidden=len(report.train_ops) - len(train_ops),
    )


def _branches(report: GraphReport, train_op: str, rows: list[EdgeRow], x: int) -> Iterator[Branch]:
    reached = set(report.reached_updates.get(train_op, ()))
    missed = set(report.missed_updates.get(train_op, ()))
    for row in rows:
        if reached & set(row.updates):
            yield Branch(x, row.y, reached=True)
        elif missed & set(row.updates):
            yield Branch(x, row.y, reached=False)


# --- statistics ----------------------------------------------------------------------------


def compare(measured: Sequence[Measured]) -> list[Comparison]:
    """Moving against batch statistics, in the order of the model."""
    longest = max((one.distance for one in measured), default=0.0)
    return [
        Comparison(
            one.stored.name,
            one.distance,
            far=one.distance > one.limit,
            share=one.distance / longest if longest else 0.0,
            plots=(
                _scatter("mean", one.batch.mean, one.stored.mean),
                _scatter("variance", one.batch.variance, one.stored.variance, one.epsilon),
            ),
        )
        for one in measured
    ]


def _scatter(title: str, batch: Any, moving: Any, epsilon: float | None = None) -> Scatter:
    """A plot of at most 256 channels; variances (with their epsilon) on logarithmic axes."""
    import numpy as np

    x, y = (np.asarray(one, np.float64).reshape(-1) for one in (batch, moving))
    size = x.size
    if size > _CHANNELS:
        kept = np.linspace(0, size - 1, _CHANNELS).astype(int)
        x, y = x[kept], y[kept]
    if epsilon is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            x, y = np.log10(x + epsilon), np.log10(y + epsilon)
    finite = np.isfinite(x) & np.isfinite(y)
    left_out = int(x.size - finite.sum())
    x, y = x[finite], y[finite]
    if not x.size:
        return Scatter(title, (), "", "", left_out)
    low, high = min(x.min(), y.min()), max(x.max(), y.max())
    margin = (high - low) * 0.06 or max(abs(low), 1.0) * 0.06
    low, high = low - margin, high + margin
    scale = _PLOT / (high - low)
    points = zip((x - low) * scale, _PLOT - (y - low) * scale, strict=True)
    first, last = (_number(one if epsilon is None else 10**one) for one in (low, high))
    rounded = tuple((round(float(a), 1), round(float(b), 1)) for a, b in points)
    return Scatter(title, rounded, first, last, left_out)


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else ""


# --- predictions ---------------------------------------------------------------------------


def _histogram(result: FileResult) -> dict[str, Any]:
    """The classes most often predicted or labeled, as shares of all rows."""
    report = result.predictions
    classes = sorted(report.classes, key=lambda row: -max(row.predicted, row.labeled))
    has_labels = report.accuracy is not None
    labeled = sum(row.labeled for row in classes)
    bars = [
        Bar(
            str(row.name),
            row.predicted / report.rows if report.rows else 0.0,
            row.labeled / labeled if has_labels and labeled else None,
            row.recall,
        )
        for row in classes[:_CLASSES]
    ]
    largest = max((max(one.predicted, one.labeled or 0.0) for one in bars), default=0.0)
    return {
        "path": result.path,
        "report": report,
        "bars": bars,
        "largest": largest or 1.0,
        "hidden": len(classes) - len(bars),
    }
