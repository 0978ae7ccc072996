"""Node and Lease. Source: the Kubernetes API reference, "Cluster Resources"."""

from __future__ import annotations

from typing import Annotated, Any

from orchestr8.api.fields import Int32, Int64, MicroTime, Noun, Quantity, Time, about, always, empty
from orchestr8.api.meta import Object, ObjectMeta


class Taint(Noun, frozen=True, kw_only=True):
    """Keeps pods off a node unless they tolerate it."""

    effect: Annotated[str, about("NoSchedule, PreferNoSchedule or NoExecute.")] = always("")
    key: Annotated[str, about("Key of the taint.")] = always("")
    time_added: Annotated[Time | None, about("When it was added.")] = None
    value: Annotated[str | None, about("Value of the taint.")] = None


class NodeSpec(Noun, frozen=True, kw_only=True):
    """What an operator or a controller decided about a node."""

    config_source: Annotated[dict[str, Any] | None, about("Not used any more.")] = None
    external_id: Annotated[str | None, about("Not used any more.")] = None
    pod_cidr: Annotated[str | None, about("Range of addresses for the node's pods; never changes.")] = None
    pod_cidrs: Annotated[
        tuple[str, ...], about("Ranges of addresses for the node's pods.", list_type="set", strategy="merge")
    ] = ()
    pod_preemption_policy: Annotated[dict[str, Any] | None, about("Which pods may be pushed away on this node.")] = None
    provider_id: Annotated[str | None, about("Identity of the host at its provider.")] = None
    taints: Annotated[tuple[Taint, ...], about("Taints of the node.")] = ()
    unschedulable: Annotated[bool | None, about("Whether new pods are kept off (cordon).")] = None


class NodeAddress(Noun, frozen=True, kw_only=True):
    """An address of a node."""

    type: Annotated[str, about("InternalIP, ExternalIP or Hostname.")] = always("")
    address: Annotated[str, about("The address.")] = always("")


class NodeCondition(Noun, frozen=True, kw_only=True):
    """One aspect of a node's state: Ready, MemoryPressure, DiskPressure, PIDPressure."""

    type: Annotated[str, about("What it is about.")] = always("")
    status: Annotated[str, about("True, False or Unknown.")] = always("")
    last_heartbeat_time: Annotated[Time | None, about("When it was reported last.")] = None
    last_transition_time: Annotated[Time | None, about("When it changed last.")] = None
    message: Annotated[str | None, about("Explanation for people.")] = None
    reason: Annotated[str | None, about("Explanation in one word, for programs.")] = None


class DaemonEndpoint(Noun, frozen=True, kw_only=True, rename={"port": "Port"}):
    """A port of a daemon on a node."""

    port: Annotated[Int32, about("Port number.")] = always(0)


class NodeDaemonEndpoints(Noun, frozen=True, kw_only=True):
    """Ports of the daemons on a node."""

    kubelet_endpoint: Annotated[DaemonEndpoint | None, about("Port of the node's agent.")] = None


class ContainerImage(Noun, frozen=True, kw_only=True):
    """An image that is on a node."""

    names: Annotated[tuple[str, ...], about("Names by which the image is known.")] = ()
    size_bytes: Annotated[Int64 | None, about("Size in bytes.")] = None


class NodeSwapStatus(Noun, frozen=True, kw_only=True):
    """Swap space of a node."""

    capacity: Annotated[Int64 | None, about("What the node has.")] = None


class NodeSystemInfo(Noun, frozen=True, kw_only=True):
    """Versions and identities of a node."""

    architecture: Annotated[str, about("Processor architecture.")] = always("")
    boot_id: Annotated[str, about("Changes with every boot.")] = always("")
    container_runtime_version: Annotated[str, about("Container runtime and its version.")] = always("")
    kernel_version: Annotated[str, about("Version of the kernel.")] = always("")
    kube_proxy_version: Annotated[str, about("Not used any more.")] = always("")
    kubelet_version: Annotated[str, about("Version of the node's agent.")] = always("")
    machine_id: Annotated[str, about("Identity of the host.")] = always("")
    operating_system: Annotated[str, about("Operating system.")] = always("")
    os_image: Annotated[str, about("Name of the distribution.")] = always("")
    running_in_user_namespace: Annotated[bool | None, about("Whether the node's agent runs in a user namespace.")] = (
        None
    )
    swap: Annotated[NodeSwapStatus | None, about("Swap space.")] = None
    system_uuid: Annotated[str, about("Identity of the hardware.")] = always("")


