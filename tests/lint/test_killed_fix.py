"""A repair that is killed leaves every file as it was, or repaired."""

import os
import signal
import subprocess
import sys
import time
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


def test_a_killed_fix_leaves_every_file_old_or_new(tmp_path: Path) -> None:
    files = [tmp_path / f"train{number}.py" for number in range(25)]
    command = [sys.executable, "-m", "bnlint.cli.main", "--fix", "--no-cache", str(tmp_path)]
    old = {file: (PROGRAM + f"# {file.name}\n").encode() for file in files}
    for file, data in old.items():
        file.write_bytes(data)
    subprocess.run(command, capture_output=True)
    new = {file: file.read_bytes() for file in files}
    assert all(new[file] != old[file] for file in files)
    mixed = 0
    for _ in range(4):
        for file, data in old.items():
            file.write_bytes(data)
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # The kill falls into the writing: it begins when the first file has changed.
        while run.poll() is None and files[0].read_bytes() == old[files[0]]:
            time.sleep(0.0005)
        time.sleep(0.001 * mixed)
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        state = [file.read_bytes() for file in files]
        assert all(data in (old[file], new[file]) for file, data in zip(files, state, strict=True))
        mixed += state != list(new.values())
    assert mixed, "every kill came too late: nothing was tested"
