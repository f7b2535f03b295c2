"""Run programs in processes of their own, some at a time."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnlint.execution.executor import safe_path
from bnlint.reproduce.measure import MEASURED, OUTPUT, RESULTS, run_program
from bnlint.reproduce.outcome import Layer, Outcome
from bnlint.reproduce.programs import KINDS, Pair

TIMEOUT = 600.0
"""Seconds until a program counts as hung; they need a few each."""
_SHOWN_LINES = 15


class ProgramFailed(RuntimeError):
    """A program did not run to its end; the message holds the last lines that it printed."""


@dataclass(frozen=True)
class Comparison:
    """Both outcomes of a pair."""

    pair: Pair
    broken: Outcome
    fixed: Outcome

    def to_dict(self) -> dict[str, Any]:
        names = {"code": self.pair.code, "name": self.pair.name}
        return {**names, "broken": self.broken.to_dict(), "fixed": self.fixed.to_dict()}


def reproduce(
    pairs: Sequence[Pair], on_done: Callable[[str], None] = lambda name: None
) -> list[Comparison]:
    """Run both programs of every pair, as many at a time as there are CPUs.

    Args:
      pairs: what to run.
      on_done: called with "BN101 broken", say, when that is done (from other threads).

    Raises:
      ProgramFailed: one of them did not finish; those not yet begun are not run.
    """
    context = _context()

    def run(pair: Pair, kind: str) -> Outcome:
        outcome = _run(context, pair, kind)
        on_done(f"{pair.code} {kind}")
        return outcome

    with safe_path(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        tasks = [pool.submit(run, pair, kind) for pair in pairs for kind in KINDS]
        try:
            outcomes = [task.result() for task in tasks]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    sides = zip(outcomes[::2], outcomes[1::2], strict=True)
    return [Comparison(pair, *both) for pair, both in zip(pairs, sides, strict=True)]


def _context() -> Any:
    """Processes forked from one that has imported TensorFlow, where the system can fork.

    Importing it takes longer than most of the programs.
    """
    if sys.platform == "win32" or "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bnlint.reproduce.preload"])
    return context


def _run(context: Any, pair: Pair, kind: str) -> Outcome:
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="bnlint-reproduce-") as folder:
        script = str(pair.path(kind).resolve())
        process = context.Process(target=run_program, args=(script, folder), daemon=True)
        process.start()
        process.join(TIMEOUT)
        if process.is_alive():
            process.kill()
            process.join()
            raise ProgramFailed(f"{script}: not done after {TIMEOUT:.0f} s")
        if process.exitcode != 0 or not Path(folder, RESULTS).exists():
            raise ProgramFailed(f"{script}: exit code {process.exitcode}\n{_tail(Path(folder))}")
        return _read(Path(folder), kind, time.perf_counter() - started)


def _tail(folder: Path) -> str:
    output = folder / OUTPUT
    text = output.read_text(encoding="utf-8", errors="replace") if output.exists() else ""
    return "\n".join(text.splitlines()[-_SHOWN_LINES:])


def _read(folder: Path, kind: str, seconds: float) -> Outcome:
    import numpy as np

    measured = json.loads((folder / MEASURED).read_text(encoding="utf-8"))
    with np.load(folder / RESULTS, allow_pickle=False) as arrays:
        results = {name: arrays[name] for name in arrays.files}
    layers = tuple(Layer(**layer) for layer in measured["layers"])
    return Outcome(kind, **results, layers=layers, findings=tuple(measured["findings"]),
                   seconds=seconds)  # fmt: skip
