"""The figures, held against other implementations and against those known for the anchors."""

from __future__ import annotations

import io
import math
import subprocess
import sys
import tracemalloc
import warnings

import numpy as np
import pytest
import samples
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from aecodec import metrics
from aecodec.metrics import bd_rate, bits_per_pixel, ms_ssim, psnr

# Mean bpp and PSNR over the 24 pictures of Kodak: Pillow's JPEG 4:2:0 optimised, WebP -m 6, AVIF
# speed 6 and JPEG XL effort 7.
JPEG = (
    [
        0.1408,
        0.25551,
        0.44915,
        0.6101,
        0.74326,
        0.86919,
        1.00491,
        1.21301,
        1.54904,
        2.31538,
        3.30606,
    ],
    [23.852, 26.672, 29.145, 30.491, 31.422, 32.174, 32.908, 33.917, 35.37, 38.034, 40.56],
)
WEBP = (
    [0.15452, 0.21742, 0.27442, 0.37749, 0.47621, 0.67273, 0.87727, 1.15431, 1.92966, 2.79823],
    [26.981, 28.109, 28.932, 30.194, 31.228, 33.009, 34.481, 36.184, 39.446, 41.66],
)
AVIF = (
    [0.07589, 0.12339, 0.18868, 0.30835, 0.49377, 0.72127, 1.00455, 1.42539, 1.90825],
    [25.839, 27.267, 28.6, 30.407, 32.458, 34.28, 36.13, 38.243, 39.912],
)
JXL = (
    [0.22541, 0.32625, 0.4129, 0.59555, 0.76423, 1.09096, 1.3827, 1.88322, 2.68438],
    [27.676, 29.172, 30.282, 31.847, 33.197, 35.196, 36.67, 38.666, 41.038],
)


# --- PSNR and bits per pixel --------------------------------------------------------------------


def test_psnr_of_known_differences() -> None:
    a = np.zeros((10, 20, 3), np.uint8)
    assert psnr(a, a + np.uint8(1)) == pytest.approx(20 * math.log10(255), abs=1e-12)
    assert psnr(a, a + np.uint8(255)) == 0
    one = a.copy()
    one[3, 4, 1] = 5
    assert psnr(a, one) == pytest.approx(10 * math.log10(255**2 * 600 / 25), abs=1e-12)


def test_psnr_of_equal_pictures_is_infinite() -> None:
    a = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert psnr(a, a.copy()) == math.inf


def test_psnr_does_not_wrap_around() -> None:
    a = np.array([[[0, 200, 255]]], np.uint8)
    b = np.array([[[255, 0, 1]]], np.uint8)
    expected = 10 * math.log10(255**2 * 3 / (255**2 + 200**2 + 254**2))
    assert psnr(a, b) == psnr(b, a) == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_psnr_is_that_of_plain_floats(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 256, (2, height, width, 3), np.uint8)
    mse = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    assume(mse > 0)
    assert psnr(a, b) == pytest.approx(10 * np.log10(255**2 / mse), abs=1e-10)


@pytest.mark.parametrize("shape", [(3000, 700, 3), (3, 2**20, 3), (2**20, 3, 3)])
def test_psnr_of_a_large_picture_works_in_blocks(shape: tuple[int, int, int]) -> None:
    a = np.zeros(shape, np.uint8)
    b = np.zeros(shape, np.uint8)
    b[-1] = 10
    tracemalloc.start()
    try:
        value = psnr(a, b)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert value == pytest.approx(10 * math.log10(255**2 * shape[0] / 100), abs=1e-9)
    assert peak < 64 * 2**20


def test_psnr_sums_beyond_32_bits() -> None:
    a = np.zeros((1000, 1000, 3), np.uint8)
    assert psnr(a, a + np.uint8(254)) == pytest.approx(20 * math.log10(255 / 254), abs=1e-12)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_psnr_of_some_pixels(channels: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    shape = 2000, 900, *channels  # more than one block of rows
    a, b = (rng.integers(0, 256, shape, np.uint8) for _ in range(2))
    seen = rng.random(shape[:2]) < 0.3
    assert psnr(a, b, seen) == pytest.approx(psnr(a[seen], b[seen]), abs=1e-12)
    b[seen] = a[seen]
    assert psnr(a, b, seen) == math.inf
    assert psnr(a, b, np.zeros(shape[:2], bool)) == math.inf


def test_psnr_refuses_what_is_not_comparable() -> None:
    a = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="psnr of pixels"):
        psnr(a, a, np.ones((4, 3), bool))
    for b in (a[:3], a[..., 0], a.astype(float)):
        with pytest.raises(ValueError, match="psnr compares"):
            psnr(a, b)
    with pytest.raises(ValueError, match="empty"):
        psnr(a[:0], a[:0])


