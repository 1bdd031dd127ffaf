"""The float networks, run by ONNX Runtime.

Each graph has a session, which is made at first use and shared by all threads, and a second one for
threads that run graphs alone. No probability depends on these networks. So threads, graph
optimisations and instruction sets of an encoder and a decoder may differ.
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
"""Set after ONNX Runtime with CUDA failed to use a GPU, so that it is tried once."""
_forked_from_cuda = False


@dataclasses.dataclass(frozen=True)
class Options:
    """How to run the graphs.

    `threads` 0 = one for every core this process may use. `device` "auto" takes an NVIDIA GPU where
    the installed ONNX Runtime can use one, and else the processor. Without `optimise` graphs run as
    exported: tests check that every file decodes the same in both ways.
    """

    threads: int = 0
    optimise: bool = True
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.threads < 0:
            raise ValueError(f"threads must be 0 or more, not {self.threads}")


@functools.cache
def _onnx_runtime() -> Any:
    """The package onnxruntime, with its telemetry disabled. It is imported here alone.

    From 1.29 on, the import queues events in the user's cache folder, and looks up the host for
    them. Only a variable that is set before prevents it (tried with 1.29.0 to 1.32.0). The function
    is for Windows, where the system collects events.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    with forks.gate:
        import onnxruntime  # takes half a second, so only when a picture is coded

    onnxruntime.disable_telemetry_events()
    return onnxruntime


@functools.cache
def _share_arena() -> None:
    """Create one memory arena that all sessions share.

    A session with its own arena keeps its largest need. All that memory must be mapped and cleared,
    which takes a tenth of the time of a large picture.
    """
    ort = _onnx_runtime()
    kind = ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    memory = ort.OrtMemoryInfo("Cpu", kind, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(memory, None)


def _raise_out_of_memory(error: Exception) -> None:
    """Raise MemoryError if an error of ONNX Runtime means a lack of memory.

    The text of the error does not always state it: after a failed allocation, the next node reports
    a tensor without a type. With valid graphs and inputs there are few other causes.
    """
    if is_out_of_memory(error) or runs_out():
        raise MemoryError from error


def _keep_for_ever(value: object) -> None:
    """Never free a value, not even when the process ends."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


@functools.cache
def _keep_freed_memory() -> None:
    """Have glibc keep freed memory for the next picture, instead of returning it to the system.

    glibc keeps twice the largest block that was ever freed, of blocks up to 32 MiB. So this frees
    such a block, without touching its memory. It saves a tenth of the time of a small picture.
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
        """Start without sessions and without a helper thread."""
        self._sessions: dict[tuple[str, int], Any] = {}  # by graph and threads
        self._helper: ThreadPoolExecutor | None = None
        self._busy = 0  # threads that work on tiles
        self._here = threading.local()  # state of `working` in this thread
        self._lock = threading.Lock()

    def _begin_anew(self) -> None:
        """In a forked child, which has no threads of sessions and no helper."""
        global _forked_from_cuda, _no_cuda
        for session in self._sessions.values():
            _keep_for_ever(session)  # its destructor would wait for its threads
            _forked_from_cuda |= _CUDA in session.get_providers()
        fresh = threading.Event()
        if _no_cuda.is_set() or _forked_from_cuda:
            fresh.set()
        _no_cuda = fresh
        self._begin()

    def session(self, name: str) -> Any:
        """The session of `NAME.onnx`. Raises WeightsError if it cannot be made."""
        threads = 1 if self._per_thread else self.threads
        with self._lock:
            if (name, threads) not in self._sessions:
                with stage("loading networks"):
                    opened = self._open(self.folder / f"{name}.onnx", threads)
                    self._sessions[name, threads] = opened
            return self._sessions[name, threads]

    @property
    def workers(self) -> int:
        """The number of threads that each run graphs in a session of one thread.

        0: all threads share sessions. Sharing is better on a GPU, which computes large inputs
        faster, and with many threads, because each worker takes 50 MiB of memory.
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
        # Every session has its own threads. Threads that spin while they wait would block the
        # cores that the next session needs (half of the speed on two cores).
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # errors come as exceptions; the log would repeat them
        options.enable_mem_pattern = False  # pictures have too many sizes
        # One graph can use the memory that another has freed.
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
        except Exception as error:  # the errors of onnxruntime have no common public base class
            _raise_out_of_memory(error)
            raise WeightsError(f"{path}: ONNX Runtime can't load it: {one_line(error)}") from error
        if len(providers) > 1 and _CUDA not in session.get_providers():
            _no_cuda.set()
            if self.options.device == "cuda":
                raise DeviceError(_NO_CUDA)
        return session

    def _providers(self) -> list[Any]:
        """The execution providers of ONNX Runtime, best first. Raises DeviceError."""
        ort = _onnx_runtime()
        device, cpu = self.options.device, "CPUExecutionProvider"
        if device == "cpu":
            return [cpu]
        if _no_cuda.is_set():
            if device == "cuda":
                raise DeviceError(_NO_CUDA_HERE if _forked_from_cuda else _NO_CUDA)
            return [cpu]
        if _CUDA in ort.get_available_providers():
            # Our one line reports a failure to load; the lines of ONNX Runtime are hidden.
            ort.set_default_logger_severity(4)
            if hasattr(ort, "preload_dlls"):  # loads NVIDIA's Python packages, and prints
                with contextlib.redirect_stdout(io.StringIO()):
                    ort.preload_dlls()
            # TF32 has ten bits of mantissa: means and decoded pixels would differ from those of a
            # processor.
            return [(_CUDA, {"use_tf32": "0"}), cpu]
        if device == "cuda":
            raise DeviceError(
                "the installed ONNX Runtime has no CUDA: it needs the package onnxruntime-gpu"
            )
        return [cpu]

    def run(self, name: str, **inputs: npt.NDArray[Any]) -> list[Any]:
        """The outputs of graph `name` for `inputs`."""
        session = self.session(name)
        with stage(name.rstrip("0123456789").replace("_", " ")):  # both halves are one stage
            try:
                with forks.gate:
                    outputs: list[Any] = session.run(None, inputs)
            except Exception as error:
                _raise_out_of_memory(error)
                raise
        return outputs

    @contextlib.contextmanager
    def working(self, per_thread: bool = False) -> Iterator[None]:
        """Count this thread as working; with `per_thread`, its graphs use only this thread.

        That is faster if every thread has its own work, because none waits for others in each
        layer.
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
        """Begin `work(*args)` on the helper thread if cores are idle, else do it now.

        Returns a function that returns the result. The single helper thread does one work after
        another. Its time belongs to no stage; the caller may count the time of waiting for it.
        """
        with self._lock:
            idle = self.threads > max(1, self._busy)
            if idle and self._helper is None:
                self._helper = ThreadPoolExecutor(1, "aecodec-beside")
        if idle and self._helper is not None:
            return self._helper.submit(self._as_there, work, args, self._per_thread).result
        found = work(*args)  # now, because a stored work would keep its arguments in memory
        return lambda: found

    def _as_there(self, work: Callable[..., T], args: tuple[Any, ...], per_thread: bool) -> T:
        """Do the work with the state of the thread that submitted it."""
        self._here.per_thread = per_thread
        return work(*args)
