"""Fuzz one target by coverage, for some minutes, and say what was done.

    python tests/fuzz/run.py TARGET [--minutes N] [--corpus FOLDER]

Needs atheris; `make fuzz MINUTES=n` makes an environment for it and fuzzes every target. New inputs
are kept in the corpus, so the next run goes on from there. An input that fails is written to
tests/fuzz/crashes/TARGET: mend the fault and commit the input with it. The tests read them all.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]


def fuzz(name: str, arguments: list[str]) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    # Only what is imported here is instrumented; NumPy's own code is no target.
    with atheris.instrument_imports(include=["aecodec", "PIL.TiffImagePlugin", "json"]):
        import targets

    atheris.Setup([sys.argv[0], *arguments], targets.TARGETS[name])
    atheris.Fuzz()


def run(name: str, minutes: float, folder: Path) -> dict[str, object]:
    """Fuzz in a process of its own; what it did, by its own last words."""
    import corpus

    inputs, crashes = folder / name, corpus.CRASHES / name
    inputs.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(parents=True, exist_ok=True)
    for data in corpus.seeds(name):
        (inputs / hashlib.sha1(data).hexdigest()).write_bytes(data)
    words = folder / f"{name}.dict"
    words.write_text(corpus.dictionary(name))
    arguments = [
        str(inputs),
        f"-dict={words}",
        f"-artifact_prefix={crashes}/",
        f"-max_total_time={max(1, round(60 * minutes))}",
        "-max_len=8192",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, __file__, "--child", name, *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    status = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", done.stderr)
    executed = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    coverage, features, kept = map(int, status[-1]) if status else (0, 0, 0)
    if done.returncode:
        print(done.stderr[-4000:], file=sys.stderr)
    return {
        "target": name,
        "seconds": round(time.monotonic() - start),
        "executions": int(executed[1]) if executed else 0,
        "coverage": coverage,  # edges of instrumented code
        "features": features,
        "corpus": kept,
        "failed": bool(done.returncode),
    }


def main() -> int:
    """Fuzz what is asked for; a line of JSON for each target."""
    if sys.argv[1:2] == ["--child"]:
        fuzz(sys.argv[2], sys.argv[3:])
    import targets

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("targets", nargs="*", help=f"some of {', '.join(targets.TARGETS)}")
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target")
    parser.add_argument("--corpus", type=Path, default=HERE.parents[1] / "build" / "fuzz")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(targets.TARGETS):
        parser.error(f"no target {', '.join(sorted(unknown))}")
    failed = False
    for name in options.targets or targets.TARGETS:
        found = run(name, options.minutes, options.corpus)
        print(json.dumps(found), flush=True)
        failed |= bool(found["failed"])
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
