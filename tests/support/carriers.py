"""Small picture files that carry what real ones carry: each name says what."""

from __future__ import annotations

import base64
import hashlib
import io
import struct
import zlib
from dataclasses import replace
from functools import cache

import numpy as np
from PIL import Image, PngImagePlugin

from aecodec.image import signalling
from aecodec.image.load import load
from aecodec.image.parts import Text
from aecodec.image.picture import Picture

WIDTH, HEIGHT = 64, 48
y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
RGB = np.stack([x * 4, y * 5, 128 + 60 * np.sin(x / 9) * np.cos(y / 7)], -1).clip(0, 255)
IMAGE = Image.fromarray(RGB.astype(np.uint8))
GREY = IMAGE.convert("L")


def encoded(format: str, image: Image.Image = IMAGE, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


# --- JPEG ---------------------------------------------------------------------------------------


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """Behind JFIF's segment, which stands first."""
    at = 4 + int.from_bytes(jpeg[4:6], "big")
    return jpeg[:at] + b"".join(segments) + jpeg[at:]


XMP = b"http://ns.adobe.com/xap/1.0/\0"
EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
ISO = b"urn:iso:std:iso:ts:21496:-1\0"
RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
NAMESPACES = (
    'xmlns:Container="http://ns.google.com/photos/1.0/container/" '
    'xmlns:Item="http://ns.google.com/photos/1.0/container/item/" '
    'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" '
    'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" '
    'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
)


def packet(attributes: str = "", inner: str = "") -> bytes:
    """An XMP packet of one description."""
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {RDF}>'
        f'<rdf:Description rdf:about="" {NAMESPACES} {attributes}>{inner}</rdf:Description>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


def directory(*items: str) -> str:
    """A `Container:Directory`; an item is what stands in its tag."""
    entries = (
        f'<rdf:li rdf:parseType="Resource"><Container:Item {item}/></rdf:li>' for item in items
    )
    seq = "".join(entries)
    return f"<Container:Directory><rdf:Seq>{seq}</rdf:Seq></Container:Directory>"


def item(semantic: str, mime: str = "image/jpeg", length: int = 0) -> str:
    return f'Item:Mime="{mime}" Item:Semantic="{semantic}" Item:Length="{length}"'


def mpf(sizes: list[tuple[int, int, int]], order: str = ">") -> bytes:
    """An APP2 of MPF that lists pictures: attributes, size, offset from MPF's own header."""
    head = (b"MM" if order == ">" else b"II") + struct.pack(order + "HIH", 42, 8, 3)
    entries = (
        struct.pack(order + "HHI4s", 0xB000, 7, 4, b"0100")
        + struct.pack(order + "HHII", 0xB001, 4, 1, len(sizes))
        + struct.pack(order + "HHII", 0xB002, 7, 16 * len(sizes), 50)
    )
    listed = b"".join(struct.pack(order + "IIIHH", *size, 0, 0) for size in sizes)
    return segment(0xE2, b"MPF\0" + head + entries + bytes(4) + listed)


def several(
    primary: bytes,
    *others: bytes,
    kinds: tuple[int, ...] = (),
    order: str = ">",
    padding: int = 0,
) -> bytes:
    """A JPEG with further pictures behind it, listed by MPF."""
    kinds = kinds or (0,) * len(others)
    blank = mpf([(0, 0, 0)] * (1 + len(others)), order)
    whole = with_segments(primary, blank)
    header = whole.index(blank) + 8
    sizes, at = [(0x20030000, len(whole), 0)], len(whole) + padding
    for kind, other in zip(kinds, others, strict=True):
        sizes.append((kind, len(other), at - header))
        at += len(other)
    return whole.replace(blank, mpf(sizes, order)) + bytes(padding) + b"".join(others)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


NOISE = np.random.default_rng(26).bytes(3000)
MP4 = box(b"ftyp", b"mp42\0\0\0\0isommp42") + box(b"mdat", NOISE) + box(b"moov", bytes(100))
_BLOCK = b"\0\0\x30\x0a" + struct.pack("<I", 16) + b"MotionPhoto_Data" + MP4
_ENTRY = b"\0\0\x30\x0a" + struct.pack("<II", len(_BLOCK), len(_BLOCK))
_SEFH = b"SEFH" + struct.pack("<II", 107, 1) + _ENTRY
SAMSUNG = _BLOCK + _SEFH + struct.pack("<I", len(_SEFH)) + b"SEFT"
GAIN_MAP = encoded("JPEG", GREY.resize((16, 12)), quality=80)
IPTC = b"\x1c\x02\x00\x00\x02\x00\x04\x1c\x02\x78\x00\x06a view\x1c\x02\x19\x00\x05coast"
PSEUDO_C2PA = box(b"jumb", box(b"jumd", b"c2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71\3c2pa\0"))


def resource(number: int, content: bytes) -> bytes:
    """One of Photoshop's image resources."""
    head = b"8BIM" + struct.pack(">HHI", number, 0, len(content))
    return head + content + bytes(len(content) % 2)


def photoshop(*resources: bytes) -> bytes:
    return segment(0xED, b"Photoshop 3.0\0" + b"".join(resources))


def extended(inner: str, size: int = 40_000) -> list[bytes]:
    """Segments of a packet, and of an extended one that it refers to."""
    extension = packet("", inner)
    digest = hashlib.md5(extension, usedforsecurity=False).hexdigest().upper()
    segments = [segment(0xE1, XMP + packet(f'xmpNote:HasExtendedXMP="{digest}"'))]
    for at in range(0, len(extension), size):
        head = EXTENSION + digest.encode() + struct.pack(">II", len(extension), at)
        segments.append(segment(0xE1, head + extension[at : at + size]))
    return segments


def exif(orientation: int = 1, dimensions: tuple[int, int] = (WIDTH, HEIGHT)) -> bytes:
    tags = Image.Exif()
    tags[271], tags[274] = "Maker", orientation
    inner = tags.get_ifd(0x8769)
    inner[40962], inner[40963] = dimensions
    return tags.tobytes()


ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4"
    "UG1RV19iZ2hnPk1xeXBkeFxlZ2P/yQALCAAQABABAREA/8wABgAQEAX/2gAIAQEAAD8A/wBtnu+vwnL4hGUYll5lI/j/"
    "2Q=="
)
"""16 x 16 pixels of grey by arithmetic coding, which Pillow does not write: cjpeg -arithmetic."""


