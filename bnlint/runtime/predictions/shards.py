"""Count predictions shard by shard, in processes or on a cluster, and merge the monitors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from bnlint.runtime.predictions.files import PredictionFileError

if TYPE_CHECKING:
    from bnlint.execution.executor import Engine


class Mergeable(Protocol):
    """`PredictionMonitor`, `ModeGapMonitor`, or anything else that merges as they do."""

    def merge(self: M, other: M) -> M:
        """A new monitor with both monitors' counts; ValueError where they don't go together."""


T = TypeVar("T")
M = TypeVar("M", bound=Mergeable)

_DIED = "was given up: every process that read it died (is there enough memory?)"


@dataclass(frozen=True)
class ShardError:
    """Why a shard was not counted."""

    message: str


@dataclass
class Sharded(Generic[M]):
    """What `monitor_shards` returns.

    Attributes:
      monitor: the counts of all shards that could be counted; None: there is none.
      failed: position in `shards` -> why that shard is not in `monitor`, on one line.
    """

    monitor: M | None = None
    failed: dict[int, str] = field(default_factory=dict)


def monitor_shards(
    count: Callable[[T], M], shards: Sequence[T], engine: Engine | None = None
) -> Sharded[M]:
    """Count every shard of one evaluation on the engine's workers, and merge the monitors.

    A worker sends its counts, never rows. They are merged in the order of `shards`, so the result
    is the same for any engine, and the same as that of one monitor updated with all rows.

    Args:
      count: makes the monitor of one shard, a new one each time: a `PredictionMonitor` updated
        with class ids of shape (rows,), integers or names, or scores of shape (rows, classes); or
        a `ModeGapMonitor`. All have the same settings, and all or none get labels. It is pickled,
        so for processes it is a function of a module; a cluster takes any function.
      shards: what `count` is called with, one by one: paths that every worker can read, say.
      engine: `bnlint.execution.executor.Processes(jobs)`, `bnlint.execution.dask_executor.Dask(
        scheduler)` (extra `bnlint[dask]`), or in this process by default. It is not closed.

    Returns:
      The merged monitor, and the shards that are not in it: those for which `count` raised
      ValueError, OSError or PredictionFileError, those that don't go together with the shards
      before them, and those whose worker died time and again. The rest goes on.

    Raises:
      Exception: whatever else `count` raises, which is no fault of the data.
    """
    result: Sharded[M] = Sharded()
    for index, counted in enumerate(count_shards(count, shards, engine)):
        if isinstance(counted, ShardError):
            result.failed[index] = counted.message
            continue
        try:
            before = result.monitor
            result.monitor = counted if before is None else before.merge(counted)
        except ValueError as error:
            result.failed[index] = f"can't be merged with those before it: {error}"
    return result


def count_shards(
    count: Callable[[T], M], shards: Sequence[T], engine: Engine | None = None
) -> Iterator[M | ShardError]:
    """The monitor of each shard, or why there is none, in order (see `monitor_shards`)."""
    from bnlint.execution.executor import Crashed, Serial

    for counted in (engine or Serial()).map(functools.partial(_counted, count), shards):
        yield ShardError(_DIED) if isinstance(counted, Crashed) else counted


def _counted(count: Callable[[T], M], shard: T) -> M | ShardError:
    try:
        return count(shard)
    except (PredictionFileError, ValueError, OSError) as error:
        return ShardError(" ".join(str(error).split()) or type(error).__name__)
