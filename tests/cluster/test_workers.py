"""Workers that crash, lose their Podman, are cut off, lose power or are alone: pods outlive what they can outlive."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import containers
from tests.cluster.api import NODES, is_live, is_ready, until
from tests.cluster.cluster import Cluster
from tests.cluster.lab import Host
from tests.cluster.lab.registry import BUSYBOX
from tests.cluster.manifests import deployment, pod, service
from tests.cluster.space import Space, space
from tests.cluster.traffic import answering, traffic

# The pod stays bound to a silent node for so long that no test waits for its end.
STAYS = [
    {"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 600}
    for taint in ("not-ready", "unreachable")
]


@pytest.fixture
def here(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Space]:
    name = request.node.name.removeprefix("test_").replace("_", "-")[:40].strip("-")
    with space(cluster.api, name) as made:
        yield made


def node_of(cluster: Cluster, pod: dict[str, Any]) -> Host:
    return cluster.lab[pod["spec"]["nodeName"]]


def on(host: Host, pods: list[dict[str, Any]]) -> set[str]:
    """The addresses of those that are on this node."""
    return {each["status"]["podIP"] for each in pods if each["spec"]["nodeName"] == host.name}


def node_when(cluster: Cluster, host: Host, *, ready: bool) -> None:
    path = f"{NODES}/{host.name}"
    until(f"node {host.name} is ready: {ready}", lambda: cluster.api.get(path), holds=lambda n: is_ready(n) == ready)


def restarts(pod: dict[str, Any]) -> list[int]:
    return [status["restartCount"] for status in pod["status"]["containerStatuses"]]


def test_a_worker_that_is_killed_and_started_again_finds_its_pods_untouched(cluster: Cluster, here: Space) -> None:
    w1, w2 = cluster.workers
    here.create(deployment("web", replicas=4), service("web"))
    pods = here.live_pods("web", 4)
    w1.run(["podman", "run", "-d", "--name=foreign", "--network=none", BUSYBOX, "sleep", "600"])
    mine, foreign = on(w1, pods), w1.run(["podman", "ps", "-q", "--filter=name=foreign"]).stdout
    before = containers.running(w1)
    assert {each.pod_uid for each in before} >= {each["metadata"]["uid"] for each in pods if on(w1, [each])}
    victim = next(each for each in pods if on(w1, [each]))
    with traffic(w2, here.address("web")) as requests:
        cluster.kill("w1", "worker")
        assert containers.running(w1) == before
        cluster.start_worker("w1")
        node_when(cluster, w1, ready=True)
        # What happens after the restart is seen and mended as before it.
        here.patch("Pod", victim["metadata"]["name"], {"metadata": {"annotations": {"seen": "yes"}}})
    assert requests.sent and not requests.failed
    assert containers.running(w1) == before
    now = here.live_pods("web", 4)
    assert on(w1, now) == mine and [restarts(each) for each in now] == [[0]] * 4
    assert w1.run(["podman", "ps", "-q", "--filter=name=foreign"]).stdout == foreign != ""
    containers.kill(w1, containers.only(w1, victim))
    here.pod_when(victim["metadata"]["name"], "is restarted", lambda p: is_live(p) and restarts(p) == [1])
    w1.run(["podman", "rm", "-f", "-t", "0", "foreign"])


def test_what_ended_while_the_worker_was_down_is_seen_when_it_is_back(cluster: Cluster, here: Space) -> None:
    here.create(pod("dies", nodeName="w1"), pod("lives", nodeName="w1"))
    dies, lives = (here.pod_when(name, "runs", is_live) for name in ("dies", "lives"))
    w1 = cluster.lab["w1"]
    before = containers.only(w1, lives)
    cluster.kill("w1", "worker")
    containers.kill(w1, containers.only(w1, dies))
    here.create(pod("new", nodeName="w1"))
    cluster.start_worker("w1")
    again = here.pod_when("dies", "runs again", lambda p: is_live(p) and restarts(p) == [1])
    ended = again["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "Error")
    here.pod_when("new", "runs", is_live)
    assert containers.only(w1, lives) == before


def test_containers_do_not_notice_the_death_of_podmans_service(cluster: Cluster, here: Space) -> None:
    w1 = cluster.lab["w1"]
    here.create(pod("before", nodeName="w1"))
    lives = here.pod_when("before", "runs", is_live)
    before = containers.only(w1, lives)
    old = containers.podman_service_pid(w1)
    os.kill(old, signal.SIGKILL)
    here.create(pod("after", nodeName="w1"))
    here.pod_when("after", "runs", is_live)
    assert containers.podman_service_pid(w1) != old
    assert containers.only(w1, lives) == before
    assert restarts(here.get("Pod", "before")) == [0]
    assert is_ready(cluster.api.get(f"{NODES}/w1"))


def test_the_pods_of_a_worker_without_power_are_replaced_on_the_other(cluster: Cluster, here: Space) -> None:
    here.create(deployment("web", replicas=3), service("web"))
    pods = here.live_pods("web", 3)
    survivor, lost = cluster.workers
    assert on(survivor, pods) and on(lost, pods), "the pods are spread over both"
    gone = {each["metadata"]["uid"] for each in pods if on(lost, [each])}
    lost.power_off()
    node_when(cluster, lost, ready=False)
    until("its pods get no traffic", lambda: here.backends("web"), holds=lambda ips: ips and not ips & on(lost, pods))
    now = here.live_pods("web", 3)
    assert len(on(survivor, now)) == 3 and on(survivor, pods) < on(survivor, now), "the others stay where they were"
    here.backends_when("web", on(survivor, now))
    with traffic(survivor, here.address("web")) as requests:
        lost.boot()
        cluster.start_worker(lost.name)
        node_when(cluster, lost, ready=True)
        until(
            "nothing of the old pods is left there",
            lambda: lost.run(["podman", "ps", "-a", "--format={{.Labels}}"]).stdout,
            holds=lambda told: not any(uid in told for uid in gone),
        )
        cluster.kubectl("scale", "-n", here.name, "deployment/web", "--replicas=5")
        assert on(lost, here.live_pods("web", 5)), "it gets new pods"
    assert requests.sent and not requests.failed


def test_a_worker_that_comes_back_ends_what_is_not_its_own_before_it_starts_anything(
    cluster: Cluster, here: Space
) -> None:
    away, other = cluster.workers
    here.create(deployment("web", replicas=2), pod("stays", nodeName=away.name, tolerations=STAYS))
    pods, stays = here.live_pods("web", 2), here.pod_when("stays", "runs", is_live)
    old, kept = containers.running(away), containers.only(away, stays)
    lost = {each["metadata"]["uid"] for each in pods if on(away, [each])}
    assert lost
    cluster.lab.isolate(away.name)
    node_when(cluster, away, ready=False)
    now = here.live_pods("web", 2)
    assert len(on(other, now)) == 2
    assert containers.running(away) == old, "what runs there runs on while it is alone"
    assert cluster.lab.fault_packets(away.name) > 0
    here.create(pod("new", nodeName=away.name, tolerations=STAYS))
    cluster.lab.heal()
    new = here.pod_when("new", "runs", is_live)
    story = [
        (event["Status"], event["Attributes"].get("io.orchestr8.pod.uid"))
        for event in containers.podman_events(away)
        if event["Attributes"].get("io.orchestr8.container.name")
    ]
    ends = [story.index(("died", uid)) for uid in lost]
    assert max(ends) < story.index(("start", new["metadata"]["uid"]))
    assert containers.only(away, stays) == kept
    assert restarts(here.get("Pod", "stays")) == [0]


def test_a_worker_that_is_away_for_a_moment_keeps_its_pods(cluster: Cluster, here: Space) -> None:
    away, _ = cluster.workers
    here.create(deployment("web", replicas=2, tolerations=STAYS), service("web"))
    pods = here.live_pods("web", 2)
    everywhere = {each["status"]["podIP"] for each in pods}
    here.backends_when("web", everywhere)
    before = containers.running(away)
    cluster.lab.isolate(away.name)
    node_when(cluster, away, ready=False)
    here.backends_when("web", everywhere - on(away, pods))
    cluster.lab.heal()
    node_when(cluster, away, ready=True)
    here.backends_when("web", everywhere)
    assert {each["metadata"]["uid"] for each in here.live_pods("web", 2)} == {each["metadata"]["uid"] for each in pods}
    assert containers.running(away) == before


def test_workers_serve_and_start_their_pods_without_any_master(cluster: Cluster, here: Space) -> None:
    here.create(deployment("web", replicas=4), service("web"))
    pods = here.live_pods("web", 4)
    here.backends_when("web", {each["status"]["podIP"] for each in pods})
    address = here.address("web")
    stays, reboots = cluster.workers
    untouched = containers.running(stays)
    for master in cluster.masters:
        cluster.kill(master.name, "master")
    everybody = {each["metadata"]["name"] for each in pods}
    with traffic(stays, address) as requests:
        for worker in cluster.workers:
            assert answering(worker, address, 40) == everybody
    assert requests.sent and not requests.failed
    victim = next(each for each in pods if on(stays, [each]))
    old = containers.only(stays, victim)
    containers.kill(stays, old)
    until("it runs again", lambda: containers.running(stays, victim), holds=lambda found: found and old not in found)
    reboots.power_off()
    reboots.boot()
    cluster.start_worker(reboots.name)
    wanted = {each["metadata"]["uid"] for each in pods if on(reboots, [each])}
    until(
        "the pods of the worker that was off run again",
        lambda: {each.pod_uid for each in containers.running(reboots)},
        holds=lambda found: wanted <= found,
        seconds=60,
    )
    for worker in cluster.workers:
        until(
            f"all pods answer on {worker.name}",
            lambda worker=worker: answering(worker, address),  # type: ignore[misc]
            holds=lambda answered: answered == everybody,
        )
    cluster.mend()
    now = here.live_pods("web", 4)
    assert {each["metadata"]["uid"] for each in now} == {each["metadata"]["uid"] for each in pods}
    assert containers.running(stays) - untouched == containers.running(stays, victim)
