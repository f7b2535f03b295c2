"""Where a command does its work: the options `--jobs`, `--engine` and `--scheduler`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from bnlint.execution.executor import Engine, local_engine
from bnlint.lint.config import ConfigError

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--jobs", "-j", type=click.IntRange(min=1),
                 help="Processes (default: one per core for many files)."),
    click.option("--engine", type=click.Choice(["local", "dask"]), default="local",
                 help="Where the work is done: processes here, or a Dask cluster."),
    click.option("--scheduler", default="", envvar="BNLINT_DASK_SCHEDULER",
                 help="Address of a Dask scheduler (default: start a local cluster)."),
)  # fmt: skip


def engine_options(command: F) -> F:
    """Adds the options to a command, which gets `jobs`, `engine` and `scheduler`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def open_engine(options: Mapping[str, Any], files: int) -> Engine:
    """The engine that the options ask for, to be closed by the caller.

    Args:
      options: a command's options, with those of `engine_options`.
      files: how many there are to work on: few are not worth processes of their own.

    Raises:
      ConfigError: Dask is not installed, or there is no scheduler at that address.
    """
    if options["engine"] == "local":
        return local_engine(options["jobs"], files)
    try:
        from bnlint.execution.dask_executor import Dask

        return Dask(options["scheduler"], options["jobs"])
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--engine dask needs {error.name}: pip install 'bnlint[dask]'"
        ) from error
    except OSError as error:
        raise ConfigError(f"--scheduler {options['scheduler']}: {error}") from error