def profile() -> bytes:
    """A profile of Display P3."""
    found = signalling.from_code_points(12, 13, said_by="").icc
    assert found is not None
    return found


OTHER_IPTC = IPTC[:-1] + b"T"


@cache
def jpegs() -> dict[str, bytes]:
    plain = encoded("JPEG", quality=90)

    def app(marker: int, content: bytes) -> bytes:
        return with_segments(plain, segment(marker, content))

    hdrgm = with_segments(plain, segment(0xE1, XMP + packet('hdrgm:Version="1.0"')))
    both = packet(
        'GCamera:MotionPhoto="1"',
        directory(
            item("Primary"),
            item("GainMap", length=len(GAIN_MAP)),
            item("MotionPhoto", "video/mp4", len(MP4)),
        ),
    )
    micro = f'GCamera:MicroVideo="1" GCamera:MicroVideoOffset="{len(MP4)}"'
    slices = struct.pack(">I16xI", 6, 0)
    return {
        "plain": plain,
        "progressive": encoded("JPEG", progressive=True),
        "restarts": encoded("JPEG", restart_marker_blocks=3),
        "dpi": encoded("JPEG", dpi=(300, 240)),
        "dots a centimetre": plain[:13] + bytes([2, 0, 118, 0, 118]) + plain[18:],
        "aspect": plain[:13] + bytes([0, 0, 2, 0, 1]) + plain[18:],
        "exif": encoded("JPEG", exif=exif()),
        "two exif": with_segments(plain, segment(0xE1, exif()), segment(0xE1, exif(3))),
        "exif, continued": with_segments(
            plain, segment(0xE1, exif()[:60]), segment(0xE1, b"Exif\0\0" + exif()[60:])
        ),
        "exif of another mark": app(0xE1, b"Exif\0\xff" + exif()[6:]),
        "arithmetic": ARITHMETIC,
        "comments": with_segments(plain, segment(0xFE, b"box 12"), segment(0xFE, b"caf\xe9")),
        "jfxx": app(0xE0, b"JFXX\0\x10" + GAIN_MAP),
        "iptc": with_segments(plain, photoshop(resource(0x0404, IPTC))),
        "resources": with_segments(
            plain,
            photoshop(
                resource(0x03ED, struct.pack(">IHHIHH", 150 << 16, 1, 1, 150 << 16, 1, 1)),
                resource(0x0404, IPTC),
                resource(0x0408, struct.pack(">IIII", 1, 576, 576, 0)),
                resource(0x040B, b"https://example.org"),
                resource(0x041A, slices + struct.pack(">I", 1)),
                resource(0x0425, bytes(16)),
            ),
        ),
        "path": with_segments(plain, photoshop(resource(2000, bytes(26)))),
        "clipping path": with_segments(plain, photoshop(resource(2999, b"\5curve"))),
        "guides": with_segments(
            plain, photoshop(resource(0x0408, struct.pack(">IIIIIB", 1, 576, 576, 1, 99, 0)))
        ),
        "broken resources": with_segments(plain, photoshop(resource(0x0404, IPTC)[:-9])),
        "c2pa": app(0xEB, b"JP\0\1\0\0\0\1" + PSEUDO_C2PA),
        "jpeg xt": app(0xEB, b"JP\0\1\0\0\0\1" + box(b"RESI", b"xt")),
        "flir": app(0xE1, b"FLIR\0\1\0\0" + NOISE),
        "flashpix": app(0xE2, b"FPXR\0\0\1"),
        "kodak": app(0xE3, b"Meta\0\0II*\0"),
        "ducky": app(0xEC, b"Ducky" + struct.pack(">HHI", 1, 4, 60) + bytes(2)),
        "ducky comment": app(0xEC, b"Ducky" + struct.pack(">HHI", 2, 4, 60) + bytes(2)),
        "picture info": app(0xEC, b"[picture info]\r\nResolution=1"),
        "unknown app": app(0xE7, b"vendor calibration"),
        "icc incomplete": app(0xE2, b"ICC_PROFILE\0\1\2" + bytes(200)),
        "xmp": app(0xE1, XMP + packet('dc:format="image/jpeg"')),
        "two xmp": with_segments(
            plain, segment(0xE1, XMP + packet()), segment(0xE1, XMP + packet('dc:source="b"'))
        ),
        "extended xmp": with_segments(
            plain, *extended(f"<dc:description>{'A' * 70_000}</dc:description>")
        ),
        "extended xmp, a piece missing": with_segments(
            plain, *extended(f"<dc:description>{'A' * 70_000}</dc:description>")[:-1]
        ),
        "extended xmp that is none": with_segments(
            plain, *extended("</rdf:Description><rdf:Description>")
        ),
        "motion photo": with_segments(plain, segment(0xE1, XMP + packet('GCamera:MotionPhoto="1"')))
        + MP4,
        "micro video": with_segments(plain, segment(0xE1, XMP + packet(micro))) + MP4,
        "video, no xmp": plain + bytes(7) + MP4,
        "samsung": plain + SAMSUNG,
        "zip": plain + b"PK\3\4" + NOISE,
        "tail": plain + b"something else",
        "padding": plain + bytes(2000),
        "second jpeg": plain + encoded("JPEG", GREY),
        "hdrgm": several(hdrgm, GAIN_MAP),
        "hdrgm, little-endian": several(hdrgm, GAIN_MAP, order="<", padding=5),
        "iso gain map": several(app(0xE2, ISO + bytes(4)), GAIN_MAP, kinds=(0x50000,)),
        "marked gain map": several(plain, with_segments(GAIN_MAP, segment(0xE2, ISO + bytes(8)))),
        "gain map and video": several(with_segments(plain, segment(0xE1, XMP + both)), GAIN_MAP)
        + MP4,
        "gain map, samsung": several(hdrgm, GAIN_MAP) + SAMSUNG,
        "gain map, lying": several(
            with_segments(
                encoded("JPEG", exif=exif(6)), segment(0xE1, XMP + packet('hdrgm:Version="1.0"'))
            ),
            GAIN_MAP,
        ),
        "stereo": several(plain, encoded("JPEG", IMAGE.transpose(Image.Transpose.ROTATE_180))),
        "large thumbnail": several(plain, GAIN_MAP, kinds=(0x10001,)),
        "thumbnail and gain map": several(hdrgm, GAIN_MAP, GAIN_MAP, kinds=(0x10002, 0)),
    }