def test_bits_per_pixel_counts_the_whole_file() -> None:
    assert bits_per_pixel(768 * 512, 768, 512) == 8
    assert bits_per_pixel(1, 16, 1) == 0.5
    with pytest.raises(ValueError, match="no pixels"):
        bits_per_pixel(10, 0, 5)


# --- MS-SSIM ------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [3, 40, 95])
@pytest.mark.parametrize("box", [(0, 0, 400, 300), (9, 5, 170, 166), (20, 30, 343, 207)])
def test_ms_ssim_is_pytorch_msssims(box: tuple[int, int, int, int], quality: int) -> None:
    torch = pytest.importorskip("torch")
    reference = pytest.importorskip("pytorch_msssim").ms_ssim
    photograph, file = samples.photograph("coffee.png", box), io.BytesIO()
    photograph.save(file, "JPEG", quality=quality)
    a, b = np.asarray(photograph), np.asarray(Image.open(file))

    def tensor(pixels: np.ndarray) -> object:
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].double()

    expected = float(reference(tensor(a), tensor(b), data_range=255.0))
    assert ms_ssim(a, b) == pytest.approx(expected, abs=1e-5)


def test_ms_ssim_at_its_ends() -> None:
    a = np.asarray(samples.photograph("coffee.png", (0, 0, 200, 180)))
    assert ms_ssim(a, a.copy()) == 1
    assert ms_ssim(a, 255 - a) == 0  # negative structure counts as none


def test_ms_ssim_needs_161_pixels() -> None:
    a = np.zeros((300, 161, 3), np.uint8)
    assert ms_ssim(a, a) == 1
    assert ms_ssim(a[:, :160], a[:, :160]) is None


def test_ms_ssim_refuses_what_is_not_comparable() -> None:
    a = np.zeros((200, 200, 3), np.uint8)
    for b in (a[:199], a[..., 0], a.astype(float)):
        with pytest.raises(ValueError, match="ms_ssim compares"):
            ms_ssim(a, b)
    with pytest.raises(ValueError, match="ms_ssim compares"):
        ms_ssim(a[..., 0], a[..., 0])


# --- BD-rate ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("anchor", "curve", "published"),
    [
        (JPEG, WEBP, -34.5),
        (JPEG, AVIF, -47.6),
        (JPEG, JXL, -27.2),
        (WEBP, JPEG, 52.8),
        (WEBP, AVIF, -17.4),
        (WEBP, JXL, 10.3),
        (AVIF, JPEG, 90.7),
        (AVIF, WEBP, 21.0),
        (AVIF, JXL, 32.9),
    ],
)
def test_the_table_of_anchors(
    anchor: tuple[list[float], list[float]],
    curve: tuple[list[float], list[float]],
    published: float,
) -> None:
    # Computed with a numerical integral, and printed with one decimal.
    assert bd_rate(*anchor, *curve) == pytest.approx(published, abs=0.1)


def test_a_curve_against_itself() -> None:
    assert bd_rate(*JPEG, *JPEG) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.0, 2.0])
def test_a_constant_factor_in_rate(factor: float) -> None:
    rate = [factor * r for r in JPEG[0]]
    assert bd_rate(*JPEG, rate, JPEG[1]) == pytest.approx(100 * (factor - 1), abs=1e-9)


def test_the_order_of_the_points_does_not_matter() -> None:
    shuffled = np.random.default_rng(0).permutation(len(WEBP[0]))
    rate, quality = np.array(WEBP[0])[shuffled], np.array(WEBP[1])[shuffled]
    assert bd_rate(*JPEG, rate, quality) == bd_rate(*JPEG, *WEBP)


def test_there_and_back() -> None:
    """The two directions cancel: (1 + a) (1 + b) = 1."""
    there, back = bd_rate(*JPEG, *AVIF), bd_rate(*AVIF, *JPEG)
    assert (1 + there / 100) * (1 + back / 100) == pytest.approx(1, abs=1e-12)


