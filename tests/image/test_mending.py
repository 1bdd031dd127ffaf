"""What Pillow misreads of TIFF, JPEG 2000, PSD and FITS: each gives its values, or an error."""

from __future__ import annotations

import io
import itertools
import struct
import zlib

import numpy as np
import pytest
import samples
from PIL import Image
from tiffs import Ifd, packed_bits, picture, tiff

from aecodec.errors import InputError
from aecodec.image import mending
from aecodec.image.load import load
from aecodec.image.picture import Picture

imagecodecs = pytest.importorskip("imagecodecs")

W, H = 36, 24
Y, X = np.mgrid[0:H, 0:W]
BASE = np.stack([X * 7, Y * 10, 255 - X * 5 - Y * 2, 100 + X + Y, X * 3 + Y], -1).astype(np.uint8)


def written(
    values: np.ndarray,
    bits: int,
    photometric: int,
    *,
    planar: bool = False,
    packed: bool = False,
    order: str = "<",
    extra: tuple[int, ...] = (),
    sample_format: int = 1,
    rows: int = 7,
    tags: dict[int, tuple[int, object]] | None = None,
) -> bytes:
    """A TIFF of these values (H,W,C)."""
    code = {1: "u", 2: "i", 3: "f"}[sample_format]
    planes = [values[..., c : c + 1] for c in range(values.shape[2])] if planar else [values]
    blocks = []
    for plane, row in itertools.product(planes, range(0, H, rows)):
        part = plane[row : row + rows]
        if bits % 8 or bits == 24:
            block = packed_bits(part.reshape(len(part), -1).astype(np.uint32), bits)
        else:
            block = part.astype(f"{order}{code}{bits // 8}").tobytes()
        blocks.append(zlib.compress(block) if packed else block)
    return tiff(
        picture(
            blocks,
            W,
            H,
            photometric=photometric,
            bits=[bits] * values.shape[2],
            compression=8 if packed else 1,
            planar=2 if planar else 1,
            rows=rows,
            extra=extra,
            sample_format=sample_format,
            tags=tags,
        ),
        order=order,
    )


def layouts() -> list[dict[str, object]]:
    return [
        {"order": order, "packed": packed, "planar": planar}
        for order in "<>"
        for packed in (False, True)
        for planar in (False, True)
    ]


def read(data: bytes) -> Picture | None:
    """The picture; None if it is refused in one line."""
    try:
        return load(data)
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) < 200
        return None


def equal(got: np.ndarray, want: np.ndarray, within: float = 1.5) -> bool:
    return bool(abs(got.astype(float) - want).max() <= within)


# What may be refused, of all that follows: in these Pillow is wrong and nothing short mends it.
REFUSED_GREY = {(12, 0, "<"), (12, 0, ">"), (12, 1, ">"), (16, 0, ">")}


def test_grey_of_every_depth() -> None:
    refused = set()
    for bits, photometric, order, packed in itertools.product(
        (1, 2, 4, 8, 12, 16), (0, 1), "<>", (False, True)
    ):
        levels = BASE[..., 0].astype(np.uint32) * (2**bits - 1) // 255
        stored = levels if photometric else 2**bits - 1 - levels
        got = read(written(stored[..., None], bits, photometric, packed=packed, order=order))
        if got is None:
            refused.add((bits, photometric, order))
            continue
        assert equal(got.rgb[..., 0], levels * 255 / (2**bits - 1)), (bits, photometric, order)
        assert got.mode == "L"
        assert any("bits a channel" in note for note in got.notes) == (bits > 8)
    assert refused == REFUSED_GREY


def test_numbers_that_are_not_unsigned() -> None:
    grey = BASE[..., :1].astype(np.int64)
    for order, packed in itertools.product("<>", (False, True)):
        how = {"order": order, "packed": packed}
        signed = read(written(grey - 128, 8, 1, sample_format=2, **how))  # type: ignore[arg-type]
        assert signed is not None and equal(signed.rgb[..., :1], grey, 0)
        assert signed.notes == ("signed values of 8 bits: 128 added",)
        for bits, scale in ((16, 257), (32, 16843009)):
            values = grey * scale - 2 ** (bits - 1)
            got = read(written(values, bits, 1, sample_format=2, **how))  # type: ignore[arg-type]
            low, high = grey.min(), grey.max()
            assert got is not None
            assert equal(got.rgb[..., :1], (grey - low) * 255 / (high - low)), (bits, how)
        floats = read(written(grey / 255, 32, 1, sample_format=3, **how))  # type: ignore[arg-type]
        assert floats is not None and equal(floats.rgb[..., :1], grey), how
        turned = read(written(1 - grey / 255, 32, 0, sample_format=3, **how))  # type: ignore[arg-type]
        assert turned is not None and equal(turned.rgb[..., :1], grey), how
        whole = read(written(grey * 16843009, 32, 1, **how))  # type: ignore[arg-type]
        if order == ">":
            assert whole is None
        else:
            assert whole is not None and equal(whole.rgb[..., :1], grey), how
            assert len(whole.notes) == 1 and "32-bit values" in whole.notes[0]


