"""What `--importance` buys: the middle of a picture as good as before, in how many bytes.

    python benchmarks/importance.py FOLDER [--qualities 30,50,75] [--pictures N] [--json FILE]
    python benchmarks/importance.py --show docs/importance.webp

The middle half of each picture's width and height is white in the mask, the rest grey or black. A
file with the mask, of at most the bytes of one without, is compared with that: SSIMULACRA 2 and
PSNR, inside and outside. And the lowest quality is searched at which the inside has the score that
it has in the file without a mask: how many bytes does that file have?

`--show` draws a photograph in the public domain (scikit-image's astronaut, by NASA) without and
with a mask, at equal bytes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.progress import track

import aecodec
from aecodec.networks.ssimulacra2 import ssimulacra2

Pixels = npt.NDArray[np.uint8]
OUTSIDE = {"grey": 128, "black": 0}


def measured(rgb: Pixels, data: bytes) -> dict[str, float]:
    """The scores inside and of the whole, and the PSNR inside and outside."""
    shown = np.asarray(aecodec.decompress(data))
    inside = middle(rgb)
    error = np.square(shown.astype(np.float64) - rgb).mean(axis=2)
    within = error[inside]
    outside = (error.sum() - within.sum()) / (error.size - within.size)
    score = ssimulacra2(rgb[inside].copy(), shown[inside].copy())
    whole = ssimulacra2(rgb, shown)
    assert score is not None and whole is not None
    return {
        "bytes": len(data),
        "score_inside": score,
        "score": whole,
        "psnr_inside": float(10 * np.log10(255**2 / within.mean())),
        "psnr_outside": float(10 * np.log10(255**2 / outside)),
    }


def middle(rgb: Pixels) -> tuple[slice, slice]:
    """The middle half of the height and the width."""
    height, width = rgb.shape[:2]
    return slice(height // 4, height - height // 4), slice(width // 4, width - width // 4)


def as_good_inside(rgb: Pixels, mask: Pixels, score: float) -> dict[str, float]:
    """The file with the mask of the lowest quality whose inside has this score at least."""
    low, high, found = 0, 101, {}
    while high - low > 1:
        quality = (low + high) // 2
        at = measured(rgb, aecodec.compress(rgb, quality, importance=mask))
        if at["score_inside"] >= score:
            high, found = quality, at
        else:
            low = quality
    return found


def show(path: Path) -> None:
    """Draw a face without a mask, with one, and the mask; of equal bytes."""
    from skimage import data

    rgb = data.astronaut()  # type: ignore[no-untyped-call]
    mask = np.full(rgb.shape[:2], 40, np.uint8)
    mask[30:220, 140:310] = 255
    plain = aecodec.compress(rgb, 12)
    mapped = aecodec.compress(rgb, importance=mask, target_size=len(plain))
    print(f"{len(plain)} and {len(mapped)} bytes")
    shown = [np.asarray(aecodec.decompress(one)) for one in (plain, mapped)]
    shown.append(np.dstack([mask] * 3))
    Image.fromarray(np.hstack([part[:320, 60:380] for part in shown])).save(path, quality=90)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--show", type=Path)
    parser.add_argument("--qualities", default="30,50,75")
    parser.add_argument("--pictures", type=int)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.show:
        show(options.show)
    if options.folder is None:
        return
    rows: list[dict[str, Any]] = []
    paths = sorted(options.folder.glob("*.png"))[: options.pictures]
    for path in track(paths):
        rgb = np.asarray(Image.open(path).convert("RGB"))
        for quality in map(int, options.qualities.split(",")):
            plain = measured(rgb, aecodec.compress(rgb, quality))
            for name, value in OUTSIDE.items():
                mask = np.full(rgb.shape[:2], value, np.uint8)
                mask[middle(rgb)] = 255
                same = aecodec.compress(rgb, importance=mask, target_size=int(plain["bytes"]))
                good = as_good_inside(rgb, mask, plain["score_inside"])
                rows.append(
                    {"picture": path.name, "quality": quality, "outside": name, "plain": plain}
                    | {"same_bytes": measured(rgb, same), "as_good": good}
                )
    for name in OUTSIDE:
        for quality in map(int, options.qualities.split(",")):
            of = [r for r in rows if (r["outside"], r["quality"]) == (name, quality)]
            gain = {
                key: float(np.mean([r["same_bytes"][key] - r["plain"][key] for r in of]))
                for key in ("score_inside", "score", "psnr_inside", "psnr_outside")
            }
            ratios = [r["as_good"]["bytes"] / r["plain"]["bytes"] for r in of if r["as_good"]]
            print(
                f"outside {name}, quality {quality}, {len(of)} pictures: at equal bytes inside"
                f" {gain['score_inside']:+.1f} points and {gain['psnr_inside']:+.2f} dB, outside"
                f" {gain['psnr_outside']:+.2f} dB, whole {gain['score']:+.1f} points; inside as"
                f" good in {100 * (np.exp(np.mean(np.log(ratios))) - 1):+.1f} % of the bytes"
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
