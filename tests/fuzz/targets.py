"""What is fuzzed: functions of bytes that return, or raise where the package is at fault.

Each takes any bytes for what a stranger may hand in: a file, the words of the entropy coder, a
manifest, metadata. `AecodecError` is an answer; any other exception is a fault, and so is an answer
that differs from what it should equal. `run.py` lets atheris choose the bytes by coverage, and
tests/project/test_fuzz.py runs each target over the corpus and over every input that once failed.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import os
import tempfile
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import ExifTags, Image

from aecodec import bitstream
from aecodec.batch.manifest import Left, Manifest
from aecodec.batch.storage import Stamp
from aecodec.entropy import ans, coder, models
from aecodec.entropy.tables import TableSet
from aecodec.errors import AecodecError, CorruptError
from aecodec.image import metadata, parts, regions, vp8l
from aecodec.image.xmp import Unreadable
from aecodec.uses.salvage import salvage

__all__ = ["TARGETS", "seal"]

# Coverage is counted of what is imported with this module; walkers are imported when needed.
for walker in sorted(set(parts.FORMATS.values())):
    importlib.import_module(f"{parts.__name__}.{walker}")

MAX_METADATA: Final = 1 << 20


# --- The container ------------------------------------------------------------------------------


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A value, and where it ends; whatever stands there."""
    value = shift = 0
    while at < len(data) and shift < 49:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            break
    return value, at


def _as_varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def seal(data: bytes) -> bytes:
    """The file with the length of its body and all checksums made right, as a forger would.

    Without that, nothing behind the first checksum would ever be reached.
    """
    head_end = 22
    for _ in range(2):
        _, head_end = _varint(data, head_end)
    _, body_at = _varint(data, head_end)
    body = bytearray(data[body_at + 4 :])
    at, ordinal = 0, 0
    while at < len(body):
        length, crc_at = _varint(body, at + 1)
        start = crc_at + 4
        if start + length > len(body):
            break
        sealed = bytes([body[at]]) + ordinal.to_bytes(4, "little")
        crc = zlib.crc32(body[start : start + length], zlib.crc32(sealed))
        body[crc_at:start] = crc.to_bytes(4, "little")
        at, ordinal = start + length, ordinal + 1
    head = data[:head_end] + _as_varint(len(body))
    return head + zlib.crc32(head).to_bytes(4, "little") + bytes(body)


def container(data: bytes) -> None:
    """As it is, and with its checksums made right."""
    for file in (data, seal(data)):
        front = parsed = None
        with contextlib.suppress(AecodecError):
            front = bitstream.read_front(io.BytesIO(file), max_metadata=MAX_METADATA)
        with contextlib.suppress(AecodecError):
            parsed = bitstream.parse(file, max_pixels=1 << 22, max_metadata=MAX_METADATA)
        if parsed is None:
            continue
        assert sum(s.length for s in parsed.sections) < len(file)
        assert len(parsed.tiles) == parsed.header.tile_count
        read: dict[str, Any] = {}
        for name in (*bitstream.METADATA, "alpha"):
            with contextlib.suppress(AecodecError):
                read[name] = getattr(parsed, name)
        if front is not None:
            assert front.header == parsed.header
            assert front.metadata == {name: read[name] for name in front.metadata}
        if len(read) > len(bitstream.METADATA):
            packed = bitstream.pack(parsed.header, parsed.tiles, exact=parsed.exact, **read)
            again = bitstream.parse(packed)
            assert (again.header, again.tiles) == (parsed.header, parsed.tiles)
            assert again.exact == parsed.exact
            # An empty part may be stored, and is left out when it is written anew.
            assert all((again.metadata[k] or None) == (read[k] or None) for k in again.metadata)
            assert np.array_equal(again.alpha, read["alpha"])


def salvaging(data: bytes) -> None:
    """A damaged file, and one whose checksums are right: of a whole one every tile is found."""
    for file in (data, seal(data)):
        whole = None
        with contextlib.suppress(AecodecError):
            whole = bitstream.parse(file, max_pixels=1 << 22, max_metadata=MAX_METADATA)
        try:
            found = salvage(file, max_pixels=1 << 22)
        except AecodecError:
            assert whole is None
            continue
        assert found.tiles.keys() <= set(range(found.header.tile_count))
        for number, section in found.tiles.items():
            assert found.payload(number) == file[section.start : section.end]
        if whole is not None:
            tiles = whole.tiles
            assert [found.payload(number) for number in range(len(tiles))] == list(tiles)
            assert not found.lost


def exact(data: bytes) -> None:
    """The pixels of an exact tile that anyone may have written, of the size that is asked for."""
    for width, height in ((9, 7), (64, 64)):
        with contextlib.suppress(AecodecError):
            assert vp8l.unpack(data, width, height).shape == (height, width, 3)


# --- The entropy decoder ------------------------------------------------------------------------


