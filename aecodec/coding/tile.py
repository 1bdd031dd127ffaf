"""One tile: pixels -> latents -> payload -> latents -> pixels.

encoding                                     decoding
rgb --analysis--> y                          payload --ANS--> z_hat
v = gain(q) * y                              z_hat --scale network--> indexes of step 0
v --hyper-analysis, round--> z_hat           payload --ANS--> symbols s of step 0
z_hat, s --scale network--> indexes          z_hat, s --scale network--> indexes of step 1
z_hat, v --means, step by step--> s, v_hat   payload --ANS--> symbols s of step 1
z_hat, s, indexes --ANS--> payload           z_hat, s --means, step by step--> v_hat
                                             v_hat, neighbours' v_hat --synthesis--> rgb

With effort, v_hat --synthesis and its gradient--> a better y, and again (refinement.py).
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from aecodec.bitstream import TILE_UNIT, even_part
from aecodec.coding.fields import Box, Field, Grid, around, grown, padded, within
from aecodec.entropy.borders import ALONE, Sides, reflected, sides_of
from aecodec.errors import CorruptError
from aecodec.stages import stage

if TYPE_CHECKING:  # numpy and ONNX Runtime load when a picture is really coded
    import numpy as np
    import numpy.typing as npt

    from aecodec.coding.prior import Features, Scales
    from aecodec.entropy.coder import Encoder, Groups, TableSet
    from aecodec.entropy.hyperlatents import HyperTables
    from aecodec.networks.runtime import Options, Runtime
    from aecodec.networks.weights import Weights

    Pixels = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]
    Ints = npt.NDArray[np.int32]
    Indexes = npt.NDArray[np.uint8]

__all__ = [
    "Analysed",
    "Effort",
    "Latents",
    "TileCodec",
    "aligned",
    "latents_of",
    "parts_of",
    "strips_of",
]

AREA, SHARED_AREA = 768 * 768, 1024 * 1024
"""Pixels, at most, that go through half of a transform at once. Each area has a margin, which is
computed twice; but what large ones compute in a layer fits into no cache, and takes memory. The
blocks at 1/16 have wider margins, and compute less; and many threads that share an area, or a GPU,
want more to share."""
STRIP = 512
"""Rows of pixels, at most, whose errors are taken at once when a tile is refined: the gradient
needs what every layer has computed, a kilobyte or so for each pixel."""
_HASH_SIZE = 4
_LARGEST_KEPT = 31 << 20
_THRIFT = 0.2
"""How far thrift of 1 moves a symbol: the share of what lies between halfway and the threshold."""
_FURTHEST = 0.3
"""How far a symbol is moved away from zero at most, before it is rounded."""


class Effort(NamedTuple):
    """How long latents are refined (refinement.py): in steps, each of about three decodings."""

    annealing: int
    descent: int


class Known(NamedTuple):
    """What the decoder knows of a tile before its symbols: all that follows from z_hat."""

    z_hat: Ints  # (N,h/4,w/4)
    scales: Scales
    features: Features


class Latents(NamedTuple):
    """A tile's quantised latents: what is coded, and what the synthesis makes pixels of."""

    z_hat: Ints  # (N,h/4,w/4)
    symbols: tuple[Ints, Ints]  # each step's row: checkerboard.py
    indexes: tuple[Indexes, Indexes]  # the symbols' tables
    groups: tuple[Groups, Groups]  # the symbols by table
    v_hat: Floats  # (M,h,w)


class _Tables:
    """The tables of a tile's symbols, found beside what an encoder does meanwhile."""

    def __init__(self, runtime: Runtime, tables: tuple[TableSet, ...], scales: Scales) -> None:
        self._runtime, self._tables, self._scales = runtime, tables, scales
        self._indexes = [scales.first]
        self._coming: Callable[[], Indexes] | None = None
        self.first_groups = self._grouped(0)
        """The groups of step 0."""
        self._groups = [self.first_groups]

    def _grouped(self, step: int) -> Callable[[], Groups]:
        work = functools.partial(self._tables[step].groups, self._indexes[step])
        return self._runtime.aside(work)

    def begin(self, symbols: Ints) -> None:
        """The row of symbols of step 0 is known."""
        self._coming = self._runtime.aside(functools.partial(self._scales.after, symbols))

    def indexes(self, step: int) -> Indexes:
        """The row of a step; of step 1, once that has begun."""
        if step and self._coming is not None:
            self._indexes.append(self._coming())
            self._groups.append(self._grouped(1))
            self._coming = None
        return self._indexes[step]

    def both(self) -> tuple[Indexes, Indexes]:
        """Both steps' rows."""
        return self.indexes(0), self.indexes(1)

    def groups(self) -> tuple[Groups, Groups]:
        """Both steps' symbols by table."""
        first, second = self._groups
        return first(), second()


