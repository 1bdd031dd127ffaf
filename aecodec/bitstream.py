"""The container ``.aec``: header, sections and checksums. This text is its specification.

Version 1.0. A file is one header followed by sections up to the last byte, and nothing else.

Conventions
-----------
- ``u8`` is one byte; ``u32`` is four, little-endian.
- ``varint`` is an unsigned LEB128: seven bits a byte, least significant group first, bit 7 set in
  every byte but the last. It is *minimal*: its last byte is 0 only if it is its only byte. It has
  at most 7 bytes (so it is below 2**49), as a side at most 3. A reader refuses any other spelling.
- CRC-32 is that of zlib, PNG and Ethernet: reflected polynomial EDB88320, start and final xor
  FFFFFFFF. The CRC-32 of ``123456789`` is CBF43926.

Header
------
::

    offset  size  field
    0       8     magic        89 41 45 43 0D 0A 1A 0A   ("\\x89AEC\\r\\n\\x1a\\n")
    8       u8    major        1. A reader refuses any other.
    9       u8    minor        0. A reader ignores it (see "Growing" below).
    10      u8    flags        must-understand flags. Bit 0: the picture is neutral, see "Sections".
                               Bit 1: the tiles have maps of steps, see "TILE payload". The others
                               are 0. A reader refuses a file that sets a bit it does not know.
    11      u8    mode         colour mode: 0 = L, 1 = LA, 2 = RGB, 3 = RGBA
    12      u8    quality      1..100
    13      u8    tile size    in units of 64 pixels, 1..255; writers use 16 (1024 pixels) at most,
                               and more where all tiles are EXACT
    14      8     model id     the first 8 bytes of the SHA-256 of the weights, see there
    22      varint width       1..2**20
            varint height      1..2**20
            varint body length number of bytes after the header; so the total length is stated, too
            u32   CRC-32       of every byte of the header before this field

The magic is built as that of PNG: a byte with bit 7 set, the name, and line ends that any text-mode
transfer damages. A header has 29 to 39 bytes. For file(1), in ``~/.magic``:

::

    0       string  \\x89AEC\\r\\n\\x1a\\n  aecodec picture
    !:mime  image/x-aec

Tiles
-----
The picture is cut into as few columns and rows of tiles as the tile size allows, which are made as
even as multiples of 64 pixels can be. Of a side of n pixels, which is ``u = ceil(n / 64)`` units,
tiles of at most t units make ``k = ceil(u / t)`` columns (or rows) of ``ceil(u / k)`` units each,
from the left (or the top) on; the last one ends with the picture. So 768 pixels are two tiles of
384 where the tile size is 512. All of this is derived, never stored.

Sections
--------
::

    u8      type     bit 7 clear: critical, a reader that does not know the type refuses the file
                     bit 7 set: ancillary, a reader that does not know the type skips it
    varint  length   of the payload
    u32     CRC-32   of: the type (u8), the ordinal of the section (u32), the payload.
                     The ordinal counts the sections of the file from 0. It is not stored;
                     under the checksum, it makes sections that changed places a checksum error.
    length  payload

    type  name        how many                 payload
    0x01  TILE        one for each tile        one tile's latents, see below
    0x03  EXACT       in place of a TILE       one tile's pixels: a VP8L stream (RFC 9649, section
                                               3) of version 0, of the tile's width and height,
                                               without transparency
    0x02  ALPHA       1 in modes LA and RGBA,  u8 filter, then a zstd frame of width * height bytes
                      else none
    0x81  EXIF        0 or 1                   a zstd frame of a TIFF structure (begins with "II"
                                               or "MM"; without the prefix "Exif\\0\\0")
    0x82  ICC         0 or 1                   a zstd frame of an ICC profile
    0x83  XMP         0 or 1                   a zstd frame of an XMP packet in UTF-8
    0x84  RESOLUTION  0 or 1                   f32 across, f32 down: pixels an inch
    0x85  TEXTS       0 or 1                   a zstd frame of comments and texts, see below
    0x86  IPTC        0 or 1                   a zstd frame of IPTC-IIM records
    0x87  GAINMAP     0 or 1                   an attachment: a JPEG, see below
    0x88  VIDEO       0 or 1                   an attachment: a motion photo's video, see below
    0x89  GRAIN       0 or 1                   15 bytes: noise that a reader may add, see below

Order: first every section that is neither a TILE nor EXACT, by strictly ascending type (so no type
comes twice); then one TILE or EXACT for each tile, in raster order, left to right and top to
bottom, and nothing after them.

An EXACT tile's pixels are those of the picture. For the synthesis of its neighbours its latents
v_hat are all 0. A file whose tiles are all EXACT can be decoded without weights.

A **zstd frame** is exactly one frame of RFC 8878, not a skippable one. It states its content size,
which is not 0, carries its content checksum, and needs no dictionary; nothing follows it. (A reader
checks the stated size against what it expects or allows *before* it decompresses. A frame that
omits its size cannot be bounded in this way, hence it is refused.)

ALPHA is lossless. The plane has one byte a pixel, row by row, 0 = transparent. Each byte p(x, y) is
stored as a difference modulo 256, by the filter: 0 = none, p(x, y) itself; 1 = left,
p(x, y) - p(x - 1, y); 2 = up, p(x, y) - p(x, y - 1). A neighbour outside the plane counts as 0.
Colour is not premultiplied.

In modes L and LA the coded picture has three channels as in the others, and the reader gives back
their mean, rounded to the nearest integer. A picture of mode RGB or RGBA whose flag says that it is
neutral has this mean in all three channels.

EXIF describes the upright picture: pixels are stored as they are to be shown, and an orientation
tag, if there is one, says 1.

RESOLUTION has two IEEE 754 numbers, little-endian, finite and above 0.

TEXTS holds one text after another, each of four strings: keyword (empty: a comment), language (a
tag of RFC 5646, or empty), the keyword in that language (or empty), and the text itself. A string
is a varint, its length in bytes, and so many bytes, normally of UTF-8; what a source holds in
another encoding stays as it is. There are at most 10,000 texts.

An **attachment** is a varint n, n bytes that tell how to put it back (its *detail*), and then the
bytes of the attachment, of which there is at least one. It is not compressed, since it is already.

GAINMAP is the gain map of an HDR photograph, a complete JPEG. Its detail has at least 12 bytes, all
numbers big-endian: u8 the EXIF orientation 1..8 of the JPEG that it comes from, u8 whether MPF
pointed to it (0 or 1), u16 0, u32 the MPF attributes of the picture, u32 those of the gain map; the
rest is the payload of the picture's APP2 segment of ISO 21496-1, if there was one. A gain map lies
as the pixels of that JPEG do: where the orientation is not 1, a writer of JPEG turns the picture
back and gives EXIF that orientation again.

VIDEO is what stands at the end of a motion photo, byte for byte: an MP4 file, or the trailer of a
Samsung telephone. Its detail is empty.

GRAIN describes noise that was removed from the picture. A reader may add noise of this kind to the
pixels that it shows: not to previews or enlarged pictures, and not in EXACT tiles. In modes L and
LA and in neutral pictures the mean is taken first, and noise is added to that. Transparency changes
nothing, and colours are converted afterwards. GRAIN has nine u8, the noise's standard deviation in
quarters of a level for a brightness of 0, 32, 64, ... 256, linear between; u8 a, how coarse it is;
u8 c, how alike the channels are; u32 seed. The brightness is the mean of the three channels, not
rounded, before any noise.

White noise of the place in column x and row y of the picture comes from the numbers h(2n) and
h(2n + 1), n = 2**21 (y + 1) + x + 1, where h is computed modulo 2**64:
``z = k * 9E3779B97F4A7C15 + seed * BF58476D1CE4E5B9``, ``z = (z ^ z >> 30) * BF58476D1CE4E5B9``,
``z = (z ^ z >> 27) * 94D049BB133111EB``, ``h(k) = z ^ z >> 31`` (SplitMix64). Four planes w0 to w3
have there the sums of four bytes less 510: of the lower and the upper 32 bits of h(2n), and of
those of h(2n + 1). So the planes go on beyond the picture, and each part of a picture has the noise
that the whole has there. With seed 1 the four are 316, 249, 26 and 198 in the first column and row.

Each plane is blended with itself under the kernel 1 2 1, down and across, divided by 16:
``w' = (1 - a / 255) w + (a / 255) blurred``. At the picture's borders this sees the numbers of the
places outside. It is divided by the deviation that this has: sqrt((2**16 - 1) / 3), about 147.80,
times the root of the sum of the squares of the blended kernel's nine factors. Channel k = 1, 2, 3
gets ``s * (c / 255 * w'0 + sqrt(1 - (c / 255)**2) * w'k)``, s being the deviation at the pixel's
brightness, and is rounded to the nearest integer and clamped. In modes L and LA and in neutral
pictures the mean gets ``s * w'0``. The numbers w are exact, so readers whose pixels are the same
without noise have the same with it, but for rounding. Where they differ by a level, the noise of
another brightness may make that two.

TILE payload
------------
::

    u32     CRC-32 of the decoded symbols
    u32...  the words of the entropy coder

The coder's words are those of a range ANS coder with 32-bit words and a 64-bit state, the last word
not 0 (constriction's ``AnsCoder``, 24-bit probabilities). ANS is a stack: the reader takes symbols
in the order given here, the writer puts them in the reverse of it.

The reader takes words from the last one to the first. Its state x begins as the last word; if
another is left, x = x * 2**32 + that one. (Without any word x is 0, and every symbol the first of
its table: so it is where nothing needs to be coded.) A table's entries, with integer probabilities
p_0, p_1, ... that sum to 2**24, divide 0..2**24 - 1 in their order: entry k begins at
b_k = p_0 + ... + p_(k-1). To take an entry, let r = x mod 2**24, find the k with
b_k <= r < b_k + p_k, and set x = floor(x / 2**24) * p_k + r - b_k; if x is then below 2**32 and a
word is left, x = x * 2**32 + that one. A number *uniform over* 2**n values has an entry of
probability 2**(24 - n) for each, in ascending order. After the last symbol the coder must be empty:
x is 0, and no word is left.

M, N and every table below come with the weights (see there). A tile of w x h pixels
has ``h16 = ceil(h / 16)`` by ``w16 = ceil(w / 16)`` latents in each of M channels (y), and
``ceil(h16 / 4)`` by ``ceil(w16 / 4)`` in each of N channels (z).

1. z_hat's elements (c, i, j) with i + j even, in order (channel, row, column), channel c with table
   c of the set that ``z_band[quality]`` names.
2. z_hat's other elements, in the same order, channel c with table N + c of that set. What is coded
   of an element is how far it lies above ``floor((slope[c] * sum * 12 / n + 1536) / 3072)``, where
   sum is that of its n neighbours within the tile, left, right, above and below, and the slopes are
   ``z_slope`` of the weights. The element itself is within the limits of symbols, too.
3. Where the header says so, the map of steps, in the shape of one channel of z_hat:
   ``entropy/steps.py`` defines it.
4. y's symbols of step 0: the elements (c, i, j) with (c + i + j) mod 2 = 0, first those of the even
   channels, then those of the odd ones, both in order (channel, row, column). The table index of
   each is a function of z_hat, the map and the quality, computed in integers:
   ``entropy/scales.py`` defines it.
5. y's symbols of step 1: the other elements, in the same order. Their table indexes are a function
   of step 0's symbols as well. Each step has a set of tables of its own.

Tiles are independent: nothing here or below depends on another tile. But on which sides of a tile
the picture goes on is known, and what these functions see beyond such a border is not what they see
beyond the picture's. There everything is 0, right after the last latents, even where z_hat has room
for more. Beyond a border between tiles z_hat's outermost elements are repeated once, and what has a
value for each latent is reflected without its outermost row or column, x[-1] = x[1], x[-2] = x[2];
where there are too few rows or columns they are reflected again, and a single one is repeated.
``entropy/padding.py`` does it; "The table indexes" and "The means" say with what.

Each of these arrays is coded so: its elements are sorted by table index, ascending, keeping
their order within a table. A table lists integer probabilities that sum to 2**24: first that of the
*low escape*, then those of the symbols ``first``, ``first + 1``, ..., last that of the *high
escape*. A table without entries means: the symbol is 0 and nothing is coded. First come the *runs*
of all tables that have any, then the symbols, one table after another, then the array's escapes.

A table has runs in an array where its probability p of 0 is at least 3 * 2**22 and at least 256
elements of the array have it. They say which of these elements are not 0. Let s_0 = 2**40,
s_(k+1) = floor(s_k * p / 2**24), c_k = floor(s_k / 2**16), and K the least k with s_k <= 2**39, but
64 at most. Entry k < K, with probability c_k - c_(k+1), says that k zeros come and then another
symbol; entry K, with probability c_K, that K zeros come and then what the next entry says. The
zeros at the end are said by as few entries K as reach it, of which the last may reach beyond it.
Of the symbols of such a table only those that are not 0 are coded. Their probabilities are those of
the table, low to high escape without that of 0, each times 2**24 and divided by the sum of them
all, rounded down; the largest, the first one of several, is raised until the sum is 2**24.

The escapes are in the order in which they occurred. An escaped symbol lies e + 1 below or above the
table's outermost one. Let n + 1 be the number of bits of e + 1: first all n, each uniform over
0..31; then for n = 1, 2, ..., 31 the lower n bits of e + 1 of all escapes with that n, in chunks of
at most 16 bits, low chunk first, each uniform over its range. Symbols lie strictly between -2**30
and 2**30.

The CRC-32 of the symbols is taken over z_hat, in order (channel, row, column), the map of steps if
there is one, row by row, and y's symbols of both steps, in the orders given, each as a signed
32-bit little-endian integer. It tells a decoder whose probabilities differ from the writer's, which
no checksum over the file can.

From symbols to pixels, with floats, in step k = 0, 1: v_hat = d * symbol + mu_k at the elements
(c, i, j) with (c + i + j) mod 2 = k. Here d is the quantisation step, 1 or what the map of steps
says; mu_0 comes from z_hat and mu_1 from z_hat and the v_hat of step 0, as "The means" says. v_hat
of all tiles together, (M, ceil(H / 16), ceil(W / 16)) for a picture of W x H pixels, divided by the
quality's gain vector, goes through the synthesis, which sees zeros beyond the picture; of the
16 x 16 pixels for each latent those beyond the picture's size are cut off. No decision of the
decoder depends on a float, so machines differ by rounding only, at most by one level in a pixel.

The weights
-----------
A folder of weights has these files. The model id is the first 8 bytes of a SHA-256 over, for each
of them in this order, its length (64 bits, little-endian) and its bytes.

    config.json          latents: M; hyper_latents: N; context_blocks, synthesis16, synthesis8: how
                         far their networks look (below), the latter two as lists of that length
    tables.safetensors   arrays, below; S = 2 steps, T tables of y
    mean_features.onnx   z_hat (1,N,h64,w64), level (1), unit (1,M,1,1), begin (2), end (2)
                         -> features (1,F,h,w), mu (1,M,h,w)
    context.onnx         features (1,F,h,w), known (1,M,h,w), parity (1,1,h,w), unit (1,M,1,1)
                         -> mu (1,M,h,w)
    synthesis16.onnx     v_hat (1,M,h,w), inverse_gain (1,M,1,1), level (1) -> x8 (1,2h,2w,C)
    synthesis8.onnx      x8 (1,h8,w8,C), level (1) -> pixels (1,8*h8,8*w8,3)

begin and end are int64, pixels uint8, all else is float32. What depends on the quality has 101
rows, of which row 0 is not used.

    y_probabilities, y_lengths (S,T), y_first (S,T)
                         the tables of each step: lengths of their lists (0: no entries), first
                         symbols, and all lists one after another, step by step, table by table
    z_probabilities, z_lengths (B,2N), z_first (B,2N)
                         the same for each of the B sets of z's tables
    z_band (101)         which of these sets a quality uses
    z_slope (N)          see above
    gain (101,M)         the gain vectors; inverse_gain is 1 / gain[quality]
    std (M)              unit is std * gain[quality]
    level (101)          level is level[quality]
    scale.*              the integer network: "The table indexes"
    known.q (K), known.z_hat (N,h64,w64), known.symbols (M,h,w), known.index (K,M,h,w)
                         known answers, for a tile without neighbours: the table indexes of both
                         steps at these qualities, where z_hat and the symbols are these. A reader
                         that finds other ones must not decode.
    preview (M+1,192)    for small pictures: below
    y_thresholds, curvature, lambda
                         an encoder's affair

The synthesis can be run in parts. A latent changes what synthesis16 gives for latents up to
len(synthesis16) rows and columns away, and a place of x8 what synthesis8 gives for places up to
len(synthesis8) away; what is that near to a cut, but not to the picture's border, is thrown away.

A small picture needs no synthesis. Row c of preview, reshaped to (8,8,3) (row, column, colour), is
what y_hat = v_hat / gain of channel c adds to the means of the 8 x 8 pairs of rows and columns of
its latent's 16 x 16 pixels, on a scale from 0 to 1; row M is added in any case.

Limits
------
A side has at most 2**20 pixels. Beyond that, a reader sets limits of its own to the number of
pixels and to the size of the metadata, and checks them before it allocates anything. (This one: to
2**28 pixels, 2**24 bytes of each kind of metadata, and 2**28 bytes of each attachment.) It checks
the symbols' CRC-32 of one tile before it turns to the next, so that a forged file costs it no more
than one tile's memory; it may refuse tiles larger than 1024 pixels, which writers should not make,
and EXACT tiles of more than 2**24 pixels. A TILE payload has at least 4 bytes, hence a file has at
least 10 bytes a tile: a reader can refuse a header whose picture could not fit in the body before
it looks at any section.

Growing
-------
A newer minor version may add ancillary sections; readers of version 1.0 skip them. Whatever they
must not skip gets a flag or a critical section, which they refuse by name. Neither changes the
layout of the header or the framing of the sections; what does gets a new major version.

Size
----
A plain RGB picture of one tile, with sides below 16384 and a file below 256 MiB, spends at most 47
bytes on everything that is not entropy-coded symbols: 34 on the header, 9 on the section's head, 4
on the symbols' CRC-32. Every further tile spends 10 to 13.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from itertools import count
from os import SEEK_END
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from aecodec.entropy import zstd
from aecodec.errors import (
    CorruptError,
    InputError,
    LimitError,
    NotAecError,
    TruncatedError,
    UnsupportedError,
)
from aecodec.geometry import DEFAULT_MAX_PIXELS, TILE_UNIT, Grid, ceil_div, even_part
from aecodec.stages import stage

if TYPE_CHECKING:  # numpy takes 0.1 s to import; `info` and `verify` do without it
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "DEFAULT_MAX_ATTACHMENT",
    "DEFAULT_MAX_METADATA",
    "DEFAULT_MAX_PIXELS",
    "DEFAULT_TILE_SIZE",
    "GRAIN_LEVELS",
    "MAGIC",
    "MAX_HEADER_SIZE",
    "MAX_SIDE",
    "METADATA",
    "MIME_TYPE",
    "Attachment",
    "ColourMode",
    "Container",
    "Front",
    "Grain",
    "Header",
    "ParsedHeader",
    "Section",
    "SectionType",
    "Text",
    "pack",
    "parse",
    "parse_header",
    "read_front",
    "section_at",
]

MAGIC: Final = b"\x89AEC\r\n\x1a\n"
MIME_TYPE: Final = "image/x-aec"
MAJOR: Final = 1
MINOR: Final = 0
NEUTRAL: Final = 1
STEPS: Final = 2
KNOWN_FLAGS: Final = NEUTRAL | STEPS

MAX_SIDE: Final = 2**20
MAX_TILE_SIZE: Final = 255 * TILE_UNIT
DEFAULT_TILE_SIZE: Final = 1024
DEFAULT_MAX_METADATA: Final = 16 * 2**20
"""Bytes of each kind of metadata, uncompressed."""
DEFAULT_MAX_ATTACHMENT: Final = 2**28
"""Bytes of a gain map or a video."""

_MODEL_ID_SIZE: Final = 8
_FIXED_SIZE: Final = 14 + _MODEL_ID_SIZE
_MAX_VARINT: Final = 7
_MAX_SIDE_VARINT: Final = 3
_CRC_SIZE: Final = 4
_MIN_TILE_PAYLOAD: Final = 4
_MIN_TILE_SECTION: Final = 1 + 1 + _CRC_SIZE + _MIN_TILE_PAYLOAD
_MIN_FILE: Final = _FIXED_SIZE + 3 + _CRC_SIZE + _MIN_TILE_SECTION
_MAX_SECTION_HEAD: Final = 1 + _MAX_VARINT + _CRC_SIZE
MAX_HEADER_SIZE: Final = _FIXED_SIZE + 2 * _MAX_SIDE_VARINT + _MAX_VARINT + _CRC_SIZE
"""Bytes that are enough for `parse_header`, whatever the file."""


METADATA: Final = ("exif", "icc", "xmp", "resolution", "texts", "iptc", "gain_map", "video")
"""What `pack` takes besides the pixels, and `Container.metadata` gives."""


class ColourMode(IntEnum):
    """What the decoder gives back. The values are on the wire; the names are Pillow's."""

    L = 0
    LA = 1
    RGB = 2
    RGBA = 3

    @property
    def has_alpha(self) -> bool:
        return self in (ColourMode.LA, ColourMode.RGBA)


