"""Folders of trained weights: found, checked and loaded.

    weights/NAME/
        config.json                 ModelConfig
        tables.safetensors          integers: scale network, tables, slopes of z_hat, per-quality
                                    offsets, known answers; floats: gain vectors, channel
                                    deviations, and an encoder's thresholds
        analysis8.onnx, analysis16.onnx, hyper_analysis.onnx needed to compress
        synthesis_gradient.onnx, context_gradient.onnx       needed to compress with more effort
        mean_features.onnx, context.onnx,                    needed to decompress
        synthesis16.onnx, synthesis8.onnx
        training.safetensors        EMA weights to go on training from (optional)
        id.txt                      the model id at the export (optional)
        README.md                   the model card
    weights/denoiser/
        denoise.onnx, noise.onnx    needed to compress with --denoise, whatever the weights
        README.md                   the model card

Every `.aec` file states the model id of its weights: the first 8 bytes of a SHA-256 over the files
that decoding depends on. Weights are never guessed.

Numpy is imported only when weights are loaded, not to find them or their ids.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import sys
from typing import TYPE_CHECKING

from aecodec import forks
from aecodec.errors import KnownAnswerError, UnknownModelError, WeightsError
from aecodec.networks.config import ModelConfig
from aecodec.stages import stage

if TYPE_CHECKING:
    from importlib.abc import Traversable

    from aecodec.arrays import Array, Floats, Ints
    from aecodec.entropy.hyperlatents import HyperTables
    from aecodec.entropy.scales import KnownAnswers, ScaleNetwork, ScaleParameters
    from aecodec.entropy.tables import TableSet

__all__ = [
    "DECODER_FILES",
    "ENCODER_FILES",
    "OperatingPoint",
    "Weights",
    "by_id",
    "by_name",
    "card",
    "chosen",
    "denoiser",
    "folders",
    "model_id",
]

DECODER_FILES = (
    "config.json",
    "tables.safetensors",
    "mean_features.onnx",
    "context.onnx",
    "synthesis16.onnx",
    "synthesis8.onnx",
)
ENCODER_FILES = (
    "analysis8.onnx",
    "analysis16.onnx",
    "hyper_analysis.onnx",
    "synthesis_gradient.onnx",
    "context_gradient.onnx",
)
ID_FILE = "id.txt"
DENOISER, DENOISER_FILES = "denoiser", ("denoise.onnx", "noise.onnx")
ENLARGER, ENLARGER_FILES = "enlarger", ("enlarge.onnx",)
TUNED = {"eye": "small-eye", "psnr": "small"}
"""The weights of each `--tune`; all others are chosen by name."""
DEFAULT_TUNE = "eye"
DEFAULT_MODEL = TUNED[DEFAULT_TUNE]
SEARCH_VARIABLE = "AECODEC_WEIGHTS"
"""Environment variable: further folders of weights, separated as in PATH, searched first."""


def model_id(folder: pathlib.Path) -> bytes:
    """The 8 bytes that name the weights in `folder`.

    Raises WeightsError where a file is missing, or where the files are not those of the export.
    """
    digest = hashlib.sha256()
    for name in DECODER_FILES:
        try:
            content = (folder / name).read_bytes()
        except FileNotFoundError as error:
            raise WeightsError(
                f"{folder}: {name} can't be read: it is missing; weights of another version of"
                " aecodec must be exported again"
            ) from error
        except OSError as error:
            raise WeightsError(f"{folder}: {name} can't be read") from error
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    found = digest.digest()[:8]
    _check_stated(folder, found)
    return found


def _stated(folder: pathlib.Path) -> str | None:
    """The model id that `export` wrote beside the weights; None for weights without it."""
    try:
        return (folder / ID_FILE).read_bytes().decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WeightsError(f"{folder}: {ID_FILE} can't be read") from error


def _check_stated(folder: pathlib.Path, found: bytes) -> None:
    """Refuse weights that are not whole: nobody else could decode a file that they made."""
    stated = _stated(folder)
    if stated is not None and stated != found.hex():
        raise WeightsError(
            f"{folder}: a file of these weights is damaged or was changed: {ID_FILE} has the model"
            f" id {stated[:16] or '(none)'}, and the files have {found.hex()}"
        )


def _roots() -> list[pathlib.Path]:
    """The folders that hold folders of weights, in the order in which they are searched."""
    given = os.environ.get(SEARCH_VARIABLE, "").split(os.pathsep)
    # Graphs are read when they are first needed: the working directory may be another one then.
    roots = [pathlib.Path(root).absolute() for root in given if root]
    package = _package()
    if isinstance(package, pathlib.Path):
        # The weights are inside the package in a wheel, and beside it in a source checkout.
        package = package.resolve()
        roots += [package / "weights_data", package.parent / "weights"]
    return roots


def folders() -> dict[str, pathlib.Path]:
    """All folders of weights that are installed here, by name."""
    found: dict[str, pathlib.Path] = {}
    for root in _roots():
        for config in sorted(root.glob("*/config.json")):
            found.setdefault(config.parent.name, config.parent)
    return found


def denoiser() -> pathlib.Path:
    """The folder of the networks that remove noise. They are no weights that a file names.

    Raises WeightsError where they are not installed.
    """
    return _beside_weights(DENOISER, DENOISER_FILES, "no networks that remove noise are installed")


def enlarger() -> pathlib.Path:
    """The folder of the network that enlarges pictures. Raises WeightsError as `denoiser`."""
    return _beside_weights(ENLARGER, ENLARGER_FILES, "no network that enlarges is installed")


def _beside_weights(name: str, needed: tuple[str, ...], fault: str) -> pathlib.Path:
    for root in _roots():
        if all((root / name / file).is_file() for file in needed):
            return root / name
    raise WeightsError(
        f"{fault}: {name}/{needed[0]} is missing beside the weights and in {SEARCH_VARIABLE}"
    )


@dataclasses.dataclass(frozen=True, eq=False)
class OperatingPoint:
    """The weights at one quality, and how an encoder quantises there. M latent channels."""

    quality: int
    level: Floats  # (1,): the input of the float networks for the quality
    gain: Floats  # (M,1,1): v = gain * y
    unit: Floats  # (1,M,1,1): the standard deviation of each channel of v
    curvature: Floats  # (M,1,1): half the second derivative of the error by an element of y_hat
    bits_per_error: float  # the bits that are worth a squared error of 1, for pixels in [0,1]
    z_tables: HyperTables
    dead_zone: float = 0.0  # for encoders: see coding/quantisation.py
    step_maps: bool = False  # whether tiles have maps of steps: see entropy/steps.py

    @property
    def inverse_gain(self) -> Floats:
        """(1,M,1,1): y_hat = inverse_gain * v_hat, as the synthesis takes it."""
        inverse: Floats = 1.0 / self.gain[None]
        return inverse


@dataclasses.dataclass(frozen=True, eq=False)
class Weights:
    """The content of `tables.safetensors` and `config.json`. M latents, N channels of z, S steps.

    Arrays of 101 rows have one for each quality; row 0 is unused.
    """

    name: str
    folder: pathlib.Path
    id: bytes
    config: ModelConfig
    scale: ScaleParameters
    known: KnownAnswers
    level: Floats  # (101,)
    lagrangian: Floats  # (101,): lambda of bits + lambda * 255^2 * mean squared error
    gain: Floats  # (101,M)
    deviation: Floats  # (M,): the standard deviation of each channel of y
    z_band: Ints  # (101,): the set of tables of z for each quality
    z_tables: tuple[HyperTables, ...]
    y_tables: tuple[TableSet, ...]  # of each step
    y_thresholds: tuple[Floats, ...]  # (T,) of each step: the least magnitude that an encoder
    # codes as a symbol other than 0; infinite where a table is empty
    curvature: Floats  # (101,M), for encoders that refine
    preview: Array  # (M + 1,192) float16, for small pictures

    def at(
        self, quality: int, dead_zone: float = 0.0, *, step_maps: bool = False
    ) -> OperatingPoint:
        """The operating point of a quality from 1 to 100; for an encoder, with a dead zone.

        `step_maps` where the tiles have maps of steps.
        """
        gain = self.gain[quality]
        return OperatingPoint(
            quality=quality,
            level=self.level[quality : quality + 1],
            gain=gain[:, None, None],
            unit=(self.deviation * gain).reshape(1, -1, 1, 1),
            curvature=self.curvature[quality][:, None, None],
            bits_per_error=float(self.lagrangian[quality]) * 255.0**2 / 3.0,
            z_tables=self.z_tables[int(self.z_band[quality])],
            dead_zone=dead_zone,
            step_maps=step_maps,
        )

    def checked_scale_network(self) -> ScaleNetwork:
        """The scale network. Raises KnownAnswerError if this machine computes other indexes."""
        from aecodec.entropy.scales import ScaleNetwork

        network = ScaleNetwork(self.scale)
        if not self.known.agree_with(network):
            raise KnownAnswerError(
                f"{self.folder}: this machine's arithmetic, or this version of aecodec, gives"
                " other table indexes than the weights expect, so files would not decode"
            )
        return network

    def graph(self, name: str) -> pathlib.Path:
        """The path of a float network."""
        return self.folder / f"{name}.onnx"


def _table_sets(arrays: dict[str, Array], kind: str) -> list[TableSet]:
    """One TableSet for every row of `KIND_lengths` (sets, tables)."""
    import numpy as np

    from aecodec.entropy.tables import TableSet

    lengths, first = arrays[f"{kind}_lengths"], arrays[f"{kind}_first"]
    ends = np.cumsum(lengths.sum(axis=1))
    return [
        TableSet(part, row, low)
        for part, row, low in zip(
            np.split(arrays[f"{kind}_probabilities"], ends[:-1]), lengths, first, strict=True
        )
    ]


@functools.lru_cache(maxsize=8)
@stage("loading weights")
def load(folder: pathlib.Path) -> Weights:
    """Read and check a folder of weights. Raises WeightsError naming the folder and the fault."""
    with forks.gate:  # no fork in the middle of an import: the child could never end it
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

    try:
        config = ModelConfig.from_dict(json.loads((folder / "config.json").read_text()))
        with forks.gate:  # it has locks of its own
            arrays = load_file(folder / "tables.safetensors")
        return _weights(folder, config, arrays)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise WeightsError(f"{folder}: not a usable folder of weights: {error}") from error


def _weights(folder: pathlib.Path, config: ModelConfig, arrays: dict[str, Array]) -> Weights:
    import numpy as np

    from aecodec.entropy.hyperlatents import HyperTables
    from aecodec.entropy.scales import KnownAnswers, ScaleParameters

    y_tables = tuple(_table_sets(arrays, "y"))
    least, slope = arrays["y_thresholds"], arrays["z_slope"]
    return Weights(
        name=folder.name,
        folder=folder,
        id=model_id(folder),
        config=config,
        scale=ScaleParameters.of(arrays),
        known=KnownAnswers.of(arrays),
        level=arrays["level"],
        lagrangian=arrays["lambda"],
        gain=arrays["gain"],
        deviation=arrays["std"],
        z_band=arrays["z_band"],
        z_tables=tuple(HyperTables(tables, slope) for tables in _table_sets(arrays, "z")),
        y_tables=y_tables,
        y_thresholds=tuple(np.where(tables.empty, np.float32("inf"), least) for tables in y_tables),
        curvature=arrays["curvature"],
        preview=arrays["preview"],
    )


def chosen(model: str | None, tune: str | None, *, for_psnr: bool = False) -> str | None:
    """The name of the weights that a caller wants: `model` if there is one, else those of `tune`.

    A caller who asks `for_psnr` alone, as by a target, gets the weights that reach one in the
    fewest bytes. None for the default ones. Raises ValueError for another tune than TUNED has.
    """
    if tune is not None and tune not in TUNED:
        raise ValueError(f"tune must be {' or '.join(TUNED)}, not {tune!r}")
    if tune is None and for_psnr:
        tune = "psnr"
    return model or (None if tune is None else TUNED[tune])


def by_name(name: str | None = None) -> Weights:
    """The weights called `name`, or the default ones."""
    return load(_folder(name))


def card(name: str | None = None) -> str:
    """The model card, Markdown, of the weights called `name`, or of the default ones.

    The networks that are no weights have cards, too, under the names `denoiser` and `enlarger`.
    """
    others = {DENOISER: denoiser, ENLARGER: enlarger}
    path = others.get(name or "", lambda: _folder(name))() / "README.md"
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: the model card can't be read") from error


def _package() -> Traversable:
    """Where the package is: a folder, or something in an archive."""
    folder = pathlib.Path(__file__).parents[1]
    if folder.is_dir():
        return folder
    import importlib.resources  # it takes longer than finding the weights

    return importlib.resources.files("aecodec")


def _why_none() -> str:
    """What may be the reason where no weights are found at all."""
    package = _package()
    if not isinstance(package, pathlib.Path):
        return (
            f": aecodec is in the archive {package}, and its weights are read from a folder; unpack"
            f" aecodec/weights_data, and name that folder in {SEARCH_VARIABLE}"
        )
    if getattr(sys, "frozen", False):
        return ": this program was frozen without them; PyInstaller needs --collect-data aecodec"
    return f": neither {package / 'weights_data'} nor {SEARCH_VARIABLE} has any"


def _folder(name: str | None) -> pathlib.Path:
    found = folders()
    wanted = name or (DEFAULT_MODEL if DEFAULT_MODEL in found else next(iter(found), ""))
    if wanted not in found:
        have = ", ".join(found) or "none"
        why = f"; {SEARCH_VARIABLE} names folders of further weights" if found else _why_none()
        raise WeightsError(
            f"no weights called {wanted or DEFAULT_MODEL!r} (installed: {have}){why}"
        )
    return found[wanted]


@functools.lru_cache(maxsize=64)
def by_id(wanted: bytes) -> Weights:
    """The weights whose id is `wanted`; UnknownModelError names it where they are not here."""
    found = folders()
    # Those that most files are made with first: an id takes the hash of megabytes.
    for name in sorted(found, key=lambda name: name != DEFAULT_MODEL):
        try:
            matches = model_id(found[name]) == wanted
        except WeightsError:
            if _stated(found[name]) == wanted.hex():
                raise  # those are wanted, and not whole
            continue  # no reason why files of others could not be decoded
        if matches:
            return load(found[name])
    raise UnknownModelError(wanted.hex(), tuple(found))
