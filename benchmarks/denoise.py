"""Noise: our --denoise beside non-local means, BM3D and OpenCV, in one run.

    python benchmarks/denoise.py KODAK [--pictures 05,23] [--kind "gaussian 25"] [--bm3d 05,23]
        [--large N] [--json FILE]

Noise is laid over each picture: Gaussian of 10, 25 and 50 levels; and a camera's, which is shot and
read noise in linear light on a Bayer sensor, before an edge-aware demosaicing by OpenCV, or in one
kind before its VNG, which takes 8 bits of sRGB. With a
camera's noise, clean is what the camera would give without noise. Each method removes the noise.
All results are compressed at the same qualities, and what comes back is measured against the clean
picture. "noisy" compresses the noisy picture. The peers are told the true deviation of the noise.
Ours is measured with that and with `auto`. CPU seconds are those of one thread. OpenCV and a second
strength of non-local means are measured with Gaussian noise of 25.

`--bm3d` names the pictures on which BM3D is measured, since it takes most of a minute for each.
`--large N`: also N pictures of 12 megapixels, made of Kodak's side by side.

Needs opencv-python-headless and scikit-image (the extra `bench`); BM3D needs the package bm3d.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from skimage.restoration import denoise_nl_means

import aecodec
from aecodec.coding.denoising import denoised
from aecodec.image.load import load
from aecodec.metrics import psnr
from aecodec.networks.runtime import Options
from aecodec.networks.ssimulacra2 import ssimulacra2

Pixels = npt.NDArray[np.uint8]
QUALITIES = (50, 75, 90)
GAUSSIAN = (10, 25, 50)
CAMERA = {
    "camera, base ISO": (0.0008, 0.00001, cv2.COLOR_BayerRGGB2RGB_EA),
    "camera, high ISO": (0.006, 0.0002, cv2.COLOR_BayerRGGB2RGB_EA),
    "camera, high ISO, VNG": (0.006, 0.0002, cv2.COLOR_BayerRGGB2RGB_VNG),
}
"""Shot and read noise, where the variance in linear light is a times the light plus b; and the
demosaicing. The denoiser was trained with one that is OpenCV's edge-aware one, but for the borders.
It has never seen that by variable numbers of gradients (VNG)."""
OPTIONS = Options(threads=1, device="cpu")
ALWAYS = ("noisy", "aecodec", "aecodec auto", "NLM 0.6")
AT_25 = ("NLM 0.8", "OpenCV")
SLOW = ("gaussian 25", "camera, high ISO")
"""The kinds of noise for pictures of 12 megapixels, and for BM3D."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A picture with noise."""

    picture: str
    kind: str
    clean: Pixels
    noisy: Pixels

    @property
    def deviation(self) -> float:
        """The noise's true deviation in levels, before it was clipped where that is known."""
        if self.kind.startswith("gaussian"):
            return float(self.kind.split()[1])
        return float(np.std(self.noisy.astype(np.float64) - self.clean))


def gaussian(clean: Pixels, sigma: float, seed: int) -> Pixels:
    rng = np.random.default_rng(seed)
    noisy: Pixels = np.rint(clean + rng.normal(0.0, sigma, clean.shape)).clip(0, 255).astype("u1")
    return noisy


def to_srgb(light: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    high = 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, 12.92 * light, high)


def camera(clean: Pixels, a: float, b: float, demosaicing: int, seed: int) -> tuple[Pixels, Pixels]:
    """What a camera makes of a picture in light: without noise, and with it."""
    rng = np.random.default_rng(seed)
    srgb = clean.astype(np.float64) / 255.0
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    height, width = light.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    colour = rows % 2 + columns % 2  # RGGB: red, green, green, blue
    raw = np.take_along_axis(light, colour[..., None], axis=2)[..., 0]
    noisy = raw + rng.normal(0.0, 1.0, raw.shape) * np.sqrt(a * raw + b)

    def developed(sensor: npt.NDArray[np.float64]) -> Pixels:
        sensor = sensor.clip(0.0, 1.0)
        if demosaicing == cv2.COLOR_BayerRGGB2RGB_VNG:
            coded = np.rint(255.0 * to_srgb(sensor)).astype(np.uint8)
            return np.asarray(cv2.cvtColor(coded, demosaicing), np.uint8)
        whole = np.rint(sensor * 65535.0).astype(np.uint16)
        rgb = to_srgb(np.asarray(cv2.cvtColor(whole, demosaicing), np.float64) / 65535.0)
        pixels: Pixels = np.rint(255.0 * rgb).astype(np.uint8)
        return pixels

    return developed(raw), developed(noisy)