# --- PNG ----------------------------------------------------------------------------------------


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I4s", len(content), kind)
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    return png[:33] + b"".join(chunks) + png[33:]


def raw_profile(kind: str, content: bytes) -> bytes:
    """As ImageMagick stores one: a text of hexadecimal digits."""
    digits = "\n".join(content.hex()[at : at + 72] for at in range(0, 2 * len(content), 72))
    text = f"\n{kind}\n{len(content):8}\n{digits}\n".encode()
    return chunk(b"zTXt", f"Raw profile type {kind}\0\0".encode() + zlib.compress(text))


def iccp(content: bytes) -> bytes:
    return chunk(b"iCCP", b"name\0\0" + zlib.compress(content))


def international(source: str) -> bytes:
    """XMP in an iTXt."""
    return chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet(f'dc:source="{source}"'))


@cache
def pngs() -> dict[str, bytes]:
    plain = encoded("PNG")
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "a tree, Steps: 20")
    texts.add_text("Description", "long " * 50, zip=True)
    texts.add_itxt("Titel", "Überschrift", "de", "Titel")
    xmp = PngImagePlugin.PngInfo()
    xmp.add_itxt("XML:com.adobe.xmp", packet('dc:format="image/png"').decode())
    frames = [IMAGE, IMAGE.transpose(Image.Transpose.ROTATE_180)]
    deep = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(range(48)) for _ in range(8)))
    sixteen = plain[:8] + chunk(b"IHDR", deep) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")

    def more(kind: bytes, content: bytes) -> bytes:
        return with_chunks(plain, chunk(kind, content))

    wrong = bytearray(more(b"tEXt", b"a\0b"))
    wrong[33 + 8 + 3 + 3] ^= 1
    return {
        "plain": plain,
        "texts": encoded("PNG", pnginfo=texts),
        "xmp": encoded("PNG", pnginfo=xmp),
        "exif": encoded("PNG", exif=exif()),
        "exif with a prefix": more(b"eXIf", exif()),
        "two exif": with_chunks(plain, chunk(b"eXIf", exif()[6:]), chunk(b"eXIf", exif(3)[6:])),
        "raw exif": with_chunks(plain, raw_profile("exif", exif())),
        "raw app1": with_chunks(plain, raw_profile("APP1", exif())),
        "exif and raw exif": with_chunks(
            plain, raw_profile("exif", exif(3)), chunk(b"eXIf", exif()[6:])
        ),
        "xmp and raw xmp": with_chunks(
            plain, raw_profile("xmp", packet('dc:source="b"')), international("a")
        ),
        "two xmp": with_chunks(plain, international("a"), international("b")),
        "icc and raw icc": with_chunks(
            plain, raw_profile("icc", profile() + bytes(4)), iccp(profile())
        ),
        "two icc": with_chunks(plain, iccp(profile()), iccp(profile() + bytes(4))),
        "broken icc": more(b"iCCP", b"name\0\0no deflate"),
        "two iptc": with_chunks(plain, raw_profile("iptc", IPTC), raw_profile("iptc", OTHER_IPTC)),
        "bad time": more(b"tIME", b"1999"),
        "dpi": encoded("PNG", dpi=(300, 240)),
        "aspect": more(b"pHYs", struct.pack(">IIB", 2, 1, 0)),
        "time": more(b"tIME", struct.pack(">HBBBBB", 2001, 2, 3, 4, 5, 6)),
        "raw iptc": with_chunks(plain, raw_profile("iptc", resource(0x0404, IPTC))),
        "raw xmp": with_chunks(plain, raw_profile("xmp", packet('dc:source="a"'))),
        "raw other": with_chunks(plain, raw_profile("app12", b"something")),
        "raw broken": with_chunks(plain, raw_profile("iptc", IPTC)[:-4] + b"oops"),
        "cicp pq": more(b"cICP", bytes([9, 16, 0, 1])),
        "cicp p3": more(b"cICP", bytes([12, 13, 0, 1])),
        "gama": more(b"gAMA", struct.pack(">I", 100_000)),
        "mastering": more(b"mDCV", bytes(24)),
        "harmless": with_chunks(plain, chunk(b"sBIT", b"\5\6\5"), chunk(b"bKGD", bytes(6))),
        "c2pa": more(b"caBX", PSEUDO_C2PA),
        "private": more(b"prVt", b"state"),
        "offset": more(b"oFFs", struct.pack(">IIB", 1, 1, 0)),
        "animation": encoded("PNG", frames[0], save_all=True, append_images=frames[1:]),
        "one frame": encoded("PNG", frames[0], save_all=True, append_images=[], loop=1),
        "sixteen bits": sixteen,
        "wrong checksum": bytes(wrong),
        "zip": plain + b"PK\3\4" + NOISE,
        "padding": plain + bytes(100),
    }


