"""`.aec` through Pillow, and through what reads by way of Pillow."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import imageio.v2
import imageio.v3
import numpy as np
import pytest
import samples
import skimage.io
from command import run
from PIL import Image

import aecodec
from aecodec import bitstream
from aecodec.errors import NotAecError, TruncatedError
from aecodec.pillow_plugin import AecFileError


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    samples.photograph().save(folder / "photo.png")
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    samples.photograph().save(
        folder / "photo.aec", exif=exif, icc_profile=samples.srgb(), xmp=b"<x/>"
    )
    return folder


def pixels(path: Path) -> np.ndarray:
    return np.asarray(aecodec.decompress(path.read_bytes()))


# --- Reading ------------------------------------------------------------------------------------


def test_what_pillow_knows_of_the_format() -> None:
    aecodec.register_pillow()
    assert Image.registered_extensions()[".aec"] == "AEC"
    assert Image.MIME["AEC"] == "image/x-aec"
    assert "AEC" in Image.OPEN
    assert "AEC" in Image.SAVE


@pytest.mark.parametrize(
    "statement", ["import aecodec.pillow_plugin", "import aecodec; aecodec.register_pillow()"]
)
def test_registering_in_a_fresh_interpreter(shelf: Path, statement: str) -> None:
    code = f"{statement}\nfrom PIL import Image\nprint(Image.open('photo.aec').size)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=shelf, capture_output=True, check=True, text=True
    )
    assert done.stdout == "(160, 120)\n"


def test_opening_reads_no_pixels(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the bytes of the tiles are there when the picture is opened."""
    data = (shelf / "photo.aec").read_bytes()
    tile = next(s for s in bitstream.parse(data).sections if s.name == "TILE")

    class Counting(io.BytesIO):
        furthest = 0

        def read(self, size: int | None = -1, /) -> bytes:
            got = super().read(size)
            Counting.furthest = max(Counting.furthest, self.tell())
            return got

    monkeypatch.setattr(Image, "ID", ["AEC"])  # others read on to see whether it is theirs
    with Image.open(Counting(data)) as picture:
        assert picture.format == "AEC"
        assert picture.get_format_mimetype() == "image/x-aec"
        assert (picture.size, picture.mode) == ((160, 120), "RGB")
        assert picture.info["quality"] == 75
        assert picture.info["xmp"] == b"<x/>"
        assert picture.getexif()[0x010F] == "Maker"
        assert Counting.furthest <= tile.offset + bitstream.MAX_HEADER_SIZE
        picture.load()
        assert Counting.furthest == len(data)


def test_pixels_and_metadata_are_those_of_decompress(shelf: Path) -> None:
    expected = aecodec.decompress((shelf / "photo.aec").read_bytes())
    with Image.open(shelf / "photo.aec") as picture:
        assert np.array_equal(np.asarray(picture), np.asarray(expected))
        assert expected.info.items() <= picture.info.items()


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_modes(mode: str) -> None:
    source = samples.photograph().convert(mode)
    buffer = io.BytesIO()
    source.save(buffer, "AEC", quality=90)
    with Image.open(buffer) as picture:
        assert picture.mode == mode
        loaded = np.asarray(picture)
        assert picture.mode == mode
    assert np.array_equal(loaded, np.asarray(aecodec.decompress(buffer.getvalue())))


def test_a_picture_in_the_middle_of_a_file(shelf: Path) -> None:
    data = (shelf / "photo.aec").read_bytes()
    file = io.BytesIO(b"before" + data)
    file.seek(6)
    with aecodec.open(file) as picture:
        assert np.array_equal(np.asarray(picture), pixels(shelf / "photo.aec"))


def test_an_open_picture_can_be_copied_turned_and_sent_to_another_process(shelf: Path) -> None:
    expected = pixels(shelf / "photo.aec")
    with Image.open(shelf / "photo.aec") as picture:
        assert np.array_equal(np.asarray(picture.copy()), expected)
        assert np.array_equal(np.asarray(picture.rotate(180)), expected[::-1, ::-1])
        assert np.array_equal(np.asarray(pickle.loads(pickle.dumps(picture))), expected)  # noqa: S301


