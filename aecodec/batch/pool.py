"""Worker processes that may die: each has a pipe of its own to the client, and nothing is shared.

`concurrent.futures` gives the whole pool up when one of its processes dies; pools with a common
queue hang if one dies while it holds the queue's lock. Here a death is the end of one pipe: the
client learns which file it was about, starts another worker, and goes on. If the client dies, the
workers see the other end of their pipe close and leave.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from aecodec import machine
from aecodec.batch.worker import Converter, Task, failure, rows
from aecodec.conversion import Result
from aecodec.errors import AecodecError
from aecodec.files import UNDATED, Job

__all__ = [
    "WorkerDiedError",
    "columns",
    "convert_here",
    "processes_that_pay",
    "run",
    "threads_for",
]

MEMORY_PER_WORKER = 1 << 30
"""Bytes to count on for a worker: the weights and pictures of some tens of megapixels."""
_START_ATTEMPTS = 3
_FAREWELL_SECONDS = 5.0


class WorkerDiedError(AecodecError):
    """A worker process ended in the middle of a file."""


def processes_that_pay() -> int:
    """Three workers for two cores, as far as the memory goes.

    A worker waits for the disk after every file, which takes a third of a thumbnail's time.
    """
    cores, free = machine.cores(), machine.free_memory()
    wanted = cores + (cores + 1) // 2
    return wanted if free is None else max(1, min(wanted, free // MEMORY_PER_WORKER))


def columns(jobs: list[Job]) -> dict[str, list[Any]]:
    """Jobs as the columns that a worker takes."""
    stamps = [job.stamp for job in jobs]
    return {
        "source": [job.source for job in jobs],
        "target": [job.target for job in jobs],
        "key": [job.key for job in jobs],
        "size": [-1 if stamp is None else stamp.size for stamp in stamps],
        "time_ns": [UNDATED if stamp is None else stamp.time_ns for stamp in stamps],
        "begun": [job.begun for job in jobs],
        "stale": [job.stale for job in jobs],
    }


def convert_here(task: Task, jobs: Iterator[Job]) -> Iterator[Result]:
    """Convert in this process, one file after the other."""
    converter = Converter(task)
    for job in jobs:
        yield from rows(converter(columns([job])))


# ------------------------------------------------------------------------------ the worker's side


def _serve(task: Task, pipe: Connection) -> None:
    """A worker process: answers every batch until its pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: the client decides
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that temporary files go
    machine.spare_addresses()
    with contextlib.suppress(EOFError, OSError):
        try:
            converter = Converter(task)
        except Exception as error:
            pipe.send(error)
            return
        pipe.send(None)
        while True:
            pipe.send(converter(pipe.recv()))


# ------------------------------------------------------------------------------ the client's side


class _Worker:
    """A process, and the job that it is busy with."""

    def __init__(self, task: Task) -> None:
        context = multiprocessing.get_context("spawn")  # ONNX Runtime does not survive a fork
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=_serve, args=(task, theirs), daemon=True, name="aecodec worker"
        )
        with _no_interrupts():
            self.process.start()
        theirs.close()
        self.ready = False
        self.job: Job | None = None

    def give(self, job: Job) -> None:
        self.job = job
        with contextlib.suppress(OSError):  # it is dead: its pipe will say so when it is read
            self.pipe.send(columns([job]))

    def cause_of_death(self) -> str:
        self.process.join(_FAREWELL_SECONDS)
        code = self.process.exitcode
        # Some libraries end the process where they get no memory.
        hint = ": out of memory?" if machine.address_space_is_limited() else ""
        if code is None or code >= 0:
            return f"its worker process ended with exit code {code}{hint}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = ": out of memory?" if name == "SIGKILL" else hint
        return f"its worker process was killed by {name}{hint}"

    def close(self) -> None:
        self.pipe.close()


@contextlib.contextmanager
def _no_interrupts() -> Iterator[None]:
    """Keeps Ctrl-C from a new process until it can tell what to do with it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run(
    task: Task,
    jobs: Iterator[Job],
    processes: int,
    *,
    started: Callable[[int], None] = lambda pid: None,
) -> Iterator[Result]:
    """Convert jobs in worker processes; results come in the order in which they are ready.

    Args:
        task: what to do with each.
        jobs: taken when a worker is free.
        processes: how many workers at most.
        started: told the process id of every worker.
    Raises:
        AecodecError: a worker cannot even start.
    """
    workers: list[_Worker] = []
    failed_starts = 0
    try:
        exhausted = False
        while True:
            while not exhausted and (idle := _idle(task, workers, processes, started)) is not None:
                following = next(jobs, None)
                if following is None:
                    exhausted = True
                else:
                    idle.give(following)
            busy = [worker for worker in workers if worker.job is not None]
            if not busy:
                return
            for pipe in wait([worker.pipe for worker in busy]):
                worker = next(worker for worker in busy if worker.pipe is pipe)
                try:
                    answer = worker.pipe.recv()
                except (EOFError, OSError):
                    workers.remove(worker)
                    failed_starts = 0 if worker.ready else failed_starts + 1
                    yield from _bury(worker)
                    if failed_starts >= _START_ATTEMPTS:
                        raise WorkerDiedError("worker processes die as they start") from None
                    continue
                if isinstance(answer, Exception):
                    raise answer
                worker.ready, failed_starts = True, 0
                if answer is not None:
                    worker.job = None
                    yield from rows(answer)
    finally:
        _dismiss(workers)


def _idle(
    task: Task, workers: list[_Worker], processes: int, started: Callable[[int], None]
) -> _Worker | None:
    """A worker without a job; a new one if there is room for it."""
    for worker in [worker for worker in workers if worker.job is None]:
        if worker.process.is_alive():
            return worker
        workers.remove(worker)  # it was killed between two files: none was at stake
        worker.close()
    if len(workers) >= processes:
        return None
    worker = _Worker(task)
    workers.append(worker)
    if worker.process.pid is not None:
        started(worker.process.pid)
    return worker


def _bury(worker: _Worker) -> Iterator[Result]:
    """The result of a file whose worker died."""
    job = worker.job
    worker.close()
    if job is not None:
        error = WorkerDiedError(worker.cause_of_death())
        yield failure(job.source, error, target=job.target, key=job.key)


def _dismiss(workers: list[_Worker]) -> None:
    """End all workers; those in the middle of a file are ended there."""
    for worker in workers:
        worker.close()
        if worker.job is not None:
            worker.process.terminate()
    for worker in workers:
        worker.process.join(_FAREWELL_SECONDS)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def threads_for(processes: int) -> int:
    """How many threads each of several workers gets: the cores divided among them."""
    return max(1, machine.cores() // processes)
