"""Pipes, terminals, named pipes and odd files."""

from __future__ import annotations

import os
import stat
import sys
import threading
from pathlib import Path

from command import lines, one_fault, run, take
from system import posix, without_root

if sys.platform != "win32":
    import pty


def test_standard_input_and_output(shelf: Path, here: Path) -> None:
    photo = (shelf / "photo.png").read_bytes()
    packed = run("compress", "-", input=photo)
    assert packed.returncode == 0
    assert packed.stdout == (shelf / "photo.aec").read_bytes()
    assert packed.stderr.startswith(b"- -> -  ")
    unpacked = run("decompress", "-", "-o", "x.png", input=packed.stdout)
    assert unpacked.returncode == 0
    assert unpacked.stdout.startswith(b"- -> x.png")
    take(shelf, "photo.aec")
    assert run("decompress", "photo.aec", "-o", "-").stdout == Path("x.png").read_bytes()


def test_a_failure_writes_nothing_to_standard_output(shelf: Path) -> None:
    done = run("decompress", "-", input=(shelf / "damaged.aec").read_bytes())
    assert done.returncode == 1
    assert done.stdout == b""
    assert len(lines(done.stderr)) == 1


def test_a_reader_that_goes_away(shelf: Path) -> None:
    for arguments in (["decompress", "photo.aec", "-o", "-"], ["info", "photo.aec"]):
        readable, writable = os.pipe()
        os.close(readable)
        try:
            done = run(*arguments, cwd=shelf, stdout=writable)
        finally:
            os.close(writable)
        assert done.returncode == 1
        assert b"Traceback" not in done.stderr
        assert b"Exception ignored" not in done.stderr


def read_terminal(terminal: int) -> bytes:
    """All that was written to a pseudo-terminal whose other side is closed."""
    seen = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            return seen
        if not part:
            return seen
        seen += part


@posix
def test_never_binary_to_a_terminal(shelf: Path, here: Path) -> None:
    take(shelf, "photo.png", "photo.aec")
    for arguments, feed in (
        (["compress", "photo.png", "-o", "-"], None),
        (["decompress", "photo.aec", "-o", "-"], None),
        (["compress", "-"], Path("photo.png")),
        (["compress", "photo.png", "-o", "/dev/tty"], None),
    ):
        terminal, side = pty.openpty()
        name = os.ttyname(side)
        real = [name if argument == "/dev/tty" else argument for argument in arguments]
        with open(feed or os.devnull, "rb") as source:
            done = run(*real, stdin=source, stdout=side)
        os.close(side)
        seen = read_terminal(terminal)
        os.close(terminal)
        assert done.returncode == (1 if "/dev/tty" in arguments else 2)
        assert b"is a terminal" in done.stderr
        assert seen == b""


@posix
def test_standard_input_from_a_terminal_is_refused(here: Path) -> None:
    terminal, side = pty.openpty()
    done = run("compress", "-", "-o", "x.aec", stdin=side)
    os.close(side)
    os.close(terminal)
    assert done.returncode == 2
    assert b"standard input is a terminal" in done.stderr


@posix
def test_progress_is_for_terminals_and_results_stay_clean(shelf: Path, here: Path) -> None:
    take(shelf, "a.png=photo.png", "b.png=photo.png")
    terminal, side = pty.openpty()
    reading = threading.Thread(target=lambda: seen.append(read_terminal(terminal)))
    seen: list[bytes] = []
    reading.start()
    done = run("compress", "a.png", "b.png", stderr=side, env={"TERM": "xterm"})
    os.close(side)
    reading.join(10)
    os.close(terminal)
    assert done.returncode == 0
    assert b"2/2" in seen[0]
    assert [line.split()[0] for line in lines(done.stdout)] == ["a.png", "b.png"]
    assert b"\x1b" not in done.stdout


@posix
def test_named_pipes_as_input_and_output(shelf: Path, here: Path) -> None:
    os.mkfifo("in")
    os.mkfifo("out")
    got: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: Path("in").write_bytes((shelf / "photo.png").read_bytes())),
        threading.Thread(target=lambda: got.append(Path("out").read_bytes())),
    ]
    for thread in threads:
        thread.start()
    done = run("compress", "in", "-o", "out")
    for thread in threads:
        thread.join(10)
    assert done.returncode == 0, done.stderr
    assert got == [(shelf / "photo.aec").read_bytes()]
    assert stat.S_ISFIFO(os.stat("out").st_mode)


def test_a_folder_is_no_picture(here: Path) -> None:
    Path("folder").mkdir()
    for verb in ("compress", "decompress"):
        done = run(verb, "folder")
        assert done.returncode == 1
        one_fault(done, "aecodec: folder: is a folder, not a file: -r takes its files")


@posix
def test_a_read_only_folder(shelf: Path, here: Path) -> None:
    closed = here / "closed"
    closed.mkdir()
    take(shelf, "photo.png")
    closed.chmod(0o555)
    done = run("compress", "photo.png", "-o", "closed/x.aec", before=without_root())
    assert done.returncode == 1
    one_fault(done, "aecodec: photo.png: cannot write closed/x.aec: its folder is read-only")
    assert list(closed.iterdir()) == []
