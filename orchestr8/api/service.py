"""service"""

from __future__ import annotations

from typing import Annotated, ClassVar

from orchestr8.api.fields import Int32, IntOrString, Noun, about, always, empty
from orchestr8.api.meta import Condition, Object, ObjectMeta, ObjectReference


class ClientIPConfig(Noun, frozen=True, kw_only=True):
    """ClientIPConfig."""

    timeout_seconds: Annotated[Int32 | None, about("", zero_matters=True)] = None


class SessionAffinityConfig(Noun, frozen=True, kw_only=True):
    """SessionAffinityConfig."""

    client_ip: Annotated[ClientIPConfig | None, about("")] = None


class ServicePort(Noun, frozen=True, kw_only=True):
    """ServicePort."""

    app_protocol: Annotated[str | None, about("", zero_matters=True)] = None
    name: Annotated[str | None, about("")] = None
    node_port: Annotated[Int32 | None, about("")] = None
    port: Annotated[Int32, about("")] = always(0)
    protocol: Annotated[str | None, about("")] = None
    target_port: Annotated[IntOrString | None, about("")] = None


class PortStatus(Noun, frozen=True, kw_only=True):
    """PortStatus."""

    error: Annotated[str | None, about("")] = None
    port: Annotated[Int32, about("")] = always(0)
    protocol: Annotated[str, about("")] = always("")


class LoadBalancerIngress(Noun, frozen=True, kw_only=True):
    """LoadBalancerIngress."""

    hostname: Annotated[str | None, about("")] = None
    ip: Annotated[str | None, about("")] = None
    ip_mode: Annotated[str | None, about("")] = None
    ports: Annotated[tuple[PortStatus, ...], about("")] = ()


class LoadBalancerStatus(Noun, frozen=True, kw_only=True):
    """LoadBalancerStatus."""

    ingress: Annotated[tuple[LoadBalancerIngress, ...], about("")] = ()


class ServiceSpec(Noun, frozen=True, kw_only=True):
    """ServiceSpec."""

    allocate_load_balancer_node_ports: Annotated[bool | None, about("", zero_matters=True)] = None
    cluster_ip: Annotated[str | None, about("")] = None
    cluster_ips: Annotated[tuple[str, ...], about("")] = ()
    external_ips: Annotated[tuple[str, ...], about("")] = ()
    external_name: Annotated[str | None, about("")] = None
    external_traffic_policy: Annotated[str | None, about("")] = None
    health_check_node_port: Annotated[Int32 | None, about("")] = None
    internal_traffic_policy: Annotated[str | None, about("", zero_matters=True)] = None
    ip_families: Annotated[tuple[str, ...], about("")] = ()
    ip_family_policy: Annotated[str | None, about("", zero_matters=True)] = None
    load_balancer_class: Annotated[str | None, about("", zero_matters=True)] = None
    load_balancer_ip: Annotated[str | None, about("")] = None
    load_balancer_source_ranges: Annotated[tuple[str, ...], about("")] = ()
    ports: Annotated[tuple[ServicePort, ...], about("", merge_key="port", map_keys=("port", "protocol"))] = ()
    publish_not_ready_addresses: Annotated[bool | None, about("")] = None
    selector: Annotated[dict[str, str], about("", atomic=True)] = {}
    session_affinity: Annotated[str | None, about("")] = None
    session_affinity_config: Annotated[SessionAffinityConfig | None, about("")] = None
    traffic_distribution: Annotated[str | None, about("", zero_matters=True)] = None
    type: Annotated[str | None, about("")] = None


class ServiceStatus(Noun, frozen=True, kw_only=True):
    """ServiceStatus."""

    conditions: Annotated[tuple[Condition, ...], about("", merge_key="type")] = ()
    load_balancer: Annotated[LoadBalancerStatus | None, about("")] = None


class Service(Object, frozen=True, kw_only=True):
    """Service."""

    api_version: str = always("v1")
    kind: str = always("Service")
    metadata: Annotated[ObjectMeta, about("")] = empty(ObjectMeta)
    spec: Annotated[ServiceSpec, about("")] = empty(ServiceSpec)
    status: Annotated[ServiceStatus, about("")] = empty(ServiceStatus)


