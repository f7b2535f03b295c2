"""bnlint's speed beside other linters, on the same trees, with the memory each takes.

    python benchmarks/speed.py --tools VENV/bin VENV/bin --real FOLDER --output benchmarks/speed

`--real` holds unpacked packages (benchmarks/real_code.py downloads them); the generated tree is
made from their files, so that its sizes, imports and words are those of real code. `--tools` are
folders with the commands of the other linters (more than one, as TorchFix and Fixit need different
versions of libcst); those that are in none are left out. Writes speed.json, speed.md and speed.png
after each tree. `--keep` adds to what is there, so that the trees can be measured one by one:

    python benchmarks/speed.py ... --no-real --sizes 100 300 1000
    python benchmarks/speed.py ... --no-real --sizes 3000 10000 --keep
    python benchmarks/speed.py ... --sizes --keep

Times are CPU seconds (user and system, of all processes): on a shared machine they are steadier
than the clock's. Each is the least of `--repeats` runs. Memory is the largest resident set of one
process. Growth is measured on trees of 100 to 10,000 files.

A figure counts only if the tool says that it is done: its exit code is one of a finished run, and
where it can tell how many files it has looked at, these are the files of the tree. A run that takes
longer than `--timeout` seconds gives a lower bound.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SIZES = (100, 300, 1000, 3000, 10_000)
COMPARED = 1000  # the generated tree that the slow tools see, too
STEADY = 300  # files from which on growth is fitted; on smaller trees the start is most of the time
FRAMEWORK_SHARE = 0.2  # of the generated tree: most files of a company do not name TensorFlow
COMPLETE = 0.98  # of a tree's files, as a tool may leave out those that are not Python 3
MEMORY_LIMIT = 300  # MB, the project's target
FLOOR_NAME = "floor: libcst.parse_module of the candidates"
CHANGED_NAME = "bnlint, one changed file"
NOTHING_NAME = "one staged file, nothing of interest"
FLOOR = """
import sys, libcst
for line in open(sys.argv[1]):
    try:
        libcst.parse_module(open(line.rstrip("\\n"), encoding="utf-8").read())
    except Exception:
        pass
"""
# Semgrep does not parse the files without the words of a rule, so a rule with and one without.
SEMGREP = {
    "semgrep, one rule with a word": "$X.minimize(...)",
    "semgrep, one rule without words": "$X == $X",
}
SEMGREP_RULE = """
rules:
- {id: benchmark, languages: [python], severity: WARNING, message: m, pattern: PATTERN}
"""
# A process of its own for each run, so that getrusage's figures are those of one command. The
# workers of a tool that is killed fall to it, too (PR_SET_CHILD_SUBREAPER), and are counted.
MEASURE = """
import ctypes, json, os, resource, signal, subprocess, sys, time
log, limit, *command = sys.argv[1:]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(36, 1)
start = time.perf_counter()
with open(log, "wb") as output:
    run = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    )
try:
    code = run.wait(float(limit))
except subprocess.TimeoutExpired:
    code = None
    os.killpg(run.pid, signal.SIGKILL)
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass
wall = time.perf_counter() - start
use = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, use.ru_utime + use.ru_stime, wall, use.ru_maxrss / 1024]))
"""


def main() -> None:
    """Measures everything and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", nargs="+", default=[str(Path(sys.executable).parent)])
    parser.add_argument("--real", required=True)
    parser.add_argument("--output", default="benchmarks/speed")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--timeout", type=int, default=1500, help="clock seconds of one run")
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--no-real", action="store_true", help="generated trees only")
    parser.add_argument("--slow", action="store_true", help="slow tools on the large trees, too")
    parser.add_argument("--keep", action="store_true", help="keep the output's other trees")
    parser.add_argument("--packages", nargs="*", default=[], help="real packages, one by one")
    parser.add_argument("--plain", nargs="*", default=[], help="trees without TensorFlow programs")
    options = parser.parse_args()
    known = Path(f"{options.output}.json")
    result = json.loads(known.read_text()) if options.keep and known.exists() else {}
    with tempfile.TemporaryDirectory(prefix="bnlint-speed-") as scratch:
        bench = Bench(Path(scratch), options.tools, options.repeats, options.timeout)
        sizes = sorted(options.sizes)
        for _ in bench.run(result, Path(options.real), sizes, options.slow, not options.no_real):
            write(result, options.output)
        for kind, plain in (("packages", False), ("plain", True)):
            for tree in map(Path, getattr(options, kind)):
                known_trees = result.setdefault(kind, {})
                known_trees[tree.name] = bench.each(tree, plain)
                write(result, options.output)


