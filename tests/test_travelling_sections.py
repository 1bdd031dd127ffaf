"""The sections of what travels with a picture: written as specified, and checked when read."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import carriers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import GOLDEN

import aecodec
from aecodec import bitstream, codec
from aecodec.bitstream import Attachment, ColourMode, Header, SectionType, Text, pack, parse
from aecodec.entropy import zstd
from aecodec.errors import CorruptError, LimitError


def header(width: int, height: int) -> Header:
    return Header(width, height, ColourMode.RGB, quality=75, model_id=bytes(range(8)))


def made_of(kind: int, payload: bytes) -> bytes:
    """A file with good checksums, of this section and a tile, whatever it holds."""
    body = b""
    for ordinal, (number, content) in enumerate(((kind, payload), (SectionType.TILE, b"AAAA"))):
        crc = zlib.crc32(bytes([number]) + struct.pack("<I", ordinal) + content)
        body += bytes([number]) + varint(len(content)) + struct.pack("<I", crc) + content
    return bitstream._pack_header(header(3, 3), len(body)) + body


def varint(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def framed_texts(content: bytes) -> bytes:
    return made_of(SectionType.TEXTS, zstd.compress(content))


def test_the_payloads_byte_by_byte() -> None:
    """Written out by hand from the specification."""
    data = pack(
        header(3, 3),
        [b"AAAA"],
        resolution=(300.0, 240.5),
        texts=[("k", "t\udce9", "de", "K")],
        iptc=b"\x1c\2",
        gain_map=Attachment(b"\xff\xd8", bytes(12)),
        video=Attachment(b"mp4"),
    )
    sections = {s.type: data[s.start : s.end] for s in parse(data).sections}
    assert list(sections) == [0x84, 0x85, 0x86, 0x87, 0x88, 0x01]
    assert sections[0x84] == bytes.fromhex("00009643 00807043")
    assert zstd.decompress(sections[0x85], "") == b"\1k\2de\1K\2t\xe9"
    assert zstd.decompress(sections[0x86], "") == b"\x1c\2"
    assert sections[0x87] == b"\x0c" + bytes(12) + b"\xff\xd8"
    assert sections[0x88] == b"\0mp4"


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_round_trip(data: st.DataObject) -> None:
    number = st.floats(0.0078125, 1e6, width=32)
    string = st.text(max_size=20)
    attachment = st.builds(Attachment, st.binary(min_size=1, max_size=300), st.binary(max_size=20))
    given_ = {
        "exif": data.draw(st.none() | st.binary(min_size=1, max_size=9)),
        "resolution": data.draw(st.none() | st.tuples(number, number)),
        "texts": tuple(data.draw(st.lists(st.builds(Text, string, string, string, string)))),
        "iptc": data.draw(st.none() | st.binary(min_size=1, max_size=300)),
        "gain_map": data.draw(st.none() | attachment),
        "video": data.draw(st.none() | attachment),
    }
    packed = pack(header(3, 3), [b"AAAA"], **given_)
    found = parse(packed).metadata
    assert found == {"icc": None, "xmp": None, **given_}
    types = [section.type for section in parse(packed).sections]
    assert types[:-1] == sorted(types[:-1])


@pytest.mark.parametrize(
    ("data", "part", "match"),
    [
        (made_of(0x84, bytes(7)), "resolution", "7 bytes"),
        (made_of(0x84, struct.pack("<2f", 0, 1)), "resolution", "0 x 1"),
        (made_of(0x84, struct.pack("<2f", float("nan"), 1)), "resolution", "nan"),
        (made_of(0x84, struct.pack("<2f", 1, float("inf"))), "resolution", "inf"),
        (framed_texts(b"\1k\0\0"), "texts", "not complete"),
        (framed_texts(b"\1k\0\0\5abc"), "texts", "past the end"),
        (framed_texts(b"\xff\xff\xff\x7f"), "texts", "past the end"),
        (framed_texts(bytes(40_004)), "texts", "more than 10000"),
        (made_of(0x87, b""), "gain_map", "nothing in it"),
        (made_of(0x87, b"\3abc"), "gain_map", "nothing in it"),
        (made_of(0x88, b"\x7fabc"), "video", "nothing in it"),
    ],
    ids=range(11),
)
def test_forged_payloads_are_damage(data: bytes, part: str, match: str) -> None:
    with pytest.raises(CorruptError, match=match):
        getattr(parse(data), part)
    with pytest.raises(CorruptError, match=match):
        codec.verify(data)


def test_frames_are_bounded_before_they_are_unpacked() -> None:
    bomb = zstd.compress(bytes(2**25))
    for kind in (SectionType.TEXTS, SectionType.IPTC):
        with pytest.raises(LimitError, match=kind.name):
            parse(made_of(kind, bomb))


def test_attachments_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bitstream, "DEFAULT_MAX_ATTACHMENT", 100)
    with pytest.raises(LimitError, match="VIDEO of 101 bytes"):
        parse(made_of(0x88, bytes(101)))
    with pytest.raises(LimitError, match="VIDEO of 101 bytes"):
        pack(header(3, 3), [b"AAAA"], video=Attachment(bytes(100)))
    assert parse(made_of(0x88, b"\0" + bytes(99))).video == Attachment(bytes(99))


def test_too_much_is_not_written() -> None:
    with pytest.raises(LimitError, match="10001 texts"):
        pack(header(3, 3), [b"AAAA"], texts=[("", "a", "", "")] * 10_001)
    with pytest.raises(LimitError, match="IPTC"):
        pack(header(3, 3), [b"AAAA"], iptc=bytes(2**24 + 1))


def test_what_travels_costs_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the container does not hold is left out with a note, not refused."""
    from aecodec.image import ancillary
    from aecodec.image.load import load

    monkeypatch.setattr(ancillary, "_MAX_TEXTS", 1)
    monkeypatch.setattr(ancillary, "_MAX_BYTES", 20)
    picture = load(carriers.pngs()["texts"])
    assert picture.texts == ()
    assert any("texts of" in note for note in picture.notes)
    assert any("IPTC of" in note for note in load(carriers.jpegs()["iptc"]).notes)


def test_the_golden_file_has_everything() -> None:
    container = parse((GOLDEN / "travelling-q75.aec").read_bytes())
    made = carriers.with_everything().metadata
    found = container.metadata
    assert list(found) == list(bitstream.METADATA)
    assert all(found.values())
    assert found["icc"] == bytes(128) + b"no profile"
    assert found["resolution"] == (300.0, 240.5)
    assert found["texts"] == made["texts"]
    assert found["iptc"] == carriers.IPTC
    assert found["gain_map"].data[:3] == b"\xff\xd8\xff"
    assert found["video"].data == carriers.MP4
    assert aecodec.decompress(container.data).info["dpi"] == (300.0, 240.5)


def test_the_size_counts_in_a_target() -> None:
    picture = carriers.with_everything()
    bare = replace(picture, gain_map=None, video=None)
    more = len(aecodec.compress(picture)) - len(aecodec.compress(bare))
    assert more > len(carriers.MP4) + len(carriers.GAIN_MAP)
    limit = len(aecodec.compress(picture, 40))
    data = aecodec.compress(picture, target_size=limit)
    assert len(data) <= limit
    assert parse(data).video is not None
