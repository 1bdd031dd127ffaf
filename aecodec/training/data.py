"""Photographs for training: found, split, decoded once, and cut into batches of crops."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import pathlib
import queue
import threading
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Pixels
from aecodec.image.rgb import halve, read, resized
from aecodec.training.drawings import draw_over
from aecodec.training.illustrations import illustrate

__all__ = ["Batches", "Photographs", "enlarged", "find_photographs", "split_validation"]

SUFFIXES = frozenset({".avif", ".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def find_photographs(folder: pathlib.Path) -> list[pathlib.Path]:
    """All picture files under `folder`, sorted by path. ValueError if there are none."""
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not found:
        raise ValueError(f"{folder}: no pictures found ({', '.join(sorted(SUFFIXES))})")
    return found


def split_validation(
    paths: list[pathlib.Path], count: int
) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
    """(training, validation): the `count` files whose names have the lowest hashes are held out.

    The choice depends on file names alone. So every run holds out the same pictures, wherever the
    folder is and however it is split into shards.
    """
    order = sorted(paths, key=lambda p: hashlib.sha256(p.name.encode()).digest())
    count = min(count, len(paths) // 4)
    chosen = set(order[:count])
    return [p for p in paths if p not in chosen], [p for p in paths if p in chosen]


class Photographs:
    """Pictures kept decoded in memory up to `budget` bytes; the others are decoded when drawn.

    Pictures smaller than `smallest` on a side, and unreadable files, are left out and counted in
    `skipped`.
    """

    def __init__(
        self,
        paths: list[pathlib.Path],
        *,
        smallest: int,
        budget: int = 6 << 30,
        workers: int = 4,
    ) -> None:
        self.paths: list[pathlib.Path] = []
        self.pixels: list[Pixels | None] = []
        self.skipped = 0
        self.sizes: dict[pathlib.Path, int] = {}  # pixels
        used = 0
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            for path, pixels in zip(paths, pool.map(read, paths), strict=True):
                if pixels is None or min(pixels.shape[:2]) < smallest:
                    self.skipped += 1
                    continue
                keep = used + pixels.nbytes <= budget
                used += pixels.nbytes if keep else 0
                self.paths.append(path)
                self.pixels.append(pixels if keep else None)
                self.sizes[path] = pixels.shape[0] * pixels.shape[1]
        if not self.paths:
            raise ValueError(f"no picture of at least {smallest} px a side could be read")
        # Between "every picture alike" and "every pixel alike".
        weights = np.sqrt(np.asarray(list(self.sizes.values()), np.float64))
        self.weights = weights / weights.sum()
        self.megapixels = sum(self.sizes.values()) / 1e6

    def __len__(self) -> int:
        return len(self.paths)

    def get(self, i: int) -> Pixels:
        """Picture i, (H,W,3) uint8."""
        pixels = self.pixels[i]
        if pixels is None:
            pixels = read(self.paths[i])
            if pixels is None:
                raise OSError(f"{self.paths[i]}: can't be read any more")
        return pixels

    def crop(self, rng: np.random.Generator, size: int) -> Pixels:
        """A random crop (size,size,3): flipped, rotated, from a large picture sometimes halved."""
        pixels = self.get(int(rng.choice(len(self.paths), p=self.weights)))
        height, width = pixels.shape[:2]
        # Halving a large picture gives sharper detail, free of its compression's traces.
        factor = 2 if min(height, width) >= 2 * size and rng.random() < 0.4 else 1
        span = factor * size
        top = int(rng.integers(height - span + 1))
        left = int(rng.integers(width - span + 1))
        part = pixels[top : top + span, left : left + span]
        if factor == 2:
            part = halve(part)
        if rng.random() < 0.5:
            part = part[:, ::-1]
        if rng.random() < 0.25:
            part = part[::-1]
        if rng.random() < 0.25:
            part = part.transpose(1, 0, 2)
        return part


def enlarged(crop: Pixels, rng: np.random.Generator) -> Pixels:
    """A part of a crop (H,W,3), 1.2 to 2.5 times enlarged to (H,W,3).

    Photographs of large sensors are as soft as this at their full size; those of a training set are
    mostly reduced.
    """
    height, width = crop.shape[:2]
    factor = rng.uniform(1.2, 2.5)
    rows, columns = round(height / factor), round(width / factor)
    top, left = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
    part = np.ascontiguousarray(crop[top : top + rows, left : left + columns])
    return resized(part, height, width, "BICUBIC" if rng.random() < 0.5 else "LANCZOS")


@dataclasses.dataclass
class Batches:
    """Batches (B,size,size,3) uint8 by step number, prepared ahead by a thread.

    A batch depends on (seed, step, rank) alone. So a resumed run continues with the batches that an
    uninterrupted run would have seen. A share `drawings` of the crops gets drawings, a share
    `illustrations` becomes illustrations, and a share `enlarged` shows a part of itself enlarged.
    """

    photographs: Photographs
    batch: int
    size: int
    seed: int
    rank: int = 0
    ahead: int = 4
    drawings: float = 0.0
    illustrations: float = 0.0
    enlarged: float = 0.0

    def at(self, step: int) -> tuple[Pixels, npt.NDArray[np.float32]]:
        """The batch of a step and, for each sample, two uniform numbers in [0,1)."""
        rng = np.random.default_rng([self.seed, step, self.rank])
        crops = [self.photographs.crop(rng, self.size) for _ in range(self.batch)]
        uniform = rng.random((self.batch, 2), dtype=np.float32)
        # Drawn last, so that all else is as it would be without them.
        for i in np.flatnonzero(rng.random(self.batch) < self.drawings):
            crops[i] = draw_over(np.ascontiguousarray(crops[i]), rng)
        for i in np.flatnonzero(rng.random(self.batch) < self.illustrations):
            crops[i] = illustrate(np.ascontiguousarray(crops[i]), rng)
        for i in np.flatnonzero(rng.random(self.batch) < self.enlarged):
            crops[i] = enlarged(crops[i], rng)
        return np.stack(crops), uniform

    def stream(self, first: int) -> Iterator[tuple[Pixels, npt.NDArray[np.float32]]]:
        """Batches from step `first` on, without end."""
        ready: queue.Queue[tuple[Pixels, npt.NDArray[np.float32]] | BaseException] = queue.Queue(
            self.ahead
        )

        def produce() -> None:
            step = first
            try:
                while True:
                    ready.put(self.at(step))
                    step += 1
            except BaseException as error:
                ready.put(error)

        threading.Thread(target=produce, daemon=True, name="batches").start()
        while True:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
