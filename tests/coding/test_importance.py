"""`importance`: parts of a picture that a person wants finer, or coarser."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import samples
from command import lines, run
from PIL import Image

import aecodec
from aecodec import bitstream, pillow_plugin
from aecodec.codec import Codec, read_info
from aecodec.errors import InputError
from aecodec.image.masks import read_importance
from aecodec.networks import weights

INSIDE = np.s_[64:192, 64:192]


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return samples.photograph("coffee.png", (40, 40, 360, 296))


def greys(picture: Image.Image, inside: int = 255, outside: int = 0) -> np.ndarray:
    found = np.full((picture.height, picture.width), outside, np.uint8)
    found[INSIDE] = inside
    return found


def errors(picture: Image.Image, data: bytes) -> tuple[float, float]:
    """The mean squared errors inside and outside."""
    error = np.square(np.asarray(aecodec.decompress(data)).astype(float) - np.asarray(picture))
    error = error.mean(axis=2)
    inside = float(error[INSIDE].mean())
    return inside, float((error.sum() - error[INSIDE].sum()) / (error.size - error[INSIDE].size))


@pytest.mark.parametrize("effort", [1, 2])
@pytest.mark.parametrize("tune", ["eye", "psnr"])
def test_what_is_white_is_better_for_the_same_bytes(
    picture: Image.Image, tune: str, effort: int
) -> None:
    plain = aecodec.compress(picture, 50, tune=tune, effort=effort)
    mask = greys(picture)
    data = aecodec.compress(
        picture, target_size=len(plain), importance=mask, tune=tune, effort=effort
    )
    assert 0.97 * len(plain) < len(data) <= len(plain)
    before, after = errors(picture, plain), errors(picture, data)
    assert after[0] < 0.7 * before[0]
    assert after[1] > 1.1 * before[1]


def test_white_halves_the_step_and_black_doubles_it(picture: Image.Image) -> None:
    sizes = {}
    for value in (0, 64, 127, 191, 255):
        mask = np.full((picture.height, picture.width), value, np.uint8)
        sizes[value] = len(aecodec.compress(picture, 60, importance=mask, tune="psnr"))
    assert list(sizes.values()) == sorted(sizes.values())
    plain = len(aecodec.compress(picture, 60, tune="psnr"))
    assert sizes[127] < 1.02 * plain  # an even map costs next to nothing
    assert sizes[255] > 1.4 * plain
    assert sizes[0] < 0.7 * plain


@pytest.mark.parametrize("tile_size", [64, 128])
def test_tiles_have_their_part_of_it(picture: Image.Image, tile_size: int) -> None:
    coder = Codec(weights.by_name("small"))
    rgb, mask = np.asarray(picture), greys(picture)
    data = coder.compress(rgb, 60, importance=mask, tile_size=tile_size)
    whole = np.asarray(coder.decode(bitstream.parse(data))).astype(int)
    tiled, one = errors(picture, data), errors(picture, coder.compress(rgb, 60, importance=mask))
    assert tiled == pytest.approx(one, rel=0.1)
    part = np.asarray(aecodec.decompress(data, region=(50, 70, 200, 90))).astype(int)
    assert np.abs(part - whole[70:160, 50:250]).max() <= 1
    small = aecodec.decompress(data, preview=4)
    assert samples.psnr(small, picture.reduce(4)) > 26


def test_a_quick_preview_of_a_mapped_file_is_the_picture() -> None:
    large = samples.photograph("coffee.png", (0, 0, 600, 400)).resize((2400, 1800))
    mask = Image.linear_gradient("L").resize(large.size)
    data = aecodec.compress(large, 60, importance=mask)
    assert samples.psnr(aecodec.decompress(data, preview=16), large.reduce(16)) > 27


def test_exact_tiles_stay_exact(picture: Image.Image) -> None:
    rgb = np.asarray(picture).copy()
    rgb[:128, :128] = (200, 30, 40)
    coder = Codec(weights.by_name("small"))
    data = coder.compress(rgb, 60, importance=greys(picture), tile_size=64)
    container = bitstream.parse(data)
    assert container.header.step_maps
    assert 0 < len(container.exact) < len(container.tiles)
    assert np.array_equal(np.asarray(aecodec.decompress(data))[:64, :64], rgb[:64, :64])


def test_a_picture_that_is_stored_exactly_has_no_map() -> None:
    flat = Image.new("RGB", (90, 70), (10, 200, 30))
    data = aecodec.compress(flat, importance=np.full((70, 90), 255, np.uint8))
    header = bitstream.parse(data).header
    assert not header.step_maps
    assert np.array_equal(np.asarray(aecodec.decompress(data)), np.asarray(flat))


@pytest.mark.parametrize("aim", [{"target_psnr": 33.0}, {"target_ssimulacra2": 70.0}])
def test_a_target_of_fidelity_is_met(picture: Image.Image, aim: dict[str, float]) -> None:
    from aecodec.networks.ssimulacra2 import ssimulacra2

    data = aecodec.compress(picture, importance=greys(picture), **aim)  # type: ignore[arg-type]
    assert bitstream.parse(data).header.step_maps
    restored = aecodec.decompress(data)
    if "target_psnr" in aim:
        assert 33.0 <= samples.psnr(picture, restored) < 33.6
    else:
        score = ssimulacra2(np.asarray(picture), np.asarray(restored))
        assert score is not None
        assert 70.0 <= score < 71.0


def test_greys_and_transparency(picture: Image.Image) -> None:
    clear = picture.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    for image in (picture.convert("L"), picture.convert("LA"), clear):
        data = aecodec.compress(image, 60, importance=greys(picture))
        assert bitstream.parse(data).header.step_maps
        assert aecodec.decompress(data).mode == image.mode


def test_whatever_reads_tiles_reads_their_maps(picture: Image.Image) -> None:
    """A damaged file is mended, and each part's bits are counted."""
    from aecodec.bench.latents import bit_map

    coder = Codec(weights.by_name("small"))
    data = coder.compress(picture, 70, importance=greys(picture), tile_size=64)
    payloads = sum(map(len, bitstream.parse(data).tiles))
    assert bit_map(data).sum() / 8 == pytest.approx(payloads, rel=0.05)
    damaged = bytearray(data)
    damaged[[s for s in bitstream.parse(data).sections if s.name == "TILE"][7].start + 9] ^= 4
    mended = aecodec.mend(bytes(damaged))
    assert mended.missing == (7,)
    whole, right = np.asarray(aecodec.decompress(data)), np.asarray(mended.mask) == 0
    assert right.mean() > 0.3
    assert np.array_equal(np.asarray(mended.image)[right], whole[right])


