"""The training loop: `aecodec train FOLDER --size small --out RUN`.

RUN holds `checkpoint.safetensors` (weights, EMA weights, optimiser state, progress: everything
to go on from), `log.jsonl` (a line per validation) and TensorBoard's event files. The same
command again goes on where the last checkpoint was written; a kill at any moment costs at most
the steps since then. Checkpoints are replaced atomically.

Several GPUs or processes: `torchrun --nproc-per-node N -m aecodec train ...`; gradients are
averaged over the processes, each of which draws crops of its own.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import sys
import time
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from aecodec.model import Autoencoder
from aecodec.model.layers import lambda_of
from aecodec.networks.config import SIZES, ModelConfig
from aecodec.training.checkpoint import (
    CHECKPOINT,
    Run,
    Settings,
    load_ema,
    objective_of,
    read_shape,
)
from aecodec.training.conditioning import (
    Activity,
    measure_activity,
    set_step_scales,
    transplant,
)
from aecodec.training.data import Batches, Photographs, find_photographs, split_validation
from aecodec.training.klt import initialise_klt
from aecodec.training.loss import Eye, draw_levels, rate_distortion
from aecodec.training.ssimulacra2 import score_of
from aecodec.training.validation import Validation

__all__ = ["Settings", "train"]


TILINGS = ((1, 1), (1, 1), (1, 1), (1, 2), (2, 1), (2, 2))
"""Rows and columns of tiles that crops are coded in, by chance: as large pictures are, beyond whose
tiles' borders the prior sees what is but likely."""


RAGGED = 0.5
"""Share of the crops in one piece that are cut to any multiples of 16 pixels in place of 64."""


class Progress:
    """One line on stderr that says where the training stands; plain lines when not a terminal."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.last = 0.0

    def show(self, text: str, *, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self.last < (0.5 if self.live else 30.0):
            return
        self.last = now
        sys.stderr.write(f"\r\033[K{text}" if self.live else text + "\n")
        sys.stderr.flush()

    def line(self, text: str) -> None:
        sys.stderr.write(f"\r\033[K{text}\n" if self.live else text + "\n")
        sys.stderr.flush()


def _clock(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"


def _schedule(progress: float, step: int, settings: Settings) -> float:
    """The learning rate's factor: warm-up, constant, then linear to zero."""
    warm = min(1.0, (step + 1) / max(1, settings.warmup))
    fall = (1.0 - progress) / (1.0 - settings.decay_from)
    return warm * max(0.0, min(1.0, fall))


def _average_gradients(model: Autoencoder, world: int) -> None:
    for p in model.parameters():
        if p.grad is not None:
            dist.all_reduce(p.grad)
            p.grad /= world


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        if not torch.cuda.is_available():
            raise ValueError("no CUDA device here; use --device cpu")
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    return torch.device(name)


def train(
    photographs: pathlib.Path,
    out: pathlib.Path,
    settings: Settings,
    *,
    device: str = "auto",
    threads: int | None = None,
    start_from: pathlib.Path | None = None,
    stop_after: float | None = None,
) -> dict[str, Any]:
    """Train to the end of the schedule, or for `stop_after` seconds; return the last validation.

    Args:
        photographs: folder of pictures, searched recursively.
        out: folder of the run, created; a checkpoint there is continued.
        start_from: weights of an earlier run or export to begin a new schedule with; its blocks
            may be fewer, and wider or narrower inside.
    Raises:
        ValueError: a folder without usable pictures, or settings that don't fit the checkpoint.
    """
    if threads:
        torch.set_num_threads(threads)
    config = SIZES[settings.size]
    if settings.finish:
        settings, config = _finishing(out, settings, start_from)
    where = _device(device)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if where.type == "cuda" else "gloo")
    progress = Progress()
    say = progress.line if rank == 0 else lambda text: None
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)

    paths, held_out = split_validation(find_photographs(photographs), settings.validation)
    pictures = Photographs(paths, smallest=settings.crop)
    say(
        f"{len(pictures)} photographs, {pictures.megapixels:.0f} MP"
        f" ({pictures.skipped} too small or unreadable), {len(held_out)} held out"
    )
    validation = Validation(held_out)

    run = Run(out, settings, config)
    if run.path.exists():
        run.load()
        say(f"going on from step {run.step}")
    elif start_from is not None:
        before, facts = load_ema(start_from)

        def seen(model: Autoencoder) -> dict[str, Activity]:
            batch, crop, seed = settings.batch, settings.crop, settings.seed
            return measure_activity(model, pictures, batch=batch, crop=crop, seed=seed)

        if settings.finish:
            run.model.load_state_dict(before.state_dict())
        else:
            kept = transplant(before, run.model, seen(before), seed=settings.seed)
            old, fresh = (sum(counts[k] for counts in kept.values()) for k in (0, 1))
            say(f"{fresh} of {old + fresh} hidden channels of the transforms start afresh")
        set_step_scales(run.optimiser, run.model, seen(run.model))
        run.begin(facts)
    else:
        if settings.start == "klt":
            initialise_klt(run.model, pictures, crops=512, seed=settings.seed)
        run.start_ema()
    run.to(where)
    model = run.model
    if world > 1:  # one start for all
        for value in model.state_dict().values():
            dist.broadcast(value, 0)

    final = _loop(
        run, model, pictures, validation, where, rank, world, progress, stop_after=stop_after
    )
    if world > 1:
        dist.destroy_process_group()
    return final