def test_a_thumbnail_of_a_picture_from_another_process_shows_all_of_it(shelf: Path) -> None:
    """Its pixels are there already: `draft` has nothing to choose."""
    with Image.open(shelf / "photo.aec") as picture:
        sent = pickle.loads(pickle.dumps(picture))  # noqa: S301
        copied = copy.deepcopy(picture)
    expected = aecodec.decompress((shelf / "photo.aec").read_bytes())
    expected.thumbnail((24, 24))
    for other in (sent, copied):
        assert other.draft("RGB", (8, 8)) is None
        other.thumbnail((24, 24))
        assert np.array_equal(np.asarray(other), np.asarray(expected))


def test_what_is_opened_is_a_path_or_a_file(shelf: Path) -> None:
    data = (shelf / "photo.aec").read_bytes()
    for wrong in (data, None, 5, io.StringIO("text")):
        with pytest.raises(TypeError, match=f"not {type(wrong).__name__}; decompress takes bytes"):
            aecodec.open(wrong)  # type: ignore[arg-type]
    with subprocess.Popen(["cat", shelf / "photo.aec"], stdout=subprocess.PIPE) as cat:
        assert cat.stdout is not None
        assert np.array_equal(np.asarray(aecodec.open(cat.stdout)), pixels(shelf / "photo.aec"))


def test_the_file_is_closed_when_it_is_decoded_and_when_it_is_not(shelf: Path) -> None:
    picture = Image.open(shelf / "photo.aec")
    file = picture.fp
    picture.load()
    assert file is not None
    assert file.closed
    with Image.open(shelf / "photo.aec") as unused:
        file = unused.fp
    assert file is not None
    assert file.closed
    stream = io.BytesIO((shelf / "photo.aec").read_bytes())
    Image.open(stream).load()
    assert not stream.closed, "the caller's file is the caller's"


def test_verify(shelf: Path) -> None:
    with Image.open(shelf / "photo.aec") as picture:
        picture.verify()
    damaged = bytearray((shelf / "photo.aec").read_bytes())
    damaged[-1] ^= 1
    with pytest.raises(AecFileError, match="checksum"), Image.open(io.BytesIO(damaged)) as picture:
        picture.verify()


# --- Errors -------------------------------------------------------------------------------------


def test_faults_are_oserrors_and_ours(shelf: Path, tmp_path: Path) -> None:
    data = (shelf / "photo.aec").read_bytes()
    with pytest.raises(AecFileError, match=f"{len(data) - 9} of {len(data)} bytes") as caught:
        Image.open(io.BytesIO(data[:-9]))
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, aecodec.AecodecError)
    assert isinstance(caught.value.__cause__, TruncatedError)

    damaged = bytearray(data)
    damaged[-1] ^= 1
    with Image.open(io.BytesIO(damaged)) as picture, pytest.raises(OSError, match="checksum"):
        picture.load()

    with pytest.raises(AecFileError, match="it is a PNG") as caught:
        aecodec.open(shelf / "photo.png")
    assert isinstance(caught.value.__cause__, NotAecError)
    with pytest.raises(FileNotFoundError):
        aecodec.open(tmp_path / "absent.aec")
    with pytest.raises(Image.UnidentifiedImageError):
        Image.open(io.BytesIO(b"no picture"))


def test_every_damage_to_the_front_is_an_error_or_harmless(shelf: Path) -> None:
    """Each byte before the pixels, flipped: never anything but an AecFileError from Pillow."""
    data = (shelf / "photo.aec").read_bytes()
    tile = next(s for s in bitstream.parse(data).sections if s.name == "TILE")
    refused = 0
    for position in range(8, tile.start, 3):
        damaged = bytearray(data)
        damaged[position] ^= 0x55
        try:
            aecodec.open(io.BytesIO(damaged)).close()
        except AecFileError:
            refused += 1
    assert refused > tile.offset / 3 * 0.9
    for length in range(0, tile.start, 7):
        with pytest.raises(AecFileError):
            aecodec.open(io.BytesIO(data[:length]))


