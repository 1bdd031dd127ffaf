"""Folder runs that are killed at random moments: nothing is lost, and nothing is half-written.

    python benchmarks/kills.py [--kills 1000] [--seed 1] [--json OUT.json]

Rounds of three: `compress -r --rm` of a folder of small photographs, some of them broken, then
`decompress -r --rm` of what it made, then `compress -r` without `--rm`. Each run is killed by
SIGKILL at random moments, with its workers or without them, and started again, until a run ends by
itself. After every kill each picture must be there: as its source, byte for byte, or as a whole
output with the right pixels. An output that was there once must stay the same file. At the end of
a run every picture must be an output, no source of `--rm` left but the broken ones, each output of
`--rm` as old as its source, and nothing else in the folders but the manifest. The first fault ends
the script with exit code 1.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.progress import Progress

from aecodec import codec
from aecodec.arrays import Pixels
from aecodec.batch.manifest import NAME
from aecodec.bench import pictures
from aecodec.bench.measure import machine
from aecodec.errors import AecodecError
from aecodec.metrics import psnr

COUNT, BROKEN, SIDE = 60, 5, 40
CODED = 18.0
"""The PSNR of a coded picture at least, in dB: other pictures have less."""
KILLS = 12
"""Of one run, at most."""
COMMAND = (sys.executable, "-m", "aecodec")


class Fault(Exception):
    """A picture was lost, changed, or done twice."""


class Round:
    """A folder run that is killed again and again, and the pictures that it must not lose."""

    def __init__(self, folder: Path, ways: tuple[str, ...], dice: random.Random) -> None:
        self.source, self.target = folder / ways[1], folder / ways[3]
        self._dice = dice
        self._folder, self._ways = folder, ways
        self._removes = "--rm" in ways
        self._suffix = ".aec" if ways[0] == "compress" else ".png"
        self._sources = {
            path.relative_to(self.source): digest(path)
            for path in files_of(self.source)
            if path.name != NAME
        }
        self._dates = {name: (self.source / name).stat().st_mtime_ns for name in self._sources}
        self._pixels = {name: self._shown(self.source / name) for name in self._sources}
        self._broken = {name for name in self._sources if "broken" in name.name}
        self._seen: dict[Path, tuple[int, bytes]] = {}
        self._checked: set[Path] = set()

    def run(self, kills: int) -> Counter[str]:
        """Kill and start again up to so many times, then once to the end."""
        found: Counter[str] = Counter()
        while found["kills"] < kills:
            if self._start_and_kill(found):
                break
            self._check()
        done = subprocess.run(
            [*COMMAND, *self._ways, "-r"], cwd=self._folder, capture_output=True, check=False
        )
        expected = 1 if self._broken else 0
        said = done.stderr.decode()
        others = [
            line for line in said.splitlines() if "aecodec: " in line and "broken" not in line
        ]
        if done.returncode != expected or others:
            raise Fault(f"{' '.join(self._ways)}: exit code {done.returncode}: {said}")
        self._check()
        self._check_end()
        return found

    def _start_and_kill(self, found: Counter[str]) -> bool:
        """Whether the run ended before the kill. The moment is anywhere in what a run takes."""
        process = subprocess.Popen(
            [*COMMAND, *self._ways, "-r"],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        begun = len(files_of(self.target))
        goal = begun + self._dice.randrange(COUNT // 2) if self._dice.random() < 0.6 else None
        deadline = time.monotonic() + (1.5 * self._dice.random() if goal is None else 20.0)
        while process.poll() is None and time.monotonic() < deadline:
            if goal is not None and len(files_of(self.target)) >= goal:
                time.sleep(self._dice.random() * 0.02)
                break
            time.sleep(0.001)
        if process.poll() is not None:
            return True
        with_workers = self._dice.random() < 0.5
        if with_workers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        found["kills"] += 1
        found["with their workers" if with_workers else "the client alone"] += 1
        found["at a random time" if goal is None else "after some outputs"] += 1
        return False

    def _check(self) -> None:
        """Every picture is there, as its source or as a whole output."""
        for name, expected in self._sources.items():
            source, output = self.source / name, self._output(name)
            at = self.target / output
            if source.exists():
                with contextlib.suppress(FileNotFoundError):  # workers may outlive their client
                    if digest(source) != expected:
                        raise Fault(f"{source} was changed")
                    continue
            if not at.exists():
                raise Fault(f"{source} is gone, and {at} is not there")
        for path in files_of(self.target):
            if path.name == NAME:
                continue
            now = path.stat().st_ino, digest(path)
            if self._seen.setdefault(path, now) != now:
                raise Fault(f"{path} was made twice")
            if path not in self._checked:
                self._checked.add(path)
                self._check_pixels(path)

    def _check_pixels(self, path: Path) -> None:
        """An output is whole, and shows its source: the same pixels, or coded ones."""
        names = [n for n in self._sources if self._output(n) == path.relative_to(self.target)]
        (expected,) = (self._pixels[name] for name in names)
        found = self._shown(path)
        assert expected is not None and found is not None
        least = CODED if self._suffix == ".aec" else float("inf")
        if found.shape != expected.shape or psnr(expected, found) < least:
            raise Fault(f"{path} is another picture than its source")

    @staticmethod
    def _shown(path: Path) -> Pixels | None:
        """The pixels of a picture or an .aec file; None for what is broken."""
        data = path.read_bytes()
        try:
            if path.suffix == ".aec":
                return np.asarray(codec.decompress(data))
            with Image.open(io.BytesIO(data)) as image:
                return np.asarray(image.convert("RGB"))
        except OSError:
            return None

    def _check_end(self) -> None:
        outputs = {path.relative_to(self.target) for path in files_of(self.target)} - {Path(NAME)}
        if outputs != {self._output(name) for name in self._sources if name not in self._broken}:
            raise Fault(f"{self.target}: {sorted(map(str, outputs))}")
        for name in self._sources if self._removes else ():
            output = self.target / self._output(name)
            if name not in self._broken and output.stat().st_mtime_ns != self._dates[name]:
                raise Fault(f"{output} has not the date of its source, which is gone")
        left = {path.relative_to(self.source) for path in files_of(self.source)}
        kept = self._broken if self._removes else set(self._sources)
        if left - {Path(NAME)} != kept - {Path(NAME)}:
            raise Fault(f"{self.source} still has {sorted(map(str, left ^ kept))}")

    def _output(self, name: Path) -> Path:
        return name.with_suffix(self._suffix)


def files_of(folder: Path) -> list[Path]:
    """All files below a folder, hidden ones too."""
    return [Path(at, name) for at, _, names in os.walk(folder) for name in names]


def digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def fill(folder: Path, dice: random.Random) -> None:
    """Small photographs in three folders, PNG and JPEG, and broken ones among them."""
    sources = [
        np.asarray(Image.open(path).convert("RGB"))
        for path in pictures.bundled()
        if path.endswith(("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg"))
    ]
    for number in range(COUNT):
        rgb = sources[number % len(sources)]
        y, x = (dice.randrange(side - SIDE) for side in rgb.shape[:2])
        kind = ("png", "jpg")[number % 2]
        path = folder / ("", "alps", "sea/deep")[number % 3] / f"p{number:03}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rgb[y : y + SIDE, x : x + SIDE]).save(path, quality=90)
        if number < BROKEN:
            data = path.read_bytes()
            path.unlink()
            path.with_name(f"broken{number}.{kind}").write_bytes(data[: len(data) // 2])


def main() -> int:
    """Rounds until there were so many kills."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=1, help="the round to begin with")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if os.name != "posix":
        parser.error("it needs SIGKILL")
    total: Counter[str] = Counter()
    begin, number = time.monotonic(), options.first - 1
    with Progress() as bar:
        task = bar.add_task("kills", total=options.kills)
        while total["kills"] < options.kills:
            number += 1
            dice = random.Random(f"{options.seed}/{number}")
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
                folder = Path(name)
                fill(folder / "photos", dice)
                for ways in (
                    ("compress", "photos", "-o", "packed", "--rm", "-q", "50"),
                    ("decompress", "packed", "-o", "back", "--rm"),
                    ("compress", "back", "-o", "again", "-q", "40"),
                ):
                    try:
                        found = Round(folder, ways, dice).run(
                            min(KILLS, options.kills - total["kills"])
                        )
                    except (Fault, AecodecError, OSError) as error:
                        print(f"seed {options.seed}, round {number}: {error}", file=sys.stderr)
                        return 1
                    total += found
                    bar.update(task, completed=total["kills"])
    results: dict[str, Any] = {
        "machine": machine(),
        "seed": options.seed,
        "rounds": number - options.first + 1,
        "pictures": (number - options.first + 1) * COUNT,
        "minutes": round((time.monotonic() - begin) / 60.0, 1),
        **total,
    }
    print(json.dumps(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
