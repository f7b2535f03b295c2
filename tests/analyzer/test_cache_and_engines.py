"""Cache, processes and prefilter change how fast a result comes, never the result."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bnlint.analyzer.analysis import AnalysisResult, analyze
from bnlint.analyzer.cache import Cache, digest
from bnlint.analyzer.project.module_index import Place
from bnlint.analyzer.syntax import nodes
from bnlint.analyzer.syntax.parse import module_facts
from bnlint.analyzer.tasks import Member, Parsed, check, parse
from bnlint.execution.executor import Crashed, Processes, Serial
from bnlint.sources.files import Source
from bnlint.testing import read_cases

CASES = Path(__file__).parents[2] / "fixtures" / "rules"

PROGRAM = """\
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(x, training=True)
loss = tf.reduce_mean(h)
train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(train_op)
"""


def project() -> list[Source]:
    """Every rule's cases, each as a folder of its own."""
    sources = []
    for folder in sorted(CASES.glob("*/*/")):
        for name, case in read_cases(folder).items():
            for path, text in case.files.items():
                place = f"{folder.parent.name}/{folder.name}/{name}/{path}"
                sources.append(Source(place, path.removesuffix(".py"), text))
    return sources


@pytest.fixture(scope="module")
def expected() -> AnalysisResult:
    result = analyze(project())
    assert len(result.findings) > 20 and not result.errors
    assert result.checked.batch_norms > 100 and result.checked.evaluations > 20
    return result


@pytest.fixture
def processes() -> Iterator[Processes]:
    engine = Processes(2)
    yield engine
    engine.close()


def test_processes_give_the_same(expected: AnalysisResult, processes: Processes) -> None:
    assert analyze(project(), engine=processes) == expected


