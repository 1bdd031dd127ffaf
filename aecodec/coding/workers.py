"""The threads that do the work of a picture, and the order of their results.

Threads share the work in one of three ways, with the same results:

- Many jobs: each thread takes whole jobs and runs their graphs in sessions of one thread. No thread
  waits for others in each layer. (`Workers.per_thread`)
- Few jobs: graphs run in sessions of all threads, one after another. Work for a single thread
  (entropy coding, the integer network) runs at the same time. (`Workers` without `per_thread`)
- One tile: a single helper computes beside the thread that codes it (`Runtime.submit`).

Results are taken in the order of the jobs. Only a few jobs are begun before their turn, so memory
stays bounded.
"""

from __future__ import annotations

import contextlib
import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from aecodec import stages

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from aecodec.networks.runtime import Runtime

__all__ = ["Workers", "per_thread_pays", "workers_for"]

WAITING = 16
"""Jobs that wait for their turn at most: each is for a tile of 4 MiB, or a part of it."""

T = TypeVar("T")


class Workers:
    """The threads for the jobs of a picture; none, if they would not be faster."""

    def __init__(self, runtime: Runtime, per_thread: bool, pool: Executor | None) -> None:
        self._runtime = runtime
        self._pool = pool
        self._fault: BaseException | None = None
        self.per_thread = per_thread
        """Whether graphs run in sessions of one thread."""
        self.ahead = min(2 * runtime.threads, WAITING)
        """How many jobs may wait, so that no thread does."""

    @property
    def threaded(self) -> bool:
        """Whether there are threads at all."""
        return self._pool is not None

    def work(self, job: Callable[..., T], *args: Any) -> T:
        """Do a job on this thread. After a fault no other job begins, to take no memory in vain."""
        if self._fault is not None:
            raise self._fault
        try:
            with self._runtime.working(self.per_thread):
                return job(*args)
        except BaseException as error:
            if self._fault is None:
                self._fault = error
            raise

    def submit(self, job: Callable[..., T], *args: Any) -> Callable[[], T]:
        """Have a thread do a job; or this thread, when it requests the result."""
        if self._pool is None:
            return functools.partial(self.work, job, *args)
        return self._pool.submit(self.work, job, *args).result

    def in_order(self, jobs: Iterable[Callable[[], T]], *, here: bool = False) -> Iterator[T]:
        """The results of jobs, in their order; with `here` this thread does all of them.

        Jobs are taken from the iterable, which may compute something for each, a few ahead.
        """
        ahead = self.ahead if self.threaded and not here else 0
        waiting: deque[Callable[[], T]] = deque()
        for job in jobs:
            waiting.append(functools.partial(self.work, job) if here else self.submit(job))
            while len(waiting) > ahead:
                yield waiting.popleft()()
        while waiting:
            yield waiting.popleft()()


def per_thread_pays(runtime: Runtime, jobs: int) -> bool:
    """Whether it is faster if each thread takes whole jobs and runs their graphs alone.

    The last jobs leave threads idle. With few jobs that costs more than waiting for each other.
    """
    return runtime.workers > 1 and jobs >= 2 * runtime.workers


@contextlib.contextmanager
def workers_for(runtime: Runtime, jobs: int, *, per_thread: bool) -> Iterator[Workers]:
    """Threads for this many jobs, if they are faster: one computes while another codes."""
    threads = min(jobs, runtime.threads)
    if threads < 2:
        yield Workers(runtime, per_thread, None)
        return
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(
        threads, "aecodec-tile", initializer=stages.join, initargs=(stages.current(),)
    )
    try:
        yield Workers(runtime, per_thread, pool)
    finally:
        pool.shutdown(cancel_futures=True)  # after a fault nobody waits for the rest
