"""Gather what the linter, the inspector, a watched run and the predictions say."""

from __future__ import annotations

import contextlib
import difflib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnlint.findings import Confidence, FileError, Finding, Location, Severity, lines_of

if TYPE_CHECKING:
    from bnlint.lint.run import LintRun
    from bnlint.runtime.predictions.check import FileResult, PredictionsReport
    from bnlint.runtime.report import GraphReport

CODE, MODEL, RUN, PREDICTIONS = "code", "model", "run", "predictions"
_CODE_SUFFIXES = (".py", ".pyi", ".ipynb", ".zip", ".tar", ".gz", ".tgz")
_PREDICTION_SUFFIXES = (
    *(".npy", ".npz", ".csv", ".tsv", ".txt", ".parquet", ".json", ".jsonl", ".ndjson"),
)


@dataclass(frozen=True)
class Inputs:
    """What the user has.

    Attributes:
      paths: code, models and predictions, told apart by what they are.
      labels, columns, threshold: of the predictions (see `bnlint predictions`).
      train_mode: the same rows predicted in training mode.
      data: inputs to measure a model's statistics on; this runs the model.
      script, arguments: a training script to run, with its command line.
      timeout: seconds until the script is ended.
    """

    paths: tuple[str, ...] = ()
    labels: str | None = None
    columns: tuple[str, ...] = ()
    threshold: float | None = None
    train_mode: Path | None = None
    data: str | None = None
    script: Path | None = None
    arguments: tuple[str, ...] = ()
    timeout: float = 3600.0


@dataclass
class Evidence:
    """What was found, by the half that found it.

    Attributes:
      findings: (half, finding).
      looked_at: halves that looked at something, with what that was, in words.
      models: (path, inspection).
      predictions: None where none were given.
      errors: what could not be read.
      texts: path -> text of the code that findings point into.
    """

    findings: list[tuple[str, Finding]] = field(default_factory=list)
    looked_at: dict[str, str] = field(default_factory=dict)
    models: list[tuple[str, GraphReport]] = field(default_factory=list)
    predictions: PredictionsReport | None = None
    errors: list[FileError] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def codes(self) -> set[str]:
        """Codes of everything found."""
        return {finding.code for _, finding in self.findings}

    @property
    def results(self) -> list[FileResult]:
        """Of the predictions files."""
        return self.predictions.results if self.predictions else []

    def repair(self, finding: Finding) -> str:
        """The finding's own repair as a diff of the user's file; "" where it has none."""
        from bnlint.lint.repairs import fixed_texts

        changed = fixed_texts(finding, self.texts) if not finding.location.cell else None
        parts: list[str] = []
        for path, after in (changed or {}).items():
            before = lines_of(self.texts[path])
            parts += difflib.unified_diff(before, lines_of(after), path, path, n=1)
        return "".join(parts)


def gather(inputs: Inputs) -> Evidence:
    """Ask every half that there is something for. Only `inputs.script` is executed.

    What cannot be read becomes a FileError; the rest goes on.

    Raises:
      ModuleNotFoundError: a model or predictions need a package that is not installed.
    """
    evidence = Evidence()
    code, models, predictions = _sorted(inputs.paths)
    if code:
        _lint(code, evidence)
    if models:
        _inspect(models, inputs.data, evidence)
    if inputs.script is not None:
        _run(inputs, evidence)
    if predictions:
        _check_predictions(predictions, inputs, evidence)
    return evidence