def write(result: dict[str, Any], output: str) -> None:
    """Writes the figures, the report and the plot."""
    Path(f"{output}.json").write_text(json.dumps(result, indent=1) + "\n")
    Path(f"{output}.md").write_text(report(result, Path(output).name))
    plot(result, f"{output}.png")


@dataclass(frozen=True)
class Run:
    """A command, and how it shows that it has done its work.

    Attributes:
      command: with its arguments. codes: exit codes of a finished run.
      said: a pattern in the output of a finished run; its group, if any, is how many files the
        tool has looked at.
    """

    command: Sequence[str]
    codes: Sequence[int] = (0,)
    said: str = ""

    def trouble(self, code: int, output: str, files: int) -> str:
        """Why a run does not count; "" if it does."""
        if code not in self.codes:
            lines = output.strip().splitlines() or [""]
            return f"exit code {code}: {lines[-1][:100]}"
        if self.said and not re.search(self.said, output):
            return "did not say that it was done"
        looked_at = self.looked_at(output)
        if looked_at is not None and looked_at < COMPLETE * files:
            return f"looked at {looked_at} of {files} files"
        return ""

    def looked_at(self, output: str) -> int | None:
        """The number of files in the output; the last, as excerpts of code come before it."""
        found = re.findall(self.said, output) if "(" in self.said else []
        return int(found[-1]) if found else None


