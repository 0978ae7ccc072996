"""From Services, EndpointSlices and Nodes to what this node's kernel should do. Pure.

Decides which endpoints get traffic: the ready ones; if a Service has none, those that still serve while they end
(Kubernetes: "terminating endpoints"). Objects may come from users, so an address that is no unicast IPv4 address and
a port out of range are left out here rather than refused by the kernel together with everything else.
Sources: Kubernetes' Service and EndpointSlice pages, "Virtual IPs and Service Proxies".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from orchestr8.api import service as api
from orchestr8.api.node import Node
from orchestr8.worker.network.base import Backend, NodeRoute, ServicePort

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
_AFFINITY_SECONDS = 10_800
_PROTOCOLS = {"TCP": "tcp", "UDP": "udp"}


def service_ports(
    services: Iterable[api.Service], slices: Iterable[api.EndpointSlice], node_name: str
) -> tuple[ServicePort, ...]:
    """Everything that is to be translated on ``node_name``, in a stable order. Headless, ExternalName and not yet
    addressed Services have nothing. Of two Services that claim one address or node port the older name wins."""
    by_service: dict[tuple[str, str], list[api.EndpointSlice]] = {}
    for part in slices:
        owner = (part.metadata.labels or {}).get(SERVICE_NAME_LABEL, "")
        by_service.setdefault((part.metadata.namespace or "", owner), []).append(part)
    found: list[ServicePort] = []
    for service in sorted(services, key=lambda s: (s.metadata.namespace or "", s.metadata.name or "")):
        if service.spec.type == "ExternalName" or _address(service.spec.cluster_ip or "") is None:
            continue
        own = by_service.get((service.metadata.namespace or "", service.metadata.name or ""), [])
        found += (_service_port(service, port, own, node_name) for port in service.spec.ports if _is_known(port))
    return _without_clashes(found)


def routes(nodes: Iterable[Node], node_name: str) -> tuple[NodeRoute, ...]:
    """A route to the pods of every other node that has a range and an address."""
    found = []
    for node in sorted(nodes, key=lambda n: n.metadata.name or ""):
        ip = next((a.address for a in node.status.addresses if a.type == "InternalIP" and _address(a.address)), None)
        cidr = node.spec.pod_cidr
        if node.metadata.name != node_name and ip is not None and cidr and _is_network(cidr):
            found.append(NodeRoute(node=node.metadata.name or "", node_ip=ip, pod_cidr=cidr))
    return tuple(found)


def _service_port(
    service: api.Service, port: api.ServicePort, slices: list[api.EndpointSlice], node_name: str
) -> ServicePort:
    spec = service.spec
    endpoints = [
        (Backend(address, int(slice_port.port)), endpoint)
        for part in slices
        if part.address_type == "IPv4"
        for slice_port in part.ports
        if (slice_port.name or "") == (port.name or "") and (slice_port.protocol or "TCP") == (port.protocol or "TCP")
        if slice_port.port is not None and _is_port(slice_port.port)
        for endpoint in part.endpoints
        for address in endpoint.addresses[:1]
        if _address(address) is not None
    ]
    local = [(backend, endpoint) for backend, endpoint in endpoints if endpoint.node_name == node_name]
    affinity = 0
    if spec.session_affinity == "ClientIP":
        config = spec.session_affinity_config
        seconds = config.client_ip.timeout_seconds if config and config.client_ip else None
        affinity = seconds or _AFFINITY_SECONDS
    return ServicePort(
        name=f"{service.metadata.namespace}/{service.metadata.name}/{port.name or port.port}",
        cluster_ip=spec.cluster_ip or "",
        protocol=_PROTOCOLS[port.protocol or "TCP"],
        port=port.port,
        node_port=port.node_port or 0,
        backends=_usable(endpoints),
        local_backends=_usable(local),
        affinity_seconds=affinity,
        local_only=spec.external_traffic_policy == "Local",
        internal_local_only=spec.internal_traffic_policy == "Local",
    )


def _usable(endpoints: list[tuple[Backend, api.Endpoint]]) -> tuple[Backend, ...]:
    ready = {backend for backend, endpoint in endpoints if _is_ready(endpoint)}
    return tuple(sorted(ready or {backend for backend, endpoint in endpoints if _serves_while_ending(endpoint)}))


def _is_ready(endpoint: api.Endpoint) -> bool:
    """No word about it counts as ready (EndpointConditions)."""
    return endpoint.conditions is None or endpoint.conditions.ready is not False


def _serves_while_ending(endpoint: api.Endpoint) -> bool:
    conditions = endpoint.conditions
    return conditions is not None and bool(conditions.serving) and bool(conditions.terminating)


def _without_clashes(ports: list[ServicePort]) -> tuple[ServicePort, ...]:
    """One key twice would make the kernel refuse the whole table."""
    addresses: set[tuple[str, str, int]] = set()
    node_ports: set[tuple[str, int]] = set()
    names: set[str] = set()
    kept = []
    for port in ports:
        address, node_port = (port.cluster_ip, port.protocol, port.port), (port.protocol, port.node_port)
        if address in addresses or (port.node_port and node_port in node_ports) or port.name in names:
            continue
        addresses.add(address)
        node_ports.add(node_port)
        names.add(port.name)
        kept.append(port)
    return tuple(kept)


def _is_known(port: api.ServicePort) -> bool:
    return (port.protocol or "TCP") in _PROTOCOLS and _is_port(port.port) and 0 <= (port.node_port or 0) <= 65535


def _is_port(number: int) -> bool:
    return 1 <= number <= 65535


def _address(text: str) -> ipaddress.IPv4Address | None:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return None
    refused = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    return None if refused or address == ipaddress.IPv4Address("255.255.255.255") else address


def _is_network(text: str) -> bool:
    try:
        return ipaddress.IPv4Network(text).prefixlen >= 8
    except ValueError:
        return False
