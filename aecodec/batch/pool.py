"""Worker processes that may die: each has its own pipe to the client, and they share nothing.

`concurrent.futures` gives up the whole pool when one process dies. Pools with a common queue hang
if a process dies while it holds the queue's lock. Here the death of a worker closes one pipe: the
client fails the file that the worker had, and starts another worker. If the client dies, the
workers see their pipe close and end.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
import warnings
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
"""Bytes of memory for one worker, with pictures of some tens of megapixels."""
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
        "only_copy": [job.only_copy for job in jobs],
    }


def convert_here(task: Task, jobs: Iterator[Job]) -> Iterator[Result]:
    """Convert in this process, one file after the other."""
    converter = Converter(task)
    for job in jobs:
        yield from rows(converter(columns([job])))


# ------------------------------------------------------------------------------ the worker's side


def _serve(task: Task, pipe: Connection) -> None:
    """The main function of a worker: answer batches until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the client handles Ctrl-C
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the exit deletes temporary files
    warnings.filterwarnings("ignore", module=r"PIL\.")  # notes say the same
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
        with contextlib.suppress(OSError):  # a dead worker; reading its pipe will show it
            self.pipe.send(columns([job]))

    def cause_of_death(self) -> str:
        self.process.join(_FAREWELL_SECONDS)
        code = self.process.exitcode
        # Some libraries abort when they get no memory.
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
    """Block Ctrl-C while a process starts, before it has a handler."""
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
    """Convert jobs in worker processes, and yield results as they arrive.

    Args:
        task: the options for all files.
        jobs: one is taken when a worker is free.
        processes: how many workers at most.
        started: called with the process id of every worker.
    Raises:
        AecodecError: workers cannot start.
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
    """A worker without a job; a new one if fewer than the limit run."""
    for worker in [worker for worker in workers if worker.job is None]:
        if worker.process.is_alive():
            return worker
        workers.remove(worker)  # it died between two files, so no file failed
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
    """End all workers, also in the middle of a file."""
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
    """The threads of each worker: the cores divided by the workers."""
    return max(1, machine.cores() // processes)