class SectionType(IntEnum):
    """The sections of version 1. The values are on the wire."""

    TILE = 0x01
    ALPHA = 0x02
    EXACT = 0x03
    EXIF = 0x81
    ICC = 0x82
    XMP = 0x83
    RESOLUTION = 0x84
    TEXTS = 0x85
    IPTC = 0x86
    GAINMAP = 0x87
    VIDEO = 0x88
    GRAIN = 0x89


_TILES: Final = (SectionType.TILE, SectionType.EXACT)
_FRAMED: Final = (
    SectionType.EXIF,
    SectionType.ICC,
    SectionType.XMP,
    SectionType.TEXTS,
    SectionType.IPTC,
)
"""Metadata in a zstd frame."""
_ATTACHED: Final = (SectionType.GAINMAP, SectionType.VIDEO)
_FRONT: Final = (*_FRAMED, SectionType.RESOLUTION)
"""What `read_front` reads."""


@dataclass(frozen=True)
class Header:
    """What the header says of the picture. Impossible values are refused when it is made."""

    width: int
    height: int
    mode: ColourMode
    quality: int
    model_id: bytes
    tile_size: int = DEFAULT_TILE_SIZE
    neutral: bool = False
    """Black and white, in three channels that are equal."""
    step_maps: bool = False
    """The tiles that are not exact have maps of steps."""

    def __post_init__(self) -> None:
        for name, side in (("width", self.width), ("height", self.height)):
            if side < 1:
                raise ValueError(f"{name} must be at least 1, not {side}")
            if side > MAX_SIDE:
                raise InputError(f"{name} of {side} pixels: .aec ends at {MAX_SIDE}")
        if not isinstance(self.mode, ColourMode):
            raise TypeError(f"mode must be a ColourMode, not {self.mode!r}")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality must be 1 to 100, not {self.quality}")
        if self.tile_size % TILE_UNIT or not TILE_UNIT <= self.tile_size <= MAX_TILE_SIZE:
            raise ValueError(
                f"tile size must be a multiple of {TILE_UNIT} up to {MAX_TILE_SIZE}, "
                f"not {self.tile_size}"
            )
        if len(self.model_id) != _MODEL_ID_SIZE:
            raise ValueError(f"a model id has {_MODEL_ID_SIZE} bytes, not {len(self.model_id)}")

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def tile_columns(self) -> int:
        return ceil_div(self.width, self.tile_size)

    @property
    def tile_rows(self) -> int:
        return ceil_div(self.height, self.tile_size)

    @property
    def tile_width(self) -> int:
        """Pixels of every tile's width but the last column's."""
        return even_part(self.width, self.tile_columns)

    @property
    def tile_height(self) -> int:
        """Pixels of every tile's height but the last row's."""
        return even_part(self.height, self.tile_rows)

    @property
    def tile_count(self) -> int:
        return self.tile_columns * self.tile_rows

    @property
    def grid(self) -> Grid:
        """The boxes of the tiles, in the order of the file."""
        return Grid(self.width, self.height, self.tile_width, self.tile_height)


