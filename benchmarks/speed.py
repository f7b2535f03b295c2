"""bnlint's speed beside other linters, on the same trees, with the memory each takes.

    python benchmarks/speed.py --tools VENV/bin --real FOLDER --output benchmarks/speed

`--real` holds unpacked packages (benchmarks/real_code.py downloads them); the generated tree is
made from their files, so that its sizes, imports and words are those of real code. `--tools` is a
folder with the commands of the other linters; those that are not there are left out. Writes
speed.json, speed.md and speed.png.

Times are CPU seconds (user and system, of all processes): on a shared machine they are steadier
than the clock's. Each is the least of `--repeats` runs. Memory is the largest resident set of one
process. Growth is measured on trees of 100 to 10,000 files.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

SIZES = (100, 300, 1000, 3000, 10_000)
COMPARED = 1000  # the generated tree that the slow tools see, too
FRAMEWORK_SHARE = 0.2  # of the generated tree: most files of a company do not name TensorFlow
FLOOR = """
import sys, libcst
for line in open(sys.argv[1]):
    try:
        libcst.parse_module(open(line.rstrip("\\n"), encoding="utf-8").read())
    except Exception:
        pass
"""
SEMGREP = """
rules:
- {id: minimize, languages: [python], severity: WARNING, message: m, pattern: $X.minimize(...)}
"""


def main() -> None:
    """Measures everything and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", default=str(Path(sys.executable).parent))
    parser.add_argument("--real", required=True)
    parser.add_argument("--output", default="benchmarks/speed")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--no-real", action="store_true", help="generated trees only")
    parser.add_argument("--slow", action="store_true", help="slow tools on the large trees, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bnlint-speed-") as scratch:
        bench = Bench(Path(scratch), Path(options.tools), options.repeats, options.sizes)
        result = bench.run(Path(options.real), options.slow, not options.no_real)
    Path(f"{options.output}.json").write_text(json.dumps(result, indent=1) + "\n")
    Path(f"{options.output}.md").write_text(report(result))
    plot(result, f"{options.output}.png")


