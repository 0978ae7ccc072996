from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from orchestr8 import limits
from orchestr8.api.meta import with_metadata
from orchestr8.api.node import Node, Taint
from orchestr8.api.pod import Pod, Toleration
from orchestr8.master.controllers import node_lifecycle
from orchestr8.master.controllers.facts import condition, is_ready
from orchestr8.master.controllers.node_lifecycle import NOT_READY, UNREACHABLE, Judge
from orchestr8.store.command import Key
from tests.unit.master.controllers.world import World, node, pod

LEASE, EVICTION = limits.NODE_LEASE_SECONDS, limits.EVICTION_SECONDS


class Cluster(World):
    """Nodes that beat, or stop beating."""

    def __init__(self, *nodes: str) -> None:
        super().__init__()
        self.seen: dict[str, float] = {}
        self.dead: set[str] = set()
        self.judge = Judge(self, self.seconds)
        for name in nodes:
            self.put(node(name))

    def last_seen(self, name: str) -> float:
        return self.seen.get(name, 0.0)

    def pass_time(self, seconds: float) -> None:
        """In steps of one second; living nodes beat, the controller looks at every node."""
        for _ in range(round(seconds)):
            self.seconds += 1
            for each in self.list(Node):
                if each.metadata.name not in self.dead:
                    self.seen[each.metadata.name] = self.seconds
            self.look()

    def look(self) -> None:
        for key in list(node_lifecycle.everything(self.view)):
            self.step(node_lifecycle.decide, key, self.judge)

    def ready(self, name: str) -> str:
        return condition(self.get(Node, name, ""), "Ready").status

    def taints(self, name: str) -> set[tuple[str, str]]:
        return {(taint.key, taint.effect) for taint in self.get(Node, name, "").spec.taints}

    def run_pod(self, name: str, on: str, *tolerations: Toleration):
        created = self.put(pod(name, on=on))
        if tolerations:
            created = self.change(created, spec={"tolerations": tolerations})
        return self.set_ready(created)


def test_a_node_that_beats_stays_ready():
    cluster = Cluster("n1", "n2", "n3")
    revision = cluster.state.revision
    cluster.pass_time(60)
    assert cluster.state.revision == revision


