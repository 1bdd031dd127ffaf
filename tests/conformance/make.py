"""Writes the conformance suite anew: only when new weights or a new format make it necessary.

python tests/conformance/make.py [NAME...]

With names only those cases are made, and the others stay as they are: another processor makes
other files of them.
"""

from __future__ import annotations

import dataclasses
import io
import json
import pathlib
import sys
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageCms

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "support"))

import samples  # noqa: E402

import aecodec  # noqa: E402
from aecodec import bitstream  # noqa: E402
from aecodec.codec import Codec  # noqa: E402
from aecodec.entropy import coder as entropy  # noqa: E402
from aecodec.entropy import zstd  # noqa: E402
from aecodec.entropy.models import Runs  # noqa: E402
from aecodec.entropy.padding import TileShape  # noqa: E402
from aecodec.entropy.scales import Scales  # noqa: E402
from aecodec.entropy.steps import StepMap, map_tables  # noqa: E402
from aecodec.networks import weights  # noqa: E402

PEAK, RMSE = 1, 0.5
"""Of a pixel's value, in levels: what machines may differ by."""
GRAINED = 2
"""The same of the peak where a pixel's noise depends on its brightness."""
FEW = 64
"""Of so few pixels, all may differ by the peak."""
SMALL, BASE, EYE = (Codec(weights.by_name(name)) for name in ("small", "base", "small-eye"))


