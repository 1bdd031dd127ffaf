"""The same worker on a Dask cluster: many machines, one client.

The client selects the files, writes the manifest and submits tasks of 32 files. It bounds the
number of tasks that the scheduler holds. Each worker process loads the weights once. If a worker
dies, another one runs its task again and adopts the outputs that exist. If a task kills one worker
after the other, the client splits it into single files: only the file that kills them fails.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import logging
import os
from collections.abc import Iterator
from typing import Any

from aecodec import forks
from aecodec.batch.pool import WorkerDiedError, columns, processes_that_pay
from aecodec.batch.run import Convert
from aecodec.batch.storage import is_remote, shared_by_processes
from aecodec.batch.worker import Converter, Task, failure, rows
from aecodec.conversion import Result
from aecodec.errors import AecodecError, InputError
from aecodec.files import Job, UsageFault

__all__ = ["FILES_PER_TASK", "connected", "convert_batch"]

FILES_PER_TASK = 32
TASKS_PER_THREAD = 3
"""Tasks in flight for each thread of a worker: one that runs, and others that wait."""
RETRIES = 2


def connected(address: str, processes: int = 0) -> Convert:
    """A function that converts on the cluster whose scheduler is at `address`.

    Args:
        address: such as `tcp://scheduler:8786`, or `local` for one on this machine.
        processes: workers of a local cluster; 0: as many as pay.
    Raises:
        UsageFault: Dask is not installed.
        AecodecError: no scheduler answers at the address.
    """
    try:
        import distributed  # noqa: F401 (takes half a second, and may not be installed)
    except ModuleNotFoundError:
        raise UsageFault('--cluster needs Dask: pip install "aecodec[cluster]"') from None

    def convert(task: Task, jobs: Iterator[Job]) -> Iterator[Result]:
        return _convert(address, processes, task, jobs)

    return convert


@functools.lru_cache(maxsize=2)
def _converter(task: Task) -> Converter:
    return Converter(task)


_LOADING = forks.Lock()


def convert_batch(task: Task, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Convert a batch in a worker of the cluster, which keeps its weights for the next one."""
    with _LOADING:
        converter = _converter(task)
    return converter(batch)


def _convert(address: str, processes: int, task: Task, jobs: Iterator[Job]) -> Iterator[Result]:
    import distributed

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters comes as a result
    if address == "local":
        import dask

        count = processes or processes_that_pay()
        with (
            dask.config.set({"distributed.scheduler.allowed-failures": 1}),
            distributed.LocalCluster(
                n_workers=count, threads_per_worker=1, dashboard_address=None
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield from _Window(client, task, jobs).results()
        return
    try:
        client = distributed.Client(address)  # it waits as long as Dask's settings say: 30 s
    except (OSError, ValueError) as error:
        raise AecodecError(f"no scheduler answers at {address}: {error}") from None
    with client:
        yield from _Window(client, task, jobs).results()


class _Window:
    """A bounded number of tasks in flight."""

    def __init__(self, client: Any, task: Task, jobs: Iterator[Job]) -> None:
        import distributed

        self._client = client
        # One thread of ONNX Runtime for each thread of Dask, which has one for each core.
        self._task = dataclasses.replace(task, threads=task.threads or 1)
        self._batches = iter(lambda: list(itertools.islice(jobs, FILES_PER_TASK)), [])
        self._flying: dict[Any, list[Job]] = {}
        self._suspects: list[Job] = []
        self._ready = distributed.as_completed()

    def results(self) -> Iterator[Result]:
        """Every file's result, in the order in which tasks are ready."""
        self._fill()
        for future in self._ready:
            batch = self._flying.pop(future.key)
            yield from self._land(future, batch)
            future.release()
            self._fill()

    def _fill(self) -> None:
        threads = sum(self._client.ncores().values())  # workers come and go
        while len(self._flying) < max(1, threads) * TASKS_PER_THREAD:
            batch = next(self._batches, None)
            if batch is None:
                break
            self._submit(batch)
        # Any file of a dead worker may have killed it. Each is tried alone, after all others. The
        # outputs of those that were converted are adopted.
        if not self._flying and self._suspects:
            self._submit([self._suspects.pop()])

    def _submit(self, batch: list[Job]) -> None:
        task, jobs = _everywhere(self._task, batch)
        future = self._client.submit(
            convert_batch, task, columns(jobs), retries=RETRIES, pure=False
        )
        self._flying[future.key] = batch
        self._ready.add(future)

    def _land(self, future: Any, batch: list[Job]) -> Iterator[Result]:
        from distributed.scheduler import KilledWorker

        try:
            found = rows(future.result())
        except KilledWorker:
            if len(batch) > 1:  # it may be any of them
                self._suspects.extend(dataclasses.replace(job, begun=True) for job in batch)
                return
            (job,) = batch
            error = WorkerDiedError("every worker that was given it died: out of memory?")
            yield failure(job.source, error, target=job.target, key=job.key)
        except AecodecError:
            raise  # of the worker itself: other weights, or none
        except Exception as error:
            yield from (failure(j.source, error, target=j.target, key=j.key) for j in batch)
        else:
            for job, result in zip(batch, found, strict=True):
                yield dataclasses.replace(result, source=job.source, target=job.target)


def _everywhere(task: Task, batch: list[Job]) -> tuple[Task, list[Job]]:
    """The same task and jobs with paths that mean the same from any folder."""
    root = None if task.root is None else _absolute(task.root)
    jobs = [
        dataclasses.replace(job, source=_absolute(job.source), target=_absolute(job.target))
        for job in batch
    ]
    return dataclasses.replace(task, root=root), jobs


def _absolute(path: str) -> str:
    if not shared_by_processes(path):
        raise InputError(f"{path}: only this process can see it, and no worker of a cluster")
    return path if is_remote(path) else os.path.abspath(path)
