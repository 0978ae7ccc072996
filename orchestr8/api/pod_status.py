"""What the node's agent reports about a pod and its containers.

Import these through ``api.pod``. Source: the Kubernetes API reference, "Pod", section PodStatus.
"""

from __future__ import annotations

from typing import Annotated, Any

from orchestr8.api.container import ResourceRequirements
from orchestr8.api.fields import Int32, Int64, Noun, Quantity, Time, about, always


class PodCondition(Noun, frozen=True, kw_only=True):
    """One aspect of a pod's state: PodScheduled, Initialized, ContainersReady, Ready."""

    type: Annotated[str, about("What it is about.")] = always("")
    status: Annotated[str, about("True, False or Unknown.")] = always("")
    last_probe_time: Annotated[Time | None, about("When it was checked last.")] = None
    last_transition_time: Annotated[Time | None, about("When it changed last.")] = None
    message: Annotated[str | None, about("Explanation for people.")] = None
    observed_generation: Annotated[Int64 | None, about("The generation of the spec that this was computed from.")] = (
        None
    )
    reason: Annotated[str | None, about("Explanation in one word, for programs.")] = None


class ContainerStateRunning(Noun, frozen=True, kw_only=True):
    """The container runs."""

    started_at: Annotated[Time | None, about("When it started.")] = None


class ContainerStateTerminated(Noun, frozen=True, kw_only=True):
    """The container has ended."""

    container_id: Annotated[str | None, about("Identity at the runtime, such as podman://<id>.")] = None
    exit_code: Annotated[Int32, about("Exit code of the container.")] = always(0)
    finished_at: Annotated[Time | None, about("When it ended.")] = None
    message: Annotated[str | None, about("Explanation for people.")] = None
    reason: Annotated[str | None, about("Explanation in one word, for programs.")] = None
    signal: Annotated[Int32 | None, about("Signal that ended the container.")] = None
    started_at: Annotated[Time | None, about("When it started.")] = None


class ContainerStateWaiting(Noun, frozen=True, kw_only=True):
    """The container does not run yet, or not again yet."""

    message: Annotated[str | None, about("Explanation for people.")] = None
    reason: Annotated[str | None, about("Explanation in one word, for programs.")] = None


class ContainerState(Noun, frozen=True, kw_only=True):
    """What a container does: exactly one of waiting, running, terminated."""

    running: Annotated[ContainerStateRunning | None, about("Set while it runs.")] = None
    terminated: Annotated[ContainerStateTerminated | None, about("Set when it has ended.")] = None
    waiting: Annotated[ContainerStateWaiting | None, about("Set while it waits.")] = None


class ContainerStatus(Noun, frozen=True, kw_only=True):
    """What is known of one container."""

    name: Annotated[str, about("Name of the container.")] = always("")
    allocated_resources: Annotated[dict[str, Quantity], about("Resources set aside on the node.")] = {}
    allocated_resources_status: Annotated[
        tuple[dict[str, Any], ...], about("Health of devices.", merge_key="name")
    ] = ()
    container_id: Annotated[str | None, about("Identity at the runtime, such as podman://<id>.")] = None
    image: Annotated[str, about("Image that runs.")] = always("")
    image_id: Annotated[str, about("Digest of the image that runs.")] = always("")
    last_state: Annotated[ContainerState | None, about("How it ended last time.")] = None
    ready: Annotated[bool, about("Whether it passes its readiness check.")] = always(False)
    resources: Annotated[ResourceRequirements | None, about("Requests and limits, such as cpu and memory.")] = None
    restart_count: Annotated[Int32, about("How often it was started again.")] = always(0)
    started: Annotated[bool | None, about("Whether it passed its startup check.", zero_matters=True)] = None
    state: Annotated[ContainerState | None, about("What it does now.")] = None
    stop_signal: Annotated[str | None, about("Signal that stops the container.", zero_matters=True)] = None
    user: Annotated[dict[str, Any] | None, about("User it runs as.")] = None
    volume_mounts: Annotated[tuple[dict[str, Any], ...], about("Mounts as they are.", merge_key="mountPath")] = ()


class HostIP(Noun, frozen=True, kw_only=True):
    """An address of the node."""

    ip: Annotated[str, about("IP address.")] = always("")


class PodIP(Noun, frozen=True, kw_only=True):
    """An address of the pod."""

    ip: Annotated[str, about("IP address.")] = always("")


class PodStatus(Noun, frozen=True, kw_only=True):
    """What is known of a pod, as its node reported it last."""

    allocated_resources: Annotated[dict[str, Quantity], about("Resources set aside on the node.")] = {}
    conditions: Annotated[tuple[PodCondition, ...], about("Aspects of the state, one per type.", merge_key="type")] = ()
    container_statuses: Annotated[tuple[ContainerStatus, ...], about("State of each container.")] = ()
    ephemeral_container_statuses: Annotated[
        tuple[ContainerStatus, ...], about("State of each container added later.")
    ] = ()
    extended_resource_claim_status: Annotated[
        dict[str, Any] | None, about("Device claim made for extended resources.")
    ] = None
    host_ip: Annotated[str | None, about("Address of the node.")] = None
    host_ips: Annotated[tuple[HostIP, ...], about("Addresses of the node.", merge_key="ip", list_type="atomic")] = ()
    init_container_statuses: Annotated[tuple[ContainerStatus, ...], about("State of each init container.")] = ()
    message: Annotated[str | None, about("Explanation for people.")] = None
    node_allocatable_resource_claim_statuses: Annotated[
        tuple[dict[str, Any], ...], about("Device claims that count as node resources.", merge_key="resourceClaimName")
    ] = ()
    nominated_node_name: Annotated[str | None, about("Node that makes room for the pod.")] = None
    observed_generation: Annotated[Int64 | None, about("The generation of the spec that this was computed from.")] = (
        None
    )
    phase: Annotated[str | None, about("Pending, Running, Succeeded, Failed or Unknown.")] = None
    pod_ip: Annotated[str | None, about("Address of the pod.")] = None
    pod_ips: Annotated[tuple[PodIP, ...], about("Addresses of the pod.", merge_key="ip")] = ()
    qos_class: Annotated[str | None, about("Guaranteed, Burstable or BestEffort.")] = None
    reason: Annotated[str | None, about("Explanation in one word, for programs.")] = None
    resize: Annotated[str | None, about("State of a change of resources.")] = None
    resource_claim_statuses: Annotated[
        tuple[dict[str, Any], ...], about("State of device claims.", merge_key="name", strategy="merge,retainKeys")
    ] = ()
    resources: Annotated[ResourceRequirements | None, about("Requests and limits, such as cpu and memory.")] = None
    start_time: Annotated[Time | None, about("When the node accepted the pod.")] = None
    volume_health: Annotated[tuple[dict[str, Any], ...], about("Health of volumes.", map_keys=("name",))] = ()
