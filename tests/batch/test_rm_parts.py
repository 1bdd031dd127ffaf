"""`--rm` deletes what is whole in its output, and nothing else."""

from __future__ import annotations

import errno
import json
import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import carriers
import numpy as np
import pytest
from command import run
from PIL import Image
from system import posix

import aecodec
from aecodec.batch import Converter, Task, worker
from aecodec.batch.worker import least_psnr
from aecodec.conversion import Encoding
from aecodec.errors import InputError
from aecodec.image.load import load
from aecodec.image.picture import Picture, fidelity

WHOLE = {
    "JPEG": ("plain", "dpi", "exif", "comments", "iptc", "resources", "xmp", "extended xmp",
             "motion photo", "samsung", "hdrgm", "iso gain map", "gain map, lying",
             "large thumbnail", "padding", "restarts"),
    "PNG": ("plain", "texts", "xmp", "dpi", "time", "raw iptc", "cicp p3", "gama", "harmless"),
    "WEBP": ("plain", "metadata", "padding"),
    "BMP": ("plain", "padding"),
    "PPM": ("plain", "comment", "padding", "maxval 100"),
}  # fmt: skip
LOST = {
    "JPEG": ("c2pa", "flir", "path", "zip", "tail", "second jpeg", "stereo", "two xmp",
             "unknown app", "extended xmp, a piece missing"),
    "PNG": ("c2pa", "private", "cicp pq", "animation", "sixteen bits", "aspect", "zip"),
    "WEBP": ("c2pa", "unknown", "animation", "tail"),
    "GIF": ("comment", "animation", "application"),
    "BMP": ("gap", "tail"),
    "PPM": ("16 bits", "two images", "tail"),
}  # fmt: skip
SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "PPM": "ppm"}


def filled(folder: Path, chosen: dict[str, tuple[str, ...]]) -> set[str]:
    folder.mkdir(exist_ok=True)
    names = set()
    for format, kinds in chosen.items():
        for number, what in enumerate(kinds):
            name = f"{what.replace(', ', '-').replace(' ', '-')}-{number}.{SUFFIXES[format]}"
            (folder / name).write_bytes(carriers.FORMATS[format]()[what])
            names.add(name)
    return names


def test_a_folder_with_one_of_each(here: Path) -> None:
    whole = filled(here / "in", WHOLE)
    lost = filled(here / "in", LOST)
    assert not whole & lost
    done = run("compress", "-r", "in", "-o", "out", "--rm", "-j", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (here / "in").iterdir()} == lost
    results = [json.loads(line) for line in done.stdout.splitlines()]
    noted = {Path(r["source"]).name for r in results if r.get("source") and r.get("notes")}
    assert noted == lost


def test_an_output_takes_its_sources_place(here: Path) -> None:
    """With its date, which may be all that tells when a picture was taken, and its attributes."""
    data = carriers.jpegs()["plain"]
    for name in ("a.jpg", "b.jpg"):
        Path(name).write_bytes(data)
        os.utime(name, ns=(10**18 + 1, 10**18 + 1))
    told = _with_attribute("a.jpg", "user.xdg.comment", b"from box 12")
    one = {"source": ["a.jpg"], "target": ["a.aec"]}
    assert Converter(Task(remove=True))(one)["notes"] == [()]
    assert not Path("a.jpg").exists()
    assert os.stat("a.aec").st_mtime_ns == 10**18 + 1
    assert not told or os.getxattr("a.aec", "user.xdg.comment") == b"from box 12"
    other = {"source": ["b.jpg"], "target": ["b.aec"]}
    Converter(Task())(other)
    assert os.stat("b.aec").st_mtime_ns > 10**18 + 1


