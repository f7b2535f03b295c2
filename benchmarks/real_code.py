"""Lints real packages from the package index and compares the findings with their judgements.

    pip install -e ".[bench]"
    python benchmarks/real_code.py [FOLDER]

Downloads the files named in real_packages.txt to FOLDER (default: .real_code), checks their
SHA-256, unpacks them without installing or running anything, runs `bnlint --format json` on each,
looks every finding up in real_code_judgements.json, and writes real_code.md.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import time
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
JUDGEMENTS = HERE / "real_code_judgements.json"
SECONDS = 900  # per package


@dataclass
class Package:
    """A pinned package and what bnlint said of it."""

    name: str
    version: str
    file: str
    sha256: str
    files: int = 0
    seconds: float = 0.0
    findings: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    failure: str = ""


def pinned() -> list[Package]:
    """The packages in real_packages.txt."""
    lines = (HERE / "real_packages.txt").read_text().splitlines()
    return [Package(*line.split()) for line in lines if line and not line.startswith("#")]


def fetch(package: Package, folder: Path) -> Path:
    """The package's file, downloaded once and checked."""
    target = folder / "files" / package.file
    if not target.exists():
        from pypi_simple import PyPISimple

        target.parent.mkdir(parents=True, exist_ok=True)
        with PyPISimple() as index:
            page = index.get_project_page(package.name)
            found = [item for item in page.packages if item.filename == package.file]
            index.download_package(found[0], path=target, verify=True)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    if digest != package.sha256:
        raise ValueError(f"{package.file}: SHA-256 is {digest}")
    return target


def unpack(archive: Path, folder: Path) -> Path:
    """Unpacks a wheel or sdist; the tar filter refuses paths that lead outside."""
    target = folder / "source" / archive.name
    if not target.exists():
        target.mkdir(parents=True)
        if archive.suffix == ".whl":
            zipfile.ZipFile(archive).extractall(target)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(target, filter="data")
    return target


def lint(package: Package, source: Path) -> None:
    """Fills in what bnlint reports."""
    command = [sys.executable, "-m", "bnlint.cli.main", ".", "--format", "json"]
    start = time.perf_counter()
    try:
        done = subprocess.run(
            command, cwd=source, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        report = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError) as error:
        package.failure = repr(error)[:200]
        return
    package.seconds = time.perf_counter() - start
    package.files, package.findings = report["files"], report["findings"]
    package.errors = report["errors"]
    for finding in package.findings:
        place = finding["location"]
        place["path"] = place["path"].removeprefix("./")
        lines = (source / place["path"]).read_text(errors="replace").splitlines()
        finding["line_text"] = lines[place["line"] - 1].strip() if place["line"] else ""


def key(package: Package, finding: dict[str, Any]) -> str:
    """Identity of a finding that survives shifted lines."""
    place = finding["location"]
    return f"{package.name} {place['path']} {finding['code']} {finding['line_text']}"


def write(packages: list[Package], judgements: dict[str, dict[str, str]]) -> None:
    """Writes real_code.md."""
    rows, details, total = [], [], Counter[str]()
    for package in packages:
        verdicts = [judgements.get(key(package, item), {}) for item in package.findings]
        counts = Counter(verdict.get("verdict", "unjudged") for verdict in verdicts)
        total += counts
        rows.append(
            f"| {package.name} | {package.version} | {package.files} | {len(verdicts)} "
            f"| {counts['true']} | {counts['false']} | {counts['unjudged']} "
            f"| {len(package.errors)} | {package.failure or f'{package.seconds:.1f}'} |"
        )
        for finding, verdict in zip(package.findings, verdicts, strict=True):
            place = finding["location"]
            details.append(
                f"- **{verdict.get('verdict', 'unjudged')}** {package.name} "
                f"`{place['path']}:{place['line']}` {finding['code']} ({finding['confidence']}): "
                f"{finding['message']}. {verdict.get('reason', '')}"
            )
    judged = total["true"] + total["false"]
    precision = f"{total['true'] / judged:.0%} (of {judged} judged)" if judged else "none judged"
    text = [
        "# bnlint on real packages",
        "Made by `benchmarks/real_code.py`. Errors are files that are not valid Python 3.",
        f"Findings: {judged + total['unjudged']}, true {total['true']}, false {total['false']}, "
        f"unjudged {total['unjudged']}. Precision: {precision}.",
        "\n".join(
            [
                "| package | version | files | findings | true | false | unjudged | errors "
                "| seconds |",
                "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
                *rows,
            ]
        ),
        "## Findings",
        "\n".join(details) or "None.",
    ]
    (HERE / "real_code.md").write_text("\n\n".join(text) + "\n")


def main() -> None:
    """Runs everything."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else HERE.parent / ".real_code").resolve()
    judgements = json.loads(JUDGEMENTS.read_text()) if JUDGEMENTS.exists() else {}
    packages = pinned()
    for package in packages:
        lint(package, unpack(fetch(package, folder), folder))
        print(package.name, package.version, len(package.findings), package.failure, flush=True)
        for finding in package.findings:
            if key(package, finding) not in judgements:
                print("  unjudged:", key(package, finding))
    write(packages, judgements)


if __name__ == "__main__":
    main()
