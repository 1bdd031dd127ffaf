"""Grain: noise that was removed is described in the file, and decoders add such noise again."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import samples
from command import run
from PIL import Image, ImageDraw

import aecodec
from aecodec import bitstream
from aecodec.arrays import Pixels
from aecodec.bitstream import Grain
from aecodec.coding import grain
from aecodec.coding.grain import grain_of, with_grain
from aecodec.geometry import Box

EVEN = Grain((10.0,) * 9, 0.5, 0.25, 12345)


def clean() -> Pixels:
    return np.asarray(samples.photograph("astronaut.png", (64, 0, 320, 240)))


def noisy(sigma: float = 14.0) -> Pixels:
    made = clean() + np.random.default_rng(3).normal(0.0, sigma, clean().shape)
    rounded: Pixels = np.rint(made).clip(0, 255).astype(np.uint8)
    return rounded


def noise_of(found: Grain, *, alike: bool = False, side: int = 400) -> np.ndarray:
    """What is added to a grey picture."""
    flat = np.full((side, side, 3), 128, np.uint8)
    return with_grain(flat, Box.of(flat.shape), found, alike=alike).astype(float) - 128


def test_it_has_the_deviations_the_likeness_and_the_coarseness() -> None:
    for common, coarse in ((0.0, 0.0), (0.6, 0.0), (1.0, 0.5), (0.3, 1.0)):
        made = noise_of(EVEN._replace(common=common, coarse=coarse))
        assert abs(made.mean()) < 0.1
        assert made.std() == pytest.approx(10.0, rel=0.02)
        channels = np.corrcoef(made.reshape(-1, 3).T)
        assert channels[0, 1] == pytest.approx(common**2, abs=0.02)
        across = np.corrcoef(made[:, :-1].ravel(), made[:, 1:].ravel())[0, 1]
        assert across == pytest.approx(grain._correlation(coarse), abs=0.02)


def test_it_follows_the_brightness() -> None:
    found = EVEN._replace(levels=(0.0, 0.0, 4.0, 8.0, 12.0, 8.0, 4.0, 0.0, 0.0))
    for value, expected in ((20, 0.0), (64, 4.0), (80, 6.0), (128, 12.0), (240, 0.0)):
        flat = np.full((200, 200, 3), value, np.uint8)
        made = with_grain(flat, Box.of(flat.shape), found).astype(float) - value
        assert made.std() == pytest.approx(expected, abs=0.3)


@pytest.mark.parametrize("box", [Box(0, 0, 64, 64), Box(3, 17, 50, 21), Box(199, 199, 1, 1)])
def test_a_part_has_the_grain_of_the_whole(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = np.full((200, 200, 3), 100, np.uint8)
    whole = with_grain(rgb, Box.of(rgb.shape), EVEN)
    monkeypatch.setattr(grain, "AT_ONCE", 500)
    assert np.array_equal(with_grain(rgb, Box.of(rgb.shape), EVEN), whole)
    assert np.array_equal(with_grain(rgb[box.slices()], box, EVEN), whole[box.slices()])


def test_the_numbers_are_those_of_the_specification() -> None:
    """By plain integers, as another decoder would compute them."""

    def h(k: int) -> int:
        mask = 2**64 - 1
        z = (k * 0x9E3779B97F4A7C15 + 12345 * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
        return z ^ z >> 31

    def plane(number: int, x: int, y: int) -> int:
        n = 2**21 * (y + 1) + x + 1
        word = h(2 * n + number // 2) >> (32 if number % 2 else 0)
        return sum(word >> 8 * i & 255 for i in range(4)) - 510

    a, c = 64 / 255, 128 / 255
    found = Grain.unpack(bytes([40] * 9 + [64, 128]) + (12345).to_bytes(4, "little"))
    kernel = {
        (i, j): a * wi * wj / 16
        for i, wi in ((-1, 1), (0, 2), (1, 1))
        for j, wj in ((-1, 1), (0, 2), (1, 1))
    }
    kernel[0, 0] += 1 - a
    deviation = 147.80 * sum(v * v for v in kernel.values()) ** 0.5
    rgb = np.full((9, 9, 3), 128, np.uint8)
    made = with_grain(rgb, Box(5, 1000, 9, 9), found)
    for x, y in ((0, 0), (4, 7), (8, 8)):
        w = [
            sum(v * plane(k, 5 + x + j, 1000 + y + i) for (i, j), v in kernel.items()) / deviation
            for k in range(4)
        ]
        for k in range(3):
            expected = 128 + 10 * (c * w[0] + (1 - c * c) ** 0.5 * w[k + 1])
            assert abs(int(made[y, x, k]) - expected) < 0.52


def test_the_section() -> None:
    assert Grain.unpack(EVEN.pack()) == EVEN._replace(common=128 / 255, coarse=64 / 255)
    assert len(EVEN.pack()) == 15
    assert Grain.unpack(EVEN._replace(levels=(99.0,) * 9).pack()).levels == (63.75,) * 9
    with pytest.raises(aecodec.CorruptError, match="GRAIN has 14 bytes, not 15"):
        Grain.unpack(EVEN.pack()[:-1])


def test_a_picture_gets_its_noise_back() -> None:
    data = aecodec.compress(noisy(), 75, denoise=14, grain=True)
    plain = aecodec.compress(noisy(), 75, denoise=14)
    assert len(data) == len(plain) + 21
    smooth, grained = (np.asarray(aecodec.decompress(d)) for d in (plain, data))
    assert np.array_equal(np.asarray(aecodec.decompress(data, grain=False)), smooth)
    assert np.array_equal(np.asarray(aecodec.decompress(data)), grained)
    added = grained.astype(float) - smooth
    inner = (smooth > 60).all(axis=2) & (smooth < 200).all(axis=2)
    assert added[inner].std() == pytest.approx(14.0, rel=0.1)
    likeness = np.corrcoef(added[inner].T)
    assert abs(likeness[0, 1]) < 0.1  # that noise is independent
    assert aecodec.read_info(data).model == aecodec.read_info(plain).model


def test_noise_that_is_alike_and_coarse_is_measured_so() -> None:
    rng = np.random.default_rng(5)
    wide = rng.normal(0.0, 1.0, (242, 258))
    blurred = sum(wide[i : i + 240, j : j + 256] for i in range(3) for j in range(3)) / 3.0
    made = np.rint(clean() + 10.0 * blurred[..., None]).clip(0, 255).astype(np.uint8)
    found = grain_of(made, clean(), np.full(9, 10.0, np.float32))
    assert found.common > 0.95
    assert found.coarse > 0.9
    white = grain_of(noisy(10.0), clean(), np.full(9, 10.0, np.float32))
    assert white.common < 0.1
    assert white.coarse < 0.06


def test_grey_stays_grey_and_exact_stays_exact() -> None:
    for mode in ("L", "RGB"):
        grey = Image.fromarray(noisy()).convert("L").convert(mode)
        found = aecodec.decompress(aecodec.compress(grey, 60, denoise=14, grain=True))
        assert found.mode == mode
        rgb = np.asarray(found.convert("RGB"))
        assert (rgb == rgb[..., :1]).all()
    rgb = np.full((64, 64, 3), 90, np.uint8)
    made = with_grain(rgb, Box.of(rgb.shape), EVEN, exact=[Box(16, 0, 32, 64)])
    assert (made[:, 16:48] == 90).all()
    assert made[:, :16].std() > 5
    page = Image.new("RGB", (256, 128), "white")
    ImageDraw.Draw(page).text((10, 10), "Text that is stored exactly " * 3, "black")
    data = aecodec.compress(page, 75)
    container = bitstream.parse(data)
    assert container.exact
    grained = bitstream.pack(container.header, container.tiles, exact=container.exact, grain=EVEN)
    assert np.array_equal(np.asarray(aecodec.decompress(grained)), np.asarray(page))


def test_regions_bands_and_previews() -> None:
    data = aecodec.compress(noisy(), 60, denoise=14, grain=True)
    whole = np.asarray(aecodec.decompress(data))
    part = np.asarray(aecodec.decompress(data, region=(33, 20, 100, 61)))
    assert np.abs(part.astype(int) - whole[20:81, 33:133]).max() <= 1
    file = io.BytesIO(data)
    coder = aecodec.codec.shared(aecodec.codec.weights_for(bitstream.parse(data)), 1, "cpu")
    out = io.BytesIO()
    coder.decode_to_png(bitstream.parse(file.getvalue()), out)
    assert np.array_equal(np.asarray(Image.open(out)), whole)
    plain = aecodec.compress(noisy(), 60, denoise=14)
    for options in ({"preview": 4}, {"scale": 2}):
        one, other = (np.asarray(aecodec.decompress(d, **options)) for d in (data, plain))
        assert np.array_equal(one, other)


def test_the_command(here: Path) -> None:
    Image.fromarray(noisy()).save("n.png")
    done = run("compress", "n.png", "--denoise", "auto", "--grain")
    assert done.returncode == 0
    assert b"levels was removed, as asked for; the file describes it" in done.stderr
    assert "GRAIN" in run("info", "n.aec").stdout.decode()
    for options, name in (((), "with.png"), (("--no-grain",), "without.png")):
        assert run("decompress", "n.aec", "-o", name, *options).returncode == 0
    data = Path("n.aec").read_bytes()
    for name, shown in (("with.png", True), ("without.png", False)):
        expected = np.asarray(aecodec.decompress(data, grain=shown))
        assert np.array_equal(np.asarray(Image.open(name)), expected)
    Path("in").mkdir()
    Path("n.png").rename("in/n.png")
    done = run("compress", "-r", "in", "-o", "out", "--denoise", "auto", "--grain")
    assert done.returncode == 0, done.stderr
    assert bitstream.parse(Path("out/n.aec").read_bytes()).grain is not None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("compress", "n.png", "--grain"), b"--grain describes the noise that --denoise removes"),
        (("decompress", "-r", "in", "-o", "out", "--no-grain"), b"--no-grain is for single files"),
    ],
)
def test_what_is_refused(here: Path, arguments: tuple[str, ...], text: bytes) -> None:
    Path("in").mkdir()
    Image.fromarray(noisy()).save("n.png")
    done = run(*arguments)
    assert done.returncode == 2
    assert text in done.stderr
    assert not Path("n.aec").exists()


def test_the_library_and_the_plugin() -> None:
    with pytest.raises(ValueError, match="grain describes the noise that denoise removes"):
        aecodec.compress(noisy(), grain=True)
    aecodec.register_pillow()
    file = io.BytesIO()
    Image.fromarray(noisy()).save(file, "AEC", denoise=14, grain=True)
    with Image.open(io.BytesIO(file.getvalue())) as image:
        assert np.array_equal(np.asarray(image), np.asarray(aecodec.decompress(file.getvalue())))


def test_a_target_size_counts_the_grain() -> None:
    for limit in (2000, 3000):
        data = aecodec.compress(noisy(), denoise=14, grain=True, target_size=limit)
        assert bitstream.parse(data).grain is not None
        assert 0.98 * limit <= len(data) <= limit


def test_a_picture_without_noise_gets_no_grain() -> None:
    data = aecodec.compress(clean(), 60, denoise="auto", grain=True)
    assert bitstream.parse(data).grain is None
