"""From ServicePorts to the text of the nft table ``ip o8``, replaced whole in one transaction. Pure.

Shape: one verdict map from (address, protocol, port) to a chain per Service port, one for node ports; the chain
translates to one of the backends. Chains per backend exist only where a client must come back to the same one
(session affinity), with a set of clients each. Names begin with a letter and ``_``, for words such as ``fwd`` belong
to nft. The mark's bit is set by ``or``: other programs use other bits of it.

Who keeps its source address: pods and nodes when they talk to pods, also through a Service; clients of a node port
with externalTrafficPolicy Local. The node's address is put in its place for a pod that reaches itself through its
Service, for node ports with policy Cluster (the answer must come back here), and for pods that talk to the world.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from orchestr8.worker.network.base import Backend, NodeRoute, ServicePort

TABLE = "ip o8"
_MARK = "0x4000"

# Clients known to a set of session affinity: set -> {client: seconds left}.
Affinity = Mapping[str, Mapping[str, int]]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where the rules are: the node's own address and range ("" until it has one)."""

    node_ip: str
    pod_cidr: str


def render(
    ports: tuple[ServicePort, ...], place: Place, routes: tuple[NodeRoute, ...] = (), affinity: Affinity | None = None
) -> str:
    """Input for ``nft -f -``. ``ports`` must be free of clashes, as those of ``rules.service_ports`` are."""
    served = [port for port in ports if _internal(port)]
    exposed = [port for port in ports if port.node_port and port.backends]
    unserved = [port for port in ports if not _internal(port)]
    lines = [f"table {TABLE}", f"delete table {TABLE}", f"table {TABLE} {{"]
    lines += _collection(
        "map svc", "ipv4_addr . inet_proto . inet_service : verdict",
        (f"{_key(port)} : goto {_chain('s', port)}" for port in served),
    )  # fmt: skip
    lines += _collection(
        "map nodeports", "inet_proto . inet_service : verdict",
        (f"{_node_key(port)} : goto {_chain('x', port)}" for port in exposed),
    )  # fmt: skip
    lines += _collection("set noep", "ipv4_addr . inet_proto . inet_service", map(_key, unserved))
    lines += _collection(
        "set noep_nodeports", "inet_proto . inet_service",
        (_node_key(port) for port in ports if port.node_port and not port.backends),
    )  # fmt: skip
    local = sorted({backend.ip for port in ports for backend in port.local_backends})
    lines += _collection("set hairpin", "ipv4_addr . ipv4_addr", (f"{ip} . {ip}" for ip in local))
    inside = [place.node_ip, place.pod_cidr, *(part for route in routes for part in (route.node_ip, route.pod_cidr))]
    lines += _collection("set cluster", "ipv4_addr; flags interval; auto-merge", filter(None, dict.fromkeys(inside)))
    for port in ports:
        lines += _service_chains(port, place, affinity or {})
    return "\n".join([*lines, *_base_chains(place), "}", ""])


def affinity_sets(ports: tuple[ServicePort, ...]) -> set[str]:
    """The names of the sets whose elements outlive a replacement of the table."""
    return {_affinity_set(port, b) for port in ports if port.affinity_seconds for b in _all_backends(port)}


def _base_chains(place: Place) -> list[str]:
    local = "fib daddr type local ip daddr != 127.0.0.0/8"
    no_endpoints = "ct state new ip daddr . meta l4proto . th dport @noep goto c_reject"
    to_world = [f"ip saddr {place.pod_cidr} ip daddr != @cluster masquerade"] if place.pod_cidr else []
    return [
        *_block(
            "chain c_services",
            "ip daddr . meta l4proto . th dport vmap @svc",
            f"{local} meta l4proto . th dport vmap @nodeports",
        ),
        *_block("chain c_reject", "meta l4proto tcp reject with tcp reset", "reject"),
        *_block("chain c_pre", "type nat hook prerouting priority dstnat", "jump c_services"),
        *_block("chain c_out", "type nat hook output priority -100", "jump c_services"),
        *_block(
            "chain c_post",
            "type nat hook postrouting priority srcnat",
            f"ct status dnat ip saddr . ip daddr @hairpin snat to {place.node_ip} fully-random",
            f"meta mark and {_MARK} == {_MARK} snat to {place.node_ip} fully-random",
            *to_world,
        ),
        *_block("chain c_noep_forward", "type filter hook forward priority filter", no_endpoints),
        *_block("chain c_noep_output", "type filter hook output priority filter", no_endpoints),
        *_block(
            "chain c_noep_input",
            "type filter hook input priority filter",
            f"ct state new {local} meta l4proto . th dport @noep_nodeports goto c_reject",
        ),
    ]


