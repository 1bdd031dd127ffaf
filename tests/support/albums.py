"""Folders of small real photographs, good and broken ones, and what a run has made of them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import samples
from PIL import Image

NAMES = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")


def photographs(count: int, side: int = 48) -> list[Image.Image]:
    """That many different small photographs, cut from the samples."""
    large = []
    for name in NAMES:
        with Image.open(samples.folder() / name) as picture:
            large.append(picture.convert("RGB"))
    cut = []
    for index in range(count):
        picture = large[index % len(large)]
        step = index // len(large)
        x = 40 + step * 7 % (picture.width - 80 - side)
        y = 40 + step * 7 // (picture.width - 80 - side) * 11 % (picture.height - 80 - side)
        cut.append(picture.crop((x, y, x + side, y + side * 3 // 4)))
    return cut


def fill(folder: Path, count: int, side: int = 48) -> list[str]:
    """Photographs in a tree of folders, PNG and JPEG; their paths below `folder`, with `/`."""
    names = []
    for index, picture in enumerate(photographs(count, side)):
        kind = ("png", "jpg")[index % 2]
        name = f"{('', 'alps/', 'sea/deep/')[index % 3]}p{index:04}.{kind}"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
        names.append(name)
    return names


def spoil(folder: Path, count: int) -> list[str]:
    """Broken pictures, each in one of five ways; their paths below `folder`."""
    (picture,) = photographs(1)
    jpeg, png = encoded(picture, "JPEG"), encoded(picture, "PNG")
    kinds = (
        ("jpg", jpeg[: len(jpeg) // 2]),
        ("png", b""),
        ("jpg", b"<html>404 not found</html>"),
        ("png", png[:200] + bytes([png[200] ^ 255]) + png[201:]),
        ("tif", b"II*\0" + bytes(20)),
    )
    names = []
    for index in range(count):
        suffix, content = kinds[index % len(kinds)]
        name = f"{('', 'alps/')[index % 2]}bad{index:03}.{suffix}"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        names.append(name)
    return names


def encoded(picture: Image.Image, kind: str) -> bytes:
    """A picture as a file's bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def files(folder: Path) -> list[str]:
    """All files below a folder, but for those that aecodec keeps for itself."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".aecodec-")
    )


def becomes(names: list[str], suffix: str = ".aec") -> list[str]:
    """The outputs' names, where no two clash."""
    return sorted(name.rpartition(".")[0] + suffix for name in names)


def manifest(path: Path) -> list[dict[str, Any]]:
    """The lines of a manifest; a torn one is left out."""
    lines = []
    for line in path.read_bytes().splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines


def done(path: Path) -> list[str]:
    """The keys that a manifest says are done, as often as it does."""
    return [line["done"] for line in manifest(path) if "done" in line]
