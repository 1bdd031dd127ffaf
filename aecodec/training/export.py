"""From a training run to a folder of weights: `aecodec export RUN`.

Writes what `weights.py` reads: ONNX graphs with dynamic height and width (weights in float16, cast
when loaded), the integer scale network, the integer tables counted on training pictures, the
known answers, the config, and a model card to be completed. Everything is written to a temporary
folder beside the target, which then takes its place.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import math
import os
import pathlib
import shutil
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from PIL import Image
from safetensors.numpy import save_file
from torch import Tensor, nn

from aecodec import prior
from aecodec.config import QUALITIES, ModelConfig
from aecodec.model import Autoencoder
from aecodec.model.layers import lambda_of
from aecodec.model.transforms import clamp_pixels
from aecodec.training.checkpoint import EXPORTED, load_ema
from aecodec.training.data import Photographs, Pixels, decode, find_photographs, split_validation
from aecodec.training.tables import Histogram

__all__ = ["export"]

Arrays = dict[str, npt.NDArray[Any]]
OPSET = 17
Z_REACH = 48
"""z's tables hold -Z_REACH..Z_REACH at most; beyond, escapes."""


# --- The float networks as graphs ---------------------------------------------------------------


class _AnalysisGraph(nn.Module):
    """x (1,H,W,3) uint8 -> y (1,M,H/16,W/16)."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.analysis = model.analysis

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.analysis(x.permute(0, 3, 1, 2).float() * (1.0 / 255.0))
        return y


class _HyperAnalysisGraph(nn.Module):
    """v (1,M,h,w) -> z (1,N,h/4,w/4)."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.hyper_analysis = model.hyper_analysis

    def forward(self, v: Tensor) -> Tensor:
        z: Tensor = self.hyper_analysis(v)
        return z


class _MeanFeaturesGraph(nn.Module):
    """z_hat, level, unit (1,M,1,1) -> features, mu of step 0 in units of v."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.mean_features = model.mean_features

    def forward(self, z_hat: Tensor, level: Tensor, unit: Tensor) -> tuple[Tensor, Tensor]:
        features, mu = self.mean_features(z_hat, level)
        return features, mu * unit


class _ContextGraph(nn.Module):
    """features, v_hat known so far, parity, unit -> mu of the next step in units of v."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.context = model.context

    def forward(self, features: Tensor, known: Tensor, parity: Tensor, unit: Tensor) -> Tensor:
        mu: Tensor = self.context(features, known / unit, parity) * unit
        return mu


