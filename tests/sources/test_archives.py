"""An archive is linted as the folder that it holds, and harms nobody."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from bnlint.cli.main import cli
from bnlint.sources import archives
from bnlint.sources.archives import read_archive

CASES = Path(__file__).parents[2] / "fixtures" / "rules"

NETS = """\
import tensorflow as tf
def net(x):
    return tf.layers.batch_normalization(x, training=True)
"""
TRAIN = (
    "import tensorflow as tf\nfrom pkg.nets import net\n"
    "loss = tf.reduce_mean(net(tf.placeholder(tf.float32, [None, 8])))\n"
    "train_op = tf.train.AdamOptimizer().minimize(loss)\n"
    "with tf.Session() as sess:\n    sess.run(train_op)\n"
)
FILES = {"pkg/__init__.py": "", "pkg/nets.py": NETS, "train.py": TRAIN, "README.md": "hello"}


def pack(path: Path, files: dict[str, str]) -> Path:
    if path.suffix in (".zip", ".whl"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in files.items():
                archive.writestr(name, text)
    else:
        with tarfile.open(path, "w:" + path.suffix.removeprefix(".").replace("tar", "")) as tar:
            for name, text in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(text.encode())
                tar.addfile(member, io.BytesIO(text.encode()))
    return path


@pytest.mark.parametrize("name", ["a.zip", "a.whl", "a.tar", "a.tar.gz", "a.tar.xz"])
def test_archives_are_linted_as_one_project(name: str, tmp_path: Path) -> None:
    archive = pack(tmp_path / name, FILES)
    before = sorted(tmp_path.iterdir())
    sources, errors = read_archive(str(archive))
    assert not errors and sorted(tmp_path.iterdir()) == before
    assert [item.module for item in sources] == ["pkg", "pkg.nets", "train"]
    arguments = ["--no-cache", "--format", "concise", str(archive)]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{archive}/train.py:4:12: BN101")


def test_names_that_lead_out_of_an_archive_are_left_out(tmp_path: Path) -> None:
    files = {
        "../evil.py": TRAIN,
        "/etc/evil.py": TRAIN,
        "a/../../evil.py": TRAIN,
        "good.py": "x = 1",
    }
    for name in ("a.zip", "a.tar.gz"):
        sources, errors = read_archive(str(pack(tmp_path / name, files)))
        assert [item.path for item in sources] == [f"{tmp_path}/{name}/good.py"] and not errors


def test_bombs_stop_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_TOTAL", 4 * 1024 * 1024)
    zeros = "#" * (3 * 1024 * 1024)
    files = {"a.py": zeros, "b.py": zeros, "data.bin": zeros}
    for name in ("bomb.zip", "bomb.tar.gz"):
        path = pack(tmp_path / name, files)
        assert path.stat().st_size < 100_000
        _, (error,) = read_archive(str(path))
        assert "unpacks to more than" in error.message and error.path == str(path)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.xz"])
@pytest.mark.parametrize("keep", [0, 0.5, 0.9])
def test_damaged_archives_are_errors(name: str, keep: float, tmp_path: Path) -> None:
    path = pack(tmp_path / name, {**FILES, "noise.py": os.urandom(5000).hex()})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    _, errors = read_archive(str(path))
    assert [error.path for error in errors] == [str(path)]
    assert "archive cannot be read" in errors[0].message
