"""Masters that die, freeze or are cut off: what was acknowledged stays, watches go on, pods never notice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cluster import containers
from tests.cluster.api import NODES, Api, Refused, Unreachable, is_ready, until
from tests.cluster.cluster import API_PORT, Cluster
from tests.cluster.lab import Host
from tests.cluster.manifests import config_map, deployment, service
from tests.cluster.space import Space, space
from tests.cluster.traffic import traffic
from tests.cluster.watcher import watching

_WRITERS = 4


@pytest.fixture(scope="module")
def here(shared_cluster: Cluster) -> Iterator[Space]:
    """A namespace with a Service of three pods that runs all through."""
    with space(shared_cluster.api, "masters") as made:
        made.create(deployment("web", replicas=3), service("web"))
        made.live_pods("web", 3)
        yield made


@contextmanager
def writing(cluster: Cluster, namespace: str) -> Iterator[dict[str, Any]]:
    """Clients write all the time while the block runs; what they were told is in the dictionary at its end."""
    told: dict[str, Any] = {}
    program = [sys.executable, "-m", "tests.cluster.writers", str(cluster.kubeconfig), namespace, str(_WRITERS)]
    process = cluster.lab.popen_outside(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        yield told
        output, _ = process.communicate(timeout=60)
        told.update(json.loads(output))
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def others(cluster: Cluster, leader: str) -> list[Host]:
    return [master for master in cluster.masters if master.name != leader]


def assert_all_there(here: Space, told: dict[str, Any]) -> None:
    """Every acknowledged write, at the revision that was told, and no write twice."""
    stored = {obj["metadata"]["name"]: obj["metadata"]["resourceVersion"] for obj in here.objects("ConfigMap")}
    lost = {name: revision for name, revision in told["acknowledged"].items() if stored.get(name) != revision}
    assert not lost, f"{len(lost)} of {len(told['acknowledged'])} acknowledged writes: {list(lost)[:5]}"


def write_through(cluster: Cluster, here: Space, name: str) -> None:
    """One write by a client that tries until it is acknowledged."""

    def attempt() -> bool:
        try:
            here.create(config_map(name))
        except Refused as error:
            if error.code == 409:  # an earlier attempt whose answer was lost
                return True
            raise
        return True

    until(f"{name} is acknowledged", attempt, holds=bool, seconds=60)


def test_after_the_leaders_death_writes_go_on_and_nothing_acknowledged_is_lost(cluster: Cluster, here: Space) -> None:
    leader = cluster.leader()
    watched_at = others(cluster, leader)[0]
    pods = {each for worker in cluster.workers for each in containers.running(worker)}
    with (
        watching(cluster.api, watched_at, here.path("ConfigMap")) as watcher,
        writing(cluster, here.name) as told,
        traffic(cluster.workers[0], here.address("web")) as requests,
    ):
        cluster.kill(leader, "master")
        write_through(cluster, here, "after-the-leader")
        until("another leads", cluster.leader, holds=lambda name: name != leader)
        until("the watch shows it", watcher.names, holds=lambda names: "after-the-leader" in names, seconds=60)
        assert not watcher.ended, "the watch was cut: its client would have to start anew"
    cluster.mend()
    assert_all_there(here, told)
    revisions = watcher.revisions()
    assert revisions == sorted(set(revisions)), "the watch went back or told something twice"
    acknowledged = {name for name, at in told["acknowledged"].items() if int(at) <= revisions[-1]}
    assert acknowledged <= set(watcher.names()), "the watch has a gap"
    assert requests.sent and not requests.failed
    assert pods == {each for worker in cluster.workers for each in containers.running(worker)}


def test_the_controllers_go_on_after_the_leaders_death(cluster: Cluster, here: Space) -> None:
    here.create(deployment("scaled", replicas=1), service("scaled"))
    here.live_pods("scaled", 1)
    leader = cluster.leader()
    cluster.kill(leader, "master")
    until("another leads", cluster.leader, holds=lambda name: name != leader, seconds=60)
    living = f"--server=https://{others(cluster, leader)[0].ip}:{API_PORT}"  # the kubeconfig may name the dead one
    cluster.kubectl(living, "scale", "-n", here.name, "deployment/scaled", "--replicas=3", timeout_seconds=90)
    here.backends_when("scaled", {pod["status"]["podIP"] for pod in here.live_pods("scaled", 3)})
    here.delete("Deployment", "scaled")


def test_a_leader_that_was_frozen_follows_and_has_what_was_written_meanwhile(cluster: Cluster, here: Space) -> None:
    leader = cluster.leader()
    process = cluster.processes[f"{leader}-master"]
    with writing(cluster, here.name) as told:
        process.send_signal(signal.SIGSTOP)
        until("another leads", cluster.leader, holds=lambda name: name != leader, seconds=60)
        write_through(cluster, here, "while-it-was-frozen")
        process.send_signal(signal.SIGCONT)
        cluster.wait_masters()
        thawed = cluster.api.at(cluster.lab[leader].ip)
        path = here.path("ConfigMap", "while-it-was-frozen")
        until("the old leader has the write", lambda: thawed.get(path), holds=bool, seconds=60)
    assert cluster.leader() != leader
    assert_all_there(here, told)


def test_a_leader_that_is_cut_off_refuses_writes_and_the_majority_goes_on(cluster: Cluster, here: Space) -> None:
    leader = cluster.leader()
    rest = others(cluster, leader)
    alone, majority = cluster.api.at(cluster.lab[leader].ip), cluster.api.at(rest[0].ip)
    with writing(cluster, here.name) as told:
        for other in rest:
            cluster.lab.cut(leader, other.name)
        elected = until("another leads", lambda: _leader_of(majority), holds=lambda name: name and name != leader)
        until("the old leader knows that it is alone", lambda: _leader_of(alone), holds=lambda name: not name)
        with pytest.raises(Refused) as refused:
            alone.request("POST", here.path("ConfigMap"), config_map("never"), timeout_seconds=20)
        assert refused.value.code in (503, 504)
        old = alone.items(f"{here.path('Pod')}?resourceVersion=0&labelSelector=app%3Dweb")
        assert len(old) == 3, "what it has in memory is still told when that is asked for"
        write_through(cluster, here, "while-it-was-cut-off")
        cluster.lab.heal()
        cluster.wait_masters()
        assert _leader_of(alone) == _leader_of(majority) == elected, "its return disturbs the one that leads"
    assert_all_there(here, told)
    assert "never" not in {obj["metadata"]["name"] for obj in here.objects("ConfigMap")}


def test_a_follower_that_is_cut_off_changes_nothing_for_the_others(cluster: Cluster, here: Space) -> None:
    leader = cluster.leader()
    term, (cut, other) = cluster.status()["term"], others(cluster, leader)
    for each in (leader, other.name):
        cluster.lab.cut(cut.name, each)
    alone = cluster.api.at(cut.ip)
    until("it knows that it is alone", lambda: _leader_of(alone), holds=lambda name: not name)
    write_through(cluster, here, "without-a-follower")
    cluster.lab.heal()
    cluster.wait_masters()
    path = here.path("ConfigMap", "without-a-follower")
    until("it has the write", lambda: alone.get(path), holds=bool)
    assert (cluster.leader(), cluster.status()["term"]) == (leader, term)


def test_after_killing_all_masters_under_load_every_acknowledged_write_is_there(cluster: Cluster, here: Space) -> None:
    pods = {each for worker in cluster.workers for each in containers.running(worker)}
    with writing(cluster, here.name) as told, traffic(cluster.workers[1], here.address("web")) as requests:
        write_through(cluster, here, "before-the-end")
        for process in [cluster.processes.pop(f"{master.name}-master") for master in cluster.masters]:
            process.kill()
        until("nobody answers", lambda: _answers(cluster), holds=lambda anybody: not anybody)
        cluster.mend()
        write_through(cluster, here, "after-the-end")
    assert_all_there(here, told)
    answers = [
        {obj["metadata"]["name"]: obj["metadata"]["resourceVersion"] for obj in cluster.api.at(master.ip).items(path)}
        for master in cluster.masters
        for path in [here.path("ConfigMap")]
    ]
    assert answers[0] == answers[1] == answers[2]
    assert requests.sent and not requests.failed
    assert pods == {each for worker in cluster.workers for each in containers.running(worker)}


def test_an_outage_of_all_masters_makes_no_healthy_node_look_dead(cluster: Cluster, here: Space) -> None:
    before = {pod["metadata"]["uid"] for pod in here.live_pods("web", 3)}
    ready_since = {node["metadata"]["name"]: _ready_since(node) for node in cluster.api.items(NODES)}
    for master in cluster.masters:
        cluster.kill(master.name, "master")
    cluster.mend()
    write_through(cluster, here, "after-the-outage")
    assert ready_since == {node["metadata"]["name"]: _ready_since(node) for node in cluster.api.items(NODES)}
    assert before == {pod["metadata"]["uid"] for pod in here.live_pods("web", 3)}


def _leader_of(api: Api) -> str:
    """As this master sees it; "" without a quorum."""
    status = api.get("/orchestr8/v1/status")
    return str(status["leader"] or "") if status["quorum"] else ""


def _answers(cluster: Cluster) -> bool:
    try:
        cluster.status()
    except Unreachable:
        return False
    return True


def _ready_since(node: dict[str, Any]) -> str:
    """When it became ready, or the complaint that it is not."""
    (ready,) = [each for each in node["status"]["conditions"] if each["type"] == "Ready"]
    return str(ready["lastTransitionTime"]) if is_ready(node) else f"not ready: {ready}"
