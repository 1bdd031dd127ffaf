"""From a training run to a folder of weights: `aecodec export RUN`.

Writes what `networks/weights.py` reads: ONNX graphs, the integer scale network, the integer tables
counted on training pictures, the known answers, the config, and a model card to complete.
Everything is written to a temporary folder beside the target, which then replaces the target. A
target that holds anything but weights is refused.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.numpy import save_file
from torch import Tensor, nn

from aecodec import files
from aecodec.arrays import Pixels
from aecodec.codec import Codec
from aecodec.entropy.fixed_point import ACTIVATION_BITS, WEIGHT_BITS
from aecodec.entropy.padding import TileShape
from aecodec.entropy.scales import ScaleNetwork, ScaleParameters, Scales, bounds
from aecodec.errors import OutputError, OutputExistsError, one_line
from aecodec.image.rgb import read
from aecodec.model import Autoencoder
from aecodec.model.gradient import Distortion, squared_error
from aecodec.model.layers import lambda_of
from aecodec.networks import weights
from aecodec.networks.config import QUALITIES, ModelConfig
from aecodec.training.calibration import calibrate
from aecodec.training.card import CARD, has_sources, new_card, renewed_card
from aecodec.training.channels import measure_activity, pruned
from aecodec.training.checkpoint import EXPORTED, load_ema
from aecodec.training.curvature import measure_curvature
from aecodec.training.data import Photographs, find_photographs, split_validation
from aecodec.training.eye_gradient import EyeDistortion
from aecodec.training.graphs import HALVED_FROM, held_names, write_graphs
from aecodec.training.preview import fit_preview
from aecodec.training.sources import Sources
from aecodec.training.tables import Counts, count

__all__ = ["export"]

Arrays = dict[str, npt.NDArray[Any]]


def _fixed(x: Tensor, bits: int) -> npt.NDArray[np.int32]:
    values = torch.floor(x.detach().double() * 2.0**bits + 0.5)
    if float(values.abs().max()) >= 2**31:
        raise ValueError("a weight of the scale network is too large for its integers")
    return values.numpy().astype(np.int32)


def _integer_network(model: Autoencoder, levels: Tensor) -> Arrays:
    """The integers of the scale network; checks that no accumulator can reach 2^31."""
    net = model.scale_network
    arrays: Arrays = {}
    for name, bits in WEIGHT_BITS.items():
        layer: nn.Conv2d = getattr(net, name)
        weight = _fixed(layer.weight, bits)
        arrays[f"scale.{name}.weight"] = weight[:, 0] if layer.groups > 1 else weight[:, :, 0, 0]
        if layer.bias is not None:
            arrays[f"scale.{name}.bias"] = _fixed(layer.bias, bits + ACTIVATION_BITS)
    arrays["scale.sizes"] = _fixed(torch.log2(1.0 + torch.arange(128.0)), ACTIVATION_BITS)
    arrays["scale.level_bias"] = _fixed(net.level_bias(levels)[:, :, 0, 0], ACTIVATION_BITS)
    offset = net.offset(levels).reshape(len(levels), net.steps, -1)
    arrays["scale.index_offset"] = _fixed(offset, ACTIVATION_BITS)
    arrays["scale.tables"] = np.array([model.config.tables], np.int32)
    for name, bound in bounds(ScaleParameters.of(arrays)).items():
        if bound >= 2**31:
            raise ValueError(f"scale network, {name}: an accumulator could reach {bound}")
    return arrays


def _known_answers(net: Arrays, config: ModelConfig) -> Arrays:
    rng = np.random.default_rng(20220)
    z_hat = np.rint(rng.normal(0.0, 4.0, (config.hyper_latents, 2, 2))).astype(np.int32)
    qualities = np.array([1, 50, 100], np.int32)
    symbols = np.rint(rng.laplace(0.0, 3.0, (config.latents, 5, 6))).astype(np.int32)
    tile = TileShape.of(symbols)
    first = tile.board.row(symbols, 0)
    index = []
    network = ScaleNetwork(ScaleParameters.of(net))
    for quality in qualities:
        scales = Scales(network, z_hat, int(quality), tile)
        index.append(tile.board.whole(scales.first, scales.after(first)))
    return {
        "known.z_hat": z_hat,
        "known.symbols": tile.board.whole(first),
        "known.q": qualities,
        "known.index": np.stack(index),
    }


def _by_quality(model: Autoencoder, levels: npt.NDArray[np.float32]) -> Arrays:
    """Everything that depends on the quality, for qualities 0..100 (0 is unused)."""
    config, level = model.config, torch.from_numpy(levels)
    arrays = _integer_network(model, level)
    bands = np.minimum((levels * config.z_bands).astype(np.int32), config.z_bands - 1)
    with torch.no_grad():
        lam = lambda_of(level, config.lambda_min, config.lambda_max)
        arrays |= {
            "level": levels,
            "lambda": lam.numpy().astype(np.float32),
            "z_band": bands,
            "gain": model.gain(level)[:, :, 0, 0].numpy(),
            "std": torch.exp(model.log_std).numpy(),
            "y_thresholds": model.thresholds().numpy().astype(np.float32),
        }
    return arrays | _known_answers(arrays, config)


def _not_yet_measured(config: ModelConfig) -> Arrays:
    """Zeros in the place of what is measured last, with a codec that needs none of it."""
    return {
        "curvature": np.zeros((QUALITIES + 1, config.latents), np.float32),
        "preview": np.zeros((config.latents + 1, 192), np.float16),
    }


def _round_to_half(model: Autoencoder) -> None:
    """Give the torch model exactly the weights that the graphs will hold."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if not name.startswith("scale_network.") and p.numel() >= HALVED_FROM:
                p.copy_(p.half().float())