class ParsedHeader(NamedTuple):
    """A header as found in a file."""

    header: Header
    size: int
    """Bytes of the header itself, its checksum included."""
    file_size: int
    """Bytes that the whole file must have."""
    version: tuple[int, int]
    """Major and minor version of the format."""


@dataclass(frozen=True, slots=True)
class Section:
    """Where one section lies in the file."""

    type: int
    offset: int
    """Of the section's first byte, its type."""
    start: int
    """Of the payload."""
    length: int
    """Of the payload."""

    @property
    def end(self) -> int:
        return self.start + self.length

    @property
    def critical(self) -> bool:
        return self.type < 0x80

    @property
    def name(self) -> str:
        try:
            return SectionType(self.type).name
        except ValueError:
            return f"0x{self.type:02X}"


class Text(NamedTuple):
    """One of the section TEXTS. Bytes that are no UTF-8 stand as `surrogateescape` has them."""

    keyword: str
    text: str
    language: str = ""
    translated: str = ""
    """The keyword in the language."""


class Attachment(NamedTuple):
    """The content of GAINMAP or VIDEO."""

    data: bytes
    detail: bytes = b""


GRAIN_LEVELS: Final = 9
"""How many brightnesses, from 0 to 256, the noise of GRAIN has a deviation for."""
_GRAIN: Final = struct.Struct("<11BI")
_QUARTERS: Final = 4


