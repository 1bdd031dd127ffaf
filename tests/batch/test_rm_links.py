"""`--rm` and links: of every picture an output remains, and what stays or goes is said."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import albums
import plans
import pytest
from system import posix

import aecodec
from aecodec.batch import Plan, Result, Task, convert, pool
from aecodec.batch.run import Event
from aecodec.files import link_depth

pytestmark = posix


@pytest.fixture
def photograph(here: Path) -> bytes:
    """The bytes of a small JPEG; `in` is an empty folder."""
    Path("in").mkdir()
    (picture,) = albums.photographs(1)
    picture.convert("RGB").save("photograph.jpg")
    data = Path("photograph.jpg").read_bytes()
    Path("photograph.jpg").unlink()
    return data


def removed(*inputs: str, output: str | None = None, recursive: bool = False) -> dict[str, Any]:
    """Compress with `--rm` in this process: status, error and notes by the names of sources."""
    task = Task(remove=True)
    told = plans.convert_here(Plan(task, list(inputs), output, recursive=recursive))
    return {n: (r.status, r.error, r.notes) for n, r in plans.results(told).items()}


def names(folder: str = ".") -> set[str]:
    found = (Path(top, name) for top, _, files in os.walk(folder) for name in files)
    return {str(path) for path in found if not path.name.startswith(".")}


DONE = ("done", "", ())


@pytest.mark.parametrize("order", [("a.jpg", "b.jpg", "c.jpg"), ("c.jpg", "b.jpg", "a.jpg")])
@pytest.mark.parametrize("first", ["a.jpg", "c.jpg"])
def test_links_are_compressed_before_what_they_name(
    photograph: bytes, order: tuple[str, ...], first: str
) -> None:
    """In whatever order they are given, and over several links."""
    last = ({"a.jpg", "c.jpg"} - {first}).pop()
    Path(first).write_bytes(photograph)
    os.symlink(first, "b.jpg")
    os.symlink("b.jpg", last)
    assert [link_depth(name) for name in (first, "b.jpg", last)] == [0, 1, 2]
    assert removed(*order) == dict.fromkeys(order, DONE)
    assert names() == {"a.aec", "b.aec", "c.aec"}


def test_a_link_goes_and_the_file_that_it_names_stays(photograph: bytes) -> None:
    Path("elsewhere").mkdir()
    Path("elsewhere/a.jpg").write_bytes(photograph)
    os.symlink("elsewhere/a.jpg", "b.jpg")
    assert removed("b.jpg") == {"b.jpg": DONE}
    assert names() == {"b.aec", "elsewhere/a.jpg"}
    assert Path("elsewhere/a.jpg").read_bytes() == photograph


def test_hard_links_are_files_of_their_own(photograph: bytes) -> None:
    Path("a.jpg").write_bytes(photograph)
    os.link("a.jpg", "b.jpg")
    os.link("a.jpg", "c.jpg")
    assert removed("a.jpg", "b.jpg") == {"a.jpg": DONE, "b.jpg": DONE}
    assert names() == {"a.aec", "b.aec", "c.jpg"}
    assert Path("c.jpg").read_bytes() == photograph


def test_one_file_under_two_paths_is_done_once(photograph: bytes) -> None:
    Path("in/a.jpg").write_bytes(photograph)
    os.symlink("in", "same")
    assert removed("in/a.jpg", "./in/a.jpg", "same/a.jpg") == {"a.jpg": DONE}
    assert names() == {"in/a.aec"}


def test_all_kinds_of_links_in_a_folder(photograph: bytes) -> None:
    Path("elsewhere").mkdir()
    Path("elsewhere/x.jpg").write_bytes(photograph)
    Path("in/b.jpg").write_bytes(photograph)
    os.symlink("b.jpg", "in/a.jpg")
    os.symlink("b.jpg", "in/z.jpg")
    os.link("in/b.jpg", "in/c.jpg")
    os.symlink("../elsewhere/x.jpg", "in/d.jpg")
    os.symlink("nowhere", "in/e.jpg")
    os.symlink("../elsewhere", "in/f")
    dead = ("failed", "is a link to nowhere, which is not there", ())
    found = removed("in", output="out", recursive=True)
    assert found == {"e.jpg": dead} | {f"{n}.jpg": DONE for n in "abcdz"}
    assert names("out") == {f"out/{n}.aec" for n in "abcdz"}
    assert names("in") == {"in/e.jpg"}
    assert os.path.islink("in/f")
    assert names("elsewhere") == {"elsewhere/x.jpg"}
    sizes = {aecodec.read_info(Path(name).read_bytes()).width for name in names("out")}
    assert len(sizes) == 1


def test_a_dead_link_is_named(photograph: bytes) -> None:
    os.symlink("nowhere\n.jpg", "a.jpg")
    error = r"is a link to nowhere\n.jpg, which is not there"
    assert removed("a.jpg") == {"a.jpg": ("failed", error, ())}
    assert os.path.islink("a.jpg")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_the_file_of_a_link_goes_away_in_the_meantime(photograph: bytes, moment: str) -> None:
    """Before it is read, or before the link would be deleted."""
    Path("elsewhere.jpg").write_bytes(photograph)
    os.symlink("elsewhere.jpg", "a.jpg")
    told: list[Event] = []

    def workers(task: Task, jobs: Any) -> Any:
        from aecodec.batch import worker

        (job,) = jobs
        if moment == "before":
            Path("elsewhere.jpg").unlink()
            yield from pool.convert_here(task, iter([job]))
            return
        made = worker.convert

        def converted(*arguments: Any) -> Any:
            result = made(*arguments)
            Path("elsewhere.jpg").unlink()
            return result

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(worker, "convert", converted)
            yield from pool.convert_here(task, iter([job]))

    convert(Plan(Task(remove=True), ["a.jpg"], None), told.append, workers)
    (result,) = (event for event in told if isinstance(event, Result))
    assert os.path.islink("a.jpg")
    if moment == "before":
        assert result.status == "failed"
        assert result.error == "is a link to elsewhere.jpg, which is not there"
        assert names() == {"a.jpg"}
    else:
        kept = "the source is kept: it is a link, and the file that it names is gone"
        assert (result.status, result.notes) == ("done", (kept,))
        assert aecodec.read_info(Path("a.aec").read_bytes()).width
