"""Sees a process end at once, without asking Podman: a pidfd per container and one per monitor (conmon).

Podman's own events come in steps of 250 ms and a container whose monitor was killed stays ``running`` for ever; a
pidfd becomes readable in the moment of the exit. A pid alone proves nothing (numbers are used again), so a process
counts as ours only while its cgroup carries the container's id. The cgroup's count of out-of-memory kills is read in
that same moment, before Podman removes the cgroup.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import trio

CGROUP_ROOT = Path("/sys/fs/cgroup")


class ExitWatch:
    """Runs one task per watched process in ``nursery``; all calls come from trio's thread."""

    def __init__(self, nursery: trio.Nursery, on_end: Callable[[str, str], None]) -> None:
        """``on_end(container_id, what)`` is called with ``what`` ``"exited"`` or ``"keeper-lost"``."""
        self._nursery = nursery
        self._on_end = on_end
        self._processes: dict[str, trio.CancelScope] = {}
        self._keepers: dict[str, trio.CancelScope] = {}
        self._ended: dict[str, trio.Event] = {}
        self._oom_kills: dict[str, int] = {}

    def add(self, container_id: str, pid: int, keeper_pid: int) -> bool:
        """Whether the process is alive; then it is watched from here on. Watched already: no change."""
        if container_id in self._processes:
            return True
        if not belongs(pid, container_id) or (descriptor := _open(pid)) is None:
            return False
        counter = _oom_counter(pid)
        self._ended[container_id] = trio.Event()
        self._processes[container_id] = trio.CancelScope()
        self._nursery.start_soon(self._wait_process, container_id, descriptor, counter)
        if keeper_pid and (keeper := _open(keeper_pid)) is not None:
            self._keepers[container_id] = trio.CancelScope()
            self._nursery.start_soon(self._wait_keeper, container_id, keeper)
        return True

    def alive(self, container_id: str) -> bool:
        return container_id in self._processes

    def keeper_alive(self, container_id: str) -> bool:
        return container_id in self._keepers

    def oom_kills(self, container_id: str) -> int:
        return self._oom_kills.get(container_id, 0)

    async def wait_ended(self, container_id: str) -> None:
        """Returns at once for a container that is not watched."""
        if container_id in self._ended:
            await self._ended[container_id].wait()

    def forget(self, container_id: str) -> None:
        for scopes in (self._processes, self._keepers):
            if (scope := scopes.pop(container_id, None)) is not None:
                scope.cancel()
        self._oom_kills.pop(container_id, None)
        if (ended := self._ended.pop(container_id, None)) is not None:
            ended.set()

    async def _wait_process(self, container_id: str, descriptor: int, counter: Path | None) -> None:
        with _closing(descriptor), self._processes[container_id] as scope:
            await trio.lowlevel.wait_readable(descriptor)
        if scope.cancelled_caught:
            return
        self._oom_kills[container_id] = _read_oom_kills(counter)
        self._processes.pop(container_id, None)
        self._ended[container_id].set()
        self._on_end(container_id, "exited")

    async def _wait_keeper(self, container_id: str, descriptor: int) -> None:
        with _closing(descriptor), self._keepers[container_id] as scope:
            await trio.lowlevel.wait_readable(descriptor)
        if scope.cancelled_caught:
            return
        self._keepers.pop(container_id, None)
        if container_id in self._processes:
            self._on_end(container_id, "keeper-lost")


def belongs(pid: int, container_id: str) -> bool:
    """Whether the process lives in the container's cgroup."""
    try:
        return pid > 0 and container_id in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False


class _closing:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None:
        trio.lowlevel.notify_closing(self._descriptor)
        os.close(self._descriptor)


def _open(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _oom_counter(pid: int) -> Path | None:
    """The file that counts kills in the process' own memory cgroup: of version 1 or 2."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    entries = [line.split(":", 2) for line in lines]
    for _, controllers, path in entries:
        if "memory" in controllers.split(","):
            return CGROUP_ROOT / "memory" / path.lstrip("/") / "memory.oom_control"
    for number, controllers, path in entries:
        if number == "0" and not controllers:
            return CGROUP_ROOT / path.lstrip("/") / "memory.events"
    return None


def _read_oom_kills(counter: Path | None) -> int:
    try:
        text = counter.read_text() if counter is not None else ""
    except OSError:
        return 0
    found = dict(line.split(maxsplit=1) for line in text.splitlines() if " " in line)
    return int(found.get("oom_kill", "0"))
