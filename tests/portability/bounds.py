"""Run the tests with the oldest dependencies that pyproject.toml allows, or with the newest.

    python tests/portability/bounds.py lowest|newest [--quick] [--keep FOLDER] [--only-make]
        [ARGUMENT...]

Makes an environment for this interpreter, with uv, of wheels alone: `lowest` has the oldest version
of each dependency that pyproject.toml names and that there is a wheel of. Then it runs the tests
that need neither torch nor the optional dependencies, half of them with --quick, or what the
ARGUMENTs tell pytest. `make bounds` does both; .ci/run does both quickly.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("pytest", "pytest-timeout", "hypothesis", "scikit-image")
QUICK = (
    "tests/test_bitstream.py",
    "tests/test_weights_bytes.py",
    "tests/entropy/test_ans.py",
    "tests/entropy/test_product.py",
    "tests/image/test_load.py",
    "tests/image/test_save.py",
    "tests/cli/test_options.py",
    "tests/batch/test_manifest.py",
)
TESTS = (
    *QUICK,
    "tests/test_hostile.py",
    "tests/test_hostile_container.py",
    "tests/entropy/test_entropy.py",
    "tests/entropy/test_hyperlatents.py",
    "tests/image/test_metadata.py",
    "tests/cli/test_convert.py",
    "tests/cli/test_inspect.py",
    "tests/batch/test_run.py",
)


def make(folder: Path, resolution: str) -> Path:
    """An environment with aecodec's dependencies; its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    # Wheels alone, as for whoever has no compiler.
    install = ["uv", "pip", "install", "--quiet", "--python", str(python), "--only-binary", ":all:"]
    needs = ["--resolution", resolution, "-r", str(ROOT / "pyproject.toml")]
    subprocess.run([*install, *needs], check=True)
    site = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    Path(site, "aecodec.pth").write_text(f"{ROOT}\n")
    frozen = subprocess.run(
        ["uv", "pip", "freeze", "--python", str(python)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    print(f"{sys.version.split()[0]}, {resolution}:", *frozen.split(), flush=True)
    (folder / "frozen.txt").write_text(frozen)
    subprocess.run([*install, "-c", str(folder / "frozen.txt"), *TOOLS], check=True)
    return python


def main() -> int:
    """Make the environment and run the tests in it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bounds", choices=("lowest", "newest"))
    parser.add_argument("--quick", action="store_true", help="the quick half of the tests")
    parser.add_argument("--keep", type=Path, help="make it here, and leave it")
    parser.add_argument("--only-make", action="store_true")
    options, arguments = parser.parse_known_args()
    resolution = {"lowest": "lowest-direct", "newest": "highest"}[options.bounds]
    with tempfile.TemporaryDirectory() as temporary:
        python = make(options.keep or Path(temporary) / "environment", resolution)
        if options.only_make:
            return 0
        chosen = arguments or ["-q", *(QUICK if options.quick else TESTS)]
        pytest = [str(python), "-m", "pytest", "-p", "no:cacheprovider", *chosen]
        return subprocess.run(pytest, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