def test_too_many_pixels(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(shelf / "photo.aec")
    monkeypatch.setattr(bitstream, "DEFAULT_MAX_PIXELS", 1000)
    with pytest.raises(AecFileError, match="160x120 is more than 1000 pixels"):
        aecodec.open(shelf / "photo.aec")


# --- Writing ------------------------------------------------------------------------------------


def test_save_is_compress(tmp_path: Path) -> None:
    photo = samples.photograph()
    for quality in (20, 75):
        photo.save(tmp_path / "photo.aec", quality=quality)
        assert (tmp_path / "photo.aec").read_bytes() == aecodec.compress(photo, quality)
    photo.save(tmp_path / "photo.aec")
    assert (tmp_path / "photo.aec").read_bytes() == aecodec.compress(photo)
    small = photo.crop((0, 0, 64, 64))
    small.save(tmp_path / "small.aec", effort=2)
    data = (tmp_path / "small.aec").read_bytes()
    assert data == aecodec.compress(small, effort=2) != aecodec.compress(small)
    for target in ({"target_size": 900}, {"target_bpp": 1.5}, {"target_psnr": 33.0}):
        small.save(tmp_path / "small.aec", **target)
        assert (tmp_path / "small.aec").read_bytes() == aecodec.compress(small, **target)
    with pytest.raises(ValueError, match="effort must be"):
        small.save(tmp_path / "small.aec", effort=10)
    for bad in (0, 101):
        with pytest.raises(ValueError, match="quality must be 1 to 100"):
            photo.save(io.BytesIO(), "AEC", quality=bad)
    with pytest.raises(AecFileError, match="no weights called 'absent'"):
        photo.save(io.BytesIO(), "AEC", model="absent")


def test_save_takes_all_that_compress_takes() -> None:
    small = samples.photograph().crop((0, 0, 64, 48))
    mask = np.zeros((48, 64), bool)
    mask[8:20, 10:30] = True
    for options in ({"without": mask}, {"denoise": 5, "grain": True}, {"threads": 1}):
        buffer = io.BytesIO()
        small.save(buffer, "AEC", **options)
        assert buffer.getvalue() == aecodec.compress(small, **options)
    with pytest.raises(ValueError, match="threads must be 0 or more"):
        small.save(io.BytesIO(), "AEC", threads=-1)
    with pytest.raises(ValueError, match="device must be one of"):
        small.save(io.BytesIO(), "AEC", device="tpu")
    with pytest.raises(AecFileError, match="3072 pixels, and the limit is 3071"):
        small.save(io.BytesIO(), "AEC", max_pixels=3071)


def test_metadata_is_kept_replaced_or_left_out() -> None:
    photo = samples.photograph()
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    photo.info.update(exif=exif.tobytes(), icc_profile=b"", xmp=b"<old/>")

    def saved(**options: object) -> dict[str, object]:
        buffer = io.BytesIO()
        photo.save(buffer, "AEC", **options)
        with Image.open(buffer) as picture:
            return {**picture.info, "exif": picture.getexif().get(0x010F)}

    assert saved()["xmp"] == b"<old/>"
    assert saved()["exif"] == "Maker"
    assert saved(xmp=b"<new/>")["xmp"] == b"<new/>"
    assert "xmp" not in saved(xmp=None)
    assert saved(exif=b"")["exif"] is None
    other = Image.Exif()
    other[0x010F] = "Other"
    assert saved(exif=other)["exif"] == "Other"
    assert saved(exif=other.tobytes())["exif"] == "Other"
    assert "dpi" not in saved()
    assert saved(dpi=(300, 150))["dpi"] == pytest.approx((300, 150))
    photo.info["dpi"] = (72, 72)
    assert saved()["dpi"] == pytest.approx((72, 72))
    assert saved(dpi=(300, 150))["dpi"] == pytest.approx((300, 150))
    assert "dpi" not in saved(dpi=None)
    assert "comment" not in saved()
    assert saved(comment="new")["comment"] == b"new"
    photo.info["texts"] = (("", "old", "", ""), ("Title", "a cup", "", ""))
    replaced = saved(comment=b"new")
    assert replaced["comment"] == b"new"
    assert [tuple(text)[:2] for text in replaced["texts"]] == [("Title", "a cup"), ("", "new")]
    assert "comment" not in saved(comment=None)
    assert "old" in str(photo.info["texts"])
    assert photo.info["xmp"] == b"<old/>", "the caller's picture is left alone"

    with warnings.catch_warnings():  # nothing is said of an EXIF that was never there
        warnings.simplefilter("error")
        buffer = io.BytesIO()
        Image.new("RGB", (9, 9)).save(buffer, "AEC", xmp="<text/>")
    assert Image.open(buffer).info["xmp"] == b"<text/>"


def test_what_is_lost_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="palette converted to RGB") as caught:
        samples.photograph().quantize(16).save(io.BytesIO(), "AEC")
    assert caught[0].filename == __file__


