"""Remote folders: a real S3 server on loopback, and fsspec's store in memory."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import albums
import pytest
import stores
from command import run, start

from aecodec import codec
from aecodec.batch import Existing, Plan, Result, Task, convert, storage
from aecodec.batch.run import Event
from aecodec.batch.select import Fault, Selection
from aecodec.conversion import Encoding
from aecodec.errors import InputError, OutputExistsError
from aecodec.files import COMPRESSED

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[dict[str, str], Any]]:
    with stores.s3() as found:
        yield found


@pytest.fixture
def bucket(server: tuple[dict[str, str], Any], here: Path) -> Iterator[tuple[dict[str, str], Any]]:
    environment, fs = server
    yield environment, fs
    for path in fs.find("photos"):
        fs.rm_file(path)


def upload(fs: Any, folder: Path, prefix: str) -> None:
    for name in albums.files(folder):
        fs.pipe_file(f"photos/{prefix}/{name}", (folder / name).read_bytes())


def keys(fs: Any, prefix: str) -> list[str]:
    return sorted(path.removeprefix(f"photos/{prefix}/") for path in fs.find(f"photos/{prefix}"))


def test_from_s3_to_s3_and_back_home(bucket: tuple[dict[str, str], Any], here: Path) -> None:
    environment, fs = bucket
    originals = albums.fill(here / "in", 7)
    broken = albums.spoil(here / "in", 2)
    upload(fs, here / "in", "in")
    fs.pipe_file("photos/in/notes.txt", b"no picture")
    arguments = ("compress", "s3://photos/in", "-o", "s3://photos/out", "-r", "-j", "2", "--json")
    done = run(*arguments, env=environment)
    assert done.returncode == 1
    told = {line["source"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert {source for source, line in told.items() if not line["ok"]} == {
        f"s3://photos/in/{name}" for name in broken
    }
    assert keys(fs, "out") == albums.becomes(originals)
    for name in keys(fs, "out"):
        codec.verify(fs.cat_file(f"photos/out/{name}"), full=True)
    (log,) = here.glob("aecodec-out-*.jsonl")
    assert sorted(albums.done(log)) == sorted(originals)

    again = run(*arguments, env=environment)
    statuses = [json.loads(line)["status"] for line in again.stdout.splitlines()]
    assert sorted(statuses) == ["failed"] * 2 + ["kept"] * 7

    back = run("decompress", "s3://photos/out/", "-o", "back", "-r", "-j", "1", env=environment)
    assert back.returncode == 0, back.stderr
    assert albums.files(here / "back") == albums.becomes(originals, ".png")


def test_rm_and_single_objects_on_s3(bucket: tuple[dict[str, str], Any], here: Path) -> None:
    environment, fs = bucket
    originals = albums.fill(here / "in", 3)
    upload(fs, here / "in", "in")
    single = run(
        *("compress", "s3://photos/in/p0000.png", "-o", "s3://photos/one.aec"), env=environment
    )
    assert single.returncode == 0, single.stderr
    codec.verify(fs.cat_file("photos/one.aec"))
    missing = run("compress", "s3://photos/in/none.png", "-o", "out", env=environment)
    assert missing.returncode == 1
    assert missing.stderr == b"aecodec: s3://photos/in/none.png: no such file\n"
    done = run(
        *("compress", "s3://photos/in", "-o", "s3://photos/out", "-r", "-j", "1", "--rm"),
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert keys(fs, "in") == []
    assert keys(fs, "out") == albums.becomes(originals)


def test_an_object_that_is_there_already(bucket: tuple[dict[str, str], Any], here: Path) -> None:
    environment, fs = bucket
    albums.fill(here / "in", 1)
    fs.pipe_file("photos/out/p0000.aec", b"mine")
    done = run("compress", "in", "-o", "s3://photos/out", "-r", "-j", "1", env=environment)
    assert done.returncode == 1
    assert b"exists already" in done.stderr
    assert fs.cat_file("photos/out/p0000.aec") == b"mine"
    forced = run("compress", "in", "-o", "s3://photos/out", "-r", "-f", env=environment)
    assert forced.returncode == 0, forced.stderr
    codec.verify(fs.cat_file("photos/out/p0000.aec"))


def test_only_the_first_of_two_writers_gets_the_name(
    bucket: tuple[dict[str, str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment, fs = bucket
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    storage.write("s3://photos/a.aec", b"first", force=False)
    with pytest.raises(OutputExistsError):
        storage.write("s3://photos/a.aec", b"second", force=False)
    assert fs.cat_file("photos/a.aec") == b"first"


def test_killed_on_the_way_to_s3(bucket: tuple[dict[str, str], Any], here: Path) -> None:
    environment, fs = bucket
    originals = albums.fill(here / "in", 30)
    arguments = ("compress", "in", "-o", "s3://photos/out", "-r", "-j", "2", "--json")
    process = start(*arguments, env=environment)
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate()
    again = run(*arguments, env=environment)
    assert again.returncode == 0, again.stderr
    assert keys(fs, "out") == albums.becomes(originals)
    (log,) = here.glob("aecodec-out-*.jsonl")
    assert sorted(albums.done(log)) == sorted(originals)


def test_nobody_answers(here: Path) -> None:
    done = run(
        *("compress", "s3://photos/in", "-o", "out", "-r"),
        env={
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_MAX_ATTEMPTS": "1",
        },
    )
    assert done.returncode == 1
    assert b"s3://photos/in: cannot be read: " in done.stderr
    assert b"Traceback" not in done.stderr


# --------------------------------------------------------------------------- the store in memory


@pytest.fixture
def memory() -> Iterator[Any]:
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    yield fs
    fs.store.clear()


def results(plan: Plan) -> list[Result]:
    told: list[Event] = []
    convert(plan, told.append)
    return [event for event in told if isinstance(event, Result)]


def test_from_memory_to_memory(memory: Any, here: Path) -> None:
    originals = albums.fill(here / "in", 4)
    for name in originals:
        memory.pipe_file(f"/in/{name}", (here / "in" / name).read_bytes())
    plan = Plan(Task(), ["memory://in"], "memory://out", recursive=True)
    assert [result.status for result in results(plan)] == ["done"] * 4
    assert sorted(p.removeprefix("/out/") for p in memory.find("/out")) == albums.becomes(originals)
    assert [result.status for result in results(plan)] == ["kept"] * 4
    back = Plan(Task(verb="decompress"), ["memory://out"], "back", recursive=True)
    assert [result.status for result in results(back)] == ["done"] * 4
    assert albums.files(here / "back") == albums.becomes(originals, ".png")


def test_with_other_options_and_back(memory: Any, here: Path) -> None:
    """Whether an output is there is only asked when it is to be written."""
    albums.fill(here / "in", 2)
    plan = Plan(Task(), ["in"], "memory://other/out", recursive=True)
    other = Task(encoding=Encoding(quality=30))
    forced = dataclasses.replace(other, existing=Existing.REPLACE)
    for task, expected in (
        (Task(), "done"),
        (other, "failed"),
        (Task(), "kept"),
        (forced, "done"),
        (other, "kept"),
        (Task(), "failed"),
        (Task(existing=Existing.KEEP), "kept"),
        (Task(existing=Existing.REPLACE), "done"),
        (Task(), "kept"),
    ):
        found = results(dataclasses.replace(plan, task=task))
        assert [result.status for result in found] == [expected] * 2


def test_remote_names_never_leave_the_output_folder(memory: Any, here: Path) -> None:
    memory.pipe_file("/in/a.png", b"")
    Path("list").write_text("memory://in/../../../evil.png\n../evil.png\n")
    found = list(Selection(["memory://in"], "out", COMPRESSED, files_from="list"))
    assert [str(fault.error) for fault in found if isinstance(fault, Fault)] == [
        "would leave the output folder"
    ] * 2


def test_two_remote_writers(memory: Any) -> None:
    storage.write("memory://out/a.aec", b"first", force=False)
    with pytest.raises(OutputExistsError):
        storage.write("memory://out/a.aec", b"second", force=False)
    storage.write("memory://out/a.aec", b"third", force=True)
    assert storage.read("memory://out/a.aec") == b"third"
    with pytest.raises(InputError, match="no such file"):
        storage.read("memory://out/b.aec")
    storage.remove("memory://out/a.aec")
    assert storage.stamp("memory://out/a.aec") is None


def test_a_store_that_does_not_write_whole_files_gets_them_by_renaming(here: Path) -> None:
    """fsspec's `local://` stands for all stores that write in place: SFTP, SMB and others."""
    target = f"local://{here}/out/a.aec"
    storage.write(target, b"first", force=False)
    with pytest.raises(OutputExistsError):
        storage.write(target, b"second", force=False)
    storage.write(target, b"third", force=True)
    assert Path("out/a.aec").read_bytes() == b"third"
    assert os.listdir("out") == ["a.aec"]
