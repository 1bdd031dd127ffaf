"""The state of a training run, and how it is kept on disk.

A checkpoint is one safetensors file: weights, EMA weights, the optimiser's state, and in its
header, as JSON, the config, the settings and the progress. It is replaced atomically, so that a
kill at any moment leaves the one before or the new one.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
import statistics
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from aecodec.errors import OutputError, one_line
from aecodec.model import Autoencoder
from aecodec.networks.config import OBJECTIVES, ModelConfig
from aecodec.training.optim import STATE_KEYS, SoapAdam, parameter_groups

__all__ = ["CHECKPOINT", "Run", "Settings", "load_ema", "objective_of", "read_facts", "read_shape"]

CHECKPOINT = "checkpoint.safetensors"
EXPORTED = "training.safetensors"
LENGTHS = 200
"""So many steps tell how long a gradient usually is; and half as many, at the start."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to train. Stored in the checkpoint.

    What a resumed run may change without a note is marked (*).
    """

    size: str = "small"
    steps: int | None = None  # (*) length of the schedule in steps, or ...
    minutes: float | None = None  # (*) ... in minutes of training time
    batch: int = 8
    accumulate: int = 1
    crop: int = 256
    lr: float = 2.5e-3  # (*)
    optimiser: str = "adam"  # or "soap"
    warmup: int = 150
    decay_from: float = 0.3  # (*) share of the schedule after which the rate falls to zero
    rounding_from: float = 0.9  # (*) share after which the scale network is trained rounded
    drawings: float = 0.01  # (*) share of the crops that are drawn upon
    illustrations: float = 0.0  # (*) share of the crops that become illustrations
    enlarged: float = 0.0  # (*) share of the crops that show a part of themselves enlarged
    # The weakest and the strongest noise, in 8-bit levels, that is added to the crops that the
    # encoder sees. The loss is against the clean ones. None: no noise.
    noise: tuple[float, float] | None = None
    clip: float = 1.0  # (*) photographs' gradients are half as long; drawings', up to 5,000
    # (*) Times the usual length: a longer gradient is left out. Clipping alone once let a drawing
    # lead base away: the next eleven steps were all wrong, and 17,000 more did not bring it back.
    outlier: float = 50.0
    ema: float = 0.999
    seed: int = 0
    start: str = "klt"  # or "random"
    objective: str = "psnr"  # or "eye"
    mse_share: float = 0.25  # of the eye's distortion; the rest is SSIMULACRA 2's
    sparse: bool = False  # the latents' L1 norm stands for their bits
    finish: bool = False  # only what a decoder has learns, from the symbols that encoders code
    licences: tuple[str, ...] = ()  # patterns: pictures of other licences are left out
    validation: int = 24  # pictures held out
    validate_minutes: float = 8.0  # (*)
    checkpoint_minutes: float = 2.0  # (*)
    precision: str = "bf16"  # or "fp32"

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("give the length of the training either in steps or in minutes")
        if self.crop % 64:
            raise ValueError("crop must be a multiple of 64")
        if self.objective not in OBJECTIVES:
            raise ValueError(f"the objective is psnr or eye, not {self.objective}")
        if not 0.0 <= self.mse_share <= 1.0:
            raise ValueError("the share of squared error lies between 0 and 1")
        if self.noise is not None and not 0.0 <= self.noise[0] <= self.noise[1] <= 255.0:
            raise ValueError("noise goes from a lower to a higher level, between 0 and 255")


class Run:
    """The state of a training run, and how it is kept on disk."""

    def __init__(self, folder: pathlib.Path, settings: Settings, config: ModelConfig) -> None:
        self.folder = folder
        self.settings = settings
        self.config = config
        self.model = Autoencoder(config)
        self.model.objective = settings.objective
        self.ema: dict[str, Tensor] = {}
        self.optimiser = SoapAdam(
            parameter_groups(self.model, soap=settings.optimiser == "soap", lr=settings.lr)
        )
        self.step = 0
        self.elapsed = 0.0  # seconds of training, over all runs
        self.pixels = 0
        self.lengths: list[float] = []  # of the latest steps' gradients, at most LENGTHS
        self.origin: dict[str, Any] = {}  # where the weights came from, for a run that goes on
        # The pictures for each source and licence (`sources.summary`), and after how many steps
        # that record begins.
        self.sources: list[dict[str, Any]] = []
        self.unrecorded = 0

    @property
    def path(self) -> pathlib.Path:
        return self.folder / CHECKPOINT

    def start_ema(self) -> None:
        self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}

    def begin(self, facts: dict[str, Any]) -> None:
        """The weights are those of a run with these facts, and a new schedule starts."""
        self.origin = {k: facts[k] for k in ("step", "elapsed", "pixels", "origin", "settings")}
        self.origin |= {k: facts[k] for k in ("sources", "unrecorded") if k in facts}
        self.start_ema()

    def to(self, device: torch.device) -> None:
        """Move weights, EMA weights and the optimiser's state."""
        self.model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = {k: v.to(device) for k, v in self.ema.items()}
        for state in self.optimiser.state.values():
            for key in set(state) - {"step"}:
                state[key] = state[key].to(device)

    def is_usual(self, length: float) -> bool:
        """Whether a step may follow its gradient: not one out of all proportion to the latest."""
        if not math.isfinite(length):
            return False
        usual = statistics.median(self.lengths) if len(self.lengths) >= LENGTHS // 2 else math.inf
        self.lengths = [*self.lengths, length][-LENGTHS:]
        return length <= self.settings.outlier * usual

    @torch.no_grad()
    def update_ema(self) -> None:
        # A short memory at first, so that the average follows the quick early progress.
        decay = min(self.settings.ema, (1.0 + self.step) / (10.0 + self.step))
        for name, value in self.model.state_dict().items():
            self.ema[name].lerp_(value, 1.0 - decay)

    def save(self) -> None:
        """Replace the checkpoint on disk. Raises OutputError, OSError."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.ema.items()}
        names = {id(p): n for n, p in self.model.named_parameters()}
        for p, state in self.optimiser.state.items():
            tensors |= {f"optim.{k}.{names[id(p)]}": v for k, v in state.items()}
        tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
        facts = {
            "config": dataclasses.asdict(self.config),
            "settings": dataclasses.asdict(self.settings),
            "step": self.step,
            "elapsed": self.elapsed,
            "pixels": self.pixels,
            "lengths": self.lengths,
            "origin": self.origin,
            "sources": self.sources,
            "unrecorded": self.unrecorded,
        }
        temporary = self.path.with_suffix(".partial")
        try:
            save_file(tensors, temporary, metadata={"run": json.dumps(facts)})
        except SafetensorError as error:  # such as a full disk
            raise OutputError(f"cannot write {temporary}: {one_line(error)}") from error
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, self.path)

    def load(self) -> list[str]:
        """Go on from the checkpoint on disk. A phrase for each setting that is another one now.

        Raises ValueError for a checkpoint that these settings cannot go on from.
        """
        facts = read_facts(self.path)
        if facts["settings"].get("finish", False) != self.settings.finish:
            begun = "without" if self.settings.finish else "with"
            raise ValueError(
                f"{self.path}: the run was begun {begun} --finish; choose another --out"
            )
        objective = objective_of(facts["settings"])
        if objective != objective_of(dataclasses.asdict(self.settings)):
            raise ValueError(
                f"{self.path}: the run was begun for {objective}; choose another --out"
            )
        licences = facts["settings"].get("licences", [])
        if sorted(licences) != sorted(self.settings.licences):
            options = " ".join(f"--licence {text}" for text in licences) or "without --licence"
            raise ValueError(f"{self.path}: the run was begun {options}; choose another --out")
        if _config(self.path, facts) != self.config:
            raise ValueError(f"{self.path}: the run has another model size; choose another --out")
        tensors = load_file(self.path)
        self.model.load_state_dict(_part(tensors, "model."))
        self.ema = _part(tensors, "ema.")
        for name, p in self.model.named_parameters():
            for key in STATE_KEYS:
                value = tensors.get(f"optim.{key}.{name}")
                if value is not None:
                    self.optimiser.state[p][key] = value
        self.step = int(facts["step"])
        self.elapsed = float(facts["elapsed"])
        self.pixels = int(facts["pixels"])
        self.lengths = list(facts.get("lengths", []))  # checkpoints of before have none
        self.origin = facts["origin"]
        self.sources = facts.get("sources", [])
        self.unrecorded = int(facts.get("unrecorded", self.step))  # there was no record before
        return self._changed(facts["settings"])

    def _changed(self, before: dict[str, Any]) -> list[str]:
        """A phrase for each of FIXED that the run had another value of."""
        now = dataclasses.asdict(self.settings)
        return [
            f"{name} was {before[name]} before, and is {now[name]} from now on"
            for name in FIXED
            if before.get(name, now[name]) != now[name]
        ]


FIXED = (
    "batch",
    "accumulate",
    "crop",
    "optimiser",
    "warmup",
    "ema",
    "seed",
    "validation",
    "precision",
)
"""Settings whose change is noted: the run ends elsewhere than it would have."""


def objective_of(settings: dict[str, Any]) -> str:
    """What a run is for, as its options say it. Runs of before had no choice: squared error."""
    noise = settings.get("noise")
    noisy = "" if noise is None else " --noise {:g}:{:g}".format(*noise)
    noisy += " --sparse" if settings.get("sparse") else ""
    if settings.get("objective", "psnr") == "psnr":
        return f"--objective psnr{noisy}"
    return f"--objective eye --mse-share {settings['mse_share']:g}{noisy}"


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}


def read_facts(path: pathlib.Path) -> dict[str, Any]:
    """The JSON facts in a checkpoint's header. ValueError for a file that is none."""
    try:
        # As numpy's: torch's would open the path a second time, and a running training may have
        # put another file there by then.
        with safe_open(path, framework="np") as file:
            facts: dict[str, Any] = json.loads(file.metadata()["run"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a checkpoint of aecodec: {error}") from error
    return facts


def _config(path: pathlib.Path, facts: dict[str, Any]) -> ModelConfig:
    try:
        return ModelConfig.from_dict(facts["config"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _file(path: pathlib.Path) -> pathlib.Path:
    """The checkpoint that a run's folder or a folder of exported weights holds."""
    if not path.is_dir():
        return path
    for name in (CHECKPOINT, EXPORTED):
        if (path / name).exists():
            return path / name
    raise ValueError(
        f"{path}: not a run with a checkpoint of aecodec, and not a folder of exported weights"
    )


def read_shape(path: pathlib.Path) -> tuple[dict[str, Any], ModelConfig]:
    """The facts and the config of what `load_ema` would load. Raises ValueError."""
    path = _file(path)
    facts = read_facts(path)
    return facts, _config(path, facts)


def load_ema(path: pathlib.Path) -> tuple[Autoencoder, dict[str, Any]]:
    """The model with a checkpoint's EMA weights, and the checkpoint's facts.

    `path` is a run's folder, its checkpoint, or a folder of exported weights. Raises ValueError.
    """
    path = _file(path)
    facts, config = read_shape(path)
    model = Autoencoder(config)
    model.objective = facts["settings"].get("objective", model.objective)
    state = _part(load_file(path), "ema.")
    if path.name == EXPORTED:
        state |= _from_graphs(path.parent)
    shapes = {k: v.shape for k, v in model.state_dict().items()}
    # The graphs hold some 1x1 convolutions as strided ones.
    try:
        state = {k: v.float().reshape(shapes.get(k, v.shape)) for k, v in state.items()}
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{path}: weights of another shape than it says: {error}") from error
    return model.eval(), facts


def _from_graphs(folder: pathlib.Path) -> dict[str, Tensor]:
    """The weights that an export keeps in its graphs, by the names that torch gives them."""
    import onnx  # the only use of it in training: to go on from an export

    state = {}
    for path in sorted(folder.glob("*.onnx")):
        for tensor in onnx.load(path).graph.initializer:
            name = tensor.name.removesuffix(".half")
            if "." in name:  # others are constants of the exporter's own
                state[name] = torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
    return state
