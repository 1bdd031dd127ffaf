"""Our decoders pass the conformance suite, and the suite finds one that is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import command
import numpy as np
import pytest
from PIL import Image

import aecodec

HERE = Path(__file__).parent / "conformance"
WEB = HERE.parents[1] / "web"
CASES = json.loads((HERE / "cases.json").read_text())

PILLOW = """
import pathlib, sys
from PIL import Image
import aecodec
aecodec.register_pillow()
outputs = pathlib.Path(sys.argv[2])
outputs.mkdir(exist_ok=True)
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.aec")):
    try:
        with Image.open(path) as picture:
            picture.load()
            picture.save(outputs / f"{path.stem}.png")
    except (OSError, aecodec.AecodecError):
        pass
"""


def check(*decoder: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, str(HERE / "check.py"), *decoder]
    return subprocess.run(arguments, capture_output=True, text=True, env=command.environment(None))


def passes(*decoder: str) -> None:
    done = check("--at-once", *decoder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(CASES)} of {len(CASES)} cases passed" in done.stdout


def test_the_command_line() -> None:
    passes(*command.COMMAND, "decompress", "-r", "{folder}", "-o", "{outputs}")


def test_the_pillow_plugin() -> None:
    passes(sys.executable, "-c", PILLOW, "{folder}", "{outputs}")


@pytest.mark.skipif(not shutil.which("node"), reason="no Node")
@pytest.mark.skipif(not (WEB / "src" / "manifest.js").is_file(), reason="`make web` was not run")
@pytest.mark.skipif(not (WEB / "node_modules").is_dir(), reason="`make web` was not run")
def test_the_decoder_for_the_web() -> None:
    passes("node", str(WEB / "tools" / "decode.mjs"), "{folder}", "{outputs}")


def test_a_decoder_that_is_wrong_does_not_pass(tmp_path: Path) -> None:
    """One that darkens pixels by two levels, takes damaged files, and tells another width."""
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "import json, pathlib, sys\n"
        "from PIL import Image\n"
        f"good = pathlib.Path({str(HERE / 'good')!r})\n"
        "folder, outputs = map(pathlib.Path, sys.argv[1:])\n"
        "outputs.mkdir()\n"
        "for path in folder.glob('*.aec'):\n"
        "    expected = good / f'{path.stem}.png'\n"
        "    out = outputs / f'{path.stem}.png'\n"
        "    if path.stem == 'grey':\n"
        "        Image.open(expected).point(lambda v: max(0, v - 2)).save(out)\n"
        "    elif path.stem == 'flipped':\n"
        "        Image.new('L', (1, 1)).save(out)\n"
        "    elif expected.exists():\n"
        "        Image.open(expected).save(out)\n"
        "    if path.stem == 'exif':\n"
        "        out.with_suffix('.json').write_text(json.dumps({'width': 5}))\n"
    )
    done = check("--at-once", sys.executable, str(wrong), "{folder}", "{outputs}")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[:-1] == [
        "grey: pixels differ by up to 2, 2.000 RMSE",
        "exif: width 5",
        "far-symbols: no picture",
        "far-steps: no picture",
        "flipped: it was decoded",
    ]
    assert lines[-1] == f"{len(CASES) - 5} of {len(CASES)} cases passed"


def test_file_by_file_it_says_the_same(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.py"
    nothing.write_text("")
    done = check(sys.executable, str(nothing), "{in}", "{out}")
    failed = [case["name"] for case in CASES if "error" not in case]
    assert [line.partition(":")[0] for line in done.stdout.splitlines()[:-1]] == failed


@pytest.mark.parametrize("name", ["grain-wide", "grain-exact"])
def test_a_region_has_the_noise_of_the_whole_picture(name: str) -> None:
    data = (HERE / "good" / f"{name}.aec").read_bytes()
    with Image.open(HERE / "good" / f"{name}.png") as picture:
        whole = np.asarray(picture).astype(int)
    x, y, w, h = 37, 21, whole.shape[1] - 60, 50
    found = np.asarray(aecodec.decompress(data, region=(x, y, w, h))).astype(int)
    (peak,) = (case["tolerance"]["peak"] for case in CASES if case["name"] == name)
    assert np.abs(found - whole[y : y + h, x : x + w]).max() <= peak


def test_the_suite_has_what_it_says() -> None:
    files = {path.stem for path in HERE.rglob("*.aec")}
    assert files == {case["name"] for case in CASES}
    assert sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file()) < 3_000_000
    good = [case for case in CASES if "error" not in case]
    assert {case["mode"] for case in good} == {"L", "LA", "RGB", "RGBA"}
    assert len({case["model"] for case in good}) == 4  # one of them is nobody's
    assert {len(case["checksums"]) for case in good} >= {1, 6, 12}
    sections = {name for case in good for name in case["sections"]}
    known = {"TILE", "EXACT", "ALPHA", "EXIF", "ICC", "XMP", "RESOLUTION", "TEXTS", "IPTC", "VIDEO"}
    assert sections == known | {"GRAIN", "0x80", "0xFF"}
    grained = [case for case in good if "GRAIN" in case["sections"]]
    assert {case["mode"] for case in grained} == {"L", "RGB", "RGBA"}
    assert {case["neutral"] for case in grained} == {True, False}
    assert any("EXACT" in case["sections"] and "TILE" in case["sections"] for case in grained)
    with Image.open(HERE / "good" / "alpha-up.png") as picture:
        assert np.asarray(picture.getchannel("A"))[10, 5] == 20