class Bench:
    """One run of all measurements."""

    def __init__(self, scratch: Path, tools: Sequence[str], repeats: int, timeout: int) -> None:
        self.scratch = scratch
        self.tools = os.pathsep.join(tools)
        self.repeats = repeats
        self.timeout = timeout
        self.bnlint = str(Path(sys.executable).parent / "bnlint")
        (scratch / "floor.py").write_text(FLOOR)
        for name, pattern in SEMGREP.items():
            rule = SEMGREP_RULE.replace("PATTERN", pattern)
            (scratch / f"{name}.yml").write_text(rule)

    def run(
        self, result: dict[str, Any], real: Path, sizes: Sequence[int], slow: bool, with_real: bool
    ) -> Iterator[None]:
        """Fills in every figure, as plain data; stops after each tree."""
        versions = {**result.get("versions", {}), **self.versions()}
        result.update(machine=machine(), versions=versions, start=self.start())
        trees = result.setdefault("generated", {})
        pool = sorted(real.rglob("*.py")) if sizes else []
        for size in sizes:
            tree = generate(self.scratch / f"tree{size}", pool, size)
            print("generated", size, flush=True)
            others = size == COMPARED or (slow and size > COMPARED)
            trees[str(size)] = self.tree(tree, others)
            shutil.rmtree(tree)
            yield
        if with_real:
            tree = self.scratch / "real"
            shutil.copytree(real, tree, symlinks=True)
            result["real"] = self.tree(tree, others=True)
            yield

    def versions(self) -> dict[str, str]:
        """What each tool says of its version."""
        commands = {"bnlint": self.bnlint}
        for name in ("ruff", "flake8", "fixit", "pylint", "semgrep"):
            found = shutil.which(name, path=self.tools)
            if found:
                commands[name] = found
        versions = {}
        for name, command in commands.items():
            run = [command, "--version"]
            said = subprocess.run(run, capture_output=True, text=True, check=True).stdout
            versions[name] = said.splitlines()[0].removeprefix(name).removeprefix(", version")
        return {name: version.strip() for name, version in versions.items()}

    def start(self) -> dict[str, Any]:
        """One staged file, and what it is compared with."""
        demo = Path(__file__).parents[1] / "fixtures" / "demo" / "train.py"
        clean = self.scratch / "clean.py"
        clean.write_text("import tensorflow as tf\nx = tf.constant(1)\n")
        staged = [self.bnlint, "--cache-dir", str(self.scratch / "cache")]
        finding = Run([*staged, str(demo)], (1,), r"BN\d\d\d")
        times = {
            "import libcst": Run([sys.executable, "-c", "import libcst"]),
            "one staged file, finding": finding,
            NOTHING_NAME: Run([*staged, str(clean)]),
            f"{NOTHING_NAME}, no cache": Run([self.bnlint, "--no-cache", str(clean)]),
        }
        self.measure(finding, 0, 1)  # fills the cache
        repeats = max(self.repeats, 5)
        return {name: self.measure(run, 0, repeats) for name, run in times.items()}

    def tree(self, tree: Path, others: bool) -> dict[str, Any]:
        """bnlint's and the other tools' figures on one tree."""
        files = sorted(str(path) for path in tree.rglob("*.py"))
        candidates = candidate_files(files)
        figures: dict[str, Any] = {
            "files": len(files),
            "bytes": sum(os.path.getsize(path) for path in files),
            "candidates": len(candidates),
        }

        def measure(name: str, run: Run, repeats: int = 0) -> None:
            figures[name] = self.measure(run, len(files), repeats)
            print(name, figures[name], flush=True)

        measure(FLOOR_NAME, self.floor(candidates))
        measure("bnlint cold, 1 process", self.lint(tree, "--no-cache"))
        cached = self.lint(tree, "--cache-dir", str(self.scratch / "cache"))
        shutil.rmtree(self.scratch / "cache", ignore_errors=True)
        measure("bnlint cold, filling the cache", cached, 1)
        measure("bnlint warm", cached)
        group = linked(files)
        if group:
            with changed(Path(group[0])):
                measure(CHANGED_NAME, cached, 1)
            figures[CHANGED_NAME]["group"] = len(group)
        for name, run in self.others(tree).items():
            if others or name not in SLOW:
                measure(name, run, 1 if name in SLOW else 0)
        return figures

    def each(self, tree: Path, plain: bool) -> dict[str, Any]:
        """A tree on its own: bnlint beside the floor, or ruff where it is no TensorFlow program."""
        files = sorted(str(path) for path in tree.rglob("*.py"))
        candidates = candidate_files(files)
        runs = {"bnlint cold, 1 process": self.lint(tree, "--no-cache")}
        runs |= self.others(tree) if plain else {FLOOR_NAME: self.floor(candidates)}
        figures: dict[str, Any] = {"files": len(files), "candidates": len(candidates)}
        for name, run in runs.items():
            if name not in SLOW:
                figures[name] = self.measure(run, len(files))
                print(tree.name, name, figures[name], flush=True)
        return figures

    def floor(self, candidates: Sequence[str]) -> Run:
        """What any linter that parses with libcst needs for the candidates."""
        listing = self.scratch / "candidates.txt"
        listing.write_text("\n".join(candidates))
        return Run([sys.executable, str(self.scratch / "floor.py"), str(listing)])

    def lint(self, tree: Path, *arguments: str) -> Run:
        """bnlint, on one process."""
        command = [self.bnlint, "--jobs", "1", "--format", "json", *arguments, str(tree)]
        return Run(command, (0, 1, 2), r'"files": (\d+)')

    def others(self, tree: Path) -> dict[str, Run]:
        """The other linters, each on one process where it can be told so; those that are there."""
        # Else Semgrep leaves out folders named `tests`, and more.
        (tree / ".semgrepignore").write_text("")
        semgrep = (
            "semgrep scan -j 1 --metrics=off --disable-version-check --no-git-ignore "
            "--max-target-bytes 0 --timeout 0 --config"
        ).split()
        runs = {
            "ruff, no cache": Run("ruff check --no-cache -q --isolated".split(), (0, 1)),
            "flake8 with torchfix": Run(
                ("flake8 --isolated -j 1 --require-plugins TorchFix --select TOR --disable-noqa "
                 "--benchmark").split(),
                (0, 1), r"(\d+) +total files processed",
            ),
            # A process per core, as it has no option for that; exit code 2 is its for files that
            # cannot be parsed.
            "fixit": Run("fixit --quiet lint".split(), range(4), r"(\d+) files? (?:checked|clean)"),
            # Bits of the exit code: 1 is a crash, 32 (alone) a wrong option, the rest are findings.
            "pylint": Run(
                "pylint --verbose -j 1 --recursive=y --disable=all --enable=E".split(),
                range(0, 32, 2), r"Checked (\d+) files/modules",
            ),
            **{
                name: Run([*semgrep, str(self.scratch / f"{name}.yml")], (0, 1),
                          r"Ran 1 rule on (\d+) files?")
                for name in SEMGREP
            },
        }  # fmt: skip
        there = {}
        for name, run in runs.items():
            command = shutil.which(run.command[0], path=self.tools)
            if command:
                there[name] = Run([command, *run.command[1:], str(tree)], run.codes, run.said)
        return there

    def measure(self, run: Run, files: int, repeats: int = 0) -> dict[str, Any]:
        """The least CPU and wall seconds of some runs, and the largest resident set in MB.

        `limit` of the figure says that the run was cut off: the seconds are lower bounds. `failed`
        says why it does not count.
        """
        figures: list[dict[str, Any]] = []
        for _ in range(repeats or self.repeats):
            figures.append(self.once(run, files))
            if "failed" in figures[-1] or "limit" in figures[-1]:
                return figures[-1]
        return {
            **figures[0],
            "cpu": min(figure["cpu"] for figure in figures),
            "wall": min(figure["wall"] for figure in figures),
            "mb": max(figure["mb"] for figure in figures),
        }

    def once(self, run: Run, files: int) -> dict[str, Any]:
        """The figures of one run."""
        log = self.scratch / "output.txt"
        command = [sys.executable, "-c", MEASURE, str(log), str(self.timeout), *run.command]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        code, cpu, wall, megabytes = json.loads(done.stdout)
        figure = {"cpu": round(cpu, 3), "wall": round(wall, 3), "mb": round(megabytes, 1)}
        if code is None:
            return {**figure, "limit": self.timeout}
        output = log.read_text(errors="replace")
        trouble = run.trouble(code, output, files)
        if trouble:
            return {**figure, "failed": trouble}
        looked_at = run.looked_at(output)
        return figure if looked_at is None else {**figure, "looked_at": looked_at}


