"""What this node says of itself: capacity, conditions, versions, images. Pure.

An idle node says nothing new: transition times move only when a condition turns, and a status is sent only when it
differs from the one before. Sources: Kubernetes, "Node Status", "Reserve Compute Resources".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from orchestr8.api import quantity
from orchestr8.api.meta import ObjectMeta
from orchestr8.api.node import (
    ContainerImage,
    Node,
    NodeAddress,
    NodeCondition,
    NodeSpec,
    NodeStatus,
    NodeSystemInfo,
    Taint,
)
from orchestr8.errors import ConfigError
from orchestr8.limits import MIB
from orchestr8.worker.agent.node.host import Facts, Pressure
from orchestr8.worker.agent.settings import AgentSettings
from orchestr8.worker.runtime.base import Image

IMAGES_TOLD = 50  # Kubernetes' bound as well: the scheduler only wants the large ones
MEMORY_LEFT_BYTES = 100 * MIB
PIDS_LEFT = 1_000
STORAGE_LEFT_PERCENT = 10


def node_object(settings: AgentSettings, status: NodeStatus) -> Node:
    """For ``node.register``. Raises ConfigError for a taint that cannot be read."""
    labels = {
        "kubernetes.io/hostname": settings.node_name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": status.node_info.architecture if status.node_info is not None else "",
        **settings.labels,
    }
    return Node(
        metadata=ObjectMeta(name=settings.node_name, labels=labels),
        spec=NodeSpec(taints=tuple(_taint(text) for text in settings.taints)),
        status=status,
    )


def node_status(
    settings: AgentSettings,
    facts: Facts,
    pressure: Pressure,
    images: Sequence[Image],
    *,
    runtime_version: str,
    runtime_problem: str,
    before: NodeStatus,
    now: dt.datetime,
) -> NodeStatus:
    """``runtime_problem``: why pods cannot be run at the moment; empty: they can. ``before``: the status said last."""
    capacity = {
        "cpu": quantity.format_cpu(1000 * facts.cpu_count),
        "memory": quantity.format_bytes(facts.memory_bytes // 1024 * 1024),
        "ephemeral-storage": quantity.format_bytes(facts.storage_bytes // 1024 * 1024),
        "pods": str(settings.max_pods),
    }
    memory_left = max(facts.memory_bytes - settings.reserved_memory_bytes, 0) // 1024 * 1024
    allocatable = {
        **capacity,
        "cpu": quantity.format_cpu(max(1000 * facts.cpu_count - settings.reserved_cpu_millis, 0)),
        "memory": quantity.format_bytes(memory_left),
    }
    return NodeStatus(
        addresses=(
            NodeAddress(type="InternalIP", address=settings.node_ip),
            NodeAddress(type="Hostname", address=settings.node_name),
        ),
        capacity=capacity,
        allocatable=allocatable,
        conditions=tuple(_conditions(pressure, runtime_problem, before, now.replace(microsecond=0))),
        node_info=NodeSystemInfo(
            architecture=facts.architecture,
            boot_id=facts.boot_id,
            machine_id=facts.machine_id,
            system_uuid=facts.machine_id,
            kernel_version=facts.kernel_version,
            os_image=facts.os_image,
            operating_system="linux",
            container_runtime_version=f"podman://{runtime_version}",
            kubelet_version=settings.version,
        ),
        images=tuple(
            ContainerImage(names=image.names, size_bytes=image.size_bytes)
            for image in sorted(images, key=lambda image: (-image.size_bytes, image.names))[:IMAGES_TOLD]
            if image.names
        ),
    )


def _conditions(
    pressure: Pressure, runtime_problem: str, before: NodeStatus, now: dt.datetime
) -> Iterable[NodeCondition]:
    known = {condition.type: condition for condition in before.conditions}
    memory = pressure.memory_available_bytes < MEMORY_LEFT_BYTES
    disk = pressure.storage_available_bytes * 100 < pressure.storage_bytes * STORAGE_LEFT_PERCENT
    pids = pressure.pids_available < PIDS_LEFT
    ready = not runtime_problem
    table = [
        ("MemoryPressure", memory, "KubeletHasInsufficientMemory" if memory else "KubeletHasSufficientMemory", ""),
        ("DiskPressure", disk, "KubeletHasDiskPressure" if disk else "KubeletHasNoDiskPressure", ""),
        ("PIDPressure", pids, "KubeletHasInsufficientPID" if pids else "KubeletHasSufficientPID", ""),
        ("RuntimeReady", ready, "PodmanAnswers" if ready else "PodmanSilent", runtime_problem),
        ("Ready", ready, "KubeletReady" if ready else "KubeletNotReady", runtime_problem or "the node runs pods"),
    ]
    for type_, value, reason, message in table:
        status = "True" if value else "False"
        last = known.get(type_)
        same = last is not None and last.status == status
        yield NodeCondition(
            type=type_,
            status=status,
            reason=reason,
            message=message or None,
            last_transition_time=last.last_transition_time if last is not None and same else now,
            last_heartbeat_time=last.last_heartbeat_time if last is not None and same else now,
        )


def _taint(text: str) -> Taint:
    head, colon, effect = text.rpartition(":")
    key, _, value = head.partition("=")
    if not colon or not key or effect not in ("NoSchedule", "PreferNoSchedule", "NoExecute"):
        raise ConfigError(f"worker.taints has {text!r}: write key=value:NoSchedule (or PreferNoSchedule, NoExecute)")
    return Taint(key=key, value=value or None, effect=effect)
