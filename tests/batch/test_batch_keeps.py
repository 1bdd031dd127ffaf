"""What a folder run must never do: replace an input or the only copy of a picture, or take another
file's output for its own."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import albums
import pytest
import samples
from command import run, start
from PIL import Image
from system import posix, without_root

from aecodec import codec, conversion, files
from aecodec.batch import Existing, Plan, Result, Task, convert
from aecodec.batch.manifest import NAME, Manifest
from aecodec.batch.select import Selection
from aecodec.batch.worker import Converter
from aecodec.conversion import Encoding
from aecodec.errors import InputError, OutputError
from aecodec.files import COMPRESSED, RESTORED, Job, UsageFault


def pictures(*names: str, start: int = 0) -> dict[str, bytes]:
    """Different small photographs under these names; their bytes."""
    for name, picture in zip(names, albums.photographs(start + len(names))[start:], strict=True):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        picture.convert("RGB").save(name, (Path(name).suffix == ".png" and "PNG") or "JPEG")
    return {name: Path(name).read_bytes() for name in names}


def converted(*inputs: str, output: str | None = "out", **task: object) -> list[tuple[str, str]]:
    """Run `compress -r` in this process; what became of each file, and why not."""
    from aecodec.batch import pool

    told: list[object] = []
    plan = Plan(Task(**task), list(inputs), output, recursive=True)  # type: ignore[arg-type]
    convert(plan, told.append, pool.convert_here)
    return [(event.status, event.error) for event in told if isinstance(event, Result)]


def date(path: str, seconds: int) -> None:
    os.utime(path, ns=(seconds * 10**9, seconds * 10**9))


# --- Inputs ---------------------------------------------------------------------------------------


def test_a_file_that_would_become_itself(here: Path) -> None:
    before = pictures("p.jpg")
    for extra in ("--keep-dates", "--skip-existing", "--rm"):
        done = run("compress", "-f", extra, "p.jpg", "-o", "p.jpg")
        assert done.returncode == 1
        assert b"the output p.jpg would replace the input" in done.stderr
        assert Path("p.jpg").read_bytes() == before["p.jpg"]


def test_pictures_that_are_called_aec(here: Path) -> None:
    """They keep that in their outputs' names, and so does what would become one of them."""
    before = pictures("in/q.aec", "in/q.jpg", "in/r.jpg")
    assert [status for status, _ in converted("in", output=None, existing=Existing.REPLACE)] == [
        "done"
    ] * 3
    assert {name: Path(name).read_bytes() for name in before} == before
    made = {name for name in os.listdir("in") if f"in/{name}" not in before} - {NAME}
    assert made == {"q.aec.aec", "q.jpg.aec", "r.aec"}
    for name in made:
        codec.verify(Path("in", name).read_bytes(), full=True)
    listed = Path("list")
    listed.write_text("q.jpg\nq.aec\nr.jpg\n")
    found = Selection(["in"], None, COMPRESSED, files_from="list")
    names = {os.path.basename(job.target) for job in found if isinstance(job, Job)}
    assert names == made


def test_names_of_which_none_is_free() -> None:
    with pytest.raises(UsageFault, match=r"a\.jpg would become a\.jpg\.aec, which is an input"):
        files.plan_names(["a.jpg", "a.aec", "a.jpg.aec"], None, COMPRESSED)
    (job,) = files.plan_names(["x.png"], None, RESTORED)  # an .aec file of that name
    assert job.target == "x.png.png"


@posix
def test_links_onto_files_that_are_no_outputs(here: Path) -> None:
    before = pictures("in/a.jpg", "in/b.jpg", "in/c.jpg", "elsewhere/d.jpg", "e.jpg")
    Path("out").mkdir()
    os.symlink("../in/a.jpg", "out/a.aec")
    os.symlink("../elsewhere/d.jpg", "out/b.aec")
    os.symlink("in/b.jpg", "e.aec")  # beside its own source, and onto another
    told = converted("in", existing=Existing.REPLACE)
    assert sorted(status for status, _ in told) == ["done", "failed", "failed"]
    assert all("leave the output folder through a link" in why for _, why in told if why)
    done = run("compress", "-f", "--keep-dates", "e.jpg")
    assert done.returncode == 1
    assert b"e.aec is a picture itself: it is not replaced" in done.stderr
    assert {name: Path(name).read_bytes() for name in before} == before