# --- By way of Pillow ---------------------------------------------------------------------------


def test_imageio_and_scikit_image(shelf: Path) -> None:
    expected = pixels(shelf / "photo.aec")
    path = shelf / "photo.aec"
    assert np.array_equal(imageio.v3.imread(path), expected)
    assert np.array_equal(imageio.v2.imread(path), expected)
    assert np.array_equal(skimage.io.imread(path), expected)
    assert np.array_equal(imageio.v3.imread(path.read_bytes(), extension=".aec"), expected)
    assert imageio.v3.improps(path).shape == expected.shape


def test_imageio_writes(tmp_path: Path) -> None:
    photo = samples.photograph()
    imageio.v3.imwrite(tmp_path / "photo.aec", np.asarray(photo), quality=60)
    assert (tmp_path / "photo.aec").read_bytes() == aecodec.compress(photo, 60)


def test_all_ways_give_the_same_pixels(tmp_path: Path) -> None:
    """Opened in Pillow, saved as .aec, opened by imageio, saved as PNG: as the command line."""
    samples.photograph("rocket.jpg").save(tmp_path / "photo.png")
    with Image.open(tmp_path / "photo.png") as picture:
        picture.save(tmp_path / "by_pillow.aec", quality=60)
    imageio.v3.imwrite(tmp_path / "by_imageio.png", imageio.v3.imread(tmp_path / "by_pillow.aec"))

    assert run("compress", "photo.png", "-q", "60", cwd=tmp_path).returncode == 0
    assert (tmp_path / "photo.aec").read_bytes() == (tmp_path / "by_pillow.aec").read_bytes()
    assert run("decompress", "photo.aec", "-o", "back.png", cwd=tmp_path).returncode == 0
    with Image.open(tmp_path / "by_imageio.png") as a, Image.open(tmp_path / "back.png") as b:
        assert np.array_equal(np.asarray(a), np.asarray(b))


def test_a_folder_of_classes_as_torchvision_reads_it(tmp_path: Path) -> None:
    """`ImageFolder(root, loader=aecodec.open, ...)`, as torchvision's documentation has it."""
    torch_data = pytest.importorskip("torch.utils.data")
    for name, source in (("people", "astronaut.png"), ("machines", "rocket.jpg")):
        (tmp_path / name).mkdir()
        samples.photograph(source).save(tmp_path / name / "1.aec")

    class Folder(torch_data.Dataset):  # type: ignore[misc, name-defined]
        """What torchvision's ImageFolder does, without torchvision."""

        def __init__(self, root: Path) -> None:
            self.files = sorted(root.glob("*/*.aec"))
            self.classes = sorted({path.parent.name for path in self.files})

        def __len__(self) -> int:
            return len(self.files)

        def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
            picture = aecodec.open(self.files[index]).convert("RGB")
            return np.array(picture), self.classes.index(self.files[index].parent.name)

    batches = list(torch_data.DataLoader(Folder(tmp_path), batch_size=2))
    assert len(batches) == 1
    images, labels = batches[0]
    assert images.shape == (2, 120, 160, 3)
    assert labels.tolist() == [0, 1]
    assert np.array_equal(images[1].numpy(), pixels(tmp_path / "people" / "1.aec"))