class Bench:
    """One run of all measurements."""

    def __init__(self, scratch: Path, tools: Path, repeats: int, sizes: Sequence[int]) -> None:
        self.scratch = scratch
        self.sizes = sorted(sizes)
        self.tools = tools
        self.repeats = repeats
        self.bnlint = str(Path(sys.executable).parent / "bnlint")
        (scratch / "floor.py").write_text(FLOOR)
        (scratch / "semgrep.yml").write_text(SEMGREP)

    def run(self, real: Path, slow: bool, with_real: bool) -> dict[str, object]:
        """Every figure, as plain data."""
        result: dict[str, object] = {"machine": machine(), "start": self.start()}
        trees = {}
        pool = sorted(real.rglob("*.py"))
        for size in self.sizes:
            tree = generate(self.scratch / f"tree{size}", pool, size)
            print("generated", size, flush=True)
            trees[str(size)] = self.tree(
                tree, others=size == COMPARED or (slow and size > COMPARED)
            )
            print(json.dumps(trees[str(size)]), flush=True)
            shutil.rmtree(tree)
        result["generated"] = trees
        if with_real:
            tree = self.scratch / "real"
            shutil.copytree(real, tree, symlinks=True)
            result["real"] = self.tree(tree, others=True)
        return result

    def start(self) -> dict[str, object]:
        """One staged file, and what it is compared with."""
        demo = Path(__file__).parents[1] / "fixtures" / "demo" / "train.py"
        clean = self.scratch / "clean.py"
        clean.write_text("import tensorflow as tf\nx = tf.constant(1)\n")
        times = {
            "import libcst": [sys.executable, "-c", "import libcst"],
            "one staged file, finding": [self.bnlint, "--no-cache", str(demo)],
            "one staged file, no word of interest": [self.bnlint, "--no-cache", str(clean)],
        }
        repeats = max(self.repeats, 5)
        return {name: self.measure(command, repeats) for name, command in times.items()}

    def tree(self, tree: Path, others: bool) -> dict[str, object]:
        """bnlint's and the other tools' figures on one tree."""
        files = sorted(str(path) for path in tree.rglob("*.py"))
        candidates = candidate_files(files)
        listing = self.scratch / "candidates.txt"
        listing.write_text("\n".join(candidates))
        cache = self.scratch / "cache"
        command = [self.bnlint, "--jobs", "1", "--output-file", os.devnull, str(tree)]
        cached = [*command, "--cache-dir", str(cache)]
        figures: dict[str, object] = {
            "files": len(files),
            "bytes": sum(os.path.getsize(path) for path in files),
            "candidates": len(candidates),
        }
        runs = {"floor: libcst.parse_module of the candidates": [
            sys.executable, str(self.scratch / "floor.py"), str(listing)
        ]}  # fmt: skip
        runs["bnlint cold, 1 process"] = [*command, "--no-cache"]
        for name, run in runs.items():
            figures[name] = self.measure(run)
        shutil.rmtree(cache, ignore_errors=True)
        figures["bnlint cold, filling the cache"] = self.measure(cached, 1)
        figures["bnlint warm"] = self.measure(cached)
        changed = Path(next(path for path in candidates if "batch_norm" in Path(path).read_text()))
        text = changed.read_text()
        changed.write_text(text + "\n# changed\n")
        figures["bnlint, one changed file"] = self.measure(cached, 1)
        changed.write_text(text)
        if others:
            for name, run in self.others(tree).items():
                if Path(run[0]).exists():
                    figures[name] = self.measure(run, 1 if name in SLOW else self.repeats)
        else:
            figures["ruff, no cache"] = self.measure(self.others(tree)["ruff, no cache"])
        return figures

    def others(self, tree: Path) -> dict[str, list[str]]:
        """The other linters' commands, each on one process where it can be told so."""

        def tool(name: str, *arguments: str) -> list[str]:
            return [str(self.tools / name), *arguments, str(tree)]

        return {
            "ruff, no cache": tool("ruff", "check", "--no-cache", "-q", "--isolated"),
            "flake8 with torchfix": tool("flake8", "--isolated", "-j", "1", "--select", "TOR"),
            "fixit": tool("fixit", "-q", "lint"),
            "pylint": tool("pylint", "-j", "1", "--recursive=y", "--disable=all", "--enable=E"),
            "semgrep, one rule": tool(
                "semgrep", "scan", "-q", "-j", "1", "--metrics=off", "--disable-version-check",
                "--config", str(self.scratch / "semgrep.yml"),
            ),
        }  # fmt: skip

    def measure(self, command: Sequence[str], repeats: int = 0) -> dict[str, float]:
        """The least CPU and wall seconds of some runs, and the largest resident set in MB."""
        best = {"cpu": float("inf"), "wall": float("inf"), "mb": 0.0}
        for _ in range(repeats or self.repeats):
            # A child of its own, so that ru_maxrss is this command's.
            code = (
                "import json, resource, subprocess, sys, time\n"
                "start = time.perf_counter()\n"
                "try: subprocess.run(sys.argv[1:], stdout=-3, stderr=-3, timeout=1500)\n"
                "except subprocess.TimeoutExpired: pass\n"
                "use = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
                "print(json.dumps([use.ru_utime + use.ru_stime, time.perf_counter() - start, "
                "use.ru_maxrss / 1024]))"
            )
            run = [sys.executable, "-c", code, *command]
            output = subprocess.run(run, capture_output=True, text=True, check=True).stdout
            cpu, wall, megabytes = json.loads(output)
            best["cpu"] = min(best["cpu"], round(cpu, 3))
            best["wall"] = min(best["wall"], round(wall, 3))
            best["mb"] = max(best["mb"], round(megabytes, 1))
        return best


SLOW = ("flake8 with torchfix", "fixit", "pylint", "semgrep, one rule")


def candidate_files(files: Sequence[str]) -> list[str]:
    """Files with a word of interest: those that name TensorFlow or Keras."""
    from bnlint.analyzer.scan import names_framework

    return [path for path in files if names_framework(Path(path).read_text(errors="replace"))]


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


