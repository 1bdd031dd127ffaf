"""Naming, refusing, and the promise that an output is whole or not there at all."""

from __future__ import annotations

import io
import os
import signal
import stat
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import command
import memory
import pytest
from system import posix, small_disk

from aecodec import files
from aecodec.bitstream import ColourMode, Header, pack
from aecodec.errors import InputError, LimitError, OutputError, OutputExistsError
from aecodec.files import COMPRESSED, RESTORED, Job, UsageFault

if sys.platform != "win32":
    import resource


def targets(jobs: list[Job]) -> list[str]:
    return [job.target for job in jobs]


# ----------------------------------------------------------------------------------------- naming


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("photo.jpg", "photo.aec"),
        ("PHOTO.JPEG", "PHOTO.aec"),
        ("dir/photo.png", "dir/photo.aec"),
        ("archive.tar.png", "archive.tar.aec"),
        ("photo", "photo.aec"),
        (".hidden", ".hidden.aec"),
        ("/a/b.c/photo", "/a/b.c/photo.aec"),
    ],
)
def test_a_compressed_file_stands_beside_its_source(source: str, target: str) -> None:
    assert files.plan([source], None, COMPRESSED) == [Job(source, target)]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("photo.aec", "photo.png"),
        ("PHOTO.AEC", "PHOTO.png"),
        ("a.jpg.aec", "a.jpg.png"),
        ("download.bin", "download.bin.png"),
        ("dir.aec/photo", "dir.aec/photo.png"),
    ],
)
def test_a_restored_file_stands_beside_its_source(source: str, target: str) -> None:
    assert files.plan([source], None, RESTORED) == [Job(source, target)]


def test_inputs_that_would_become_one_file_keep_their_suffix() -> None:
    jobs = files.plan(["a.jpg", "b.jpg", "a.png"], None, COMPRESSED)
    assert targets(jobs) == ["a.jpg.aec", "b.aec", "a.png.aec"]


def test_the_kept_suffix_may_clash_in_its_turn() -> None:
    jobs = files.plan(["a.jpg", "a.png", "a.jpg.tif"], None, COMPRESSED)
    assert targets(jobs) == ["a.jpg.aec", "a.png.aec", "a.jpg.tif.aec"]


def test_names_that_differ_in_case_alone_clash() -> None:
    jobs = files.plan(["a.jpg", "A.png"], None, COMPRESSED)
    assert targets(jobs) == ["a.jpg.aec", "A.png.aec"]


def test_an_input_given_twice_is_done_once() -> None:
    jobs = files.plan(["a.jpg", "b.jpg", "./a.jpg"], None, COMPRESSED)
    assert targets(jobs) == ["a.aec", "b.aec"]


def test_equal_names_in_different_folders_do_not_clash() -> None:
    jobs = files.plan(["x/a.jpg", "y/a.jpg"], None, COMPRESSED)
    assert targets(jobs) == ["x/a.aec", "y/a.aec"]


def test_output_folder(here: Path) -> None:
    Path("out").mkdir()
    for output in ("out", "out/"):
        jobs = files.plan(["x/a.jpg", "b.png"], output, COMPRESSED)
        assert [os.path.normpath(t) for t in targets(jobs)] == ["out/a.aec", "out/b.aec"]


def test_one_name_from_two_folders_into_one_is_refused(here: Path) -> None:
    Path("out").mkdir()
    with pytest.raises(UsageFault, match=r"x/a\.jpg and y/a\.jpg would both become"):
        files.plan(["x/a.jpg", "y/a.jpg"], "out", COMPRESSED)


def test_several_inputs_cannot_become_one_file(here: Path) -> None:
    Path("file.aec").touch()
    for output in ("file.aec", "missing", "-"):
        with pytest.raises(UsageFault, match="2 inputs cannot become one file"):
            files.plan(["a.jpg", "b.jpg"], output, COMPRESSED)


def test_output_folder_that_is_missing(here: Path) -> None:
    with pytest.raises(UsageFault, match="the output folder missing/ does not exist"):
        files.plan(["a.jpg"], "missing/", COMPRESSED)


