"""Rules of Service, Endpoints and EndpointSlice."""

from __future__ import annotations

from orchestr8.api.service import Endpoints, EndpointSlice, Service, ServicePort, ServiceSpec
from orchestr8.api.validation import syntax
from orchestr8.api.validation.complaints import Complaints
from orchestr8.api.validation.container import PROTOCOLS
from orchestr8.api.validation.meta import check_labels

TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
HEADLESS = "None"
AFFINITY_SECONDS_MAX = 86_400
SLICE_ENDPOINTS_MAX = 1_000
SLICE_PORTS_MAX = 100


def check_service(complaints: Complaints, service: Service) -> None:
    spec = service.spec
    complaints.one_of("spec.type", spec.type, TYPES, optional=False)
    check_labels(complaints, spec.selector, "spec.selector")
    _check_addresses(complaints, spec)
    if not spec.ports and spec.cluster_ip != HEADLESS and spec.type != "ExternalName":
        complaints.required("spec.ports")
    _check_ports(complaints, spec)
    complaints.one_of("spec.sessionAffinity", spec.session_affinity, ("ClientIP", "None"), optional=False)
    _check_affinity(complaints, spec)
    complaints.one_of("spec.externalTrafficPolicy", spec.external_traffic_policy, ("Cluster", "Local"))
    complaints.one_of("spec.internalTrafficPolicy", spec.internal_traffic_policy, ("Cluster", "Local"))
    complaints.one_of(
        "spec.ipFamilyPolicy", spec.ip_family_policy, ("SingleStack", "PreferDualStack", "RequireDualStack")
    )
    for index, family in enumerate(spec.ip_families):
        complaints.one_of(f"spec.ipFamilies[{index}]", family, ("IPv4", "IPv6"), optional=False)
    if spec.external_traffic_policy and not (spec.type in ("NodePort", "LoadBalancer") or spec.external_ips):
        complaints.invalid(
            "spec.externalTrafficPolicy",
            spec.external_traffic_policy,
            "may only be set for externally-accessible services",
        )


def check_service_update(complaints: Complaints, old: Service, new: Service) -> None:
    """A Service keeps its address as long as it has one."""
    if old.spec.type == "ExternalName" or new.spec.type == "ExternalName":
        return
    if old.spec.cluster_ip and new.spec.cluster_ip != old.spec.cluster_ip:
        complaints.invalid("spec.clusterIP", new.spec.cluster_ip, "field is immutable")
    if old.spec.cluster_ips and new.spec.cluster_ips[:1] != old.spec.cluster_ips[:1]:
        complaints.invalid(
            "spec.clusterIPs[0]", list(new.spec.cluster_ips), "primary clusterIP may not change once set"
        )


def _check_addresses(complaints: Complaints, spec: ServiceSpec) -> None:
    if spec.type == "ExternalName":
        if spec.cluster_ip:
            complaints.forbidden("spec.clusterIP", "may not be set for ExternalName services")
        if not spec.external_name:
            complaints.required("spec.externalName")
        elif problem := syntax.subdomain(spec.external_name.removesuffix(".")):
            complaints.invalid("spec.externalName", spec.external_name, problem)
        return
    if spec.cluster_ip and spec.cluster_ip != HEADLESS and (problem := syntax.address(spec.cluster_ip)):
        complaints.invalid("spec.clusterIP", spec.cluster_ip, problem)
    if spec.cluster_ip == HEADLESS and spec.type in ("NodePort", "LoadBalancer"):
        complaints.invalid("spec.clusterIP", spec.cluster_ip, f"may not be set to 'None' for {spec.type} services")
    if spec.cluster_ips and spec.cluster_ip and spec.cluster_ips[0] != spec.cluster_ip:
        complaints.invalid("spec.clusterIPs", list(spec.cluster_ips), "first value must match `clusterIP`")
    for index, address in enumerate(spec.external_ips):
        if problem := syntax.address(address):
            complaints.invalid(f"spec.externalIPs[{index}]", address, problem)
    for index, network in enumerate(spec.load_balancer_source_ranges):
        if problem := syntax.network(network):
            complaints.invalid(f"spec.loadBalancerSourceRanges[{index}]", network, problem)


