from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestr8.api.meta import controller_of, with_metadata
from orchestr8.api.pod import Pod
from orchestr8.api.workloads import ReplicaSet
from orchestr8.master.controllers import replicaset
from orchestr8.store.command import Key
from tests.unit.master.controllers.world import World, key, pod, replica_set

WEB = Key("ReplicaSet", "default", "web")


def settle(world):
    world.settle(replicaset.decide, WEB, world.names)


def active(world):
    return [each for each in world.list(Pod) if replicaset.is_active(each)]


def test_missing_pods_are_created_from_the_template():
    world = World()
    owner = world.put(replica_set(replicas=3))
    settle(world)
    pods = world.list(Pod)
    assert len(pods) == 3
    for each in pods:
        assert each.metadata.name.startswith("web-") and len(each.metadata.name) == len("web-") + 5
        assert controller_of(each).uid == owner.metadata.uid
        assert each.metadata.labels == {"app": "web"}
        assert each.status.phase == "Pending"
        assert each.metadata.uid
    assert world.get(ReplicaSet, "web").status.replicas == 3


def test_a_thousand_pods_are_created_in_a_few_transactions():
    world = World()
    world.put(replica_set(replicas=1000))
    plan = world.step(replicaset.decide, WEB, world.names)
    assert len(world.list(Pod)) == 1000
    assert [note.message for note in plan.events] == ["Created 1000 pods"]


def test_the_status_counts_ready_and_available_pods():
    world = World()
    world.put(replica_set(replicas=2, min_ready_seconds=10))
    settle(world)
    world.set_ready(world.list(Pod)[0])
    plan = world.step(replicaset.decide, WEB, world.names)
    status = world.get(ReplicaSet, "web").status
    assert (status.ready_replicas, status.available_replicas) == (1, None)
    assert plan.wake_at == world.now.wall + timedelta(seconds=10)
    world.seconds += 10
    settle(world)
    assert world.get(ReplicaSet, "web").status.available_replicas == 1


def test_a_pod_that_finished_or_is_being_deleted_is_replaced():
    world = World()
    world.put(replica_set(replicas=2))
    settle(world)
    first, second = world.list(Pod)
    world.change(first, status={"phase": "Failed"})
    world.put(with_metadata(world.change(second, spec={"node_name": "n1"}), deletion_timestamp=world.now.wall))
    settle(world)
    assert len(active(world)) == 2
    assert len(world.list(Pod)) == 4


def test_pods_that_fail_at_once_are_made_again_with_growing_pauses():
    world = World()
    world.put(replica_set(replicas=1))
    made_at = []
    for _ in range(600):
        world.seconds += 1
        plan = world.step(replicaset.decide, WEB, world.names)
        for each in active(world):
            made_at.append(world.seconds)
            world.change(each, status={"phase": "Failed"})
        assert plan.wake_at is None or plan.wake_at > world.now.wall
    pauses = [later - earlier for earlier, later in itertools.pairwise(made_at)]
    assert pauses[:5] == [1, 2, 4, 8, 16]
    assert len(made_at) < 15


def test_an_orphan_that_matches_is_adopted_and_counts():
    world = World()
    world.put(pod("orphan"))
    owner = world.put(replica_set(replicas=1))
    settle(world)
    (only,) = world.list(Pod)
    assert only.metadata.name == "orphan"
    assert controller_of(only).uid == owner.metadata.uid


def test_a_pod_whose_labels_no_longer_match_is_released_and_replaced():
    world = World()
    world.put(replica_set(replicas=1))
    settle(world)
    (taken_out,) = world.list(Pod)
    world.put(with_metadata(taken_out, labels={"app": "debug"}))
    settle(world)
    released = world.get(Pod, taken_out.metadata.name)
    assert controller_of(released) is None
    assert len(world.list(Pod)) == 2


def test_a_pod_of_another_owner_is_left_alone():
    world = World()
    other = world.put(replica_set("other", replicas=1))
    world.settle(replicaset.decide, key(other), world.names)
    world.put(replica_set(replicas=1))
    settle(world)
    owners = sorted(controller_of(each).name for each in world.list(Pod))
    assert owners == ["other", "web"]


def test_scaling_down_takes_the_cheapest_pods_first():
    world = World()
    world.put(replica_set(replicas=6))
    settle(world)
    unbound, pending, not_ready, cheap, crowded, kept = world.list(Pod)
    for each, node in ((pending, "n1"), (not_ready, "n2"), (cheap, "n3"), (crowded, "n4"), (kept, "n5")):
        world.change(each, spec={"node_name": node})
    world.set_ready(not_ready, ready=False)
    for each in (cheap, crowded, kept):
        world.set_ready(each)
    cost = {replicaset.POD_DELETION_COST: "-5"}
    world.put(with_metadata(world.get(Pod, cheap.metadata.name), annotations=cost))
    world.put(pod("neighbour", on="n4", labels={"app": "other"}))
    order = [unbound, pending, not_ready, cheap]
    for gone in range(1, 5):
        world.change(world.get(ReplicaSet, "web"), spec={"replicas": 6 - gone})
        settle(world)
        left = {each.metadata.name for each in active(world)}
        assert not left & {each.metadata.name for each in order[:gone]}
        assert {each.metadata.name for each in order[gone:]} <= left


@pytest.mark.parametrize("marked", [True, False])
def test_a_set_that_is_being_deleted_creates_nothing(marked):
    world = World()
    owner = world.put(replica_set(replicas=2))
    if marked:
        world.put(with_metadata(owner, deletion_timestamp=world.now.wall, finalizers=("foregroundDeletion",)))
    world.step(replicaset.decide, WEB, world.names)
    assert len(world.list(Pod)) == (0 if marked else 2)


def test_a_change_of_a_pod_wakes_its_owner_and_a_new_orphan_its_adopter():
    world = World()
    world.put(replica_set(replicas=1))
    settle(world)
    (owned,) = world.list(Pod)
    world.set_ready(owned)
    world.put(pod("orphan"))
    changes = world.state.since(world.state.revision - 2)
    assert {woken for change in changes for woken in replicaset.affected(change, world.view)} == {WEB}


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_whatever_happens_to_pods_the_wanted_number_is_reached(data):
    world = World()
    world.put(replica_set(replicas=2))
    wanted = 2
    for _ in range(data.draw(st.integers(1, 12))):
        pods = world.list(Pod)
        action = data.draw(st.sampled_from(["scale", "ready", "unready", "fail", "delete", "bind", "look"]))
        chosen = data.draw(st.sampled_from(pods)) if pods else None
        if action == "scale":
            wanted = data.draw(st.integers(0, 5))
            world.change(world.get(ReplicaSet, "web"), spec={"replicas": wanted})
        elif action == "look":
            world.step(replicaset.decide, WEB, world.names)
        elif chosen is None:
            continue
        elif action in ("ready", "unready"):
            world.set_ready(chosen, ready=action == "ready")
        elif action == "fail":
            world.change(chosen, status={"phase": "Failed"})
        elif action == "bind":
            world.change(chosen, spec={"node_name": "n1"})
        else:
            world.remove(chosen)
    world.seconds += 3_600  # pods that failed lately hold creation up
    settle(world)
    assert len(active(world)) == wanted
    assert world.get(ReplicaSet, "web").status.replicas == wanted
