"""Which file an import means."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from bnlint.analyzer.analysis import analyze
from bnlint.analyzer.apis.words import WORDS
from bnlint.analyzer.interpreter.names import FRAMEWORKS
from bnlint.analyzer.project.import_graph import File, components
from bnlint.analyzer.project.module_index import NameIndex, Place
from bnlint.analyzer.project.prescan import Scan, scan
from bnlint.sources.files import Source, read_source

TRAIN = "import tensorflow as tf\n{}\nnet = tf.layers.batch_normalization(x)\nopt.minimize(loss)\n"


def grouped(files: dict[str, str]) -> list[list[str]]:
    """Paths of the files that are followed together; the module names are those of scripts."""
    made = []
    for path, text in files.items():
        name = path.rpartition("/")[2].removesuffix(".py")
        made.append(File(Source(path, name, text)))
    return [[file.path for file in group] for group in components(made, FRAMEWORKS, scanned)]


def scanned(file: File) -> Scan:
    file.scan = scan(file.source.text, WORDS)
    return file.scan


@pytest.mark.parametrize(
    ("statement", "imported"),
    [
        ("from . import nets", "a/b/nets.py"),
        ("from .nets import net", "a/b/nets.py"),
        ("from .lib.nets import net", "a/b/lib/nets.py"),
        ("from ..lib import nets", "a/lib/nets.py"),
        ("from .lib import net", "a/b/lib/__init__.py"),
    ],
)
def test_a_relative_import_means_a_file_by_its_place(statement: str, imported: str) -> None:
    """Folders without an `__init__.py` are packages, too; another folder's file is not meant."""
    others = ("a/b/nets.py", "a/b/lib/nets.py", "a/lib/nets.py", "a/nets.py", "c/nets.py")
    files = dict.fromkeys({*others, imported}, "def net(): pass\n")
    assert grouped({"a/b/train.py": TRAIN.format(statement), **files}) == [
        ["a/b/train.py", imported]
    ]


def test_a_relative_import_of_nothing_stays_alone() -> None:
    files = {"a/train.py": TRAIN.format("from .nets import net"), "c/nets.py": "def net(): pass\n"}
    assert grouped(files) == [["a/train.py"]]


NETS = """\
import tensorflow as tf
def net(x):
    return tf.layers.batch_normalization(x, training=True)
"""
USES = """\
import tensorflow as tf
{}
x = tf.placeholder(tf.float32, [8, 4])
tf.train.AdamOptimizer().minimize({}(x))
"""


def codes(tmp_path: Path, files: dict[str, str], *given: str) -> list[str]:
    """The findings in files below a folder, of which some are named and the others imported."""
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    paths = [str(tmp_path / name) for name in given or files]
    sources = [source for path in paths if isinstance(source := read_source(path), Source)]
    result = analyze(sources, follow_imports=bool(given))
    assert not result.errors
    return [finding.code for finding in result.findings]


FORMS = [
    ("from parts import nets", "nets.net"),
    ("import parts.nets as n", "n.net"),
    ("import parts.nets", "parts.nets.net"),
    ("from parts.nets import *", "net"),
    ("from parts.nets import net as build", "build"),
    ("import parts, parts.nets", "parts.nets.net"),
]


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(("statement", "call"), FORMS)
def test_a_folder_without_init_is_a_package(
    statement: str, call: str, alone: bool, tmp_path: Path
) -> None:
    files = {"train.py": USES.format(statement, call), "parts/nets.py": NETS}
    assert codes(tmp_path, files, *(["train.py"] if alone else [])) == ["BN101"]


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("statement", ["from kit import nets", "import kit.nets as nets"])
@pytest.mark.parametrize("importer", ["kit/train.py", "kit/tools/train.py"])
def test_such_a_package_imports_itself_by_name(
    importer: str, statement: str, alone: bool, tmp_path: Path
) -> None:
    files = {importer: USES.format(statement, "nets.net"), "kit/nets.py": NETS, ".git": ""}
    given = [importer] if alone else [importer, "kit/nets.py"]
    assert codes(tmp_path, files, *given) == ["BN101"]