def _finishing(
    out: pathlib.Path, settings: Settings, start_from: pathlib.Path | None
) -> tuple[Settings, ModelConfig]:
    """What is finished keeps its size, and the shape that an export may have left it."""
    path = out if (out / CHECKPOINT).exists() else start_from
    if path is None:
        raise ValueError("nothing to finish: say which weights to start from")
    facts, config = read_shape(path)
    if facts["settings"].get("objective", "psnr") != settings.objective:
        raise ValueError(
            f"{path}: these weights were trained with {objective_of(facts['settings'])}: they are"
            " finished for the same"
        )
    return dataclasses.replace(settings, size=facts["settings"]["size"]), config


def _loop(
    run: Run,
    model: Autoencoder,
    pictures: Photographs,
    validation: Validation,
    where: torch.device,
    rank: int,
    world: int,
    progress: Progress,
    *,
    stop_after: float | None,
) -> dict[str, Any]:
    from torch.utils.tensorboard import SummaryWriter

    settings = run.settings
    eye = Eye(settings.mse_share) if settings.objective == "eye" else None
    writer = SummaryWriter(str(run.folder)) if rank == 0 else None
    batches = Batches(
        pictures, settings.batch, settings.crop, settings.seed, rank, drawings=settings.drawings
    )
    stream = batches.stream(run.step * settings.accumulate)
    started, base = time.monotonic(), run.elapsed
    saved = validated = started
    pause = 0.0  # time spent on validation, which the schedule does not count
    last: dict[str, Any] = {}
    smooth: dict[str, float] = {}
    left_out = 0  # steps in a row

    def share() -> float:
        if settings.steps is not None:
            done = run.step / settings.steps
        else:
            assert settings.minutes is not None
            done = run.elapsed / (settings.minutes * 60.0)
        if world > 1:  # clocks differ: all follow rank 0
            shared = torch.tensor([done], dtype=torch.float64, device=where)
            dist.broadcast(shared, 0)
            done = float(shared)
        return done

    def validate() -> dict[str, Any]:
        nonlocal pause
        begin = time.monotonic()
        live = {k: v.clone() for k, v in model.state_dict().items()}
        model.load_state_dict(run.ema)
        model.eval()
        if settings.finish:  # encoders have whole table indexes; the next step sets it anew
            model.scale_network.rounding = True
        result = validation.measure(model, where, finish=settings.finish)
        model.load_state_dict(live)
        model.train()
        result |= {
            "step": run.step,
            "hours": run.elapsed / 3600.0,
            "megapixels": run.pixels / 1e6,
            "train": dict(smooth),
        }
        if settings.finish:
            result["finish"] = True
        bd = result["bd_rate_jpeg"]
        if rank == 0:
            with open(run.folder / "log.jsonl", "a") as file:
                file.write(json.dumps(result) + "\n")
            if writer is not None and bd is not None:
                writer.add_scalar("validation/bd_rate_jpeg", bd, run.step)
            shown = "no common range" if bd is None else f"{bd:+.2f} %"
            eyes = result["bd_rate_jpeg_ssimulacra2"]
            seen = "" if eyes is None else f", by SSIMULACRA 2 {eyes:+.2f} %"
            progress.line(
                f"step {run.step}: BD-rate against JPEG on held-out pictures {shown}{seen}"
                f" ({run.pixels / 1e6:.0f} MP, {_clock(run.elapsed)})"
            )
        pause += time.monotonic() - begin
        return result

    if settings.finish and not run.step and world == 1:  # what there was, by the same measure
        validate()
    while (done := share()) < 1.0:
        model.scale_network.rounding = done >= settings.rounding_from
        factor = _schedule(done, run.step, settings)
        for group in run.optimiser.param_groups:
            group["lr"] = group["base_lr"] * factor
        run.optimiser.zero_grad(set_to_none=True)
        # The noise depends on the step alone, so that a resumed run repeats the same training.
        torch.manual_seed(1_000_003 * settings.seed + world * run.step + rank)
        parts: dict[str, Tensor] = {}
        loss = torch.zeros(())
        for _ in range(settings.accumulate):
            pixels, uniform = next(stream)
            loss, parts, seen = _forward(model, pixels, uniform, where, settings, eye)
            run.pixels += world * seen
            (loss / settings.accumulate).backward()  # type: ignore[no-untyped-call]
        if world > 1:
            _average_gradients(model, world)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        if run.is_usual(float(norm)):
            run.optimiser.step()
            left_out = 0
        else:
            left_out += 1
            if left_out > 20:
                raise FloatingPointError(f"step {run.step}: the training has come apart")
        run.step += 1
        run.update_ema()
        now = time.monotonic()
        run.elapsed = base + now - started - pause
        _smooth(smooth, loss, parts, norm)
        if rank == 0:
            if writer is not None and run.step % 50 == 0:
                for name, value in smooth.items():
                    writer.add_scalar(f"train/{name}", value, run.step)
                writer.add_scalar("train/learning_rate", settings.lr * factor, run.step)
            left = (now - started - pause) / max(done - 0.0, 1e-6) * (1.0 - done)
            if settings.minutes is not None:
                left = settings.minutes * 60.0 - run.elapsed
            progress.show(
                f"step {run.step}  {100 * done:.1f} %  loss {smooth['loss']:.4f}"
                f"  {smooth['bpp']:.3f} bpp  {smooth['psnr']:.2f} dB  |g| {smooth['norm']:.2f}"
                f"  {run.pixels / 1e6 / max(run.elapsed, 1e-3):.2f} MP/s  left {_clock(left)}"
            )
            if now - saved > settings.checkpoint_minutes * 60.0:
                run.save()
                saved = time.monotonic()
        # In step by step agreement over processes: only a single process validates by the clock.
        if world == 1 and now - validated > settings.validate_minutes * 60.0:
            last = validate()
            validated = time.monotonic()
        if stop_after is not None and world == 1 and now - started > stop_after:
            break
    if rank == 0:
        run.save()
        last = validate()
    if world > 1:
        dist.barrier()
    return last


