"""Little memory: what small pictures need is little, and what is too little is one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import samples
from command import leftovers, run
from PIL import Image

from aecodec import machine
from aecodec.batch import storage
from aecodec.batch.worker import failure
from aecodec.errors import LimitError, describe, is_out_of_memory
from aecodec.networks import weights
from aecodec.networks.runtime import Runtime

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="addresses are limited as Linux does it"
)
LITTLE = 700_000  # KiB


def limited(kib: int) -> list[str]:
    """What to put before a command so that it has so many addresses."""
    return ["bash", "-c", f'ulimit -v {kib}; exec "$@"', "-"]


def test_folders_run_where_single_files_do(here: Path) -> None:
    Path("in").mkdir()
    for name in ("a", "b"):
        samples.photograph(box=(100, 20, 164, 84)).save(f"in/{name}.png")
    before = limited(LITTLE)
    commands = (
        ["compress", "in/a.png", "-o", "one.aec"],
        ["compress", "in", "-o", "out", "-r", "-j", "1"],
        ["compress", "in", "-o", "two", "-r", "-j", "2"],
        ["compress", "--files-from", "list", "-o", "listed"],
        ["decompress", "out", "-o", "back", "-r", "-j", "1"],
        ["verify", "--full", "-r", "out"],
        ["compress", "--rm", "in/b.png", "-o", "b.aec"],
    )
    Path("list").write_text("in/a.png\n")
    for arguments in commands:
        done = run(*arguments, before=before)
        assert done.returncode == 0, (arguments, done.stderr)
    assert not Path("in/b.png").exists()


@pytest.mark.parametrize("kib", [150_000, 250_000, 350_000])
def test_too_little_is_one_line(here: Path, kib: int) -> None:
    """Wherever it runs out: at an import, in numpy, in ONNX Runtime, in a thread, in a worker."""
    y, x = np.mgrid[0:2000, 0:3000]
    grain = np.random.default_rng(0).integers(0, 8, x.shape)  # or it would be stored exactly
    waves = np.dstack([x % 256, y % 256, (x + y + grain) % 256]).astype(np.uint8)
    Image.fromarray(waves).save("a.png")
    if not Path("a.aec").exists():
        assert run("compress", "a.png", "-o", "a.aec").returncode == 0
    before, refused = limited(kib), 0
    for arguments in (
        ["compress", "a.png", "-o", "x.aec", "-f"],
        ["compress", "a.png", "-o", "x.aec", "-f", "--threads", "1"],
        ["decompress", "a.aec", "-o", "x.png"],
        ["verify", "--full", "a.aec"],
    ):
        done = run(*arguments, before=before)
        told = done.stderr.decode()
        name = "a.aec" if arguments[0] == "verify" else arguments[1]
        is_enough = done.returncode == 0 and told == ""
        assert is_enough or (done.returncode == 1 and told == f"aecodec: {name}: {NO}\n"), told
        refused += not is_enough
    assert refused == 4 or (kib > 300_000 and refused)
    assert run("info", "a.aec", before=before).returncode == 0
    done = run("compress", "-r", ".", "-o", "out", "-j", "1", before=before)
    assert done.returncode == 1
    (told,) = done.stderr.decode().splitlines()  # a worker of its own needs less
    assert told in (f"aecodec: {NO}", f"aecodec: ./a.png: {NO}")
    assert [name for name in leftovers(here) if "manifest" not in name] == []


NO = "not enough memory"


BUFFERS = """
import resource, threading
from aecodec import machine
resource.setrlimit(resource.RLIMIT_AS, (1 << 40, -1))
machine.spare_addresses()  # as each of our processes does: else a thread may hold 64 MiB unused
import numpy as np
from aecodec.entropy.scales import one_blas_thread

def limit(more):
    size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + more, -1))

def multiply():
    global most
    meet.wait()
    for _ in range(20):
        with one_blas_thread:
            inside.append(0)
            most = max(most, len(inside))
            np.matmul(large, large)
            inside.pop()

large, inside, most, meet = np.ones((700, 700), np.float32), [], 0, threading.Barrier(3)
limit(10 << 20)
for _ in range(2):  # the second time, too: nothing is held after the first
    try:
        with one_blas_thread:
            print("has a buffer")
    except MemoryError:
        print("too little")
limit(100 << 20)  # enough for one buffer and three threads, too little for three buffers
threading.stack_size(1 << 18)
threads = [threading.Thread(target=multiply) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(most, "at a time")
"""


def test_blas_has_one_buffer_where_addresses_are_limited() -> None:
    """OpenBLAS ends a process that has no memory for another; it takes one a thread."""
    done = subprocess.run([sys.executable, "-c", BUFFERS], capture_output=True, text=True)
    assert done.stdout == "too little\ntoo little\n1 at a time\n", (done.stdout, done.stderr)
    assert done.stderr == ""


def test_what_is_too_long_is_refused_unread(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its size; and what is short takes no more memory than it needs."""
    with open("long", "wb") as file:
        file.truncate(3 << 30)
    with pytest.raises(LimitError, match="longer than 2048 MiB"):
        storage.read("long")
    script = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (200 << 20, -1))
from aecodec.batch import storage
open("short", "wb").write(b"x" * (1 << 20))
print(len(storage.read("short")))
try:
    storage.read("long")
except Exception as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "1048576\nlonger than 2048 MiB\n", done.stderr


def test_a_file_that_grows_while_it_is_read(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("f").write_bytes(b"x" * 5000)
    real = os.fstat

    class Earlier:
        def __init__(self, status: os.stat_result) -> None:
            self.st_mode, self.st_size = status.st_mode, 10

    monkeypatch.setattr(os, "fstat", lambda descriptor: Earlier(real(descriptor)))
    assert storage.read("f") == b"x" * 5000
    with pytest.raises(LimitError):
        storage.read("f", limit=4000)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        np._core._exceptions._ArrayMemoryError((1 << 40,), np.dtype(np.uint8)),
        RuntimeError("can't start new thread"),
        ImportError("libx.so: failed to map segment from shared object"),
        ImportError("libx.so: cannot allocate memory in static TLS block"),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : std::bad_alloc"),
        RuntimeError("Failed to allocate memory for requested buffer of size 1073741824"),
    ],
)
def test_every_library_says_it_in_its_own_way(error: Exception) -> None:
    assert is_out_of_memory(error) and describe(error) == NO
    found = failure("a.png", error)
    assert found.error == NO and found.trace == ""


def test_other_faults_are_not_taken_for_it() -> None:
    for error in (ValueError("memory"), OSError(28, "No space left on device"), KeyError("x")):
        assert not is_out_of_memory(error) and describe(error).startswith("unexpected error: ")


def test_onnx_runtime_without_memory_raises_a_memory_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its own errors have no common base, and some name the node that came next instead."""
    runtime = Runtime(weights.by_name(None).folder)

    class Broken:
        def run(self, *_: object) -> None:
            raise RuntimeError("Mul node: GetElementType is not implemented")

    monkeypatch.setattr(runtime, "session", lambda name: Broken())
    with pytest.raises(RuntimeError, match="Mul node"):
        runtime.run("synthesis8")
    monkeypatch.setattr("aecodec.networks.runtime.runs_out", lambda: True)
    with pytest.raises(MemoryError):
        runtime.run("synthesis8")
    assert machine.LEAST < LITTLE << 10
