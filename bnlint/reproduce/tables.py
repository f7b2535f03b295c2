"""Comparisons as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from bnlint.registry import all_rules
from bnlint.reproduce.programs import NOT_REPRODUCED, Pair

if TYPE_CHECKING:
    from bnlint.reproduce.outcome import Outcome
    from bnlint.reproduce.runner import Comparison

_BLOCKS = " ▁▂▃▄▅▆▇█"
_WIDTH = 24  # characters of a drawn loss curve


def detail(one: Comparison) -> RenderableType:
    """Everything measured of one pair, broken and fixed side by side."""
    title = f"{one.pair.code} {one.pair.name}"
    table = Table("", "broken", "fixed", title=title, title_justify="left", title_style="bold")
    broken, fixed = rows(one.broken), rows(one.fixed)
    for name, value in broken.items():
        table.add_row(name, f"[red]{escape(value)}[/red]", f"[green]{escape(fixed[name])}[/green]")
    return Group(escape(one.pair.story("broken")), table)


def rows(outcome: Outcome) -> dict[str, str]:
    """What a reader wants to know of one run, in words and numbers."""
    return {
        "loss": f"{curve(outcome.loss.tolist())} {outcome.final_loss:.3f}",
        "accuracy, train mode": f"{outcome.final_train_accuracy:.1%}",
        "accuracy, evaluation": f"{outcome.test_accuracy:.1%}",
        "images in the top class": f"{outcome.top_share:.1%} (class {outcome.top_class})",
        f"images per class 0..{outcome.classes - 1}": bars(outcome.histogram),
        "moving mean off by": _distance(outcome),
        "moving variance off by": _ratio(outcome),
        "found at run time": ", ".join(outcome.findings) or "nothing",
    }


def summary(comparisons: Sequence[Comparison]) -> Table:
    """One row per pair, narrow enough for 80 columns; the rest is in the other formats."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), caption="broken / fixed")
    table.add_column("rule", no_wrap=True)
    table.add_column("", no_wrap=True)
    for heading in ("train %", "eval %", "top class %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in comparisons:
        sides = (one.broken, one.fixed)
        cells = [
            _both(*(f"{100 * side.final_train_accuracy:.0f}" for side in sides)),
            _both(*(f"{100 * side.test_accuracy:.0f}" for side in sides)),
            _both(*(f"{100 * side.top_share:.0f}" for side in sides)),
        ]
        table.add_row(one.pair.code, one.pair.name, *cells)
    return table


def listing(pairs: Sequence[Pair]) -> Table:
    """The programs there are, and the rules that have none."""
    table = Table("Code", "Name", "What the broken program does")
    for pair in pairs:
        table.add_row(pair.code, pair.name, escape(pair.story("broken").partition("\n")[0]))
    table.add_section()
    for code, why in NOT_REPRODUCED.items():
        table.add_row(code, all_rules()[code].name, f"[dim]no program: {why}[/dim]")
    return table


def curve(values: Sequence[float]) -> str:
    """Means of equal stretches as block characters; "!" where one is NaN or infinite."""
    size = max(1, len(values) // _WIDTH)
    means = [
        sum(values[start : start + size]) / size
        for start in range(0, len(values) - size + 1, size)
    ]  # fmt: skip
    finite = [mean for mean in means if abs(mean) < float("inf")]
    top = max(finite, default=0.0) or 1.0
    return "".join(_block(mean / top) if abs(mean) < float("inf") else "!" for mean in means)


def bars(counts: Sequence[int]) -> str:
    """Counts as block characters, the largest in full."""
    top = max(counts) or 1
    return "".join(_block(count / top) for count in counts)


def _block(share: float) -> str:
    return _BLOCKS[max(0, min(len(_BLOCKS) - 1, round(share * (len(_BLOCKS) - 1))))]


def _both(broken: str, fixed: str) -> str:
    return f"[red]{broken}[/red] / [green]{fixed}[/green]"


def _distance(outcome: Outcome) -> str:
    if outcome.mean_distance is None:
        return "no batch norm measured"
    return f"{outcome.mean_distance:.2f} standard deviations"


def _ratio(outcome: Outcome) -> str:
    return "" if outcome.variance_ratio is None else f"a factor of {outcome.variance_ratio:.3g}"
