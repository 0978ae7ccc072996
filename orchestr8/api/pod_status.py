"""pod_status"""

from __future__ import annotations

from typing import Annotated, Any

from orchestr8.api.container import ResourceRequirements
from orchestr8.api.fields import Int32, Int64, Noun, Quantity, Time, about, always


class PodCondition(Noun, frozen=True, kw_only=True):
    """PodCondition."""

    type: Annotated[str, about("")] = always("")
    status: Annotated[str, about("")] = always("")
    last_probe_time: Annotated[Time | None, about("")] = None
    last_transition_time: Annotated[Time | None, about("")] = None
    message: Annotated[str | None, about("")] = None
    observed_generation: Annotated[Int64 | None, about("")] = None
    reason: Annotated[str | None, about("")] = None


class ContainerStateRunning(Noun, frozen=True, kw_only=True):
    """ContainerStateRunning."""

    started_at: Annotated[Time | None, about("")] = None


class ContainerStateTerminated(Noun, frozen=True, kw_only=True):
    """ContainerStateTerminated."""

    container_id: Annotated[str | None, about("")] = None
    exit_code: Annotated[Int32, about("")] = always(0)
    finished_at: Annotated[Time | None, about("")] = None
    message: Annotated[str | None, about("")] = None
    reason: Annotated[str | None, about("")] = None
    signal: Annotated[Int32 | None, about("")] = None
    started_at: Annotated[Time | None, about("")] = None


class ContainerStateWaiting(Noun, frozen=True, kw_only=True):
    """ContainerStateWaiting."""

    message: Annotated[str | None, about("")] = None
    reason: Annotated[str | None, about("")] = None


class ContainerState(Noun, frozen=True, kw_only=True):
    """ContainerState."""

    running: Annotated[ContainerStateRunning | None, about("")] = None
    terminated: Annotated[ContainerStateTerminated | None, about("")] = None
    waiting: Annotated[ContainerStateWaiting | None, about("")] = None


class ContainerStatus(Noun, frozen=True, kw_only=True):
    """ContainerStatus."""

    name: Annotated[str, about("")] = always("")
    allocated_resources: Annotated[dict[str, Quantity], about("")] = {}
    allocated_resources_status: Annotated[tuple[dict[str, Any], ...], about("", merge_key="name")] = ()
    container_id: Annotated[str | None, about("")] = None
    image: Annotated[str, about("")] = always("")
    image_id: Annotated[str, about("")] = always("")
    last_state: Annotated[ContainerState | None, about("")] = None
    ready: Annotated[bool, about("")] = always(False)
    resources: Annotated[ResourceRequirements | None, about("")] = None
    restart_count: Annotated[Int32, about("")] = always(0)
    started: Annotated[bool | None, about("", zero_matters=True)] = None
    state: Annotated[ContainerState | None, about("")] = None
    stop_signal: Annotated[str | None, about("", zero_matters=True)] = None
    user: Annotated[dict[str, Any] | None, about("")] = None
    volume_mounts: Annotated[tuple[dict[str, Any], ...], about("", merge_key="mountPath")] = ()


class HostIP(Noun, frozen=True, kw_only=True):
    """HostIP."""

    ip: Annotated[str, about("")] = always("")


class PodIP(Noun, frozen=True, kw_only=True):
    """PodIP."""

    ip: Annotated[str, about("")] = always("")


class PodStatus(Noun, frozen=True, kw_only=True):
    """PodStatus."""

    allocated_resources: Annotated[dict[str, Quantity], about("")] = {}
    conditions: Annotated[tuple[PodCondition, ...], about("", merge_key="type")] = ()
    container_statuses: Annotated[tuple[ContainerStatus, ...], about("")] = ()
    ephemeral_container_statuses: Annotated[tuple[ContainerStatus, ...], about("")] = ()
    extended_resource_claim_status: Annotated[dict[str, Any] | None, about("")] = None
    host_ip: Annotated[str | None, about("")] = None
    host_ips: Annotated[tuple[HostIP, ...], about("", merge_key="ip", list_type="atomic")] = ()
    init_container_statuses: Annotated[tuple[ContainerStatus, ...], about("")] = ()
    message: Annotated[str | None, about("")] = None
    node_allocatable_resource_claim_statuses: Annotated[
        tuple[dict[str, Any], ...], about("", merge_key="resourceClaimName")
    ] = ()
    nominated_node_name: Annotated[str | None, about("")] = None
    observed_generation: Annotated[Int64 | None, about("")] = None
    phase: Annotated[str | None, about("")] = None
    pod_ip: Annotated[str | None, about("")] = None
    pod_ips: Annotated[tuple[PodIP, ...], about("", merge_key="ip")] = ()
    qos_class: Annotated[str | None, about("")] = None
    reason: Annotated[str | None, about("")] = None
    resize: Annotated[str | None, about("")] = None
    resource_claim_statuses: Annotated[
        tuple[dict[str, Any], ...], about("", merge_key="name", strategy="merge,retainKeys")
    ] = ()
    resources: Annotated[ResourceRequirements | None, about("")] = None
    start_time: Annotated[Time | None, about("")] = None
    volume_health: Annotated[tuple[dict[str, Any], ...], about("", map_keys=("name",))] = ()
