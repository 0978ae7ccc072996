from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from orchestr8 import limits
from orchestr8.api import codec
from orchestr8.api.config import Namespace
from orchestr8.api.meta import with_metadata
from orchestr8.api.pod import Pod
from orchestr8.api.workloads import ReplicaSet
from orchestr8.master.controllers import transactions as module
from orchestr8.master.controllers.transactions import transactions
from orchestr8.store.command import Compare, Delete, Key, Put
from orchestr8.store.plan import Create, Plan, Remove, Update, UpdateStatus
from tests.unit.master.controllers.world import World, key, pod, replica_set

NOBODY = Key("ReplicaSet", "default", "nobody")


def made(world, *writes, subject=NOBODY):
    return transactions(world.view, subject, Plan(writes), world.now.wall, world.names)


def test_a_created_object_is_filled_in_and_must_be_new():
    world = World()
    (txn,) = made(world, Create(pod("a")))
    (write,) = txn.writes
    created = codec.decode("Pod", write.data)
    assert created.metadata.uid and created.metadata.generation == 1
    assert created.metadata.creation_timestamp == world.now.wall
    assert Compare(Key("Pod", "default", "a"), 0) in txn.compares
    assert Compare(Key("Namespace", "", "default"), -1) in txn.compares


@pytest.mark.parametrize("ending", [True, False])
def test_nothing_is_created_where_nothing_may_be(ending):
    world = World()
    namespace = world.get(Namespace, "default", "")
    if ending:
        world.put(with_metadata(namespace, deletion_timestamp=world.now.wall))
    else:
        world.remove(namespace)
    assert made(world, Create(pod("a"))) == []


def test_a_changed_spec_raises_the_generation_and_a_changed_status_does_not():
    world = World()
    stored = world.put(replica_set())
    resized = msgspec.structs.replace(stored, spec=msgspec.structs.replace(stored.spec, replicas=9))
    counted = msgspec.structs.replace(stored, status=msgspec.structs.replace(stored.status, replicas=3))
    for write, generation in ((Update(resized), 2), (UpdateStatus(counted), 1)):
        (txn,) = made(world, write)
        assert codec.decode("ReplicaSet", txn.writes[0].data).metadata.generation == generation
        assert Compare(key(stored), int(stored.metadata.resource_version)) in txn.compares


def test_a_write_that_changes_nothing_is_left_out():
    world = World()
    stored = world.put(replica_set())
    assert made(world, Update(stored)) == []
    ending = with_metadata(world.put(pod("a", on="n1")), deletion_timestamp=world.now.wall)
    ending = world.put(with_metadata(ending, deletion_grace_period_seconds=5))
    assert made(world, Remove(ending)) == []


def test_removing_is_what_a_users_delete_would_be():
    world = World()
    bound, waiting = world.put(pod("bound", on="n1")), world.put(pod("waiting"))
    (txn,) = made(world, Remove(bound), Remove(waiting))
    marked, gone = txn.writes
    assert codec.decode("Pod", marked.data).metadata.deletion_timestamp == world.now.wall + timedelta(seconds=30)
    assert gone == Delete(key(waiting))
    (txn,) = made(world, Remove(bound, grace_period_seconds=0))
    assert txn.writes == (Delete(key(bound)),)


def test_the_last_finalizer_takes_the_object_with_it():
    world = World()
    held = with_metadata(replica_set(), deletion_timestamp=world.now.wall, finalizers=("foregroundDeletion",))
    stored = world.put(held)
    (txn,) = made(world, Update(with_metadata(stored, finalizers=())))
    assert txn.writes == (Delete(key(stored)),)


def test_every_part_requires_that_the_subject_has_not_changed():
    world = World()
    subject = world.put(replica_set())
    (txn,) = made(world, Create(pod("a")), subject=key(subject))
    assert txn.compares[0] == Compare(key(subject), int(subject.metadata.resource_version))


def test_a_long_plan_is_cut_by_writes_and_by_bytes(monkeypatch):
    world = World()
    parts = made(world, *(Create(pod(f"p{number}")) for number in range(limits.TXN_WRITES + 1)))
    assert [len(txn.writes) for txn in parts] == [limits.TXN_WRITES, 1]
    assert len({txn.request_id for txn in parts}) == 2
    monkeypatch.setattr(limits, "TXN_BYTES", 3_000)
    parts = made(world, *(Create(pod(f"p{number}")) for number in range(10)))
    assert len(parts) > 1
    for txn in parts:
        assert sum(len(write.data) for write in txn.writes if isinstance(write, Put)) <= 3_000


def test_writes_that_depend_on_a_revision_travel_in_smaller_parts(monkeypatch):
    monkeypatch.setattr(module, "GUARDED_WRITES", 2)
    world = World()
    pods = [world.put(pod(f"p{number}")) for number in range(5)]
    assert [len(txn.writes) for txn in made(world, *(Remove(each) for each in pods))] == [2, 2, 1]


def test_a_plan_that_was_overtaken_changes_nothing():
    world = World()
    stored = world.put(pod("a"))
    (txn,) = made(world, Create(pod("b")), Remove(stored))
    world.put(with_metadata(stored, labels={"new": "label"}))
    with pytest.raises(Exception, match="was changed"):
        world.apply(txn)
    assert [each.metadata.name for each in world.list(Pod)] == ["a"]
    assert world.list(ReplicaSet) == []
