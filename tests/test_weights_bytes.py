"""The shipped weights are the same bytes in every clone, whatever Git makes of line ends."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import aecodec
from aecodec.errors import WeightsError
from aecodec.networks import weights

ROOT = Path(__file__).parents[1]
SHIPPED = {"small": "b044cfc2102de46a", "base": "264ca4922332ce72", "small-eye": "c8cd412c45fdf184"}
"""Files name their weights by these. New weights get a new folder; these ids stay."""


@pytest.mark.parametrize("name", SHIPPED)
def test_the_ids_of_the_shipped_weights_stay(name: str) -> None:
    assert weights.model_id(ROOT / "weights" / name).hex() == SHIPPED[name]


def test_all_shipped_weights_are_pinned() -> None:
    found = {config.parent.name for config in (ROOT / "weights").glob("*/config.json")}
    assert found == set(SHIPPED)


def test_line_ends_of_windows_change_an_id(tmp_path: Path) -> None:
    """So the attributes matter, and the test above would notice such a clone."""
    folder = shutil.copytree(ROOT / "weights" / "small", tmp_path / "small")
    config = folder / "config.json"
    config.write_bytes(config.read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises(WeightsError, match=r"damaged or was changed: id\.txt has"):
        weights.model_id(folder)
    (folder / "id.txt").unlink()
    assert weights.model_id(folder).hex() != SHIPPED["small"]


@pytest.mark.parametrize("name", sorted(SHIPPED))
@pytest.mark.parametrize("file", weights.DECODER_FILES)
def test_damaged_weights_make_no_file(
    name: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No one else could decode it."""
    folder = shutil.copytree(ROOT / "weights" / name, tmp_path / name)
    data = bytearray((folder / file).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / file).write_bytes(data)
    monkeypatch.setenv(weights.SEARCH_VARIABLE, str(tmp_path))
    # A config may be no JSON any more.
    with pytest.raises(WeightsError, match=r"damaged or was changed|not a usable folder"):
        aecodec.compress(np.zeros((8, 8, 3), np.uint8), model=name)


def test_a_file_whose_weights_are_damaged_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are there, so "not installed" would be the wrong word; files of others are decoded."""
    golden = [(ROOT / f"tests/golden/{name}-q75.aec").read_bytes() for name in ("rgb", "base")]
    for name in ("small", "base"):
        shutil.copytree(ROOT / "weights" / name, tmp_path / name)
    graph = tmp_path / "base" / "synthesis8.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    monkeypatch.setattr(weights, "_roots", lambda: [tmp_path])
    weights.by_id.cache_clear()
    try:
        assert aecodec.decompress(golden[0]).size  # made with small
        with pytest.raises(WeightsError, match=r"base: a file of these weights is damaged"):
            aecodec.decompress(golden[1])
    finally:
        weights.by_id.cache_clear()


def git(*arguments: str, cwd: Path) -> None:
    # Without the user's own settings, which may convert line ends as well.
    alone = ["-c", "user.name=test", "-c", "user.email=test@example.org", *arguments]
    environment = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(cwd / "none"),
        "HOME": str(cwd),
        "PATH": str(Path(shutil.which("git") or "git").parent),
    }
    subprocess.run(["git", *alone], cwd=cwd, env=environment, check=True, capture_output=True)


def cloned_as_on_windows(tmp_path: Path, *, attributes: bool) -> dict[str, bytes]:
    """The bytes that a clone with core.autocrlf=true has of some of our files, by name."""
    names = ["weights/small/config.json", "weights/base/config.json", "weights/small/README.md"]
    names += ["tests/golden/golden.json", "tests/golden/pixel-q90.aec", "pyproject.toml"]
    origin = tmp_path / "origin"
    for name in [*names, *([".gitattributes"] if attributes else [])]:
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, origin / name)
    git("init", "-q", ".", cwd=origin)
    git("add", ".", cwd=origin)
    git("commit", "-q", "-m", "files", cwd=origin)
    git("-c", "core.autocrlf=true", "clone", "-q", "origin", "clone", cwd=tmp_path)
    return {name: (tmp_path / "clone" / name).read_bytes() for name in names}


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_a_clone_on_windows_has_the_same_bytes(tmp_path: Path) -> None:
    for name, content in cloned_as_on_windows(tmp_path, attributes=True).items():
        assert content == (ROOT / name).read_bytes(), name


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_without_the_attributes_it_would_not(tmp_path: Path) -> None:
    config = cloned_as_on_windows(tmp_path, attributes=False)["weights/small/config.json"]
    assert b"\r\n" in config
