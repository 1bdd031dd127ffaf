"""Turns colours that a file signals without an ICC profile into an equivalent profile.

::

    cICP, nclx      code points of ITU-T H.273 ---+
    gAMA, cHRM      PNG: exponent, chromaticities +--> Signal: icc, or a note, or neither (sRGB)
    BMP V4, V5      end points, embedded profile -+
    EXIF of a JPEG  Adobe RGB -------------------> icc

An `.aec` file states its colours by an ICC profile, and is sRGB without one. So a signal of
standard dynamic range becomes a matrix/TRC profile (ICC.1:2022, version 4, about 500 bytes) with
the signalled primaries, adapted to D50 by the Bradford transform, and the signalled curve as a
`parametricCurveType`. A greyscale picture gets a profile of the colour space GRAY. A signal of high
dynamic range (PQ, HLG) has no such profile: it becomes a note.

The transfer characteristics of BT.709, BT.601 and BT.2020 are the inverse of the opto-electronic
transfer function of H.273, as in libavif, Skia and qcms.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "SRGB_CURVE",
    "Chromaticities",
    "Signal",
    "adobe_rgb",
    "colour_space",
    "from_bmp",
    "from_chromaticities",
    "from_code_points",
    "from_png",
    "grey_profile",
    "rgb_profile",
]


@dataclass(frozen=True)
class Signal:
    """The colours that a file states outside of a profile that Pillow reads."""

    icc: bytes | None = None
    """A profile for the picture; None: the profile that Pillow reads counts, or sRGB."""
    note: str = ""
    """The loss, such as "HDR colour (cICP, PQ)"; empty without a loss."""
    says: str = "sRGB"
    """The colours in words."""


# --- ITU-T H.273 --------------------------------------------------------------------------------


class Chromaticities(NamedTuple):
    """CIE 1931 x and y of the white point and the three primaries."""

    white: tuple[float, float]
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]


class Parametric(NamedTuple):
    """Y = (a X + b)^gamma from X = d on, and Y = c X below: ICC.1's function types 0 and 3."""

    gamma: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0


class Logarithmic(NamedTuple):
    """Y = 10^(decades (X - 1)), and 0 at X = 0."""

    decades: float


Curve: TypeAlias = "Parametric | Logarithmic"

_D65: Final = (0.3127, 0.3290)
_C: Final = (0.310, 0.316)

_SRGB_PRIMARIES: Final = Chromaticities(_D65, (0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_SMPTE_170M: Final = Chromaticities(_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070))

_PRIMARIES: Final[dict[int, tuple[str, Chromaticities]]] = {
    1: ("BT.709", _SRGB_PRIMARIES),
    4: ("BT.470 M", Chromaticities(_C, (0.67, 0.33), (0.21, 0.71), (0.14, 0.08))),
    5: ("BT.601 (625 lines)", Chromaticities(_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06))),
    6: ("BT.601 (525 lines)", _SMPTE_170M),
    7: ("SMPTE 240M", _SMPTE_170M),
    8: ("film", Chromaticities(_C, (0.681, 0.319), (0.243, 0.692), (0.145, 0.049))),
    9: ("BT.2020", Chromaticities(_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046))),
    10: ("CIE XYZ", Chromaticities((1 / 3, 1 / 3), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0))),
    11: ("DCI P3", Chromaticities((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060))),
    12: ("P3 D65", Chromaticities(_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060))),
    22: ("EBU 3213", Chromaticities(_D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077))),
}
"""Colour primaries, H.273 table 2."""

