"""Near-duplicates: what is found in folders, what an index keeps, and what is said of bad input."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import samples
from command import lines, objects, run
from PIL import Image, ImageOps
from system import small_disk

import aecodec
from aecodec.errors import AecodecError, InputError
from aecodec.uses.similar import INDEX, Index, groups, likeness, nearest

NAMES = ("astronaut.png", "coffee.png", "chelsea.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photographs, and of one of them three copies."""
    found = tmp_path / "photos"
    (found / "below").mkdir(parents=True)
    for name in NAMES:
        samples.photograph(name, (0, 0, 420, 300)).save(found / name)
    image = samples.photograph("coffee.png", (0, 0, 420, 300))
    (found / "below" / "coffee.aec").write_bytes(aecodec.compress(image, 60))
    ImageOps.mirror(image).save(found / "mirrored.jpg")
    image.crop((21, 15, 399, 285)).save(found / "below" / "cut.webp")
    return found


def test_copies_are_one_group(folder: Path) -> None:
    done = run("similar", folder, "--json")
    assert done.returncode == 0, done.stderr
    (group,) = objects(done.stdout)
    members = {os.path.relpath(str(m["path"]), folder) for m in group["members"]}
    assert members == {"coffee.png", "below/coffee.aec", "below/cut.webp", "mirrored.jpg"}
    assert all(0.8 <= member["likeness"] <= 1.001 for member in group["members"])


def test_the_nearest_to_a_query_come_first(folder: Path) -> None:
    query = folder.parent / "query.jpg"
    samples.photograph("chelsea.png", (0, 0, 420, 300)).resize((210, 150)).save(query)
    done = run("similar", folder, "--query", query, "-n", "2")
    first, second = lines(done.stdout)
    assert first.endswith(f"{folder / 'chelsea.png'}  copy")
    assert not second.endswith("copy")


def test_the_next_run_reads_what_is_new(folder: Path) -> None:
    failures: list[str] = []

    def failed(path: str, error: AecodecError) -> None:
        failures.append(path)

    def update() -> int:
        sources = [(n, str(folder / n)) for n in sorted(os.listdir(folder)) if "." in n]
        with Index(str(folder / INDEX)) as index:
            return index.update([s for s in sources if s[0] != INDEX], failed)

    assert update() == 4
    assert update() == 0
    os.utime(folder / "coffee.png", ns=(1, 1))
    (folder / "chelsea.png").unlink()
    assert update() == 1
    with Index(str(folder / INDEX)) as index:
        assert index.read()[0] == ["astronaut.png", "coffee.png", "mirrored.jpg"]
    assert not failures


def test_what_was_described_before_an_interruption_stays(folder: Path) -> None:
    def sources() -> object:
        for number in range(64):
            yield f"{number}.png", str(folder / "coffee.png")
        raise KeyboardInterrupt

    with Index(str(folder / INDEX)) as index, pytest.raises(KeyboardInterrupt):
        index.update(sources(), lambda path, error: None)  # type: ignore[arg-type]
    with Index(str(folder / INDEX)) as index:
        # The batch that was being gathered when it happened is lost, no other.
        assert len(index.read()[0]) in (0, 64)
        again = [(f"{n}.png", str(folder / "coffee.png")) for n in range(70)]
        assert index.update(again, lambda path, error: None) == 70 - 64


def test_a_broken_picture_is_named_and_the_others_are_described(folder: Path) -> None:
    (folder / "broken.aec").write_bytes(aecodec.compress(Image.new("RGB", (64, 64)))[:-3])
    done = run("similar", folder)
    assert done.returncode == 1
    assert len(lines(done.stderr)) == 1
    assert "broken.aec: truncated" in lines(done.stderr)[0]
    assert lines(done.stdout)[0] == "group 1: 4 pictures"


def test_what_is_not_looked_into_is_named_once(tmp_path: Path) -> None:
    samples.photograph().save(tmp_path / "one.png")
    (tmp_path / "back").symlink_to(tmp_path)
    done = run("similar", tmp_path)
    assert done.returncode == 0
    (line, _) = lines(done.stderr)
    assert line == (
        f"aecodec: {tmp_path / 'back'}: is a link back to a folder that holds it: not followed"
    )


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, fault in (
        ("empty", "there is no picture in this folder that can be read"),
        ("nowhere", "no such folder"),
    ):
        done = run("similar", tmp_path / name)
        assert done.returncode == 1
        assert lines(done.stderr) == [f"aecodec: {tmp_path / name}: {fault}"]
    samples.photograph().save(tmp_path / "empty" / "one.png")
    done = run("similar", tmp_path / "empty")
    assert done.returncode == 0
    assert lines(done.stderr) == ["1 picture, and no copies among them"]
    done = run("similar", tmp_path / "empty", "--query", tmp_path / "nothing.png")
    assert done.returncode == 1
    assert lines(done.stderr) == [f"aecodec: {tmp_path / 'nothing.png'}: no such file"]