SLOW = ("flake8 with torchfix", "fixit", "pylint", *SEMGREP)


@contextmanager
def changed(path: Path) -> Iterator[None]:
    """A file with a line more."""
    text = path.read_bytes()
    path.write_bytes(text + b"\n# changed\n")
    try:
        yield
    finally:
        path.write_bytes(text)


def linked(files: Sequence[str]) -> list[str]:
    """The largest group of files that bnlint may follow together, the largest file first."""
    from bnlint.analyzer.apis.words import WORDS
    from bnlint.analyzer.interpreter.names import FRAMEWORKS
    from bnlint.analyzer.project.import_graph import File, components
    from bnlint.analyzer.project.prescan import Scan, scan
    from bnlint.sources.files import Source, read_source

    def scanned(file: File) -> Scan:
        file.scan = file.scan or scan(file.source.text, WORDS)
        return file.scan

    sources = [source for source in map(read_source, files) if isinstance(source, Source)]
    groups = components([File(source) for source in sources], FRAMEWORKS, scanned)
    largest = max(groups, key=len, default=[])
    return [file.path for file in sorted(largest, key=lambda file: -len(file.source.text))]


def candidate_files(files: Sequence[str]) -> list[str]:
    """Files with a word of interest: those that name TensorFlow or Keras."""
    from bnlint.analyzer.interpreter.names import FRAMEWORKS
    from bnlint.analyzer.project.prescan import mentions

    texts = ((path, Path(path).read_text(errors="replace")) for path in files)
    return [path for path, text in texts if mentions(text, FRAMEWORKS)]


def generate(tree: Path, pool: Sequence[Path], size: int) -> Path:
    """A tree of `size` files from packages of 20, a fifth of which name TensorFlow or Keras."""
    chosen = random.Random(size)
    readable = [str(path) for path in pool if path.stat().st_size < 100_000]
    named = candidate_files(readable)
    plain = sorted(set(readable) - set(named))
    for number in range(size):
        package = tree / f"project{number // 20}"
        if not package.exists():
            package.mkdir(parents=True)
            (package / "pyproject.toml").write_text("[project]\n")
        source = chosen.choice(named if chosen.random() < FRAMEWORK_SHARE else plain)
        name = Path(source).name if Path(source).stem != "__init__" else f"part{number}.py"
        target = package / name
        if target.exists():
            target = package / f"{target.stem}_{number}.py"
        # A line of its own: equal files would be parsed once.
        target.write_text(f"# {number}\n" + Path(source).read_text(errors="replace"))
    return tree


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    cpu = platform.processor() or "unknown"
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = lines[0].partition(":")[2].strip() if lines else cpu
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": os.getloadavg(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "own_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


# --- report ------------------------------------------------------------------------------------