def _check_ports(complaints: Complaints, spec: ServiceSpec) -> None:
    names: set[str] = set()
    numbers: set[tuple[int, str]] = set()
    node_ports: set[tuple[int, str]] = set()
    for index, port in enumerate(spec.ports):
        path = f"spec.ports[{index}]"
        _check_port(complaints, port, path, named=len(spec.ports) > 1)
        protocol = port.protocol or "TCP"
        if port.name and port.name in names:
            complaints.duplicate(f"{path}.name", port.name)
        names.add(port.name or "")
        if (port.port, protocol) in numbers:
            complaints.duplicate(path, {"port": port.port, "protocol": protocol})
        numbers.add((port.port, protocol))
        if port.node_port:
            if spec.type not in ("NodePort", "LoadBalancer"):
                complaints.forbidden(f"{path}.nodePort", "may not be used when `type` is 'ClusterIP'")
            elif (port.node_port, protocol) in node_ports:
                complaints.duplicate(f"{path}.nodePort", port.node_port)
            node_ports.add((port.node_port, protocol))


def _check_port(complaints: Complaints, port: ServicePort, path: str, named: bool) -> None:
    if not port.name:
        if named:
            complaints.required(f"{path}.name")
    elif problem := syntax.label(port.name):
        complaints.invalid(f"{path}.name", port.name, problem)
    if problem := syntax.port(port.port):
        complaints.invalid(f"{path}.port", port.port, problem)
    if port.node_port and (problem := syntax.port(port.node_port)):
        complaints.invalid(f"{path}.nodePort", port.node_port, problem)
    complaints.one_of(f"{path}.protocol", port.protocol, PROTOCOLS, optional=False)
    target = port.target_port
    if target is not None:
        problem = syntax.port(target) if isinstance(target, int) else syntax.port_name(target)
        if problem:
            complaints.invalid(f"{path}.targetPort", target, problem)


def _check_affinity(complaints: Complaints, spec: ServiceSpec) -> None:
    config = spec.session_affinity_config
    if spec.session_affinity == "None" and config is not None:
        complaints.forbidden("spec.sessionAffinityConfig", "must not be set when session affinity is None")
    if config is None or config.client_ip is None:
        return
    seconds = config.client_ip.timeout_seconds
    if seconds is not None and not 1 <= seconds <= AFFINITY_SECONDS_MAX:
        complaints.invalid(
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
            seconds,
            f"must be between 1 and {AFFINITY_SECONDS_MAX}",
        )


def check_endpoints(complaints: Complaints, endpoints: Endpoints) -> None:
    for index, subset in enumerate(endpoints.subsets):
        path = f"subsets[{index}]"
        if not subset.addresses and not subset.not_ready_addresses:
            complaints.required(path, "must specify `addresses` or `notReadyAddresses`")
        for field, addresses in (("addresses", subset.addresses), ("notReadyAddresses", subset.not_ready_addresses)):
            for position, address in enumerate(addresses):
                if problem := syntax.address(address.ip):
                    complaints.invalid(f"{path}.{field}[{position}].ip", address.ip, problem)
        for position, port in enumerate(subset.ports):
            here = f"{path}.ports[{position}]"
            if len(subset.ports) > 1 and not port.name:
                complaints.required(f"{here}.name")
            if problem := syntax.port(port.port):
                complaints.invalid(f"{here}.port", port.port, problem)
            complaints.one_of(f"{here}.protocol", port.protocol, PROTOCOLS, optional=False)


def check_endpoint_slice(complaints: Complaints, endpoint_slice: EndpointSlice) -> None:
    complaints.one_of("addressType", endpoint_slice.address_type, ("FQDN", "IPv4", "IPv6"), optional=False)
    if len(endpoint_slice.endpoints) > SLICE_ENDPOINTS_MAX:
        complaints.invalid("endpoints", len(endpoint_slice.endpoints), f"must have at most {SLICE_ENDPOINTS_MAX} items")
    if len(endpoint_slice.ports) > SLICE_PORTS_MAX:
        complaints.invalid("ports", len(endpoint_slice.ports), f"must have at most {SLICE_PORTS_MAX} items")
    check_address = syntax.subdomain if endpoint_slice.address_type == "FQDN" else syntax.address
    for index, endpoint in enumerate(endpoint_slice.endpoints):
        path = f"endpoints[{index}].addresses"
        if not endpoint.addresses:
            complaints.required(path, "must contain at least 1 address")
        for position, address in enumerate(endpoint.addresses):
            if problem := check_address(address):
                complaints.invalid(f"{path}[{position}]", address, problem)
    names: set[str] = set()
    for index, port in enumerate(endpoint_slice.ports):
        if port.name in names:
            complaints.duplicate(f"ports[{index}].name", port.name)
        names.add(port.name or "")
        if port.port is not None and (problem := syntax.port(port.port)):
            complaints.invalid(f"ports[{index}].port", port.port, problem)
        complaints.one_of(f"ports[{index}].protocol", port.protocol, PROTOCOLS)


def check_endpoint_slice_update(complaints: Complaints, old: EndpointSlice, new: EndpointSlice) -> None:
    if old.address_type != new.address_type:
        complaints.invalid("addressType", new.address_type, "field is immutable")
