"""`bnlint` as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bnlint.cli.main import cli

DEMO = Path(__file__).parents[2] / "fixtures" / "demo"
BROKEN = """\
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(x, training=True)
loss = tf.reduce_mean(h)
train_op = tf.train.AdamOptimizer().minimize(loss)  # train
with tf.Session() as sess:
    sess.run(train_op)
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BNLINT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


def bnlint(*args: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args], input=stdin)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    file = tmp_path / "train.py"
    file.write_text(BROKEN)
    return file


def codes(result: Result) -> list[str]:
    return [finding["code"] for finding in json.loads(result.stdout)["findings"]]


def test_a_single_file_is_judged_with_what_it_imports() -> None:
    result = bnlint(DEMO / "train.py", "--format", "json")
    assert result.exit_code == 1
    (finding,) = json.loads(result.stdout)["findings"]
    assert finding["code"] == "BN101"
    assert finding["related"][0]["location"]["path"].endswith("nets.py")


def test_text_shows_code_place_excerpt_and_help(broken: Path) -> None:
    result = bnlint(broken)
    assert result.exit_code == 1
    assert "BN101 missing-update-ops" in result.stdout
    assert f"{broken}:6:12" in result.stdout
    assert "train_op = tf.train.AdamOptimizer().minimize(loss)" in result.stdout
    assert "^^^^" in result.stdout and "= help:" in result.stdout


def test_clean_code_exits_0(tmp_path: Path) -> None:
    (tmp_path / "clean.py").write_text("import tensorflow as tf\nx = tf.constant(1)\n")
    assert bnlint(tmp_path).exit_code == 0


def test_an_unreadable_file_is_named_and_the_others_are_linted(broken: Path) -> None:
    (broken.parent / "bad.py").write_text("import tensorflow\nbatch_norm minimize\n")
    result = bnlint(broken.parent, "--format", "json")
    assert result.exit_code == 2
    assert codes(result) == ["BN101"]
    (error,) = json.loads(result.stdout)["errors"]
    assert error["path"].endswith("bad.py") and "syntax error" in error["message"]


@pytest.mark.parametrize(
    ("options", "exit_code"),
    [
        (["--ignore", "BN1"], 0),
        (["--ignore", "missing-update-ops"], 0),
        (["--select", "BN2"], 0),
        (["--select", "BN101"], 1),
        (["--exit-zero"], 0),
        (["--select", "BN999"], 2),
        (["--confidence", "high"], 1),
    ],
)
def test_settings_on_the_command_line(broken: Path, options: list[str], exit_code: int) -> None:
    assert bnlint(broken, *options).exit_code == exit_code


def test_settings_in_pyproject(broken: Path) -> None:
    config = broken.parent / "pyproject.toml"
    config.write_text('[tool.bnlint.per-file-ignores]\n"train.py" = ["BN101"]\n')
    assert bnlint(broken).exit_code == 0
    config.write_text("[tool.bnlint]\nselekt = []\n")
    result = bnlint(broken)
    assert result.exit_code == 2
    assert "selekt" in result.stderr and "pyproject.toml" in result.stderr


def test_suppressions_and_unused_ones(broken: Path) -> None:
    broken.write_text(BROKEN.replace("# train", "# bnlint: ignore[BN101]"))
    assert bnlint(broken).exit_code == 0
    broken.write_text(BROKEN.replace("loss = tf", "loss = tf").replace("# train", "") + "# x\n")
    text = BROKEN.replace("loss = tf.reduce_mean(h)", "loss = tf.reduce_mean(h)  # bnlint: ignore")
    broken.write_text(text)
    assert codes(bnlint(broken, "--format", "json")) == ["BN001", "BN101"]


def test_a_comment_in_a_string_suppresses_nothing(broken: Path) -> None:
    broken.write_text(BROKEN.replace("# train", "; s = '# bnlint: ignore[BN101]'"))
    assert bnlint(broken).exit_code == 1


def test_baseline_survives_shifted_lines(broken: Path) -> None:
    baseline = broken.parent / "known.json"
    assert bnlint(broken, "--baseline", baseline, "--write-baseline").exit_code == 0
    broken.write_text("# one more line\n" + BROKEN)
    assert bnlint(broken, "--baseline", baseline).exit_code == 0
    baseline.write_text("[]")
    assert bnlint(broken, "--baseline", baseline).exit_code == 2


