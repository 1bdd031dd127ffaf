"""Signalled colours: the profile shows known colours as the standards' own formulas do."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageCms

from aecodec.image import signalling
from aecodec.image.signalling import Signal, from_bmp, from_code_points, from_png

# --- An independent computation: from H.273's formulas to sRGB, through XYZ under D65 -----------

BT709 = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
BT2020 = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
SMPTE_170M = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))
BT470BG = ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060))
EBU = ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077))
ADOBE = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
COLOURS = np.uint8(
    [
        [120, 140, 100],
        [128, 128, 128],
        [170, 160, 150],
        [20, 22, 24],
        [90, 100, 120],
        [250, 250, 250],
    ]
)


def to_xyz(primaries: tuple[tuple[float, float], ...]) -> np.ndarray:
    """SMPTE RP 177: from linear RGB to XYZ, white D65."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
    return columns @ np.diag(np.linalg.inv(columns) @ white)


def srgb_decoded(v: float) -> float:
    return v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4


def srgb_encoded(linear: float) -> float:
    linear = min(max(linear, 0.0), 1.0)
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055


def camera_decoded(v: float) -> float:
    """BT.709, 601, 2020: found by bisection of the forward formula, so that nothing is shared."""

    def encoded(light: float) -> float:
        return 4.5 * light if light < 0.018 else 1.099 * light**0.45 - 0.099

    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if encoded(middle) < v else (low, middle)
    return low


def expected(
    primaries: tuple[tuple[float, float], ...], decode: Callable[[float], float]
) -> np.ndarray:
    """What `COLOURS` look like in sRGB."""
    linear = np.array([[decode(v / 255) for v in row] for row in COLOURS.tolist()])
    srgb = linear @ to_xyz(primaries).T @ np.linalg.inv(to_xyz(BT709)).T
    return np.array([[255 * srgb_encoded(v) for v in row] for row in srgb.tolist()])


def shown(profile: bytes) -> np.ndarray:
    """What LittleCMS makes of `COLOURS`."""
    converted = ImageCms.profileToProfile(
        Image.fromarray(COLOURS[None]),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
    )
    return np.asarray(converted, np.float64)[0]


def shown_grey(profile: bytes, levels: np.ndarray) -> np.ndarray:
    converted = ImageCms.profileToProfile(
        Image.fromarray(levels[None]),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
    )
    return np.asarray(converted, np.float64)[0]


SIGNALS = {
    "BT.709": (1, 1, BT709, camera_decoded),
    "Display P3": (12, 13, P3, srgb_decoded),
    "BT.2020": (9, 14, BT2020, camera_decoded),
    "BT.2020, 12 bits": (9, 15, BT2020, camera_decoded),
    "BT.601, 525 lines": (6, 6, SMPTE_170M, camera_decoded),
    "BT.601, 625 lines": (5, 6, BT470BG, camera_decoded),
    "EBU 3213": (22, 13, EBU, srgb_decoded),
    "gamma 2.2": (1, 4, BT709, lambda v: v**2.2),
    "gamma 2.8": (1, 5, BT709, lambda v: v**2.8),
    "linear": (1, 8, BT709, lambda v: v),
    "logarithmic": (1, 9, BT709, lambda v: 10 ** (2 * (v - 1))),
    "P3, unspecified curve": (12, 2, P3, srgb_decoded),
    "unspecified primaries, linear": (2, 8, BT709, lambda v: v),
}


@pytest.mark.parametrize("name", SIGNALS)
def test_code_points(name: str) -> None:
    primaries, transfer, corners, decode = SIGNALS[name]
    signal = from_code_points(primaries, transfer, said_by="nclx")
    assert signal.icc and not signal.note
    assert abs(shown(signal.icc) - expected(corners, decode)).max() <= 1.5
    # The same curve for greyscale.
    grey = from_code_points(primaries, transfer, said_by="nclx", grey=True)
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    want = [255 * srgb_encoded(decode(v / 255)) for v in levels.tolist()]
    if decode is srgb_decoded:
        assert grey == Signal()  # a grey has no primaries
    else:
        assert grey.icc and grey.icc[16:20] == b"GRAY"
        got = shown_grey(grey.icc, levels)
        assert np.ptp(got, axis=1).max() == 0
        assert abs(got[:, 0] - want)[1:].max() <= 1.5  # the logarithm has no black


def test_white_points_other_than_d65_stay_white() -> None:
    for primaries in (4, 8, 10, 11):
        icc = from_code_points(primaries, 13, said_by="nclx").icc
        assert icc is not None
        neutral = shown(icc)[[1, 5]]
        assert abs(neutral - [[128] * 3, [250] * 3]).max() <= 1


