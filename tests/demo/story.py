"""The demo's story: what a newcomer sees, step by step, each with its measured time.

Every number that is printed was measured in this run; a step that does not come true ends the demo with what was seen
instead. Waiting is always for a state, never for a time.
"""

from __future__ import annotations

import json
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
from tests.cluster.traffic import traffic

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "web.yaml"
_REPLICAS = 3


class Narrator:
    """Prints each step with a number and its time."""

    def __init__(self) -> None:
        self._steps = 0

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """The block is what is measured."""
        self._steps += 1
        print(f"\n{self._steps:2}. {what}", flush=True)
        start = time.perf_counter()
        yield
        print(f"    done in {time.perf_counter() - start:.2f} s", flush=True)

    def show(self, text: str) -> None:
        print("    " + text.rstrip().replace("\n", "\n    "), flush=True)


def tell(cluster: Cluster) -> None:
    """From hosts that are on to a cluster whose pods survive what is done to them."""
    narrator = Narrator()
    build(cluster, narrator)
    run_workload(cluster, narrator)


def build(cluster: Cluster, tell: Narrator) -> None:
    """Registry, masters, workers."""
    hosts = [*cluster.masters, *cluster.workers]
    print("hosts, each a set of namespaces of its own: " + ", ".join(f"{host.name} {host.ip}" for host in hosts))
    with tell.step(f"an image is built offline and pushed to a registry inside the namespaces, {REGISTRY}"):
        registry.start(cluster.lab)
    with tell.step("three masters: orchestr8 master init on the first, orchestr8 join on the others"):
        cluster.start_masters()
    tell.show(f"{cluster.leader()} leads")
    with tell.step("two workers: orchestr8 join with a one-line token, each with its own Podman"):
        cluster.start_workers()
    tell.show(cluster.cli("get", "nodes"))


def run_workload(cluster: Cluster, tell: Narrator) -> None:
    """A Deployment and a Service, and what happens to them. The cluster is up."""
    api = cluster.api
    example = EXAMPLE.relative_to(ROOT)
    with tell.step(f"orchestr8 apply -f {example}: a Deployment of three HTTP pods and a Service, until all are ready"):
        applied = cluster.cli("apply", "-f", str(EXAMPLE))
        pods = until(
            "three pods Running and ready", lambda: api.items(PODS), holds=lambda p: sum(map(is_live, p)) == _REPLICAS
        )
    tell.show(applied + "\n".join(pulls(api)))
    tell.show(cluster.cli("get", "pods", "-o", "wide"))

    client, address = cluster.workers[0], service_address(api)
    with tell.step(f"20 requests from host {client.name} to the Service's address {address}"):
        answers = until(
            "20 requests answered by all three pods",
            lambda: Counter(ask(client, address) for _ in range(20)),
            holds=lambda seen: set(seen) == {pod["metadata"]["name"] for pod in pods},
        )
    tell.show("\n".join(f"{count:2} answered by {name}" for name, count in sorted(answers.items())))

    kill_a_process(cluster, tell)
    replace_a_pod(cluster, tell, client, address)
    kill_the_leader(cluster, tell)
    kill_a_worker(cluster, tell, address)


def kill_a_process(cluster: Cluster, tell: Narrator) -> None:
    api = cluster.api
    pod = next(pod for pod in api.items(PODS) if is_live(pod))
    name, host = pod["metadata"]["name"], cluster.lab[pod["spec"]["nodeName"]]
    victim = str(container_pid(host, pod["metadata"]["uid"]))
    with tell.step(f"kill -9 of the HTTP server in pod {name} on {host.name}, until it runs again"):
        host.run(["kill", "-9", victim])
        again = until(
            "the container runs again",
            lambda: api.get(f"{PODS}/{name}"),
            holds=lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 1 and "running" in state_of(p),
        )
    tell.show(f"the same pod, still at {again['status']['podIP']}, restarts: 1")
    until("the pod is ready again", lambda: api.get(f"{PODS}/{name}"), holds=is_ready)


