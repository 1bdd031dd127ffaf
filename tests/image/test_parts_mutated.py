"""Forged and damaged files of every format: an error or a note, never a traceback, never long."""

from __future__ import annotations

import re

import memory
import pytest
from mutants import mutants
from other_carriers import FORMATS as CARRIERS

from aecodec.errors import InputError
from aecodec.image.load import load
from aecodec.image.parts import account_for


@pytest.mark.parametrize("format", CARRIERS)
def test_walkers(format: str) -> None:
    """`benchmarks/hostile_parts.py` walks 10,000 of each, and measures the memory."""
    for data in mutants(CARRIERS[format](), 80, seed=1):
        account = account_for(data, format)
        for part in account.parts:
            assert part.name and part.text.isprintable() and 0 < len(part.text) < 200, part


@pytest.mark.parametrize("format", CARRIERS)
def test_loading(format: str) -> None:
    """Whatever of it still is a picture is read; all else is one line."""
    read = 0
    for data in mutants(CARRIERS[format](), 24, seed=2):
        try:
            picture = load(data, max_pixels=2**20)
        except InputError as error:
            assert "\n" not in str(error)
        else:
            read += 1
            assert all(re.fullmatch("[^\n]{1,300}", note) for note in picture.notes)
    # Nothing of an AVIF passes its decoder, and HEIF is opened by a plugin alone.
    assert read or format in ("HEIF", "AVIF"), "they test nothing"


def test_large_values_of_a_forged_tiff_take_little_memory() -> None:
    """4,000 entries that all refer to the same 30 MB, in a process of its own."""
    script = """
        import struct
        from aecodec.image.parts import account_for
        from aecodec.machine import peak_mib
        size = 30 * 2**20
        tags = [270, 315, 33432, 700, 33723, 34377, 37724, 34675, *range(40000, 44000)]
        table = struct.pack("<H", len(tags))
        for tag in sorted(tags):
            table += struct.pack("<HHII", tag, 7, size, 8)
        data = b"II*\\0" + struct.pack("<I", 8 + size) + bytes(range(256)) * (size // 256)
        data += table + bytes(4)
        account_for(b"II*\\0" + bytes(20), "TIFF")
        before = peak_mib()
        account = account_for(data, "TIFF")
        print(peak_mib() - before)
        assert account.parts
    """
    memory.needs_peak()
    run = memory.run_apart(script)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 64  # MiB
