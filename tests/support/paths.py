"""Where the parts of the repository are that tests read."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
GOLDEN = TESTS / "golden"  # files that every later version must decode
WEIGHTS = ROOT / "weights"  # a folder for each model that comes with aecodec
BENCHMARKS = ROOT / "benchmarks"
DOCS = ROOT / "docs"
