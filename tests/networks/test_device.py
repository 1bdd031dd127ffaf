"""Where the float networks run: on the processor, or on an NVIDIA GPU where there is one."""

from __future__ import annotations

import threading
from pathlib import Path

import command
import numpy as np
import onnxruntime
import pytest
import samples

import aecodec
from aecodec import bitstream
from aecodec.codec import Codec
from aecodec.coding.workers import Workers, per_thread_pays
from aecodec.entropy.padding import TileShape
from aecodec.errors import DeviceError
from aecodec.networks import runtime, weights
from aecodec.networks.runtime import Options, Runtime

SIZE = (0, 0, 320, 256)


def gpu() -> bool:
    """Whether ONNX Runtime really runs a graph on a GPU here."""
    try:
        Runtime(weights.by_name(None).folder, Options(device="cuda")).session("hyper_analysis")
    except DeviceError:  # any other fault is one, and no reason to leave tests out
        return False
    return True


GPU = gpu()
needs_gpu = pytest.mark.skipif(not GPU, reason="no NVIDIA GPU that ONNX Runtime can use")
without_gpu = pytest.mark.skipif(GPU, reason="there is an NVIDIA GPU")


def test_the_processor_is_taken_where_it_is_asked_for() -> None:
    networks = Runtime(weights.by_name(None).folder, Options(device="cpu"))
    assert networks.session("hyper_analysis").get_providers() == ["CPUExecutionProvider"]


def test_auto_runs_everywhere() -> None:
    picture = samples.photograph(box=SIZE)
    data = aecodec.compress(picture, device="auto")
    assert aecodec.decompress(data, device="auto").size == picture.size


def test_an_unknown_device_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="auto, cpu, cuda, not tpu"):
        aecodec.compress(samples.photograph(box=SIZE), device="tpu")


def test_threads_run_networks_alone_unless_they_are_many_or_there_is_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A GPU gets large pieces, and the memory of many threads stays within bounds."""
    default = weights.by_name(None)

    def coder(threads: int, device: str) -> Codec:
        return Codec(default, Options(threads=threads, device=device))

    few, many = coder(8, "cpu"), coder(64, "cpu")
    assert few.tiles.transforms.area8 < many.tiles.transforms.area8
    runtimes = few, many = [codec.tiles.runtime for codec in (few, many)]
    assert few.workers == 8 and many.workers == 0
    assert per_thread_pays(few, 16) and not per_thread_pays(few, 15)
    assert not per_thread_pays(many, 1000)
    assert [Workers(runtime, False, None).ahead for runtime in runtimes] == [16, 16]
    monkeypatch.setattr(runtime, "_no_cuda", threading.Event())
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    assert coder(8, "cpu").tiles.runtime.workers == 8
    assert coder(8, "auto").tiles.runtime.workers == coder(8, "cuda").tiles.runtime.workers == 0
    runtime._no_cuda.set()  # found to be out of order
    assert coder(8, "auto").tiles.runtime.workers == 8


@without_gpu
def test_without_a_gpu_cuda_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(DeviceError):
        aecodec.compress(samples.photograph(box=SIZE), device="cuda")
    samples.photograph(box=SIZE).save(tmp_path / "a.png")
    done = command.run("compress", "a.png", "--device", "cuda", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1 and b"a.png: " in done.stderr
    assert b"onnxruntime" in done.stderr.lower().replace(b" ", b"") and b"--device" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    (tmp_path / "a.aec").write_bytes(aecodec.compress(samples.photograph(box=SIZE)))
    for arguments in (["decompress", "-f"], ["verify", "--full"], ["compare", "a.png"]):
        done = command.run(*arguments, "a.aec", "--device", "cuda", cwd=tmp_path)
        assert done.returncode == 1
        assert done.stderr.count(b"\n") == 1 and b"aecodec: a.aec: " in done.stderr, arguments
        assert b"--device" in done.stderr
    assert command.run("verify", "a.aec", "--device", "cuda", cwd=tmp_path).returncode == 0


@without_gpu
def test_a_gpu_that_is_not_there_is_told_from_a_runtime_that_can_use_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With onnxruntime-gpu installed and no GPU, ONNX Runtime falls back without an error."""
    monkeypatch.setattr(runtime, "_no_cuda", threading.Event())
    monkeypatch.setattr(
        onnxruntime,
        "get_available_providers",
        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    folder = weights.by_name(None).folder
    with pytest.raises(DeviceError, match="no NVIDIA GPU"):
        Runtime(folder, Options(device="cuda")).session("hyper_analysis")
    session = Runtime(folder, Options(device="auto")).session("hyper_analysis")
    assert session.get_providers() == ["CPUExecutionProvider"]


@needs_gpu
@pytest.mark.parametrize("quality", [20, 60, 95])
def test_files_pass_between_gpu_and_processor(quality: int) -> None:
    """Symbols are the same to the bit, whoever wrote them and whoever reads; pixels by a level."""
    loaded = weights.by_name(None)
    coders = [Codec(loaded, Options(device=device)) for device in ("cpu", "cuda")]
    picture = samples.photograph(box=SIZE)
    for writer in coders:
        data = writer.compress(picture, quality)
        tile = bitstream.parse(data).tiles[0]
        point, shape = loaded.at(quality), TileShape(loaded.config.latents, 16, 20)
        one, other = (coder.tiles.decode(tile, point, shape) for coder in coders)
        assert np.array_equal(one.z_hat, other.z_hat)
        for ours, theirs in zip(one.symbols, other.symbols, strict=True):
            assert np.array_equal(ours, theirs)
        for ours, theirs in zip(one.groups, other.groups, strict=True):
            assert np.array_equal(ours.indexes, theirs.indexes)
        pixels = [np.asarray(c.decode(bitstream.parse(data))).astype(int) for c in coders]
        assert np.abs(pixels[0] - pixels[1]).max() <= 1
