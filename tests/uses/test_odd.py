"""Odd pictures: broken ones come first, the reason is right, and the heat is where the fault is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import samples
from command import lines, objects, run
from PIL import Image

from aecodec.codec import Codec
from aecodec.errors import InputError
from aecodec.uses.odd import FEWEST, FIGURES, Observation, Usual, observe

CORNERS = [(x, y) for y in (0, 60, 140) for x in (0, 90, 190)]


def size_of(path: Path | str) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def photographs() -> list[np.ndarray]:
    """Parts of three photographs, of 256 x 192 pixels."""
    return [
        np.asarray(samples.photograph(name, (x, y, x + 256, y + 160)))
        for name in ("coffee.png", "chelsea.png", "astronaut.png")
        for x, y in CORNERS[:5]
    ]


@pytest.fixture(scope="module")
def usual(coder: Codec) -> Usual:
    return Usual([observe(rgb, coder) for rgb in photographs()])


def broken(kind: str) -> np.ndarray:
    out = np.array(samples.photograph("coffee.png", (120, 80, 376, 240)))
    if kind == "half grey":
        out[80:] = 128
    elif kind == "stuck rows":
        out[40:110] = out[40]
    elif kind == "banding":
        out = (out // 43 * 43 + 21).astype(np.uint8)
    elif kind == "noise":
        noise = np.random.default_rng(0).normal(0, 50, out.shape)
        out = np.clip(out + noise, 0, 255).astype(np.uint8)
    elif kind == "blank":
        out[:] = 77
    elif kind == "wrong order":
        out = np.ascontiguousarray(out[..., ::-1])
    return out


@pytest.mark.parametrize("kind", ["half grey", "stuck rows", "banding", "noise", "blank"])
def test_a_broken_picture_is_odder_than_all_usual_ones(
    kind: str, usual: Usual, coder: Codec
) -> None:
    whole = max(usual.judge(observe(rgb, coder)).score for rgb in photographs())
    assert usual.judge(observe(broken(kind), coder)).score > whole


def test_the_reason_names_the_fault(usual: Usual, coder: Codec) -> None:
    judgement = usual.judge(observe(broken("banding"), coder))
    assert judgement.figures["missing levels"] > 3
    assert judgement.reason in FIGURES
    assert judgement.score == max(judgement.figures.values())
    assert usual.judge(observe(broken("stuck rows"), coder)).figures["repeated rows"] > 3
    assert usual.judge(observe(broken("noise"), coder)).figures["grain"] > 2


def test_channels_in_another_order_are_named(usual: Usual, coder: Codec) -> None:
    """A cup of coffee is brown: with red and blue exchanged it is blue."""
    right, wrong = (usual.judge(observe(broken(kind), coder)) for kind in ("", "wrong order"))
    assert right.figures["order of channels"] < 0.5
    assert wrong.figures["order of channels"] > 1.0
    assert wrong.reason == "order of channels"


def test_a_grey_or_tiny_picture_has_no_order_of_channels(coder: Codec) -> None:
    grey = np.repeat(broken("")[..., :1], 3, axis=2)
    order = FIGURES.index("order of channels") - 4
    assert abs(observe(grey, coder).pixels[order]) < 1e-6
    assert np.isfinite(observe(broken("")[:3, :5], coder).pixels).all()


def test_the_heat_is_where_the_fault_is(usual: Usual, coder: Codec) -> None:
    whole = usual.judge(observe(broken(""), coder)).heat
    heat = usual.judge(observe(broken("half grey"), coder)).heat
    assert heat.shape == (3, 4)
    assert (heat[2] - whole[2]).min() > (heat[0] - whole[0]).max()


def test_a_folder_with_some_broken_pictures_still_knows_what_is_usual(coder: Codec) -> None:
    mixed = [*photographs(), broken("noise"), broken("blank")]
    seen = [observe(rgb, coder) for rgb in mixed]
    usual = Usual(seen, mixed=True)
    scores = [usual.judge(one).score for one in seen]
    assert set(np.argsort(scores)[-2:]) == {15, 16}


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (70, 3)])
def test_pictures_of_a_few_pixels_are_judged(
    shape: tuple[int, int], usual: Usual, coder: Codec
) -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (*shape, 3), np.uint8)
    found = observe(rgb, coder)
    assert isinstance(found, Observation)
    assert np.isfinite(usual.judge(found).score)


def test_a_few_pictures_cannot_say_what_is_usual(coder: Codec) -> None:
    one = observe(photographs()[0], coder)
    with pytest.raises(InputError, match="1 picture cannot say what is usual: 8 can"):
        Usual([one])
    Usual([one] * FEWEST).judge(one)  # all alike: nothing is divided by nothing


def test_the_command_ranks_a_folder(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number, rgb in enumerate(photographs()):
        Image.fromarray(rgb).save(tmp_path / "photos" / f"{number}.png")
    Image.fromarray(broken("noise")).save(tmp_path / "photos" / "noise.png")
    done = run(
        *("odd", tmp_path / "photos", "-n", "3", "--json", "--heat", tmp_path / "heat"),
    )
    assert done.returncode == 0, done.stderr
    found = objects(done.stdout)
    assert len(found) == 3
    assert found[0]["path"] == str(tmp_path / "photos" / "noise.png")
    assert size_of(str(found[0]["heat"])) == (256, 160)
    heat = tmp_path / "heat"
    written = {path.name: path.read_bytes() for path in heat.iterdir()}
    assert len(written) == 3

    (heat / min(written)).write_bytes(b"mine")
    done = run("odd", tmp_path / "photos", "-n", "3", "--heat", heat)
    assert done.returncode == 1
    fault = f"{heat} is not empty: -f writes into it"
    assert lines(done.stderr) == [f"aecodec: {tmp_path / 'photos'}: {fault}"]
    assert (heat / min(written)).read_bytes() == b"mine"

    done = run("odd", tmp_path / "photos", "-n", "3", "--heat", heat, "-f")
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_bytes() for path in heat.iterdir()} == written


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run("odd", tmp_path / "empty")
    assert done.returncode == 1
    fault = "there is no picture in this folder that can be read"
    assert lines(done.stderr) == [f"aecodec: {tmp_path / 'empty'}: {fault}"]
    samples.photograph().save(tmp_path / "empty" / "a.png")
    done = run("odd", tmp_path / "empty")
    assert done.returncode == 1
    assert "1 picture cannot say what is usual" in lines(done.stderr)[0]
    done = run("odd", tmp_path / "empty", "--normal", tmp_path / "nowhere")
    assert done.returncode == 1
    assert "nowhere is no folder" in lines(done.stderr)[0]
    done = run("odd", ".", "--normal", "empty", cwd=tmp_path)
    assert "--normal empty: 1 picture cannot say what is usual" in lines(done.stderr)[0]


def test_pictures_of_heat_are_none_of_the_folder(tmp_path: Path) -> None:
    for number, rgb in enumerate(photographs()):
        Image.fromarray(rgb).save(tmp_path / f"{number}.png")
    longest = "x" * 251 + ".png"
    Image.fromarray(broken("noise")).save(tmp_path / longest)
    first = run("odd", ".", "-n", "2", "--heat", "heat", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert len(lines(first.stdout)) == 2
    assert lines(first.stdout)[0].endswith("noise") or longest in lines(first.stdout)[0]
    assert len(list((tmp_path / "heat").iterdir())) == 2

    again = run("odd", ".", "-n", "2", "--heat", "heat", "-f", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout
    assert lines(again.stderr) == ["heat: note: 2 pictures of this folder are not looked at"]

    before = sorted(path.name for path in tmp_path.iterdir())
    done = run("odd", tmp_path, "--heat", ".", "-f", cwd=tmp_path)
    assert done.returncode == 1
    assert "--heat is the folder of the pictures" in lines(done.stderr)[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == before
