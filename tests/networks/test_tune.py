"""`--tune eye|psnr`: which weights it stands for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import command
import pytest
import samples
from paths import WEIGHTS

import aecodec
from aecodec.networks import weights


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights that are called as those for the eye are."""
    folder = tmp_path_factory.mktemp("weights")
    shutil.copytree(WEIGHTS / "small", folder / "small-eye")
    (folder / "small-eye" / weights.ID_FILE).unlink()  # they get an id of their own
    config = folder / "small-eye" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"objective": "eye"}))
    return folder


def test_what_a_tune_stands_for() -> None:
    assert weights.TUNED == {"eye": "small-eye", "psnr": "small"}
    assert weights.TUNED[weights.DEFAULT_TUNE] == weights.DEFAULT_MODEL
    assert weights.chosen(None, None) is None
    assert weights.chosen(None, "eye") == "small-eye"
    assert weights.chosen("base", "eye") == "base"
    with pytest.raises(ValueError, match="tune must be eye or psnr, not 'ear'"):
        weights.chosen(None, "ear")


def test_the_file_names_its_weights(other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(weights.SEARCH_VARIABLE, str(other))
    picture = samples.photograph()
    eye = weights.model_id(other / "small-eye").hex()
    psnr = weights.model_id(WEIGHTS / "small").hex()
    assert eye != psnr
    for options, expected in (
        ({"tune": "eye"}, eye),
        ({"tune": "psnr"}, psnr),
        ({"tune": "eye", "model": "small"}, psnr),
    ):
        data = aecodec.compress(picture, 40, **options)
        assert aecodec.read_info(data).model == expected
        assert aecodec.decompress(data).size == picture.size
    with pytest.raises(ValueError, match="tune must be eye or psnr"):
        aecodec.compress(picture, tune="")


def test_command_and_plugin(other: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = samples.photograph()
    picture.save("p.png")
    env = {weights.SEARCH_VARIABLE: str(other)}
    done = command.run("compress", "p.png", "--tune", "eye", env=env)
    assert done.returncode == 0, done.stderr.decode()
    eye = weights.model_id(other / "small-eye").hex()
    assert aecodec.read_info(Path("p.aec").read_bytes()).model == eye
    done = command.run("compress", "p.png", "-f", "--tune", "eye", "-m", "small", env=env)
    assert aecodec.read_info(Path("p.aec").read_bytes()).model != eye
    monkeypatch.setenv(weights.SEARCH_VARIABLE, str(other))
    aecodec.register_pillow()
    picture.save("q.aec", tune="eye")
    assert aecodec.read_info(Path("q.aec").read_bytes()).model == eye
    assert command.run("compress", "p.png", "-f", "--tune", "ear").returncode == 2


def test_bench_takes_the_weights_that_are_meant() -> None:
    from aecodec.cli.bench import _tuned

    assert _tuned("aecodec", None) == "aecodec"
    assert _tuned("aecodec", "eye") == "aecodec:small-eye"
    assert _tuned("aecodec@4", "psnr") == "aecodec:small@4"
    assert _tuned("aecodec:base", "eye") == "aecodec:base"
    assert _tuned("jpeg", "eye") == "jpeg"


def test_weights_of_before_have_an_objective() -> None:
    assert weights.by_name("small").config.objective == "psnr"
