"""Near-duplicates: our descriptors beside imagehash's, in one run.

    python benchmarks/similar.py PHOTOGRAPHS... [--pictures N] [--json FILE]

Each photograph is changed in twelve ways (`changes.py`). Every copy is compared with every
photograph. The threshold of a method is the one with the highest recall at a precision of 99.9 %,
over all copies together. Then the speed: CPU seconds of one thread from files of 12 megapixels.
Needs imagehash (the extra `bench`).
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import numpy.typing as npt
from changes import CHANGES
from PIL import Image, ImageOps
from rich.progress import track

import aecodec
from aecodec.uses import descriptors
from aecodec.uses.descriptors import variants
from aecodec.uses.similar import SAME, likeness

Array = npt.NDArray[Any]
PRECISION = 0.999
QUALITIES = {"library": 75, "copies": 60}
HASHES = {"pHash": imagehash.phash, "dHash": imagehash.dhash, "wHash": imagehash.whash}
LARGE = (4000, 3000)
REPEATS = 5


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--pictures", type=int, default=1500)
    parser.add_argument("--json", type=Path, dest="output")
    parser.add_argument("--large", type=int, default=4, help="files of 12 megapixels to time")
    options = parser.parse_args()

    rng = np.random.default_rng(5)
    paths = sorted(path for folder in options.folders for path in folder.rglob("*.*"))
    chosen = [paths[i] for i in rng.permutation(len(paths))[: options.pictures]]
    recalls = recall(chosen)
    speeds = speed(chosen, options.large)
    print_tables(recalls, speeds, len(chosen))
    if options.output is not None:
        found = {
            "photographs": len(chosen),
            "precision": PRECISION,
            "recall_percent": recalls,
            "pictures_a_cpu_second_of_12_megapixels": speeds,
            "versions": {"aecodec": aecodec.__version__, "imagehash": imagehash.__version__},
        }
        options.output.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


# --- Recall ---------------------------------------------------------------------------------------


def bits(image: Image.Image, of: Callable[..., Any]) -> Array:
    return np.packbits(of(image).hash.ravel())


def recall(paths: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Per cent of the copies that are found, by method and change."""
    library: dict[str, list[Any]] = {name: [] for name in (*HASHES, "pixels", "aec")}
    copies: dict[str, list[Any]] = {name: [] for name in (*HASHES, "mirrored", "pixels", "aec")}
    for path in track(paths, "photographs"):
        with Image.open(path) as file:
            image = file.convert("RGB")
        library["pixels"].append(descriptors.of_image(image))
        library["aec"].append(through(image, QUALITIES["library"]))
        for name, of in HASHES.items():
            library[name].append(bits(image, of))
        for change in CHANGES.values():
            changed = change(image)
            copies["pixels"].append(descriptors.of_image(changed))
            copies["aec"].append(through(changed, QUALITIES["copies"]))
            for name, of in HASHES.items():
                copies[name].append(bits(changed, of))
            copies["mirrored"].append(bits(ImageOps.mirror(changed), imagehash.phash))

    scores: dict[str, Array] = {
        name: likeness(variants(copies[of_copies]), variants(library[of_library]))
        for name, of_copies, of_library in (
            ("aecodec, .aec and .aec", "aec", "aec"),
            ("aecodec, pictures and .aec", "pixels", "aec"),
            ("aecodec, pictures", "pixels", "pixels"),
        )
    }
    for name in HASHES:
        scores[name] = hash_scores(copies[name], library[name])
    mirrored = hash_scores(copies["mirrored"], library["pHash"])
    scores["pHash, also mirrored"] = np.maximum(scores["pHash"], mirrored)
    return {
        name: recall_of(found, SAME if name.startswith("aecodec") else None)
        for name, found in scores.items()
    }


def through(image: Image.Image, quality: int) -> descriptors.Thumbnail:
    """The thumbnail that the .aec file of an image gives."""
    return descriptors.of_file(aecodec.compress(image, quality, threads=1))


def hash_scores(copies: Sequence[Array], library: Sequence[Array]) -> Array:
    """Minus the number of bits that differ."""
    apart = np.stack(copies)[:, None] ^ np.stack(library)[None]
    found: Array = -np.bitwise_count(apart).sum(-1).astype(np.float32)
    return found


