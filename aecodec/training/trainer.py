"""The training loop: `aecodec train FOLDER --size small --out RUN`.

RUN holds `checkpoint.safetensors` (weights, EMA weights, optimiser state, progress: everything
to go on from), `log.jsonl` (a line per validation), `sources.csv` (where the photographs come from,
see `sources.py`) and TensorBoard's event files. The same
command again goes on where the last checkpoint was written; a kill at any moment costs at most
the steps since then, and Ctrl-C none. Checkpoints are replaced atomically.

Several GPUs or processes: `torchrun --nproc-per-node N -m aecodec train ...`; gradients are
averaged over the processes, each of which draws crops of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from filelock import FileLock, Timeout
from torch import Tensor

from aecodec.model import Autoencoder
from aecodec.model.layers import lambda_of
from aecodec.networks.config import SIZES, ModelConfig
from aecodec.training.channels import (
    Activity,
    measure_activity,
    set_step_scales,
    transplant,
)
from aecodec.training.checkpoint import (
    CHECKPOINT,
    Run,
    Settings,
    load_ema,
    objective_of,
    read_shape,
)
from aecodec.training.data import Batches, Photographs, find_photographs, split_validation
from aecodec.training.klt import initialise_klt
from aecodec.training.loss import Eye, draw_levels, rate_distortion
from aecodec.training.noise import add_noise
from aecodec.training.sources import (
    TABLE,
    TRAINED,
    Sources,
    Stated,
    allowed,
    check_free,
    keep_record,
    summary,
)
from aecodec.training.ssimulacra2 import score_of
from aecodec.training.validation import Validation

__all__ = ["Settings", "train"]

LOCK = "training.lock"
"""A file in the folder of a run, locked while a training is at work there."""
DIVERGED = 20
"""Steps in a row that are left out before a training counts as lost."""
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


class _Team(NamedTuple):
    """The processes that train together, and this one's place among them."""

    device: torch.device
    rank: int
    world: int

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes files and shows progress."""
        return self.rank == 0

    @property
    def is_one(self) -> bool:
        """Whether there is but one process."""
        return self.world == 1


class _Clock:
    """How long a run has trained, over all its processes' starts; validation does not count."""

    def __init__(self, run: Run, team: _Team) -> None:
        self._run, self._team = run, team
        self._started, self._before, self._paused = time.monotonic(), run.elapsed, 0.0

    def tick(self) -> None:
        """Take the time of the run."""
        self._run.elapsed = self._before + self.passed - self._paused

    @property
    def passed(self) -> float:
        """Seconds since this process began, with pauses."""
        return time.monotonic() - self._started

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """What is done inside does not count."""
        begin = time.monotonic()
        yield
        self._paused += time.monotonic() - begin

    def share(self) -> float:
        """How much of the schedule is done, from 0 to 1."""
        settings = self._run.settings
        if settings.steps is not None:
            done = self._run.step / settings.steps
        else:
            assert settings.minutes is not None
            done = self._run.elapsed / (settings.minutes * 60.0)
        if self._team.is_one:
            return done
        shared = torch.tensor([done], dtype=torch.float64, device=self._team.device)
        dist.broadcast(shared, 0)  # clocks differ: all follow rank 0
        return float(shared)

    def left(self, done: float) -> float:
        """Seconds to the end of the schedule, of which this share is done."""
        minutes = self._run.settings.minutes
        if minutes is not None:
            return minutes * 60.0 - self._run.elapsed
        return (self.passed - self._paused) / max(done, 1e-6) * (1.0 - done)


class _Every:
    """Is due once in so many minutes."""

    def __init__(self, minutes: float) -> None:
        self._seconds, self._last = minutes * 60.0, time.monotonic()

    def is_due(self) -> bool:
        return time.monotonic() - self._last > self._seconds

    def done(self) -> None:
        self._last = time.monotonic()


