"""Decode the golden files in many environments, and compare: a table of who computes what.

    python tests/portability/run.py [--with NAME=COMMAND]... [--only NAME]... [--markdown OUT.md]

Environments of this interpreter differ in BLAS's kernels, in threads, in NumPy's own instructions
and in the coder. COMMAND is another interpreter with whatever stands before it:

    --with "oldest=build/lowest-3.11/bin/python"                     (made by bounds.py)
    --with "aarch64=qemu-aarch64-static -L root root/usr/bin/python3"

For each: the checksum of all symbols and of whole fields of table indexes, the largest difference
of a pixel from this interpreter's, in levels of 255, and whether files written there decode here.
Exits with 1 unless all checksums are the same, all files decode and no pixel differs by 2 or more.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# Of OpenBLAS on x86-64, by age. A processor without such instructions makes that one fail.
KERNELS = ("Prescott", "Nehalem", "Sandybridge", "Haswell", "Zen", "SkylakeX", "Cooperlake")


def environments() -> dict[str, tuple[list[str], dict[str, str], int]]:
    """Name -> command, variables, threads."""
    here = [sys.executable]
    found: dict[str, tuple[list[str], dict[str, str], int]] = {"here": (here, {}, 0)}
    if platform.machine() in ("x86_64", "AMD64"):
        for kernel in KERNELS:
            found[f"OpenBLAS {kernel}"] = (here, {"OPENBLAS_CORETYPE": kernel}, 0)
        off = {"NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_ICL"}
        found["NumPy without AVX2"] = (here, off, 0)
    for threads in (1, 3):
        found[f"{threads} thread{'s'[: threads > 1]}"] = (here, {}, threads)
    found["own coder"] = (here, {"AECODEC_CODER": "own"}, 0)
    return found


def report(
    command: list[str], variables: dict[str, str], threads: int, folder: Path
) -> dict[str, Any]:
    """What `report.py` says there. Raises CalledProcessError."""
    done = subprocess.run(
        [*command, str(HERE / "report.py"), str(folder), str(threads)],
        env={**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", ""), **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def largest_difference(one: Path, other: Path) -> int:
    """Of two folders' pixels, in levels; 256 if a picture is missing."""
    import numpy as np

    worst = 0
    for path in sorted(one.glob("*.npy")):
        twin = other / path.name
        if not twin.is_file():
            return 256
        apart = np.abs(np.load(path).astype(np.int16) - np.load(twin))
        worst = max(worst, int(apart.max()))
    return worst


def decodes(folder: Path) -> str:
    """How many of the files that were written in an environment decode here."""
    sys.path.insert(0, str(ROOT))
    from aecodec import codec
    from aecodec.errors import AecodecError

    good, files = 0, sorted(folder.glob("written-*.aec"))
    for path in files:
        try:
            codec.decompress(path.read_bytes())
        except AecodecError:
            continue
        good += 1
    return f"{good} of {max(3, len(files))}"


COLUMNS = ("machine", "python", "numpy", "onnxruntime", "blas", "coder", "symbols")


def main() -> int:
    """Run all environments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--with", action="append", default=[], dest="more", metavar="NAME=COMMAND")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    chosen = environments()
    if options.only:
        chosen = {name: chosen[name] for name in ("here", *options.only)}
    for text in options.more:
        name, _, command = text.partition("=")
        chosen[name] = (shlex.split(command), {}, 0)
    rows, failed = [], False
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        for number, (name, (command, variables, threads)) in enumerate(chosen.items()):
            folder = base / str(number)
            folder.mkdir()
            try:
                found = report(command, variables, threads, folder)
            except (subprocess.CalledProcessError, OSError) as error:
                last = getattr(error, "stderr", "") or str(error)
                reason = last.strip().splitlines()[-1] if last.strip() else str(error)
                if name in environments() and name != "here":  # not for this processor
                    print(f"{name}: left out: {reason}", file=sys.stderr)
                    continue
                raise SystemExit(f"{name}: {reason}") from error
            apart, written = largest_difference(base / "0", folder), decodes(folder)
            for text in found["errors"]:
                print(f"{name}: {text}", file=sys.stderr)
            rows.append([name, *(found[key] for key in COLUMNS), str(apart), written])
            same = found["symbols"] == rows[0][COLUMNS.index("symbols") + 1]
            right = written.split()[0] == written.split()[-1] and apart < 2
            failed |= bool(found["errors"]) or not same or not right
    heads = ["environment", *COLUMNS, "pixels", "decode here"]
    lines = [" | ".join(heads), "|".join(["---"] * len(heads))]
    lines += [" | ".join(row) for row in rows]
    text = (
        "".join(f"| {line} |\n" for line in lines).replace("| ---", "|---").replace("--- |", "---|")
    )
    print(time.strftime("%Y-%m-%d"), text, sep="\n\n")
    if options.markdown:
        options.markdown.write_text(text)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
