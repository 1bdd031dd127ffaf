"""Whole folders when things go wrong: real full disks, pipes, loops, dead workers and kill -9.

Nothing is ever lost or half-written, one bad file never stops the others, and each fault is one
clear line.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import albums
import command
import pytest
from command import leftovers, run, start
from paths import WEIGHTS
from system import posix, small_disk, without_root

from aecodec import codec
from aecodec.batch import Result, Task, pool
from aecodec.batch.manifest import NAME
from aecodec.files import Job
from aecodec.networks.weights import DEFAULT_MODEL

NAMELESS = hasattr(os, "O_TMPFILE")

lists_children = pytest.mark.skipif(
    not Path(f"/proc/self/task/{os.getpid()}/children").exists(),
    reason="this system does not list a process's children",
)


def faults(stderr: bytes) -> list[str]:
    return sorted(line for line in stderr.decode().splitlines() if line.startswith("aecodec: "))


# ---------------------------------------------------------------------------- each its own message


@posix
def test_what_lies_in_a_folder_besides_pictures(here: Path) -> None:
    originals = albums.fill(here / "in", 3)
    os.mkfifo("in/pipe.jpg")  # nobody ever writes into it: who opens it waits
    os.symlink("..", "in/alps/loop")
    os.symlink("nowhere.jpg", "in/gone.jpg")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind("in/s.png")
        done = run("compress", "in", "-o", "out", "-r", "-j", "1")
    assert done.returncode == 1
    assert faults(done.stderr) == [
        "aecodec: in/alps/loop: is a link back to a folder that holds it: not followed",
        "aecodec: in/gone.jpg: is a link to nowhere.jpg, which is not there",
        "aecodec: in/pipe.jpg: is a named pipe, not a file: passed over",
        "aecodec: in/s.png: is a socket, not a file: passed over",
    ]
    assert albums.files(here / "out") == albums.becomes(originals)


@posix
def test_what_a_list_names_besides_pictures(here: Path) -> None:
    os.mkfifo("pipe.jpg")
    Path("list").write_text("pipe.jpg\nzero\ngone.jpg\n")
    os.symlink("/dev/zero", "zero")
    done = run("compress", "--files-from", "list", "-o", "out")
    assert done.returncode == 1
    assert faults(done.stderr) == [
        "aecodec: gone.jpg: no such file",
        "aecodec: pipe.jpg: is a named pipe, not a file",
        "aecodec: zero: is a device, not a file",
    ]


@posix
def test_an_unreadable_file_and_an_unreadable_folder(here: Path) -> None:
    originals = albums.fill(here / "in", 3)
    Path("in/p0000.png").chmod(0)
    Path("in/sea").chmod(0)
    before = without_root()
    try:
        done = run("compress", "in", "-o", "out", "-r", "-j", "1", before=before)
    finally:
        Path("in/sea").chmod(0o755)
    assert done.returncode == 1
    assert faults(done.stderr) == [
        "aecodec: in/p0000.png: cannot be read: permission denied",
        "aecodec: in/sea: cannot be read: permission denied",
    ]
    assert albums.files(here / "out") == albums.becomes(originals[1:2])


@posix
def test_an_output_that_is_a_pipe_stops_no_run(here: Path) -> None:
    albums.fill(here / "in", 2)
    Path("out").mkdir()
    os.mkfifo("out/p0000.aec")  # nobody reads it
    done = run("compress", "in", "-o", "out", "-r", "-j", "1", "-f")
    assert done.returncode == 1
    assert faults(done.stderr) == [
        "aecodec: in/p0000.png: the output out/p0000.aec is a named pipe"
    ]
    assert Path("out/alps/p0001.aec").exists()


@posix
def test_a_read_only_folder(here: Path) -> None:
    originals = albums.fill(here / "in", 3)
    Path("out/alps").mkdir(parents=True)
    Path("out/alps").chmod(0o555)
    done = run("compress", "in", "-o", "out", "-r", "-j", "1", before=without_root())
    assert done.returncode == 1
    assert faults(done.stderr) == [
        "aecodec: in/alps/p0001.jpg: cannot write out/alps/p0001.aec: its folder is read-only"
    ]
    assert len(albums.files(here / "out")) == len(originals) - 1
    Path("out").chmod(0o555)
    try:
        done = run("compress", "in", "-o", "out/new", "-r", before=without_root())
    finally:
        Path("out").chmod(0o755)
    assert done.returncode == 1
    assert faults(done.stderr) == ["aecodec: cannot make the folder out/new: permission denied"]
    Path("in").chmod(0o555)
    try:
        done = run("compress", "in", "-r", before=without_root())
    finally:
        Path("in").chmod(0o755)
    assert done.returncode == 1
    assert faults(done.stderr) == [
        f"aecodec: cannot write the manifest in/{NAME}: permission denied"
    ]


def test_a_full_disk(here: Path) -> None:
    originals = albums.fill(here / "in", 12, side=160)
    with small_disk(here / "disk", "48k"):
        done = run("compress", "in", "-o", "disk/out", "-r", "-q", "90", "-j", "2")
        assert done.returncode == 1
        told = faults(done.stderr)
        assert any("no space left on device" in line for line in told)
        assert all("no space left on device" in line or "manifest" in line for line in told)
        made = albums.files(here / "disk/out")
        assert 0 < len(made) < len(originals)
        for name in made:
            codec.verify((here / "disk/out" / name).read_bytes(), full=True)
        assert leftovers(here / "disk") in ([NAME], [])
        # The torn manifest is no obstacle once there is room.
        subprocess.run(["mount", "-o", "remount,size=4m", "disk"], check=True)
        again = run("compress", "in", "-o", "disk/out", "-r", "-q", "90", "-j", "2", "--json")
        assert again.returncode == 0, again.stderr
        assert albums.files(here / "disk/out") == albums.becomes(originals)
        assert Counter(albums.done(here / "disk/out" / NAME)).keys() == set(originals)


@posix
def test_a_link_that_leads_out_of_the_output_folder(here: Path) -> None:
    albums.fill(here / "in", 3)
    Path("out").mkdir()
    Path("elsewhere").mkdir()
    os.symlink("../elsewhere", "out/alps")
    done = run("compress", "in", "-o", "out", "-r", "-j", "1")
    assert done.returncode == 1
    assert faults(done.stderr) == [
        "aecodec: in/alps/p0001.jpg: out/alps/p0001.aec would leave the output folder "
        "through a link"
    ]
    assert list(Path("elsewhere").iterdir()) == []


def test_a_file_where_a_folder_is_needed(here: Path) -> None:
    albums.fill(here / "in", 3)
    Path("out").mkdir()
    Path("out/alps").write_text("mine")
    done = run("compress", "in", "-o", "out", "-r", "-j", "1")
    assert done.returncode == 1
    assert faults(done.stderr) == [
        "aecodec: in/alps/p0001.jpg: cannot make the folder out/alps: a file is there"
    ]
    assert Path("out/alps").read_text() == "mine"


def test_an_input_that_vanishes_before_its_turn(here: Path) -> None:
    (picture,) = albums.photographs(1)
    picture.save("a.png")
    jobs = [
        Job("gone.png", "gone.aec", "gone"),
        Job("a.png", "a.aec", "a"),
    ]
    gone, made = pool.run(Task(), iter(jobs), 1)
    assert (gone.status, gone.error) == ("failed", "no such file")
    assert made.status == "done"


# ------------------------------------------------------------------------------- workers that die


@posix
@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV"])
def test_a_worker_that_dies_takes_one_file_with_it(here: Path, name: str) -> None:
    """A kill from outside, as the out-of-memory killer does it, and a crash of native code."""
    albums.fill(here / "in", 8)
    workers: list[int] = []
    paths = sorted(Path("in").rglob("*.*"))

    def jobs() -> Iterator[Job]:
        for index, path in enumerate(paths):
            yield Job(str(path), f"{path.stem}.aec", path.name)
            if index == 3:  # its pipe has the job, and it will not come to it
                os.kill(workers[0], signal.Signals[name])

    results = list(pool.run(Task(threads=1), jobs(), 1, started=workers.append))
    assert len(results) == 8
    (failed,) = [result for result in results if result.status == "failed"]
    assert failed.error_type == "WorkerDiedError"
    assert name in failed.error
    assert len(workers) == 2
    assert sorted(p.name for p in here.glob("*.aec")) == sorted(
        f"{path.stem}.aec" for path in paths if str(path) != failed.source
    )


@lists_children
def test_a_worker_that_dies_in_the_middle_of_a_run(here: Path) -> None:
    """The same through the command, with two workers: the one that is killed is a real child."""
    albums.fill(here / "in", 60)
    process = start("compress", "in", "-o", "out", "-r", "-j", "2", "--json")
    assert process.stdout is not None
    process.stdout.readline()
    children = [
        pid for pid in children_of(process.pid) if b"resource_tracker" not in command_line(pid)
    ]
    assert len(children) == 2
    os.kill(children[0], signal.SIGKILL)
    # Not by `communicate`, which passes over what `readline` has read ahead.
    told = [json.loads(line) for line in process.stdout.read().splitlines()]
    process.communicate(timeout=100)
    failed = [line for line in told if not line["ok"]]
    assert len(told) == 59
    assert len(failed) <= 1  # none if it was killed between two files
    assert process.returncode == len(failed)
    assert all("SIGKILL: out of memory?" in line["error"] for line in failed)
    again = run("compress", "in", "-o", "out", "-r", "-j", "2")
    assert again.returncode == 0
    assert len(albums.files(here / "out")) == 60


def children_of(pid: int) -> list[int]:
    """The child processes of a process, by Linux's own account."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@lists_children
