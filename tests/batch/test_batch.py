"""Whole folders: which files, by what names, what is skipped, deleted, dated and reported."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import albums
import numpy as np
import pytest
import samples
from command import leftovers, run
from PIL import Image
from system import posix

from aecodec import codec, files
from aecodec.batch import Plan, Result, Task, convert
from aecodec.batch.manifest import NAME, Left, Manifest
from aecodec.batch.places import Stamp
from aecodec.batch.run import Event
from aecodec.batch.select import Fault, Job, Note, Selection
from aecodec.batch.worker import Converter
from aecodec.conversion import Encoding
from aecodec.errors import InputError
from aecodec.files import COMPRESSED, RESTORED, UsageFault

if sys.platform != "win32":
    import pty


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `in` with photographs, and `out` with what was made of it."""
    folder = tmp_path_factory.mktemp("packed")
    albums.fill(folder / "in", 6)
    done = run("compress", "in", "-o", "out", "-r", "-j", "2", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def lines(stream: bytes) -> list[str]:
    return stream.decode().splitlines()


def objects(stream: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in lines(stream)]


def select(*inputs: str, output: str | None = "out", **options: object) -> list[object]:
    return list(Selection(inputs, output, COMPRESSED, **options))  # type: ignore[arg-type]


def names(items: list[object]) -> list[tuple[str, str]]:
    assert all(isinstance(item, Job) for item in items), items
    return sorted((item.key, item.target) for item in items if isinstance(item, Job))


def convert_here(plan: Plan) -> list[Event]:
    """Run a plan in this process; everything that is told."""
    from aecodec.batch import pool

    told: list[Event] = []
    convert(plan, told.append, pool.convert_here)
    return told


# ---------------------------------------------------------------------------------- which files


def test_a_tree_is_mirrored(packed: Path) -> None:
    originals = albums.files(packed / "in")
    assert albums.files(packed / "out") == albums.becomes(originals)
    assert sorted(albums.done(packed / "out" / NAME)) == originals
    for name in originals:
        with Image.open(packed / "in" / name) as picture:
            data = (packed / "out" / name).with_suffix(".aec").read_bytes()
            assert codec.read_info(data).width == picture.width
            assert samples.psnr(picture, codec.decompress(data)) > 25
    assert leftovers(packed / "in") == []


def test_and_comes_back(packed: Path, here: Path) -> None:
    done = run("decompress", packed / "out", "-o", "back", "-r", "--json")
    assert done.returncode == 0, done.stderr
    assert albums.files(here / "back") == albums.becomes(albums.files(packed / "out"), ".png")
    told = objects(done.stdout)
    assert [line["status"] for line in told] == ["done"] * 6
    for line in told:
        assert line["bytes_out"] == os.path.getsize(str(line["target"]))
        size = os.path.getsize(str(line["source"]))
        assert line["bpp"] == pytest.approx(8 * size / (48 * 36))


def test_what_would_not_save_enough_is_left_alone(packed: Path, here: Path) -> None:
    shutil.copytree(packed / "in", "in")
    command = ("compress", "in", "-o", "out", "-r", "-j", "1", "--rm", "--min-savings")
    done = run(*command, "99.9", "--json")
    assert done.returncode == 0, done.stderr
    assert [line["status"] for line in objects(done.stdout)] == ["left"] * 6
    assert "6 files: 0 done, 6 left alone" in done.stderr.decode()
    assert albums.files(here / "in") == albums.files(packed / "in")
    assert albums.files(here / "out") == []

    again = run(*command, "1", "--json")  # with other options it is another matter
    assert again.returncode == 0, again.stderr
    statuses = {line["source"]: line["status"] for line in objects(again.stdout)}
    assert len(statuses) == 6
    kept = [name for name, status in statuses.items() if status == "left"]
    assert sorted(kept) == [f"in/{name}" for name in albums.files(here / "in")]
    assert len(albums.files(here / "out")) == 6 - len(kept)


def convert_counted(**options: object) -> tuple[list[Event], list[str]]:
    """Compress `in` to `out` in this process: all that is told, and what a worker was handed."""
    from aecodec.batch import pool

    dry = options.pop("dry_run", False) is True
    plan = Plan(Task(**options), ["in"], "out", recursive=True, dry_run=dry)  # type: ignore[arg-type]
    told: list[Event] = []
    handed: list[str] = []

    def counted(task: Task, jobs: Iterator[Job]) -> Iterator[Result]:
        for job in jobs:
            handed.append(job.key)
            yield from pool.convert_here(task, iter([job]))

    convert(plan, told.append, counted)
    return told, handed


def results(told: list[Event]) -> dict[str, Result]:
    return {Path(event.source).name: event for event in told if isinstance(event, Result)}


def test_what_was_left_alone_is_not_compressed_again(here: Path) -> None:
    albums.fill(here / "in", 2)
    often = Encoding(min_savings=99.9)
    first, handed = convert_counted(encoding=often)
    assert handed == ["p0000.png", "alps/p0001.jpg"]
    for options in ({}, {"force": True}, {"skip_existing": True}, {"dry_run": True}):
        again, handed = convert_counted(encoding=often, **options)
        assert handed == []
        for name, result in results(again).items():
            assert result.status == "left"
            assert result.bytes_out == results(first)[name].bytes_out > 0
            assert result.bytes_in == results(first)[name].bytes_in > 0
            assert result.bpp == results(first)[name].bpp > 0
            assert (result.width, result.height) == (48, 36)
    # With another threshold or quality, or in another state, it is another matter.
    assert len(convert_counted(encoding=Encoding(min_savings=99.8))[1]) == 2
    assert len(convert_counted(encoding=Encoding(quality=90, min_savings=99.9))[1]) == 2
    os.utime("in/p0000.png", (0, 0))
    assert convert_counted(encoding=often)[1] == ["p0000.png"]
    assert convert_counted(encoding=often)[1] == []


def test_what_is_there_comes_before_what_was_left_alone(here: Path) -> None:
    """As it does where the manifest knows nothing: an output may be newer, or be in the way."""
    albums.fill(here / "in", 1)
    often = Encoding(min_savings=99.9)
    convert_counted(encoding=often)
    assert convert_counted()[1] == ["p0000.png"]
    assert Path("out/p0000.aec").exists()
    statuses = []
    for options in ({}, {"skip_existing": True}, {"force": True}):
        told, handed = convert_counted(encoding=often, **options)
        statuses.append(results(told)["p0000.png"].status)
        assert len(handed) == (statuses[-1] != "left")
    assert statuses == ["failed", "kept", "left"]


def test_the_command_says_so_as_well(packed: Path, here: Path) -> None:
    command = ("compress", packed / "in", "-o", "out", "-r", "-j", "1", "--min-savings", "99.9")
    assert b"6 files: 0 done, 6 left alone" in run(*command).stdout
    known = run(*command, "--dry-run")
    assert lines(known.stdout)[-1] == "6 files: 0 to do, 6 left alone"


def test_an_output_of_before_is_named_where_its_source_is_left_alone(here: Path) -> None:
    albums.fill(here / "in", 2)
    convert_counted()
    before = Path("out/p0000.aec").read_bytes()
    with Image.open("in/p0000.png") as picture:
        picture.rotate(90).save("in/p0000.png")
    often = Encoding(min_savings=99.9)
    text = f"left alone; {Path('out', 'p0000.aec')}, made of an earlier state, is still there"
    for times in (1, 0, 0):
        told, handed = convert_counted(encoding=often, skip_existing=True)
        assert len(handed) == 1 + times  # the other one is up to date, by its date
        assert results(told)["p0000.png"].status == "left"
        assert results(told)["p0000.png"].notes == (text,)
        assert [e.text for e in told if isinstance(e, Note)] == [text]
    assert Path("out/p0000.aec").read_bytes() == before
    # Known by its date alone.
    Path("out", NAME).unlink()
    os.utime("out/p0000.aec", (0, 0))
    told, _ = convert_counted(encoding=often, skip_existing=True)
    assert results(told)["p0000.png"].notes == (text,)
    # Made of this state, otherwise.
    told, _ = convert_counted(encoding=often, force=True)
    other = f"left alone; {Path('out', 'alps', 'p0001.aec')} stays, as it was"
    assert results(told)["p0001.jpg"].notes == (other,)
    done = run("compress", "in", "-o", "out", "-r", "--skip-existing", "--min-savings", "99.9")
    assert f"aecodec: {Path('in', 'p0000.png')}: {text}" in lines(done.stderr)


def test_of_a_file_left_alone_it_is_told_what_it_would_have_become(here: Path) -> None:
    Path("in").mkdir()
    Image.fromarray(np.arange(48 * 36, dtype=np.uint16).reshape(36, 48) * 37).save("in/deep.png")
    made = results(convert_counted()[0])["deep.png"]
    assert "16 bits" in " ".join(made.notes)
    shutil.rmtree("out")
    command = ("compress", "in", "-o", "out", "-r", "-j", "1", "--min-savings", "99.9")
    done = run(*command, "--json", "--report", "r.csv")
    (told,) = objects(done.stdout)
    assert told["status"] == "left"
    assert told["bytes_in"] == os.path.getsize("in/deep.png")
    assert told["bytes_out"] == made.bytes_out > 0
    assert told["bpp"] == made.bpp
    assert told["notes"] == []  # it has lost nothing
    assert b"16 bits" not in done.stderr
    with open("r.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert int(row["bytes_out"]) == made.bytes_out


def test_without_an_output_folder_each_stands_beside_its_source(packed: Path, here: Path) -> None:
    shutil.copytree(packed / "in", "in")
    assert run("compress", "in", "-r", "-j", "1").returncode == 0
    originals = albums.files(packed / "in")
    assert albums.files(here / "in") == sorted([*originals, *albums.becomes(originals)])


def test_selected_by_content_as_well_as_by_suffix(here: Path) -> None:
    (picture,) = albums.photographs(1)
    Path("in").mkdir()
    for name in ("photo", "photo.bak", "IMG.JPEG"):
        Path("in", name).write_bytes(albums.encoded(picture, "JPEG"))
    Path("in/broken.png").write_bytes(b"no picture by any name")
    Path("in/notes.txt").write_text("BM P1 GIF: a text")
    Path("in/empty").touch()
    Path("in/small.aec").write_bytes(codec.compress(picture))
    assert [key for key, _ in names(select("in", recursive=True))] == [
        "IMG.JPEG",
        "broken.png",
        "photo",
        "photo.bak",
    ]
    shutil.copy("in/small.aec", "in/by another name")
    chosen = Selection(["in"], None, RESTORED, recursive=True)
    assert [key for key, _ in names(list(chosen))] == ["by another name", "small.aec"]
    assert chosen.passed == 6


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (["*.jpg"], [], ["B.JPG", "x/a.jpg", "x/y/c.jpg"]),
        (["x/*.jpg"], [], ["x/a.jpg", "x/y/c.jpg"]),
        (["a.*", "b.*"], [], ["B.JPG", "x/a.jpg", "x/a.png"]),
        ([], ["*.jpg"], ["x/a.png"]),
        ([], ["x/y"], ["B.JPG", "x/a.jpg", "x/a.png"]),
        (["*.jpg"], ["y/"], ["B.JPG", "x/a.jpg"]),
        ([], ["?"], ["B.JPG"]),
    ],
)
def test_globs(here: Path, include: list[str], exclude: list[str], expected: list[str]) -> None:
    Path("in/x/y").mkdir(parents=True)
    for name in ("B.JPG", "x/a.jpg", "x/a.png", "x/y/c.jpg"):
        Path("in", name).write_bytes(b"\xff\xd8\xff")
    found = select("in", recursive=True, include=include, exclude=exclude)
    assert [key for key, _ in names(found)] == expected


