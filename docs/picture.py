"""Draws the pictures of the documentation, of one photograph.

    python docs/picture.py          # after new weights; needs the extra `demo`

comparison.webp: JPEG and aecodec at the same number of bytes. denoise.webp: a noisy photograph
compressed as it is, after non-local means, and with --denoise. enlarge.webp: a photograph at half
of its size, enlarged by Lanczos' interpolation and by --scale 2. grain.webp: a noisy photograph,
without its noise, and with grain in its place.
"""

from __future__ import annotations

import io
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import aecodec
from aecodec.image.rgb import doubled
from aecodec.metrics import psnr
from aecodec.networks.ssimulacra2 import ssimulacra2

HERE = Path(__file__).parent
QUALITY = 20
BOX = (100, 0, 420, 240)
FACE = (150, 50, 270, 170)
DETAIL = (160, 60, 300, 180)
SIGMA, GRAIN = 25, 14
MARGIN, CAPTION = 8, 40


def astronaut() -> Image.Image:
    """Eileen Collins; NASA, public domain."""
    spec = find_spec("skimage")
    assert spec is not None, 'pip install "aecodec[demo]"'
    assert spec.submodule_search_locations
    with Image.open(Path(spec.submodule_search_locations[0], "data", "astronaut.png")) as file:
        return file.convert("RGB")


def jpeg_of_at_least(image: Image.Image, size: int) -> bytes:
    """The smallest JPEG (4:2:0, optimised) of at least `size` bytes: no fewer than ours."""
    for quality in range(1, 96):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, optimize=True, subsampling="4:2:0")
        if len(buffer.getvalue()) >= size:
            break
    return buffer.getvalue()


def comparison() -> None:
    """The original, JPEG and aecodec."""
    original = astronaut()
    ours = aecodec.compress(original, QUALITY)
    theirs = jpeg_of_at_least(original, len(ours))
    panels: list[tuple[str, bytes | None, Image.Image]] = [("original", None, original)]
    for name, data, picture in (
        ("JPEG", theirs, Image.open(io.BytesIO(theirs))),
        ("aecodec", ours, aecodec.decompress(ours)),
    ):
        panels.append((name, data, picture.convert("RGB")))
    _sheet(original, panels, BOX, 1, HERE / "comparison.webp")


def denoise() -> None:
    """The noisy photograph, and what comes back of three files of it, at 200 %."""
    from skimage.restoration import denoise_nl_means

    original = astronaut()
    rng = np.random.default_rng(1)
    rgb = np.asarray(original)
    noisy = np.rint(rgb + rng.normal(0.0, SIGMA, rgb.shape)).clip(0, 255).astype(np.uint8)
    sigma = SIGMA / 255
    means = denoise_nl_means(
        noisy / 255, h=0.6 * sigma, sigma=sigma, patch_size=5, patch_distance=6, channel_axis=-1
    )
    files = {
        "as it is": aecodec.compress(noisy),
        "non-local means": aecodec.compress(np.rint(255 * means.clip(0, 1)).astype(np.uint8)),
        "--denoise auto": aecodec.compress(noisy, denoise="auto"),
    }
    panels = [(name, data, aecodec.decompress(data)) for name, data in files.items()]
    _sheet(original, panels, FACE, 2, HERE / "denoise.webp")


def grain() -> None:
    """The noisy photograph, and what comes back with --denoise auto, without and with --grain."""
    original = astronaut()
    rgb = np.asarray(original)
    noise = np.random.default_rng(2).normal(0.0, GRAIN, rgb.shape)
    noisy = Image.fromarray(np.rint(rgb + noise).clip(0, 255).astype(np.uint8))
    data = aecodec.compress(noisy, denoise="auto", grain=True)
    panels: list[tuple[str, bytes | None, Image.Image]] = [
        ("with noise", None, noisy),
        ("--denoise auto", data, aecodec.decompress(data, grain=False)),
        ("--denoise auto --grain", data, aecodec.decompress(data)),
    ]
    _sheet(original, panels, FACE, 2, HERE / "grain.webp", measured=False)


def enlarge() -> None:
    """The photograph, and its half enlarged in two ways, at 200 %."""
    original = astronaut()
    half = original.resize((original.width // 2, original.height // 2), Image.Resampling.LANCZOS)
    data = aecodec.compress(half, 90)
    plain = Image.fromarray(doubled(np.asarray(aecodec.decompress(data))))
    panels: list[tuple[str, bytes | None, Image.Image]] = [
        ("original", None, original),
        ("Lanczos", data, plain),
        ("--scale 2", data, aecodec.decompress(data, scale=2)),
    ]
    _sheet(original, panels, DETAIL, 2, HERE / "enlarge.webp")


def _sheet(
    original: Image.Image,
    panels: list[tuple[str, bytes | None, Image.Image]],
    box: tuple[int, int, int, int],
    scale: int,
    path: Path,
    *,
    measured: bool = True,
) -> None:
    """Parts of pictures side by side, with their bytes, and their fidelity to the original."""
    width, height = scale * (box[2] - box[0]), scale * (box[3] - box[1])
    size = len(panels) * (width + MARGIN) + MARGIN, height + 2 * MARGIN + CAPTION
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15 if width > 300 else 12)
    for number, (name, data, picture) in enumerate(panels):
        x = MARGIN + number * (width + MARGIN)
        part = picture.crop(box).resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(part, (x, MARGIN))
        text = name
        if data is not None:
            pixels = np.asarray(original), np.asarray(picture)
            decibels, score = psnr(*pixels), ssimulacra2(*pixels)
            text += f"\n{len(data):,} bytes"
            text += f", {decibels:.1f} dB, score {score:.0f}" if measured else ""
        draw.text((x, MARGIN + height + 4), text, "black", font)
    sheet.save(path, quality=92, method=6)


def main() -> int:
    comparison()
    denoise()
    grain()
    enlarge()
    return 0


if __name__ == "__main__":
    sys.exit(main())
