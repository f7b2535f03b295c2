"""The hook, run by the real pre-commit on staged files. bnlint is not installed anew for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
NETS = """\
import tensorflow as tf
slim = tf.contrib.slim

def net(images, is_training):
    with slim.arg_scope([slim.batch_norm], is_training=is_training):
        hidden = slim.conv2d(images, 8, 3, normalizer_fn=slim.batch_norm)
    return slim.fully_connected(slim.flatten(hidden), 10)
"""
TRAIN = """\
import tensorflow as tf
import nets

images = tf.placeholder(tf.float32, [None, 28, 28, 1])
labels = tf.placeholder(tf.int32, [None])
logits = nets.net(images, is_training=True)
loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    while True:
        sess.run(train_op)
"""
# Updates go into a collection that train.py does not run.
LOST = "normalizer_params={'updates_collections': 'mine'}, normalizer_fn="
BROKEN = """\
import tensorflow as tf
h = tf.layers.batch_normalization(x, training=True)
train_op = tf.train.AdamOptimizer().minimize(h)
"""


class Repository:
    """A git repository with the hook."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self._environment = os.environ | {
            "PRE_COMMIT_HOME": str(home), "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org",
        }  # fmt: skip
        (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
        arguments = hook["entry"].removeprefix("bnlint").strip()
        hook |= {"language": "system", "entry": f"{sys.executable} -m bnlint {arguments}"}
        settings = {"repos": [{"repo": "local", "hooks": [hook]}]}
        self.write(".pre-commit-config.yaml", yaml.safe_dump(settings))
        self._git("init", "-q")
        self.write("nets.py", NETS)
        self.write("train.py", TRAIN)
        self._git("add", ".")
        self._git("commit", "-qm", "first")

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def staged(self, *names: str) -> str:
        """What the hook says of these files; "" if it passes."""
        self._git("add", *names)
        command = [sys.executable, "-m", "pre_commit", "run"]
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True
        )
        return done.stdout + done.stderr if done.returncode else ""

    def _git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.folder, env=self._environment, check=True)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    (tmp_path / "project").mkdir()
    return Repository(tmp_path / "project", tmp_path / "home")


def test_a_network_that_breaks_a_script_beside_it_fails_the_commit(repository: Repository) -> None:
    repository.write("nets.py", NETS + "\n# a comment\n")
    assert repository.staged("nets.py") == ""
    repository.write("nets.py", NETS.replace("normalizer_fn=", LOST))
    said = repository.staged("nets.py")
    assert "BN107" in said and "train.py:9:" in said


def test_what_is_not_staged_fails_no_commit(repository: Repository) -> None:
    repository.write("broken.py", BROKEN)
    repository.write("other.py", "x = 1\n")
    assert repository.staged("other.py") == ""
    assert "BN101" in repository.staged("broken.py")


def test_what_the_settings_exclude_and_python_2_pass(repository: Repository) -> None:
    repository.write("pyproject.toml", '[tool.bnlint]\nexclude = ["third_party/"]\n')
    repository.write("third_party/broken.py", BROKEN)
    repository.write("build/broken.py", BROKEN)  # one of the usual excludes
    repository.write("old.py", "import tensorflow\nprint 'old'\n")
    assert repository.staged(".") == ""
