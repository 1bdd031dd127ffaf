"""`make demo`: compress and decompress sample photographs with the installed command.

Prints a table: the files' bytes, SSIMULACRA 2 scores and PSNR, and the bytes that JPEG needs for
the same score. Says where the pictures are. The photographs come with scikit-image, so no network
is needed.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from measure import JPEG_SETTINGS, pixels_of
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from aecodec.image.rgb import decode, jpeg
from aecodec.metrics import psnr
from aecodec.networks.ssimulacra2 import ssimulacra2

ROOT = Path(__file__).resolve().parents[1]

# All in the public domain or CC0. A picture that has been a JPEG keeps JPEG's traces, and JPEG has
# an easier task with them: those are marked in the table.
SAMPLES = ("astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg", "rocket.jpg")

FOLDERS = ("originals", "compressed", "restored")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    size: tuple[int, int]
    nbytes: int
    ssimulacra2: float
    psnr: float
    jpeg_bytes: float | None


def samples_folder() -> Path:
    """Where scikit-image keeps its sample pictures."""
    found = find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        sys.exit('scikit-image is missing: pip install "aecodec[demo]"')
    return Path(found.submodule_search_locations[0]) / "data"


def aecodec(*arguments: str, cwd: Path) -> None:
    """Run the installed command, as a user would."""
    command = Path(sys.executable).with_name("aecodec")
    done = subprocess.run([command, *arguments], cwd=cwd, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def measure(name: str, original: Path, compressed: Path, restored: Path) -> Row:
    """Compare a decompressed photograph with its original, and with JPEG."""
    picture = pixels_of(original)
    before, after = np.asarray(picture), np.asarray(pixels_of(restored))
    score = ssimulacra2(before, after)
    assert score is not None  # the samples are large enough
    value, nbytes = psnr(before, after), compressed.stat().st_size
    return Row(name, picture.size, nbytes, score, value, jpeg_bytes(before, score))


def jpeg_bytes(rgb: np.ndarray, score: float) -> float | None:
    """The bytes that JPEG needs for a SSIMULACRA 2 score; None if no quality has it.

    A bisection finds the two neighbouring qualities around the score. Between them the logarithm of
    the bytes is linear.
    """

    def at(quality: int) -> tuple[float, float]:
        data = jpeg(rgb, quality)
        found = ssimulacra2(rgb, decode(data))
        assert found is not None
        return found, math.log(len(data))

    low, high = 1, 100
    below, above = at(low), at(high)
    if not below[0] <= score <= above[0]:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        found = at(middle)
        if found[0] <= score:
            low, below = middle, found
        else:
            high, above = middle, found
    share = (score - below[0]) / (above[0] - below[0])
    return math.exp((1 - share) * below[1] + share * above[1])


def table(rows: list[Row]) -> Table:
    """The results, one line a photograph."""
    made = Table(title="aecodec, and JPEG at equal score", box=SIMPLE_HEAD, pad_edge=False)
    made.add_column("photograph", no_wrap=True)
    for heading in ("pixels", "bytes", "score", "dB", "JPEG bytes", "saved"):
        made.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        width, height = row.size
        made.add_row(
            Path(row.name).stem + (" *" if row.name.endswith(".jpg") else ""),
            f"{width}x{height}",
            f"{row.nbytes:,}",
            f"{row.ssimulacra2:.1f}",
            f"{row.psnr:.2f}",
            "out of reach" if row.jpeg_bytes is None else f"{row.jpeg_bytes:,.0f}",
            "" if row.jpeg_bytes is None else f"{100 * (1 - row.nbytes / row.jpeg_bytes):.1f} %",
        )
    return made


def main() -> None:
    """Make the folder `demo/` and print the table."""
    demo = ROOT / "demo"
    for folder in FOLDERS:
        shutil.rmtree(demo / folder, ignore_errors=True)
        (demo / folder).mkdir(parents=True)
    stems = [Path(name).stem for name in SAMPLES]
    for name, stem in zip(SAMPLES, stems, strict=True):
        pixels_of(samples_folder() / name).save(demo / "originals" / f"{stem}.png")

    aecodec("compress", *(f"originals/{s}.png" for s in stems), "-o", "compressed", cwd=demo)
    aecodec("decompress", *(f"compressed/{s}.aec" for s in stems), "-o", "restored", cwd=demo)
    rows = [
        measure(
            name,
            demo / "originals" / f"{stem}.png",
            demo / "compressed" / f"{stem}.aec",
            demo / "restored" / f"{stem}.png",
        )
        for name, stem in zip(SAMPLES, stems, strict=True)
    ]

    console = Console()
    console.print()
    console.print(table(rows))
    console.print(
        "score: SSIMULACRA 2; 70 is high quality, 90 is hard to tell from the original.\n"
        f"JPEG: {JPEG_SETTINGS}; its bytes at this score\n"
        "are interpolated between two neighbouring qualities.\n"
        "* scikit-image ships it as a JPEG: its pixels favour JPEG.\n",
        highlight=False,
    )
    console.print("Look at them side by side:", highlight=False)
    for folder in FOLDERS:
        console.print(f"  {demo / folder}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