def recall_of(scores: Array, default: float | None) -> dict[str, float]:
    """Per cent of the copies found, by change; scores (copies, photographs).

    With the default threshold: what is found with it, and false pairs in a million.
    """
    number = len(CHANGES)
    right = np.repeat(np.arange(scores.shape[1]), number)
    hits = scores[np.arange(len(scores)), right]
    wrong = np.ones(scores.shape, bool)
    wrong[np.arange(len(scores)), right] = False
    misses = np.sort(scores[wrong])
    best, threshold = 0, np.inf
    for limit in np.unique(hits):
        found = int((hits >= limit).sum())
        false = len(misses) - int(np.searchsorted(misses, limit))
        if found >= PRECISION * (found + false) and found > best:
            best, threshold = found, float(limit)
    percent = 100.0 * (hits >= threshold).reshape(-1, number).mean(0)
    rows = dict(zip(CHANGES, percent.tolist(), strict=True))
    found_rows = {**rows, "mean": float(percent.mean()), "threshold": threshold}
    if default is not None:
        found_rows["mean, default threshold"] = 100.0 * float((hits >= default).mean())
        found_rows["false in a million"] = 1e6 * float((misses >= default).mean())
    return found_rows


# --- Speed ----------------------------------------------------------------------------------------


def speed(paths: Sequence[Path], count: int) -> dict[str, float]:
    """Pictures in a second of CPU time, of one thread, from the bytes of files."""
    jpegs, files = [], []
    for number in range(count):
        image = mosaic([*paths[number * 7 :], *paths[: number * 7]])
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=90)
        jpegs.append(buffer.getvalue())
        files.append(aecodec.compress(image, 75, threads=1))

    def hashed(data: bytes, draft: bool) -> object:
        with Image.open(io.BytesIO(data)) as image:
            if draft:
                image.draft("L", (256, 256))
            return imagehash.phash(image)

    ways: dict[str, tuple[Callable[[bytes], object], list[bytes]]] = {
        "pHash, JPEG": (lambda data: hashed(data, False), jpegs),
        "pHash, JPEG with draft": (lambda data: hashed(data, True), jpegs),
        "aecodec, JPEG": (lambda data: aecodec.features(data), jpegs),
        "aecodec, .aec": (lambda data: aecodec.features(data), files),
    }
    found = {}
    for name, (way, sources) in ways.items():
        way(sources[0])
        taken = []
        for source in sources:
            seconds = []
            for _ in range(REPEATS):
                start = time.process_time()
                way(source)
                seconds.append(time.process_time() - start)
            taken.append(min(seconds))
        found[name] = 1.0 / float(np.median(taken))
    return found


def mosaic(paths: Sequence[Path]) -> Image.Image:
    """12 megapixels of photographs side by side."""
    sheet = Image.new("RGB", LARGE)
    x = y = row = 0
    remaining = itertools.cycle(paths)
    while y < LARGE[1]:
        with Image.open(next(remaining)) as file:
            image = file.convert("RGB")
        sheet.paste(image, (x, y))
        x, row = x + image.width, max(row, image.height)
        if x >= LARGE[0]:
            x, y, row = 0, y + row, 0
    return sheet


def print_tables(
    recalls: dict[str, dict[str, float]], speeds: dict[str, float], count: int
) -> None:
    print(f"{count} photographs; per cent of the copies found at a precision of 99.9 %")
    print(f"{'':24}" + "".join(f"{name.replace('aecodec, ', ''):>22}" for name in recalls))
    for row in next(iter(recalls.values())):
        digits = 3 if row == "threshold" else 1
        values = (found.get(row) for found in recalls.values())
        cells = ("" if value is None else f"{value:.{digits}f}" for value in values)
        print(f"{row:24}" + "".join(f"{cell:>22}" for cell in cells))
    print("\npictures in a CPU second, from files of 12 megapixels, one thread")
    for name, value in speeds.items():
        print(f"{name:24}{value:8.1f}")


if __name__ == "__main__":
    main()
