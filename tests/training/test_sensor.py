"""Pictures as a camera develops them from its sensor."""

from __future__ import annotations

import numpy as np
import pytest
import samples
import torch
from skimage import color

from aecodec import metrics
from aecodec.coding.denoising import denoised
from aecodec.image.load import load
from aecodec.networks.runtime import Options
from aecodec.training.noise import add_noise
from aecodec.training.sensor import (
    ADAMS,
    BILINEAR,
    DIRECTED,
    demosaiced,
    developed,
    draw_sensor,
    sites_of,
    slope_of_srgb,
    to_srgb,
)
from aecodec.training.ssimulacra2 import linear

ONE = Options(threads=1, device="cpu")
KINDS = (BILINEAR, DIRECTED, ADAMS)


def planes(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255.0


def developed_alone(clean: torch.Tensor, kind: int) -> torch.Tensor:
    sites = sites_of(*clean.shape[2:], (0, 1))[None]
    mosaic = (linear(clean) * sites).sum(1, keepdim=True)
    return developed(mosaic, sites, torch.ones(1, 3, 1, 1), torch.tensor(kind).view(1, 1, 1, 1))


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10.0 * torch.log10((a - b)[..., 4:-4, 4:-4].square().mean()))


def test_light_is_that_of_scikit_image_and_the_way_back_is_exact() -> None:
    values = np.linspace(0.0, 1.0, 256)
    grey = np.repeat(values[:, None, None], 3, axis=2)
    light = linear(torch.from_numpy(values))
    # The second row of the matrix of XYZ sums to 1: the luminance of grey is its light.
    assert np.allclose(color.rgb2xyz(grey)[:, 0, 1], light, atol=1e-6)
    assert torch.allclose(to_srgb(light), torch.from_numpy(values), atol=1e-6)
    near = 1e-5
    slope = (to_srgb(light[1:-1] + near) - to_srgb(light[1:-1] - near)) / (2.0 * near)
    assert torch.allclose(slope_of_srgb(light[1:-1]), slope, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("colour", [(128, 128, 128), (200, 40, 90), (0, 255, 0)])
def test_what_is_flat_stays_what_it_is(kind: int, colour: tuple[int, int, int]) -> None:
    clean = planes(np.tile(np.array(colour, np.uint8), (16, 24, 1)))
    assert torch.equal(developed_alone(clean, kind), clean)


def test_hamilton_and_adams_keep_more_of_a_photograph_than_bilinear() -> None:
    clean = planes(np.asarray(samples.photograph()))
    bilinear, directed, adams = (psnr(developed_alone(clean, kind), clean) for kind in KINDS)
    assert adams > max(bilinear, directed) + 1.0


def by_hand(m: np.ndarray, colours: np.ndarray, kind: int) -> np.ndarray:
    """The colours of inner sites, pixel by pixel; `colours` (h,w) says what each site sees."""
    h, w = m.shape
    green = m.copy()
    for y, x in np.ndindex(h, w):
        if colours[y, x] == 1 or not (2 <= y < h - 2 and 2 <= x < w - 2):
            continue
        ways = []
        for dy, dx in ((0, 1), (1, 0)):
            one, other = m[y - dy, x - dx], m[y + dy, x + dx]
            bend = 2 * m[y, x] - m[y - 2 * dy, x - 2 * dx] - m[y + 2 * dy, x + 2 * dx]
            bend = bend if kind == ADAMS else 0.0
            ways.append((abs(one - other) + abs(bend), (one + other) / 2 + bend / 4))
        near = [m[y, x - 1], m[y, x + 1], m[y - 1, x], m[y + 1, x]]
        green[y, x] = sum(near) / 4 if kind == BILINEAR else min(ways)[1]
    base = green if kind == ADAMS else np.zeros_like(m)
    found = np.zeros((h, w, 3))
    for y, x in np.ndindex(h, w):
        for c in range(3):
            around = [
                m[j, i] - base[j, i]
                for j in range(max(0, y - 1), min(h, y + 2))
                for i in range(max(0, x - 1), min(w, x + 2))
                if colours[j, i] == c
            ]
            here = m[y, x] if colours[y, x] == c else base[y, x] + float(np.mean(around))
            found[y, x, c] = green[y, x] if c == 1 else here
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (1, 1)])
def test_demosaicing_is_that_of_loops(kind: int, shift: tuple[int, int]) -> None:
    mosaic = np.random.default_rng(4).random((14, 18))
    sites = sites_of(14, 18, shift)
    wanted = by_hand(mosaic, sites.numpy().argmax(0), kind)
    found = demosaiced(
        torch.from_numpy(mosaic)[None, None], sites[None], torch.tensor(kind).view(1, 1, 1, 1)
    )
    inner = np.s_[4:-4, 4:-4]
    assert np.allclose(found[0].permute(1, 2, 0).numpy()[inner], wanted[inner])


