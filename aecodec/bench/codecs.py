"""The codecs compared: each turns pixels into the bytes of a file, and the bytes into pixels.

Each has the settings that serve it best at its usual effort, since a wrong one can double a
codec's rate: JPEG with optimised Huffman tables; WebP with its slowest method; JPEG XL at its
default effort; AVIF at speed 6, as it tunes itself (for the eye), tuned for PSNR, and tuned for
SSIMULACRA 2; JPEG 2000 with the irreversible wavelet and the colour transform.
All get bare pixels: nobody is charged for metadata. All may use every core.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import numpy as np

from aecodec.arrays import Pixels
from aecodec.errors import AecodecError
from aecodec.image import rgb as pixels
from aecodec.image.formats import library_version
from aecodec.machine import cores
from aecodec.networks import weights

__all__ = ["DEFAULT", "KINDS", "Codec", "Coder", "Unavailable", "find", "known"]


EFFORTS = tuple("123456789")
AECODEC_QUALITIES = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95)
DEFAULT = (
    "aecodec",
    "jpeg",
    "webp",
    "avif",
    "avif-psnr",
    "avif-ssimulacra2",
    "jxl",
    "jpeg2000",
)
"""Compared unless others are chosen: six codecs, AVIF in three tunings."""


class Unavailable(AecodecError):
    """The codec cannot be had here; the message says what is missing."""


class Coder(NamedTuple):
    """A codec ready to work."""

    encode: Callable[[Pixels, float], bytes]
    """(H,W,3) and a quality -> a whole file."""
    decode: Callable[[bytes], Pixels]


@dataclass(frozen=True)
class Codec:
    """A codec that can be compared."""

    name: str
    """As `--codecs` takes it."""
    title: str
    """As a report calls it."""
    settings: str
    qualities: tuple[float, ...]
    """From small to large files, in the codec's own numbers."""
    versions: tuple[str, ...]
    """Of what decides the bytes: with the settings, they tell whether an old measurement holds."""
    load: Callable[[], Coder]
    """Imports and loads everything; it is timed apart from coding."""
    suffix: str = ""
    """Of its files where browsers show them."""


# ---------------------------------------------------------------------------------------- aecodec


def _aecodec(detail: str) -> Codec:
    """`detail` is what follows the first word of `aecodec:MODEL@EFFORT`."""
    model, _, effort = detail.removeprefix(":").partition("@")
    chosen = weights.by_name(model or None)
    options: dict[str, Any] = {"model": chosen.name}
    if effort:
        options["effort"] = _effort(effort)
    settings = f"model {chosen.name}, " + (f"effort {effort}" if effort else "default effort")
    return Codec(
        name="aecodec" + detail,
        title="aecodec" + (f" {chosen.name}" if model else "") + (f" e{effort}" if effort else ""),
        settings=settings,
        qualities=AECODEC_QUALITIES,
        versions=(_package("aecodec"), f"weights {chosen.id.hex()}", _package("constriction")),
        load=functools.partial(_load_aecodec, options),
    )


def _effort(text: str) -> int:
    if text not in EFFORTS:
        raise Unavailable(f"effort must be 1 to 9, not {text!r}")
    return int(text)


def _load_aecodec(options: dict[str, Any]) -> Coder:
    from aecodec import compress, decompress

    def encode(rgb: Pixels, quality: float) -> bytes:
        return compress(rgb, int(quality), **options)

    def decode(data: bytes) -> Pixels:
        return np.asarray(decompress(data).convert("RGB"))

    decode(encode(_warming(), 50))
    return Coder(encode, decode)


def _zstandard(detail: str) -> Codec:
    chosen = weights.by_name(detail.removeprefix(":") or None)

    def load() -> Coder:
        from aecodec.bench.latents import Packed

        packed = Packed(chosen)
        packed.decode(packed.encode(_warming(), 50))
        return Coder(lambda rgb, quality: packed.encode(rgb, int(quality)), packed.decode)

    return Codec(
        name="aecodec-zstd" + detail,
        title="same latents, zstandard",
        settings=f"model {chosen.name}, plainly rounded latents packed by zstandard, level 19",
        qualities=AECODEC_QUALITIES,
        versions=(_package("aecodec"), f"weights {chosen.id.hex()}", _package("zstandard")),
        load=load,
    )