def test_two_points_are_a_straight_line() -> None:
    # log-rates 0 to 1 and 0.5 to 1.5 on the same PSNR: a factor of exp(0.5) everywhere.
    e = math.e
    value = bd_rate([1, e], [30, 40], [e**0.5, e**1.5], [30, 40])
    assert value == pytest.approx(100 * (e**0.5 - 1), abs=1e-9)


@st.composite
def curves(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    count = draw(st.integers(2, 12))
    step = st.floats(0.01, 3)
    rate = np.cumsum([draw(step) for _ in range(count)])
    quality = 20 + np.cumsum([draw(step) for _ in range(count)])
    return rate, quality


@settings(max_examples=300, deadline=None)
@given(curves(), curves())
def test_pchip_is_scipys(
    anchor: tuple[np.ndarray, np.ndarray], curve: tuple[np.ndarray, np.ndarray]
) -> None:
    interpolate = pytest.importorskip("scipy.interpolate")
    low = max(anchor[1][0], curve[1][0])
    high = min(anchor[1][-1], curve[1][-1])
    assume(high - low > 0.01)
    integrals = [
        interpolate.PchipInterpolator(q, np.log(r)).integrate(low, high) for r, q in (anchor, curve)
    ]
    expected = 100 * (np.exp((integrals[1] - integrals[0]) / (high - low)) - 1)
    assert bd_rate(*anchor, *curve) == pytest.approx(expected, rel=1e-7, abs=1e-7)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(0.05, 5), st.floats(-5, 5)), min_size=2, max_size=12))
def test_slopes_are_scipys_even_where_the_data_turn(steps: list[tuple[float, float]]) -> None:
    interpolate = pytest.importorskip("scipy.interpolate")
    x = np.cumsum([step for step, _ in steps])
    y = np.array([value for _, value in steps])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy divides by chords that are 0
        expected = interpolate.PchipInterpolator(x, y).derivative()(x)
    np.testing.assert_allclose(metrics._pchip_slopes(x, y), expected, rtol=1e-9, atol=1e-9)


def test_it_is_the_bjontegaard_packages() -> None:
    bjontegaard = pytest.importorskip("bjontegaard")
    for anchor in (JPEG, WEBP, AVIF, JXL):
        for curve in (JPEG, WEBP, AVIF, JXL):
            other = bjontegaard.bd_rate(
                *anchor, *curve, method="pchip", require_matching_points=False, min_overlap=0
            )
            assert bd_rate(*anchor, *curve) == pytest.approx(other, abs=1e-9)


@pytest.mark.parametrize(
    ("rate", "quality", "match"),
    [
        ([1, 2, 3], [30, 31, 30.5], "curve is not monotone"),
        ([1, 2, 2], [30, 31, 32], "curve is not monotone"),
        ([1, 2, 3], [30, 31, 31], "curve is not monotone"),
        ([3, 2, 1], [30, 31, 32], "curve is not monotone"),
        ([1, 2, 3], [50, 51, 52], "no PSNR in common"),
        ([1, 2], [40.56, 50], "no PSNR in common"),
        ([1, 2, 3], [10, 11, 12], "no PSNR in common"),
        ([1], [30], "at least 2"),
        ([], [], "at least 2"),
        ([1, 2, 3], [30, 31], "one length"),
        ([[1, 2]], [[30, 31]], "one length"),
        ([0, 1], [30, 31], "finite number above 0"),
        ([-1, 1], [30, 31], "finite number above 0"),
        ([1, 2], [30, math.inf], "finite number above 0"),
        ([1, math.nan], [30, 31], "finite number above 0"),
    ],
)
def test_senseless_curves_are_refused(rate: list[float], quality: list[float], match: str) -> None:
    with pytest.raises(ValueError, match=match) as caught:
        bd_rate(*JPEG, rate, quality)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=match.replace("curve", "anchor")):
        bd_rate(rate, quality, *JPEG)


def test_the_trainer_needs_no_more_than_numpy() -> None:
    code = (
        "import sys; from aecodec import metrics; "
        "print(*{m.split('.')[0] for m in sys.modules} & {'scipy', 'PIL', 'zstandard', 'torch'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