def report(result: dict[str, Any], name: str) -> str:
    """The figures as Markdown."""
    about = result["machine"]
    versions = ", ".join(f"{tool} {version}" for tool, version in result["versions"].items())
    lines = [
        "# Speed", "",
        "Made by `python benchmarks/speed.py` (its docstring says how). CPU seconds of all "
        "processes, least of the runs; memory of the largest process; files that the tool says it "
        "has looked at. `>` is a lower bound: the run was cut off.", "",
        f"Machine: {about['cpu']}, {about['cores']} cores, {about['memory_mb']} MB, "
        f"{about['system']}, Python {about['python']}, {about['date']}; load average at the start "
        f"{about['load'][0]:.1f} (shared with other work, so clock times mean little).", "",
        f"Versions: {versions}.", "",
        f"![CPU time and memory over the number of files]({name}.png)", "",
        "## Targets", "", "| target | measured | met |", "| --- | --- | --- |",
        *targets(result), "",
    ]  # fmt: skip
    trees = {f"{size} generated files": tree for size, tree in generated(result)}
    real = {"Real packages": result["real"]} if "real" in result else {}
    for title, tree in {**real, **trees}.items():
        about_tree = (
            f"{tree['files']} files, {tree['bytes'] / 1e6:.1f} MB, {tree['candidates']} of them "
            "candidates (they name TensorFlow or Keras)."
        )
        figures = {run: figure for run, figure in tree.items() if isinstance(figure, dict)}
        lines += [f"## {title}", "", about_tree, "", *_table(figures), ""]
    for kind, (title, other) in EACH.items():
        if kind in result:
            lines += [f"## {title}", "", *_one_by_one(result[kind], other), ""]
    lines += ["## Start", "", *_table(result["start"])]
    return "\n".join(lines) + "\n"


EACH = {
    "packages": ("Packages one by one", FLOOR_NAME),
    "plain": ("Trees that are not TensorFlow programs", "ruff, no cache"),
}


def _one_by_one(trees: dict[str, dict[str, Any]], other: str) -> list[str]:
    """The worst ratio first."""
    rows = []
    for name, tree in trees.items():
        cold, beside = finished(tree, "bnlint cold, 1 process"), finished(tree, other)
        if not cold or not beside:
            rows.append((math.inf, f"| {name} | {tree['files']} | failed | | | |"))
            continue
        ratio = cold["cpu"] / beside["cpu"]
        rows.append((ratio, f"| {name} | {tree['files']} | {cold['cpu']:.2f} "
                     f"| {beside['cpu']:.2f} | {ratio:.2f} | {cold['mb']:.0f} |"))  # fmt: skip
    head = f"| tree | files | bnlint cold, CPU s | {other.partition(':')[0]}, CPU s | ratio | MB |"
    return [
        head,
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(row for _, row in sorted(rows)[::-1]),
    ]


