"""The float networks in ONNX Runtime and in OpenVINO, graph by graph, in one run.

    pip install openvino
    python benchmarks/runtimes.py PICTURE [--model NAME] [--json OUT.json]

Compresses and decompresses one picture, and records the inputs of each graph. Then both runtimes
get these inputs, on as many threads as there are cores. They take turns, several calls each. They
pause in between, because their threads spin for a while after a call. The median counts. The table
also shows how far apart the outputs are: times of different outputs are no comparison. OpenVINO
compiles the graphs in every process, so this is timed, too, as well as its import and its size on
disk. aecodec does not use OpenVINO: see docs/contributing.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from importlib.metadata import files, version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from aecodec import bitstream
from aecodec.bench.measure import machine
from aecodec.codec import Codec
from aecodec.networks import weights
from aecodec.networks.runtime import Options, Runtime, cores

ROUNDS, CALLS, REST_S = 4, 8, 0.2
QUALITY = 75


def captured(codec: Codec, picture: Image.Image) -> dict[str, dict[str, Any]]:
    """The inputs that each graph gets while a picture is compressed and decompressed."""
    seen: dict[str, dict[str, Any]] = {}
    run = Runtime.run

    def watch(self: Runtime, name: str, **inputs: Any) -> Any:
        seen[name] = inputs
        return run(self, name, **inputs)

    with patch.object(Runtime, "run", watch):
        codec.decode(bitstream.parse(codec.compress(picture, QUALITY)))
    return seen


def milliseconds(work: Any) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


def import_seconds(module: str) -> float:
    """How long a new process takes to import a module; the least of three."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    command = [sys.executable, "-c", code]
    took = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(3)]
    return min(map(float, took))


def mebibytes(package: str) -> float:
    """What an installed package takes on disk."""
    paths = [Path(str(file.locate())) for file in files(package) or ()]
    return sum(path.stat().st_size for path in paths if path.is_file()) / 2**20


def compare(
    codec: Codec, compiled: dict[str, Any], seen: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Both runtimes' milliseconds, graph by graph."""
    found = []
    for name, inputs in seen.items():
        request = compiled[name].create_infer_request()

        def theirs(request: Any = request, inputs: dict[str, Any] = inputs) -> Any:
            return request.infer(inputs)

        def ours(name: str = name, inputs: dict[str, Any] = inputs) -> Any:
            return codec.tiles.runtime.run(name, **inputs)

        pairs = zip(ours(), theirs().values(), strict=True)
        apart = max(np.abs(np.asarray(a, float) - np.asarray(b, float)).max() for a, b in pairs)
        times: tuple[list[float], list[float]] = [], []
        for _ in range(ROUNDS):
            for work, took in zip((ours, theirs), times, strict=True):
                time.sleep(REST_S)
                work()
                took.extend(milliseconds(work) for _ in range(CALLS))
        first, second = map(statistics.median, times)
        row = {"graph": name, "onnxruntime_ms": first, "openvino_ms": second}
        found.append(row | {"largest_difference": float(apart)})
    return found


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    try:
        import openvino
    except ImportError:
        raise SystemExit("this needs OpenVINO: pip install openvino") from None

    codec = Codec(weights.by_name(options.model), Options(threads=cores()))
    with Image.open(options.picture) as image:
        picture = image.convert("RGB")
    seen = captured(codec, picture)
    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": cores(),
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled, took = {}, 0.0
    for name in seen:
        start = time.perf_counter()
        path = str(codec.weights.graph(name))
        compiled[name] = core.compile_model(path, "CPU", settings)
        took += time.perf_counter() - start
    results = {
        "machine": machine(),
        "versions": {name: version(name) for name in ("aecodec", "onnxruntime", "openvino")},
        "picture": [*picture.size],
        "model": codec.weights.id.hex(),
        "graphs": compare(codec, compiled, seen),
        "openvino_compile_s": took,
        "import_s": {name: import_seconds(name) for name in ("onnxruntime", "openvino")},
        "installed_mib": {name: mebibytes(name) for name in ("onnxruntime", "openvino")},
    }
    show(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def show(results: dict[str, Any]) -> None:
    """The table, and what OpenVINO costs besides."""
    width, height = results["picture"]
    table = Table("graph", title=f"{width}x{height}, {results['machine']['cores']} cores")
    for heading in ("ONNX Runtime, ms", "OpenVINO, ms", "largest difference"):
        table.add_column(heading, justify="right")
    for row in results["graphs"]:
        ours, theirs = row["onnxruntime_ms"], row["openvino_ms"]
        table.add_row(
            row["graph"], f"{ours:.1f}", f"{theirs:.1f}", f"{row['largest_difference']:.2g}"
        )
    console = Console()
    console.print(table)
    console.print(f"OpenVINO compiles these graphs in {results['openvino_compile_s']:.2f} s")
    for name, seconds in results["import_s"].items():
        size = results["installed_mib"][name]
        console.print(f"{name}: imported in {seconds:.2f} s, {size:.0f} MiB on disk")


if __name__ == "__main__":
    main()
