"""The container: what is written is what is read, and the bytes are as its text promises."""

from __future__ import annotations

import subprocess
import sys
import zlib
from dataclasses import FrozenInstanceError, replace
from itertools import pairwise

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from aecodec import bitstream
from aecodec.bitstream import ColourMode, Header, SectionType, pack, parse, parse_header
from aecodec.entropy import zstd
from aecodec.errors import (
    CorruptError,
    InputError,
    LimitError,
    NotAecError,
    TruncatedError,
    UnsupportedError,
)

MODEL_ID = bytes(range(8))


def header(width: int = 1, height: int = 1, mode: str = "RGB", **changes: int) -> Header:
    base = Header(width, height, ColourMode[mode], quality=75, model_id=MODEL_ID)
    return replace(base, **changes)  # type: ignore[arg-type]


def tiles_of(head: Header, size: int = 10) -> list[bytes]:
    return [bytes([65 + i % 26]) * size for i in range(head.tile_count)]


# --- The bytes ----------------------------------------------------------------------------------


def test_the_smallest_file_byte_by_byte() -> None:
    """Written out by hand from the specification, so that a change of the format shows."""
    symbols = bytes.fromhex("DEADBEEF")
    head = (
        bytes.fromhex("89 41 45 43 0D 0A 1A 0A")
        + bytes([1, 0, 0, 2, 75, 16])
        + MODEL_ID
        + bytes([0xAC, 0x02])  # 300
        + bytes([0x07])  # 7
        + bytes([0x0A])  # 10 bytes follow
    )
    head += zlib.crc32(head).to_bytes(4, "little")
    crc = zlib.crc32(b"\x01" + b"\0\0\0\0" + symbols)
    section = bytes([1, 4]) + crc.to_bytes(4, "little") + symbols
    assert pack(header(300, 7), [symbols]) == head + section


def test_sections_are_numbered_under_their_checksum() -> None:
    head = header(65, 1, tile_size=64)
    data = pack(head, [b"AAAA", b"AAAA"], icc=b"profile")
    for ordinal, section in enumerate(parse(data).sections):
        payload = data[section.start : section.end]
        crc = zlib.crc32(bytes([section.type]) + ordinal.to_bytes(4, "little") + payload)
        assert data[section.start - 4 : section.start] == crc.to_bytes(4, "little")


def test_wire_ids_do_not_move() -> None:
    assert {mode.name: mode.value for mode in ColourMode} == {"L": 0, "LA": 1, "RGB": 2, "RGBA": 3}
    assert {kind.name: kind.value for kind in SectionType} == {
        "TILE": 0x01,
        "ALPHA": 0x02,
        "EXACT": 0x03,
        "EXIF": 0x81,
        "ICC": 0x82,
        "XMP": 0x83,
        "RESOLUTION": 0x84,
        "TEXTS": 0x85,
        "IPTC": 0x86,
        "GAINMAP": 0x87,
        "VIDEO": 0x88,
        "GRAIN": 0x89,
    }


def test_the_specification_names_every_wire_id() -> None:
    text = bitstream.__doc__
    assert text is not None
    for kind in SectionType:
        assert f"0x{kind.value:02X}  {kind.name}" in text
    for mode in ColourMode:
        assert f"{mode.value} = {mode.name}" in text
    assert bitstream.MAGIC.hex(" ").upper() in text


@pytest.mark.parametrize("size", [4, 100, 200_000, 2_000_000, 20_000_000])
def test_overhead_of_a_plain_file_is_at_most_48_bytes(size: int) -> None:
    head = header(16383, 16383, tile_size=bitstream.MAX_TILE_SIZE)
    one_tile = header(16320, 16320, tile_size=bitstream.MAX_TILE_SIZE)
    assert one_tile.tile_count == 1
    payload = bytes(size)
    words = size - 4  # all but the symbols' checksum
    assert len(pack(one_tile, [payload])) - words <= 48
    # The header alone is no longer for the largest sides that take two bytes each.
    assert parse_header(pack(head, [payload] * 4)).size <= 34