@posix
def test_an_aec_file_is_no_output_of_decompress(here: Path) -> None:
    (picture,) = albums.photographs(1)
    data = codec.compress(picture)
    for name in ("a.aec", "b.aec"):
        Path(name).write_bytes(data)
    os.symlink("b.aec", "a.png")
    done = run("decompress", "-f", "--keep-dates", "a.aec")
    assert done.returncode == 1
    assert b"a.png is an .aec file itself: it is not replaced" in done.stderr
    assert Path("b.aec").read_bytes() == data


# --- Other files' outputs -------------------------------------------------------------------------


@pytest.mark.parametrize("force", [False, True])
def test_an_output_that_another_file_has_replaced(here: Path, force: bool) -> None:
    pictures("in/a.jpg", "other.jpg")
    assert converted("in") == [("done", "")]
    made = Path("out/a.aec").read_bytes()
    other = codec.compress("other.jpg")
    assert len(other) != len(made)
    Path("out/a.aec").write_bytes(other)
    existing = Existing.REPLACE if force else Existing.REFUSE
    ((status, why),) = converted("in", existing=existing)
    assert status == ("done" if force else "failed")
    assert Path("out/a.aec").read_bytes() == (made if force else other)
    assert force or "exists already" in why


def test_a_position_is_taken_out_again(here: Path) -> None:
    """A file that was made anew, with its position, outside of the folder run."""
    Path("in").mkdir()
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    (picture,) = albums.photographs(1)
    picture.convert("RGB").save("in/a.jpg", exif=exif)
    strip = Encoding(strip_gps=True)
    assert converted("in", encoding=strip) == [("done", "")]
    stripped = Path("out/a.aec").read_bytes()
    assert run("compress", "-f", "in/a.jpg", "-o", "out/a.aec").returncode == 0
    assert Path("out/a.aec").read_bytes() != stripped
    assert converted("in", encoding=strip, existing=Existing.REPLACE) == [("done", "")]
    assert Path("out/a.aec").read_bytes() == stripped


def test_files_of_one_name_in_several_folders(here: Path) -> None:
    pictures("A/x.jpg", "A/y.jpg", "B/x.jpg", "B/y.jpg")
    keys = [
        job.key for job in Selection(["A", "B"], None, COMPRESSED, True) if isinstance(job, Job)
    ]
    assert len(set(keys)) == 4
    # With patterns it is the path below the folder that counts, as ever.
    chosen = Selection(["A", "B"], None, COMPRESSED, True, include=["x.jpg", "sub/*"])
    assert len(list(chosen)) == 2
    assert sorted(converted("A", "B", output=None)) == [("done", "")] * 4
    assert sorted(converted("A", "B", output=None)) == [("kept", "")] * 4
    listed = Path("list")
    listed.write_text("A\nB\n")
    from_list = Selection([], None, COMPRESSED, True, files_from="list")
    assert {job.key for job in from_list if isinstance(job, Job)} == {
        "A/x.jpg",
        "A/y.jpg",
        "B/x.jpg",
        "B/y.jpg",
    }


def test_a_strangers_output_among_several_folders(here: Path) -> None:
    pictures("A/x.jpg", "A/y.jpg", "B/y.jpg")
    stranger = codec.compress("B/y.jpg")
    Path("A/y.aec").write_bytes(stranger)
    told = converted("A", "B", output=None)
    assert sorted(status for status, _ in told) == ["done", "done", "failed"]
    assert Path("A/y.aec").read_bytes() == stranger


# --- Sources that are deleted ---------------------------------------------------------------------


@pytest.mark.parametrize("second", ["in/IMG.png", "in/IMG.jpg", "card/IMG.jpg"])
def test_rm_leaves_the_only_copy(here: Path, second: str) -> None:
    """Newer pictures of the same name: nothing but -f replaces the output."""
    pictures("in/IMG.jpg")
    assert converted("in", remove=True) == [("done", "")]
    only = Path("out/IMG.aec").read_bytes()
    date("out/IMG.aec", 1_700_000_000)
    pictures(second, start=1)
    ((status, why),) = converted(second.partition("/")[0], remove=True, existing=Existing.KEEP)
    assert status == "failed" and "maybe the only copy: -f replaces it" in why
    assert Path("out/IMG.aec").read_bytes() == only and Path(second).exists()
    dry = run("compress", second.partition("/")[0], "-o", "out", *["-r", "--rm", "--dry-run"])
    assert dry.returncode == 1 and b"maybe the only copy" in dry.stderr
    told = converted(second.partition("/")[0], remove=True, existing=Existing.KEEP_OR_REPLACE)
    assert told == [("done", "")]
    assert Path("out/IMG.aec").read_bytes() != only and not Path(second).exists()


