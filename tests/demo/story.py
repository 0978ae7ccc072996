"""The demo's story: what a newcomer sees, step by step, each with its measured time.

Every number that is printed was measured in this run; a step that does not come true ends the demo with what was seen
instead. Waiting is always for a state, never for a time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.api import CONFIG_MAPS, PODS, Api, is_live, is_ready, until
from tests.cluster.cluster import Cluster
from tests.cluster.lab import Host, registry
from tests.cluster.lab.lab import REGISTRY

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "web.yaml"
_TRAFFIC = ROOT / "tests" / "cluster" / "traffic.py"
_REPLICAS = 3


class Narrator:
    """Prints a step's line with its time; numbers steps."""

    def __init__(self) -> None:
        self._steps = 0

    @contextmanager
    def step(self, what: str) -> Iterator[list[str]]:
        """The block is what is measured. What it adds to the list is printed below, indented."""
        self._steps += 1
        print(f"\n{self._steps:2}. {what}", flush=True)
        details: list[str] = []
        start = time.perf_counter()
        yield details
        seconds = time.perf_counter() - start
        for detail in details:
            print("    " + detail.rstrip().replace("\n", "\n    "))
        print(f"    done in {seconds:.2f} s", flush=True)


def tell(cluster: Cluster) -> None:
    """From hosts that are on to a cluster whose pods survive what is done to them."""
    narrator = Narrator()
    build(cluster, narrator)
    run_workload(cluster, narrator)


def build(cluster: Cluster, tell: Narrator) -> None:
    """Registry, masters, workers."""
    hosts = [*cluster.masters, *cluster.workers]
    print("hosts, each a set of namespaces of its own: " + ", ".join(f"{host.name} {host.ip}" for host in hosts))
    with tell.step(
        f"a registry inside the namespaces ({REGISTRY}); the image is built here, offline, and pushed"
    ) as out:
        registry.start(cluster.lab)
        out.append(f"pushed {registry.WEB}")
    with tell.step("three masters: orchestr8 master init on the first, orchestr8 join on the others") as out:
        cluster.start_masters()
        out.append(f"{cluster.leader()} leads")
    with tell.step("two workers: orchestr8 join with a one-line token, each with its own Podman") as out:
        cluster.start_workers()
        out.append(cluster.cli("get", "nodes", "-o", "wide"))


def run_workload(cluster: Cluster, tell: Narrator) -> None:
    """A Deployment and a Service, and what happens to them. The cluster is up."""
    api = cluster.api
    with tell.step(
        f"orchestr8 apply -f {EXAMPLE.relative_to(ROOT)}: a Deployment of three HTTP pods and a Service"
    ) as out:
        out.append(cluster.cli("apply", "-f", str(EXAMPLE)))
        pods = until(
            "three pods Running and ready", lambda: api.items(PODS), holds=lambda p: sum(map(is_live, p)) == _REPLICAS
        )
        out.append(cluster.cli("get", "pods", "-o", "wide"))
    address = service_address(api)
    client = cluster.workers[0]

    with tell.step(f"20 requests from host {client.name} to the Service's address {address}") as out:
        answers = until(
            "20 requests answered by all three pods",
            lambda: Counter(ask(client, address) for _ in range(20)),
            holds=lambda seen: set(seen) == {pod["metadata"]["name"] for pod in pods},
        )
        out += [f"{count:2} answered by {name}" for name, count in sorted(answers.items())]

    kill_a_process(cluster, tell)
    replace_a_pod(cluster, tell, client, address)
    kill_the_leader(cluster, tell)
    kill_a_worker(cluster, tell, client, address)


def kill_a_process(cluster: Cluster, tell: Narrator) -> None:
    api = cluster.api
    pod = next(pod for pod in api.items(PODS) if is_live(pod))
    name, host = pod["metadata"]["name"], cluster.lab[pod["spec"]["nodeName"]]
    with tell.step(f"kill -9 of the HTTP server in pod {name} on {host.name}") as out:
        host.run(["kill", "-9", str(container_pid(host, pod["metadata"]["uid"]))])
        again = until(
            "the container runs again",
            lambda: api.get(f"{PODS}/{name}"),
            holds=lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 1 and "running" in state_of(p),
        )
        out.append(f"the same pod runs again at the same address {again['status']['podIP']}, restarts: 1")
    until("the pod is ready again", lambda: api.get(f"{PODS}/{name}"), holds=is_ready)