@posix
def test_an_output_belongs_to_whom_its_source_belonged(here: Path) -> None:
    """Who runs as root over the folders of others takes no picture away from them."""
    if os.geteuid():
        pytest.skip("only root gives files away")
    Path("a.jpg").write_bytes(carriers.jpegs()["plain"])
    os.chmod("a.jpg", 0o600)
    os.chown("a.jpg", 12345, 23456)
    Converter(Task(remove=True))({"source": ["a.jpg"], "target": ["a.aec"]})
    found = os.stat("a.aec")
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (12345, 23456, 0o600)
    assert not Path("a.jpg").exists()


def test_a_picture_that_is_all_transparent_is_kept(here: Path) -> None:
    """Its colours would be gone. Some programs leave alpha 0 where they do not mean it."""
    image = carriers.IMAGE.convert("RGBA")
    image.putalpha(0)
    image.save("a.png")
    Image.new("RGBA", (20, 10), (1, 2, 3, 0)).save("spacer.png")
    columns = {"source": ["a.png", "spacer.png"], "target": ["a.aec", "spacer.aec"]}
    (noted, *more), fine = Converter(Task(remove=True))(columns)["notes"]
    assert "transparent everywhere" in noted and more and fine == ()
    assert Path("a.png").exists() and not Path("spacer.png").exists()
    exact = Task(remove=True, encoding=Encoding(lossless=True))
    assert Converter(exact)({"source": ["a.png"], "target": ["b.aec"]})["notes"] == [()]
    with pytest.raises(InputError, match="refused by strict: colours"):
        image.save("a.png")
        Encoding(strict=True).load("a.png")


@posix
def test_what_no_output_can_have_keeps_the_source(here: Path) -> None:
    """An access control list: the output is for the owner alone, and says nothing of others."""
    Path("a.jpg").write_bytes(carriers.jpegs()["plain"])
    os.chmod("a.jpg", 0o600)
    entries = ((1, 6, -1), (2, 4, 1), (4, 0, -1), (16, 4, -1), (32, 0, -1))
    held = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    if not _with_attribute("a.jpg", "system.posix_acl_access", held):
        pytest.skip("a file system without access control lists")
    assert os.stat("a.jpg").st_mode & 0o777 == 0o640  # the bits of the group are the list's
    columns = Converter(Task(remove=True))({"source": ["a.jpg"], "target": ["a.aec"]})
    kept = "the source is kept, since its access control list cannot be kept with the output"
    assert columns["notes"] == [(kept,)]
    assert Path("a.jpg").exists()
    assert os.stat("a.aec").st_mode & 0o777 == 0o600


def _with_attribute(path: str, name: str, value: bytes) -> bool:
    """Give a file an extended attribute; false where the system or the file system has none."""
    if not hasattr(os, "setxattr"):
        return False
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise  # an attribute that is malformed is the test's own fault
        return False
    return True


@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_strict_refuses_what_loses_something(here: Path, name: str) -> None:
    whole = filled(here / "whole", {name: WHOLE[name]})
    lost = filled(here / "lost", {name: LOST[name]})
    assert run("compress", "--strict", *(f"whole/{n}" for n in sorted(whole))).returncode == 0
    done = run("compress", "--strict", *(f"lost/{n}" for n in sorted(lost)))
    assert done.returncode == 1
    assert done.stderr.count(b"refused by strict") == len(lost)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("back.jpg", b"the source is kept, since JPEG keeps its pixels only nearly"),
        ("back.eps", b"back.eps cannot be read back, so the source is kept: EPS is a drawing"),
        ("back.tif", b""),
    ],
)
def test_an_aec_file_stays_beside_a_picture_that_is_less(here: Path, name: str, why: bytes) -> None:
    Path("a.aec").write_bytes(aecodec.compress(Image.new("RGB", (16, 16), "red"), lossless=True))
    done = run("decompress", "a.aec", "-o", name, "--rm")
    assert why in done.stderr
    assert Path(name).exists()
    assert Path("a.aec").exists() == bool(why)