def test_two_of_one_name_keep_their_suffix(here: Path) -> None:
    Path("in/x").mkdir(parents=True)
    for name in ("a.jpg", "a.png", "x/a.jpg"):
        Path("in", name).write_bytes(b"\xff\xd8\xff")
    expected = [
        ("a.jpg", "out/a.jpg.aec"),
        ("a.png", "out/a.png.aec"),
        ("x/a.jpg", "out/x/a.aec"),
    ]
    assert names(select("in", recursive=True)) == expected
    Path("list").write_text("a.jpg\nx/a.jpg\na.png\na.jpg\n")
    assert names(select("in", files_from="list")) == expected


def test_several_folders_keep_apart(here: Path) -> None:
    for name in ("p/a.jpg", "q/a.jpg", "r/q/b.jpg", "c.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"\xff\xd8\xff")
    assert [target for _, target in names(select("p", "q/", "c.jpg", recursive=True))] == [
        "out/c.aec",
        "out/p/a.aec",
        "out/q/a.aec",
    ]
    with pytest.raises(UsageFault, match="one name"):
        select("q", "r/q", recursive=True)


def test_an_output_folder_within_the_input_is_left_alone(here: Path) -> None:
    Path("in/out").mkdir(parents=True)
    Path("in/out/z.jpg").write_bytes(b"\xff\xd8\xff")
    Path("in/a.jpg").write_bytes(b"\xff\xd8\xff")
    found = select("in", output="in/out", recursive=True)
    assert names(found) == [("a.jpg", "in/out/a.aec")]


# ---------------------------------------------------------------------------------------- lists


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\0"])
def test_a_list_of_files(here: Path, separator: str) -> None:
    originals = albums.fill(here / "in", 3)
    Path("list").write_bytes(separator.join(originals).encode())
    assert [key for key, _ in names(select("in", files_from="list"))] == sorted(originals)


@posix
def test_a_list_from_standard_input_with_newlines_in_names(packed: Path, here: Path) -> None:
    odd = ["two\nlines.jpg", os.fsdecode(b"\xff\xfe.jpg"), "plain.jpg"]
    for name in odd:
        shutil.copy(packed / "in" / "alps/p0001.jpg", name)
    given = b"\0".join(map(os.fsencode, odd)) + b"\0"
    done = run("compress", "--files-from", "-", "-o", "out", "--report", "r.csv", input=given)
    assert done.returncode == 0, done.stderr
    assert albums.files(here / "out") == sorted(albums.becomes(odd))
    assert sorted(albums.done(here / "out" / NAME)) == sorted(odd)
    with open("r.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        assert sorted(row["source"] for row in csv.DictReader(file)) == sorted(odd)
    again = run("compress", "--files-from", "-", "-o", "out", "--json", input=given)
    assert {line["status"] for line in objects(again.stdout)} == {"kept"}


@pytest.mark.parametrize("name", ["../out.jpg", "x/../../out.jpg", "{}/out.jpg"])
def test_a_path_that_would_leave_the_output_folder(here: Path, name: str) -> None:
    Path("in/x").mkdir(parents=True)
    Path("out.jpg").write_bytes(b"\xff\xd8\xff")
    Path("list").write_text(name.format(here))
    (found,) = select("in", files_from="list")
    assert isinstance(found, Fault)
    assert str(found.error) == "would leave the output folder"
    (beside,) = select("in", output=None, files_from="list")
    assert isinstance(beside, Job)
    assert os.path.abspath(beside.target) == str(here / "out.aec")


def test_what_a_list_names_may_be_missing_or_a_folder(here: Path) -> None:
    Path("in").mkdir()
    Path("list").write_text("gone.jpg\nin\n")
    faults = select(files_from="list")
    assert [str(fault.error) for fault in faults if isinstance(fault, Fault)] == [
        "no such file",
        "is a folder: -r converts what is in it",
    ]
    with pytest.raises(UsageFault, match="no such file or directory"):
        select(files_from="no list")


# -------------------------------------------------------------------------------------- options


def test_skip_existing_keeps_what_is_newer(packed: Path, here: Path) -> None:
    originals = albums.files(packed / "in")
    shutil.copytree(packed / "in", "in")
    Path("out").mkdir()
    for name in originals:
        Path("out", name).parent.mkdir(parents=True, exist_ok=True)
        Path("out", name).with_suffix(".aec").write_bytes(b"mine")
    stale, empty = albums.becomes(originals)[:2]
    os.utime(Path("out", stale), (0, 0))
    Path("out", empty).write_bytes(b"")
    refused = run("compress", "in", "-o", "out", "-r", "-j", "1")
    assert refused.returncode == 1
    assert b"exists already: -f replaces it, --skip-existing leaves it" in refused.stderr
    done = run("compress", "in", "-o", "out", "-r", "-j", "1", "--skip-existing", "--json")
    assert done.returncode == 0, done.stderr
    made = {Path(str(x["target"])).name for x in objects(done.stdout) if x["status"] == "done"}
    assert made == {Path(stale).name, Path(empty).name}
    for name in albums.becomes(originals)[2:]:
        assert Path("out", name).read_bytes() == b"mine"


def test_a_source_that_has_changed_since_is_stale_by_size_too(here: Path) -> None:
    albums.fill(here / "in", 3)
    plan = Plan(Task(), ["in"], "out", recursive=True)
    convert_here(plan)
    source, before = Path("in/p0000.png"), Path("out/p0000.aec").read_bytes()
    with Image.open("in/sea/deep/p0002.png") as other:
        other.save(source)
    os.utime(source, (0, 0))  # older than its output, but another picture
    refused = [e for e in convert_here(plan) if isinstance(e, Result) and e.status == "failed"]
    assert [result.error_type for result in refused] == ["OutputExistsError"]
    assert Path("out/p0000.aec").read_bytes() == before
    again = convert_here(Plan(Task(skip_existing=True), ["in"], "out", recursive=True))
    assert sorted(e.status for e in again if isinstance(e, Result)) == ["done", "kept", "kept"]
    assert Path("out/p0000.aec").read_bytes() != before


def test_what_a_worker_made_before_it_died_is_adopted(here: Path) -> None:
    """It may die when the file has its name, and before anybody heard of it."""
    from aecodec.batch import pool
    from aecodec.batch.worker import failure

    def dying(task: Task, jobs: Iterator[Job]) -> Iterator[Result]:
        for result in pool.convert_here(task, jobs):
            if result.source.endswith("p0000.png"):
                died = pool.WorkerDiedError("a worker process died")
                result = failure(result.source, died, target=result.target, key=result.key)
            yield result

    albums.fill(here / "in", 3)
    plan = Plan(Task(), ["in"], "out", recursive=True)
    told: list[Event] = []
    assert convert(plan, told.append, dying).failed == 1
    made = Path("out/p0000.aec").read_bytes()
    again = [e for e in convert_here(plan) if isinstance(e, Result)]
    assert [e.error for e in again if e.status == "failed"] == []
    assert Path("out/p0000.aec").read_bytes() == made
    # What was made of an earlier state of the source is not.
    shutil.rmtree("out")
    assert convert(plan, told.append, dying).failed == 1
    with Image.open("in/p0000.png") as picture:
        changed = picture.rotate(180)
    changed.save("in/p0000.png")
    again = [e for e in convert_here(plan) if isinstance(e, Result)]
    assert [e.error_type for e in again if e.status == "failed"] == ["OutputExistsError"]
    forced = dataclasses.replace(plan, task=Task(force=True))
    assert not [e for e in convert_here(forced) if isinstance(e, Result) and e.error]
    assert Path("out/p0000.aec").read_bytes() != made
    made = Path("out/p0000.aec").read_bytes()
    # Somebody else's is not: it was there before the work had begun.
    shutil.rmtree("out")
    Path("out").mkdir()
    Path("out/p0000.aec").write_bytes(made)
    for plan_of in (Plan(Task(), ["in"], "out", recursive=True),) * 2:
        told.clear()
        convert(plan_of, told.append, dying)
        (refused,) = [e for e in told if isinstance(e, Result) and e.status == "failed"]
        assert refused.target.endswith("p0000.aec")
    assert [e.error_type for e in convert_here(plan) if isinstance(e, Result) and e.error] == [
        "OutputExistsError"
    ]


def test_other_options_make_other_files(packed: Path, here: Path) -> None:
    shutil.copytree(packed / "in", "in")
    shutil.copytree(packed / "out", "out")
    again = run("compress", "in", "-o", "out", "-r", "-j", "1", "--json")
    assert {line["status"] for line in objects(again.stdout)} == {"kept"}
    other = run("compress", "in", "-o", "out", "-r", "-j", "1", "-q", "30", "--json")
    assert other.returncode == 1
    assert {line["error_type"] for line in objects(other.stdout)} == {"OutputExistsError"}
    forced = run("compress", "in", "-o", "out", "-r", "-j", "1", "-q", "30", "--json", "-f")
    assert {line["status"] for line in objects(forced.stdout)} == {"done"}
    data = Path("out/p0000.aec").read_bytes()
    assert codec.read_info(data).quality == 30
    # What once was made with these options has been replaced since.
    for options, quality in (([], 75), (["-q", "30"], 30)):
        known = run("compress", "in", "-o", "out", "-r", "-j", "1", *options, "--json")
        assert {line["error_type"] for line in objects(known.stdout)} == {"OutputExistsError"}
        back = run("compress", "in", "-o", "out", "-r", "-j", "1", *options, "--json", "-f")
        assert {line["status"] for line in objects(back.stdout)} == {"done"}
        assert {line["quality"] for line in objects(back.stdout)} == {quality}
        for name in albums.files(here / "out"):
            if name.endswith(".aec"):
                assert codec.read_info(Path("out", name).read_bytes()).quality == quality


def of(told: list[Event], name: str) -> Result:
    return results(told)[name]


def test_a_source_that_is_again_what_it_was(here: Path) -> None:
    """Restored from a backup, with its date: what was made of it once is no longer there."""
    albums.fill(here / "in", 2)
    plan = Plan(Task(), ["in"], "out", recursive=True)
    convert_here(plan)
    source, output = Path("in/p0000.png"), Path("out/p0000.aec")
    made, date = output.read_bytes(), os.stat(source).st_mtime_ns
    shutil.copy2(source, "backup")
    with Image.open(source) as picture:
        changed = picture.rotate(180)
    changed.save(source)
    os.utime(source, ns=(date + 10**9, date + 10**9))
    skipping = dataclasses.replace(plan, task=Task(skip_existing=True))
    assert of(convert_here(skipping), "p0000.png").status == "done"
    assert output.read_bytes() != made
    shutil.copy2("backup", source)
    refused = of(convert_here(plan), "p0000.png")
    assert refused.error_type == "OutputExistsError"
    assert refused.error.endswith("of an earlier state: -f or --skip-existing replaces it")
    assert of(convert_here(skipping), "p0000.png").status == "done"
    assert output.read_bytes() == made
    assert of(convert_here(skipping), "p0000.png").status == "kept"


def test_an_output_of_another_length_is_not_what_was_made(here: Path) -> None:
    albums.fill(here / "in", 1)
    plan = Plan(Task(), ["in"], "out", recursive=True)
    convert_here(plan)
    output = Path("out/p0000.aec")
    made = output.read_bytes()
    output.write_bytes(made[:-1])
    assert of(convert_here(plan), "p0000.png").error_type == "OutputExistsError"
    assert output.read_bytes() == made[:-1]
    forced = dataclasses.replace(plan, task=Task(force=True))
    assert of(convert_here(forced), "p0000.png").status == "done"
    assert output.read_bytes() == made
    assert of(convert_here(forced), "p0000.png").status == "kept"


@pytest.mark.parametrize("written", [False, True])
def test_a_run_that_replaces_outputs_is_killed(here: Path, written: bool) -> None:
    """Before or after it wrote: nobody knows which of the two outputs it is."""
    from aecodec.batch import pool

    class Killed(BaseException):
        pass

    def dying(task: Task, jobs: Iterator[Job]) -> Iterator[Result]:
        for job in jobs:
            if written:
                list(pool.convert_here(task, iter([job])))
            raise Killed
        yield from ()

    albums.fill(here / "in", 1)
    plan = Plan(Task(), ["in"], "out", recursive=True)
    convert_here(plan)
    output = Path("out/p0000.aec")
    made = output.read_bytes()
    other = Task(encoding=Encoding(quality=30), force=True)
    with pytest.raises(Killed):
        convert(dataclasses.replace(plan, task=other), lambda event: None, dying)
    assert (output.read_bytes() == made) is not written
    for task in (Task(), Task(encoding=Encoding(quality=30))):
        refused = of(convert_here(dataclasses.replace(plan, task=task)), "p0000.png")
        assert refused.error_type == "OutputExistsError"
    anew = dataclasses.replace(plan, task=Task(skip_existing=True))
    assert of(convert_here(anew), "p0000.png").status == "done"
    assert output.read_bytes() == made
    assert of(convert_here(plan), "p0000.png").status == "kept"


def test_a_failing_run_makes_nobody_forget_an_unfinished_one(here: Path) -> None:
    albums.fill(here / "in", 1)
    plan = Plan(Task(), ["in"], "out", recursive=True)
    convert_here(plan)
    log, source, output = Path("out", NAME), Path("in/p0000.png"), Path("out/p0000.aec")
    kept = [x for x in log.read_bytes().splitlines(True) if not x.startswith(b'{"done"')]
    log.write_bytes(b"".join(kept))  # as if killed before the last line
    made, date = output.read_bytes(), os.stat(source).st_mtime_ns
    with Image.open(source) as picture:
        changed = picture.rotate(180)
    changed.save(source)
    os.utime(source, ns=(date - 10**9, date - 10**9))
    for _ in range(2):
        assert of(convert_here(plan), "p0000.png").error_type == "OutputExistsError"
    skipping = dataclasses.replace(plan, task=Task(skip_existing=True))
    assert of(convert_here(skipping), "p0000.png").status == "done"
    assert output.read_bytes() != made


def test_what_failed_leaves_the_name_to_others(here: Path) -> None:
    """An output that stands where nothing was written is a stranger's: kept by its date."""
    albums.fill(here / "in", 1)
    source = Path("in/p0000.png")
    whole = source.read_bytes()
    source.write_bytes(whole[:-100])
    plan = Plan(Task(), ["in"], "out", recursive=True)
    assert of(convert_here(plan), "p0000.png").status == "failed"
    Path("out/p0000.aec").write_bytes(b"mine")
    source.write_bytes(whole)
    os.utime(source, (0, 0))
    skipping = dataclasses.replace(plan, task=Task(skip_existing=True))
    assert of(convert_here(skipping), "p0000.png").status == "kept"
    assert Path("out/p0000.aec").read_bytes() == b"mine"


def test_a_target_tells_the_quality_in_folders_too(here: Path) -> None:
    albums.fill(here / "in", 1)
    arguments = ("compress", "in/p0000.png", "-o", "out", "-j", "1", "-f", "--target-psnr", "35")
    Path("out").mkdir()
    done = run(*arguments, "--report", "r.csv")
    quality = codec.read_info(Path("out/p0000.aec").read_bytes()).quality
    assert lines(done.stdout)[0].endswith(f"bpp  quality {quality}")
    with open("r.csv", newline="") as file:
        assert [row["quality"] for row in csv.DictReader(file)] == [str(quality)]
    back = run("decompress", "out/p0000.aec", "-o", "out", "-j", "1", "--json")
    assert objects(back.stdout)[0]["quality"] == quality


def test_dates_are_kept(packed: Path, here: Path) -> None:
    shutil.copytree(packed / "in", "in")
    for name in albums.files(here / "in"):
        os.utime(Path("in", name), ns=(10**18, 10**18 + 7))
    assert run("compress", "in", "-o", "out", "-r", "--keep-dates").returncode == 0
    assert {os.stat(f"out/{x}").st_mtime_ns for x in albums.files(here / "out")} == {10**18 + 7}


def test_a_dry_run_does_nothing(packed: Path, here: Path) -> None:
    shutil.copytree(packed / "in", "in")
    done = run("compress", "in", "-o", "out", "-r", "--rm", "--dry-run")
    assert done.returncode == 0
    assert "in/p0000.png -> out/p0000.aec" in lines(done.stdout)
    assert lines(done.stdout)[-1] == "6 files: 6 to do"
    assert [path.name for path in here.iterdir()] == ["in"]
    assert albums.files(here / "in") == albums.files(packed / "in")
    known = run("compress", packed / "in", "-o", packed / "out", "-r", "--dry-run")
    assert lines(known.stdout)[-1] == "6 files: 0 to do, 6 up to date"


def test_rm_deletes_what_is_written_and_verified(here: Path) -> None:
    originals = albums.fill(here / "in", 4)
    broken = albums.spoil(here / "in", 1)
    with Image.open(here / "in" / originals[0]) as picture:
        picture.save("in/moving.gif", save_all=True, append_images=[picture.rotate(90)])
    done = run("compress", "in", "-o", "out", "-r", "-j", "2", "--rm")
    assert done.returncode == 1
    # What a file cannot hold is not thrown away: the second picture of the animation.
    assert albums.files(here / "in") == sorted([*broken, "moving.gif"])
    assert b"the source is kept" in done.stderr
    assert albums.files(here / "out") == albums.becomes([*originals, "moving.gif"])
    again = run("compress", "in", "-o", "out", "-r", "-j", "2", "--rm", "--json")
    assert again.returncode == 1
    assert albums.files(here / "in") == sorted([*broken, "moving.gif"])


def test_rm_after_a_run_without_it(packed: Path, here: Path) -> None:
    shutil.copytree(packed / "in", "in")
    shutil.copytree(packed / "out", "out")
    spoilt = Path("out/p0000.aec")
    spoilt.write_bytes(spoilt.read_bytes()[:-1])
    done = run("compress", "in", "-o", "out", "-r", "-j", "1", "--rm")
    assert done.returncode == 1
    assert albums.files(here / "in") == ["p0000.png"]


def test_rm_never_trusts_a_strangers_output(here: Path) -> None:
    """An output that is newer than its source, whole, and of another picture."""
    first, second = albums.photographs(2)
    Path("in").mkdir()
    Path("out").mkdir()
    first.save("in/a.png")
    Path("out/a.aec").write_bytes(codec.compress(second))
    told = convert_here(Plan(Task(remove=True, skip_existing=True), ["in"], "out", recursive=True))
    assert [event.status for event in told if isinstance(event, Result)] == ["kept"]
    assert Path("in/a.png").exists()


def test_rm_keeps_a_source_that_changes_meanwhile(here: Path) -> None:
    (picture,) = albums.photographs(1)
    picture.save("a.png")
    status = os.stat("a.png")
    job = {
        "source": ["a.png"],
        "target": ["a.aec"],
        "size": [status.st_size],
        "time_ns": [status.st_mtime_ns - 1],  # as it was listed; it has been written to since
    }
    found = Converter(Task(remove=True))(job)
    assert found["error"] == ["has changed since it was read: it is kept"]
    assert Path("a.png").exists()
    assert Path("a.aec").exists()


def test_rm_of_compressed_files(packed: Path, here: Path) -> None:
    shutil.copytree(packed / "out", "out")
    done = run("decompress", "out", "-o", "back", "-r", "-j", "1", "--rm")
    assert done.returncode == 0, done.stderr
    assert albums.files(here / "out") == []
    assert len(albums.files(here / "back")) == 6


def test_report_and_json_agree(packed: Path, here: Path) -> None:
    shutil.copytree(packed / "in", "in")
    albums.spoil(here / "in", 3)
    done = run("compress", "in", "-o", "out", "-r", "--json", "--report", "r.csv")
    assert done.returncode == 1
    told = {str(line["source"]): line for line in objects(done.stdout)}
    with open("r.csv", newline="") as file:
        table = {row["source"]: row for row in csv.DictReader(file)}
    assert told.keys() == table.keys()
    assert len(told) == 9
    for source, line in told.items():
        row = table[source]
        assert row["status"] == line["status"]
        assert line["ok"] is (line["status"] != "failed")
        if line["ok"]:
            assert float(row["bpp"]) == line["bpp"]
            assert int(row["bytes_out"]) == os.path.getsize(str(line["target"]))
            assert line["seconds"] > 0  # type: ignore[operator]
        else:
            assert row["error"] == line["error"] != ""
    assert done.stderr.count(b"aecodec: in/") == 3
    Path("precious.csv").write_text("mine")
    refused = run("compress", "in", "-o", "out", "-r", "--report", "precious.csv")
    assert refused.returncode == 2
    assert Path("precious.csv").read_text() == "mine"


@posix
def test_the_bar_shows_files_megapixels_bytes_and_speed(packed: Path, here: Path) -> None:
    terminal, side = pty.openpty()
    seen: list[bytes] = []

    def read() -> None:
        while True:
            try:
                seen.append(os.read(terminal, 65536))
            except OSError:
                return

    reading = threading.Thread(target=read)
    reading.start()
    done = run(
        "compress",
        packed / "in",
        "-o",
        "out",
        "-r",
        stderr=side,
        env={"TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(side)
    reading.join(10)
    os.close(terminal)
    assert done.returncode == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(seen).decode())
    for part in ("6/6 files", " MP ", " -> ", ":1 ", " files/s"):
        assert part in shown
    assert lines(done.stdout)[0].startswith("6 files: 6 done; 0.0 MP, ")
    assert "\x1b" not in done.stdout.decode()


@pytest.mark.parametrize(
    "arguments",
    [
        ["compress", "-r"],
        ["compress", "in", "-r", "-o", "-"],
        ["compress", "-", "-j", "2"],
        ["compress", "in", "-j", "-1"],
        ["compress", "in/p0000.png", "--include", "*.png"],
        ["compress", "in", "in", "--files-from", "list"],
        ["compress", "--files-from", "missing"],
        ["compress", "in", "-r", "-o", "nosuch://x"],
        ["compress", "in", "-r", "-o", "memory://x", "--keep-dates"],
        ["compress", "in", "-r", "--report", "missing/r.csv"],
    ],
)
def test_wrong_usage(packed: Path, here: Path, arguments: list[str]) -> None:
    shutil.copytree(packed / "in", "in")
    done = run(*arguments)
    assert done.returncode == 2
    assert b"Usage: aecodec" in done.stderr
    assert b"Traceback" not in done.stderr
    assert [path.name for path in here.iterdir()] == ["in"]


# ------------------------------------------------------------------------------------- manifest


def test_a_torn_last_line_is_passed_over(here: Path) -> None:
    with Manifest("m", "compress", {"q": 1}, {}) as manifest:
        manifest.begin([(key, f"{key}.aec", Stamp(1, 2)) for key in "abc"])
        manifest.done("a", Stamp(1, 2), {})
        manifest.failed("c", "why", "InputError")
    whole = Path("m").read_bytes()
    Path("m").write_bytes(whole + b'{"done":"b","ru')
    with Manifest("m", "compress", {"q": 1}, {}) as manifest:
        assert manifest.is_done("a", Stamp(1, 2))
        assert not manifest.is_done("a", Stamp(1, 3))
        assert manifest.is_stale("a", Stamp(1, 3))
        assert not manifest.is_done("b", Stamp(1, 2))
        assert manifest.unfinished("b", Stamp(1, 2)) == "b.aec"
        assert manifest.unfinished("b", Stamp(1, 3)) is None
        assert manifest.is_stale("b", Stamp(1, 3))
        assert not manifest.is_stale("b", Stamp(1, 2))
        assert manifest.unfinished("c", Stamp(1, 2)) is None
        manifest.done("b", Stamp(3, 4), {})
    with Manifest("m", "compress", {"q": 1}, {}, read_only=True) as manifest:
        assert manifest.is_done("b", Stamp(3, 4))
    with Manifest("m", "compress", {"q": 2}, {}, read_only=True) as manifest:
        assert not manifest.is_done("b", Stamp(3, 4))
        assert not manifest.is_stale("b", Stamp(3, 4))


def test_the_last_line_on_a_file_counts(here: Path) -> None:
    def add(options: dict[str, int], *lines: str) -> None:
        with Manifest("m", "compress", options, {}) as manifest:
            for line in lines:
                if line == "begin":
                    manifest.begin([("a", "a.aec", Stamp(1, 2))])
                elif line == "replace":
                    manifest.begin([], ["a"])
                elif line == "done":
                    manifest.done("a", Stamp(1, 2), {"bytes": options["q"]})
                elif line == "failed":
                    manifest.failed("a", "why", "InputError")
                elif line == "refused":
                    manifest.failed("a", "why", "OutputExistsError")
                elif line == "left":
                    manifest.left("a", Stamp(1, 2), Left(1, 2, 3))
                else:
                    manifest.kept("a")

    def known(q: int) -> tuple[bool, bool, int | None]:
        with Manifest("m", "compress", {"q": q}, {}, read_only=True) as manifest:
            done, stale = (say("a", Stamp(1, 2)) for say in (manifest.is_done, manifest.is_stale))
            return done, stale, manifest.bytes_of("a")

    add({"q": 1}, "begin", "done")
    assert known(1) == (True, False, 1)
    add({"q": 2}, "replace", "done")
    assert [known(q) for q in (1, 2)] == [(False, False, 2), (True, False, 2)]
    for end in ("kept", "left"):  # nothing came of it
        add({"q": 1}, "replace", end)
        assert [known(q) for q in (1, 2)] == [(False, False, 2), (True, False, 2)]
    for lines in (["replace"], ["replace", "failed"]):
        add({"q": 1}, *lines)
        assert [known(q)[:2] for q in (1, 2)] == [(False, True)] * 2
        add({"q": 2}, "replace", "done")
    add({"q": 1}, "failed")  # it was never begun: something was in the way
    assert known(2) == (True, False, 2)
    add({"q": 1}, "begin")  # so it was deleted, and is now being made with other options
    assert known(2)[:2] == (False, False)
    for end in ("kept", "left", "refused"):
        add({"q": 1}, "begin", end)
        assert known(2) == (True, False, 2)
    add({"q": 1}, "begin", "failed")  # whatever is there, it is not what once was
    assert known(2) == (False, False, None)


def test_what_was_left_alone_is_remembered_with_its_state(here: Path) -> None:
    with Manifest("m", "compress", {"q": 1}, {}) as manifest:
        manifest.begin([(key, "x.aec", Stamp(9, 2)) for key in "abc"])
        for size, key in enumerate("cab"):
            manifest.left(key, Stamp(9, 2), Left(5 + size, 4, 3))
    with open("m", "a") as file:  # nonsense does not get them out of step
        for size in ("-1", "1e99", '"many"', str(1 << 64)):
            line = Path("m").read_text().splitlines()[-1].replace(":7,", f":{size},")
            print(line.replace('"b"', '"d"'), file=file)
    with Manifest("m", "compress", {"q": 1}, {}) as manifest:
        found = [manifest.left_as(key, Stamp(9, 2)) for key in "abcd"]
        assert found == [(6, 4, 3), (7, 4, 3), (5, 4, 3), None]
        assert manifest.left_as("a", Stamp(9, 3)) is None
        assert manifest.left_as("a", None) is None
        assert manifest.unfinished("a", Stamp(9, 2)) is None
        assert not manifest.is_done("a", Stamp(9, 2))
        assert not manifest.is_stale("a", Stamp(9, 3))  # there is no output that could be
    with Manifest("m", "compress", {"q": 2}, {}) as manifest:
        assert manifest.left_as("a", Stamp(9, 2)) is None


def test_a_manifest_that_knows_no_state_of_what_was_left_alone(here: Path) -> None:
    first = {"run": "1", "verb": "compress", "options": {"q": 1}}
    begun = {"begin": "a", "run": "1", "name": "a.aec"}
    records = (first, begun, {"kept": "a", "run": "1"})
    Path("m").write_text("".join(json.dumps(record) + "\n" for record in records))
    with Manifest("m", "compress", {"q": 1}, {}) as manifest:
        assert manifest.unfinished("a", Stamp(9, 2)) is None
        assert manifest.left_as("a", Stamp(9, 2)) is None


def test_every_cut_of_a_manifest_can_be_read(here: Path) -> None:
    with Manifest("m", "compress", {}, {}) as manifest:
        manifest.begin([("a\n\udcff", "x", Stamp(1, 2))])
        manifest.done("a\n\udcff", Stamp(1, 2), {})
    whole = Path("m").read_bytes()
    for length in range(len(whole)):
        Path("cut").write_bytes(whole[:length])
        with Manifest("cut", "compress", {}, {}) as manifest:
            assert not manifest.is_done("a\n\udcff", Stamp(1, 2)) or length == len(whole) - 1


def test_a_file_that_is_no_manifest_is_left_alone(here: Path) -> None:
    Path("m").write_text("my letter\n")
    with pytest.raises(InputError, match="no manifest"):
        Manifest("m", "compress", {}, {})
    assert Path("m").read_text() == "my letter\n"


@posix
def test_links_to_folders_are_followed_unless_sources_are_deleted(here: Path) -> None:
    Path("elsewhere").mkdir()
    Path("elsewhere/a.jpg").write_bytes(b"\xff\xd8\xff")
    Path("in").mkdir()
    os.symlink("../elsewhere", "in/link")
    assert names(select("in", recursive=True)) == [("link/a.jpg", "out/link/a.aec")]
    (note,) = select("in", recursive=True, links=False)
    assert isinstance(note, Note)


def test_options_of_a_plan_that_needs_no_manifest(packed: Path, here: Path) -> None:
    shutil.copytree(packed / "in", "in")
    done = run("compress", "in/p0000.png", "in/p0003.jpg", "-j", "2", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in Path("out").iterdir()) == ["p0000.aec", "p0003.aec"]
    assert len(lines(done.stdout)) == 3
    assert files.shown("in/p0000.png") in done.stdout.decode()