def replace_a_pod(cluster: Cluster, tell: Narrator, client: Host, address: str) -> None:
    api = cluster.api
    old = next(pod for pod in api.items(PODS) if is_live(pod))
    name, old_ip = old["metadata"]["name"], old["status"]["podIP"]
    with (
        traffic(client, address) as sent,
        tell.step(f"orchestr8 delete pod {name}, while a client asks all the time") as out,
    ):
        cluster.cli("delete", "pod", name)
        now = until(
            "three ready pods, the deleted one gone",
            lambda: api.items(PODS),
            holds=lambda pods: (
                sum(map(is_live, pods)) == _REPLICAS and name not in {p["metadata"]["name"] for p in pods}
            ),
        )
        new = max(now, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
        out.append(f"{name} ({old_ip}) was replaced by {new['metadata']['name']} ({new['status']['podIP']})")
    require(new["status"]["podIP"] != old_ip, "the replacement has the old pod's address")
    print(f"    the client sent {sent['sent']} requests meanwhile; {len(sent['failed'])} failed", flush=True)
    require(not sent["failed"], f"requests failed: {sent['failed'][:5]}")


def kill_the_leader(cluster: Cluster, tell: Narrator) -> None:
    leader = cluster.leader()
    with tell.step(f"kill -9 of the leader, {leader}; the next write goes to whoever leads then") as out:
        cluster.kill(leader, "master")
        body = {"metadata": {"name": "after-the-leader"}, "data": {"written": "yes"}}
        until("a write is acknowledged", lambda: cluster.api.request("POST", CONFIG_MAPS, body), holds=bool, step=0.01)
        out.append("the write was acknowledged")
    out_of = cluster.leader()
    print(f"    {out_of} leads now; {leader} is started again and follows", flush=True)
    cluster.start_master(leader)


def kill_a_worker(cluster: Cluster, tell: Narrator, client: Host, address: str) -> None:
    api = cluster.api
    survivor = client.name
    lost = next(host for host in cluster.workers if host.name != survivor)
    before = {pod["metadata"]["name"] for pod in api.items(PODS) if pod["spec"].get("nodeName") == lost.name}
    with tell.step(f"power cut of worker {lost.name}, which runs {len(before)} of the pods") as out:
        lost.power_off()
        until(
            f"three ready pods on {survivor}",
            lambda: api.items(PODS),
            holds=lambda pods: sum(is_live(p) and p["spec"].get("nodeName") == survivor for p in pods) == _REPLICAS,
            seconds=60,
        )
        out.append(cluster.cli("get", "pods", "-o", "wide"))
    answers = Counter(ask(client, address) for _ in range(20))
    require("" not in answers and len(answers) == _REPLICAS, f"the Service is not answered by all: {answers}")
    print("    20 requests to the Service are answered by the three pods that live", flush=True)


# -- looking ------------------------------------------------------------------------------------------------


def service_address(api: Api) -> str:
    address: str = api.get("/api/v1/namespaces/default/services/web")["spec"]["clusterIP"]
    return address


def ask(host: Host, address: str) -> str:
    """The name of the pod that answered; "" if none did."""
    done = host.run(["curl", "-s", "--max-time", "1", f"http://{address}/cgi-bin/who"], check=False)
    return done.stdout.split()[0] if done.returncode == 0 and done.stdout else ""


def container_pid(host: Host, pod_uid: str) -> int:
    """The pid, in the host, of the pod's only container."""
    listed = host.run(["podman", "ps", "--format", "json", "--filter", f"label=io.orchestr8.pod.uid={pod_uid}"]).stdout
    return next(int(found["Pid"]) for found in json.loads(listed) if not found.get("IsInfra"))


def state_of(pod: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = pod["status"]["containerStatuses"][0]["state"]
    return state


@contextmanager
def traffic(host: Host, address: str) -> Iterator[dict[str, Any]]:
    """A client on the host asks 20 times a second while the block runs; the dictionary is filled at its end."""
    seen: dict[str, Any] = {}
    program = [sys.executable, str(_TRAFFIC), f"http://{address}/cgi-bin/who", "0.05"]
    process = host.popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield seen
        output, _ = process.communicate(timeout=10)
        seen.update(json.loads(output))
    finally:
        if process.poll() is None:
            os.kill(process.inner_pid, signal.SIGKILL)


def require(condition: object, complaint: str) -> None:
    if not condition:
        raise AssertionError(complaint)
