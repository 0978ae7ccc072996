"""A worker is told what it needs and may see, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestr8.api.config import ConfigMap, Secret
from orchestr8.api.container import (
    ConfigMapEnvSource,
    EnvFromSource,
    EnvVarSource,
    SecretKeySelector,
)
from orchestr8.api.meta import LocalObjectReference, ObjectMeta, with_metadata
from orchestr8.api.node import Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus
from orchestr8.api.pod import Container, EnvVar, Pod, PodSpec, PodStatus, Volume
from orchestr8.api.service import EndpointSlice, Service
from orchestr8.api.volumes import ConfigMapVolumeSource, SecretVolumeSource
from orchestr8.master.nodes import assignments
from orchestr8.master.nodes.assignments import Assigned, concerned, references
from orchestr8.worker.agent.masters.assignments import Assignments as AgentAssignments
from tests.unit.master.nodes.fakes import FakeStore, Masters, key_of, masters
from tests.unit.master.nodes.test_service import register, status

Seen = dict[tuple[str, str, str], dict[str, Any]]


class Worker:
    """What a worker knows after the messages that it got."""

    def __init__(self) -> None:
        self.objects: Seen = {}
        self.revision = 0
        self.messages: list[dict[str, Any]] = []
        self._set: Seen | None = None

    def take(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        self.revision = message["revision"]
        if message.get("full") or self._set is not None:
            before = {} if message.get("full") else (self._set or {})
            self._set = {**before, **_decoded(message["objects"])}
            if not message.get("more"):
                self.objects, self._set = self._set, None
            return
        self.objects |= _decoded(message["put"])
        for kind, namespace, name in message["gone"]:
            self.objects.pop((kind, namespace, name), None)

    def names(self, kind: str) -> list[str]:
        return sorted(name for found, _, name in self.objects if found == kind)


def _decoded(objects: list[dict[str, Any]]) -> Seen:
    found: Seen = {}
    for each in objects:
        body = json.loads(each["data"])
        found[(each["kind"], body["metadata"].get("namespace", ""), body["metadata"]["name"])] = body
    return found


def meta(name: str, namespace: str = "default") -> ObjectMeta:
    return ObjectMeta(name=name, namespace=namespace, uid=f"uid-{name}")


def pod(name: str, node: str | None = "w1", *, config: str = "", secret: str = "") -> Pod:
    container = Container(
        name="a",
        image="web",
        env_from=(EnvFromSource(config_map_ref=ConfigMapEnvSource(name=config)),) if config else (),
        env=(
            (EnvVar(name="S", value_from=EnvVarSource(secret_key_ref=SecretKeySelector(name=secret, key="k"))),)
            if secret
            else ()
        ),
    )
    return Pod(metadata=meta(name), spec=PodSpec(node_name=node, containers=(container,)), status=PodStatus())


def node(name: str, cidr: str = "10.244.1.0/24", ready: str = "True", **labels: str) -> Node:
    return Node(
        metadata=ObjectMeta(name=name, labels=labels),
        spec=NodeSpec(pod_cidr=cidr),
        status=NodeStatus(
            addresses=(NodeAddress(type="InternalIP", address="10.0.0.9"),),
            capacity={"cpu": "4"},
            conditions=(NodeCondition(type="Ready", status=ready), NodeCondition(type="DiskPressure", status="False")),
        ),
    )


async def listen(made: Masters, worker: Worker, name: str = "w1", master: str = "m1") -> None:
    async with made.worker(name, master) as connection:
        async with connection.stream("node.assignments", {"revision": 0}) as stream:
            async for message in stream:
                worker.take(message)


def test_references_are_found_wherever_a_pod_can_name_them() -> None:
    spec = PodSpec(
        containers=pod("p", config="env", secret="key").spec.containers,
        init_containers=(
            Container(name="i", env_from=(EnvFromSource(config_map_ref=ConfigMapEnvSource(name="init")),)),
        ),
        volumes=(
            Volume(name="c", config_map=ConfigMapVolumeSource(name="mounted")),
            Volume(name="s", secret=SecretVolumeSource(secret_name="hidden")),
        ),
        image_pull_secrets=(LocalObjectReference(name="registry"),),
    )
    found = references(Pod(metadata=meta("p"), spec=spec))
    assert sorted((kind, name) for kind, _, name in found) == [
        ("ConfigMap", "env"),
        ("ConfigMap", "init"),
        ("ConfigMap", "mounted"),
        ("Secret", "hidden"),
        ("Secret", "key"),
        ("Secret", "registry"),
    ]


async def test_the_full_set_holds_what_a_node_may_see_and_nothing_else(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, trio.open_nursery() as nursery:
        made.store.put(
            node("w1", disk="ssd"),
            node("w2"),
            pod("mine", config="c1", secret="s1"),
            pod("other", "w2", config="c2", secret="s2"),
            pod("unbound", None),
            *(ConfigMap(metadata=meta(name)) for name in ("c1", "c2", "c3")),
            *(Secret(metadata=meta(name)) for name in ("s1", "s2")),
            Service(metadata=meta("svc")),
            EndpointSlice(metadata=meta("slice"), address_type="IPv4"),
        )
        worker = Worker()
        nursery.start_soon(listen, made, worker)
        await trio.sleep(1)
        assert sorted(name for _, _, name in worker.objects) == ["c1", "mine", "s1", "slice", "svc", "w1", "w2"]
        assert worker.revision == made.store.revision
        seen = worker.objects[("Node", "", "w1")]
        assert seen["spec"] == {"podCIDR": "10.244.1.0/24"}
        assert seen["status"]["addresses"] == [{"type": "InternalIP", "address": "10.0.0.9"}]
        assert seen["status"]["conditions"] == [{"type": "Ready", "status": "True"}]
        assert "capacity" not in seen["status"]
        assert "labels" not in seen["metadata"]
        nursery.cancel_scope.cancel()


async def test_changes_follow_the_full_set(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, trio.open_nursery() as nursery:
        worker = Worker()
        nursery.start_soon(listen, made, worker)
        await trio.sleep(1)
        made.store.put(Secret(metadata=meta("s1")), pod("mine", secret="s1"), Service(metadata=meta("svc")), node("w2"))
        await trio.sleep(1)
        assert sorted(name for _, _, name in worker.objects) == ["mine", "s1", "svc", "w2"]
        made.store.delete(pod("mine"))
        made.store.delete(Service(metadata=meta("svc")))
        await trio.sleep(1)
        assert sorted(name for _, _, name in worker.objects) == ["w2"]  # the secret went with its last pod
        nursery.cancel_scope.cancel()


async def test_a_referenced_object_that_comes_later_or_changes_is_told(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, trio.open_nursery() as nursery:
        made.store.put(pod("mine", config="c1"))
        worker = Worker()
        nursery.start_soon(listen, made, worker)
        await trio.sleep(1)
        for value in ("1", "2"):
            made.store.put(ConfigMap(metadata=meta("c1"), data={"a": value}))
            await trio.sleep(1)
            assert worker.objects[("ConfigMap", "default", "c1")]["data"] == {"a": value}
        nursery.cancel_scope.cancel()


async def test_what_a_pod_needs_is_told_before_the_pod(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, trio.open_nursery() as nursery:
        made.store.put(ConfigMap(metadata=meta("c1")))
        worker = Worker()
        nursery.start_soon(listen, made, worker)
        await trio.sleep(1)
        made.store.put(pod("mine", config="c1"))
        await trio.sleep(1)
        assert [each["kind"] for each in worker.messages[-1]["put"]] == ["ConfigMap", "Pod"]
        nursery.cancel_scope.cancel()


async def test_a_node_is_not_told_what_it_reported_itself(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as connection:
        await register(connection)
        made.store.put(pod("mine"))
        worker = Worker()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, made, worker)
            await trio.sleep(1)
            told = len(worker.messages)
            for ip in ("10.244.1.7", "10.244.1.8"):
                await connection.call("node.status", {"pods": [status("mine", phase="Running", pod_ip=ip)]})
            await trio.sleep(1)
            assert len(worker.messages) == told
            nursery.cancel_scope.cancel()


async def test_a_node_is_told_when_others_write_its_pods_status(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, made.worker("w1", "m1") as connection:
        await register(connection)
        made.store.put(pod("mine"))
        worker = Worker()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, made, worker)
            await trio.sleep(1)
            await connection.call("node.status", {"pods": [status("mine", phase="Running")]})
            made.store.put(msgspec.structs.replace(pod("mine"), status=PodStatus(phase="Failed")))
            await trio.sleep(1)
            assert worker.objects[("Pod", "default", "mine")]["status"]["phase"] == "Failed"
            nursery.cancel_scope.cancel()


async def test_changes_of_a_node_that_others_may_not_see_wake_nobody(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, trio.open_nursery() as nursery:
        made.store.put(node("w2"))
        worker = Worker()
        nursery.start_soon(listen, made, worker)
        await trio.sleep(1)
        told = len(worker.messages)
        made.store.put(node("w2", disk="ssd"))
        await trio.sleep(1)
        assert len(worker.messages) == told
        made.store.put(node("w2", ready="False"))
        await trio.sleep(1)
        assert worker.objects[("Node", "", "w2")]["status"]["conditions"] == [{"type": "Ready", "status": "False"}]
        nursery.cancel_scope.cancel()


async def test_a_deletion_mark_is_told(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, trio.open_nursery() as nursery:
        made.store.put(pod("mine"))
        worker = Worker()
        nursery.start_soon(listen, made, worker)
        await trio.sleep(1)
        made.store.put(with_metadata(pod("mine"), deletion_grace_period_seconds=30))
        await trio.sleep(1)
        assert worker.objects[("Pod", "default", "mine")]["metadata"]["deletionGracePeriodSeconds"] == 30
        nursery.cancel_scope.cancel()


async def test_a_large_set_comes_in_parts(monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.abc.Clock) -> None:
    monkeypatch.setattr(assignments, "_PART_BYTES", 1_000)
    async with masters("m1") as made, trio.open_nursery() as nursery:
        made.store.put(*(pod(f"p{i}") for i in range(30)))
        worker = Worker()
        nursery.start_soon(listen, made, worker)
        await trio.sleep(1)
        assert len(worker.messages) > 2
        assert [message.get("more", False) for message in worker.messages] == [True] * (len(worker.messages) - 1) + [
            False
        ]
        assert len(worker.names("Pod")) == 30
        assert [message.get("full", False) for message in worker.messages] == [True] + [False] * (
            len(worker.messages) - 1
        )
        assert _as_the_agent_sees(worker.messages) == [f"p{i}" for i in sorted(range(30), key=str)]
        nursery.cancel_scope.cancel()


def _as_the_agent_sees(messages: list[dict[str, Any]]) -> list[str]:
    """The names of the pods after the messages, by the worker's own reading of them."""
    seen = AgentAssignments()
    for message in messages:
        seen = seen.accept(message)
    return sorted(each.metadata.name for each in seen.pods().values())