def cases(name: str, clean: Pixels, number: int) -> Iterator[Case]:
    """A picture with each kind of noise."""
    for sigma in GAUSSIAN:
        noisy = gaussian(clean, sigma, 100 * number + sigma)
        yield Case(name, f"gaussian {sigma}", clean, noisy)
    for kind, (a, b, demosaicing) in CAMERA.items():
        yield Case(name, kind, *camera(clean, a, b, demosaicing, 100 * number + 7))


# --- Methods --------------------------------------------------------------------------------------


def ours(case: Case, *, auto: bool) -> Pixels:
    strength: Any = "auto" if auto else case.deviation
    return denoised(load(case.noisy), strength, OPTIONS).rgb


def nl_means(case: Case, share: float) -> Pixels:
    """Scikit-image's fast non-local means, as its documentation calls it."""
    sigma = case.deviation / 255.0
    found = denoise_nl_means(
        case.noisy / 255.0,
        h=share * sigma,
        sigma=sigma,
        fast_mode=True,
        patch_size=5,
        patch_distance=6,
        channel_axis=-1,
    )
    pixels: Pixels = np.rint(255.0 * found.clip(0.0, 1.0)).astype(np.uint8)
    return pixels


def opencv(case: Case) -> Pixels:
    h = 0.7 * case.deviation
    found: Any = cv2.fastNlMeansDenoisingColored(case.noisy, None, h, h)
    return np.asarray(found, np.uint8)


def block_matching(case: Case) -> Pixels:
    from bm3d import bm3d_rgb

    found = bm3d_rgb(case.noisy / 255.0, case.deviation / 255.0)
    pixels: Pixels = np.rint(255.0 * found.clip(0.0, 1.0)).astype(np.uint8)
    return pixels


METHODS: dict[str, Callable[[Case], Pixels]] = {
    "noisy": lambda case: case.noisy,
    "aecodec": lambda case: ours(case, auto=False),
    "aecodec auto": lambda case: ours(case, auto=True),
    "NLM 0.6": lambda case: nl_means(case, 0.6),
    "NLM 0.8": lambda case: nl_means(case, 0.8),
    "OpenCV": opencv,
    "BM3D": block_matching,
}


# --- Measuring ------------------------------------------------------------------------------------


def measured(case: Case, method: str, qualities: tuple[int, ...] = QUALITIES) -> dict[str, Any]:
    """PSNR without coding and by quality, SSIMULACRA 2 at quality 75, CPU time."""
    start = time.process_time()
    made = METHODS[method](case)
    seconds = time.process_time() - start
    row: dict[str, Any] = {
        "picture": case.picture,
        "kind": case.kind,
        "method": method,
        "deviation": round(case.deviation, 2),
        "cpu_s": round(seconds, 3),
        "psnr": psnr(case.clean, made),
        "coded": [],
    }
    for quality in qualities:
        data = aecodec.compress(made, quality, threads=1, device="cpu")
        seen = np.asarray(aecodec.decompress(data, threads=1, device="cpu"))
        row["coded"].append(
            {
                "quality": quality,
                "bytes": len(data),
                "psnr": psnr(case.clean, seen),
                "ssimulacra2": ssimulacra2(case.clean, seen) if quality == 75 else None,
            }
        )
    return row


def at_bytes(row: dict[str, Any], nbytes: float) -> float:
    """The PSNR at a number of bytes, between the qualities; that of the nearest one beyond them."""
    points = sorted((point["bytes"], point["psnr"]) for point in row["coded"])
    sizes, values = zip(*points, strict=True)
    return float(np.interp(np.log(nbytes), np.log(sizes), values))


def auto_on_clean(name: str, clean: Pixels) -> dict[str, Any]:
    """What `auto` does to a picture without noise, at quality 90."""
    kept = denoised(load(clean), "auto", OPTIONS).rgb
    row: dict[str, Any] = {"picture": name, "changed": not np.array_equal(kept, clean)}
    for key, pixels in (("plain", clean), ("auto", kept)):
        data = aecodec.compress(pixels, 90, threads=1, device="cpu")
        seen = np.asarray(aecodec.decompress(data, threads=1, device="cpu"))
        row[key] = {"bytes": len(data), "psnr": psnr(clean, seen)}
    return row


