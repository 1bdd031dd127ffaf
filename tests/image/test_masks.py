"""Masks: what is read, and how what they cover is drawn from around it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import carriers
import numpy as np
import pytest
import samples
from command import lines, run
from PIL import Image

import aecodec
from aecodec.errors import InputError
from aecodec.image import masks
from aecodec.image.load import load
from aecodec.image.masks import filled, grown, read_mask, without_copies


def lines_over(shape: tuple[int, int], width: int = 4) -> np.ndarray:
    mask = np.zeros(shape, bool)
    for y in range(10, shape[0] - width, 40):
        mask[y : y + width] = True
    mask[:, shape[1] // 2 : shape[1] // 2 + width] = True
    return mask


def test_what_is_known_stays_as_it_is() -> None:
    rgb = np.asarray(samples.photograph())
    mask = lines_over(rgb.shape[:2])
    out = filled(rgb, mask)
    assert np.array_equal(out[~mask], rgb[~mask])
    assert not np.array_equal(out[mask], rgb[mask])


@pytest.mark.parametrize("name", ["coffee.png", "chelsea.png"])
def test_it_is_nearer_than_the_nearest_pixel(name: str) -> None:
    rgb = np.asarray(samples.photograph(name))
    mask = lines_over(rgb.shape[:2])
    damaged = rgb.copy()
    damaged[mask] = 255
    error = np.square(filled(damaged, mask)[mask].astype(float) - rgb[mask]).mean()
    above = rgb.copy()
    for y in range(1, len(rgb)):
        above[y] = np.where(mask[y][:, None], above[y - 1], rgb[y])
    assert error < 0.7 * np.square(above[mask].astype(float) - rgb[mask]).mean()


def test_what_lies_under_the_mask_does_not_count() -> None:
    rgb = np.asarray(samples.photograph())
    mask = lines_over(rgb.shape[:2])
    black, white = rgb.copy(), rgb.copy()
    black[mask], white[mask] = 0, 255
    assert np.array_equal(filled(black, mask), filled(white, mask))


def test_a_line_goes_on_along_its_direction() -> None:
    y, x = np.mgrid[0:96, 0:128]
    rgb = np.repeat(((y + x) // 6 % 2 * 200 + 20).astype(np.uint8)[..., None], 3, axis=2)
    mask = np.zeros((96, 128), bool)
    mask[40:46, 20:100] = True
    assert np.abs(filled(rgb, mask).astype(int) - rgb)[mask].mean() < 25


@pytest.mark.parametrize("value", [0, 77, 255])
def test_a_blank_page_stays_blank(value: int) -> None:
    rgb = np.full((50, 70, 3), value, np.uint8)
    mask = lines_over((50, 70))
    assert np.array_equal(filled(rgb, mask), rgb)


def test_a_hole_of_hundreds_of_pixels_is_filled_within_the_range() -> None:
    rgb = np.asarray(samples.photograph("coffee.png", (0, 0, 400, 300)))
    mask = np.zeros((300, 400), bool)
    mask[40:260, 60:340] = True
    out = filled(rgb, mask)
    assert out[mask].std() > 1
    assert np.array_equal(out[~mask], rgb[~mask])


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (2, 2), (3, 64)])
def test_small_pictures_are_filled(shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    mask = np.zeros(shape, bool)
    mask[0, 0] = True
    assert filled(rgb, mask).shape == rgb.shape


def test_a_picture_in_several_parts_is_filled_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = np.asarray(samples.photograph())
    mask = lines_over(rgb.shape[:2])
    at_once = np.square(filled(rgb, mask)[mask].astype(float) - rgb[mask]).mean()
    monkeypatch.setattr(masks, "_PART", 100)
    in_parts = np.square(filled(rgb, mask)[mask].astype(float) - rgb[mask]).mean()
    assert in_parts == pytest.approx(at_once, rel=0.05)


def test_grown_is_a_square_around_each_pixel() -> None:
    mask = np.zeros((9, 11), bool)
    mask[0, 0] = mask[5, 6] = True
    expected = np.zeros_like(mask)
    expected[0:3, 0:3] = expected[3:8, 4:9] = True
    assert np.array_equal(grown(mask, 2), expected)


def test_masks_that_are_none_are_refused() -> None:
    white = Image.new("L", (40, 30), 255)
    with pytest.raises(InputError, match="has 40 x 30 pixels, and the picture 30 x 40"):
        read_mask(white, (40, 30))
    with pytest.raises(InputError, match="covers everything"):
        read_mask(white, (30, 40))
    with pytest.raises(InputError, match="covers nothing"):
        read_mask(Image.new("1", (40, 30)), (30, 40))
    with pytest.raises(InputError, match="the mask cannot be read"):
        read_mask(b"no picture", (30, 40))
    with pytest.raises(InputError, match=r"the mask gone\.png cannot be read: No such file"):
        read_mask("gone.png", (30, 40))
    with pytest.raises(InputError, match="two dimensions"):
        read_mask(np.ones((3, 4, 3), bool), (3, 4))


def test_masks_of_every_kind_are_one(tmp_path: Path) -> None:
    expected = lines_over((60, 80))
    image = Image.fromarray(expected.astype(np.uint8) * 255)
    image.convert("1").save(tmp_path / "mask.png")
    numbers = (expected.astype(np.uint8), expected.astype(int), np.asarray(image))
    noisy = np.where(expected, np.uint8(250), np.uint8(9))  # as a JPEG has it
    for source in (
        *(expected, image, np.asarray(image.convert("1")), str(tmp_path / "mask.png")),
        *(*numbers, noisy, Image.fromarray(noisy)),
    ):
        assert np.array_equal(read_mask(source, (60, 80)), expected)


@pytest.mark.parametrize("beneath", [0, 255])
def test_an_empty_layer_around_what_is_painted_covers_nothing(beneath: int) -> None:
    """Whatever colour a program leaves in transparent pixels."""
    painted = lines_over((60, 80))
    layer = np.full((60, 80, 4), beneath, np.uint8)
    layer[painted] = 255
    layer[..., 3] = painted * np.uint8(255)
    assert np.array_equal(read_mask(Image.fromarray(layer), (60, 80)), painted)


@pytest.mark.parametrize("kind", ["f4", "f8", "u2", "i4"])
def test_numbers_whose_threshold_nobody_knows_are_no_mask(kind: str) -> None:
    """A network's probabilities, of which whole numbers would leave nothing."""
    values = np.linspace(0, 1 if kind[0] == "f" else 300, 48).reshape(6, 8).astype(kind)
    with pytest.raises(InputError, match=f"a mask of {values.dtype} is not clear: give bool"):
        read_mask(values, (6, 8))


