"""Files that would not save enough: they are left alone, and remembered."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import albums
import numpy as np
from command import lines, objects, run
from PIL import Image
from plans import results

from aecodec.batch import Existing, Plan, Result, Task, convert
from aecodec.batch.manifest import NAME
from aecodec.batch.run import Event
from aecodec.batch.select import Note
from aecodec.conversion import Encoding
from aecodec.files import Job


def test_what_would_not_save_enough_is_left_alone(packed: Path, here: Path) -> None:
    shutil.copytree(packed / "in", "in")
    command = ("compress", "in", "-o", "out", "-r", "-j", "1", "--rm", "--min-savings")
    done = run(*command, "99.9", "--json")
    assert done.returncode == 0, done.stderr
    assert [line["status"] for line in objects(done.stdout)] == ["left"] * 6
    assert "6 files: 0 done, 6 skipped" in done.stderr.decode()
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


def test_what_was_left_alone_is_not_compressed_again(here: Path) -> None:
    albums.fill(here / "in", 2)
    often = Encoding(min_savings=99.9)
    first, handed = convert_counted(encoding=often)
    assert handed == ["p0000.png", "alps/p0001.jpg"]
    for options in (
        {},
        {"existing": Existing.REPLACE},
        {"existing": Existing.KEEP},
        {"dry_run": True},
    ):
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
    for options in ({}, {"existing": Existing.KEEP}, {"existing": Existing.REPLACE}):
        told, handed = convert_counted(encoding=often, **options)
        statuses.append(results(told)["p0000.png"].status)
        assert len(handed) == (statuses[-1] != "left")
    assert statuses == ["failed", "kept", "left"]


def test_the_command_says_so_as_well(packed: Path, here: Path) -> None:
    command = ("compress", packed / "in", "-o", "out", "-r", "-j", "1", "--min-savings", "99.9")
    assert b"6 files: 0 done, 6 skipped" in run(*command).stdout
    known = run(*command, "--dry-run")
    assert lines(known.stdout)[-1] == "6 files: 0 to do, 6 skipped"


def test_an_output_of_before_is_named_where_its_source_is_left_alone(here: Path) -> None:
    albums.fill(here / "in", 2)
    convert_counted()
    before = Path("out/p0000.aec").read_bytes()
    with Image.open("in/p0000.png") as picture:
        picture.rotate(90).save("in/p0000.png")
    often = Encoding(min_savings=99.9)
    text = f"left alone; {Path('out', 'p0000.aec')}, made of an earlier state, is still there"
    for times in (1, 0, 0):
        told, handed = convert_counted(encoding=often, existing=Existing.KEEP)
        assert len(handed) == 1 + times  # the other one is up to date, by its date
        assert results(told)["p0000.png"].status == "left"
        assert results(told)["p0000.png"].notes == (text,)
        assert [e.text for e in told if isinstance(e, Note)] == [text]
    assert Path("out/p0000.aec").read_bytes() == before
    # Known by its date alone.
    Path("out", NAME).unlink()
    os.utime("out/p0000.aec", (0, 0))
    told, _ = convert_counted(encoding=often, existing=Existing.KEEP)
    assert results(told)["p0000.png"].notes == (text,)
    # Made of this state, otherwise.
    told, _ = convert_counted(encoding=often, existing=Existing.REPLACE)
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
