"""Which files of which folders are converted, and what their outputs are called."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import albums
import pytest
import samples
from command import leftovers, objects, run
from PIL import Image
from system import posix

from aecodec import codec
from aecodec.batch.manifest import NAME
from aecodec.batch.select import Fault, Job, Note, Selection
from aecodec.files import COMPRESSED, RESTORED, UsageFault


def select(*inputs: str, output: str | None = "out", **options: object) -> list[object]:
    return list(Selection(inputs, output, COMPRESSED, **options))  # type: ignore[arg-type]


def names(items: list[object]) -> list[tuple[str, str]]:
    assert all(isinstance(item, Job) for item in items), items
    return sorted((item.key, item.target) for item in items if isinstance(item, Job))


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


def test_without_an_output_folder_each_stands_beside_its_source(packed: Path, here: Path) -> None:
    shutil.copytree(packed / "in", "in")
    assert run("compress", "in", "-r", "-j", "1").returncode == 0
    originals = albums.files(packed / "in")
    assert albums.files(here / "in") == sorted([*originals, *albums.becomes(originals)])


def test_what_macos_writes_beside_files_is_no_picture(here: Path) -> None:
    """On memory cards and network drives: attributes of a file, under a name with its suffix."""
    (picture,) = albums.photographs(1)
    Path("in").mkdir()
    for name in ("a.jpg", "._real.jpg"):
        Path("in", name).write_bytes(albums.encoded(picture, "JPEG"))
    for name in ("._a.jpg", "._a.aec"):
        Path("in", name).write_bytes(b"\0\x05\x16\x07\0\2\0\0Mac OS X        ")
    chosen = Selection(["in"], None, COMPRESSED, recursive=True)
    assert [key for key, _ in names(list(chosen))] == ["._real.jpg", "a.jpg"]
    assert chosen.kinds == {"._*": 2}
    chosen = Selection(["in"], None, RESTORED, recursive=True)
    assert names(list(chosen)) == []


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
    assert chosen.kinds == {"": 2, ".bak": 1, ".jpeg": 1, ".png": 1, ".txt": 1}


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
    with pytest.raises(UsageFault, match="the same name"):
        select("q", "r/q", recursive=True)


def test_an_output_folder_within_the_input_is_left_alone(here: Path) -> None:
    Path("in/out").mkdir(parents=True)
    Path("in/out/z.jpg").write_bytes(b"\xff\xd8\xff")
    Path("in/a.jpg").write_bytes(b"\xff\xd8\xff")
    found = select("in", output="in/out", recursive=True)
    assert names(found) == [("a.jpg", "in/out/a.aec")]


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\0"])
def test_a_list_of_files(here: Path, separator: str) -> None:
    originals = albums.fill(here / "in", 3)
    Path("list").write_bytes(separator.join(originals).encode())
    assert [key for key, _ in names(select("in", files_from="list"))] == sorted(originals)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16-le", "utf-16-be"])
def test_a_list_as_windows_writes_it(here: Path, encoding: str, end: str) -> None:
    """With a byte-order mark, as by Notepad and by PowerShell's `>`."""
    albums.fill(here / "in", 3)
    originals = ["p0000.png", "été.png", "Ж.png"]
    for name in originals[1:]:
        shutil.copy("in/p0000.png", Path("in", name))
    mark = "\ufeff" if encoding.startswith("utf-16") else ""
    Path("list").write_bytes((mark + end.join(originals) + end).encode(encoding))
    assert [key for key, _ in names(select("in", files_from="list"))] == sorted(originals)
    given = Path("list").read_bytes()
    done = run("compress", "in", "--files-from", "-", "-o", "out", "--dry-run", input=given)
    assert done.stdout.count(b" -> ") == len(originals)


def test_a_list_that_is_not_what_its_mark_says(here: Path) -> None:
    Path("list").write_bytes("\ufeffa.png".encode("utf-16-le") + b"\n")
    with pytest.raises(UsageFault, match="the list list begins as utf-16 and is not"):
        select(files_from="list")


@posix
def test_a_list_that_spells_a_file_in_several_ways(here: Path) -> None:
    albums.fill(here / "in", 2)
    (here / "link").symlink_to(here / "in" / "alps")
    Path("list").write_text("p0000.png\n./p0000.png\nalps//p0001.jpg\nalps/../p0000.png\n")
    found = [os.path.basename(job.target) for job in select("in", files_from="list")]
    assert found == ["p0000.aec", "p0001.aec"]
    Path("p0001.jpg").write_bytes(Path("in/alps/p0001.jpg").read_bytes())
    Path("list").write_text("p0001.jpg\nlink/../p0001.jpg\n")  # the second is in/p0001.jpg
    assert len(list(select(files_from="list"))) == 2
    with pytest.raises(UsageFault, match="would both become"):
        select("p0001.jpg", "link/../p0001.jpg")


@posix
def test_a_list_from_standard_input_with_newlines_in_names(packed: Path, here: Path) -> None:
    odd = [os.fsdecode(b"\xff\xfe.jpg"), "two\nlines.jpg", "plain.jpg"]  # as UTF-16 begins
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


@posix
def test_links_to_folders_are_followed_unless_sources_are_deleted(here: Path) -> None:
    Path("elsewhere").mkdir()
    Path("elsewhere/a.jpg").write_bytes(b"\xff\xd8\xff")
    Path("in").mkdir()
    os.symlink("../elsewhere", "in/link")
    assert names(select("in", recursive=True)) == [("link/a.jpg", "out/link/a.aec")]
    (note,) = select("in", recursive=True, links=False)
    assert isinstance(note, Note)
