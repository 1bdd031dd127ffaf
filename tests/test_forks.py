"""Forked children: they code pictures, whatever their parent and its threads were at."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import command
import numpy as np
import pytest

import aecodec
from aecodec import forks

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning"),
]

HANGS = 180  # seconds after which a script of a few seconds is taken to hang, on a busy machine

PROLOGUE = """
import multiprocessing, os, sys, threading, time
import numpy as np
import aecodec
rgb = np.arange(256 * 160 * 3, dtype=np.uint32).reshape(160, 256, 3).astype(np.uint8)
data = aecodec.compress(rgb, quality=60)
pixels = np.asarray(aecodec.decompress(data)).tobytes()
def work(number):
    "Both ways: the same bytes and the same pixels as in the parent."
    again = aecodec.compress(rgb, quality=60)
    restored = np.asarray(aecodec.decompress(data)).tobytes()
    return again == data and restored == pixels
"""


def in_time(script: str, *arguments: object, prologue: str = PROLOGUE) -> str:
    """What a script prints. One that hangs is killed with all its children, and fails."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-W", "ignore::DeprecationWarning", "-c", prologue + script),
            *map(str, arguments),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=command.environment(),
    )
    try:
        stdout, stderr = process.communicate(timeout=HANGS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        pytest.fail(f"it hangs: nothing came within {HANGS} s")
    assert process.returncode == 0, stderr
    return stdout


def test_a_data_loader_after_its_parent_has_coded() -> None:
    """torch's DataLoader forks its workers by default on Linux before Python 3.14."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("this test needs torch")
    script = """
from torch.utils.data import DataLoader
class Pictures:
    def __len__(self): return 4
    def __getitem__(self, number): return work(number)
loader = DataLoader(Pictures(), num_workers=2, timeout=170, multiprocessing_context="fork")
print([bool(found) for found in loader])
print(work(0))
"""
    assert in_time(script) == "[True, True, True, True]\nTrue\n"


def test_children_while_a_thread_of_the_parent_codes() -> None:
    """Wherever that thread is: children are forked at many moments."""
    script = """
stop = threading.Event()
def code():
    while not stop.is_set():
        assert work(0)
threads = [threading.Thread(target=code) for _ in range(2)]
for thread in threads: thread.start()
codes = []
for number in range(10):
    time.sleep(0.03 * number)
    child = os.fork()
    if child == 0:
        os._exit(0 if work(number) else 3)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
stop.set()
for thread in threads: thread.join()
print(codes, work(0))
"""
    assert in_time(script) == f"{[0] * 10} True\n"


def test_a_child_that_ends_as_any_program_does() -> None:
    """What its parent's threads have left it is not waited for when everything is freed."""
    script = """
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(work, range(4)))
sys.stdout.flush()
if os.fork() == 0:
    print(work(0))
    sys.exit()
os.wait()
print("ended")
"""
    assert in_time(script) == "[True, True, True, True]\nTrue\nended\n"


# --- The gate and the locks -----------------------------------------------------------------------


def forked(work: Callable[[], bool], seconds: float = 20.0) -> bool:
    """What `work` returns in a child; false if it hangs there."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os._exit(0 if work() else 1)
        os._exit(2)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


@contextlib.contextmanager
def held_by_another_thread(lock: contextlib.AbstractContextManager[object]) -> object:
    """Inside, another thread holds the lock, and gives it back at the end."""
    taken, enough = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            enough.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def takes(lock: contextlib.AbstractContextManager[object]) -> bool:
    with lock:
        return True


def test_a_lock_that_another_thread_holds_is_free_in_the_child() -> None:
    lock, plain = forks.Lock(), threading.Lock()
    with held_by_another_thread(lock):
        assert forked(lambda: takes(lock))
    with held_by_another_thread(plain):  # else the test would prove nothing
        assert not forked(lambda: takes(plain), seconds=0.5)


def test_a_fork_waits_until_nobody_is_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, steps = forks.gate, []
    inside = threading.Event()

    def native() -> None:
        with gate, gate:  # once more costs nothing
            inside.set()
            time.sleep(0.3)
            steps.append("left")

    thread = threading.Thread(target=native)
    thread.start()
    inside.wait()
    assert forked(lambda: steps == ["left"] and takes(gate))
    thread.join()
    assert takes(gate)
    with gate:  # the thread that forks does not wait for itself
        assert forked(lambda: takes(gate))
    monkeypatch.setattr(forks, "PATIENCE", 0.2)
    with held_by_another_thread(gate):  # who never leaves is not waited for for ever
        assert forked(lambda: takes(gate))
    assert takes(gate)


def test_what_is_renewed_in_a_child_may_be_gone() -> None:
    class Thing:
        def __init__(self) -> None:
            self.state = "parent's"
            forks.renewed(self.renew)

        def renew(self) -> None:
            self.state = "child's"

    thing, gone = Thing(), Thing()
    del gone
    assert forked(lambda: thing.state == "child's")
    assert thing.state == "parent's"


def test_a_property_that_another_thread_computes() -> None:
    """Up to Python 3.11 functools' own has a lock that all objects of a class share."""
    begun, enough = threading.Event(), threading.Event()

    class Thing:
        def __init__(self, slow: bool) -> None:
            self.slow = slow

        @forks.cached_property
        def value(self) -> int:
            if self.slow:
                begun.set()
                enough.wait()
            return 7

    assert isinstance(Thing.__dict__["value"], functools.cached_property)
    slow, quick = Thing(True), Thing(False)
    thread = threading.Thread(target=lambda: slow.value)
    thread.start()
    begun.wait()
    assert forked(lambda: quick.value == 7)
    enough.set()
    thread.join()
    assert slow.value == quick.value == 7


def test_a_fork_in_the_middle_of_an_import(tmp_path: Path) -> None:
    """Whatever a thread imports, and whatever locks its module asks for, as all do for a logger."""
    (tmp_path / "slow.py").write_text(
        "import time, concurrent.futures.thread, logging\n"
        "time.sleep(0.6)\n"
        "logging.getLogger('slow')\n"
        "done = True\n"
    )
    script = """
import os, sys, threading, time
from aecodec import forks
sys.path.insert(0, sys.argv[1])
thread = threading.Thread(target=__import__, args=("slow",))
thread.start()
time.sleep(0.3)
before = time.monotonic()
child = os.fork()
if not child:
    import slow
    os._exit(0 if slow.done else 3)
print(time.monotonic() - before < forks.PATIENCE_FOR_IMPORTS, os.waitpid(child, 0)[1])
"""
    assert in_time(script, tmp_path, prologue="") == "True 0\n"


def test_a_fork_during_the_first_use() -> None:
    """Most of its time goes into imports, and one of safetensors' into a lock of its own."""
    script = """
import os, signal, sys, threading, time
import aecodec
data = bytes.fromhex(sys.argv[1])
thread = threading.Thread(target=aecodec.decompress, args=(data,))
thread.start()
children = []
while thread.is_alive():
    child = os.fork()
    if not child:
        signal.alarm(100)
        aecodec.decompress(data)
        os._exit(0)
    children.append(child)
    time.sleep(0.07)
print({os.waitpid(child, 0)[1] for child in children})
"""
    data = aecodec.compress(np.random.default_rng(2).integers(0, 9, (40, 40, 3), np.uint8))
    assert in_time(script, data.hex(), prologue="") == "{0}\n"
