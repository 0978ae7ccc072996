from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.api.defaults import apply_defaults
from orchestr8.api.meta import ObjectMeta
from orchestr8.api.node import Node
from orchestr8.api.service import Service, ServicePort, ServiceSpec
from orchestr8.errors import Invalid
from orchestr8.master.controllers import node_ranges, service_addresses
from orchestr8.master.controllers.service_addresses import Ranges, allocate
from orchestr8.store.command import Key
from tests.unit.master.controllers.world import World, node

RANGES = Ranges.parse("10.96.0.0/16", "30000-32767")
ALL_SERVICES = Key("Service", "", "")
ALL_NODES = Key("Node", "", "")


def service(name="web", *ports, **spec):
    ports = ports or (ServicePort(port=80),)
    return apply_defaults(
        Service(metadata=ObjectMeta(name=name, namespace="default"), spec=ServiceSpec(ports=ports, **spec))
    )


def test_a_service_gets_an_address_of_the_upper_part_of_the_range():
    spec = allocate(service(), [], RANGES).spec
    assert spec.cluster_ips == (spec.cluster_ip,)
    assert spec.cluster_ip.startswith("10.96.") and not spec.cluster_ip.startswith("10.96.0.")


def test_the_same_service_gets_the_same_address_and_others_get_others():
    first = allocate(service(), [], RANGES)
    assert allocate(service(), [], RANGES) == first
    assert allocate(service(), [first], RANGES).spec.cluster_ip != first.spec.cluster_ip


@pytest.mark.parametrize("spec", [{"cluster_ip": "None"}, {"type": "ExternalName", "external_name": "example.org"}])
def test_a_headless_service_and_an_external_name_get_no_address(spec):
    assert allocate(service(**spec), [], RANGES).spec.cluster_ip == spec.get("cluster_ip")


def test_node_ports_are_given_to_each_port_of_a_node_port_service():
    wanted = service("web", ServicePort(port=80, name="a"), ServicePort(port=81, name="b"), type="NodePort")
    numbers = [port.node_port for port in allocate(wanted, [], RANGES).spec.ports]
    assert len(set(numbers)) == 2
    assert all(30_000 <= number <= 32_767 for number in numbers)


def test_what_a_user_asks_for_is_kept():
    wanted = service("web", ServicePort(port=80, node_port=30_080), type="NodePort", cluster_ip="10.96.0.10")
    spec = allocate(wanted, [], RANGES).spec
    assert (spec.cluster_ip, spec.ports[0].node_port) == ("10.96.0.10", 30_080)


def test_a_service_that_is_no_longer_a_node_port_service_gives_its_ports_back():
    wanted = service("web", ServicePort(port=80, node_port=30_080))
    assert allocate(wanted, [], RANGES).spec.ports[0].node_port is None


HOLDER = allocate(
    service("holder", ServicePort(port=80, node_port=30_080), type="NodePort", cluster_ip="10.96.0.10"), [], RANGES
)


@pytest.mark.parametrize(
    ("wanted", "field", "complaint"),
    [
        (service(cluster_ip="10.96.0.10"), "spec.clusterIP", "already allocated"),
        (service(cluster_ip="10.97.0.1"), "spec.clusterIP", "not in the service range"),
        (service(cluster_ip="10.96.0.0"), "spec.clusterIP", "not in the service range"),
        (service(cluster_ip="web"), "spec.clusterIP", "not an IPv4 address"),
        (service("w", ServicePort(port=1, node_port=30_080), type="NodePort"), "spec.ports[0].nodePort", "already"),
        (service("w", ServicePort(port=1, node_port=80), type="NodePort"), "spec.ports[0].nodePort", "not in the node"),
    ],
)
def test_what_cannot_be_given_is_refused_naming_the_field(wanted, field, complaint):
    with pytest.raises(Invalid, match=complaint) as caught:
        allocate(wanted, [HOLDER], RANGES)
    assert caught.value.causes[0].field == field


def test_one_port_number_may_serve_both_protocols_of_two_services():
    wanted = service("dns", ServicePort(port=53, node_port=30_080, protocol="UDP"), type="NodePort")
    assert allocate(wanted, [HOLDER], RANGES).spec.ports[0].node_port == 30_080


@given(st.integers(28, 30), st.integers(0, 20))
def test_every_address_of_a_range_is_given_once_and_then_it_is_used_up(prefix, seed):
    ranges = Ranges(IPv4Network(f"10.96.0.0/{prefix}"), 30_000, 30_001)
    given_out = []
    for number in range(2 ** (32 - prefix) - 2):
        given_out.append(allocate(service(f"s{seed}-{number}"), given_out, ranges))
    addresses = {each.spec.cluster_ip for each in given_out}
    assert len(addresses) == len(given_out)
    with pytest.raises(Invalid, match="used up"):
        allocate(service("one-more"), given_out, ranges)


def test_of_two_services_with_one_address_the_older_keeps_it():
    world = World()
    first = world.put(allocate(service("b-first"), [], RANGES))
    world.seconds += 10
    world.put(service("a-second", cluster_ip=first.spec.cluster_ip))
    plan = world.step(service_addresses.decide, ALL_SERVICES, RANGES)
    assert world.get(Service, "b-first").spec.cluster_ip == first.spec.cluster_ip
    assert world.get(Service, "a-second").spec.cluster_ip not in (first.spec.cluster_ip, None)
    assert [note.reason for note in plan.events] == ["AddressConflict"]


def test_services_that_are_in_order_are_left_alone():
    world = World()
    world.put(allocate(service("a"), [], RANGES))
    world.put(service("b", cluster_ip="None"))
    assert service_addresses.decide(world.view, ALL_SERVICES, world.now, RANGES).writes == ()


def test_each_node_gets_a_range_of_its_own_and_keeps_it():
    world = World()
    for name in ("n1", "n2", "n3"):
        world.put(node(name))
    world.settle(node_ranges.decide, ALL_NODES, "10.70.0.0/22")
    before = {each.metadata.name: each.spec.pod_cidr for each in world.list(Node)}
    assert before == {"n1": "10.70.0.0/24", "n2": "10.70.1.0/24", "n3": "10.70.2.0/24"}
    assert world.get(Node, "n1", "").spec.pod_cidrs == ("10.70.0.0/24",)
    world.remove(world.get(Node, "n1", ""))
    world.put(node("n4"))
    world.settle(node_ranges.decide, ALL_NODES, "10.70.0.0/22")
    after = {each.metadata.name: each.spec.pod_cidr for each in world.list(Node)}
    assert after == {"n2": "10.70.1.0/24", "n3": "10.70.2.0/24", "n4": "10.70.0.0/24"}


def test_a_node_without_a_range_left_is_told_so():
    world = World()
    for name in ("n1", "n2"):
        world.put(node(name))
    plan = world.step(node_ranges.decide, ALL_NODES, "10.70.0.0/24")
    assert [(note.regarding.metadata.name, note.reason) for note in plan.events] == [("n2", "CIDRNotAvailable")]