@functools.cache
def _tables(name: str) -> TableSet:
    """Small ones of all kinds: empty, with runs, with rare escapes and with frequent ones. A set of
    tables keeps the models of the coder that used it first, so each coder has one of its own."""
    one = 1 << ans.PRECISION

    def table(*p: int) -> list[int]:
        return [*p[:-1], one - sum(p[:-1])]

    kinds = [
        ([], 0),
        (table(1, one - 2, 1), 0),
        (table(1, 1 << 19, 15 << 20, 1 << 10, 0), -1),
        (table(1 << 22, 1 << 23, 0), 7),
        (table(*[one // 40] * 39, 0), -19),
        (table(5, one - (1 << 21), 1 << 20, 0), 0),
    ]
    arrays = [np.array(p, np.uint32) for p, _ in kinds]
    lengths = np.array([len(p) for p, _ in kinds], np.int32)
    first = np.array([at for _, at in kinds], np.int32)
    return TableSet(np.concatenate(arrays), lengths, first)


@contextlib.contextmanager
def _coded_by(stack: Any, categorical: Any, uniform: Any) -> Any:
    before = coder.AnsCoder, models.categorical, coder.uniform
    coder.AnsCoder, models.categorical, coder.uniform = stack, categorical, uniform
    try:
        yield
    finally:
        coder.AnsCoder, models.categorical, coder.uniform = before


def _taken(words: bytes, indexes: list[np.ndarray], tables: TableSet) -> list[list[int]] | str:
    """The symbols, or the error's message."""
    try:
        decoder = coder.Decoder(words)
        symbols = [decoder.take(tables.groups(some)) for some in indexes]
        for one in symbols:
            assert not len(one) or int(np.abs(one.astype(np.int64)).max()) < coder.SYMBOL_LIMIT
        decoder.finish()
    except CorruptError as error:
        return str(error)
    return [one.tolist() for one in symbols]


def decoder(data: bytes) -> None:
    """Words that anyone may have written; by both coders, if both are here. What decodes without an
    error is encoded, and decodes again."""
    if len(data) < 4:
        return
    seed, count, words = data[0], data[1] << 2, data[2:]
    own, theirs = _tables("own"), _tables("constriction")
    rng = np.random.default_rng(seed)
    indexes = [rng.integers(0, len(own), n).astype(np.uint8) for n in (count, count // 3)]
    if seed % 3 == 0:
        indexes[0].sort()
    with _coded_by(ans.AnsCoder, ans.Categorical, ans.Uniform):
        found = _taken(words, indexes, own)
        if not isinstance(found, str):
            encoder = coder.Encoder()
            for symbols, some in zip(found, indexes, strict=True):
                encoder.add(np.array(symbols, np.int32), own.groups(some))
            # A run of zeros may be spelled in other ways than the encoder's.
            again = _taken(encoder.finish(), indexes, own)
            assert again == found
    assert found == _taken(words, indexes, theirs)


# --- The manifest -------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1)
def _folder() -> Path:
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    return Path(tempfile.mkdtemp(prefix="aecodec-fuzz-", dir=memory))


def manifest(data: bytes) -> None:
    """A manifest of earlier runs that holds anything: what a run adds is found again."""
    path = _folder() / "manifest.jsonl"
    path.write_bytes(data)
    key, state, options = "a.png", Stamp(1, 2), {"quality": 75}
    try:
        with Manifest(str(path), "compress", options, {}, read_only=True) as before:
            for name in (key, "b.png", ""):
                before.is_done(name, state)
                before.bytes_of(name)
                before.left_as(name, state)
                before.is_stale(name, state)
                before.unfinished(name, state)
        assert path.read_bytes() == data
    except AecodecError:
        return
    with Manifest(str(path), "compress", options, {}) as now:
        now.begin([(key, "a.aec", state)], replaced=["b.png"])
        now.done(key, state, {"bytes": 5})
        now.left("c.png", state, Left(9, 4, 4))
    with Manifest(str(path), "compress", options, {}, read_only=True) as after:
        assert after.is_done(key, state)
        assert after.left_as("c.png", state) == Left(9, 4, 4)
    assert path.read_bytes().startswith(data)


# --- Metadata -----------------------------------------------------------------------------------


def exif(data: bytes) -> None:
    """EXIF as Pillow hands it on. Where the position is to go, Pillow finds none afterwards."""
    warnings.simplefilter("ignore")  # Pillow's, of damaged tags
    for strip_gps in (False, True):
        picture = Image.new("RGB", (1, 1))
        picture.info["exif"] = data
        notes: list[str] = []
        orientation, kept = metadata.exif(picture, notes, strip_gps=strip_gps)
        assert isinstance(orientation, int)
        assert kept is None or len(kept) <= len(data)
        if kept and strip_gps:
            tags = Image.Exif()
            found: list[object] = []
            with contextlib.suppress(Exception):  # Pillow's, of what it can't read
                tags.load(kept)
                found += tags.get_ifd(ExifTags.IFD.GPSInfo)
            assert ExifTags.GPS.GPSLatitude not in found
            assert ExifTags.GPS.GPSLongitude not in found


def xmp(data: bytes) -> None:
    """XMP as Pillow hands it on. Where the position is to go, none is left."""
    for strip_gps in (False, True):
        picture = Image.new("RGB", (1, 1))
        picture.info["xmp"] = data
        notes: list[str] = []
        kept = metadata.xmp(picture, notes, strip_gps=strip_gps)
        assert kept is None or len(kept) <= len(data)
        assert not (kept and strip_gps and b"GPSL" in kept.replace(b"\0", b""))
    with contextlib.suppress(Unreadable):
        upright, _ = regions.turned(data, 6, (3, 4))
        regions.turned(upright, 8, (4, 3))
        regions.without(data)


def walkers(data: bytes) -> None:
    """Every walker of source files: an account, whatever the bytes are."""
    for name in (*parts.FORMATS, "a format that nobody knows"):
        assert isinstance(parts.account_for(data, name), parts.Account)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "container": container,
    "salvage": salvaging,
    "exact": exact,
    "decoder": decoder,
    "manifest": manifest,
    "exif": exif,
    "xmp": xmp,
    "walkers": walkers,
}
"""By name."""
