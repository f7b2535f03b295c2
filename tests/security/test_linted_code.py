"""What is linted is never run."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """\
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(x, training=True)
loss = tf.reduce_mean(h)
train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(train_op)
"""


def test_linted_code_is_never_run_or_imported(tmp_path: Path) -> None:
    trap = "open({!r}, 'w').close()\n".format(str(tmp_path / "sprung"))
    for name in ("sitecustomize.py", "conftest.py", "setup.py", "train.py", "msgspec.py"):
        (tmp_path / name).write_text(trap + PROGRAM)
    script = str(Path(sys.executable).parent / "bnlint")
    run = subprocess.run([script, "."], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1 and "BN101" in run.stdout
    assert not (tmp_path / "sprung").exists()
