"""The pictures of a benchmark: those of a folder, or sample photographs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aecodec.errors import AecodecError, InputError
from aecodec.image.formats import readable_suffixes
from aecodec.image.load import load

__all__ = ["SMOKE_SET", "Photograph", "bundled", "gather", "read"]

SMOKE_SET = ("astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg", "rocket.jpg")
"""Photographs in scikit-image's wheel, in the public domain or CC0. Few and small: they show that
everything works and roughly where a codec stands, no more.
"""

_JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")


@dataclass(frozen=True, eq=False)
class Photograph:
    """A picture to be coded: bare pixels, upright."""

    name: str
    rgb: npt.NDArray[np.uint8]  # (H,W,3)
    digest: str
    """Of the pixels: what was measured on them holds for them under any name."""
    from_jpeg: bool
    """It was stored as a JPEG, whose traces in the pixels favour JPEG."""

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.rgb.shape[1])

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.rgb.shape[0])

    @property
    def pixels(self) -> int:
        """Their number."""
        return self.width * self.height


def gather(sources: Sequence[str]) -> list[str]:
    """The files that `sources` name: files as they are, and the pictures directly in folders.

    Raises InputError for a missing file, and for a folder without pictures.
    """
    suffixes = readable_suffixes()
    found: list[str] = []
    for source in sources:
        if os.path.isdir(source):
            inside = sorted(
                str(path)
                for path in Path(source).iterdir()
                if path.suffix.lower() in suffixes and path.is_file()
            )
            if not inside:
                raise InputError(f"{source}: no pictures in this folder")
            found += inside
        elif os.path.exists(source):
            found.append(source)
        else:
            raise InputError(f"{source}: no such file or folder")
    return list(dict.fromkeys(found))


def bundled() -> list[str]:
    """The sample photographs. Raises AecodecError if scikit-image is not installed."""
    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise AecodecError(
            "name pictures or a folder of them: the sample photographs come with scikit-image, "
            'which is not installed (pip install "aecodec[bench]")'
        )
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return [str(folder / name) for name in SMOKE_SET]


def read(paths: Sequence[str]) -> list[Photograph]:
    """Read pictures; each gets a name of its own. Raises InputError that names the file."""
    names = [os.path.basename(path) for path in paths]
    if len(set(names)) < len(names):
        names = list(paths)
    made = []
    for name, path in zip(names, paths, strict=True):
        try:
            rgb = load(path).rgb
        except AecodecError as error:
            raise InputError(f"{path}: {error}") from error
        digest = hashlib.sha256(repr(rgb.shape).encode())
        digest.update(np.ascontiguousarray(rgb).data)
        from_jpeg = path.lower().endswith(_JPEG_SUFFIXES)
        made.append(Photograph(name, rgb, digest.hexdigest()[:32], from_jpeg))
    return made
