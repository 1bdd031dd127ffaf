"""Colours: any of Pillow's modes to one of the four that .aec holds, and profiles applied.

::

    1, P, CMYK, I;16, I, F, LAB, ... --to_eight_bits--> L, LA, RGB, RGBA

Each function adds a line to `notes` for every loss.
"""

from __future__ import annotations

import io
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from aecodec.errors import InputError

__all__ = [
    "matched",
    "scaled",
    "to_eight_bits",
    "to_srgb",
    "with_depth",
    "with_grey_scaled",
    "with_rgb_profile",
]


def to_eight_bits(image: Image.Image, notes: list[str]) -> Image.Image:
    """Bring a picture of any of Pillow's modes to L, LA, RGB or RGBA."""
    mode = image.mode
    if mode == "CMYK":
        return _cmyk_to_rgb(image, notes)
    if mode in ("I", "F"):
        return _scaled(image, notes)
    if mode.startswith("I;16"):
        return _sixteen_to_eight(image, notes)

    transparent = image.has_transparency_data
    if mode in ("L", "1"):
        target = "LA" if transparent else "L"
    elif mode in ("LA", "La"):
        target = "LA"
    else:
        target = "RGBA" if transparent else "RGB"
    if mode == "1":
        notes.append("1-bit black and white stored as greyscale")
    elif mode in ("P", "PA"):
        notes.append(f"palette converted to {target}")
    elif mode not in ("L", "LA", "La", "RGB", "RGBA", "RGBa", "RGBX"):
        notes.append(f"{mode} converted to RGB")
    return image if mode == target else image.convert(target)


def with_grey_scaled(image: Image.Image, stored: list[str]) -> Image.Image:
    """Scale the transparent grey of a PNG of 1, 2 or 4 bits, as Pillow scales its pixels.

    Pillow leaves it as stored, so that no pixel would be transparent. Newer versions scale it for
    one bit; a scaled value is larger than any stored one, and is left as it is.
    """
    transparent = image.info.get("transparency")
    for raw, bits in (("1", 1), ("L;2", 2), ("L;4", 4)):
        if raw in stored and isinstance(transparent, int) and transparent < 2**bits:
            mended = image.copy()
            mended.info["transparency"] = transparent * 255 // (2**bits - 1)
            return mended
    return image


def with_depth(image: Image.Image) -> Image.Image:
    """Mark a 16-bit PGM as 16-bit: Pillow scales its values to 0..65535 in the mode I.

    Other pictures of the mode I hold integers of an unknown range. A dark PGM treated like these
    would become bright.
    """
    if image.format != "PPM" or image.mode != "I":
        return image
    return Image.fromarray(np.asarray(image).astype(np.uint16))


def _cmyk_to_rgb(image: Image.Image, notes: list[str]) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not profile:
        notes.append("CMYK without a profile converted to RGB, colours may differ")
        return image.convert("RGB")
    try:
        converted = _by_profile(image, profile)
    except Exception:  # a broken profile, one of another kind, or a Pillow without LittleCMS
        notes.append("CMYK converted to RGB; its profile cannot be used, colours may differ")
        return image.convert("RGB")
    notes.append("CMYK converted to RGB by its profile")
    return converted


def to_srgb(image: Image.Image, profile: bytes, notes: list[str]) -> Image.Image:
    """Convert a picture that loses its profile to sRGB, which viewers assume without one."""
    try:
        grey = profile[16:20] == b"GRAY"
        if _is_srgb(profile, grey=grey):
            return image
        if grey:
            shown = np.asarray(_greys_by_profile(profile))[..., 0]
            colours = image.convert("L").point(shown.ravel().tolist())
        else:
            colours = _by_profile(image.convert("RGB"), profile)
    except Exception:  # as above
        notes.append("left without its ICC profile, which cannot be used; colours may differ")
        return image
    if image.mode.endswith("A"):
        colours.putalpha(image.getchannel("A"))
    notes.append("colours converted to sRGB, for the ICC profile is left out")
    return colours


_AS_SRGB: Final = 2
"""A profile that changes no colour by more levels than these is sRGB: makers round differently."""


def _is_srgb(profile: bytes, *, grey: bool) -> bool:
    """Whether a profile leaves colours as they are, whatever its name says.

    Of profiles called sRGB, some are linear ("GIMP built-in Linear sRGB").
    """
    if grey:
        shown = np.asarray(_greys_by_profile(profile)).astype(np.int16)
        return int(np.abs(shown - np.arange(256)[None, :, None]).max()) <= _AS_SRGB
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 1, 3)
    shown = np.asarray(_by_profile(Image.fromarray(colours), profile)).astype(np.int16)
    return int(np.abs(shown - colours).max()) <= _AS_SRGB