def test_standard_input_is_alone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(UsageFault, match="only input"):
        files.plan(["-", "a.jpg"], None, COMPRESSED)
    Path("out").mkdir()
    with pytest.raises(UsageFault, match="has no name"):
        files.plan(["-"], "out", COMPRESSED)
    assert files.plan(["-"], "x.aec", COMPRESSED) == [Job("-", "x.aec")]
    assert files.plan(["./-"], None, COMPRESSED) == [Job("./-", "./-.aec")]


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("a.png", "PNG"),
        ("a.PNG", "PNG"),
        ("a.jpg", "JPEG"),
        ("a.tif", "TIFF"),
        ("a.webp", "WEBP"),
        ("a", "PNG"),
        ("-", "PNG"),
    ],
)
def test_picture_format(target: str, name: str) -> None:
    assert files.picture_format(target) == name


@pytest.mark.parametrize("target", ["a.aec", "a.txt", "a.svg", "a.psd"])
def test_formats_that_cannot_be_written(target: str) -> None:
    with pytest.raises(UsageFault, match="is not a picture format that can be written"):
        files.picture_format(target)


def test_shown_is_one_printable_line() -> None:
    assert files.shown("é b.jpg") == "é b.jpg"
    assert files.shown("a\nb\x1b[31m\udcff") == r"a\nb\x1b[31m\udcff"


# ---------------------------------------------------------------------------------------- reading


def small_file(payload: bytes = b"\0\0\0\0") -> bytes:
    return pack(Header(8, 8, ColourMode.RGB, 75, b"model-id"), [payload])


def test_a_compressed_file_is_read_whole(here: Path) -> None:
    data = small_file(os.urandom(3 << 20))
    Path("a.aec").write_bytes(data)
    assert files.read_compressed("a.aec") == data


def test_what_follows_a_compressed_file_is_seen_but_not_read_endlessly(here: Path) -> None:
    data = small_file()
    Path("a.aec").write_bytes(data + bytes(10))
    assert files.read_compressed("a.aec") == data + bytes(10)
    Path("b.aec").write_bytes(data)
    with open("b.aec", "r+b") as file:
        file.truncate(1 << 40)  # a hole of a terabyte
    assert len(files.read_compressed("b.aec")) == len(data) + files.TRAILING_BYTES


def header_that_promises(body_size: bytes) -> bytes:
    """A small file's header with another body length (a varint) and a true checksum."""
    head = small_file()[:24] + body_size
    return head + zlib.crc32(head).to_bytes(4, "little")


@posix
def test_a_header_that_promises_much_costs_no_memory(here: Path) -> None:
    head = header_that_promises(b"\xff\xff\xff\xff\x03")  # just under 1 GiB
    Path("a.aec").write_bytes(head + bytes(100))
    script = """
        from aecodec import files
        from aecodec.machine import peak_mib
        before = peak_mib()
        assert files.read_compressed("a.aec") == open("a.aec", "rb").read()
        print(peak_mib() - before)
    """
    run = memory.run_apart(script)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 19.5  # MiB


def test_a_header_that_promises_too_much_is_refused(here: Path) -> None:
    Path("a.aec").write_bytes(header_that_promises(b"\xff\xff\xff\xff\x7f"))  # 32 GiB
    with pytest.raises(LimitError, match="bytes, and the limit is"):
        files.read_compressed("a.aec")


@posix
def test_an_endless_device_is_refused_at_once() -> None:
    assert len(files.read_compressed("/dev/zero")) < 100


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("missing.aec", "no such file"),
        (".", "is a folder, not a file"),
        ("a\0b", "cannot be read: .*embedded null .*"),
        ("x" * 300, "cannot be read: file name too long"),
    ],
)
def test_what_cannot_be_read_says_so(here: Path, name: str, fault: str) -> None:
    with pytest.raises(InputError, match=f"^{fault}$"):
        files.read_compressed(name)


# ---------------------------------------------------------------------------------------- writing


def write(target: str | Path, data: bytes = b"new", *, force: bool = False) -> None:
    with files.writing(str(target), force=force) as file:
        file.write(data)


def test_an_output_appears_whole(here: Path) -> None:
    with files.writing("a.aec", force=False) as file:
        file.write(b"half")
        file.flush()
        assert not Path("a.aec").exists()
        assert len(command.leftovers(here)) <= 1  # none where files need no name
        file.write(b"whole")
    assert Path("a.aec").read_bytes() == b"halfwhole"
    assert command.leftovers(here) == []


