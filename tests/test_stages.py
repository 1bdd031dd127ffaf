"""The watch behind `--verbose`: held against a clock that the test turns itself."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from aecodec import stages
from aecodec.stages import collect, current, join, stage


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(stages.time, "perf_counter", lambda: now[0])
    return now


def test_a_nested_stage_counts_for_itself_alone(clock: list[float]) -> None:
    with collect() as seconds:
        clock[0] += 1  # no stage
        with stage("outer"):
            clock[0] += 2
            with stage("inner"):
                clock[0] += 4
            clock[0] += 8
        clock[0] += 16
        with stage("inner"):
            clock[0] += 32
    assert seconds == {"outer": 10, "inner": 36}
    assert list(seconds) == ["outer", "inner"]


def test_a_decorated_function(clock: list[float]) -> None:
    @stage("work")
    def work(depth: int) -> int:
        """What it does."""
        clock[0] += 1
        return work(depth - 1) + 1 if depth else 0

    assert work(2) == 2
    with collect() as seconds:
        assert work(2) == 2
    assert seconds == {"work": 3}
    assert (work.__name__, work.__doc__) == ("work", "What it does.")


def test_errors_end_a_stage(clock: list[float]) -> None:
    with collect() as seconds:
        with pytest.raises(ValueError, match="bad"), stage("failing"):
            clock[0] += 1
            raise ValueError("bad")
        clock[0] += 5
    assert seconds == {"failing": 1}


def test_collections_do_not_mix(clock: list[float]) -> None:
    with collect() as outer, stage("a"):
        clock[0] += 1
        with collect() as inner, stage("b"):
            clock[0] += 2

        def elsewhere() -> None:
            with stage("thread"):
                clock[0] += 4

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert inner == {"b": 2}
    assert outer == {"a": 7}


def test_threads_that_join_are_counted_too(clock: list[float]) -> None:
    def work() -> None:
        with stage("analysis"):
            clock[0] += 3

    with collect() as seconds:
        for _ in range(2):
            with ThreadPoolExecutor(1, initializer=join, initargs=(current(),)) as pool:
                pool.submit(work).result()
    assert seconds == {"analysis": 6}
    with ThreadPoolExecutor(1, initializer=join, initargs=(current(),)) as pool:
        pool.submit(work).result()  # nobody collects
    assert seconds == {"analysis": 6}
