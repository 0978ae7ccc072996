"""What a node may say about itself: ``registered`` and ``reported`` merge its words into the Node object. Pure.

The node owns its status and three well-known labels; users own every other label, taints and ``unschedulable``, and
the controllers the pod range. Conditions are merged by type, so that one that the node does not send stays.
Source: Kubernetes, "Nodes", and the NodeRestriction admission plugin for the labels a node may give itself.
"""

from __future__ import annotations

import datetime as dt

import msgspec

from orchestr8.api import quantity
from orchestr8.api.meta import ObjectMeta
from orchestr8.api.node import Node, NodeCondition, NodeSpec, NodeStatus
from orchestr8.clock import to_seconds
from orchestr8.errors import Cause, Invalid

_OWN_LABELS = ("kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch")
# Labels by which users keep pods off a node must not be given by the node.
_RESERVED_DOMAINS = ("kubernetes.io", "k8s.io", "orchestr8.io")
_ALLOWED_RESERVED = frozenset(
    {
        *_OWN_LABELS,
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "node.kubernetes.io/instance-type",
    }
)


def registered(existing: Node | None, sent: Node, now: dt.datetime, uid: str) -> Node:
    """The Node as it shall be; equal to ``existing`` if nothing is new. ``uid`` is used for a new one.

    The first registration takes the labels and taints that the worker was started with; later they are the user's.
    Raises Invalid when amounts are no quantities.
    """
    name = sent.metadata.name or ""
    _check_amounts(sent.status)
    own = _own_labels(name, sent)
    if existing is None:
        labels = {key: value for key, value in sent.metadata.labels.items() if _may_label(key)}
        metadata = ObjectMeta(name=name, uid=uid, creation_timestamp=to_seconds(now), labels={**labels, **own})
        spec = NodeSpec(taints=sent.spec.taints, provider_id=sent.spec.provider_id)
        status = merged_status(NodeStatus(), sent.status, now)
        return Node(metadata=metadata, spec=spec, status=status)
    metadata = msgspec.structs.replace(existing.metadata, labels={**existing.metadata.labels, **own})
    return msgspec.structs.replace(existing, metadata=metadata, status=merged_status(existing.status, sent.status, now))


def reported(existing: Node, status: NodeStatus, now: dt.datetime) -> Node:
    """The Node after ``node.status``; equal to ``existing`` if nothing is new. Raises Invalid as ``registered``."""
    _check_amounts(status)
    return msgspec.structs.replace(existing, status=merged_status(existing.status, status, now))


def merged_status(old: NodeStatus, new: NodeStatus, now: dt.datetime) -> NodeStatus:
    """The new status with the conditions of both; a condition's transition time changes only with its status."""
    conditions = {condition.type: condition for condition in old.conditions}
    for condition in new.conditions:
        conditions[condition.type] = _transitioned(conditions.get(condition.type), condition, now)
    return msgspec.structs.replace(new, conditions=tuple(conditions.values()))


def _transitioned(old: NodeCondition | None, new: NodeCondition, now: dt.datetime) -> NodeCondition:
    # lastHeartbeatTime would make every report a write: heartbeats are kept in memory instead.
    same = old is not None and old.status == new.status
    changed_at = old.last_transition_time if old is not None and same else to_seconds(now)
    return msgspec.structs.replace(new, last_transition_time=changed_at, last_heartbeat_time=None)


def _own_labels(name: str, sent: Node) -> dict[str, str]:
    info = sent.status.node_info
    hostname = sent.metadata.labels.get("kubernetes.io/hostname", name)
    system = info.operating_system if info is not None and info.operating_system else "linux"
    values = (hostname, system, info.architecture if info is not None else "")
    return {key: value for key, value in zip(_OWN_LABELS, values, strict=True) if value}


def _may_label(key: str) -> bool:
    domain = key.rpartition("/")[0]
    reserved = any(domain == each or domain.endswith(f".{each}") for each in _RESERVED_DOMAINS)
    return key in _ALLOWED_RESERVED or not reserved


def _check_amounts(status: NodeStatus) -> None:
    causes = tuple(
        Cause(f"status.{field}[{name}]", f"{text[:64]!r} is not a quantity")
        for field, amounts in (("capacity", status.capacity), ("allocatable", status.allocatable))
        for name, text in amounts.items()
        if not quantity.is_valid(text)
    )
    if causes:
        raise Invalid("the node reports amounts that are no quantities", causes)
