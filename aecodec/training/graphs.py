"""The float networks as ONNX graphs, with dynamic height and width and float16 weights."""

from __future__ import annotations

import io
import pathlib
import warnings
from typing import Any, ClassVar

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aecodec.model import Autoencoder
from aecodec.model.gradient import (
    Distortion,
    context_gradient,
    error_and_gradient,
    squared_error,
)
from aecodec.model.hyperprior import HyperAnalysis
from aecodec.model.transforms import Analysis

__all__ = ["GRAPHS", "PIXELS", "Part", "drawn", "held_names", "write_graph", "write_graphs"]

OPSET = 17
HALVED_FROM = 256
"""Tensors of at least so many elements are stored in float16."""

Axes = dict[int, str]
"""The axes of a tensor that have any length, by their names."""
PIXELS: Axes = {1: "H", 2: "W"}
MASK: Axes = {2: "H", 3: "W"}
AT_8: Axes = {2: "h8", 3: "w8"}
AT_8_LAST: Axes = {1: "h8", 2: "w8"}
AT_16: Axes = {2: "h", 3: "w"}
AT_64: Axes = {2: "h64", 3: "w64"}
FIXED: Axes = {}
TRACED = {"H": 128, "W": 192, "h8": 16, "w8": 24, "h": 8, "w": 12, "h64": 2, "w64": 3}
"""The lengths with which graphs are traced."""


class Analysis8Graph(nn.Module):
    """x (1,H,W,3) uint8 -> what the blocks at 1/8 make of it (1,C,H/8,W/8).

    An unshuffle and a 1x1 convolution are one convolution with a stride: in this form ONNX Runtime
    keeps its blocked layout, and moves no pixel about (a sixth of the transform's time).
    """

    inputs: ClassVar = {"x": PIXELS}
    outputs: ClassVar = {"x8": AT_8}
    fold = False  # or the first layer's weights would be stored as multiplied

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.analysis = _Strided8(model.analysis)

    def forward(self, x: Tensor) -> Tensor:
        x8: Tensor = self.analysis(x.permute(0, 3, 1, 2).float())
        return x8


class Analysis16Graph(nn.Module):
    """x8 (1,C,H/8,W/8) -> y (1,M,H/16,W/16), with a strided convolution too.

    The two halves of the analysis are graphs of their own, so that each needs its own layers'
    margin alone (`aecodec/coding/cells.py`).
    """

    inputs: ClassVar = {"x8": AT_8}
    outputs: ClassVar = {"y": AT_16}

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.analysis = _Strided16(model.analysis)

    def forward(self, x8: Tensor) -> Tensor:
        y: Tensor = self.analysis(x8)
        return y


class _Strided8(nn.Module):
    """The first half of `Analysis`, of pixels 0..255, under the same names."""

    def __init__(self, analysis: Analysis) -> None:
        super().__init__()
        self.input = _strided(analysis.input, 8)
        self.blocks8 = analysis.blocks8

    def forward(self, x: Tensor) -> Tensor:
        # The first layer reads x / 255 - 0.5: folded into its weights when a session is made.
        first = self.input
        assert first.bias is not None
        bias = first.bias - 0.5 * first.weight.sum((1, 2, 3))
        x8: Tensor = self.blocks8(
            F.conv2d(x, first.weight * (1.0 / 255.0), bias, stride=first.stride)
        )
        return x8


class _Strided16(nn.Module):
    """The second half of `Analysis`, under the same names."""

    def __init__(self, analysis: Analysis) -> None:
        super().__init__()
        self.down = _strided(analysis.down, 2)
        self.blocks16 = analysis.blocks16

    def forward(self, x8: Tensor) -> Tensor:
        y: Tensor = self.blocks16(self.down(x8))
        return y


def _strided(layer: nn.Conv2d, side: int) -> nn.Conv2d:
    """The convolution that equals `layer` after an unshuffle by `side`."""
    inputs = layer.in_channels // side**2
    strided = nn.Conv2d(inputs, layer.out_channels, side, stride=side)
    assert layer.bias is not None and strided.bias is not None
    with torch.no_grad():
        strided.weight.copy_(layer.weight.reshape(strided.weight.shape))
        strided.bias.copy_(layer.bias)
    return strided


