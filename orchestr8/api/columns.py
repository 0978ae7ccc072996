"""What a table shows of each kind: the columns and cells that people know from kubectl.

``row`` derives everything from the object and ``now``. Used by the API server's tables and by the command line.
Columns of priority 1 are shown only on request (``-o wide``).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from orchestr8.api import selectors
from orchestr8.api.config import ConfigMap, Namespace, Secret, ServiceAccount
from orchestr8.api.events import Event
from orchestr8.api.meta import Object
from orchestr8.api.node import Lease, Node
from orchestr8.api.pod import Pod, PodTemplateSpec
from orchestr8.api.pod_summary import pod_restarts, pod_status
from orchestr8.api.service import Endpoints, EndpointSlice, Service
from orchestr8.api.workloads import Deployment, ReplicaSet

Cell = str | int
NONE = "<none>"
_SHOWN_AT_MOST = 3
_ROLE_LABEL = "node-role.kubernetes.io/"


class Column(msgspec.Struct, frozen=True):
    """``type`` and ``format`` are OpenAPI's; ``priority`` 0 is always shown, 1 only in wide output."""

    name: str
    description: str
    type: str = "string"
    priority: int = 0
    format: str = ""


def columns(kind: str) -> tuple[Column, ...]:
    """The columns of a kind; a kind without its own has name and age."""
    return _TABLES[kind][0] if kind in _TABLES else _PLAIN


def row(obj: Object, now: dt.datetime) -> list[Cell]:
    """One cell per column of ``columns(obj.kind)``. ``now``: aware UTC."""
    if obj.kind in _TABLES:
        return _TABLES[obj.kind][1](obj, now)
    return [obj.metadata.name, age(obj.metadata.creation_timestamp, now)]


def age(since: dt.datetime | None, now: dt.datetime) -> str:
    """How long ago, to two figures at most: 42s, 5m3s, 3h, 2d4h, 1y30d; ``<unknown>`` for no time."""
    if since is None:
        return "<unknown>"
    return duration((now - since).total_seconds())


def duration(seconds_float: float) -> str:
    seconds = int(seconds_float)
    if seconds < 0:
        return "<invalid>" if seconds < -1 else "0s"
    minutes, hours, days = seconds // 60, seconds // 3_600, seconds // 86_400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    if days < 2_920:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}" + (f"{small}{small_unit}" if small else "")


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or NONE


def _some(items: Iterable[str], nothing: str) -> str:
    """The first few items; how many more there are is said, not shown."""
    listed = list(items)
    shown = ",".join(listed[:_SHOWN_AT_MOST])
    if len(listed) > _SHOWN_AT_MOST:
        return f"{shown} + {len(listed) - _SHOWN_AT_MOST} more..."
    return shown or nothing


# -- one function per kind -------------------------------------------------------------------------


def _pod(pod: Pod, now: dt.datetime) -> list[Cell]:
    status = pod_status(pod)
    restarts, last_restart = pod_restarts(pod)
    restarts_text = f"{restarts} ({age(last_restart, now)} ago)" if restarts and last_restart else str(restarts)
    conditions = {condition.type: condition.status for condition in pod.status.conditions}
    gates = [gate.condition_type for gate in pod.spec.readiness_gates]
    open_gates = sum(conditions.get(gate) == "True" for gate in gates)
    return [
        pod.metadata.name,
        f"{status.ready}/{status.total}",
        status.reason,
        restarts_text,
        age(pod.metadata.creation_timestamp, now),
        pod.status.pod_ip or NONE,
        pod.spec.node_name or NONE,
        pod.status.nominated_node_name or NONE,
        f"{open_gates}/{len(gates)}" if gates else NONE,
    ]


def _template(template: PodTemplateSpec) -> list[Cell]:
    containers = template.spec.containers
    return [",".join(container.name for container in containers), ",".join(c.image or "" for c in containers)]


def _deployment(deployment: Deployment, now: dt.datetime) -> list[Cell]:
    status = deployment.status
    return [
        deployment.metadata.name,
        f"{status.ready_replicas or 0}/{deployment.spec.replicas or 0}",
        status.updated_replicas or 0,
        status.available_replicas or 0,
        age(deployment.metadata.creation_timestamp, now),
        *_template(deployment.spec.template),
        selectors.format_object(deployment.spec.selector) or NONE,
    ]


def _replica_set(replica_set: ReplicaSet, now: dt.datetime) -> list[Cell]:
    return [
        replica_set.metadata.name,
        replica_set.spec.replicas or 0,
        replica_set.status.replicas,
        replica_set.status.ready_replicas or 0,
        age(replica_set.metadata.creation_timestamp, now),
        *_template(replica_set.spec.template),
        selectors.format_object(replica_set.spec.selector) or NONE,
    ]


