"""Forks: a child gets the memory of its parent, and of all its threads the one that forked alone.

What the other threads were at stays half done in the child, a lock that one of them held is never
released there, and a native thread pool waits for threads that are not there. So::

    with gate: ...               no fork while a thread is inside: it waits until that is done
    Lock()                       a lock that is free in every child
    renewed(object.method)       called in every child, to drop what does not survive a fork

A fork also waits until no other thread is in the middle of an import, of whatever module. The locks
of modules are importlib's own, and a child could never import what another thread had begun.
`os.fork`, multiprocessing with the start method "fork" and torch's DataLoader all pass here.
"""

from __future__ import annotations

# Before a fork these take locks of their own, and the hooks of what is imported first run last. A
# thread that imports asks for the lock of logging: it must be free while a fork waits for imports.
import concurrent.futures.thread  # noqa: F401
import functools
import itertools
import logging  # noqa: F401
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from types import FrameType, MethodType, TracebackType
from typing import Any, TypeVar, cast

__all__ = ["Lock", "cached_property", "gate", "renewed"]

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds that a fork waits at most: somebody inside may be waiting for the one who forks."""


PATIENCE_FOR_IMPORTS = 5.0
"""The same for imports: a program may run as a whole within one."""
_PAUSE = 0.002
_IMPORTLIB = "<frozen importlib._bootstrap"


class Gate:
    """Any number of threads may be inside at once; a fork waits until all have left.

    It is for native code that holds locks of its own, and for imports: a few seconds at most. A
    thread that is inside may enter again.
    """

    def __init__(self) -> None:
        self._here = threading.local()  # how often this thread has entered
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._close, after_in_parent=self._open, after_in_child=self._begin
            )

    def _begin(self) -> None:
        """With nobody inside but, in a child, the thread that forked, if it was there."""
        self._changed = threading.Condition(threading.Lock())
        self._inside = 1 if self._depth else 0
        self._forks = 0  # threads that are about to fork

    @property
    def _depth(self) -> int:
        return getattr(self._here, "depth", 0)

    def __enter__(self) -> None:
        if not self._depth:
            with self._changed:
                while self._forks:
                    self._changed.wait()
                self._inside += 1
        self._here.depth = self._depth + 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._here.depth = self._depth - 1
        if self._depth:
            return
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def _close(self) -> None:
        """Before a fork: wait for imports, let nobody in, and wait for those who are inside."""
        ours = 1 if self._depth else 0
        start = time.monotonic()
        while True:
            # The gate is open meanwhile, because a module may enter it while it is imported.
            until = start + PATIENCE_FOR_IMPORTS
            while (importing := _imports_elsewhere()) and time.monotonic() < until:
                time.sleep(_PAUSE)
            with self._changed:
                self._forks += 1
                while self._inside > ours and (left := start + PATIENCE - time.monotonic()) > 0:
                    self._changed.wait(left)
            if importing or not _imports_elsewhere():
                return
            self._open()

    def _open(self) -> None:
        """After it, in the parent."""
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()


def _imports_elsewhere() -> bool:
    """Whether another thread is in the middle of an import, and not of ours."""
    frames = sys._current_frames()
    own = frames.pop(threading.get_ident(), None)
    # Where this thread imports, others may wait for its module.
    return not _imports(own) and any(map(_imports, frames.values()))


def _imports(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(_IMPORTLIB):
            return True
        frame = frame.f_back
    return False


gate = Gate()

_in_child: dict[int, tuple[weakref.ref[Any], Callable[[Any], None]]] = {}
_numbers = itertools.count()


def renewed(method: Callable[[], None]) -> None:
    """Have a bound method called in every child that is forked as long as its object lives."""
    for number, (known, _) in list(_in_child.items()):
        if known() is None:
            _in_child.pop(number, None)
    bound = cast(MethodType, method)
    _in_child[next(_numbers)] = weakref.ref(bound.__self__), bound.__func__


def _renew_all() -> None:
    for known, method in list(_in_child.values()):
        found = known()
        if found is not None:
            method(found)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)


class Lock:
    """A lock that no fork can leave locked: every child has one that is free.

    What it guards must be whole at all times, or be made anew in the child.
    """

    def __init__(self) -> None:
        self._renew()
        renewed(self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exception: object) -> None:
        self._lock.release()


class cached_property(functools.cached_property[T]):
    """functools' own, whose lock (up to Python 3.11) is free in every child."""

    def __init__(self, function: Callable[[Any], T]) -> None:
        super().__init__(function)
        if hasattr(self, "lock"):
            renewed(self._renew)

    def _renew(self) -> None:
        self.lock = threading.RLock()