class _SynthesisGraph(nn.Module):
    """v_hat, 1 / gain, level -> pixels (1,16h,16w,3) uint8."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.synthesis = model.synthesis

    def forward(self, v_hat: Tensor, inverse_gain: Tensor, level: Tensor) -> Tensor:
        x_hat = self.synthesis(v_hat * inverse_gain, level)
        return clamp_pixels(x_hat).to(torch.uint8).permute(0, 2, 3, 1)


def _write_graph(
    module: nn.Module,
    path: pathlib.Path,
    inputs: dict[str, Tensor],
    outputs: list[str],
    dynamic: dict[str, dict[int, str]],
) -> None:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated, and does all we need
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            file,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
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
        if values.dtype != np.float32 or values.size < 256:
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), name + ".half"))
        casts.append(
            onnx.helper.make_node("Cast", [name + ".half"], [name], to=onnx.TensorProto.FLOAT)
        )
    for node in reversed(casts):
        model.graph.node.insert(0, node)


def _write_graphs(model: Autoencoder, folder: pathlib.Path) -> None:
    m, n, f = model.config.latents, model.config.hyper_latents, model.config.mean_features
    level, unit = torch.tensor([0.5]), torch.ones(1, m, 1, 1)
    y = torch.zeros(1, m, 8, 12)
    hw = {2: "h", 3: "w"}
    with torch.no_grad():
        _write_graph(
            _AnalysisGraph(model),
            folder / "analysis.onnx",
            {"x": torch.zeros(1, 128, 192, 3, dtype=torch.uint8)},
            ["y"],
            {"x": {1: "H", 2: "W"}, "y": hw},
        )
        _write_graph(
            _HyperAnalysisGraph(model), folder / "hyper_analysis.onnx", {"v": y}, ["z"],
            {"v": hw, "z": {2: "h64", 3: "w64"}},
        )  # fmt: skip
        _write_graph(
            _MeanFeaturesGraph(model),
            folder / "mean_features.onnx",
            {"z_hat": torch.zeros(1, n, 2, 3), "level": level, "unit": unit},
            ["features", "mu"],
            {"z_hat": {2: "h64", 3: "w64"}, "features": hw, "mu": hw},
        )
        _write_graph(
            _ContextGraph(model),
            folder / "context.onnx",
            {"features": torch.zeros(1, f, 8, 12), "known": y,
             "parity": torch.zeros(1, 1, 8, 12), "unit": unit},
            ["mu"],
            {"features": hw, "known": hw, "parity": hw, "mu": hw},
        )  # fmt: skip
        _write_graph(
            _SynthesisGraph(model),
            folder / "synthesis.onnx",
            {"v_hat": y, "inverse_gain": unit, "level": level},
            ["pixels"],
            {"v_hat": hw, "pixels": {1: "H", 2: "W"}},
        )


# --- The integer network ------------------------------------------------------------------------


def _fixed(x: Tensor, bits: int) -> npt.NDArray[np.int32]:
    values = torch.floor(x.detach().double() * 2.0**bits + 0.5)
    if float(values.abs().max()) >= 2**31:
        raise ValueError("a weight of the scale network is too large for its integers")
    return values.numpy().astype(np.int32)


def _integer_network(model: Autoencoder, levels: Tensor) -> Arrays:
    """The scale network's integers; checks that no accumulator can reach 2^31."""
    net = model.scale_network
    arrays: Arrays = {}
    for name in ("input", "dw64", "up", "dw16", "output"):
        layer: nn.Conv2d = getattr(net, name)
        assert layer.bias is not None
        weight = _fixed(layer.weight, prior.WEIGHT_BITS)
        bias = _fixed(layer.bias, prior.WEIGHT_BITS + prior.ACTIVATION_BITS)
        weight = weight[:, 0] if layer.groups > 1 else weight[:, :, 0, 0]
        reach = np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(axis=1)
        bound = int((reach * prior.ACTIVATION_LIMIT + np.abs(bias.astype(np.int64))).max())
        if bound + (1 << prior.WEIGHT_BITS) >= 2**31:
            raise ValueError(f"scale network, {name}: an accumulator could reach {bound}")
        arrays |= {f"scale.{name}.weight": weight, f"scale.{name}.bias": bias}
    arrays["scale.level_bias"] = _fixed(net.level_bias(levels)[:, :, 0, 0], prior.ACTIVATION_BITS)
    offset = net.offset(levels).reshape(len(levels), net.steps, -1)
    arrays["scale.index_offset"] = _fixed(offset, prior.ACTIVATION_BITS)
    arrays["scale.tables"] = np.array([model.config.tables], np.int32)
    return arrays


def _known_answers(net: Arrays, config: ModelConfig) -> Arrays:
    rng = np.random.default_rng(20220)
    z_hat = np.rint(rng.normal(0.0, 4.0, (config.hyper_latents, 2, 2))).astype(np.int32)
    qualities = np.array([1, 50, 100], np.int32)
    index = np.stack([prior.scale_indexes(net, z_hat, int(q), 5, 6) for q in qualities])
    return {"known.z_hat": z_hat, "known.q": qualities, "known.index": index}


# --- Calibration of the quality -----------------------------------------------------------------


def _psnr(error: npt.NDArray[np.float64]) -> float:
    return float(10.0 * np.log10(255.0**2 / max(float(np.mean(error**2)), 1e-9)))