def test_profiles_are_small_and_read_back() -> None:
    for primaries in signalling._PRIMARIES:
        for transfer in signalling._TRANSFERS:
            for grey in (False, True):
                signal = from_code_points(
                    primaries, transfer, said_by="nclx", grey=grey, always=True
                )
                assert signal.icc is not None
                assert int.from_bytes(signal.icc[:4], "big") == len(signal.icc) < 3000
                profile = ImageCms.ImageCmsProfile(io.BytesIO(signal.icc))
                assert ImageCms.getProfileDescription(profile).strip() == signal.says
                assert profile.profile.xcolor_space.strip() == ("GRAY" if grey else "RGB")


def test_srgb_needs_no_profile_and_hdr_has_none() -> None:
    for pair in ((1, 13), (2, 2), (1, 2), (2, 13)):
        assert from_code_points(*pair, said_by="nclx") == Signal()
    for transfer, name in ((16, "PQ"), (18, "HLG")):
        signal = from_code_points(9, transfer, said_by="cICP")
        assert signal.icc is None and signal.note == f"HDR colour (cICP, {name})"
    for pair in ((3, 13), (1, 3), (0, 0), (255, 255)):
        signal = from_code_points(*pair, said_by="nclx")
        assert signal.icc is None and "unknown kind (nclx" in signal.note


# --- PNG ----------------------------------------------------------------------------------------


def chrm(
    primaries: tuple[tuple[float, float], ...], white: tuple[float, float] = (0.3127, 0.329)
) -> bytes:
    values = [round(100000 * v) for pair in (white, *primaries) for v in pair]
    return struct.pack(">8I", *values)


def gama(value: int) -> bytes:
    return struct.pack(">I", value)


def test_png_gamma_and_chromaticities() -> None:
    signal = from_png(gama=gama(45455), chrm=chrm(ADOBE))
    assert signal.icc and not signal.note
    assert abs(shown(signal.icc) - expected(ADOBE, lambda v: v**2.2)).max() <= 1.5
    signal = from_png(gama=gama(100000))
    assert signal.icc is not None
    assert abs(shown(signal.icc) - expected(BT709, lambda v: v)).max() <= 1.5
    signal = from_png(chrm=chrm(P3))  # primaries alone: the curve is that of sRGB
    assert signal.icc is not None
    assert abs(shown(signal.icc) - expected(P3, srgb_decoded)).max() <= 1.5
    signal = from_png(gama=gama(55556), grey=True, chrm=chrm(P3))
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    assert signal.icc is not None
    want = [255 * srgb_encoded((v / 255) ** 1.8) for v in levels.tolist()]
    assert abs(shown_grey(signal.icc, levels)[:, 0] - want).max() <= 1.5


def test_png_that_says_srgb_in_other_words() -> None:
    assert from_png() == Signal()
    assert from_png(gama=gama(45455)) == Signal()
    assert from_png(gama=gama(45455), chrm=chrm(BT709)) == Signal()
    assert from_png(chrm=chrm(BT709)) == Signal()
    assert from_png(srgb=b"\0", gama=gama(45455), chrm=chrm(BT709)) == Signal()
    assert from_png(cicp=bytes((1, 13, 0, 1))) == Signal()
    assert from_png(cicp=bytes((12, 13, 0, 1)), grey=True) == Signal()


def test_png_precedence() -> None:
    p3, linear = bytes((12, 13, 0, 1)), gama(100000)
    display_p3 = from_png(cicp=p3)
    assert display_p3.icc is not None
    assert abs(shown(display_p3.icc) - expected(P3, srgb_decoded)).max() <= 1.5
    # cICP before all others, sRGB before gAMA and cHRM, iCCP before sRGB.
    assert from_png(cicp=p3, gama=linear, srgb=b"\0", has_iccp=True).icc == display_p3.icc
    assert from_png(srgb=b"\0", gama=linear, chrm=chrm(P3)) == Signal()
    assert from_png(has_iccp=True, gama=linear, chrm=chrm(P3)) == Signal()
    # A cICP of sRGB overrules another profile, so it needs one of its own.
    overruled = from_png(cicp=bytes((1, 13, 0, 1)), has_iccp=True)
    assert overruled.icc is not None
    assert abs(shown(overruled.icc) - COLOURS).max() <= 1
    # One that leaves everything open decides nothing.
    open_ended = from_png(cicp=bytes((2, 2, 0, 1)), gama=linear)
    assert open_ended == from_png(gama=linear) != Signal()