def replace_a_pod(cluster: Cluster, tell: Narrator, client: Host, address: str) -> None:
    api = cluster.api
    old = next(pod for pod in api.items(PODS) if is_live(pod))
    name, old_ip = old["metadata"]["name"], old["status"]["podIP"]
    with traffic(client, address) as sent:
        with tell.step(f"orchestr8 delete pod {name} while a client asks all the time, until another stands in"):
            cluster.cli("delete", "pod", name)
            now = until(
                "three ready pods, the deleted one gone",
                lambda: api.items(PODS),
                holds=lambda pods: sum(map(is_live, pods)) == _REPLICAS == len(pods) and name not in names(pods),
            )
    new = max(now, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
    tell.show(f"{name} ({old_ip}) was replaced by {new['metadata']['name']} ({new['status']['podIP']})")
    require(new["status"]["podIP"] != old_ip, "the replacement has the old pod's address")
    tell.show(f"the client sent {sent.sent} requests meanwhile; {len(sent.failed)} failed")
    require(sent.sent and not sent.failed, f"of {sent.sent} requests failed: {sent.failed[:5]}")


def kill_the_leader(cluster: Cluster, tell: Narrator) -> None:
    api, leader = cluster.api, cluster.leader()
    api.request("POST", CONFIG_MAPS, {"metadata": {"name": "note"}, "data": {"written": "before"}})
    change = {"data": {"written": "after"}}
    with tell.step(f"kill -9 of the leader, {leader}, until the next write is acknowledged"):
        cluster.kill(leader, "master")
        until(
            "a write is acknowledged",
            lambda: api.request("PATCH", f"{CONFIG_MAPS}/note", change, media_type="application/merge-patch+json"),
            holds=bool,
            step=0.01,
        )
    tell.show(f"{cluster.leader()} leads now; {leader} is started again and follows")
    cluster.start_master(leader)
    cluster.wait_masters()
    require(api.get(f"{CONFIG_MAPS}/note")["data"] == change["data"], "the acknowledged write is not there")


def kill_a_worker(cluster: Cluster, tell: Narrator, address: str) -> None:
    api = cluster.api
    on = Counter(pod["spec"]["nodeName"] for pod in api.items(PODS))
    lost, survivor = sorted(cluster.workers, key=lambda host: on[host.name], reverse=True)
    with tell.step(
        f"power cut of worker {lost.name}, on which {on[lost.name]} of the pods run, until all are replaced"
    ):
        lost.power_off()
        until(
            f"three ready pods on {survivor.name}",
            lambda: api.items(PODS),
            holds=lambda pods: (
                sum(is_live(p) and p["spec"].get("nodeName") == survivor.name for p in pods) == _REPLICAS
            ),
            seconds=60,
        )
    tell.show(cluster.cli("get", "nodes"))
    tell.show(cluster.cli("get", "pods", "-o", "wide"))
    until(
        "20 requests answered by the three live pods",
        lambda: Counter(ask(survivor, address) for _ in range(20)),
        holds=lambda seen: "" not in seen and len(seen) == _REPLICAS,
    )
    tell.show(f"20 requests from {survivor.name} to {address} are answered by these three")


# -- looking ------------------------------------------------------------------------------------------------


def service_address(api: Api) -> str:
    address: str = api.get("/api/v1/namespaces/default/services/web")["spec"]["clusterIP"]
    return address


def ask(host: Host, address: str) -> str:
    """The name of the pod that answered; "" if none did."""
    done = host.run(["curl", "-s", "--max-time", "1", f"http://{address}/cgi-bin/who"], check=False)
    return done.stdout.split()[0] if done.returncode == 0 and done.stdout else ""


def pulls(api: Api) -> list[str]:
    """What the nodes say about the image they fetched from the registry."""
    events = api.items("/api/v1/namespaces/default/events")
    found = {(event["source"].get("host", ""), event["message"]) for event in events if event["reason"] == "Pulled"}
    return [f"{node}: {message}" for node, message in sorted(found) if message.startswith("Successfully pulled")]


def names(pods: list[dict[str, Any]]) -> set[str]:
    return {pod["metadata"]["name"] for pod in pods}


def container_pid(host: Host, pod_uid: str) -> int:
    """The pid, in the host, of the pod's only container."""
    listed = host.run(["podman", "ps", "--format", "json", "--filter", f"label=io.orchestr8.pod.uid={pod_uid}"]).stdout
    return next(int(found["Pid"]) for found in json.loads(listed) if not found.get("IsInfra"))


def state_of(pod: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = pod["status"]["containerStatuses"][0]["state"]
    return state


def require(condition: object, complaint: str) -> None:
    if not condition:
        raise AssertionError(complaint)
