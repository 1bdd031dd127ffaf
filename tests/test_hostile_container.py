"""Hostile input at the level of the container: nothing but our own errors, and little memory.

The first half damages files and leaves their checksums alone, as accidents do. The second half
recomputes the checksums after the damage, as an attacker does.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from aecodec import bitstream
from aecodec.bitstream import (
    ColourMode,
    Container,
    Header,
    SectionType,
    pack,
    parse,
    parse_header,
)
from aecodec.errors import (
    AecodecError,
    CorruptError,
    FormatError,
    LimitError,
    TruncatedError,
)

MIB = 2**20


def make_header(width: int, height: int, mode: str = "RGB", tile_size: int = 64) -> Header:
    return Header(width, height, ColourMode[mode], 75, b"model id", tile_size)


def small_file() -> bytes:
    """A file with a section of every kind and four tiles."""
    rng = np.random.default_rng(0)
    head = make_header(70, 66, "RGBA")
    alpha = np.broadcast_to(rng.integers(0, 256, 70, np.uint8), (66, 70))
    tiles = [rng.bytes(20), rng.bytes(20), rng.bytes(31), rng.bytes(4)]
    return pack(head, tiles, alpha=alpha, exif=b"II*\0data", icc=b"profile", xmp=b"<xmp/>")


SMALL = small_file()


def read_everything(container: Container) -> None:
    """Decompress all that is compressed."""
    _ = container.tiles, container.alpha, container.exif, container.icc, container.xmp


@contextmanager
def memory_below(limit: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit, f"{peak / MIB:.1f} MiB used"


# --- Accidents: the checksums stay as they were -------------------------------------------------


def test_the_victim_is_a_valid_file() -> None:
    read_everything(parse(SMALL))
    assert len(parse(SMALL).sections) == 8


def test_every_single_bit_flip_is_noticed() -> None:
    for index in range(len(SMALL)):
        for bit in range(8):
            damaged = bytearray(SMALL)
            damaged[index] ^= 1 << bit
            with pytest.raises((FormatError, LimitError)):
                parse(damaged)


def test_every_byte_can_be_anything_else() -> None:
    """Of the header, where a byte has a meaning of its own, every other value is tried."""
    for index in range(parse_header(SMALL).size):
        for value in set(range(256)) - {SMALL[index]}:
            damaged = bytearray(SMALL)
            damaged[index] = value
            with pytest.raises((FormatError, LimitError)):
                parse(damaged)


def test_every_truncation_is_named() -> None:
    for length in range(1, len(SMALL)):
        with pytest.raises(TruncatedError) as caught:
            parse(SMALL[:length])
        size = parse_header(SMALL).size
        if length < size:
            assert str(caught.value) == f"truncated: {length} of at least 39 bytes"
        else:
            assert str(caught.value) == f"truncated: {length} of {len(SMALL)} bytes"
    with pytest.raises(FormatError, match="empty"):
        parse(b"")


@pytest.mark.parametrize("extra", [b"\0", b"\n", SMALL, bytes(1000)])
def test_trailing_bytes_are_an_error(extra: bytes) -> None:
    with pytest.raises(CorruptError, match=f"{len(extra)} bytes follow the end"):
        parse(SMALL + extra)


def test_missing_and_doubled_bytes_are_noticed() -> None:
    for index in range(len(SMALL)):
        for damaged in (
            SMALL[:index] + SMALL[index + 1 :],
            SMALL[:index] + SMALL[index : index + 1] + SMALL[index:],
        ):
            with pytest.raises(FormatError):
                parse(damaged)


def test_swapped_sections_are_noticed() -> None:
    """Even two tiles of the same length, where nothing but the ordinal tells one from the other."""
    sections = parse(SMALL).sections
    raw = [SMALL[s.offset : s.end] for s in sections]
    body = parse_header(SMALL).size
    for i in range(len(raw)):
        for j in range(i):
            order = list(raw)
            order[i], order[j] = order[j], order[i]
            with pytest.raises(CorruptError, match="checksum of section"):
                parse(SMALL[:body] + b"".join(order))


def test_identical_tiles_may_not_change_their_number() -> None:
    tile = b"the same"
    data = pack(make_header(128, 64), [tile, tile])
    body = parse_header(data).size
    first = parse(data).sections[0]
    again = data[first.offset : first.end]
    with pytest.raises(CorruptError, match="checksum of section 1"):
        parse(data[:body] + again + again)


def test_a_header_of_another_file_does_not_fit() -> None:
    other = pack(make_header(64, 64), [b"AAAA"])
    with pytest.raises(FormatError):
        parse(other[: parse_header(other).size] + SMALL[parse_header(SMALL).size :])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    for data in (noise, bitstream.MAGIC + noise, SMALL[:22] + noise, SMALL[:60] + noise):
        with pytest.raises((FormatError, LimitError)):
            parse(data)


# --- Attacks: the checksums are right -----------------------------------------------------------


def varint(value: int) -> bytes:
    return bitstream._encode_varint(value)


def section(ordinal: int, kind: int, payload: bytes) -> bytes:
    crc = zlib.crc32(bytes([kind]) + ordinal.to_bytes(4, "little") + payload)
    return bytes([kind]) + varint(len(payload)) + crc.to_bytes(4, "little") + payload


def with_body(head: Header, body: bytes) -> bytes:
    return bitstream._pack_header(head, len(body)) + body


def forge(head: Header, *sections: tuple[int, bytes]) -> bytes:
    return with_body(head, b"".join(section(i, *s) for i, s in enumerate(sections)))


TILE = (1, b"AAAA")


def resealed(data: bytes) -> bytes:
    """Repair every checksum of a damaged file, as far as its sections can be told apart."""
    raw = bytearray(data)
    offset = 22
    for _ in range(3):
        while raw[offset] & 0x80:
            offset += 1
        offset += 1
    raw[offset : offset + 4] = zlib.crc32(raw[:offset]).to_bytes(4, "little")
    offset += 4
    ordinal = 0
    while offset < len(raw):
        decoded = bitstream._decode_varint(bytes(raw), offset + 1, 7)
        if decoded is None or decoded[0] > len(raw):
            break
        length, at = decoded
        payload = bytes(raw[at + 4 : at + 4 + length])
        crc = zlib.crc32(bytes([raw[offset]]) + ordinal.to_bytes(4, "little") + payload)
        raw[at : at + 4] = crc.to_bytes(4, "little")
        offset = at + 4 + length
        ordinal += 1
    return bytes(raw)


def test_resealing_works() -> None:
    """Otherwise the next two tests would test nothing."""
    damaged = bytearray(SMALL)
    damaged[-1] ^= 1
    with pytest.raises(CorruptError):
        parse(damaged)
    assert parse(resealed(bytes(damaged))).tiles[-1] == damaged[-4:]


def test_bit_flips_under_good_checksums_are_our_errors_or_valid_files() -> None:
    accepted = 0
    for index in range(len(SMALL)):
        for bit in range(8):
            damaged = bytearray(SMALL)
            damaged[index] ^= 1 << bit
            try:
                data = resealed(bytes(damaged))
            except (CorruptError, IndexError):  # sections cannot be told apart any more
                continue
            if data == SMALL:  # the flip was in a checksum
                continue
            with suppress(AecodecError):
                read_everything(parse(data))
                accepted += 1
    # Tiles (75 bytes), model id and minor version may hold anything, quality most values; of the
    # rest, an accepted flip makes another valid file: one side longer, XMP to an unknown kind.
    free = 8 * (75 + 8 + 1)
    assert free <= accepted <= free + 32


def test_damage_under_good_checksums_is_our_error_or_a_valid_file() -> None:
    accepted = []

    @settings(max_examples=300, deadline=None)
    @given(st.data())
    def damage(data: st.DataObject) -> None:
        damaged = bytearray(SMALL)
        for _ in range(data.draw(st.integers(1, 8))):
            damaged[data.draw(st.integers(8, len(SMALL) - 1))] = data.draw(st.integers(0, 255))
        try:
            resealed_file = resealed(bytes(damaged))
        except (CorruptError, IndexError):
            return
        with memory_below(64 * MIB):
            try:
                read_everything(parse(resealed_file))
            except AecodecError:
                accepted.append(False)
            else:
                accepted.append(True)

    damage()
    assert any(accepted)  # a third of the bytes are tiles, which may hold anything
    assert not all(accepted)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(0, 255), st.sampled_from([0x90, 0xA5, 0xFF])),
            st.binary(max_size=40),
        ),
        max_size=6,
    )
)
def test_any_sections_are_our_error_or_a_valid_file(sections: list[tuple[int, bytes]]) -> None:
    """Unknown ancillary sections in order are skipped; an unknown critical one is refused."""
    known = {int(kind) for kind in SectionType}
    kinds = [kind for kind, _ in sections]
    skipped = all(kind >= 0x80 and kind not in known for kind in kinds)
    for mode in ("RGB", "LA"):
        data = forge(make_header(1, 1, mode), *sections, TILE)
        try:
            read_everything(parse(data))
        except AecodecError:
            assert mode == "LA" or not skipped or kinds != sorted(set(kinds))
        else:
            assert all(kind in known or kind >= 0x80 for kind in kinds)


@pytest.mark.parametrize("size", [(2**20, 2**20), (2**20, 257), (16385, 16384)])
def test_dimension_bombs_hit_the_limit(size: tuple[int, int]) -> None:
    data = forge(make_header(*size), TILE)
    with memory_below(MIB), pytest.raises(LimitError, match="raise max_pixels"):
        parse(data)


def test_dimension_bombs_do_not_fit_in_their_file() -> None:
    """Even where the caller has lifted the limit: 2**28 tiles cannot be in 50 bytes."""
    data = forge(make_header(2**20, 2**20), TILE)
    with memory_below(MIB), pytest.raises(CorruptError, match="268435456 tiles"):
        parse(data, max_pixels=2**40)


@pytest.mark.parametrize("length", [2**35, 2**49 - 1])
def test_length_bombs(length: int) -> None:
    body = bytes([1]) + varint(length) + bytes(4) + b"AAAA"
    with memory_below(MIB), pytest.raises(CorruptError, match="past the end"):
        parse(with_body(make_header(1, 1), body))
    whole = bitstream._pack_header(make_header(1, 1), length) + body
    with memory_below(MIB), pytest.raises(TruncatedError, match=f"{len(whole)} of "):
        parse(whole)


@pytest.mark.parametrize("kind", [0x01, 0x81, 0x90])
def test_millions_of_sections_are_not_listed(kind: int) -> None:
    body = bytearray()
    for ordinal in range(300_000):
        crc = zlib.crc32(bytes([kind]) + ordinal.to_bytes(4, "little"))
        body += bytes([kind, 0]) + crc.to_bytes(4, "little")
    data = with_body(make_header(1, 1), bytes(body))
    with memory_below(MIB), pytest.raises(CorruptError):
        parse(data)


def test_metadata_that_is_repeated_is_decompressed_once_at_most() -> None:
    frame = zstd(b"II*\0" + bytes(MIB))
    sections = [(int(SectionType.EXIF), frame)] * 40
    forged = forge(make_header(64, 64), *sections, (int(SectionType.TILE), bytes(8)))
    for read in (parse, lambda data: bitstream.read_front(io.BytesIO(data))):
        with pytest.raises(CorruptError, match="EXIF comes twice or out of order"):
            read(forged)


def test_an_honest_file_of_many_tiles_needs_little_memory() -> None:
    head = make_header(2**20, 256)
    assert head.tile_count == 65536
    data = pack(head, [b"AAAA"] * head.tile_count)
    with memory_below(32 * MIB):
        assert len(parse(data).tiles) == 65536


def zstd(content: bytes, *, size: bool = True, checksum: bool = True) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=size).compress(
        content
    )


def zstd_bomb(mib: int, *, size: bool) -> bytes:
    """A frame of zeros, made without ever holding them."""
    chunk = bytes(MIB)
    maker = zstandard.ZstdCompressor(level=1, write_checksum=True).compressobj(
        size=mib * MIB if size else -1
    )
    return b"".join(maker.compress(chunk) for _ in range(mib)) + maker.flush()


def stating(frame: bytes, size: int) -> bytes:
    """The same frame with another content size in its header (an 8-byte field)."""
    descriptor = frame[4]
    assert descriptor & 0x20, "single segment expected, so that no window byte precedes the size"
    field = {0: 1, 1: 2, 2: 4, 3: 8}[descriptor >> 6]
    return (
        frame[:4]
        + bytes([descriptor & 0x3F | 0xC0])
        + size.to_bytes(8, "little")
        + frame[5 + field :]
    )


SIZED_BOMB = zstd_bomb(128, size=True)
UNSIZED_BOMB = zstd_bomb(128, size=False)


def attack_metadata(kind: int, frame: bytes) -> bytes:
    return forge(make_header(1, 1), (kind, frame), TILE)


def attack_alpha(frame: bytes, side: int = 1) -> bytes:
    head = make_header(side, side, "RGBA", tile_size=16320)
    assert head.tile_count == 1
    return forge(head, (2, b"\0" + frame), TILE)


def test_the_bombs_are_bombs() -> None:
    for bomb in (SIZED_BOMB, UNSIZED_BOMB):
        assert len(bomb) < 20_000
    assert zstandard.get_frame_parameters(SIZED_BOMB).content_size == 128 * MIB
    with memory_below(200 * MIB):
        assert len(zstandard.decompress(SIZED_BOMB)) == 128 * MIB


@pytest.mark.parametrize("kind", [0x81, 0x82, 0x83])
def test_metadata_bomb_that_states_its_size(kind: int) -> None:
    with memory_below(MIB), pytest.raises(LimitError, match="134217728 bytes"):
        parse(attack_metadata(kind, SIZED_BOMB))


@pytest.mark.parametrize("kind", [0x81, 0x82, 0x83])
def test_metadata_bomb_that_hides_its_size(kind: int) -> None:
    with memory_below(MIB), pytest.raises(CorruptError, match="does not state its size"):
        parse(attack_metadata(kind, UNSIZED_BOMB))


def test_alpha_bombs() -> None:
    with memory_below(MIB):
        with pytest.raises(CorruptError, match="134217728 values for 1 pixels"):
            parse(attack_alpha(SIZED_BOMB))
        with pytest.raises(CorruptError, match="does not state its size"):
            parse(attack_alpha(UNSIZED_BOMB))
        with pytest.raises(CorruptError, match="18446744073709551614 values"):
            parse(attack_alpha(stating(zstd(b"x"), 2**64 - 2)))


def test_bombs_that_lie_about_their_size() -> None:
    """They state what is allowed and hold more: the buffer is as large as stated, no larger."""
    content = bytes(300)
    small = zstd(content)
    for size in (1, 299, 301, 4096):
        lie = stating(small, size)
        assert zstandard.get_frame_parameters(lie).content_size == size
        with memory_below(MIB):
            parsed = parse(attack_metadata(0x81, lie))
            with pytest.raises(CorruptError, match="broken zstd frame"):
                _ = parsed.exif
    side = 64
    lie = stating(small, side * side)
    with memory_below(MIB), pytest.raises(CorruptError, match="ALPHA has a broken"):
        _ = parse(attack_alpha(lie, side)).alpha


def test_a_large_bomb_that_lies_runs_out_of_room() -> None:
    # Not single-segment, so patch the 4-byte size behind the window byte.
    assert SIZED_BOMB[4] & 0x20 == 0
    assert SIZED_BOMB[4] >> 6 == 2
    lie = SIZED_BOMB[:6] + (1000).to_bytes(4, "little") + SIZED_BOMB[10:]
    assert zstandard.get_frame_parameters(lie).content_size == 1000
    with memory_below(MIB), pytest.raises(CorruptError, match="broken zstd frame"):
        _ = parse(attack_metadata(0x83, lie)).xmp


def test_frames_with_something_else_in_them() -> None:
    good = zstd(b"some content")
    skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"abcd"
    with_dictionary = bytearray(zstd(b"some content"))
    with_dictionary[4] |= 1  # a one-byte dictionary id
    with_dictionary[5:5] = b"\x07"
    at_once = {
        "without a checksum": zstd(b"some content", checksum=False),
        "not a zstd frame": skippable + good,
        "empty zstd frame": stating(good, 0),
        "dictionary": bytes(with_dictionary),
        "broken zstd frame": good[:5],
    }
    for match, frame in at_once.items():
        with pytest.raises(CorruptError, match=match):
            parse(attack_metadata(0x82, frame))
    when_asked = [good + b"\0", good + good, good + skippable, good[:-1], good[:-5] + b"\1" * 5]
    for frame in when_asked:
        parsed = parse(attack_metadata(0x82, frame))
        with pytest.raises(CorruptError, match="ICC has a broken zstd frame"):
            _ = parsed.icc


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_frames_never_decode_to_something_else(data: st.DataObject) -> None:
    """zstd's own checksum stands behind ours: a damaged frame is an error, or decodes the same."""
    content = b"TIFF structure, " * 20 + bytes(range(100))
    frame = bytearray(zstd(content))
    index = data.draw(st.integers(4, len(frame) - 1))
    frame[index] ^= data.draw(st.integers(1, 255))
    with memory_below(32 * MIB), suppress(CorruptError, LimitError):
        assert parse(attack_metadata(0x81, bytes(frame))).exif == content


