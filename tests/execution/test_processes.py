"""Workers run nothing of the linted project, and never outlive the run."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import wait
from pathlib import Path

import pytest

from bnlint.execution import executor
from bnlint.execution.executor import Processes

PROGRAM = """\
import tensorflow as tf

h = tf.layers.batch_normalization(tf.placeholder(tf.float32, [None, 64]), training=True)
train_op = tf.train.AdamOptimizer().minimize(tf.reduce_mean(h))
with tf.Session() as sess:
    sess.run(train_op)
"""
TRAP = "open({path!r}, 'a').write(__name__ + ' ')\n"
# Modules that multiprocessing's children, its resource tracker and `python -m` import early.
NAMES = ["signal", "re", "pickle", "struct", "types", "copyreg", "selectors", "socket", "bnlint_x"]


def trap(tree: Path) -> Path:
    """A project of two groups of files, and modules that leave a mark when they are imported."""
    mark = tree.parent / "mark"
    for number in range(4):
        (tree / f"p{number}").mkdir(parents=True)
        (tree / f"p{number}" / "train.py").write_text(PROGRAM + f"# {number}\n")
    for name in NAMES:
        (tree / f"{name}.py").write_text(TRAP.format(path=str(mark)))
    metadata = tree / "evil-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[bnlint.rules]\nevil = bnlint_x\n")
    return mark


@pytest.mark.parametrize("as_module", [False, True])
def test_modules_of_the_linted_project_are_never_imported(as_module: bool, tmp_path: Path) -> None:
    mark = trap(tmp_path / "tree")
    if as_module and sys.version_info < (3, 11):  # runpy itself imports it, before bnlint
        (tmp_path / "tree" / "types.py").unlink()
    script = tmp_path / "bin" / "bnlint"  # as pip makes it
    script.parent.mkdir()
    script.write_text("from bnlint.cli.main import main\nif __name__ == '__main__':\n    main()\n")
    command = [sys.executable, *(["-m", "bnlint"] if as_module else [str(script)])]
    for arguments in (["--jobs", "2", "."], ["rules"], ["--version"]):
        run = subprocess.run(
            [*command, *arguments], cwd=tmp_path / "tree", capture_output=True, text=True
        )
        assert run.returncode == (1 if "." in arguments else 0), run.stderr
        assert not mark.exists(), mark.read_text()
        assert "." not in arguments or run.stdout.count("BN101") == 4


def test_workers_find_what_their_parent_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def double(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import only_here

    engine = Processes(2)
    try:
        assert list(engine.map(only_here.double, [1, 2, 3])) == [2, 4, 6]
    finally:
        engine.close()
        del sys.modules["only_here"]
    assert "PYTHONSAFEPATH" not in os.environ or sys.flags.safe_path


def test_closing_does_not_wait_for_work() -> None:
    engine = Processes(2)
    begun = engine.map(time.sleep, [0.01, *[10_000] * 40])
    assert next(begun) is None
    assert engine._pool is not None
    sentinels = [process.sentinel for process in engine._pool._processes.values()]
    assert sentinels and not wait(sentinels, timeout=0)
    sentinels = [os.dup(sentinel) for sentinel in sentinels]
    engine.close()
    assert len(wait(sentinels, timeout=0)) == len(sentinels)
    for sentinel in sentinels:
        os.close(sentinel)


def test_closing_does_not_wait_for_large_work_that_nobody_takes() -> None:
    engine = Processes(2)
    begun = engine.map(_sleep, [(0.01, b""), *[(10_000, bytes(2**20))] * 40])
    assert next(begun) is None
    engine.close()


def _sleep(work: tuple[float, bytes]) -> None:
    time.sleep(work[0])


# Work that sleeps: the signals come while two workers are in the middle of it.
SLEEPER = """\
import sys, time
from bnlint.cli import main as command
from bnlint.execution import executor
from bnlint.execution.executor import Processes

def run(*arguments, **options):
    engine = Processes(2)
    try:
        for _ in engine.map(time.sleep, [0.01, 0.01, *[10_000] * 40]):
            print("started", flush=True)
    finally:
        engine.close()

if __name__ == "__main__":
    command.cli.main = run
    command.main([])
"""


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("number", "to_all", "code"),
    [
        (signal.SIGTERM, False, 143),
        (signal.SIGTERM, True, 143),
        (signal.SIGINT, True, 130),
        (signal.SIGINT, False, 130),
        (signal.SIGKILL, False, -9),
    ],
)
def test_a_signal_ends_every_process(
    number: signal.Signals, to_all: bool, code: int, tmp_path: Path
) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    run = subprocess.Popen(
        [sys.executable, str(tmp_path / "sleeper.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert run.stdout is not None
    for _ in range(2):
        assert run.stdout.readline() == "started\n"
    if to_all:
        os.killpg(run.pid, number)
    else:
        run.send_signal(number)
    # It ends only when every process that has its output open does.
    _, errors = run.communicate(timeout=60)
    assert run.returncode == code
    assert "Traceback" not in errors and "KeyboardInterrupt" not in errors
    deadline = time.monotonic() + 30
    while _members(run.pid) and time.monotonic() < deadline:
        time.sleep(0.05)  # a process that was killed is still listed for a moment
    assert not _members(run.pid)


def _members(session: int) -> list[str]:
    """Living processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[3] == str(session) and fields[0] != "Z":
                found.append(entry.name)
    return found


def _fill(size: int) -> int:
    return len(bytes(size))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps to the limit")
def test_a_worker_has_a_memory_limit_of_its_own() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    engine = Processes(2)
    try:
        assert list(engine.map(_fill, [1, 2])) == [1, 2]
        with pytest.raises(MemoryError):
            list(engine.map(_fill, [executor.MAX_MEMORY, 1]))
    finally:
        engine.close()
    assert resource.getrlimit(resource.RLIMIT_AS) == before