class _Interruption:
    """Whether the user wants the training to end: after the step, so that nothing of it is lost.

    Inside, the signals that would raise KeyboardInterrupt are taken down. A second one raises it.
    """

    def __init__(self, team: _Team) -> None:
        self.asked = False
        # Other processes may be a step ahead, and would wait for this one.
        alone = team.is_one and threading.current_thread() is threading.main_thread()
        numbers = (signal.SIGINT, signal.SIGTERM) if alone else ()
        handlers = {number: signal.getsignal(number) for number in numbers}
        self._before = {n: handler for n, handler in handlers.items() if callable(handler)}

    def __enter__(self) -> _Interruption:
        for number in self._before:
            signal.signal(number, self._ask)
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self.__exit__()

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside, a signal raises KeyboardInterrupt as it does elsewhere."""
        self.__exit__()
        yield
        self.__enter__()

    def follow(self, run: Run, log: _Log | None) -> None:
        """Raises KeyboardInterrupt if the user has asked. The run is saved."""
        if self.asked:
            if log is not None:
                log.say(f"stopped after step {run.step}: the same command goes on from there")
            raise KeyboardInterrupt


class _Log:
    """What the process that leads writes down: TensorBoard's files, `log.jsonl`, and progress."""

    def __init__(self, run: Run, progress: Progress) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._run, self._progress = run, progress
        self._writer = SummaryWriter(str(run.folder))

    def step(self, values: dict[str, float], done: float, left: float, factor: float) -> None:
        """A step, with its smoothed values."""
        run, settings = self._run, self._run.settings
        if run.step % 50 == 0:
            for name, value in values.items():
                self._writer.add_scalar(f"train/{name}", value, run.step)
            self._writer.add_scalar("train/learning_rate", settings.lr * factor, run.step)
        self._progress.show(
            f"step {run.step}  {100 * done:.1f} %  loss {values['loss']:.4f}"
            f"  {values['bpp']:.3f} bpp  {values['psnr']:.2f} dB  |g| {values['norm']:.2f}"
            f"  {run.pixels / 1e6 / max(run.elapsed, 1e-3):.2f} MP/s  left {_clock(left)}"
        )

    def say(self, text: str) -> None:
        """A line among those of progress."""
        self._progress.line(text)

    def validation(self, result: dict[str, Any]) -> None:
        """A validation's result."""
        run, bd = self._run, result["bd_rate_jpeg"]
        with open(run.folder / "log.jsonl", "a") as file:
            file.write(json.dumps(result) + "\n")
        if bd is not None:
            self._writer.add_scalar("validation/bd_rate_jpeg", bd, run.step)
        shown = "no common range" if bd is None else f"{bd:+.2f} %"
        eye = result["bd_rate_jpeg_ssimulacra2"]
        seen = "" if eye is None else f", by SSIMULACRA 2 {eye:+.2f} %"
        self._progress.line(
            f"step {run.step}: BD-rate against JPEG on held-out pictures {shown}{seen}"
            f" ({run.pixels / 1e6:.0f} MP, {_clock(run.elapsed)})"
        )


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
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    team = _Team(_device(device), rank, world)
    if not team.is_one and not dist.is_initialized():
        dist.init_process_group("nccl" if team.device.type == "cuda" else "gloo")
    _make_folder(out, photographs)
    torch.manual_seed(settings.seed)  # of the initial weights, too
    with _alone(out) if team.leads else contextlib.nullcontext():
        final = _train(Run(out, settings, config), photographs, team, start_from, stop_after)
    if not team.is_one:
        dist.destroy_process_group()
    return final


