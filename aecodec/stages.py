"""How long each stage of the work takes: what `--verbose` shows.

::

    with collect() as seconds:          # seconds: {"analysis": 0.08, ...}, filled as it goes
        with stage("analysis"):         # or @stage("analysis") above a function
            ...

Outside `collect` a stage costs next to nothing and remembers nothing. Time within a nested stage
counts for that one alone, so in one thread the sum never exceeds what has passed. A collection
belongs to its context; threads take part in it that begin with `join(current())`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ContextDecorator, contextmanager
from contextvars import ContextVar

from aecodec import forks

__all__ = ["collect", "current", "join", "stage"]


class Watch:
    """The seconds of every stage, which all threads add to, and which are under way in this one."""

    def __init__(self, other: Watch | None = None) -> None:
        self.seconds: dict[str, float] = other.seconds if other else {}
        self._lock: forks.Lock = other._lock if other else forks.Lock()
        self._under_way: list[str] = []
        self._since = time.perf_counter()

    def enter(self, name: str) -> None:
        self._count()
        self._under_way.append(name)
        with self._lock:
            self.seconds.setdefault(name, 0.0)

    def leave(self) -> None:
        self._count()
        self._under_way.pop()

    def _count(self) -> None:
        now = time.perf_counter()
        if self._under_way:
            with self._lock:
                self.seconds[self._under_way[-1]] += now - self._since
        self._since = now


_watch: ContextVar[Watch | None] = ContextVar("aecodec_stages", default=None)


@contextmanager
def collect() -> Iterator[dict[str, float]]:
    """Collect the seconds of the stages within the block, by name, in the order of their start."""
    watch = Watch()
    token = _watch.set(watch)
    try:
        yield watch.seconds
    finally:
        _watch.reset(token)


def current() -> Watch | None:
    """The collection under way here, for `join` in a thread that is about to be started."""
    return _watch.get()


def join(watch: Watch | None) -> None:
    """Let this thread take part in another's collection: the first thing that the thread does."""
    if watch is not None:
        _watch.set(Watch(watch))


class stage(ContextDecorator):
    """A named part of the work, around a block or a function."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        watch = _watch.get()
        if watch is not None:
            watch.enter(self._name)

    def __exit__(self, *exception: object) -> None:
        watch = _watch.get()
        if watch is not None:
            watch.leave()