class Grain(NamedTuple):
    """The content of GRAIN."""

    levels: tuple[float, ...]
    """Standard deviations in 8-bit levels, below 64, in quarters, for nine brightnesses."""
    common: float
    """0: the channels' noise is independent; 1: it is the same."""
    coarse: float
    """0: white noise; 1: blurred noise."""
    seed: int
    """Of 32 bits."""

    def pack(self) -> bytes:
        """The 15 bytes of the section. The numbers are rounded."""
        levels = (min(max(round(_QUARTERS * level), 0), 255) for level in self.levels)
        return _GRAIN.pack(*levels, round(255 * self.coarse), round(255 * self.common), self.seed)

    @classmethod
    def unpack(cls, payload: bytes) -> Grain:
        """The inverse of `pack`. Raises CorruptError for another number of bytes."""
        if len(payload) != _GRAIN.size:
            raise CorruptError(f"GRAIN has {len(payload)} bytes, not {_GRAIN.size}")
        *levels, coarse, common, seed = _GRAIN.unpack(payload)
        return cls(tuple(v / _QUARTERS for v in levels), common / 255, coarse / 255, seed)


class Front(NamedTuple):
    """What stands before the pixels. None where the file has no such section."""

    header: Header
    exif: bytes | None
    icc: bytes | None
    xmp: bytes | None
    resolution: tuple[float, float] | None
    texts: tuple[Text, ...]
    iptc: bytes | None

    @property
    def metadata(self) -> dict[str, Any]:
        """All but the header, by the names that `pack` has for it."""
        return {name: value for name, value in self._asdict().items() if name != "header"}


