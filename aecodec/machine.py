"""How much of the machine this process may use: cores and memory.

A container or a batch system gives a process less than the machine has, and says so in its control
group: https://docs.kernel.org/admin-guide/cgroup-v2.html (`cpu.max`, `memory.max`), and, for
version 1, `cpu.cfs_quota_us` and `memory.limit_in_bytes`. A group is bound by those above it, too.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pathlib
import sys
from collections.abc import Iterator

__all__ = [
    "address_space_is_limited",
    "cores",
    "free_memory",
    "peak_mib",
    "require",
    "runs_out",
    "spare_addresses",
]

_MOUNTS = pathlib.Path("/sys/fs/cgroup")
_GROUPS = pathlib.Path("/proc/self/cgroup")
_PROBE = 64 << 20
_M_ARENA_MAX = -8  # malloc.h of glibc

LEAST = 256 << 20
"""Bytes without which no picture is coded: numpy, Pillow, ONNX Runtime and the weights."""
BLAS_BUFFER = 64 << 20
"""Bytes that must be there before OpenBLAS takes a buffer: it ends a process that has none."""


def cores() -> int:
    """How many cores this process may use, by its affinity and its control groups; 1 at least."""
    try:
        found = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        found = os.cpu_count() or 1
    if hasattr(os, "process_cpu_count"):  # from Python 3.13 on; PYTHON_CPU_COUNT may lower it
        found = min(found, os.process_cpu_count() or found)
    for quota in _quotas():
        found = min(found, max(1, round(quota)))
    return found


def free_memory() -> int | None:
    """How many bytes this process and its children can still take; None where nobody knows."""
    found: list[int] = []
    with contextlib.suppress(AttributeError, OSError, ValueError):  # not on macOS and Windows
        found.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    found += _left_in_groups()
    return max(0, min(found)) if found else None


def require(size: int) -> None:
    """Raise MemoryError where an address-space limit (`ulimit -v`) leaves less than `size` bytes.

    Some libraries end the process where they get no memory. So what they need at least is asked
    for beforehand, and given back.
    """
    if address_space_is_limited() and not _can_be_had(size):
        raise MemoryError


def spare_addresses() -> None:
    """Where addresses are limited, reserve fewer of them: for a process of our own, before numpy.

    glibc reserves 64 MiB for every thread that takes memory, and OpenBLAS a buffer for every thread
    that it starts; we need one of those.
    """
    if not address_space_is_limited():
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import ctypes

    with contextlib.suppress(AttributeError, OSError):  # not of glibc
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def address_space_is_limited() -> bool:
    """Whether there is a limit on addresses, as `ulimit -v` sets it."""
    try:
        import resource
    except ModuleNotFoundError:  # not on Windows
        return False
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return limit != resource.RLIM_INFINITY


def runs_out() -> bool:
    """Whether even a little memory can't be had just now."""
    return not _can_be_had(_PROBE)


def _can_be_had(size: int) -> bool:
    try:
        mmap.mmap(-1, size).close()
    except (OSError, ValueError):
        return False
    return True


# --- Control groups -----------------------------------------------------------------------------


def _groups(controller: str) -> Iterator[tuple[pathlib.Path, bool]]:
    """The folders of the groups, of `controller`, that this process is in, from its own upwards,
    and whether they are of version 2."""
    try:
        lines = _GROUPS.read_text().splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        unified = number == "0" and not controllers
        if not unified and controller not in controllers.split(","):
            continue
        # Version 2 alone is mounted as a whole, beside version 1 in a folder of its own.
        roots = [_MOUNTS, _MOUNTS / "unified"] if unified else [_MOUNTS / controllers]
        if not unified:
            roots.append(_MOUNTS / controller)
        for root in roots:
            if not root.is_dir() or (unified and not (root / "cgroup.controllers").exists()):
                continue
            # In a container the path may be that outside, and its own group the root.
            inner = pathlib.PurePosixPath(path.lstrip("/"))
            if ".." in inner.parts:
                inner = pathlib.PurePosixPath()
            for part in (inner, *inner.parents):
                yield root / part, unified
            break


def _quotas() -> Iterator[float]:
    """How many cores' time each group allows."""
    for folder, unified in _groups("cpu"):
        if unified:
            quota, _, period = _text(folder / "cpu.max").partition(" ")
        else:
            quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        with contextlib.suppress(ValueError, ZeroDivisionError):  # "max", or nothing
            if int(quota) > 0:
                yield int(quota) / int(period)


def _left_in_groups() -> Iterator[int]:
    """How many bytes each group leaves. What it has cached of files it gives back when asked."""
    for folder, unified in _groups("memory"):
        names = ("memory.max", "memory.high") if unified else ("memory.limit_in_bytes",)
        used = _text(folder / ("memory.current" if unified else "memory.usage_in_bytes"))
        cached = 0
        for line in _text(folder / "memory.stat").splitlines():
            name, _, value = line.partition(" ")
            if name == ("inactive_file" if unified else "total_inactive_file"):
                with contextlib.suppress(ValueError):
                    cached = int(value)
        for name in names:
            with contextlib.suppress(ValueError):
                yield int(_text(folder / name)) - max(0, int(used) - cached)


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return ""


def peak_mib() -> float | None:
    """The largest resident memory of this process so far; None where the system does not say it.

    On Linux getrusage's figure counts the process that started this one, too: beside a large one
    it does not move.
    """
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    if sys.platform == "darwin" and os.name == "posix":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return None
