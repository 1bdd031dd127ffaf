"""What this environment computes, as one line of JSON: run by `run.py` in each of them.

    python tests/portability/report.py FOLDER

FOLDER receives the decoded pixels of the golden files, as `NAME.npy`, and files written here, as
`written-NAME.aec`, for another environment to decode.
"""

from __future__ import annotations

import contextlib
import json
import platform
import sys
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "support")]

import known_fields
import numpy as np
import onnxruntime
from PIL import Image

from aecodec import bitstream, codec
from aecodec.cli import environment
from aecodec.entropy.backend import CODER
from aecodec.entropy.scales import ScaleNetwork
from aecodec.errors import AecodecError
from aecodec.networks import weights

GOLDEN = HERE.parent / "golden"


def picture() -> Image.Image:
    """The same on every machine: waves and a flat field, by whole numbers alone."""
    wave = np.add.outer(np.arange(300) ** 2, np.arange(420) ** 2)
    pixels = np.stack([wave // k % 256 for k in (131, 310, 900)], axis=2).astype(np.uint8)
    pixels[40:160, 90:250] = 200
    return Image.fromarray(pixels)


def fields() -> int:
    """CRC-32 of all known fields, or 0 if one of them is another than it must be."""
    found = []
    for name, known in known_fields.KNOWN.items():
        chosen = weights.by_name(name)
        network = ScaleNetwork(chosen.scale)
        for width, expected in known.items():
            if known_fields.checksum(chosen, network, width) != expected:
                return 0
            found.append(expected)
    return zlib.crc32("".join(found).encode())


def main() -> None:
    """Decode, write, and say what came of it."""
    folder, threads = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    symbols, errors = fields(), []
    for path in sorted(GOLDEN.glob("*.aec")):
        data = path.read_bytes()
        try:
            pixels = np.asarray(codec.decompress(data, threads=threads))
        except AecodecError as error:
            errors.append(f"{path.name}: {error}")
            continue
        np.save(folder / f"{path.stem}.npy", pixels)
        for tile in bitstream.parse(data).tiles:
            symbols = zlib.crc32(tile[:4], symbols)  # the decoder has compared it
    with contextlib.suppress(AecodecError):
        for quality in (20, 75, 98):
            data = codec.compress(picture(), quality, threads=threads)
            (folder / f"written-{quality}.aec").write_bytes(data)
    blas = environment.describe()["blas"][0]
    print(
        json.dumps(
            {
                "machine": platform.machine(),
                "byteorder": sys.byteorder,
                "python": platform.python_version(),
                "numpy": np.__version__,
                "onnxruntime": onnxruntime.__version__,
                "blas": f"{blas['library']} {blas['version']} {blas['core']}",
                "coder": CODER,
                "symbols": f"{symbols:08x}",
                "errors": errors,
            }
        )
    )


if __name__ == "__main__":
    main()
