"""compress and decompress as a shell sees them: real processes, real files."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import command
import pytest
import samples
import tiffs
from command import lines, one_fault, run, take
from PIL import Image
from system import posix


def test_there_and_back(shelf: Path, here: Path) -> None:
    take(shelf, "photo.png")
    done = run("compress", "photo.png", "-q", "90")
    assert done.returncode == 0
    assert done.stderr == b""
    assert done.stdout.startswith(b"photo.png -> photo.aec  ")
    assert done.stdout.endswith(b" bpp\n")
    Path("photo.png").rename("original.png")

    done = run("decompress", "photo.aec")
    assert done.returncode == 0
    assert done.stderr == b""
    assert done.stdout.startswith(b"photo.aec -> photo.png  ")
    with Image.open("original.png") as original, Image.open("photo.png") as restored:
        assert restored.format == "PNG"
        assert restored.mode == "RGB"
        assert samples.psnr(original, restored) > 30
    assert Path("photo.aec").stat().st_size < Path("original.png").stat().st_size / 2


def test_quality_is_worth_its_bytes(shelf: Path, here: Path) -> None:
    take(shelf, "photo.png")
    sizes, values = [], []
    for quality in ("10", "50", "90"):
        assert run("compress", "-f", "-q", quality, "photo.png").returncode == 0
        assert run("decompress", "-f", "photo.aec", "-o", "back.png").returncode == 0
        sizes.append(Path("photo.aec").stat().st_size)
        with Image.open("photo.png") as original, Image.open("back.png") as restored:
            values.append(samples.psnr(original, restored))
    assert sizes == sorted(sizes)
    assert values == sorted(values)


def test_a_file_that_would_not_save_enough_is_left_alone(shelf: Path, here: Path) -> None:
    take(shelf, "photo.png")
    small = run("compress", "photo.png", "-q", "1", "--min-savings", "50", "--json")
    assert small.returncode == 0, small.stderr
    assert json.loads(small.stdout)["left"] is False
    size = (here / "photo.aec").stat().st_size
    Path("photo.aec").unlink()

    much = run("compress", "photo.png", "-q", "1", "--min-savings", "99.9")
    assert much.returncode == 0
    assert lines(much.stdout)[0].startswith("photo.png: skipped, ")
    assert f"would become {size}" in lines(much.stdout)[0]
    assert not Path("photo.aec").exists()

    with Image.open("photo.png") as picture:
        picture.save("tiny.jpg", quality=1)
    assert json.loads(run("compress", "tiny.jpg", "--min-savings", "0", "--json").stdout)["left"]
    assert not Path("tiny.aec").exists()

    piped = run("compress", "-", "--min-savings", "5", input=Path("photo.png").read_bytes())
    assert piped.returncode == 2
    assert piped.stdout == b""


def test_what_stays_of_an_earlier_run_is_named(shelf: Path, here: Path) -> None:
    """A file left alone leaves its output of before as it was, and says so; its notes say what
    would have been lost, so they are not told."""
    take(shelf, "photo.png")
    with Image.open("photo.png") as picture:
        picture.convert("I;16").save("deep.png")
    for name in ("photo.png", "deep.png"):
        assert run("compress", "-f", name, "-o", "old.aec").returncode == 0
        before = Path("old.aec").read_bytes()
        done = run("compress", "-f", name, "-o", "old.aec", "--min-savings", "99.9")
        assert done.returncode == 0
        assert done.stderr == b""
        assert lines(done.stdout)[0].endswith("; old.aec stays as it was")
        assert Path("old.aec").read_bytes() == before


def test_a_target_says_what_it_led_to(shelf: Path, here: Path) -> None:
    take(shelf, "photo.png")
    done = run("compress", "photo.png", "--target-psnr", "30")
    quality = int(lines(done.stdout)[0].rpartition(", quality ")[2])
    assert json.loads(run("info", "photo.aec", "--json").stdout)["quality"] == quality


@pytest.mark.parametrize("part", [("--region", "0,0,1,1"), ("--preview", "8")])
def test_bits_per_pixel_are_the_whole_files(shelf: Path, here: Path, part: tuple[str, str]) -> None:
    take(shelf, "photo.aec")
    done = run("decompress", "photo.aec", *part, "--json")
    size = Path("photo.aec").stat().st_size
    assert json.loads(done.stdout)["bpp"] == pytest.approx(8 * size / (160 * 120))


def test_python_m_aecodec_and_the_installed_command_are_one(shelf: Path, here: Path) -> None:
    take(shelf, "photo.png")
    try:
        importlib.metadata.distribution("aecodec")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("aecodec is on the path of this Python, and not installed")
    script = Path(sys.executable).with_name("aecodec")
    done = subprocess.run([script, "compress", "photo.png"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path("photo.aec").read_bytes() == (shelf / "photo.aec").read_bytes()


def test_outputs_go_where_they_are_told(shelf: Path, here: Path) -> None:
    take(shelf, "photo.png", "rocket.jpg")
    Path("out").mkdir()
    assert run("compress", "photo.png", "-o", "x.aec").returncode == 0
    assert run("compress", "photo.png", "rocket.jpg", "-o", "out").returncode == 0
    assert sorted(p.name for p in Path("out").iterdir()) == ["photo.aec", "rocket.aec"]
    assert Path("x.aec").read_bytes() == Path("out/photo.aec").read_bytes()
    assert not Path("photo.aec").exists()


def test_inputs_that_would_become_one_file_keep_their_suffix(shelf: Path, here: Path) -> None:
    take(shelf, "a.png=photo.png", "a.jpg=rocket.jpg")
    assert run("compress", "a.png", "a.jpg").returncode == 0
    assert sorted(p.name for p in here.glob("*.aec")) == ["a.jpg.aec", "a.png.aec"]


@pytest.mark.parametrize(("suffix", "name"), [("jpg", "JPEG"), ("tif", "TIFF"), ("webp", "WEBP")])
def test_the_suffix_chooses_the_format(shelf: Path, here: Path, suffix: str, name: str) -> None:
    take(shelf, "photo.aec")
    assert run("decompress", "photo.aec", "-o", f"x.{suffix}").returncode == 0
    with Image.open(f"x.{suffix}") as picture:
        assert (picture.format, picture.size) == (name, (160, 120))


def test_an_existing_output_needs_force(shelf: Path, here: Path) -> None:
    take(shelf, "photo.png")
    Path("photo.aec").write_bytes(b"precious")
    done = run("compress", "photo.png")
    assert done.returncode == 1
    assert done.stdout == b""
    one_fault(done, "aecodec: photo.png: photo.aec exists already: -f replaces it")
    assert Path("photo.aec").read_bytes() == b"precious"
    assert run("compress", "photo.png", "--force").returncode == 0
    assert Path("photo.aec").read_bytes() == (shelf / "photo.aec").read_bytes()


def test_an_input_is_never_replaced(shelf: Path, here: Path) -> None:
    take(shelf, "photo.aec=photo.png")  # a picture by a misleading name
    done = run("compress", "--force", "photo.aec", "-o", "photo.aec")
    assert done.returncode == 1
    one_fault(done, "aecodec: photo.aec: the output photo.aec would replace an input of this run")
    assert Path("photo.aec").read_bytes() == (shelf / "photo.png").read_bytes()
    assert run("compress", "--force", "photo.aec").returncode == 0
    assert Path("photo.aec").read_bytes() == (shelf / "photo.png").read_bytes()
    assert Path("photo.aec.aec").exists()


def test_one_bad_file_does_not_stop_the_others(shelf: Path, here: Path) -> None:
    take(shelf, "a.png=photo.png", "bad.jpg", "c.png=photo.png")
    done = run("compress", "a.png", "bad.jpg", "missing.jpg", "c.png")
    assert done.returncode == 1
    assert [line.split()[0] for line in lines(done.stdout)] == ["a.png", "c.png"]
    faults = lines(done.stderr)
    assert len(faults) == 2
    assert faults[0].startswith("aecodec: bad.jpg: ")
    assert faults[1].startswith("aecodec: missing.jpg: no such file")
    assert sorted(p.name for p in here.glob("*.aec")) == ["a.aec", "c.aec"]
    assert command.leftovers(here) == []


@pytest.mark.parametrize("name", ["short.aec", "damaged.aec", "photo.png"])
@pytest.mark.parametrize("verb", [("decompress",), ("info",), ("verify",), ("verify", "--full")])
def test_a_bad_aec_file_is_one_line(
    shelf: Path, here: Path, name: str, verb: tuple[str, ...]
) -> None:
    take(shelf, name)
    done = run(*verb, name)
    assert done.returncode == 1
    assert done.stdout == b""
    assert len(lines(done.stderr)) == 1
    assert done.stderr.startswith(f"aecodec: {name}: ".encode())
    assert [p.name for p in here.iterdir()] == [name]


def test_an_output_folder_that_is_missing(shelf: Path, here: Path) -> None:
    take(shelf, "photo.png")
    done = run("compress", "photo.png", "-o", "missing/x.aec")
    assert done.returncode == 1
    one_fault(done, "aecodec: photo.png: the output folder missing does not exist")


@posix
@pytest.mark.parametrize("name", ["two\nlines.png", "\x1b[31mred.png", os.fsdecode(b"\xff.png")])
def test_odd_names_are_converted_and_shown_on_one_line(shelf: Path, here: Path, name: str) -> None:
    shutil.copy(shelf / "photo.png", name)
    done = run("compress", name)
    assert done.returncode == 0
    assert len(lines(done.stdout)) == 1
    assert b"\x1b" not in done.stdout
    assert Path(os.path.splitext(name)[0] + ".aec").exists()
    done = run("compress", name, "--json")
    assert done.returncode == 1
    assert len(lines(done.stderr)) == 1
    assert json.loads(done.stdout)["source"] == name


def test_notes_say_what_is_lost(shelf: Path, here: Path) -> None:
    with Image.open(shelf / "photo.png") as picture:
        picture.convert("CMYK").save("print.tif")
    done = run("compress", "print.tif", "--json")
    assert done.returncode == 0
    notes = json.loads(done.stdout)["notes"]
    assert notes
    assert lines(done.stderr) == [f"print.tif: note: {note}" for note in notes]


def camera_jpeg(name: str) -> None:
    """A photograph that lies on its side, with metadata of every kind and a position."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Maker"
    exif[0x8825] = {29: "2026:01:02"}
    xmp = b'<x:xmpmeta exif:GPSLatitude="51,28N"/>'
    samples.photograph().save(name, exif=exif, xmp=xmp, icc_profile=samples.srgb())


