"""The machine a run was made on, and what processes cost on it, read from /proc."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.cluster.lab import Host, cgroups

ROOT = Path(__file__).resolve().parents[2]
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def describe() -> dict[str, Any]:
    """``crowding``: wall time over CPU time of a spin loop; 1.0 is a core of its own."""
    fields = dict(line.split(":", 1) for line in _read("/proc/meminfo").splitlines() if ":" in line)
    models = [line.partition(":")[2].strip() for line in _read("/proc/cpuinfo").splitlines() if "model name" in line]
    release = dict(line.split("=", 1) for line in _read("/etc/os-release").splitlines() if "=" in line)
    return {
        "cores": os.cpu_count(),
        "processor": models[0] if models else platform.machine(),
        "memory_mib": int(fields["MemTotal"].split()[0]) // 1024,
        "system": release.get("PRETTY_NAME", "").strip('"'),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "podman": _output("podman", "--version"),
        "crun": _output("crun", "--version").splitlines()[0:1],
        **busyness(),
    }


def busyness() -> dict[str, Any]:
    return {"load": list(os.getloadavg()), "crowding": crowding()}


def crowding(seconds: float = 0.3) -> float:
    began, used = time.monotonic(), time.process_time()
    while time.process_time() - used < seconds:
        pass
    return round((time.monotonic() - began) / (time.process_time() - used), 2)


def commit() -> str:
    """The commit of the work tree; with ``+changes`` if files that are in it differ."""
    head = _output("git", "-C", str(ROOT), "rev-parse", "HEAD")
    changed = _output("git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no")
    return f"{head}+changes" if head and changed else head


def memory_mb(pid: int) -> dict[str, float]:
    """Proportional (PSS) and resident (RSS) memory in MB (10^6 bytes)."""
    lines = (line.split() for line in _read(f"/proc/{pid}/smaps_rollup").splitlines()[1:])
    kib = {words[0].rstrip(":"): int(words[1]) for words in lines}
    return {"pss": kib["Pss"] * 1.024e-3, "rss": kib["Rss"] * 1.024e-3}


def cpu_seconds(pid: int) -> float:
    """User and system time of the process itself and of its children that were waited for."""
    return sum(int(field) for field in _stat(pid)[11:15]) / _TICKS_PER_SECOND


def host_cpu_seconds(host: Host) -> float:
    """Of everything that ran in a host of a lab since it was switched on, however it ended."""
    folder = f"{host.netns.removesuffix(f'-{host.name}')}/{host.name}"
    if cgroups.is_unified():
        stat = dict(line.split() for line in _read(f"{cgroups.ROOT}/{folder}/cpu.stat").splitlines())
        return int(stat["usage_usec"]) / 1e6
    return int(_read(f"{cgroups.ROOT}/cpuacct/{folder}/cpuacct.usage")) / 1e9


def cpu_percent(
    pids: Mapping[str, int], seconds: float, wait: Callable[[float], None] = time.sleep
) -> dict[str, float]:
    """Of one core, while ``wait`` passes the time."""
    began = time.monotonic()
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    wait(seconds)
    after = {name: cpu_seconds(pid) for name, pid in pids.items()}
    passed = time.monotonic() - began
    return {name: 100 * (after[name] - before[name]) / passed for name in pids}


def children(pid: int) -> list[int]:
    """Of every thread: who starts a process in a worker thread is its parent all the same."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(word) for task in tasks for word in (task / "children").read_text().split()]


def command_line(pid: int) -> list[str]:
    """Empty for a process that is gone or dead."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on."""
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _read(path: str) -> str:
    return Path(path).read_text()


def _output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
