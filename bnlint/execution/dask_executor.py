"""The work on a Dask cluster: `bnlint --engine dask` (extra `bnlint[dask]`)."""

from __future__ import annotations

import contextlib
import functools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from bnlint.execution.executor import Crashed, prepare, safe_path

T = TypeVar("T")
R = TypeVar("R")

SHARD = 16  # pieces of work per task, at most: a task for each of many costs more than the work


class Dask:
    """Shards of the work on a cluster, the results in order.

    A worker that dies takes nothing with it: Dask gives its tasks to others. A task that kills
    workers again and again (Dask's `allowed-failures`) is split into its pieces of work, each is
    tried alone, and only the one that does it is given up.

    Args:
      scheduler: a scheduler's address; "" starts a cluster of processes on this machine.
      jobs: processes of that local cluster (default: one per core).
    """

    def __init__(self, scheduler: str = "", jobs: int | None = None) -> None:
        from distributed import Client

        # Workers that die are replaced at any time: for as long as there is a cluster.
        self._stack = contextlib.ExitStack()
        if scheduler:
            self.client: Any = Client(scheduler, set_as_default=False)
        else:
            self._stack.enter_context(safe_path())
            self.client = Client(
                n_workers=jobs or os.cpu_count() or 1,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                set_as_default=False,
            )

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R | Crashed]:
        """See bnlint.execution.executor.Engine."""
        ahead = 4 * max(1, sum(self.client.nthreads().values()))
        # A few large pieces of work are shared out one by one.
        size = max(1, min(SHARD, len(items) // ahead))
        work = functools.partial(_shard, function)
        waiting: deque[tuple[Sequence[T], Any]] = deque()
        for start in range(0, len(items), size):
            shard = items[start : start + size]
            waiting.append((shard, self.client.submit(work, shard, pure=False)))
            if len(waiting) >= ahead:
                yield from self._next_results(function, waiting)
        while waiting:
            yield from self._next_results(function, waiting)

    def _next_results(
        self, function: Callable[[T], R], waiting: deque[tuple[Sequence[T], Any]]
    ) -> Iterator[R | Crashed]:
        from distributed import KilledWorker

        shard, future = waiting.popleft()
        try:
            yield from future.result()
        except KilledWorker:
            # Dask blames every task that its worker had in hand. Alone, only the guilty one dies.
            for _, later in waiting:
                later.exception()  # waits for its end
            for item in shard:
                yield self._alone(function, item)

    def _alone(self, function: Callable[[T], R], item: T) -> R | Crashed:
        from distributed import KilledWorker

        work = functools.partial(_shard, function)
        try:
            (result,) = self.client.submit(work, [item], pure=False).result()
        except KilledWorker:
            return Crashed()
        return result

    def close(self) -> None:
        """Leaves the cluster; a local one ends."""
        self.client.close()
        if self.client.cluster is not None:
            self.client.cluster.close()
        self._stack.close()


def _shard(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    prepare()
    return [function(item) for item in items]
