"""Which piece of the cluster's pod range each node has: one /24 a node, given once and kept.

Two nodes with one range would give two pods one address, so every node's range is read before one is given. The plan
is one transaction for all nodes without a range. Source: Kubernetes, node IPAM (spec.podCIDR).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network

import msgspec

from orchestr8.api.node import Node
from orchestr8.master.controllers.controller import Moment
from orchestr8.store.command import Key
from orchestr8.store.history import Change
from orchestr8.store.plan import Note, Plan, Update, Write
from orchestr8.store.view import View

NODE_PREFIX = 24
_ALL = Key("Node", "", "")


def decide(view: View, key: Key, now: Moment, cluster_cidr: str) -> Plan:
    """The ranges of all nodes; ``key`` is always the same."""
    nodes = view.list(Node)
    taken = {node.spec.pod_cidr for node in nodes if node.spec.pod_cidr}
    bare = sorted((node for node in nodes if not node.spec.pod_cidr), key=_age)
    writes: list[Write] = []
    notes: list[Note] = []
    free = (str(each) for each in IPv4Network(cluster_cidr).subnets(new_prefix=NODE_PREFIX))
    for node in bare:
        cidr = next((each for each in free if each not in taken), None)
        if cidr is None:
            message = f"no /{NODE_PREFIX} left in {cluster_cidr}: delete unused nodes or choose a larger cluster_cidr"
            notes.append(Note(node, "Warning", "CIDRNotAvailable", message))
            continue
        spec = msgspec.structs.replace(node.spec, pod_cidr=cidr, pod_cidrs=(cidr,))
        writes.append(Update(msgspec.structs.replace(node, spec=spec)))
    return Plan(tuple(writes), tuple(notes))


def affected(change: Change, view: View) -> Iterator[Key]:
    if change.after is not None and isinstance(change.after.obj, Node) and not change.after.obj.spec.pod_cidr:
        yield _ALL


def everything(view: View) -> Iterable[Key]:
    return (_ALL,)


def _age(node: Node) -> tuple[float, str]:
    created = node.metadata.creation_timestamp
    return (created.timestamp() if created is not None else 0.0, node.metadata.name)