# --- compress --without ---------------------------------------------------------------------------


def test_what_is_covered_costs_next_to_nothing() -> None:
    rgb = np.asarray(samples.photograph("coffee.png", (0, 0, 320, 256)))
    mask = lines_over(rgb.shape[:2])
    scratched = rgb.copy()
    scratched[mask] = 255
    data = aecodec.compress(scratched, 80, without=mask)
    assert len(data) < 0.9 * len(aecodec.compress(scratched, 80))
    assert len(data) < 1.02 * len(aecodec.compress(rgb, 80))
    drawn = np.asarray(aecodec.decompress(data)).astype(float)
    assert np.square(drawn - rgb)[mask].mean() < 0.3 * np.square(255.0 - rgb)[mask].mean()


def test_refinement_does_not_count_errors_under_the_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    from aecodec.coding import refinement

    masks = []
    strip = refinement._strip

    def watched(*arguments: object) -> object:
        found = strip(*arguments)  # type: ignore[arg-type]
        masks.append(found.mask)
        return found

    monkeypatch.setattr(refinement, "_strip", watched)
    rgb = np.asarray(samples.photograph())
    mask = lines_over(rgb.shape[:2])
    aecodec.compress(rgb, 60, effort=9, without=mask)
    (found,) = masks
    assert np.array_equal(found[0, 0, :120, :160] == 0, mask)


def test_the_command_takes_a_mask(tmp_path: Path) -> None:
    samples.photograph().save(tmp_path / "a.png")
    Image.fromarray(lines_over((120, 160)).astype(np.uint8) * 255).save(tmp_path / "m.png")
    Image.new("L", (8, 8), 255).save(tmp_path / "small.png")
    done = run("compress", tmp_path / "a.png", "--without", tmp_path / "m.png")
    assert done.returncode == 0, done.stderr
    done = run("compress", tmp_path / "a.png", "-f", "--without", tmp_path / "small.png")
    assert done.returncode == 1
    assert lines(done.stderr) == [
        f"aecodec: {tmp_path / 'a.png'}: the mask has 8 x 8 pixels, and the picture 160 x 120"
    ]
    done = run("compress", tmp_path, "-r", "-o", tmp_path / "o", "--without", tmp_path / "m.png")
    assert done.returncode == 2
    assert b"--without is for single files" in done.stderr


@pytest.mark.parametrize("what", ["gain map and video", "samsung"])
def test_nothing_else_shows_what_is_covered(what: str) -> None:
    mask = np.zeros((carriers.HEIGHT, carriers.WIDTH), bool)
    mask[10:14, 10:20] = True
    info = aecodec.decompress(aecodec.compress(carriers.jpegs()[what], without=mask)).info
    assert not {"gain_map", "video"} & info.keys()
    assert b"MotionPhoto" not in info.get("xmp", b"") and b"GainMap" not in info.get("xmp", b"")


def test_what_a_mask_leaves_out_besides_is_said() -> None:
    picture = load(carriers.jpegs()["gain map and video"])
    assert without_copies(picture).notes == (
        "gain map, which may show what is covered",
        "video, which may show what is covered",
    )
    depth = dataclasses.replace(load(carriers.jpegs()["plain"]), xmp=b'<a GDepth:Data="AAAA"/>')
    bare = without_copies(depth)
    assert (bare.xmp, bare.notes) == (None, ("XMP, which may show what is covered",))
    plain = load(carriers.jpegs()["xmp"])
    assert without_copies(plain) is plain
