"""How the command ends when something goes wrong that nobody foresaw, or when it is told to end.

Exit code 1 means findings, so none of these may give it (which Python's own traceback would).
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

import click

from bnlint.findings import INTERNAL, described
from bnlint.reporting.escapes import printable

TROUBLE = 2
INTERRUPTED = 128 + 2  # as shells say it: 128 + SIGINT
NO_READER = 128 + 13  # SIGPIPE
TERMINATED = 128 + 15  # SIGTERM

_debug = False


class NoReader(Exception):
    """Whoever read the output has gone."""


def _set_debug(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    global _debug
    _debug = _debug or value


debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_set_debug,
    help="Show where an internal error comes from.",
)


def terminate_on_sigterm() -> None:
    """SIGTERM ends the command as an exception does: children end, temporary files go."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(TERMINATED)

    with contextlib.suppress(ValueError):  # not the main thread: a test
        signal.signal(signal.SIGTERM, end)


def ended_well(command: Callable[[], Any]) -> int:
    """Runs the command, and sees to it that its output is written; its exit code."""
    global _debug
    _debug = False
    _write_every_character()
    try:
        code = _exit_code(command)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except (BrokenPipeError, NoReader):
        _forget_output()
        return NO_READER
    except BaseException as error:
        return _failed(error)


def _write_every_character() -> None:
    """What the output's encoding lacks is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _exit_code(command: Callable[[], Any]) -> int:
    if sys.stdout is None:
        return _complain("standard output is closed")
    try:
        code = command()
    except SystemExit as end:
        code = end.code
    if isinstance(code, str):
        return _complain(code)
    return code if isinstance(code, int) else 0


def _failed(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return INTERRUPTED
    if isinstance(error, SystemExit):  # SIGTERM, in the very last moment
        return error.code if isinstance(error.code, int) else TROUBLE
    if isinstance(error, click.ClickException):
        with contextlib.suppress(OSError):
            error.show()
        return error.exit_code if error.exit_code != 1 else TROUBLE
    if _debug:
        traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF) and error.filename is None:
            _forget_output()
        return _complain(_os_error(error))
    hint = "" if _debug else " (bnlint --debug shows where; please report it)"
    return _complain(f"{INTERNAL}: {described(error)}{hint}")


def _os_error(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    if error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {reason}"
    try:
        os.getcwd()
    except OSError:
        return "the current folder does not exist"
    return f"standard output: {reason}" if error.errno is not None else reason


def _complain(text: str) -> int:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # stderr may be closed as well
        sys.stderr.write(f"error: {printable(text)}\n")
        sys.stderr.flush()
    return TROUBLE


def _forget_output() -> None:
    """Python writes what is left in its buffer at exit, which would fail once more."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