@posix
def test_permissions_follow_umask(here: Path) -> None:
    old = os.umask(0o027)
    try:
        write("a.aec")
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat("a.aec").st_mode) == 0o640


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, MemoryError])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    here: Path, error: type[BaseException]
) -> None:
    Path("a.aec").write_bytes(b"old")
    with pytest.raises(error), files.writing("a.aec", force=True) as file:
        file.write(b"half")
        raise error
    assert Path("a.aec").read_bytes() == b"old"
    assert command.leftovers(here) == []


def test_an_existing_output_is_kept_without_force(here: Path) -> None:
    Path("a.aec").write_bytes(b"old")
    with pytest.raises(OutputExistsError, match=r"a\.aec exists already: -f replaces it"):
        files.check_output("a.aec", force=False)
    files.check_output("a.aec", force=True)
    write("a.aec", force=True)
    assert Path("a.aec").read_bytes() == b"new"


def test_a_file_that_appears_meanwhile_is_kept_without_force(here: Path) -> None:
    with (
        pytest.raises(OutputExistsError),
        files.writing("a.aec", force=False) as file,
    ):
        file.write(b"new")
        Path("a.aec").write_bytes(b"another process was faster")
    assert Path("a.aec").read_bytes() == b"another process was faster"
    assert command.leftovers(here) == []


def test_without_hard_links_an_existing_file_is_still_kept(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")  # what FAT answers

    monkeypatch.setattr(os, "link", refuse)
    write("a.aec")
    assert Path("a.aec").read_bytes() == b"new"
    with pytest.raises(OutputExistsError):
        write("a.aec", b"newer")
    assert Path("a.aec").read_bytes() == b"new"
    assert command.leftovers(here) == []


@posix
def test_an_output_is_never_an_input(here: Path) -> None:
    Path("a.aec").write_bytes(b"a picture by another name")
    os.link("a.aec", "same.aec")
    os.symlink("a.aec", "link.aec")
    inputs = files.identities(["a.aec", "missing.jpg"])
    for target in ("a.aec", "./a.aec", "same.aec", "link.aec"):
        for force in (False, True):
            with pytest.raises(OutputError, match="would replace an input"):
                files.check_output(target, force=force, inputs=inputs)


@posix
def test_a_link_stays_a_link(here: Path) -> None:
    Path("store").mkdir()
    Path("store/real.aec").write_bytes(b"old")
    os.symlink("store/real.aec", "link.aec")
    with pytest.raises(OutputExistsError):
        files.check_output("link.aec", force=False)
    write("link.aec", force=True)
    assert Path("link.aec").is_symlink()
    assert Path("store/real.aec").read_bytes() == b"new"


@posix
def test_a_link_to_nothing_is_an_existing_name(here: Path) -> None:
    os.symlink("gone.aec", "link.aec")
    with pytest.raises(OutputExistsError):
        files.check_output("link.aec", force=False)
    files.check_output("link.aec", force=True)
    write("link.aec", force=True)
    assert Path("gone.aec").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ("missing/a.aec", "the output folder missing does not exist"),
        ("folder", "the output folder is a folder"),
        ("file/a.aec", "cannot write file/a.aec: not a directory"),
        ("x" * 300, "file name too long"),
        ("a\0b", "embedded null"),
    ],
)
def test_outputs_that_cannot_be(here: Path, target: str, fault: str) -> None:
    Path("folder").mkdir()
    Path("file").touch()
    with pytest.raises(OutputError, match=fault):
        files.check_output(target, force=True)


@posix
def test_a_named_pipe_gets_everything_and_stays(here: Path) -> None:
    os.mkfifo("pipe")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(Path("pipe").read_bytes()))
    reader.start()
    files.check_output("pipe", force=False)
    write("pipe", b"x" * 300_000)
    reader.join(10)
    assert got == [b"x" * 300_000]
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)


@posix
def test_a_named_pipe_gets_nothing_of_a_failure(here: Path) -> None:
    os.mkfifo("pipe")
    with pytest.raises(RuntimeError), files.writing("pipe", force=False) as file:
        file.write(b"half")
        raise RuntimeError
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)


