"""Folders of trained weights: finding them, checking them, and what is in them.

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
        README.md                   the model card

The model id, written into every file, is the first 8 bytes of a SHA-256 over the files that
decoding depends on. A file names the weights that it needs; weights are never guessed.

Finding weights and their ids imports nothing heavy; loading them does.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
from typing import TYPE_CHECKING

from aecodec.errors import UnknownModelError, WeightsError
from aecodec.networks.config import ModelConfig
from aecodec.stages import stage

if TYPE_CHECKING:
    import numpy as np

    from aecodec.entropy.coder import TableSet
    from aecodec.entropy.hyperlatents import HyperTables

__all__ = [
    "DECODER_FILES",
    "ENCODER_FILES",
    "Weights",
    "by_id",
    "by_name",
    "card",
    "chosen",
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
TUNED = {"eye": "small-eye", "psnr": "small"}
"""The weights that `--tune` stands for; all others are chosen by their names."""
DEFAULT_TUNE = "psnr"
DEFAULT_MODEL = TUNED[DEFAULT_TUNE]
SEARCH_VARIABLE = "AECODEC_WEIGHTS"
"""Environment variable: more folders of weights, separated as in PATH, searched first."""


def model_id(folder: pathlib.Path) -> bytes:
    """The 8 bytes that name the weights in `folder`."""
    digest = hashlib.sha256()
    for name in DECODER_FILES:
        try:
            content = (folder / name).read_bytes()
        except FileNotFoundError as error:
            raise WeightsError(
                f"{folder}: {name} can't be read: it is missing; weights of another version of"
                " aecodec have to be exported anew"
            ) from error
        except OSError as error:
            raise WeightsError(f"{folder}: {name} can't be read") from error
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.digest()[:8]


def folders() -> dict[str, pathlib.Path]:
    """All folders of weights that are installed here, by name."""
    package = pathlib.Path(__file__).resolve().parents[1]
    roots = [pathlib.Path(p) for p in os.environ.get(SEARCH_VARIABLE, "").split(os.pathsep) if p]
    # In the wheel the weights lie inside the package, in a source checkout beside it.
    roots += [package / "weights_data", package.parent / "weights"]
    found: dict[str, pathlib.Path] = {}
    for root in roots:
        for config in sorted(root.glob("*/config.json")):
            found.setdefault(config.parent.name, config.parent)
    return found


@dataclasses.dataclass(frozen=True, eq=False)
class Weights:
    """What `tables.safetensors` and `config.json` hold. Shapes: S steps, M latents, N z channels.

    `layers` are the integer layers of the scale network, `level_bias` (101, width) and
    `index_offset` (101, S, M) its integers for each quality, `gain` (101, M) float32; row 0 of
    each is unused. `z_band` (101,) says which set of z's tables a quality uses. `curvature`
    (101, M) is for encoders that refine, `preview` (M + 1, 192) for small pictures, and
    `y_thresholds` (T,) says from which magnitude on an encoder codes a symbol other than 0.
    """

    name: str
    folder: pathlib.Path
    id: bytes
    config: ModelConfig
    arrays: dict[str, np.ndarray]
    y_tables: tuple[TableSet, ...]  # of each step
    y_thresholds: tuple[np.ndarray, ...]  # (T,) of each step; infinite where a table is empty
    z_tables: tuple[HyperTables, ...]

    def graph(self, name: str) -> pathlib.Path:
        """The path of a float network."""
        return self.folder / f"{name}.onnx"


def _table_sets(arrays: dict[str, np.ndarray], kind: str) -> list[TableSet]:
    """One TableSet for every row of `KIND_lengths` (sets, tables)."""
    import numpy as np

    from aecodec.entropy.coder import TableSet

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
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    from aecodec.entropy.hyperlatents import HyperTables

    try:
        config = ModelConfig.from_dict(json.loads((folder / "config.json").read_text()))
        arrays = load_file(folder / "tables.safetensors")
        y_tables = tuple(_table_sets(arrays, "y"))
        least = arrays["y_thresholds"]
        y_thresholds = tuple(
            np.where(tables.empty, np.float32("inf"), least) for tables in y_tables
        )
        slope = arrays["z_slope"]
        z_tables = tuple(HyperTables(tables, slope) for tables in _table_sets(arrays, "z"))
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise WeightsError(f"{folder}: not a usable folder of weights: {error}") from error
    tables = y_tables, y_thresholds, z_tables
    return Weights(folder.name, folder, model_id(folder), config, arrays, *tables)


def chosen(model: str | None, tune: str | None) -> str | None:
    """The name of the weights that a caller wants: `model` if there is one, else those of `tune`.

    None for the default ones. Raises ValueError for another tune than TUNED has.
    """
    if tune is not None and tune not in TUNED:
        raise ValueError(f"tune must be {' or '.join(TUNED)}, not {tune!r}")
    return model or (None if tune is None else TUNED[tune])


def by_name(name: str | None = None) -> Weights:
    """The weights called `name`, or the default ones."""
    return load(_folder(name))


def card(name: str | None = None) -> str:
    """The model card, Markdown, of the weights called `name`, or of the default ones."""
    path = _folder(name) / "README.md"
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: the model card can't be read") from error


def _folder(name: str | None) -> pathlib.Path:
    found = folders()
    wanted = name or (DEFAULT_MODEL if DEFAULT_MODEL in found else next(iter(found), ""))
    if wanted not in found:
        have = ", ".join(found) or "none"
        raise WeightsError(f"no weights called {wanted or DEFAULT_MODEL!r} (installed: {have})")
    return found[wanted]


@functools.lru_cache(maxsize=64)
def by_id(wanted: bytes) -> Weights:
    """The weights whose id is `wanted`; UnknownModelError names it where they are not here."""
    found = folders()
    # Those that most files are made with first: an id takes the hash of megabytes.
    for name in sorted(found, key=lambda name: name != DEFAULT_MODEL):
        try:
            matches = model_id(found[name]) == wanted
        except WeightsError:  # no reason why files of others could not be decoded
            continue
        if matches:
            return load(found[name])
    raise UnknownModelError(wanted.hex(), tuple(found))
