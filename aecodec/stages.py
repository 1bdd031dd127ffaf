"""How long each stage of the work takes: what `--verbose` shows.

::

    with collect() as seconds:          # seconds: {"analysis": 0.08, ...}, filled as it goes
        with stage("analysis"):         # or @stage("analysis") above a function
            ...

Outside `collect` a stage costs next to nothing and remembers nothing. Time within a nested stage
counts for that one alone, so the sum never exceeds what has passed. A collection belongs to its
context: threads take part in it if they are started with `contextvars.copy_context().run`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ContextDecorator, contextmanager
from contextvars import ContextVar

__all__ = ["collect", "stage"]


class _Watch:
    """The seconds of every stage, and which stages are under way."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._under_way: list[str] = []
        self._since = time.perf_counter()

    def enter(self, name: str) -> None:
        self._count()
        self._under_way.append(name)
        self.seconds.setdefault(name, 0.0)

    def leave(self) -> None:
        self._count()
        self._under_way.pop()

    def _count(self) -> None:
        now = time.perf_counter()
        if self._under_way:
            self.seconds[self._under_way[-1]] += now - self._since
        self._since = now


_watch: ContextVar[_Watch | None] = ContextVar("aecodec_stages", default=None)


@contextmanager
def collect() -> Iterator[dict[str, float]]:
    """Collect the seconds of the stages within the block, by name, in the order of their start."""
    watch = _Watch()
    token = _watch.set(watch)
    try:
        yield watch.seconds
    finally:
        _watch.reset(token)


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