def test_an_index_that_is_none_is_named(tmp_path: Path) -> None:
    samples.photograph().save(tmp_path / "one.png")
    (tmp_path / INDEX).write_bytes(b"something else entirely " * 99)
    done = run("similar", tmp_path)
    assert done.returncode == 1
    (line,) = lines(done.stderr)
    assert f"{INDEX} is no index of descriptors" in line
    assert run("similar", tmp_path, "--no-index").returncode == 0


def test_a_forged_index_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / INDEX)
    with Index(path):
        pass
    forgeries = [(b"a", b"short"), (b"a", 7), (b"a", np.full(512, np.nan, "<f2").tobytes())]
    for key, views in forgeries:
        with sqlite3.connect(path) as database:
            database.execute("INSERT OR REPLACE INTO pictures VALUES (?, 1, 1, ?)", (key, views))
        database.close()
        with Index(path) as index, pytest.raises(InputError, match="damaged"):
            index.read()
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE addresses (name TEXT)")
    database.close()
    with pytest.raises(InputError, match="something else"), Index(str(other)):
        pass


def test_likeness_looks_both_ways() -> None:
    """A cut copy finds its picture, and the picture its cut copy."""
    rng = np.random.default_rng(2)
    views = rng.normal(size=(3, 8, 64)).astype(np.float32)
    views /= np.linalg.norm(views, axis=-1, keepdims=True)
    views[1, 0] = views[0, 3]
    alike = likeness(views, views)
    assert alike[0, 1] == pytest.approx(1.0, abs=1e-5)
    assert np.allclose(alike, alike.T)
    found = nearest(views, ["a", "b", "c"], views[1], 2)
    assert {near.path for near in found} == {"a", "b"}
    assert all(near.likeness == pytest.approx(1.0, abs=1e-5) for near in found)
    (group,) = groups(views, ["a", "b", "c"], 0.9)
    assert [member.path for member in group.members] == ["a", "b"]


def test_a_file_is_no_copy_of_itself(tmp_path: Path) -> None:
    """Whoever deletes all copies but one would lose it."""
    (tmp_path / "a" / "below").mkdir(parents=True)
    samples.photograph().save(tmp_path / "a" / "below" / "photo.png")
    (tmp_path / "a" / "0-link.png").symlink_to(tmp_path / "a" / "below" / "photo.png")
    (tmp_path / "a" / "hard.png").hardlink_to(tmp_path / "a" / "below" / "photo.png")
    done = run("similar", "--no-index", "a", "./a", "a/below", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not done.stdout
    assert lines(done.stderr) == ["1 picture, and no copies among them"]
    done = run("similar", "a", "--query", "a/0-link.png", "--json", cwd=tmp_path)
    (found,) = objects(done.stdout)
    assert not os.path.islink(tmp_path / str(found["path"]))


def test_a_full_disk_costs_the_index_alone(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "400k"):
        image = samples.photograph("coffee.png", (0, 0, 420, 300))
        for number in range(3):
            image.save(disk / f"{number}.jpg", quality=60 + number)
        room = os.statvfs(disk)
        (disk / "fill").write_bytes(bytes(room.f_bavail * room.f_frsize - 24 * 1024))
        done = run("similar", disk, "--json")
        assert done.returncode == 0, done.stderr
        (note,) = lines(done.stderr)
        assert "nothing new is kept for the next run" in note
        (group,) = objects(done.stdout)
        assert len(group["members"]) == 3


def test_a_file_that_cannot_be_read_is_one_object_too(folder: Path) -> None:
    (folder / "bad.jpg").write_bytes(b"")
    done = run("similar", folder, "--json")
    assert done.returncode == 1
    bad, group = objects(done.stdout)
    assert (bad["source"], bad["ok"]) == (str(folder / "bad.jpg"), False)
    assert group["ok"]
    done = run("similar", folder, "-n", "3")
    assert done.returncode == 2
    assert b"--query" in done.stderr


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 0.8])
def test_groups_are_what_all_pairs_join(threshold: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the threshold, and in how many parts the pictures are compared."""
    monkeypatch.setattr("aecodec.uses.similar._AT_ONCE", 7)
    rng = np.random.default_rng(0)
    views = rng.normal(size=(30, 8, 64)).astype(np.float32)
    views[20:] += 1.5 * views[:10]
    views /= np.linalg.norm(views, axis=2, keepdims=True)
    alike = likeness(views, views)
    near = (alike >= threshold) & ~np.eye(30, dtype=bool)
    reached = near | np.eye(30, dtype=bool)
    for _ in range(30):
        reached = (reached.astype(int) @ reached) > 0
    expected = {tuple(np.flatnonzero(row).tolist()) for row in reached if row.sum() > 1}
    found = groups(views, [str(i) for i in range(30)], threshold)
    assert {tuple(int(m.path) for m in group.members) for group in found} == expected
    for member in (member for group in found for member in group.members):
        row = alike[int(member.path)][near[int(member.path)]]
        assert member.likeness == pytest.approx(float(row.max()))
