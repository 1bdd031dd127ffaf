"""Forged and damaged files of every format: an error or a note, never a traceback, never long."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from mutations import mutations, sources, walk_all

from aecodec.errors import InputError
from aecodec.image.parts import FORMATS
from aecodec.image.pillow import load

SOURCES = sources()


def test_every_format_has_sources() -> None:
    assert set(SOURCES) >= set(FORMATS) - {"AVIF", "HEIF"}


@pytest.mark.parametrize("format", SOURCES)
def test_walkers(format: str) -> None:
    """10,000 of each were walked by `tests/support/mutations.py`; these are the first of them."""
    seconds, most = walk_all(80, (format,))[format]
    assert most < 64 * 2**20
    assert seconds < 20


@pytest.mark.parametrize("format", SOURCES)
def test_loading(format: str) -> None:
    """Whatever of it still is a picture is read; all else is one line."""
    rng = np.random.default_rng(26)
    read = 0
    for data in SOURCES[format]:
        made = mutations(data, rng)
        for _ in range(12):
            try:
                picture = load(next(made), max_pixels=2**20)
            except InputError as error:
                assert "\n" not in str(error)
            else:
                read += 1
                assert all(re.fullmatch("[^\n]{1,300}", note) for note in picture.notes)
    # Nothing of a PNG passes its checksums, nor of an AVIF its decoder.
    assert read or format in ("HEIF", "AVIF", "PNG", "CUR"), "they test nothing"


def test_large_values_of_a_forged_tiff_take_little_memory() -> None:
    """4,000 entries that all refer to the same 30 MB, in a process of its own."""
    script = """
        import resource, struct
        from aecodec.image.parts import account_for
        size = 30 * 2**20
        tags = [270, 315, 33432, 700, 33723, 34377, 37724, 34675, *range(40000, 44000)]
        table = struct.pack("<H", len(tags))
        for tag in sorted(tags):
            table += struct.pack("<HHII", tag, 7, size, 8)
        data = b"II*\\0" + struct.pack("<I", 8 + size) + bytes(range(256)) * (size // 256)
        data += table + bytes(4)
        account_for(b"II*\\0" + bytes(20), "TIFF")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        account = account_for(data, "TIFF")
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        assert account.parts
    """
    pytest.importorskip("resource")
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) < 64 * 1024
