"""What a run over many files costs: two workers, memory, the work of the client.

    python benchmarks/batch.py speed              two workers of one thread against one
    python benchmarks/batch.py memory             10,000 files: the memory of client and workers
    python benchmarks/batch.py client             files a second that the client alone can handle
    python benchmarks/batch.py cost [FOLDER]      core seconds and bytes a megapixel

Each prints its figures. With --json FILE it writes them, with the machine. Timings count only if
nothing else runs on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from aecodec import __version__
from aecodec.batch import Converter, Plan, Result, Task, convert, pool
from aecodec.batch.run import Event
from aecodec.batch.worker import rows
from aecodec.conversion import Encoding
from aecodec.files import Job
from aecodec.machine import peak_mib

PAGE = 1 << 20


def photographs(count: int, width: int, height: int) -> Iterator[Image.Image]:
    """Parts of scikit-image's photographs, repeated by mirroring where they are too small."""
    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("scikit-image carries the photographs: pip install scikit-image")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    names = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")
    sources = [Image.open(folder / name).convert("RGB") for name in names]
    for index in range(count):
        source = sources[index % len(sources)]
        sheet = Image.new("RGB", (width, height))
        shift = index * 13 % 64
        for row, y in enumerate(range(-shift, height, source.height)):
            for column, x in enumerate(range(-shift, width, source.width)):
                part = source
                if column % 2:
                    part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
                if row % 2:
                    part = part.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
                sheet.paste(part, (x, y))
        yield sheet


