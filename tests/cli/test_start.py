"""What the command loads before it has anything to do: it runs at every commit."""

import subprocess
import sys
from pathlib import Path

import pytest

TRAIN = """\
import tensorflow as tf
h = tf.layers.batch_normalization(x, training=True)
tf.train.AdamOptimizer().minimize(h)
"""
LOADED = """\
import sys
before = set(sys.modules)
from bnlint.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert end.code in (0, 1), end.code
print(*sorted(set(sys.modules) - before), file=sys.stderr)
"""


def loaded(tmp_path: Path, text: str, *options: str) -> set[str]:
    """The modules that `bnlint train.py` loads the second time that it is run."""
    (tmp_path / "train.py").write_text(text)
    command = [sys.executable, "-c", LOADED, "train.py", "--cache-dir", str(tmp_path), *options]
    for _ in range(2):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


NEVER = ("rich", "importlib.metadata", "email", "asyncio", "multiprocessing", "tarfile")


@pytest.mark.parametrize("text", ["import os\n", "import tensorflow as tf\nx = tf.constant(1)\n"])
def test_a_file_without_interest_loads_no_parser_no_apis_and_no_rules(
    tmp_path: Path, text: str
) -> None:
    names = loaded(tmp_path, text)
    assert "bnlint.analyzer.analysis" in names
    others = (*NEVER, "libcst", "bnlint.analyzer.interpreter.interpreter", "bnlint.program.events")
    assert names.isdisjoint(others)
    assert not [
        name for name in names if name.startswith(("bnlint.rules.", "bnlint.analyzer.apis."))
    ]


@pytest.mark.parametrize("format", ["text", "concise", "github", "gitlab"])
def test_findings_of_the_last_run_are_shown_without_the_analyzer(
    tmp_path: Path, format: str
) -> None:
    names = loaded(tmp_path, TRAIN, "--format", format)
    assert names.isdisjoint((*NEVER, "libcst", "bnlint.analyzer.interpreter.interpreter"))


def test_colors_are_rich_s(tmp_path: Path) -> None:
    assert "rich" in loaded(tmp_path, TRAIN, "--color", "always")
