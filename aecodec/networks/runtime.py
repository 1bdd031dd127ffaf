"""The float networks, run by ONNX Runtime.

One session a graph, made at first use, shared by all calls of a process; and a second one for
threads that run graphs alone. Nothing that these networks compute decides a probability, so
threads, graph optimisations and instruction sets may differ between the machine that compresses
and the one that decompresses.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import os
import pathlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from aecodec import forks
from aecodec.errors import DeviceError, WeightsError, is_out_of_memory, one_line
from aecodec.machine import cores, runs_out
from aecodec.networks.config import DEVICES
from aecodec.stages import stage

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Options", "Runtime", "cores"]

T = TypeVar("T")
_CUDA = "CUDAExecutionProvider"
_NO_CUDA = "ONNX Runtime finds no NVIDIA GPU, or not the CUDA and cuDNN that it needs"
_NO_CUDA_HERE = (
    "this process was forked from one that had used the GPU, and CUDA does not survive that: "
    "start it with multiprocessing's method spawn"
)
_MAX_WORKERS = 8
_LARGEST_KEPT = 31 << 20
_no_cuda = threading.Event()
"""Set when ONNX Runtime was built for CUDA, and could not use it: no need to try again."""
_forked_from_cuda = False


@dataclasses.dataclass(frozen=True)
class Options:
    """How to run the graphs.

    `threads` 0 = one for every core this process may use. `device` "auto" takes an NVIDIA GPU where
    the installed ONNX Runtime can use one, and else the processor.
    """

    threads: int = 0
    optimise: bool = True
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.threads < 0:
            raise ValueError(f"threads must be 0 or more, not {self.threads}")


@functools.cache
def _onnx_runtime() -> Any:
    """The package onnxruntime, which is imported here alone, and sends nothing.

    From 1.29 on it queues events in the user's cache folder as soon as it is imported, and looks up
    the host that they are for. Only the variable, set before, keeps it from that (tried with 1.29.0
    to 1.32.0); the function is for Windows, where the system collects events.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    with forks.gate:
        import onnxruntime  # half of a second: only when a picture is really coded

    onnxruntime.disable_telemetry_events()
    return onnxruntime


