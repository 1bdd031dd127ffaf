"""SSIMULACRA 2.1, its last step: from the norms of the maps of errors to a score.

The weights and the polynomial are those of the measure's author (Sneyers, Cloudinary, 2023). They
stand apart from the networks, so that the trainer reads them without ONNX Runtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "CUBIC",
    "FLAT_WEIGHTS",
    "GRAPH",
    "POWER",
    "SCALES",
    "SLOPE",
    "SMALLEST",
    "STEPS",
    "raw_of",
    "score_of",
]

GRAPH = "ssimulacra2"
"""The graph of the maps of errors, which the package ships as `networks/ssimulacra2.onnx`."""
STEPS = 3
"""How many scales that graph does at once."""

SCALES = 6
SMALLEST = 8
"""A scale is the last one if the picture is smaller than this on a side."""

# By channel (X, Y, B - Y), scale, and norm (1, 4), the weights of the three maps.
# Numbers that are not listed are 0.
WEIGHTS: dict[str, tuple[tuple[tuple[float, ...], ...], ...]] = {
    "X": (
        ((0.0, 0.0007376606707406586, 0.0), (0.0, 0.0007793481682867309, 0.0)),
        (
            (0.0, 0.0004371155730107379, 0.0),
            (1.1041726426657346, 0.00066284834129271, 0.00015231632783718752),
        ),
        ((0.0, 0.0016406437456599754, 0.0), (1.8422455520539298, 11.441172603757666, 0.0)),
        (
            (0.0007989109436015163, 0.000176816438078653, 0.0),
            (1.8787594979546387, 10.94906990605142, 0.0),
        ),
        (
            (0.0007289346991508072, 0.9677937080626833, 0.0),
            (0.00014003424285435884, 0.9981766977854967, 0.00031949755934435053),
        ),
        ((0.0004550992113792063, 0.0, 0.0), (0.0013648766163243398, 0.0, 0.0)),
    ),
    "Y": (
        ((0.0, 0.0, 0.0), (7.466890328078848, 0.0, 17.445833984131262)),
        (
            (0.0006235601634041466, 0.0, 0.0),
            (6.683678146179332, 0.00037724407979611296, 1.027889937768264),
        ),
        (
            (225.20515300849274, 0.0, 0.0),
            (19.213238186143016, 0.0011401524586618361, 0.001237755635509985),
        ),
        (
            (176.39317598450694, 0.0, 0.0),
            (24.43300999870476, 0.28520802612117757, 0.0004485436923833408),
        ),
        ((0.0, 0.0, 0.0), (34.77906344483772, 44.835625328877896, 0.0)),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    ),
    "B": (
        ((0.0, 0.0008680556573291698, 0.0), (0.0, 0.0, 0.0)),
        ((0.0, 0.0005313191874358747, 0.0), (0.00016533814161379112, 0.0, 0.0)),
        ((0.0, 0.0, 0.0), (0.0004179171803251336, 0.0017290828234722833, 0.0)),
        ((0.0020827005846636437, 0.0, 0.0), (8.826982764996862, 23.19243343998926, 0.0)),
        (
            (95.1080498811086, 0.9863978034400682, 0.9834382792465353),
            (0.0012286405048278493, 171.2667255897307, 0.9807858872435379),
        ),
        ((0.0, 0.0, 0.0), (0.0005130064588990679, 0.0, 0.00010854057858411537)),
    ),
}

FLAT_WEIGHTS: tuple[float, ...] = tuple(
    weight for channel in WEIGHTS.values() for scale in channel for norm in scale for weight in norm
)
"""The weights in the order in which the norms are added up: channel, scale, norm, map."""
SLOPE = 0.9562382616834844
CUBIC = (2.326765642916932, -0.020884521182843837, 6.248496625763138e-05)
"""The coefficients of SLOPE * the sum, of its square and of its cube."""
POWER = 0.6276336467831387


def raw_of(norms: npt.NDArray[np.float64]) -> float:
    """The raw distortion of norms (S,3,2,3), by scale, channel, norm (1, 4) and map.

    0 is identical. Where a small picture has fewer than six scales, the author's tool takes the
    weights in their order all the same.
    """
    numbers = norms.transpose(1, 0, 2, 3).ravel().tolist()
    total = SLOPE * sum(w * n for w, n in zip(FLAT_WEIGHTS, numbers, strict=False))
    return float(sum(c * total**power for power, c in enumerate(CUBIC, 1)))


def score_of(raw: float) -> float:
    """The score of a raw distortion: 100 where it is 0 or less."""
    return float(100.0 - 10.0 * max(raw, 0.0) ** POWER)