def _save(arrays: Arrays, path: pathlib.Path, metadata: dict[str, str] | None = None) -> None:
    """Write a file of safetensors. Raises OutputError."""
    try:
        save_file(arrays, path, metadata=metadata)
    except SafetensorError as error:
        raise OutputError(f"cannot write {path.name}: {one_line(error)}") from error


def _write_arrays(arrays: Arrays, folder: pathlib.Path) -> Codec:
    """Write `tables.safetensors`, and open the codec on the folder as it is then."""
    contiguous = {k: np.ascontiguousarray(v) for k, v in arrays.items()}
    _save(contiguous, folder / "tables.safetensors")
    weights.load.cache_clear()
    return Codec(weights.load(folder))


def _write_tables(
    model: Autoencoder,
    config: ModelConfig,
    folder: pathlib.Path,
    crops: list[Pixels],
    calibration: list[Pixels],
    distortion: Distortion,
) -> None:
    """Write `tables.safetensors`, each part measured with the codec that has those before it."""
    levels = np.linspace(0.0, 1.0, QUALITIES + 1, dtype=np.float32)
    arrays = _by_quality(model, levels) | Counts(config).arrays(model) | _not_yet_measured(config)
    codec = _write_arrays(arrays, folder)
    arrays |= count(codec, crops).arrays(model)
    codec = _write_arrays(arrays, folder)
    arrays |= _by_quality(model, calibrate(codec, calibration))
    codec = _write_arrays(arrays, folder)
    arrays["curvature"] = measure_curvature(model, codec, crops[:12], distortion)
    arrays["preview"] = fit_preview(codec, crops[:96])
    _write_arrays(arrays, folder)
    weights.load.cache_clear()


def _calibration_pictures(
    folder: pathlib.Path | None, held_out: list[pathlib.Path]
) -> list[Pixels]:
    if folder is not None:
        found = [p for p in map(read, find_photographs(folder)) if p is not None]
        where = str(folder)
    else:
        found = [p[:512, :512] for p in map(read, held_out) if p is not None]
        where = "of four or more photographs some are held out"
    if not found:
        raise ValueError(f"no picture to calibrate the qualities on could be read: {where}")
    return found


