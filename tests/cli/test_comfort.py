"""What makes the command pleasant: timings, reports, completion, quiet terminals, any system."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from importlib import metadata
from pathlib import Path

import pytest
import samples
from command import environment, run

import aecodec
from aecodec import bitstream
from aecodec.networks import weights


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    samples.photograph().save(folder / "photo.png")
    assert run("compress", "photo.png", cwd=folder).returncode == 0
    return folder


# --- --verbose ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["compress", "photo.png"], ["reading the picture", "analysis", "entropy coding"]),
        (["decompress", "photo.aec"], ["container", "synthesis", "writing the picture"]),
    ],
)
def test_verbose_tells_the_stages(
    shelf: Path, tmp_path: Path, arguments: list[str], expected: list[str]
) -> None:
    shutil.copy(shelf / arguments[1], tmp_path)
    done = run(*arguments, "--verbose", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.decode().splitlines()
    total, _, parts = line.removeprefix(f"{arguments[1]}: ").partition(" s: ")
    seconds = {name: float(value) for name, value in re.findall(r"([a-z ]+?) ([\d.]+)", parts)}
    seconds = {name.strip(): value for name, value in seconds.items()}
    assert set(expected) <= set(seconds)
    assert "other" in seconds
    assert sum(seconds.values()) == pytest.approx(float(total), abs=0.001 * len(seconds))


def test_verbose_json_has_the_stages_too(shelf: Path, tmp_path: Path) -> None:
    shutil.copy(shelf / "photo.png", tmp_path)
    done = run("compress", "-v", "--json", "photo.png", cwd=tmp_path)
    values = json.loads(done.stdout)
    assert set(values["stages"]) >= {"analysis", "entropy coding"}
    assert 0 < sum(values["stages"].values()) <= values["seconds"]
    done = run("compress", "-f", "--json", "photo.png", cwd=tmp_path)
    assert "stages" not in json.loads(done.stdout)


# --- env ----------------------------------------------------------------------------------------


def test_env_describes_the_installation(tmp_path: Path) -> None:
    done = run("env", "--json", cwd=tmp_path, env={"AECODEC_WEIGHTS": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["aecodec"] == aecodec.__version__
    assert found["format"] == "1.0"
    assert found["python"].endswith(".".join(map(str, sys.version_info[:3])))
    for package in ("numpy", "pillow", "onnxruntime", "constriction"):
        assert found["packages"][package] == metadata.version(package)
    assert {w["name"]: w["id"] for w in found["weights"]} == {
        name: weights.model_id(folder).hex() for name, folder in weights.folders().items()
    }
    assert {w["state"] for w in found["weights"]} == {"ok"}
    assert found["variables"]["AECODEC_WEIGHTS"] == str(tmp_path)


def test_env_tells_of_broken_weights_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}")
    done = run("env", cwd=tmp_path, env={"AECODEC_WEIGHTS": str(tmp_path)})
    assert done.returncode == 0
    text = done.stdout.decode()
    assert "  name: broken\n" in text
    assert "can't be read" in text
    assert "  state: ok\n" in text


# --- Advice -------------------------------------------------------------------------------------


def test_errors_say_what_to_do_next(shelf: Path, tmp_path: Path) -> None:
    data = bytearray((shelf / "photo.aec").read_bytes())
    (tmp_path / "short.aec").write_bytes(data[:-1])

    parsed = bitstream.parse(bytes(data))

    header = dataclasses.replace(parsed.header, model_id=b"unknown!")
    (tmp_path / "other.aec").write_bytes(bitstream.pack(header, parsed.tiles))
    shutil.copy(shelf / "photo.png", tmp_path)

    def fault(*arguments: str) -> str:
        done = run(*arguments, cwd=tmp_path)
        assert done.returncode == 1
        (line,) = done.stderr.decode().splitlines()
        return line

    assert fault("verify", "short.aec").endswith(" bytes (copy or download it again)")
    assert fault("info", "photo.png").endswith(
        "it is a PNG (`aecodec compress` makes an .aec file from a picture)"
    )
    unknown = fault("decompress", "other.aec")
    have = ", ".join(weights.folders())
    assert f"weights 756e6b6e6f776e21, which are not installed; installed: {have}" in unknown
    assert unknown.endswith(
        "(set AECODEC_WEIGHTS to further folders of weights; `aecodec models` lists all)"
    )


# --- Completion ---------------------------------------------------------------------------------


def completion(*words: str) -> list[str]:
    env = {
        "_AECODEC_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(("aecodec", *words)),
        "COMP_CWORD": str(len(words)),
    }
    script = Path(sys.executable).with_name("aecodec")
    done = subprocess.run([script], env=environment(env), capture_output=True, check=True)
    return done.stdout.decode().splitlines()


def test_the_shell_completes_commands_options_and_files() -> None:
    assert completion("dec") == ["plain,decompress"]
    assert "plain,--quality" in completion("compress", "--q")
    assert completion("compress", "pho") == ["file,pho"]
    assert completion("decompress", "-o", "out") == ["file,out"]
    assert completion("info", "pho") == ["file,pho"]
    sizes = ["plain,tiny", "plain,small", "plain,base", "plain,linear"]
    assert completion("train", "--size", "") == sizes


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_there(shell: str) -> None:
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("click asks bash for its version, and there is no bash")
    script = Path(sys.executable).with_name("aecodec")
    done = subprocess.run(
        [script],
        env=environment({"_AECODEC_COMPLETE": f"{shell}_source"}),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"_AECODEC_COMPLETE" in done.stdout


# --- Terminals ----------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is POSIX's")
@pytest.mark.parametrize("no_color", [True, False])
def test_no_color_is_respected(shelf: Path, tmp_path: Path, no_color: bool) -> None:
    import pty

    for name in ("a.png", "b.png"):
        shutil.copy(shelf / "photo.png", tmp_path / name)
    terminal, side = pty.openpty()
    seen: list[bytes] = []

    def read() -> None:
        try:
            while part := os.read(terminal, 4096):
                seen.append(part)
        except OSError:  # how Linux says that the other side is closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    env = {"TERM": "xterm-256color", **({"NO_COLOR": "1"} if no_color else {})}
    done = run("compress", "a.png", "b.png", cwd=tmp_path, stderr=side, env=env)
    os.close(side)
    reader.join(30)
    os.close(terminal)
    assert done.returncode == 0
    output = b"".join(seen)
    assert b"2/2" in output
    codes = [int(c or 0) for m in re.findall(rb"\x1b\[([\d;]*)m", output) for c in m.split(b";")]
    coloured = [code for code in codes if 30 <= code <= 49 or 90 <= code <= 107]
    assert bool(coloured) != no_color


# --- Other systems ------------------------------------------------------------------------------

# What Windows or macOS lacks is taken away before the command starts.
ELSEWHERE = """
import os, signal, sys
for name in ("sched_getaffinity", "O_TMPFILE", "geteuid", "getuid", "fork", "posix_fallocate",
             "posix_fadvise", "statvfs", "fchmod", "sysconf", "memfd_create", "sendfile"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGPIPE"):
    if hasattr(signal, name):
        delattr(signal, name)
sys.modules["fcntl"] = sys.modules["resource"] = sys.modules["pwd"] = sys.modules["grp"] = None
from aecodec.cli import main
sys.argv[0] = "aecodec"
sys.exit(main())
"""


def test_nothing_that_only_linux_has_is_needed(shelf: Path, tmp_path: Path) -> None:
    shutil.copy(shelf / "photo.png", tmp_path)

    def elsewhere(*arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-c", ELSEWHERE, *arguments],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()

    elsewhere("compress", "photo.png")
    assert (tmp_path / "photo.aec").read_bytes() == (shelf / "photo.aec").read_bytes()
    elsewhere("decompress", "photo.aec", "-o", "back.png")
    elsewhere("verify", "--full", "photo.aec")
    elsewhere("env", "--json")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "back.png",
        "photo.aec",
        "photo.png",
    ]