@pytest.mark.parametrize("level", [5.0, 20.0])
def test_the_noise_has_the_level_and_the_deviation_that_are_said(level: float) -> None:
    torch.manual_seed(2)
    ramp = torch.linspace(0.15, 0.85, 64).expand(8, 3, 64, 64).contiguous()
    without, noisy, deviation = draw_sensor(ramp, torch.full((8,), level / 255.0))
    assert 0.7 * level < 255.0 * float((noisy - without).square().mean().sqrt()) < 1.2 * level
    # By brightness, too: the darker and the lighter half, which lie beside each other.
    error = 255.0 * (noisy - without)
    for half in (slice(0, 32), slice(32, 64)):
        said = 255.0 * deviation[..., half].square().mean().sqrt()
        assert torch.isclose(error[..., half].square().mean().sqrt(), said, rtol=0.15)


def test_without_noise_both_are_the_developed_picture() -> None:
    torch.manual_seed(2)
    clean = planes(np.asarray(samples.photograph()))[..., :64, :64].repeat(4, 1, 1, 1)
    made = add_noise(clean, torch.zeros(4), camera=0.0, grey=0.0, sensor=1.0)
    assert torch.equal(made.clean, made.noisy)
    assert made.deviation.max() == 0.0
    assert not torch.equal(made.clean, clean)  # a demosaicing leaves its traces


def test_only_the_share_that_is_asked_for_comes_from_a_sensor() -> None:
    torch.manual_seed(2)
    clean = torch.rand(64, 3, 16, 16)
    made = add_noise(clean, torch.full((64,), 0.05), sensor=0.5, grey=0.0)
    changed = (made.clean != clean).flatten(1).any(1)
    assert 16 < int(changed.sum()) < 48
    assert torch.equal(add_noise(clean, torch.zeros(64), grey=0.0).clean, clean)


# --- The shipped networks -------------------------------------------------------------------------


def of_a_camera(level: float) -> tuple[np.ndarray, np.ndarray]:
    """A photograph as a camera gives it without noise, and with it."""
    torch.manual_seed(5)
    clean = planes(np.asarray(samples.photograph("astronaut.png", (0, 0, 512, 384))))
    without, noisy, _ = draw_sensor(clean, torch.tensor([level / 255.0]))
    first, second = (
        (255.0 * x[0].permute(1, 2, 0)).round().byte().numpy() for x in (without, noisy)
    )
    return first, second


def test_the_traces_of_a_demosaicing_are_no_noise() -> None:
    clean, _ = of_a_camera(0.0)
    picture = load(clean)
    assert denoised(picture, "auto", ONE) is picture


@pytest.mark.parametrize(("level", "gain"), [(8.0, 2.7), (20.0, 4.0)])
def test_a_cameras_noise_is_removed(level: float, gain: float) -> None:
    clean, noisy = of_a_camera(level)
    before = metrics.psnr(clean, noisy)
    made = denoised(load(noisy), "auto", ONE).rgb
    assert metrics.psnr(clean, made) > before + gain
