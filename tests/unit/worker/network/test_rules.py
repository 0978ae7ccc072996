"""Which endpoints get traffic, and which Services and routes there are."""

from __future__ import annotations

from orchestr8.api.meta import ObjectMeta
from orchestr8.api.node import Node, NodeAddress, NodeSpec, NodeStatus
from orchestr8.api.service import (
    ClientIPConfig,
    Endpoint,
    EndpointConditions,
    EndpointSlice,
    Service,
    ServicePort,
    ServiceSpec,
    SessionAffinityConfig,
    SliceEndpointPort,
)
from orchestr8.worker.network import base, rules
from orchestr8.worker.network.base import Backend, NodeRoute


def service(
    name: str = "web", ip: str | None = "10.96.0.10", ports: tuple[ServicePort, ...] = (), **spec: object
) -> Service:
    ports = ports or (ServicePort(port=80, protocol="TCP"),)
    return Service(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=ServiceSpec(cluster_ip=ip, ports=ports, **spec),  # type: ignore[arg-type]
    )


def endpoint(
    ip: str, node: str = "w1", *, ready: bool | None = True, serving: bool = False, ending: bool = False
) -> Endpoint:
    conditions = EndpointConditions(ready=ready, serving=serving, terminating=ending)
    return Endpoint(addresses=(ip,), node_name=node, conditions=conditions)


def part(
    *endpoints: Endpoint, of: str = "web", port: int = 8080, port_name: str | None = None, protocol: str = "TCP",
    name: str = "web-1", address_type: str = "IPv4", namespace: str = "default",
) -> EndpointSlice:  # fmt: skip
    return EndpointSlice(
        metadata=ObjectMeta(name=name, namespace=namespace, labels={rules.SERVICE_NAME_LABEL: of}),
        address_type=address_type,
        endpoints=endpoints,
        ports=(SliceEndpointPort(name=port_name, port=port, protocol=protocol),),
    )


def only(services: list[Service], slices: list[EndpointSlice]) -> base.ServicePort:
    (found,) = rules.service_ports(services, slices, "w1")
    return found


def ips(backends: tuple[Backend, ...]) -> list[str]:
    return [backend.ip for backend in backends]


def test_ready_endpoints_of_all_slices_get_traffic_and_those_of_this_node_are_known_as_local() -> None:
    slices = [
        part(endpoint("10.70.1.5"), endpoint("10.70.1.6", ready=False), name="web-1"),
        part(endpoint("10.70.2.5", "w2"), endpoint("10.70.1.5"), name="web-2"),
        part(endpoint("10.70.2.9", "w2"), of="other"),
        part(endpoint("10.70.2.8", "w2"), namespace="elsewhere"),
        part(endpoint("fd00::1", "w2"), address_type="IPv6"),
    ]
    found = only([service()], slices)
    assert found.name == "default/web/80"
    assert found.backends == (Backend("10.70.1.5", 8080), Backend("10.70.2.5", 8080))
    assert found.local_backends == (Backend("10.70.1.5", 8080),)


def test_an_endpoint_that_says_nothing_about_readiness_is_ready() -> None:
    slices = [part(endpoint("10.70.1.5", ready=None), Endpoint(addresses=("10.70.1.6",)))]
    assert ips(only([service()], slices).backends) == ["10.70.1.5", "10.70.1.6"]


def test_endpoints_that_still_serve_while_they_end_are_used_only_when_none_is_ready() -> None:
    ending = endpoint("10.70.1.5", ready=False, serving=True, ending=True)
    assert ips(only([service()], [part(ending)]).backends) == ["10.70.1.5"]
    assert ips(only([service()], [part(ending, endpoint("10.70.2.5", "w2"))]).backends) == ["10.70.2.5"]
    # Local traffic has its own view: no ready endpoint here, so the ending one still serves.
    assert ips(only([service()], [part(ending, endpoint("10.70.2.5", "w2"))]).local_backends) == ["10.70.1.5"]
    assert only([service()], [part(endpoint("10.70.1.6", ready=False, ending=True))]).backends == ()


