"""From two empty lines of set-up to a Service that answers: what stands after the bootstrap, seen by every client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.api import NODES, is_live, until
from tests.cluster.cluster import Cluster
from tests.cluster.manifests import container, deployment, pod, service
from tests.cluster.space import Space, space
from tests.cluster.traffic import answering

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "web.yaml"


@pytest.fixture(scope="module")
def here(shared_cluster: Cluster) -> Iterator[Space]:
    with space(shared_cluster.api, "bootstrap") as made:
        yield made


def test_three_masters_and_two_workers_are_one_cluster(cluster: Cluster) -> None:
    status = json.loads(cluster.cli("status", "-o", "json"))
    assert status["quorum"] and status["leader"] in {"m1", "m2", "m3"}
    assert [master["name"] for master in status["masters"]] == ["m1", "m2", "m3"]
    assert all(master["connected"] for master in status["masters"]) and not status["warnings"]
    assert {node["name"]: node["ready"] for node in status["nodes"]} == {"w1": True, "w2": True}
    ranges = {node["podCIDR"] for node in status["nodes"]}
    assert len(ranges) == 2 and all(each.startswith("10.70.") for each in ranges)


def test_each_master_answers_and_says_the_same(cluster: Cluster) -> None:
    for master in cluster.masters:
        told = cluster.kubectl(f"--server=https://{master.ip}:6443", "get", "nodes", "-o", "name")
        assert told.split() == ["node/w1", "node/w2"]


def test_a_node_tells_what_it_offers(cluster: Cluster) -> None:
    for node in cluster.api.items(NODES):
        offered = node["status"]["allocatable"]
        assert {"cpu", "memory", "ephemeral-storage", "pods"} <= offered.keys()
        addresses = {each["type"]: each["address"] for each in node["status"]["addresses"]}
        assert addresses["InternalIP"] == cluster.lab[node["metadata"]["name"]].ip


def test_the_example_runs_on_both_workers_and_all_its_pods_answer(cluster: Cluster, here: Space) -> None:
    told = cluster.kubectl("apply", "-n", here.name, "-f", str(EXAMPLE))
    assert "deployment.apps/web created" in told and "service/web created" in told
    cluster.kubectl("rollout", "status", "-n", here.name, "deployment/web", "--timeout=60s")
    pods = here.live_pods("web", 3)
    assert {pod["status"]["phase"] for pod in pods} == {"Running"}
    assert {pod["spec"]["nodeName"] for pod in pods} == {"w1", "w2"}
    assert len({pod["status"]["podIP"] for pod in pods}) == 3
    names = {pod["metadata"]["name"] for pod in pods}
    for worker in cluster.workers:
        until(
            f"the Service answers on {worker.name} from all three pods",
            lambda worker=worker: answering(worker, here.address("web")),  # type: ignore[misc]
            holds=lambda answered: answered == names,
        )


def test_a_pod_reaches_a_service_and_another_pod_itself(cluster: Cluster, here: Space) -> None:
    here.create(deployment("asked", replicas=2), service("asked"))
    backends = {pod["status"]["podIP"] for pod in here.live_pods("asked", 2)}
    here.backends_when("asked", backends)
    targets = " ".join([f"{here.address('asked')}:80", *(f"{ip}:8080" for ip in sorted(backends))])
    script = f"for target in {targets}; do timeout 2 wget -q -O - http://$target/cgi-bin/who || exit 1; done"
    # The nodes learn of the Service a moment after the API does.
    again = f"for try in 1 2 3 4 5 6 7 8 9; do if ( {script} ); then exit 0; fi; sleep 0.3; done; exit 1"
    here.create(pod("asking", container(again), restartPolicy="Never"))
    done = here.pod_when("asking", "is done", lambda p: p["status"]["phase"] in ("Succeeded", "Failed"))
    assert done["status"]["phase"] == "Succeeded", cluster.kubectl("logs", "-n", here.name, "asking")


def test_a_person_sees_the_same_in_both_clients(cluster: Cluster, here: Space) -> None:
    here.create(pod("seen"))
    here.pod_when("seen", "is live", is_live)
    ours, theirs = (run("get", "pod", "seen", "-n", here.name) for run in (cluster.cli, cluster.kubectl))
    assert (
        ours.split()[:9]
        == theirs.split()[:9]
        == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "seen", "1/1", "Running", "0"]
    )
