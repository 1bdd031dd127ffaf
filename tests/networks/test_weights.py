"""Weights: what they hold at one quality, and folders that hold too little."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from aecodec import codec
from aecodec.errors import WeightsError
from aecodec.networks import weights


@pytest.mark.parametrize("quality", [1, 37, 100])
def test_an_operating_point_is_the_row_of_its_quality(quality: int) -> None:
    small = weights.by_name("small")
    arrays = load_file(small.folder / "tables.safetensors")
    point = small.at(quality)
    m = small.config.latents
    assert point.quality == quality
    assert point.level.tolist() == [arrays["level"][quality]]
    assert point.gain.shape == point.curvature.shape == (m, 1, 1)
    assert point.unit.shape == point.inverse_gain.shape == (1, m, 1, 1)
    gain = arrays["gain"][quality]
    assert np.array_equal(point.gain.ravel(), gain)
    assert np.array_equal(point.inverse_gain.ravel(), 1.0 / gain)
    assert np.array_equal(point.unit.ravel(), arrays["std"] * gain)
    assert np.array_equal(point.curvature.ravel(), arrays["curvature"][quality])
    worth = float(arrays["lambda"][quality]) * 255**2 / 3
    assert point.bits_per_error == pytest.approx(worth)
    assert point.z_tables is small.z_tables[arrays["z_band"][quality]]


def test_bands_of_quality_share_tables() -> None:
    small = weights.by_name("small")
    tables = [id(small.at(quality).z_tables) for quality in range(1, 101)]
    assert len(set(tables)) == small.config.z_bands
    assert all(tables[q] == tables[q + 1] or tables[q] not in tables[q + 1 :] for q in range(99))


@pytest.mark.parametrize(
    "missing", ["gain", "scale.near.weight", "known.index", "curvature", "preview", "z_slope"]
)
def test_what_is_missing_is_named(missing: str, tmp_path: Path) -> None:
    shutil.copytree(weights.by_name("small").folder, tmp_path / "less")
    (tmp_path / "less" / weights.ID_FILE).unlink()  # as of weights that never had it
    path = tmp_path / "less" / "tables.safetensors"
    arrays = load_file(path)
    del arrays[missing]
    save_file(arrays, path)
    with pytest.raises(WeightsError, match=f"less: not a usable folder.*{missing}"):
        weights.load(tmp_path / "less")


def test_a_config_of_another_version_is_one_line(tmp_path: Path) -> None:
    shutil.copytree(weights.by_name("small").folder, tmp_path / "other")
    (tmp_path / "other" / weights.ID_FILE).unlink()
    path = tmp_path / "other" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"wings": 2}))
    with pytest.raises(WeightsError, match="wings") as caught:
        weights.load(tmp_path / "other")
    assert "\n" not in str(caught.value)


def test_a_relative_folder_is_that_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after it has changed: graphs are read late, and weights are kept by their folder."""
    rgb = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    for name in ("small", "small-eye"):
        shutil.copytree(weights.by_name(name).folder, tmp_path / name / "weights" / "mine")
    wanted = {name: weights.by_name(name).id.hex() for name in ("small", "small-eye")}
    monkeypatch.setenv(weights.SEARCH_VARIABLE, "weights")
    for name, model in wanted.items():
        monkeypatch.chdir(tmp_path / name)
        early = weights.by_name("mine")
        assert codec.read_info(codec.compress(rgb, model="mine")).model == model
        monkeypatch.chdir(tmp_path)
        assert codec.Codec(early).compress(rgb, lossless=False)
