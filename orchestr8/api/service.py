"""Service, Endpoints and EndpointSlice. Source: the Kubernetes API reference, "Service Resources"."""

from __future__ import annotations

from typing import Annotated, ClassVar

from orchestr8.api.fields import Int32, IntOrString, Noun, about, always, empty
from orchestr8.api.meta import Condition, Object, ObjectMeta, ObjectReference


class ClientIPConfig(Noun, frozen=True, kw_only=True):
    """How long a client stays with one pod."""

    timeout_seconds: Annotated[
        Int32 | None, about("Seconds that a client stays with one pod; 10800 unless set.", zero_matters=True)
    ] = None


class SessionAffinityConfig(Noun, frozen=True, kw_only=True):
    """Settings of session affinity."""

    client_ip: Annotated[ClientIPConfig | None, about("Settings for affinity by the client's address.")] = None


class ServicePort(Noun, frozen=True, kw_only=True):
    """A port of a Service."""

    app_protocol: Annotated[
        str | None, about("Protocol that the application speaks, such as kubernetes.io/h2c.", zero_matters=True)
    ] = None
    name: Annotated[str | None, about("Name of the port; needed when there are several.")] = None
    node_port: Annotated[Int32 | None, about("Port of every node that leads to this one.")] = None
    port: Annotated[Int32, about("Port of the Service.")] = always(0)
    protocol: Annotated[str | None, about("TCP, UDP or SCTP.")] = None
    target_port: Annotated[
        IntOrString | None, about("Port of the pods, by number or name; the same one unless set.")
    ] = None


class PortStatus(Noun, frozen=True, kw_only=True):
    """State of one port of a load balancer."""

    error: Annotated[str | None, about("What went wrong.")] = None
    port: Annotated[Int32, about("Port number, or for a probe also the name of a container's port.")] = always(0)
    protocol: Annotated[str, about("TCP, UDP or SCTP.")] = always("")


class LoadBalancerIngress(Noun, frozen=True, kw_only=True):
    """An address of a load balancer."""

    hostname: Annotated[str | None, about("Host name.")] = None
    ip: Annotated[str | None, about("IP address.")] = None
    ip_mode: Annotated[str | None, about("How the balancer delivers: VIP or Proxy.")] = None
    ports: Annotated[tuple[PortStatus, ...], about("Ports.")] = ()


class LoadBalancerStatus(Noun, frozen=True, kw_only=True):
    """Where a load balancer can be reached."""

    ingress: Annotated[tuple[LoadBalancerIngress, ...], about("Addresses of the balancer.")] = ()


class ServiceSpec(Noun, frozen=True, kw_only=True):
    """What a Service shall be."""

    allocate_load_balancer_node_ports: Annotated[
        bool | None, about("Whether a load balancer needs node ports.", zero_matters=True)
    ] = None
    cluster_ip: Annotated[str | None, about("Address inside the cluster; None for a Service without one.")] = None
    cluster_ips: Annotated[tuple[str, ...], about("Addresses inside the cluster.")] = ()
    external_ips: Annotated[tuple[str, ...], about("Further addresses under which the Service is reached.")] = ()
    external_name: Annotated[str | None, about("Name that the Service stands for, for type ExternalName.")] = None
    external_traffic_policy: Annotated[
        str | None, about("Cluster, or Local to keep traffic on the node it reached.")
    ] = None
    health_check_node_port: Annotated[Int32 | None, about("Port by which balancers check nodes.")] = None
    internal_traffic_policy: Annotated[
        str | None, about("Cluster, or Local to keep traffic on its own node.", zero_matters=True)
    ] = None
    ip_families: Annotated[tuple[str, ...], about("IPv4 and IPv6, in order of preference.")] = ()
    ip_family_policy: Annotated[
        str | None, about("SingleStack, PreferDualStack or RequireDualStack.", zero_matters=True)
    ] = None
    load_balancer_class: Annotated[str | None, about("Which load balancer.", zero_matters=True)] = None
    load_balancer_ip: Annotated[str | None, about("Wished address of the load balancer.")] = None
    load_balancer_source_ranges: Annotated[tuple[str, ...], about("Networks that may use the load balancer.")] = ()
    ports: Annotated[
        tuple[ServicePort, ...], about("Ports of the Service.", merge_key="port", map_keys=("port", "protocol"))
    ] = ()
    publish_not_ready_addresses: Annotated[bool | None, about("Whether pods count that are not ready.")] = None
    selector: Annotated[dict[str, str], about("Labels of the pods behind the Service.", atomic=True)] = {}
    session_affinity: Annotated[str | None, about("None, or ClientIP to keep a client with one pod.")] = None
    session_affinity_config: Annotated[SessionAffinityConfig | None, about("Settings of session affinity.")] = None
    traffic_distribution: Annotated[str | None, about("Which endpoints are preferred.", zero_matters=True)] = None
    type: Annotated[str | None, about("ClusterIP, NodePort, LoadBalancer or ExternalName.")] = None


class ServiceStatus(Noun, frozen=True, kw_only=True):
    """What is known of a Service."""

    conditions: Annotated[tuple[Condition, ...], about("Aspects of the state, one per type.", merge_key="type")] = ()
    load_balancer: Annotated[LoadBalancerStatus | None, about("State of the load balancer.")] = None


