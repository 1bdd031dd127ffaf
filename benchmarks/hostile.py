"""What hostile files cost: processor time and memory of a decode, each in a process of its own.

    python benchmarks/hostile.py [--side PIXELS] [--threads N] [--json OUT]

Time and memory are those above a process that decodes a picture of one pixel, and in the table they
are divided by the file's megapixels. SECURITY.md has the table.
"""

from __future__ import annotations

import argparse
import functools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

import aecodec
from aecodec import bitstream
from aecodec.coding.exact import ExactTiles
from aecodec.errors import AecodecError

DECODE = """
import sys, time
from pathlib import Path
from aecodec import codec
from aecodec.errors import AecodecError
from aecodec.machine import peak_mib
data, threads = Path(sys.argv[1]).read_bytes(), int(sys.argv[2])
try:
    codec.decompress(data, threads=threads)
    answer = "decodes"
except AecodecError as error:
    answer = f"{type(error).__name__}: {error}"
print(time.process_time(), peak_mib(), answer)
"""


def cost(file: Path, threads: int) -> tuple[float, float, str]:
    """Seconds of the processor, MiB at the most, and what came of it."""
    done = subprocess.run(
        [sys.executable, "-c", DECODE, str(file), str(threads)],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, mebibytes, answer = done.stdout.strip().split(" ", 2)
    return float(seconds), float(mebibytes), answer


def many_codes(side: int) -> bytes:
    """A VP8L stream of side x side pixels, all 0, with as many prefix codes as it may have.

    One group of five codes for each 4 x 4 pixels, 65,536 at most. Each code has one symbol (RFC
    9649, section 6).
    """
    blocks = -(-side // 4)
    groups = np.arange(blocks * blocks) % 2**16
    bits: list[int] = []

    def put(value: int, count: int) -> None:
        bits.extend(value >> k & 1 for k in range(count))

    def even(size: int) -> None:  # 8 bits for each of the first 256 symbols
        put(0, 1)  # no simple code
        put(8, 4)  # 12 lengths of lengths: 1 for length 0, and 1 for length 8
        for k in range(12):
            put(int(k in (2, 11)), 3)
        put(0, 1)  # all lengths follow
        bits.extend([1] * 256 + [0] * (size - 256))

    for value, count in ((0x2F, 8), (side - 1, 14), (side - 1, 14), (0, 4)):
        put(value, count)
    for value, count in ((0, 1), (0, 1), (1, 1), (0, 3), (0, 1)):
        put(value, count)  # no transform, no cache, groups of 4 pixels; theirs has no cache
    even(280)
    even(256)
    bits.extend([1, 0, 0, 0] * 3)  # blue, alpha and distance: the symbol 0 alone
    codes = np.stack([groups & 255, groups >> 8], axis=1).astype(np.uint8)  # green, then red
    bits.extend(np.unpackbits(codes, axis=1).ravel().tolist())
    bits.extend([1, 0, 0, 0] * (5 * (int(groups.max()) + 1)))
    return np.packbits(np.array(bits, np.uint8), bitorder="little").tobytes()


def never_exact() -> Any:
    """While it lasts, no tile is stored exactly. An honest writer stores these so."""
    return mock.patch.object(ExactTiles, "choose", return_value=False)


def files(side: int) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each, all of side x side pixels."""
    rng = np.random.default_rng(0)
    flat = Image.new("RGB", (side, side), (120, 130, 140))
    yield "a flat picture, as it is stored: the fewest bytes a pixel", aecodec.compress(flat, 1)
    with never_exact():
        flat_file = aecodec.compress(flat, 1)
    yield "the same by the networks", flat_file
    noise = Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8))
    with never_exact():
        data = aecodec.compress(noise, 100)
    yield "noise, quality 100: the most symbols", data
    container = bitstream.parse(data)
    header = container.header

    def forged(make: Callable[[bytes], bytes]) -> bytes:
        return bitstream.pack(header, [tile[:4] + make(tile[4:]) for tile in container.tiles])

    yield (
        "words at random, all checksums of the file right",
        forged(lambda words: (rng.integers(1, 2**32, len(words) // 4, "<u4")).tobytes()),
    )
    yield "one word, all ones: escapes", forged(lambda words: b"\xff" * len(words))
    whole = bitstream.Header(side, side, header.mode, 100, header.model_id, min(side, 16320))
    words = rng.integers(1, 2**32, len(data) // 4, "<u4").tobytes()
    yield "the same in one tile of the whole picture", bitstream.pack(whole, [bytes(4) + words])
    yield "noise in exact tiles", aecodec.compress(noise, lossless=True)
    made = functools.cache(many_codes)
    streams = [made(box.w) for box in header.grid]
    yield (
        "exact tiles, with as many prefix codes as they may have",
        bitstream.pack(header, streams, exact=range(len(streams))),
    )
    # Each of the three just under the limit, and of a byte that zstd makes nothing of.
    metadata = {"exif": b"II*\0", "icc": b"", "xmp": b"<x"}
    bombs: dict[str, Any] = {
        k: v.ljust(bitstream.DEFAULT_MAX_METADATA, b"\0") for k, v in metadata.items()
    }
    empty = np.zeros((side, side), np.uint8)
    head = bitstream.Header(side, side, bitstream.ColourMode.RGBA, 1, header.model_id)
    flat_tiles = bitstream.parse(flat_file).tiles
    yield (
        "a flat picture with alpha and 48 MiB of metadata in a few KiB",
        bitstream.pack(head, flat_tiles, alpha=empty, **bombs),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    megapixels = options.side**2 / 1e6
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "hostile.aec"
        file.write_bytes(aecodec.compress(Image.new("RGB", (1, 1)), 75))
        start, base, _ = cost(file, options.threads)
        for name, data in files(options.side):
            try:
                bitstream.parse(data)
            except AecodecError as error:
                raise SystemExit(f"{name}: refused before it costs anything: {error}") from error
            file.write_bytes(data)
            seconds, mebibytes, answer = cost(file, options.threads)
            rows.append(
                {
                    "file": name,
                    "bytes": len(data),
                    "seconds_a_megapixel": round((seconds - start) / megapixels, 3),
                    "mebibytes_a_megapixel": round((mebibytes - base) / megapixels, 1),
                    "answer": answer,
                }
            )
    table = Table("file", "bytes", "CPU s / MP", "MiB / MP", "answer")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console = Console()
    console.print(table)
    console.print(f"{megapixels:.1f} MP; one pixel alone: {start:.2f} s, {base:.0f} MiB")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