def test_header_sizes_are_as_documented() -> None:
    smallest = pack(header(1, 1), [b"AAAA"])
    assert parse_header(smallest).size == 29
    largest = header(2**20, 2**20, tile_size=bitstream.MAX_TILE_SIZE)
    raw = bitstream._pack_header(largest, 2**49 - 1)
    assert len(raw) == 39 == bitstream.MAX_HEADER_SIZE
    assert parse_header(raw).file_size == 2**49 - 1 + 39


# --- Round trips --------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_round_trip(data: st.DataObject) -> None:
    head = Header(
        width=data.draw(st.integers(1, 300)),
        height=data.draw(st.integers(1, 300)),
        mode=data.draw(st.sampled_from(ColourMode)),
        quality=data.draw(st.integers(1, 100)),
        model_id=data.draw(st.binary(min_size=8, max_size=8)),
        tile_size=64 * data.draw(st.integers(1, 4)),
    )
    tiles = data.draw(
        st.lists(
            st.binary(min_size=4, max_size=200),
            min_size=head.tile_count,
            max_size=head.tile_count,
        )
    )
    seed = data.draw(st.integers(0, 2**32 - 1))
    alpha = None
    if head.mode.has_alpha:
        alpha = np.random.default_rng(seed).integers(0, 256, (head.height, head.width), np.uint8)
    blob = st.none() | st.binary(min_size=1, max_size=300)
    exif, icc, xmp = (data.draw(blob) for _ in range(3))

    packed = pack(head, tiles, alpha=alpha, exif=exif, icc=icc, xmp=xmp)
    back = parse(packed)

    assert back.header == head
    assert list(back.tiles) == tiles
    assert (back.exif, back.icc, back.xmp) == (exif, icc, xmp)
    if alpha is None:
        assert back.alpha is None
    else:
        assert back.alpha is not None
        assert back.alpha.dtype == np.uint8
        np.testing.assert_array_equal(back.alpha, alpha)
    # One file, one spelling: what was read writes the same bytes again.
    again = pack(head, back.tiles, alpha=back.alpha, exif=back.exif, icc=back.icc, xmp=back.xmp)
    assert again == packed


def gradients() -> dict[str, np.ndarray]:
    y, x = np.mgrid[0:120, 0:200]
    noise = np.random.default_rng(1).integers(0, 256, (120, 200))
    return {
        "opaque": np.full((120, 200), 255, np.uint8),
        "none": noise.astype(np.uint8),
        "rows": (x * 7 % 256).astype(np.uint8),
        "columns": (y * 7 % 256).astype(np.uint8),
        "soft": np.clip(np.hypot(x - 100, y - 60) * 4, 0, 255).astype(np.uint8),
        "one row, long": np.arange(24000, dtype=np.uint32).reshape(120, 200).astype(np.uint8),
    }


@pytest.mark.parametrize("name", gradients())
def test_alpha_comes_back_exactly(name: str) -> None:
    plane = gradients()[name]
    head = header(200, 120, "RGBA")
    back = parse(pack(head, tiles_of(head), alpha=plane)).alpha
    assert back is not None
    np.testing.assert_array_equal(back, plane)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_every_alpha_filter_is_undone(kind: int) -> None:
    plane = gradients()["soft"]
    filtered = zstd._filter(kind, plane)
    if kind:
        assert filtered != plane.tobytes()
    back = zstd._unfilter(kind, filtered, 200, 120)
    np.testing.assert_array_equal(back, plane)


def test_alpha_filters_as_the_text_defines_them() -> None:
    plane = np.array([[10, 7], [3, 255]], np.uint8)
    assert list(zstd._filter(0, plane)) == [10, 7, 3, 255]
    assert list(zstd._filter(1, plane)) == [10, 253, 3, 252]
    assert list(zstd._filter(2, plane)) == [10, 7, 249, 248]