def _train(
    run: Run,
    photographs: pathlib.Path,
    team: _Team,
    start_from: pathlib.Path | None,
    stop_after: float | None,
) -> dict[str, Any]:
    """Begin or continue the run; the last validation."""
    settings = run.settings
    progress = Progress()
    say = progress.line if team.leads else lambda text: None
    sources = Sources(photographs)
    paths, held_out = _split(sources, settings)
    pictures = Photographs(paths, smallest=settings.crop)
    say(
        f"{len(pictures)} photographs, {pictures.megapixels:.0f} MP"
        f" ({pictures.skipped} too small or unreadable), {len(held_out)} held out"
    )
    validation = Validation(held_out, noise=settings.noise)

    if run.path.exists():
        _go_on(run, say)
        if start_from is not None:
            say(f"{run.folder}: note: the run has begun, so --start-from changes nothing")
    else:
        _begin(run, pictures, start_from, say)
    if team.leads:
        _record(run, sources, pictures, validation, say)
    run.to(team.device)
    if not team.is_one:  # one start for all
        for value in run.model.state_dict().values():
            dist.broadcast(value, 0)
    log = _Log(run, progress) if team.leads else None
    return _loop(run, pictures, validation, team, log, stop_after)


def _make_folder(out: pathlib.Path, photographs: pathlib.Path) -> None:
    """Make the folder of a run, unless a run would replace something there. Raises ValueError."""
    if not (out / CHECKPOINT).exists():
        check_free(out, photographs)
    out.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def _alone(out: pathlib.Path) -> Iterator[None]:
    """Keep other trainings out of the folder of a run: their checkpoints would replace each other.

    The system lets go of the lock when the process ends, however that is. Raises ValueError.
    """
    try:
        with FileLock(out / LOCK, blocking=False):
            yield
    except Timeout:
        raise ValueError(f"{out}: another training is at work here; choose another --out") from None


def _go_on(run: Run, say: Callable[[str], None]) -> None:
    """Load the run's checkpoint, and say where it stands and what is otherwise from now on."""
    for changed in run.load():
        say(f"{run.folder}: note: {changed}")
    say(f"going on from step {run.step}")


def _split(sources: Sources, settings: Settings) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
    """As `split_validation`, of the pictures that the settings allow.

    Raises ValueError if no photograph is left, or none can be held out.
    """
    found = sources.allowed(find_photographs(sources.folder), settings.licences)
    paths, held_out = split_validation(found, settings.validation)
    if not held_out:
        few = f"{sources.folder}: {len(found)} photographs are too few"
        raise ValueError(f"{few}: of four or more some are held out")
    return paths, held_out


def _record(
    run: Run,
    sources: Sources,
    pictures: Photographs,
    validation: Validation,
    say: Callable[[str], None],
) -> None:
    """Write down which pictures the run sees, and say what is not stated about them.

    Raises ValueError if the run has trained on a picture that it may not use any more.
    """
    if run.step and not (run.folder / TABLE).is_file():
        run.unrecorded = run.step
    record = keep_record(
        run.folder, sources, pictures.sizes, validation.sizes, goes_on=bool(run.step)
    )
    for picture in record:
        if picture.use == TRAINED and not allowed(picture.stated, run.settings.licences):
            raise ValueError(
                f"{run.folder / TABLE}: the run has trained on {picture.name}, whose licence is"
                f" {picture.stated.licence or 'not stated'} now; choose another --out"
            )
    run.sources = summary(record)
    seen = (*pictures.sizes, *validation.sizes)
    unstated = sum(not sources.of(path).licence for path in seen)
    where = f" ({sources.folder / TABLE} can state them)" if unstated else ""
    say(f"{unstated} of {len(seen)} photographs have no stated licence{where}")
    unused = sources.unused()
    if unused:
        more = f", and {len(unused) - 1} more lines do not either" if unused[1:] else ""
        say(f"{unused[0]} matches no photograph{more}")


def _begin(
    run: Run,
    pictures: Photographs,
    start_from: pathlib.Path | None,
    say: Callable[[str], None],
) -> None:
    """Give a new run its first weights."""
    settings = run.settings
    if start_from is None:
        if settings.start == "klt":
            initialise_klt(run.model, pictures, crops=512, seed=settings.seed)
        run.start_ema()
        return
    before, facts = load_ema(start_from)
    if settings.licences and (others := _other_licences(facts, settings.licences)):
        say(f"{start_from}: these weights were trained on pictures of other licences: {others}")

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


