"""The benchmark's parts: codecs compared, measurements kept, curves, BD-rates."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import samples
from paths import BENCHMARKS
from PIL import Image

import aecodec
from aecodec import metrics
from aecodec.bench import codecs, curves, klt, latents, measure, pictures, scenes
from aecodec.errors import AecodecError, CorruptError, InputError
from aecodec.image.rgb import decode
from aecodec.networks.ssimulacra2 import ssimulacra2

PUBLISHED = BENCHMARKS / "published"


@pytest.fixture(scope="module")
def rgb() -> np.ndarray:
    """A photograph of 203 x 170 pixels: odd sides, and large enough for MS-SSIM."""
    return np.asarray(samples.photograph("coffee.png", (150, 80, 353, 250)))


def photograph(rgb: np.ndarray, name: str = "photo.png") -> pictures.Photograph:
    return pictures.Photograph(name, rgb, name, False)


# --- the codecs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", codecs.KINDS)
def test_every_codec_gives_the_picture_back(name: str, rgb: np.ndarray) -> None:
    codec = codecs.find(name)
    coder = codec.load()
    sizes, fidelity = [], []
    for quality in codec.qualities[:: len(codec.qualities) // 3]:
        data = coder.encode(rgb, quality)
        restored = coder.decode(data)
        assert isinstance(data, bytes)
        assert restored.shape == rgb.shape
        assert restored.dtype == np.uint8
        sizes.append(len(data))
        fidelity.append(metrics.psnr(rgb, restored))
    assert sizes == sorted(sizes)
    assert fidelity == sorted(fidelity)
    assert 20 < fidelity[0] < fidelity[-1]
    assert fidelity[-1] > 34


@pytest.mark.parametrize("name", ["aecodec", "webp", "avif", "jxl", "jpeg2000"])
def test_settings_are_fair(name: str) -> None:
    """Each beats JPEG by far: a wrong setting (no colour transform, lossless) would undo that."""
    big = photograph(np.asarray(samples.photograph("coffee.png", (0, 0, 600, 400))))
    made = {}
    for codec in (codecs.find("jpeg"), codecs.find(name)):
        coder = codec.load()
        points = []
        for quality in codec.qualities[::2]:
            data = coder.encode(big.rgb, quality)
            points.append((8 * len(data) / big.pixels, metrics.psnr(big.rgb, coder.decode(data))))
        made[codec.name] = points
    value = metrics.bd_rate(*zip(*made["jpeg"], strict=True), *zip(*made[name], strict=True))
    assert value < -12


def test_names_of_codecs() -> None:
    assert all(codecs.known(name) for name in codecs.KINDS)
    assert codecs.known("aecodec:small@4")
    assert codecs.known("aecodec@9")
    for name in ("", "png", "jpeg:small", "webp@4", "aecodecs"):
        assert not codecs.known(name)
    assert codecs.find("aecodec:small-eye").settings == codecs.find("aecodec").settings
    assert codecs.find("aecodec:small").settings != codecs.find("aecodec").settings
    with pytest.raises(AecodecError, match="no weights called 'large'"):
        codecs.find("aecodec:large")
    with pytest.raises(codecs.Unavailable, match="effort"):
        codecs.find("aecodec@ten")


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 3), (33, 48)])
def test_block_pca_of_any_size(size: tuple[int, int], rgb: np.ndarray) -> None:
    part = rgb[: size[0], : size[1]]
    restored = klt.decode(klt.encode(part, 95))
    assert restored.shape == part.shape
    assert metrics.psnr(part, restored) > 38


def test_block_pca_refuses_other_bytes(rgb: np.ndarray) -> None:
    data = klt.encode(rgb, 50)
    for bad in (b"", b"JUNK" + data[4:], data[:-4], data + bytes(4), data[:-3]):
        with pytest.raises(CorruptError):
            klt.decode(bad)


def test_the_learned_prior_saves_what_zstandard_does_not(rgb: np.ndarray) -> None:
    packed = latents.Packed(codecs.weights.by_name())
    for quality in (20, 60):
        plain, ours = packed.encode(rgb, quality), aecodec.compress(Image.fromarray(rgb), quality)
        restored = np.asarray(aecodec.decompress(ours))
        assert len(plain) > 1.1 * len(ours)
        difference = metrics.psnr(rgb, packed.decode(plain)) - metrics.psnr(rgb, restored)
        assert abs(difference) < 1.5  # the same latents, but for the rounding
    for bad in (b"", plain[:5], b"JUNK" + plain[4:], plain[:-9]):
        with pytest.raises(CorruptError):
            packed.decode(bad)


def test_the_map_accounts_for_the_file() -> None:
    picture = samples.photograph("astronaut.png", (0, 0, 500, 300))
    for quality in (10, 80):
        data = aecodec.compress(picture, quality)
        bits = latents.bit_map(data)
        assert bits.shape == (19, 32)
        assert bits.min() >= 0
        assert bits.sum() / 8 == pytest.approx(len(data), rel=0.01, abs=96)


def test_nearest_above_never_gives_fewer_bytes(rgb: np.ndarray) -> None:
    coder = codecs.find("jpeg").load()
    sizes = {quality: len(coder.encode(rgb, quality)) for quality in range(1, 101)}
    for wanted in (1, sizes[20], sizes[20] + 1, sizes[70] - 1, 10**9):
        quality, data = scenes.nearest_above(coder, rgb, wanted)
        assert len(data) == sizes[quality]
        if wanted < 10**9:
            assert len(data) >= wanted
            assert quality == 1 or sizes[quality - 1] < wanted
        else:
            assert quality == 100


# --- measuring ------------------------------------------------------------------------------------


class Counting:
    """A codec that keeps every other bit, and counts what it is asked."""

    def __init__(self) -> None:
        self.encoded = 0

    def encode(self, rgb: np.ndarray, quality: float) -> bytes:
        self.encoded += 1
        kept = rgb & (0xFF << (8 - int(quality)) & 0xFF)
        return bytes(rgb.shape[:2]) + int(quality).to_bytes(1, "big") + kept.tobytes()

    def decode(self, data: bytes) -> np.ndarray:
        return np.frombuffer(data[3:], np.uint8).reshape(data[0], data[1], 3)

    def codec(self, **changes: object) -> codecs.Codec:
        made = codecs.Codec(
            name="counting",
            title="Counting",
            settings="none",
            qualities=(1, 4, 7),
            versions=("1",),
            load=lambda: codecs.Coder(self.encode, self.decode),
        )
        return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def points(codec: codecs.Codec, rgb: np.ndarray, path: Path, **options: bool) -> list[object]:
    store = measure.Store(str(path), **options)
    return list(measure.measure(codec, photograph(rgb), store))


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (
            "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n\n"
            "processor\t: 1\ncpu family\t: 26\nmodel\t\t: 2\nmodel name\t: other\n",
            "AMD EPYC (family 25, model 17)",
        ),
        ("model name\t: ARMv8 Processor rev 1\n", "ARMv8 Processor rev 1"),
        ("processor\t: 0\nmodel\t\t: 17\n", ""),
        ("", ""),
    ],
)
def test_processors_of_one_name_are_told_apart(cpuinfo: str, expected: str) -> None:
    assert measure._processor(cpuinfo) == expected


def test_what_is_kept_is_not_measured_again(tmp_path: Path, rgb: np.ndarray) -> None:
    counting, path = Counting(), tmp_path / "results.jsonl"
    first = points(counting.codec(), rgb, path)
    assert counting.encoded == 3 + 1  # one round trip is checked before
    assert points(counting.codec(), rgb, path) == first
    assert counting.encoded == 4
    points(counting.codec(qualities=(4, 6)), rgb, path)
    assert counting.encoded == 4 + 2
    for changed in (counting.codec(settings="other"), counting.codec(versions=("2",))):
        before = counting.encoded
        points(changed, rgb, path)
        assert counting.encoded == before + 4
    before = counting.encoded
    points(counting.codec(), rgb, path, again=True)
    assert counting.encoded == before + 4


def test_a_torn_line_costs_one_point(tmp_path: Path, rgb: np.ndarray) -> None:
    counting, path = Counting(), tmp_path / "results.jsonl"
    first = points(counting.codec(), rgb, path)
    whole = path.read_bytes()
    for cut in (1, 30, 200):
        path.write_bytes(whole[:-cut])
        assert measure.Store(str(path)).damaged == (0 if cut == 1 else 1)
        before = counting.encoded
        again = points(counting.codec(), rgb, path)
        assert counting.encoded - before == (0 if cut == 1 else 2)
        fidelity = [(p.quality, p.nbytes, p.psnr) for p in again]  # type: ignore[attr-defined]
        assert fidelity == [(p.quality, p.nbytes, p.psnr) for p in first]  # type: ignore[attr-defined]
        assert points(counting.codec(), rgb, path) == again


@pytest.mark.parametrize("content", ["[]\n", '{"curves": []}\n', "a photograph", "\x00\x01"])
def test_another_file_is_never_written_to(tmp_path: Path, content: str) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match="no results file"):
        measure.Store(str(path))
    assert path.read_text() == content


def test_a_wrong_round_trip_is_refused_before_timing(tmp_path: Path, rgb: np.ndarray) -> None:
    counting = Counting()
    for wrong in (lambda data: counting.decode(data)[::-1], lambda data: counting.decode(data)[1:]):
        broken = counting.codec(load=lambda wrong=wrong: codecs.Coder(counting.encode, wrong))
        with pytest.raises(AecodecError, match=r"^the round trip of photo\.png gave"):
            points(broken, rgb, tmp_path / "results.jsonl")
    assert not (tmp_path / "results.jsonl").exists()


def test_pictures_of_hardly_more_than_one_colour_are_measured(tmp_path: Path) -> None:
    """Their mean colour is nearer to them than what codecs give back."""
    noise = np.random.default_rng(1).normal(128, 1, (64, 64, 3))
    for number, rgb in enumerate((np.full((64, 64, 3), (200, 13, 77)), noise.clip(0, 255))):
        for name in ("jpeg", "webp", "aecodec-zstd", "klt"):
            codec = dataclasses.replace(codecs.find(name), qualities=(30, 50, 70))
            found = points(codec, rgb.astype(np.uint8), tmp_path / f"{number}{name}.jsonl")
            assert len(found) == 3


@pytest.mark.parametrize(
    "value", [5, [1], {}, {"quality": 1}, {"nbytes": "10"}, {"psnr": "high"}, {"encode_s": None}]
)
def test_a_kept_value_that_is_no_point_is_measured_again(
    tmp_path: Path, rgb: np.ndarray, value: object
) -> None:
    counting, path = Counting(), tmp_path / "results.jsonl"
    first = points(counting.codec(), rgb, path)
    head, *lines = path.read_text().splitlines()
    made = [json.loads(line) for line in lines]
    whole = isinstance(value, dict) and set(value) & {"nbytes", "psnr", "encode_s"}
    for record in made:
        record["value"] = record["value"] | value if whole else value
    path.write_text("\n".join([head, *map(json.dumps, made)]) + "\n")
    before = counting.encoded
    again = points(counting.codec(), rgb, path)
    assert counting.encoded == before + 4
    assert [p.nbytes for p in again] == [p.nbytes for p in first]  # type: ignore[attr-defined]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_no_results_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is a pipe"):
        measure.Store(str(tmp_path / "pipe"))


def test_a_point_is_what_independent_code_measures(tmp_path: Path, rgb: np.ndarray) -> None:
    codec = dataclasses.replace(codecs.find("aecodec"), qualities=(30,))
    (point,) = points(codec, rgb, tmp_path / "results.jsonl")
    data = aecodec.compress(Image.fromarray(rgb), 30)
    assert point.nbytes == len(data)  # type: ignore[attr-defined]
    expected = samples.psnr(Image.fromarray(rgb), aecodec.decompress(data))
    assert point.psnr == pytest.approx(expected, abs=1e-9)  # type: ignore[attr-defined]
    assert point.encode_s > 0  # type: ignore[attr-defined]


def test_a_point_has_its_score(rgb: np.ndarray, tmp_path) -> None:
    coder = codecs.find("jpeg").load()
    points = [measure._measured(coder, rgb, quality, 1) for quality in (10, 90)]
    for point in points:
        restored = coder.decode(coder.encode(rgb, point.quality))
        assert point.ssimulacra2 == pytest.approx(ssimulacra2(rgb, restored))
    assert points[0].ssimulacra2 < points[1].ssimulacra2 < 100


# --- curves and BD-rates --------------------------------------------------------------------------


def test_published_curves_give_the_known_bd_rates() -> None:
    known = {curve.name: curve for curve in curves.published(str(PUBLISHED))}
    expected = {"WebP, published": -36.2, "BPG 4:4:4": -58.9, "VVC (VTM)": -67.6}
    for name, value in expected.items():
        found = curves.bd_rate(known["JPEG, published"], known[name])
        assert found.value == pytest.approx(value, abs=0.2)
        assert found.low is not None
        assert found.high is not None
        assert 23 < found.low < found.high < 41


def curve(name: str, rate: list[float], psnr: list[float | None]) -> curves.Curve:
    nothing: tuple[None, ...] = (None,) * len(rate)
    return curves.Curve(name, name, "", tuple(rate), tuple(psnr), nothing, nothing)


def test_bd_rate_is_that_of_metrics() -> None:
    a = curve("a", [0.1, 0.3, 0.8, 2.0], [25, 29, 33, 38])
    b = curve("b", [0.09, 0.2, 0.6], [26, 30, 37])
    found = curves.bd_rate(a, b)
    assert found.value == pytest.approx(metrics.bd_rate(a.bpp, a.psnr, b.bpp, b.psnr), abs=1e-9)
    assert (found.low, found.high) == (26, 37)


def test_curves_without_a_common_range_have_no_bd_rate() -> None:
    a = curve("a", [0.1, 0.3], [25, 29])
    assert curves.bd_rate(a, curve("b", [1, 2], [30, 35])).value is None
    assert curves.bd_rate(a, curve("b", [1], [27])).value is None
    assert curves.bd_rate(a, curve("b", [1, 2], [None, 27])).value is None


def test_dominated_points_are_left_out() -> None:
    worse = curve("a", [0.1, 0.2, 0.3, 0.4], [25, 28, 27, 30])
    assert worse.points("psnr") == [(0.1, 25), (0.2, 28), (0.4, 30)]
    alike = curve("b", [0.1, 0.1, 0.2, 0.3], [25, 26, 26, 30])
    assert alike.points("psnr") == [(0.1, 26), (0.3, 30)]


def test_mean_curves_and_pictures() -> None:
    def at(nbytes: int, psnr: float) -> measure.Point:
        return measure.Point(0, nbytes, psnr, 0.99, None, 0.5, 0.25)

    both = {"a": [at(100, 30), at(200, 35)], "b": [at(300, 31), at(900, 36)]}
    sizes = {"a": 1000, "b": 2000}
    codec = curves.Measured("x", "X", "", (), both, sizes)
    half = {
        name: [dataclasses.replace(p, nbytes=p.nbytes // 2) for p in of]
        for name, of in both.items()
    }
    mean = codec.mean_curve()
    assert mean.bpp == pytest.approx(((0.8 + 1.2) / 2, (1.6 + 3.6) / 2))
    assert mean.psnr == (30.5, 35.5)
    assert mean.ms_ssim == pytest.approx((20, 20))
    assert codec.speed("encode_s") == pytest.approx(2 * 3000 / 1e6 / (4 * 0.5))
    assert codec.seconds("decode_s") == [0.25, 0.25]
    found = curves.compare(codec, dataclasses.replace(codec, points=half))
    assert found.value == pytest.approx(-50)
    assert found.of_images == pytest.approx(-50)
    assert found.images == 2


def test_of_an_exact_picture_there_is_no_psnr_and_so_no_mean() -> None:
    """100 dB in its place made savings of 82 % out of 54."""
    exact = measure.Point(0, 10, None, 1.0, None, 1, 1)
    other = measure.Point(0, 10, 30.0, 0.9, None, 1, 1)
    points = {"a": [exact, other], "b": [other, other]}
    codec = curves.Measured("x", "X", "", (), points, {"a": 100, "b": 100})
    assert codec.mean_curve().psnr == (None, 30)
    assert codec.mean_curve().ms_ssim == pytest.approx((-10 * math.log10(0.05), 10))
    assert codec.curve_of("a").psnr == (None, 30)
    assert codec.curve_of("a").ms_ssim == pytest.approx((None, 10))
    assert codec.exact == ["a"]


SHAPES = {
    "CompressAI": {
        "name": "n",
        "description": "d",
        "results": {"bpp": [1, 2], "psnr-rgb": [30, 33], "ms-ssim-rgb": [0.9, 0.99]},
    },
    "older": {"name": "n", "results": {"bpp": [1, 2], "psnr": [30, 33], "ms-ssim": [0.9, 0.99]}},
    "points": {
        "n": [
            {"bpp": 1, "psnr": 30, "ms_ssim": 0.9},
            {"bpp": 2, "psnr": 33, "ms_ssim": 0.99},
        ]
    },
}
SHAPES["list"] = [SHAPES["CompressAI"]]  # type: ignore[assignment]
SHAPES["exact"] = {"name": "n", "results": {"bpp": [1, 2, 3], "psnr-rgb": [30, 33, None]}}
SHAPES["own"] = {"curves": [SHAPES["CompressAI"]]}


@pytest.mark.parametrize("shape", SHAPES)
def test_published_curves_of_every_shape(tmp_path: Path, shape: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(SHAPES[shape]))
    (found,) = curves.published(str(tmp_path))
    assert (found.name, found.bpp[:2], found.psnr[:2]) == ("n", (1, 2), (30, 33))
    if shape == "exact":
        assert found.points("psnr") == [(1, 30), (2, 33)]
    else:
        assert found.ms_ssim == pytest.approx((10, 20))
    (renamed,) = curves.published(str(tmp_path / "a.json"), frozenset({"n"}))
    assert renamed.name == "n (published)"


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"results": {}}',
        '{"name": "x", "results": {"bpp": [1], "psnr": [1, 2]}}',
        '{"name": "x", "results": {"bpp": [0], "psnr": [1]}}',
        '{"name": "x", "results": {"bpp": ["a"], "psnr": [1]}}',
        '"text"',
        "[1]",
        '{"a": 1}',
        "\udcff",
    ],
)
def test_a_bad_file_of_curves_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "bad.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=r"bad\.json: ") as caught:
        curves.published(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_an_empty_folder_of_curves_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no JSON files"):
        curves.published(str(tmp_path))


# --- the pictures ---------------------------------------------------------------------------------


def test_gathering_pictures(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "c.webp"):
        samples.photograph().save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    found = pictures.gather([str(tmp_path), str(tmp_path / "b.png")])
    assert [Path(path).name for path in found] == ["a.jpg", "b.png", "c.webp"]
    read = pictures.read(found)
    assert [p.from_jpeg for p in read] == [True, False, False]
    assert read[1].rgb.shape == (120, 160, 3)
    assert len({p.digest for p in read}) == 3
    (tmp_path / "empty").mkdir()
    for bad in ("missing.png", "empty"):
        with pytest.raises(InputError, match=bad):
            pictures.gather([str(tmp_path / bad)])
    with pytest.raises(InputError, match=r"notes\.txt"):
        pictures.read([str(tmp_path / "notes.txt")])


def test_what_a_folder_run_would_not_take_is_not_gathered(tmp_path: Path) -> None:
    (tmp_path / "below" / "more").mkdir(parents=True)
    samples.photograph().save(tmp_path / "a.png")
    samples.photograph().save(tmp_path / "._b.png")
    (tmp_path / "._a.png").write_bytes(b"\0\x05\x16\x07 attributes of a.png")
    found = pictures.gather([str(tmp_path)])
    assert [Path(path).name for path in found] == ["._b.png", "a.png"]
    assert not pictures.has_more_below(str(tmp_path))
    samples.photograph().save(tmp_path / "below" / "more" / "c.png")
    assert pictures.has_more_below(str(tmp_path))


def test_what_is_left_out_of_a_picture_is_noted(tmp_path: Path) -> None:
    Image.new("I;16", (64, 64), 258).save(tmp_path / "deep.png")
    clear = samples.photograph().convert("RGBA")
    clear.putalpha(Image.new("L", clear.size, 9))
    clear.save(tmp_path / "clear.png")
    deep, seen = pictures.read([str(tmp_path / "deep.png"), str(tmp_path / "clear.png")])
    assert deep.notes == ("16 bits a channel reduced to 8",)
    assert [note.partition(":")[0] for note in seen.notes] == ["transparency is left out"]


def test_the_smoke_set_is_there_and_marked() -> None:
    read = pictures.read(pictures.bundled())
    assert [p.name for p in read] == list(pictures.SMOKE_SET)
    assert [p.name for p in read if p.from_jpeg] == ["hubble_deep_field.jpg", "rocket.jpg"]


def test_same_names_in_two_folders_stay_apart(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        samples.photograph().save(tmp_path / folder / "a.png")
    read = pictures.read(pictures.gather([str(tmp_path / "x"), str(tmp_path / "y")]))
    assert len({p.name for p in read}) == 2


# --- the slider's scenes --------------------------------------------------------------------------


def test_scenes_show_the_pixels_that_were_measured(rgb: np.ndarray) -> None:
    ours, jpeg = codecs.find("aecodec"), codecs.find("jpeg")
    scene = scenes.at_equal_size(photograph(rgb), ours, [jpeg], 30)
    original, first, second = scene.views
    data = ours.load().encode(rgb, 30)
    assert f"{len(data):,} bytes" in first.detail
    assert second.mime == "image/jpeg"
    for view, expected in ((original, rgb), (first, ours.load().decode(data))):
        np.testing.assert_array_equal(decode(view.data), expected)
    assert len(second.data) >= len(data)
    assert scene.bits is not None
    assert scene.as_json()["bits"]["rows"] == math.ceil(rgb.shape[0] / 16)


def test_a_large_picture_is_shown_in_part(rgb: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "LARGEST", 30_000)
    monkeypatch.setattr(scenes, "PART", (96, 64))
    scene = scenes.at_equal_size(photograph(rgb), codecs.find("klt"), [codecs.find("jpeg")], 30)
    assert (scene.width, scene.height) == (96, 64)
    assert scene.note == "96 × 64 pixels from the middle of 203 × 170"
    for view in scene.views:
        assert decode(view.data).shape == (64, 96, 3)
    middle = decode(scene.views[0].data)
    np.testing.assert_array_equal(middle, rgb[53:117, 53:149])


def test_too_many_scenes_are_slimmed(rgb: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scenes.at_equal_size(photograph(rgb), codecs.find("klt"), [codecs.find("jpeg")], 30)
    said: list[str] = []
    assert scenes.slimmed([scene], said.append) == [scene]
    assert not said
    monkeypatch.setattr(scenes, "BUDGET", 1000)
    (slim,) = scenes.slimmed([scene], said.append)
    assert said
    assert "WebP at quality 95" in slim.note
    assert len(slim.views[0].data) < len(scene.views[0].data)
    assert slim.views[2] == scene.views[2]  # a JPEG stays the very file
