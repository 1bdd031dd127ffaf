"""Writes the golden files anew: only when a new model or format version makes it necessary.

python tests/golden/make.py [FILE...]

With names only those files are made, and the others stay as they are.
"""

from __future__ import annotations

import json
import pathlib
import sys

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "support"))

import carriers  # noqa: E402
import samples  # noqa: E402
from paths import WEIGHTS  # noqa: E402

import aecodec  # noqa: E402
from aecodec import bitstream, codec  # noqa: E402
from aecodec.networks import weights  # noqa: E402

FIRST = "small"
"""The weights of most files: the default ones when these were made."""


def others() -> list[str]:
    """The other weights that come with aecodec."""
    names = (config.parent.name for config in WEIGHTS.glob("*/config.json"))
    return sorted(set(names) - {FIRST})


def noisy(picture: Image.Image) -> Image.Image:
    """The picture with Gaussian noise."""
    noise = np.random.default_rng(1).normal(0.0, 12.0, (picture.height, picture.width, 3))
    return Image.fromarray(np.rint(np.asarray(picture) + noise).clip(0, 255).astype(np.uint8))


def main(only: list[str]) -> None:
    """One file for each mode, some qualities, one of several tiles; one of other weights."""
    coder = codec.Codec(weights.by_name(FIRST))
    astronaut = samples.photograph(box=(100, 20, 260, 140))
    transparent = samples.photograph("chelsea.png", (60, 30, 160, 130)).convert("RGBA")
    transparent.putalpha(Image.linear_gradient("L").resize(transparent.size))
    made = {
        "rgb-q75.aec": coder.compress(astronaut, 75),
        "rgb-q10.aec": coder.compress(astronaut, 10),
        "rgb-q100-tiles.aec": coder.compress(astronaut, 100, tile_size=64),
        "grey-q50.aec": coder.compress(astronaut.convert("L"), 50),
        "rgba-q60.aec": coder.compress(transparent, 60),
        "pixel-q90.aec": coder.compress(astronaut.crop((0, 0, 1, 1)), 90),
        "travelling-q75.aec": coder.compress(carriers.with_everything(), 75),
        "steps-q60.aec": coder.compress(
            astronaut, 60, importance=Image.linear_gradient("L").resize(astronaut.size)
        ),
        "grain-q75.aec": aecodec.compress(noisy(astronaut), 75, denoise=12.0, grain=True),
        **{f"{model}-q75.aec": aecodec.compress(astronaut, model=model) for model in others()},
    }
    listed = HERE / "golden.json"
    kept = {entry["file"]: entry for entry in json.loads(listed.read_text())} if only else {}
    entries = []
    for name, data in made.items():
        if name in kept and name not in only:
            entries.append(kept[name])
            continue
        (HERE / name).write_bytes(data)
        container = bitstream.parse(data)
        hashes = [int.from_bytes(tile[:4], "little") for tile in container.tiles]
        picture = aecodec.decompress(data)
        means = np.asarray(picture.convert("RGB"), np.float64).mean(axis=(0, 1))
        entries.append(
            {
                "file": name,
                "hashes": [f"{value:08x}" for value in hashes],
                "picture": [picture.mode, *picture.size],
                "means": [round(float(v), 2) for v in means],
            }
        )
    listed.write_text(json.dumps(entries, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