# --- The others ---------------------------------------------------------------------------------


def riff(*chunks: tuple[bytes, bytes], more: bytes = b"") -> bytes:
    body = b"".join(
        kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
        for kind, content in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body + more


@cache
def webps() -> dict[str, bytes]:
    plain = encoded("WEBP", exif=exif(), xmp=packet('dc:format="image/webp"'))

    def more(kind: bytes, content: bytes) -> bytes:
        data = plain + kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
        return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]

    frames = [IMAGE.transpose(Image.Transpose.ROTATE_180)]
    return {
        "plain": encoded("WEBP"),
        "metadata": plain,
        "lossless": encoded("WEBP", lossless=True),
        "c2pa": more(b"C2PA", bytes(40)),
        "unknown": more(b"zzzz", b"\1" * 41),
        "second exif": more(b"EXIF", exif(3)),
        "not announced": plain[:20] + bytes([0]) + plain[21:],
        "animation": encoded("WEBP", save_all=True, append_images=frames),
        "tail": plain + b"tail",
        "padding": plain + bytes(10),
    }


def gif_extension(label: int, *blocks: bytes) -> bytes:
    return bytes([0x21, label]) + b"".join(bytes([len(b)]) + b for b in blocks) + b"\0"


@cache
def gifs() -> dict[str, bytes]:
    plain = encoded("GIF", GREY)
    at = plain.index(b"\x21\xf9") if b"\x21\xf9" in plain else plain.index(b"\x2c", 700)

    def more(extension: bytes) -> bytes:
        return plain[:at] + extension + plain[at:]

    xmp = b"\x21\xff\x0bXMP DataXMP" + packet('dc:source="gif"')
    xmp += b"\1" + bytes(range(255, -1, -1)) + b"\0"
    other = IMAGE.transpose(Image.Transpose.ROTATE_180)
    icc = gif_extension(0xFF, b"ICCRGBG1012", profile()[:255], profile()[255:])
    return {
        "plain": plain,
        "two xmp": more(xmp + xmp.replace(b'"gif"', b'"fig"')),
        "two icc": more(icc + icc.replace(b"desc", b"csed")),
        "comment": more(gif_extension(0xFE, b"a comment of", b" two blocks")),
        "loop": more(gif_extension(0xFF, b"NETSCAPE2.0", b"\1\0\0")),
        "xmp": more(xmp),
        "plain text": more(gif_extension(0x01, bytes(12), b"drawn")),
        "application": more(gif_extension(0xFF, b"MYAPPL  1.0", b"data")),
        "unknown": more(gif_extension(0x77, b"data")),
        "animation": encoded("GIF", IMAGE, save_all=True, append_images=[other]),
        "aspect": plain[:12] + b"\x20" + plain[13:],
        "tail": plain + b"tail",
        "padding": plain + bytes(9),
    }