def test_a_warm_run_gives_the_same_without_libcst(
    expected: AnalysisResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(str(tmp_path / "cache"))
    assert analyze(project(), cache=cache) == expected
    cache.close()
    assert (tmp_path / "cache" / ".gitignore").read_text() == "*\n"

    def unused(*args: object) -> None:
        raise AssertionError("the cache was not used")

    monkeypatch.setattr("bnlint.analyzer.tasks.parse", unused)
    monkeypatch.setattr("bnlint.analyzer.tasks.check", unused)
    assert analyze(project(), cache=Cache(str(tmp_path / "cache"))) == expected


def test_a_changed_file_is_seen_and_the_others_are_not_parsed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(str(tmp_path))
    sources = [Source(f"{name}/train.py", "train", PROGRAM) for name in ("a", "b")]
    assert len(analyze(sources, cache=cache).findings) == 2
    parsed: list[str] = []
    monkeypatch.setattr(
        "bnlint.analyzer.tasks.parse", lambda text: (parsed.append(text), parse(text))[1]
    )
    changed = PROGRAM.replace("training=True", "training=False") + "# changed\n"
    sources[1] = Source("b/train.py", "train", changed)
    codes = {(item.location.path, item.code) for item in analyze(sources, cache=cache).findings}
    assert parsed == [changed]
    assert ("a/train.py", "BN101") in codes and ("b/train.py", "BN101") not in codes


@pytest.mark.parametrize("damage", ["text", "cut", "zeros", "other table", "values", "empty"])
def test_a_damaged_cache_is_rebuilt_silently(
    damage: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sources = [Source("train.py", "train", PROGRAM)]
    cache = Cache(str(tmp_path))
    before = analyze(sources, cache=cache)
    cache.close()
    (file,) = tmp_path.glob("*.sqlite3")
    data = file.read_bytes()
    if damage == "text":
        file.write_text("not a database" * 1000)
    elif damage == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "zeros":
        file.write_bytes(data[:200] + bytes(len(data) - 200))
    elif damage == "empty":
        file.write_bytes(b"")
    else:
        with sqlite3.connect(file) as database:
            if damage == "values":
                database.execute("UPDATE entries SET value = zeroblob(100)")
            else:
                database.execute("DROP TABLE entries")
                database.execute("CREATE TABLE entries (a INTEGER)")
    for _ in range(2):
        cache = Cache(str(tmp_path))
        assert analyze(sources, cache=cache) == before
        cache.close()
    key = cache.key("x", b"")
    fresh = Cache(str(tmp_path))
    fresh.put({key: b"kept"})
    assert Cache(str(tmp_path)).get([key]) == {key: b"kept"}
    assert capfd.readouterr() == ("", "")


def test_stored_facts_that_are_no_facts_are_an_error() -> None:
    # Well-formed MessagePack, but not facts.
    result = check([Member("x.py", "x", False, Parsed(b"\x93\x01\x02\x03"), Place("/x.py"))])
    assert [error.path for error in result.errors] == ["x.py"] and not result.findings


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sources = [Source("train.py", "train", PROGRAM)]
    assert len(analyze(sources, cache=Cache(str(tmp_path / "file"))).findings) == 1


def test_keys_tell_parts_apart() -> None:
    assert digest(b"ab", b"c") != digest(b"a", b"bc")


def test_concurrent_runs_share_a_cache(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "bnlint.cli.main", "--format", "json", "."]
    runs = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    outputs = [run.communicate(timeout=120) for run in runs]
    assert len(set(outputs)) == 1 and b"BN101" in outputs[0][0] and not outputs[0][1]


def test_a_killed_run_leaves_a_usable_cache(tmp_path: Path) -> None:
    for name in range(30):
        (tmp_path / f"train{name}.py").write_text(PROGRAM + f"# {name}\n")
    command = [sys.executable, "-m", "bnlint.cli.main", "--format", "concise", "--jobs", "1"]
    command += ["--cache-dir", str(tmp_path / "cache"), "."]
    for pause in (0.3, 0.5, 0.7, 0.9, 1.2):
        run = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
        time.sleep(pause)
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
    final = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert final.returncode == 1 and final.stdout.count("BN101") == 30 and not final.stderr
    (file,) = (tmp_path / "cache").glob("*.sqlite3")
    with sqlite3.connect(file) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


# --- processes that die ------------------------------------------------------------------------


DEADLY = "__import__('os').kill(__import__('os').getpid(), 9)"


def test_work_whose_process_dies_is_given_up_and_the_rest_is_done(processes: Processes) -> None:
    results = list(processes.map(eval, ["1", "2", DEADLY, "4", "5"]))
    assert isinstance(results.pop(2), Crashed)
    assert results == [1, 2, 4, 5]


def test_little_work_starts_no_process() -> None:
    engine = Processes(2)
    assert list(engine.map(eval, ["1"])) == list(Serial().map(eval, ["1"])) == [1]
    assert engine._pool is None


# --- prefilter ---------------------------------------------------------------------------------


def parsed_paths(sources: list[Source], monkeypatch: pytest.MonkeyPatch) -> set[str]:
    by_text = {source.text: source.path for source in sources}
    paths: set[str] = set()
    monkeypatch.setattr(
        "bnlint.analyzer.tasks.parse", lambda text: (paths.add(by_text[text]), parse(text))[1]
    )
    analyze(sources)
    return paths


def test_only_files_linked_to_words_of_interest_are_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [
        Source("a/nets.py", "nets", "import helpers\nimport tensorflow as tf\nBatchNorm = 1\n"),
        Source("a/helpers.py", "helpers", "def f(): pass\n"),
        Source("a/train.py", "train", "from nets import *\nopt.minimize(loss)\n"),
        Source("b/web.py", "web", "import flask\n"),
        Source("b/other.py", "other", "import tensorflow as tf\nprint(tf.constant(1))\n"),
    ]
    assert parsed_paths(sources, monkeypatch) == {"a/nets.py", "a/helpers.py", "a/train.py"}


USES = "import tensorflow as tf\ndef f(x):\n    return tf.layers.batch_normalization(x)\n"
TRAINS = "import nets\nopt.minimize(nets.f(x))\n"


def test_only_what_leads_to_a_framework_and_to_batch_norm_is_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not what is only linked with it: other users of the same helpers, their helpers."""
    sources = [
        Source("train.py", "train", TRAINS + "import helpers\n"),
        Source("nets.py", "nets", USES),
        Source("helpers.py", "helpers", "import os\n"),
        Source("web.py", "web", "import helpers\nimport pages\n"),
        Source("pages.py", "pages", "import helpers\n"),
        Source("data.py", "data", "import helpers\nimport tensorflow as tf\n"),
    ]
    assert parsed_paths(sources, monkeypatch) == {"train.py", "nets.py", "helpers.py"}


@pytest.mark.parametrize(
    "text",
    [
        USES.replace("import tensorflow as tf", '"""Not for tensorflow."""'),
        USES.replace("import tensorflow as tf", "# tensorflow\nkeras_version = 1"),
        "import tensorflow as tf\n# tf.layers.batch_normalization(x)\n",
        "import tensorflow as tf\nx = '''batch_normalization'''\n",
        "import tensorflow as tf\nmy_batch_normalization = vars(tf)\n",
    ],
)
def test_mentions_in_prose_are_not_followed(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [Source("train.py", "train", TRAINS), Source("nets.py", "nets", text)]
    assert parsed_paths(sources, monkeypatch) == set()


def test_a_network_got_by_name_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "import tensorflow as tf\nf = getattr(tf.layers, 'batch_normalization')\n"
    sources = [Source("train.py", "train", TRAINS), Source("nets.py", "nets", text)]
    assert parsed_paths(sources, monkeypatch) == {"train.py", "nets.py"}


@pytest.mark.parametrize(
    "statement",
    [
        "from pkg.nets import (  # a comment (with brackets)\n    f,\n    g,\n)",
        "from pkg import \\\n    nets",
        "from pkg import other as o, nets as n",
        "import pkg.nets as nets",
        "if x: import os; import pkg.nets",
        "from . import nets",
        "from .nets import *",
        "def f():\n    from pkg import nets",
        "import tensorflow, importlib; importlib.import_module('pkg.' + name)",
    ],
)
def test_imports_are_seen_without_parsing(statement: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [
        Source("pkg/train.py", "pkg.train", f"{statement}\nloss.minimize()\n"),
        Source("pkg/nets.py", "pkg.nets", "import tensorflow as tf\ntf.layers.batch_norm()\n"),
    ]
    assert parsed_paths(sources, monkeypatch) == {"pkg/train.py", "pkg/nets.py"}


# --- stored facts ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(Path(nodes.__file__).parent.glob("*.py")), ids=str)
def test_stored_facts_are_read_back_whole(path: Path) -> None:
    facts = module_facts(path.read_text(), str(path), "m")
    again = nodes.decode(nodes.encode(facts), str(path), "m", False)
    assert _plain(again.body) == _plain(facts.body)
    assert (again.line_starts, again.reads) == (facts.line_starts, facts.reads)
    assert [item.qualname for item, _ in again.functions] == [
        item.qualname for item, _ in facts.functions
    ]
    assert list(again.classes) == list(facts.classes)


def _plain(node: object) -> object:
    if isinstance(node, list | tuple):
        return [_plain(item) for item in node]
    if isinstance(node, nodes.Node | nodes.Argument | nodes.Param):
        values = [_plain(getattr(node, name)) for name in node.__struct_fields__]
        return [type(node).__name__, *values]
    return node