def generated(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """(size, figures) of the generated trees, from small to large."""
    return sorted(result["generated"].items(), key=lambda item: int(item[0]))


def _table(figures: dict[str, dict[str, Any]]) -> list[str]:
    head = ["| run | CPU s | clock s | MB | files |", "| --- | ---: | ---: | ---: | ---: |"]
    return head + [_row(name, figure) for name, figure in figures.items()]


def _row(name: str, figure: dict[str, Any]) -> str:
    if "group" in figure:
        name += f" (of a group of {figure['group']})"
    if "failed" in figure:
        return f"| {name} | failed: {figure['failed']} | | | |"
    bound = "> " if "limit" in figure else ""
    return (
        f"| {name} | {bound}{figure['cpu']:.2f} | {bound}{figure['wall']:.2f} "
        f"| {bound}{figure['mb']:.0f} | {figure.get('looked_at', '')} |"
    )


def finished(tree: dict[str, Any], run: str) -> dict[str, Any] | None:
    """A run's figure, if it was measured to its end."""
    figure = tree.get(run)
    return figure if figure and not figure.keys() & {"failed", "limit"} else None


def targets(result: dict[str, Any]) -> list[str]:
    """One row per target of the project that was measured."""
    trees = [("real packages", result["real"])] if "real" in result else []
    trees += [(f"{tree['files']} generated files", tree) for _, tree in generated(result)[-1:]]
    rows = []
    for name, tree in trees:
        rows += _ratio(f"cold ≤ 1 × floor, {name}", tree, "bnlint cold, 1 process", FLOOR_NAME, 1)
        rows += _ratio(f"warm ≤ 1.5 × ruff, {name}", tree, "bnlint warm", "ruff, no cache", 1.5)
        rows += _ratio(f"one changed file ≤ 0.1 × cold, {name}", tree, CHANGED_NAME,
                       "bnlint cold, 1 process", 0.1)  # fmt: skip
    for name, tree in result.get("packages", {}).items():
        rows += _ratio(
            f"cold ≤ 1.5 × floor, {name}", tree, "bnlint cold, 1 process", FLOOR_NAME, 1.5
        )
    for name, tree in result.get("plain", {}).items():
        rows += _ratio(
            f"cold ≤ 3 × ruff, {name}", tree, "bnlint cold, 1 process", "ruff, no cache", 3
        )
    for tool in ("fixit", "pylint"):
        for name, tree in [*trees, (f"{COMPARED} generated files", _compared(result))]:
            rows += _times_faster(name, tree, tool)
    rows += _ratio("one staged file without interest ≤ 1 × `import libcst`", result["start"],
                   NOTHING_NAME, "import libcst", 1)  # fmt: skip
    for name, tree in trees:
        cold = finished(tree, "bnlint cold, 1 process")
        if cold:
            text = f"memory < {MEMORY_LIMIT} MB, {name}"
            rows.append(_target(text, f"{cold['mb']:.0f} MB", cold["mb"] < MEMORY_LIMIT))
    growth = exponent(result)
    if growth is not None:
        text = f"time grows linearly from {STEADY} files on"
        rows.append(_target(text, f"exponent {growth:.2f} (1 is linear)", growth <= 1.1))
    return rows


def _target(text: str, value: str, met: bool) -> str:
    return f"| {text} | {value} | {'yes' if met else '**no**'} |"


def _ratio(text: str, tree: dict[str, Any], over: str, under: str, limit: float) -> list[str]:
    if over not in tree or under not in tree:
        return []
    top, bottom = finished(tree, over), finished(tree, under)
    if not top or not bottom:
        return [f"| {text} | failed | unknown |"]
    value = top["cpu"] / bottom["cpu"]
    return [_target(text, f"{value:.2f}", value <= limit)]


def _compared(result: dict[str, Any]) -> dict[str, Any]:
    """The generated tree that the slow tools saw, if it is not the largest."""
    others = dict(generated(result)[:-1])
    return others.get(str(COMPARED), {})


def _times_faster(name: str, tree: dict[str, Any], tool: str) -> list[str]:
    """The row for another tool; a lower bound is enough if it is above the target."""
    if tool not in tree:
        return []
    text = f"≥ 10 times faster than {tool}, cold, {name}"
    cold, other = finished(tree, "bnlint cold, 1 process"), tree[tool]
    if not cold or "failed" in other:
        return [f"| {text} | failed | unknown |"]
    value = other["cpu"] / cold["cpu"]
    if "limit" not in other:
        return [_target(text, f"{value:.2f}", value >= 10)]
    return [f"| {text} | > {value:.2f} | {'yes' if value >= 10 else 'unknown'} |"]


def exponent(result: dict[str, Any]) -> float | None:
    """The slope of log(cold CPU seconds, less the start's) over log(files), by least squares."""
    start = finished(result["start"], NOTHING_NAME)
    points = []
    for _, tree in generated(result):
        cold = finished(tree, "bnlint cold, 1 process")
        if start and cold and tree["files"] >= STEADY:
            points.append((math.log(tree["files"]), math.log(cold["cpu"] - start["cpu"])))
    if len(points) < 2:
        return None
    return statistics.linear_regression(*zip(*points, strict=True)).slope


STYLES = {
    FLOOR_NAME: "k--", "bnlint cold, 1 process": "C0o-", "bnlint warm": "C1s-",
    "ruff, no cache": "C2^:", "flake8 with torchfix": "C3v:", "fixit": "C4D:", "pylint": "C5P:",
    **dict(zip(SEMGREP, ("C6x:", "C7+:"), strict=True)),
}  # fmt: skip


def plot(result: dict[str, Any], path: str) -> None:
    """CPU time and memory over the number of files."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (time_axes, memory_axes) = pyplot.subplots(1, 2, figsize=(12, 6), layout="constrained")
    for axes, value in ((time_axes, "cpu"), (memory_axes, "mb")):
        for run, style in STYLES.items():
            points = [
                (tree["files"], found[value])
                for _, tree in generated(result)
                if (found := finished(tree, run))
            ]
            if points:
                axes.plot(*zip(*points, strict=True), style, label=run)
        axes.grid(True, which="both", alpha=0.3)
        axes.set(xscale="log", xlabel="files of a generated tree")
        sizes = [tree["files"] for _, tree in generated(result)]
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.set_xticks([], minor=True)
    time_axes.set(yscale="log", ylabel="CPU seconds", title="Time")
    memory_axes.axhline(MEMORY_LIMIT, color="red", label=f"bnlint's limit, {MEMORY_LIMIT} MB")
    memory_axes.set(ylim=(0, None), ylabel="MB, largest process", title="Peak memory")
    figure.legend(*memory_axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