@cache
def bmps() -> dict[str, bytes]:
    plain = encoded("BMP", dpi=(300, 300))
    pixels = plain[54:]
    # A V5 header with bit fields of ten bits a channel.
    size = 4 * WIDTH * HEIGHT
    head = struct.pack("<IiiHHIIiiII", 124, WIDTH, -HEIGHT, 1, 32, 3, size, 2835, 2835, 0, 0)
    masks = struct.pack("<4I", 0x3FF00000, 0xFFC00, 0x3FF, 0)
    deep = head + masks + b"BGRs" + bytes(36 + 12) + struct.pack("<4I", 4, 0, 0, 0)
    start = b"BM" + struct.pack("<IHHI", 138 + size, 0, 0, 138)
    gap = bytearray(plain[:54] + b"hidden" + pixels)
    gap[10:14] = struct.pack("<I", 60)
    return {
        "plain": plain,
        "palette": encoded("BMP", IMAGE.quantize(16)),
        "bit": encoded("BMP", IMAGE.convert("1")),
        "gap": bytes(gap),
        "reserved": plain[:6] + b"abcd" + plain[10:],
        "tail": plain + b"tail",
        "padding": plain + bytes(3),
        "ten bits": start + deep + bytes(size),
    }


@cache
def pnms() -> dict[str, bytes]:
    rgb, grey = np.asarray(IMAGE), np.asarray(GREY)
    deep = (rgb.astype(">u2") * 257).tobytes()
    floats = (grey.astype("<f4") / 255).tobytes()
    plain = " ".join(str(value) for value in grey.ravel()).encode()
    size = b"%d %d" % (WIDTH, HEIGHT)
    return {
        "plain": b"P6\n" + size + b"\n255\n" + rgb.tobytes(),
        "comment": b"P6\n# made by hand\n" + size + b"\n#caf\xe9\n255\n" + rgb.tobytes(),
        "16 bits": b"P6\n" + size + b"\n65535\n" + deep,
        "12 bits grey": b"P5 " + size + b" 4095 " + (grey.astype(">u2") * 16).tobytes(),
        "maxval 100": b"P5 " + size + b" 100 " + (grey // 3).tobytes(),
        "two images": 2 * (b"P5\n" + size + b"\n255\n" + grey.tobytes()),
        "bitmap": encoded("PPM", IMAGE.convert("1")),
        "ascii": b"P2\n" + size + b"\n255\n" + plain + b"\n",
        "ascii, comment": b"P2\n" + size + b"\n255\n# between\n" + plain + b"\n",
        "ascii, two": 2 * (b"P2\n" + size + b"\n255\n" + plain + b"\n"),
        "ascii bitmap": b"P1\n" + size + b"\n" + b"10" * (WIDTH * HEIGHT // 2) + b"\n",
        "pfm": b"Pf\n" + size + b"\n-1.0\n" + floats,
        "pfm, scale": b"Pf\n" + size + b"\n-2.5\n" + floats,
        "tail": b"P5\n" + size + b"\n255\n" + grey.tobytes() + b"tail",
        "padding": b"P5\n" + size + b"\n255\n" + grey.tobytes() + bytes(8),
    }


def with_everything() -> Picture:
    """A picture with which everything travels that a file can hold."""
    picture = load(jpegs()["gain map and video"])
    return replace(
        picture,
        exif=exif()[6:],
        icc=bytes(128) + b"no profile",
        resolution=(300.0, 240.5),
        texts=(Text("", "caf\udce9"), Text("Titel", "Überschrift", "de", "Überschrift")),
        iptc=IPTC,
    )


FORMATS = {"JPEG": jpegs, "PNG": pngs, "WEBP": webps, "GIF": gifs, "BMP": bmps, "PPM": pnms}
"""By Pillow's name, of the formats whose carriers are here."""
