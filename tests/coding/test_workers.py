"""Who does a picture's jobs: in order, a bounded number ahead, and nothing after a fault."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import pytest

from aecodec.coding.workers import WAITING, Workers, per_thread_pays, workers_for


class Machine:
    """What `Workers` needs of a runtime; it remembers how threads worked."""

    def __init__(self, threads: int, workers: int) -> None:
        self.threads, self.workers = threads, workers
        self.worked: list[tuple[str, bool]] = []

    @contextlib.contextmanager
    def working(self, per_thread: bool = False) -> Iterator[None]:
        self.worked.append((threading.current_thread().name, per_thread))
        yield


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("here", [False, True])
def test_results_come_in_the_order_of_the_jobs(threads: int, here: bool) -> None:
    machine = Machine(threads, threads)
    with workers_for(machine, 50, per_thread=True) as workers:
        jobs = ((lambda k=k: k * k) for k in range(50))
        assert list(workers.in_order(jobs, here=here)) == [k * k for k in range(50)]
        assert workers.threaded == (threads > 1)
    names = {name for name, _ in machine.worked}
    main = threading.current_thread().name
    assert (names == {main}) == (here or threads == 1) and len(machine.worked) == 50
    assert all(per_thread for _, per_thread in machine.worked)


def test_one_job_or_one_thread_needs_no_threads() -> None:
    for threads, jobs in ((8, 1), (1, 8)):
        with workers_for(Machine(threads, threads), jobs, per_thread=False) as workers:
            assert not workers.threaded


@pytest.mark.parametrize("threads", [1, 2, 64])
def test_few_jobs_wait_for_their_turn(threads: int) -> None:
    """Memory stays bounded: no job is taken long before its result is."""
    taken = 0

    def jobs() -> Iterator[Callable[[], int]]:
        nonlocal taken
        for k in range(100):
            taken += 1
            yield lambda k=k: k

    with workers_for(Machine(threads, threads), 100, per_thread=True) as workers:
        most = 0
        for number, _ in enumerate(workers.in_order(jobs())):
            most = max(most, taken - number)
    assert most == (1 if threads == 1 else min(2 * threads, WAITING) + 1)


def test_after_a_fault_the_rest_is_not_begun() -> None:
    begun: list[int] = []

    def job(k: int) -> int:
        begun.append(k)
        if k == 2:
            raise ValueError("damaged")
        return k

    with (
        pytest.raises(ValueError, match="damaged"),
        workers_for(Machine(2, 2), 1000, per_thread=True) as workers,
    ):
        list(workers.in_order((lambda k=k: job(k)) for k in range(1000)))
    assert len(begun) <= 3 + 2 * 2 + 1


def test_a_job_is_done_at_once_or_when_it_is_asked_for() -> None:
    done: list[int] = []
    alone = Workers(Machine(1, 1), False, None)
    result = alone.submit(done.append, 1)
    assert not done
    result()
    assert done == [1]


def test_sharing_jobs_out_pays_from_two_a_thread() -> None:
    assert per_thread_pays(Machine(4, 4), 8) and not per_thread_pays(Machine(4, 4), 7)
    assert not per_thread_pays(Machine(1, 1), 100)  # there is nobody to share with
    assert not per_thread_pays(Machine(16, 0), 100)  # sessions are shared: see `Runtime.workers`