def test_the_filter_of_a_soft_mask_pays() -> None:
    plane = gradients()["soft"]
    head = header(200, 120, "RGBA")
    section = parse(pack(head, tiles_of(head), alpha=plane)).sections[0]
    assert section.name == "ALPHA"
    assert section.length < 0.8 * len(zstandard.compress(plane.tobytes(), 19))


def test_alpha_may_be_any_view_of_an_array() -> None:
    plane = gradients()["soft"][::-2, ::2]
    head = header(100, 60, "LA")
    back = parse(pack(head, tiles_of(head), alpha=plane)).alpha
    np.testing.assert_array_equal(back, plane)


def test_parse_takes_any_buffer_and_keeps_no_hold_on_it() -> None:
    data = bytearray(pack(header(), [b"AAAA"]))
    for buffer in (bytes(data), data, memoryview(data)):
        assert parse(buffer).tiles == (b"AAAA",)
    container = parse(data)
    data[-4:] = b"BBBB"
    assert container.tiles == (b"AAAA",)


def test_empty_metadata_is_left_out() -> None:
    assert pack(header(), [b"AAAA"], exif=b"", icc=b"", xmp=b"") == pack(header(), [b"AAAA"])


def test_metadata_is_compressed() -> None:
    """As zstd does it: a repetition of 12,000 bytes takes 40, of which 7 are the section's."""
    packed = pack(header(), [b"AAAA"], xmp=b"<x:xmpmeta/>" * 1000)
    assert len(packed) <= len(pack(header(), [b"AAAA"])) + 42


def test_compression_is_on_with_checksums_and_sizes() -> None:
    data = pack(header(mode="LA"), [b"AAAA"], alpha=np.zeros((1, 1), np.uint8), icc=b"x" * 50)
    alpha, icc, _ = parse(data).sections
    for frame, size in ((data[alpha.start + 1 : alpha.end], 1), (data[icc.start : icc.end], 50)):
        parameters = zstandard.get_frame_parameters(frame)
        assert parameters.has_checksum
        assert parameters.content_size == size


# --- Tiles and sections -------------------------------------------------------------------------


def test_tiles_cover_every_pixel_once_in_raster_order() -> None:
    head = header(300, 135, tile_size=128)
    covered = np.zeros((135, 300), int)
    corners = []
    for x, y, w, h in head.grid:
        covered[y : y + h, x : x + w] += 1
        corners.append((y, x))
        assert w == (128 if x < 256 else 44)
        assert h == (128 if y < 128 else 7)
    assert (covered == 1).all()
    assert corners == sorted(corners)
    assert len(corners) == head.tile_count == 6
    assert (head.tile_columns, head.tile_rows) == (3, 2)


