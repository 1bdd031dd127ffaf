"""Options, variables and wrong usage of the command line."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from pathlib import Path

import click
import pytest
from command import lines, one_fault, run, take
from PIL import Image

from aecodec.cli.options import Count


def test_the_limit_on_pixels_is_the_users(shelf: Path, here: Path) -> None:
    take(shelf, "photo.png")  # 160 x 120
    assert run("compress", "photo.png", "--max-pixels", "19200").returncode == 0
    too_many = run("compress", "photo.png", "-o", "b.aec", "--max-pixels", "19.1k")
    one_fault(
        too_many,
        "aecodec: photo.png: 19200 pixels, and the limit is 19100 "
        "(raise max_pixels to at least 19200 to read it: --max-pixels)",
    )
    assert not Path("b.aec").exists()
    for name in ("info", "verify", "decompress"):
        more = ("-f", "-o", "back.png") if name == "decompress" else ()
        refused = run(name, "photo.aec", "--max-pixels", "19199", *more)
        assert refused.returncode == 1
        assert refused.stderr.rstrip().endswith(b"to at least 19200 to read it (--max-pixels)")
        assert run(name, "photo.aec", "--max-pixels", "19200", *more).returncode == 0
    too_many = run("compare", "photo.png", "photo.aec", "--max-pixels", "19199")
    assert too_many.returncode == 1
    assert too_many.stderr.rstrip().endswith(b"to at least 19200 to read it: --max-pixels)")
    assert run("compare", "photo.png", "photo.aec", "--max-pixels", "19200").returncode == 0

    Path("in").mkdir()
    shutil.copy("photo.png", "in")
    for limit, code in (("19199", 1), ("19200", 0)):
        there = run("compress", "-r", "in", "-o", "there", "-j", "1", "--max-pixels", limit)
        assert there.returncode == code
    for limit, code in (("19199", 1), ("19200", 0)):
        back = run("decompress", "-r", "there", "-o", "back", "-j", "1", "--max-pixels", limit)
        assert back.returncode == code


def test_nobody_is_told_of_an_option_that_is_not_there(here: Path) -> None:
    """`bench` takes no --max-pixels."""
    pytest.importorskip("bjontegaard", reason="needs the extra bench")
    size = struct.pack(">II5B", 20000, 20000, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", size), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    Path("huge.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
            for name, content in chunks
        )
    )
    done = run("bench", "huge.png")
    assert done.returncode == 1
    said = [line for line in lines(done.stderr) if "huge.png" in line]
    assert said[-1].endswith("huge.png: 400000000 pixels, and the limit is 268435456")
    assert b"--max-pixels" not in done.stderr


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("4000", 4000),
        ("1.001k", 1001),
        ("1.1M", 1_100_000),
        ("2.3 GB", 2_300_000_000),
        ("4.35k", 4350),
        ("1.0019k", 1001),
        ("7.", 7),
        ("999999999999999.999999999999999k", 999_999_999_999_999_999),
        (12, 12),
    ],
)
def test_numbers_are_exact(text: object, count: int) -> None:
    assert Count("bytes", "200k").convert(text, None, None) == count


@pytest.mark.parametrize("text", ["", "k", ".5k", "-1", "0.999", "1e3", "1" * 16, "0." + "1" * 16])
def test_other_numbers_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a number of bytes: give 200k"):
        Count("bytes", "200k").convert(text, None, None)


@pytest.mark.parametrize(
    "region", ["0,0," + 5000 * "9" + ",1", 5000 * "9" + ",0,1,1", "0,0,0,5", "1,2,3", "a,b,c,d"]
)
def test_no_region(shelf: Path, region: str) -> None:
    done = run("decompress", "photo.aec", "-o", "-", "--region", region, cwd=shelf)
    assert done.returncode == 2
    assert done.stdout == b""
    assert lines(done.stderr)[-1].endswith("give X,Y,W,H in pixels, such as 0,0,640,480")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--target-bpp", "nan"),
        ("--target-bpp", "inf"),
        ("--target-psnr", "nan"),
        ("--min-savings", "nan"),
        ("--target-size", "9" * 400),
        ("--target-size", "0.5"),
        ("--target-size", "0"),
        ("--max-pixels", "-1"),
    ],
)
def test_no_number_to_go_by(shelf: Path, option: str, value: str) -> None:
    done = run("compress", "photo.png", "-o", "-", option, value, cwd=shelf)
    assert done.returncode == 2
    assert done.stdout == b""
    assert lines(done.stderr)[-1].startswith("Error: ")


@pytest.mark.parametrize(
    ("option", "value", "bounds"),
    [
        ("--quality", "abc", "from 1 to 100"),
        ("--quality", "101", "from 1 to 100"),
        ("--effort", "7.5", "from 1 to 9"),
        ("--threads", "0", "from 1 up"),
    ],
)
def test_no_whole_number(here: Path, option: str, value: str, bounds: str) -> None:
    """Whose it is, is said as well: the option's, or the variable's where no option was given."""
    fault = f"{value!r} is not a whole number {bounds}"
    done = run("compress", "photo.png", option, value)
    assert done.returncode == 2
    assert option in lines(done.stderr)[-1]
    assert lines(done.stderr)[-1].endswith(f"': {fault}")

    variable = f"AECODEC_COMPRESS_{option[2:].upper()}"
    done = run("compress", "photo.png", env={variable: value})
    assert done.returncode == 2
    assert lines(done.stderr)[-1] == f"Error: Invalid value for '{variable}': {fault}"

    done = run("compress", "photo.png", option, value, env={variable: "1"})
    assert lines(done.stderr)[-1].endswith(f"': {fault}")
    assert variable.encode() not in done.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AECODEC_COMPRESS_FORCE", "perhaps"),
        ("AECODEC_COMPRESS_TARGET_SIZE", "much"),
        ("AECODEC_COMPRESS_METADATA", "maker"),
        ("AECODEC_DEBUG", "perhaps"),
    ],
)
def test_a_wrong_variable_is_named(here: Path, variable: str, value: str) -> None:
    done = run("compress", "photo.png", env={variable: value})
    assert done.returncode == 2
    assert lines(done.stderr)[-1].startswith(f"Error: Invalid value for '{variable}': ")


@pytest.mark.parametrize(("text", "count"), [("4000", 4000), ("4k", 4000), ("0.004MB", 4000)])
def test_numbers_of_bytes(shelf: Path, text: str, count: int) -> None:
    done = run("compress", "photo.png", "-o", "-", "--target-size", text, cwd=shelf)
    assert done.returncode == 0
    assert len(done.stdout) <= count


def test_the_command_line_beats_the_environment(shelf: Path, here: Path) -> None:
    """What is set for all commands gives way to what one says; only two of a kind quarrel."""
    take(shelf, "photo.png")
    quality = {"AECODEC_COMPRESS_QUALITY": "90"}
    aimed = run("compress", "photo.png", "--target-psnr", "30", "--json", env=quality)
    assert aimed.returncode == 0, aimed.stderr
    assert 0 < json.loads(aimed.stdout)["quality"] < 90
    target = {"AECODEC_COMPRESS_TARGET_SIZE": "1500"}
    plain = run("compress", "-f", "photo.png", "-q", "90", "--json", env=target)
    assert json.loads(plain.stdout)["quality"] == 90
    both = run("compress", "-f", "photo.png", env={**quality, **target})
    assert both.returncode == 2
    assert b"AECODEC_COMPRESS_QUALITY and AECODEC_COMPRESS_TARGET_SIZE" in both.stderr

    savings = {"AECODEC_COMPRESS_MIN_SAVINGS": "99"}
    piped = run("compress", "-", input=Path("photo.png").read_bytes(), env=savings)
    assert piped.returncode == 0
    assert piped.stdout
    preview = {"AECODEC_DECOMPRESS_PREVIEW": "4"}
    run("decompress", "-f", "photo.aec", "--region", "0,0,50,40", "-o", "part.png", env=preview)
    with Image.open("part.png") as part:
        assert part.size == (50, 40)
    assert run("decompress", "-r", ".", "-o", "out", "-j", "1", env=preview).returncode == 0
    with Image.open("out/photo.png") as whole:
        assert whole.size == (160, 120)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["compress"],
        ["compress", "photo.png", "-q", "0"],
        ["compress", "photo.png", "-q", "101"],
        ["compress", "photo.png", "-q", "high"],
        ["compress", "photo.png", "--metadata", "maker"],
        ["compress", "photo.png", "--metadata", ""],
        ["compress", "photo.png", "rocket.jpg", "-o", "x.aec"],
        ["compress", "photo.png", "rocket.jpg", "-o", "-"],
        ["compress", "photo.png", "-o", "missing/"],
        ["compress", "photo.png", "-"],
        ["compress", "photo.png", "-o", "photo.jpg"],
        ["compress", "photo.png", "-f", "-o", "rocket.JPG"],
        ["compress", "photo.png", "-o", "x.webp"],
        ["decompress", "photo.aec", "-o", "x.aec"],
        ["decompress", "photo.aec", "-o", "x.txt"],
        ["info"],
        ["verify"],
        ["train", "missing", "--out", "run", "--steps", "1"],
        ["train", ".", "--steps", "1"],
        ["train", ".", "--out", "run"],
        ["train", ".", "--out", "run", "--steps", "1", "--minutes", "1"],
        ["train", ".", "--out", "run", "--steps", "1", "--mse-share", "0.5"],
        ["export", "missing", "--photographs", "."],
        ["export", "."],
    ],
)
def test_wrong_usage(shelf: Path, here: Path, arguments: list[str]) -> None:
    take(shelf, "photo.png", "rocket.jpg", "photo.aec")
    before = sorted(p.name for p in here.iterdir())
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == b""
    assert b"Usage: aecodec" in done.stderr
    assert b"Traceback" not in done.stderr
    assert sorted(p.name for p in here.iterdir()) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["compress", "photo.png", "-o", ""],
        ["compress", "photo.png", ""],
        ["compress", "photo.png", "--without", ""],
        ["compress", "-r", ".", "-o", ""],
        ["compress", "-r", ".", "-o", "out", "--report", ""],
        ["compress", "--files-from", "", "-o", "out"],
        ["decompress", ""],
        ["info", ""],
        ["gallery", ".", "-o", ""],
        ["mend", "photo.aec", "-o", ""],
    ],
)
def test_an_empty_path_is_wrong_usage(shelf: Path, here: Path, arguments: list[str]) -> None:
    """As from a variable that a script has not set."""
    take(shelf, "photo.png", "photo.aec")
    done = run(*arguments)
    assert done.returncode == 2
    assert b"'' is no name of a file or folder" in done.stderr
    assert sorted(p.name for p in here.iterdir()) == ["photo.aec", "photo.png"]


@pytest.mark.parametrize(
    ("variables", "options", "expected"),
    [
        ({"DENOISE": "5"}, ["--lossless"], {"quality": 100, "notes": 0}),
        ({"LOSSLESS": "1"}, ["--denoise", "5"], {"quality": 75, "notes": 1}),
        ({"LOSSLESS": "0", "QUALITY": "40"}, [], {"quality": 40, "notes": 0}),
        ({"LOSSLESS": "1", "DENOISE": "5"}, [], None),
        ({"MODEL": "base"}, ["--tune", "psnr"], {"model": "small"}),
        ({"TUNE": "psnr"}, ["--model", "base"], {"model": "base"}),
        ({"TUNE": "psnr", "MODEL": "base"}, [], {"model": "base"}),
    ],
)
def test_an_option_overrides_the_variable_of_another(
    shelf: Path,
    here: Path,
    variables: dict[str, str],
    options: list[str],
    expected: dict[str, object] | None,
) -> None:
    take(shelf, "photo.png")
    given = {f"AECODEC_COMPRESS_{name}": value for name, value in variables.items()}
    done = run("compress", "photo.png", "--json", *options, env=given)
    if expected is None:
        assert b"give one of them" in done.stderr
        return
    found = json.loads(done.stdout)
    found["notes"] = len(found["notes"])
    found["model"] = json.loads(run("info", "--json", "photo.aec").stdout).get("model_name")
    assert {name: found[name] for name in expected} == expected


def test_options_come_from_the_environment_too(shelf: Path, here: Path) -> None:
    take(shelf, "photo.png")
    assert run("compress", "photo.png", env={"AECODEC_COMPRESS_QUALITY": "33"}).returncode == 0
    assert json.loads(run("info", "--json", "photo.aec").stdout)["quality"] == 33
