"""Which EndpointSlices a Service has: one row of slices for each set of ports that its pods answer on.

Endpoints stay in the slice that they are in, new ones fill the gaps: one change rewrites one slice.
Source: Kubernetes, "EndpointSlices" (distribution of EndpointSlices).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec

from orchestr8.api.meta import ObjectMeta, owner_reference
from orchestr8.api.service import Endpoint, EndpointSlice, Service, SliceEndpointPort
from orchestr8.store.plan import Create, Remove, Update, Write

SLICE_ENDPOINTS = 100
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"

Ports = tuple[SliceEndpointPort, ...]


def slice_writes(
    service: Service, slices: list[EndpointSlice], wanted: dict[Ports, dict[str, Endpoint]]
) -> Iterator[Write]:
    """``slices``: those there are. ``wanted``: pod uid to endpoint, for each set of ports."""
    labels = _labels(service)
    taken = {each.metadata.name for each in slices}
    # One empty slice says that the Service is known and nobody answers.
    for ports, endpoints in (wanted or {(): {}}).items():
        mine = [each for each in slices if each.ports == ports]
        slices = [each for each in slices if each.ports != ports]
        yield from _group_writes(service, labels, ports, endpoints, mine, taken)
    for left in slices:
        yield Remove(left)


def _group_writes(
    service: Service,
    labels: dict[str, str],
    ports: Ports,
    endpoints: dict[str, Endpoint],
    slices: list[EndpointSlice],
    taken: set[str],
) -> Iterator[Write]:
    """Slices of one set of ports: what stays stays where it is, what is new fills the gaps, then new slices."""
    rest = dict(endpoints)
    filled: list[tuple[EndpointSlice, list[Endpoint]]] = []
    for each in slices:
        uids = [endpoint.target_ref.uid or "" for endpoint in each.endpoints if endpoint.target_ref is not None]
        filled.append((each, [rest.pop(uid) for uid in uids if uid in rest]))
    waiting = list(rest.values())
    for _, members in filled:
        room = max(0, SLICE_ENDPOINTS - len(members))
        members.extend(waiting[:room])
        waiting = waiting[room:]
    used = [(each, members) for each, members in filled if members] or filled[:1]
    for each, members in filled:
        if (each, members) not in used:
            yield Remove(each)
            continue
        changed = msgspec.structs.replace(each, endpoints=tuple(members))
        if changed.metadata.labels != labels:
            changed = msgspec.structs.replace(changed, metadata=msgspec.structs.replace(each.metadata, labels=labels))
        if changed != each:
            yield Update(changed)
    while waiting or not filled:
        name = _slice_name(service, taken)
        taken.add(name)
        created = EndpointSlice(
            metadata=ObjectMeta(
                name=name,
                generate_name=f"{service.metadata.name}-",
                namespace=service.metadata.namespace,
                labels=labels,
                owner_references=(owner_reference(service),),
            ),
            address_type="IPv4",
            ports=ports,
            endpoints=tuple(waiting[:SLICE_ENDPOINTS]),
        )
        waiting = waiting[SLICE_ENDPOINTS:]
        filled.append((created, []))
        yield Create(created)


def _labels(service: Service) -> dict[str, str]:
    labels = {**service.metadata.labels, SERVICE_NAME: service.metadata.name, MANAGED_BY: MANAGER}
    if service.spec.cluster_ip == "None":
        labels[HEADLESS] = ""
    return labels


def _slice_name(service: Service, taken: set[str]) -> str:
    """The first free name of a row that the Service's uid decides, so that no chance is needed."""
    number = 0
    while True:
        digest = hashlib.blake2b(f"{service.metadata.uid}/{number}".encode(), digest_size=4).hexdigest()[:5]
        name = f"{service.metadata.name}-{digest}"
        if name not in taken:
            return name
        number += 1