def fill(folder: Path, count: int, width: int, height: int) -> None:
    """Write JPEGs of quality 92 into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, picture in enumerate(photographs(min(count, 64), width, height)):
        picture.save(folder / f"{index:06}.jpg", quality=92)
    for index in range(64, count):  # the same pictures again, by other names
        os.link(folder / f"{index % 64:06}.jpg", folder / f"{index:06}.jpg")


def run(folder: Path, out: Path, processes: int, threads: int = 1) -> float:
    """Compress a folder with so many workers; the seconds it takes, their start included."""
    plan = Plan(Task(threads=threads), [str(folder)], str(out), recursive=True, processes=processes)
    start = time.perf_counter()
    summary = convert(plan, lambda event: None)
    seconds = time.perf_counter() - start
    if summary.failed or not summary.done:
        raise SystemExit(f"{summary.failed} of the files failed")
    return seconds


def speed(options: argparse.Namespace) -> dict[str, Any]:
    """One worker against two, in turns; each has one thread."""
    with tempfile.TemporaryDirectory() as place:
        fill(Path(place, "in"), options.files, 1536, 1024)
        ratios, ones, twos = [], [], []
        for turn in range(options.rounds):
            first = run(Path(place, "in"), Path(place, f"one{turn}"), 1)
            second = run(Path(place, "in"), Path(place, f"two{turn}"), 2)
            ones.append(first)
            twos.append(second)
            ratios.append(first / second)
            print(f"one worker {first:.2f} s, two {second:.2f} s: {first / second:.2f} times")
    return {
        "files": options.files,
        "megapixels_each": 1536 * 1024 / 1e6,
        "seconds_one_worker": ones,
        "seconds_two_workers": twos,
        "speedup_median": statistics.median(ratios),
    }


def resident(pid: int) -> int:
    """Bytes of memory that a process has, as Linux counts them."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def memory(options: argparse.Namespace) -> dict[str, Any]:
    """The memory of the client and of its workers over a long run of small files."""
    curve: list[tuple[int, float, float]] = []
    workers: list[int] = []
    finished = 0

    def tell(event: Event) -> None:
        nonlocal finished
        if isinstance(event, Result):
            finished += 1
            if finished % 100 == 0:
                sizes = resident(os.getpid()) / PAGE, sum(map(resident, workers)) / PAGE
                curve.append((finished, *sizes))

    with tempfile.TemporaryDirectory() as place:
        fill(Path(place, "in"), options.files, options.side, options.side)
        plan = Plan(Task(threads=1), [f"{place}/in"], f"{place}/out", recursive=True)
        convert(
            plan,
            tell,
            lambda task, jobs: pool.run(task, jobs, 2, started=workers.append),
        )
    start = next(sum(sizes) for count, *sizes in curve if count >= min(500, options.files // 2))
    growth = {count: sum(sizes) / start - 1 for count, *sizes in curve if count >= 500}
    worst = max(growth.values(), key=abs, default=0.0)
    print(f"{start:.0f} MiB at file 500; from there on at most {worst:+.1%}")
    return {"files": finished, "mib_at_500": start, "largest_change": worst, "curve": curve}


def client(options: argparse.Namespace) -> dict[str, Any]:
    """The client's own work, selection and manifest: with workers that take no time."""

    def at_once(task: Task, jobs: Iterator[Job]) -> Iterator[Result]:
        for job in jobs:
            yield Result(job.source, job.target, job.key, "done", 1, 1, 1, 1)

    with tempfile.TemporaryDirectory() as place:
        fill(Path(place, "in"), options.files, 64, 48)
        plan = Plan(Task(), [f"{place}/in"], f"{place}/out", recursive=True)
        before = time.process_time()
        start = time.perf_counter()
        convert(plan, lambda event: None, at_once)
        seconds, core = time.perf_counter() - start, time.process_time() - before
        size = sum(path.stat().st_size for path in Path(place, "out").glob(".aecodec-*"))
    print(
        f"{options.files / seconds:.0f} files/s, {core / options.files * 1e6:.0f} us of a core each"
    )
    return {
        "files": options.files,
        "files_per_second": options.files / seconds,
        "core_seconds_per_file": core / options.files,
        "manifest_bytes_per_file": size / options.files,
    }


def cost(options: argparse.Namespace) -> dict[str, Any]:
    """Core seconds, which other programs change little, and bytes: a warm worker of one thread."""
    compress = Task(threads=1, encoding=Encoding(quality=options.quality))
    with tempfile.TemporaryDirectory() as place:
        folder = options.folder or Path(place, "in")
        if options.folder is None:
            fill(folder, options.files, 4000, 3000)
        sources = sorted(path for path in folder.iterdir() if path.is_file())
        packed = [Path(place, f"{path.name}.aec") for path in sources]
        restored = [Path(place, f"{path.name}.png") for path in sources]
        made, there = converted(compress, sources, packed)
        _, back = converted(Task(verb="decompress", threads=1), packed, restored)
    pixels = sum(result.width * result.height for result in made)
    found = {
        "files": len(made),
        "megapixels": pixels / 1e6,
        "quality": options.quality,
        "compress_core_seconds_per_megapixel": there / pixels * 1e6,
        "decompress_core_seconds_per_megapixel": back / pixels * 1e6,
        "source_bits_per_pixel": 8 * sum(result.bytes_in for result in made) / pixels,
        "bits_per_pixel": 8 * sum(result.bytes_out for result in made) / pixels,
        "peak_mib": peak_mib(),
    }
    for name, value in found.items():
        print(f"{name:<40}{value:.3f}" if isinstance(value, float) else f"{name:<40}{value}")
    return found


def converted(task: Task, sources: list[Path], targets: list[Path]) -> tuple[list[Result], float]:
    """Convert files with a worker that has loaded all that it needs; results and core seconds."""
    converter = Converter(task)
    jobs = [Job(str(s), str(t), str(s)) for s, t in zip(sources, targets, strict=True)]
    warm = targets[0].with_suffix(".warm" + targets[0].suffix)
    first = tuple(rows(converter(pool.columns([Job(str(sources[0]), str(warm))]))))
    before = time.process_time()
    results = rows(converter(pool.columns(jobs)))
    seconds = time.process_time() - before
    if any(result.status != "done" for result in (*first, *results)):
        raise SystemExit("some of the files failed")
    return results, seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    for function, files in ((speed, 48), (memory, 10_000), (client, 20_000), (cost, 3)):
        command = commands.add_parser(function.__name__, help=function.__doc__)
        command.set_defaults(measure=function)
        command.add_argument("--json", type=Path)
        command.add_argument("--files", type=int, default=files)
        if function is speed:
            command.add_argument("--rounds", type=int, default=3)
        if function is memory:
            command.add_argument("--side", type=int, default=64)
        if function is cost:
            command.add_argument("folder", nargs="?", type=Path)
            command.add_argument("-q", "--quality", type=int, default=75)
    options = parser.parse_args()
    found = options.measure(options)
    if options.json is not None:
        machine = {
            "date": time.strftime("%Y-%m-%d"),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "python": platform.python_version(),
            "aecodec": __version__,
            "load_before": os.getloadavg()[0],
        }
        options.json.write_text(json.dumps({**machine, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