def test_an_output_unlike_its_source_keeps_it(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the reason. Here the encoder takes another picture than the source's."""
    Path("a.png").write_bytes(carriers.pngs()["plain"])
    encode = Encoding.encode

    def negative(self: Encoding, picture: Picture, *others: Any, **more: Any) -> bytes:
        return encode(self, replace(picture, rgb=255 - picture.rgb), *others, **more)

    monkeypatch.setattr(Encoding, "encode", negative)
    columns = Converter(Task(remove=True))({"source": ["a.png"], "target": ["a.aec"]})
    found = fidelity(load("a.png"), aecodec.decompress(Path("a.aec").read_bytes()))
    assert found < least_psnr(75)
    assert columns["status"] == ["done"]
    assert columns["notes"] == [
        (
            f"the source is kept, since the output is unlike it: {found:.1f} dB, "
            f"where quality 75 gives {least_psnr(75):.0f} at least",
        )
    ]
    assert Path("a.png").exists()


@pytest.mark.parametrize(("lossless", "plane"), [(True, "rgb"), (True, "alpha"), (False, "alpha")])
def test_one_value_beside_what_is_kept_exactly_keeps_the_source(
    here: Path, monkeypatch: pytest.MonkeyPatch, lossless: bool, plane: str
) -> None:
    """Colours of exact tiles, and transparency at every quality."""
    image = carriers.IMAGE.convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save("a.png")
    encode = Encoding.encode

    def nearly(self: Encoding, picture: Picture, *others: Any, **more: Any) -> bytes:
        changed = getattr(picture, plane).copy()
        changed[-1, -1] ^= 1
        return encode(self, replace(picture, **{plane: changed}), *others, **more)

    task = Task(remove=True, encoding=Encoding(lossless=lossless))
    for name, status in (("whole", False), ("other", True)):
        columns = Converter(task)({"source": ["a.png"], "target": [f"{name}.aec"]})
        assert columns["status"] == ["done"]
        assert Path("a.png").exists() is status, columns["notes"]
        image.save("a.png")
        monkeypatch.setattr(Encoding, "encode", nearly)
    ((note,),) = columns["notes"]
    reason = "every tile is stored exactly" if plane == "rgb" else "its transparency is another"
    assert note.startswith("the source is kept") and note.endswith(reason)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_a_photograph_is_like_its_source_at_every_quality(here: Path, mode: str) -> None:
    image = carriers.IMAGE.convert(mode)
    if "A" in mode:
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    for quality in (1, 50, 100):
        converter = Converter(Task(remove=True, encoding=Encoding(quality=quality)))
        image.save("a.png")
        columns = converter({"source": ["a.png"], "target": [f"{quality}.aec"]})
        assert columns["notes"] == [()]
        assert not Path("a.png").exists()


def test_fine_detail_needs_less_than_the_floor() -> None:
    """A photograph of leaves has 26 dB where the floor is 28, and is like its source."""
    rng = np.random.default_rng(2)
    written = aecodec.compress(carriers.IMAGE, quality=75)
    fine = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).resize(carriers.IMAGE.size)
    original = load(fine)
    error = rng.normal(0, 13, original.rgb.shape)
    near = Image.fromarray((original.rgb + error).clip(0, 255).astype(np.uint8))
    blurred = fine.reduce(4).resize(fine.size)
    assert fidelity(original, blurred) < fidelity(original, near) < least_psnr(75) - 1
    assert worker._unlike(original, near, written, Task()) == ""
    assert worker._unlike(original, blurred, written, Task()).endswith("at least")
    smooth = load(fine.resize((8, 8)).resize(fine.size))  # of which an eighth shows nearly all
    error = np.where(rng.random(smooth.rgb.shape) < 0.5, -13, 13)
    grainy = Image.fromarray((smooth.rgb + error).clip(0, 255).astype(np.uint8))
    assert worker._unlike(smooth, grainy, written, Task()).endswith("at least")


def test_the_floor_rises_with_the_quality() -> None:
    assert (least_psnr(1), least_psnr(100)) == (16.0, 32.0)
    assert all(least_psnr(q) < least_psnr(q + 1) for q in range(1, 100))