def test_workers_leave_when_the_client_is_killed(here: Path) -> None:
    albums.fill(here / "in", 60)
    process = start("compress", "in", "-o", "out", "-r", "-j", "2", "--json")
    assert process.stdout is not None
    process.stdout.readline()
    children = children_of(process.pid)
    process.kill()
    process.communicate()
    wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def test_a_worker_that_cannot_start_ends_the_run_with_one_line(here: Path) -> None:
    albums.fill(here / "in", 3)
    broken = here / "weights" / DEFAULT_MODEL
    shutil.copytree(WEIGHTS / DEFAULT_MODEL, broken)
    (broken / "analysis8.onnx").write_bytes(b"no graph")
    done = run(
        *("compress", "in", "-o", "out", "-r"), env={"AECODEC_WEIGHTS": str(here / "weights")}
    )
    assert done.returncode == 1
    assert b"ONNX Runtime can't load it" in done.stderr
    assert b"Traceback" not in done.stderr
    assert albums.files(here / "out") == []


# ------------------------------------------------------------------------ interrupted and resumed


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on_where_it_stopped(here: Path, number: signal.Signals) -> None:
    originals = albums.fill(here / "in", 60)
    process = start(
        "compress", "in", "-o", "out", "-r", "-j", "2", "--json", start_new_session=True
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    # Ctrl-C reaches the whole group: the workers, too.
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    stdout, stderr = process.communicate(timeout=100)
    assert process.returncode == 130
    assert b"interrupted" in stderr
    assert b"run the same command again for the rest" in stderr
    assert b"Traceback" not in stderr
    made = [json.loads(line)["target"] for line in (first + stdout).splitlines()]
    assert 0 < len(made) < len(originals)
    assert leftovers(here / "out") == [NAME]
    again = run("compress", "in", "-o", "out", "-r", "-j", "2", "--json")
    assert again.returncode == 0, again.stderr
    kept = [json.loads(x) for x in again.stdout.splitlines()]
    assert set(made) <= {line["target"] for line in kept if line["status"] == "kept"}
    assert sorted(albums.done(here / "out" / NAME)) == sorted(originals)
    assert albums.files(here / "out") == albums.becomes(originals)


@posix
def test_killed_twenty_times_and_nothing_is_lost_or_done_twice(here: Path) -> None:
    """2,000 photographs, 100 of them broken; kill -9 at 20 random moments."""
    good = albums.fill(here / "in", 1900)  # twice what is done between the kills
    bad = albums.spoil(here / "in", 100)
    arguments = ("compress", "in", "-o", "out", "-r", "-j", "2", "--json")
    dice = random.Random(5)
    first_seen: dict[str, tuple[int, int]] = {}

    def look() -> int:
        """Every output that was ever seen is still the same file."""
        for name in albums.files(here / "out"):
            status = os.stat(here / "out" / name)
            now = (status.st_ino, status.st_mtime_ns)
            assert first_seen.setdefault(name, now) == now, f"{name} was made twice"
        return len(first_seen)

    for kill in range(20):
        process = start(*arguments, stdout=subprocess.DEVNULL, start_new_session=True)
        # Some die while they start, others after some files, wherever they are then.
        goal = look() + dice.randrange(80) if kill % 5 else 0
        wait_until(lambda: process.poll() is not None or look() >= goal)  # noqa: B023
        time.sleep(dice.random() * (0.05 if kill % 5 else 1.0))
        if kill % 2:  # the workers outlive the client, or do not
            process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert 20 < look() < len(good), "the kills did not strike in the middle of the work"

    final = run(*arguments)
    assert final.returncode == 1
    told = [json.loads(line) for line in final.stdout.splitlines()]
    assert sorted(line["source"] for line in told if not line["ok"]) == sorted(
        f"in/{name}" for name in bad
    )
    assert look() == len(good)
    assert albums.files(here / "out") == albums.becomes(good)
    assert Counter(albums.done(here / "out" / NAME)) == Counter(good)
    for index, name in enumerate(albums.files(here / "out")):
        codec.verify((here / "out" / name).read_bytes(), full=index % 10 == 0)
    if NAMELESS:
        assert leftovers(here / "out") == [NAME]


def test_an_output_that_was_written_but_not_noted_is_adopted(here: Path) -> None:
    """The narrowest moment: killed after the output had its name, before the manifest said so."""
    originals = albums.fill(here / "in", 3)
    assert run("compress", "in", "-o", "out", "-r", "-j", "1").returncode == 0
    log = here / "out" / NAME
    kept = [x for x in log.read_bytes().splitlines(True) if not x.startswith(b'{"done":"alps')]
    log.write_bytes(b"".join(kept))
    before = os.stat("out/alps/p0001.aec")
    again = run("compress", "in", "-o", "out", "-r", "-j", "1")
    assert again.returncode == 0, again.stderr
    assert os.stat("out/alps/p0001.aec").st_ino == before.st_ino
    assert sorted(albums.done(log)) == sorted(originals)
    # A damaged one is not adopted, and neither replaced without being asked to.
    log.write_bytes(b"".join(kept))
    Path("out/alps/p0001.aec").write_bytes(b"damaged")
    again = run("compress", "in", "-o", "out", "-r", "-j", "1")
    assert again.returncode == 1
    assert b"exists already" in again.stderr


def test_resumed_after_sources_were_deleted(here: Path) -> None:
    """--rm, killed between deleting the source and noting it: nothing is missed."""
    originals = albums.fill(here / "in", 4)
    (here / "list").write_text("\n".join(originals))
    arguments = ("compress", "in", "--files-from", "list", "-o", "out", "-j", "1", "--rm")
    assert run(*arguments).returncode == 0
    assert albums.files(here / "in") == []
    assert len(albums.files(here / "out")) == 4


def test_two_runs_at_once_do_no_harm(here: Path) -> None:
    originals = albums.fill(here / "in", 80)
    arguments = ("compress", "in", "-o", "out", "-r", "-j", "1", "--json")
    runs = [start(*arguments) for _ in range(2)]
    ends = [process.communicate(timeout=100) for process in runs]
    assert [process.returncode for process in runs] == [0, 0], ends
    told = [[json.loads(line) for line in stdout.splitlines()] for stdout, _ in ends]
    assert [len(lines) for lines in told] == [80, 80]
    assert albums.files(here / "out") == albums.becomes(originals)
    for name in albums.files(here / "out"):
        codec.verify((here / "out" / name).read_bytes())
    assert set(albums.done(here / "out" / NAME)) == set(originals)
    assert leftovers(here / "out") == [NAME]


def test_two_runs_that_delete_sources_lose_nothing(here: Path) -> None:
    originals = albums.fill(here / "in", 40)
    arguments = ("compress", "in", "-o", "out", "-r", "-j", "1", "--rm")
    runs = [start(*arguments, env=command.environment()) for _ in range(2)]
    for process in runs:
        process.communicate(timeout=100)
    assert albums.files(here / "out") == albums.becomes(originals)
    for name in albums.files(here / "out"):
        codec.verify((here / "out" / name).read_bytes(), full=True)
    run(*arguments)
    assert albums.files(here / "in") == []


def test_results_of_a_pool_are_complete_whatever_the_order(here: Path) -> None:
    paths = [here / "in" / name for name in albums.fill(here / "in", 12)]
    bad = [here / "in" / name for name in albums.spoil(here / "in", 5)]
    jobs = [Job(str(p), f"{i}.aec", str(p)) for i, p in enumerate([*paths, *bad])]
    results: list[Result] = list(pool.run(Task(threads=1), iter(jobs), 2))
    assert sorted(r.key for r in results) == sorted(job.key for job in jobs)
    assert sum(r.status == "failed" for r in results) == 5
