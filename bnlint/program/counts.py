"""How much a program shows: what a report says was checked."""

from __future__ import annotations

from bnlint.findings import Counts
from bnlint.program.events import Program


def counts_of(program: Program) -> Counts:
    """What happens in one program; nothing for one without events."""
    if not program.has_events:
        return Counts()
    fits = [run for run in program.keras_runs if run.kind == "fit"]
    evaluations = {item.location for item in program.evaluations}
    evaluations |= {run.location for run in program.keras_runs if run.kind != "fit"}
    # A Keras layer is one, however often it is applied.
    batch_norms = {norm.layer or id(norm) for norm in program.batch_norms}
    return Counts(
        programs=1,
        batch_norms=len(batch_norms),
        train_ops=len(program.train_ops),
        session_runs=len(program.runs),
        evaluations=len(evaluations),
        keras_calls=len(program.keras_calls) + len(fits),
    )