# Writes 64 kB to argv[1], says so, and goes on when it gets a line.
SLOW_WRITER = """
import os
import sys
import signal
from aecodec import files
from aecodec.cli import app
if sys.argv[2] == "named":  # as on a system that has no files without names
    del os.O_TMPFILE
signal.signal(signal.SIGTERM, app.interrupt)
try:
    with files.writing(sys.argv[1], force=True) as file:
        file.write(bytes(65536))
        file.flush()
        print("ready", flush=True)
        sys.stdin.readline()
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture(params=["named", "nameless"])
def slow_writer(here: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    if request.param == "nameless" and not hasattr(os, "O_TMPFILE"):
        pytest.skip("this system has no files without names")
    Path("a.aec").write_bytes(b"old")
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_WRITER, "a.aec", request.param],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=command.environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert len(command.leftovers(here)) == (request.param == "named")
        yield process


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_leaves_no_trace(
    here: Path, slow_writer: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    slow_writer.send_signal(number)
    slow_writer.communicate(timeout=30)
    assert slow_writer.returncode == 130
    assert Path("a.aec").read_bytes() == b"old"
    assert command.leftovers(here) == []


def test_even_a_killed_process_leaves_the_old_file(
    here: Path, slow_writer: subprocess.Popen[bytes]
) -> None:
    slow_writer.kill()
    slow_writer.communicate(timeout=30)
    assert Path("a.aec").read_bytes() == b"old"
    if isinstance(slow_writer.args, list) and slow_writer.args[-1] == "nameless":
        assert command.leftovers(here) == []


@posix
def test_a_file_too_large_for_its_place_is_one_clear_error(here: Path) -> None:
    """A real failed write, wherever the tests run: the limit on the size of a file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"^cannot write a\.aec: file too large$"):
            write("a.aec", bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, old)
    assert list(here.iterdir()) == []


def test_a_full_disk_is_one_clear_error(here: Path) -> None:
    disk = here / "disk"
    with small_disk(disk, "64k"):
        (disk / "a.aec").write_bytes(b"old")
        with pytest.raises(OutputError, match="no space left on device"):
            write(disk / "a.aec", bytes(1_000_000), force=True)
        assert (disk / "a.aec").read_bytes() == b"old"
        assert [path.name for path in disk.iterdir()] == ["a.aec"]


@posix
@pytest.mark.parametrize("nameless", [True, False])
def test_dates_and_permissions_of_an_output(
    here: Path, nameless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not nameless:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    old = os.umask(0o027)
    try:
        with files.writing("a.aec", force=False, dates=(10**18, 2 * 10**18)) as file:
            file.write(b"new")
    finally:
        os.umask(old)
    status = os.stat("a.aec")
    assert (status.st_atime_ns, status.st_mtime_ns) == (10**18, 2 * 10**18)
    assert stat.S_IMODE(status.st_mode) == 0o640
    assert command.leftovers(here) == []


# ------------------------------------------------------------------------------------ whole folders


def test_a_folder_takes_its_name_when_all_is_done(here: Path) -> None:
    with files.making_folder(Path("site")) as work:
        (work / "a").write_text("1")
        assert not Path("site").exists()
    with pytest.raises(RuntimeError), files.making_folder(Path("site")) as work:
        (work / "a").write_text("2")
        raise RuntimeError
    assert Path("site/a").read_text() == "1"
    assert [path.name for path in here.iterdir()] == ["site"]


def test_a_fault_of_another_file_names_it(here: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"^cannot write site: photo\.jpg: no such file"),
        files.making_folder(Path("site")),
    ):
        Path("photo.jpg").read_bytes()
    with (
        pytest.raises(OutputError, match=r"^cannot write site: no such file"),
        files.making_folder(Path("site")) as work,
    ):
        (work / "no" / "folder").write_bytes(b"")


def test_a_folder_that_cannot_be_put_back_is_not_deleted(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails between two renamings, and goes on failing."""
    Path("site").mkdir()
    Path("site/only-copy").write_text("1")
    rename = os.rename

    def once(before: object, after: object) -> None:
        monkeypatch.setattr(
            os, "rename", lambda *_: (_ for _ in ()).throw(OSError(5, "disk failed"))
        )
        rename(before, after)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "rename", once)
    with pytest.raises(OutputError, match="disk failed"), files.making_folder(Path("site")):
        pass
    assert [path.read_text() for path in here.rglob("only-copy")] == ["1"]
