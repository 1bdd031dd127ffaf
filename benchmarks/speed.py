"""Speed and memory of aecodec and other codecs, at several sizes, in one run.

    python benchmarks/speed.py FOLDER [--codecs aecodec,jpeg,avif] [--json OUT.json]

Puts pictures of 0.4, 12 and 108 megapixels together from the photographs in FOLDER (whole
photographs side by side, mirrored to fit). Several pictures of 0.4 megapixels are coded, because
one alone would show how detailed it is.

- Every codec codes every size in a process of its own. The process is warm before the clock starts,
  and checks the round trip before anything is timed.
- Codecs take turns, each with all its sizes, so that a slow minute of the machine affects all. The
  smallest size takes a second only, so it is measured before and after every other.
- A process codes several pictures. The first one counts apart, because the process takes its memory
  from the system then. The mean of the others counts.
- Peak memory is the largest resident set of a process that only encodes, or decodes, one picture.
- Start-up is the time of a process that only codes a picture of 64 x 64.
- The median of three rounds counts. The other codecs code the largest picture in one round alone.

A line below the table says how even the cost is: the most expensive megapixel of all sizes against
the cheapest, for first pictures and for later ones.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from aecodec import metrics
from aecodec.bench import codecs
from aecodec.bench.measure import machine
from aecodec.machine import peak_mib

SIZES = {"0.4": (768, 512), "12": (4000, 3000), "108": (12000, 9000)}
REPEAT = {"0.4": 13, "12": 3, "108": 2}
"""How many pictures a process codes."""
QUALITY = {"aecodec": 75, "jpeg": 75, "webp": 80, "avif": 62, "jxl": 2.0, "jpeg2000": 35}
"""Of each codec, in its own unit, where its PSNR is near JPEG's at 75; else 75. JPEG XL's is a
distance, JPEG 2000's a PSNR."""
WAYS = ("encode", "decode", "encode_first", "decode_first")
PACKAGES = ("aecodec", "onnxruntime", "constriction", "pillow", "numpy", "imagecodecs")
DEFAULT = "aecodec,aecodec:base,jpeg,webp-m4,webp,avif,jxl"


def mosaic(paths: list[Path], width: int, height: int) -> np.ndarray:
    """(H,W,3) of whole photographs side by side, every second one mirrored."""
    out = np.empty((height, width, 3), np.uint8)
    y = number = 0
    while y < height:
        x, row = 0, height
        while x < width:
            with Image.open(paths[number % len(paths)]) as image:
                tile = np.asarray(image.convert("RGB"))
            tile = tile[:, ::-1] if number // len(paths) % 2 else tile
            h, w = min(tile.shape[0], height - y), min(tile.shape[1], width - x)
            out[y : y + h, x : x + w] = tile[:h, :w]
            x, row, number = x + w, min(row, h), number + 1
        y += row
    return out


def photograph(folder: Path, size: str, turn: int = 0) -> np.ndarray:
    """The picture of that size; of the smallest size a different one at each turn of a process."""
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".png", ".jpg", ".avif"))
    first = turn * len(paths) // REPEAT[size] if size == min(SIZES, key=float) else 0
    return mosaic(paths[first:] + paths[:first], *SIZES[size])


def quality_of(name: str) -> float:
    """The quality at which a codec is measured, in its own unit."""
    return QUALITY.get(name.partition("-")[0].partition(":")[0], 75)


def memory(name: str, size: str, folder: Path, file: Path, way: str) -> float:
    """Peak memory of this process in MiB: it codes the picture to a file, or decodes the file."""
    coder = load(name)
    if way == "encode":
        file.write_bytes(coder.encode(photograph(folder, size), quality_of(name)))
    else:
        coder.decode(file.read_bytes())
    peak = peak_mib()
    assert peak is not None, "this system does not say what a process has held"
    return peak


def child(name: str, size: str, folder: Path, repeat: int) -> dict[str, Any]:
    """Code this many pictures in this process; the time of each."""
    coder = load(name)
    width, height = SIZES[size]
    quality = quality_of(name)
    megapixels = width * height / 1e6
    encodes, decodes, bpps, psnrs = [], [], [], []
    rgb = photograph(folder, size)
    for turn in range(repeat):
        if turn and size == min(SIZES, key=float):
            rgb = photograph(folder, size, turn)
        start = time.perf_counter()
        data = coder.encode(rgb, quality)
        between = time.perf_counter()
        back = coder.decode(data)
        end = time.perf_counter()
        if turn == 0 or size == min(SIZES, key=float):
            psnrs.append(metrics.psnr(rgb, back))
            if back.shape != rgb.shape or psnrs[-1] < 25.0:
                raise SystemExit(f"{name}: the round trip gave {back.shape} at {psnrs[-1]:.1f} dB")
            bpps.append(8 * len(data) / (width * height))
        encodes.append(between - start)
        decodes.append(end - between)
        del back
    return {
        "codec": name,
        "size": size,
        "quality": quality,
        "bpp": statistics.fmean(bpps),
        "psnr": statistics.fmean(psnrs),
        "encode_mps": megapixels / statistics.fmean(encodes[1:]),
        "decode_mps": megapixels / statistics.fmean(decodes[1:]),
        "encode_first_mps": megapixels / encodes[0],
        "decode_first_mps": megapixels / decodes[0],
    }


