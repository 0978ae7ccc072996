"""What an idle cluster costs: memory and processor time of every master and worker, a few pods running, nobody asking.

Program text that the processes share is counted once in all (PSS), as it was for the peers. The worker's Podman
service is a child of the worker; it is told apart and together.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tests.bench.client import Requests, Way, watching
from tests.bench.figures import Figure, Series
from tests.bench.machine import children, command_line, cpu_percent, memory_mb
from tests.bench.objects import DEPLOYMENTS, PODS, deployment, is_running
from tests.bench.pods import remove_deployment
from tests.cluster.cluster import Cluster

MASTER_TARGET_MB = 70.0
WORKER_TARGET_MB = 55.0
CPU_TARGET_PERCENT = 0.5
_PODS = 4
_SETTLE_SECONDS = 10.0


def measure(cluster: Cluster, way: Way, seconds: float, beside: dict[str, Series]) -> list[Figure]:
    with Requests(way, way.servers[0]) as ask:
        with watching(way, way.servers[0], PODS) as watch:
            running: set[str] = set()

            def all_running(_: str, found: dict[str, Any]) -> bool:
                if is_running(found):
                    running.add(found["metadata"]["name"])
                return len(running) == _PODS

            ask("POST", DEPLOYMENTS, deployment("idle", _PODS))
            watch.wait(all_running, f"{_PODS} pods Running")
    leader = cluster.leader()
    time.sleep(_SETTLE_SECONDS)  # what starting left to do is done, and nobody is connected
    roles = {name: process.inner_pid for name, process in cluster.processes.items()}
    services = {name: pid for name, role in roles.items() if (pid := _podman_service(role))}
    cpu = cpu_percent({**roles, **{f"{name} podman": pid for name, pid in services.items()}}, seconds)
    memory = {name: memory_mb(pid) for name, pid in roles.items()}
    podman = {name: memory_mb(pid) for name, pid in services.items()}
    with Requests(way, way.servers[0]) as ask:
        remove_deployment(ask, way, "idle", _PODS)

    masters = [name for name in roles if name.endswith("-master")]
    workers = [name for name in roles if name.endswith("-worker")]
    leading = f"{leader}-master"
    followers = [name for name in masters if name != leading]

    def pss(names: Sequence[str], found: dict[str, dict[str, float]] = memory) -> list[float]:
        return [found[name]["pss"] for name in names if name in found]

    with_podman = [memory[name]["pss"] + podman.get(name, {"pss": 0.0})["pss"] for name in workers]
    cpu_with_podman = [cpu[name] + cpu.get(f"{name} podman", 0.0) for name in workers]
    details = {
        "rss_mb": {name: round(each["rss"], 1) for name, each in memory.items()},
        "pss_mb": {name: round(each["pss"], 1) for name, each in memory.items()},
        "podman_service_mb": {name: {k: round(v, 1) for k, v in each.items()} for name, each in podman.items()},
        "leader": leading,
        "pods": _PODS,
    }
    etcd_memory, etcd_cpu = ([beside[key]] if key in beside else [] for key in ("memory", "cpu"))
    swarm_memory, swarm_cpu = "Docker Swarm manager 64-73 MiB, worker 54-56 MiB", "Docker Swarm 0.3-0.8 %"
    worst: dict[str, Any] = {"judged": "max"}
    return [
        Figure(
            "idle master, PSS (each)",
            "MB",
            pss(masters),
            target=MASTER_TARGET_MB,
            beside=etcd_memory,
            published=swarm_memory,
            details=details,
            **worst,
        ),
        Figure(
            "idle worker, PSS (each), without its Podman service",
            "MB",
            pss(workers),
            target=WORKER_TARGET_MB,
            published=swarm_memory,
            **worst,
        ),
        Figure(
            "idle worker, PSS (each), with its Podman service",
            "MB",
            with_podman,
            target=WORKER_TARGET_MB,
            published=swarm_memory,
            **worst,
        ),
        Figure(
            f"idle leader, CPU over {seconds:g} s",
            "%",
            [cpu[leading]],
            target=CPU_TARGET_PERCENT,
            beside=etcd_cpu,
            published=swarm_cpu,
            **worst,
        ),
        Figure(
            f"idle follower, CPU over {seconds:g} s (each)",
            "%",
            [cpu[name] for name in followers],
            target=CPU_TARGET_PERCENT,
            beside=etcd_cpu,
            published=swarm_cpu,
            **worst,
        ),
        Figure(
            f"idle worker, CPU over {seconds:g} s (each), with its Podman service",
            "%",
            cpu_with_podman,
            target=CPU_TARGET_PERCENT,
            published=swarm_cpu,
            details={name: round(value, 3) for name, value in cpu.items()},
            **worst,
        ),
    ]


def _podman_service(worker_pid: int) -> int | None:
    for pid in children(worker_pid):
        if "service" in command_line(pid):
            return pid
    return None