def test_diff_changes_nothing_and_fix_repairs(broken: Path) -> None:
    shown = bnlint(broken, "--diff")
    assert broken.read_text() == BROKEN
    assert "+with tf.control_dependencies(" in shown.stdout
    assert bnlint(broken, "--fix").exit_code == 0
    fixed = broken.read_text()
    assert "    train_op = tf.train.AdamOptimizer().minimize(loss)  # train\n" in fixed
    assert fixed.splitlines()[:5] == BROKEN.splitlines()[:5]


def test_fix_keeps_windows_line_endings(broken: Path) -> None:
    broken.write_bytes(BROKEN.replace("\n", "\r\n").encode())
    assert bnlint(broken, "--fix").exit_code == 0
    data = broken.read_bytes()
    assert data.count(b"\r\n") == data.count(b"\n") == BROKEN.count("\n") + 1


def test_stdin() -> None:
    result = bnlint("-", "--stdin-filename", "a/b.py", "--format", "concise", stdin=BROKEN)
    assert result.exit_code == 1
    assert result.stdout.startswith("a/b.py:6:12: BN101")


def test_notebook_findings_name_cell_and_line(tmp_path: Path) -> None:
    first, second = BROKEN.split("loss =")
    cells = [
        {"cell_type": "markdown", "source": "# title"},
        {"cell_type": "code", "source": "%matplotlib inline\n" + first},
        {"cell_type": "code", "source": "loss =" + second},
    ]
    file = tmp_path / "train.ipynb"
    file.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}))
    (finding,) = json.loads(bnlint(file, "--format", "json").stdout)["findings"]
    assert (finding["location"]["cell"], finding["location"]["line"]) == (3, 2)
    assert finding["related"][0]["location"]["cell"] == 2


def test_errors_in_notebooks_point_at_cells(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "code", "source": "import tensorflow as tf\ntf.layers.batch_normalization"},
        {"cell_type": "markdown", "source": "text"},
        {"cell_type": "code", "source": "a = 1\nif a:\ntf.train.AdamOptimizer().minimize"},
    ]
    file = tmp_path / "train.ipynb"
    file.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}))
    (error,) = json.loads(bnlint(file, "--format", "json").stdout)["errors"]
    assert (error["cell"], error["line"]) == (3, 2) and "on line 2 " in error["message"]
    for format_ in ("text", "concise"):
        assert "train.ipynb:cell 3:2:" in bnlint(file, "--format", format_).stdout
    for format_ in ("github", "junit", "sarif"):
        assert "cell 3, line 2: syntax error" in bnlint(file, "--format", format_).stdout


def test_rules_and_explain() -> None:
    listed = json.loads(bnlint("rules", "--format", "json").stdout)
    assert {"BN101", "BN203", "BN401"} <= {rule["code"] for rule in listed}
    explained = bnlint("explain", "BN101")
    assert explained.exit_code == 0 and "UPDATE_OPS" in explained.stdout
    assert bnlint("explain", "BN000").exit_code == 2


def test_the_linter_never_imports_tensorflow_or_numpy() -> None:
    code = (
        "import sys; from bnlint.cli.main import main\n"
        f"try: main([{str(DEMO)!r}])\n"
        "except SystemExit: pass\n"
        "bad = {'tensorflow', 'numpy', 'keras', 'dask', 'distributed'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_baseline_knows_a_file_by_any_way_to_it(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    baseline = broken.parent / "known.json"
    assert bnlint(broken, "--baseline", baseline, "--write-baseline").exit_code == 0
    monkeypatch.chdir(broken.parent)
    for path in (".", "train.py", "./train.py", broken.parent):
        assert bnlint(path, "--baseline", "known.json").exit_code == 0


def test_programs_that_were_left_are_counted_and_named(tmp_path: Path) -> None:
    heads = (f"{'    ' * level}for a{level} in 'abcdefgh'.split('b'):" for level in range(14))
    endless = "    " * 14 + "h = tf.layers.batch_normalization(h, training=True)"
    file = tmp_path / "train.py"
    file.write_text(BROKEN.replace("loss =", "\n".join([*heads, endless, "loss ="])))
    plain, verbose = bnlint(file, "--no-cache"), bnlint(file, "--no-cache", "--verbose")
    assert "2 programs left" in plain.stdout.splitlines()[-1]
    assert "left: " not in plain.stdout
    named = f"left: {file}: script: it takes more than 60,000 steps"
    assert named in verbose.stdout.splitlines()
    assert named in bnlint(file, "--no-cache", "--statistics").stdout.splitlines()
    left = json.loads(bnlint(file, "--no-cache", "--format", "json").stdout)["left"]
    assert [(item["path"], item["entry"]) for item in left] == [
        (str(file), "import"),
        (str(file), "script"),
    ]