def test_colours_in_every_layout() -> None:
    read_right = 0
    for how in layouts():
        for bits, scale in ((8, 1), (16, 257)):
            deep = tuple(f"{n} bits a channel reduced to 8" for n in (16,) if bits == 16)
            rgb, alpha = BASE[..., :3], BASE[..., 3]
            got = read(written(rgb.astype(int) * scale, bits, 2, **how))  # type: ignore[arg-type]
            assert got is not None and equal(got.rgb, rgb) and got.notes == deep, (bits, how)
            four = BASE[..., :4].astype(int) * scale
            got = read(written(four, bits, 2, extra=(2,), **how))  # type: ignore[arg-type]
            assert got is not None and got.alpha is not None
            assert equal(got.rgb, rgb) and equal(got.alpha, alpha) and got.notes == deep
            # Associated alpha, further channels, and what says nothing of its fourth channel.
            below = np.dstack([np.minimum(rgb, alpha[..., None]), alpha]).astype(int)
            got = read(written(below * scale, bits, 2, extra=(1,), **how))  # type: ignore[arg-type]
            if got is not None:
                read_right += 1
                colours = below[..., :3] * 255 / np.maximum(alpha, 1)[..., None]
                assert got.alpha is not None
                assert equal(got.rgb, colours, 2.5) and equal(got.alpha, alpha), (bits, how)
            got = read(written(four, bits, 2, **how))  # type: ignore[arg-type]
            if got is not None:
                read_right += 1
                assert got.alpha is not None and equal(got.rgb, rgb) and equal(got.alpha, alpha)
            for extra in ((0,), (2, 0), (0, 0)):
                more = np.dstack([rgb, BASE[..., 3 : 3 + len(extra)]]).astype(int) * scale
                got = read(written(more, bits, 2, extra=extra, **how))  # type: ignore[arg-type]
                if got is not None:
                    read_right += 1
                    assert equal(got.rgb, rgb) and "further channels" in got.notes, (extra, how)
    assert read_right > 35


