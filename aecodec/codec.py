"""Picture -> bytes -> picture: the only place where image, networks, coder and container meet.

compress                                     decompress
picture --image.load--> rgb                  data --bitstream.parse--> header, tiles
rgb --analysis--> y                          tile --ANS--> z_hat
a tile at a time:                            z_hat --scale network--> indexes
  v = gain(q) * y                            tile --ANS--> symbols s
  v --hyper-analysis, round--> z_hat         z_hat, s --means, step by step--> v_hat
  z_hat --scale network--> indexes           all tiles' v_hat --synthesis--> rgb
  z_hat, v --means, step by step--> s        rgb --image.to_pil--> picture
  z_hat, s, indexes --ANS--> tile
tiles --bitstream.pack--> data
"""

from __future__ import annotations

import dataclasses
import functools
import zlib
from typing import TYPE_CHECKING, NamedTuple

from aecodec import bitstream
from aecodec.bitstream import DEFAULT_MAX_PIXELS, DEFAULT_TILE_SIZE, ColourMode, Header
from aecodec.errors import CorruptError, LimitError

if TYPE_CHECKING:  # numpy, Pillow and ONNX Runtime load when a picture is really coded
    from os import PathLike
    from typing import BinaryIO

    import numpy as np
    import numpy.typing as npt
    import PIL.Image

    from aecodec.entropy import TableSet
    from aecodec.image import Picture
    from aecodec.runtime import Options
    from aecodec.weights import Weights

    Pixels = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]
    Ints = npt.NDArray[np.int32]

__all__ = ["Codec", "Info", "compress", "decompress", "read_info", "verify"]

DEFAULT_QUALITY = 75
SENSITIVITY = 2.2
"""How much of a latent's squared error arrives in the pixels, for the quantiser's decisions."""
MAX_TILE_SIZE = 1024
"""A forged tile is found out only when its symbols are decoded: this bounds what that costs."""
_HASH_SIZE = 4


@dataclasses.dataclass(frozen=True)
class Info:
    """What a file says of itself, without decoding it."""

    width: int
    height: int
    mode: str
    quality: int
    model: str
    nbytes: int
    bpp: float
    tile_size: int
    version: str
    sections: tuple[tuple[str, int], ...]


