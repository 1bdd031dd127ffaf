"""Two builds of aecodec in turns, on the same files: time, bytes and pixels.

    python benchmarks/turns.py --before BUILD --after BUILD FILE... [--rounds 9] [--threads 1,2]
        [--qualities 50,75,90] [--ways compress,decompress,pixels,preview] [--folder DIR]
        [--json OUT.json]

A BUILD is the Python of an environment where aecodec is installed, or a folder that holds the
package `aecodec` (a clone): this Python runs it then.

| way | from | to |
|---|---|---|
| compress | a picture's file | an .aec file, by the command |
| decompress | an .aec file | a PNG file, by the command |
| pixels | an .aec file in memory | pixels in memory |
| preview | an .aec file in memory | pixels at a quarter of the size, or of that of --scale |
| folder | the pictures of --folder | .aec files, by the command in a process of its own |

A command is timed from the start of its process to the end. For the rest each build has one
process, which is warm before anything counts. In each round both do the same work, one after the
other, and the next round begins with the other one. The ratio of a round is "after" by "before":
below 1 is quicker. Printed are the median of the rounds' ratios, and the interval that holds the
median with 95 % (order statistics), for the time that passes and for the processor's time. A busy
machine disturbs the first more than the second.

Both builds must make the same bytes (compress, folder) and the same pixels (decompress, pixels):
where they don't, the table says so, and the exit code is 1. `--other-bytes` allows it, for builds
of different formats or weights; each build decodes its own files then.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

WAYS = ("compress", "decompress", "pixels", "preview")
EXACT = ("compress", "decompress", "pixels", "folder")
"""Where both builds must make the same."""


# ------------------------------------------------------------------------------------- the process


def digest(data: bytes) -> str:
    """A short name of these bytes."""
    return hashlib.sha256(data).hexdigest()[:16]


def digest_of(path: Path) -> str:
    """A short name of .aec files' bytes, or of a PNG's pixels."""
    if path.is_dir():
        files = sorted(path.rglob("*.aec"))
        if not files:
            raise SystemExit("no picture of the folder was coded")
        return digest(b"".join(str(f.relative_to(path)).encode() + f.read_bytes() for f in files))
    if path.suffix == ".aec":
        return digest(path.read_bytes())
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    with Image.open(path) as image:
        return digest(repr((image.mode, image.size)).encode() + image.tobytes())


def work(task: dict[str, Any]) -> dict[str, Any]:
    """Decode once; seconds, seconds of the processor, and a name of the pixels."""
    import aecodec

    data = Path(task["source"]).read_bytes()
    preview = task["scale"] if task["way"] == "preview" else None
    begun, begun_cpu = time.perf_counter(), time.process_time()
    image = aecodec.decompress(data, threads=task["threads"], preview=preview)
    wall, cpu = time.perf_counter() - begun, time.process_time() - begun_cpu
    made = digest(repr((image.mode, image.size)).encode() + image.tobytes())
    return {"wall": wall, "cpu": cpu, "made": made}


def serve() -> None:
    """Do the tasks that come as lines of JSON, and answer each with a line."""
    answers = sys.stdout
    for line in sys.stdin:
        answers.write(json.dumps(work(json.loads(line))) + "\n")
        answers.flush()


class Build:
    """One of the two builds, with its process."""

    def __init__(self, where: str, scratch: str) -> None:
        path = Path(where).resolve() if Path(where).is_dir() else None
        self.python = sys.executable if path else where
        self.environment = dict(os.environ)
        # Modules are compiled once, as pip compiles those that it installs.
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.environment["PYTHONPYCACHEPREFIX"] = scratch
        if path:
            if not (path / "aecodec" / "__init__.py").is_file():
                raise SystemExit(f"{where}: no package aecodec in this folder")
            self.environment["PYTHONPATH"] = str(path)
        self.process = subprocess.Popen(
            [self.python, __file__, "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment,
        )

    def do(self, task: dict[str, Any]) -> dict[str, Any]:
        """One task; its times, and a name of the result."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.python}: the process of a build ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def version(self) -> str:
        """What is measured."""
        code = "import aecodec; print(aecodec.__version__, aecodec.__file__)"
        done = subprocess.run(
            [self.python, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=self.environment,
            cwd=os.path.sep,
        )
        return done.stdout.strip()

    def command(self, arguments: Sequence[str], target: Path) -> dict[str, Any]:
        """`aecodec` in a process of its own, to a file or a folder; its times, and what it made."""
        if target.is_dir():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        before, begun = os.times(), time.perf_counter()
        done = subprocess.run(
            [self.python, "-m", "aecodec", *arguments, "-o", str(target)],
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=os.path.sep,
        )
        wall, after = time.perf_counter() - begun, os.times()
        if done.returncode:
            raise SystemExit(f"{self.python}: aecodec {' '.join(arguments)}: {done.stderr.strip()}")
        cpu = after.children_user + after.children_system
        cpu -= before.children_user + before.children_system
        return {"wall": wall, "cpu": cpu, "made": digest_of(target)}

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


# -------------------------------------------------------------------------------------- statistics


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Two of the values between which the median lies with 95 %, or with all there are.

    By the binomial distribution of how many values lie below the median; no shape is assumed.
    """
    ordered, count = sorted(values), len(values)
    outside, low = 0.0, 0
    for rank in range(count // 2):
        outside += 2 * math.comb(count, rank) / 2**count
        if outside > 0.05:
            break
        low = rank
    return ordered[low], ordered[count - 1 - low]


def summary(rounds: list[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, Any]:
    """Ratios of "after" by "before" over the rounds."""
    made: dict[str, Any] = {"rounds": len(rounds)}
    for kind in ("wall", "cpu"):
        ratios = [after[kind] / before[kind] for before, after in rounds]
        low, high = interval(ratios)
        made[kind] = {
            "ratio": statistics.median(ratios),
            "low": low,
            "high": high,
            "before_s": statistics.median(before[kind] for before, _ in rounds),
            "after_s": statistics.median(after[kind] for _, after in rounds),
        }
    made["same"] = all(before["made"] == after["made"] for before, after in rounds)
    return made


def in_turns(
    jobs: Sequence[Callable[[], dict[str, Any]]], rounds: int
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Run two jobs in turns: who is first changes from round to round."""
    for turn in range(rounds):
        answers: list[dict[str, Any]] = [{}, {}]
        for index in (0, 1) if turn % 2 == 0 else (1, 0):
            answers[index] = jobs[index]()
        yield answers[0], answers[1]


def main() -> int:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", help="pictures")
    parser.add_argument("--before", metavar="BUILD")
    parser.add_argument("--after", metavar="BUILD")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--folder", help="measure a folder of pictures, too")
    parser.add_argument("--jobs", type=int, default=2, help="processes for the folder")
    parser.add_argument("--qualities", default="75")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--model", default="small")
    parser.add_argument("--scale", type=int, default=4, help="of the preview")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--other-bytes", action="store_true", help="results may differ")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return 0
    ways = [way for way in options.ways.split(",") if way]
    unknown = sorted(set(ways) - set(WAYS))
    if not (options.before and options.after) or not (options.files or options.folder) or unknown:
        parser.error(f"no way {', '.join(unknown)}" if unknown else "name two builds, and pictures")
    with tempfile.TemporaryDirectory() as scratch:
        return compare(options, ways, scratch)


def compare(options: argparse.Namespace, ways: Sequence[str], scratch: str) -> int:
    """Measure both builds; 1 where they differ."""
    builds = [Build(where, scratch) for where in (options.before, options.after)]
    print(f"before: {builds[0].version()}\nafter:  {builds[1].version()}")
    print(f"{'':40s}  time, after by before    processor's time         before, s  after, s")
    results: list[dict[str, Any]] = []

    def tell(what: dict[str, Any], rounds: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
        found = summary(rounds)
        results.append(what | found)
        name = f"{what['way']} {what['file']} q{what['quality']}, "
        name += ", ".join(f"{what[k]} {k}" for k in ("threads", "jobs") if k in what)
        cells = [
            f"{found[k]['ratio']:.3f} ({found[k]['low']:.3f} to {found[k]['high']:.3f})"
            for k in ("wall", "cpu")
        ]
        same = "" if found["same"] or what["way"] not in EXACT else "  RESULTS DIFFER"
        times = f"{found['wall']['before_s']:9.3f}  {found['wall']['after_s']:8.3f}"
        print(f"{name:40s}  {cells[0]}   {cells[1]}   {times}{same}", flush=True)

    for file in map(os.path.abspath, options.files):
        for quality in map(int, options.qualities.split(",")):
            coded = [f"{scratch}/{index}.aec" for index in (0, 1)]
            coding = ["-f", "-q", str(quality), "-m", options.model, "--threads"]
            for build, target in zip(builds, coded, strict=True):
                build.command(["compress", *coding, "2", file], Path(target))
            for threads in options.threads.split(","):
                for way in ways:
                    jobs: list[Callable[[], dict[str, Any]]] = []
                    for index, build in enumerate(builds):
                        source = coded[index if options.other_bytes else 0]
                        if way == "compress":
                            arguments = [way, *coding, threads, file]
                            out = Path(scratch, f"out{index}.aec")
                            jobs.append(partial(build.command, arguments, out))
                        elif way == "decompress":
                            arguments = [way, "-f", "--threads", threads, source]
                            out = Path(scratch, f"out{index}.png")
                            jobs.append(partial(build.command, arguments, out))
                        else:
                            task = {"way": way, "source": source, "threads": int(threads)}
                            task["scale"] = options.scale
                            jobs.append(partial(build.do, task))
                    for job in jobs:
                        job()  # warm
                    what = {"way": way, "file": os.path.basename(file), "quality": quality}
                    tell(what | {"threads": int(threads)}, list(in_turns(jobs, options.rounds)))
    if options.folder:
        folder = os.path.abspath(options.folder)
        for quality in map(int, options.qualities.split(",")):
            arguments = ["compress", "-r", "-q", str(quality), "-m", options.model]
            arguments += ["-j", str(options.jobs), folder]
            jobs = [
                partial(build.command, arguments, Path(scratch, f"folder{index}"))
                for index, build in enumerate(builds)
            ]
            what = {"way": "folder", "file": os.path.basename(folder), "quality": quality}
            tell(what | {"jobs": options.jobs}, list(in_turns(jobs, options.rounds)))
    for build in builds:
        build.close()
    if options.json:
        content = {"before": options.before, "after": options.after, "results": results}
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    differs = any(not r["same"] and r["way"] in EXACT for r in results)
    return 1 if differs and not options.other_bytes else 0


if __name__ == "__main__":
    sys.exit(main())