def _block_pca(detail: str) -> Codec:
    from aecodec.bench import klt

    def load() -> Coder:
        klt.decode(klt.encode(_warming(), 50))
        return Coder(lambda rgb, quality: klt.encode(rgb, int(quality)), klt.decode)

    return Codec(
        name="klt",
        title="block PCA (KLT)",
        settings="8x8x3 principal components, 16 classes of scales, aecodec's ANS coder",
        qualities=klt.QUALITIES,
        versions=(_package("aecodec"), _package("constriction")),
        load=load,
    )


# ---------------------------------------------------------------------------------- Pillow's codecs


def _pillow(
    format_: str, *, feature: str, spelt: str | None = None, **options: object
) -> tuple[tuple[str, ...], Callable[[], Coder]]:
    """Versions and loader of one of Pillow's formats."""
    if library_version(feature) is None:
        raise Unavailable(f"this Pillow ({_package('pillow')}) was built without {format_}")

    def encode(rgb: Pixels, quality: float) -> bytes:
        return pixels.encode(rgb, format_, quality=int(quality), **options)

    def load() -> Coder:
        pixels.decode(encode(_warming(), 50))
        return Coder(encode, pixels.decode)

    library = library_version(spelt or feature)
    return (_package("pillow"), f"{spelt or feature} {library}"), load


def _jpeg(subsampling: str, detail: str) -> Codec:
    versions, load = _pillow(
        "JPEG",
        feature="jpg",
        spelt="libjpeg_turbo" if library_version("libjpeg_turbo") else None,
        subsampling=subsampling,
        optimize=True,
    )
    return Codec(
        name="jpeg" if subsampling == "4:2:0" else "jpeg444",
        title=f"JPEG {subsampling}",
        settings=f"Pillow, {subsampling}, optimised Huffman tables",
        qualities=(5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95),
        versions=versions,
        load=load,
        suffix="jpeg",
    )


def _webp(detail: str) -> Codec:
    versions, load = _pillow("WEBP", feature="webp", method=6)
    return Codec(
        name="webp",
        title="WebP",
        settings="Pillow, method 6 (the slowest)",
        qualities=(1, 5, 10, 20, 30, 50, 70, 80, 90, 95),
        versions=versions,
        load=load,
        suffix="webp",
    )


def _avif(tune: str, subsampling: str, detail: str) -> Codec:
    """AVIF, tuned for what is asked; "" for what libavif tells libaom by default."""
    options: dict[str, Any] = {"advanced": {"tune": tune}} if tune else {}
    versions, load = _pillow("AVIF", feature="avif", speed=6, subsampling=subsampling, **options)
    if tune and _before(library_version("avif"), _LIBAVIF_TUNED):
        raise Unavailable(f"this Pillow's libavif ({library_version('avif')}) has no tune={tune}")
    return Codec(
        name=f"avif-{tune}" if tune else "avif",
        title=_title(tune, subsampling),
        settings=f"Pillow, speed 6, {subsampling}, {_tune_of(tune)}",
        qualities=(5, 15, 25, 35, 45, 55, 65, 75, 85),
        versions=versions,
        load=load,
        suffix="avif",
    )


_LIBAVIF_TUNED = (1, 4)
"""The first libavif that tunes for `iq` by default, and knows `ssimulacra2`."""


def _title(tune: str, subsampling: str) -> str:
    if not tune and _before(library_version("avif"), _LIBAVIF_TUNED):
        return "AVIF"
    return f"AVIF tune={tune or 'iq'}" + ("" if subsampling == "4:2:0" else f" {subsampling}")


def _tune_of(tune: str) -> str:
    if tune:
        return f"tune={tune}"
    if _before(library_version("avif"), _LIBAVIF_TUNED):
        return "default tune"
    return "default tune (iq, for the eye)"


def _before(version: str | None, least: tuple[int, ...]) -> bool:
    """Whether a library's version, such as "1.4.2", is older than `least`."""
    numbers = tuple(int(n) for n in re.findall(r"\d+", version or "")[: len(least)])
    return numbers < least


