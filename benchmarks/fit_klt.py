"""Fit the block-PCA codec that `aecodec bench` compares with: axes, classes, scales.

    python benchmarks/fit_klt.py PHOTOGRAPHS -o aecodec/bench/klt.safetensors

The axes are the principal components of 8x8x3 blocks. The classes are found as in Lloyd's
algorithm, by two alternating steps. Each area of 16x16 pixels goes to the class whose Laplacians
code its coefficients in the fewest bits. Then the scales of each class become the mean magnitudes
of its areas.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.progress import track
from safetensors.numpy import save_file

from aecodec.bench.klt import patches

CLASSES, CROP, ROUNDS = 16, 256, 25


def main() -> None:
    """Read crops, fit, and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=400)
    options = parser.parse_args()

    rng = np.random.default_rng(6)
    paths = sorted(path for path in options.folder.rglob("*") if path.is_file())
    chosen = rng.permutation(len(paths))[: options.pictures]
    crops = []
    for index in track(chosen, "reading"):
        with Image.open(paths[index]) as opened:
            rgb = np.asarray(opened.convert("RGB"))
        if min(rgb.shape[:2]) >= CROP:
            top, left = (int(rng.integers(side - CROP + 1)) for side in rgb.shape[:2])
            crops.append(patches(rgb[top : top + CROP, left : left + CROP]))

    moment = np.zeros((192, 192))
    for crop in crops:
        flat = crop.reshape(192, -1).astype(np.float64)
        moment += flat @ flat.T
    axes = np.linalg.eigh(moment)[1][:, ::-1].T
    axes *= np.sign(axes[np.arange(192), np.abs(axes).argmax(axis=1)])[:, None]
    axes = np.ascontiguousarray(axes, np.float16)  # safetensors writes memory as it lies

    magnitudes, predicted = coefficients(crops, axes.astype(np.float32))
    classes, scales = classify(magnitudes)
    per_crop = classes.reshape(len(crops), CROP // 16, CROP // 16)
    steps = np.diff(per_crop, axis=2, prepend=0) % CLASSES
    save_file(
        {
            "axes": axes,
            "log2_scales": np.rint(16 * np.log2(scales)).astype(np.int16),
            "predicted": predicted.astype(np.uint8),
            "class_counts": np.bincount(steps.ravel(), minlength=CLASSES).astype(np.int32),
        },
        options.output,
    )
    print(f"{len(crops)} crops, {predicted.sum()} components predicted -> {options.output}")


Doubles = npt.NDArray[np.float64]


def coefficients(
    crops: list[npt.NDArray[np.float32]], axes: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Mean magnitudes (192,N) over each 16x16 pixels, and which components are predicted."""
    plain: list[npt.NDArray[np.float32]] = []
    ahead: list[npt.NDArray[np.float32]] = []
    for crop in crops:
        values = np.einsum("ij,jhw->ihw", axes, crop, optimize=True)
        less = values - np.pad(values, ((0, 0), (0, 0), (1, 0)))[:, :, :-1]
        less[:, 1:, 0] = values[:, 1:, 0] - values[:, :-1, 0]
        for kept, those in ((plain, values), (ahead, less)):
            n, h, w = those.shape
            kept.append(np.abs(those).reshape(n, h // 2, 2, w // 2, 2).mean((2, 4)).reshape(n, -1))
    direct, difference = np.concatenate(plain, 1), np.concatenate(ahead, 1)
    predicted = difference.mean(1) < direct.mean(1)
    return np.where(predicted[:, None], difference, direct), predicted


def classify(magnitudes: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.intp], Doubles]:
    """Classes (N,) and their scales (CLASSES,192)."""
    order = np.argsort(magnitudes.sum(axis=0))
    classes = np.empty(len(order), np.intp)
    classes[order] = np.arange(len(order)) * CLASSES // len(order)
    for _ in track(range(ROUNDS), "classes"):
        scales = np.stack(
            [magnitudes[:, classes == k].mean(axis=1, dtype=np.float64) for k in range(CLASSES)]
        )
        scales = np.maximum(scales, 0.5)  # finer than any quantiser here
        cost = (1 / scales) @ magnitudes + np.log(scales).sum(axis=1)[:, None]
        classes = cost.argmin(axis=0)
    return classes, scales


if __name__ == "__main__":
    main()
