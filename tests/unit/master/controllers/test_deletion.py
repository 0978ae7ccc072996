"""Garbage collection, namespace deletion, event expiry, bootstrap: what goes when something else goes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestr8 import limits
from orchestr8.api import deletion
from orchestr8.api.config import ConfigMap, Namespace, ServiceAccount
from orchestr8.api.events import Event
from orchestr8.api.meta import DeleteOptions, ObjectMeta, OwnerReference, owner_reference, with_metadata
from orchestr8.api.pod import Pod
from orchestr8.api.workloads import Deployment, ReplicaSet
from orchestr8.master.controllers import bootstrap, event_expiry, finished_pods, garbage, namespaces
from orchestr8.store.command import Key
from tests.unit.master.controllers.world import World, deployment, pod, replica_set


def family():
    """A Deployment, its ReplicaSet, its pod."""
    world = World()
    top = world.put(deployment())
    middle = world.put(with_metadata(replica_set(), owner_references=(owner_reference(top),)))
    world.put(pod("a", owner_references=(owner_reference(middle),)))
    return world, top


def delete(world, obj, policy=None):
    """As the API server does it."""
    outcome = deletion.delete(obj, DeleteOptions(propagation_policy=policy), world.now.wall)
    if isinstance(outcome, deletion.Removal):
        world.remove(obj)
    else:
        world.put(outcome.obj)


def collect(world):
    """Follows the changes as the loop does, from the whole history, until nothing is left to do."""
    since = 0
    for _ in range(30):
        changes = world.state.since(since)
        since = world.state.revision
        for change in changes:
            for each in list(garbage.affected(change, world.view)):
                world.step(garbage.decide, each)
        if world.state.revision == since:
            return
    raise AssertionError("no end")


def left(world):
    return [each.kind for cls in (Deployment, ReplicaSet, Pod) for each in world.list(cls)]


def test_background_deletion_takes_the_whole_family():
    world, top = family()
    delete(world, top, "Background")
    assert left(world) == ["ReplicaSet", "Pod"]
    collect(world)
    assert left(world) == []


def test_foreground_deletion_ends_the_owner_last():
    world, top = family()
    bound = world.change(world.get(Pod, "a"), spec={"node_name": "n1"})
    delete(world, top, "Foreground")
    collect(world)
    assert left(world) == ["Deployment", "ReplicaSet", "Pod"]
    ending = world.get(Pod, bound.metadata.name)
    assert ending.metadata.deletion_timestamp is not None
    world.remove(ending)
    collect(world)
    assert left(world) == []


def test_foreground_deletion_does_not_wait_for_dependents_that_do_not_block():
    world, top = family()
    middle = world.get(ReplicaSet, "web")
    relaxed = tuple(
        OwnerReference(api_version=o.api_version, kind=o.kind, name=o.name, uid=o.uid, controller=True)
        for o in middle.metadata.owner_references
    )
    world.put(with_metadata(middle, owner_references=relaxed, finalizers=("example.org/hold",)))
    delete(world, top, "Foreground")
    collect(world)
    assert left(world)[0] == "ReplicaSet"


def test_orphans_stay_without_their_owner():
    world, top = family()
    delete(world, top, "Orphan")
    collect(world)
    assert left(world) == ["ReplicaSet", "Pod"]
    assert world.get(ReplicaSet, "web").metadata.owner_references == ()


def test_an_object_goes_with_its_last_owner_only():
    world = World()
    first, second = world.put(replica_set("first")), world.put(replica_set("second"))
    owners = tuple(owner_reference(each, controller=False) for each in (first, second))
    world.put(pod("a", owner_references=owners))
    world.remove(first)
    collect(world)
    assert [owner.name for owner in world.get(Pod, "a").metadata.owner_references] == ["second"]
    world.remove(second)
    collect(world)
    assert world.get(Pod, "a") is None


@pytest.mark.parametrize(
    ("reference", "stays"),
    [
        ({"api_version": "example.org/v1", "kind": "Unknown", "name": "x", "uid": "u"}, True),
        ({"api_version": "apps/v1", "kind": "ReplicaSet", "name": "never-was", "uid": "u"}, False),
        ({"api_version": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "another-uid"}, False),
    ],
)
def test_an_owner_is_known_by_kind_name_and_uid(reference, stays):
    world = World()
    world.put(replica_set())
    world.put(pod("a", owner_references=(OwnerReference(**reference),)))
    collect(world)
    assert (world.get(Pod, "a") is not None) == stays


# -- namespaces ---------------------------------------------------------------------------------------------


def test_a_namespace_ends_when_everything_in_it_is_gone():
    world = World()
    world.put(pod("a", on="n1"))
    world.put(ConfigMap(metadata=ObjectMeta(name="c", namespace="default")))
    subject = Key("Namespace", "", "default")
    delete(world, world.get(Namespace, "default", ""))
    world.settle(namespaces.decide, subject)
    assert world.list(ConfigMap) == []
    terminating = world.get(Namespace, "default", "")
    assert terminating.status.phase == "Terminating"
    told = {each.type: (each.status, each.message) for each in terminating.status.conditions}
    assert told["NamespaceContentRemaining"] == ("True", "Some resources are remaining: Pod")
    ending = world.get(Pod, "a")
    assert ending.metadata.deletion_timestamp is not None
    world.remove(ending)
    (change,) = world.state.since(world.state.revision - 1)
    assert list(namespaces.affected(change, world.view)) == [subject]
    world.settle(namespaces.decide, subject)
    assert world.get(Namespace, "default", "") is None


def test_nothing_is_touched_in_a_namespace_that_stays():
    world = World()
    world.put(pod("a"))
    assert namespaces.decide(world.view, Key("Namespace", "", "default"), world.now).writes == ()


def test_what_was_written_into_a_namespace_that_is_gone_ends_too():
    world = World()
    world.put(ConfigMap(metadata=ObjectMeta(name="late", namespace="gone")))
    (change,) = world.state.since(world.state.revision - 1)
    for each in namespaces.affected(change, world.view):
        world.settle(namespaces.decide, each)
    assert world.list(ConfigMap) == []


# -- events and first objects ---------------------------------------------------------------------------------


def event(world, name):
    meta = ObjectMeta(name=name, namespace="default")
    return world.put(Event(metadata=meta, last_timestamp=world.now.wall))


def test_events_are_forgotten_an_hour_after_they_were_last_seen():
    world = World()
    event(world, "old")
    world.seconds += limits.EVENT_KEEP_SECONDS
    event(world, "young")
    world.seconds += 1
    plan = world.step(event_expiry.decide, Key("Event", "", ""))
    assert [each.metadata.name for each in world.list(Event)] == ["young"]
    assert plan.wake_at == world.now.wall + timedelta(seconds=60)


def test_the_oldest_of_too_many_events_are_forgotten(monkeypatch):
    monkeypatch.setattr(limits, "EVENTS_KEPT", 2)
    world = World()
    for name in ("c", "b", "a"):
        event(world, name)
        world.seconds += 1
    world.step(event_expiry.decide, Key("Event", "", ""))
    assert [each.metadata.name for each in world.list(Event)] == ["a", "b"]


def test_only_the_newest_finished_pods_are_remembered(monkeypatch):
    monkeypatch.setattr(finished_pods, "FINISHED_PODS_KEPT", 2)
    world = World()
    for name, phase in (("d", "Failed"), ("c", "Succeeded"), ("b", "Running"), ("a", "Failed")):
        world.change(world.put(pod(name)), status={"phase": phase})
        world.seconds += 1
    (change,) = world.state.since(world.state.revision - 1)
    for each in finished_pods.affected(change, world.view):
        world.settle(finished_pods.decide, each)
    assert [each.metadata.name for each in world.list(Pod)] == ["a", "b", "c"]


def test_a_new_cluster_gets_its_namespaces_and_their_service_accounts():
    world = World()
    world.put(Namespace(metadata=ObjectMeta(name="shop")))
    world.settle(bootstrap.decide, Key("Namespace", "", ""))
    names = ["default", "kube-node-lease", "kube-public", "kube-system", "shop"]
    assert [each.metadata.name for each in world.list(Namespace)] == names
    assert [(each.metadata.namespace, each.metadata.name) for each in world.list(ServiceAccount)] == [
        (name, "default") for name in names
    ]
    assert world.get(Namespace, "kube-system", "").spec.finalizers == ("kubernetes",)