def test_png_signals_that_cannot_be_followed_are_noted() -> None:
    cases = {
        "HDR colour (cICP, PQ)": from_png(cicp=bytes((9, 16, 0, 1))),
        "HDR colour (cICP, HLG)": from_png(cicp=bytes((9, 18, 0, 1)), has_iccp=True),
        "narrow range": from_png(cicp=bytes((1, 1, 0, 0))),
        "matrix 9": from_png(cicp=bytes((9, 14, 9, 1))),
        "(cICP)": from_png(cicp=b"\1"),
        "gAMA of 0": from_png(gama=gama(0)),
        "(cHRM)": from_png(chrm=bytes(32)),
    }
    for words, signal in cases.items():
        assert words in signal.note and signal.icc is None
    assert from_png(chrm=b"short").note
    # What is below it in the order still counts, as it would for an older reader.
    below = from_png(cicp=bytes((9, 16, 0, 1)), gama=gama(100000))
    assert below.note and below.icc == from_png(gama=gama(100000)).icc


# --- BMP ----------------------------------------------------------------------------------------


def bmp(
    kind: bytes,
    *,
    size: int = 124,
    end_points: bytes = bytes(36),
    gamma: float = 0,
    profile: bytes = b"",
) -> bytes:
    pixels = bytes(12)
    header = struct.pack("<IiiHHIIiiII", size, 1, 1, 1, 24, 0, len(pixels), 2835, 2835, 0, 0)
    header += bytes(16) + kind[::-1] + end_points + 3 * struct.pack("<I", round(gamma * 65536))
    if size == 124:
        header += struct.pack("<IIII", 4, size + len(pixels), len(profile), 0)
    data = header + pixels + profile
    return b"BM" + struct.pack("<IHHI", 14 + len(data), 0, 0, 14 + size) + data


def xyz_points(primaries: tuple[tuple[float, float], ...]) -> bytes:
    return struct.pack("<9I", *(round(v * 2**30) for x, y in primaries for v in (x, y, 1 - x - y)))


def test_bmp_headers() -> None:
    adobe = from_png(gama=gama(45455), chrm=chrm(ADOBE)).icc
    assert adobe is not None
    assert from_bmp(bmp(b"MBED", profile=adobe)).icc == adobe
    for kind in (b"sRGB", b"Win ", b"\0\0\0\0"):
        assert from_bmp(bmp(kind)) == Signal()
    assert from_bmp(bmp(b"\0\0\0\0", end_points=xyz_points(BT709), gamma=2.2)) == Signal()
    calibrated = from_bmp(bmp(b"\0\0\0\0", end_points=xyz_points(ADOBE), gamma=2.2, size=108))
    assert calibrated.icc is not None
    assert abs(shown(calibrated.icc) - expected(ADOBE, lambda v: v**2.2)).max() <= 1.5
    assert "another file" in from_bmp(bmp(b"LINK")).note
    assert "cannot be read" in from_bmp(bmp(b"MBED", profile=adobe)[:-1]).note
    assert "cannot be read" in from_bmp(bmp(b"MBED", profile=bytes(200))).note
    assert "unknown kind" in from_bmp(bmp(b"huh?")).note
    assert from_bmp(b"") == from_bmp(b"BM") == Signal()


# --- Greyscale with an RGB profile --------------------------------------------------------------


def test_a_grey_profile_says_what_the_rgb_profile_says_of_greys() -> None:
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    for transfer in (1, 4, 8, 13):
        rgb = from_code_points(9, transfer, said_by="nclx").icc
        assert rgb is not None
        grey = signalling.grey_profile(rgb)
        assert grey is not None and grey[16:20] == b"GRAY"
        converted = ImageCms.profileToProfile(
            Image.fromarray(np.repeat(levels[None, :, None], 3, axis=2)),
            ImageCms.ImageCmsProfile(io.BytesIO(rgb)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
        assert abs(shown_grey(grey, levels) - np.asarray(converted, float)[0]).max() <= 1
    lcms = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()  # version 2 or 4
    made = signalling.grey_profile(lcms)
    assert made is not None
    described = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(made)))
    assert "sRGB" in described


def test_what_has_no_grey_profile() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert signalling.grey_profile(lab) is None
    for junk in (b"", bytes(500), b"\xff" * 500):
        assert signalling.grey_profile(junk) is None
    rgb = from_code_points(9, 1, said_by="nclx").icc
    assert rgb is not None
    for at in range(len(rgb)):
        for value in (0, 255):
            mutated = rgb[:at] + bytes([value]) + rgb[at + 1 :]
            signalling.grey_profile(mutated)  # whatever it gives, it does not raise
            signalling.grey_profile(rgb[:at])