def _sorted(paths: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Code, models and predictions. A folder may be code and hold a checkpoint, too."""
    code, models, predictions = [], [], []
    for path in paths:
        suffix = Path(path).suffix.lower()
        if Path(path).is_dir():
            is_model, is_code = _holds_model(Path(path)), _holds_code(Path(path))
            if is_model or not is_code:
                models.append(path)
            if is_code:
                code.append(path)
        elif suffix in _CODE_SUFFIXES:
            code.append(path)
        elif suffix in _PREDICTION_SUFFIXES:
            predictions.append(path)
        else:
            models.append(path)
    return code, models, predictions


def _holds_model(folder: Path) -> bool:
    return any(
        (folder / name).exists() for name in ("saved_model.pb", "saved_model.pbtxt", "checkpoint")
    ) or any(folder.glob("*.index"))


def _holds_code(folder: Path) -> bool:
    from bnlint.sources.files import discover

    return next(discover([str(folder)]), None) is not None


def _lint(paths: list[str], evidence: Evidence) -> None:
    """Also at low confidence: other evidence may confirm what the code leaves open."""
    from bnlint.lint.config import Settings
    from bnlint.lint.run import collect, lint

    settings = Settings(lambda config: replace(config, confidence=Confidence.LOW))
    sources, errors = collect(paths, settings)
    run = lint(sources, settings, errors)
    evidence.findings += [(CODE, finding) for finding in run.report.findings]
    evidence.errors += [error for error in run.report.errors if error.fatal]
    evidence.texts |= run.texts()
    if sources:
        evidence.looked_at[CODE] = _code_in_words(run)


def _code_in_words(run: LintRun) -> str:
    checked = run.report.checked
    words = f"files: {run.report.files}"
    if checked is not None:
        words += f", batch norms: {checked.batch_norms}, train ops: {checked.train_ops}"
    return words


def _inspect(paths: list[str], data: str | None, evidence: Evidence) -> None:
    from bnlint.runtime.native_logs import import_tensorflow

    import_tensorflow()
    from bnlint.runtime.inspect import inspect_path

    words = []
    for path in paths:
        report = inspect_path(path, data=data)
        evidence.errors += report.errors
        if any(error.fatal for error in report.errors):
            continue
        evidence.models.append((path, report))
        evidence.findings += [(MODEL, finding) for finding in report.findings]
        words.append(f"{path} (batch norms: {len(report.batch_norms)})")
    if words:
        evidence.looked_at[MODEL] = "; ".join(words)


def _check_predictions(paths: list[str], inputs: Inputs, evidence: Evidence) -> None:
    from bnlint.runtime.predictions.check import CheckOptions, check_predictions

    options = CheckOptions(
        labels=inputs.labels,
        columns=inputs.columns,
        train=inputs.train_mode,
        threshold=inputs.threshold,
        merge=len(paths) > 1 and inputs.train_mode is None,
    )
    report = check_predictions([Path(path) for path in paths], options)
    evidence.predictions = report
    evidence.errors += report.errors
    evidence.findings += [(PREDICTIONS, finding) for finding in report.findings]
    if report.results:
        rows = sum(result.predictions.rows for result in report.results)
        evidence.looked_at[PREDICTIONS] = f"{rows} predictions"


def _run(inputs: Inputs, evidence: Evidence) -> None:
    """`bnlint run` in a process of its own; what the script prints goes to stderr."""
    assert inputs.script is not None
    script = str(inputs.script)
    with tempfile.TemporaryDirectory(prefix="bnlint-") as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "bnlint", "run", "--format", "json"]
        command += ["--save-to", str(report), script, "--", *inputs.arguments]
        try:
            ended = subprocess.run(command, stdout=sys.stderr.fileno(), timeout=inputs.timeout)
        except subprocess.TimeoutExpired:
            message = f"was ended after {inputs.timeout:.0f} s (--timeout)"
            evidence.errors.append(FileError(script, message))
            return
        if not report.exists():
            message = f"could not be run: exit code {ended.returncode}"
            evidence.errors.append(FileError(script, message))
            return
        record = json.loads(report.read_text(encoding="utf-8"))
    evidence.errors += [FileError(one["path"], one["message"]) for one in record["errors"]]
    evidence.findings += [(RUN, _finding(one)) for one in record["findings"]]
    _read_texts(evidence)
    if record["files"]:
        evidence.looked_at[RUN] = f"{script}: {record['files']} graphs or models that it trained"
    elif not record["errors"]:
        evidence.errors.append(FileError(script, "ran no train op and no fit", fatal=False))


def _finding(record: dict[str, Any]) -> Finding:
    place = record["location"]
    return Finding(
        record["code"],
        record["name"],
        record["message"],
        Location(**{key: place[key] for key in ("path", "line", "column", "node") if key in place}),
        Severity(record["severity"]),
        Confidence(record["confidence"]),
        help=record.get("help", ""),
    )


def _read_texts(evidence: Evidence) -> None:
    paths: Iterable[str] = {one.location.path for _, one in evidence.findings if one.location.line}
    for path in paths:
        if path not in evidence.texts:
            with contextlib.suppress(OSError, ValueError):
                evidence.texts[path] = Path(path).read_text(encoding="utf-8")