class EndpointAddress(Noun, frozen=True, kw_only=True):
    """EndpointAddress."""

    ATOMIC: ClassVar[bool] = True

    hostname: Annotated[str | None, about("")] = None
    ip: Annotated[str, about("")] = always("")
    node_name: Annotated[str | None, about("", zero_matters=True)] = None
    target_ref: Annotated[ObjectReference | None, about("")] = None


class EndpointPort(Noun, frozen=True, kw_only=True):
    """EndpointPort."""

    ATOMIC: ClassVar[bool] = True

    app_protocol: Annotated[str | None, about("", zero_matters=True)] = None
    name: Annotated[str | None, about("")] = None
    port: Annotated[Int32, about("")] = always(0)
    protocol: Annotated[str | None, about("")] = None


class EndpointSubset(Noun, frozen=True, kw_only=True):
    """EndpointSubset."""

    addresses: Annotated[tuple[EndpointAddress, ...], about("")] = ()
    not_ready_addresses: Annotated[tuple[EndpointAddress, ...], about("")] = ()
    ports: Annotated[tuple[EndpointPort, ...], about("")] = ()


class Endpoints(Object, frozen=True, kw_only=True):
    """Endpoints."""

    api_version: str = always("v1")
    kind: str = always("Endpoints")
    metadata: Annotated[ObjectMeta, about("")] = empty(ObjectMeta)
    subsets: Annotated[tuple[EndpointSubset, ...], about("")] = ()


class ForNode(Noun, frozen=True, kw_only=True):
    """ForNode."""

    name: Annotated[str, about("")] = always("")


class ForZone(Noun, frozen=True, kw_only=True):
    """ForZone."""

    name: Annotated[str, about("")] = always("")


class EndpointHints(Noun, frozen=True, kw_only=True):
    """EndpointHints."""

    for_nodes: Annotated[tuple[ForNode, ...], about("")] = ()
    for_zones: Annotated[tuple[ForZone, ...], about("")] = ()


class EndpointConditions(Noun, frozen=True, kw_only=True):
    """EndpointConditions."""

    ready: Annotated[bool | None, about("", zero_matters=True)] = None
    serving: Annotated[bool | None, about("", zero_matters=True)] = None
    terminating: Annotated[bool | None, about("", zero_matters=True)] = None


class Endpoint(Noun, frozen=True, kw_only=True):
    """Endpoint."""

    addresses: Annotated[tuple[str, ...], about("", list_type="set")] = always(())
    conditions: Annotated[EndpointConditions | None, about("")] = None
    deprecated_topology: Annotated[dict[str, str], about("")] = {}
    hints: Annotated[EndpointHints | None, about("")] = None
    hostname: Annotated[str | None, about("", zero_matters=True)] = None
    node_name: Annotated[str | None, about("", zero_matters=True)] = None
    target_ref: Annotated[ObjectReference | None, about("")] = None
    zone: Annotated[str | None, about("", zero_matters=True)] = None


class SliceEndpointPort(Noun, frozen=True, kw_only=True):
    """SliceEndpointPort."""

    ATOMIC: ClassVar[bool] = True

    app_protocol: Annotated[str | None, about("", zero_matters=True)] = None
    name: Annotated[str | None, about("", zero_matters=True)] = None
    port: Annotated[Int32 | None, about("", zero_matters=True)] = None
    protocol: Annotated[str | None, about("", zero_matters=True)] = None


class EndpointSlice(Object, frozen=True, kw_only=True):
    """EndpointSlice."""

    api_version: str = always("discovery.k8s.io/v1")
    kind: str = always("EndpointSlice")
    metadata: Annotated[ObjectMeta, about("")] = empty(ObjectMeta)
    address_type: Annotated[str, about("")] = always("")
    endpoints: Annotated[tuple[Endpoint, ...], about("")] = ()
    ports: Annotated[tuple[SliceEndpointPort, ...], about("")] = ()
