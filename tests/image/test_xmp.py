"""XMP packets: claims are taken out or made true, and all else stays byte for byte."""

from __future__ import annotations

from xml.etree import ElementTree

import carriers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aecodec.image import xmp
from aecodec.image.parts.account import GAIN_MAP, VIDEO

BOTH = carriers.packet(
    'hdrgm:Version="1.0" GCamera:MotionPhoto="1" GCamera:MicroVideoOffset = \'77\' dc:a="x>y"',
    carriers.directory(
        carriers.item("Primary") + ' Item:Padding="5"',
        carriers.item("GainMap", length=1),
        carriers.item("MotionPhoto", "video/mp4", 2),
        carriers.item("Depth", length=3),
    )
    + "<hdrgm:GainMapMin>0</hdrgm:GainMapMin><dc:b>&lt;GCamera:MotionPhoto&gt;</dc:b>",
)
AS_ELEMENTS = carriers.packet(
    "",
    "<Container:Directory><rdf:Seq><rdf:li><rdf:Description><Item:Semantic>Primary"
    "</Item:Semantic></rdf:Description></rdf:li><rdf:li><rdf:Description><Item:Semantic>"
    "MotionPhoto</Item:Semantic><Item:Length> 3 </Item:Length></rdf:Description></rdf:li>"
    "</rdf:Seq></Container:Directory><GCamera:MicroVideoOffset>4</GCamera:MicroVideoOffset>",
)


def test_a_packet_without_claims_is_not_touched() -> None:
    for packet in (b"", b"<x/>", b"not xml <", b"<a xmlns:dc='d' dc:x='1'/>"):
        assert xmp.without(packet, (GAIN_MAP, VIDEO, xmp.EXTENDED)) is packet
        assert xmp.with_lengths(packet, 1, 2) is packet
        assert xmp.semantics(packet) == []
        assert xmp.extended_digest(packet) == ""


def test_claims_are_found() -> None:
    found = ["Primary", "GainMap", "MotionPhoto", "Depth", "hdrgm"]
    assert xmp.semantics(BOTH) == found
    assert xmp.semantics(AS_ELEMENTS) == ["Primary", "MotionPhoto"]


@pytest.mark.parametrize(
    ("gone", "left", "items"),
    [
        ((), (b"hdrgm:Version", b"MotionPhoto=", b"GainMapMin"), ["GainMap", "MotionPhoto"]),
        ((GAIN_MAP,), (b"MotionPhoto=",), ["MotionPhoto"]),
        ((VIDEO,), (b"hdrgm:Version", b"GainMapMin"), ["GainMap"]),
        ((GAIN_MAP, VIDEO), (), []),
    ],
)
def test_what_is_gone_is_no_longer_claimed(
    gone: tuple[str, ...], left: tuple[bytes, ...], items: list[str]
) -> None:
    packet = xmp.without(BOTH, gone)
    ElementTree.fromstring(packet)
    claims = (b"hdrgm:Version", b"GCamera:MotionPhoto=", b"MicroVideoOffset", b"hdrgm:GainMapMin")
    for claim in claims:
        kind = GAIN_MAP if claim.startswith(b"hdrgm") else VIDEO
        assert (claim in packet) == (kind not in gone)
    assert all(claim in packet for claim in left)
    semantics = [name for name in xmp.semantics(packet) if name != "hdrgm"]
    assert semantics == (["Primary", *items] if items else [])
    assert (b"Container:Directory>" in packet) == bool(items)
    assert b'dc:a="x>y"' in packet
    assert b"<dc:b>&lt;GCamera:MotionPhoto&gt;</dc:b>" in packet


def test_lengths_become_true_and_nothing_else_changes() -> None:
    packet = xmp.with_lengths(BOTH, 100, 2000)
    expected = (
        BOTH.replace(b'Item:Padding="5"', b'Item:Padding="0"')
        .replace(b'"GainMap" Item:Length="1"', b'"GainMap" Item:Length="100"')
        .replace(b'"MotionPhoto" Item:Length="2"', b'"MotionPhoto" Item:Length="2000"')
        .replace(b"'77'", b"'2000'")
    )
    assert packet == expected
    elements = xmp.with_lengths(AS_ELEMENTS, None, 2000)
    assert elements == AS_ELEMENTS.replace(b" 3 ", b"2000").replace(b">4<", b">2000<")


def test_a_joined_packet_says_all_that_both_said() -> None:
    main = carriers.packet('xmpNote:HasExtendedXMP="AB" dc:format="x"', "<dc:a>1</dc:a>")
    rest = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:q="urn:q"><rdf:RDF '
        b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about=""><q:z>2</q:z></rdf:Description></rdf:RDF></x:xmpmeta>'
    )
    assert xmp.extended_digest(main) == "AB"
    packet = xmp.joined(main, rest)
    tree = ElementTree.fromstring(packet)
    assert tree.findtext(".//{urn:q}z") == "2"
    assert tree.findtext(".//{http://purl.org/dc/elements/1.1/}a") == "1"
    assert xmp.extended_digest(packet) == ""


@pytest.mark.parametrize("rest", [b"", b"<big>AA</big>", b"<x", b"\xff\xfe<\0x\0/\0>\0"])
def test_what_is_no_packet_is_not_joined(rest: bytes) -> None:
    with pytest.raises(xmp.Unreadable):
        xmp.joined(carriers.packet('xmpNote:HasExtendedXMP="AB"'), rest)


def test_a_split_packet_is_joined_again() -> None:
    large = f"<dc:description>{'A' * 5000}</dc:description>"
    packet = xmp.joined(BOTH, carriers.packet("", large))
    main, rest = xmp.split(packet, 3000)
    assert len(main) <= 3000
    assert b"MotionPhoto=" in main  # where readers look for it
    assert b"A" * 5000 in rest
    again = ElementTree.fromstring(xmp.joined(main, rest))
    before = ElementTree.fromstring(packet)
    assert sorted(e.tag for e in again.iter()) == sorted(e.tag for e in before.iter())
    assert xmp.split(packet, len(packet)) == (packet, b"")


def test_padding_goes_before_anything_is_moved() -> None:
    packet = BOTH + b" " * 4000 + b'<?xpacket end="w"?>'
    assert xmp.split(packet, 3000) == (BOTH + b'\n<?xpacket end="w"?>', b"")


def test_entities_are_refused() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + BOTH
    with pytest.raises(xmp.Unreadable, match="document type"):
        xmp.without(bomb, (VIDEO,))


def test_a_packet_of_a_million_elements_is_refused() -> None:
    with pytest.raises(xmp.Unreadable, match="elements"):
        xmp.without(b"<hdr-gain-map>" + b"<a/>" * 1_000_000, (VIDEO,))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_forged_packet_is_changed_or_unreadable(data: st.DataObject) -> None:
    packet = bytearray(data.draw(st.sampled_from([BOTH, AS_ELEMENTS])))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(packet)))
        packet[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    try:
        left = xmp.without(bytes(packet), (GAIN_MAP, VIDEO, xmp.EXTENDED))
        xmp.with_lengths(bytes(packet), 1, 2)
        xmp.split(bytes(packet), 500)
    except xmp.Unreadable:
        return
    if xmp.is_claimed(left):
        assert not {"GainMap", "MotionPhoto"} & set(xmp.semantics(left))