def _service_chains(port: ServicePort, place: Place, affinity: Affinity) -> list[str]:
    lines = []
    if port.affinity_seconds:
        for backend in _all_backends(port):
            name = _affinity_set(port, backend)
            clients = (
                f"{client} timeout {port.affinity_seconds}s expires {min(seconds, port.affinity_seconds)}s"
                for client, seconds in sorted(affinity.get(name, {}).items())
            )
            kind = f"ipv4_addr; flags dynamic,timeout; timeout {port.affinity_seconds}s"
            lines += _collection(f"set {name}", kind, clients)
            remember = f"update @{name} {{ ip saddr }}"
            lines += _block(f"chain {_chain('e', port, backend)}", remember, _translate(port, (backend,)))
    if _internal(port):
        lines += _block(f"chain {_chain('s', port)}", *_choose(port, _internal(port)))
    if port.node_port and port.backends:
        lines += _block(f"chain {_chain('x', port)}", *_external(port, place))
        if port.internal_local_only:
            lines += _block(f"chain {_chain('c', port)}", *_choose(port, port.backends))
    return lines


def _external(port: ServicePort, place: Place) -> list[str]:
    """What comes to a node port. From this node and its pods it goes to any backend, whatever the policy."""
    anywhere = _chain("c" if port.internal_local_only else "s", port)
    marked = f"meta mark set meta mark or {_MARK} goto {anywhere}"
    if not port.local_only:
        return [marked]
    own = f"ip saddr {place.pod_cidr}" if place.pod_cidr else "fib saddr type local"
    rest = _choose(port, port.local_backends) if port.local_backends else ["drop"]
    return [f"fib saddr type local {marked}", f"{own} {marked}", *rest]


def _choose(port: ServicePort, backends: tuple[Backend, ...]) -> list[str]:
    if not port.affinity_seconds:
        return [_translate(port, backends)]
    known = [f"ip saddr @{_affinity_set(port, b)} goto {_chain('e', port, b)}" for b in backends]
    verdicts = ", ".join(f"{i} : goto {_chain('e', port, b)}" for i, b in enumerate(backends))
    return [*known, f"numgen random mod {len(backends)} vmap {{ {verdicts} }}"]


def _translate(port: ServicePort, backends: tuple[Backend, ...]) -> str:
    if len(backends) == 1:
        return f"meta l4proto {port.protocol} dnat to {backends[0].ip}:{backends[0].port}"
    choices = ", ".join(f"{i} : {b.ip} . {b.port}" for i, b in enumerate(backends))
    return f"meta l4proto {port.protocol} dnat to numgen random mod {len(backends)} map {{ {choices} }}"


def _internal(port: ServicePort) -> tuple[Backend, ...]:
    return port.local_backends if port.internal_local_only else port.backends


def _all_backends(port: ServicePort) -> list[Backend]:
    return sorted({*port.backends, *port.local_backends})


def _affinity_set(port: ServicePort, backend: Backend) -> str:
    return _chain("a", port, backend)


def _chain(letter: str, port: ServicePort, backend: Backend | None = None) -> str:
    name = f"{letter}_{re.sub('[^A-Za-z0-9./-]', '_', port.name)}"
    return name if backend is None else f"{name}/{backend.ip}/{backend.port}"


def _key(port: ServicePort) -> str:
    return f"{port.cluster_ip} . {port.protocol} . {port.port}"


def _node_key(port: ServicePort) -> str:
    return f"{port.protocol} . {port.node_port}"


def _collection(name: str, kind: str, elements: Iterable[str]) -> list[str]:
    listed = ",\n\t\t".join(elements)
    return _block(name, f"type {kind}", *([f"elements = {{ {listed} }}"] if listed else []))


def _block(name: str, *lines: str) -> list[str]:
    return [f"\t{name} {{", *(f"\t\t{line}" for line in lines), "\t}"]
