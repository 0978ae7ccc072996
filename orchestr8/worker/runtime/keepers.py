"""Ends the monitors that Podman leaves behind an exec.

After an exec started through the API its conmon sleeps 300 s before it lets Podman forget the session; an exec probe
every few seconds would pile up hundreds of them, and removing the container waits three seconds for them. SIGTERM ends
that sleep, and the clean-up behind it runs at once. All functions read /proc and belong in a thread.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path


def let_go(session_id: str) -> None:
    """The session has ended: its sleeping monitor (a child of the first one) goes on to its clean-up."""
    found = list(_exec_keepers(session_id))
    for pid in found:
        if _parent(pid) in found:
            _signal(pid, signal.SIGTERM)


def end_all(container_id: str) -> None:
    """The container is about to be removed: nobody will ask for its sessions any more."""
    for pid in list(_exec_keepers(container_id)):
        _signal(pid, signal.SIGKILL)


def is_conmon(pid: int) -> bool:
    try:
        return pid > 0 and Path(f"/proc/{pid}/comm").read_text().strip() == "conmon"
    except OSError:
        return False


def _exec_keepers(identifier: str) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                arguments = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if arguments[0].endswith("conmon") and "--exec-attach" in arguments and identifier in arguments:
                    yield int(entry.name)


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
