"""Defaults of Service, Endpoints, EndpointSlice and Node. Addresses are given out elsewhere (controllers)."""

from __future__ import annotations

from orchestr8.api.defaults.fill import change, fill
from orchestr8.api.node import Node
from orchestr8.api.service import (
    ClientIPConfig,
    Endpoints,
    EndpointSlice,
    EndpointSubset,
    Service,
    ServicePort,
    ServiceSpec,
    SessionAffinityConfig,
    SliceEndpointPort,
)

AFFINITY_SECONDS = 10_800


def default_service(service: Service) -> Service:
    spec = fill(service.spec, session_affinity="None", type="ClusterIP")
    spec = change(spec, ports=tuple(_port(port) for port in spec.ports))
    if spec.session_affinity == "ClientIP":
        config = spec.session_affinity_config or SessionAffinityConfig()
        client_ip = fill(config.client_ip or ClientIPConfig(), timeout_seconds=AFFINITY_SECONDS)
        spec = change(spec, session_affinity_config=SessionAffinityConfig(client_ip=client_ip))
    if spec.type != "ExternalName":
        spec = _internal(spec)
    return change(service, spec=spec)


def _internal(spec: ServiceSpec) -> ServiceSpec:
    spec = fill(spec, internal_traffic_policy="Cluster", ip_family_policy="SingleStack")
    spec = change(spec, ip_families=spec.ip_families or ("IPv4",))
    if spec.type in ("NodePort", "LoadBalancer") or spec.external_ips:
        spec = fill(spec, external_traffic_policy="Cluster")
    if spec.type == "LoadBalancer":
        spec = fill(spec, allocate_load_balancer_node_ports=True)
    if spec.cluster_ip and not spec.cluster_ips:
        spec = change(spec, cluster_ips=(spec.cluster_ip,))
    return spec


def carry_over_service(old: Service, new: Service) -> Service:
    """A replacement that leaves out the addresses and node ports it was given keeps them, as long as its type does."""
    before, after = old.spec, new.spec
    if before.type == "ExternalName" or after.type == "ExternalName":
        return new
    if before.cluster_ip and not after.cluster_ip:
        after = change(after, cluster_ip=before.cluster_ip, cluster_ips=after.cluster_ips or before.cluster_ips)
    if before.type in ("NodePort", "LoadBalancer") and after.type in ("NodePort", "LoadBalancer"):
        taken = {port.node_port for port in after.ports if port.node_port}
        given = {(port.port, port.protocol): port.node_port for port in before.ports if port.node_port not in taken}
        ports = tuple(
            port if port.node_port else change(port, node_port=given.get((port.port, port.protocol)))
            for port in after.ports
        )
        after = change(after, ports=ports)
    return change(new, spec=after)


def _port(port: ServicePort) -> ServicePort:
    port = fill(port, protocol="TCP")
    return change(port, target_port=port.port) if port.target_port in (None, 0, "") else port


def default_endpoints(endpoints: Endpoints) -> Endpoints:
    return change(endpoints, subsets=tuple(_subset(subset) for subset in endpoints.subsets))


def _subset(subset: EndpointSubset) -> EndpointSubset:
    return change(subset, ports=tuple(fill(port, protocol="TCP") for port in subset.ports))


def default_endpoint_slice(endpoint_slice: EndpointSlice) -> EndpointSlice:
    return change(endpoint_slice, ports=tuple(_slice_port(port) for port in endpoint_slice.ports))


def _slice_port(port: SliceEndpointPort) -> SliceEndpointPort:
    port = fill(port, protocol="TCP")
    return change(port, name="") if port.name is None else port


def default_node(node: Node) -> Node:
    if node.status.allocatable or not node.status.capacity:
        return node
    return change(node, status=change(node.status, allocatable=node.status.capacity))
