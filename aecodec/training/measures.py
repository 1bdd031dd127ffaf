"""The ONNX graph of SSIMULACRA 2.1 that the package ships: `python -m aecodec.training.measures`.

It does three of the six scales, for a part of a picture. `aecodec/networks/ssimulacra2.py` adds up
the parts, and gives what is left at 1/8 to the same graph again.
"""

from __future__ import annotations

import pathlib

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aecodec.networks.ssimulacra2_score import GRAPH, STEPS
from aecodec.training.graphs import Part, write_graph
from aecodec.training.ssimulacra2 import Ssimulacra2, halved

__all__ = ["Ssimulacra2Graph", "write_ssimulacra2"]

PLANES = 16
"""Of the 15 that are blurred and one more: ONNX Runtime is quick at multiples of 8."""


class Ssimulacra2Graph(nn.Module):
    """a and b (1,3,H,W) in linear light, and the part to measure -> its sums, a and b at 1/8.

    `begin` and `end` (2,) are the row and the column of the part's first pixel and of what follows
    its last one. All are multiples of 8, but for an end that is the picture's. Sums (3,2,3,3) by
    scale, power (1, 4), map and channel are over the part at each of three scales. What a and b
    have beyond the part is a margin, of which the last scale needs 4 pixels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.measure = _Wide()

    def forward(
        self, a: Tensor, b: Tensor, begin: Tensor, end: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        sums = []
        for scale in range(STEPS):
            side = 2**scale
            first = begin // side
            last = (end + (side - 1)) // side
            maps = torch.cat(self.measure.maps(self.measure.xyb(a), self.measure.xyb(b)), 1)
            part = Part.apply(maps, first, last, 2)  # type: ignore[no-untyped-call]
            squares = part * part
            both = torch.stack([part.sum((2, 3)), (squares * squares).sum((2, 3))])
            sums.append(both.reshape(1, 2, 3, 3))
            a, b = halved(a), halved(b)
        return torch.cat(sums), a, b


class _Wide(Ssimulacra2):
    """The measure with a plane more in its blurs, which nobody looks at."""

    def blur(self, x: Tensor) -> Tensor:
        x = torch.cat([x, x[:, :1]], 1)
        rows = self.taps.repeat(PLANES, 1, 1, 1)
        half = len(self.taps) // 2
        x = F.conv2d(x, rows, padding=(0, half), groups=PLANES)
        return F.conv2d(x, rows.transpose(2, 3), padding=(half, 0), groups=PLANES)[:, :-1]


def write_ssimulacra2(path: pathlib.Path) -> None:
    """Write the graph."""
    picture = torch.rand(1, 3, 64, 96)
    size = {2: "H", 3: "W"}
    with torch.no_grad():
        write_graph(
            Ssimulacra2Graph(),
            path,
            {
                "a": picture,
                "b": picture.flip(2),
                "begin": torch.tensor([8, 16]),
                "end": torch.tensor([56, 96]),
            },
            ["sums", "a8", "b8"],
            {"a": size, "b": size, "a8": {2: "H8", 3: "W8"}, "b8": {2: "H8", 3: "W8"}},
        )


if __name__ == "__main__":
    from aecodec.networks import ssimulacra2

    write_ssimulacra2(pathlib.Path(ssimulacra2.__file__).with_name(f"{GRAPH}.onnx"))
