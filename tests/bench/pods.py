"""Pods on a cluster of three masters and two workers, through its API: one, fifty, and one whose process is killed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.bench import bare
from tests.bench.client import Requests, Way, watching
from tests.bench.figures import Figure, Series
from tests.bench.machine import host_cpu_seconds
from tests.bench.objects import DEPLOYMENTS, IMAGE, PODS, deployment, is_running, pod, restarts
from tests.cluster.cluster import Cluster

ONE_TARGET_SECONDS = 0.40
FIFTY_TARGET_SECONDS = 5.0
RESTART_TARGET_SECONDS = 0.5


def pull(cluster: Cluster) -> None:
    """The image is on every worker before anything is measured."""
    for worker in cluster.workers:
        worker.run(["podman", "pull", "-q", IMAGE])


def one(cluster: Cluster, way: Way, repetitions: int) -> list[Figure]:
    """POST of a pod to the watch that says Running."""
    server, worker = way.servers[0], cluster.workers[0]
    taken, podman, cli = [], [], []
    with Requests(way, server) as ask:
        for number in range(repetitions):
            with running_pod(ask, way, f"one-{number}") as (seconds, _):
                taken.append(seconds)
            podman.append(bare.run_seconds(worker))
        for number in range(3):
            cli.append(_by_command_line(cluster, ask, way, f"cli-{number}"))
    return [
        Figure(
            "one pod, apply to Running",
            "s",
            taken,
            target=ONE_TARGET_SECONDS,
            beside=[Series("podman run -d --net none", podman)],
            published="Docker Swarm 0.55 s",
        ),
        Figure("the same by `orchestr8 apply -f`, start of the command line included", "s", cli),
    ]


def fifty(cluster: Cluster, way: Way, repetitions: int) -> list[Figure]:
    """POST of a Deployment to the watch that says Running of the last of its pods."""
    replicas, server = 50, way.servers[0]
    taken, podman, used = [], [], []
    hosts = [*cluster.masters, *cluster.workers]
    with Requests(way, server) as ask:
        for number in range(repetitions):
            name = f"fifty-{number}"
            with watching(way, server, PODS) as watch:
                running: set[str] = set()

                def all_running(kind: str, found: dict[str, Any], running: set[str] = running) -> bool:
                    if kind != "DELETED" and is_running(found):
                        running.add(found["metadata"]["name"])
                    return len(running) == replicas

                before = [host_cpu_seconds(host) for host in hosts]
                began = time.monotonic()
                ask("POST", DEPLOYMENTS, deployment(name, replicas))
                taken.append(watch.wait(all_running, f"{replicas} pods Running", 120) - began)
                after = [host_cpu_seconds(host) for host in hosts]
                used.append({host.name: round(b - a, 2) for host, a, b in zip(hosts, before, after, strict=True)})
                remove_deployment(ask, way, name, replicas)
        podman.append(bare.run_many_seconds(cluster.workers, replicas // len(cluster.workers)))
    return [
        Figure(
            "50 replicas on two workers, apply to all Running",
            "s",
            taken,
            target=FIFTY_TARGET_SECONDS,
            beside=[Series("25 podman run on each of the two", podman)],
            published="Docker Swarm 7.6 s",
            details={"cpu_seconds_of_hosts": used},
        )
    ]


def killed(cluster: Cluster, way: Way, repetitions: int) -> list[Figure]:
    """SIGKILL of a container's process for the first time, seen on the node and by a watch."""
    server, worker = way.servers[0], cluster.workers[0]
    on_node, by_api, podman = [], [], []
    with Requests(way, server) as ask:
        for number in range(90_000, 90_000 + repetitions):
            command = ("sleep", str(number))
            with running_pod(ask, way, f"killed-{number}", command) as (_, name), watching(way, server, PODS) as watch:

                def again(_: str, found: dict[str, Any], name: str = name) -> bool:
                    return found["metadata"]["name"] == name and restarts(found) == 1 and is_running(found)

                began = time.monotonic()
                on_node.append(bare.kill_and_see(command))
                by_api.append(watch.wait(again, f"{name} runs again") - began)
            podman.append(bare.restart_seconds(worker, number))
    beside = [Series("podman --restart=always", podman)]
    published = "Docker Swarm 5.55 s"
    return [
        Figure(
            "killed process running again, first time, on the node",
            "s",
            on_node,
            target=RESTART_TARGET_SECONDS,
            beside=beside,
            published=published,
        ),
        Figure(
            "killed process running again, first time, in the API",
            "s",
            by_api,
            target=RESTART_TARGET_SECONDS,
            beside=beside,
            published=published,
        ),
    ]


@contextmanager
def running_pod(
    ask: Requests, way: Way, name: str, command: tuple[str, ...] = ("sleep", "86400")
) -> Iterator[tuple[float, str]]:
    """A pod that runs while the block does: (seconds from POST to Running, its name)."""
    with watching(way, way.servers[0], PODS) as watch:
        began = time.monotonic()
        ask("POST", PODS, pod(name, command))
        yield watch.wait(_running(name), f"{name} Running") - began, name
        ask("DELETE", f"{PODS}/{name}")
        watch.wait(lambda kind, found: kind == "DELETED" and found["metadata"]["name"] == name, f"{name} gone")


def remove_deployment(ask: Requests, way: Way, name: str, replicas: int, seconds: float = 120) -> None:
    """Returns when the last of its pods is gone."""
    with watching(way, way.servers[0], PODS) as watch:
        gone: set[str] = set()

        def all_gone(kind: str, found: dict[str, Any]) -> bool:
            if kind == "DELETED":
                gone.add(found["metadata"]["name"])
            return len(gone) >= replicas

        ask("DELETE", f"{DEPLOYMENTS}/{name}", {"propagationPolicy": "Background"})
        watch.wait(all_gone, f"the pods of {name} gone", seconds)


def _by_command_line(cluster: Cluster, ask: Requests, way: Way, name: str) -> float:
    file = cluster.lab.folder / f"{name}.json"
    file.write_text(json.dumps(pod(name)))
    with watching(way, way.servers[0], PODS) as watch:
        began = time.monotonic()
        cluster.cli("apply", "-f", str(file))
        seconds = watch.wait(_running(name), f"{name} Running") - began
        ask("DELETE", f"{PODS}/{name}")
        watch.wait(lambda kind, found: kind == "DELETED" and found["metadata"]["name"] == name, f"{name} gone")
    return seconds


def _running(name: str) -> Any:
    return lambda _, found: found["metadata"]["name"] == name and is_running(found)