@pytest.mark.parametrize("second", ["in/sub/IMG.png", "in/sub/IMG.jpg"])
@pytest.mark.parametrize("killed", [False, True])
def test_a_later_run_without_rm_leaves_the_only_copy_too(
    here: Path, second: str, killed: bool
) -> None:
    """`--skip-existing` replaces what is older than its source, and not this."""
    pictures("in/sub/IMG.jpg", "in/sub/other.jpg")
    assert converted("in", remove=True) == [("done", "")] * 2
    if killed:  # right after it had deleted the sources
        manifest = Path("out", NAME)
        lines = manifest.read_text().splitlines(keepends=True)
        manifest.write_text("".join(line for line in lines if not line.startswith('{"done"')))
    only = Path("out/sub/IMG.aec").read_bytes()
    date("out/sub/IMG.aec", 1_700_000_000)
    pictures(second, "in/IMG.jpg", start=1)
    for existing in (Existing.REFUSE, Existing.KEEP):
        told = dict(sorted(converted("in", existing=existing), reverse=True))
        assert "maybe the only copy: -f replaces it" in told["failed"]
    assert Path("out/sub/IMG.aec").read_bytes() == only and Path("out/IMG.aec").exists()
    assert ("done", "") in converted("in", existing=Existing.REPLACE)
    assert Path("out/sub/IMG.aec").read_bytes() != only
    # What is the source's own again may be replaced when that changes.
    pictures(second, start=2)
    date(second, 2_000_000_000)
    assert ("done", "") in converted("in", existing=Existing.KEEP)


def test_the_advice_for_an_older_output_is_true(here: Path) -> None:
    pictures("in/a.jpg")
    assert converted("in") == [("done", "")]
    Path("out", NAME).unlink()
    date("out/a.aec", 1_700_000_000)
    ((status, why),) = converted("in")
    assert status == "failed"
    assert why.endswith(
        "a.aec exists already, older than its source: -f or --skip-existing replaces it"
    )
    assert converted("in", existing=Existing.KEEP) == [("done", "")]


@posix
def test_an_unreadable_source_is_not_done(here: Path) -> None:
    pictures("in/a.jpg")
    assert converted("in") == [("done", "")]
    date("in/a.jpg", 2_000_000_000)
    os.chmod("in/a.jpg", 0)
    arguments = ["compress", "in", "-o", "out", "-r", "-j", "1", "--skip-existing"]
    done = run(*arguments, before=without_root())
    assert done.returncode == 1 and b"permission denied" in done.stderr
    os.chmod("in/a.jpg", 0o600)
    again = run(*arguments, "--json")
    assert again.returncode == 0 and b'"done"' in again.stdout


def test_two_runs_that_delete_sources_both_succeed(here: Path) -> None:
    originals = albums.fill(here / "in", 24)
    runs = [start("compress", "in", "-o", "out", "-r", "-j", "1", "--rm") for _ in range(2)]
    ends = [process.communicate(timeout=100) for process in runs]
    assert [process.returncode for process in runs] == [0, 0], ends
    assert albums.files(here / "in") == []
    assert albums.files(here / "out") == albums.becomes(originals)