def _service(service: Service, now: dt.datetime) -> list[Cell]:
    spec = service.spec
    ports = [
        f"{port.port}:{port.node_port}/{port.protocol}" if port.node_port else f"{port.port}/{port.protocol}"
        for port in spec.ports
    ]
    return [
        service.metadata.name,
        spec.type or "ClusterIP",
        spec.cluster_ip or NONE,
        _external(service),
        ",".join(ports) or NONE,
        age(service.metadata.creation_timestamp, now),
        _labels(spec.selector),
    ]


def _external(service: Service) -> str:
    spec, balancer = service.spec, service.status.load_balancer
    if spec.type == "ExternalName":
        return spec.external_name or NONE
    addresses = list(spec.external_ips)
    if spec.type == "LoadBalancer":
        ingress = balancer.ingress if balancer is not None else ()
        addresses = [one.ip or one.hostname or "" for one in ingress] + addresses
        return ",".join(addresses) or "<pending>"
    return ",".join(addresses) or NONE


def _endpoints(endpoints: Endpoints, now: dt.datetime) -> list[Cell]:
    listed = [
        f"{address.ip}:{port.port}" if port is not None else address.ip
        for subset in endpoints.subsets
        for port in (subset.ports or (None,))
        for address in subset.addresses
    ]
    return [endpoints.metadata.name, _some(listed, NONE), age(endpoints.metadata.creation_timestamp, now)]


def _endpoint_slice(endpoint_slice: EndpointSlice, now: dt.datetime) -> list[Cell]:
    ports = [str(port.port) if port.port is not None else "*" for port in endpoint_slice.ports]
    addresses = [address for endpoint in endpoint_slice.endpoints for address in endpoint.addresses]
    return [
        endpoint_slice.metadata.name,
        endpoint_slice.address_type,
        _some(ports, "<unset>"),
        _some(addresses, "<unset>"),
        age(endpoint_slice.metadata.creation_timestamp, now),
    ]


def node_status(node: Node) -> str:
    """Ready, NotReady or Unknown, and SchedulingDisabled for a cordoned node."""
    ready = next((condition for condition in node.status.conditions if condition.type == "Ready"), None)
    text = "Unknown" if ready is None else "Ready" if ready.status == "True" else "NotReady"
    return f"{text},SchedulingDisabled" if node.spec.unschedulable else text


def _node(node: Node, now: dt.datetime) -> list[Cell]:
    roles = sorted(key.removeprefix(_ROLE_LABEL) for key in node.metadata.labels if key.startswith(_ROLE_LABEL))
    addresses = {address.type: address.address for address in reversed(node.status.addresses)}
    info = node.status.node_info
    unknown = "<unknown>"
    return [
        node.metadata.name,
        node_status(node),
        ",".join(role for role in roles if role) or NONE,
        age(node.metadata.creation_timestamp, now),
        info.kubelet_version if info is not None else "",
        addresses.get("InternalIP", NONE),
        addresses.get("ExternalIP", NONE),
        (info.os_image if info is not None else "") or unknown,
        (info.kernel_version if info is not None else "") or unknown,
        (info.container_runtime_version if info is not None else "") or unknown,
    ]


def _namespace(namespace: Namespace, now: dt.datetime) -> list[Cell]:
    return [namespace.metadata.name, namespace.status.phase or "", age(namespace.metadata.creation_timestamp, now)]


def _config_map(config_map: ConfigMap, now: dt.datetime) -> list[Cell]:
    count = len(config_map.data) + len(config_map.binary_data)
    return [config_map.metadata.name, count, age(config_map.metadata.creation_timestamp, now)]


def _secret(secret: Secret, now: dt.datetime) -> list[Cell]:
    return [secret.metadata.name, secret.type or "", len(secret.data), age(secret.metadata.creation_timestamp, now)]


def _service_account(account: ServiceAccount, now: dt.datetime) -> list[Cell]:
    return [account.metadata.name, len(account.secrets), age(account.metadata.creation_timestamp, now)]


def _lease(lease: Lease, now: dt.datetime) -> list[Cell]:
    return [lease.metadata.name, lease.spec.holder_identity or "", age(lease.metadata.creation_timestamp, now)]


def _event(event: Event, now: dt.datetime) -> list[Cell]:
    first = event.first_timestamp or event.event_time
    last, count = event.last_timestamp or event.event_time, event.count or 1
    if event.series is not None:
        last, count = event.series.last_observed_time or last, event.series.count or count
    regarding, source = event.involved_object, event.source
    component = (source.component if source is not None else None) or event.reporting_component or ""
    host = source.host if source is not None else event.reporting_instance
    return [
        age(last, now),
        event.type or "",
        event.reason or "",
        f"{(regarding.kind or '').lower()}/{regarding.name or ''}",
        regarding.field_path or "",
        f"{component}, {host}" if host else component,
        (event.message or "").strip(),
        age(first, now),
        count,
        event.metadata.name,
    ]


