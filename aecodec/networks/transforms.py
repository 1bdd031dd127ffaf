"""The analysis and the synthesis transform, and the hyper-analysis: pixels to latents and back.

    rgb (H,W,3) --analysis8--> x8 (C,H/8,W/8) --analysis16--> y (M,H/16,W/16)
    v (M,h,w) --hyper_analysis, round--> z_hat (N,h/4,w/4)
    v_hat (M,h,w) --synthesis16--> x8 (2h,2w,C) --synthesis8--> rgb (16h,16w,3)

Both transforms run in two stages, split where the resolution changes. A part of a picture needs a
margin, the receptive field of the layers. Each stage needs the margin of its own layers alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aecodec.arrays import AT_ONCE, edge_padded
from aecodec.entropy.padding import TileShape, reflected
from aecodec.geometry import Box, ceil_div, padded

if TYPE_CHECKING:
    from aecodec.arrays import Floats, Ints, Pixels
    from aecodec.networks.runtime import Runtime
    from aecodec.networks.weights import OperatingPoint, Weights

__all__ = ["Transforms"]

AREA, SHARED_AREA = 768 * 768, 1024 * 1024
"""Pixels, at most, that go through half of a transform at once. Each area has a margin, which is
computed twice; but what large ones compute in a layer fits into no cache, and takes memory. The
blocks at 1/16 have wider margins, and compute less; and many threads that share an area, or a GPU,
want more to share."""
UNSEEN, UNSEEN_IN_PIXELS = 2e-5, 1e-4
"""The share of a preview's variance that the latents which it leaves out may have; the second where
a latent becomes one pixel."""


class Transforms:
    """The transforms of one set of weights. Safe to share between threads."""

    def __init__(self, weights: Weights, runtime: Runtime) -> None:
        self.config = weights.config
        self.runtime = runtime
        self.area8 = AREA if runtime.workers else SHARED_AREA
        self.area16 = SHARED_AREA
        # The latents to each side that a pixel depends on. Half of them would do for photographs
        # (pixels within one level), but not for drawings: fine checks come back with errors of 255.
        self.margin = ceil_div(weights.config.synthesis_reach, 16)
        self._preview, self._deviation = weights.preview, weights.deviation

    def analyse8(self, rgb: Pixels, box: Box) -> Floats:
        """x8 (C,h/8,w/8) of `box` (multiples of 8 pixels) of a picture rgb (H,W,3)."""
        seen = box.grown(self.config.analysis_reach8, padded(rgb.shape))
        part = edge_padded(rgb[seen.slices()], seen.h, seen.w, axis=0)
        (x8,) = self.runtime.run("analysis8", x=np.ascontiguousarray(part)[None])
        rows, columns = box.within(seen).slices(8)
        found: Floats = x8[0, :, rows, columns]
        return found

    def analyse16(self, x8: Floats, box: Box) -> Floats:
        """y (M,h/16,w/16) of `box` (from multiples of 16 pixels) of the part that x8 shows."""
        (y,) = self.runtime.run("analysis16", x8=np.ascontiguousarray(x8)[None])
        found: Floats = y[0][box.latents]
        return found

    def hyper_analyse(self, v: Floats, tile: TileShape) -> Ints:
        """z_hat (N,rows/4,columns/4) of a tile's v (M,rows,columns)."""
        v = edge_padded(v, 4 * tile.z_rows, 4 * tile.z_columns, axis=1)
        x = companded(reflected(v, tile.sides, 4))
        (z,) = self.runtime.run("hyper_analysis", companded=x[None])
        z = z[0, :, tile.sides.top :, tile.sides.left :][:, : tile.z_rows, : tile.z_columns]
        z_hat: Ints = np.rint(z).astype(np.int32)
        return z_hat

    def synthesise16(self, v_hat: Floats, box: Box, point: OperatingPoint) -> Floats:
        """x8 (h/8,w/8,C) of `box` (multiples of 16) of the part that v_hat (M,...) shows."""
        (x8,) = self.runtime.run(
            "synthesis16",
            v_hat=np.ascontiguousarray(v_hat)[None],
            inverse_gain=point.inverse_gain,
            level=point.level,
        )
        found: Floats = x8[0][box.slices(8)]
        return found

    def synthesise8(self, x8: Floats, box: Box, point: OperatingPoint) -> Pixels:
        """The pixels (h,w,3) of `box` of the part that x8 shows."""
        x8 = np.ascontiguousarray(x8)[None]
        (pixels,) = self.runtime.run("synthesis8", x8=x8, level=point.level)
        found: Pixels = pixels[0][box.slices()]
        return found

    def synthesise(
        self, v_hat: Floats, box: Box, point: OperatingPoint, origin: tuple[int, int] = (0, 0)
    ) -> Pixels:
        """The pixels (h,w,3) of `box` from v_hat (M,H/16,W/16), which begins at pixel `origin`.

        v_hat may hold a margin that the pixels depend on. Where it holds none, the picture ends.
        """
        shape = 16 * v_hat.shape[1], 16 * v_hat.shape[2]
        box = Box(box.x - origin[0], box.y - origin[1], box.w, box.h)
        near = box.aligned(8).grown(self.config.synthesis_reach8, shape).aligned(16)
        seen = near.grown(self.config.synthesis_reach16, shape)
        x8 = self.synthesise16(v_hat[seen.latents], near.within(seen), point)
        return self.synthesise8(x8, box.within(near), point)

    def error_gradient(
        self, v_hat: Floats, rgb: Pixels, mask: Floats, point: OperatingPoint
    ) -> tuple[float, Floats]:
        """The squared error of the pixels made from v_hat (M,h,w), and its gradient by y_hat.

        Args: rgb (16h,16w,3); mask (1,1,16h,16w), 1 where errors count and else 0.
        """
        error, gradient = self.runtime.run(
            "synthesis_gradient",
            v_hat=np.ascontiguousarray(v_hat)[None],
            inverse_gain=point.inverse_gain,
            level=point.level,
            x=np.ascontiguousarray(rgb)[None],
            mask=mask,
        )
        return float(error[0]), gradient[0]

    def preview_channels(self, scale: int) -> int:
        """How many of the first channels a preview needs: the others change next to nothing.

        Half the width still shows fine texture, of which the variance says too little.
        """
        if scale == 2:
            return self.config.latents
        power = np.square(self._preview_map(scale)[:-1]).sum(axis=1)
        power *= np.square(self._deviation)
        left = 1.0 - power.cumsum() / power.sum()
        return int(np.count_nonzero(left > (UNSEEN_IN_PIXELS if scale == 16 else UNSEEN))) + 1

    def _preview_map(self, scale: int) -> Floats:
        """(M + 1,3s^2): from y_hat and 1 to the s x s pixels of a latent, s = 16 / scale."""
        fitted = self._preview.astype(np.float32)
        m, side, part = len(fitted), 16 // scale, scale // 2
        means: Floats = fitted.reshape(m, side, part, side, part, 3).mean(axis=(2, 4))
        return means.reshape(m, -1)

    def preview(self, v_hat: Floats, point: OperatingPoint, scale: int) -> Pixels:
        """A small picture (16h/scale,16w/scale,3) from v_hat (M,h,w); scale is 2, 4, 8 or 16.

        A linear map, fitted at export, replaces the synthesis and the means of its pixels. It maps
        each latent to its own pixels, without its neighbours. v_hat may be its first channels.
        """
        from aecodec.entropy.scales import one_blas_thread

        m, h, w = v_hat.shape
        side, means = 16 // scale, self._preview_map(scale)
        of_v = means[:m] / point.gain[:m, 0]
        with one_blas_thread:
            values = v_hat.reshape(m, -1).T @ of_v + means[-1]
        np.clip(values, 0.0, 1.0, out=values)
        pixels = np.rint(255.0 * values).astype(np.uint8).reshape(h, w, side, side, 3)
        picture: Pixels = pixels.transpose(0, 2, 1, 3, 4).reshape(h * side, w * side, 3)
        return picture


def companded(v: Floats) -> Floats:
    """v (M,h,w) -> (2M,h,w), as `model.hyperprior.companded`: the input of the hyper-analysis.

    For encoders. NumPy's logarithm takes a fifth of the time of ONNX Runtime's.
    """
    m = len(v)
    out = np.empty((2 * m, *v.shape[1:]), np.float32)
    step = max(1, AT_ONCE // v[0].size)
    for first in range(0, m, step):
        part = slice(first, min(first + step, m))
        magnitude = np.abs(v[part])
        magnitude += 1.0
        np.log(magnitude, out=out[part])
        np.divide(v[part], magnitude, out=out[m + part.start : m + part.stop])
    return out
