"""The control groups of a lab: one folder per host in every hierarchy, shown to the host as its own root.

What a host starts lands below that folder, so "every process of this host" and "nothing is left" are exact. Knows
both layouts: v1 (one hierarchy per controller, perhaps an extra v2 tree, which crun refuses and the host unmounts)
and v2 alone. Source: Linux cgroup-v1/cgroups.rst, cgroup-v2.rst, cgroup_namespaces(7).
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_PREFIX = "o8lab-"
_REMOVE_SECONDS = 5.0
_CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")  # what podman uses, on v2


def is_unified() -> bool:
    """True on a machine with cgroup v2 alone."""
    return (ROOT / "cgroup.controllers").exists()


def create(lab_id: str, host: str) -> list[Path]:
    """Makes the host's folders and returns them: the process that unshares its cgroup namespace must be in them."""
    if is_unified():
        return [_create_unified(lab_id, host)]
    folders = []
    for hierarchy in _hierarchies():
        lab = hierarchy / f"{_PREFIX}{lab_id}"
        lab.mkdir(exist_ok=True)
        if (lab / "cpuset.cpus").exists():
            for name in ("cpuset.cpus", "cpuset.mems"):
                (lab / name).write_text((hierarchy / name).read_text())
            (lab / "cgroup.clone_children").write_text("1")
        (lab / host).mkdir(exist_ok=True)
        folders.append(lab / host)
    return folders


def settle(lab_id: str, host: str) -> list[Path]:
    """After the boot: returns the folders that a process must be written to in order to belong to the host.

    v2 hands controllers on only from a folder without processes, so those of the host go to a leaf, ``init``.
    """
    if not is_unified():
        return [hierarchy / f"{_PREFIX}{lab_id}" / host for hierarchy in _hierarchies()]
    folder = ROOT / f"{_PREFIX}{lab_id}" / host
    leaf = folder / "init"
    leaf.mkdir(exist_ok=True)
    while pids := _read(folder / "cgroup.procs").split():
        for pid in pids:
            (leaf / "cgroup.procs").write_text(pid)
    _enable_controllers(folder)
    return [leaf]


def mount_script(lab_id: str, host: str) -> str:
    """Shell lines that show the host its own folders as the whole of /sys/fs/cgroup (private mount namespace)."""
    if is_unified():
        return f"mount --bind {ROOT}/{_PREFIX}{lab_id}/{host} {ROOT}"
    binds = [f"mount --bind {h}/{_PREFIX}{lab_id}/{host} {h}" for h in _hierarchies()]
    # crun refuses a mixed layout whose v2 tree holds a controller: the host sees v1 only. The tmpfs catches the
    # folders that crun makes there all the same.
    unified = f"if mountpoint -q {ROOT}/unified; then umount {ROOT}/unified; mount -t tmpfs tmpfs {ROOT}/unified; fi"
    return "\n".join([*binds, unified])


def processes(lab_id: str, host: str | None = None) -> set[int]:
    """Pids (as seen here) of everything that runs in the host, or in the whole lab."""
    pids = {int(pid) for folder in _folders(lab_id, host) for pid in _read(folder / "cgroup.procs").split()}
    return pids - {0}  # 0: lives in a pid namespace that cannot be seen from here


def kill(lab_id: str, host: str | None = None) -> None:
    """SIGKILL for everything there; repeated, since a process may fork meanwhile."""
    deadline = time.monotonic() + _REMOVE_SECONDS
    while pids := processes(lab_id, host):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise TimeoutError(f"lab {lab_id}: processes {sorted(pids)} outlived SIGKILL")
        time.sleep(0.005)


def remove(lab_id: str, host: str | None = None) -> None:
    """Removes the host's folders (or the lab's) in every hierarchy; none there: success."""
    deadline = time.monotonic() + _REMOVE_SECONDS
    for folder in _folders(lab_id, host):
        while folder.exists():
            try:
                folder.rmdir()
            except FileNotFoundError:
                break
            except OSError:
                # Busy for some milliseconds after the last process has ended.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.005)


def folders_of(lab_id: str) -> list[Path]:
    """Every folder that exists for the lab, deepest first."""
    return _folders(lab_id, None)


def _hierarchies() -> list[Path]:
    """Mount points of the v1 hierarchies; a link such as ``cpu -> cpu,cpuacct`` is left out."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        mount_point = Path(left.split()[4])
        if right.split()[0] == "cgroup" and mount_point.parent == ROOT:
            found.append(mount_point)
    return found


def _create_unified(lab_id: str, host: str) -> Path:
    folder = ROOT / f"{_PREFIX}{lab_id}" / host
    folder.mkdir(parents=True, exist_ok=True)
    for parent in (ROOT, folder.parent):
        _enable_controllers(parent)
    return folder


def _enable_controllers(folder: Path) -> None:
    available = (folder / "cgroup.controllers").read_text().split()
    wanted = " ".join(f"+{name}" for name in available if name in _CONTROLLERS)
    (folder / "cgroup.subtree_control").write_text(wanted)


def _folders(lab_id: str, host: str | None) -> list[Path]:
    found: list[Path] = []
    for top in [ROOT] if is_unified() else _hierarchies():
        base = top / f"{_PREFIX}{lab_id}" / (host or "")
        if base.is_dir():
            found += [Path(folder) for folder, _, _ in os.walk(base, topdown=False)]
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, OSError):
        return ""
