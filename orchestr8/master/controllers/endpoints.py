"""Which pods answer for a Service: its EndpointSlices (what nodes route by) and its Endpoints (what people read).

A pod is an endpoint while it has an address and has not finished. It is ready when its Ready condition says so and it
is not being deleted; ``serving`` leaves the deletion out of account. A Service without selector is left to its user.
Source: Kubernetes, "EndpointSlices".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from orchestr8.api import selectors
from orchestr8.api.meta import ObjectMeta, ObjectReference
from orchestr8.api.pod import Pod
from orchestr8.api.service import (
    Endpoint,
    EndpointAddress,
    EndpointConditions,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    EndpointSubset,
    Service,
    ServicePort,
    SliceEndpointPort,
)
from orchestr8.master.controllers.controller import Moment
from orchestr8.master.controllers.endpoint_slices import (
    HEADLESS,
    MANAGED_BY,
    MANAGER,
    SERVICE_NAME,
    Ports,
    slice_writes,
)
from orchestr8.master.controllers.facts import FINISHED_PHASES, is_ready, key_of
from orchestr8.store.command import Key
from orchestr8.store.history import Change
from orchestr8.store.plan import NOTHING, Create, Plan, Remove, Update, Write
from orchestr8.store.view import View

# Endpoints objects above this are cut, as Kubernetes cuts them at 1,000: they are rewritten whole at every change.
ENDPOINTS_ADDRESSES = 250
_ENDPOINTS_MANAGED_BY = "endpoints.kubernetes.io/managed-by"
_ENDPOINTS_MANAGER = "endpoint-controller"
_OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"


class Answering(msgspec.Struct, frozen=True):
    """One pod of a Service and the ports it answers on."""

    pod: Pod
    ports: Ports
    endpoint: Endpoint


def decide(view: View, key: Key, now: Moment) -> Plan:
    """The plan for one Service; also for one that is gone and left its Endpoints behind."""
    service = view.get(Service, key.namespace, key.name)
    existing = view.get(Endpoints, key.namespace, key.name)
    if service is None:
        ours = existing is not None and existing.metadata.labels.get(_ENDPOINTS_MANAGED_BY) == _ENDPOINTS_MANAGER
        return Plan((Remove(existing),)) if existing is not None and ours else NOTHING
    if service.metadata.deletion_timestamp is not None or not service.spec.selector:
        return NOTHING
    answering = [] if service.spec.type == "ExternalName" else _answering(view, service)
    slices = [
        each
        for each in view.matching(EndpointSlice, key.namespace, selectors.from_labels({SERVICE_NAME: key.name}))
        if each.metadata.labels.get(MANAGED_BY) == MANAGER and each.metadata.deletion_timestamp is None
    ]
    wanted: dict[Ports, dict[str, Endpoint]] = {}
    for each in answering:
        wanted.setdefault(each.ports, {})[each.pod.metadata.uid] = each.endpoint
    return Plan((*slice_writes(service, slices, wanted), *_endpoints_writes(service, existing, answering)))


def affected(change: Change, view: View) -> Iterator[Key]:
    """A Service's own key; for a pod, the Services that select it, if anything they care about changed."""
    kind, namespace, name = change.key
    if kind == "Pod":
        before = change.before.obj if change.before is not None else None
        after = change.after.obj if change.after is not None else None
        if _outline(before) != _outline(after):
            yield from _selecting(view, namespace, [each for each in (before, after) if isinstance(each, Pod)])
    elif kind == "EndpointSlice":
        for stored in (change.before, change.after):
            if stored is not None and SERVICE_NAME in stored.obj.metadata.labels:
                yield Key("Service", namespace, stored.obj.metadata.labels[SERVICE_NAME])
    else:
        yield Key("Service", namespace, name)


def everything(view: View) -> Iterator[Key]:
    for kind in ("Service", "Endpoints"):
        for stored in view.stored_list(kind):
            yield Key("Service", stored.key.namespace, stored.key.name)


def _selecting(view: View, namespace: str, pods: list[Pod]) -> Iterator[Key]:
    for service in view.list(Service, namespace):
        wanted = service.spec.selector.items()
        if wanted and any(wanted <= pod.metadata.labels.items() for pod in pods):
            yield key_of(service)


def _outline(pod: Any) -> Any:
    """What endpoints depend on."""
    if not isinstance(pod, Pod):
        return None
    meta, finished = pod.metadata, pod.status.phase in FINISHED_PHASES
    terminating = meta.deletion_timestamp is not None
    return (meta.labels, meta.uid, terminating, pod.spec.node_name, pod.status.pod_ip, finished, is_ready(pod))


