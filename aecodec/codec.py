"""Picture -> bytes -> picture: the only place where image, networks, coder and container meet.

compress                                     decompress
picture --image.load--> rgb                  data --bitstream.parse--> header, payloads
rgb --tile by tile--> payloads               payloads --tile by tile--> rgb
payloads --bitstream.pack--> data            rgb --image.to_pil--> picture

A tile's own way, from pixels to its payload and back, stands in coding/tile.py.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import operator
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from aecodec import bitstream, stages
from aecodec.bitstream import DEFAULT_MAX_PIXELS, DEFAULT_TILE_SIZE, ColourMode, Header
from aecodec.coding.fields import Box, Field, Grid, around, common, grown, padded, within
from aecodec.coding.tile import Analysed, Effort, TileCodec, aligned, latents_of, parts_of
from aecodec.entropy.borders import Sides, sides_of
from aecodec.errors import LimitError, RequestError

if TYPE_CHECKING:  # numpy, Pillow and ONNX Runtime load when a picture is really coded
    from concurrent.futures import Executor
    from os import PathLike
    from typing import BinaryIO

    import numpy as np
    import numpy.typing as npt
    import PIL.Image

    from aecodec.image.pillow import Picture
    from aecodec.networks.weights import Weights

    Pixels = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]

T = TypeVar("T")

__all__ = ["Codec", "Info", "compress", "decompress", "read_info", "verify"]

DEFAULT_QUALITY = 75
EFFORTS = {
    1: Effort(0, 0),
    2: Effort(0, 1),
    3: Effort(0, 2),
    4: Effort(0, 4),
    5: Effort(0, 8),
    6: Effort(8, 6),
    7: Effort(16, 8),
    8: Effort(32, 16),
    9: Effort(64, 48),
}
"""How long each effort refines the latents."""
DEFAULT_EFFORT = 1
PREVIEWS = (2, 4, 8)
"""What a preview may divide the width and the height by."""
WAITING = 16
"""Jobs that wait for their turn at most: each is for a tile of 4 MiB, or a part of it."""
FEW_PIXELS = 2**12
"""On pictures of no more than this PSNR rises and falls with the quality; to try all is quick."""
MOST_BYTES = 2**62
"""A target size above this is one that every file is within, and too large for arithmetic."""
MAX_TILE_SIZE = 1024
"""A forged tile is found out only when its symbols are decoded: this bounds what that costs."""


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
    tiles: int
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
        tiles=header.tile_count,
        tile_size=header.tile_size,
        version=".".join(map(str, container.version)),
        sections=tuple((s.name, s.length) for s in container.sections),
    )


def verify(
    data: bytes,
    *,
    full: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    threads: int = 0,
    device: str = "auto",
) -> None:
    """Check every checksum; with `full` decode as well. Raises an AecodecError for damage."""
    if full:
        decompress(data, max_pixels=max_pixels, threads=threads, device=device)
        return
    container = bitstream.parse(data, max_pixels=max_pixels)
    for part in ("alpha", "exif", "icc", "xmp"):  # decompressed, and so checked, when asked for
        getattr(container, part)


def compress(
    image: str | PathLike[str] | bytes | BinaryIO | PIL.Image.Image | Picture | Pixels,
    quality: int = DEFAULT_QUALITY,
    *,
    model: str | None = None,
    effort: int = DEFAULT_EFFORT,
    target_size: int | None = None,
    target_bpp: float | None = None,
    target_psnr: float | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    threads: int = 0,
    device: str = "auto",
) -> bytes:
    """A picture as the bytes of an .aec file.

    Args:
        image: a PIL image, a path, a file object, the bytes of a picture file, a Picture, or an
            array of uint8: (H,W), (H,W,3), or (H,W,4) with alpha.
        quality: 1 to 100; 75 has about the PSNR of JPEG at 75.
        model: the name of the weights; None takes the default ones.
        effort: 1 to 9; more makes smaller files in more time, and costs decoders nothing.
        target_size: instead of a quality: the best file of at most so many bytes.
        target_bpp: the same, in bits for each pixel.
        target_psnr: instead of a quality: that of the lowest one with so many dB at least. Measured
            is what `decompress` gives back: the grey of a grey picture, else R, G and B; and not
            what lies hidden where alpha is 0.
        max_pixels: refuse larger pictures; a Picture has been loaded, and is not refused.
        threads: how many to use at most, of those that the cores allow; 0: one for every core.
        device: "cpu", "cuda", or "auto": a GPU where onnxruntime-gpu is installed and finds one.
    Raises:
        InputError: the picture can't be read or is too large.
        RequestError: no quality meets the target.
        DeviceError: no GPU that can be used.
        ValueError: quality, effort, a target or threads out of range, two targets, or an unknown
            device.
        TypeError: quality, effort or threads that are no whole numbers, as 75.0 and True are not.
        WeightsError: no usable weights of that name.
    """
    from aecodec.networks import weights

    return _shared(weights.by_name(model), threads, device).compress(
        image,
        quality,
        effort=effort,
        target_size=target_size,
        target_bpp=target_bpp,
        target_psnr=target_psnr,
        max_pixels=max_pixels,
    )


def decompress(
    data: bytes,
    *,
    region: Sequence[int] | None = None,
    preview: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    threads: int = 0,
    device: str = "auto",
) -> PIL.Image.Image:
    """The picture in an .aec file, with its metadata in `info`.

    Args:
        region: x, y, width, height in pixels: this part alone, decoded from the tiles it needs.
        preview: 2, 4 or 8: a picture of 1/2, 1/4 or 1/8 of the width and height, coarse and fast.
        threads: how many to use at most, of those that the cores allow; 0: one for every core.
        device: "cpu", "cuda", or "auto": a GPU where onnxruntime-gpu is installed and finds one.
    Raises:
        DeviceError: no GPU that can be used.
        ValueError: another preview, one of a region, a region that is not four whole numbers,
            threads below 0, or an unknown device.
        TypeError: a preview or threads that are no whole numbers, as 2.0 and True are not.
        RequestError: the region does not lie in the picture.
        FormatError: not an .aec file, truncated, damaged, or made for a newer version.
        LimitError: more than `max_pixels` pixels.
        UnknownModelError: the weights that the file names are not installed.
    """
    from aecodec.networks import weights

    container = bitstream.parse(data, max_pixels=max_pixels)
    coder = _shared(weights.by_id(container.header.model_id), threads, device)
    if preview is None:
        return coder.decode(container, region)
    if region is not None:
        raise ValueError("a region or a preview, not both")
    return coder.decode_preview(container, preview)


def _shared(weights: Weights, threads: int, device: str) -> Codec:
    from aecodec.networks.runtime import cores

    # More threads than cores bring nothing.
    return _codec(weights, min(_whole_number("threads", threads), cores()), device)


def _whole_number(name: str, value: object) -> int:
    """A whole number of any type, numpy's too, as an int. A bool is none: it is a slip."""
    # Before NumPy 2.3 `operator.index` takes numpy's True for a 1.
    kind = "b" if isinstance(value, bool) else getattr(getattr(value, "dtype", None), "kind", "")
    try:
        if kind != "b":
            return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        pass
    raise TypeError(f"{name} must be a whole number, not {value!r}")


