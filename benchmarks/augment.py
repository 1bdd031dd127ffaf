"""Variations of pictures for training sets: how many a second, beside a file and its way back.

    python benchmarks/augment.py [--side 224] [--count 60] [--json FILE]

Beside `aecodec.augment` stand what people use to vary textures: a JPEG of random quality, and
Gaussian noise. CPU seconds of one thread.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

import aecodec

Pixels = npt.NDArray[np.uint8]


def through_jpeg(rgb: Pixels, seed: int) -> object:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=10 + seed % 80)
    with Image.open(buffer) as opened:
        return np.asarray(opened.convert("RGB"))


def with_noise(rgb: Pixels, seed: int) -> object:
    noise = np.random.default_rng(seed).normal(0, 20, rgb.shape)
    return np.clip(rgb + noise, 0, 255).astype(np.uint8)


WAYS: dict[str, Callable[[Pixels, int], object]] = {
    "aecodec.augment": lambda rgb, seed: aecodec.augment(rgb, 0.5, seed, threads=1),
    "JPEG of random quality": through_jpeg,
    "Gaussian noise": with_noise,
}


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--json", type=Path, dest="output")
    options = parser.parse_args()
    spec = find_spec("skimage")
    assert spec is not None, 'pip install "aecodec[demo]"'
    assert spec.submodule_search_locations
    with Image.open(Path(spec.submodule_search_locations[0], "data", "astronaut.png")) as file:
        rgb = np.asarray(file.convert("RGB"))[: options.side, : options.side]
    found = {}
    for name, way in WAYS.items():
        way(rgb, 0)
        start = time.process_time()
        for seed in range(options.count):
            way(rgb, seed)
        found[name] = options.count / (time.process_time() - start)
        print(f"{name:26}{found[name]:9.1f} pictures in a CPU second")
    if options.output is not None:
        values = {"side": options.side, "pictures_a_cpu_second": found}
        options.output.write_text(json.dumps(values, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
