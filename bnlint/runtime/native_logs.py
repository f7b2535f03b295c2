"""Keep what TensorFlow's C++ libraries log while they load out of a command's output."""

from __future__ import annotations

import os
import sys


def import_tensorflow() -> None:
    """Import TensorFlow without the lines its libraries log.

    They go straight to file descriptor 2, before any log level is read. Python still raises its own
    errors.

    Raises:
      ImportError: TensorFlow is not installed, or does not load here.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, AttributeError):  # the caller closed stderr
        import tensorflow

        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        import tensorflow  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(kept)
