"""Whole folders: what cannot be looked at is named, and what is said and kept of each output."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import albums
import pytest
from command import run, start
from system import posix, without_root

from aecodec import files
from aecodec.batch import Converter, Plan, Task, storage
from aecodec.batch.manifest import NAME, Manifest
from aecodec.batch.select import Selection
from aecodec.files import UNDATED, Stamp

pytestmark = posix


def faults(stderr: bytes) -> list[str]:
    return sorted(line for line in stderr.decode().splitlines() if line.startswith("aecodec: "))


def picture(path: str) -> None:
    (found,) = albums.photographs(1)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    found.save(path, "PNG")


# --- What cannot be looked at ---------------------------------------------------------------------


@pytest.fixture
def listed_only(here: Path) -> Iterator[Path]:
    """`in` with a folder whose names can be listed, and nothing else."""
    picture("in/top.png")
    picture("in/names/b.png")
    picture("in/names/without-suffix")
    picture("in/names/notes.txt")
    picture("in/names/2019/trip/c.png")
    Path("in/names").chmod(0o644)
    yield here
    Path("in/names").chmod(0o755)


def test_every_name_in_a_folder_that_cannot_be_entered(listed_only: Path) -> None:
    """A folder below it may be full of pictures; a file's kind is unknown without its bytes."""
    expected = [
        f"aecodec: in/names/{name}: cannot be read: permission denied"
        for name in ("2019", "b.png", "notes.txt", "without-suffix")
    ]
    before = without_root()
    for options in ([], ["--dry-run"]):
        done = run("compress", "in", "-o", "out", "-r", "-j", "1", *options, before=before)
        assert done.returncode == 1 and faults(done.stderr) == expected
    assert albums.files(Path("out")) == ["top.aec"]
    done = run("compress", "in", "-o", "out2", "-r", "--include", "*.png", before=before)
    assert done.returncode == 1 and faults(done.stderr) == expected[:2]
    done = run("compress", "in", "-o", "out3", "-r", "--exclude", "names", before=before)
    assert done.returncode == 0 and not faults(done.stderr)


def test_decompress_verify_and_info_name_it_too(here: Path, packed: Path) -> None:
    shutil.copytree(packed / "out", "in/names")
    shutil.copy(next((packed / "out").glob("*.aec")), "in/top.aec")
    Path("in/names").chmod(0o644)
    before = without_root()
    try:
        for arguments in (["decompress", "-o", "back"], ["verify"], ["info"]):
            done = run(*arguments, "-r", "in", before=before)
            assert done.returncode == 1, arguments
            named = faults(done.stderr)
            assert "aecodec: in/names/sea: cannot be read: permission denied" in named
            assert "aecodec: in/names/p0000.aec: cannot be read: permission denied" in named
        done = run("verify", "in/names/p0000.aec", before=before)
        assert done.returncode == 1
        done = run("info", "-r", "in/names", before=before)
        assert done.returncode == 1 and b"no .aec file" not in done.stderr
    finally:
        Path("in/names").chmod(0o755)
    assert albums.files(Path("back")) == ["top.png"]