@pytest.mark.parametrize(
    ("option", "sections"),
    [
        ([], ["EXIF", "ICC", "XMP", "TILE"]),
        (["--metadata", "all"], ["EXIF", "ICC", "XMP", "TILE"]),
        (["--metadata", "none"], ["TILE"]),
        (["--metadata", "xmp,icc"], ["ICC", "XMP", "TILE"]),
        (["--metadata", "EXIF"], ["EXIF", "TILE"]),
    ],
)
def test_metadata_is_kept_as_asked(here: Path, option: list[str], sections: list[str]) -> None:
    camera_jpeg("photo.jpg")
    assert run("compress", "photo.jpg", *option).returncode == 0
    found = json.loads(run("info", "--json", "photo.aec").stdout)
    assert [name for name, _ in found["sections"]] == sections
    assert (found["width"], found["height"]) == (120, 160), "upright, whatever is kept"


def test_the_position_can_be_left_out(here: Path) -> None:
    camera_jpeg("photo.jpg")
    for option, there in (([], True), (["--strip-gps"], False)):
        assert run("compress", "-f", "photo.jpg", *option).returncode == 0
        assert run("decompress", "-f", "photo.aec", "-o", "back.jpg").returncode == 0
        with Image.open("back.jpg") as picture:
            assert picture.getexif()[0x010F] == "Maker"
            assert bool(picture.getexif().get_ifd(0x8825)) == there
            assert (b"GPS" in picture.info["xmp"]) == there


def test_strict_refuses_what_would_be_noted(shelf: Path, here: Path) -> None:
    with Image.open(shelf / "photo.png") as picture:
        picture.save("two.tif", save_all=True, append_images=[picture])
    done = run("compress", "two.tif", "--strict")
    assert done.returncode == 1
    fault = "refused by strict: several frames or pages: only the first is kept"
    one_fault(done, f"aecodec: two.tif: {fault}")
    assert not Path("two.aec").exists()
    done = run("compress", "two.tif")
    assert done.returncode == 0
    assert lines(done.stderr) == ["two.tif: note: several frames or pages: only the first is kept"]


def test_pillows_warnings_are_no_messages(here: Path) -> None:
    """It says of a broken directory what a note says, in two lines of its own."""
    tags = {34665: (4, [10**6])}
    Path("a.tif").write_bytes(
        tiffs.tiff(tiffs.picture([bytes(64)], 8, 8, bits=[8], photometric=1, tags=tags))
    )
    for more in ((), ("-j", "1")):
        done = run("compress", "-f", "a.tif", *more)
        said = lines(done.stderr)
        assert done.returncode == 0
        assert said and all("note" in line or "done" in line for line in said), said