def test_tiles_are_even_and_no_more_than_it_takes() -> None:
    """By the text of the format: units of 64 pixels, shared out among the fewest columns."""
    assert list(header(768, 512, tile_size=512).grid) == [(0, 0, 384, 512), (384, 0, 384, 512)]
    assert list(header(1, 1030, tile_size=1024).grid) == [(0, 0, 1, 576), (0, 576, 1, 454)]
    for units in range(1, 120):
        for most in range(1, 40):
            head = header(64 * units - 3, 1, tile_size=64 * most)
            widths = [w for _, _, w, _ in head.grid]
            assert sum(widths) == head.width
            assert len(widths) == head.tile_columns == -(-units // most)
            assert set(widths[:-1]) <= {head.tile_width}
            assert 1 <= widths[-1] <= head.tile_width <= 64 * most
            # One unit less, and so many tiles would not do.
            assert (head.tile_width - 64) * len(widths) < head.width


def test_tiles_are_not_listed_before_they_are_asked_for() -> None:
    """2**40 pixels make 2**28 tiles of the smallest size: only an iterator stands that."""
    head = header(2**20, 2**20, tile_size=64)
    assert next(iter(head.grid)) == (0, 0, 64, 64)
    assert head.tile_count == 2**28


def test_sections_say_where_they_are() -> None:
    head = header(130, 64, "RGBA", tile_size=64)
    plane = np.zeros((64, 130), np.uint8)
    tiles = tiles_of(head)
    data = pack(head, tiles, alpha=plane, exif=b"II*\0", icc=b"i", xmp=b"x")
    parsed = parse(data)
    sections = parsed.sections
    names = ["ALPHA", "EXIF", "ICC", "XMP", "TILE", "TILE", "TILE"]
    assert [s.name for s in sections] == names
    assert [s.critical for s in sections] == [n in ("ALPHA", "TILE") for n in names]
    assert sections[0].offset == parse_header(data).size
    for before, after in pairwise(sections):
        assert before.end == after.offset
    assert sections[-1].end == len(data)
    assert [data[s.start : s.end] for s in sections[4:]] == tiles


def test_container_and_header_are_frozen() -> None:
    parsed = parse(pack(header(), [b"AAAA"]))
    with pytest.raises(FrozenInstanceError):
        parsed.header.width = 2  # type: ignore[misc]


def test_an_ancillary_section_of_the_future_is_skipped() -> None:
    data = rebuild(header(3, 3), [(0xF5, b"anything"), (0x01, b"AAAA")], minor=7)
    parsed = parse(data)
    assert parsed.version == (1, 7)
    assert parsed.tiles == (b"AAAA",)
    assert [s.name for s in parsed.sections] == ["0xF5", "TILE"]


# --- Refusals -----------------------------------------------------------------------------------


def rebuild(
    head: Header,
    sections: list[tuple[int, bytes]],
    **fixed: int,
) -> bytes:
    """Make a file with good checksums, whatever it holds. ``fixed`` sets bytes of the header."""
    body = bytearray()
    for ordinal, (kind, payload) in enumerate(sections):
        body.append(kind)
        body += varint(len(payload))
        crc = zlib.crc32(bytes([kind]) + ordinal.to_bytes(4, "little") + payload)
        body += crc.to_bytes(4, "little") + payload
    raw = bytearray(bitstream._pack_header(head, len(body))[:-4])
    for name, value in fixed.items():
        raw[["major", "minor", "flags", "mode", "quality", "tile"].index(name) + 8] = value
    return bytes(raw) + zlib.crc32(raw).to_bytes(4, "little") + bytes(body)


def varint(value: int) -> bytes:
    """A second, different writing of LEB128."""
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(g | 0x80 for g in groups[:-1]), groups[-1]])


@given(st.integers(0, 2**49 - 1))
def test_varints(value: int) -> None:
    encoded = bitstream._encode_varint(value)
    assert encoded == varint(value)
    assert bitstream._decode_varint(b"??" + encoded + b"?", 2, 7) == (value, 2 + len(encoded))
    assert bitstream._decode_varint(encoded[:-1], 0, 7) is None


@pytest.mark.parametrize("raw", [b"\x80\x00", b"\xff\x80\x00", b"\x80" * 6 + b"\x00"])
def test_padded_varints_are_refused(raw: bytes) -> None:
    with pytest.raises(CorruptError, match="padded"):
        bitstream._decode_varint(raw, 0, 7)


def test_endless_varints_are_refused() -> None:
    with pytest.raises(CorruptError, match="longer than 7"):
        bitstream._decode_varint(b"\xff" * 1000, 0, 7)