def lab_as_srgb(values: np.ndarray) -> np.ndarray:
    """CIELab under D50, a and b above 0, by the formulas of CIE 15 and IEC 61966-2-1."""
    y = (values[..., 0] * (100 / 255) + 16) / 116
    f = np.stack([y + values[..., 1] / 500, y, y - values[..., 2] / 200], -1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
    srgb_to_xyz = [
        [0.43607, 0.38506, 0.14308],
        [0.22250, 0.71688, 0.06062],
        [0.01393, 0.0971, 0.71417],
    ]
    linear = (xyz @ np.linalg.inv(srgb_to_xyz).T).clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def test_grey_with_transparency_palettes_cmyk_lab_and_ycbcr() -> None:
    read_right = 0
    ramp = list(range(0, 65536, 257)) * 3
    cmyk = Image.frombytes("CMYK", (W, H), BASE[..., :4].tobytes()).convert("RGB")
    near = np.dstack([BASE[..., 0] // 2 + 60, BASE[..., 1] // 8, BASE[..., 2] // 8])
    chroma = 128 + (BASE[..., 1:3].astype(int) - 128) // 4
    ycbcr = np.dstack([BASE[..., 0], chroma]).astype(np.uint8)
    as_rgb = Image.frombytes("YCbCr", (W, H), ycbcr.tobytes()).convert("RGB")
    cases = [
        (BASE[..., [0, 3]], 1, {"extra": (2,)}, BASE[..., [0, 0, 0]]),
        (BASE[..., [0, 3]], 1, {"extra": (0,)}, BASE[..., [0, 0, 0]]),
        (BASE[..., [0, 3]], 3, {"extra": (2,), "tags": {320: (3, ramp)}}, BASE[..., [0, 0, 0]]),
        (BASE[..., :1], 3, {"tags": {320: (3, ramp)}}, BASE[..., [0, 0, 0]]),
        (BASE[..., :1], 3, {"tags": {320: (3, [v >> 8 for v in ramp])}}, BASE[..., [0, 0, 0]]),
        (BASE[..., :4], 5, {}, np.asarray(cmyk)),
        (BASE[..., :5], 5, {"extra": (0,)}, np.asarray(cmyk)),
        (near, 8, {}, lab_as_srgb(near)),
        (ycbcr, 6, {"tags": {530: (3, [1, 1])}}, np.asarray(as_rgb)),
    ]
    for how in layouts():
        for values, photometric, more, want in cases:
            for bits, scale in ((8, 1), (16, 257)):
                data = written(values.astype(int) * scale, bits, photometric, **how, **more)  # type: ignore[arg-type]
                got = read(data)
                if got is None:
                    continue
                read_right += 1
                assert equal(got.rgb, want, 6 if photometric == 8 else 3), (
                    photometric,
                    bits,
                    how,
                    more,
                )
                if more.get("extra") == (2,):
                    assert got.alpha is not None and equal(got.alpha, BASE[..., 3])
    assert read_right > 55
    subsampled = written(ycbcr.astype(int), 8, 6)  # two by two, unless it says otherwise
    with pytest.raises(InputError, match="YCbCr with subsampling"):
        load(subsampled)


def test_what_pillow_does_not_open_is_described() -> None:
    cases = {
        "RGB, 32-bit floating-point values": written(BASE[..., :3] / 255, 32, 2, sample_format=3),
        "greyscale, 64-bit floating-point": written(BASE[..., :1] / 255, 64, 1, sample_format=3),
        "RGB, 32-bit values, separate planes": written(
            BASE[..., :3].astype(int), 32, 2, planar=True
        ),
        "8-bit values, 9 channels": written(np.zeros((H, W, 9), int), 8, 1),
        "LogLuv": written(BASE[..., :3].astype(int), 16, 32845),
        "compressed as JPEG 2000": tiff(picture([b"x"], W, H, compression=34712)),
        "without a picture": tiff(Ifd({270: (2, "a text")})),
    }
    for words, data in cases.items():
        with pytest.raises(InputError) as caught:
            load(data)
        assert words in str(caught.value), words
    assert mending.described(memoryview(b"not a TIFF")) is None


def test_an_image_that_pillow_has_loaded_already() -> None:
    data = written(BASE[..., :3].astype(int) * 257, 16, 2, planar=True)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        with pytest.raises(InputError, match="give the file"):
            load(image)
    with Image.open(io.BytesIO(data)) as image:
        assert equal(load(image).rgb, BASE[..., :3])


# --- Bad sectors of a TIFF ----------------------------------------------------------------------

DAMAGE = "the file is damaged: blocks of the picture are missing or wrong"


@pytest.mark.parametrize("compression", ["zlib", "jpeg", "lzw"])
@pytest.mark.parametrize("options", [{}, {"rowsperstrip": 240}, {"tile": (64, 64)}])
def test_a_bad_sector_is_noted_or_refused(compression: str, options: dict[str, object]) -> None:
    """libtiff shows a wrong picture without a word where deflate or JPEG is damaged."""
    tifffile = pytest.importorskip("tifffile")
    photo = np.asarray(samples.photograph(box=(0, 0, 320, 240)))
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, photo, photometric="rgb", compression=compression, **options)
    data = buffer.getvalue()
    whole = load(data)
    assert whole.notes == ()
    rng = np.random.default_rng(26)
    told = 0
    for turn in range(20):
        damaged = bytearray(data)
        at = int(rng.integers(2000, len(data) - 2000))
        sector = bytes(512) if turn % 2 else rng.bytes(512)
        damaged[at : at + 512] = sector
        got = read(bytes(damaged))
        told += got is None or got.notes == (DAMAGE,)
    # A run of zeros in a JPEG may be as long as what stood there: then nothing shows it.
    assert told == 20 or (compression == "jpeg" and told >= 16)


def test_a_deflate_stream_that_gives_too_much_is_damaged() -> None:
    fill = zlib.compress(bytes(10**7))
    assert load(tiff(picture([fill], W, H, compression=8))).notes == (DAMAGE,)
    ends_early = zlib.compress(BASE[..., :3].tobytes())[:-4]  # without its checksum
    assert load(tiff(picture([ends_early], W, H, compression=8))).notes == (DAMAGE,)


# --- JPEG 2000 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 2, 4, 7, 8, 9, 10, 12, 14, 16])
@pytest.mark.parametrize("format", ["jp2", "j2k"])
def test_jpeg_2000_of_every_depth(bits: int, format: str) -> None:
    top = 2**bits - 1
    ramp = np.linspace(0, top, 48).round().astype(int)  # with black and white
    for channels, signed in itertools.product((1, 2, 3, 4), (False, True)):
        values = np.stack([np.roll(np.tile(ramp, (20, 1)), 7 * c, 1) for c in range(channels)], -1)
        stored = values - (2 ** (bits - 1) if signed else 0)
        kind = ("i" if signed else "u") + ("1" if bits <= 8 else "2")
        data = imagecodecs.jpeg2k_encode(
            stored.astype(kind).squeeze(), codecformat=format, reversible=True, bitspersample=bits
        )
        got = load(data)
        want = values * 255 / top
        assert equal(got.rgb[..., 0], want[..., 0])
        if channels > 2:
            assert equal(got.rgb, want[..., :3])
        if channels in (2, 4):
            assert got.alpha is not None and equal(got.alpha, want[..., -1])
        assert (f"{bits} bits a channel reduced to 8" in got.notes) == (bits > 8)
        assert any("signed" in note for note in got.notes) == signed


def test_jpeg_2000_above_8_bits_however_it_is_coded() -> None:
    """Pillow turns white to black there; which zeros are white, is found by a second decoding."""
    rng = np.random.default_rng(26)
    for _ in range(60):
        bits, channels = int(rng.integers(9, 17)), int(rng.choice([2, 3, 4]))
        height, width = rng.integers(8, 90, 2)
        top = 2**bits - 1
        near = rng.integers(0, 3 * 2 ** (bits - 9) + 1, (height, width, channels))
        values = np.where(rng.random(near.shape) < 0.5, near, top - near).astype(np.uint16)
        options: dict[str, object] = {"reversible": bool(rng.integers(2))}
        if not options["reversible"]:
            options["level"] = int(rng.choice([0, 40, 90]))
        data = imagecodecs.jpeg2k_encode(
            values,
            codecformat=str(rng.choice(["jp2", "j2k"])),
            bitspersample=bits,
            resolutions=int(rng.choice([1, 3, 6])),
            mct=channels == 3 and bool(rng.integers(2)),
            **options,
        )
        want = imagecodecs.jpeg2k_decode(data).astype(float) * 255 / top
        got = load(data)
        assert equal(got.rgb[..., 0], want[..., 0]), (bits, channels, options)
        if got.alpha is not None:
            assert equal(got.alpha, want[..., -1])


def test_jpeg_2000_in_colours_that_pillow_takes_for_rgb() -> None:
    data = imagecodecs.jpeg2k_encode(BASE[..., :3], codecformat="jp2", reversible=True)
    at = data.index(b"colr") + 7
    for number in (1, 3, 4, 11, 14, 24):
        with pytest.raises(InputError, match=f"colour space that is not read .number {number}"):
            load(data[:at] + struct.pack(">I", number) + data[at + 4 :])
    assert load(data).notes == ()
    deep = imagecodecs.jpeg2k_encode(
        BASE[..., :3].astype(np.uint16) * 257, codecformat="jp2", reversible=True, mct=False
    )
    at = deep.index(b"colr") + 7
    with pytest.raises(InputError, match="sYCC above 8 bits"):
        load(deep[:at] + struct.pack(">I", 18) + deep[at + 4 :])


# --- PSD ----------------------------------------------------------------------------------------


def psd(
    planes: np.ndarray,
    mode: int,
    *,
    depth: int = 8,
    runs: bool = False,
    layers: int = 0,
    compression: int | None = None,
) -> bytes:
    """A PSD of these planes (C,H,W); a negative number of layers says that alpha is theirs."""
    channels, height, width = planes.shape
    data = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", channels, height, width, depth, mode)
    palette = bytes(range(256)) * 3 if mode == 2 else b""
    data += struct.pack(">I", len(palette)) + palette + bytes(4)
    record = bytes(18) + b"8BIMnorm\xff\0\0\0" + struct.pack(">I", 12) + bytes(8) + b"\3one"
    layer_info = struct.pack(">h", layers) + abs(layers) * record
    section = struct.pack(">I", len(layer_info)) + layer_info + bytes(4) if layers else b""
    data += struct.pack(">I", len(section)) + section
    if depth == 1:
        rows = [np.packbits(row).tobytes() for plane in planes for row in plane]
    else:
        rows = [row.tobytes() for plane in planes for row in plane]
    if not runs:
        return data + struct.pack(">H", compression or 0) + b"".join(rows)
    coded = [b"".join(bytes([0, value]) for value in row) for row in rows]  # runs of one byte
    return data + b"\0\1" + struct.pack(f">{len(rows)}H", *map(len, coded)) + b"".join(coded)


@pytest.mark.parametrize("runs", [False, True])
def test_psd(runs: bool) -> None:
    planes = np.moveaxis(BASE, 2, 0)
    rgb = load(psd(planes[:3], 3, runs=runs))
    np.testing.assert_array_equal(rgb.rgb, BASE[..., :3])
    assert (rgb.mode, rgb.notes) == ("RGB", ())
    # A fourth channel is a saved selection, unless layers say that it is their transparency.
    selection = load(psd(planes[:4], 3, runs=runs))
    np.testing.assert_array_equal(selection.rgb, BASE[..., :3])
    assert (selection.mode, selection.notes) == ("RGB", ("further channels",))
    merged = load(psd(planes[:4], 3, runs=runs, layers=-1))
    assert merged.alpha is not None and equal(merged.alpha, BASE[..., 3], 0)
    assert merged.notes == ("layers",)
    five = load(psd(planes, 3, runs=runs))
    np.testing.assert_array_equal(five.rgb, BASE[..., :3])
    assert five.notes == ("further channels",)
    grey = load(psd(planes[:1], 1, runs=runs))
    assert grey.mode == "L" and equal(grey.rgb[..., 0], BASE[..., 0], 0) and grey.notes == ()
    two = load(psd(planes[:2], 1, runs=runs))
    assert equal(two.rgb[..., 0], BASE[..., 0], 0) and two.notes == ("further channels",)
    inks = load(psd(255 - planes[:4], 4, runs=runs))
    want = Image.frombytes("CMYK", (W, H), BASE[..., :4].tobytes()).convert("RGB")
    np.testing.assert_array_equal(inks.rgb, np.asarray(want))
    palette = load(psd(planes[:1], 2, runs=runs))
    np.testing.assert_array_equal(palette.rgb, BASE[..., [0, 0, 0]])
    black = (planes[:1] > 100).astype(np.uint8)
    bitmap = load(psd(black, 0, depth=1, runs=runs))  # 1 is black
    assert equal(bitmap.rgb[..., 0], 255 * (1 - black[0].astype(int)), 0)
    duotone = load(psd(planes[:1], 8, runs=runs))
    assert duotone.mode == "L"


def test_psd_that_is_refused() -> None:
    planes = np.moveaxis(BASE, 2, 0)
    cases = {
        "multichannel": psd(planes[:1], 7),
        "is compressed": psd(planes[:3], 3, compression=2),
        "16-bit RGB": psd(np.repeat(planes[:3], 2, 2), 3, depth=16),
        "8-bit mode 5": psd(planes[:3], 5),
        "large document": psd(planes[:3], 3).replace(b"8BPS\0\1", b"8BPS\0\2"),
    }
    for words, data in cases.items():
        with pytest.raises(InputError, match=words):
            load(data)


# --- FITS ---------------------------------------------------------------------------------------


def fits(values: np.ndarray, bits: int, **cards: object) -> bytes:
    lines = [
        "SIMPLE  =                    T",
        f"BITPIX  = {bits:>20}",
        "NAXIS   =                    2",
    ]
    lines += [f"NAXIS1  = {values.shape[1]:>20}", f"NAXIS2  = {values.shape[0]:>20}"]
    lines += [f"{name:8}= {value!s:>20}" for name, value in cards.items()] + ["END"]
    header = "".join(line.ljust(80) for line in lines).encode()
    kind = {8: ">u1", 16: ">i2", 32: ">i4", -32: ">f4"}[bits]
    data = values[::-1].astype(kind).tobytes()  # the first row is the lowest
    return header + b" " * (-len(header) % 2880) + data + bytes(-len(data) % 2880)


def test_fits() -> None:
    grey = BASE[..., 0].astype(np.int64)
    assert load(fits(grey, 8)).notes == ()
    np.testing.assert_array_equal(load(fits(grey, 8)).rgb[..., 0], grey)
    unsigned = load(fits(grey * 257 - 32768, 16, BZERO=32768))
    assert equal(unsigned.rgb[..., 0], grey)
    assert unsigned.notes == ("16 bits a channel reduced to 8",)
    signed = load(fits((grey - 128) * 200, 16))
    low, high = grey.min(), grey.max()
    assert equal(signed.rgb[..., 0], (grey - low) * 255 / (high - low))
    assert equal(load(fits(grey / 255, -32)).rgb[..., 0], grey)
    scaled = load(fits(grey, 8, BSCALE=2.0, BZERO=-10.0))
    assert equal(scaled.rgb[..., 0], (grey - low) * 255 / (high - low))
    assert "FITS header" in load(fits(grey, 8, OBJECT="'M 31'")).notes
    with pytest.raises(InputError, match="BZERO"):
        load(fits(grey, 8, BZERO="'x'"))