def export(
    run: pathlib.Path,
    out: pathlib.Path,
    *,
    photographs: pathlib.Path,
    calibrate_on: pathlib.Path | None = None,
    pictures: int = 160,
    prune: bool = True,
    force: bool = False,
) -> dict[str, Any]:
    """Write the EMA weights of a run as a folder that the codec loads.

    Args:
        photographs: the training pictures; the tables are counted on a sample of them.
        calibrate_on: pictures on which quality q gets the mean PSNR of JPEG at quality q, or its
            mean SSIMULACRA 2 if the run was for the eye; None takes the held-out training pictures.
        pictures: the number of crops for counting the tables.
        prune: leave out hidden channels of the transforms that contribute nothing.
        force: replace weights that are in `out`. Files that name them can't be decoded without.
    Returns: facts for the model card, and whether it has a table of the sources. A card that is
        there already is kept, and its table renewed.
    Raises: ValueError for an unusable run or folder, OutputExistsError for a folder `out` that is
        not empty and may not be replaced, OutputError.
    """
    _check_target(out, force=force)
    model, facts = load_ema(run)
    settings = facts["settings"]
    licences = tuple(settings.get("licences", ()))
    found = Sources(photographs).allowed(find_photographs(photographs), licences)
    paths, held_out = split_validation(found, settings["validation"])
    calibration = _calibration_pictures(calibrate_on, held_out)
    rng = np.random.default_rng(7)
    chosen = [paths[i] for i in rng.permutation(len(paths))[:pictures]]
    crop = min(256, settings["crop"])
    source = Photographs(chosen, smallest=crop)
    crops = [np.ascontiguousarray(source.crop(rng, crop)) for _ in chosen]
    if prune:
        model = pruned(model, measure_activity(model, source, batch=8, crop=crop, seed=0))
        facts = facts | {"config": dataclasses.asdict(model.config)}
    _round_to_half(model)

    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    objective = settings.get("objective", "psnr")  # runs of before had no choice
    distortion = EyeDistortion(settings["mse_share"]) if objective == "eye" else squared_error
    config = dataclasses.replace(model.config, name=out.resolve().name, objective=objective)
    with files.making_folder(out) as made:
        (made / "config.json").write_text(config.to_json())
        write_graphs(model, made, distortion)
        _write_tables(model, config, made, crops, calibration, distortion)
        (made / weights.ID_FILE).write_text(weights.model_id(made).hex() + "\n", "ascii")
        _write_rest(model, facts, made)
        card = _card(out / CARD, config, facts)
        (made / CARD).write_text(card, "utf-8")
        for path in made.iterdir():  # safetensors writes for the owner's eyes alone
            path.chmod(0o644)
        _check_target(out, force=force)  # much may have happened since
    kept = {k: facts[k] for k in ("step", "elapsed", "pixels", "origin")}
    return {**kept, "card_names_sources": has_sources(card)}


def _check_target(out: pathlib.Path, *, force: bool) -> None:
    """Refuse a folder that holds anything but weights, and weights too without `force`.

    Raises OutputExistsError.
    """
    name = files.shown(str(out))
    if not out.exists():
        return
    if not out.is_dir():
        raise OutputExistsError(f"{name} is a file, not a folder of weights: choose another output")
    real = out.resolve()
    if real == pathlib.Path.cwd() or real.is_mount():
        raise OutputExistsError(f"{name} cannot be replaced as a whole: choose a folder in it")
    there = {path.name for path in out.iterdir() if path.is_file() and not path.is_symlink()}
    own = {*weights.DECODER_FILES, *weights.ENCODER_FILES, weights.ID_FILE, EXPORTED, CARD}
    if "config.json" in there:  # graphs of another version have other names
        own |= {file for file in there if file.endswith(".onnx")}
    others = sorted(path.name for path in out.iterdir() if path.name not in there & own)
    if others:
        raise OutputExistsError(
            f"{name} holds {files.shown(others[0])}, which is no part of weights: choose another"
            " output"
        )
    if there - {CARD} and not force:
        raise OutputExistsError(
            f"{name} holds weights already: -f replaces them. Files made with them can then not be"
            " decoded"
        )


def _card(path: pathlib.Path, config: ModelConfig, facts: dict[str, Any]) -> str:
    """A new card, or the one that is there with the sources of this run."""
    if path.exists():
        return renewed_card(path.read_text("utf-8"), facts)
    return new_card(config, facts)


def _write_rest(model: Autoencoder, facts: dict[str, Any], folder: pathlib.Path) -> None:
    """Write what training needs and the graphs do not hold. `load_ema` reads both."""
    held = held_names(folder)
    state = {k: v for k, v in model.state_dict().items() if k not in held}
    rest = {f"ema.{k}": v.contiguous().numpy() for k, v in state.items()}
    _save(rest, folder / EXPORTED, {"run": json.dumps(facts)})