def _other_licences(facts: dict[str, Any], licences: tuple[str, ...]) -> str:
    """The licences, not allowed now, of all that a run and those before it were trained on."""
    found: set[str] = set()
    while facts:
        rows = facts.get("sources", [])
        if not rows or facts.get("unrecorded"):
            found.add("not recorded")
        for row in rows:
            if not allowed(Stated(row["source"], row["licence"]), licences):
                found.add(row["licence"] or "not stated")
        facts = facts["origin"]
    return ", ".join(sorted(found))


def _finishing(
    out: pathlib.Path, settings: Settings, start_from: pathlib.Path | None
) -> tuple[Settings, ModelConfig]:
    """What is finished keeps its size, and the shape that an export may have left it."""
    path = out if (out / CHECKPOINT).exists() else start_from
    if path is None:
        raise ValueError("nothing to finish: say which weights to start from")
    facts, config = read_shape(path)
    asked = dataclasses.asdict(settings)
    if objective_of(facts["settings"] | {"mse_share": settings.mse_share}) != objective_of(asked):
        raise ValueError(
            f"{path}: these weights were trained with {objective_of(facts['settings'])}: they are"
            " finished for the same"
        )
    return dataclasses.replace(settings, size=facts["settings"]["size"]), config


def _batches(settings: Settings, pictures: Photographs, rank: int) -> Batches:
    return Batches(
        pictures,
        settings.batch,
        settings.crop,
        settings.seed,
        rank,
        drawings=settings.drawings,
        illustrations=settings.illustrations,
        enlarged=settings.enlarged,
    )


def _loop(
    run: Run,
    pictures: Photographs,
    validation: Validation,
    team: _Team,
    log: _Log | None,
    stop_after: float | None,
) -> dict[str, Any]:
    """Train to the end of the schedule; the last validation."""
    settings, model = run.settings, run.model
    model.sparse = settings.sparse
    eye = Eye(settings.mse_share) if settings.objective == "eye" else None
    stream = _batches(settings, pictures, team.rank).stream(run.step * settings.accumulate)
    clock = _Clock(run, team)
    saving, validating = _Every(settings.checkpoint_minutes), _Every(settings.validate_minutes)
    last: dict[str, Any] = {}
    smooth: dict[str, float] = {}
    left_out = 0  # steps in a row

    if settings.finish and not run.step and team.is_one:  # what there was, by the same measure
        _validate(run, validation, team, clock, log, smooth)
    with _Interruption(team) as interruption:
        while (done := clock.share()) < 1.0:
            model.scale_network.rounding = done >= settings.rounding_from
            factor = _schedule(done, run.step, settings)
            for group in run.optimiser.param_groups:
                group["lr"] = group["base_lr"] * factor
            # The noise depends on the step alone, so that a resumed run repeats the same training.
            torch.manual_seed(1_000_003 * settings.seed + team.world * run.step + team.rank)
            loss, parts = _gradients(run, stream, team, eye)
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            left_out = _follow(run, float(norm), left_out)
            run.step += 1
            run.update_ema()
            clock.tick()
            _smooth(smooth, loss, parts, norm)
            # In step by step agreement over processes: only a single one validates by the clock.
            validates = team.is_one and validating.is_due()
            if log is not None:
                log.step(smooth, done, clock.left(done), factor)
                if saving.is_due() or validates or interruption.asked:
                    run.save()
                    saving.done()
            interruption.follow(run, log)
            if validates:
                with interruption.at_once():  # the step is saved
                    last = _validate(run, validation, team, clock, log, smooth)
                validating.done()
            if stop_after is not None and team.is_one and clock.passed > stop_after:
                break
    if log is not None:
        run.save()
        last = _validate(run, validation, team, clock, log, smooth)
    if not team.is_one:
        dist.barrier()
    return last