def _forward(
    model: Autoencoder,
    pixels: np.ndarray[Any, np.dtype[np.uint8]],
    uniform: np.ndarray[Any, np.dtype[np.float32]],
    where: torch.device,
    settings: Settings,
    eye: Eye | None,
) -> tuple[Tensor, dict[str, Tensor], int]:
    """The loss of a batch, its parts, and how many pixels it had."""
    x = torch.from_numpy(pixels).to(where, non_blocking=True).permute(0, 3, 1, 2)
    x = x.contiguous(memory_format=torch.channels_last).float() / 255.0
    config = model.config
    level = draw_levels(torch.from_numpy(uniform), config).to(where)
    tiles = TILINGS[int(torch.randint(len(TILINGS), ()))]
    if settings.crop // 64 % 2:
        tiles = 1, 1
    if tiles == (1, 1) and settings.crop > 64:  # most pictures do not end where z_hat does
        less = 16 * torch.randint(4, (2,)) * (torch.rand(()) < RAGGED)
        x = x[:, :, : settings.crop - int(less[0]), : settings.crop - int(less[1])]
        x = x.contiguous(memory_format=torch.channels_last)
    with torch.autocast(where.type, torch.bfloat16, enabled=settings.precision == "bf16"):
        output = model(x, level, finish=settings.finish, tiles=tiles)
    lam = lambda_of(level, config.lambda_min, config.lambda_max)
    return *rate_distortion(output, x, lam, eye), x[:, 0].numel()


def _smooth(smooth: dict[str, float], loss: Tensor, parts: dict[str, Tensor], norm: Tensor) -> None:
    psnr = -10.0 * torch.log10(parts["mse"].detach()).mean()
    values = {
        "loss": float(loss.detach()),
        "bpp": float(parts["bpp"].detach().mean()),
        "z_bpp": float(parts["z_bpp"].detach().mean()),
        "psnr": float(psnr),
        "norm": float(norm),
    }
    if "raw" in parts:
        values["ssimulacra2"] = float(score_of(parts["raw"].detach()).mean())
    for name, value in values.items():
        smooth[name] = value if name not in smooth else smooth[name] + 0.02 * (value - smooth[name])
