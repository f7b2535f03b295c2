"""Python 2 is converted; findings stand in the original text."""

import os
import subprocess
import sys

from bnlint.analyzer.analysis import analyze
from bnlint.sources.files import Source


def test_python_2_is_converted_and_findings_stand_in_the_original() -> None:
    text = (
        "# -*- coding: utf-8 -*-\n"
        "import tensorflow as tf\n"
        "x = tf.placeholder(tf.float32, [None, 0777])\n"
        "h = tf.layers.batch_normalization(x, training=True)\n"
        "print 'made', h\n"
        "try:\n"
        "    loss = tf.reduce_mean(h)\n"
        "except ValueError, error:\n"
        "    raise RuntimeError, 'no'\n"
        "if 1 <> 2: train_op = tf.train.AdamOptimizer().minimize(loss); print 'x'\n"
        "exec 'pass'\n"
        "with tf.Session() as sess:\n"
        "    print >>f, sess.run(train_op)\n"
    )
    result = analyze([Source("old.py", "old", text)])
    (finding,) = result.findings
    line = text.splitlines()[9]
    assert (finding.code, finding.location.line) == ("BN101", 10)
    excerpt = line[finding.location.column - 1 : finding.location.end_column - 1]
    assert excerpt == "tf.train.AdamOptimizer().minimize(loss)"
    assert "Python 2" in finding.help and finding.fix is None
    (notice,) = result.errors
    assert "Python 2" in notice.message and "fissix" in notice.message and not notice.fatal


def test_a_home_that_cannot_be_made_is_not_needed() -> None:
    code = (
        "from bnlint.analyzer.syntax.python2 import to_python3\n"
        "assert to_python3('print 1\\n') == 'print(1)\\n'"
    )
    environment = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}
    environment["HOME"] = os.devnull
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_what_is_no_python_at_all_is_a_fatal_error() -> None:
    result = analyze([Source("x.py", "x", "import tensorflow\nbatch_norm minimize\n")])
    (error,) = result.errors
    assert error.fatal and "syntax error" in error.message and error.line == 2
