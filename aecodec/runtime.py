"""The float networks, run by ONNX Runtime.

One session a graph, made at first use, shared by all calls of a process. Nothing that these
networks compute decides a probability, so threads, graph optimisations and instruction sets may
differ between the machine that compresses and the one that decompresses.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.errors import WeightsError
from aecodec.stages import stage

__all__ = ["Options", "Runtime", "cores"]

Floats = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Options:
    """How to run the graphs. `threads` 0 = one for every core this process may use."""

    threads: int = 0
    optimise: bool = True


def cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


class Runtime:
    """The graphs of one folder of weights."""

    def __init__(self, folder: pathlib.Path, options: Options | None = None) -> None:
        self.folder = folder
        self.options = options or Options()
        self.threads = self.options.threads or cores()
        self._sessions: dict[str, Any] = {}
        self._lock = threading.Lock()

    def session(self, name: str) -> Any:
        """The session of `NAME.onnx`. Raises WeightsError where it can't be made."""
        with self._lock:
            if name not in self._sessions:
                with stage("loading networks"):
                    self._sessions[name] = self._open(self.folder / f"{name}.onnx")
            return self._sessions[name]

    def _open(self, path: pathlib.Path) -> Any:
        import onnxruntime as ort  # half of a second: only when a picture is really coded

        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        # Every session has threads of its own: those of one would spin, waiting for work, on the
        # cores that the next one needs (half of the speed on two cores).
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        # Memory patterns and the arena would keep the largest picture's buffers for good.
        options.enable_mem_pattern = False
        options.graph_optimization_level = (
            ort.GraphOptimizationLevel.ORT_ENABLE_ALL
            if self.options.optimise
            else ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        )
        try:
            return ort.InferenceSession(
                str(path), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors have no common public base
            raise WeightsError(f"{path}: ONNX Runtime can't load it: {error}") from error

    def run(self, name: str, **inputs: npt.NDArray[Any]) -> list[Any]:
        """The outputs of graph `name` for `inputs`."""
        session = self.session(name)
        with stage(name.replace("_", " ")):
            outputs: list[Any] = session.run(None, inputs)
        return outputs
