"""Comparisons as pictures (matplotlib)."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

from bnlint.reproduce.outcome import Outcome
from bnlint.reproduce.runner import Comparison

_COLORS = {"broken": "#c0392b", "fixed": "#1e8449"}
# Panels of a pair, so that its labels can be read where a page is as wide as a column of text.
_ROWS, _COLUMNS = 2, 3
_INCHES = (3.6, 3.1)  # of one panel


def draw(comparisons: Sequence[Comparison], format: str = "png", titles: bool = True) -> bytes:
    """Two rows of panels per pair: loss, accuracy, predicted classes, moving and data statistics.

    Args:
      comparisons: at least one. format: "png" or "svg".
      titles: name the pair above its panels.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (_INCHES[0] * _COLUMNS, _INCHES[1] * _ROWS * len(comparisons))
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    for part, comparison in zip(_parts(figure, len(comparisons)), comparisons, strict=True):
        if titles:
            title = f"{comparison.pair.code} {comparison.pair.name}"
            part.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=13)
        _panels(part.subplots(_ROWS, _COLUMNS).flat, comparison)
    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "bnlint"}):
        figure.savefig(
            stream, format=format, dpi=110, metadata={"Date": None} if format == "svg" else None
        )
    return stream.getvalue()


def _parts(figure: Any, count: int) -> list[Any]:
    return [figure] if count == 1 else list(figure.subfigures(count, 1))


def _panels(axes: Iterable[Any], pair: Comparison) -> None:
    outcomes = (pair.broken, pair.fixed)
    *axes, rest = axes
    rest.set_axis_off()
    _loss(axes[0], outcomes)
    _accuracy(axes[1], outcomes)
    _classes(axes[2], outcomes)
    _against(axes[3], outcomes, "mean")
    _against(axes[4], outcomes, "variance")
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)


def _loss(panel: Any, outcomes: Sequence[Outcome]) -> None:
    """The broken one is dashed: the two curves often are the same."""
    import numpy as np

    panel.set(title="training loss", xlabel="step")
    for outcome in reversed(outcomes):
        style = "--" if outcome.kind == "broken" else "-"
        finite = np.isfinite(outcome.loss).any()
        label = outcome.kind if finite else f"{outcome.kind}: NaN"
        panel.plot(outcome.loss, style, color=_COLORS[outcome.kind], label=label, linewidth=1.5)
    panel.set_ylim(bottom=0)
    panel.legend(frameon=False)


def _accuracy(panel: Any, outcomes: Sequence[Outcome]) -> None:
    panel.set(title="accuracy", ylim=(0, 1.12), yticks=[0, 0.5, 1], xticks=[0, 1])
    panel.set_xticklabels(["train mode", "evaluation"])
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    for offset, outcome in zip((-0.2, 0.2), outcomes, strict=True):
        heights = [outcome.final_train_accuracy, outcome.test_accuracy]
        bars = panel.bar(
            [offset, 1 + offset], heights, 0.38, color=_COLORS[outcome.kind], label=outcome.kind
        )
        panel.bar_label(bars, [f"{height:.0%}" for height in heights], fontsize=9)


def _classes(panel: Any, outcomes: Sequence[Outcome]) -> None:
    import numpy as np

    classes = max(outcome.classes for outcome in outcomes)
    panel.set(title="test images per predicted class", xlabel="class", xticks=range(classes))
    for offset, outcome in zip((-0.2, 0.2), outcomes, strict=True):
        places = np.arange(outcome.classes) + offset
        panel.bar(places, outcome.histogram, 0.38, color=_COLORS[outcome.kind])
    labeled = np.bincount(outcomes[0].labels, minlength=classes)
    panel.step(np.arange(classes), labeled, where="mid", color="black", linewidth=1, label="true")
    panel.legend(frameon=False)


def _against(panel: Any, outcomes: Sequence[Outcome], which: str) -> None:
    """Moving statistics (y) against those of what batch norm is given in evaluation (x)."""
    panel.set(title=f"moving {which} of every channel", xlabel=f"{which} of the test data")
    everything: list[float] = []
    for outcome in outcomes:
        data = [v for layer in outcome.layers for v in getattr(layer, f"data_{which}")]
        moving = [v for layer in outcome.layers for v in getattr(layer, f"moving_{which}")]
        panel.scatter(data, moving, s=10, alpha=0.6, linewidths=0, color=_COLORS[outcome.kind])
        everything += data + moving
    if which == "variance":
        panel.set(xscale="log", yscale="log")
        everything = [value for value in everything if value > 0]
    else:
        panel.set(xscale="symlog", yscale="symlog")
        for axis in (panel.xaxis, panel.yaxis):
            axis.get_major_locator().set_params(numticks=5)
    if everything:
        ends = [min(everything), max(everything)]
        panel.plot(ends, ends, color="black", linewidth=0.8, zorder=0)