def read_info(data: bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Info:
    """Check a file's checksums and describe it. Raises FormatError, LimitError."""
    container = bitstream.parse(data, max_pixels=max_pixels)
    header = container.header
    return Info(
        width=header.width,
        height=header.height,
        mode=header.mode.name,
        quality=header.quality,
        model=header.model_id.hex(),
        nbytes=len(data),
        bpp=8.0 * len(data) / header.pixels,
        tile_size=header.tile_size,
        version=".".join(map(str, container.version)),
        sections=tuple((s.name, s.length) for s in container.sections),
    )


def verify(data: bytes, *, full: bool = False, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
    """Check every checksum; with `full` decode as well. Raises an AecodecError for damage."""
    if full:
        decompress(data, max_pixels=max_pixels)
        return
    container = bitstream.parse(data, max_pixels=max_pixels)
    for part in ("alpha", "exif", "icc", "xmp"):  # decompressed, and so checked, when asked for
        getattr(container, part)


def compress(
    image: str | PathLike[str] | bytes | BinaryIO | PIL.Image.Image | Picture,
    quality: int = DEFAULT_QUALITY,
    *,
    model: str | None = None,
) -> bytes:
    """A picture as the bytes of an .aec file.

    Args:
        image: a PIL image, a path, a file object, the bytes of a picture file, or a Picture.
        quality: 1 to 100; 75 has about the PSNR of JPEG at 75.
        model: the name of the weights; None takes the default ones.
    Raises:
        InputError: the picture can't be read or is too large.
        ValueError: quality out of range.
        WeightsError: no usable weights of that name.
    """
    from aecodec import weights

    return _codec(weights.by_name(model)).compress(image, quality)


def decompress(data: bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> PIL.Image.Image:
    """The picture in an .aec file, with its metadata in `info`.

    Raises:
        FormatError: not an .aec file, truncated, damaged, or made for a newer version.
        LimitError: more than `max_pixels` pixels.
        UnknownModelError: the weights that the file names are not installed.
    """
    from aecodec import weights

    container = bitstream.parse(data, max_pixels=max_pixels)
    return _codec(weights.by_id(container.header.model_id)).decode(container)


@functools.lru_cache(maxsize=4)
def _codec(weights: Weights) -> Codec:
    return Codec(weights)


class Latents(NamedTuple):
    """A tile's quantised latents: what is coded, and what the synthesis makes pixels of."""

    z_hat: Ints  # (N,h/4,w/4)
    symbols: Ints  # (M,h,w)
    indexes: npt.NDArray[np.uint8]  # (M,h,w), the symbols' tables
    v_hat: Floats  # (M,h,w)


class Codec:
    """One set of weights, ready to code pictures. Safe to share between threads."""

    def __init__(self, weights: Weights, options: Options | None = None) -> None:
        from aecodec.prior import check_known_answers
        from aecodec.runtime import Runtime

        check_known_answers(weights)
        self.weights = weights
        self.runtime = Runtime(weights.folder, options)
        config = weights.config
        # What a pixel's value can depend on, in latents to each side: a tile's margin.
        self.halo = -(-(16 * config.blocks16 + 8 * config.blocks8) // 16)

    # --- Compressing ----------------------------------------------------------------------------

    def compress(
        self,
        image: str | PathLike[str] | bytes | BinaryIO | PIL.Image.Image | Picture,
        quality: int = DEFAULT_QUALITY,
        *,
        tile_size: int = DEFAULT_TILE_SIZE,
    ) -> bytes:
        """See the module's `compress`."""
        from aecodec.image import Picture, load

        if not 1 <= quality <= 100:
            raise ValueError(f"quality must be 1 to 100, not {quality}")
        picture = image if isinstance(image, Picture) else load(image)
        height, width = picture.rgb.shape[:2]
        header = Header(
            width=width,
            height=height,
            mode=ColourMode[picture.mode],
            quality=quality,
            model_id=self.weights.id,
            tile_size=tile_size,
        )
        tiles = [
            self.encode_latents(self.analyse(picture.rgb, box), quality) for box in header.tiles()
        ]
        return bitstream.pack(
            header, tiles, alpha=picture.alpha, exif=picture.exif, icc=picture.icc, xmp=picture.xmp
        )

    def analyse(self, rgb: Pixels, box: tuple[int, int, int, int]) -> Floats:
        """y (M,ceil(h/16),ceil(w/16)) of the tile `box` = (x, y, w, h) of rgb (H,W,3).

        Computed with a margin of the receptive field, so that it equals the whole picture's.
        """
        import numpy as np

        from aecodec.image import pad_to_multiple

        x, y, w, h = box
        margin = 16 * self.halo
        left, top = max(0, x - margin), max(0, y - margin)
        part = pad_to_multiple(rgb[top : y + h + margin, left : x + w + margin], 16)
        (latents,) = self.runtime.run("analysis", x=np.ascontiguousarray(part)[None])
        row, column = (y - top) // 16, (x - left) // 16
        rows, columns = -(-h // 16), -(-w // 16)
        tile: Floats = latents[0, :, row : row + rows, column : column + columns]
        return tile

    def encode_latents(self, y: Floats, quality: int) -> bytes:
        """A tile's payload: the hash of its symbols and the coded symbols."""
        from aecodec.entropy import Encoder

        z_hat, symbols, indexes, _ = self.quantise(y, quality)
        encoder = Encoder()
        encoder.add(z_hat.ravel(), _z_indexes(z_hat.shape), self._z_tables(quality))
        encoder.add(symbols.ravel(), indexes.ravel(), self.weights.y_tables)
        return _hash(z_hat, symbols).to_bytes(_HASH_SIZE, "little") + encoder.finish()

    def quantise(self, y: Floats, quality: int) -> Latents:
        """Quantise a tile's y (M,h,w)."""
        import numpy as np

        from aecodec.prior import predict, scale_indexes

        _, h, w = y.shape
        v = y * self.weights.arrays["gain"][quality][:, None, None]
        padded = np.pad(v, ((0, 0), (0, -h % 4), (0, -w % 4)), mode="edge")
        (z,) = self.runtime.run("hyper_analysis", v=padded[None])
        z_hat = np.rint(z[0]).astype(np.int32)
        indexes = scale_indexes(self.weights.arrays, z_hat, quality, h, w)
        coded = ~self.weights.y_tables.empty[indexes]
        symbols = np.zeros(v.shape, np.float32)
        exact: Floats = np.empty_like(v)
        s: Floats = np.empty_like(v)

        # What an error of one quantisation step costs in bits, by channel: the rate that lambda
        # times the picture's squared error is worth, if the synthesis keeps lengths.
        lam, gain = self.weights.arrays["lambda"][quality], self.weights.arrays["gain"][quality]
        worth = (SENSITIVITY * lam * 255.0**2 / 3.0 / gain**2).astype(np.float32)

        def quantise(mu: Floats, mask: npt.NDArray[np.bool_]) -> Floats:
            np.subtract(v, mu, out=exact)
            np.rint(exact, out=s)
            np.multiply(s, coded, out=s)
            self._optimise(s, exact, mask, indexes, worth)
            np.copyto(symbols, s, where=mask)
            return s

        v_hat = predict(self.weights, self.runtime, z_hat, quality, h, w, quantise)
        return Latents(z_hat, symbols.astype(np.int32), indexes, v_hat)

    def _optimise(
        self,
        s: Floats,
        exact: Floats,
        mask: npt.NDArray[np.bool_],
        indexes: npt.NDArray[np.uint8],
        worth: Floats,
    ) -> None:
        """Rate-distortion optimised quantisation, in place: take one step towards zero wherever
        the bits that it saves are worth more than the error that it adds.
        """
        import numpy as np

        where = np.flatnonzero((s != 0.0) & mask)
        if not len(where):
            return
        near, value = s.ravel()[where], exact.ravel()[where]
        far = near - np.sign(near)
        table = indexes.ravel()[where]
        costs = self.weights.y_tables.costs
        saved = costs(near.astype(np.int32), table) - costs(far.astype(np.int32), table)
        added = (value - far) ** 2 - (value - near) ** 2
        better = saved > worth[where // (s.shape[1] * s.shape[2])] * added
        s.ravel()[where[better]] = far[better]

    def rate(self, latents: Latents, quality: int) -> float:
        """The ideal length of a tile's symbols in bits."""
        z_hat, symbols, indexes, _ = latents
        z_bits = self._z_tables(quality).bits(z_hat.ravel(), _z_indexes(z_hat.shape))
        return z_bits + self.weights.y_tables.bits(symbols.ravel(), indexes.ravel())

    # --- Decompressing --------------------------------------------------------------------------

    def decode(self, container: bitstream.Container) -> PIL.Image.Image:
        """The picture of a parsed file."""
        import numpy as np

        from aecodec.image import to_pil

        header = container.header
        if header.tile_size > MAX_TILE_SIZE:
            raise LimitError(
                f"tiles of {header.tile_size} pixels: this decoder takes {MAX_TILE_SIZE} at most"
            )
        rows, columns = -(-header.height // 16), -(-header.width // 16)
        v_hat = np.empty((self.weights.config.latents, rows, columns), np.float32)
        boxes = list(header.tiles())
        for (x, y, w, h), payload in zip(boxes, container.tiles, strict=True):
            tile = self.decode_latents(payload, -(-h // 16), -(-w // 16), header.quality)
            v_hat[:, y // 16 : y // 16 + tile.shape[1], x // 16 : x // 16 + tile.shape[2]] = tile
        rgb = np.empty((header.height, header.width, 3), np.uint8)
        for x, y, w, h in boxes:
            rgb[y : y + h, x : x + w] = self.synthesise(v_hat, (x, y, w, h), header.quality)
        return to_pil(
            rgb, header.mode.name, container.alpha, container.exif, container.icc, container.xmp
        )

    def decode_symbols(
        self, payload: bytes, h: int, w: int, quality: int
    ) -> tuple[Ints, Ints, npt.NDArray[np.uint8]]:
        """z_hat, symbols (M,h,w) and their table indexes from a tile's payload.

        Raises CorruptError where the symbols' hash differs: never a picture from wrong symbols.
        """
        from aecodec.entropy import Decoder
        from aecodec.prior import scale_indexes

        config = self.weights.config
        decoder = Decoder(payload[_HASH_SIZE:])
        shape = (config.hyper_latents, -(-h // 4), -(-w // 4))
        z_hat = decoder.take(_z_indexes(shape), self._z_tables(quality)).reshape(shape)
        indexes = scale_indexes(self.weights.arrays, z_hat, quality, h, w)
        symbols = decoder.take(indexes.ravel(), self.weights.y_tables).reshape(indexes.shape)
        decoder.finish()
        if _hash(z_hat, symbols) != int.from_bytes(payload[:_HASH_SIZE], "little"):
            raise CorruptError("the decoded latents are not those that were written")
        return z_hat, symbols, indexes

    def decode_latents(self, payload: bytes, h: int, w: int, quality: int) -> Floats:
        """v_hat (M,h,w) of a tile."""
        import numpy as np

        from aecodec.prior import predict

        z_hat, symbols, _ = self.decode_symbols(payload, h, w, quality)
        values = symbols.astype(np.float32)
        return predict(self.weights, self.runtime, z_hat, quality, h, w, lambda mu, mask: values)

    def synthesise(self, v_hat: Floats, box: tuple[int, int, int, int], quality: int) -> Pixels:
        """The pixels (h,w,3) of the tile `box` from the whole picture's v_hat."""
        import numpy as np

        from aecodec.prior import level_of_quality

        x, y, w, h = box
        left, top = max(0, x // 16 - self.halo), max(0, y // 16 - self.halo)
        bottom, right = -(-(y + h) // 16) + self.halo, -(-(x + w) // 16) + self.halo
        inverse = 1.0 / self.weights.arrays["gain"][quality].reshape(1, -1, 1, 1)
        (pixels,) = self.runtime.run(
            "synthesis",
            v_hat=np.ascontiguousarray(v_hat[:, top:bottom, left:right])[None],
            inverse_gain=inverse,
            level=level_of_quality(self.weights, quality),
        )
        row, column = y - 16 * top, x - 16 * left
        tile: Pixels = pixels[0, row : row + h, column : column + w]
        return tile

    def _z_tables(self, quality: int) -> TableSet:
        return self.weights.z_tables[int(self.weights.arrays["z_band"][quality])]


def _z_indexes(shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """The table index of every element of z (N,h,w), flat: its channel."""
    import numpy as np

    return np.repeat(np.arange(shape[0], dtype=np.uint8), shape[1] * shape[2])


def _hash(z_hat: Ints, symbols: Ints) -> int:
    """CRC-32 over all symbols, z before y, each as int32 little-endian in (C,h,w) order."""
    first = zlib.crc32(z_hat.astype("<i4", order="C", copy=False).data)
    return zlib.crc32(symbols.astype("<i4", order="C", copy=False).data, first)