SRGB_CURVE: Final = Parametric(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def _camera(alpha: float, beta: float, slope: float) -> Parametric:
    """The inverse of V = alpha L^0.45 - (alpha - 1) from L = beta on, and of V = slope L below."""
    return Parametric(1 / 0.45, 1 / alpha, (alpha - 1) / alpha, 1 / slope, slope * beta)


_BT709: Final = _camera(1.099296826809442, 0.018053968510807, 4.5)

_TRANSFERS: Final[dict[int, tuple[str, Curve]]] = {
    1: ("BT.709", _BT709),
    4: ("gamma 2.2", Parametric(2.2)),
    5: ("gamma 2.8", Parametric(2.8)),
    6: ("BT.601", _BT709),
    7: ("SMPTE 240M", _camera(1.111572195921731, 0.022821585529445, 4.0)),
    8: ("linear", Parametric(1.0)),
    9: ("logarithmic, two decades", Logarithmic(2.0)),
    10: ("logarithmic, two and a half decades", Logarithmic(2.5)),
    11: ("IEC 61966-2-4", _BT709),  # as BT.709 between black and white, which are all we have
    12: ("BT.1361", _BT709),  # the same
    13: ("IEC 61966-2-1", SRGB_CURVE),
    14: ("BT.2020", _BT709),
    15: ("BT.2020", _BT709),
    17: ("SMPTE 428", Parametric(2.6)),  # its factor of 52.37/48 goes with the white of the profile
}
"""Transfer characteristics of standard dynamic range, H.273 table 3."""

_HDR: Final = {16: "PQ", 18: "HLG"}
_UNSPECIFIED: Final = 2

_NAMES: Final = {
    (1, 13): "sRGB",
    (12, 13): "Display P3",
    (11, 17): "DCI P3",
}


def from_code_points(
    primaries: int,
    transfer: int,
    *,
    said_by: str,
    grey: bool = False,
    always: bool = False,
) -> Signal:
    """Turn H.273 code points, as in cICP and nclx, into a profile or a note.

    ``said_by`` is the name of the signal, for the note. Unspecified values (2) are those of sRGB.
    sRGB gets a profile only with ``always``, which is needed to overrule another profile.
    """
    if transfer in _HDR:
        name = _HDR[transfer]
        return Signal(note=f"HDR colour ({said_by}, {name})", says=f"{name}")
    if primaries == _UNSPECIFIED:
        primaries = 1
    if transfer == _UNSPECIFIED:
        transfer = 13
    if primaries not in _PRIMARIES or transfer not in _TRANSFERS:
        what = f"primaries {primaries}, transfer {transfer}"
        return Signal(note=f"colours of an unknown kind ({said_by}, {what})", says=what)
    primaries_name, chromaticities = _PRIMARIES[primaries]
    transfer_name, curve = _TRANSFERS[transfer]
    name = _NAMES.get((primaries, transfer), "")
    if not name:
        name = primaries_name
        if transfer_name != primaries_name:
            name += f", {transfer_name} curve"
    if not always and curve == SRGB_CURVE and (grey or chromaticities == _SRGB_PRIMARIES):
        return Signal()
    return Signal(_profile(name, chromaticities, curve, grey=grey), says=name)


# --- EXIF ---------------------------------------------------------------------------------------


def adobe_rgb() -> bytes:
    """A profile of the colours that EXIF calls Adobe RGB: those of IEC 61966-2-5 (opRGB)."""
    primaries = Chromaticities(_D65, (0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
    name = "opRGB, compatible with Adobe RGB (1998)"
    return _profile(name, primaries, Parametric(563 / 256), grey=False)


# --- PNG ----------------------------------------------------------------------------------------

_AS_SRGB: Final = 0.001
"""Chromaticities within this distance count as sRGB, as in libpng."""
_GAMMA_OF_SRGB: Final = range(45000, 45911)
"""Values of gAMA that mean sRGB's curve with sRGB's primaries: 45455 in the PNG specification, and
1 % to both sides for the rounding of programs."""
_GAMMAS: Final = range(10000, 1000001)
"""Valid values of gAMA: exponents from 0.1 to 10."""


def from_png(
    *,
    cicp: bytes | None = None,
    gama: bytes | None = None,
    chrm: bytes | None = None,
    srgb: bytes | None = None,
    has_iccp: bool = False,
    grey: bool = False,
) -> Signal:
    """Turn the contents of PNG's colour chunks into a profile or a note.

    The order is that of the PNG specification (third edition, 4.3): cICP, iCCP, sRGB, then gAMA
    with cHRM. If iCCP decides, `icc` is None, because Pillow reads it. ``grey``: the picture is
    stored as greyscale.
    """
    note = ""
    if cicp is not None:
        signal = _from_cicp(cicp, has_iccp=has_iccp, grey=grey)
        if signal is not None and (signal.icc or not signal.note):
            return signal
        note = signal.note if signal is not None else ""
    below = Signal() if has_iccp or srgb is not None else _from_gama_chrm(gama, chrm, grey=grey)
    if not note:
        return below
    # For unsupported colours, the colours of an older reader are the best fallback.
    return Signal(below.icc, note, below.says)


def _from_cicp(cicp: bytes, *, has_iccp: bool, grey: bool) -> Signal | None:
    """The signal of a cICP chunk; None if it specifies nothing."""
    if len(cicp) != 4:
        return Signal(note="colours that cannot be read (cICP)")
    primaries, transfer, matrix, full_range = cicp
    if primaries == transfer == _UNSPECIFIED:
        return None
    if matrix != 0:
        return Signal(note=f"colours of an unknown kind (cICP, matrix {matrix})")
    signal = from_code_points(primaries, transfer, said_by="cICP", grey=grey, always=has_iccp)
    if full_range != 1 and not signal.note:
        return Signal(note="colours of narrow range (cICP, black at 16, white at 235)")
    return signal


def _from_gama_chrm(gama: bytes | None, chrm: bytes | None, *, grey: bool) -> Signal:
    curve, exponent = SRGB_CURVE, None
    if gama is not None:
        exponent = int.from_bytes(gama, "big") if len(gama) == 4 else 0
        if exponent not in _GAMMAS:
            return Signal(note=f"colours that cannot be read (gAMA of {exponent / 100000:g})")
        curve = Parametric(100000 / exponent)
    chromaticities = _SRGB_PRIMARIES
    if chrm is not None:
        if len(chrm) != 32:
            return Signal(note="colours that cannot be read (cHRM)")
        x = [value / 100000 for value in struct.unpack(">8I", chrm)]
        chromaticities = Chromaticities((x[0], x[1]), (x[2], x[3]), (x[4], x[5]), (x[6], x[7]))
    if exponent in _GAMMA_OF_SRGB and (grey or _is_srgb(chromaticities)):
        return Signal()
    return from_chromaticities(chromaticities, curve, said_by="cHRM", grey=grey)


def _is_srgb(chromaticities: Chromaticities) -> bool:
    pairs = zip(chromaticities, _SRGB_PRIMARIES, strict=True)
    return all(
        abs(a - b) <= _AS_SRGB for ours, theirs in pairs for a, b in zip(ours, theirs, strict=True)
    )


def from_chromaticities(
    chromaticities: Chromaticities, curve: Curve, *, said_by: str, grey: bool = False
) -> Signal:
    """Turn primaries, white point and curve into a profile, or into a note if they are invalid."""
    srgb_primaries = grey or _is_srgb(chromaticities)
    if srgb_primaries and curve == SRGB_CURVE:
        return Signal()
    if srgb_primaries:
        chromaticities = _SRGB_PRIMARIES
    if not _is_sensible(chromaticities):
        return Signal(note=f"colours that cannot be read ({said_by})")
    name = "grey" if grey else "BT.709" if srgb_primaries else f"primaries of {said_by}"
    if isinstance(curve, Parametric) and curve.d == 0:
        name += f", gamma {curve.gamma:.4g}"
    return Signal(_profile(name, chromaticities, curve, grey=grey), says=name)


def _is_sensible(chromaticities: Chromaticities) -> bool:
    """Whether the primaries span a triangle, and the white point lies inside of it."""
    for x, y in chromaticities:
        if not (0 <= x <= 1 and 0 <= y <= 1 and x + y <= 1):
            return False
    white, red, green, blue = (np.array((*xy, 1.0)) for xy in chromaticities)
    corners = np.stack([red, green, blue], axis=1)
    if white[1] < 0.01 or abs(np.linalg.det(corners)) < 0.001:
        return False
    return bool((np.linalg.solve(corners, white) > 0.001).all())


# --- BMP ----------------------------------------------------------------------------------------

_FILE_HEADER: Final = 14
_V4: Final = 108
_V5: Final = 124
_MAX_PROFILE: Final = 2**24
"""Bytes; the largest known profiles have some 4 MB."""


def from_bmp(data: memoryview | bytes, *, grey: bool = False) -> Signal:
    """The colours in a V4 or V5 header of a BMP; older headers state none.

    ``data`` is the whole file, with its file header of 14 bytes if it has one (a DIB has none).
    """
    start = _FILE_HEADER if bytes(data[:2]) == b"BM" else 0
    header = bytes(data[start : start + _V5])
    if len(header) < 4 or (size := int.from_bytes(header[:4], "little")) < _V4:
        return Signal()
    if len(header) < _V4:
        return Signal(note="colours that cannot be read (BMP header)")
    kind = header[56:60][::-1]  # a four-character code, written as a number
    if kind in (b"sRGB", b"Win "):  # the second: whatever Windows uses, which is sRGB
        return Signal()
    if kind == b"\0\0\0\0":
        return _calibrated(header, grey=grey)
    if kind == b"MBED" and size >= _V5 and len(header) == _V5:
        offset, length = struct.unpack_from("<II", header, 112)
        profile = bytes(data[start + offset : start + offset + min(length, _MAX_PROFILE)])
        if length and len(profile) == length and colour_space(profile) is not None:
            return Signal(profile, says="embedded profile")
        return Signal(note="ICC profile that cannot be read")
    if kind == b"LINK":
        return Signal(note="ICC profile in another file, to which this one refers")
    return Signal(note="colours of an unknown kind (BMP header)")


def _calibrated(header: bytes, *, grey: bool) -> Signal:
    """End points as XYZ in 2.30 fixed point, and three exponents in 16.16."""
    values = [value / 2**30 for value in struct.unpack_from("<9I", header, 60)]
    gammas = [value / 2**16 for value in struct.unpack_from("<3I", header, 96)]
    if not any(values) and not any(gammas):
        return Signal()  # left open, as most programs do
    curve: Curve = SRGB_CURVE
    if any(gammas):
        if max(gammas) - min(gammas) > 0.01 or not 0.1 <= gammas[0] <= 10:
            return Signal(note="colours of an unknown kind (BMP header)")
        curve = Parametric(gammas[0])
    chromaticities = _SRGB_PRIMARIES
    if any(values):
        points = []
        for i in range(0, 9, 3):
            total = sum(values[i : i + 3])
            if not total:
                return Signal(note="colours that cannot be read (BMP header)")
            points.append((values[i] / total, values[i + 1] / total))
        chromaticities = Chromaticities(_D65, *points)
    as_srgb = grey or _is_srgb(chromaticities)
    if as_srgb and isinstance(curve, Parametric) and not curve.d and abs(curve.gamma - 2.2) < 0.03:
        return Signal()
    return from_chromaticities(chromaticities, curve, said_by="BMP header", grey=grey)


# --- ICC profiles -------------------------------------------------------------------------------

_Matrix: TypeAlias = npt.NDArray[np.float64]
_BRADFORD: Final = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_D50_FIXED: Final = (0xF6D6, 0x10000, 0xD32D)
"""X, Y, Z of the white of the profile connection space, as in the header of every profile."""
_TABLE: Final = 1024
"""Entries of the table for a curve that is not a function of ICC."""


def _profile(name: str, chromaticities: Chromaticities, curve: Curve, *, grey: bool) -> bytes:
    tags = {
        b"desc": _localised(name),
        b"cprt": _localised("No copyright"),
        b"wtpt": _xyz(_D50_FIXED),
    }
    if grey:
        return _assembled(b"GRAY", {**tags, b"kTRC": _curve(curve)})
    columns, adaptation = _columns(chromaticities)
    tags |= columns
    for tag in (b"rTRC", b"gTRC", b"bTRC"):
        tags[tag] = _curve(curve)
    fixed = np.rint(adaptation * 65536).astype(int).ravel().tolist()
    tags[b"chad"] = b"sf32\0\0\0\0" + struct.pack(">9i", *fixed)
    return _assembled(b"RGB ", tags)


def _columns(chromaticities: Chromaticities) -> tuple[dict[bytes, bytes], _Matrix]:
    """The tags for the primaries under D50, and the matrix from the white point to D50."""
    matrix, adaptation = _to_d50(chromaticities)
    columns = np.rint(matrix * 65536).astype(int)
    columns[:, 2] = np.array(_D50_FIXED) - columns[:, 0] - columns[:, 1]  # white stays exact
    names = (b"rXYZ", b"gXYZ", b"bXYZ")
    tags = {tag: _xyz(tuple(xyz)) for tag, xyz in zip(names, columns.T.tolist(), strict=True)}
    return tags, adaptation


def _to_d50(chromaticities: Chromaticities) -> tuple[_Matrix, _Matrix]:
    """Return the matrices from linear RGB to XYZ under D50, and from the white point to D50."""
    whole = np.array([(x, y, 1 - x - y) for x, y in chromaticities])
    white = whole[0] / whole[0][1]
    primaries = whole[1:].T
    rgb_to_xyz = primaries * np.linalg.solve(primaries, white)
    bradford = np.array(_BRADFORD)
    d50 = np.array(_D50_FIXED) / 65536
    gains = (bradford @ d50) / (bradford @ white)
    adaptation = np.linalg.inv(bradford) @ (gains[:, None] * bradford)
    return adaptation @ rgb_to_xyz, adaptation


def _localised(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(encoded), 28) + encoded


def _xyz(fixed: tuple[int, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *fixed)


def _curve(curve: Curve) -> bytes:
    if isinstance(curve, Logarithmic):
        steps = np.linspace(0, 1, _TABLE)
        values = np.rint(10 ** (curve.decades * (steps - 1)) * 65535)
        values[0] = 0
        return b"curv\0\0\0\0" + struct.pack(">I", _TABLE) + values.astype(">u2").tobytes()
    kind = 3 if curve.d else 0
    fixed = [round(value * 65536) for value in (curve if curve.d else curve[:1])]
    return b"para\0\0\0\0" + struct.pack(f">HH{len(fixed)}i", kind, 0, *fixed)


def _assembled(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Return a display profile of version 4.3. Tags with equal contents share them."""
    table = struct.pack(">I", len(tags))
    body = b""
    start = 128 + 4 + 12 * len(tags)
    places: dict[bytes, int] = {}
    for tag, content in tags.items():
        if content not in places:
            places[content] = start + len(body)
            body += content + bytes(-len(content) % 4)
        table += tag + struct.pack(">II", places[content], len(content))
    size = 128 + len(table) + len(body)
    # No program's mark, a date that is always the same, perceptual intent.
    header = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x04300000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp"
    header += bytes(28) + struct.pack(">3I", *_D50_FIXED)
    return header.ljust(128, b"\0") + table + body


def colour_space(profile: bytes) -> bytes | None:
    """Return the colour space of a profile, as b"RGB " or b"GRAY"; None for other bytes."""
    if len(profile) < 132 or profile[36:40] != b"acsp":
        return None
    return profile[16:20]


_MAX_TAGS: Final = 200
_KEPT_TAGS: Final[tuple[bytes, ...]] = (b"desc", b"cprt", b"wtpt", b"chad")


def grey_profile(profile: bytes) -> bytes | None:
    """Return the greyscale profile that is equivalent to an RGB profile for r = g = b.

    It has the same curve. It exists if the three channels share one curve and the colours are a
    matrix of them, so that equal channels are neutral. None for all other profiles.
    """
    tags = _tags(profile)
    if colour_space(profile) != b"RGB " or tags is None:
        return None
    curves = {tags.get(tag, b"") for tag in (b"rTRC", b"gTRC", b"bTRC")}
    curve = curves.pop()
    if curves or len(curve) < 12 or any(tag.startswith((b"A2B", b"D2B")) for tag in tags):
        return None
    if not {b"rXYZ", b"gXYZ", b"bXYZ"} <= tags.keys():
        return None
    return _rewritten(profile, tags, b"GRAY", {b"kTRC": curve})


def rgb_profile(profile: bytes) -> bytes | None:
    """Return an RGB profile in which r = g = b is the grey of a greyscale profile.

    It has the same curve for each channel, and the primaries of sRGB. None if the profile is none
    of a curve alone.
    """
    tags = _tags(profile)
    if colour_space(profile) != b"GRAY" or profile[20:24] != b"XYZ " or tags is None:
        return None
    curve = tags.get(b"kTRC", b"")
    if len(curve) < 12 or any(tag.startswith((b"A2B", b"D2B")) for tag in tags):
        return None
    more = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return _rewritten(profile, tags, b"RGB ", {**_columns(_SRGB_PRIMARIES)[0], **more})


def _tags(profile: bytes) -> dict[bytes, bytes] | None:
    """The contents of a profile by their tags; None if its table breaks off."""
    count = int.from_bytes(profile[128:132], "big")
    tags: dict[bytes, bytes] = {}
    for at in range(132, 132 + 12 * min(count, _MAX_TAGS), 12):
        if at + 12 > len(profile):
            return None
        tag, offset, size = struct.unpack_from(">4sII", profile, at)
        tags[tag] = profile[offset : offset + size]
    return tags


def _rewritten(
    profile: bytes, tags: dict[bytes, bytes], space: bytes, more: dict[bytes, bytes]
) -> bytes:
    """A profile of another colour space, with the texts and the white of this one."""
    # The texts are copied unchanged, and so is the version that they are written in.
    kept = {tag: tags[tag] for tag in _KEPT_TAGS if tag in tags}
    made = bytearray(_assembled(space, {**kept, **more}))
    made[8:12] = profile[8:12]
    return bytes(made)
