"""The work on a Dask cluster: `bnlint --engine dask` (extra `bnlint[dask]`)."""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from bnlint.analyzer.engine import Crashed, prepare

T = TypeVar("T")
R = TypeVar("R")

SHARD = 16  # pieces of work per task: a task of its own for each would cost more than the work


class Dask:
    """Shards of the work on a cluster, the results in order.

    A worker that dies takes nothing with it: Dask gives its tasks to others. A task that kills
    workers again and again (Dask's `allowed-failures`) is split, and only the piece of work that
    does it is given up.

    Args:
      scheduler: a scheduler's address; "" starts a cluster of processes on this machine.
      jobs: processes of that local cluster (default: one per core).
    """

    def __init__(self, scheduler: str = "", jobs: int | None = None) -> None:
        from distributed import Client

        if scheduler:
            self.client: Any = Client(scheduler, set_as_default=False)
        else:
            self.client = Client(
                n_workers=jobs or os.cpu_count() or 1,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                set_as_default=False,
            )

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R | Crashed]:
        """See bnlint.analyzer.engine.Engine."""
        shards = [list(items[start : start + SHARD]) for start in range(0, len(items), SHARD)]
        work = functools.partial(_shard, function)
        ahead = 4 * max(1, sum(self.client.nthreads().values()))
        waiting: deque[tuple[list[T], Any]] = deque()
        for shard in shards:
            waiting.append((shard, self.client.submit(work, shard, pure=False)))
            if len(waiting) >= ahead:
                yield from self._results(function, *waiting.popleft())
        while waiting:
            yield from self._results(function, *waiting.popleft())

    def _results(
        self, function: Callable[[T], R], shard: list[T], future: Any
    ) -> Iterator[R | Crashed]:
        from distributed import KilledWorker

        try:
            yield from future.result()
        except KilledWorker:
            if len(shard) == 1:
                yield Crashed()
                return
            work = functools.partial(_shard, function)
            for item in shard:
                single = self.client.submit(work, [item], pure=False)
                yield from self._results(function, [item], single)

    def close(self) -> None:
        """Leaves the cluster; a local one ends."""
        self.client.close()
        if self.client.cluster is not None:
            self.client.cluster.close()


def _shard(function: Callable[[T], R], items: list[T]) -> list[R]:
    prepare()
    return [function(item) for item in items]
