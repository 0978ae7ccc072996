"""node"""

from __future__ import annotations

from typing import Annotated, Any

from orchestr8.api.fields import Int32, Int64, MicroTime, Noun, Quantity, Time, about, always, empty
from orchestr8.api.meta import Object, ObjectMeta


class Taint(Noun, frozen=True, kw_only=True):
    """Taint."""

    effect: Annotated[str, about("")] = always("")
    key: Annotated[str, about("")] = always("")
    time_added: Annotated[Time | None, about("")] = None
    value: Annotated[str | None, about("")] = None


class NodeSpec(Noun, frozen=True, kw_only=True):
    """NodeSpec."""

    config_source: Annotated[dict[str, Any] | None, about("")] = None
    external_id: Annotated[str | None, about("")] = None
    pod_cidr: Annotated[str | None, about("")] = None
    pod_cidrs: Annotated[tuple[str, ...], about("", list_type="set", strategy="merge")] = ()
    pod_preemption_policy: Annotated[dict[str, Any] | None, about("")] = None
    provider_id: Annotated[str | None, about("")] = None
    taints: Annotated[tuple[Taint, ...], about("")] = ()
    unschedulable: Annotated[bool | None, about("")] = None


class NodeAddress(Noun, frozen=True, kw_only=True):
    """NodeAddress."""

    type: Annotated[str, about("")] = always("")
    address: Annotated[str, about("")] = always("")


class NodeCondition(Noun, frozen=True, kw_only=True):
    """NodeCondition."""

    type: Annotated[str, about("")] = always("")
    status: Annotated[str, about("")] = always("")
    last_heartbeat_time: Annotated[Time | None, about("")] = None
    last_transition_time: Annotated[Time | None, about("")] = None
    message: Annotated[str | None, about("")] = None
    reason: Annotated[str | None, about("")] = None


class DaemonEndpoint(Noun, frozen=True, kw_only=True, rename={"port": "Port"}):
    """DaemonEndpoint."""

    port: Annotated[Int32, about("")] = always(0)


class NodeDaemonEndpoints(Noun, frozen=True, kw_only=True):
    """NodeDaemonEndpoints."""

    kubelet_endpoint: Annotated[DaemonEndpoint | None, about("")] = None


class ContainerImage(Noun, frozen=True, kw_only=True):
    """ContainerImage."""

    names: Annotated[tuple[str, ...], about("")] = ()
    size_bytes: Annotated[Int64 | None, about("")] = None


class NodeSwapStatus(Noun, frozen=True, kw_only=True):
    """NodeSwapStatus."""

    capacity: Annotated[Int64 | None, about("")] = None


class NodeSystemInfo(Noun, frozen=True, kw_only=True):
    """NodeSystemInfo."""

    architecture: Annotated[str, about("")] = always("")
    boot_id: Annotated[str, about("")] = always("")
    container_runtime_version: Annotated[str, about("")] = always("")
    kernel_version: Annotated[str, about("")] = always("")
    kube_proxy_version: Annotated[str, about("")] = always("")
    kubelet_version: Annotated[str, about("")] = always("")
    machine_id: Annotated[str, about("")] = always("")
    operating_system: Annotated[str, about("")] = always("")
    os_image: Annotated[str, about("")] = always("")
    running_in_user_namespace: Annotated[bool | None, about("")] = None
    swap: Annotated[NodeSwapStatus | None, about("")] = None
    system_uuid: Annotated[str, about("")] = always("")


class NodeFeatures(Noun, frozen=True, kw_only=True):
    """NodeFeatures."""

    supplemental_groups_policy: Annotated[bool | None, about("")] = None


class NodeStatus(Noun, frozen=True, kw_only=True):
    """NodeStatus."""

    addresses: Annotated[tuple[NodeAddress, ...], about("", merge_key="type")] = ()
    allocatable: Annotated[dict[str, Quantity], about("")] = {}
    capacity: Annotated[dict[str, Quantity], about("")] = {}
    conditions: Annotated[tuple[NodeCondition, ...], about("", merge_key="type")] = ()
    config: Annotated[dict[str, Any] | None, about("")] = None
    daemon_endpoints: Annotated[NodeDaemonEndpoints | None, about("")] = None
    declared_features: Annotated[tuple[str, ...], about("")] = ()
    features: Annotated[NodeFeatures | None, about("")] = None
    images: Annotated[tuple[ContainerImage, ...], about("")] = ()
    node_info: Annotated[NodeSystemInfo | None, about("")] = None
    phase: Annotated[str | None, about("")] = None
    runtime_handlers: Annotated[tuple[dict[str, Any], ...], about("")] = ()
    volumes_attached: Annotated[tuple[dict[str, Any], ...], about("")] = ()
    volumes_in_use: Annotated[tuple[str, ...], about("")] = ()


class Node(Object, frozen=True, kw_only=True):
    """Node."""

    api_version: str = always("v1")
    kind: str = always("Node")
    metadata: Annotated[ObjectMeta, about("")] = empty(ObjectMeta)
    spec: Annotated[NodeSpec, about("")] = empty(NodeSpec)
    status: Annotated[NodeStatus, about("")] = empty(NodeStatus)


class LeaseSpec(Noun, frozen=True, kw_only=True):
    """LeaseSpec."""

    acquire_time: Annotated[MicroTime | None, about("")] = None
    holder_identity: Annotated[str | None, about("", zero_matters=True)] = None
    lease_duration_seconds: Annotated[Int32 | None, about("", zero_matters=True)] = None
    lease_transitions: Annotated[Int32 | None, about("", zero_matters=True)] = None
    preferred_holder: Annotated[str | None, about("", zero_matters=True)] = None
    renew_time: Annotated[MicroTime | None, about("")] = None
    strategy: Annotated[str | None, about("", zero_matters=True)] = None


class Lease(Object, frozen=True, kw_only=True):
    """Lease."""

    api_version: str = always("coordination.k8s.io/v1")
    kind: str = always("Lease")
    metadata: Annotated[ObjectMeta, about("")] = empty(ObjectMeta)
    spec: Annotated[LeaseSpec, about("")] = empty(LeaseSpec)