def test_a_silent_node_becomes_unknown_after_its_lease_and_its_pods_not_ready():
    cluster = Cluster("n1", "n2", "n3")
    cluster.run_pod("a", "n1")
    cluster.dead = {"n1"}
    cluster.pass_time(LEASE - 1)
    assert cluster.ready("n1") == "True"
    cluster.pass_time(1)
    assert cluster.ready("n1") == "Unknown"
    assert cluster.taints("n1") == {(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")}
    assert not is_ready(cluster.get(Pod, "a"))


def test_its_pods_are_gone_after_the_eviction_time_and_others_stay():
    cluster = Cluster("n1", "n2", "n3")
    cluster.run_pod("a", "n1")
    cluster.run_pod("b", "n2")
    cluster.dead = {"n1"}
    cluster.pass_time(LEASE + EVICTION - 1)
    assert cluster.get(Pod, "a") is not None
    cluster.pass_time(1)
    assert cluster.get(Pod, "a") is None
    assert is_ready(cluster.get(Pod, "b"))


def test_a_pod_that_was_being_deleted_goes_with_its_node():
    cluster = Cluster("n1", "n2", "n3")
    ending = cluster.run_pod("a", "n1")
    cluster.put(with_metadata(ending, deletion_timestamp=cluster.now.wall, deletion_grace_period_seconds=30))
    cluster.dead = {"n1"}
    cluster.pass_time(LEASE + EVICTION)
    assert cluster.get(Pod, "a") is None


@pytest.mark.parametrize(("seconds", "operator"), [(20, "Exists"), (0, "Exists"), (None, "Exists")])
def test_a_pod_says_how_long_it_tolerates_the_loss(seconds, operator):
    cluster = Cluster("n1", "n2", "n3")
    toleration = Toleration(key=UNREACHABLE, operator=operator, effect="NoExecute", toleration_seconds=seconds)
    cluster.run_pod("a", "n1", toleration)
    cluster.dead = {"n1"}
    if seconds is None:
        cluster.pass_time(300)
        assert cluster.get(Pod, "a") is not None
        return
    cluster.pass_time(LEASE + seconds - 1)
    assert cluster.get(Pod, "a") is not None
    cluster.pass_time(1)
    assert cluster.get(Pod, "a") is None


def test_one_setting_changes_the_eviction_time_of_the_cluster():
    cluster = Cluster("n1", "n2", "n3")
    cluster.judge = msgspec.structs.replace(cluster.judge, eviction_seconds=60)
    cluster.run_pod("a", "n1")
    cluster.dead = {"n1"}
    cluster.pass_time(LEASE + 59)
    assert cluster.get(Pod, "a") is not None
    cluster.pass_time(1)
    assert cluster.get(Pod, "a") is None


def test_a_node_that_comes_back_in_time_gets_its_pods_back_unharmed():
    cluster = Cluster("n1", "n2", "n3")
    cluster.run_pod("a", "n1")
    cluster.dead = {"n1"}
    cluster.pass_time(LEASE + EVICTION - 1)
    cluster.dead = set()
    cluster.pass_time(1)
    assert cluster.ready("n1") == "True"
    assert cluster.taints("n1") == set()
    assert is_ready(cluster.get(Pod, "a"))


def test_a_pod_whose_containers_are_not_ready_does_not_become_ready_with_its_node():
    cluster = Cluster("n1", "n2", "n3")
    running = cluster.run_pod("a", "n1")
    cluster.dead = {"n1"}
    cluster.pass_time(LEASE)
    conditions = tuple(
        msgspec.structs.replace(each, status="False") for each in cluster.get(Pod, "a").status.conditions
    )
    cluster.change(running, status={"conditions": conditions})
    cluster.dead = set()
    cluster.pass_time(2)
    assert not is_ready(cluster.get(Pod, "a"))


@pytest.mark.parametrize(
    ("nodes", "dead", "evicted"),
    [(1, 1, False), (2, 1, True), (2, 2, False), (3, 1, True), (3, 2, False), (4, 2, True), (5, 3, False)],
)
def test_nothing_is_evicted_when_more_than_half_of_the_nodes_fall_silent_together(nodes, dead, evicted):
    names = [f"n{number}" for number in range(nodes)]
    cluster = Cluster(*names)
    for name in names:
        cluster.run_pod(f"p-{name}", name)
    cluster.dead = set(names[:dead])
    cluster.pass_time(60)
    left = {each.metadata.name for each in cluster.list(Pod)}
    assert left == {f"p-{name}" for name in (names[dead:] if evicted else names)}


def test_when_most_of_the_silent_nodes_are_back_the_pods_of_the_last_one_are_evicted():
    cluster = Cluster("n1", "n2", "n3")
    cluster.run_pod("a", "n1")
    cluster.dead = {"n1", "n2"}
    cluster.pass_time(60)
    assert cluster.get(Pod, "a") is not None
    cluster.dead = {"n1"}
    cluster.pass_time(2)
    assert cluster.get(Pod, "a") is None


def test_nodes_that_fail_one_after_the_other_are_evicted_down_to_the_last():
    cluster = Cluster("n1", "n2", "n3")
    for name in ("n1", "n2", "n3"):
        cluster.run_pod(f"p-{name}", name)
        cluster.dead.add(name)
        cluster.pass_time(60)
    assert [each.metadata.name for each in cluster.list(Pod)] == ["p-n3"]


def test_a_node_that_was_dead_before_does_not_count_for_a_new_leader_either():
    cluster = Cluster("n1", "n2", "n3")
    cluster.run_pod("b", "n2")
    cluster.dead = {"n1"}
    cluster.pass_time(60)
    cluster.dead = {"n1", "n2"}
    cluster.judge = Judge(cluster, cluster.seconds)
    cluster.pass_time(LEASE + EVICTION)
    assert cluster.get(Pod, "b") is None


def test_a_new_leader_does_not_take_its_own_grace_for_a_sign_of_life():
    cluster = Cluster("n1", "n2", "n3")
    tolerant = Toleration(key=UNREACHABLE, operator="Exists", toleration_seconds=600)
    cluster.run_pod("a", "n1", tolerant)
    cluster.dead = {"n1"}
    cluster.pass_time(300)
    cluster.judge = Judge(cluster, cluster.seconds)
    cluster.pass_time(1)
    assert cluster.ready("n1") == "Unknown"
    cluster.pass_time(500)
    assert cluster.get(Pod, "a").metadata.deletion_timestamp is None
    cluster.pass_time(LEASE + 100)
    assert cluster.get(Pod, "a") is None


def test_a_new_leader_gives_every_node_a_full_lease():
    cluster = Cluster("n1", "n2", "n3")
    cluster.run_pod("a", "n1")
    cluster.seconds += 3_600  # all masters were away
    cluster.judge = Judge(cluster, cluster.seconds)
    cluster.look()
    cluster.seconds += LEASE - 1
    cluster.look()
    assert [cluster.ready(name) for name in ("n1", "n2", "n3")] == ["True"] * 3
    assert is_ready(cluster.get(Pod, "a"))


def test_a_step_of_the_host_clock_moves_nothing():
    cluster = Cluster("n1", "n2", "n3")
    cluster.run_pod("a", "n1")
    cluster.dead = {"n1"}
    cluster.pass_time(LEASE)
    later = msgspec.structs.replace(cluster.now, wall=cluster.now.wall + timedelta(hours=1))
    plan = node_lifecycle.decide(cluster.view, Key("Node", "", "n1"), later, cluster.judge)
    assert plan.writes == ()


def test_a_node_that_says_it_is_not_ready_is_tainted_and_its_pods_end_gracefully():
    cluster = Cluster("n1", "n2")
    cluster.run_pod("a", "n1")
    sick = tuple(
        msgspec.structs.replace(each, status="False", reason="RuntimeDown")
        for each in cluster.get(Node, "n1", "").status.conditions
    )
    cluster.change(cluster.get(Node, "n1", ""), status={"conditions": sick})
    cluster.pass_time(1)
    assert cluster.taints("n1") == {(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")}
    cluster.pass_time(limits.UNFIT_EVICTION_SECONDS - 2)
    assert cluster.get(Pod, "a").metadata.deletion_timestamp is None, "its node lives, and so does it"
    cluster.pass_time(2)
    assert cluster.get(Pod, "a").metadata.deletion_timestamp is not None


def test_a_taint_of_the_user_evicts_who_does_not_tolerate_it():
    cluster = Cluster("n1", "n2")
    cluster.run_pod("a", "n1")
    cluster.run_pod("b", "n1", Toleration(key="repair", operator="Exists", toleration_seconds=30))
    cluster.run_pod("c", "n1", Toleration(operator="Exists"))
    repair = (Taint(key="repair", effect="NoExecute"), Taint(key="other", effect="NoSchedule"))
    cluster.change(cluster.get(Node, "n1", ""), spec={"taints": repair})
    cluster.pass_time(2)

    def ending():
        return [each.metadata.name for each in cluster.list(Pod) if each.metadata.deletion_timestamp]

    assert ending() == ["a"]
    cluster.pass_time(30)
    assert ending() == ["a", "b"]


def test_pods_of_a_deleted_node_end_after_a_lease():
    cluster = Cluster("n1", "n2")
    cluster.run_pod("a", "n1")
    cluster.pass_time(1)
    cluster.remove(cluster.get(Node, "n1", ""))
    cluster.pass_time(LEASE - 1)
    assert cluster.get(Pod, "a") is not None
    cluster.pass_time(1)
    assert cluster.get(Pod, "a") is None


def test_the_next_look_is_when_the_lease_would_end():
    cluster = Cluster("n1", "n2")
    cluster.pass_time(1)
    plan = node_lifecycle.decide(cluster.view, Key("Node", "", "n1"), cluster.now, cluster.judge)
    assert plan.wake_at == cluster.now.wall + timedelta(seconds=LEASE)
