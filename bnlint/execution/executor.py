"""Where the work is done: in this process, or in several."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor
    from multiprocessing.process import BaseProcess

T = TypeVar("T")
R = TypeVar("R")

# Project code nests deeply in the interpreter: each of its calls takes a dozen of ours.
RECURSION_LIMIT = 20_000
# Bytes of address space of a worker. Of the trees that were measured TensorFlow's own takes most,
# 1.4 GB.
MAX_MEMORY = 1 << 33


class Crashed(Exception):
    """The process that did a piece of work died (out of memory, a native stack overflow)."""


class Engine(Protocol):
    """Does pieces of work that do not depend on each other."""

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R | Crashed]:
        """`function(item)` for each item, in order; `function` and items can be pickled."""

    def close(self) -> None:
        """Ends the processes at once, whatever they do."""


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
                    with contextlib.suppress(BrokenProcessPool), safe_children():
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

        self._pool = self._new(1)
        try:
            with safe_children():
                future = self._pool.submit(function, item)
            return future.result()
        except BrokenProcessPool:
            return Crashed()
        finally:
            self.close()

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = self._new(self.jobs)
        return self._pool

    def _new(self, jobs: int) -> ProcessPoolExecutor:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        # Not forked: a progress line's thread may hold a lock at that moment.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(jobs, context, initializer=_begin_work)

    def close(self) -> None:
        """See Engine."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        from multiprocessing.connection import wait

        # Waiting for work that nobody wants any more could take minutes. Before Python 3.14 there
        # is no public way to end it.
        private: Any = pool
        processes, queue = list((private._processes or {}).values()), private._call_queue
        if queue is not None:
            queue.cancel_join_thread()  # it may hold work for a process that is gone
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()
        for process in processes:
            wait([process.sentinel])


@contextlib.contextmanager
def safe_children() -> Iterator[None]:
    """`safe_path`, and Ctrl-C is left to the parent of the processes that are started meanwhile."""
    blocked = _block_interrupts()
    try:
        with safe_path():
            yield
    finally:
        if blocked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _block_interrupts() -> set[int | signal.Signals] | None:
    """What was blocked before; children inherit it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        return None
    return signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


@contextlib.contextmanager
def safe_path() -> Iterator[None]:
    """Processes that are started meanwhile import nothing from the current folder.

    multiprocessing starts its children as `python -c ...`, and then Python looks there first: a
    linted project's `signal.py` would be run.
    """
    if sys.version_info >= (3, 11):
        before = os.environ.get("PYTHONSAFEPATH")
        os.environ["PYTHONSAFEPATH"] = "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ["PYTHONSAFEPATH"]
            else:
                os.environ["PYTHONSAFEPATH"] = before
        return
    # Python 3.10 only has isolation as a whole; children are told the import path anyway. It gets
    # no more changes, so its private function stays.
    import multiprocessing.util

    util: Any = multiprocessing.util
    arguments = util._args_from_interpreter_flags
    util._args_from_interpreter_flags = lambda: [*arguments(), "-I"]
    try:
        yield
    finally:
        util._args_from_interpreter_flags = arguments


def _begin_work() -> None:
    """Sets up a process of `Processes`: it ends when its parent does."""
    import multiprocessing

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limit_memory(MAX_MEMORY)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    prepare()


def limit_memory(most: int) -> None:
    """Keeps this process below `most` bytes of address space, where the system can do that.

    Windows has no such limit, and macOS does not keep it. Beyond it Python raises MemoryError;
    native code may end the process.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
    with contextlib.suppress(ValueError, OSError):  # it uses more already; macOS
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


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
