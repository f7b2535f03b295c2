"""Which file an import means."""

import pytest

from bnlint.analyzer.project.import_graph import File, components
from bnlint.analyzer.project.prescan import scan
from bnlint.sources.files import Source

TRAIN = "import tensorflow as tf\n{}\nnet = tf.layers.batch_normalization(x)\nopt.minimize(loss)\n"


def grouped(files: dict[str, str]) -> list[list[str]]:
    """Paths of the files that are followed together; the module names are those of scripts."""
    made = []
    for path, text in files.items():
        name = path.rpartition("/")[2].removesuffix(".py")
        made.append(File(Source(path, name, text)))
        made[-1].scan = scan(text)
    return [[file.path for file in group] for group in components(made)]


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