class TileCodec:
    """One set of weights, ready to code tiles. Safe to share between threads."""

    def __init__(self, weights: Weights, options: Options | None = None) -> None:
        import numpy as np

        from aecodec.coding.prior import checked_scale_network
        from aecodec.networks.runtime import Runtime

        self.scale_network = checked_scale_network(weights)
        # glibc keeps twice as much freed memory as the largest block (of 32 MiB at most) that was
        # ever freed, and else gives it back: a small picture's megabytes would come and go with
        # each picture, which takes a tenth of its time. So this is never touched, and freed.
        np.empty(_LARGEST_KEPT, np.uint8)
        self.weights = weights
        self.runtime = Runtime(weights.folder, options)
        self.area8 = AREA if self.runtime.lone_threads else SHARED_AREA
        self.area16 = SHARED_AREA
        # What a pixel can depend on, in latents to each side. Half of it would do for photographs
        # (pixels within one level), but not for drawings: fine checks come back with errors of 255.
        self.halo = -(-weights.config.synthesis_reach // 16)

    # --- Encoding -------------------------------------------------------------------------------

    def analyse(self, rgb: Pixels, box: Box) -> Floats:
        """y (M,ceil(h/16),ceil(w/16)) of the tile `box` = (x, y, w, h) of rgb (H,W,3).

        It equals the whole picture's. The box begins at multiples of 16 pixels.
        """
        return Analysed(self, rgb, [box])(box)

    def analyse8(self, rgb: Pixels, box: Box) -> Floats:
        """What the blocks at 1/8 make of `box` (multiples of 8 pixels): (C,h/8,w/8)."""
        import numpy as np

        margin = self.weights.config.analysis_reach8
        height, width = padded(rgb.shape)
        left, top, w, h = grown(box, margin, (height, width))
        part = rgb[top : top + h, left : left + w]
        missing = h - part.shape[0], w - part.shape[1]
        if any(missing):
            part = np.pad(part, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        (x8,) = self.runtime.run("analysis8", x=np.ascontiguousarray(part)[None])
        row, column = (box[1] - top) // 8, (box[0] - left) // 8
        found: Floats = x8[0, :, row : row + box[3] // 8, column : column + box[2] // 8]
        return found

    def analyse16(self, x8: Floats, box: Box) -> Floats:
        """y of `box` (from multiples of 16 pixels) in what the blocks at 1/8 made of more."""
        import numpy as np

        (y,) = self.runtime.run("analysis16", x8=np.ascontiguousarray(x8)[None])
        found: Floats = y[0][latents_of(box)]
        return found

    def encode(
        self, y: Floats, quality: int, thrift: float = 0.0, sides: Sides = ALONE
    ) -> tuple[Latents, bytes]:
        """As `quantise` and `encode_latents`, but step 0 is coded while the context runs."""
        from aecodec.entropy.coder import Encoder

        v = y * self.weights.arrays["gain"][quality][:, None, None]
        known = self._hyper(v, quality, sides)
        encoder = Encoder()
        added: list[Callable[[], None]] = []

        def add(symbols: Ints, groups: Callable[[], Groups]) -> None:
            work = functools.partial(self._add_first, encoder, known.z_hat, quality)
            added.append(self.runtime.aside(lambda: work(symbols, groups())))

        latents = self._quantise(v, quality, known, thrift, add)
        added[0]()
        return latents, self._payload(encoder, latents)

    def encode_latents(self, latents: Latents, quality: int) -> bytes:
        """A tile's payload: the hash of its symbols and the coded symbols."""
        from aecodec.entropy.coder import Encoder

        encoder = Encoder()
        self._add_first(encoder, latents.z_hat, quality, latents.symbols[0], latents.groups[0])
        return self._payload(encoder, latents)

    def _add_first(
        self, encoder: Encoder, z_hat: Ints, quality: int, symbols: Ints, groups: Groups
    ) -> None:
        """What decoders need first: z_hat and the symbols of step 0."""
        of_z = self._z_tables(quality)
        for row, at in of_z.rows(z_hat):
            encoder.add(row, of_z.tables.groups(at), of_z.tables)
        encoder.add(symbols, groups, self.weights.y_tables[0])

    def _payload(self, encoder: Encoder, latents: Latents) -> bytes:
        """What is left to code, the symbols of step 1, and then all of it."""
        crc = self.runtime.aside(functools.partial(_hash, latents.z_hat, *latents.symbols))
        encoder.add(latents.symbols[1], latents.groups[1], self.weights.y_tables[1])
        coded = encoder.finish()
        return crc().to_bytes(_HASH_SIZE, "little") + coded

    def quantise(
        self, y: Floats, quality: int, thrift: float = 0.0, sides: Sides = ALONE
    ) -> Latents:
        """Quantise a tile's y (M,h,w), by rounding, but for what is not worth its bits.

        `sides` are those on which the tile has neighbours. Thrift spends fewer bits: at 5, all that
        is rounded away from zero must lie as much further beyond halfway as a symbol other than 0
        must anyway. Below 0 it spends more: symbols other than 0 need less, at -5 no more than
        rounding; and larger ones move away from zero.
        """
        v = y * self.weights.arrays["gain"][quality][:, None, None]
        return self._quantise(v, quality, self._hyper(v, quality, sides), thrift)

    def _hyper(self, v: Floats, quality: int, sides: Sides = ALONE) -> Known:
        """What the decoder knows of a tile before its symbols."""
        import numpy as np

        from aecodec.coding.prior import Scales, companded, mean_features
        from aecodec.entropy.checkerboard import Checkerboard

        board = Checkerboard(*v.shape)
        _, h, w = v.shape
        if h % 4 or w % 4:
            v = np.pad(v, ((0, 0), (0, -h % 4), (0, -w % 4)), mode="edge")
        (z,) = self.runtime.run("hyper_analysis", companded=companded(reflected(v, sides, 4))[None])
        z = z[0, :, sides.top :, sides.left :][:, : -(-h // 4), : -(-w // 4)]
        z_hat = np.rint(z).astype(np.int32)
        networks = self.weights, self.runtime
        work = functools.partial(mean_features, *networks, z_hat, quality, (h, w), sides)
        features = self.runtime.aside(work)
        scales = Scales(self.scale_network, z_hat, quality, board, sides)
        return Known(z_hat, scales, features())

    def _quantise(
        self,
        v: Floats,
        quality: int,
        known: Known,
        thrift: float,
        halfway: Callable[[Ints, Callable[[], Groups]], None] | None = None,
    ) -> Latents:
        """`halfway` is told of step 0: its row of symbols, and how to get at their groups."""
        import numpy as np

        from aecodec.coding.prior import CACHED, predict
        from aecodec.entropy.checkerboard import Checkerboard

        least = self.weights.y_thresholds
        moves = [np.zeros_like(of_table) for of_table in least]
        if thrift:
            worth = [np.nan_to_num(t - np.float32(0.5), posinf=0.0) for t in least]
            part = np.float32(thrift * _THRIFT)
            moves = [np.maximum(part * more, -_FURTHEST) for more in worth]
            fewer = np.clip(-part, 0.0, 1.0)
            least = tuple(t - fewer * more for t, more in zip(least, worth, strict=True))
        board = Checkerboard(*v.shape)
        tables = _Tables(self.runtime, self.weights.y_tables, known.scales)
        coded: list[Ints] = []

        def quantise(step: int, mu: Floats) -> Floats:
            row: Floats = board.row(v, step)
            indexes = tables.indexes(step)
            symbols = np.empty(row.shape, np.int32)
            for first in range(0, len(row), CACHED):
                part = slice(first, first + CACHED)
                s = row[part]
                s -= mu[part]
                if thrift:
                    move = moves[step].take(indexes[part])
                    if thrift > 0.0:
                        s -= np.clip(s, -move, move)
                    else:
                        s += np.copysign(move, s) * (np.abs(s) >= 1.0)
                worth = np.abs(s) >= least[step].take(indexes[part])
                np.rint(s, out=s)
                s *= worth  # several times as fast as an assignment under a condition
                symbols[part] = s
            coded.append(symbols)
            return row

        def between() -> None:
            tables.begin(coded[0])
            if halfway:
                halfway(coded[0], tables.first_groups)

        networks = self.weights, self.runtime, known.features, quality
        v_hat = predict(*networks, board, quantise, between)
        first, second = coded
        return Latents(known.z_hat, (first, second), tables.both(), tables.groups(), v_hat)

    def _bits_per_error(self, quality: int) -> float:
        """The bits that a squared error of 1, summed over pixels in [0,1], is worth: lambda's."""
        return float(self.weights.arrays["lambda"][quality]) * 255.0**2 / 3.0

    def refine(
        self,
        rgb: Pixels,
        box: Box,
        y: Floats,
        v_hat: Floats,
        quality: int,
        effort: Effort,
        thrift: float = 0.0,
    ) -> Latents:
        """The latents of the tile `box`, refined from its y; v_hat is the whole picture's."""
        import numpy as np

        from aecodec.coding.prior import context_gradient, level_of_quality, predict
        from aecodec.coding.refinement import Soft, anneal, descend
        from aecodec.entropy.checkerboard import STEPS, Checkerboard
        from aecodec.image.pillow import pad_to_multiple

        # Errors count as far as the tile's latents reach, and latents as far as those pixels do.
        near, far = (grown(box, 16 * n * self.halo, rgb.shape) for n in (1, 2))
        common = {
            "inverse_gain": 1.0 / self.weights.arrays["gain"][quality].reshape(1, -1, 1, 1),
            "level": level_of_quality(self.weights, quality),
        }
        strips: list[tuple[tuple[slice, slice, slice], dict[str, Any]]] = []
        for strip in strips_of(near, STRIP):
            seen = grown(strip, 16 * self.halo, rgb.shape)
            left, top, w, h = seen
            mask = np.zeros((1, 1, -(-h // 16) * 16, -(-w // 16) * 16), np.float32)
            column, row, columns, rows = within(strip, seen)
            mask[:, :, row : row + rows, column : column + columns] = 1.0
            pixels = pad_to_multiple(rgb[top : top + h, left : left + w], 16)
            inputs = {**common, "x": np.ascontiguousarray(pixels)[None], "mask": mask}
            strips.append((latents_of(within(seen, far)), inputs))
        window = v_hat[latents_of(far)].copy()
        inner = latents_of(within(box, far))
        gain = self.weights.arrays["gain"][quality][:, None, None]
        worth = self._bits_per_error(quality)
        tables = self.weights.y_tables

        def error(v_hat: Floats) -> tuple[float, Floats]:
            """The squared error, and its gradient by y_hat."""
            window[inner] = v_hat
            total, gradient = 0.0, np.zeros_like(window)
            for place, inputs in strips:
                part = np.ascontiguousarray(window[place])[None]
                found, slope = self.runtime.run("synthesis_gradient", v_hat=part, **inputs)
                total += float(found[0])
                gradient[place] += slope[0]
            return total, gradient[inner]

        def cost(latents: Latents) -> tuple[float, Floats]:
            found, gradient = error(latents.v_hat)
            rows = zip(tables, latents.symbols, latents.indexes, strict=True)
            slope = board.whole(*(table.slopes(row, at) for table, row, at in rows))
            return self.rate(latents, quality) / worth + found, gradient + slope * (gain / worth)

        known = self._hyper(y * gain, quality, sides_of(box, rgb.shape[1], rgb.shape[0]))
        board = Checkerboard(*y.shape)

        def soft_gradient(v: Floats, soften: Callable[[Floats], Soft]) -> Floats:
            lows: list[Ints] = []
            slopes: list[Floats] = []
            near: list[Ints] = []
            indexes = [known.scales.first]

            def quantised(step: int, mu: Floats) -> Floats:
                soft = soften(board.row(v, step) - mu)
                free = ~tables[step].empty[indexes[step]]
                lows.append((soft.low * free).astype(np.int32))
                slopes.append(soft.slope * free)
                symbols: Floats = (soft.low + soft.share) * free
                near.append(np.rint(symbols).astype(np.int32))
                return symbols

            networks = self.weights, self.runtime, known.features, quality
            v_hat = predict(
                *networks, board, quantised, lambda: indexes.append(known.scales.after(near[0]))
            )
            by_v_hat = error(v_hat)[1] * (worth / gain)
            gradients = [board.row(by_v_hat, step) for step in range(STEPS)]
            rises = zip(tables, lows, indexes, strict=True)
            bits = [table.rises(low, at) for table, low, at in rises]
            # Where a mean rises, what is left to code falls, and with it the symbol.
            by_mu = gradients[1] - (gradients[1] + bits[1]) * slopes[1]
            gradients[0] += context_gradient(*networks, board, v_hat, by_mu)
            rows = zip(gradients, bits, slopes, strict=True)
            return board.whole(*((gradient + b) * slope for gradient, b, slope in rows))

        def quantise(moved: Floats) -> tuple[Latents, Floats]:
            latents = self._quantise(moved * gain, quality, known, thrift)
            return latents, latents.v_hat / gain

        curvature = self.weights.arrays["curvature"][quality][:, None, None]
        best: Latents
        if not effort.annealing:
            best, _ = descend(y, curvature, effort.descent, quantise, cost)
            return best
        moved = anneal(y * gain, effort.annealing, soft_gradient) / gain
        best, least = descend(moved, curvature, effort.descent, quantise, cost)
        plain, _ = quantise(y)
        return best if least < cost(plain)[0] else plain

    def rate(self, latents: Latents, quality: int) -> float:
        """The ideal length of a tile's symbols in bits."""
        rows = zip(self.weights.y_tables, latents.symbols, latents.groups, strict=True)
        y_bits = sum(tables.bits(symbols, groups) for tables, symbols, groups in rows)
        return self._z_tables(quality).bits(latents.z_hat) + y_bits

    # --- Decoding -------------------------------------------------------------------------------

    def decode_symbols(
        self,
        payload: bytes,
        h: int,
        w: int,
        quality: int,
        sides: Sides = ALONE,
        *,
        meanwhile: Callable[[Ints], object] | None = None,
        between: Callable[[Ints], object] | None = None,
    ) -> tuple[Ints, tuple[Ints, Ints], tuple[Indexes, Indexes]]:
        """z_hat (N,h/4,w/4), both steps' rows of symbols and of their table indexes.

        `sides` are those on which the tile has neighbours. `meanwhile` is called with z_hat, and
        `between` with the symbols of step 0, as soon as those are known. Raises CorruptError where
        the symbols' hash differs: never a picture from wrong symbols.
        """
        from aecodec.coding.prior import Scales
        from aecodec.entropy.checkerboard import Checkerboard
        from aecodec.entropy.coder import Decoder

        config = self.weights.config
        decoder = Decoder(payload[_HASH_SIZE:])
        z_hat = self._z_tables(quality).restore(decoder.take, -(-h // 4), -(-w // 4))
        if meanwhile:
            meanwhile(z_hat)
        board, tables = Checkerboard(config.latents, h, w), self.weights.y_tables
        scales = Scales(self.scale_network, z_hat, quality, board, sides)
        first = decoder.take(scales.first, tables[0])
        if between:
            between(first)
        indexes = scales.after(first)
        second = decoder.take(indexes, tables[1])
        decoder.finish()
        if _hash(z_hat, first, second) != int.from_bytes(payload[:_HASH_SIZE], "little"):
            raise CorruptError("the decoded latents are not those that were written")
        return z_hat, (first, second), (scales.first, indexes)

    def decode_latents(
        self, payload: bytes, h: int, w: int, quality: int, sides: Sides = ALONE
    ) -> Floats:
        """v_hat (M,h,w) of a tile that has neighbours on those sides."""
        from aecodec.coding.prior import add_second, first_v_hat, mean_features, second_means
        from aecodec.entropy.checkerboard import Checkerboard

        # The means come beside the integer network and the entropy decoder, which have but one
        # thread.
        board = Checkerboard(self.weights.config.latents, h, w)
        networks = self.weights, self.runtime
        features: list[Callable[[], Features]] = []
        means: list[Callable[[], tuple[Floats, Floats]]] = []

        def begin(z_hat: Ints) -> None:
            work = functools.partial(mean_features, *networks, z_hat, quality, (h, w), sides)
            features.append(self.runtime.aside(work))

        def after(symbols: Ints) -> tuple[Floats, Floats]:
            known = features[0]()
            v_hat = first_v_hat(known, board, symbols)
            return v_hat, second_means(*networks, known, quality, board, v_hat)

        def go_on(symbols: Ints) -> None:
            means.append(self.runtime.aside(functools.partial(after, symbols)))

        _, (_, symbols), _ = self.decode_symbols(
            payload, h, w, quality, sides, meanwhile=begin, between=go_on
        )
        with stage("means"):
            v_hat, second = means[0]()
        add_second(v_hat, board, second, symbols)
        return v_hat

    def synthesise(
        self, v_hat: Floats, box: Box, quality: int, origin: tuple[int, int] = (0, 0)
    ) -> Pixels:
        """The pixels (h,w,3) of `box` from v_hat (M,H/16,W/16), which begins at pixel `origin`.

        What v_hat holds of the margin that pixels depend on is used; there the picture ends.
        """
        config = self.weights.config
        shape = 16 * v_hat.shape[1], 16 * v_hat.shape[2]
        box = box[0] - origin[0], box[1] - origin[1], box[2], box[3]
        near = aligned(grown(aligned(box, 8), config.synthesis_reach8, shape), 16)
        seen = grown(near, config.synthesis_reach16, shape)
        x8 = self.synthesise16(v_hat[latents_of(seen)], within(near, seen), quality)
        return self.synthesise8(x8, within(box, near), quality)

    def synthesise16(self, v_hat: Floats, box: Box, quality: int) -> Floats:
        """What the blocks at 1/16 make of v_hat (M,h,w): (h/8,w/8,C) of `box` (multiples of 16)."""
        import numpy as np

        from aecodec.coding.prior import level_of_quality

        (x8,) = self.runtime.run(
            "synthesis16",
            v_hat=np.ascontiguousarray(v_hat)[None],
            inverse_gain=1.0 / self.weights.arrays["gain"][quality].reshape(1, -1, 1, 1),
            level=level_of_quality(self.weights, quality),
        )
        x, y, w, h = (n // 8 for n in box)
        found: Floats = x8[0, y : y + h, x : x + w]
        return found

    def synthesise8(self, x8: Floats, box: Box, quality: int) -> Pixels:
        """The pixels of `box` in what the blocks at 1/16 made of more."""
        import numpy as np

        from aecodec.coding.prior import level_of_quality

        level = level_of_quality(self.weights, quality)
        (pixels,) = self.runtime.run("synthesis8", x8=np.ascontiguousarray(x8)[None], level=level)
        x, y, w, h = box
        found: Pixels = pixels[0, y : y + h, x : x + w]
        return found

    def preview(self, v_hat: Floats, quality: int, scale: int) -> Pixels:
        """A small picture (16h/scale,16w/scale,3) from v_hat (M,h,w); scale is 2, 4 or 8.

        A linear map, fitted at export, stands in for the synthesis and for taking means of its
        pixels: each latent's own pixels, without its neighbours' help.
        """
        import numpy as np

        from aecodec.coding.prior import one_blas_thread

        m, h, w = v_hat.shape
        side, part = 16 // scale, scale // 2
        fitted = self.weights.arrays["preview"].astype(np.float32)
        means = fitted.reshape(m + 1, side, part, side, part, 3).mean(axis=(2, 4))
        means = means.reshape(m + 1, -1)
        y_hat = v_hat / self.weights.arrays["gain"][quality][:, None, None]
        with one_blas_thread:
            values = y_hat.reshape(m, -1).T @ means[:m] + means[m]
        np.clip(values, 0.0, 1.0, out=values)
        pixels = np.rint(255.0 * values).astype(np.uint8).reshape(h, w, side, side, 3)
        picture: Pixels = pixels.transpose(0, 2, 1, 3, 4).reshape(h * side, w * side, 3)
        return picture

    def _z_tables(self, quality: int) -> HyperTables:
        return self.weights.z_tables[int(self.weights.arrays["z_band"][quality])]


class Analysed:
    """y (M,h,w) of tiles of a picture rgb (H,W,3), each computed when it is asked for.

    What the blocks at 1/8 make of the picture is shared by all `tiles`, of which each is asked for
    once; with `keep` as often as one likes. Safe to share between threads.
    """

    def __init__(
        self, coder: TileCodec, rgb: Pixels, tiles: Iterable[Box], *, keep: bool = False
    ) -> None:
        config = coder.weights.config
        self._coder = coder
        self._kept: dict[Box, Floats] | None = {} if keep else None
        height, width = shape = padded(rgb.shape)
        self._seen = {
            tile: grown(aligned(tile, 16), config.analysis_reach16, shape) for tile in tiles
        }
        first = parts_of((0, 0, width, height), coder.area8, config.analysis_reach8)[0]
        self._x8 = Field(
            Grid(width, height, *first[2:]),
            8,
            lambda _, box: coder.analyse8(rgb, box),
            self._seen.values(),
            bounds=around(self._seen.values()),
        )

    def begin(self, tile: Box, submit: Callable[..., object]) -> None:
        """Have what a tile looks at computed by threads, as far as that is not yet begun."""
        self._x8.begin(self._seen[tile], submit)

    def __call__(self, tile: Box) -> Floats:
        if self._kept is not None and tile in self._kept:
            return self._kept[tile]
        seen = self._seen[tile]
        y = self._coder.analyse16(self._x8.look(seen), within(tile, seen))
        if self._kept is not None:
            self._kept[tile] = y = y.copy()  # without its margin
        return y


def aligned(box: Box, unit: int) -> Box:
    """`box`, and what completes it to multiples of `unit` pixels."""
    x, y, w, h = box
    left, top = x - x % unit, y - y % unit
    right, bottom = -(-(x + w) // unit) * unit, -(-(y + h) // unit) * unit
    return left, top, right - left, bottom - top


def latents_of(box: Box) -> tuple[slice, slice, slice]:
    """Where the latents of the pixels `box` (from multiples of 16) stand in (M,H/16,W/16)."""
    x, y, w, h = box
    return slice(None), slice(y // 16, -(-(y + h) // 16)), slice(x // 16, -(-(x + w) // 16))


def parts_of(box: Box, pixels: int, margin: int) -> list[Box]:
    """Even parts of `box`, row by row, of so many pixels at most: a multiple of 64x64.

    Of all ways to cut it, the one that computes the least where parts have a margin to each other.
    """
    x, y, w, h = box

    def computed(columns: int) -> tuple[int, int, int]:
        width = min(w, even_part(w, columns))
        rows = 1 if width * h <= pixels else -(-h // (pixels // width // TILE_UNIT * TILE_UNIT))
        height = min(h, even_part(h, rows))
        columns, rows = -(-w // width), -(-h // height)
        wide, high = w + 2 * margin * (columns - 1), h + 2 * margin * (rows - 1)
        return wide * high, -width, height

    fewest, most = -(-w * TILE_UNIT // pixels), -(-w // TILE_UNIT)
    _, width, height = min(computed(columns) for columns in range(fewest, most + 1))
    width = -width
    return [
        (left, top, min(width, x + w - left), min(height, y + h - top))
        for top in range(y, y + h, height)
        for left in range(x, x + w, width)
    ]


def strips_of(box: Box, height: int) -> list[Box]:
    """Even parts of `box`, one above the other, of `height` pixels at most."""
    x, y, w, h = box
    part = even_part(h, -(-h // height))
    return [(x, top, w, min(part, y + h - top)) for top in range(y, y + h, part)]


def _hash(*arrays: Ints) -> int:
    """CRC-32 over all symbols of these arrays, each as int32 little-endian in C order."""
    found = 0
    for array in arrays:
        found = zlib.crc32(array.astype("<i4", order="C", copy=False).data, found)
    return found
