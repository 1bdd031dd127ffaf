"""The trainer and the export, on a tiny model: resumed, killed, in parallel, put to use."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import command
import numpy as np
import pytest
import samples
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file

from aecodec.codec import Codec
from aecodec.entropy.checkerboard import Checkerboard
from aecodec.entropy.fixed_point import PRECISION
from aecodec.entropy.hyperlatents import PARTS, SLOPE_BITS, neighbours, second_half
from aecodec.entropy.padding import ALONE, Sides
from aecodec.errors import OutputError, OutputExistsError
from aecodec.geometry import Box
from aecodec.model import Autoencoder
from aecodec.networks import weights
from aecodec.networks.config import SIZES
from aecodec.training import checkpoint, illustrations, trainer
from aecodec.training import export as exporter
from aecodec.training import tables as coding_tables
from aecodec.training.channels import measure_activity, pruned, set_step_scales, transplant
from aecodec.training.checkpoint import Run, load_ema, read_facts
from aecodec.training.data import (
    Batches,
    Photographs,
    enlarged,
    find_photographs,
    split_validation,
)
from aecodec.training.drawings import draw_over
from aecodec.training.illustrations import illustrate
from aecodec.training.optim import SoapAdam, parameter_groups
from aecodec.training.tables import RARE, Histogram, integers
from aecodec.training.trainer import Settings, train

SETTINGS = Settings(size="tiny", steps=8, batch=2, crop=64, warmup=2, optimiser="adam", lr=2e-3)


@pytest.fixture(scope="module")
def finished(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    train(photographs, run, SETTINGS, device="cpu")
    return run


def test_a_run_leaves_checkpoint_log_and_events(finished: Path) -> None:
    facts = read_facts(finished / "checkpoint.safetensors")
    assert facts["step"] == 8
    assert facts["pixels"] == 8 * 2 * 64 * 64
    lines = [json.loads(line) for line in (finished / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 8
    assert len(lines[-1]["curve"]) == 8
    assert lines[-1]["bd_rate_jpeg"] is not None
    assert list(finished.glob("events.out.tfevents.*"))


def _training(photographs: Path, run: Path, **changes: object) -> list[str]:
    """A command that trains in a process of its own, on one thread.

    How a sum is split over threads decides its last bits, and how many threads there are is not
    this test's to say.
    """
    settings = dataclasses.asdict(SETTINGS) | changes
    script = (
        "import pathlib; from aecodec.training.trainer import *;"
        f"train(pathlib.Path({str(photographs)!r}), pathlib.Path({str(run)!r}),"
        f" Settings(**{settings!r}), device='cpu', threads=1)"
    )
    return [sys.executable, "-c", script]


def test_killed_at_any_moment_it_ends_in_the_same_weights(
    photographs: Path, tmp_path: Path
) -> None:
    subprocess.run(_training(photographs, tmp_path / "straight"), check=True, capture_output=True)
    run = tmp_path / "run"
    kills = 0
    for _ in range(12):
        process = subprocess.Popen(
            _training(photographs, run, checkpoint_minutes=0.0),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        before = read_facts(run / "checkpoint.safetensors")["step"] if kills else 0
        deadline = time.monotonic() + 300  # on a busy machine torch alone takes a minute to import
        while process.poll() is None and time.monotonic() < deadline:
            try:
                step = read_facts(run / "checkpoint.safetensors")["step"]
            except ValueError:
                step = 0
            if kills < 2 and step > before + 1:
                process.kill()
                kills += 1
            time.sleep(0.002)
        _, errors = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -9, errors.decode()
    assert kills >= 1
    straight, resumed = (
        load_file(folder / "checkpoint.safetensors") for folder in (tmp_path / "straight", run)
    )
    assert straight.keys() == resumed.keys()
    for name, value in straight.items():
        assert torch.equal(value, resumed[name]), name


@pytest.mark.skipif(sys.platform == "win32", reason="there a signal ends the process at once")
def test_interrupted_it_loses_no_step(photographs: Path, tmp_path: Path) -> None:
    """The steps since the last checkpoint are saved, and the run ends in the same weights."""
    seldom = {"checkpoint_minutes": 60.0, "validate_minutes": 60.0, "steps": 60}
    straight = _training(photographs, tmp_path / "straight", **seldom)
    subprocess.run(straight, check=True, capture_output=True)
    run = tmp_path / "run"
    command = _training(photographs, run, **seldom)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stderr is not None
    for line in process.stderr:  # where no terminal is, the first step is a line, and then few are
        if line.startswith(b"step 1 "):
            process.send_signal(signal.SIGINT)
            break
    _, rest = process.communicate(timeout=120)
    stopped = re.search(rb"stopped after step (\d+): the same command goes on", rest)
    assert stopped, rest.decode()
    assert b"KeyboardInterrupt" in rest
    assert 0 < read_facts(run / "checkpoint.safetensors")["step"] == int(stopped[1]) < 60
    subprocess.run(command, check=True, capture_output=True)
    whole, resumed = (
        load_file(folder / "checkpoint.safetensors") for folder in (tmp_path / "straight", run)
    )
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_another_size_does_not_overwrite_a_run(finished: Path, photographs: Path) -> None:
    with pytest.raises(ValueError, match="another --out"):
        train(photographs, finished, dataclasses.replace(SETTINGS, size="small"), device="cpu")
    assert read_facts(finished / "checkpoint.safetensors")["config"]["name"] == "tiny"


def test_what_a_resumed_run_changes_is_said(finished: Path) -> None:
    changed = dataclasses.replace(SETTINGS, batch=1, seed=4, lr=1e-3)
    assert Run(finished, changed, SIZES["tiny"]).load() == [
        "batch was 2 before, and is 1 from now on",
        "seed was 0 before, and is 4 from now on",
    ]
    sparse = dataclasses.replace(SETTINGS, sparse=True)
    with pytest.raises(ValueError, match="begun for --objective psnr; choose another --out"):
        Run(finished, sparse, SIZES["tiny"]).load()


def test_a_resumed_run_says_that_it_has_begun(
    finished: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    train(photographs, run, SETTINGS, device="cpu", start_from=photographs)
    assert "note: the run has begun, so --start-from changes nothing\n" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--learning-rate", "--minutes", "--drawings"])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_numbers_are_finite(photographs: Path, tmp_path: Path, option: str, value: str) -> None:
    """A learning rate of NaN made a run of NaN, and was no fault."""
    length = () if option == "--minutes" else ("--steps", "1")
    done = command.run(
        *("train", photographs, "--size", "tiny", "--out", "run", *length, option, value),
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert f"Invalid value for '{option}'".encode() in done.stderr
    assert not (tmp_path / "run").exists()


def test_no_run_begins_in_the_working_directory_by_mistake(
    photographs: Path, tmp_path: Path
) -> None:
    """As by a variable that is not set."""
    done = command.run("train", photographs, "--out", "", "--steps", "1", cwd=tmp_path)
    assert done.returncode == 2
    assert b"'' is no name of a folder" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_new_run_replaces_no_table_of_sources(photographs: Path, tmp_path: Path) -> None:
    """Such as that of the photographs: a run writes a file of this name."""
    (photographs / "sources.csv").write_text("name,source,licence\n*,mine,CC0-1.0\n")
    other = tmp_path / "other"
    shutil.copytree(photographs, other)
    try:
        for out in (photographs, other):
            with pytest.raises(ValueError, match="choose another --out"):
                train(photographs, out, SETTINGS, device="cpu")
            assert (out / "sources.csv").read_text() == "name,source,licence\n*,mine,CC0-1.0\n"
    finally:
        (photographs / "sources.csv").unlink()


def test_broken_gradients_are_left_out(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where none is a number, nothing is learnt; and that is noticed in time."""
    whole = trainer.rate_distortion

    def broken(*args: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        loss, parts = whole(*args)
        return loss * float("nan"), parts

    monkeypatch.setattr(trainer, "rate_distortion", broken)
    settings = dataclasses.replace(SETTINGS, steps=4)
    train(photographs, tmp_path / "short", settings, device="cpu")
    tensors = load_file(tmp_path / "short" / "checkpoint.safetensors")
    for name, value in tensors.items():
        if name.startswith("model."):
            assert torch.equal(value, tensors["ema." + name.removeprefix("model.")]), name
    with pytest.raises(FloatingPointError, match="come apart"):
        long = dataclasses.replace(settings, steps=40)
        train(photographs, tmp_path / "long", long, device="cpu")


def test_a_gradient_out_of_all_proportion_is_left_out(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One such step would lead Adam where the next ones are all wrong."""
    whole, step = trainer.rate_distortion, SoapAdam.step
    losses: list[float] = []
    taken: list[int] = []

    def spoilt(*args: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        loss, parts = whole(*args)
        losses.append(float(loss.detach()))
        return loss * (1000.0 if len(losses) in (2, 7) else 1.0), parts

    def counted(optimiser: SoapAdam, *args: Any) -> None:
        taken.append(len(losses))
        step(optimiser, *args)

    monkeypatch.setattr(checkpoint, "LENGTHS", 8)
    monkeypatch.setattr(trainer, "rate_distortion", spoilt)
    monkeypatch.setattr(SoapAdam, "step", counted)
    settings = dataclasses.replace(SETTINGS, steps=9)
    train(photographs, tmp_path, settings, device="cpu")
    # The second is one of the four that tell what is usual.
    assert taken == [1, 2, 3, 4, 5, 6, 8, 9]
    assert len(read_facts(tmp_path / "checkpoint.safetensors")["lengths"]) == 8


def test_folder_without_pictures_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    result = command.run("train", tmp_path / "photos", "--out", tmp_path / "run", "--steps", "1")
    assert result.returncode == 1
    assert b"no pictures found" in result.stderr
    assert b"Traceback" not in result.stderr


def test_a_run_that_cannot_be_written_is_one_line(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = command.run("train", photographs, "--out", tmp_path / "file/run", "--steps", "1")
    assert result.returncode == 1
    assert result.stderr.decode().endswith("file/run: not a directory\n")
    assert b"unexpected" not in result.stderr
    run = Run(tmp_path / "missing", SETTINGS, SIZES["tiny"])
    run.start_ema()
    with pytest.raises(OutputError, match=r"cannot write .*missing"):
        run.save()


def test_too_few_photographs_are_one_line(tmp_path: Path) -> None:
    for name in ("astronaut.png", "coffee.png", "chelsea.png"):
        samples.photograph(name, (0, 0, 128, 128)).save(tmp_path / name)
    with pytest.raises(ValueError, match="3 photographs are too few: of four or more"):
        train(tmp_path, tmp_path / "run", SETTINGS, device="cpu")


def test_two_processes_average_their_gradients(photographs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    environment = command.environment({"OMP_NUM_THREADS": "1"})
    result = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
            *("--master-port", str(20000 + os.getpid() % 20000), "-m", "aecodec"),
            *("train", str(photographs), "--out", str(run), "--size", "tiny", "--steps", "3"),
            *("--batch", "1", "--crop", "64", "--device", "cpu"),
        ],
        env=environment,
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr.decode()
    facts = read_facts(run / "checkpoint.safetensors")
    assert facts["step"] == 3
    assert facts["pixels"] == 3 * 2 * 64 * 64
    assert len((run / "log.jsonl").read_text().splitlines()) == 1


COUNTED = """
import pathlib, sys
from aecodec.training import checkpoint, trainer
save = checkpoint.Run.save
def counted(run):
    with open(sys.argv[3], "a") as file:
        file.write("saved\\n")
    save(run)
checkpoint.Run.save = counted
settings = trainer.Settings(
    size="tiny", steps=4, batch=1, crop=64, validate_minutes=0.0, checkpoint_minutes=60.0
)
trainer.train(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), settings, device="cpu")
"""


def test_several_processes_save_no_more_than_they_are_asked_to(
    photographs: Path, tmp_path: Path
) -> None:
    """One process validates by the clock and saves before; several do neither."""
    script, counts = tmp_path / "counted.py", tmp_path / "counts"
    script.write_text(COUNTED)
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2")
    port = ("--master-port", str(20000 + (os.getpid() + 7) % 20000))
    result = subprocess.run(
        [*torchrun, *port, script, photographs, tmp_path / "run", counts],
        env=command.environment({"OMP_NUM_THREADS": "1"}),
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr.decode()
    assert counts.read_text() == "saved\n"  # at the end


def test_the_trainer_runs_without_coder_and_command_line(photographs: Path, tmp_path: Path) -> None:
    """As on a bare GPU machine: torch, numpy, Pillow, safetensors and tensorboard only."""
    absent = ("constriction", "zstandard", "click", "rich", "onnxruntime", "onnx", "scipy")
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({absent!r}));"
        "import pathlib; from aecodec.training.trainer import *;"
        f"train(pathlib.Path({str(photographs)!r}), pathlib.Path({str(tmp_path)!r}),"
        " Settings(size='tiny', steps=2, batch=1, crop=64), device='cpu')"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()


# --- Data ---------------------------------------------------------------------------------------


def test_batches_depend_on_the_step_alone(photographs: Path) -> None:
    pictures = Photographs(find_photographs(photographs), smallest=64)
    batches = Batches(pictures, batch=2, size=64, seed=4)
    stream = batches.stream(3)
    for step in (3, 4):
        pixels, uniform = next(stream)
        again, same = batches.at(step)
        assert np.array_equal(pixels, again)
        assert np.array_equal(uniform, same)
    assert not np.array_equal(batches.at(3)[0], batches.at(4)[0])
    other = Batches(pictures, batch=2, size=64, seed=4, rank=1)
    assert not np.array_equal(batches.at(3)[0], other.at(3)[0])


@pytest.mark.parametrize("share", ["drawings", "illustrations", "enlarged"])
def test_some_crops_are_changed_and_the_others_stay(photographs: Path, share: str) -> None:
    pictures = Photographs(find_photographs(photographs), smallest=64)
    plain, uniform = Batches(pictures, batch=16, size=64, seed=4).at(0)
    drawn, same = Batches(pictures, batch=16, size=64, seed=4, **{share: 0.25}).at(0)
    changed = (plain != drawn).any(axis=(1, 2, 3))
    assert 1 <= changed.sum() <= 8
    assert np.array_equal(uniform, same)
    every, _ = Batches(pictures, batch=16, size=64, seed=4, **{share: 1.0}).at(0)
    assert (plain != every).any(axis=(1, 2, 3)).all()


def test_what_is_enlarged_is_a_part_and_soft(photographs: Path) -> None:
    rng = np.random.default_rng(2)
    rows, columns = np.mgrid[0:96, 0:128]
    crop = np.dstack([rows, columns, 255 * ((rows + columns) % 2)]).astype(np.uint8)
    for _ in range(20):
        found = enlarged(crop, rng).astype(int)
        assert found.shape == crop.shape
        for axis, side in enumerate(crop.shape[:2]):  # a ramp of 1 a pixel is flatter now
            seen = np.ptp(found[..., axis]) + 1
            assert side / 2.7 < seen < side / 1.1
        assert np.abs(np.diff(found[..., 2], axis=1)).mean() < 255


def test_illustrations_are_of_many_kinds_and_their_edges_are_smooth() -> None:
    rng = np.random.default_rng(3)
    ground = np.full((64, 96, 3), (101, 102, 103), np.uint8)
    found = [illustrate(ground, rng) for _ in range(150)]
    assert all(d.shape == ground.shape and d.dtype == np.uint8 for d in found)
    assert len({d.tobytes() for d in found}) == 150
    over = [(d == ground).all(axis=2).any() for d in found]
    assert 10 < sum(over) < 50  # a quarter of them lie over what was there, some wholly
    grey = [np.ptp(d.astype(int), axis=2).max() < 40 for d in found]
    assert 5 < sum(grey) < 75  # pale ones and full ones
    for name in ("_polygon", "_bands", "_tiling", "_strokes", "_letters"):
        canvas = illustrations._Canvas(64, 96, rng, illustrations._palette(rng))
        masks = np.stack([getattr(illustrations, name)(canvas) for _ in range(20)])
        assert masks.shape == (20, 64, 96) and masks.min() >= 0.0 and masks.max() <= 1.0
        between = (masks > 0.02) & (masks < 0.98)
        assert masks.std() > 0.1 and 0.005 < between.mean() < 0.6, name


def test_drawings_are_of_many_kinds() -> None:
    rng = np.random.default_rng(3)
    # No colour of a palette's own: a channel each of its own value, which is in none of them.
    ground = np.full((64, 96, 3), (101, 102, 103), np.uint8)
    drawings = [draw_over(ground, rng) for _ in range(120)]
    assert all(d.shape == ground.shape and d.dtype == np.uint8 for d in drawings)
    assert all((d != ground).any() for d in drawings)
    left = [(d == ground).all(axis=2).any() for d in drawings]
    assert 20 < sum(left) < 60  # a third of them lie over what was there
    full = [np.isin(d[(d != ground).any(axis=2)], (0, 255)).all() for d in drawings]
    assert 10 < sum(full) < 80  # gaudy ones, pages, ...
    few = [len(np.unique(d.reshape(-1, 3), axis=0)) <= 4 for d in drawings]
    assert 10 < sum(few) < 110


def test_pictures_beyond_the_budget_give_the_same_crops(photographs: Path) -> None:
    paths = find_photographs(photographs)
    kept, drawn = Photographs(paths, smallest=64), Photographs(paths, smallest=64, budget=200_000)
    assert any(p is None for p in drawn.pixels)
    for seed in range(6):
        a = kept.crop(np.random.default_rng(seed), 64)
        assert np.array_equal(a, drawn.crop(np.random.default_rng(seed), 64))


def test_the_split_depends_on_names_alone() -> None:
    names = [f"{i}.png" for i in range(40)]
    one = split_validation([Path("a", n) for n in names], 5)[1]
    other = split_validation([Path("b", "c", n) for n in reversed(names)], 5)[1]
    assert {p.name for p in one} == {p.name for p in other}
    assert len(one) == 5


# --- Optimiser ----------------------------------------------------------------------------------


def test_soap_solves_a_rotated_badly_scaled_problem() -> None:
    """And its eigenbases stay orthonormal on the way."""
    torch.manual_seed(0)
    scales = torch.logspace(0, -1.5, 24)[:, None]
    basis, target = torch.linalg.qr(torch.randn(24, 24))[0], torch.randn(24, 24)
    p = torch.nn.Parameter(torch.zeros(24, 24, 1, 1))
    optimiser = SoapAdam([{"params": [p], "kind": "soap", "lr": 0.05}])
    losses = []
    for step in range(600):
        optimiser.param_groups[0]["lr"] = 0.05 * (1 - step / 600)
        optimiser.zero_grad()
        loss = ((scales * (basis @ (p[:, :, 0, 0] - target))) ** 2).sum()
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    assert losses[-1] < 1e-3 * losses[0]
    for side in ("left_axes", "right_axes"):
        axes = optimiser.state[p][side]
        assert torch.allclose(axes.T @ axes, torch.eye(24), atol=1e-4)


def test_every_parameter_is_in_exactly_one_group() -> None:
    model = Autoencoder(SIZES["tiny"])
    for soap in (True, False):
        groups = parameter_groups(model, soap=soap, lr=1e-3)
        listed = [id(p) for group in groups for p in group["params"]]
        assert sorted(listed) == sorted(id(p) for p in model.parameters())
        assert any(group["kind"] == "soap" for group in groups) == soap


# --- Tables -------------------------------------------------------------------------------------


def test_integer_tables_sum_and_never_reach_zero() -> None:
    for shape in (np.array([1.0, 1e-30, 0.0]), np.random.default_rng(0).random(3000) ** 9):
        table = integers(shape)
        assert int(table.sum()) == 1 << PRECISION
        assert table.min() >= 1
        assert np.abs(table / 2**PRECISION - shape / shape.sum()).max() < 1e-3


def test_counts_decide_where_there_are_many() -> None:
    histogram = Histogram(2, 8)
    model = np.array([0.1, 0.2, 0.4, 0.2, 0.1])  # escape, -1, 0, 1, escape

    def table(even: bool) -> np.ndarray:
        found, first = histogram.table(1, model, -1, weight=100.0, even=even)
        assert first == -1
        return found / 2**PRECISION

    assert np.allclose(table(even=True), model, atol=1e-5)
    symbols = np.repeat([-1, 0, 5], [100_000, 300_000, 0])
    histogram.add(np.ones(len(symbols), int), symbols)
    assert np.allclose(table(even=True), [0, 0.125, 0.75, 0.125, 0], atol=1e-3)
    assert np.allclose(table(even=False), [0, 0.25, 0.75, 0, 0], atol=1e-3)


def test_tables_end_where_symbols_are_too_rare() -> None:
    histogram = Histogram(1, 20)
    model = np.full(23, 1.0)  # for -10..10, whatever the pictures say
    seen = {-10: 1, -9: 5, -8: 200, 0: 10**7, 3: 300, 4: 9, 10: 2}
    for symbol, count in seen.items():
        histogram.add(np.zeros(count, int), np.full(count, symbol))
    table, first = histogram.table(0, model, -10, weight=1e-3, even=False)
    assert first == -9 + 1  # 6 of ten million lie below, 11 above 3: less than RARE / 2
    assert RARE / 2 * 1e7 > 11
    assert len(table) == 1 + len(range(-8, 3 + 1)) + 1
    assert table.sum() == 1 << PRECISION
    assert np.allclose(table[[0, -1]] / 2**PRECISION, [6e-7, 11e-7], atol=2e-7)
    alone, first = histogram.table(0, model, -10, weight=1e12, even=True)
    assert (len(alone), first) == (23, -10)  # nothing is rare


def test_a_table_keeps_one_symbol_at_least() -> None:
    histogram = Histogram(1, 5)
    histogram.add(np.zeros(10**6, int), np.full(10**6, 5))
    table, first = histogram.table(0, np.full(5, 0.2), -1, weight=1e-9, even=False)
    assert len(table) == 3
    assert first == 1
    assert table[2] > table[1]  # what was seen escapes upwards


def test_slopes_are_how_far_neighbours_are_followed() -> None:
    rng = np.random.default_rng(5)
    seen = []
    for _ in range(20):
        z_hat = np.rint(rng.normal(3, 20, (3, 6, 7))).astype(np.int32)
        second = second_half(6, 7)
        for channel, share in ((0, 0.8), (1, -0.25)):
            z_hat[channel, second] = np.rint(share * neighbours(z_hat)[channel] / PARTS)
        seen.append(z_hat)
    found = coding_tables._slopes([seen, []], 3) / 2**SLOPE_BITS
    assert np.allclose(found, [0.8, -0.25, 0.0], atol=0.1)
    assert np.allclose(found[:2], [0.8, -0.25], atol=0.01)


# --- Export -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(finished: Path, photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "mine"
    exporter.export(finished, folder, photographs=photographs, pictures=6)
    return folder


def test_an_export_compresses_and_says_who_it_is(exported: Path, tmp_path: Path) -> None:
    picture = samples.photograph()
    picture.save(tmp_path / "p.png")
    env = {"AECODEC_WEIGHTS": str(exported.parent)}
    result = command.run("compress", "--model", "mine", "p.png", cwd=tmp_path, env=env)
    assert result.returncode == 0, result.stderr.decode()
    result = command.run("decompress", "p.aec", "-o", "q.png", cwd=tmp_path, env=env)
    assert result.returncode == 0, result.stderr.decode()
    from PIL import Image

    assert samples.psnr(picture, Image.open(tmp_path / "q.png")) > 20
    # Without those weights the file is refused, naming them.
    result = command.run("decompress", "p.aec", "-o", "r.png", cwd=tmp_path)
    assert result.returncode == 1
    assert weights.model_id(exported).hex().encode() in result.stderr


def test_damaged_weights_make_no_files_that_nobody_can_decode(
    exported: Path, tmp_path: Path
) -> None:
    """Their id is another one, so the whole weights would not decode what they had made."""
    samples.photograph().save(tmp_path / "p.png")
    damaged = tmp_path / "all" / "mine"
    shutil.copytree(exported, damaged)
    whole = (damaged / "synthesis8.onnx").read_bytes()
    (damaged / "synthesis8.onnx").write_bytes(whole[:-9])
    env = {"AECODEC_WEIGHTS": str(damaged.parent)}
    compress = ("compress", "--model", "mine", "p.png")
    for arguments in (compress, ("models",)):
        done = command.run(*arguments, cwd=tmp_path, env=env)
        assert done.returncode == 1
        assert b"a file of these weights is damaged or was changed" in done.stderr
    assert not (tmp_path / "p.aec").exists()
    (damaged / "synthesis8.onnx").write_bytes(whole)
    (damaged / "id.txt").unlink()  # as in weights that were exported before
    assert weights.model_id(damaged) == weights.model_id(exported)
    done = command.run(*compress, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr


def test_nothing_to_calibrate_on_is_one_line(
    finished: Path, photographs: Path, tmp_path: Path
) -> None:
    """It had said: train longer."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.png").write_text("no picture")
    with pytest.raises(ValueError, match="no picture to calibrate the qualities on"):
        exporter.export(finished, tmp_path / "w", photographs=photographs, calibrate_on=broken)
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(photographs.iterdir())[:3]:
        shutil.copy(path, few)
    with pytest.raises(ValueError, match="of four or more photographs some are held out"):
        exporter.export(finished, tmp_path / "w", photographs=few)


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the length of files to set")
def test_an_export_that_cannot_be_written_is_one_line(
    finished: Path, photographs: Path, tmp_path: Path
) -> None:
    import resource

    limit = 300_000  # the graphs are shorter, and the tables longer
    done = command.run(
        *("export", finished, "--photographs", photographs, "-o", "w"),
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    (line,) = command.lines(done.stderr)
    assert line.startswith(f"aecodec: {finished}: cannot write tables.safetensors: ")
    assert done.returncode == 1
    assert not list(tmp_path.iterdir())


def test_an_export_is_complete_and_readable_by_all(exported: Path) -> None:
    names = {path.name for path in exported.iterdir()}
    rest = {"training.safetensors", "id.txt", "README.md"}
    assert names == {*weights.DECODER_FILES, *weights.ENCODER_FILES, *rest}
    for path in exported.iterdir():
        assert path.stat().st_mode & 0o444 == 0o444
    codec = Codec(weights.load(exported))
    levels = codec.weights.level[1:]
    assert (np.diff(levels) > 0).all()
    assert (np.diff(codec.weights.gain[1:], axis=0).mean(axis=1) > 0).all()


def test_an_export_replaces_nothing_but_weights_and_those_when_told_to(
    finished: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(out: Path, *, force: bool) -> None:
        exporter.export(tmp_path, out, photographs=photographs, force=force)

    def refused(out: Path, text: str, *, force: bool = True) -> None:
        before = sorted(out.rglob("*"))
        with pytest.raises(OutputExistsError, match=text):
            export(out, force=force)
        assert sorted(out.rglob("*")) == before

    refused(finished, r"holds checkpoint\.safetensors, which is no part of weights")
    refused(photographs, r"holds astronaut0\.png, which is no part of weights")
    folder = tmp_path / "weights"
    folder.mkdir()
    no_run = pytest.raises(ValueError, match="not a run with a checkpoint")  # it comes that far
    for name in ("README.md", *weights.DECODER_FILES, "id.txt", "synthesis.onnx"):
        if name == "config.json":
            with no_run:
                export(folder, force=False)
        (folder / name).touch()
    refused(folder, "holds weights already: -f replaces them", force=False)
    (folder / "notes").mkdir()
    refused(folder, "holds notes, which is no part of weights")
    (folder / "notes").rmdir()
    with no_run:
        export(folder, force=True)
    monkeypatch.chdir(folder)
    refused(folder, "choose a folder in it")
    refused(folder / "README.md", "is a file")


def test_training_goes_on_from_an_export(exported: Path, photographs: Path, tmp_path: Path) -> None:
    _, facts = load_ema(exported)
    assert facts["step"] == 8
    settings = dataclasses.replace(SETTINGS, steps=2)
    train(photographs, tmp_path, settings, device="cpu", start_from=exported)
    assert read_facts(tmp_path / "checkpoint.safetensors")["origin"]["step"] == 8


def _make_busy(model: Autoencoder, std: float) -> Autoencoder:
    """Let blocks do something: a quarter of their hidden channels."""
    torch.manual_seed(3)
    with torch.no_grad():
        for part in (model.analysis, model.synthesis):
            for block in (*part.blocks8, *part.blocks16):
                for last in (block.w2, block.v2):
                    last.weight[:] = 0.0
                    last.weight[:, ::4].normal_(std=std)
    return model.eval()


@pytest.fixture(scope="module")
def busy() -> Autoencoder:
    return _make_busy(Autoencoder(SIZES["tiny"]), 0.3)


@pytest.mark.parametrize(("crop", "expected"), [(128, set(trainer.TILINGS)), (64, {(1, 1)})])
def test_crops_are_coded_in_tiles_of_whole_latents(
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    crop: int,
    expected: set[tuple[int, int]],
) -> None:
    seen = set()
    forward = Autoencoder.forward

    def watched(model: Autoencoder, *inputs: Any, **how: Any) -> Any:
        if model.training:
            seen.add(how["tiles"])
        return forward(model, *inputs, **how)

    monkeypatch.setattr(Autoencoder, "forward", watched)
    settings = dataclasses.replace(SETTINGS, crop=crop, steps=24, batch=1)
    train(photographs, tmp_path, settings, device="cpu")
    assert seen == expected


def test_tables_are_counted_in_tiles_too(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every third picture two, each of which knows that the other is there."""
    codec = Codec(weights.load(exported))
    quantise, seen = codec.tiles.quantise, []

    def watched(y: np.ndarray, point: weights.OperatingPoint, sides: Sides) -> Any:
        seen.append((y.shape[1:], sides))
        return quantise(y, point, sides)

    monkeypatch.setattr(codec.tiles, "quantise", watched)
    wide = np.asarray(samples.photograph(box=(0, 0, 192, 64)))
    coding_tables.count(codec, [wide, wide, wide, wide, wide, wide.transpose(1, 0, 2)])
    whole = {((4, 12), ALONE)}
    beside = {((4, 4), Sides(right=True)), ((4, 8), Sides(left=True))}
    above = {((4, 4), Sides(bottom=True)), ((8, 4), Sides(top=True))}
    assert set(seen) == whole | beside | above


def test_finishing_changes_what_a_decoder_has_and_nothing_else(
    exported: Path, photographs: Path, tmp_path: Path
) -> None:
    """In the shape that the export has; and the same command again goes on."""
    settings = dataclasses.replace(SETTINGS, finish=True, steps=3, size="small")  # not what it is
    train(photographs, tmp_path, settings, device="cpu", start_from=exported)
    before, facts = load_ema(exported)
    after = load_file(tmp_path / "checkpoint.safetensors")
    assert read_facts(tmp_path / "checkpoint.safetensors")["settings"]["size"] == "tiny"
    kept = ("analysis.", "hyper_analysis.", "log_gain.", "log_std")
    for name, value in before.named_parameters():
        same = torch.equal(value, after[f"model.{name}"])
        assert same or not name.startswith(kept), name
    changed = ("synthesis.", "context.", "mean_features.", "scale_network.", "z_prior.")
    for part in changed:
        names = [name for name, _ in before.named_parameters() if name.startswith(part)]
        state = before.state_dict()
        assert any(not torch.equal(state[name], after[f"model.{name}"]) for name in names), part
    result = train(photographs, tmp_path, dataclasses.replace(settings, steps=4), device="cpu")
    assert result["step"] == 4
    assert result["finish"]
    origin = read_facts(tmp_path / "checkpoint.safetensors")["origin"]
    assert origin["step"] == facts["step"]


def test_finishing_needs_a_beginning(photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to finish"):
        train(photographs, tmp_path, dataclasses.replace(SETTINGS, finish=True), device="cpu")


def test_one_training_at_a_time_in_a_folder(
    finished: Path, photographs: Path, tmp_path: Path
) -> None:
    """A second one would replace the checkpoints of the first."""
    run = shutil.copytree(finished, tmp_path / "run")
    before = (run / "checkpoint.safetensors").read_bytes()
    settings = dataclasses.replace(SETTINGS, steps=10)
    with FileLock(run / trainer.LOCK), pytest.raises(ValueError, match="another training"):
        train(photographs, run, settings, device="cpu")
    assert (run / "checkpoint.safetensors").read_bytes() == before
    assert train(photographs, run, settings, device="cpu")["step"] == 10


def test_a_run_is_begun_with_finishing_or_without(
    finished: Path, exported: Path, photographs: Path, tmp_path: Path
) -> None:
    """Going on the other way would take one's steps for the other's."""
    settings = dataclasses.replace(SETTINGS, finish=True)
    before = (finished / "checkpoint.safetensors").read_bytes()
    with pytest.raises(ValueError, match="begun without --finish; choose another --out"):
        train(photographs, finished, settings, device="cpu")
    assert (finished / "checkpoint.safetensors").read_bytes() == before
    one = dataclasses.replace(settings, steps=1)
    train(photographs, tmp_path, one, device="cpu", start_from=exported)
    with pytest.raises(ValueError, match="begun with --finish; choose another --out"):
        train(photographs, tmp_path, SETTINGS, device="cpu")


@pytest.mark.parametrize(
    ("size", "tiled"), [((256, 256), False), ((240, 208), False), ((512, 256), True)]
)
def test_an_encoder_codes_the_symbols_that_finishing_learns_from(
    exported: Path, size: tuple[int, int], tiled: bool
) -> None:
    """One quality, one picture, from one set of weights: torch's symbols and the codec's."""
    codec = Codec(weights.load(exported))
    model, _ = load_ema(exported)
    model.scale_network.rounding = True
    rgb = np.asarray(samples.photograph(box=(0, 0, *size)))
    point = codec.weights.at(60)
    y = codec.tiles.analyse(rgb, Box(0, 0, *size))
    # The lower one of two tiles, or the whole picture.
    part, sides = (slice(8, 16), Sides(top=True)) if tiled else (slice(16), ALONE)
    latents = codec.tiles.quantise(y[:, part], point, sides)
    board = Checkerboard(*latents.v_hat.shape)
    coded = board.whole(*latents.symbols)
    x = torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None] / 255.0
    level = torch.from_numpy(point.level)
    with torch.no_grad():
        output = model(x, level, noise=False, finish=True, tiles=(2, 1) if tiled else (1, 1))
    codes, symbols = output.coded[0, :, part], output.symbols[0, :, part]
    # Tables that the export left empty are always zero; and a symbol may lie at a threshold.
    index = board.whole(*(groups.indexes for groups in latents.groups))
    first = board.whole(*(np.full(row.shape, i, np.uint8) for i, row in enumerate(latents.symbols)))
    empty = np.array([tables.empty for tables in codec.weights.y_tables])[first, index]
    same = (codes.numpy() == coded) | empty
    assert np.count_nonzero(coded) > 100
    assert same.mean() > 0.999
    gone = ((codes == 0) & (torch.round(symbols) != 0)).numpy() & ~empty
    assert np.count_nonzero(gone) >= (3 if tiled else 10)
    if tiled:  # by four symbols in a thousand it would show if one of both took it for a picture
        alone = board.whole(*codec.tiles.quantise(y[:, part], point).symbols)
        assert np.mean(alone == coded) < 0.998
    assert np.count_nonzero(coded[gone]) <= 1


def test_an_export_leaves_out_what_does_nothing_and_goes_on(
    finished: Path, photographs: Path, tmp_path: Path
) -> None:
    busy = _make_busy(load_ema(finished)[0], 0.01)
    checkpoint = finished / "checkpoint.safetensors"
    state = {f"ema.{name}": value for name, value in busy.state_dict().items()}
    (tmp_path / "run").mkdir()
    save_file(
        load_file(checkpoint) | state,
        tmp_path / "run" / checkpoint.name,
        metadata={"run": json.dumps(read_facts(checkpoint))},
    )
    found = {}
    for prune in (False, True):
        folder = tmp_path / f"prune-{prune}"
        exporter.export(tmp_path / "run", folder, photographs=photographs, pictures=6, prune=prune)
        found[prune], _ = load_ema(folder)
        config = json.loads((folder / "config.json").read_text())
        assert config["synthesis8"] == [list(both) for both in found[prune].config.synthesis8]
    assert found[False].config == busy.config
    for name, value in busy.state_dict().items():
        difference = (found[False].state_dict()[name] - value).abs().max()
        assert difference <= 1e-3 * max(1.0, float(value.abs().max())), name
    for row in ("analysis8", "analysis16", "synthesis16", "synthesis8"):
        assert {width for both in getattr(found[True].config, row) for width in both} == {16}
        assert all(width > 16 for both in getattr(busy.config, row) for width in both)
    x = torch.from_numpy(np.asarray(samples.photograph(box=(0, 0, 128, 128)))).float() / 255.0
    with torch.no_grad():
        wide, narrow = (
            model(x.permute(2, 0, 1)[None], torch.tensor([0.5]), noise=False).x_hat
            for model in found.values()
        )
    assert (wide - narrow).square().mean() < 1e-4 * wide.var()
    forged = found[False].config  # not what the weights have
    facts = read_facts(tmp_path / "prune-True" / "training.safetensors")
    facts["config"] = dataclasses.asdict(forged)
    shutil.copytree(tmp_path / "prune-True", tmp_path / "forged")
    rest = tmp_path / "forged" / "training.safetensors"
    save_file(load_file(rest), rest, metadata={"run": json.dumps(facts)})
    with pytest.raises(ValueError, match="another shape"):
        load_ema(tmp_path / "forged")
    # What was left out gets a new start.
    settings = dataclasses.replace(SETTINGS, steps=1)
    train(
        photographs, tmp_path / "more", settings, device="cpu", start_from=tmp_path / "prune-True"
    )
    more, facts = load_ema(tmp_path / "more")
    assert more.config == busy.config and facts["origin"]["step"] == 8


def test_hidden_channels_that_do_nothing_start_afresh(busy: Autoencoder, photographs: Path) -> None:
    pictures = Photographs(find_photographs(photographs), smallest=64)
    seen = measure_activity(busy, pictures, batch=2, crop=64, seed=0)
    wider = dataclasses.replace(
        SIZES["tiny"], analysis16=((40, 36),), synthesis8=((48, 40), (20, 24), (16, 0))
    )
    grown = Autoencoder(wider)
    facts = transplant(busy, grown, seen, seed=0)
    widths = {"analysis.blocks8": (32, 32), "analysis.blocks16": (40, 36)}
    for name, both in (widths | {"synthesis.blocks8": (48, 40)}).items():
        for last, width in zip(("w2", "v2"), both, strict=True):
            kept, fresh = facts[f"{name}.0.{last}"]
            assert 4 <= kept <= 8 and kept + fresh == width
    assert facts["synthesis.blocks8.1.w2"] == (0, 20) and facts["synthesis.blocks8.1.v2"] == (0, 24)
    assert facts["synthesis.blocks8.2.w2"] == (0, 16) and "synthesis.blocks8.2.v2" not in facts
    x = torch.from_numpy(np.asarray(samples.photograph(box=(0, 0, 128, 128)))).float() / 255.0
    x = x.permute(2, 0, 1)[None]
    level = torch.tensor([0.5])
    with torch.no_grad():
        expected, y = busy(x, level, noise=False), busy.analysis(x)
        actual, y_grown = grown(x, level, noise=False), grown.analysis(x)
    assert (y - y_grown).square().mean() < 2e-3 * y.var()
    assert (expected.x_hat - actual.x_hat).square().mean() < 2e-3 * expected.x_hat.var()
    # What starts afresh answers to every input alike, and has no effect yet.
    block = grown.analysis.blocks16[0]
    reach = (block.w1.weight[8:, :, 0, 0] * seen["analysis.blocks16.0"].rms["w1"]).std(dim=0)
    assert float(reach.min() / reach.max()) > 0.5
    assert not bool(block.w2.weight[:, 8:].any()) and bool(block.w2.weight[:, :8].any())


def test_of_too_many_hidden_channels_the_busiest_stay(busy: Autoencoder, photographs: Path) -> None:
    pictures = Photographs(find_photographs(photographs), smallest=64)
    seen = measure_activity(busy, pictures, batch=2, crop=64, seed=0)
    narrower = Autoencoder(dataclasses.replace(SIZES["tiny"], analysis16=((8, 8),)))
    kept, fresh = transplant(busy, narrower, seen, seed=0)["analysis.blocks16.0.w2"]
    assert kept + fresh == 8
    before, after = busy.analysis.blocks16[0].w2.weight, narrower.analysis.blocks16[0].w2.weight
    value = seen["analysis.blocks16.0"].variance["w2"] * before[:, :, 0, 0].square().sum(0)
    busiest = value.argsort(descending=True)[:kept].sort().values
    assert torch.equal(after[:, :kept], before[:, busiest])
    fewer = Autoencoder(dataclasses.replace(SIZES["tiny"], analysis16=()))
    with pytest.raises(ValueError, match=r"have analysis\.blocks16\.0 as well"):
        transplant(busy, fewer, seen, seed=0)
    other = Autoencoder(dataclasses.replace(SIZES["tiny"], latents=96))
    with pytest.raises(ValueError, match="another shape"):
        transplant(busy, other, seen, seed=0)


def test_what_does_nothing_is_pruned(busy: Autoencoder, photographs: Path) -> None:
    pictures = Photographs(find_photographs(photographs), smallest=64)
    seen = measure_activity(busy, pictures, batch=2, crop=64, seed=0)
    narrow = pruned(busy, seen)
    # 8 hidden channels of 32 (12 of 48) do something; 16 is what a processor computes at once.
    rows = ("analysis8", "analysis16", "synthesis16", "synthesis8")
    assert [getattr(narrow.config, row) for row in rows] == [((16, 16),)] * 4
    x = torch.from_numpy(np.asarray(samples.photograph(box=(0, 0, 128, 128)))).float() / 255.0
    x, level = x.permute(2, 0, 1)[None], torch.tensor([0.5])
    with torch.no_grad():
        expected, y = busy(x, level, noise=False), busy.analysis(x)
        actual, y_narrow = narrow(x, level, noise=False), narrow.analysis(x)
    # Channels whose last weights are 0 bring nothing at all.
    assert (y - y_narrow).abs().max() < 1e-4 * y.std()
    assert (expected.x_hat - actual.x_hat).abs().max() < 1e-3 * expected.x_hat.std()
    # Nothing is left to prune, and where all does something, nothing goes.
    assert pruned(narrow, measure_activity(narrow, pictures, batch=2, crop=64, seed=0)).config == (
        narrow.config
    )
    torch.manual_seed(0)
    full = Autoencoder(SIZES["tiny"])
    with torch.no_grad():
        for part in (full.analysis, full.synthesis):
            for block in (*part.blocks8, *part.blocks16):
                for last in (block.w2, block.v2):
                    last.weight.normal_(std=0.3)
    seen = measure_activity(full, pictures, batch=2, crop=64, seed=0)
    assert pruned(full, seen).config.synthesis16 == SIZES["tiny"].synthesis16


def test_a_gate_that_is_left_out_leaves_its_mean(busy: Autoencoder, photographs: Path) -> None:
    pictures = Photographs(find_photographs(photographs), smallest=64)
    seen = measure_activity(busy, pictures, batch=2, crop=64, seed=0)
    plain = Autoencoder(dataclasses.replace(SIZES["tiny"], analysis16=((32, 0),)))
    facts = transplant(busy, plain, seen, seed=0)
    assert "analysis.blocks16.0.v2" not in facts
    gated = Autoencoder(SIZES["tiny"])
    transplant(busy, gated, seen, seed=0)
    mean = busy.analysis.blocks16[0].v2(seen["analysis.blocks16.0"].mean["v2"][:, None, None])
    assert float(mean.abs().max()) > 0.01
    moved = plain.analysis.blocks16[0].w2.bias - gated.analysis.blocks16[0].w2.bias
    assert torch.allclose(moved, mean[:, 0, 0], atol=1e-6)
    # The other way round a gate starts afresh, with no effect yet.
    again = Autoencoder(SIZES["tiny"])
    seen = measure_activity(plain, pictures, batch=2, crop=64, seed=0)
    assert transplant(plain, again, seen, seed=0)["analysis.blocks16.0.v2"] == (0, 32)
    assert not bool(again.analysis.blocks16[0].v2.weight.any())
    assert bool(again.analysis.blocks16[0].v1a.weight.any())


@pytest.mark.parametrize("optimiser", ["adam", "soap"])
def test_large_inputs_get_short_steps_even_after_a_stop(
    busy: Autoencoder, photographs: Path, tmp_path: Path, optimiser: str
) -> None:
    pictures = Photographs(find_photographs(photographs), smallest=64)
    seen = measure_activity(busy, pictures, batch=2, crop=64, seed=0)
    settings = dataclasses.replace(SETTINGS, optimiser=optimiser)
    run = Run(tmp_path, settings, SIZES["tiny"])
    run.start_ema()
    set_step_scales(run.optimiser, run.model, seen)
    layer = run.model.analysis.blocks16[0].w1
    scale = run.optimiser.state[layer.weight]["scale"][0, :, 0, 0]
    rms = seen["analysis.blocks16.0"].rms["w1"]
    assert float(scale.max()) == 1.0
    assert scale[rms.argmax()] == scale.min() < 0.6
    plain = Run(tmp_path / "plain", settings, SIZES["tiny"])
    moved = []
    for trained in (run, plain):
        weight = trained.model.analysis.blocks16[0].w1.weight
        before = weight.detach().clone()
        torch.manual_seed(5)
        for p in trained.model.parameters():
            p.grad = torch.randn_like(p)
        for _ in range(2):  # SOAP's first step only starts its preconditioners
            trained.optimiser.step()
        moved.append((weight.detach() - before)[:, :, 0, 0])
    assert float(moved[1].abs().max()) > 1e-4
    assert torch.allclose(moved[0], moved[1] * scale, rtol=1e-2, atol=1e-6)
    run.save()
    again = Run(tmp_path, settings, SIZES["tiny"])
    again.load()
    same = again.optimiser.state[again.model.analysis.blocks16[0].w1.weight]["scale"]
    assert torch.equal(same[0, :, 0, 0], scale)
    # A GPU would get all of it; "meta" is a device that every machine has.
    again.to(torch.device("meta"))
    moved_to = {
        value.device.type
        for state in again.optimiser.state.values()
        for key, value in state.items()
        if key != "step"
    }
    assert moved_to == {value.device.type for value in again.ema.values()} == {"meta"}


def test_a_stranger_is_not_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors: not a checkpoint"):
        load_ema(path)
