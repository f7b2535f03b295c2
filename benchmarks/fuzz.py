"""Feeds hostile inputs to bnlint until the time is up or enough were tried.

    python benchmarks/fuzz.py --seconds 3600 FOLDER...
    python benchmarks/fuzz.py --inputs 300 --only settings names
    python benchmarks/fuzz.py --again fuzz-failures/settings-1b2c3d.json

The kinds of input are in benchmarks/fuzz_inputs.py; damaged sources start from the files below the
folders (default: the rules' examples). Every input runs in a process with a limit of time and
memory: a crash, a hang, an exit code that means something else, an internal error or output that
is not well-formed is a fault, is kept in fuzz-failures/ and makes the exit code 1.
benchmarks/reliability.md has the counts; tests/analyzer/test_robustness.py is the short form.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, TimeoutError
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from fuzz_inputs import KINDS, corpus, limit_memory

TIME_LIMIT = 60  # seconds for one input


def main() -> None:
    """Fuzzes for a while."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--inputs", type=int, default=sys.maxsize, help="stop after so many")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--again", help="a kept input, to try once more")
    parser.add_argument("folders", nargs="*")
    options = parser.parse_args()
    if options.again:
        case = json.loads(Path(options.again).read_text())
        problem = KINDS[case["kind"]].run(case["input"])
        print(problem or "no fault")
        sys.exit(bool(problem))
    tried, faults = fuzz(options)
    for kind, count in sorted(tried.items()):
        print(f"{kind}: {count} inputs, {faults[kind]} faults")
    print(f"{tried.total()} inputs, {faults.total()} faults")
    sys.exit(bool(faults))


def fuzz(options: argparse.Namespace) -> tuple[Counter[str], Counter[str]]:
    """(how many inputs of each kind were tried, how many faults each showed)."""
    random_ = random.Random(options.seed)
    texts = corpus(options.folders)
    print(f"seed {options.seed}, {len(texts)} texts", flush=True)
    weights = [KINDS[kind].weight for kind in options.only]
    tried: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    end = time.monotonic() + options.seconds
    pool = _pool()
    while time.monotonic() < end and tried.total() < options.inputs:
        (kind,) = random_.choices(options.only, weights)
        data = KINDS[kind].make(random_, texts)
        try:
            problem = pool.submit(KINDS[kind].run, data).result(TIME_LIMIT)
        except (TimeoutError, BrokenProcessPool) as error:
            problem = f"hang or crash: {error!r}"
            for process in pool._processes.values():
                process.kill()
            pool = _pool()
        tried[kind] += 1
        if problem:
            faults[kind] += 1
            print(f"{_keep(kind, data)}: {problem}", flush=True)
    pool.shutdown()
    return tried, faults


def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, initializer=limit_memory)


def _keep(kind: str, data: Any) -> Path:
    text = json.dumps({"kind": kind, "input": data}, indent=1)
    file = Path("fuzz-failures", f"{kind}-{hashlib.sha1(text.encode()).hexdigest()[:12]}.json")
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


if __name__ == "__main__":
    main()
