"""Where the work is done: in this process, or in several."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

T = TypeVar("T")
R = TypeVar("R")

# Project code nests deeply in the interpreter: each of its calls takes a dozen of ours.
RECURSION_LIMIT = 20_000


class Crashed(Exception):
    """The process that did a piece of work died (out of memory, a native stack overflow)."""


class Engine(Protocol):
    """Does pieces of work that do not depend on each other."""

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R | Crashed]:
        """`function(item)` for each item, in order; `function` and items can be pickled."""

    def close(self) -> None:
        """Ends the processes."""


class Serial:
    """In this process, one after another."""

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R | Crashed]:
        """See Engine."""
        for item in items:
            yield function(item)

    def close(self) -> None:
        """See Engine."""


class Processes:
    """In `jobs` processes of this machine, started when the first work comes.

    A piece of work whose process dies is tried once more, alone; then it is given up.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._pool: ProcessPoolExecutor | None = None

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R | Crashed]:
        """See Engine."""
        from concurrent.futures.process import BrokenProcessPool

        if len(items) < 2:
            yield from Serial().map(function, items)
            return
        waiting: dict[int, Future[R]] = {}
        ahead = self.jobs * 16  # enough to keep everyone busy, few enough to keep memory small
        for index, item in enumerate(items):
            for later in range(index, min(index + ahead, len(items))):
                if later not in waiting:
                    with contextlib.suppress(BrokenProcessPool):
                        waiting[later] = self._started().submit(function, items[later])
            try:
                if index not in waiting:
                    raise BrokenProcessPool
                yield waiting.pop(index).result()
            except BrokenProcessPool:
                waiting.clear()
                self.close()
                yield self._alone(function, item)

    def _alone(self, function: Callable[[T], R], item: T) -> R | Crashed:
        from concurrent.futures.process import BrokenProcessPool

        with self._new(1) as pool:
            try:
                return pool.submit(function, item).result()
            except BrokenProcessPool:
                return Crashed()

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = self._new(self.jobs)
        return self._pool

    def _new(self, jobs: int) -> ProcessPoolExecutor:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        # Not forked: a progress line's thread may hold a lock at that moment.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(jobs, context, initializer=prepare)

    def close(self) -> None:
        """See Engine."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def prepare() -> None:
    """Sets up a process that follows programs."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), RECURSION_LIMIT))


MANY_FILES = 200  # below that, starting processes takes longer than they save


def local_engine(jobs: int | None, files: int) -> Engine:
    """`jobs` processes; None: one per core for many files."""
    if jobs is None:
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
        jobs = (available or os.cpu_count() or 1) if files >= MANY_FILES else 1
    return Processes(jobs) if jobs > 1 else Serial()