@dataclass(frozen=True)
class Container:
    """A file whose checksums and bounds all hold. Nothing is decompressed before it is asked for.

    What the file has no section for is None. Asking for a part may still raise `CorruptError`: who
    recomputes the checksums can store a broken zstd frame.
    """

    header: Header
    version: tuple[int, int]
    sections: tuple[Section, ...]
    data: bytes = field(repr=False)

    @cached_property
    def tiles(self) -> tuple[bytes, ...]:
        """The payloads of the tiles in raster order."""
        return tuple(self._payload(section) for section in self._tiles)

    @cached_property
    def exact(self) -> frozenset[int]:
        """The numbers of the tiles that are stored exactly."""
        kinds = enumerate(section.type for section in self._tiles)
        return frozenset(number for number, kind in kinds if kind == SectionType.EXACT)

    @property
    def _tiles(self) -> list[Section]:
        return [section for section in self.sections if section.type in _TILES]

    @cached_property
    def exif(self) -> bytes | None:
        """The TIFF structure, without a prefix."""
        return self._metadata(SectionType.EXIF)

    @cached_property
    def icc(self) -> bytes | None:
        return self._metadata(SectionType.ICC)

    @cached_property
    def xmp(self) -> bytes | None:
        return self._metadata(SectionType.XMP)

    @cached_property
    def resolution(self) -> tuple[float, float] | None:
        """Pixels an inch, across and down."""
        section = self._find(SectionType.RESOLUTION)
        return None if section is None else _unpack_resolution(self._payload(section))

    @cached_property
    def texts(self) -> tuple[Text, ...]:
        """Comments and texts."""
        content = self._metadata(SectionType.TEXTS)
        return () if content is None else _unpack_texts(content)

    @cached_property
    def iptc(self) -> bytes | None:
        """IPTC-IIM records."""
        return self._metadata(SectionType.IPTC)

    @cached_property
    def grain(self) -> Grain | None:
        """The noise that a reader may add."""
        section = self._find(SectionType.GRAIN)
        return None if section is None else Grain.unpack(self._payload(section))

    @cached_property
    def gain_map(self) -> Attachment | None:
        return self._attachment(SectionType.GAINMAP)

    @cached_property
    def video(self) -> Attachment | None:
        return self._attachment(SectionType.VIDEO)

    @property
    def metadata(self) -> dict[str, Any]:
        """All that travels with the pixels, by the names that `pack` has for it."""
        return {name: getattr(self, name) for name in METADATA}

    @cached_property
    def alpha(self) -> npt.NDArray[np.uint8] | None:
        """The alpha plane, (H, W)."""
        section = self._find(SectionType.ALPHA)
        if section is None:
            return None
        return zstd.unpack_alpha(self._payload(section), self.header.width, self.header.height)

    def _find(self, kind: SectionType) -> Section | None:
        return next((s for s in self.sections if s.type == kind), None)

    def _payload(self, section: Section) -> bytes:
        return self.data[section.start : section.end]

    def _attachment(self, kind: SectionType) -> Attachment | None:
        section = self._find(kind)
        return None if section is None else _unpack_attachment(self._payload(section), kind.name)

    def _metadata(self, kind: SectionType) -> bytes | None:
        section = self._find(kind)
        return None if section is None else zstd.decompress(self._payload(section), kind.name)


# --- Writing ------------------------------------------------------------------------------------