class NodeFeatures(Noun, frozen=True, kw_only=True):
    """What the container runtime of a node can do."""

    supplemental_groups_policy: Annotated[
        bool | None, about("Whether the runtime honours supplementalGroupsPolicy.")
    ] = None


class NodeStatus(Noun, frozen=True, kw_only=True):
    """What is known of a node."""

    addresses: Annotated[tuple[NodeAddress, ...], about("Addresses of the node.", merge_key="type")] = ()
    allocatable: Annotated[dict[str, Quantity], about("What pods may use of it.")] = {}
    capacity: Annotated[dict[str, Quantity], about("What the node has.")] = {}
    conditions: Annotated[
        tuple[NodeCondition, ...], about("Aspects of the state, one per type.", merge_key="type")
    ] = ()
    config: Annotated[dict[str, Any] | None, about("Not used any more.")] = None
    daemon_endpoints: Annotated[NodeDaemonEndpoints | None, about("Ports of daemons on the node.")] = None
    declared_features: Annotated[tuple[str, ...], about("Features the node says it has.")] = ()
    features: Annotated[NodeFeatures | None, about("What the runtime can do.")] = None
    images: Annotated[tuple[ContainerImage, ...], about("Images on the node.")] = ()
    node_info: Annotated[NodeSystemInfo | None, about("Versions and identities.")] = None
    phase: Annotated[str | None, about("Where it is in its life.")] = None
    runtime_handlers: Annotated[tuple[dict[str, Any], ...], about("Runtimes there are.")] = ()
    volumes_attached: Annotated[tuple[dict[str, Any], ...], about("Volumes attached to the node.")] = ()
    volumes_in_use: Annotated[tuple[str, ...], about("Volumes in use on the node.")] = ()


class Node(Object, frozen=True, kw_only=True):
    """A host that runs pods."""

    api_version: str = always("v1")
    kind: str = always("Node")
    metadata: Annotated[ObjectMeta, about("Name, labels, owners and what the server records.")] = empty(ObjectMeta)
    spec: Annotated[NodeSpec, about("What is wanted.")] = empty(NodeSpec)
    status: Annotated[NodeStatus, about("What is so; written by the system, not by users.")] = empty(NodeStatus)


class LeaseSpec(Noun, frozen=True, kw_only=True):
    """Who holds a lease, and until when."""

    acquire_time: Annotated[MicroTime | None, about("When the holder got it.")] = None
    holder_identity: Annotated[str | None, about("Who holds it.", zero_matters=True)] = None
    lease_duration_seconds: Annotated[
        Int32 | None, about("For how many seconds it holds after a renewal.", zero_matters=True)
    ] = None
    lease_transitions: Annotated[Int32 | None, about("How often it changed hands.", zero_matters=True)] = None
    preferred_holder: Annotated[str | None, about("Who should hold it.", zero_matters=True)] = None
    renew_time: Annotated[MicroTime | None, about("When it was renewed last.")] = None
    strategy: Annotated[str | None, about("How the holder is chosen.", zero_matters=True)] = None


class Lease(Object, frozen=True, kw_only=True):
    """A claim that its holder renews as long as it lives."""

    api_version: str = always("coordination.k8s.io/v1")
    kind: str = always("Lease")
    metadata: Annotated[ObjectMeta, about("Name, labels, owners and what the server records.")] = empty(ObjectMeta)
    spec: Annotated[LeaseSpec, about("What is wanted.")] = empty(LeaseSpec)