def test_a_path_beyond_the_systems_limit(here: Path) -> None:
    picture("a.png")
    script = """
import os, shutil
source = os.path.abspath("a.png")
os.mkdir("deep"); os.chdir("deep")
for _ in range(25):
    os.mkdir("d" * 200); os.chdir("d" * 200)
shutil.copy(source, "deep.png")
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    done = run("compress", "deep", "-o", "out", "-r", "-j", "1")
    (fault,) = faults(done.stderr)
    assert done.returncode == 1 and fault.endswith("dd: cannot be read: file name too long")


@pytest.mark.parametrize("error", ["EIO", "ESTALE"])
def test_a_disk_or_a_server_that_fails(here: Path, error: str) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not there to make a system call fail")
    if subprocess.run([strace, "-qq", "-o", "/dev/null", "true"], check=False).returncode:
        pytest.skip("strace may not trace here")
    picture("in/sub/x.png")
    picture("in/fine/y.png")
    calls = "newfstatat,stat,lstat,statx"
    before = [strace, "-f", "-qq", "-o", "/dev/null", "-P", "in/sub", "-P", str(here / "in/sub")]
    before += ["-e", f"trace={calls}", "-e", f"inject={calls}:error={error}"]
    done = run("compress", "in", "-o", "out", "-r", "-j", "1", before=before)
    named = {"EIO": "input/output error", "ESTALE": "stale file handle"}[error]
    assert done.returncode == 1
    assert f"aecodec: in/sub: cannot be read: {named}" in faults(done.stderr)
    assert albums.files(Path("out")) == ["fine/y.aec"]


def test_links_in_a_circle_and_strange_names(here: Path) -> None:
    picture("in/a.png")
    picture("in/new\nline.png")
    picture(f"in/{'x' * 251}.png")
    os.symlink("self.png", "in/self.png")
    os.symlink("self", "in/self")  # no picture, as far as anybody knows
    os.symlink(".", "in/here")
    done = run("compress", "in", "-o", "out", "-r", "-j", "1")
    assert done.returncode == 1
    assert faults(done.stderr) == [
        "aecodec: in/here: is a link back to a folder that holds it: not followed",
        "aecodec: in/self.png: is a link to self.png, which is not there",
    ]
    assert albums.files(Path("out")) == sorted(["a.aec", "new\nline.aec", f"{'x' * 251}.aec"])


# --- Addresses of this machine --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("file:///a/b.png", "/a/b.png"),
        ("FILE:///a/b.png", "/a/b.png"),
        ("file://localhost/a/b", "/a/b"),
        ("local:///a", "/a"),
        ("file:///C:/a", "C:/a"),
        ("file:a", "file:a"),
        ("s3://bucket/a", "s3://bucket/a"),
        ("/a/file://b", "/a/file://b"),
    ],
)
def test_a_file_address_is_a_path(address: str, path: str) -> None:
    assert storage.plain(address) == path


def test_outputs_at_a_file_address_obey_the_rules_of_paths(here: Path) -> None:
    """Dates, permissions and refusals: a store's rules are weaker."""
    picture("in/a.png")
    os.utime("in/a.png", ns=(5, 5))
    Path("in/a.png").chmod(0o640)
    source, target = f"file://{here}/in/a.png", f"file://{here}/out/a.aec"
    assert run("compress", source, "-o", target, "--keep-dates").returncode == 0
    found = Path("out/a.aec").stat()
    assert found.st_mtime_ns == 5 and stat.S_IMODE(found.st_mode) == 0o640
    again = run("compress", source, "-o", target)
    assert again.returncode == 1 and b"exists already" in again.stderr
    os.symlink(here / "in", "out/link")
    onto = run("compress", "-f", "-r", f"file://{here}/in", "-o", f"file://{here}/in")
    assert onto.returncode == 0 and albums.files(Path("in")) == ["a.aec", "a.png"]
    Path("list").write_text(f"file://{here}/in/a.png\n")
    done = run("decompress", "--files-from", "list", "-o", "back")
    assert done.returncode == 1  # a picture is no .aec file, wherever it is read from
    columns = {"source": [source], "target": [f"file://{here}/third/a.aec"]}
    Converter(Task())(columns)
    assert stat.S_IMODE(Path("third/a.aec").stat().st_mode) == 0o640
    plan = Plan(Task(), [source], f"file://{here}/x")
    assert plan.inputs == [f"{here}/in/a.png"] and plan.output == f"{here}/x"


# --- Dates ----------------------------------------------------------------------------------------


def test_the_first_of_january_1970_is_a_date(here: Path) -> None:
    dates = {"zero": 0, "one": 10**9, "before": -300_000_000 * 10**9}
    for name, date in dates.items():
        picture(f"in/{name}.png")
        os.utime(f"in/{name}.png", ns=(date, date))
    assert run("compress", "in", "-o", "out", "-r", "--keep-dates", "-j", "1").returncode == 0
    assert {name: Path(f"out/{name}.aec").stat().st_mtime_ns for name in dates} == dates
    again = run("compress", "in", "-o", "out", "-r", "--keep-dates", "-j", "1")
    assert again.returncode == 0 and b"3 up to date" in again.stdout
    # Nobody has looked at this one's date: then the worker does.
    Converter(Task(keep_dates=True))({"source": ["in/zero.png"], "target": ["z.aec"]})
    assert Path("z.aec").stat().st_mtime_ns == 0
    assert run("compress", "in/zero.png", "-o", "y.aec", "--keep-dates", "--rm").returncode == 0
    assert Path("y.aec").stat().st_mtime_ns == 0 and not Path("in/zero.png").exists()


def test_a_store_that_knows_no_dates() -> None:
    assert storage._remote_stamp({"size": 5}) == Stamp(5, UNDATED)
    assert storage._remote_stamp({"size": 5, "mtime": 0}) == Stamp(5, 0)
    assert Stamp(5, UNDATED).dates is None and Stamp(5, 0).dates == (0, 0)


# --- Permissions ----------------------------------------------------------------------------------


