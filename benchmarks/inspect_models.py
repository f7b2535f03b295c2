"""Inspect models that packages ship, with random weights: none of them has a batch-norm mistake.

    python benchmarks/inspect_models.py [--keras] [--slim FOLDER ...] [--output FILE.md]

Every model of `keras.applications` is inspected live and as `.keras`, `.h5` and exported
SavedModel; `.meta` files made by `export_slim_nets.py` are inspected as they are: those trained
by `minimize` alone must be found, all others must not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bnlint.runtime.inspect import inspect_model, inspect_path
from bnlint.runtime.report import GraphReport

# One or two of each family, and the smallest input it takes.
APPLICATIONS = {
    "ConvNeXtTiny": 32,
    "DenseNet121": 32,
    "EfficientNetB0": 32,
    "EfficientNetV2B0": 32,
    "InceptionResNetV2": 75,
    "InceptionV3": 75,
    "MobileNet": 32,
    "MobileNetV2": 32,
    "MobileNetV3Small": 32,
    "NASNetMobile": 32,
    "ResNet50": 32,
    "ResNet50V2": 32,
    "VGG16": 32,
    "Xception": 71,
}


@dataclass
class Row:
    """What one model, seen in one way, gave."""

    model: str
    seen_as: str
    batch_norms: int
    seconds: float
    codes: list[str]
    expected: list[str]


def row(model: str, seen_as: str, report: GraphReport, seconds: float, *expected: str) -> Row:
    codes = [finding.code for finding in report.findings]
    codes += [f"error: {error.message}" for error in report.errors]
    return Row(model, seen_as, len(report.batch_norms), seconds, codes, list(expected))


def applications() -> Iterator[Row]:
    import keras

    for name, size in APPLICATIONS.items():
        keras.utils.clear_session()
        build = getattr(keras.applications, name)
        model = build(weights=None, input_shape=(size, size, 3), classes=10)
        start = time.perf_counter()
        yield row(name, "live model", inspect_model(model), time.perf_counter() - start)
        with tempfile.TemporaryDirectory() as folder:
            for suffix in (".keras", ".h5"):
                model.save(Path(folder, name + suffix))
            model.export(str(Path(folder, "saved_model")), verbose=False)
            for one in (f"{name}.keras", f"{name}.h5", "saved_model"):
                start = time.perf_counter()
                report = inspect_path(Path(folder, one))
                kind = one.removeprefix(name)
                yield row(name, kind, report, time.perf_counter() - start)


def slim_nets(folder: Path) -> Iterator[Row]:
    for path in sorted(folder.glob("*.meta")):
        name, how, _ = path.name.split(".")
        start = time.perf_counter()
        report = inspect_path(path)
        expected = ["BN101"] if how == "minimize" else []
        label = f"{how} ({folder.name})"
        yield row(name, label, report, time.perf_counter() - start, *expected)


def table(rows: list[Row]) -> str:
    lines = [
        "| model | seen as | batch norms | findings | expected | seconds |",
        "|---|---|---:|---|---|---:|",
    ]
    for one in rows:
        found, expected = ", ".join(one.codes) or "none", ", ".join(one.expected) or "none"
        cells = (one.model, one.seen_as, str(one.batch_norms), found, expected)
        lines.append(f"| {' | '.join(cells)} | {one.seconds:.2f} |")
    wrong = sum(one.codes != one.expected for one in rows)
    return "\n".join([*lines, "", f"{len(rows)} inspections, {wrong} not as expected.", ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keras", action="store_true", help="inspect keras.applications")
    parser.add_argument("--slim", nargs="*", type=Path, default=[], help="folders of .meta files")
    parser.add_argument("--output", type=Path, help="write the table there")
    arguments = parser.parse_args()
    rows = list(applications()) if arguments.keras else []
    for folder in arguments.slim:
        rows += slim_nets(folder)
    text = table(rows)
    sys.stdout.write(text)
    if arguments.output:
        arguments.output.write_text(text)
    return int(any(one.codes != one.expected for one in rows))


if __name__ == "__main__":
    raise SystemExit(main())