@stage("container")
def pack(
    header: Header,
    tiles: Sequence[bytes],
    *,
    exact: Collection[int] = (),
    alpha: npt.NDArray[np.uint8] | None = None,
    exif: bytes | None = None,
    icc: bytes | None = None,
    xmp: bytes | None = None,
    resolution: tuple[float, float] | None = None,
    texts: Sequence[tuple[str, str, str, str]] = (),
    iptc: bytes | None = None,
    gain_map: Attachment | None = None,
    video: Attachment | None = None,
    grain: Grain | None = None,
) -> bytes:
    """Make a file from its header and the payloads of its tiles in raster order.

    ``exact`` holds the numbers of the tiles that are stored exactly.
    ``alpha`` is (H, W) and belongs to the modes LA and RGBA. Metadata that is empty is left out.
    ``texts`` have the fields of `Text`. Raises LimitError for what a reader would refuse by
    default.
    """
    if len(tiles) != header.tile_count:
        raise ValueError(f"{header.tile_count} tiles expected, not {len(tiles)}")
    if any(len(payload) < _MIN_TILE_PAYLOAD for payload in tiles):
        raise ValueError(f"a tile's payload has at least {_MIN_TILE_PAYLOAD} bytes")
    _check_alpha(header, alpha)

    payloads: list[tuple[int, bytes]] = []
    if alpha is not None:
        payloads.append((SectionType.ALPHA, zstd.pack_alpha(alpha)))
    for kind, content in zip(_FRAMED, (exif, icc, xmp, _pack_texts(texts), iptc), strict=True):
        if content:
            payloads.append((kind, _pack_metadata(kind, content)))
    if resolution:
        payloads.append((SectionType.RESOLUTION, _RESOLUTION.pack(*resolution)))
    for kind, attachment in zip(_ATTACHED, (gain_map, video), strict=True):
        if attachment:
            payloads.append((kind, _pack_attachment(kind, attachment)))
    if grain is not None:
        payloads.append((SectionType.GRAIN, grain.pack()))
    payloads.sort(key=lambda section: section[0])
    kinds = (SectionType.EXACT if n in exact else SectionType.TILE for n in range(len(tiles)))
    payloads.extend(zip(kinds, tiles, strict=True))

    body: list[bytes] = []
    for ordinal, (kind_id, payload) in enumerate(payloads):
        body.append(bytes([kind_id]) + _encode_varint(len(payload)))
        body.append(_section_crc(kind_id, ordinal, payload).to_bytes(_CRC_SIZE, "little"))
        body.append(payload)
    return b"".join([_pack_header(header, sum(map(len, body))), *body])


def _check_alpha(header: Header, alpha: npt.NDArray[np.uint8] | None) -> None:
    if (alpha is not None) != header.mode.has_alpha:
        state = "needs" if alpha is None else "has no"
        raise ValueError(f"mode {header.mode.name} {state} alpha")
    if alpha is not None and (
        alpha.shape != (header.height, header.width) or alpha.dtype.name != "uint8"
    ):
        raise ValueError(
            f"alpha must be uint8 of shape {(header.height, header.width)}, "
            f"not {alpha.dtype} of shape {alpha.shape}"
        )


def _pack_metadata(kind: SectionType, content: bytes) -> bytes:
    if len(content) > DEFAULT_MAX_METADATA:
        raise LimitError(
            f"{kind.name} metadata of {len(content)} bytes; readers accept "
            f"{DEFAULT_MAX_METADATA} unless told otherwise: leave it out"
        )
    return zstd.compress(content)


def _pack_attachment(kind: SectionType, attachment: Attachment) -> bytes:
    payload = _encode_varint(len(attachment.detail)) + attachment.detail + attachment.data
    if len(payload) > DEFAULT_MAX_ATTACHMENT:
        raise LimitError(
            f"{kind.name} of {len(payload)} bytes; readers accept "
            f"{DEFAULT_MAX_ATTACHMENT}: leave it out"
        )
    return payload


def _pack_header(header: Header, body_size: int) -> bytes:
    fixed = bytes(
        [
            MAJOR,
            MINOR,
            (NEUTRAL if header.neutral else 0) | (STEPS if header.step_maps else 0),
            header.mode,
            header.quality,
            header.tile_size // TILE_UNIT,
        ]
    )
    sizes = (header.width, header.height, body_size)
    checked = MAGIC + fixed + header.model_id + b"".join(map(_encode_varint, sizes))
    return checked + zlib.crc32(checked).to_bytes(_CRC_SIZE, "little")


# --- Reading ------------------------------------------------------------------------------------


def _check_type(data: object) -> None:
    """TypeError for a path, which many would give, and for everything else that is no bytes."""
    if not isinstance(data, bytes | bytearray | memoryview):
        what = type(data).__name__
        raise TypeError(f"the bytes of an .aec file are needed, not {what}: read the file first")


def parse_header(data: bytes | bytearray | memoryview) -> ParsedHeader:
    """Read the header of a file of which at least the first `MAX_HEADER_SIZE` bytes are given.

    (A file that is shorter than this is given whole.) Sets no limit on the number of pixels.
    """
    _check_type(data)
    head = bytes(data[:MAX_HEADER_SIZE])
    _check_magic(head)
    if len(head) < _FIXED_SIZE:
        raise TruncatedError(len(head), _MIN_FILE, exact=False)
    major, minor, flags, mode, quality, tile_units = head[8:14]
    # Before the checksum, because another major version may keep it elsewhere.
    if major > MAJOR:
        raise UnsupportedError(
            f"version {major}.{minor} of the format; this aecodec reads version {MAJOR}"
        )
    if major != MAJOR:
        raise CorruptError(f"version {major}.{minor} of the format, which does not exist")

    width, offset = _header_varint(head, _FIXED_SIZE, _MAX_SIDE_VARINT)
    height, offset = _header_varint(head, offset, _MAX_SIDE_VARINT)
    body_size, offset = _header_varint(head, offset, _MAX_VARINT)
    end = offset + _CRC_SIZE
    if len(head) < end:
        raise TruncatedError(len(head), _MIN_FILE, exact=False)
    if zlib.crc32(head[:offset]) != int.from_bytes(head[offset:end], "little"):
        raise CorruptError("the checksum of the header is wrong")

    if unknown := flags & ~KNOWN_FLAGS:
        bits = ", ".join(str(bit) for bit in range(8) if unknown >> bit & 1)
        raise UnsupportedError(f"must-understand flag {bits}: made for a newer aecodec")
    try:
        colour_mode = ColourMode(mode)
    except ValueError:
        raise UnsupportedError(f"colour mode {mode}: made for a newer aecodec") from None
    for name, side in (("width", width), ("height", height)):
        if not 1 <= side <= MAX_SIDE:
            raise CorruptError(f"a {name} of {side} pixels; the format allows 1 to {MAX_SIDE}")
    if not 1 <= quality <= 100:
        raise CorruptError(f"a quality of {quality}; the format allows 1 to 100")
    if tile_units == 0:
        raise CorruptError("a tile size of 0")
    header = Header(
        width=width,
        height=height,
        mode=colour_mode,
        quality=quality,
        model_id=head[14:_FIXED_SIZE],
        tile_size=tile_units * TILE_UNIT,
        neutral=bool(flags & NEUTRAL),
        step_maps=bool(flags & STEPS),
    )
    return ParsedHeader(header, end, end + body_size, (major, minor))