def test_info_says_that_there_are_maps(picture: Image.Image, tmp_path: Path) -> None:
    plain, mapped = aecodec.compress(picture), aecodec.compress(picture, importance=greys(picture))
    assert [read_info(data).step_maps for data in (plain, mapped)] == [False, True]
    (tmp_path / "a.aec").write_bytes(mapped)
    assert "finer in some parts" in run("info", tmp_path / "a.aec").stdout.decode()


# --- The mask -------------------------------------------------------------------------------------


def test_a_mask_is_read_by_blocks() -> None:
    mask = np.zeros((100, 130), np.uint8)
    mask[:64, :64], mask[64:, 128:] = 255, 51
    found = read_importance(mask, (100, 130, 3))
    expected = np.array([[6.0, -6.0, -6.0], [-6.0, -6.0, 6 * (51 / 127.5 - 1)]])
    assert np.allclose(found, expected, atol=0.06)
    assert np.array_equal(read_importance(Image.fromarray(mask), (100, 130)), found)
    assert np.array_equal(read_importance(mask > 60, (64 + 36, 130))[0], [6.0, -6.0, -6.0])


@pytest.mark.parametrize("beneath", [0, 255])
def test_an_empty_layer_changes_nothing(beneath: int) -> None:
    layer = np.full((64, 192, 4), beneath, np.uint8)
    layer[..., 3] = 0
    layer[:, :64] = 255  # painted white
    layer[:, 64:128, :3], layer[:, 64:128, 3] = 255, 128  # and half of that
    found = read_importance(Image.fromarray(layer), (64, 192))
    assert np.allclose(found, [[6.0, 3.0, 0.0]], atol=0.1)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.zeros((256, 320, 3), np.uint8), "uint8 or bool of two dimensions, not uint8 of 3"),
        (np.zeros((256, 320)), "uint8 or bool of two dimensions, not float64 of 2"),
        (np.zeros((320, 256), np.uint8), "the mask has 256 x 320 pixels, and the picture 320 x"),
        (b"no picture", "the mask cannot be read"),
        ("gone.png", r"the mask gone\.png cannot be read: No such file"),
    ],
)
def test_what_is_no_mask_is_refused(picture: Image.Image, mask: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        aecodec.compress(picture, importance=mask)  # type: ignore[arg-type]


def test_lossless_files_take_no_mask(picture: Image.Image) -> None:
    with pytest.raises(ValueError, match="lossless or importance, not both"):
        aecodec.compress(picture, lossless=True, importance=greys(picture))


def test_the_plugin_takes_a_mask(picture: Image.Image) -> None:
    pillow_plugin.register()
    made = []
    for options in ({}, {"importance": greys(picture)}):
        file = io.BytesIO()
        picture.save(file, "AEC", quality=60, **options)
        made.append(file.getvalue())
    assert [bitstream.parse(data).header.step_maps for data in made] == [False, True]


def test_the_command_takes_a_mask(picture: Image.Image, tmp_path: Path) -> None:
    picture.save(tmp_path / "a.png")
    Image.fromarray(greys(picture)).save(tmp_path / "m.png")
    Image.new("L", (8, 8), 255).save(tmp_path / "small.png")
    source, mask = tmp_path / "a.png", tmp_path / "m.png"
    done = run("compress", source, "--importance", mask)
    assert done.returncode == 0, done.stderr
    assert read_info((tmp_path / "a.aec").read_bytes()).step_maps
    done = run("compress", source, "-f", "--importance", tmp_path / "small.png")
    assert done.returncode == 1
    assert lines(done.stderr) == [
        f"aecodec: {source}: the mask has 8 x 8 pixels, and the picture 320 x 256"
    ]
    for wrong, said in (
        ((tmp_path, "-r", "-o", tmp_path / "o"), b"--importance is for single files"),
        ((source, mask), b"--importance is for a single file"),
        ((source, "--lossless"), b"give no --importance"),
    ):
        done = run("compress", *wrong, "--importance", mask)
        assert done.returncode == 2
        assert said in done.stderr


def test_the_command_line_overrides_a_variable(picture: Image.Image, tmp_path: Path) -> None:
    picture.save(tmp_path / "a.png")
    Image.fromarray(greys(picture)).save(tmp_path / "m.png")
    variable = {"AECODEC_COMPRESS_IMPORTANCE": str(tmp_path / "m.png")}
    done = run("compress", tmp_path / "a.png", "--lossless", env=variable)
    assert done.returncode == 0, done.stderr
    info = read_info((tmp_path / "a.aec").read_bytes())
    assert info.exact == info.tiles
    always = {"AECODEC_COMPRESS_LOSSLESS": "1"}
    mask = tmp_path / "m.png"
    done = run("compress", tmp_path / "a.png", "-f", "--importance", mask, env=always)
    assert done.returncode == 0, done.stderr
    assert read_info((tmp_path / "a.aec").read_bytes()).step_maps
