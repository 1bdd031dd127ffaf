"""The means of the latents, predicted from z_hat and from the symbols of step 0.

    z_hat (N,h64,w64), level --mean_features--> features, mu of step 0
    features, v_hat of step 0 --context--> mu of step 1

    v_hat = s + mu

They are floats. No probability depends on them: they are added to symbols that are already decoded,
so a difference in their last digits is one in the last digits of the latents.

Outside a picture the networks see zeros. At an inner edge of a tile they see the padding of
`entropy/padding.py`. The networks' inputs and outputs are those of "The weights"; z_hat is that of
the scale network, longer by one repeated row or column on every side where the tile has a
neighbour. Let r = context_blocks of the config, and m = r + 1. mean_features computes 4 latents for
each place of that z_hat and gives back those from begin = (row, column) up to before end: the
tile's, and m more on every side with a neighbour. So begin is 4 - m on such sides and else 0. mu of
step 0 is its mu at the tile's own elements of step 0. context gets the features of the tile and r
more rows or columns on such sides; known, which is v_hat of step 0 and 0 elsewhere, longer by r,
reflected; and parity, (i + j) mod 2 of the tile's latents as a float, longer in the same way. mu of
step 1 is its mu at the tile's own elements of step 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from aecodec.entropy.padding import Sides, TileShape, reflected, repeated

if TYPE_CHECKING:
    from aecodec.arrays import Floats, Ints
    from aecodec.entropy.checkerboard import Checkerboard
    from aecodec.networks.config import ModelConfig
    from aecodec.networks.runtime import Runtime
    from aecodec.networks.weights import OperatingPoint

__all__ = ["MeanFeatures", "Means", "completed", "interpolated"]


class MeanFeatures(NamedTuple):
    """The part of a tile's means that depends on z_hat and the quality alone, with a margin.

    The margin is on the sides where the tile has neighbours: this many more rows and columns.
    """

    features: Floats  # (1,F,rows,columns) and the margin
    mu: Floats  # (1,M,rows,columns) and the margin, of step 0
    margin: int
    tile: TileShape  # rows of means are those of its channels
    point: OperatingPoint


class Means:
    """The float networks of the means. Rows are those of a step of the tile's checkerboard."""

    def __init__(self, config: ModelConfig, runtime: Runtime) -> None:
        self._runtime = runtime
        self._reach = config.context_reach

    def features(self, z_hat: Ints, point: OperatingPoint, tile: TileShape) -> MeanFeatures:
        """The first part of a tile's means, from z_hat (N,h64,w64) alone."""
        # Of the four rows that a longer z_hat makes no more than the context sees, and one that its
        # features' own 3x3 layer sees.
        margin, sides = self._reach + 1, tile.sides
        top, bottom, left, right = sides.margins(margin)
        begin = 4 * sides.top - top, 4 * sides.left - left
        end = 4 * sides.top + tile.rows + bottom, 4 * sides.left + tile.columns + right
        features, mu = self._runtime.run(
            "mean_features",
            z_hat=repeated(z_hat, sides)[None].astype(np.float32),
            level=point.level,
            unit=point.unit,
            begin=np.array(begin, np.int64),
            end=np.array(end, np.int64),
        )
        return MeanFeatures(features, mu, margin, tile, point)

    def first(self, known: MeanFeatures) -> Floats:
        """The row of means of step 0."""
        tile = known.tile
        row: Floats = tile.board.row(tile.inside(known.mu[0, : tile.channels], known.margin), 0)
        return row

    def second(self, known: MeanFeatures, v_hat: Floats) -> Floats:
        """The row of means of step 1, from v_hat (M,rows,columns) of step 0."""
        (mu,) = self._runtime.run("context", **self._context_inputs(known, v_hat))
        tile = known.tile
        row: Floats = tile.board.row(tile.inside(mu[0, : tile.channels], self._reach), 1)
        return row

    def second_gradient(self, known: MeanFeatures, v_hat: Floats, by_mu: Floats) -> Floats:
        """The gradient by step 0's row of v_hat (M,rows,columns), from that by the row of `second`.

        For encoders. It ignores that the latents beyond the tile are reflections of its own.
        """
        tile = known.tile
        first = tile.board.whole(tile.board.row(v_hat, 0))
        by_means = np.zeros_like(first)
        tile.board.put(by_mu, by_means, 1)
        top, bottom, left, right = tile.sides.margins(self._reach)
        by_means = np.pad(by_means, ((0, 0), (top, bottom), (left, right)))
        inputs = self._context_inputs(known, first)
        (gradient,) = self._runtime.run("context_gradient", by_mu=by_means[None], **inputs)
        row: Floats = tile.board.row(tile.inside(gradient[0], self._reach), 0)
        return row

    def _context_inputs(self, known: MeanFeatures, v_hat: Floats) -> dict[str, Floats]:
        tile, reach = known.tile, self._reach
        sides, more = tile.sides, known.margin - reach
        top, bottom, left, right = sides.margins(reach)
        parity = tile.board.parity().astype(np.float32)[None]
        rows = slice(more * sides.top, more * sides.top + tile.rows + top + bottom)
        columns = slice(more * sides.left, more * sides.left + tile.columns + left + right)
        return {
            "features": np.ascontiguousarray(known.features[:, :, rows, columns]),
            "known": reflected(v_hat, sides, reach)[None],
            "parity": reflected(parity, sides, reach)[None],
            "unit": known.point.unit,
        }


def interpolated(v_hat: Floats, board: Checkerboard) -> Floats:
    """v_hat (M,rows,columns) with estimates of step 1 from step 0 alone; two rows and columns or
    more.

    An estimate is the median of the four neighbours: the mean of the second and the third. It is
    sharp where an edge separates one of them from the others. (The plain mean would leave the
    pattern of the checkerboard along edges, and have 0.5 dB less.)
    """
    around = reflected(v_hat, Sides(True, True, True, True), 1)
    above, below = around[:, :-2, 1:-1], around[:, 2:, 1:-1]
    left, right = around[:, 1:-1, :-2], around[:, 1:-1, 2:]
    second = np.maximum(np.minimum(above, below), np.minimum(left, right))
    third = np.minimum(np.maximum(above, below), np.maximum(left, right))
    estimates: Floats = np.float32(0.5) * (second + third)
    board.put(board.row(v_hat, 0), estimates, 0)
    return estimates


def completed(symbols: Floats, mu: Floats, bin_width: Floats | None = None) -> Floats:
    """v_hat from a row of symbols, which is overwritten: the one sum that encoder and decoder
    share. `bin_width` is the row of quantisation steps, if they are not all 1.
    """
    if bin_width is not None:
        symbols *= bin_width
    symbols += mu
    return symbols