class HyperAnalysisGraph(nn.Module):
    """What `companded` makes of v (1,2M,h,w) -> z (1,N,h/4,w/4), with strided convolutions too."""

    inputs: ClassVar = {"companded": AT_16}
    outputs: ClassVar = {"z": AT_64}

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.hyper_analysis = _StridedHyper(model.hyper_analysis)

    def forward(self, companded: Tensor) -> Tensor:
        z: Tensor = self.hyper_analysis(companded)
        return z


class _StridedHyper(nn.Module):
    """`HyperAnalysis` with strided convolutions, under the same names."""

    def __init__(self, hyper: HyperAnalysis) -> None:
        super().__init__()
        self.input, self.output = hyper.input, hyper.output
        self.block16, self.block32, self.block64 = hyper.block16, hyper.block32, hyper.block64
        self.down32, self.down64 = _strided(hyper.down32, 2), _strided(hyper.down64, 2)

    def forward(self, companded: Tensor) -> Tensor:
        x = self.block32(self.down32(self.block16(self.input(companded))))
        z: Tensor = self.output(self.block64(self.down64(x)))
        return z


class MeanFeaturesGraph(nn.Module):
    """z_hat, level, unit (1,M,1,1), begin (2,), end (2,) -> features, mu of step 0 in units of v.

    `begin` and `end` are the row and the column of the latents wanted and of what follows them.
    """

    inputs: ClassVar = {"z_hat": AT_64, "level": FIXED, "unit": FIXED, "begin": FIXED, "end": FIXED}
    outputs: ClassVar = {"features": AT_16, "mu": AT_16}

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.mean_features = model.mean_features

    def forward(
        self, z_hat: Tensor, level: Tensor, unit: Tensor, begin: Tensor, end: Tensor
    ) -> tuple[Tensor, Tensor]:
        net = self.mean_features
        x = Part.apply(net.coarse(z_hat, level), begin, end, 2)  # type: ignore[no-untyped-call]
        features, mu = net.fine(x)
        return features, mu * unit


class ContextGraph(nn.Module):
    """features, v_hat known so far, parity, unit -> mu of the next step in units of v."""

    inputs: ClassVar = {"features": AT_16, "known": AT_16, "parity": AT_16, "unit": FIXED}
    outputs: ClassVar = {"mu": AT_16}

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.context = model.context

    def forward(self, features: Tensor, known: Tensor, parity: Tensor, unit: Tensor) -> Tensor:
        mu: Tensor = self.context(features, known / unit, parity) * unit
        return mu


class Synthesis16Graph(nn.Module):
    """v_hat, 1 / gain, level -> what the blocks at 1/16 make of it (1,H/8,W/8,C).

    What comes out of a convolution stays in ONNX Runtime's blocked layout through all residual
    blocks; otherwise every sum of theirs would be taken out of it and put back (a tenth of the
    transform's time). Hence a convolution that changes nothing. What is shuffled leaves that
    layout with its channels last, in an order in which whole runs of them move.
    """

    inputs: ClassVar = {"v_hat": AT_16, "inverse_gain": FIXED, "level": FIXED}
    outputs: ClassVar = {"x8": AT_8_LAST}
    fold = False  # or weights would be stored in another order than the model's

    ones16: Tensor

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.synthesis = model.synthesis
        # Its name has no dot: it is no weight of the model.
        self.register_buffer("ones16", torch.ones(model.config.latents, 1, 1, 1))

    def forward(self, v_hat: Tensor, inverse_gain: Tensor, level: Tensor) -> Tensor:
        net = self.synthesis
        scale, shift = net.film16(level).chunk(2, dim=1)
        x = net.blocks16(_times(v_hat * inverse_gain * (1.0 + scale) + shift, self.ones16))
        return _shuffled(_channels_last(x, net.up, 2), 2)


class Synthesis8Graph(nn.Module):
    """x8 (1,H/8,W/8,C), level -> pixels (1,H,W,3) uint8, which become bytes before they are
    shuffled. As above a convolution changes nothing but the layout."""

    inputs: ClassVar = {"x8": AT_8_LAST, "level": FIXED}
    outputs: ClassVar = {"pixels": PIXELS}
    fold = False  # as above

    ones8: Tensor

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.synthesis = model.synthesis
        self.register_buffer("ones8", torch.ones(model.config.stream8, 1, 1, 1))

    def forward(self, x8: Tensor, level: Tensor) -> Tensor:
        net = self.synthesis
        scale, shift = net.film8(level).chunk(2, dim=1)
        x = x8.permute(0, 3, 1, 2)
        x = net.blocks8(_times(x * (1.0 + scale) + shift, self.ones8))
        return drawn(x, net.output, 8)


