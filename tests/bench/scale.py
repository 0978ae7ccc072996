"""A thousand pods on a hundred hollow nodes, without any worker: what the masters alone can do.

Three masters, so that every write is on the disks of two before it counts. The peer's figure had one etcd and Node
objects that nobody stood behind; here 100 connections send heartbeats meanwhile.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.bench import hollow
from tests.bench.client import Requests, TooLate, Way, watching
from tests.bench.figures import Figure
from tests.bench.machine import ROOT, memory_mb
from tests.bench.objects import DEPLOYMENTS, PODS, deployment
from tests.cluster.api import NODES, is_ready, until
from tests.cluster.cluster import API_PORT, RPC_PORT, Cluster

NODES_WANTED, REPLICAS = 100, 1_000
BOUND_TARGET_SECONDS = 3.0
LIST_TARGET_MILLISECONDS = 10.0
_PUBLISHED_BOUND = "Kubernetes 3.0 s with its client limits raised, 50 s by its defaults"
_READY_SECONDS = 60.0


def bound_and_listed(cluster: Cluster, way: Way, repetitions: int) -> list[Figure]:
    leader = cluster.leader()
    server = next(f"https://{host.ip}:{API_PORT}" for host in cluster.masters if host.name == leader)
    with Requests(way, server) as ask:
        with hollow_nodes(cluster, ask, follow=False):
            silent = _bound(ask, way, server, repetitions, lambda: None)
        found: list[Figure] = []
        with hollow_nodes(cluster, ask, follow=True):
            followed = _bound(ask, way, server, repetitions, lambda: found.extend([_listed(ask), _memory(cluster)]))
    return [
        Figure(
            f"{REPLICAS:,} replicas bound on {NODES_WANTED} hollow nodes, apply to all bound",
            "s",
            silent,
            target=BOUND_TARGET_SECONDS,
            published=_PUBLISHED_BOUND,
        ),
        Figure(
            "the same, every node reading its assignments too",
            "s",
            followed,
            target=BOUND_TARGET_SECONDS,
            published=_PUBLISHED_BOUND,
        ),
        *found[-2:],
    ]


def _bound(ask: Requests, way: Way, server: str, repetitions: int, while_there: Callable[[], object]) -> list[float]:
    """``while_there`` runs each time before the pods are removed."""
    taken = []
    for number in range(repetitions):
        name = f"thousand-{number}"
        with watching(way, server, PODS) as watch:
            bound: set[str] = set()

            def all_bound(_: str, found: dict[str, Any], bound: set[str] = bound) -> bool:
                if found["spec"].get("nodeName"):
                    bound.add(found["metadata"]["name"])
                return len(bound) == REPLICAS

            began = time.monotonic()
            ask("POST", DEPLOYMENTS, deployment(name, REPLICAS, nodeSelector={hollow.LABEL: "yes"}))
            taken.append(watch.wait(all_bound, f"{REPLICAS} pods bound", 120) - began)
        while_there()
        _remove(ask, name)
    return taken


def _memory(cluster: Cluster) -> Figure:
    return Figure(
        f"master with {REPLICAS:,} pods and {NODES_WANTED} nodes, PSS (each)",
        "MB",
        [memory_mb(process.inner_pid)["pss"] for process in cluster.processes.values()],
        judged="max",
        published="Kubernetes 1,519 MiB RSS (with etcd)",
    )


def _listed(ask: Requests) -> Figure:
    """From the request's first byte to the answer's last, over a kept connection."""
    taken, size = [], 0
    for _ in range(30):
        began = time.monotonic()
        size = len(ask.bytes("GET", PODS))
        taken.append(1000 * (time.monotonic() - began))
    return Figure(
        f"list of {REPLICAS:,} pods",
        "ms",
        taken,
        target=LIST_TARGET_MILLISECONDS,
        published="Kubernetes 70 ms (2.4 MiB)",
        details={"bytes": size, "pods": len(ask.items(PODS))},
    )


def _remove(ask: Requests, name: str) -> None:
    """Nobody stands behind the nodes to end the pods, so they are deleted without grace."""

    def left() -> int:
        ask("DELETE", PODS, {"gracePeriodSeconds": 0})
        return len(ask.items(PODS))

    ask("DELETE", f"{DEPLOYMENTS}/{name}", {"propagationPolicy": "Background"})
    until("no pod is left", left, holds=lambda count: count == 0, step=0.2)


@contextmanager
def hollow_nodes(cluster: Cluster, ask: Requests, *, follow: bool) -> Iterator[None]:
    """NODES_WANTED of them are ready while the block runs."""
    first = cluster.masters[0]
    pki = first.folder / "var/lib/upper/orchestr8/master/pki"
    masters = ",".join(f"{host.ip}:{RPC_PORT}" for host in cluster.masters)
    program = [sys.executable, "-m", "tests.bench.hollow", str(pki), str(NODES_WANTED), masters]
    process = cluster.lab.popen_outside(
        [*program, *(["--follow"] if follow else [])], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        if process.stdout.readline() != b"ready\n":
            raise TooLate(f"the hollow nodes ended with {process.wait()} before they were registered")
        until(
            f"{NODES_WANTED} nodes are ready and have their address range",
            lambda: sum(is_ready(each) and "podCIDR" in each["spec"] for each in ask.items(NODES)),
            holds=lambda count: count == NODES_WANTED,
            seconds=_READY_SECONDS,
            step=0.2,
        )
        yield
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(timeout=20)