def _gradients(
    run: Run,
    stream: Iterator[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]],
    team: _Team,
    eye: Eye | None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Set the gradients of one step, over all processes; the last batch's loss and its parts."""
    settings = run.settings
    run.optimiser.zero_grad(set_to_none=True)
    parts: dict[str, Tensor] = {}
    loss = torch.zeros(())
    for _ in range(settings.accumulate):
        pixels, uniform = next(stream)
        loss, parts, seen = _forward(run.model, pixels, uniform, team.device, settings, eye)
        run.pixels += team.world * seen
        (loss / settings.accumulate).backward()  # type: ignore[no-untyped-call]
    if not team.is_one:
        _average_gradients(run.model, team.world)
    return loss, parts


def _follow(run: Run, norm: float, left_out: int) -> int:
    """Step along the gradient, unless it is out of all proportion; how many in a row were."""
    if run.is_usual(norm):
        run.optimiser.step()
        return 0
    if left_out == DIVERGED:
        raise FloatingPointError(f"step {run.step}: the training has come apart")
    return left_out + 1


def _validate(
    run: Run,
    validation: Validation,
    team: _Team,
    clock: _Clock,
    log: _Log | None,
    smooth: dict[str, float],
) -> dict[str, Any]:
    """Measure the EMA weights on the held-out pictures, and write that down."""
    settings, model = run.settings, run.model
    with clock.pause():
        live = {k: v.clone() for k, v in model.state_dict().items()}
        model.load_state_dict(run.ema)
        model.eval()
        if settings.finish:  # encoders have whole table indexes; the next step sets it anew
            model.scale_network.rounding = True
        result = validation.measure(model, team.device, finish=settings.finish)
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
        if log is not None:
            log.validation(result)
    return result


def _forward(
    model: Autoencoder,
    pixels: np.ndarray[Any, np.dtype[np.uint8]],
    uniform: np.ndarray[Any, np.dtype[np.float32]],
    where: torch.device,
    settings: Settings,
    eye: Eye | None,
) -> tuple[Tensor, dict[str, Tensor], int]:
    """The loss of a batch, its parts, and how many pixels it had."""
    x, clean = _pixels(pixels, where, settings.noise)
    config = model.config
    level = draw_levels(torch.from_numpy(uniform), config).to(where)
    tiles = TILINGS[int(torch.randint(len(TILINGS), ()))]
    if settings.crop // 64 % 2:
        tiles = 1, 1
    if tiles == (1, 1) and settings.crop > 64:  # most pictures do not end where z_hat does
        less = 16 * torch.randint(4, (2,)) * (torch.rand(()) < RAGGED)
        height, width = settings.crop - int(less[0]), settings.crop - int(less[1])
        x = x[:, :, :height, :width].contiguous(memory_format=torch.channels_last)
        clean = clean[:, :, :height, :width]
    with torch.autocast(where.type, torch.bfloat16, enabled=settings.precision == "bf16"):
        output = model(x, level, finish=settings.finish, tiles=tiles)
    lam = lambda_of(level, config.lambda_min, config.lambda_max)
    return *rate_distortion(output, clean, lam, eye), x[:, 0].numel()


def _pixels(
    pixels: np.ndarray[Any, np.dtype[np.uint8]],
    where: torch.device,
    noise: tuple[float, float] | None,
) -> tuple[Tensor, Tensor]:
    """Crops (B,3,H,W) in [0,1] as the encoder sees them, and as they are to be decoded."""
    crops = torch.from_numpy(pixels)
    if noise is None:
        x = crops.to(where, non_blocking=True).permute(0, 3, 1, 2)
        x = x.contiguous(memory_format=torch.channels_last).float() / 255.0
        return x, x
    low, high = noise
    level = (low + (high - low) * torch.rand(len(crops))) / 255.0
    made = add_noise(crops.permute(0, 3, 1, 2).float() / 255.0, level)
    x, clean = (
        part.to(where).contiguous(memory_format=torch.channels_last)
        for part in (made.noisy, made.clean)
    )
    return x, clean


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
