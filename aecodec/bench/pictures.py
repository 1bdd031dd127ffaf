"""The pictures of a benchmark: those of a folder, or sample photographs."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aecodec.bench.compared import not_seen
from aecodec.errors import AecodecError, InputError, one_line
from aecodec.image.formats import readable_suffixes
from aecodec.image.load import load

__all__ = [
    "SMOKE_SET",
    "Photograph",
    "bundled",
    "gather",
    "has_more_below",
    "names_of",
    "read",
    "read_one",
]

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
    notes: tuple[str, ...] = ()
    """What of the file is left out."""

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
                if path.suffix.lower() in suffixes and path.is_file() and not _is_double(path)
            )
            if not inside:
                raise InputError(f"{source}: no pictures in this folder")
            found += inside
        elif os.path.exists(source):
            found.append(source)
        else:
            raise InputError(f"{source}: no such file or folder")
    return list(dict.fromkeys(found))


def _is_double(path: Path) -> bool:
    """Whether a file holds the attributes of another one, as macOS writes them."""
    if not path.name.startswith("._"):
        return False
    with contextlib.suppress(OSError), path.open("rb") as file:
        return file.read(4) == b"\0\x05\x16\x07"
    return False


def has_more_below(folder: str) -> bool:
    """Whether folders in this folder hold pictures, which `gather` leaves out."""
    suffixes = readable_suffixes()
    return any(
        os.path.splitext(name)[1].lower() in suffixes
        for place, _, names in os.walk(folder)
        if place != folder
        for name in names
    )


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


def names_of(paths: Sequence[str]) -> list[str]:
    """A name for each path: that of the file, or the path where two files have one name."""
    names = [os.path.basename(path) for path in paths]
    return names if len(set(names)) == len(names) else list(paths)


def read(paths: Sequence[str]) -> list[Photograph]:
    """Read pictures; each gets a name of its own. Raises InputError that names the file."""
    made = []
    for name, path in zip(names_of(paths), paths, strict=True):
        try:
            made.append(read_one(path, name))
        except AecodecError as error:
            raise InputError(f"{path}: {error}") from error
    return made


def read_one(path: str, name: str) -> Photograph:
    """Read a picture. Raises InputError, without advice: `bench` has no option for a limit."""
    try:
        picture = load(path)
    except AecodecError as error:
        raise InputError(one_line(error)) from error
    digest = hashlib.sha256(repr(picture.rgb.shape).encode())
    digest.update(np.ascontiguousarray(picture.rgb).data)
    notes = not_seen(picture)
    if picture.alpha is not None:
        notes = (*notes, "transparency is left out: all pixels count as if they were opaque")
    from_jpeg = path.lower().endswith(_JPEG_SUFFIXES)
    return Photograph(name, picture.rgb, digest.hexdigest()[:32], from_jpeg, notes)