class Service(Object, frozen=True, kw_only=True):
    """One lasting address for pods that come and go."""

    api_version: str = always("v1")
    kind: str = always("Service")
    metadata: Annotated[ObjectMeta, about("Name, labels, owners and what the server records.")] = empty(ObjectMeta)
    spec: Annotated[ServiceSpec, about("What is wanted.")] = empty(ServiceSpec)
    status: Annotated[ServiceStatus, about("What is so; written by the system, not by users.")] = empty(ServiceStatus)


class EndpointAddress(Noun, frozen=True, kw_only=True):
    """An address behind a Service."""

    ATOMIC: ClassVar[bool] = True

    hostname: Annotated[str | None, about("Host name.")] = None
    ip: Annotated[str, about("IP address.")] = always("")
    node_name: Annotated[str | None, about("Node it is on.", zero_matters=True)] = None
    target_ref: Annotated[ObjectReference | None, about("The object behind the address, a pod as a rule.")] = None


class EndpointPort(Noun, frozen=True, kw_only=True):
    """A port behind a Service."""

    ATOMIC: ClassVar[bool] = True

    app_protocol: Annotated[
        str | None, about("Protocol that the application speaks, such as kubernetes.io/h2c.", zero_matters=True)
    ] = None
    name: Annotated[str | None, about("Name, unique in its place.")] = None
    port: Annotated[Int32, about("Port number, or for a probe also the name of a container's port.")] = always(0)
    protocol: Annotated[str | None, about("TCP, UDP or SCTP.")] = None


class EndpointSubset(Noun, frozen=True, kw_only=True):
    """Addresses that have the same ports."""

    addresses: Annotated[tuple[EndpointAddress, ...], about("Addresses.")] = ()
    not_ready_addresses: Annotated[tuple[EndpointAddress, ...], about("Addresses of pods that are not ready.")] = ()
    ports: Annotated[tuple[EndpointPort, ...], about("Ports.")] = ()


class Endpoints(Object, frozen=True, kw_only=True):
    """All addresses behind a Service. EndpointSlices are the newer form."""

    api_version: str = always("v1")
    kind: str = always("Endpoints")
    metadata: Annotated[ObjectMeta, about("Name, labels, owners and what the server records.")] = empty(ObjectMeta)
    subsets: Annotated[tuple[EndpointSubset, ...], about("Addresses, grouped by their ports.")] = ()


class ForNode(Noun, frozen=True, kw_only=True):
    """A node that should use an endpoint."""

    name: Annotated[str, about("Name, unique in its place.")] = always("")


class ForZone(Noun, frozen=True, kw_only=True):
    """A zone that should use an endpoint."""

    name: Annotated[str, about("Name, unique in its place.")] = always("")


class EndpointHints(Noun, frozen=True, kw_only=True):
    """Who should use an endpoint."""

    for_nodes: Annotated[tuple[ForNode, ...], about("Nodes that should use it.")] = ()
    for_zones: Annotated[tuple[ForZone, ...], about("Zones that should use it.")] = ()


class EndpointConditions(Noun, frozen=True, kw_only=True):
    """What state an endpoint is in."""

    ready: Annotated[bool | None, about("Whether it takes traffic.", zero_matters=True)] = None
    serving: Annotated[bool | None, about("Whether it could take traffic even while it ends.", zero_matters=True)] = (
        None
    )
    terminating: Annotated[bool | None, about("Whether it is being ended.", zero_matters=True)] = None


class Endpoint(Noun, frozen=True, kw_only=True):
    """One endpoint behind a Service."""

    addresses: Annotated[
        tuple[str, ...], about("Addresses of the endpoint; the first one counts.", list_type="set")
    ] = always(())
    conditions: Annotated[EndpointConditions | None, about("State of the endpoint.")] = None
    deprecated_topology: Annotated[dict[str, str], about("Not used any more.")] = {}
    hints: Annotated[EndpointHints | None, about("Who should use it.")] = None
    hostname: Annotated[str | None, about("Host name.", zero_matters=True)] = None
    node_name: Annotated[str | None, about("Node it is on.", zero_matters=True)] = None
    target_ref: Annotated[ObjectReference | None, about("The object behind the address, a pod as a rule.")] = None
    zone: Annotated[str | None, about("Zone of the node.", zero_matters=True)] = None


class SliceEndpointPort(Noun, frozen=True, kw_only=True):
    """A port of the endpoints of a slice."""

    ATOMIC: ClassVar[bool] = True

    app_protocol: Annotated[
        str | None, about("Protocol that the application speaks, such as kubernetes.io/h2c.", zero_matters=True)
    ] = None
    name: Annotated[str | None, about("Name, unique in its place.", zero_matters=True)] = None
    port: Annotated[
        Int32 | None, about("Port number, or for a probe also the name of a container's port.", zero_matters=True)
    ] = None
    protocol: Annotated[str | None, about("TCP, UDP or SCTP.", zero_matters=True)] = None


class EndpointSlice(Object, frozen=True, kw_only=True):
    """Some of the endpoints behind a Service."""

    api_version: str = always("discovery.k8s.io/v1")
    kind: str = always("EndpointSlice")
    metadata: Annotated[ObjectMeta, about("Name, labels, owners and what the server records.")] = empty(ObjectMeta)
    address_type: Annotated[str, about("IPv4, IPv6 or FQDN.")] = always("")
    endpoints: Annotated[tuple[Endpoint, ...], about("The endpoints.")] = always(())
    ports: Annotated[tuple[SliceEndpointPort, ...], about("Ports.")] = ()
