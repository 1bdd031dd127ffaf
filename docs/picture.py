"""Draws comparison.webp, the picture in the README: JPEG and aecodec at the same number of bytes.

python docs/picture.py          # after new weights; needs the extra `demo`
"""

from __future__ import annotations

import io
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import aecodec
from aecodec.metrics import psnr

QUALITY = 20
BOX = (100, 0, 420, 240)
MARGIN, CAPTION = 8, 24


def jpeg_of_at_least(image: Image.Image, size: int) -> bytes:
    """The smallest JPEG (4:2:0, optimised) of at least `size` bytes: no fewer than ours."""
    for quality in range(1, 96):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, optimize=True, subsampling="4:2:0")
        if len(buffer.getvalue()) >= size:
            break
    return buffer.getvalue()


def main() -> int:
    spec = find_spec("skimage")
    assert spec is not None, 'pip install "aecodec[demo]"'
    assert spec.submodule_search_locations
    with Image.open(Path(spec.submodule_search_locations[0], "data", "astronaut.png")) as file:
        original = file.convert("RGB")  # Eileen Collins; NASA, public domain
    ours = aecodec.compress(original, QUALITY)
    theirs = jpeg_of_at_least(original, len(ours))
    panels = [("original", None, original)]
    for name, data, picture in (
        ("JPEG", theirs, Image.open(io.BytesIO(theirs))),
        ("aecodec", ours, aecodec.decompress(ours)),
    ):
        panels.append((name, data, picture.convert("RGB")))

    width, height = BOX[2] - BOX[0], BOX[3] - BOX[1]
    sheet = Image.new("RGB", (3 * width + 4 * MARGIN, height + 2 * MARGIN + CAPTION), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for number, (name, data, picture) in enumerate(panels):
        x = MARGIN + number * (width + MARGIN)
        sheet.paste(picture.crop(BOX), (x, MARGIN))
        text = name
        if data is not None:
            decibels = psnr(np.asarray(original), np.asarray(picture))
            text += f": {len(data):,} bytes, {decibels:.1f} dB"
        draw.text((x, MARGIN + height + 4), text, "black", font)
    sheet.save(Path(__file__).with_name("comparison.webp"), quality=92, method=6)
    return 0


if __name__ == "__main__":
    sys.exit(main())