def bits(path: str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


@pytest.mark.parametrize("nameless", [True, False])
def test_an_output_has_no_permission_that_its_source_has_not(
    here: Path, nameless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not nameless:
        monkeypatch.setattr(files, "OPEN_FILES", "/nowhere")
    before = os.umask(0o022)
    try:
        for mode, expected in ((0o600, 0o600), (0o666, 0o644), (0o755, 0o644), (0o440, 0o440)):
            with files.writing("t", force=True, mode=mode & files.ANYONE) as file:
                file.write(b"x")
            assert bits("t") == expected
            os.unlink("t")
    finally:
        os.umask(before)


def test_private_pictures_stay_private(here: Path) -> None:
    picture("in/private.png")
    picture("in/public.png")
    Path("in/private.png").chmod(0o600)
    Path("in/public.png").chmod(0o644)
    shell = ["bash", "-c", 'umask 022; exec "$@"', "-"]
    assert run("compress", "in/private.png", before=shell).returncode == 0
    with open("in/private.png", "rb") as file:
        assert run("compress", "-", "-o", "x.aec", before=shell, stdin=file).returncode == 0
    assert run("compress", "in", "-o", "out", "-r", "--rm", before=shell).returncode == 0
    assert run("decompress", "out/private.aec", "-o", "p.png", before=shell).returncode == 0
    assert run("decompress", "out", "-o", "back", "-r", before=shell).returncode == 0
    for path in ("in/private.aec", "x.aec", "out/private.aec", "p.png", "back/private.png"):
        assert bits(path) == 0o600, path
    assert bits("out/public.aec") == bits("back/public.png") == 0o644
    # What is replaced does not become more public by that.
    Path("out/public.aec").chmod(0o600)
    picture("in/public.png")
    Path("in/public.png").chmod(0o644)
    assert run("compress", "-f", "in/public.png", "-o", "out/public.aec").returncode == 0
    assert bits("out/public.aec") == 0o600


# --- Outputs that a new name makes superfluous ----------------------------------------------------


def test_an_output_of_before_beside_a_new_name(here: Path) -> None:
    picture("in/a.png")
    assert run("compress", "in", "-o", "out", "-r", "-j", "1").returncode == 0
    shutil.copy("in/a.png", "in/a.jpg")
    done = run("compress", "in", "-o", "out", "-r", "-j", "1")
    assert done.returncode == 0
    stays = "aecodec: in/a.png: out/a.aec, its output of before, stays beside out/a.png.aec"
    assert faults(done.stderr) == [stays]
    assert albums.files(Path("out")) == ["a.aec", "a.jpg.aec", "a.png.aec"]
    os.unlink("in/a.jpg")
    os.unlink("out/a.aec")
    done = run("compress", "in", "-o", "out", "-r", "-j", "1")
    stays = "aecodec: in/a.png: out/a.png.aec, its output of before, stays beside out/a.aec"
    assert done.returncode == 0 and faults(done.stderr) == [stays]
    os.unlink("out/a.png.aec")
    assert not faults(run("compress", "in", "-o", "out", "-r").stderr)


def test_a_strangers_file_is_not_called_an_output_of_before(here: Path) -> None:
    """`a.png.aec` is what a file called `a.png.jpg` becomes."""
    picture("in/a.png.jpg")
    picture("in/b.png")
    assert run("compress", "in", "-o", "out", "-r", "-j", "1").returncode == 0
    picture("in/a.png")
    done = run("compress", "in", "-o", "out", "-r", "-j", "1")
    assert done.returncode == 0 and not faults(done.stderr)
    assert albums.files(Path("out")) == ["a.aec", "a.png.aec", "b.aec"]


def test_single_files_with_a_new_name(here: Path) -> None:
    picture("a.png")
    shutil.copy("a.png", "a.jpg")
    assert run("compress", "a.png").returncode == 0
    done = run("compress", "a.png", "a.jpg")
    assert done.returncode == 0
    assert b"a.png: note: a.aec stays beside it: maybe its output of before" in done.stderr
    assert not run("compress", "-f", "a.png").stderr


def test_a_manifest_of_before_knows_no_names(here: Path) -> None:
    with Manifest("m", "compress", {}, {}) as manifest:
        manifest.done("a", Stamp(1, 2), {"bytes": 5})
        manifest.done("b", Stamp(1, 2), {"bytes": 5, "name": "b.aec"})
    with Manifest("m", "compress", {}, {}, read_only=True) as manifest:
        assert not manifest.was_named("a", "a.aec")
        assert manifest.was_named("b", "b.aec") and not manifest.was_named("b", "b.png.aec")
        assert not manifest.was_named("c", "c.aec")


# --- While a run is at work -----------------------------------------------------------------------


def test_the_output_folder_is_deleted_meanwhile(here: Path) -> None:
    """What nobody remembers is not made: the next run would take it for a stranger's."""
    albums.fill(here / "in", 60)
    process = start("compress", "in", "-o", "out", "-r", "-j", "1")
    until = time.monotonic() + 100
    while not list(Path("out").glob("*.aec")) and time.monotonic() < until:
        time.sleep(0.01)
    os.rename("out", "gone")
    shutil.rmtree("gone")
    _, stderr = process.communicate(timeout=100)
    assert process.returncode == 1
    assert b"cannot write the manifest out/" in stderr and b"has been deleted" in stderr
    shutil.rmtree("out", ignore_errors=True)
    assert run("compress", "in", "-o", "out", "-r", "-j", "2").returncode == 0
    assert len(albums.files(Path("out"))) == 60 and (Path("out") / NAME).exists()


def test_selection_counts_what_it_passes_over(here: Path) -> None:
    picture("in/a.png")
    Path("in/notes.txt").write_text("no picture")
    selection = Selection(["in"], "out", files.COMPRESSED, recursive=True)
    assert [item.source for item in selection] == ["in/a.png"] and selection.passed == 1
