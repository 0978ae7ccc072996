"""Losing a leader, handing over on purpose, losing a worker: how long until the cluster does its work again.

A write here is a PATCH through HTTPS at a master that survives, with one writer at each (writers.py).
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.bench.client import MERGE, Requests, Way, watching
from tests.bench.figures import Figure, Series
from tests.bench.objects import CONFIG_MAPS, DEPLOYMENTS, PODS, deployment, is_running
from tests.bench.pods import remove_deployment
from tests.bench.writers import Open, writing
from tests.cluster.api import NODES, Refused, is_ready
from tests.cluster.cluster import API_PORT, Cluster

KILLED_TARGET_SECONDS = 1.5
HANDED_OVER_TARGET_SECONDS = 0.2
WORKER_TARGET_SECONDS = 10.0


def leader_killed(cluster: Cluster, way: Way, repetitions: int, beside: Sequence[Series]) -> list[Figure]:
    taken = []
    for _ in range(repetitions):
        leader = cluster.leader()
        with writing(_survivors(cluster, way, leader)) as writers:
            killed = time.monotonic()
            cluster.kill(leader, "master")
            taken.append(writers.longest_silence(killed)[1] - killed)
        _back(cluster, leader)
    return [
        Figure(
            "leader SIGKILL to next acknowledged write",
            "s",
            taken,
            target=KILLED_TARGET_SECONDS,
            beside=beside,
            published="etcd 1.54 s, Docker Swarm 11.1 s",
        )
    ]


def leader_cut_off(cluster: Cluster, way: Way, repetitions: int) -> list[Figure]:
    """A power cut instead: nobody hears the connection end, so only silence tells."""
    taken = []
    for _ in range(repetitions):
        leader = cluster.leader()
        host = cluster.lab[leader]
        with writing(_survivors(cluster, way, leader)) as writers:
            cut = time.monotonic()
            host.power_off()
            cluster.processes.pop(f"{leader}-master")
            taken.append(writers.longest_silence(cut)[1] - cut)
        host.boot()
        _back(cluster, leader)
    published = "Docker Swarm 13.7 s (link cut)"
    return [Figure("leader's power cut to next acknowledged write", "s", taken, published=published)]


def handed_over(cluster: Cluster, way: Way, repetitions: int) -> list[Figure]:
    gaps, ended = [], []
    for _ in range(repetitions):
        leader = cluster.leader()
        with writing(_survivors(cluster, way, leader)) as writers:
            process = cluster.processes.pop(f"{leader}-master")
            told = time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)
            ended.append(time.monotonic() - told)
            before, after = writers.longest_silence(told)
            gaps.append(after - before)
        _back(cluster, leader)
    return [
        Figure(
            "leader SIGTERM (planned hand-over): longest gap between writes",
            "s",
            gaps,
            target=HANDED_OVER_TARGET_SECONDS,
            details={"seconds_to_end_of_process": ended},
        )
    ]


def worker_lost(cluster: Cluster, way: Way, repetitions: int) -> list[Figure]:
    """Power cut of a worker to the last replacement of its pods Running elsewhere."""
    losses = [_lose_a_worker(cluster, way, f"lost-{number}") for number in range(repetitions)]
    return [
        Figure(
            "worker's power cut to its pods Running elsewhere",
            "s",
            [replaced for _, replaced, _ in losses],
            target=WORKER_TARGET_SECONDS,
            published="Docker Swarm 18.0 s, Kubernetes 340-350 s by its defaults",
            details={
                "seconds_to_not_ready": [silent for silent, _, _ in losses],
                "pods_lost": [count for _, _, count in losses],
            },
        )
    ]


def _lose_a_worker(cluster: Cluster, way: Way, app: str, replicas: int = 4) -> tuple[float, float, int]:
    """(Seconds to NotReady, seconds to the last replacement, pods lost). The worker is back afterwards."""
    server = way.servers[0]
    with Requests(way, server) as ask, watching(way, server, PODS) as watch, watching(way, server, NODES) as nodes:
        ask("POST", DEPLOYMENTS, deployment(app, replicas))
        pods = _Pods(app)
        watch.wait(lambda kind, found: pods.see(kind, found).running() == replicas, f"{replicas} pods Running")
        host = cluster.lab[pods.some_node()]
        lost = replicas - pods.running(but_on=host.name)
        began = time.monotonic()
        host.power_off()
        cluster.processes.pop(f"{host.name}-worker")
        silent = nodes.wait(_node(host.name, ready=False), f"{host.name} NotReady") - began
        replaced = watch.wait(
            lambda kind, found: pods.see(kind, found).running(but_on=host.name) == replicas,
            f"the pods of {host.name} Running elsewhere",
        )
        host.boot()
        cluster.start_worker(host.name)
        nodes.wait(_node(host.name, ready=True), f"{host.name} Ready again")
        remove_deployment(ask, way, app, replicas)
    return silent, replaced - began, lost


class _Pods:
    """Those of one app, as a watch has told them."""

    def __init__(self, app: str) -> None:
        self._app = app
        self._pods: dict[str, dict[str, Any]] = {}

    def see(self, kind: str, found: dict[str, Any]) -> _Pods:
        if found["metadata"].get("labels", {}).get("app") == self._app:
            self._pods[found["metadata"]["name"]] = found
            if kind == "DELETED":
                del self._pods[found["metadata"]["name"]]
        return self

    def running(self, but_on: str = "") -> int:
        return sum(is_running(pod) and pod["spec"].get("nodeName") != but_on for pod in self._pods.values())

    def some_node(self) -> str:
        return str(next(iter(self._pods.values()))["spec"]["nodeName"])


def _node(name: str, *, ready: bool) -> Callable[[str, dict[str, Any]], bool]:
    return lambda _, found: bool(found["metadata"]["name"] == name and is_ready(found) == ready)


def _survivors(cluster: Cluster, way: Way, leader: str) -> list[Open]:
    """One writer at each other master, each with an object of its own."""

    @contextmanager
    def opened(name: str, ip: str) -> Iterator[Callable[[int], object]]:
        path = f"{CONFIG_MAPS}/writer-{name}"
        with Requests(way, f"https://{ip}:{API_PORT}", timeout_seconds=10) as ask:
            _make(ask, path)
            yield lambda number: ask.bytes("PATCH", path, {"data": {"n": str(number)}}, MERGE)

    return [partial(opened, host.name, host.ip) for host in cluster.masters if host.name != leader]


def _back(cluster: Cluster, name: str) -> None:
    """The master runs again and every master is connected to every other: what happens next finds a whole cluster."""
    cluster.start_master(name)
    cluster.wait_masters()


def _make(ask: Requests, path: str) -> None:
    folder, _, name = path.rpartition("/")
    try:
        ask("POST", folder, {"metadata": {"name": name}})
    except Refused as error:
        if error.code != 409:
            raise
