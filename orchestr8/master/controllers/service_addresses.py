"""The addresses of Services: a cluster IP each, a node port for each port that wants one.

The API server calls ``allocate`` while it admits a Service, so that the answer to POST already carries them. Two
masters may then choose the same one at the same time; the controller finds that and gives the younger Service another.
A choice starts at a place that depends on the Service's name and goes up from there, so that an address is seldom
reused soon and no chance is needed. The lower part of each range is left for addresses that users ask for.
Source: Kubernetes, "Service ClusterIP allocation" and NodePort ranges.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network

import msgspec

from orchestr8.api.service import Service, ServicePort
from orchestr8.errors import Cause, Invalid
from orchestr8.master.controllers.controller import Moment
from orchestr8.store.command import Key
from orchestr8.store.history import Change
from orchestr8.store.plan import Note, Plan, Update, Write
from orchestr8.store.view import View

_ALL = Key("Service", "", "")
_WITH_NODE_PORTS = ("NodePort", "LoadBalancer")
_PORTS_KEPT_LOW = 86  # of the default 2,768 node ports


class Ranges(msgspec.Struct, frozen=True):
    """``first_port`` and ``last_port`` are both part of the range."""

    service_network: IPv4Network
    first_port: int
    last_port: int

    @classmethod
    def parse(cls, service_cidr: str, node_port_range: str) -> Ranges:
        """As in the settings: ``10.96.0.0/16`` and ``30000-32767``. Raises ValueError."""
        first, _, last = node_port_range.partition("-")
        return cls(IPv4Network(service_cidr), int(first), int(last))


class Taken:
    """What other Services hold."""

    def __init__(self, services: Iterable[Service]) -> None:
        self.addresses: set[str] = set()
        self.ports: set[tuple[int, str]] = set()
        for service in services:
            self.add(service)

    def add(self, service: Service) -> None:
        self.addresses.update(_addresses(service))
        self.ports.update(_node_ports(service))


def allocate(service: Service, others: Iterable[Service], ranges: Ranges) -> Service:
    """``service`` with everything that its type needs; what it asks for is kept.

    Raises Invalid, naming the field, when what it asks for is taken or out of range, or when a range is used up.
    """
    taken = Taken(others)
    return _with_node_ports(_with_cluster_ip(service, taken, ranges), taken, ranges)


def decide(view: View, key: Key, now: Moment, ranges: Ranges) -> Plan:
    """All Services; ``key`` is always the same. The oldest holder of an address keeps it."""
    taken = Taken(())
    writes: list[Write] = []
    notes: list[Note] = []
    for service in sorted(view.list(Service), key=_age):
        released = _release(service, taken)
        try:
            repaired = _with_node_ports(_with_cluster_ip(released, taken, ranges), taken, ranges)
        except Invalid as error:
            notes.append(Note(service, "Warning", "AddressNotAvailable", error.message))
            taken.add(released)
            continue
        taken.add(repaired)
        if repaired != service:
            writes.append(Update(repaired))
            if released != service:
                message = f"another Service holds the same address: now {repaired.spec.cluster_ip}"
                notes.append(Note(service, "Warning", "AddressConflict", message))
    return Plan(tuple(writes), tuple(notes))


def affected(change: Change, view: View) -> Iterator[Key]:
    if change.after is not None:
        yield _ALL


def everything(view: View) -> Iterable[Key]:
    return (_ALL,)


# -- cluster addresses --------------------------------------------------------------------------------------


def _addresses(service: Service) -> set[str]:
    spec = service.spec
    return {address for address in (spec.cluster_ip, *spec.cluster_ips) if address and address != "None"}


def _with_cluster_ip(service: Service, taken: Taken, ranges: Ranges) -> Service:
    spec = service.spec
    if spec.type == "ExternalName":
        return service
    asked = spec.cluster_ip
    if asked == "None":
        return _spec(service, cluster_ips=("None",))
    if asked:
        _check_address(asked, taken, ranges)
    else:
        asked = _free_address(service, taken, ranges)
    return _spec(service, cluster_ip=asked, cluster_ips=(asked,))


def _check_address(text: str, taken: Taken, ranges: Ranges) -> None:
    network = ranges.service_network
    try:
        address = IPv4Address(text)
    except ValueError:
        raise _invalid("spec.clusterIP", f"{text!r} is not an IPv4 address or None") from None
    if address not in network or address in (network.network_address, network.broadcast_address):
        raise _invalid("spec.clusterIP", f"{text} is not in the service range {network}")
    if text in taken.addresses:
        raise _invalid("spec.clusterIP", f"{text} is already allocated to another Service")


def _free_address(service: Service, taken: Taken, ranges: Ranges) -> str:
    network = ranges.service_network
    usable = network.num_addresses - 2
    low = min(max(16, network.num_addresses // 16), 256, usable)
    for offset in _places(service, usable, low):
        address = str(network.network_address + 1 + offset)
        if address not in taken.addresses:
            return address
    raise _invalid("spec.clusterIP", f"the service range {network} is used up: delete unused Services")


# -- node ports -----------------------------------------------------------------------------------------------


def _node_ports(service: Service) -> set[tuple[int, str]]:
    return {(port.node_port, port.protocol or "TCP") for port in service.spec.ports if port.node_port}


def _with_node_ports(service: Service, taken: Taken, ranges: Ranges) -> Service:
    """Node ports where the type has them, none where it has not."""
    spec = service.spec
    if spec.type not in _WITH_NODE_PORTS:
        return _spec(service, ports=tuple(_port(port, None) for port in spec.ports))
    for index, port in enumerate(spec.ports):
        if port.node_port:
            _check_port(f"spec.ports[{index}].nodePort", port, taken, ranges)
    used = {number for number, _ in (*taken.ports, *_node_ports(service))}
    ports: list[ServicePort] = []
    for index, port in enumerate(spec.ports):
        number = port.node_port
        if not number and (spec.type == "NodePort" or spec.allocate_load_balancer_node_ports is not False):
            number = _free_port(service, index, used, ranges)
            used.add(number)
        ports.append(_port(port, number))
    return _spec(service, ports=tuple(ports))


def _check_port(field: str, port: ServicePort, taken: Taken, ranges: Ranges) -> None:
    number = port.node_port or 0
    if not ranges.first_port <= number <= ranges.last_port:
        raise _invalid(field, f"{number} is not in the node port range {ranges.first_port}-{ranges.last_port}")
    if (number, port.protocol or "TCP") in taken.ports:
        raise _invalid(field, f"{number}/{port.protocol or 'TCP'} is already allocated to another Service")


def _free_port(service: Service, index: int, used: set[int], ranges: Ranges) -> int:
    count = ranges.last_port - ranges.first_port + 1
    for offset in _places(service, count, min(_PORTS_KEPT_LOW, count // 32)):
        if ranges.first_port + offset not in used:
            return ranges.first_port + offset
    message = f"the node port range {ranges.first_port}-{ranges.last_port} is used up: delete unused Services"
    raise _invalid(f"spec.ports[{index}].nodePort", message)


# -- both -------------------------------------------------------------------------------------------------------


def _places(service: Service, count: int, low: int) -> Iterator[int]:
    """Offsets 0 to ``count - 1``, the upper part first, from a place that the Service's name decides."""
    name = f"{service.metadata.namespace}/{service.metadata.name}".encode()
    start = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big")
    upper = count - low
    for step in range(upper):
        yield low + (start + step) % upper
    yield from range(low)


def _release(service: Service, taken: Taken) -> Service:
    """Gives up what an older Service holds."""
    if _addresses(service) & taken.addresses:
        service = _spec(service, cluster_ip=None, cluster_ips=())
    clashing = _node_ports(service) & taken.ports
    if clashing:
        service = _spec(
            service,
            ports=tuple(
                _port(port, None) if (port.node_port, port.protocol or "TCP") in clashing else port
                for port in service.spec.ports
            ),
        )
    return service


def _spec(service: Service, **changes: object) -> Service:
    spec = msgspec.structs.replace(service.spec, **changes)
    return service if spec == service.spec else msgspec.structs.replace(service, spec=spec)


def _port(port: ServicePort, node_port: int | None) -> ServicePort:
    return port if port.node_port == node_port else msgspec.structs.replace(port, node_port=node_port)


def _age(service: Service) -> tuple[float, str]:
    created = service.metadata.creation_timestamp
    return (created.timestamp() if created is not None else 0.0, service.metadata.uid)


def _invalid(field: str, message: str) -> Invalid:
    return Invalid(f"{field}: {message}", (Cause(field, message),))