def test_alpha_of_the_largest_picture_is_not_touched_by_parse() -> None:
    """16320 x 16320 transparent pixels in few bytes are valid: `info` must not unpack them."""
    side = 16320
    frame = zstd_bomb(254, size=True)
    lie = frame[:6] + (side * side).to_bytes(4, "little") + frame[10:]
    with memory_below(MIB):
        parsed = parse(attack_alpha(lie, side))
    assert parsed.header.pixels == 266_342_400


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space")
def test_bombs_within_a_limited_address_space() -> None:
    """tracemalloc sees Python's memory only; this one holds for the libraries', too."""
    code = """
import resource, sys
from aecodec.bitstream import parse
from aecodec.errors import AecodecError
files = eval(sys.stdin.read())
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 32 * 2**20, -1))
for data in files:
    try:
        c = parse(data)
        c.tiles, c.alpha, c.exif, c.icc, c.xmp
    except AecodecError:
        continue
    sys.exit("accepted")
"""
    wide_window = bytearray(
        zstandard.ZstdCompressor(
            compression_params=zstandard.ZstdCompressionParameters(
                window_log=10, write_checksum=1, write_content_size=1
            )
        ).compress(bytes(3000))
    )
    wide_window[5] = 17 << 3  # 128 MiB
    assert zstandard.get_frame_parameters(bytes(wide_window)).window_size == 128 * MIB
    files = [
        attack_metadata(0x81, SIZED_BOMB),
        attack_metadata(0x81, UNSIZED_BOMB),
        attack_metadata(0x81, bytes(wide_window[:-1])),
        attack_alpha(SIZED_BOMB),
        attack_alpha(UNSIZED_BOMB),
        forge(make_header(2**20, 2**20), TILE),
    ]
    done = subprocess.run(
        [sys.executable, "-c", code], input=repr(files), text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