def _pictures(folder: pathlib.Path) -> list[Pixels]:
    found = [p for p in map(decode, find_photographs(folder)) if p is not None]
    return [
        np.ascontiguousarray(p[: p.shape[0] // 64 * 64, : p.shape[1] // 64 * 64]) for p in found
    ]


def _tensor(pixels: Pixels) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255.0


@torch.no_grad()
def _calibrate(model: Autoencoder, pictures: list[Pixels]) -> npt.NDArray[np.float32]:
    """Levels (101,) such that quality q has the mean PSNR that JPEG 4:2:0 has at quality q.

    Below 5 and above 92 the levels go on evenly to the ends of the trained range, so that 1 is
    the smallest and 100 the best that the weights can do.
    """
    targets = []
    anchors = list(range(5, 93, 3))
    for quality in anchors:
        row = []
        for pixels in pictures:
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "JPEG", quality=quality, optimize=True)
            with Image.open(file) as image:
                row.append(_psnr(np.asarray(image.convert("RGB")).astype(np.float64) - pixels))
        targets.append(float(np.mean(row)))
    grid = np.linspace(0.0, 1.0, 11)
    means = []
    for level in grid:
        row = []
        for pixels in pictures:
            x = _tensor(pixels)
            output = model(x, torch.tensor([level], dtype=torch.float32), noise=False)
            error = clamp_pixels(output.x_hat) - x * 255.0
            row.append(_psnr(error.numpy().astype(np.float64)))
        means.append(float(np.mean(row)))
    if any(b <= a for a, b in itertools.pairwise(means)):
        raise ValueError("the model's PSNR does not rise with the level: train longer")
    fitted = np.interp(targets, means, grid)
    levels = np.interp(
        np.arange(QUALITIES + 1), [1, *anchors, QUALITIES], [0.0, *fitted.tolist(), 1.0]
    )
    # Strictly rising even where JPEG's curve leaves the trained range.
    levels = np.maximum.accumulate(levels + 1e-4 * np.arange(QUALITIES + 1))
    return (levels / max(1.0, float(levels.max()))).astype(np.float32)


# --- Tables -------------------------------------------------------------------------------------


def _z_bands(levels: npt.NDArray[np.float32], bands: int) -> npt.NDArray[np.int32]:
    """The band of every quality: equal spans of the level."""
    return np.minimum((levels * bands).astype(np.int32), bands - 1)


@torch.no_grad()
def _tables(model: Autoencoder, pictures: list[Pixels], z_band: npt.NDArray[np.int32]) -> Arrays:
    config = model.config
    y_counts = Histogram(config.tables, 2048)
    z_counts = [Histogram(config.hyper_latents, 256) for _ in range(config.z_bands)]
    model.scale_network.rounding = True
    channels = np.arange(config.hyper_latents)
    for k, pixels in enumerate(pictures):
        x = _tensor(pixels)
        for band in range(config.z_bands):
            # Levels spread over the band, another set for each picture.
            level = (band + (k * 0.618034) % 1.0) / config.z_bands
            output = model(x, torch.tensor([level], dtype=torch.float32), noise=False)
            index = output.index.round().clamp(0, config.tables - 1).numpy().astype(np.uint8)
            y_counts.add(index.ravel(), np.rint(output.symbols.numpy()).astype(np.int32).ravel())
            z = np.rint(output.z.numpy()).astype(np.int32)[0]
            z_counts[band].add(np.repeat(channels, z[0].size), z.ravel())
    arrays = _y_tables(model, y_counts)
    arrays |= _z_tables(model, z_counts)
    arrays["z_band"] = z_band
    return arrays


def _flat(sets: list[list[tuple[npt.NDArray[np.uint32], int]]], kind: str) -> Arrays:
    return {
        f"{kind}_probabilities": np.concatenate([p for row in sets for p, _ in row]),
        f"{kind}_lengths": np.array([[len(p) for p, _ in row] for row in sets], np.int32),
        f"{kind}_first": np.array([[first for _, first in row] for row in sets], np.int32),
    }


def _y_tables(model: Autoencoder, counts: Histogram) -> Arrays:
    config = model.config
    row: list[tuple[npt.NDArray[np.uint32], int]] = []
    for t in range(config.tables):
        column = counts.counts[t].astype(np.float64)
        zero = column[counts.reach]
        if t == 0 and column.sum() - zero < 2e-4 * column.sum():
            row.append((np.empty(0, np.uint32), 0))  # zero, and not coded at all
            continue
        scale_log2 = config.scale_log2_min + config.scale_log2_step * t
        reach = min(1500, math.ceil(8.0 * 2.0**scale_log2) + 2)
        symbols = torch.arange(-reach, reach + 1, dtype=torch.float64)
        mass = model.mass(symbols, torch.tensor(scale_log2)).double().clamp(min=0.0).numpy()
        tail = max(1e-7, (1.0 - float(mass.sum())) / 2.0)
        shape = np.concatenate([[tail], mass + 1e-9, [tail]])
        row.append((counts.table(t, shape, -reach, weight=3000.0, even=True), -reach))
    return _flat([row], "y")


def _z_tables(model: Autoencoder, counts: list[Histogram]) -> Arrays:
    config = model.config
    symbols = torch.arange(-Z_REACH, Z_REACH + 1, dtype=torch.float32)
    grid = symbols.reshape(1, 1, 1, -1).expand(1, config.hyper_latents, 1, -1)
    sets = []
    for band, histogram in enumerate(counts):
        level = torch.tensor([(band + 0.5) / config.z_bands])
        mass = torch.exp2(-model.z_prior(grid, level))[0, :, 0].double().numpy()
        row = []
        for c in range(config.hyper_latents):
            seen = np.flatnonzero(histogram.counts[c]) - histogram.reach
            low = max(-Z_REACH, int(seen.min()) - 4)
            high = min(Z_REACH, int(seen.max()) + 4)
            inner = mass[c, low + Z_REACH : high + Z_REACH + 1] + 1e-7
            shape = np.concatenate([[1e-5], inner, [1e-5]])
            row.append((histogram.table(c, shape, low, weight=100.0, even=False), low))
        sets.append(row)
    return _flat(sets, "z")


# --- The whole ----------------------------------------------------------------------------------


def _round_to_half(model: Autoencoder) -> None:
    """Give the torch model the very weights that the graphs will hold."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if not name.startswith("scale_network.") and p.numel() >= 256:
                p.copy_(p.half().float())


def export(
    run: pathlib.Path,
    out: pathlib.Path,
    *,
    photographs: pathlib.Path,
    calibrate: pathlib.Path | None = None,
    pictures: int = 96,
) -> dict[str, Any]:
    """Write the EMA weights of a run as a folder that the codec loads.

    Args:
        photographs: the training pictures, on a sample of which the tables are counted.
        calibrate: pictures on which quality q gets the mean PSNR of JPEG at quality q; the
            held-out training pictures where None.
    Returns: facts for the model card.
    """
    model, facts = load_ema(run)
    _round_to_half(model)
    config = model.config
    settings = facts["settings"]
    paths, held_out = split_validation(find_photographs(photographs), settings["validation"])
    if calibrate is not None:
        sample = _pictures(calibrate)
    else:
        sample = [p[:512, :512] for p in map(decode, held_out) if p is not None]
        sample = [p[: p.shape[0] // 64 * 64, : p.shape[1] // 64 * 64] for p in sample]
    levels = _calibrate(model, sample)

    rng = np.random.default_rng(7)
    chosen = [paths[i] for i in rng.permutation(len(paths))[:pictures]]
    source = Photographs(chosen, smallest=min(256, settings["crop"]))
    side = 256
    crops = [source.crop(rng, side) for _ in range(pictures)]

    arrays = _integer_network(model, torch.from_numpy(levels))
    arrays |= _tables(model, crops, _z_bands(levels, config.z_bands))
    arrays |= _known_answers(arrays, config)
    with torch.no_grad():
        arrays["gain"] = model.gain(torch.from_numpy(levels))[:, :, 0, 0].numpy()
        arrays["std"] = torch.exp(model.log_std).numpy()
    arrays["level"] = levels
    lam = lambda_of(torch.from_numpy(levels), config.lambda_min, config.lambda_max)
    arrays["lambda"] = lam.numpy().astype(np.float32)

    temporary = out.with_name(out.name + ".partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    config = dataclasses.replace(config, name=out.name)
    (temporary / "config.json").write_text(config.to_json())
    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()},
              temporary / "tables.safetensors")  # fmt: skip
    _write_graphs(model, temporary)
    _write_rest(model, facts, temporary)
    for path in temporary.iterdir():  # safetensors writes for the owner's eyes alone
        path.chmod(0o644)
    card = out / "README.md"
    (temporary / "README.md").write_text(
        card.read_text() if card.exists() else _card(config, facts)
    )
    if out.exists():
        shutil.rmtree(out)
    os.replace(temporary, out)
    return {k: facts[k] for k in ("step", "elapsed", "pixels", "origin")}


def _write_rest(model: Autoencoder, facts: dict[str, Any], folder: pathlib.Path) -> None:
    """What training needs and the graphs don't hold: `load_ema` puts both together."""
    held = {
        tensor.name.removesuffix(".half")
        for path in folder.glob("*.onnx")
        for tensor in onnx.load(path).graph.initializer
    }
    state = {k: v for k, v in model.state_dict().items() if k not in held}
    rest = {f"ema.{k}": v.contiguous().numpy() for k, v in state.items()}
    save_file(rest, folder / EXPORTED, metadata={"run": json.dumps(facts)})


def _card(config: ModelConfig, facts: dict[str, Any]) -> str:
    settings = facts["settings"]
    return f"""# {config.name}

Weights of aecodec, one set for every quality from 1 to 100.

| | |
|---|---|
| steps | {facts["step"]} |
| pixels seen | {facts["pixels"] / 1e6:.0f} megapixels |
| hours | {facts["elapsed"] / 3600:.2f} |
| batch, crop | {settings["batch"]} x {settings["crop"]} px |
| optimiser | {settings["optimiser"]}, learning rate {settings["lr"]} |

To be completed: data and licences, measured figures, intended use, limits, date.
"""
