"""What the node says of itself."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from orchestr8.api.node import NodeStatus
from orchestr8.errors import ConfigError
from orchestr8.worker.agent.node.fake import GIB, FakeHost
from orchestr8.worker.agent.node.host import Facts, Pressure
from orchestr8.worker.agent.node.node_status import node_object, node_status
from orchestr8.worker.agent.settings import AgentSettings
from orchestr8.worker.runtime.base import Image

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SETTINGS = AgentSettings(node_name="w1", node_ip="10.0.0.9", masters=("m1:7443",), version="v1")


async def known() -> tuple[Facts, Pressure]:
    host = FakeHost()
    return await host.facts(), await host.pressure()


def told(
    facts: Facts, pressure: Pressure, *, problem: str = "", before: NodeStatus | None = None, now: dt.datetime = NOW
) -> NodeStatus:
    images = [Image(id="1", names=("small",), size_bytes=1), Image(id="2", names=("big",), size_bytes=9)]
    return node_status(
        SETTINGS,
        facts,
        pressure,
        images,
        runtime_version="4.3.1",
        runtime_problem=problem,
        before=before or NodeStatus(),
        now=now,
    )


async def test_allocatable_is_capacity_less_what_is_reserved() -> None:
    status = told(*await known())
    assert status.capacity == {"cpu": "4", "memory": "8Gi", "ephemeral-storage": "100Gi", "pods": "110"}
    assert status.allocatable["cpu"] == "3900m" and status.allocatable["memory"] == f"{8 * 1024 - 128}Mi"
    assert [image.names for image in status.images] == [("big",), ("small",)]
    assert status.node_info is not None and status.node_info.container_runtime_version == "podman://4.3.1"


async def test_conditions_turn_with_the_host_and_keep_their_time_otherwise() -> None:
    facts, pressure = await known()
    first = told(facts, pressure)
    assert {condition.type: condition.status for condition in first.conditions} == {
        "MemoryPressure": "False",
        "DiskPressure": "False",
        "PIDPressure": "False",
        "RuntimeReady": "True",
        "Ready": "True",
    }
    later = NOW + dt.timedelta(minutes=1)
    assert told(facts, pressure, before=first, now=later) == first, "an idle node has nothing to say"
    low = msgspec.structs.replace(pressure, memory_available_bytes=1, storage_available_bytes=GIB, pids_available=5)
    second = {condition.type: condition for condition in told(facts, low, before=first, now=later).conditions}
    assert {second[name].status for name in ("MemoryPressure", "DiskPressure", "PIDPressure")} == {"True"}
    assert second["MemoryPressure"].last_transition_time == later and second["Ready"].last_transition_time == NOW


async def test_a_silent_runtime_makes_the_node_not_ready() -> None:
    status = told(*await known(), problem="podman does not answer")
    ready = next(condition for condition in status.conditions if condition.type == "Ready")
    assert (ready.status, ready.message) == ("False", "podman does not answer")


async def test_the_node_registers_with_labels_and_taints() -> None:
    settings = msgspec.structs.replace(SETTINGS, labels={"disk": "ssd"}, taints=("gpu=yes:NoSchedule", "new:NoExecute"))
    node = node_object(settings, told(*await known()))
    assert node.metadata.labels["kubernetes.io/arch"] == "amd64" and node.metadata.labels["disk"] == "ssd"
    assert [(taint.key, taint.value, taint.effect) for taint in node.spec.taints] == [
        ("gpu", "yes", "NoSchedule"),
        ("new", None, "NoExecute"),
    ]
    with pytest.raises(ConfigError, match=r"worker\.taints"):
        node_object(msgspec.structs.replace(SETTINGS, taints=("gpu",)), NodeStatus())
