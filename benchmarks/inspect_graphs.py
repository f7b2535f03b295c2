"""Time and peak memory of inspecting large graphs, and how both grow.

    python benchmarks/inspect_graphs.py [--output FILE.md]

Two kinds of graphs: "net" repeats convolution, batch norm, ReLU and the moving-average updates of
a slim network, with a train op that reaches all updates; "mesh" is plain ops, each of which
reads ten others. Every graph is written as a `.meta` file and inspected in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

NET_SIZES = (1_000, 10_000, 100_000, 300_000)
MESH_SIZES = (1_000, 10_000, 100_000, 300_000)
_PER_LAYER = 24  # nodes
_RUNS = 2


def net(size: int) -> Any:
    """A MetaGraphDef of about `size` nodes: size // 24 batch norms, all trained and updated."""
    from tensorflow.core.protobuf import meta_graph_pb2

    meta = meta_graph_pb2.MetaGraphDef()
    nodes = meta.graph_def.node
    updates = meta.collection_def["update_ops"].node_list.value

    def add(name: str, op: str, *inputs: str) -> str:
        nodes.add(name=name, op=op, input=inputs)
        return name

    data = add("x", "Placeholder")
    decay = add("decay", "Const")
    nodes[-1].attr["value"].tensor.float_val.append(0.001)
    nodes[-1].attr["value"].tensor.dtype = 1
    trained = []
    for number in range(max(size // _PER_LAYER, 1)):
        scope = f"net/block{number // 100}/unit{number}"
        weights = add(f"{scope}/weights", "VariableV2")
        data = add(f"{scope}/conv", "Conv2D", data, add(f"{weights}/read", "Identity", weights))
        reads, bn = {}, f"{scope}/BatchNorm"
        for part in ("gamma", "beta", "moving_mean", "moving_variance"):
            add(f"{bn}/{part}", "VariableV2")
            reads[part] = add(f"{bn}/{part}/read", "Identity", f"{bn}/{part}")
        core = add(
            f"{bn}/FusedBatchNormV3",
            "FusedBatchNormV3",
            *(data, reads["gamma"], reads["beta"], f"{bn}/c1", f"{bn}/c2"),
        )
        nodes[-1].attr["is_training"].b = True
        add(f"{bn}/c1", "Const")
        add(f"{bn}/c2", "Const")
        for port, part in ((1, "moving_mean"), (2, "moving_variance")):
            difference = add(f"{bn}/{part}/sub", "Sub", reads[part], f"{core}:{port}")
            step = add(f"{bn}/{part}/mul", "Mul", difference, decay)
            updates.append(add(f"{bn}/{part}/AssignSub", "AssignSub", f"{bn}/{part}", step))
        data = add(f"{scope}/relu", "Relu", core)
        gradient = add(f"{scope}/gradient", "Conv2DBackpropFilter", data)
        trained.append(add(f"{scope}/train", "ApplyGradientDescent", weights, gradient))
    add("train_op", "NoOp", *(f"^{one}" for one in [*trained, *updates]))
    return meta


def mesh(size: int) -> Any:
    """A MetaGraphDef of `size` nodes and ten times as many edges."""
    from tensorflow.core.protobuf import meta_graph_pb2

    meta = meta_graph_pb2.MetaGraphDef()
    for number in range(size):
        sources = {number * (step + 2) // (step + 3) for step in range(10)} - {number}
        inputs = [f"node{one}" for one in sorted(sources)]
        meta.graph_def.node.add(name=f"node{number}", op="AddN", input=inputs)
    return meta


def measure(path: Path) -> dict[str, float]:
    """Seconds and memory of one inspection in this process."""
    import resource
    import time

    from bnlint.runtime.inspect import inspect_path

    # TensorFlow's import is not part of it: it takes the same time for any graph.
    from bnlint.runtime.stored.protos import read_graph_file

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    import tensorflow  # noqa: F401

    before, start = peak(), time.process_time()
    read_graph_file(path)
    parsed = time.process_time()
    report = inspect_path(path)
    end = time.process_time()
    if report.errors:
        raise SystemExit(f"{path.name}: {report.errors[0].message}")
    return {
        "batch_norms": len(report.batch_norms),
        "findings": len(report.findings),
        "parse_s": parsed - start,
        "inspect_s": end - parsed,
        "memory": peak() - before,
    }


def slope(rows: list[dict[str, Any]]) -> float:
    """Exponent of the growth of seconds with nodes, over the two largest graphs: 1 is linear."""
    small, large = rows[-2:]
    return math.log(large["inspect_s"] / small["inspect_s"]) / math.log(
        large["nodes"] / small["nodes"]
    )


def series(kind: str, sizes: tuple[int, ...], folder: Path) -> list[dict[str, Any]]:
    rows = []
    for size in sizes:
        meta = {"net": net, "mesh": mesh}[kind](size)
        path = folder / f"{kind}{size}.meta"
        path.write_bytes(meta.SerializeToString())
        nodes = meta.graph_def.node
        row: dict[str, Any] = {
            "kind": kind,
            "nodes": len(nodes),
            "edges": sum(len(one.input) for one in nodes),
            "file": path.stat().st_size / 1e6,
        }
        del meta, nodes
        command = [sys.executable, __file__, "--measure", str(path)]
        runs = [
            json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
            for _ in range(_RUNS)
        ]
        rows.append(row | min(runs, key=lambda one: float(one["inspect_s"])))
        sys.stderr.write(f"{kind} {size}: {rows[-1]['inspect_s']:.2f} s\n")
    return rows


def table(groups: list[list[dict[str, Any]]]) -> str:
    from importlib.metadata import version

    lines = [
        "# Inspecting large graphs",
        "",
        "Made by `python benchmarks/inspect_graphs.py`. Seconds are CPU time of `inspect_path` on",
        f"a `.meta` file, parsing included, after TensorFlow's import (best of {_RUNS}). Memory is",
        "the growth of the peak resident size over that of the imported TensorFlow.",
        "",
        f"{platform.machine()}, {_processor()}, Python {platform.python_version()}, "
        f"TensorFlow {version('tensorflow')}.",
        "",
        "| graph | nodes | edges | batch norms | file, MB | seconds | µs per edge | memory, MiB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for rows in groups:
        for one in rows:
            per_edge = one["inspect_s"] / one["edges"] * 1e6
            lines.append(
                f"| {one['kind']} | {one['nodes']:,} | {one['edges']:,} | "
                f"{one['batch_norms']:,.0f} | {one['file']:.1f} | {one['inspect_s']:.2f} | "
                f"{per_edge:.1f} | {one['memory']:.0f} |"
            )
    lines.append("")
    for rows in groups:
        lines.append(
            f"Growth of seconds between the two largest {rows[0]['kind']} graphs: "
            f"nodes to the power {slope(rows):.2f}."
        )
    return "\n".join([*lines, ""])


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} × {names[0]}" if names else platform.processor() or "unknown processor"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="write the table there")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        sys.stdout.write(json.dumps(measure(arguments.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        groups = [
            series("net", NET_SIZES, Path(folder)),
            series("mesh", MESH_SIZES, Path(folder)),
        ]
    text = table(groups)
    sys.stdout.write(text)
    if arguments.output:
        arguments.output.write_text(text)


if __name__ == "__main__":
    main()
