"""Nothing is sent: no host is looked up, and nothing is left in the user's folders."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import command
import pytest
import samples
from system import posix

from aecodec.networks import runtime

pytestmark = posix

LIBRARY = """
import sys, time
import numpy as np
import aecodec
aecodec.decompress(aecodec.compress(np.zeros((64, 64, 3), np.uint8)))
time.sleep(float(sys.argv[1]))  # ONNX Runtime's first upload is due after some seconds
"""


def traced(arguments: list[str], home: Path, log: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a program whose HOME is empty, with its use of the network written down if it can be."""
    before = []
    strace = shutil.which("strace")
    if strace is not None:
        before = [strace, "-f", "-qq", "-s", "300", "-e", "trace=network", "-o", str(log)]
    env = command.environment({"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"})
    for name in ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "XDG_CACHE_HOME"):
        env.pop(name, None)  # each of them would turn it off, or lead it elsewhere
    return subprocess.run([*before, *arguments], capture_output=True, timeout=300, env=env)


def names_asked_for(log: Path) -> list[str]:
    """What a trace shows of the network: connections but for those within this machine."""
    text = log.read_text(errors="replace")
    return re.findall(r"^\d+ +(?:connect|sendto|sendmmsg)\(.*AF_INET.*$", text, re.MULTILINE)


@pytest.mark.parametrize("who", ["library", "command", "workers"])
def test_no_host_is_asked_for_and_home_stays_empty(here: Path, who: str) -> None:
    """From 1.29 on ONNX Runtime queues events in HOME as soon as it is imported."""
    home, log = here / "home", here / "trace"
    home.mkdir()
    python = [sys.executable, "-m", "aecodec"]
    if who == "library":
        done = traced([sys.executable, "-c", LIBRARY, "8"], home, log)
    else:
        samples.photograph(box=(100, 20, 164, 84)).save("a.png")
        samples.photograph(box=(100, 80, 164, 144)).save("b.png")
        run = {"command": ["a.png", "b.png"], "workers": ["-r", ".", "-o", "out", "-j", "2"]}[who]
        done = traced([*python, "compress", *run], home, log)
    if b"ptrace" in done.stderr and done.returncode:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    assert [str(path) for path in home.rglob("*")] == []
    if log.exists():
        assert names_asked_for(log) == []


def test_events_are_turned_off_before_onnx_runtime_is_imported() -> None:
    """Whatever the user's environment says: its own promise is not for others to break."""
    script = """
import builtins, os, sys
real = builtins.__import__
def watched(name, *rest):
    if name == "onnxruntime" and name not in sys.modules:
        print(os.environ.get("ORT_DISABLE_TELEMETRY"))
    return real(name, *rest)
builtins.__import__ = watched
import aecodec, numpy as np
assert "onnxruntime" not in sys.modules
aecodec.compress(np.zeros((16, 16, 3), np.uint8))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=command.environment({"ORT_DISABLE_TELEMETRY": "0"}),
        timeout=120,
    )
    assert done.stdout == "1\n", done.stderr


def test_only_one_place_imports_onnx_runtime() -> None:
    """Another one could import it first, with its events turned on."""
    package = Path(runtime.__file__).parents[1]
    found = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.match(r"\s*(import|from) onnxruntime\b", line)
    ]
    assert found == ["networks/runtime.py"]
    assert os.environ.get("ORT_DISABLE_TELEMETRY") in (None, "1")
