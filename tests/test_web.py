"""The decoder for browsers, in web/: its own tests, and its answers beside Python's."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zstandard

from aecodec import bitstream
from aecodec.coding.grain import with_grain
from aecodec.errors import AecodecError
from aecodec.geometry import Box

ROOT = Path(__file__).parents[1]
WEB = ROOT / "web"
GOOD = ROOT / "tests" / "conformance" / "good"


def node_is_new() -> bool:
    node = shutil.which("node")
    if not node:
        return False
    version = subprocess.run([node, "--version"], capture_output=True, text=True).stdout
    major, minor = map(int, version.removeprefix("v").split(".")[:2])
    return (major, minor) >= (20, 15)


pytestmark = [
    pytest.mark.skipif(not node_is_new(), reason="no Node from 20.15 on"),
    pytest.mark.skipif(
        not (WEB / "node_modules" / "onnxruntime-web").is_dir(),
        reason="web/ has no packages: make web, or npm install in web/",
    ),
]


@pytest.fixture(scope="module")
def built() -> Iterator[Path]:
    """web/, with the weights of this source packed and the pages' files built."""
    for arguments in (
        [sys.executable, "tools/pack_weights.py"],
        ["node", "tools/build.mjs"],
    ):
        done = subprocess.run(arguments, cwd=WEB, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    yield WEB


@pytest.mark.timeout(2400)
def test_its_own_tests_pass(built: Path) -> None:
    done = subprocess.run(
        # By name: of a folder called test Node 20 runs every module, helpers and tools as well.
        ["node", "--test", *sorted(map(str, (built / "test").glob("*.test.mjs")))],
        cwd=built,
        capture_output=True,
        text=True,
        env={**os.environ, "NODE_ENV": "test"},
    )
    # Each that failed, with what it found.
    failed = re.findall(r"^ *not ok .*?^ *\.\.\.$", done.stdout, re.MULTILINE | re.DOTALL)
    assert done.returncode == 0, "\n".join(failed) + done.stdout[-6000:] + done.stderr[-2000:]
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) > 80


def test_its_declarations_are_typescript(built: Path) -> None:
    compiler = built / "node_modules" / "typescript" / "bin" / "tsc"
    done = subprocess.run(
        ["node", str(compiler), "--noEmit", "--project", "test"],
        cwd=built,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def error_of(data: bytes) -> str:
    """The name of the error that Python raises short of decoding the symbols."""
    try:
        container = bitstream.parse(data)
        for part in ("alpha", "exif", "icc", "xmp"):
            getattr(container, part)
    except AecodecError as error:
        return type(error).__name__
    return ""


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    made = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(made) + 1))
        kind = int(rng.integers(5))
        if kind == 0 and at < len(made):
            made[at] = int(rng.integers(256))
        elif kind == 1 and at < len(made):
            made[at] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            del made[at : at + int(rng.integers(1, 20))]
        elif kind == 3:
            made[at:at] = bytes(rng.choice([0, 1, 127, 128, 255], int(rng.integers(1, 5))).tolist())
        else:
            del made[at:]
    return bytes(made)


def test_damaged_files_give_the_errors_that_python_gives(built: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    sources = [
        (GOOD / f"{name}.aec").read_bytes()
        for name in ("metadata", "alpha-noise", "skipped", "size-2x3", "tiles-64")
    ]
    names = set()
    for number in range(1500):
        data = damaged(sources[number % len(sources)], rng)
        if number % 3 == 0:  # most damage is found by the header's checksum, and so no further
            data = with_right_header(data)
        names.add(error_of(data))
        (tmp_path / f"{number}.aec").write_bytes(data)
        (tmp_path / f"{number}.name").write_text(error_of(data))
    assert {"CorruptError", "TruncatedError", "UnsupportedError", "NotAecError"} <= names
    assert answers(built, tmp_path) == "1500 compared"


def with_right_header(data: bytes) -> bytes:
    import zlib

    at = 22
    for most in (3, 3, 7):
        for _ in range(most):
            at += 1
            if at > len(data) or not data[at - 1] & 128:
                break
    return data[:at] + zlib.crc32(data[:at]).to_bytes(4, "little") + data[at + 4 :]


def test_zstd_frames_of_every_kind(built: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    words = [b"the", b"picture", b"of", b"a", b"codec", b"x"]
    contents = [
        b"a",
        b"abababab",
        b" ".join(words * 9),
        b" ".join(words[int(k)] for k in rng.integers(6, size=60000)),
        bytes(rng.integers(0, 256, 1000, dtype=np.uint8)),
        bytes(300_000),
        bytes(np.cumsum(rng.integers(-2, 3, 200_000)).astype(np.uint8)),
        bytes(rng.geometric(0.3, 70_000).clip(0, 255).astype(np.uint8)),
        bytes(rng.normal(128, 20, 150).astype(np.uint8)),
        bytes(rng.normal(128, 3, 4000).astype(np.uint8)),
    ]
    count = 0
    for level in (-5, 1, 3, 9, 19, 22):
        for content in contents:
            frame = zstandard.ZstdCompressor(level=level, write_checksum=True).compress(content)
            (tmp_path / f"{count}.zst").write_bytes(frame)
            (tmp_path / f"{count}.bin").write_bytes(content)
            count += 1
    assert answers(built, tmp_path) == f"{count} compared"


def test_noise_is_that_of_python(built: Path, tmp_path: Path) -> None:
    """On the same pixels, to the last bit, at the far corner of the largest picture, too."""
    rng = np.random.default_rng(9)
    boxes = [Box(0, 0, 200, 90), Box(2**20 - 64, 2**20 - 30, 64, 30), Box(3, 70, 1, 5)]
    for number in range(12):
        box, alike = boxes[number % 3], number % 2 == 1
        payload = rng.integers(0, 256, 15, dtype=np.uint8).tobytes()
        pixels = rng.integers(0, 256, (box.h, box.w, 3), dtype=np.uint8)
        if alike:
            pixels = np.repeat(pixels[..., :1], 3, axis=2)
        exact = Box(box.x + box.w // 2, box.y - 3, 20, 9)
        noisy = with_grain(pixels, box, bitstream.Grain.unpack(payload), alike=alike, exact=[exact])
        place, kept = ({"x": b.x, "y": b.y, "width": b.w, "height": b.h} for b in (box, exact))
        told = {"payload": list(payload), "box": place, "alike": alike, "exact": [kept]}
        (tmp_path / f"{number}.noise").write_text(json.dumps(told))
        (tmp_path / f"{number}.in").write_bytes(pixels.tobytes())
        (tmp_path / f"{number}.out").write_bytes(noisy.tobytes())
    assert answers(built, tmp_path) == "12 compared"


def answers(built: Path, folder: Path) -> str:
    done = subprocess.run(
        ["node", "test/differential.mjs", str(folder)], cwd=built, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_nothing_of_its_own_names_a_host() -> None:
    """Neither the package nor its lock file says where packages come from."""
    paths = [*WEB.glob("src/*"), *WEB.glob("site/*"), *WEB.glob("*.json")]
    assert len(paths) > 20
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?://(?!localhost|127\.)", text), path