@functools.lru_cache(maxsize=4)
def _codec(weights: Weights, threads: int, device: str) -> Codec:
    from aecodec.networks.runtime import Options

    return Codec(weights, Options(threads=threads, device=device))


@dataclasses.dataclass(frozen=True)
class _Coded:
    """The tiles of a file, and the bytes that it will have."""

    header: Header
    tiles: list[bytes]
    size: int

    def __len__(self) -> int:
        return self.size


class Codec(TileCodec):
    """One set of weights, ready to code pictures. Safe to share between threads."""

    # --- Compressing ----------------------------------------------------------------------------

    def compress(
        self,
        image: str | PathLike[str] | bytes | BinaryIO | PIL.Image.Image | Picture | Pixels,
        quality: int = DEFAULT_QUALITY,
        *,
        effort: int = DEFAULT_EFFORT,
        target_size: int | None = None,
        target_bpp: float | None = None,
        target_psnr: float | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        tile_size: int = DEFAULT_TILE_SIZE,
    ) -> bytes:
        """See the module's `compress`."""
        from aecodec.image.pillow import Picture, load

        quality, effort = _whole_number("quality", quality), _whole_number("effort", effort)
        if not 1 <= quality <= 100:
            raise ValueError(f"quality must be 1 to 100, not {quality}")
        if effort not in EFFORTS:
            raise ValueError(f"effort must be 1 to {max(EFFORTS)}, not {effort}")
        targets = {"size": target_size, "bpp": target_bpp, "psnr": target_psnr}
        given = {name: target for name, target in targets.items() if target is not None}
        if len(given) > 1:
            raise ValueError("one target, not two")
        for name, target in given.items():
            if not 0 < target < math.inf:
                raise ValueError(f"target_{name} must be above 0, not {target}")
        picture = image if isinstance(image, Picture) else load(image, max_pixels=max_pixels)
        height, width = picture.rgb.shape[:2]
        header = Header(
            width=width,
            height=height,
            mode=ColourMode[picture.mode],
            quality=quality,
            model_id=self.weights.id,
            tile_size=tile_size,
        )
        if target_bpp is not None:
            target_size = int(min(target_bpp * header.pixels / 8, MOST_BYTES))
        if target_size is not None:
            return self._of_size(picture, header, effort, min(target_size, MOST_BYTES))
        if target_psnr is not None:
            return self._of_psnr(picture, header, effort, target_psnr)
        y_of = Analysed(self, picture.rgb, header.tiles())
        return _file(picture, header, self._tiles_of(picture, header, effort, y_of))

    def _of_size(self, picture: Picture, header: Header, effort: int, limit: int) -> bytes:
        """The best file of at most so many bytes."""
        from aecodec.coding.rate_control import largest_refined, largest_within

        kept = _kept(picture, header)
        y_of = Analysed(self, picture.rgb, header.tiles(), keep=True)

        def encode(effort: int, quality: int, thrift: float) -> _Coded:
            chosen = dataclasses.replace(header, quality=quality)
            tiles = self._tiles_of(picture, chosen, effort, y_of, thrift)
            return _Coded(chosen, tiles, _size(chosen, tiles, sum(kept.values())))

        one_pass = functools.partial(encode, 1)
        if effort == 1:
            best = largest_within(one_pass, limit, kept)
        else:
            refine = functools.partial(encode, effort)
            best = largest_refined(refine, lambda *setting: len(one_pass(*setting)), limit, kept)
        return _file(picture, best.header, best.tiles)

    def _of_psnr(self, picture: Picture, header: Header, effort: int, target: float) -> bytes:
        """The file of the lowest quality with so many dB at least."""
        from aecodec.coding.rate_control import smallest_reaching

        y_of = Analysed(self, picture.rgb, header.tiles(), keep=True)

        def encode(effort: int, quality: int) -> tuple[tuple[Header, list[bytes]], float]:
            chosen = dataclasses.replace(header, quality=quality)
            tiles, rgb = self._tiles_and_rgb(picture, chosen, effort, y_of)
            return (chosen, tiles), _psnr(picture, rgb)

        best = smallest_reaching(
            functools.partial(encode, effort),
            target,
            foretold=functools.cache(lambda quality: encode(1, quality)[1]) if effort > 1 else None,
            thorough=header.pixels <= FEW_PIXELS,
        )
        return _file(picture, *best)

    def _tiles_of(
        self,
        picture: Picture,
        header: Header,
        effort: int,
        y_of: Analysed,
        thrift: float = 0.0,
    ) -> list[bytes]:
        """The tiles' payloads."""
        if effort == 1:
            return self._encoded(header, y_of, thrift)
        return self._refined(picture.rgb, header, EFFORTS[effort], y_of, thrift)[0]

    def _tiles_and_rgb(
        self, picture: Picture, header: Header, effort: int, y_of: Analysed
    ) -> tuple[list[bytes], Pixels]:
        """The tiles' payloads, and the pixels that a decoder makes of them."""
        grid = _grid(header)
        if effort > 1:
            tiles, v_hat = self._refined(picture.rgb, header, EFFORTS[effort], y_of, 0.0)
            return tiles, self._drawn(header, lambda number: v_hat[latents_of(grid.box(number))])
        tiles = [b""] * header.tile_count
        if not self._pays_alone(len(tiles)):
            for box in header.tiles():  # all threads together, each time
                y_of(box)

        def encode(number: int) -> Floats:
            box = grid.box(number)
            y, sides = y_of(box), _sides(header, box)
            latents, tiles[number] = self.encode(y, header.quality, sides=sides)
            return latents.v_hat

        return tiles, self._drawn(header, encode)

    def _encoded(self, header: Header, y_of: Analysed, thrift: float) -> list[bytes]:
        """The tiles' payloads, of one pass each."""
        tiles = [b""] * header.tile_count
        alone = self._pays_alone(len(tiles))

        def encode(number: int, box: Box, y: Floats | None) -> None:
            y = y_of(box) if y is None else y
            _, tiles[number] = self.encode(y, header.quality, thrift, _sides(header, box))

        # Where threads do not analyse alone, all do so together, while other tiles are coded.
        boxes, at_work = list(header.tiles()), functools.partial(self._at_work, alone)
        waiting: deque[Callable[[], None]] = deque()
        with self._workers(len(tiles)) as workers:
            for number, box in enumerate(boxes):
                if workers and alone:
                    for near in boxes[number : number + 1 + self._ahead]:
                        y_of.begin(near, functools.partial(workers.submit, at_work))
                y = None if alone else y_of(box)
                work = functools.partial(at_work, encode, number, box, y)
                waiting.append(workers.submit(work).result if workers else work)
                while len(waiting) > (self._ahead if workers else 0):
                    waiting.popleft()()
            while waiting:
                waiting.popleft()()
        return tiles

    def _refined(
        self,
        rgb: Pixels,
        header: Header,
        effort: Effort,
        y_of: Analysed,
        thrift: float,
    ) -> tuple[list[bytes], Floats]:
        """The payloads of refined tiles of rgb (H,W,3), and their v_hat (M,H/16,W/16)."""
        import numpy as np

        # A tile is refined with its neighbours in sight: pixels near a border depend on both. Those
        # that are still to come stand as one pass makes them, and their y waits for their turn.
        rows, columns = -(-header.height // 16), -(-header.width // 16)
        v_hat = np.empty((self.weights.config.latents, rows, columns), np.float32)
        ys: dict[int, Floats] = {}
        tiles: list[bytes] = []
        begun, grid = 0, _grid(header)
        for number, box in enumerate(header.tiles()):
            seen = grown(box, 32 * self.halo, rgb.shape)
            for other in range(begun, 1 + max(grid.touching(seen))):
                place = grid.box(other)
                ys[other] = y_of(place)
                latents = self.quantise(ys[other], header.quality, thrift, _sides(header, place))
                v_hat[latents_of(place)] = latents.v_hat
                begun = other + 1
            latents = self.refine(rgb, box, ys.pop(number), v_hat, header.quality, effort, thrift)
            v_hat[latents_of(box)] = latents.v_hat
            tiles.append(self.encode_latents(latents, header.quality))
        return tiles, v_hat

    def _at_work(self, alone: bool, work: Callable[..., T], *args: Any) -> T:
        """A thread's work, done where its graphs run on it `alone`, or on all threads."""
        with self.runtime.working(alone):
            return work(*args)

    def _pays_alone(self, jobs: int) -> bool:
        """Whether threads do best to share so many jobs out, and to run the networks of each alone.

        The last ones leave threads idle: with few works that is more than waiting for each other.
        """
        threads = self.runtime.lone_threads
        return threads > 1 and jobs >= 2 * threads

    @property
    def _ahead(self) -> int:
        """How many jobs may wait, so that no thread does."""
        return min(2 * self.runtime.threads, WAITING)

    @contextlib.contextmanager
    def _workers(self, jobs: int) -> Iterator[Executor | None]:
        """Threads for so many jobs, if they pay: one's arithmetic runs beside another's coding."""
        threads = min(jobs, self.runtime.threads)
        if threads < 2:
            yield None
            return
        from concurrent.futures import ThreadPoolExecutor

        workers = ThreadPoolExecutor(
            threads, "aecodec-tile", initializer=stages.join, initargs=(stages.current(),)
        )
        try:
            yield workers
        finally:
            workers.shutdown(cancel_futures=True)  # after a fault nobody waits for the rest

    # --- Decompressing --------------------------------------------------------------------------

    def decode(
        self, container: bitstream.Container, region: Sequence[int] | None = None
    ) -> PIL.Image.Image:
        """The picture of a parsed file, or the part of it in `region`."""
        from aecodec.image.pillow import to_pil

        rgb, alpha = self.decode_rgb(container, region), container.alpha
        if alpha is not None and region is not None:
            x, y, w, h = _box(region)
            alpha = alpha[y : y + h, x : x + w]
        mode = container.header.mode.name
        return to_pil(rgb, mode, alpha, container.exif, container.icc, container.xmp)

    def decode_preview(self, container: bitstream.Container, scale: int) -> PIL.Image.Image:
        """The picture of a parsed file at 1/scale of its width and height, rounded up."""
        import numpy as np

        from aecodec.image.pillow import reduced, to_pil

        scale = _whole_number("preview", scale)
        if scale not in PREVIEWS:
            raise ValueError(f"a preview's scale is 2, 4 or 8, not {scale}")
        header = container.header
        _check_tiles(header)
        boxes = list(header.tiles())
        alone = self._pays_alone(len(boxes))
        rgb = np.empty((-(-header.height // scale), -(-header.width // scale), 3), np.uint8)

        def draw(number: int) -> None:
            x, y, w, h = boxes[number]
            v_hat = self._at_work(alone, self._tile_latents, container, number)
            small = self.preview(v_hat, header.quality, scale)
            rows, columns = -(-h // scale), -(-w // scale)
            place = rgb[y // scale :, x // scale :][:rows, :columns]
            place[:] = small[:rows, :columns]

        with self._workers(len(boxes)) as workers:
            numbers = range(len(boxes))
            list(workers.map(draw, numbers) if workers else map(draw, numbers))
        alpha = None if container.alpha is None else reduced(container.alpha, scale)
        mode = header.mode.name
        return to_pil(rgb, mode, alpha, container.exif, container.icc, container.xmp)

    def decode_rgb(
        self, container: bitstream.Container, region: Sequence[int] | None = None
    ) -> Pixels:
        """The pixels (H,W,3) of a parsed file, or of `region`: only the tiles that it needs."""
        header = container.header
        _check_tiles(header)
        wanted = None if region is None else _box(region)
        if wanted and common(wanted, (0, 0, header.width, header.height)) != wanted:
            raise RequestError(
                "the region {},{},{},{} does not lie".format(*wanted)
                + f" in the picture's {header.width} x {header.height} pixels"
            )
        return self._drawn(header, functools.partial(self._tile_latents, container), wanted)

    def _drawn(
        self, header: Header, latents: Callable[[int], Floats], region: Box | None = None
    ) -> Pixels:
        """The pixels (H,W,3) of the picture, or of `region`, from the tiles that it needs.

        It is drawn in parts, while the tiles of the next ones are decoded. `latents` gives v_hat
        (M,h,w) of the tile of a number.
        """
        import numpy as np

        config, quality = self.weights.config, header.quality
        whole = (0, 0, header.width, header.height)
        wanted = region or whole
        shape = padded((header.height, header.width))
        boxes = parts_of(whole, self.area8, config.synthesis_reach8)
        parts = [part for box in boxes if (part := common(box, wanted))]
        seen = [grown(aligned(part, 8), config.synthesis_reach8, shape) for part in parts]
        first = parts_of((0, 0, shape[1], shape[0]), self.area16, config.synthesis_reach16)[0]
        grid, bounds = Grid(shape[1], shape[0], *first[2:]), aligned(around(seen), 16)

        def tiles_seen(box: Box) -> Box:
            return grown(box, config.synthesis_reach16, (header.height, header.width))

        def coarse(_: int, box: Box) -> Floats:
            view = tiles_seen(box)
            return self.synthesise16(v_hats.look(view), within(box, view), quality)

        x8 = Field(grid, 8, coarse, seen, bounds=bounds, channels_last=True)
        cells = sorted({number for box in seen for number in grid.touching(box)})
        views = {number: tiles_seen(x8.box(number)) for number in cells}
        v_hats = Field(_grid(header), 16, lambda number, _: latents(number), views.values())
        rgb = np.empty((wanted[3], wanted[2], 3), np.uint8)

        def draw(k: int) -> None:
            pixels = self.synthesise8(x8.look(seen[k]), within(parts[k], seen[k]), quality)
            x, y, w, h = within(parts[k], wanted)
            rgb[y : y + h, x : x + w] = pixels

        # Threads that do not draw alone do so together, for which only this one asks.
        alone = self._pays_alone(len(parts))
        at_work = functools.partial(self._at_work, alone)
        ahead = self._ahead if alone else 1
        waiting: deque[Callable[[], None]] = deque()
        with self._workers(len(parts) if alone else v_hats.count) as workers:
            for k in range(len(parts)):
                if workers:
                    # What is begun well before it is looked at keeps nobody waiting.
                    submit = functools.partial(workers.submit, at_work)
                    for near in seen[k : k + 1 + 2 * ahead]:
                        for number in grid.touching(near):
                            v_hats.begin(views[number], submit)
                    for near in seen[k : k + 1 + ahead] if alone else ():
                        x8.begin(near, submit)
                drawn = functools.partial(at_work, draw, k)
                waiting.append(workers.submit(drawn).result if workers and alone else drawn)
                while len(waiting) > (ahead if alone else 0):
                    waiting.popleft()()
            while waiting:
                waiting.popleft()()
        return rgb

    def _tile_latents(self, container: bitstream.Container, number: int) -> Floats:
        header = container.header
        box = _grid(header).box(number)
        rows, columns = -(-box[3] // 16), -(-box[2] // 16)
        return self.decode_latents(
            container.tiles[number], rows, columns, header.quality, _sides(header, box)
        )


def _file(picture: Picture, header: Header, tiles: Sequence[bytes]) -> bytes:
    return bitstream.pack(
        header, tiles, alpha=picture.alpha, exif=picture.exif, icc=picture.icc, xmp=picture.xmp
    )


def _kept(picture: Picture, header: Header) -> dict[str, int]:
    """The bytes in a file of what is coded losslessly, by what it is."""
    if picture.alpha is None and not (picture.exif or picture.icc or picture.xmp):
        return {}
    data = _file(picture, header, [bytes(4)] * header.tile_count)
    kept: dict[str, int] = {}
    for section in bitstream.parse(data, max_pixels=header.pixels).sections:
        if section.type != bitstream.SectionType.TILE:
            name = "transparency" if section.name == "ALPHA" else "metadata"
            kept[name] = kept.get(name, 0) + section.end - section.offset
    return kept


def _size(header: Header, tiles: Sequence[bytes], kept: int) -> int:
    """The bytes of a file, of which so many are not tiles: those need not be packed each time."""
    bare = bitstream.pack(dataclasses.replace(header, mode=ColourMode.RGB), tiles)
    if not kept:
        return len(bare)
    body = len(bare) - bitstream.parse_header(bare).size
    # The header states the body's length, seven bits a byte.
    more = -(-(body + kept).bit_length() // 7) - -(-body.bit_length() // 7)
    return len(bare) + kept + more


def _psnr(picture: Picture, rgb: Pixels) -> float:
    """The PSNR in dB of what a decoder shows of its pixels (H,W,3)."""
    import numpy as np

    from aecodec.image.pillow import to_pil
    from aecodec.metrics import psnr

    if picture.mode in ("L", "LA"):
        return psnr(picture.rgb[..., 0], np.asarray(to_pil(rgb, "L")), picture.visible)
    return psnr(picture.rgb, rgb, picture.visible)


def _box(region: Sequence[int]) -> Box:
    try:
        x, y, w, h = map(operator.index, region)
    except (TypeError, ValueError):
        raise ValueError(f"a region is x, y, width and height in pixels, not {region!r}") from None
    return x, y, w, h


def _check_tiles(header: Header) -> None:
    size = header.tile_size
    if size > MAX_TILE_SIZE:
        raise LimitError(f"tiles of {size} pixels: this decoder takes {MAX_TILE_SIZE} at most")


def _grid(header: Header) -> Grid:
    """The tiles."""
    return Grid(header.width, header.height, header.tile_width, header.tile_height)


def _sides(header: Header, box: Box) -> Sides:
    """On which sides the tile `box` has neighbours."""
    return sides_of(box, header.width, header.height)