@pytest.mark.parametrize(
    ("data", "error", "match"),
    [
        (b"", NotAecError, "empty"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", NotAecError, "a JPEG"),
        (b"\x89PNG\r\n\x1a\n", NotAecError, "a PNG"),
        (b"RIFF\0\0\0\0WEBPVP8 ", NotAecError, "a WebP"),
        (b"\0\0\0\x20ftypavif", NotAecError, "AVIF"),
        (b"hello, world", NotAecError, r"not an \.aec file$"),
        (b"\x89AE", TruncatedError, "3 of at least 39 bytes"),
        (bitstream.MAGIC, TruncatedError, "8 of at least 39 bytes"),
    ],
)
def test_what_is_not_ours_is_named(data: bytes, error: type[Exception], match: str) -> None:
    for reader in (parse, parse_header):
        with pytest.raises(error, match=match):
            reader(data)


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.replace(b"\r\n", b"\n"),
        lambda d: d.replace(b"\r", b"\n"),
        lambda d: d.replace(b"\n", b"\r\n"),
        lambda d: d.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
        lambda d: bytes(b & 0x7F for b in d),
        lambda d: d.decode("latin-1").encode("utf-8"),
        lambda d: d.decode("utf-8", "replace").encode("utf-8"),
    ],
)
def test_text_mode_damage_is_named(damage: object) -> None:
    assert callable(damage)
    damaged = damage(pack(header(), [b"AAAA"]))
    with pytest.raises(CorruptError, match="text mode"):
        parse(damaged)


@pytest.mark.parametrize(
    ("fixed", "error", "match"),
    [
        ({"major": 2}, UnsupportedError, r"version 2\.0"),
        ({"major": 0}, CorruptError, r"version 0\.0"),
        ({"flags": 0b100}, UnsupportedError, "flag 2:"),
        ({"flags": 0b10000001}, UnsupportedError, "flag 7:"),
        ({"mode": 4}, UnsupportedError, "colour mode 4"),
        ({"quality": 0}, CorruptError, "quality of 0"),
        ({"quality": 101}, CorruptError, "quality of 101"),
        ({"tile": 0}, CorruptError, "tile size"),
        ({"mode": 3}, CorruptError, "RGBA without"),
    ],
)
def test_header_fields_are_checked(
    fixed: dict[str, int], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        parse(rebuild(header(), [(1, b"AAAA")], **fixed))


ALPHA = b"\0" + zstandard.ZstdCompressor(write_checksum=True).compress(b"\xff")
META = zstandard.ZstdCompressor(write_checksum=True).compress(b"data")
TILE = (1, b"AAAA")


@pytest.mark.parametrize(
    ("mode", "sections", "error", "match"),
    [
        ("RGB", [], CorruptError, "do not fit"),
        ("RGB", [(0x81, META)], CorruptError, "0 tiles where the dimensions make 1"),
        ("RGB", [TILE, TILE], CorruptError, "more tiles than the 1 of"),
        ("RGB", [(1, b"AAA"), (0x90, b"AAAA")], CorruptError, "only 3 bytes"),
        ("RGB", [(2, ALPHA), TILE], CorruptError, "RGB with"),
        ("LA", [TILE], CorruptError, "LA without"),
        ("LA", [TILE, (2, ALPHA)], CorruptError, "ALPHA follows"),
        ("LA", [(2, ALPHA), (2, ALPHA), TILE], CorruptError, "twice or out of order"),
        ("LA", [(0x81, META), (2, ALPHA), TILE], CorruptError, "twice or out of order"),
        ("RGB", [(0x82, META), (0x81, META), TILE], CorruptError, "twice or out of order"),
        ("RGB", [(0x83, META), (0x83, META), TILE], CorruptError, "twice or out of order"),
        ("RGB", [TILE, (0x83, META)], CorruptError, "XMP follows"),
        ("RGB", [(0x05, b""), TILE], UnsupportedError, "critical section 0x05"),
        ("RGB", [TILE, (0x7F, b"")], UnsupportedError, "critical section 0x7F"),
        ("RGB", [(0x00, b""), TILE], UnsupportedError, "critical section 0x00"),
        ("LA", [(2, b""), TILE], CorruptError, "filter"),
        ("LA", [(2, b"\3" + ALPHA[1:]), TILE], CorruptError, "filter"),
        ("LA", [(2, b"\0"), TILE], CorruptError, "not a zstd frame"),
        ("LA", [(2, b"\0" + META), TILE], CorruptError, "4 values for 1 pixels"),
        ("RGB", [(0x81, b""), TILE], CorruptError, "not a zstd frame"),
    ],
)
def test_sections_are_checked(
    mode: str, sections: list[tuple[int, bytes]], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        parse(rebuild(header(mode=mode), sections))


@pytest.mark.parametrize("side", [0, 2**20 + 1, 2**21 - 1])
@pytest.mark.parametrize("field", ["width", "height"])
def test_sides_are_bounded(field: str, side: int) -> None:
    good = header()
    object.__setattr__(good, field, side)  # past the checks, as a hostile writer is
    with pytest.raises(CorruptError, match=f"a {field} of {side} pixels"):
        parse(rebuild(good, [TILE]))


def test_pixels_are_limited_and_the_message_says_how_to_raise_it() -> None:
    data = pack(header(100, 50), [b"AAAA"])
    assert parse(data, max_pixels=5000).header.pixels == 5000
    with pytest.raises(LimitError, match="raise max_pixels to at least 5000"):
        parse(data, max_pixels=4999)


def test_metadata_is_limited_and_the_message_says_how_to_raise_it() -> None:
    data = pack(header(), [b"AAAA"], xmp=b"x" * 1000)
    assert parse(data, max_metadata=1000).xmp == b"x" * 1000
    with pytest.raises(LimitError, match="raise max_metadata to at least 1000"):
        parse(data, max_metadata=999)


def test_pack_writes_no_metadata_that_readers_refuse() -> None:
    largest = bytes(bitstream.DEFAULT_MAX_METADATA)
    assert parse(pack(header(), [b"AAAA"], icc=largest)).icc == largest
    with pytest.raises(LimitError, match="ICC metadata of 16777217 bytes"):
        pack(header(), [b"AAAA"], icc=largest + b"\0")


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0},
        {"height": -1},
        {"quality": 0},
        {"quality": 101},
        {"tile_size": 0},
        {"tile_size": 100},
        {"tile_size": 256 * 64},
        {"model_id": b"1234567"},
    ],
)
def test_impossible_headers_cannot_be_made(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"must be|has 8 bytes"):
        header(**change)  # type: ignore[arg-type]


