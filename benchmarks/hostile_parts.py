"""Hands each walker, and image.load, files that are damaged or forged.

`hostile_parts.py [COUNT [FORMAT...]]`: for every format with carriers in tests/support it prints
how many were read, and refused, the longest time of one file, and the memory that the process has
taken meanwhile. Any exception but InputError ends it.
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path

from aecodec.errors import InputError
from aecodec.image.load import load
from aecodec.image.parts import account_for
from aecodec.machine import peak_mib

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
import carriers  # type: ignore[import-not-found]
import mutants  # type: ignore[import-not-found]
import other_carriers  # type: ignore[import-not-found]


def main(count: int, formats: list[str]) -> None:
    warnings.simplefilter("ignore")  # Pillow's, on damaged EXIF
    print(
        f"{'format':9} {'walked':>7} {'longest':>9} {'seconds':>8} {'loaded':>7} {'refused':>8}"
        f" {'longest':>9} {'seconds':>8} {'memory':>8}"
    )
    for name, make in {**carriers.FORMATS, **other_carriers.FORMATS}.items():
        if formats and name not in formats:
            continue
        files = make()
        for data in files.values():  # whatever is taken once is not what a forged file costs
            account_for(data, name)
            _loaded(data)
        before = _peak()
        walking, longest_walk = 0.0, 0.0
        loading, longest_load, refused = 0.0, 0.0, 0
        for data in mutants.mutants(files, count, seed=26):
            start = time.perf_counter()
            account_for(data, name)
            walked = time.perf_counter()
            refused += not _loaded(data)
            end = time.perf_counter()
            walking += walked - start
            longest_walk = max(longest_walk, walked - start)
            loading += end - walked
            longest_load = max(longest_load, end - walked)
        taken = (_peak() - before) / 2**20
        print(
            f"{name:9} {count:7} {1000 * longest_walk:6.1f} ms {walking:8.1f} {count - refused:7}"
            f" {refused:8} {1000 * longest_load:6.1f} ms {loading:8.1f} {taken:5.1f} MB"
        )


def _loaded(data: bytes) -> bool:
    try:
        load(data, max_pixels=2**20)
    except InputError:
        return False
    return True


def _peak() -> int:
    """Bytes, at most, that the process has held."""
    return int(2**20 * (peak_mib() or 0))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, sys.argv[2:])
