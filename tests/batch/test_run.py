"""Folders: existing outputs, other options, interrupted runs, deleting sources, reports."""

from __future__ import annotations

import csv
import dataclasses
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import albums
import pytest
from command import lines, objects, run
from PIL import Image
from plans import convert_here, results
from system import posix

from aecodec import codec, files
from aecodec.batch import Existing, Plan, Result, Task, convert, storage
from aecodec.batch.manifest import NAME
from aecodec.batch.run import Event
from aecodec.batch.worker import Converter
from aecodec.conversion import Encoding
from aecodec.files import Job

if sys.platform != "win32":
    import pty


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
    again = convert_here(Plan(Task(existing=Existing.KEEP), ["in"], "out", recursive=True))
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
    forced = dataclasses.replace(plan, task=Task(existing=Existing.REPLACE))
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
    skipping = dataclasses.replace(plan, task=Task(existing=Existing.KEEP))
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
    forced = dataclasses.replace(plan, task=Task(existing=Existing.REPLACE))
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
    other = Task(encoding=Encoding(quality=30), existing=Existing.REPLACE)
    with pytest.raises(Killed):
        convert(dataclasses.replace(plan, task=other), lambda event: None, dying)
    assert (output.read_bytes() == made) is not written
    for task in (Task(), Task(encoding=Encoding(quality=30))):
        refused = of(convert_here(dataclasses.replace(plan, task=task)), "p0000.png")
        assert refused.error_type == "OutputExistsError"
    anew = dataclasses.replace(plan, task=Task(existing=Existing.KEEP))
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
    skipping = dataclasses.replace(plan, task=Task(existing=Existing.KEEP))
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
    skipping = dataclasses.replace(plan, task=Task(existing=Existing.KEEP))
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
    told = convert_here(
        Plan(Task(remove=True, existing=Existing.KEEP), ["in"], "out", recursive=True)
    )
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


@pytest.mark.parametrize("verb", ["compress", "decompress"])
def test_rm_keeps_a_source_that_is_edited_under_its_old_date(
    here: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """As `exiftool -P` and others edit, while the output is checked."""
    (picture,) = albums.photographs(1)
    picture.save("a.png")
    source, target = "a.png", "a.aec"
    if verb == "decompress":
        Path("a.aec").write_bytes(codec.compress(picture))
        source, target = "a.aec", "b.png"
    status = os.stat(source)
    before = Path(source).read_bytes()
    read = storage.read

    def edited(path: str, *more: int) -> bytes:
        if path == target:  # it is read back
            Path(source).write_bytes(before[:-1] + b"!")
            os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
        return read(path, *more)

    monkeypatch.setattr(storage, "read", edited)
    job = {
        "source": [source],
        "target": [target],
        "size": [status.st_size],
        "time_ns": [status.st_mtime_ns],
    }
    found = Converter(Task(verb, remove=True))(job)
    assert found["error"] == ["has changed since it was read: it is kept"]
    assert Path(source).read_bytes() != before


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


def test_options_of_a_plan_that_needs_no_manifest(packed: Path, here: Path) -> None:
    shutil.copytree(packed / "in", "in")
    done = run("compress", "in/p0000.png", "in/p0003.jpg", "-j", "2", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in Path("out").iterdir()) == ["p0000.aec", "p0003.aec"]
    assert len(lines(done.stdout)) == 3
    assert files.shown("in/p0000.png") in done.stdout.decode()


@posix
def test_names_of_a_run_are_synced_together(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    albums.fill(here / "in", 4)
    synced: list[str] = []
    monkeypatch.setattr(files, "sync_folder", synced.append)
    plan = Plan(Task(), ["in"], "out", recursive=True, processes=1)
    told: list[Event] = []
    convert(plan, told.append)
    done = [event for event in told if isinstance(event, Result) and event.status == "done"]
    folders = {os.path.dirname(os.path.realpath(result.target)) for result in done}
    assert len(done) == 4
    # The workers are other processes: what is called here is the client's.
    assert set(synced) == folders | {"."}  # and the folder that holds the new output folder


@pytest.mark.parametrize(
    ("task", "waits"),
    [
        (Task(sync_names=False), False),
        (Task(), True),
        (Task(sync_names=False, remove=True), True),
        (Task(sync_names=False, existing=Existing.REPLACE), True),
    ],
)
def test_what_is_deleted_or_replaced_waits_for_the_disk(
    here: Path, monkeypatch: pytest.MonkeyPatch, task: Task, waits: bool
) -> None:
    albums.fill(here / "in", 1)
    synced: list[str] = []
    monkeypatch.setattr(files, "sync_folder", synced.append)
    source = albums.files(here / "in")[0]
    made = Converter(task)({"source": [f"in/{source}"], "target": ["a.aec"]})
    assert made["status"] == ["done"]
    assert synced == ([str(here)] if waits else [])


def test_what_a_run_before_made_waits_for_the_disk_too(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was killed may have named an output and not synced the name."""
    albums.fill(here / "in", 1)
    source = Path("in", albums.files(here / "in")[0])
    job = {"source": [str(source)], "target": ["a.aec"], "begun": [True]}
    assert Converter(Task(sync_names=False))(job)["status"] == ["done"]
    synced: list[tuple[str, bool]] = []
    monkeypatch.setattr(files, "sync_folder", lambda path: synced.append((path, source.exists())))
    assert Converter(Task(sync_names=False, remove=True))(job)["status"] == ["done"]
    assert not source.exists()
    assert synced == [(str(here), True)]


def test_the_output_folder_is_synced_before_a_source_is_deleted(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    albums.fill(here / "in", 1)
    synced: list[str] = []
    monkeypatch.setattr(files, "sync_folder", lambda path: synced.append(os.path.abspath(path)))
    convert(Plan(Task(remove=True), ["in"], "new/out", recursive=True, processes=1), print)
    assert albums.files(here / "in") == []
    assert synced[:2] == [str(here), str(here / "new")]
