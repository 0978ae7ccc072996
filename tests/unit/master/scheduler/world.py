"""Nodes and pods in one line each, for the tests of the scheduler."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from orchestr8.api.meta import ObjectMeta, OwnerReference
from orchestr8.api.node import ContainerImage, Node, NodeCondition, NodeSpec, NodeStatus, Taint
from orchestr8.api.pod import (
    Affinity,
    Container,
    ContainerPort,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    PodSchedulingGate,
    PodSpec,
    PodStatus,
    PreferredSchedulingTerm,
    ResourceRequirements,
    Toleration,
)
from orchestr8.master.scheduler.cluster import Cluster
from orchestr8.master.scheduler.facts import ZONE_LABEL, PodFacts

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def node(
    name: str,
    *,
    cpu: str = "4",
    memory: str = "8Gi",
    pods: str = "110",
    labels: dict[str, str] | None = None,
    taints: Iterable[Taint] = (),
    zone: str = "",
    cordoned: bool = False,
    ready: bool = True,
    images: dict[str, int] | None = None,
    extended: dict[str, str] | None = None,
) -> Node:
    return Node(
        metadata=ObjectMeta(name=name, labels={**(labels or {}), **({ZONE_LABEL: zone} if zone else {})}),
        spec=NodeSpec(taints=tuple(taints), unschedulable=cordoned or None),
        status=NodeStatus(
            allocatable={"cpu": cpu, "memory": memory, "pods": pods, "ephemeral-storage": "50Gi", **(extended or {})},
            conditions=(NodeCondition(type="Ready", status="True" if ready else "Unknown"),),
            images=tuple(ContainerImage(names=(name,), size_bytes=size) for name, size in (images or {}).items()),
        ),
    )


def pod(
    name: str,
    *,
    cpu: str = "",
    memory: str = "",
    on: str = "",
    owner: str = "",
    selector: dict[str, str] | None = None,
    tolerations: Iterable[Toleration] = (),
    required: Iterable[NodeSelectorTerm] | None = None,
    preferred: Iterable[PreferredSchedulingTerm] = (),
    host_ports: Iterable[ContainerPort] = (),
    gates: Iterable[str] = (),
    priority: int | None = None,
    age: int = 0,
    phase: str | None = "Pending",
    image: str = "web",
    requests: dict[str, str] | None = None,
    scheduler: str | None = None,
) -> Pod:
    """``age`` in seconds before NOON."""
    amounts = {**({"cpu": cpu} if cpu else {}), **({"memory": memory} if memory else {}), **(requests or {})}
    affinity = None
    if required is not None or preferred:
        selector_terms = NodeSelector(node_selector_terms=tuple(required)) if required is not None else None
        affinity = Affinity(
            node_affinity=NodeAffinity(
                required_during_scheduling_ignored_during_execution=selector_terms,
                preferred_during_scheduling_ignored_during_execution=tuple(preferred),
            )
        )
    owners = (OwnerReference(kind="ReplicaSet", name=owner, uid=owner, controller=True),) if owner else ()
    return Pod(
        metadata=ObjectMeta(
            name=name,
            namespace="default",
            uid=f"uid-{name}",
            creation_timestamp=NOON - dt.timedelta(seconds=age),
            owner_references=owners,
        ),
        spec=PodSpec(
            containers=(
                Container(
                    name="main",
                    image=image,
                    ports=tuple(host_ports),
                    resources=ResourceRequirements(requests=amounts) if amounts else None,
                ),
            ),
            node_name=on or None,
            node_selector=selector or {},
            tolerations=tuple(tolerations),
            affinity=affinity,
            scheduling_gates=tuple(PodSchedulingGate(name=gate) for gate in gates),
            priority=priority,
            scheduler_name=scheduler,
        ),
        status=PodStatus(phase=phase),
    )


def term(key: str, operator: str, *values: str) -> NodeSelectorTerm:
    return NodeSelectorTerm(match_expressions=(NodeSelectorRequirement(key=key, operator=operator, values=values),))


def cluster(nodes: Iterable[Node], pods: Iterable[Pod] = ()) -> Cluster:
    made = Cluster()
    for each in nodes:
        made.put_node(each)
    for each in pods:
        made.put_pod(each)
    return made


def waiting(made: Cluster) -> list[PodFacts]:
    return [each for each in made.waiting() if not each.gates]
