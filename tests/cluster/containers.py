"""What runs on a worker, as its own Podman and kernel tell it, without any of our code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.lab import Host


@dataclass(frozen=True)
class Container:
    """``id`` with ``pid`` and ``started_at`` (Unix seconds): another start is another value."""

    id: str
    pod_uid: str
    name: str
    pid: int
    started_at: int


def running(host: Host, pod: dict[str, Any] | None = None) -> set[Container]:
    """The running containers of all pods, or of one; not those that only hold a pod's namespaces."""
    label = "io.orchestr8.pod.uid" if pod is None else f"io.orchestr8.pod.uid={pod['metadata']['uid']}"
    listed = host.run(["podman", "ps", "--format", "json", "--filter", f"label={label}"]).stdout
    return {
        Container(
            id=found["Id"],
            pod_uid=found["Labels"]["io.orchestr8.pod.uid"],
            name=found["Labels"]["io.orchestr8.container.name"],
            pid=int(found["Pid"]),
            started_at=int(found["StartedAt"]),
        )
        for found in json.loads(listed)
        if not found["IsInfra"]
    }


def only(host: Host, pod: dict[str, Any]) -> Container:
    """The pod's one container."""
    (found,) = running(host, pod)
    return found


def kill(host: Host, container: Container) -> None:
    """SIGKILL for its first process."""
    host.run(["kill", "-9", str(container.pid)])


def memory_limit(host: Host, container: Container) -> int:
    """In bytes, as the kernel enforces it."""
    return int(_control(host, container, "memory", "memory.limit_in_bytes", "memory.max"))


def cpu_limit(host: Host, container: Container) -> float:
    """In processors, as the kernel enforces it; its period is the default of 0.1 s."""
    return int(_control(host, container, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0]) / 100_000


def _control(host: Host, container: Container, v1_controller: str, v1_name: str, v2_name: str) -> str:
    for line in host.run(["cat", f"/proc/{container.pid}/cgroup"]).stdout.splitlines():
        number, controllers, path = line.split(":", 2)
        if v1_controller in controllers.split(","):
            return host.run(["cat", f"/sys/fs/cgroup/{controllers}{path}/{v1_name}"]).stdout
        if number == "0" and Path("/sys/fs/cgroup/cgroup.controllers").exists():
            return host.run(["cat", f"/sys/fs/cgroup{path}/{v2_name}"]).stdout
    raise AssertionError(f"{container.name} is in no control group for {v1_controller}")


def podman_events(host: Host) -> list[dict[str, Any]]:
    """What happened to containers, oldest first: ``Status`` start, died, remove ...; ``timeNano``, ``Attributes``."""
    told = host.run(["podman", "events", "--stream=false", "--since=1h", "--format=json", "--filter=type=container"])
    return [json.loads(line) for line in told.stdout.splitlines()]


def podman_service_pid(host: Host) -> int:
    """As seen from outside the host."""
    for pid in host.processes():
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if words[0].endswith(b"podman") and b"service" in words:
            return pid
    raise AssertionError(f"{host.name}: podman's service does not run")
