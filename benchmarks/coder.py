"""Our own ANS coder against constriction's: the time of a whole decode, in turns.

    python benchmarks/coder.py PICTURE... [--quality 50,95] [--rounds N] [--threads N] [--json OUT]

Each coder runs in a process of its own, chosen by AECODEC_CODER, and is warm. The two decode the
same file by turns, so what else the machine does meets both. The ratio is that of the medians, and
its spread that of the single turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

CODERS = "constriction", "own"

WORKER = """
import base64, sys, time
from aecodec import codec
from aecodec.entropy.backend import CODER
threads = int(sys.argv[1])
for line in sys.stdin:
    data = base64.b64decode(line)
    start, used = time.perf_counter(), time.process_time()
    codec.decompress(data, threads=threads)
    print(time.perf_counter() - start, time.process_time() - used, CODER, flush=True)
"""


class Worker:
    """A warm process that decodes with one of the coders."""

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "AECODEC_CODER": name},
        )

    def decode(self, line: str) -> tuple[float, float]:
        """Seconds, and those of the processor, that a decode of this file, in Base64, takes."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin
        assert stdout
        stdin.write(line + "\n")
        stdin.flush()
        seconds, used, name = stdout.readline().split()
        assert name == self.name
        return float(seconds), float(used)

    def close(self) -> None:
        """Let the process end."""
        self._process.communicate()


def measure(path: Path, quality: int, rounds: int, workers: list[Worker]) -> dict[str, object]:
    """Milliseconds of each coder's decode, and the ratios of wall and processor time."""
    import base64

    from PIL import Image

    import aecodec

    with Image.open(path) as picture:
        data = aecodec.compress(picture, quality)
    line = base64.b64encode(data).decode()
    for worker in workers:
        for _ in range(3):
            worker.decode(line)
    taken: dict[str, list[tuple[float, float]]] = {worker.name: [] for worker in workers}
    for turn in range(rounds):
        for worker in workers if turn % 2 else reversed(workers):
            taken[worker.name].append(worker.decode(line))
    theirs, ours = (taken[name] for name in CODERS)

    def ratio(kind: int) -> float:
        one, other = (statistics.median(t[kind] for t in part) for part in (ours, theirs))
        return round(one / other, 2)

    single = sorted(o[0] / t[0] for o, t in zip(ours, theirs, strict=True))
    return {
        "picture": path.name,
        "quality": quality,
        "bytes": len(data),
        "milliseconds": {
            name: round(1e3 * statistics.median(t[0] for t in part), 1)
            for name, part in taken.items()
        },
        "ratio": ratio(0),
        "quartiles": [round(single[len(single) * k // 4], 2) for k in (1, 3)],
        "processor": ratio(1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--quality", default="50,95", help="comma-separated")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--threads", type=int, default=0, help="of each decode; 0: all cores")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    workers = [Worker(name, options.threads) for name in CODERS]
    results = [
        measure(path, int(quality), options.rounds, workers)
        for path in options.pictures
        for quality in options.quality.split(",")
    ]
    for worker in workers:
        worker.close()
    table = Table("picture", "quality", *(f"{name}, ms" for name in CODERS), "ratio", "quartiles")
    table.add_column("processor")
    for row in results:
        times = row["milliseconds"]
        assert isinstance(times, dict)
        cells = row["picture"], row["quality"], *(times[name] for name in CODERS)
        rest = row["ratio"], row["quartiles"], row["processor"]
        table.add_row(*(str(cell) for cell in (*cells, *rest)))
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