@stage("container")
def parse(
    data: bytes | bytearray | memoryview,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    max_metadata: int = DEFAULT_MAX_METADATA,
) -> Container:
    """Check a whole file, every checksum and every bound of it, without decompressing anything.

    ``max_metadata`` bounds each kind of metadata, uncompressed. Raises FormatError for what is
    not a valid file, and LimitError for a valid one beyond the limits given.
    """
    _check_type(data)
    data = bytes(data)  # a copy only of what could change under our feet
    header, size, file_size, version = parse_header(data)
    if header.pixels > max_pixels:
        raise LimitError(
            f"{header.width}x{header.height} is {header.pixels} pixels, and the limit is "
            f"{max_pixels}; raise max_pixels to at least {header.pixels} to read it (--max-pixels)"
        )
    if len(data) < file_size:
        raise TruncatedError(len(data), file_size)
    if len(data) > file_size:
        raise CorruptError(f"{len(data) - file_size} bytes follow the end of the file")
    if header.tile_count * _MIN_TILE_SECTION > file_size - size:
        raise CorruptError(
            f"{header.tile_count} tiles of {header.width}x{header.height} pixels do not fit "
            f"in a file of {file_size} bytes"
        )
    sections = _checked(_sections(data, size), data, header, max_metadata)
    return Container(header, version, tuple(sections), data)


def _sections(data: bytes, offset: int) -> Iterator[Section]:
    """Cut the body into sections and check the checksum of each."""
    view = memoryview(data)  # slices of it are no copies
    for ordinal in count():
        if offset == len(data):
            return
        length, crc_at = _decode_varint(data, offset + 1, _MAX_VARINT) or (None, 0)
        if length is None or length > len(data) - crc_at - _CRC_SIZE:
            raise CorruptError(f"section {ordinal} runs past the end of the file")
        section = Section(data[offset], offset, crc_at + _CRC_SIZE, length)
        stored = int.from_bytes(data[crc_at : section.start], "little")
        payload = view[section.start : section.end]
        if _section_crc(section.type, ordinal, payload) != stored:
            raise CorruptError(f"the checksum of section {ordinal} ({section.name}) is wrong")
        yield section
        offset = section.end


def section_at(data: bytes, offset: int) -> tuple[Section, int] | None:
    """The section that would begin at an offset of a damaged file, and the checksum that it states.

    None if none can begin there. Neither its type nor its checksum is checked.
    """
    if offset >= len(data):
        return None
    try:
        length, crc_at = _decode_varint(data, offset + 1, _MAX_VARINT) or (None, 0)
    except CorruptError:
        return None
    if length is None or length > len(data) - crc_at - _CRC_SIZE:
        return None
    section = Section(data[offset], offset, crc_at + _CRC_SIZE, length)
    return section, int.from_bytes(data[crc_at : section.start], "little")


def _checked(
    sections: Iterator[Section], data: bytes, header: Header, max_metadata: int
) -> Iterator[Section]:
    """Check kinds, order and number of the sections, and the sizes that their frames state.

    Works on them as they come, so that a file of nothing but millions of empty sections is refused
    at the first that is one too many, not after all of them have been listed.
    """
    tiles = 0
    previous = 0
    has_alpha = False
    for section in sections:
        if section.type in _TILES:
            tiles += 1
            if tiles > header.tile_count:
                raise CorruptError(f"more tiles than the {header.tile_count} of the dimensions")
            if section.length < _MIN_TILE_PAYLOAD:
                raise CorruptError(f"tile {tiles - 1} has only {section.length} bytes")
            yield section
            continue
        if section.critical and section.type != SectionType.ALPHA:
            raise UnsupportedError(f"critical section {section.name}: made for a newer aecodec")
        if tiles:
            raise CorruptError(f"a section {section.name} follows the tiles")
        previous = _in_order(section, previous)

        frame = data[section.start : min(section.end, section.start + 32)]
        if section.type == SectionType.ALPHA:
            has_alpha = True
            if frame[:1] not in (b"\0", b"\1", b"\2"):
                raise CorruptError("ALPHA has no known filter")
            size = zstd.content_size(frame[1:], "ALPHA")
            if size != header.pixels:
                raise CorruptError(f"ALPHA has {size} values for {header.pixels} pixels")
        elif section.type in _FRAMED:
            _check_metadata(frame, section.name, max_metadata)
        elif section.type == SectionType.GRAIN and section.length != _GRAIN.size:
            raise CorruptError(f"GRAIN has {section.length} bytes, not {_GRAIN.size}")
        elif section.type in _ATTACHED and section.length > DEFAULT_MAX_ATTACHMENT:
            raise LimitError(
                f"{section.name} of {section.length} bytes, and the limit is "
                f"{DEFAULT_MAX_ATTACHMENT}"
            )
        yield section
    if tiles != header.tile_count:
        raise CorruptError(f"{tiles} tiles where the dimensions make {header.tile_count}")
    if header.mode.has_alpha != has_alpha:
        state = "without" if header.mode.has_alpha else "with"
        raise CorruptError(f"mode {header.mode.name} {state} a section ALPHA")


def _in_order(section: Section, previous: int) -> int:
    """The type of a section that is no tile, if it is above that of the section before it."""
    if section.type <= previous:
        raise CorruptError(f"section {section.name} comes twice or out of order")
    return section.type


def _check_metadata(frame: bytes, name: str, max_metadata: int) -> None:
    size = zstd.content_size(frame, name)
    if size > max_metadata:
        raise LimitError(
            f"{name} metadata of {size} bytes, and the limit is {max_metadata}; "
            f"raise max_metadata to at least {size} to read it"
        )


