"""False alarms and power of the tests of `bnlint predictions`, by simulation.

    python benchmarks/predictions.py > benchmarks/predictions.md   # and predictions.png

Healthy: 3,000 classifiers just at the margin that the tests allow, where false alarms are most
frequent: 30 % of the rows change class (labels, `--expected`), one class has 95 % (no labels).
Power: collapsed classifiers that put most rows in one to three classes, whatever is in the images.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from bnlint import ModeGapMonitor, PredictionMonitor
from bnlint.runtime.predictions.collapse import PredictionReport, Thresholds

HEALTHY = 3000
COLLAPSED = 200
CLASSES = (2, 3, 10, 100, 1000)
ROWS = (20, 35, 50, 100, 200, 500, 1000, 5000)
ALPHAS = (0.001, 0.05)
MARGIN = 0.3


def priors(random: np.random.Generator, classes: int) -> np.ndarray:
    """Shares of the classes: balanced, or more or less uneven."""
    return random.dirichlet(np.ones(classes) * random.choice([0.5, 2, 1000]))


def moved(random: np.random.Generator, labels: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """30 % of all rows, taken from all classes alike, change to one class."""
    target = int(random.integers(len(shares)))
    part = min(1.0, MARGIN / max(1e-9, 1 - shares[target]))
    return np.where(random.random(len(labels)) < part, target, labels)


def healthy(random: np.random.Generator, alpha: float) -> dict[str, bool]:
    """One classifier inside every margin: which tests gave an alarm?"""
    classes, rows = int(random.choice(CLASSES)), int(random.choice(ROWS))
    shares = priors(random, classes)
    labels = random.choice(classes, rows, p=shares)
    predicted = moved(random, labels, shares)
    limits = Thresholds(alpha=alpha)
    training = np.bincount(random.choice(classes, 2000, p=shares), minlength=classes)
    expected = {index: float(count) for index, count in enumerate(training) if count}
    both = ModeGapMonitor(thresholds=limits)
    train_mode = np.where(random.random(rows) < 0.1, (labels + 1) % classes, labels)
    both.update(train_mode, np.where(random.random(rows) < 0.1, (train_mode + 1) % classes,
                                     train_mode), labels)  # fmt: skip
    images = np.where(random.random((rows, 1)) < MARGIN, 0, random.integers(0, 5, (rows, 16)))
    return {
        "labels": alarm(PredictionMonitor(classes, thresholds=limits), predicted, labels),
        "expected": alarm(PredictionMonitor(classes, expected, 2000, thresholds=limits), predicted),
        "no labels": alarm(PredictionMonitor(2, thresholds=limits),
                           (random.random(rows) < 0.05).astype(int)),
        "both modes": both.report().gap,
        "images": alarm(PredictionMonitor(5, dict.fromkeys(range(5), 1.0), thresholds=limits),
                        images.reshape(rows, 4, 4)),
    }  # fmt: skip


def alarm(monitor: PredictionMonitor, predicted: np.ndarray, labels: object = None) -> bool:
    """Did the test raise an alarm (whether or not BN601 also asks for less diversity)?"""
    monitor.update(predicted, labels)
    test = monitor.report().test
    return test is not None and test.alarm


def collapsed(random: np.random.Generator, classes: int, rows: int) -> dict[str, bool]:
    """One classifier that puts 85 to 100 % of all rows in one class (of many: one to three)."""
    labels = random.integers(0, classes, rows)
    targets = random.choice(
        classes, int(random.integers(1, 4)) if classes > 5 else 1, replace=False
    )
    guess = random.random(rows) < random.uniform(0.85, 1)
    predicted = np.where(guess, random.choice(targets, rows), labels)
    with_labels, without = PredictionMonitor(classes), PredictionMonitor(classes)
    with_labels.update(predicted, labels)
    without.update(predicted)
    report: PredictionReport = without.report()
    return {
        "labels": with_labels.report().collapsed,
        "no labels": report.collapsed,
        "no labels, or a note": report.collapsed or bool(report.note),
    }


def power() -> dict[tuple[int, int], Counter[str]]:
    """(classes, rows) -> how many of COLLAPSED each test found."""
    random = np.random.default_rng(2)
    found: dict[tuple[int, int], Counter[str]] = {}
    for classes in CLASSES:
        for rows in ROWS:
            counter = found[classes, rows] = Counter()
            for _ in range(COLLAPSED):
                counter.update(
                    name for name, yes in collapsed(random, classes, rows).items() if yes
                )
    return found


def draw(found: dict[tuple[int, int], Counter[str]], path: Path) -> None:
    """A panel per way of asking: power over rows, a line per number of classes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = ("labels", "no labels", "no labels, or a note")
    figure, panels = pyplot.subplots(1, 3, figsize=(11, 3.2), sharey=True, layout="constrained")
    for name, panel in zip(names, panels, strict=True):
        for classes in CLASSES:
            share = [100 * found[classes, rows][name] / COLLAPSED for rows in ROWS]
            panel.plot(ROWS, share, marker=".", label=f"{classes} classes")
        panel.set(xscale="log", title=name, xlabel="rows", ylim=(-3, 103))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("collapses found, %")
    panels[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Writes the page and the plot."""
    about = (__doc__ or "").split("predictions.png")[1].strip()
    print(f"# Predictions\n\nMade by `benchmarks/predictions.py`.\n\n{about}\n")
    print("## False alarms\n\n| test | " + " | ".join(f"alpha {one:g}" for one in ALPHAS) + " |")
    print("| --- |" + " --- |" * len(ALPHAS))
    counts = {}
    for alpha in ALPHAS:
        random = np.random.default_rng(1)
        counts[alpha] = Counter(
            name for _ in range(HEALTHY) for name, yes in healthy(random, alpha).items() if yes
        )
    for name in ("labels", "expected", "no labels", "both modes", "images"):
        cells = [f"{counts[alpha][name]} of {HEALTHY} ({counts[alpha][name] / HEALTHY:.2%})"
                 for alpha in ALPHAS]  # fmt: skip
        print(f"| {name} | {' | '.join(cells)} |")
    found = power()
    draw(found, Path(__file__).with_suffix(".png"))
    print(f"\n## Power\n\n![Collapses found over rows](predictions.png)\n\nOf {COLLAPSED} each.\n")
    print(
        "| classes, rows | labels | no labels | no labels, or a note |\n| --- | --- | --- | --- |"
    )
    for (classes, rows), counter in found.items():
        cells = [str(counter[one]) for one in ("labels", "no labels", "no labels, or a note")]
        print(f"| {classes}, {rows} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