@functools.cache
def _share_arena() -> None:
    """Give the process one arena, from which sessions that ask for it take all their memory.

    Each session's own would hold what it needed at most: memory that has to be taken from the
    system, cleared and mapped, which is a tenth of a large picture's time.
    """
    ort = _onnx_runtime()
    kind = ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    memory = ort.OrtMemoryInfo("Cpu", kind, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(memory, None)


def _raise_out_of_memory(error: Exception) -> None:
    """Raise MemoryError where that is what an error of ONNX Runtime comes from.

    It does not always say so: a thread that gets no memory leaves a tensor without a type to the
    next node. Our graphs and inputs are right, so that little else can go wrong.
    """
    if is_out_of_memory(error) or runs_out():
        raise MemoryError from error


def _keep_for_ever(value: object) -> None:
    """Never free a value, not even when the process ends."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


@functools.cache
def _keep_freed_memory() -> None:
    """Let glibc keep what is freed: twice as much as the largest block that was ever freed.

    Only blocks of 32 MiB at most count for that. Without it a small picture's megabytes would go
    back to the system and come again with each picture, which takes a tenth of its time. The block
    is never touched.
    """
    import numpy as np

    np.empty(_LARGEST_KEPT, np.uint8)


class Runtime:
    """The graphs of one folder of weights."""

    def __init__(self, folder: pathlib.Path, options: Options | None = None) -> None:
        self.folder = folder
        self.options = options or Options()
        if self.options.device not in DEVICES:
            raise ValueError(
                f"device must be one of {', '.join(DEVICES)}, not {self.options.device}"
            )
        self.threads = self.options.threads or cores()
        _keep_freed_memory()
        self._begin()
        forks.renewed(self._begin_anew)

    def _begin(self) -> None:
        """Without a session and without a helper: made at first use, and in every forked child."""
        self._sessions: dict[tuple[str, int], Any] = {}  # by graph and threads
        self._helper: ThreadPoolExecutor | None = None
        self._busy = 0  # threads that work on tiles
        self._here = threading.local()  # what `working` says of this thread
        self._lock = threading.Lock()

    def _begin_anew(self) -> None:
        """In a forked child: the threads of the sessions and of the helper are not there."""
        global _forked_from_cuda, _no_cuda
        for session in self._sessions.values():
            _keep_for_ever(session)  # it would wait for its threads before it goes
            _forked_from_cuda |= _CUDA in session.get_providers()
        fresh = threading.Event()
        if _no_cuda.is_set() or _forked_from_cuda:
            fresh.set()
        _no_cuda = fresh
        self._begin()

    def session(self, name: str) -> Any:
        """The session of `NAME.onnx`. Raises WeightsError where it can't be made."""
        threads = 1 if self._per_thread else self.threads
        with self._lock:
            if (name, threads) not in self._sessions:
                with stage("loading networks"):
                    opened = self._open(self.folder / f"{name}.onnx", threads)
                    self._sessions[name, threads] = opened
            return self._sessions[name, threads]

    @property
    def workers(self) -> int:
        """How many threads may each run graphs in a session of one thread. 0: all share sessions.

        Sharing is better on a GPU, which computes faster what comes in one piece, and with many
        threads, as each worker needs memory of its own, some 50 MiB.
        """
        ort = _onnx_runtime()
        gpu = (
            self.options.device != "cpu"
            and not _no_cuda.is_set()
            and _CUDA in ort.get_available_providers()
        )
        return 0 if gpu or self.threads > _MAX_WORKERS else self.threads

    @property
    def _per_thread(self) -> bool:
        """Whether this thread runs graphs in sessions of one thread."""
        return getattr(self._here, "per_thread", False)

    def _open(self, path: pathlib.Path, threads: int) -> Any:
        ort = _onnx_runtime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Every session has threads of its own: those of one would spin, waiting for work, on the
        # cores that the next one needs (half of the speed on two cores).
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # what goes wrong comes as an exception, and is told once
        options.enable_mem_pattern = False  # pictures come in too many sizes
        # What one graph has used, the next one can use again.
        _share_arena()
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.graph_optimization_level = (
            ort.GraphOptimizationLevel.ORT_ENABLE_ALL
            if self.options.optimise
            else ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        )
        providers = self._providers()
        try:
            with forks.gate:
                session = ort.InferenceSession(str(path), sess_options=options, providers=providers)
        except Exception as error:  # onnxruntime's errors have no common public base
            _raise_out_of_memory(error)
            raise WeightsError(f"{path}: ONNX Runtime can't load it: {one_line(error)}") from error
        if len(providers) > 1 and _CUDA not in session.get_providers():
            _no_cuda.set()
            if self.options.device == "cuda":
                raise DeviceError(_NO_CUDA)
        return session

    def _providers(self) -> list[Any]:
        """What ONNX Runtime is to run the graphs with, best first. Raises DeviceError."""
        ort = _onnx_runtime()
        device, cpu = self.options.device, "CPUExecutionProvider"
        if device == "cpu":
            return [cpu]
        if _no_cuda.is_set():
            if device == "cuda":
                raise DeviceError(_NO_CUDA_HERE if _forked_from_cuda else _NO_CUDA)
            return [cpu]
        if _CUDA in ort.get_available_providers():
            # What can't be loaded is said in our one line, not in ONNX Runtime's many.
            ort.set_default_logger_severity(4)
            if hasattr(ort, "preload_dlls"):  # from NVIDIA's Python packages; it prints
                with contextlib.redirect_stdout(io.StringIO()):
                    ort.preload_dlls()
            # TF32 has ten bits of mantissa: means would differ from a processor's in the third
            # digit, and so would the pixels of a picture decoded there.
            return [(_CUDA, {"use_tf32": "0"}), cpu]
        if device == "cuda":
            raise DeviceError(
                "the installed ONNX Runtime has no CUDA: it needs the package onnxruntime-gpu"
            )
        return [cpu]

    def run(self, name: str, **inputs: npt.NDArray[Any]) -> list[Any]:
        """The outputs of graph `name` for `inputs`."""
        session = self.session(name)
        with stage(name.rstrip("0123456789").replace("_", " ")):  # both halves are one
            try:
                with forks.gate:
                    outputs: list[Any] = session.run(None, inputs)
            except Exception as error:
                _raise_out_of_memory(error)
                raise
        return outputs

    @contextlib.contextmanager
    def working(self, per_thread: bool = False) -> Iterator[None]:
        """Inside, one thread more is at work; with `per_thread` its graphs run on it alone.

        That pays where every thread has work of its own: nobody waits for others in each layer.
        """
        with self._lock:
            self._busy += 1
        before, self._here.per_thread = self._per_thread, per_thread
        try:
            yield
        finally:
            self._here.per_thread = before
            with self._lock:
                self._busy -= 1

    def submit(self, work: Callable[..., T], *args: Any) -> Callable[[], T]:
        """Begin `work(*args)` on another thread if one may be idle, else do it now.

        A call of what is returned gives its result. There is one such thread, which takes one work
        after another. What it takes counts for no stage: only waiting for it does, if the caller
        says so.
        """
        with self._lock:
            idle = self.threads > max(1, self._busy)
            if idle and self._helper is None:
                self._helper = ThreadPoolExecutor(1, "aecodec-beside")
        if idle and self._helper is not None:
            return self._helper.submit(self._as_there, work, args, self._per_thread).result
        found = work(*args)  # now: to keep the work would keep all that it refers to
        return lambda: found

    def _as_there(self, work: Callable[..., T], args: tuple[Any, ...], per_thread: bool) -> T:
        """Do another thread's work as it would."""
        self._here.per_thread = per_thread
        return work(*args)