# -- the columns -----------------------------------------------------------------------------------

_NAME = Column("Name", "Name of the object, unique in its namespace.", format="name")
_AGE = Column("Age", "Time since the object was made.")
_TEMPLATE = (
    Column("Containers", "Names of the containers in the template.", priority=1),
    Column("Images", "Images of the containers in the template.", priority=1),
    Column("Selector", "Labels by which pods are found.", priority=1),
)
_PLAIN = (_NAME, _AGE)

_TABLES: dict[str, tuple[tuple[Column, ...], Callable[[Any, dt.datetime], list[Cell]]]] = {
    "Pod": (
        (
            _NAME,
            Column("Ready", "Containers that are ready, of all."),
            Column("Status", "Where the pod is in its life, or what keeps it from going on."),
            Column("Restarts", "How often containers were started again, and when last."),
            _AGE,
            Column("IP", "Address of the pod.", priority=1),
            Column("Node", "Node that runs the pod.", priority=1),
            Column("Nominated Node", "Node that makes room for the pod.", priority=1),
            Column("Readiness Gates", "Extra conditions that hold, of all.", priority=1),
        ),
        _pod,
    ),
    "Deployment": (
        (
            _NAME,
            Column("Ready", "Pods that are ready, of those wanted."),
            Column("Up-to-date", "Pods of the newest template.", type="integer"),
            Column("Available", "Pods that have been ready long enough.", type="integer"),
            _AGE,
            *_TEMPLATE,
        ),
        _deployment,
    ),
    "ReplicaSet": (
        (
            _NAME,
            Column("Desired", "Pods wanted.", type="integer"),
            Column("Current", "Pods there are.", type="integer"),
            Column("Ready", "Pods that are ready.", type="integer"),
            _AGE,
            *_TEMPLATE,
        ),
        _replica_set,
    ),
    "Service": (
        (
            _NAME,
            Column("Type", "How the Service is reached."),
            Column("Cluster-IP", "Address inside the cluster."),
            Column("External-IP", "Addresses outside the cluster."),
            Column("Port(s)", "Ports, with the port of every node after the colon."),
            _AGE,
            Column("Selector", "Labels of the pods behind the Service.", priority=1),
        ),
        _service,
    ),
    "Endpoints": ((_NAME, Column("Endpoints", "Addresses behind the Service."), _AGE), _endpoints),
    "EndpointSlice": (
        (
            _NAME,
            Column("AddressType", "What kind of addresses the slice holds."),
            Column("Ports", "Ports of the endpoints."),
            Column("Endpoints", "Addresses of the endpoints."),
            _AGE,
        ),
        _endpoint_slice,
    ),
    "Node": (
        (
            _NAME,
            Column("Status", "Whether the node works and takes new pods."),
            Column("Roles", "Roles of the node, from its labels."),
            _AGE,
            Column("Version", "Version of the agent on the node."),
            Column("Internal-IP", "Address inside the cluster.", priority=1),
            Column("External-IP", "Address outside the cluster.", priority=1),
            Column("OS-Image", "Operating system.", priority=1),
            Column("Kernel-Version", "Kernel.", priority=1),
            Column("Container-Runtime", "Container runtime and its version.", priority=1),
        ),
        _node,
    ),
    "Namespace": ((_NAME, Column("Status", "Active, or Terminating while it is emptied."), _AGE), _namespace),
    "ConfigMap": ((_NAME, Column("Data", "Number of entries.", type="string"), _AGE), _config_map),
    "Secret": (
        (_NAME, Column("Type", "What the entries are for."), Column("Data", "Number of entries."), _AGE),
        _secret,
    ),
    "ServiceAccount": ((_NAME, Column("Secrets", "Number of secrets."), _AGE), _service_account),
    "Lease": ((_NAME, Column("Holder", "Who holds the lease."), _AGE), _lease),
    "Event": (
        (
            Column("Last Seen", "Time since it happened last."),
            Column("Type", "Normal or Warning."),
            Column("Reason", "What happened, in one word."),
            Column("Object", "Whom it happened to."),
            Column("Subobject", "The part it happened to.", priority=1),
            Column("Source", "Who reported it.", priority=1),
            Column("Message", "What happened, for people."),
            Column("First Seen", "Time since it happened first.", priority=1),
            Column("Count", "How often it happened.", type="integer", priority=1),
            Column("Name", "Name of the event.", priority=1, format="name"),
        ),
        _event,
    ),
}