def test_a_mode_is_not_a_number() -> None:
    with pytest.raises(TypeError, match="ColourMode"):
        replace(header(), mode=2)  # type: ignore[arg-type]


def test_a_picture_too_wide_for_the_format_is_an_input_error() -> None:
    assert header(2**20, 1).width == 2**20
    with pytest.raises(InputError, match="width of 1048577"):
        header(2**20 + 1, 1)


def test_pack_refuses_what_does_not_belong_together() -> None:
    plane = np.zeros((1, 1), np.uint8)
    with pytest.raises(ValueError, match="1 tiles expected, not 2"):
        pack(header(), [b"AAAA", b"AAAA"])
    with pytest.raises(ValueError, match="at least 4 bytes"):
        pack(header(), [b"AAA"])
    with pytest.raises(ValueError, match="RGB has no alpha"):
        pack(header(), [b"AAAA"], alpha=plane)
    with pytest.raises(ValueError, match="LA needs alpha"):
        pack(header(mode="LA"), [b"AAAA"])
    with pytest.raises(ValueError, match=r"shape \(1, 1\)"):
        pack(header(mode="LA"), [b"AAAA"], alpha=np.zeros((1, 2), np.uint8))
    with pytest.raises(ValueError, match="uint8"):
        pack(header(mode="LA"), [b"AAAA"], alpha=plane.astype(np.int8))


def test_reading_a_file_imports_no_numpy() -> None:
    """`aecodec info` and `verify` answer at once because of this."""
    data = pack(header(mode="LA"), [b"AAAA"], alpha=np.zeros((1, 1), np.uint8), icc=b"x")
    code = (
        "import sys; from aecodec.bitstream import parse; "
        f"c = parse({data!r}); assert c.icc == b'x'; assert len(c.tiles) == 1; "
        "sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
