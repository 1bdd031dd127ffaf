"""Where the time goes: the stages of encoding and decoding, on one thread.

    python benchmarks/stages.py FOLDER [--model NAME] [--json OUT.json]

Codes every third photograph of FOLDER, and all of them together as one picture of 12 megapixels,
stored as a JPEG of quality 95, like a camera's. Times the way from the file of the picture to the
`.aec` file, and from there to a PNG, all in memory. On one thread nothing runs at the same time, so
the times of the stages add up. The rest is "other". The process is warm. The median of some rounds
counts; each round does everything once.

The share of the entropy coder is given twice: of that whole way, and of the coding alone, without
reading and writing pictures.
"""

from __future__ import annotations

import argparse
import functools
import io
import json
import statistics
import time
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import speed
from PIL import Image
from rich.console import Console
from rich.table import Table

from aecodec import bitstream, stages
from aecodec.bench.measure import machine
from aecodec.codec import Codec
from aecodec.image.load import load
from aecodec.image.save import save
from aecodec.networks import weights
from aecodec.networks.runtime import Options

ROUNDS = 5
QUALITY = 75
CODER = "entropy coding"
FILES = "reading the picture", "writing the picture"


def timed(work: Any, seconds: dict[str, float]) -> Any:
    """The return value of `work`; adds its stages, and the rest, to `seconds`."""
    start = time.perf_counter()
    with stages.collect() as found:
        result = work()
    took = time.perf_counter() - start
    for name, part in found.items():
        seconds[name] += part
    seconds["other"] += took - sum(found.values())
    return result


def camera_file(picture: Image.Image) -> bytes:
    """The bytes of a JPEG as a camera writes it."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=95)
    return file.getvalue()


def compress(codec: Codec, origin: bytes) -> bytes:
    """A picture's file -> an `.aec` file."""
    return codec.compress(load(origin), QUALITY)


def decompress(codec: Codec, data: bytes) -> bytes:
    """An `.aec` file -> a PNG."""
    file = io.BytesIO()
    save(codec.decode(bitstream.parse(data)), file, "PNG")
    return file.getvalue()


def measure(codec: Codec, pictures: list[bytes]) -> dict[str, dict[str, float]]:
    """Milliseconds a megapixel of every stage, in both directions."""
    sizes = [load(origin).rgb.shape for origin in pictures]
    megapixels = sum(height * width for height, width, _ in sizes) / 1e6
    rounds: list[dict[str, dict[str, float]]] = []
    for _ in range(1 + ROUNDS):
        both: dict[str, dict[str, float]] = {"encode": defaultdict(float)}
        both["decode"] = defaultdict(float)
        for origin in pictures:
            data = timed(functools.partial(compress, codec, origin), both["encode"])
            timed(functools.partial(decompress, codec, data), both["decode"])
        rounds.append(both)
    return {
        way: {
            name: 1000 * statistics.median(one[way][name] for one in rounds[1:]) / megapixels
            for name in rounds[0][way]
        }
        for way in ("encode", "decode")
    }


def coder_share(
    measured: dict[str, dict[str, float]], without: tuple[str, ...] = ()
) -> dict[str, float]:
    """The entropy coder's share of encoding, of decoding, and of both together."""
    totals = {
        way: sum(time for name, time in found.items() if name not in without)
        for way, found in measured.items()
    }
    share = {way: found[CODER] / totals[way] for way, found in measured.items()}
    share["both"] = sum(found[CODER] for found in measured.values()) / sum(totals.values())
    return share


def main() -> None:
    """Measure, print tables, write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    codec = Codec(weights.by_name(options.model), Options(threads=1))
    names = sorted(p for p in options.folder.iterdir() if p.suffix in (".png", ".jpg", ".avif"))
    sets = {
        "photographs": [name.read_bytes() for name in names[::3]],
        "12 MP": [camera_file(Image.fromarray(speed.photograph(options.folder, "12")))],
    }
    results: dict[str, Any] = {
        "machine": machine(),
        "versions": {name: version(name) for name in ("aecodec", "onnxruntime", "constriction")},
        "threads": 1,
        "quality": QUALITY,
        "model": codec.weights.folder.name,
        "ms_per_megapixel": {},
        "coder_share": {},
        "coder_share_without_files": {},
    }
    console = Console()
    for name, pictures in sets.items():
        found = measure(codec, pictures)
        results["ms_per_megapixel"][name] = found
        shares = {"coder_share": coder_share(found)}
        shares["coder_share_without_files"] = coder_share(found, without=FILES)
        table = Table(title=f"{name}, ms a megapixel, one thread")
        for heading in ("stage", "encode", "decode"):
            table.add_column(heading, justify="left" if heading == "stage" else "right")
        for stage in dict.fromkeys([*found["encode"], *found["decode"]]):
            table.add_row(stage, *(f"{found[way].get(stage, 0):.1f}" for way in found))
        table.add_row("all", *(f"{sum(found[way].values()):.1f}" for way in found))
        console.print(table)
        for what, share in shares.items():
            results[what][name] = share
            parts = ", ".join(f"{way} {100 * part:.1f} %" for way, part in share.items())
            console.print(f"{what.replace('_', ' ')}: {parts}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