async def test_a_slow_worker_skips_versions_and_ends_up_right(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made:
        made.store.put(pod("mine", config="c1"))
        worker = Worker()
        async with made.worker("w1", "m1") as connection:
            async with connection.stream("node.assignments", {"revision": 0}) as stream:
                worker.take(await stream.receive())
                for i in range(1_000):
                    made.store.put(ConfigMap(metadata=meta("c1"), data={"i": str(i)}))
                    await trio.sleep(0.001)
                with trio.move_on_after(5):
                    async for message in stream:
                        worker.take(message)
        assert worker.objects[("ConfigMap", "default", "c1")]["data"] == {"i": "999"}
        assert len(worker.messages) < 200


async def test_after_losing_the_history_everybody_gets_the_full_set_again(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, trio.open_nursery() as nursery:
        worker = Worker()
        nursery.start_soon(listen, made, worker)
        await trio.sleep(1)
        for i in range(17_000):  # more than the history keeps, without a turn of the loop
            made.store.put(ConfigMap(metadata=meta(f"c{i % 50}")))
        made.store.put(pod("mine"))
        await trio.sleep(1)
        assert worker.messages[-1]["full"]
        assert worker.names("Pod") == ["mine"]
        nursery.cancel_scope.cancel()


async def test_watching_costs_one_watch_however_many_workers(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, trio.open_nursery() as nursery:
        for i in range(20):
            nursery.start_soon(listen, made, Worker(), f"w{i}")
        await trio.sleep(1)
        assert made.store.watchers == 1
        nursery.cancel_scope.cancel()


# -- whatever happens, what the worker knows is what a full set would say --------------------------------------

names = st.sampled_from(["a", "b"])
objects = st.one_of(
    st.builds(
        pod, names, st.sampled_from(["w1", "w1", "w2", None]), config=st.sampled_from(["", "a", "b"]), secret=names
    ),
    st.builds(lambda name, value: ConfigMap(metadata=meta(name), data={"v": value}), names, names),
    st.builds(lambda name: Secret(metadata=meta(name)), names),
    st.builds(lambda name: Service(metadata=meta(name)), names),
    st.builds(node, st.sampled_from(["w1", "w2"]), st.sampled_from(["10.244.1.0/24", "10.244.2.0/24"]), disk=names),
)
steps = st.lists(st.tuples(st.sampled_from(["put", "put", "delete", "tell"]), objects), min_size=15, max_size=60)


@settings(max_examples=120, deadline=None)
@given(steps)
def test_changes_always_add_up_to_the_full_set(script: list[tuple[str, Any]]) -> None:
    store = FakeStore()
    assigned, worker, told = Assigned("w1"), Worker(), 0
    for message in assigned.everything(store.view()):
        worker.take(message)
    for verb, obj in [*script, ("tell", None)]:
        if verb == "put":
            store.put(obj)
        elif verb == "delete" and store.view().stored(*key_of(obj)) is not None:
            store.delete(obj)
        elif verb == "tell":
            dirty = []
            for change in store.state.since(told):
                everybody, nodes = concerned(change)
                if everybody or "w1" in nodes or assigned.concerns(change.key):
                    dirty.append(change.key)
            told = store.revision
            for message in assigned.changes(store.view(), dirty):
                worker.take(message)
    fresh = Worker()
    for message in Assigned("w1").everything(store.view()):
        fresh.take(message)
    assert _without_revision(worker.objects) == _without_revision(fresh.objects)


def _without_revision(objects: Seen) -> Seen:
    """A write that a worker need not know of (its own status) leaves it with an older resourceVersion."""
    return {
        key: {**body, "metadata": {k: v for k, v in body["metadata"].items() if k != "resourceVersion"}}
        for key, body in objects.items()
    }
