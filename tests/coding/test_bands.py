"""Pictures drawn from top to bottom: the same pixels, in memory or straight into a PNG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import command
import numpy as np
import pytest
import samples
from PIL import Image

import aecodec
from aecodec import bitstream
from aecodec.codec import Codec
from aecodec.errors import CorruptError, RequestError
from aecodec.networks import weights
from aecodec.networks.runtime import Options


@pytest.fixture(scope="module", params=[1, 3])
def coder(request: pytest.FixtureRequest) -> Codec:
    return Codec(weights.by_name(), Options(threads=request.param))


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    """A photograph with a drawing in it, whose tiles are stored exactly."""
    found = samples.photograph("coffee.png", (0, 0, 380, 390))
    drawing = Image.new("RGB", (128, 128), "white")
    drawing.paste((200, 30, 90), (20, 30, 90, 70))
    found.paste(drawing, (128, 192))
    return found


@pytest.fixture(scope="module")
def container(picture: Image.Image) -> bitstream.Container:
    made = Codec(weights.by_name(), Options(threads=1)).compress(picture, 80, tile_size=64)
    found = bitstream.parse(made)
    assert 0 < len(found.exact) < len(found.tiles)
    return found


def in_small_parts(coder: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the transforms work on parts of 128 x 128 pixels."""
    for name in ("area8", "area16"):
        monkeypatch.setattr(coder.tiles.transforms, name, 128 * 128)


REGIONS = [None, (70, 40, 200, 300), (130, 195, 100, 100), (379, 389, 1, 1)]


@pytest.mark.parametrize("region", REGIONS)
def test_the_bands_are_the_picture(
    coder: Codec,
    container: bitstream.Container,
    monkeypatch: pytest.MonkeyPatch,
    region: tuple[int, int, int, int] | None,
) -> None:
    whole = coder.decode_rgb(container)  # in one part
    x, y, w, h = region or (0, 0, 380, 390)
    expected = whole[y : y + h, x : x + w]
    in_small_parts(coder, monkeypatch)
    bands = list(coder._bands(container, aecodec.codec._part(container, region)))
    assert sum(len(band) for band in bands) == h
    assert h < 200 or len(bands) > 1
    # Parts of other sizes differ in the last digits of floats.
    assert np.abs(np.concatenate(bands).astype(int) - expected).max() <= 1
    assert np.array_equal(np.concatenate(bands), coder.decode_rgb(container, region))
    assert np.array_equal(np.concatenate(bands), np.asarray(coder.decode(container, region)))


@pytest.mark.parametrize(
    ("mode", "region"),
    [("L", None), ("LA", REGIONS[1]), ("RGB", REGIONS[1]), ("RGBA", None)],
)
def test_a_png_that_is_written_while_tiles_are_decoded(
    coder: Codec,
    picture: Image.Image,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    region: tuple[int, int, int, int] | None,
) -> None:
    original = picture.convert(mode)
    if "A" in mode:
        ramp = np.tile(np.arange(380) % 256, (390, 1)).astype(np.uint8)
        original.putalpha(Image.fromarray(ramp))
    original.info["icc_profile"] = samples.srgb() if mode.startswith("RGB") else b""
    made = bitstream.parse(coder.compress(original, 70, tile_size=64))
    in_small_parts(coder, monkeypatch)
    expected, file = coder.decode(made, region), io.BytesIO()
    assert coder.decode_to_png(made, file, region) == ()
    with Image.open(file) as written:
        assert written.mode == mode
        assert np.array_equal(np.asarray(written), np.asarray(expected))
        assert written.info.get("icc_profile", b"") == original.info["icc_profile"]


def test_a_lossless_picture(coder: Codec, picture: Image.Image) -> None:
    made, file = bitstream.parse(coder.compress(picture, lossless=True)), io.BytesIO()
    coder.decode_to_png(made, file)
    with Image.open(file) as written:
        assert np.array_equal(np.asarray(written), np.asarray(picture))


def test_who_wants_no_more_bands_stops_the_work(
    coder: Codec, container: bitstream.Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_small_parts(coder, monkeypatch)
    decoder, decoded = coder._decoder(container), []
    latents = decoder._latents

    def counted(number: int, *more: Any) -> Any:
        decoded.append(number)
        return latents(number, *more)

    monkeypatch.setattr(decoder, "_latents", counted)
    bands = decoder.bands()
    next(bands)
    bands.close()  # type: ignore[attr-defined]
    if coder.tiles.runtime.threads == 1:  # several are ahead by more than this picture has
        assert 0 < len(decoded) < len(container.tiles)


def test_a_region_outside_is_refused(coder: Codec, container: bitstream.Container) -> None:
    with pytest.raises(RequestError, match="does not lie"):
        coder.decode_to_png(container, io.BytesIO(), (300, 0, 81, 1))


def test_damage_far_down_leaves_no_file(picture: Image.Image, tmp_path: Path) -> None:
    """The last tile is wrong, though its checksum is right: most of the PNG is written by then."""
    coder = Codec(weights.by_name(), Options(threads=1))
    found = bitstream.parse(coder.compress(samples.photograph("coffee.png"), 60, tile_size=64))
    tiles = list(found.tiles)
    tiles[-1] = bytes([tiles[-1][0] ^ 1]) + tiles[-1][1:]
    source, target = tmp_path / "a.aec", tmp_path / "out" / "a.png"
    source.write_bytes(bitstream.pack(found.header, tiles, exact=found.exact))
    target.parent.mkdir()
    with pytest.raises(CorruptError):
        coder.decode_to_png(bitstream.parse(source.read_bytes()), io.BytesIO())
    result = command.run("decompress", source, "-o", target)
    assert result.returncode == 1
    assert b"not those that were written" in result.stderr
    assert not list(target.parent.iterdir())
    target.write_bytes(b"mine")
    assert command.run("decompress", source, "-o", target, "-f").returncode == 1
    assert target.read_bytes() == b"mine"
    assert [path.name for path in target.parent.iterdir()] == ["a.png"]