def load(name: str) -> codecs.Coder:
    """A codec of `aecodec bench`, or WebP at its default method."""
    if name != "webp-m4":
        return codecs.find(name).load()
    import io

    def encode(rgb: np.ndarray, quality: float) -> bytes:
        file = io.BytesIO()
        Image.fromarray(rgb).save(file, "WEBP", quality=int(quality), method=4)
        return file.getvalue()

    return codecs.Coder(encode, codecs.find("webp").load().decode)


def start_up(name: str) -> float:
    """Milliseconds of a process that codes one small picture; the least of three."""
    code = (
        "import sys, numpy; sys.path.insert(0, sys.argv[1]); import speed;"
        "c = speed.load(sys.argv[2]); c.encode(numpy.zeros((64, 64, 3), numpy.uint8), 50)"
    )
    if name.partition(":")[0] == "aecodec":  # as users start it, without this script's imports
        code = "import aecodec; from PIL import Image;aecodec.compress(Image.new('RGB', (64, 64)))"
    took = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent), name], check=True)
        took.append(time.perf_counter() - start)
    return 1000 * min(took)


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--codecs", default=DEFAULT)
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", nargs=2, metavar=("CODEC", "SIZE"), help=argparse.SUPPRESS)
    parser.add_argument("--memory", nargs=2, metavar=("WAY", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, size = options.child
        if options.memory:
            way, file = options.memory
            print(json.dumps(memory(name, size, options.folder, Path(file), way)))
            return
        print(json.dumps(child(name, size, options.folder, REPEAT[size])))
        return
    console = Console(stderr=True)
    names, sizes = options.codecs.split(","), options.sizes.split(",")
    found = []
    for turn in range(options.rounds):
        for name in names:  # with its sizes together: machines have quick and slow minutes
            for size in often(sizes):
                if turn and size == "108" and name.partition(":")[0] != "aecodec":
                    continue  # peers take long for it; how even the cost is, is told of aecodec
                console.print(f"{size} MP, round {turn + 1}: {name}")
                found.append(run(options.folder, name, size))
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            for name in names:
                console.print(f"{size} MP, memory: {name}")
                for way in ("encode", "decode"):
                    peak = run(options.folder, name, size, "--memory", way, f"{folder}/{name}")
                    for entry in found:
                        if (entry["codec"], entry["size"]) == (name, size):
                            entry[f"{way}_mib"] = peak
    measured = [
        middle([f for f in found if (f["codec"], f["size"]) == (name, size)])
        for size in sizes
        for name in names
    ]
    results = {
        "machine": machine(),
        "versions": {name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "start_up_ms": {name: start_up(name) for name in names},
        "measured": measured,
        "dearest_to_cheapest": {
            name: {way: spread(measured, name, way) for way in WAYS} for name in names
        },
    }
    show(results)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def often(sizes: list[str]) -> list[str]:
    """The sizes, with the first one before and after every other."""
    return sizes[:1] + [size for other in sizes[1:] for size in (other, sizes[0])]


def run(folder: Path, name: str, size: str, *more: str) -> Any:
    """The output of this script in a process of its own."""
    command = [sys.executable, __file__, str(folder), "--child", name, size, *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.strip().splitlines()[-1])
    return json.loads(done.stdout)


def middle(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of several rounds."""
    one = dict(rounds[0])
    for key in (f"{way}_mps" for way in WAYS):
        one[key] = statistics.median(r[key] for r in rounds)
    return one


def spread(measured: list[dict[str, Any]], name: str, way: str) -> float:
    """The cost of the most expensive megapixel of all sizes against that of the cheapest."""
    speeds = [entry[f"{way}_mps"] for entry in measured if entry["codec"] == name]
    return float(max(speeds) / min(speeds))


def show(results: dict[str, Any]) -> None:
    """The table."""
    table = Table(title=f"{results['machine']['cpu']}, {results['machine']['cores']} cores")
    for heading in (
        "MP",
        "codec",
        "bpp",
        "PSNR",
        "enc MP/s",
        "dec MP/s",
        "first enc",
        "first dec",
        "enc MiB",
        "dec MiB",
        "start ms",
    ):
        table.add_column(heading, justify="left" if heading == "codec" else "right")
    for entry in results["measured"]:
        table.add_row(
            entry["size"],
            entry["codec"],
            f"{entry['bpp']:.3f}",
            f"{entry['psnr']:.2f}",
            f"{entry['encode_mps']:.2f}",
            f"{entry['decode_mps']:.2f}",
            f"{entry['encode_first_mps']:.2f}",
            f"{entry['decode_first_mps']:.2f}",
            f"{entry['encode_mib']:.0f}",
            f"{entry['decode_mib']:.0f}",
            f"{results['start_up_ms'][entry['codec']]:.0f}",
        )
    console = Console()
    console.print(table)
    for name, found in results["dearest_to_cheapest"].items():
        if name.partition(":")[0] == "aecodec":
            console.print(
                f"{name}: the dearest megapixel of these sizes against the cheapest:"
                f" {found['encode']:.2f} to encode, {found['decode']:.2f} to decode;"
                f" of first pictures {found['encode_first']:.2f} and {found['decode_first']:.2f}"
            )


if __name__ == "__main__":
    main()
