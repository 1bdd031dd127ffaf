"""Pairs of pictures whose SSIMULACRA 2.1 scores are known from the authors' own tool.

`ssimulacra2_reference.json` holds those scores. `python tests/support/ssimulacra2_pairs.py PROGRAM`
measures the pairs of scikit-image's pictures anew; PROGRAM is `ssimulacra2` as Debian 13 has it in
libjxl-devtools (0.11.2). It gives the scores of the Kodak pairs, which were measured with
cloudinary/ssimulacra2 (commit 81feacf), to all their digits.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from paths import ROOT
from PIL import Image

REFERENCE = Path(__file__).with_name("ssimulacra2_reference.json")
KODAK = ROOT.parent / "shared" / "data" / "kodak"
_spec = find_spec("skimage")
SKIMAGE = Path(_spec.submodule_search_locations[0]) / "data" if _spec else None


def quantised(x: np.ndarray) -> np.ndarray:
    """16 levels a channel."""
    return x // 16 * 16 + 8


def blocks(x: np.ndarray, side: int) -> np.ndarray:
    """Blocks of pixels replaced by their rounded mean."""
    h, w, c = x.shape
    means = x.reshape(h // side, side, w // side, side, c).mean(axis=(1, 3))
    return np.rint(means).astype(np.uint8).repeat(side, 0).repeat(side, 1)


def noisy(x: np.ndarray) -> np.ndarray:
    """With noise of a deviation of 6."""
    added = x + np.random.default_rng(5).normal(0, 6, x.shape)
    return np.clip(np.rint(added), 0, 255).astype(np.uint8)


def redder(x: np.ndarray) -> np.ndarray:
    """6 more in the first channel."""
    made = x.astype(int)
    made[..., 0] += 6
    return np.clip(made, 0, 255).astype(np.uint8)


DISTORTIONS = {
    "quantised to 16 levels: x // 16 * 16 + 8": quantised,
    "blocks of 2x2 replaced by their rounded mean": lambda x: blocks(x, 2),
    "blocks of 4x4 replaced by their rounded mean": lambda x: blocks(x, 4),
    "np.random.default_rng(5).normal(0, 6, x.shape) added, rounded, clipped": noisy,
    "red channel + 6, clipped": redder,
    "shifted right by one column (np.roll)": lambda x: np.roll(x, 1, axis=1),
}


def picture(text: str) -> np.ndarray:
    """A picture, or a part of one, or copies of one beside each other, as the JSON names it."""
    found = re.fullmatch(r"([^\s,]+)(?:, rows (\d+):(\d+), columns (\d+):(\d+))?(.*)", text)
    assert found, text
    name, more = found[1], found[6]
    folder = KODAK if name.startswith("kodim") else SKIMAGE
    assert folder is not None
    with Image.open(folder / name) as opened:
        x = np.asarray(opened.convert("RGB"))
    if found[2]:
        top, bottom, left, right = (int(n) for n in found.groups()[1:5])
        x = x[top:bottom, left:right]
    if more == ", 3 by 2 copies":
        x = np.tile(x, (3, 2, 1))
    elif more == ", green as alpha":
        x = np.dstack([x, x[..., 1]])
    else:
        assert not more, text
    return x


def distorted(x: np.ndarray, text: str) -> np.ndarray:
    """The other picture of a pair; alpha stays."""
    made = DISTORTIONS[text](x[..., :3])
    return np.dstack([made, x[..., 3]]) if x.shape[2] == 4 else made


def pairs(kodak: bool) -> Iterator[tuple[str, str, float]]:
    """(picture, distortion, score) of the JSON."""
    for entry in json.loads(REFERENCE.read_text(encoding="utf-8"))["pairs"]:
        if entry["picture"].startswith("kodim") == kodak:
            yield entry["picture"], entry["distortion"], entry["score"]


def wanted() -> Iterator[tuple[str, str]]:
    """The pairs of scikit-image's pictures."""
    for name in ("astronaut.png", "coffee.png", "chelsea.png, rows 0:300, columns 0:448"):
        yield from ((name, distortion) for distortion in DISTORTIONS)
    sides = "0:8", "3:12", "40:73", "100:277"
    for rows in sides:
        for columns in sides:
            yield f"chelsea.png, rows {rows}, columns {columns}", next(iter(DISTORTIONS))
    for distortion in list(DISTORTIONS)[1:4]:
        yield "coffee.png, 3 by 2 copies", distortion
        yield "astronaut.png, green as alpha", distortion


def score(program: str, x: np.ndarray, y: np.ndarray) -> float:
    """By the authors' tool."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{name}.png" for name in "xy"]
        for path, pixels in zip(paths, (x, y), strict=True):
            Image.fromarray(np.ascontiguousarray(pixels)).save(path)
        done = subprocess.run([program, *paths], capture_output=True, text=True, check=True)
    return round(float(done.stdout.split()[0]), 4)


def main(program: str) -> None:
    """Write the JSON."""
    content = json.loads(REFERENCE.read_text(encoding="utf-8"))
    kept = [entry for entry in content["pairs"] if entry["picture"].startswith("kodim")]
    for name, distortion in wanted():
        x = picture(name)
        value = score(program, x, distorted(x, distortion))
        kept.append({"picture": name, "distortion": distortion, "score": value})
    content["pairs"] = kept
    REFERENCE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