def test_implicit_relative_imports_of_python_2(tmp_path: Path) -> None:
    train = USES.format("import nets\nprint 'training'", "nets.net")
    path = tmp_path / "kit" / "train.py"
    for name, text in (("train", train), ("nets", NETS), ("__init__", "")):
        path.parent.mkdir(exist_ok=True)
        path.with_name(f"{name}.py").write_text(text)
    sources = [read_source(str(path.with_name(f"{name}.py"))) for name in ("train", "nets")]
    result = analyze([source for source in sources if isinstance(source, Source)])
    assert [finding.code for finding in result.findings] == ["BN101"]


@pytest.mark.parametrize(
    ("statement", "files", "linked"),
    [
        # Beside the importer, then above its package, then above its folder.
        ("import nets", ["a/nets.py", "nets.py"], ["a/nets.py"]),
        ("import lib.nets", ["nets.py", "lib/nets.py", "b/lib/nets.py"], ["lib/nets.py"]),
        ("from lib import nets", ["b/lib/nets.py", "a/lib/nets.py"], ["a/lib/nets.py"]),
        # The folder of another script: the nearest one counts, and none if several are as near.
        ("import nets", ["a/b/nets.py", "c/nets.py"], ["a/b/nets.py"]),
        ("import nets", ["c/nets.py"], ["c/nets.py"]),
        ("import nets", ["c/nets.py", "d/nets.py"], []),
        # A folder on sys.path hides what has the same name elsewhere.
        ("from lib import nets", ["lib/other.py", "c/lib/nets.py"], ["c/lib/nets.py"]),
        ("import lib", ["lib/other.py", "c/lib/__init__.py"], []),
        # Libraries are not the project's files, unless they are beside a script.
        ("import random", ["c/random.py"], []),
        ("import random", ["random.py"], []),
        ("import random", ["a/random.py"], ["a/random.py"]),
        ("import cPickle", ["c/cPickle.py"], []),
        ("import keras.layers", ["c/keras/layers.py"], []),
    ],
)
def test_an_absolute_import_means_a_file_by_its_place(
    statement: str, files: list[str], linked: list[str], tmp_path: Path
) -> None:
    texts = {
        f"{tmp_path}/a/train.py": TRAIN.format(statement),
        **{f"{tmp_path}/{name}": "def net(): pass\n" for name in files},
    }
    group = next(group for group in grouped(texts) if group[0].endswith("a/train.py"))
    assert sorted(group[1:]) == sorted(f"{tmp_path}/{name}" for name in linked)


@pytest.mark.parametrize("statement", ["import utils", "from lib.utils import net"])
def test_a_neighboring_project_is_not_imported(statement: str, tmp_path: Path) -> None:
    for project in ("one", "two"):
        (tmp_path / project / "lib").mkdir(parents=True)
        (tmp_path / project / "setup.py").touch()
    files = {
        f"{tmp_path}/one/train.py": TRAIN.format(statement),
        f"{tmp_path}/two/utils.py": "",
        f"{tmp_path}/two/lib/utils.py": "",
    }
    assert grouped(files) == [[f"{tmp_path}/one/train.py"]]


def test_a_neighboring_project_s_package_is_imported(tmp_path: Path) -> None:
    for project in ("one", "two"):
        (tmp_path / project / "src" / "kit").mkdir(parents=True)
        (tmp_path / project / "setup.py").touch()
    (tmp_path / "two" / "src" / "kit" / "__init__.py").touch()
    train, nets = tmp_path / "one" / "train.py", tmp_path / "two" / "src" / "kit" / "nets.py"
    made = [
        File(Source(str(train), "train", TRAIN.format("from kit.nets import net"))),
        File(Source(str(nets), "kit.nets", "")),
    ]
    assert components(made, FRAMEWORKS, scanned) == [made]


def test_each_import_takes_the_same_steps_in_a_larger_project() -> None:
    """Also where every folder has a file of the same name."""

    def steps(count: int) -> int:
        files = [Item("utils", Place(f"/p/{i}/lib/utils.py")) for i in range(count)]

        def resolve_all() -> None:
            index = NameIndex(files)
            for i in range(count):
                importer = Item("train", Place(f"/p/{i}/run/train.py"))
                assert index.resolve("utils", importer) is files[i]

        return lines_run(resolve_all)

    assert steps(400) <= 4.1 * steps(100)


@dataclass
class Item:
    """A file of a project."""

    name: str
    place: Place


def lines_run(action: Callable[[], None]) -> int:
    """How many lines of Python an action runs, in every function that it calls."""
    count = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return count
