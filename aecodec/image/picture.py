"""A picture ready to be compressed, and a decoded one as a Pillow image.

::

    Picture: rgb (H,W,3), alpha (H,W), metadata, notes
    rgb (H,W,3), mode, alpha, metadata --to_pil--> PIL.Image

The codec takes eight bits and three channels of an upright picture. The decoder returns an image of
`Picture.mode`: greyscale stays greyscale, and transparency stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from PIL import Image

from aecodec import metrics
from aecodec.arrays import Bools, Pixels
from aecodec.image import ancillary, metadata
from aecodec.image.ancillary import Ancillary
from aecodec.image.parts import Attachment, Text

__all__ = [
    "MODES",
    "Mode",
    "Picture",
    "PillowImage",
    "fidelity",
    "from_bands",
    "grey_of",
    "has_alpha_of",
    "pillow_info",
    "reduced",
    "thumbnail",
    "to_pil",
]

Mode: TypeAlias = Literal["L", "LA", "RGB", "RGBA"]
PillowImage: TypeAlias = Image.Image

MODES: Final[tuple[Mode, ...]] = ("L", "LA", "RGB", "RGBA")


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture ready to be compressed. Do not write to its arrays."""

    rgb: Pixels
    """(H, W, 3). In the modes L and LA the three channels are equal."""
    mode: Mode
    """The mode of the decoded picture."""
    alpha: Pixels | None = None
    """(H, W) in the modes LA and RGBA; 0 is transparent."""
    exif: bytes | None = field(default=None, repr=False)
    """A TIFF structure, without prefix; its orientation, if there is one, is 1."""
    icc: bytes | None = field(default=None, repr=False)
    xmp: bytes | None = field(default=None, repr=False)
    resolution: tuple[float, float] | None = None
    """Pixels an inch, across and down."""
    texts: tuple[Text, ...] = field(default=(), repr=False)
    """Comments and texts with keywords."""
    iptc: bytes | None = field(default=None, repr=False)
    """IPTC-IIM records."""
    gain_map: Attachment | None = field(default=None, repr=False)
    """A JPEG that brightens this picture on HDR screens; `GainMap` puts it back."""
    video: Attachment | None = field(default=None, repr=False)
    """The video at the end of a motion photo."""
    grain: bytes | None = field(default=None, repr=False)
    """The noise that was removed, and that decoders add again, as a file describes it."""
    notes: tuple[str, ...] = ()
    """A phrase for each loss."""

    @property
    def width(self) -> int:
        return int(self.rgb.shape[1])

    @property
    def height(self) -> int:
        return int(self.rgb.shape[0])

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata as keywords of `bitstream.pack` and `to_pil`."""
        return {name: getattr(self, name) for name in _METADATA}

    @property
    def visible(self) -> Bools | None:
        """(H,W): False where alpha is 0; None without alpha."""
        return None if self.alpha is None else self.alpha != 0

    @property
    def is_hidden(self) -> bool:
        """Whether all of it is transparent, and yet there are colours: alpha may mean other things.

        Some programs leave it 0 in pictures that they show without it.
        """
        if self.alpha is None or self.alpha.any():
            return False
        return bool((self.rgb != self.rgb[:1, :1]).any())


_METADATA: Final = ("exif", "icc", "xmp", *Ancillary._fields)
"""The fields of a Picture that are metadata."""


def to_pil(
    rgb: Pixels,
    mode: str,
    alpha: Pixels | None = None,
    exif: bytes | None = None,
    icc: bytes | None = None,
    xmp: bytes | None = None,
    **others: Any,
) -> Image.Image:
    """A decoded picture as a Pillow image, with its metadata in `image.info` under Pillow's keys.

    ``others`` are the fields of `ancillary.Ancillary`, as `Picture.metadata` has them.

    In the modes L and LA, grey is the rounded mean of the three decoded channels. These were equal
    before coding and differ by their errors, so the mean has the least squared error. (Luma weights
    would add the error of green.)
    """
    return from_bands(iter([rgb]), rgb.shape[:2], mode, alpha, exif, icc, xmp, **others)


def from_bands(
    bands: Iterator[Pixels],
    shape: tuple[int, ...],
    mode: str,
    alpha: Pixels | None = None,
    exif: bytes | None = None,
    icc: bytes | None = None,
    xmp: bytes | None = None,
    **others: Any,
) -> Image.Image:
    """As `to_pil`, from bands (rows,W,3) of the picture (H,W), each of which is freed at once."""
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    if (alpha is not None) != (mode in ("LA", "RGBA")):
        raise ValueError(f"mode {mode} {'needs' if alpha is None else 'has no'} alpha")
    height, width = shape
    grey = mode in ("L", "LA")
    image: Image.Image | None = None
    y = 0
    for band in bands:
        part = Image.fromarray(grey_of(band) if grey else np.ascontiguousarray(band))
        if len(band) == height:
            image = part
        else:
            if image is None:  # after a first band is there: a forged header takes no memory
                image = Image.new(part.mode, (width, height), None)
            image.paste(part, (0, y))
        y += len(band)
    assert image is not None, "a picture has a band"
    if alpha is not None:
        image.putalpha(Image.fromarray(np.ascontiguousarray(alpha)))
    image.info.update(pillow_info(exif, icc, xmp, **others))
    return image


def grey_of(rgb: Pixels) -> Pixels:
    """The rounded mean (H,W) of three channels that were equal before they were coded."""
    total = rgb[..., 0].astype(np.uint16)
    total += rgb[..., 1]
    total += rgb[..., 2]
    total += 1
    return (total // 3).astype(np.uint8)


def fidelity(picture: Picture, decoded: Image.Image) -> float:
    """The PSNR in dB of a decoded picture, over the visible pixels of the original."""
    shown = np.asarray(decoded)
    if picture.mode in ("L", "LA"):
        grey = shown if shown.ndim == 2 else shown[..., 0]
        return metrics.psnr(picture.rgb[..., 0], grey, picture.visible)
    return metrics.psnr(picture.rgb, shown[..., :3], picture.visible)


def fidelity_of_an_eighth(picture: Picture) -> float:
    """The PSNR in dB of the picture at an eighth of its height and width, brought back to them.

    It is low where much of the picture is fine detail.
    """
    whole = Image.fromarray(picture.rgb)
    small = whole.reduce(8).resize(whole.size, Image.Resampling.BILINEAR)
    return metrics.psnr(picture.rgb, np.asarray(small), picture.visible)


def has_alpha_of(picture: Picture, decoded: Image.Image) -> bool:
    """Whether a decoded picture has the transparency of the original."""
    if picture.alpha is None:
        return "A" not in decoded.getbands()
    return "A" in decoded.getbands() and np.array_equal(
        picture.alpha, np.asarray(decoded.getchannel("A"))
    )


def thumbnail(image: Image.Image, longest: int) -> Image.Image:
    """A small copy, RGB or RGBA, of at most `longest` pixels a side; it keeps the ICC profile."""
    small = image.convert("RGBA" if image.mode in ("LA", "RGBA") else "RGB")
    small.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    profile = image.info.get("icc_profile")
    small.info = {} if profile is None else {"icc_profile": profile}
    return small


def reduced(plane: Pixels, scale: int) -> Pixels:
    """A plane (H,W) at 1/scale of its height and width, rounded up: the means of its squares."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(plane)).reduce(scale))


def pillow_info(
    exif: bytes | None, icc: bytes | None, xmp: bytes | None, **others: Any
) -> dict[str, Any]:
    """Return metadata with the keys and types of `image.info`."""
    found = {"exif": exif and metadata.EXIF_PREFIX + exif, "icc_profile": icc, "xmp": xmp}
    there: dict[str, Any] = {key: content for key, content in found.items() if content}
    return {**there, **ancillary.into_info(Ancillary(**others), exif)}