def test_a_source_that_another_run_deletes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the reading and the deleting, at each of its steps."""
    from aecodec.batch import storage

    pictures("a.jpg")
    content = Path("a.jpg").read_bytes()
    state = storage.stamp("a.jpg")
    assert state is not None
    job = {"source": ["a.jpg"], "target": ["a.aec"], "size": [state.size]}
    job |= {"time_ns": [state.time_ns], "begun": [True]}
    convert = Converter(Task(remove=True))
    remove, read = storage.remove, storage.read

    def removed_before(path: str) -> None:
        remove(path)
        remove(path)

    def read_and_removed(path: str, *rest: object) -> bytes:
        data = read(path, *rest)  # type: ignore[arg-type]
        if path == "a.jpg":
            os.unlink(path)
        return data

    def gone(path: str, *rest: object) -> bytes:
        if path == "a.jpg":
            Path("a.aec").write_bytes(made)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        return read(path, *rest)  # type: ignore[arg-type]

    made = codec.compress("a.jpg")
    for name, stand_in in (("remove", removed_before), ("read", read_and_removed), ("read", gone)):
        Path("a.jpg").write_bytes(content)
        date("a.jpg", 1_700_000_000)
        job["time_ns"] = [1_700_000_000 * 10**9]
        Path("a.aec").unlink(missing_ok=True)
        with monkeypatch.context() as patch:
            patch.setattr(storage, name, stand_in)
            found = convert(job)
        assert (found["status"], found["error"]) == (["done"], [""])
        assert Path("a.aec").read_bytes() == made and not Path("a.jpg").exists()


# --- The manifest ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["my notes", "\nmy notes\n", "\n", " \n{}\n", "{}", "[1]\n"])
def test_notes_are_no_manifest(here: Path, text: str) -> None:
    Path("notes.txt").write_text(text)
    with pytest.raises(InputError, match=r"notes\.txt is no manifest of aecodec"):
        Manifest("notes.txt", "compress", {}, {})
    assert Path("notes.txt").read_text() == text


# --- Standard streams -----------------------------------------------------------------------------


@posix
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device here that is always full")
def test_a_full_standard_output(here: Path) -> None:
    pictures("in/a.jpg", "in/b.jpg")
    Path("c.aec").write_bytes(codec.compress(samples.photograph(box=(0, 0, 64, 64))))
    for arguments in (
        "info c.aec",
        "info c.aec c.aec --json",
        "--help",
        "compress in -o out -r --json -j 1",
        "compress in -o again -r -j 1",
        "decompress c.aec -o -",
    ):
        with open("/dev/full", "wb") as full:
            done = run(*arguments.split(), stdout=full)
        text = done.stderr.decode()
        assert done.returncode == 1 and "no space left on device" in text.lower(), arguments
        assert "Traceback" not in text and len(text.splitlines()) == 1, (arguments, text)


@posix
def test_closed_standard_streams(here: Path) -> None:
    pictures("a.jpg")
    Path("c.aec").write_bytes(codec.compress("a.jpg"))

    def close(arguments: str, number: int) -> tuple[int, str]:
        done = run(*arguments.split(), preexec_fn=lambda: os.close(number))
        return done.returncode, done.stderr.decode()

    assert close("info c.aec", 1) == (0, "")
    assert close("compress a.jpg", 1) == (0, "")
    code, text = close("compress - -o x.aec", 0)
    assert code == 2 and "standard input is closed" in text and "Traceback" not in text
    code, text = close("compress --files-from - -o .", 0)
    assert code == 2 and "standard input, and that is closed" in text
    code, text = close("compress a.jpg -o -", 1)
    assert code == 2 and "standard output is closed" in text


# --- Which file, and what is wrong with it --------------------------------------------------------


def test_an_aec_file_needs_no_compressing(here: Path) -> None:
    pictures("a.jpg")
    Path("b.aec").write_bytes(codec.compress("a.jpg"))
    for more in ((), ("-f",), ("--keep-dates",)):
        done = run("compress", *more, "b.aec")
        assert done.returncode == 1
        assert done.stderr.startswith(b"aecodec: b.aec: is an .aec file already (`aecodec dec")
        assert sorted(os.listdir()) == ["a.jpg", "b.aec"]


def test_a_full_disk_is_not_the_formats_fault(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("c.aec").write_bytes(codec.compress(samples.photograph(box=(0, 0, 64, 64))))

    def full(picture: Image.Image, *rest: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OutputError, match=r"^cannot write c\.png: no space left on device$"):
        how = conversion.Decompression(conversion.Run())
        conversion.convert(files.Job("c.aec", "c.png"), how, conversion.Here())
    assert os.listdir() == ["c.aec"]


@posix
def test_interrupted_while_it_is_imported(here: Path) -> None:
    """As by Ctrl-C, when the command has just been started."""
    Path("sitecustomize.py").write_text(
        "import sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'aecodec.cli':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
    )
    done = run("--help", env={"PYTHONPATH": str(here)})
    assert (done.returncode, done.stderr) == (130, b"aecodec: interrupted\n")