def display_p3() -> bytes:
    """A profile of Display P3 with sRGB's curve, built of the tags that it needs."""

    def fixed(*values: float) -> bytes:
        return b"".join(round(65536 * v).to_bytes(4, "big", signed=True) for v in values)

    def xyz(*values: float) -> bytes:
        return b"XYZ " + bytes(4) + fixed(*values)

    curve = (
        b"para" + bytes(4) + b"\0\3\0\0" + fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    )
    text = "Display P3".encode("utf-16-be")
    name = b"mluc" + bytes(4) + b"".join(n.to_bytes(4, "big") for n in (1, 12)) + b"enUS"
    name += len(text).to_bytes(4, "big") + (28).to_bytes(4, "big") + text
    tags = {
        b"desc": name,
        b"cprt": name,
        b"wtpt": xyz(0.96420, 1.0, 0.82491),
        b"rXYZ": xyz(0.51512, 0.24120, -0.00105),
        b"gXYZ": xyz(0.29198, 0.69225, 0.04189),
        b"bXYZ": xyz(0.15710, 0.06657, 0.78407),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    at, table, data = 132 + 12 * len(tags), b"", b""
    for tag, content in tags.items():
        table += tag + (at + len(data)).to_bytes(4, "big") + len(content).to_bytes(4, "big")
        data += content + bytes(-len(content) % 4)
    head = bytearray(128)
    head[4:8], head[8:12] = b"none", b"\4\x20\0\0"
    head[12:24], head[36:40] = b"mntrRGB XYZ ", b"acsp"
    head[24:36] = b"".join(n.to_bytes(2, "big") for n in (2026, 1, 1, 0, 0, 0))
    head[68:80] = fixed(0.96420, 1.0, 0.82491)
    profile = bytes(head) + len(tags).to_bytes(4, "big") + table + data
    profile = len(profile).to_bytes(4, "big") + profile[4:]
    ImageCms.ImageCmsProfile(io.BytesIO(profile))  # LittleCMS takes it
    return profile


def pictures() -> dict[str, bytes]:
    """Files that decode to pixels."""
    photo = samples.photograph("coffee.png", (120, 60, 420, 300))
    rng = np.random.default_rng(31)
    noise = Image.fromarray(rng.integers(0, 256, (96, 130, 3), dtype=np.uint8))
    drawing = np.full((90, 150, 3), 255, np.uint8)
    drawing[20:60, 30:90], drawing[40:80, 60:140] = (220, 20, 30), (10, 60, 200)
    drawing[::9, :] = 0
    made = {
        f"size-{w}x{h}": SMALL.compress(photo.crop((40, 30, 40 + w, 30 + h)), 80)
        for w, h in ((1, 1), (2, 3), (16, 16), (17, 16), (63, 65), (64, 64), (129, 7), (5, 140))
    }
    for quality in (1, 10, 30, 50, 75, 95, 100):
        made[f"quality-{quality}"] = SMALL.compress(photo.crop((60, 60, 160, 140)), quality)
    for quality in (5, 100):
        made[f"noise-q{quality}"] = SMALL.compress(noise, quality)
    made["drawing-q60"] = SMALL.compress(Image.fromarray(drawing), 60)
    made["flat-q20"] = SMALL.compress(Image.new("RGB", (300, 200), (90, 140, 60)), 20)
    made["effort-6"] = SMALL.compress(photo.crop((0, 0, 80, 64)), 50, effort=6)

    # Tiles of one unit, of several, and last ones of a single row or column of latents.
    made["tiles-64"] = SMALL.compress(photo.crop((0, 0, 193, 129)), 75, tile_size=64)
    made["tiles-128"] = SMALL.compress(photo, 60, tile_size=128)
    made["tiles-wide"] = SMALL.compress(photo.crop((0, 0, 290, 40)), 85, tile_size=64)
    made["tiles-base"] = BASE.compress(photo.crop((0, 0, 200, 150)), 70, tile_size=64)
    made["base-q40"] = BASE.compress(photo.crop((50, 50, 201, 171)), 40)
    made["eye-q50"] = EYE.compress(photo.crop((20, 20, 191, 140)), 50)
    made["base-grey"] = BASE.compress(photo.crop((50, 50, 150, 120)).convert("L"), 90)

    # Tiles stored exactly: all of them, or beside others; every transform of VP8L; no weights.
    page = np.asarray(Image.fromarray(drawing).resize((200, 130), Image.Resampling.NEAREST))
    made["exact-drawing"] = SMALL.compress(Image.fromarray(page), lossless=True)
    few = np.array([(250, 250, 240), (20, 20, 20), (200, 30, 40)], np.uint8)
    made["exact-palette"] = SMALL.compress(
        Image.fromarray(few[rng.integers(0, 3, (70, 90))]), lossless=True
    )
    made["exact-photo"] = SMALL.compress(photo.crop((0, 0, 90, 70)), lossless=True)
    made["exact-grey"] = SMALL.compress(photo.crop((0, 0, 70, 50)).convert("L"), lossless=True)
    made["exact-pixel"] = SMALL.compress(Image.new("RGB", (1, 1), (1, 2, 3)), lossless=True)
    half = np.asarray(photo.crop((0, 0, 256, 192))).copy()
    half[64:128, 64:192] = page[:64, :128]
    made["exact-mixed"] = SMALL.compress(Image.fromarray(half), 75, tile_size=64)
    assert 0 < len(bitstream.parse(made["exact-mixed"]).exact) < 12
    unknown = bitstream.parse(made["exact-photo"])
    made["exact-unknown-model"] = rebuilt(made["exact-photo"], change={14: unknown.data[14] ^ 255})

    made |= step_maps(photo)

    # Neutral pictures have one grey in all three channels.
    made["neutral"] = SMALL.compress(photo.crop((0, 0, 100, 70)).convert("L").convert("RGB"), 60)
    assert bitstream.parse(made["neutral"]).header.neutral

    # Colour modes, with each filter of alpha.
    made["grey"] = SMALL.compress(photo.crop((0, 0, 100, 70)).convert("L"), 70)
    ramp = np.arange(120, dtype=np.uint8)
    planes = {
        "alpha-left": np.tile(2 * ramp, (90, 1)),
        "alpha-up": np.tile((2 * ramp[:90])[:, None], (1, 120)),
        "alpha-none": np.where(rng.random((90, 120)) < 0.1, 255, 0).astype(np.uint8),
        "alpha-noise": rng.integers(0, 256, (90, 120), dtype=np.uint8),
    }
    for k, (name, plane) in enumerate(planes.items()):
        picture = (
            photo.crop((90, 90, 210, 180))
            .convert("RGBA" if k % 2 else "L")
            .convert("RGBA" if k % 2 else "LA")
        )
        picture.putalpha(Image.fromarray(plane))
        made[name] = SMALL.compress(picture, 70)
    made["alpha-one"] = SMALL.compress(Image.new("RGBA", (1, 1), (9, 200, 80, 77)), 70)

    # Metadata, each alone and all together, and a section that readers skip.
    small = photo.crop((10, 10, 90, 70))
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "A cup of coffee", 1
    tiff = exif.tobytes().removeprefix(b"Exif\0\0")
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + b"coffee " * 40 + b"</x:xmpmeta>"
    plain = bitstream.parse(SMALL.compress(small, 60))
    kinds: dict[str, dict[str, bytes]] = {
        "exif": {"exif": tiff},
        "icc-srgb": {"icc": samples.srgb()},
        "icc-p3": {"icc": display_p3()},
        "xmp": {"xmp": xmp},
        "metadata": {"exif": tiff, "icc": display_p3(), "xmp": xmp},
    }
    for name, kept in kinds.items():
        made[name] = bitstream.pack(plain.header, plain.tiles, **kept)
    made["travelling"] = bitstream.pack(
        plain.header,
        plain.tiles,
        resolution=(300.0, 150.5),
        texts=[("", "", "", b"a comment".decode()), ("Title", "de", "Titel", "Kaffee")],
        iptc=b"\x1c\x02\x05\x00\x06coffee",
        video=bitstream.Attachment(bytes(range(200))),
    )
    made.update(grained(photo, half))
    made["skipped"] = rebuilt(made["exif"], before=[(0x80, b"\0\1\2"), (0xFF, b"")], minor=7)
    return made


def step_maps(photo: Image.Image) -> dict[str, bytes]:
    """Files with maps of steps: a person's, an encoder's, and one with every step."""
    crop = photo.crop((30, 20, 230, 170))
    greys = np.asarray(Image.linear_gradient("L").resize(crop.size)).copy()
    greys[:70, :70] = 255
    greys[100:, 140:] = 0
    made = {
        "steps-white": SMALL.compress(crop, 60, importance=greys),
        "steps-tiles": SMALL.compress(crop, 80, importance=greys, tile_size=64),
        "steps-grey": EYE.compress(crop.convert("L"), 30, importance=greys),
        "steps-effort": EYE.compress(photo, 50, effort=3, tile_size=128),
        "steps-base": BASE.compress(crop, 25, importance=greys, tile_size=128),
    }
    rgb, quality = np.asarray(photo), 70
    tiles, point = SMALL.tiles, SMALL.weights.at(quality, step_maps=True)
    header = bitstream.Header(
        *photo.size, bitstream.ColourMode.RGB, quality, SMALL.weights.id, 192, step_maps=True
    )
    payloads = []
    rng = np.random.default_rng(17)
    for box in header.grid:
        y = tiles.analyse(rgb, box)
        tile = TileShape.at(box, rgb.shape, len(y))
        values = rng.integers(-8, 9, (tile.z_rows, tile.z_columns)).astype(np.int32)
        v = y * point.gain
        z_hat = tiles.transforms.hyper_analyse(v, tile)
        side = tiles.side_info(z_hat, point, tile, StepMap(values, tile))
        payloads.append(tiles.encode_latents(tiles.quantise_given(v, side), point))
    made["steps-every"] = bitstream.pack(header, payloads)
    assert all(bitstream.parse(data).header.step_maps for data in made.values())
    return made


def grained(photo: Image.Image, mixed: np.ndarray) -> dict[str, bytes]:
    """Files with GRAIN: as it is measured, and as strong, coarse and alike as it can be."""
    rng = np.random.default_rng(89)
    crop = photo.crop((60, 60, 220, 180))
    noisy = np.asarray(crop) + rng.normal(0.0, 12.0, (120, 160, 3))
    source = Image.fromarray(np.rint(noisy).clip(0, 255).astype(np.uint8))
    made = {"grain": SMALL.compress(source, 75, denoise=12.0, grain=True)}
    made["grain-grey"] = SMALL.compress(source.convert("L"), 75, denoise=12.0, grain=True)
    clear = source.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    made["grain-alpha"] = EYE.compress(clear, 60, denoise=12.0, grain=True)
    assert all(bitstream.parse(data).grain for data in made.values())

    def described(data: bytes, *levels: int, coarse: int, common: int, seed: int) -> bytes:
        content = bytes([*levels, coarse, common]) + seed.to_bytes(4, "little")
        return rebuilt(data, before=[(0x89, content)])

    # Wider than other decoders may draw at once, with clipped noise; the largest of each number.
    wide = SMALL.compress(photo.crop((0, 100, 300, 140)).resize((600, 80)), 50, tile_size=128)
    made["grain-wide"] = described(wide, *[200] * 9, coarse=128, common=100, seed=2**32 - 1)
    tiny = SMALL.compress(Image.new("RGB", (5, 3), (120, 130, 90)), 75)
    made["grain-most"] = described(tiny, *[255] * 9, coarse=255, common=255, seed=2**31)
    made["grain-none"] = described(tiny, *[0] * 9, coarse=0, common=0, seed=0)
    levels = (0, 4, 8, 14, 20, 24, 20, 12, 6)
    same = SMALL.compress(crop.convert("L").convert("RGB"), 60)
    made["grain-neutral"] = described(same, *levels, coarse=0, common=0, seed=1)
    tiles = SMALL.compress(Image.fromarray(mixed), 75, tile_size=64)
    assert bitstream.parse(tiles).exact
    made["grain-exact"] = described(tiles, *levels, coarse=40, common=200, seed=3)
    return made


def rebuilt(
    data: bytes,
    before: list[tuple[int, bytes]] = [],  # noqa: B006
    *,
    minor: int = 0,
    change: dict[int, int] | None = None,
    tiles: list[bytes] | None = None,
    broken: int | None = None,
) -> bytes:
    """A file with more sections, other tiles or other bytes in its header, and right checksums."""
    container = bitstream.parse(data)
    sections = [
        (s.type, data[s.start : s.end]) for s in container.sections if s.type not in (1, 3)
    ] + before
    sections.sort(key=lambda section: section[0])
    kinds = [3 if number in container.exact else 1 for number in range(len(container.tiles))]
    if tiles is None:
        sections += zip(kinds, container.tiles, strict=True)
    else:
        sections += [(kinds[0], tile) for tile in tiles]
    body = b""
    for ordinal, (kind, payload) in enumerate(sections):
        crc = zlib.crc32(payload, zlib.crc32(bytes([kind]) + ordinal.to_bytes(4, "little")))
        if ordinal == broken:
            crc ^= 1
        body += bytes([kind]) + varint(len(payload)) + crc.to_bytes(4, "little") + payload
    head = bytearray(data[:22])
    head[9] = minor
    for at, value in (change or {}).items():
        head[at] = value
    header = container.header
    checked = bytes(head) + varint(header.width) + varint(header.height) + varint(len(body))
    return checked + zlib.crc32(checked).to_bytes(4, "little") + body


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def far_symbols(steps: tuple[int, ...] = ()) -> bytes:
    """Symbols as far beyond their tables as the format allows, in every array, both ways.

    `steps` are the four of a map; steps beyond their limit make a file that is refused.
    """
    h = w = 8
    quality, config = 50, SMALL.weights.config
    rng = np.random.default_rng(5)
    z_hat = rng.integers(-3, 4, (config.hyper_latents, 2, 2)).astype(np.int32)
    far = [200, -300, 5000, -70000, 2**20, -(2**25), 2**30 - 1, 1 - 2**30]
    z_hat.ravel()[: 3 * len(far) : 3] = far
    tile = TileShape(config.latents, h, w)
    values = np.array(steps, np.int32).reshape(-1, 2)
    found = StepMap(values.clip(-8, 8), tile) if steps else None
    scales = Scales(SMALL.tiles.scale_network, z_hat, quality, tile, found)
    rows: list[Any] = []
    encoder = entropy.Encoder()
    SMALL.weights.at(quality).z_tables.encode(encoder, z_hat)
    if steps:
        map_tables().encode(encoder, values[None])
    for tables in SMALL.weights.y_tables:
        indexes = scales.after(rows[0]) if rows else scales.first
        row = rng.integers(-1, 2, len(indexes)).astype(np.int32) * (rng.random(len(indexes)) < 0.2)
        row[tables.empty[indexes]] = 0
        coded = np.flatnonzero(~tables.empty[indexes])
        row[coded[: 5 * len(far) : 5]] = far
        rows.append(row.astype(np.int32))
        encoder.add(rows[-1], tables.groups(indexes))
    crc = 0
    for array in (z_hat, values, *rows):
        crc = zlib.crc32(array.astype("<i4").tobytes(), crc)
    header = bitstream.Header(
        128, 128, bitstream.ColourMode.RGB, quality, SMALL.weights.id, step_maps=bool(steps)
    )
    return bitstream.pack(header, [crc.to_bytes(4, "little") + encoder.finish()])


def refused(good: bytes, alpha: bytes) -> dict[str, tuple[str, bytes]]:
    """Files that a decoder must refuse, and the name of the error."""
    container = bitstream.parse(good)
    (tile,) = container.tiles
    swapped = bytearray(good)
    swapped[-9] ^= 16
    plane = bitstream.parse(alpha).alpha
    assert plane is not None
    words = tile[:4] + b"\1\0\0\0" + tile[4:]  # one word more, at the end that is read last
    import zstandard

    unchecked = b"\0" + zstandard.ZstdCompressor(write_checksum=False).compress(plane.tobytes())
    sizeless = b"\0" + zstandard.ZstdCompressor(
        write_checksum=True, write_content_size=False
    ).compress(plane.tobytes())
    short = b"\0" + zstd.compress(plane.tobytes()[:-1])

    def with_alpha(payload: bytes) -> bytes:
        opaque = rebuilt(alpha)
        parsed = bitstream.parse(opaque)
        bare = bitstream.pack(
            dataclasses.replace(parsed.header, mode=bitstream.ColourMode.RGB), parsed.tiles
        )
        return rebuilt(bare, [(2, payload)], change={11: int(parsed.header.mode)})

    exact = SMALL.compress(Image.new("RGB", (40, 30), (1, 2, 3)), lossless=True)
    stream = bitstream.parse(exact).tiles[0]

    picture = aecodec.decompress(good)
    white = Image.new("L", picture.size, 255)
    mapped = SMALL.compress(picture, container.header.quality, importance=white)
    assert bitstream.parse(mapped).header.step_maps

    return {
        "steps-beyond": ("CorruptError", far_symbols((0, 9, 0, 0))),
        "steps-far-below": ("CorruptError", far_symbols((0, 0, 0, -(2**29)))),
        "steps-missing": ("CorruptError", rebuilt(good, change={10: 2})),
        "steps-unasked": ("CorruptError", rebuilt(mapped, change={10: 0})),
        "grain-short": ("CorruptError", rebuilt(good, [(0x89, bytes(14))])),
        "exact-cut": ("CorruptError", rebuilt(exact, tiles=[stream[:7]])),
        "exact-size": ("CorruptError", rebuilt(exact, tiles=[b"\x2f\x01" + stream[2:]])),
        "exact-version": ("CorruptError", rebuilt(exact, tiles=[stream[:4] + b"\x20"])),
        "exact-other": ("CorruptError", rebuilt(exact, tiles=[b"RIFF" + stream])),
        "empty": ("NotAecError", b""),
        "another": ("NotAecError", b"\xff\xd8\xff\xe0 a JPEG begins like this"),
        "truncated": ("TruncatedError", good[:-1]),
        "truncated-header": ("TruncatedError", good[:20]),
        "appended": ("CorruptError", good + b"\0"),
        "text-mode": ("CorruptError", good.replace(b"\r\n", b"\n")),
        "flipped": ("CorruptError", bytes(swapped)),
        "wrong-symbols": ("CorruptError", rebuilt(good, change={12: container.header.quality - 1})),
        "words-left": ("CorruptError", rebuilt(good, tiles=[words])),
        "half-word": ("CorruptError", rebuilt(good, tiles=[tile + b"\0"])),
        "last-word-0": ("CorruptError", rebuilt(good, tiles=[tile + bytes(4)])),
        "checksum": ("CorruptError", rebuilt(good, broken=0)),
        "tile-missing": ("CorruptError", rebuilt(good, [(0x90, bytes(20))], tiles=[])),
        "tile-twice": ("CorruptError", rebuilt(good, tiles=[tile, tile])),
        "section-twice": ("CorruptError", rebuilt(good, [(0x90, b""), (0x90, b"")])),
        "alpha-unasked": ("CorruptError", rebuilt(good, [(2, short)])),
        "alpha-short": ("CorruptError", with_alpha(short)),
        "alpha-unchecked": ("CorruptError", with_alpha(unchecked)),
        "alpha-sizeless": ("CorruptError", with_alpha(sizeless)),
        "alpha-filter": ("CorruptError", with_alpha(b"\3" + short[1:])),
        "alpha-damaged": ("CorruptError", with_alpha(b"\0" + damaged_frame(plane.tobytes()))),
        "quality-0": ("CorruptError", rebuilt(good, change={12: 0})),
        "tile-size-0": ("CorruptError", rebuilt(good, change={13: 0})),
        "version-2": ("UnsupportedError", rebuilt(good, change={8: 2})),
        "flag": ("UnsupportedError", rebuilt(good, change={10: 4})),
        "mode": ("UnsupportedError", rebuilt(good, change={11: 4})),
        "critical": ("UnsupportedError", rebuilt(good, [(0x7E, b"what is new")])),
        "model": ("UnknownModelError", rebuilt(good, change={14: good[14] ^ 255})),
    }


def damaged_frame(content: bytes) -> bytes:
    """A frame whose content does not fit its checksum."""
    frame = bytearray(zstd.compress(content))
    frame[-1] ^= 1
    return bytes(frame)


class Watched:
    """Counts what of the entropy coder the suite makes use of."""

    def __init__(self) -> None:
        self.escapes: set[int] = set()
        self.runs = self.full_runs = 0
        take_escapes, take_places = entropy.Decoder._take_escapes, entropy.Decoder._take_places

        def escapes(decoder: entropy.Decoder, count: int) -> Any:
            found = take_escapes(decoder, count)
            self.escapes |= {int(e + 1).bit_length() - 1 for e in found}
            return found

        def places(decoder: entropy.Decoder, count: int, runs: Runs) -> Any:
            self.runs += 1
            found = take_places(decoder, count, runs)
            gaps = np.diff(np.concatenate([[-1], found, [count]]))
            self.full_runs += int((gaps > runs.longest).sum())
            return found

        entropy.Decoder._take_escapes, entropy.Decoder._take_places = escapes, places  # type: ignore[method-assign]


def written(name: str, data: bytes, *, far: bool) -> dict[str, Any]:
    """A good case: its file, its picture, and what a decoder must find."""
    (HERE / "good" / f"{name}.aec").write_bytes(data)
    container = bitstream.parse(data)
    header = container.header
    case: dict[str, Any] = {
        "name": name,
        "width": header.width,
        "height": header.height,
        "mode": header.mode.name,
        "quality": header.quality,
        "model": header.model_id.hex(),
        "tile_size": header.tile_size,
        "version": ".".join(map(str, container.version)),
        "sections": [s.name for s in container.sections],
        "neutral": header.neutral,
        "checksums": [
            None if number in container.exact else tile[:4][::-1].hex()
            for number, tile in enumerate(container.tiles)
        ],
        "exif": None if container.exif is None else zlib.crc32(container.exif),
        "icc": None if container.icc is None else zlib.crc32(container.icc),
        "xmp": None if container.xmp is None else zlib.crc32(container.xmp),
        "tolerance": None,
    }
    picture = aecodec.decompress(data)
    if not far:
        grain = container.grain
        peak = PEAK if grain is None or len(set(grain.levels)) == 1 else GRAINED
        rmse = PEAK if header.pixels <= FEW else RMSE
        case["tolerance"] = {"peak": peak, "rmse": rmse}
        bare = Image.fromarray(np.asarray(picture))
        bare.save(HERE / "good" / f"{name}.png", optimize=True)
    return case


def refusal(name: str, error: str, data: bytes) -> dict[str, Any]:
    """A bad case: its file, and the error that it gives."""
    (HERE / "bad" / f"{name}.aec").write_bytes(data)
    try:
        aecodec.decompress(data)
    except aecodec.AecodecError as found:
        if type(found).__name__ != error:
            raise AssertionError(f"{name}: {found!r}") from found
    else:
        raise AssertionError(name)
    return {"name": name, "error": error}


def main(only: list[str]) -> None:
    """Every case's file, and `cases.json` with what a decoder must find; or those of some names."""
    listed = HERE / "cases.json"
    kept = {case["name"]: case for case in json.loads(listed.read_text())} if only else {}
    for old in HERE.glob("*/*") if not only else ():
        if old.suffix in (".aec", ".png"):
            old.unlink()
    for folder in ("good", "bad"):
        (HERE / folder).mkdir(exist_ok=True)
    watched = Watched()
    good = pictures()
    for name in good if only else ():
        if name in kept and name not in only:
            good[name] = (HERE / "good" / f"{name}.aec").read_bytes()
    bad = refused(good["quality-50"], good["alpha-noise"])
    extreme = {"far-symbols": far_symbols(), "far-steps": far_symbols((8, -8, -1, 3))}
    if unknown := set(only) - {*good, *extreme, *bad}:
        raise SystemExit(f"no such cases: {', '.join(sorted(unknown))}")
    cases: list[dict[str, Any]] = []
    for name, data in {**good, **extreme}.items():
        old_case = name not in only and kept.get(name)
        cases.append(old_case or written(name, data, far=name not in good))
    for name, (error, data) in bad.items():
        old_case = name not in only and kept.get(name)
        cases.append(old_case or refusal(name, error, data))
    if not only:
        used = sorted(watched.escapes)
        assert used[0] == 0 and used[-1] >= 29 and any(15 < n < 20 for n in used), used
        assert watched.runs > 50 and watched.full_runs > 20
    listed.write_text(json.dumps(cases, indent=1) + "\n")
    size = sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file())
    print(f"{len(cases)} cases, {size} bytes; {watched.runs} runs")


if __name__ == "__main__":
    main(sys.argv[1:])
