"""What `orchestr8 status` says, with and without a quorum."""

from __future__ import annotations

from dataclasses import replace

from orchestr8.api import codec
from orchestr8.api.meta import Object, ObjectMeta
from orchestr8.api.node import Node, NodeCondition, NodeStatus
from orchestr8.api.pod import Pod
from orchestr8.master.status import cluster_status, has_quorum, one_line
from orchestr8.raft.store import RaftStatus
from orchestr8.store.command import Key, Put, Txn, encode_batch
from orchestr8.store.state import State
from orchestr8.store.view import View

LEADER = RaftStatus(
    node_id="m1",
    role="leader",
    leader="m1",
    term=7,
    commit_index=9,
    applied_index=9,
    last_index=9,
    durable_index=9,
    snapshot_index=0,
    revision=4,
    claim=1,
    members={"m1": "a:1", "m2": "b:1", "m3": "c:1"},
    connected=("m2",),
    last_contact_seconds=0.0,
    disk_error="",
)


def holding(*objects: Object) -> View:
    state = State()
    writes = tuple(
        Put(Key(obj.kind, obj.metadata.namespace or "", obj.metadata.name or ""), codec.encode(obj)) for obj in objects
    )
    state.apply(encode_batch([Txn("r1", (), writes)]))
    return state.view()


def node(name: str, ready: str) -> Node:
    return Node(
        metadata=ObjectMeta(name=name), status=NodeStatus(conditions=(NodeCondition(type="Ready", status=ready),))
    )


def test_a_leader_with_one_of_two_others_has_quorum_and_alone_it_has_not() -> None:
    assert has_quorum(LEADER)
    assert not has_quorum(replace(LEADER, connected=()))


def test_a_follower_has_quorum_while_it_hears_its_leader() -> None:
    follower = replace(LEADER, role="follower", leader="m2", last_contact_seconds=0.3)
    assert has_quorum(follower)
    assert not has_quorum(replace(follower, last_contact_seconds=9.0))
    assert not has_quorum(replace(follower, leader=None))


def test_status_without_quorum_answers_and_says_what_to_do() -> None:
    answer = cluster_status(replace(LEADER, connected=()), holding())
    assert (answer["quorum"], answer["leader"]) == (False, None)
    assert "start the missing masters" in answer["warnings"][0]


def test_nodes_and_pods_are_counted_and_a_silent_node_is_named() -> None:
    view = holding(node("w1", "True"), node("w2", "Unknown"), Pod(metadata=ObjectMeta(name="a", namespace="default")))
    answer = cluster_status(LEADER, view)
    assert [each["ready"] for each in answer["nodes"]] == [True, False]
    assert answer["pods"] == {"Pending": 1}
    assert answer["warnings"] == ["node w2 is not ready: orchestr8 describe node w2"]
    assert one_line(LEADER, view) == "leading, term 7, 1/2 nodes ready"


def test_a_full_disk_is_named_with_its_master() -> None:
    answer = cluster_status(replace(LEADER, disk_error="No space left on device"), holding())
    assert answer["warnings"] == [
        "m1 cannot write its journal: No space left on device; free space on its state directory"
    ]