def matched(image: Image.Image, profile: object) -> tuple[Image.Image, bytes | None]:
    """Make a picture in L, LA, RGB or RGBA and its profile agree on grey or RGB.

    A greyscale picture may have an RGB profile: it gets the equivalent grey profile if there is
    one, else it becomes RGB. An RGB picture with a grey profile becomes greyscale if its channels
    are equal: some decoders return greyscale as RGB.
    """
    if not isinstance(profile, bytes) or not profile:
        return image, None
    from aecodec.image import signalling

    space = signalling.colour_space(profile)
    alpha = image.mode.endswith("A")
    if space == b"RGB " and image.mode in ("L", "LA"):
        if (grey := signalling.grey_profile(profile)) is not None:
            return image, grey
        return image.convert("RGBA" if alpha else "RGB"), profile
    if space == b"GRAY" and image.mode in ("RGB", "RGBA"):
        red, green, blue, *_ = image.split()
        if red.tobytes() == green.tobytes() == blue.tobytes():
            return image.convert("LA" if alpha else "L"), profile
    return image, profile


def with_rgb_profile(image: Image.Image, notes: list[str]) -> Image.Image:
    """A greyscale picture (L, LA) that will be stored as RGB, with a profile that fits that.

    Where there is no such profile, its greys become those of sRGB.
    """
    from aecodec.image import signalling

    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or signalling.colour_space(profile) != b"GRAY":
        return image
    fitting = signalling.rgb_profile(profile)
    if fitting is None:
        image = to_srgb(image, profile, notes)
    mended = image.copy()
    mended.info = {key: value for key, value in image.info.items() if key != "icc_profile"}
    if fitting is not None:
        mended.info["icc_profile"] = fitting
    return mended


def _greys_by_profile(profile: bytes) -> Image.Image:
    """The 256 greys of a greyscale profile in sRGB, in a row of mode RGB.

    LittleCMS interpolates between 33 greys, unless it is told not to optimize.
    """
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    return _by_profile(ramp, profile, exactly=True)


def _by_profile(image: Image.Image, profile: bytes, *, exactly: bool = False) -> Image.Image:
    """Return the picture in sRGB, mode RGB. Raises whatever Pillow raises."""
    from PIL import ImageCms

    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    if exactly:
        flags |= ImageCms.Flags.NOOPTIMIZE
    converted = ImageCms.profileToProfile(
        image,
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=flags,
    )
    assert converted is not None  # it is None only when asked to work in place
    return converted


def _sixteen_to_eight(image: Image.Image, notes: list[str]) -> Image.Image:
    """Divide by 257, which takes 65535 to 255, and round. (Pillow's own conversion clips.)"""
    note = "16 bits a channel reduced to 8"
    if note not in notes:
        notes.append(note)
    values = np.asarray(image)
    if 0 < (high := int(values.max())) <= 255:
        notes.append(f"16-bit values of {high} at most are black in 8 bits")
    grey = Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return grey


def _scaled(image: Image.Image, notes: list[str]) -> Image.Image:
    """Bring 32-bit integers or floats to 0..255."""
    kind = "floating-point" if image.mode == "F" else "32-bit"
    return scaled(np.asarray(image), kind, notes)


def scaled(values: npt.NDArray[np.generic], kind: str, notes: list[str]) -> Image.Image:
    """Bring numbers (H,W) of any type to 0..255.

    The file does not say which value is white. The smallest usual range that holds all values
    decides. If no usual range does, the darkest value becomes black and the brightest white.
    """
    real = values.astype(np.float32)
    if not np.isfinite(real).all():
        raise InputError("the picture holds values that are infinite or not numbers")
    low, high = float(real.min()), float(real.max())
    ranges: tuple[float, ...] = (255.0, 65535.0)
    if values.dtype.kind == "f":
        ranges = (1.0, *ranges)
    elif values.dtype.kind == "u":
        ranges = (*ranges, float(np.float32(2**32 - 1)))
    white = next((white for white in ranges if low >= 0 and high <= white), None)
    if white is None:
        black, white = low, high
    else:
        black = 0.0
    notes.append(f"{kind} values {black:g} to {white:g} reduced to 8 bits")
    real -= np.float32(black)
    real *= np.float32(255 / (white - black) if white > black else 0)
    return Image.fromarray(np.rint(real).clip(0, 255).astype(np.uint8))
