"""How much of the machine may be used: affinity, control groups, and limits on addresses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aecodec import machine
from aecodec.batch import pool


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree of control groups in place of the system's, and a machine of 64 cores and 1 TB."""
    monkeypatch.setattr(machine, "_MOUNTS", tmp_path)
    monkeypatch.setattr(machine, "_GROUPS", tmp_path / "self")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64), raising=False)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 64, raising=False)
    monkeypatch.setattr(os, "sysconf", lambda name: 10**9 if "PAGES" in name else 10**3)
    return tmp_path


def write(folder: Path, **contents: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name.replace("__", ".")).write_text(content + "\n")


def test_without_control_groups(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.cores() == 64 and machine.free_memory() == 10**12
    monkeypatch.setattr(os, "process_cpu_count", lambda: 3, raising=False)  # as PYTHON_CPU_COUNT
    assert machine.cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.delattr(os, "process_cpu_count")
    monkeypatch.delattr(os, "sysconf")
    assert machine.cores() == (os.cpu_count() or 1) and machine.free_memory() is None
    cores = machine.cores()
    assert pool.processes_that_pay() == cores + (cores + 1) // 2


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 64), ("150000 100000", 2), ("400000 100000", 4), ("10000 100000", 1), ("", 64)],
)
def test_cores_of_version_2(groups: Path, quota: str, cores: int) -> None:
    write(groups, self="0::/pod/box", cgroup__controllers="cpu memory")
    write(groups / "pod" / "box", cpu__max=quota)
    assert machine.cores() == cores
    write(groups / "pod", cpu__max="300000 100000")  # a group is bound by those above it
    assert machine.cores() == min(cores, 3)


def test_memory_of_version_2(groups: Path) -> None:
    write(groups, self="0::/box", cgroup__controllers="memory")
    write(groups / "box", memory__max="max", memory__high="max", memory__current="5")
    assert machine.free_memory() == 10**12
    stat = "anon 1\ninactive_file 1000000000\nactive_file 7"
    write(groups / "box", memory__max="8000000000", memory__current="3000000000", memory__stat=stat)
    assert machine.free_memory() == 6 * 10**9  # what is cached of files can be had
    assert pool.processes_that_pay() == 5
    write(groups / "box", memory__high="1000000000")
    assert machine.free_memory() == 0 and pool.processes_that_pay() == 1


def test_version_1_and_both_at_once(groups: Path) -> None:
    write(groups, self="4:memory:/a/b\n2:cpu,cpuacct:/a\n1:name=systemd:/a\n0::/")
    write(groups / "unified", cgroup__procs="")  # mounted, and without a controller
    write(groups / "cpu,cpuacct" / "a", cpu__cfs_quota_us="200000", cpu__cfs_period_us="100000")
    write(groups / "cpu,cpuacct", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    no_limit = str(2**63 - 4096)
    write(
        groups / "memory" / "a" / "b",
        memory__limit_in_bytes="4000000000",
        memory__usage_in_bytes="2500000000",
        memory__stat="inactive_file 1\ntotal_inactive_file 500000000",
    )
    write(groups / "memory", memory__limit_in_bytes=no_limit, memory__usage_in_bytes="1")
    assert machine.cores() == 2
    assert machine.free_memory() == 2 * 10**9
    assert pool.processes_that_pay() == 1


def test_in_a_container_its_own_group_is_the_root(groups: Path) -> None:
    """/proc may name the group by its path outside, which is not there inside."""
    write(groups, self="0::/../../other", cgroup__controllers="", cpu__max="100000 100000")
    assert machine.cores() == 1
    write(groups, self="0::/docker/0123", cpu__max="200000 100000")
    assert machine.cores() == 2


@pytest.mark.parametrize("text", ["", "nonsense", "0::", ":::::", "2:cpu:/x", "0::/a\0b"])
def test_control_groups_that_nobody_understands(groups: Path, text: str) -> None:
    write(groups, self=text, cpu__max="many", memory__max="-", cgroup__controllers="")
    write(groups / "cpu", cpu__cfs_quota_us="1000", cpu__cfs_period_us="0")
    assert machine.cores() == 64 and machine.free_memory() == 10**12


def test_require_asks_for_addresses_only_where_they_are_limited() -> None:
    if sys.platform == "win32":
        machine.require(2**50)
        return
    script = """
import resource
from aecodec import machine
machine.require(2**50)
resource.setrlimit(resource.RLIMIT_AS, (2**29, -1))
machine.require(2**26)
try:
    machine.require(2**29)
except MemoryError:
    print("refused", machine.runs_out(), machine.address_space_is_limited())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "refused False True\n", done.stderr