def test_ports_are_matched_by_name_and_protocol() -> None:
    ports = (
        ServicePort(name="http", port=80, protocol="TCP", node_port=30080),
        ServicePort(name="dns", port=53, protocol="UDP"),
        ServicePort(name="dns-tcp", port=53, protocol="TCP"),
    )
    slices = [
        part(endpoint("10.70.1.5"), port_name="http", port=8080),
        part(endpoint("10.70.1.6"), port_name="dns", port=5353, protocol="UDP"),
        part(endpoint("10.70.1.7"), port_name="dns-tcp", port=5353, protocol="UDP"),
    ]
    found = {port.name: port for port in rules.service_ports([service(ports=ports)], slices, "w1")}
    assert found["default/web/http"].backends == (Backend("10.70.1.5", 8080),)
    assert found["default/web/http"].node_port == 30080
    assert found["default/web/dns"].backends == (Backend("10.70.1.6", 5353),)
    assert found["default/web/dns"].protocol == "udp"
    assert found["default/web/dns-tcp"].backends == ()


def test_headless_external_and_unaddressed_services_have_nothing_to_translate() -> None:
    services = [service(ip="None"), service(ip=""), service(ip=None), service(type="ExternalName", ip="10.96.0.9")]
    assert rules.service_ports(services, [part(endpoint("10.70.1.5"))], "w1") == ()


def test_policies_and_affinity_come_from_the_spec_with_kubernetes_defaults() -> None:
    plain = only([service()], [])
    assert (plain.affinity_seconds, plain.local_only, plain.internal_local_only) == (0, False, False)
    sticky = only([service(session_affinity="ClientIP", external_traffic_policy="Local")], [])
    assert (sticky.affinity_seconds, sticky.local_only) == (10_800, True)
    config = SessionAffinityConfig(client_ip=ClientIPConfig(timeout_seconds=60))
    assert only([service(session_affinity="ClientIP", session_affinity_config=config)], []).affinity_seconds == 60
    assert only([service(internal_traffic_policy="Local")], []).internal_local_only


def test_what_would_make_the_kernel_refuse_the_whole_table_is_left_out() -> None:
    bad = ["127.0.0.1", "169.254.1.1", "224.0.0.1", "0.0.0.0", "255.255.255.255", "not-an-address", "10.1.1.1; flush"]
    slices = [part(*map(endpoint, bad), endpoint("10.70.1.5")), part(endpoint("10.70.1.6"), port=70_000)]
    assert ips(only([service()], slices).backends) == ["10.70.1.5"]
    twins = [
        service("a", ports=(ServicePort(port=80, node_port=30080),)),
        service("b", ports=(ServicePort(port=80),)),
        service("c", ip="10.96.0.11", ports=(ServicePort(port=80, node_port=30080),)),
        service("d", ip="10.96.0.12", ports=(ServicePort(port=80, protocol="UDP", node_port=30080),)),
        service("e", ip="10.96.0.13", ports=(ServicePort(port=80, protocol="SCTP"), ServicePort(port=0))),
    ]
    assert [port.name for port in rules.service_ports(twins, [], "w1")] == ["default/a/80", "default/d/80"]


def test_the_order_of_the_objects_does_not_matter() -> None:
    services = [service("a"), service("b", ip="10.96.0.11")]
    slices = [part(endpoint("10.70.1.5"), of="a"), part(endpoint("10.70.2.5"), endpoint("10.70.1.6"), of="b")]
    assert rules.service_ports(services, slices, "w1") == rules.service_ports(services[::-1], slices[::-1], "w1")


def test_routes_lead_to_every_other_node_that_has_a_range_and_an_address() -> None:
    def node(name: str, cidr: str | None, *addresses: tuple[str, str]) -> Node:
        status = NodeStatus(addresses=tuple(NodeAddress(type=kind, address=address) for kind, address in addresses))
        return Node(metadata=ObjectMeta(name=name), spec=NodeSpec(pod_cidr=cidr), status=status)

    nodes = [
        node("w3", "10.70.3.0/24", ("Hostname", "w3"), ("InternalIP", "10.77.0.13")),
        node("w1", "10.70.1.0/24", ("InternalIP", "10.77.0.11")),
        node("w2", "10.70.2.0/24", ("InternalIP", "fd00::2"), ("InternalIP", "10.77.0.12")),
        node("new", None, ("InternalIP", "10.77.0.14")),
        node("lost", "10.70.5.0/24"),
        node("odd", "0.0.0.0/0", ("InternalIP", "10.77.0.15")),
    ]
    assert rules.routes(nodes, "w1") == (
        NodeRoute(node="w2", node_ip="10.77.0.12", pod_cidr="10.70.2.0/24"),
        NodeRoute(node="w3", node_ip="10.77.0.13", pod_cidr="10.70.3.0/24"),
    )