def read_front(file: BinaryIO, *, max_metadata: int = DEFAULT_MAX_METADATA) -> Front:
    """Read the header and the metadata of a seekable file, and none of its pixels.

    Checks what it reads and the length of the file; damage further on shows only to `parse`.
    Raises FormatError and LimitError as `parse` does.
    """
    origin = file.tell()
    parsed = parse_header(file.read(MAX_HEADER_SIZE))
    there = file.seek(0, SEEK_END) - origin
    if there < parsed.file_size:
        raise TruncatedError(there, parsed.file_size)
    found: dict[int, bytes] = {}
    offset, previous = parsed.size, 0
    for ordinal in count():
        file.seek(origin + offset)
        head = file.read(_MAX_SECTION_HEAD)
        length, crc_at = (head and _decode_varint(head, 1, _MAX_VARINT)) or (None, 0)
        if length is None or offset + crc_at + _CRC_SIZE + length > parsed.file_size:
            raise CorruptError(f"section {ordinal} runs past the end of the file")
        section = Section(head[0], offset, offset + crc_at + _CRC_SIZE, length)
        if section.type in _TILES:
            break
        # A forged file may repeat a section that becomes a thousand times as large.
        previous = _in_order(section, previous)
        if section.type in _FRONT:
            name = section.name
            file.seek(origin + section.start)
            payload = file.read(length)
            stored = int.from_bytes(head[crc_at : crc_at + _CRC_SIZE], "little")
            if _section_crc(section.type, ordinal, payload) != stored:
                raise CorruptError(f"the checksum of section {ordinal} ({name}) is wrong")
            if section.type in _FRAMED:
                _check_metadata(payload, name, max_metadata)
                payload = zstd.decompress(payload, name)
            found[section.type] = payload
        offset = section.end
    resolution, texts = found.get(SectionType.RESOLUTION), found.get(SectionType.TEXTS)
    return Front(
        parsed.header,
        found.get(SectionType.EXIF),
        found.get(SectionType.ICC),
        found.get(SectionType.XMP),
        None if resolution is None else _unpack_resolution(resolution),
        () if texts is None else _unpack_texts(texts),
        found.get(SectionType.IPTC),
    )


# --- Resolution, texts and attachments ----------------------------------------------------------

_RESOLUTION: Final = struct.Struct("<2f")
MAX_TEXTS: Final = 10_000


def _unpack_resolution(payload: bytes) -> tuple[float, float]:
    if len(payload) != _RESOLUTION.size:
        raise CorruptError(f"RESOLUTION has {len(payload)} bytes, not {_RESOLUTION.size}")
    across, down = _RESOLUTION.unpack(payload)
    if not (0 < across < math.inf and 0 < down < math.inf):
        raise CorruptError(f"RESOLUTION says {across:g} x {down:g} pixels an inch")
    return across, down


def _pack_texts(texts: Sequence[tuple[str, str, str, str]]) -> bytes:
    if len(texts) > MAX_TEXTS:
        raise LimitError(f"{len(texts)} texts; readers accept {MAX_TEXTS}: leave some out")
    content = bytearray()
    for keyword, text, language, translated in texts:
        for string in (keyword, language, translated, text):
            raw = string.encode("utf-8", "surrogateescape")
            content += _encode_varint(len(raw)) + raw
    return bytes(content)


def _unpack_texts(content: bytes) -> tuple[Text, ...]:
    strings: list[str] = []
    at = 0
    while at < len(content):
        decoded = _decode_varint(content, at, _MAX_SIDE_VARINT + 1)
        if decoded is None or decoded[0] > len(content) - decoded[1]:
            raise CorruptError("a text runs past the end of TEXTS")
        length, start = decoded
        at = start + length
        if len(strings) >= 4 * MAX_TEXTS:
            raise CorruptError(f"TEXTS has more than {MAX_TEXTS} texts")
        strings.append(content[start:at].decode("utf-8", "surrogateescape"))
    if len(strings) % 4:
        raise CorruptError("a text of TEXTS is not complete")
    return tuple(
        Text(keyword, text, language, translated)
        for keyword, language, translated, text in zip(*[iter(strings)] * 4, strict=True)
    )


def _unpack_attachment(payload: bytes, name: str) -> Attachment:
    decoded = _decode_varint(payload, 0, _MAX_VARINT)
    if decoded is None or sum(decoded) >= len(payload):
        raise CorruptError(f"{name} has nothing in it")
    length, start = decoded
    return Attachment(payload[start + length :], payload[start : start + length])


# What the first bytes of the files that people confuse with ours look like.
_OTHER_FORMATS: Final = (
    (b"\xff\xd8\xff", "a JPEG"),
    (b"\x89PNG", "a PNG"),
    (b"GIF8", "a GIF"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"BM", "a BMP"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (b"BPG\xfb", "a BPG"),
    (b"qoif", "a QOI"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
)
# What text-mode transfers make of our magic.
_TEXT_DAMAGE: Final = (
    b"\x89AEC\n\x1a\n",  # CR LF -> LF
    b"\x89AEC\n\n\x1a\n",  # CR -> LF
    b"\x89AEC\r\r\n\x1a",  # LF -> CR LF
    b"\x89AEC\r\n\x1a\r",  # lone LF -> CR LF
    b"\x09AEC\r\n\x1a\n",  # bit 7 cleared
    b"\xc2\x89AEC",  # Latin-1 -> UTF-8
    b"\xef\xbf\xbdAEC",  # decoded as UTF-8 with replacement
)


def _check_magic(head: bytes) -> None:
    if head.startswith(MAGIC):
        return
    if not head:
        raise NotAecError("not an .aec file: it is empty")
    if MAGIC.startswith(head):
        raise TruncatedError(len(head), _MIN_FILE, exact=False)
    if head.startswith(_TEXT_DAMAGE):
        raise CorruptError("a transfer in text mode has damaged the file; copy it in binary mode")
    found = next((name for magic, name in _OTHER_FORMATS if head.startswith(magic)), None)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        found = "a WebP"
    elif head[4:8] == b"ftyp":
        found = "an AVIF, HEIF or video"
    raise NotAecError(f"not an .aec file: it is {found}" if found else "not an .aec file")


# --- Varints and checksums ----------------------------------------------------------------------


def _encode_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _decode_varint(data: bytes, offset: int, max_size: int) -> tuple[int, int] | None:
    """Return the value and the offset after it, or None where the data ends within it."""
    value = 0
    for index, byte in enumerate(data[offset : offset + max_size]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if byte == 0 and index:
                raise CorruptError(f"the number at byte {offset} is padded with a zero")
            return value, offset + index + 1
    if offset + max_size <= len(data):
        raise CorruptError(f"the number at byte {offset} is longer than {max_size} bytes")
    return None


def _header_varint(head: bytes, offset: int, max_size: int) -> tuple[int, int]:
    decoded = _decode_varint(head, offset, max_size)
    if decoded is None:
        raise TruncatedError(len(head), _MIN_FILE, exact=False)
    return decoded


def _section_crc(kind: int, ordinal: int, payload: bytes | memoryview) -> int:
    return zlib.crc32(payload, zlib.crc32(bytes([kind]) + ordinal.to_bytes(4, "little")))
