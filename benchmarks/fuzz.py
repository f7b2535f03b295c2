"""Feeds damaged real programs to the analyzer until the time is up.

    python benchmarks/fuzz.py --seconds 3600 FOLDER...

Each input is a file below the folders (default: the rules' examples) with lines, words or
characters dropped, doubled, swapped or replaced. It is analyzed in a process of its own time limit:
a crash, a hang or an internal error is kept in fuzz-failures/ and makes the exit code 1.
tests/analyzer/test_robustness.py does the same for a short time.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor, TimeoutError
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

TOKENS = [
    *"()[]{}:,=@#`'\0é", *("lambda ", "yield ", "await ", "async ", "print ", "exec ", "def f("),
    "\n", "\n\t", "\\\n", '"""', "f'{", "**", "<>", "0777", "match x:\n",
    "import_module(", "batch_norm(", "minimize(",
]  # fmt: skip
HEADER = "import tensorflow as tf  # batch_norm, minimize\n"
TIME_LIMIT = 60  # seconds for one input


def main() -> None:
    """Fuzzes for a while."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("folders", nargs="*")
    options = parser.parse_args()
    random_ = random.Random(options.seed)
    texts = corpus(options.folders)
    print(f"seed {options.seed}, {len(texts)} texts")
    end = time.monotonic() + options.seconds
    count = failures = 0
    pool = ProcessPoolExecutor(1)
    while time.monotonic() < end:
        data = mutated(random_, texts)
        try:
            problem = pool.submit(run, data).result(TIME_LIMIT)
        except (TimeoutError, BrokenProcessPool) as error:
            problem = f"hang or crash: {error!r}"
            for process in pool._processes.values():
                process.kill()
            pool = ProcessPoolExecutor(1)
        count += 1
        if problem:
            failures += 1
            file = Path("fuzz-failures", hashlib.sha1(data).hexdigest()[:12] + ".py")
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(data)
            print(f"{file}: {problem}", flush=True)
    print(f"{count} inputs, {failures} failures")
    sys.exit(1 if failures else 0)


def corpus(folders: list[str]) -> list[str]:
    """The texts to start from."""
    if folders:
        files = [file for folder in folders for file in Path(folder).rglob("*.py")]
        return [file.read_text(errors="replace") for file in files if file.stat().st_size < 50_000]
    cases = Path(__file__).parents[1] / "fixtures" / "rules"
    return [file.read_text("utf-8") for file in sorted(cases.rglob("*.py"))]


def mutated(random_: random.Random, texts: list[str]) -> bytes:
    """A text with a few changes."""
    text = random_.choice(texts)
    for _ in range(random_.choice([0, 1, 1, 2, 5, 20])):
        pieces = re.findall(random_.choice([r".*\n", r"\w+|\W", r"(?s)."]), text)
        if not pieces:
            break
        at, other = random_.randrange(len(pieces)), random_.randrange(len(pieces))
        change = random_.randrange(5)
        if change == 0:
            del pieces[at]
        elif change == 1:
            pieces[at] *= random_.choice([2, 2, 3, 500])
        elif change == 2:
            pieces[at], pieces[other] = pieces[other], pieces[at]
        elif change == 3:
            pieces[at] = random_.choice(TOKENS)
        else:
            pieces[at] += random_.choice(re.findall(r"\w+|\W", random_.choice(texts)) or [""])
        text = "".join(pieces)
    return (HEADER + text).encode("utf-8", "surrogatepass")


def run(data: bytes) -> str:
    """What is wrong with the analysis of `data`; "" if nothing."""
    from bnlint.analyzer.analysis import analyze
    from bnlint.execution.executor import prepare
    from bnlint.sources.files import Source, source_from_bytes

    prepare()
    source = source_from_bytes(data, "x.py")
    if not isinstance(source, Source):
        return ""
    try:
        result = analyze([source])
    except Exception as error:
        return repr(error)
    internal = [error.message for error in result.errors if "internal error" in error.message]
    return internal[0] if internal else ""


if __name__ == "__main__":
    main()
