"""Does `bnlint diagnose` name the right cause? On every program of `fixtures/programs`, trained.

    python benchmarks/diagnose_artifacts.py FOLDER
    python benchmarks/diagnose.py FOLDER > benchmarks/diagnose.md

Each broken program must have its cause first, and each repaired one nothing above "unlikely":
from its code alone, from what training left (checkpoint or model, predictions with labels, and
those in training mode where the program leaves them), and from both.

What training leaves cannot tell all causes apart: a graph in training mode and wrong predictions
look alike for BN108, BN302 and an evaluation in training mode, and BN702 and BN706 leave a network
that is wrong in both modes. There the `check` decides.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bnlint.diagnosis.causes import CAUSES, Level, Verdict, rank
from bnlint.diagnosis.evidence import Inputs, gather
from bnlint.execution.executor import prepare
from bnlint.reproduce.programs import KINDS, Pair, all_pairs

GIVEN = ("code", "artifacts", "both")
FOUND = (Level.CERTAIN, Level.LIKELY)


def inputs(pair: Pair, kind: str, folder: Path, given: str) -> Inputs:
    """What a user of this program would give."""
    paths = [str(pair.path(kind))] if given != "artifacts" else []
    if given == "code":
        return Inputs(tuple(paths))
    for name in ("model.ckpt", "model.keras"):
        if (folder / name).exists() or (folder / f"{name}.index").exists():
            paths.append(str(folder / name))
    paths.append(str(folder / "predictions.npy"))
    train = folder / "train_mode.npy"
    return Inputs(
        tuple(paths), str(folder / "labels.npy"), train_mode=train if train.exists() else None
    )


def is_right(pair: Pair, kind: str, first: Verdict) -> bool:
    """The cause first, or nothing found where nothing is wrong."""
    if kind == "fixed":
        return first.level not in FOUND
    return first.level in FOUND and pair.code in first.cause.codes


def main(folder: Path) -> None:
    """Writes the table."""
    prepare()
    right = {(given, kind): 0 for given in GIVEN for kind in KINDS}
    rows = []
    pairs = all_pairs()
    assert all(any(code in cause.codes for cause in CAUSES) for code in pairs)
    for code, pair in pairs.items():
        for kind in KINDS:
            cells = []
            for given in GIVEN:
                evidence = gather(inputs(pair, kind, folder / f"{code}_{kind}", given))
                first = rank(evidence)[0]
                fine = is_right(pair, kind, first)
                right[given, kind] += fine
                said = f"{first.level.value}: {first.cause.key} {first.code}".strip()
                shown = said if first.level in FOUND else "nothing"
                cells.append(shown if fine else f"**{shown}**")
            rows.append(f"| {code} {kind} | {' | '.join(cells)} |")
            print(rows[-1], file=sys.stderr, flush=True)
    about = (__doc__ or "").split("diagnose.md")[1].strip()
    print(f"# bnlint diagnose\n\nMade by `benchmarks/diagnose.py`.\n\n{about}")
    print("\n| | " + " | ".join(GIVEN) + " |\n| --- |" + " --- |" * len(GIVEN))
    for kind in KINDS:
        cells = [f"{right[given, kind]} of {len(pairs)}" for given in GIVEN]
        print(f"| right, {kind} | {' | '.join(cells)} |")
    print("\nWrong answers are bold.\n\n| program | " + " | ".join(GIVEN) + " |")
    print("| --- |" + " --- |" * len(GIVEN))
    print("\n".join(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