# -- who answers ----------------------------------------------------------------------------------------------


def _answering(view: View, service: Service) -> list[Answering]:
    found: list[Answering] = []
    selector = selectors.from_labels(service.spec.selector)
    for pod in view.matching(Pod, service.metadata.namespace, selector):
        if not pod.status.pod_ip or pod.status.phase in FINISHED_PHASES:
            continue
        terminating = pod.metadata.deletion_timestamp is not None
        serving = is_ready(pod)
        ready = bool(service.spec.publish_not_ready_addresses) or (serving and not terminating)
        endpoint = Endpoint(
            addresses=(pod.status.pod_ip,),
            conditions=EndpointConditions(ready=ready, serving=serving, terminating=terminating),
            node_name=pod.spec.node_name,
            hostname=pod.spec.hostname if pod.spec.hostname and pod.spec.subdomain == service.metadata.name else None,
            target_ref=_reference(pod),
        )
        found.append(Answering(pod, _ports(service, pod), endpoint))
    return found


def _reference(pod: Pod) -> ObjectReference:
    meta = pod.metadata
    return ObjectReference(kind="Pod", name=meta.name, namespace=meta.namespace, uid=meta.uid)


def _ports(service: Service, pod: Pod) -> Ports:
    ports: list[SliceEndpointPort] = []
    for port in service.spec.ports:
        number = _target(port, pod)
        if number is not None:
            protocol = port.protocol or "TCP"
            ports.append(
                SliceEndpointPort(name=port.name or "", port=number, protocol=protocol, app_protocol=port.app_protocol)
            )
    return tuple(ports)


def _target(port: ServicePort, pod: Pod) -> int | None:
    """The pod's port; None when it has no port of that name."""
    target = port.target_port
    if not isinstance(target, str) or not target:
        return target if isinstance(target, int) and target else port.port
    for container in pod.spec.containers:
        for each in container.ports:
            if each.name == target and (each.protocol or "TCP") == (port.protocol or "TCP"):
                return each.container_port
    return None


# -- Endpoints ----------------------------------------------------------------------------------------------------


def _endpoints_writes(service: Service, existing: Endpoints | None, answering: list[Answering]) -> Iterator[Write]:
    shown = answering[:ENDPOINTS_ADDRESSES]
    meta = existing.metadata if existing is not None else ObjectMeta()
    labels = {**service.metadata.labels, _ENDPOINTS_MANAGED_BY: _ENDPOINTS_MANAGER}
    if service.spec.cluster_ip == "None":
        labels[HEADLESS] = ""
    annotations = {name: text for name, text in meta.annotations.items() if name != _OVER_CAPACITY}
    if len(shown) < len(answering):
        annotations[_OVER_CAPACITY] = "truncated"
    changed = Endpoints(
        metadata=msgspec.structs.replace(
            meta,
            name=service.metadata.name,
            namespace=service.metadata.namespace,
            labels=labels,
            annotations=annotations,
        ),
        subsets=_subsets(shown),
    )
    if existing is None:
        yield Create(changed)
    elif changed != existing:
        yield Update(changed)


def _subsets(answering: list[Answering]) -> tuple[EndpointSubset, ...]:
    groups: dict[Ports, tuple[list[EndpointAddress], list[EndpointAddress]]] = {}
    for each in answering:
        if not each.ports:
            continue
        conditions = each.endpoint.conditions
        ready = conditions is not None and bool(conditions.ready)
        if conditions is not None and conditions.terminating and not ready:
            continue
        address = EndpointAddress(
            ip=each.endpoint.addresses[0],
            node_name=each.endpoint.node_name,
            hostname=each.endpoint.hostname,
            target_ref=each.endpoint.target_ref,
        )
        groups.setdefault(each.ports, ([], []))[0 if ready else 1].append(address)
    return tuple(
        EndpointSubset(
            addresses=tuple(sorted(ready, key=_ip)),
            not_ready_addresses=tuple(sorted(not_ready, key=_ip)),
            ports=tuple(
                EndpointPort(
                    name=port.name or None, port=port.port or 0, protocol=port.protocol, app_protocol=port.app_protocol
                )
                for port in ports
            ),
        )
        for ports, (ready, not_ready) in groups.items()
    )


def _ip(address: EndpointAddress) -> str:
    return address.ip