def report(result: dict) -> str:
    """The figures as Markdown."""
    about = result["machine"]
    lines = [
        "# Speed", "",
        "Made by `python benchmarks/speed.py` (its docstring says how). CPU seconds of all "
        "processes, least of the runs; memory of the largest process.", "",
        f"Machine: {about['cpu']}, {about['cores']} cores, {about['memory_mb']} MB, "
        f"{about['system']}, Python {about['python']}, {about['date']}; load average at the start "
        f"{about['load'][0]:.1f} (shared with other work, so clock times mean little).", "",
        "![CPU time over the number of files](speed.png)", "",
        "## Targets", "", "| target | measured | met |", "| --- | --- | --- |",
        *targets(result), "",
    ]  # fmt: skip
    trees = {f"{size} generated files": tree for size, tree in result["generated"].items()}
    real = {"Real packages": result["real"]} if "real" in result else {}
    for name, tree in {**real, **trees}.items():
        lines += [
            f"## {name}", "",
            f"{tree['files']} files, {tree['bytes'] / 1e6:.1f} MB, {tree['candidates']} of them "
            "candidates (they name TensorFlow or Keras).", "",
            "| run | CPU s | clock s | MB |", "| --- | ---: | ---: | ---: |",
        ]  # fmt: skip
        lines += [_row(run, figure) for run, figure in tree.items() if isinstance(figure, dict)]
        lines.append("")
    lines += ["## Start", "", "| run | CPU s | clock s | MB |", "| --- | ---: | ---: | ---: |"]
    lines += [_row(run, figure) for run, figure in result["start"].items()]
    return "\n".join(lines) + "\n"


def _row(name: str, figure: dict) -> str:
    return f"| {name} | {figure['cpu']:.2f} | {figure['wall']:.2f} | {figure['mb']:.0f} |"


def targets(result: dict) -> list[str]:
    """One row per target of the project."""
    start, generated = result["start"], result["generated"]
    large = generated[str(max(map(int, generated)))]
    trees = {f"{large['files']} generated files": large}
    if "real" in result:
        trees = {"real packages": result["real"], **trees}
    compared = result.get("real") or generated.get(str(COMPARED), large)
    rows = []

    def ratio(text: str, over: float, under: float, limit: float, least: bool = False) -> None:
        value = over / under
        met = value >= limit if least else value <= limit
        rows.append(f"| {text} | {value:.2f} | {'yes' if met else '**no**'} |")

    for name, tree in trees.items():
        cold, floor = tree["bnlint cold, 1 process"]["cpu"], tree[FLOOR_NAME]["cpu"]
        ratio(f"cold ≤ 1.5 × floor, {name}", cold, floor, 1.5)
        if "ruff, no cache" in tree:
            warm, ruff = tree["bnlint warm"]["cpu"], tree["ruff, no cache"]["cpu"]
            ratio(f"warm ≤ 3 × ruff, {name}", warm, ruff, 3)
    for tool in ("fixit", "pylint"):
        if tool in compared:
            cold = compared["bnlint cold, 1 process"]["cpu"]
            text = f"≥ 10 times faster than {tool}, cold"
            ratio(text, compared[tool]["cpu"], cold, 10, least=True)
    base = start["import libcst"]["cpu"]
    staged = start["one staged file, finding"]["cpu"]
    ratio("one staged file ≤ 2 × `import libcst`", staged, base, 2)
    peak = large["bnlint cold, 1 process"]["mb"]
    rows.append(f"| memory < 300 MB at {large['files']} files | {peak:.0f} MB | "
                f"{'yes' if peak < 300 else '**no**'} |")  # fmt: skip
    rows.append(f"| time grows linearly | exponent {exponent(result):.2f} (1 is linear) | "
                f"{'yes' if exponent(result) <= 1.1 else '**no**'} |")  # fmt: skip
    return rows


FLOOR_NAME = "floor: libcst.parse_module of the candidates"


def exponent(result: dict) -> float:
    """The slope of log(cold CPU time, less the start's) over log(bytes of candidates ~ files)."""
    import math

    sizes = sorted(result["generated"], key=int)
    small, large = (
        result["generated"][size] for size in (sizes[min(1, len(sizes) - 1)], sizes[-1])
    )
    offset = result["start"]["one staged file, no word of interest"]["cpu"]
    times = [tree["bnlint cold, 1 process"]["cpu"] - offset for tree in (small, large)]
    return math.log(times[1] / times[0]) / math.log(large["files"] / small["files"])


def plot(result: dict, path: str) -> None:
    """CPU time over the number of files."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5.5))
    runs = (FLOOR_NAME, "bnlint cold, 1 process", "bnlint warm", "ruff, no cache")
    for run, style in zip(runs, ("k--", "o-", "s-", "^:"), strict=True):
        points = [
            (tree["files"], tree[run]["cpu"])
            for tree in result["generated"].values()
            if run in tree
        ]
        axes.plot(*zip(*points, strict=True), style, label=run)
    axes.set(xscale="log", yscale="log", xlabel="files", ylabel="CPU seconds",
             title="Time over the size of a generated tree")  # fmt: skip
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
