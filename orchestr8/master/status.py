"""What `orchestr8 status` shows, from what one master knows: pure, so that it answers without a quorum too.

A warning says what is wrong and the command that mends it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from orchestr8 import __version__, limits
from orchestr8.api.node import Node
from orchestr8.api.pod import Pod
from orchestr8.raft.store import RaftStatus
from orchestr8.store.view import View


def cluster_status(raft: RaftStatus, view: View) -> dict[str, Any]:
    """JSON-able. ``quorum``: this master hears a leader, or leads a majority; without it ``revision`` may be old."""
    quorum = has_quorum(raft)
    nodes = [_node(node) for node in view.list(Node)]
    phases = Counter(pod.status.phase or "Pending" for pod in view.list(Pod))
    return {
        "version": __version__,
        "answeredBy": raft.node_id,
        "quorum": quorum,
        "leader": raft.leader if quorum else None,
        "term": raft.term,
        "revision": raft.revision,
        "ageSeconds": None if raft.last_contact_seconds is None else round(raft.last_contact_seconds, 1),
        "masters": [_master(name, address, raft) for name, address in sorted(raft.members.items())],
        "nodes": nodes,
        "pods": dict(sorted(phases.items())),
        "warnings": _warnings(raft, quorum, nodes),
    }


def has_quorum(raft: RaftStatus) -> bool:
    if raft.role == "leader":
        return 2 * (len(raft.connected) + 1) > len(raft.members)
    heard = raft.last_contact_seconds
    return raft.leader is not None and heard is not None and heard <= limits.LEADER_FALLBACK_SECONDS


def one_line(raft: RaftStatus, view: View) -> str:
    """For systemd's STATUS=: ``leading, term 7, 5/5 nodes ready``."""
    if not has_quorum(raft):
        return f"no quorum: this master is connected to {', '.join(raft.connected) or 'no other'}"
    nodes = view.list(Node)
    ready = sum(_ready(node) for node in nodes)
    role = "leading" if raft.role == "leader" else f"following {raft.leader}"
    return f"{role}, term {raft.term}, {ready}/{len(nodes)} nodes ready"


def _master(name: str, address: str, raft: RaftStatus) -> dict[str, Any]:
    """``connected`` is what the answering master sees; about itself it knows."""
    return {
        "name": name,
        "address": address,
        "role": "leader" if name == raft.leader else "follower",
        "connected": name == raft.node_id or name in raft.connected,
    }


def _node(node: Node) -> dict[str, Any]:
    return {
        "name": node.metadata.name,
        "ready": _ready(node),
        "schedulable": not node.spec.unschedulable,
        "podCIDR": node.spec.pod_cidr,
        "version": node.status.node_info.kubelet_version if node.status.node_info else "",
    }


def _ready(node: Node) -> bool:
    return any(condition.type == "Ready" and condition.status == "True" for condition in node.status.conditions)


def _warnings(raft: RaftStatus, quorum: bool, nodes: list[dict[str, Any]]) -> list[str]:
    found = []
    if not quorum:
        found.append(
            "no quorum: what is shown may be old and nothing can be changed; start the missing masters"
            " (systemctl start orchestr8-master)"
        )
    if raft.disk_error:
        found.append(f"{raft.node_id} cannot write its journal: {raft.disk_error}; free space on its state directory")
    if len(raft.members) == 2:
        found.append("two masters are no safer than one: both must run; use one or three")
    found += [
        f"node {node['name']} is not ready: orchestr8 describe node {node['name']}"
        for node in nodes
        if not node["ready"]
    ]
    return found
