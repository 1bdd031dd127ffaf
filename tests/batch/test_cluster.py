"""The same worker on a Dask cluster: real schedulers and workers on loopback, real kills."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import albums
import pytest
from command import environment, leftovers, run
from system import posix

from aecodec import codec
from aecodec.batch import Converter, Plan, Result, Task, cluster, convert
from aecodec.batch.manifest import NAME
from aecodec.batch.run import Event
from aecodec.errors import WeightsError
from aecodec.files import Job

distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")


@contextlib.contextmanager
def scheduler() -> Iterator[str]:
    """A scheduler in a process of its own; its address."""
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show"]
    with subprocess.Popen(
        [*command, *options], stderr=subprocess.PIPE, env=environment()
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if found := re.search(rb"Scheduler at:\s+(tcp://[0-9.:]+)", line):
                    break
            else:
                pytest.fail("the scheduler did not start")
            yield found[1].decode()
        finally:
            process.kill()


def worker(address: str, folder: Path) -> subprocess.Popen[bytes]:
    """A worker without a nanny: if it is killed, it stays dead."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny"]
    options = ["--nthreads", "1", "--local-directory", str(folder), "--no-dashboard"]
    return subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL, env=environment())


def test_a_local_cluster_by_the_command(here: Path) -> None:
    originals = albums.fill(here / "in", 40)
    broken = albums.spoil(here / "in", 3)
    done = run("compress", "in", "-o", "out", "-r", "--cluster", "local", "-j", "1", "--json")
    assert done.returncode == 1
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(line["source"] for line in told if not line["ok"]) == sorted(
        f"in/{name}" for name in broken
    )
    assert albums.files(here / "out") == albums.becomes(originals)
    assert sorted(albums.done(here / "out" / NAME)) == sorted(originals)
    assert b"Traceback" not in done.stderr


@posix
def test_a_worker_killed_in_the_middle_loses_nothing(here: Path) -> None:
    """Two workers that joined a scheduler; the one that has work is killed -9."""
    originals = albums.fill(here / "in", 200)
    told: list[Event] = []
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(scheduler())
        workers = [worker(address, here / f"worker{index}") for index in range(2)]
        stack.callback(lambda: [process.kill() or process.wait() for process in workers])
        with distributed.Client(address) as client:
            client.wait_for_workers(2, timeout=60)
            pids = client.run(os.getpid)
        assert sorted(pids.values()) == sorted(process.pid for process in workers)

        def tell(event: Event) -> None:
            told.append(event)
            if sum(isinstance(each, Result) for each in told) == 1:
                workers[0].send_signal(signal.SIGKILL)

        plan = Plan(Task(), ["in"], "out", recursive=True)
        summary = convert(plan, tell, cluster.connected(address))
        assert workers[0].wait(30) == -signal.SIGKILL
        assert workers[1].poll() is None
    assert (summary.done, summary.failed) == (200, 0)
    assert albums.files(here / "out") == albums.becomes(originals)
    assert Counter(albums.done(here / "out" / NAME)) == Counter(originals)
    for name in albums.files(here / "out"):
        codec.verify((here / "out" / name).read_bytes())
    assert leftovers(here / "out") == [NAME]


def test_tasks_in_flight_are_bounded(here: Path) -> None:
    """However many inputs there are: the scheduler never hears of more than a few tasks."""
    names = albums.fill(here / "in", 1)
    taken = 0

    def endless() -> Iterator[Job]:
        nonlocal taken
        for index in itertools.count():
            taken += 1
            yield Job(f"in/{names[0]}", f"out/{index}.aec", f"{index}")

    results = cluster.connected("local", 1)(Task(threads=1), endless())
    for _ in range(40):
        assert next(results).status == "done"  # type: ignore[call-overload]
    assert taken <= (cluster.TASKS_PER_THREAD + 2) * cluster.FILES_PER_TASK
    results.close()  # type: ignore[attr-defined]


@posix
def test_a_file_that_kills_its_workers_is_found(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One poisoned file among good ones in a task: it alone fails."""
    names = albums.fill(here / "in", 4)
    (here / "poison.py").write_text(POISON)
    monkeypatch.setenv("PYTHONPATH", str(here))
    monkeypatch.syspath_prepend(str(here))
    jobs = [Job(f"in/{name}", f"out/{name}.aec", name) for name in names]
    jobs.insert(2, Job("in/poison.png", "out/poison.aec", "poison"))
    shutil.copy("in/p0000.png", "in/poison.png")
    import poison  # type: ignore[import-not-found]

    monkeypatch.setattr(cluster, "convert_batch", poison.convert_batch)
    results = list(cluster.connected("local", 2)(Task(threads=1), iter(jobs)))
    failed = [result for result in results if result.status == "failed"]
    assert [result.key for result in failed] == ["poison"]
    assert failed[0].error_type == "WorkerDiedError"
    assert sorted(result.key for result in results if result.status == "done") == sorted(names)


POISON = """
import os, signal
from aecodec.batch import cluster

def convert_batch(task, batch):
    if any("poison" in source for source in batch["source"]):
        os.kill(os.getpid(), signal.SIGKILL)  # as the out-of-memory killer would
    return cluster._converter(task)(batch)
"""


def test_nobody_answers(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    albums.fill(here / "in", 1)
    done = run(
        *("compress", "in", "-o", "out", "-r", "--cluster", "tcp://127.0.0.1:9"),
        env={"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "2s"},
    )
    assert done.returncode == 1
    assert done.stderr.startswith(b"aecodec: no scheduler answers at tcp://127.0.0.1:9: ")
    assert b"Traceback" not in done.stderr


def test_without_dask_it_says_what_to_install(here: Path) -> None:
    blocked = here / "blocked"
    blocked.mkdir()
    (blocked / "distributed.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'distributed'\", name='distributed')\n"
    )
    albums.fill(here / "in", 1)
    done = run(
        *("compress", "in", "-o", "out", "-r", "--cluster", "local"),
        env={"PYTHONPATH": str(blocked)},
    )
    assert done.returncode == 2
    assert b'pip install "aecodec[cluster]"' in done.stderr


def test_a_worker_with_other_weights_is_refused(here: Path) -> None:
    with pytest.raises(WeightsError, match=r"where this worker runs, and 0011223344556677"):
        Converter(Task(model_id="0011223344556677"))


def test_the_worker_in_ray_data(here: Path) -> None:
    """The example of docs/folders.md, where Ray is installed."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: the example is not tried")
    pytest.importorskip("ray.data")
    names = albums.fill(here / "in", 40)
    items = [
        {"source": str(here / "in" / n), "target": str(here / "out" / f"{n}.aec")} for n in names
    ]
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        made = (
            ray.data.from_items(items)
            .map_batches(
                Converter,
                fn_constructor_args=(Task(verb="compress", threads=1),),
                batch_size=32,
                concurrency=1,
            )
            .take_all()
        )
    finally:
        ray.shutdown()
    assert {row["status"] for row in made} == {"done"}
    assert albums.files(here / "out") == sorted(f"{n}.aec" for n in names)
