"""Fit the two maps of the descriptors (`aecodec/uses/descriptors.py`).

    python benchmarks/fit_descriptors.py PHOTOGRAPHS... -o aecodec/uses/descriptors.safetensors
        [--models small,base] [--add]

`--add` fits the map from z_hat alone, for new weights, and keeps all else that the file holds.

For each of the weights, least squares from z_hat at random qualities to mean colours. Then Fisher's
discriminants of moments: the classes are photographs, their members random copies, some of them
seen through z_hat.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from changes import random_change, resized
from PIL import Image
from rich.progress import track
from safetensors.numpy import load_file, save_file

from aecodec import bitstream
from aecodec.arrays import edge_padded
from aecodec.codec import Codec
from aecodec.entropy.padding import TileShape
from aecodec.geometry import Box, padded
from aecodec.networks import weights
from aecodec.networks.runtime import Options
from aecodec.uses import descriptors

Doubles = npt.NDArray[np.float64]
LONGEST, QUALITIES, COPIES, CODED = 900, 5, 12, 4
RIDGE_Z, RIDGE = 1e-3, 1e-3
"""Added to the moments of the input, in units of their own variance."""


def main() -> None:
    """Read photographs, fit, and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=600)
    parser.add_argument("--models", default="small,base")
    parser.add_argument("--add", action="store_true")
    options = parser.parse_args()

    rng = np.random.default_rng(32)
    paths = sorted(path for folder in options.folders for path in folder.rglob("*.*"))
    paths = [paths[index] for index in rng.permutation(len(paths))[: options.pictures]]
    coders = [
        Codec(weights.by_name(name), Options(threads=1, device="cpu"))
        for name in options.models.split(",")
    ]
    maps = {
        f"z_hat.{coder.weights.id.hex()}": fit_colours(coder, paths, rng).astype(np.float16)
        for coder in coders
    }
    if options.add:
        kept = load_file(options.output)
        save_file({**kept, **maps}, options.output)
        print(f"{len(paths)} photographs, {', '.join(maps)} added to {options.output}")
        return
    zero = (
        np.zeros(descriptors.MOMENTS, np.float16),
        np.zeros((descriptors.MOMENTS, 64), np.float16),
    )
    save_file({**maps, "mean": zero[0], "projection": zero[1]}, options.output)
    descriptors._maps.cache_clear()

    within, means = scatter(coders, paths, rng)
    mean, projection = discriminants(within, means)
    found = {"mean": mean.astype(np.float16), "projection": projection.astype(np.float16)}
    save_file({**maps, **found}, options.output)
    print(f"{len(paths)} photographs, {len(maps)} weights -> {options.output}")


def opened(path: Path) -> Image.Image:
    with Image.open(path) as file:
        image: Image.Image = file.convert("RGB")
    return resized(image, min(1.0, LONGEST / max(image.size)))


