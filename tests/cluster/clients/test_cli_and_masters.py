"""Our command line while masters die: it goes on with the next, and says what is the matter when there is none."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator

import pytest

from tests.cluster.clients.objects import LET_GO, WAIT, config_map, deployment, pod
from tests.cluster.clients.programs import Program
from tests.cluster.cluster import Cluster


@pytest.fixture(autouse=True)
def whole_again(cluster: Cluster, namespace: str) -> Iterator[None]:
    """Before the namespace is deleted, which takes a quorum."""
    yield
    cluster.mend()


@pytest.fixture
def runs(cli: Program, kubectl: Program) -> None:
    """A pod ``p`` that says "one" and, when it is let go, "two"."""
    cli("apply", "-f", "-", stdin=json.dumps(pod("p", f"echo one; {WAIT}; echo two; sleep 1000")))
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")


@pytest.mark.usefixtures("runs")
def test_every_verb_goes_on_when_the_first_master_is_dead(cluster: Cluster, cli: Program) -> None:
    first, *_ = cluster.masters
    cluster.kill(first.name, "master")
    assert "1/1     Running" in cli.out("get", "pod/p")
    assert cli.out("logs", "p") == "one"
    cli("exec", "p", "--", "sh", "-c", "exit 3", code=3)
    assert "Bound" in cli.out("why", "p") and "State:      Running" in cli.out("describe", "pod/p")
    assert cli("apply", "-f", "-", stdin=json.dumps(config_map("c", a="1"))).stdout == "configmap/c created\n"
    cli("apply", "--wait", "-f", "-", stdin=json.dumps(deployment(replicas=1)))
    cli("scale", "deploy/web", "--replicas=2", "--wait")
    cli("rollout", "restart", "deploy/web")
    cli("rollout", "status", "deploy/web")
    assert cli.out("delete", "pod/p", "deploy/web").splitlines() == ["pod/p deleted", "deployment.apps/web deleted"]
    assert re.search(rf"^{first.name} .* no$", cli.out("status"), re.MULTILINE)


def test_a_master_that_is_cut_off_or_frozen_is_passed_over(cluster: Cluster, cli: Program) -> None:
    first, second, _ = cluster.masters
    cluster.lab.isolate(first.name)
    cluster.processes[f"{second.name}-master"].send_signal(signal.SIGSTOP)
    # Two of three are gone: the third, which is asked last, says what it knows.
    assert "Cluster without a quorum: as m3 knows it" in cli.out("status")
    cluster.mend()
    assert "Cluster healthy" in cli.out("status")


def test_a_write_right_after_the_leaders_death_is_done(cluster: Cluster, cli: Program) -> None:
    for number in range(2):
        cluster.kill(cluster.leader(), "master")
        cli("apply", "-f", "-", stdin=json.dumps(config_map(f"c{number}")))
        assert f"configmap/c{number}" in cli.out("get", "cm", "-o", "name")
        cluster.mend()


def test_a_watch_goes_on_with_another_master(cluster: Cluster, cli: Program) -> None:
    cli("apply", "-f", "-", stdin=json.dumps(deployment(replicas=0)))
    first, *_ = cluster.masters
    with cli.running("get", "deploy/web", "-w") as watch:
        assert watch.stdout is not None
        assert [watch.stdout.readline().split()[0] for _ in range(2)] == ["NAME", "web"]
        cli("rollout", "pause", "deploy/web")
        assert watch.stdout.readline().split()[0] == "web", "it watches"
        cli("rollout", "resume", "deploy/web")
        cluster.kill(first.name, "master")
        cli("scale", "deploy/web", "--replicas=1")
        while watch.stdout.readline().split()[1] != "1/1":
            pass
        watch.send_signal(signal.SIGINT)
        assert "going on with another master" in watch.communicate(timeout=10)[1]
        assert watch.returncode == 130


@pytest.mark.usefixtures("runs")
def test_following_logs_ends_with_its_master_and_can_be_taken_up_again(cluster: Cluster, cli: Program) -> None:
    first, *_ = cluster.masters
    with cli.running("logs", "-f", "p") as follow:
        assert follow.stdout is not None
        assert follow.stdout.readline() == "one\n"
        cluster.kill(first.name, "master")
        rest, told = follow.communicate(timeout=30)
        assert rest == "" and follow.returncode == 6
        assert f"the connection to https://{first.ip}:6443 was lost" in told and "next:" in told
    with cli.running("logs", "-f", "p") as follow:
        assert follow.stdout is not None
        assert follow.stdout.readline() == "one\n"
        cli("exec", "p", "--", *LET_GO)
        assert follow.stdout.readline() == "two\n"


@pytest.mark.usefixtures("runs")
def test_without_a_quorum_status_answers_and_nothing_changes(cluster: Cluster, cli: Program) -> None:
    # The leader last: then the one that is left is a follower for certain, and what it refuses is not done.
    leader = cluster.leader()
    other, last = (master.name for master in cluster.masters if master.name != leader)
    cluster.kill(other, "master")
    cluster.kill(leader, "master")
    told = cli("status")
    assert told.stdout.startswith(f"Cluster without a quorum: as {last} knows it")
    assert re.findall(r"^(m\d) .* no$", told.stdout, re.MULTILINE) == sorted([leader, other])
    assert "warning: no quorum" in told.stderr
    status = json.loads(cli.out("status", "-o", "json"))
    assert (status["quorum"], status["leader"], status["answeredBy"]) == (False, None, last)
    cli("version")
    for words in (("delete", "pod", "p"), ("get", "pods")):
        refused = cli(*words, code=6)
        assert "no leader of the store can be reached" in refused.stderr
        assert "see which masters are up with `orchestr8 status`" in refused.stderr
    cluster.kill(last, "master")
    refused = cli("status", code=6)
    assert refused.stderr.count("Connection refused") == 3
    assert "next:  look on their hosts: systemctl status orchestr8-master" in refused.stderr
    cluster.mend()
    assert "1/1     Running   0" in cli.out("get", "pod/p"), "nothing of what was refused has been done"