# ----------------------------------------------------------------------------- imagecodecs' codecs


def _imagecodecs(library: str) -> tuple[Any, tuple[str, ...]]:
    try:
        import imagecodecs
    except ImportError:
        raise Unavailable('imagecodecs is not installed: pip install "aecodec[bench]"') from None
    if not getattr(imagecodecs, library.upper()).available:
        raise Unavailable(f"this imagecodecs was built without {library}")
    own = getattr(imagecodecs, f"{library}_version")()
    return imagecodecs, (_package("imagecodecs"), own)


def _jpeg_xl(detail: str) -> Codec:
    imagecodecs, versions = _imagecodecs("jpegxl")

    def encode(rgb: Pixels, distance: float) -> bytes:
        made: bytes = imagecodecs.jpegxl_encode(
            rgb, distance=distance, effort=7, lossless=False, numthreads=cores()
        )
        return made

    def decode(data: bytes) -> Pixels:
        return np.asarray(imagecodecs.jpegxl_decode(data, numthreads=cores()), np.uint8)

    def load() -> Coder:
        decode(encode(_warming(), 2))
        return Coder(encode, decode)

    return Codec(
        name="jxl",
        title="JPEG XL",
        settings="imagecodecs, effort 7, by distance (tuned for eyes, not for PSNR)",
        qualities=(12, 8, 6, 4, 3, 2, 1.5, 1, 0.6),
        versions=versions,
        load=load,
    )


def _jpeg_2000(detail: str) -> Codec:
    imagecodecs, versions = _imagecodecs("jpeg2k")

    def encode(rgb: Pixels, psnr: float) -> bytes:
        made: bytes = imagecodecs.jpeg2k_encode(
            rgb, psnr, codecformat="j2k", reversible=False, mct=True, numthreads=cores()
        )
        return made

    def decode(data: bytes) -> Pixels:
        return np.asarray(imagecodecs.jpeg2k_decode(data, numthreads=cores()), np.uint8)

    def load() -> Coder:
        decode(encode(_warming(), 30))
        return Coder(encode, decode)

    return Codec(
        name="jpeg2000",
        title="JPEG 2000",
        settings="imagecodecs, irreversible 9/7 wavelet, colour transform, by target PSNR",
        qualities=(25, 27, 29, 31, 33, 35, 37, 39, 41, 43),
        versions=versions,
        load=load,
    )


# ------------------------------------------------------------------------------------ all together

KINDS: dict[str, Callable[[str], Codec]] = {
    "aecodec": _aecodec,
    "jpeg": functools.partial(_jpeg, "4:2:0"),
    "jpeg444": functools.partial(_jpeg, "4:4:4"),
    "webp": _webp,
    "avif": functools.partial(_avif, "", "4:2:0"),
    "avif-psnr": functools.partial(_avif, "psnr", "4:4:4"),
    "avif-ssimulacra2": functools.partial(_avif, "ssimulacra2", "4:2:0"),
    "jxl": _jpeg_xl,
    "jpeg2000": _jpeg_2000,
    "klt": _block_pca,
    "aecodec-zstd": _zstandard,
}
_WITH_MODEL = ("aecodec", "aecodec-zstd")


def known(name: str) -> bool:
    """Whether `name` has the form of a codec's name. Models and efforts may still be missing."""
    kind, detail = _parts(name)
    return kind in KINDS and (not detail or kind in _WITH_MODEL)


def find(name: str) -> Codec:
    """The codec called `name`.

    Raises Unavailable where something it needs is not installed, WeightsError for a model that is
    not there.
    """
    kind, detail = _parts(name)
    return KINDS[kind](detail)


def _parts(name: str) -> tuple[str, str]:
    end = min((at for at in (name.find(":"), name.find("@")) if at >= 0), default=len(name))
    return name[:end], name[end:]


def _package(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:  # run from a checkout that is not installed
        return f"{name} (version unknown)"


def _warming() -> Pixels:
    """A picture that makes a codec load what it loads at first use."""
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