def fit_colours(
    coder: Codec, paths: Sequence[Path], rng: np.random.Generator
) -> npt.NDArray[np.floating]:
    """(2,9N+1,18): the map from z_hat to colours, and its change with the level."""
    inputs = 2 * (9 * coder.weights.config.hyper_latents + 1)
    moment: Doubles = np.zeros((inputs, inputs))
    product: Doubles = np.zeros((inputs, 18))
    count = 0
    for path in track(paths, f"z_hat of {coder.weights.name}"):
        image = opened(path)
        factor = float(rng.choice([1.0, 0.7, 0.5, 0.35]))
        rgb = np.asarray(image.resize([max(64, round(side * factor)) for side in image.size]))
        y = coder.tiles.analyse(rgb, Box.of(rgb.shape))
        colours = targets(edge_padded(rgb, *padded(rgb.shape, 64), axis=0))
        for quality in rng.integers(1, 101, QUALITIES):
            v = coder.weights.at(int(quality)).gain * y
            z_hat = coder.tiles.transforms.hyper_analyse(v, TileShape.of(y))
            h, w = z_hat.shape[1:]
            around = np.pad(z_hat, ((0, 0), (1, 1), (1, 1)), mode="edge")
            parts = [around[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]
            z = np.concatenate([*parts, np.ones((1, h, w))]).reshape(-1, h * w)
            x = np.concatenate([z, z * descriptors.level_of(int(quality))])
            moment += x @ x.T
            product += x @ colours
            count += h * w
    found = np.linalg.solve(moment + RIDGE_Z * count * np.eye(inputs), product)
    return found.reshape(2, inputs // 2, 18)


def targets(rgb: npt.NDArray[np.uint8]) -> Doubles:
    """(h*w,18): of each 64 x 64 pixels the mean luma of its 4 x 4 parts, and its mean colour."""
    h, w = rgb.shape[0] // 64, rgb.shape[1] // 64
    small = rgb.reshape(4 * h, 16, 4 * w, 16, 3).mean((1, 3)) / 255.0
    luma = small @ descriptors.LUMA
    apart = small[..., [2, 0]] - luma[..., None]
    parts = luma.reshape(h, 4, w, 4).swapaxes(1, 2).reshape(h * w, 16)
    return np.concatenate([parts, apart.reshape(h, 4, w, 4, 2).mean((1, 3)).reshape(-1, 2)], 1)


def scatter(
    coders: Sequence[Codec], paths: Sequence[Path], rng: np.random.Generator
) -> tuple[Doubles, Doubles]:
    """The scatter of copies around their photograph's mean, and all means."""
    within, means = np.zeros((descriptors.MOMENTS, descriptors.MOMENTS)), []
    for path in track(paths, "copies"):
        found = descriptors.moments(list(copies(coders, opened(path), rng)))
        means.append(found.mean(0))
        apart = (found - means[-1]).astype(np.float64)
        within += apart.T @ apart / len(found)
    return within / len(paths), np.stack(means).astype(np.float64)


def copies(
    coders: Sequence[Codec], image: Image.Image, rng: np.random.Generator
) -> Iterator[descriptors.Thumbnail]:
    yield descriptors.of_image(image)
    for number in range(COPIES):
        changed = random_change(image, rng)
        yield descriptors.of_image(changed)
        if number < CODED:
            coder, quality = coders[number % len(coders)], int(rng.integers(15, 100))
            seen = changed if number % 2 else resized(image, rng.uniform(0.3, 1.0))
            yield through_z_hat(coder, seen, quality)


def through_z_hat(coder: Codec, image: Image.Image, quality: int) -> descriptors.Thumbnail:
    """The thumbnail that the .aec file of an image gives: z_hat is computed, and nothing coded."""
    rgb = np.asarray(image)
    header = bitstream.Header(
        image.width, image.height, bitstream.ColourMode.RGB, quality, coder.weights.id
    )
    y = coder.tiles.analyse(rgb, Box.of(rgb.shape))
    v = coder.weights.at(quality).gain * y
    return descriptors.of_z_hat(coder.tiles.transforms.hyper_analyse(v, TileShape.of(y)), header)


def discriminants(within: Doubles, means: Doubles) -> tuple[Doubles, Doubles]:
    """The mean (112,) and the projection (112,64): copies differ equally in every direction."""
    mean = means.mean(0)
    between = np.cov(means, rowvar=False)
    within = within + RIDGE * np.trace(between) / len(between) * np.eye(len(within))
    values, vectors = np.linalg.eigh(within)
    whiten = vectors / np.sqrt(values)
    gains, axes = np.linalg.eigh(whiten.T @ between @ whiten)
    best = np.argsort(gains)[::-1][: descriptors.LENGTH]
    # A direction counts by how much more photographs differ along it than copies do.
    projection = whiten @ axes[:, best] / np.sqrt(1.0 + 1.0 / gains[best])
    return mean, projection / np.abs(projection).max()


if __name__ == "__main__":
    main()
