"""Peak memory of whole commands, as the system counts it: `aecodec compress` and `decompress`.

    python benchmarks/memory.py [--sizes 12,108] [--json OUT.json]

The pictures are made of scikit-image's photographs (`batch.py`) and stored as PPM, which takes no
memory of its own to read. A figure is the largest resident set of the process. It does not depend
on how busy the machine is.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from batch import photographs

from aecodec.bench.measure import machine

SIZES = {"12": (4000, 3000), "108": (12_000, 9000)}
COMMANDS = {
    "12": (
        "compress photo.ppm --threads 2",
        "decompress photo.aec -o back.ppm --threads 2",
        "compress photo.ppm --effort 2 --threads 2",
        "compress photo.ppm --effort 2 --threads 2 --model base",
    ),
    "108": (
        "compress photo.ppm --threads 2",
        "decompress photo.aec -o back.ppm --threads 2",
        "compress photo.ppm --target-size 8M --threads 2",
        "compress photo.ppm --target-psnr 34 --threads 2",
    ),
}


# A small process between this one and the command. Linux counts what a process holds that starts
# another one into the peak of the other.
BETWEEN = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak(command: str, folder: Path) -> float:
    """MiB that `aecodec COMMAND` takes at most. Stops this script if the command fails."""
    whole = [sys.executable, "-m", "aecodec", *shlex.split(command), "-f"]
    done = subprocess.run(
        [sys.executable, "-c", BETWEEN, *whole], cwd=folder, stdout=subprocess.PIPE, check=False
    )
    if done.returncode:
        raise SystemExit(f"aecodec {command}: exit code {done.returncode}")
    return int(done.stdout) / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def main() -> None:
    """Measure every command at every size, and print or write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", default=",".join(SIZES), help="megapixels, with commas")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    measured: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in options.sizes.split(","):
            width, height = SIZES[size]
            (picture,) = photographs(1, width, height)
            picture.save(folder / "photo.ppm")
            for command in COMMANDS[size]:
                mib = peak(command, folder)
                print(f"{size:>4} MP  {mib:7,.0f} MiB  aecodec {command}", flush=True)
                measured.append({"megapixels": int(size), "command": command, "mib": round(mib, 1)})
    if options.json:
        date = datetime.date.today().isoformat()
        results = {"date": date, "machine": machine(), "measured": measured}
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