def mosaics(pictures: dict[str, Pixels], count: int) -> Iterator[tuple[str, Pixels]]:
    """Pictures of 12 megapixels, 4096 x 3072, of others side by side."""
    names = list(pictures)
    for number in range(count):
        sheet = np.empty((3072, 4096, 3), np.uint8)
        k = number
        for y in range(0, 3072, 512):
            for x in range(0, 4096, 768):
                part = pictures[names[k % len(names)]]
                part = np.resize(part, (512, 768, 3)) if part.shape[0] < 512 else part[:512, :768]
                if part.shape[1] < 768:
                    part = np.concatenate([part, part[:, : 768 - part.shape[1]]], axis=1)
                sheet[y : y + 512, x : x + 768] = part[:, : 4096 - x]
                k += 1
        yield f"12 MP, {number + 1}", sheet


def tables(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over the pictures, by kind of noise and method, of those that all methods did."""
    found = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        for names in ("all", "with BM3D"):
            of_kind = [row for row in rows if row["kind"] == kind]
            chosen = {row["picture"] for row in of_kind if row["method"] == "NLM 0.6"}
            if names == "with BM3D":
                chosen = {row["picture"] for row in of_kind if row["method"] == "BM3D"}
            base = {
                row["picture"]: _at_75(row)["bytes"]
                for row in of_kind
                if row["method"] == "NLM 0.6"
            }
            for method in METHODS:
                those = [r for r in of_kind if r["method"] == method and r["picture"] in chosen]
                if len(those) < len(chosen) or not those:
                    continue
                coded = [_at_75(row) for row in those]

                found.append(
                    {
                        "pictures": names,
                        "count": len(those),
                        "kind": kind,
                        "method": method,
                        "psnr": _mean(row["psnr"] for row in those),
                        "cpu_s": _mean(row["cpu_s"] for row in those),
                        "bytes at 75": _mean(point["bytes"] for point in coded),
                        "psnr at 75": _mean(point["psnr"] for point in coded),
                        "ssimulacra2 at 75": _mean(point["ssimulacra2"] for point in coded),
                        "psnr at NLM's bytes": _mean(
                            at_bytes(row, base[row["picture"]]) for row in those
                        ),
                    }
                )
    return found


def _at_75(row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(point for point in row["coded"] if point["quality"] == 75)
    return found


def _mean(values: Iterator[float]) -> float:
    return round(float(np.mean(list(values))), 3)


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", default="", help="endings of names, as 05,23")
    parser.add_argument("--kind", action="append", default=[], help="of these alone")
    parser.add_argument("--bm3d", default="", help="endings of the names to measure BM3D on")
    parser.add_argument("--large", type=int, default=0, help="pictures of 12 megapixels")
    parser.add_argument("--json", type=Path, dest="output")
    options = parser.parse_args()
    cv2.setNumThreads(1)

    def chosen(path: Path, endings: str) -> bool:
        return path.stem.endswith(tuple(endings.split(",")))

    rows: list[dict[str, Any]] = []
    pictures: dict[str, Pixels] = {}
    clean_rows = []
    for number, path in enumerate(sorted(options.folder.glob("*.png"))):
        if not chosen(path, options.pictures):
            continue
        with Image.open(path) as file:
            pictures[path.stem] = clean = np.asarray(file.convert("RGB"))
        clean_rows.append(auto_on_clean(path.stem, clean))
        for case in cases(path.stem, clean, number):
            if options.kind and case.kind not in options.kind:
                continue
            methods = [*ALWAYS, *(AT_25 if case.kind == "gaussian 25" else ())]
            if options.bm3d and case.kind in SLOW and chosen(path, options.bm3d):
                methods.append("BM3D")
            rows += [measured(case, method) for method in methods]
        print(path.stem, flush=True)
    large = [
        measured(case, method, (75,))
        for number, (name, clean) in enumerate(mosaics(pictures, options.large))
        for case in cases(name, clean, number)
        if case.kind in SLOW
        for method in ALWAYS
    ]
    means = tables(rows) + [
        {**row, "pictures": "12 MP"} for row in tables(large) if row["pictures"] == "all"
    ]
    for row in means:
        print(json.dumps(row))
    changed = [row["picture"] for row in clean_rows if row["changed"]]
    print(f"auto changes {len(changed)} of {len(clean_rows)} clean pictures: {', '.join(changed)}")
    if options.output is not None:
        result = {"mean": means, "clean": clean_rows, "pictures": rows + large}
        options.output.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
