"""What a worker may ask of a master, over a real connection in memory."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest
import trio

from orchestr8.api import codec
from orchestr8.api.config import Namespace
from orchestr8.api.events import Event
from orchestr8.api.meta import ObjectMeta, with_metadata
from orchestr8.api.node import Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo, Taint
from orchestr8.api.pod import Container, Pod, PodSpec
from orchestr8.api.pod_status import PodCondition, PodStatus
from orchestr8.errors import BadRequest, Forbidden, Invalid, NotFound, Orchestr8Error, OutcomeUnknown
from orchestr8.rpc.client import Connection, connect
from tests.unit.master.nodes.fakes import Masters, master_peer, masters

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def sent_node(name: str, **labels: str) -> Node:
    return Node(
        metadata=ObjectMeta(name=name, labels=labels),
        status=NodeStatus(
            addresses=(NodeAddress(type="InternalIP", address="10.0.0.9"),),
            capacity={"cpu": "4", "memory": "8Gi", "pods": "110"},
            allocatable={"cpu": "4", "memory": "7Gi", "pods": "110"},
            conditions=(NodeCondition(type="Ready", status="True", last_heartbeat_time=NOON),),
            node_info=NodeSystemInfo(operating_system="linux", architecture="amd64", boot_id="b1"),
        ),
    )


def pod(name: str, node: str | None = "w1", **meta: Any) -> Pod:
    return Pod(
        metadata=ObjectMeta(name=name, namespace="default", uid=f"uid-{name}", **meta),
        spec=PodSpec(node_name=node, containers=(Container(name="a", image="web"),)),
        status=PodStatus(phase="Pending", conditions=(PodCondition(type="PodScheduled", status="True"),)),
    )


DEFAULT = Namespace(metadata=ObjectMeta(name="default"))


async def register(worker: Connection, node: Node | None = None) -> Any:
    return await worker.call("node.register", {"node": codec.encode(node or sent_node("w1"))})


def status(name: str, uid: str | None = None, **fields: Any) -> dict[str, Any]:
    body = msgspec.json.encode(PodStatus(**fields))
    return {"namespace": "default", "name": name, "uid": uid or f"uid-{name}", "status": body}


def get(made: Masters, cls: type, name: str, namespace: str = "default") -> Any:
    return made.store.view().get(cls, namespace, name)


async def test_a_new_node_appears_with_what_it_says_of_itself(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        answer = await register(worker)
        assert answer == {
            "pod_cidr": "",
            "service_cidr": "10.96.0.0/16",
            "heartbeat_seconds": 1.0,
            "masters": ["m1:7443"],
        }
        node = get(made, Node, "w1", "")
        assert node.metadata.uid and node.metadata.creation_timestamp
        assert node.metadata.labels == {
            "kubernetes.io/hostname": "w1",
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
        }
        assert node.status.allocatable["memory"] == "7Gi"
        assert node.status.conditions[0].status == "True"


async def test_registering_again_writes_nothing_when_nothing_is_new(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        await register(worker)
        revision = made.store.revision
        await register(worker)
        assert made.store.revision == revision


async def test_registering_again_keeps_what_users_and_controllers_wrote(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        await register(worker)
        node = get(made, Node, "w1", "")
        taint = Taint(key="gpu", effect="NoSchedule")
        spec = NodeSpec(unschedulable=True, taints=(taint,), pod_cidr="10.244.3.0/24")
        labels = {**node.metadata.labels, "disk": "ssd"}
        made.store.put(msgspec.structs.replace(with_metadata(node, labels=labels), spec=spec))
        answer = await register(worker, sent_node("w1", disk="hdd"))
        node = get(made, Node, "w1", "")
        assert node.spec == spec
        assert node.metadata.labels["disk"] == "ssd"
        assert answer["pod_cidr"] == "10.244.3.0/24"


async def test_a_node_may_not_give_itself_labels_that_users_rely_on(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        labels = {"node-restriction.kubernetes.io/secure": "yes", "topology.kubernetes.io/zone": "z1", "rack": "7"}
        await register(worker, sent_node("w1", **labels))
        found = get(made, Node, "w1", "").metadata.labels
        assert "node-restriction.kubernetes.io/secure" not in found
        assert (found["topology.kubernetes.io/zone"], found["rack"]) == ("z1", "7")


async def test_a_node_may_not_register_under_another_name(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        with pytest.raises(Forbidden, match="certificate is node w1's"):
            await register(worker, sent_node("w2"))
        assert get(made, Node, "w2", "") is None


async def test_amounts_that_are_no_quantities_are_refused_by_field(autojump_clock: trio.abc.Clock) -> None:
    node = sent_node("w1")
    bad = msgspec.structs.replace(node, status=msgspec.structs.replace(node.status, capacity={"cpu": "many"}))
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        with pytest.raises(Invalid) as refused:
            await register(worker, bad)
        assert refused.value.causes[0].field == "status.capacity[cpu]"
        assert made.store.revision == 0


@pytest.mark.parametrize("method", ["node.heartbeat", "node.status", "node.events"])
async def test_a_node_must_register_before_anything_else(method: str, autojump_clock: trio.abc.Clock) -> None:
    params = {"node.heartbeat": {"boot_id": "b", "sequence": 1}}.get(method, {})
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        with pytest.raises(NotFound, match="register first"):
            await worker.call(method, params)


async def test_masters_and_strangers_cannot_speak_as_nodes(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, connect(made.network.of(master_peer("m2")), "m1:7443") as other:
        with pytest.raises(Forbidden):
            await register(other)


async def test_workers_cannot_use_what_is_for_masters(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        with pytest.raises(Forbidden):
            await worker.call("master.nodes", {"master": "m2", "ages": {"w9": 0.0}})


async def test_ill_typed_params_are_named(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        await register(worker)
        with pytest.raises(BadRequest, match=r"pods\[0\]"):
            await worker.call("node.status", {"pods": [{"namespace": 5}]})


async def test_a_heartbeat_is_remembered_and_writes_nothing(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        await register(worker)
        revision = made.store.revision
        await trio.sleep(3)
        await worker.call("node.heartbeat", {"boot_id": "b1", "sequence": 3})
        assert made.nodes["m1"].heartbeats.last_seen("w1") == trio.current_time()
        assert made.store.revision == revision


async def test_statuses_of_own_pods_are_written_in_one_transaction(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        await register(worker)
        made.store.put(pod("a"), pod("b"))
        before = len(made.store.proposals)
        statuses = [status(name, phase="Running", pod_ip=f"10.244.1.{i}") for i, name in enumerate("ab")]
        assert await worker.call("node.status", {"pods": statuses}) == {"refused": []}
        assert len(made.store.proposals) == before + 1
        assert [get(made, Pod, name).status.phase for name in "ab"] == ["Running", "Running"]
        assert get(made, Pod, "a").status.conditions[0].type == "PodScheduled"


async def test_conditions_of_other_writers_stay_as_they_wrote_them(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        await register(worker)
        gate, removed = "example.com/gate", "example.com/removed"
        made.store.put(pod("a"))
        there = get(made, Pod, "a")
        conditions = (*there.status.conditions, PodCondition(type=gate, status="True"))
        made.store.put(msgspec.structs.replace(there, status=PodStatus(phase="Pending", conditions=conditions)))
        said = [PodCondition(type=type_, status="False") for type_ in (gate, removed, "PodScheduled", "Ready")]
        await worker.call("node.status", {"pods": [status("a", phase="Running", conditions=tuple(said))]})
        found = {each.type: each.status for each in get(made, Pod, "a").status.conditions}
        assert found == {"PodScheduled": "True", gate: "True", "Ready": "False"}


async def test_the_same_status_again_writes_nothing(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        await register(worker)
        made.store.put(pod("a"))
        await worker.call("node.status", {"pods": [status("a", phase="Running")]})
        revision = made.store.revision
        await worker.call("node.status", {"pods": [status("a", phase="Running")]})
        assert made.store.revision == revision


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (status("elsewhere", phase="Running"), "Forbidden"),
        (status("unbound", phase="Running"), "Forbidden"),
        (status("a", uid="an-older-one", phase="Running"), "NotFound"),
        (status("nothing", phase="Running"), "NotFound"),
        (status("done", phase="Running"), "Conflict"),
        ({**status("a"), "status": b"[1]"}, "Invalid"),
        ({**status("a"), "status": b"[" * 100_000}, "Invalid"),
    ],
)
async def test_a_report_a_node_may_not_make_is_refused_and_the_others_count(
    report: dict[str, Any], code: str, autojump_clock: trio.abc.Clock
) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        await register(worker)
        done = msgspec.structs.replace(pod("done"), status=PodStatus(phase="Failed"))
        made.store.put(pod("a"), pod("good"), pod("elsewhere", "w2"), pod("unbound", None), done)
        answer = await worker.call("node.status", {"pods": [report, status("good", phase="Running")]})
        assert [refused["code"] for refused in answer["refused"]] == [code]
        assert get(made, Pod, "good").status.phase == "Running"


async def test_a_status_overtaken_by_another_write_is_decided_again(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        await register(worker)
        made.store.put(pod("a"), pod("b"))
        edits = iter(range(4))

        def edit() -> None:
            if next(edits, None) is not None:
                made.store.put(with_metadata(get(made, Pod, "a"), annotations={"at": str(made.store.revision)}))

        made.store.before_apply = edit
        both = [status("a", phase="Running"), status("b", phase="Running")]
        assert await worker.call("node.status", {"pods": both}) == {"refused": []}
        assert [get(made, Pod, name).status.phase for name in "ab"] == ["Running", "Running"]
        assert get(made, Pod, "a").metadata.annotations


async def test_a_pod_that_is_always_overtaken_does_not_hold_up_the_rest(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        await register(worker)
        made.store.put(pod("a"), pod("b"))

        def edit() -> None:
            made.store.put(with_metadata(get(made, Pod, "a"), annotations={"at": str(made.store.revision)}))

        made.store.before_apply = edit
        answer = await worker.call(
            "node.status", {"pods": [status("a", phase="Running"), status("b", phase="Running")]}
        )
        assert [(each["uid"], each["code"]) for each in answer["refused"]] == [("uid-a", "Conflict")]
        assert get(made, Pod, "b").status.phase == "Running"


async def test_an_unknown_outcome_reaches_the_worker_which_may_simply_repeat(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        await register(worker)
        made.store.put(pod("a"))
        made.store.failures = [OutcomeUnknown("the leader is gone")]
        with pytest.raises(OutcomeUnknown):
            await worker.call("node.status", {"pods": [status("a", phase="Running")]})
        assert await worker.call("node.status", {"pods": [status("a", phase="Running")]}) == {"refused": []}


async def test_a_finished_deleted_pod_is_removed(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        await register(worker)
        made.store.put(pod("a", deletion_timestamp=NOON, deletion_grace_period_seconds=30))
        finished = {"namespace": "default", "name": "a", "uid": "uid-a"}
        assert await worker.call("node.status", {"finished": [finished]}) == {"refused": []}
        assert get(made, Pod, "a") is None
        assert await worker.call("node.status", {"finished": [finished]}) == {"refused": []}


async def test_a_pod_that_nobody_deleted_cannot_be_finished_away(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        await register(worker)
        made.store.put(pod("a"), pod("b", "w2", deletion_timestamp=NOON))
        finished = [{"namespace": "default", "name": name, "uid": f"uid-{name}"} for name in "ab"]
        answer = await worker.call("node.status", {"finished": finished})
        assert [each["code"] for each in answer["refused"]] == ["Conflict", "Forbidden"]
        assert get(made, Pod, "a") is not None and get(made, Pod, "b") is not None


async def test_a_finalizer_keeps_a_finished_pod_without_a_grace_period(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        await register(worker)
        held = pod("a", deletion_timestamp=NOON, deletion_grace_period_seconds=30, finalizers=("example.com/hold",))
        made.store.put(held)
        await worker.call("node.status", {"finished": [{"namespace": "default", "name": "a", "uid": "uid-a"}]})
        assert get(made, Pod, "a").metadata.deletion_grace_period_seconds == 0


async def test_a_node_reports_its_own_status_and_keeps_conditions_of_others(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        await register(worker)
        node = get(made, Node, "w1", "")
        foreign = NodeCondition(type="NetworkUnavailable", status="False")
        conditions = (*node.status.conditions, foreign)
        made.store.put(
            msgspec.structs.replace(node, status=msgspec.structs.replace(node.status, conditions=conditions))
        )
        sent = NodeStatus(capacity={"cpu": "8"}, conditions=(NodeCondition(type="Ready", status="False"),))
        await worker.call("node.status", {"node_status": msgspec.json.encode(sent)})
        now = get(made, Node, "w1", "").status
        assert now.capacity == {"cpu": "8"}
        assert {c.type: c.status for c in now.conditions} == {"Ready": "False", "NetworkUnavailable": "False"}


async def test_the_same_event_again_is_counted(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        await register(worker)
        made.store.put(DEFAULT, pod("a"))
        regarding = {
            "kind": "Pod",
            "namespace": "default",
            "name": "a",
            "uid": "uid-a",
            "fieldPath": "spec.containers{a}",
        }
        said = {"regarding": regarding, "type": "Normal", "reason": "Pulled", "message": "in 0.2 s"}
        for _ in range(2):
            await worker.call("node.events", {"events": [said]})
        (event,) = made.store.view().list(Event)
        assert (event.count, event.reason, event.involved_object.uid) == (2, "Pulled", "uid-a")
        assert event.involved_object.field_path == "spec.containers{a}"
        assert event.source is not None and event.source.host == "w1"


@pytest.mark.parametrize(
    "regarding",
    [
        {"kind": "Pod", "namespace": "default", "name": "b", "uid": "uid-b"},
        {"kind": "Node", "name": "w2"},
        {"kind": "Secret", "namespace": "default", "name": "s"},
    ],
)
async def test_events_about_what_is_not_ones_own_are_forbidden(
    regarding: dict[str, str], autojump_clock: trio.abc.Clock
) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as worker:
        await register(worker)
        made.store.put(DEFAULT, pod("b", "w2"))
        with pytest.raises(Orchestr8Error) as refused:
            await worker.call(
                "node.events", {"events": [{"regarding": regarding, "type": "Normal", "reason": "X", "message": "y"}]}
            )
        assert refused.value.code == "Forbidden"
        assert made.store.view().list(Event) == []