def drawn(x: Tensor, layer: nn.Conv2d, side: int) -> Tensor:
    """The pixels (B,side*h,side*w,3) uint8 of the last layer of a network, which gives x_hat - 0.5.

    They become bytes before they are shuffled.
    """
    pixels = _channels_last(x, layer, side, 255.0, 127.5)
    return _shuffled(_Bytes.apply(pixels), side)  # type: ignore[no-untyped-call]


def _channels_last(
    x: Tensor, layer: nn.Conv2d, side: int, scale: float = 1.0, shift: float = 0.0
) -> Tensor:
    """scale * layer(x) + shift, (B,h,w,side*side*C), with C innermost in place of outermost."""
    assert layer.bias is not None
    width = layer.out_channels // side**2
    weight = layer.weight.reshape(width, side**2, *layer.weight.shape[1:]).transpose(0, 1)
    weight = weight.reshape(layer.weight.shape)
    bias = layer.bias.reshape(width, side**2).transpose(0, 1).reshape(-1)
    made = F.conv2d(x, scale * weight, scale * bias + shift, padding=layer.padding)
    return made.permute(0, 2, 3, 1)


def _shuffled(x: Tensor, side: int) -> Tensor:
    """(B,h,w,side*side*C) -> (B,side*h,side*w,C)."""
    b, h, w, runs = x.shape
    x = x.reshape(b, h, w, side, runs // side).transpose(2, 3)
    return x.reshape(b, h * side, w * side, runs // side**2)


class Part(torch.autograd.Function):
    """begin[0] : end[0] of an axis, begin[1] : end[1] of the next one: one operator of ONNX's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, begin: Tensor, end: Tensor, axis: int) -> Tensor:
        for k in range(2):
            x = x.narrow(axis + k, int(begin[k]), int(end[k]) - int(begin[k]))
        return x.clone()

    @staticmethod
    def symbolic(g: Any, x: Any, begin: Any, end: Any, axis: int) -> Any:
        axes = g.op("Constant", value_t=torch.tensor([axis, axis + 1]))
        return g.op("Slice", x, begin, end, axes)


class _Bytes(torch.autograd.Function):
    """Rounded to 0..255, as uint8: one operator of ONNX's in place of three."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.round(x).clamp(0.0, 255.0).to(torch.uint8)

    @staticmethod
    def symbolic(g: Any, x: Any) -> Any:
        scale = g.op("Constant", value_t=torch.tensor(1.0))
        zero = g.op("Constant", value_t=torch.tensor(0, dtype=torch.uint8))
        return g.op("QuantizeLinear", x, scale, zero)


def _times(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(x, weight, groups=len(weight))


class SynthesisGradientGraph(nn.Module):
    """v_hat, 1 / gain, level, x (1,H,W,3) uint8, mask (1,1,H,W) -> distortion, its gradient.

    The distortion is that which the weights were trained for: squared error summed over the mask,
    for pixels in [0,1], or what stands for it to the eye. The gradient (1,M,h,w) is by y_hat.
    """

    inputs: ClassVar = {
        "v_hat": AT_16,
        "inverse_gain": FIXED,
        "level": FIXED,
        "x": PIXELS,
        "mask": MASK,
    }
    outputs: ClassVar = {"error": FIXED, "gradient": AT_16}
    fold = False  # or every weight would be stored twice: as it is, and transposed

    def __init__(self, model: Autoencoder, distortion: Distortion = squared_error) -> None:
        super().__init__()
        self.synthesis = model.synthesis
        self.distortion = distortion

    def forward(
        self, v_hat: Tensor, inverse_gain: Tensor, level: Tensor, x: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        pixels = x.permute(0, 3, 1, 2).float() * (1.0 / 255.0)
        y_hat = v_hat * inverse_gain
        return error_and_gradient(self.synthesis, y_hat, level, pixels, mask, self.distortion)


class ContextGradientGraph(nn.Module):
    """The context's inputs, and the gradient by its mu -> the gradient by what is known."""

    inputs: ClassVar = {**ContextGraph.inputs, "by_mu": AT_16}
    outputs: ClassVar = {"gradient": AT_16}
    fold = False  # as above

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.context = model.context

    def forward(
        self, features: Tensor, known: Tensor, parity: Tensor, unit: Tensor, by_mu: Tensor
    ) -> Tensor:
        return context_gradient(self.context, features, known / unit, parity, by_mu * unit) / unit


GRAPHS: dict[str, Any] = {
    "analysis8": Analysis8Graph,
    "analysis16": Analysis16Graph,
    "hyper_analysis": HyperAnalysisGraph,
    "mean_features": MeanFeaturesGraph,
    "context": ContextGraph,
    "synthesis16": Synthesis16Graph,
    "synthesis8": Synthesis8Graph,
    "synthesis_gradient": SynthesisGradientGraph,
    "context_gradient": ContextGradientGraph,
}
"""Every graph's class by the name of its file. `networks/transforms.py` and `networks/means.py` run
them."""


def write_graph(
    module: nn.Module,
    path: pathlib.Path,
    inputs: dict[str, Tensor],
    outputs: list[str],
    dynamic: dict[str, dict[int, str]],
    *,
    fold: bool = True,
) -> None:
    """Trace a module, and write it as a graph with dynamic axes and float16 weights."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated, and does all we need
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            file,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            do_constant_folding=fold,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes=dynamic,
        )
    graph = onnx.load_from_string(file.getvalue())
    _halve(graph)
    onnx.checker.check_model(graph)
    path.write_bytes(graph.SerializeToString(deterministic=True))


def _halve(model: Any) -> None:
    """Store large weights as float16, cast back to float32 when a session folds its constants."""
    casts = []
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < HALVED_FROM:
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), name + ".half"))
        casts.append(
            onnx.helper.make_node("Cast", [name + ".half"], [name], to=onnx.TensorProto.FLOAT)
        )
    for node in reversed(casts):
        model.graph.node.insert(0, node)


def write_graphs(
    model: Autoencoder, folder: pathlib.Path, distortion: Distortion = squared_error
) -> None:
    """Write every graph of a model as `NAME.onnx`. Encoders refine latents for this distortion."""
    with torch.no_grad():
        for name, graph in GRAPHS.items():
            inputs = {key: _example(key, axes, model) for key, axes in graph.inputs.items()}
            dynamic = {k: axes for k, axes in {**graph.inputs, **graph.outputs}.items() if axes}
            outputs, fold = list(graph.outputs), getattr(graph, "fold", True)
            path = folder / f"{name}.onnx"
            made = graph(model)
            if isinstance(made, SynthesisGradientGraph):
                made.distortion = distortion
            write_graph(made, path, inputs, outputs, dynamic, fold=fold)


def _example(name: str, axes: Axes, model: Autoencoder) -> Tensor:
    """An input to trace a graph with: what is in it does not matter, but its shape and type do."""
    config = model.config
    given = {
        "level": torch.tensor([0.5]),
        "begin": torch.tensor([0, 0]),
        "end": torch.tensor([TRACED["h"], TRACED["w"]]),
    }
    if name in given:
        return given[name]
    channels = {
        "x": 3,
        "x8": config.stream8,
        "companded": 2 * config.latents,
        "z_hat": config.hyper_latents,
        "features": config.mean_features,
        "parity": 1,
        "mask": 1,
    }
    shape = [1, 1, 1, 1]
    shape[3 if 1 in axes else 1] = channels.get(name, config.latents)
    for axis, length in axes.items():
        shape[axis] = TRACED[length]
    if name == "x":
        return torch.zeros(shape, dtype=torch.uint8)
    return torch.ones(shape) if name in ("unit", "inverse_gain", "mask") else torch.zeros(shape)


def held_names(folder: pathlib.Path) -> set[str]:
    """The names, as torch's, of all weights that the graphs in `folder` hold."""
    return {
        tensor.name.removesuffix(".half")
        for path in folder.glob("*.onnx")
        for tensor in onnx.load(path).graph.initializer
    }
