"""What the scheduler knows of pods and nodes: objects read once into small frozen facts.

Pods that ask for the same thing on behalf of the same owner are one ``Family``; what a family needs of a node apart
from room (labels, tolerations, images) is its ``Needs``. Both are shared by identity, so that a cached answer for one
pod of a template serves all of them. ``Usage`` is what the pods of one node take away, as a value: adding a pod makes
a new one.

Source: Kubernetes, "Resource management for pods", "Sidecar containers" (requests of init containers).
"""

from __future__ import annotations

from weakref import WeakValueDictionary

import msgspec

from orchestr8.api.node import Node, Taint
from orchestr8.api.pod import Container, NodeSelectorTerm, Pod, PreferredSchedulingTerm, Toleration
from orchestr8.api.quantity import cpu_millis, memory_bytes

ZONE_LABEL = "topology.kubernetes.io/zone"
SCHEDULER_NAMES = (None, "", "default-scheduler")
# A pod that asks for nothing still takes something: scores (never filters) count at least this much for it.
SCORED_CPU_MILLIS = 100
SCORED_MEMORY_BYTES = 200 * 1024 * 1024

HostPort = tuple[str, str, int]  # (host address or "0.0.0.0", protocol, port)


class Demand(msgspec.Struct, frozen=True):
    """What one pod takes from a node: thousandths of a CPU, bytes, counts."""

    cpu_millis: int = 0
    memory_bytes: int = 0
    storage_bytes: int = 0
    extended: tuple[tuple[str, int], ...] = ()
    ports: tuple[HostPort, ...] = ()


class Needs:
    """What a family asks of a node whatever runs there. Compared by identity: ``Families`` shares equal ones."""

    __slots__ = ("__weakref__", "images", "node_selector", "preferred", "required", "tolerations")

    def __init__(
        self,
        node_selector: tuple[tuple[str, str], ...],
        required: tuple[NodeSelectorTerm, ...] | None,
        preferred: tuple[PreferredSchedulingTerm, ...],
        tolerations: tuple[Toleration, ...],
        images: tuple[str, ...],
    ) -> None:
        self.node_selector = node_selector
        self.required = required
        self.preferred = preferred
        self.tolerations = tolerations
        self.images = images


class Family:
    """Pods that the scheduler cannot tell apart: the same owner, needs and demand. Compared by identity."""

    __slots__ = ("__weakref__", "demand", "needs", "owner")

    def __init__(self, owner: str, needs: Needs, demand: Demand) -> None:
        self.owner = owner
        self.needs = needs
        self.demand = demand


class PodFacts(msgspec.Struct, frozen=True):
    """``created_seconds``: since the epoch. ``waits``: ours to place. ``takes_room``: bound and not finished."""

    namespace: str
    name: str
    uid: str
    family: Family
    priority: int
    created_seconds: int
    node_name: str
    gates: tuple[str, ...]
    waits: bool
    takes_room: bool

    @property
    def key(self) -> tuple[str, str]:
        return (self.namespace, self.name)

    @property
    def order(self) -> tuple[int, int, str, str]:
        """Sorts by priority, then age; the name only settles ties."""
        return (-self.priority, self.created_seconds, self.namespace, self.name)


class Families:
    """Gives equal families (and needs) one identity for as long as somebody holds them."""

    def __init__(self) -> None:
        self._needs: WeakValueDictionary[object, Needs] = WeakValueDictionary()
        self._families: WeakValueDictionary[object, Family] = WeakValueDictionary()

    def read(self, pod: Pod, known: PodFacts | None = None) -> PodFacts:
        """``known``: facts of the same pod under an equal spec and owner, whose family is taken over unread."""
        meta, spec, node_name = pod.metadata, pod.spec, pod.spec.node_name or ""
        created = meta.creation_timestamp
        finished = pod.status.phase in ("Succeeded", "Failed")
        unbound = not node_name and not finished and meta.deletion_timestamp is None
        return PodFacts(
            namespace=meta.namespace or "",
            name=meta.name or "",
            uid=meta.uid or "",
            family=known.family if known is not None else self._family(pod),
            priority=spec.priority or 0,
            created_seconds=int(created.timestamp()) if created is not None else 0,
            node_name=node_name,
            gates=tuple(gate.name for gate in spec.scheduling_gates),
            waits=unbound and spec.scheduler_name in SCHEDULER_NAMES,
            takes_room=bool(node_name) and not finished,
        )

    def _family(self, pod: Pod) -> Family:
        demand = demand_of(pod)
        owner = next((o.uid for o in pod.metadata.owner_references if o.controller), "")
        needs = self._needs_of(pod)
        key = (owner, id(needs), demand)
        family = self._families.get(key)
        if family is None:
            self._families[key] = family = Family(owner, needs, demand)
        return family

    def _needs_of(self, pod: Pod) -> Needs:
        spec = pod.spec
        affinity = spec.affinity.node_affinity if spec.affinity is not None else None
        required = affinity.required_during_scheduling_ignored_during_execution if affinity is not None else None
        key = (
            tuple(sorted(spec.node_selector.items())),
            required.node_selector_terms if required is not None else None,
            affinity.preferred_during_scheduling_ignored_during_execution if affinity is not None else (),
            spec.tolerations,
            tuple(sorted({container.image for container in spec.containers if container.image})),
        )
        needs = self._needs.get(key)
        if needs is None:
            self._needs[key] = needs = Needs(*key)
        return needs


class NodeFacts(msgspec.Struct, frozen=True, eq=False):
    """One Node object as filters and scores read it. A changed node has new facts: identity is its generation.

    ``plain``: ready, not cordoned and without taints, as nearly all nodes are nearly always.
    """

    name: str
    ready: bool
    unschedulable: bool
    labels: dict[str, str]
    taints: tuple[Taint, ...]
    cpu_millis: int
    memory_bytes: int
    storage_bytes: int
    pods: int
    extended: dict[str, int]
    images: dict[str, int]
    zone: str
    plain: bool


class Usage(msgspec.Struct, frozen=True):
    """What the pods on one node take. The ``scored`` sums count a minimum for pods that request nothing."""

    cpu_millis: int = 0
    memory_bytes: int = 0
    storage_bytes: int = 0
    pods: int = 0
    scored_cpu_millis: int = 0
    scored_memory_bytes: int = 0
    extended: dict[str, int] = {}
    ports: tuple[HostPort, ...] = ()
    owners: dict[str, int] = {}

    def plus(self, family: Family) -> Usage:
        demand = family.demand
        return self._changed(family, 1, self.ports + demand.ports if demand.ports else self.ports)

    def minus(self, family: Family) -> Usage:
        left = list(self.ports)
        for port in family.demand.ports:
            left.remove(port)
        return self._changed(family, -1, tuple(left))

    def _changed(self, family: Family, sign: int, ports: tuple[HostPort, ...]) -> Usage:
        demand = family.demand
        extended = self.extended
        for name, amount in demand.extended:
            extended = {**extended, name: extended.get(name, 0) + sign * amount}
        owners = self.owners
        if family.owner:
            owners = {**owners, family.owner: owners.get(family.owner, 0) + sign}
            if not owners[family.owner]:
                del owners[family.owner]
        return Usage(
            self.cpu_millis + sign * demand.cpu_millis,
            self.memory_bytes + sign * demand.memory_bytes,
            self.storage_bytes + sign * demand.storage_bytes,
            self.pods + sign,
            self.scored_cpu_millis + sign * (demand.cpu_millis or SCORED_CPU_MILLIS),
            self.scored_memory_bytes + sign * (demand.memory_bytes or SCORED_MEMORY_BYTES),
            extended,
            ports,
            owners,
        )


NO_USAGE = Usage()


def node_facts(node: Node) -> NodeFacts:
    """What the node does not report, it does not have."""
    allocatable = node.status.allocatable or node.status.capacity
    ready = next((c.status for c in node.status.conditions if c.type == "Ready"), "Unknown")
    unschedulable = bool(node.spec.unschedulable) or node.metadata.deletion_timestamp is not None
    images = {name: image.size_bytes or 0 for image in node.status.images for name in image.names}
    return NodeFacts(
        name=node.metadata.name or "",
        ready=ready == "True",
        unschedulable=unschedulable,
        labels=node.metadata.labels,
        taints=node.spec.taints,
        cpu_millis=_amount("cpu", allocatable.get("cpu", "0")),
        memory_bytes=_amount("memory", allocatable.get("memory", "0")),
        storage_bytes=_amount("ephemeral-storage", allocatable.get("ephemeral-storage", "0")),
        pods=_amount("pods", allocatable.get("pods", "0")),
        extended={name: _amount(name, text) for name, text in allocatable.items() if name not in _PLAIN_RESOURCES},
        images=images,
        zone=node.metadata.labels.get(ZONE_LABEL, ""),
        plain=ready == "True" and not unschedulable and not node.spec.taints,
    )


_PLAIN_RESOURCES = frozenset({"cpu", "memory", "ephemeral-storage", "pods"})


def demand_of(pod: Pod) -> Demand:
    """The most that the pod's containers request at one time, plus its overhead.

    Init containers run one after the other beside the sidecars that started before them; then the containers run
    beside all sidecars.
    """
    spec = pod.spec
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in spec.init_containers:
        requests = _requests(container)
        if container.restart_policy == "Always":
            _add(sidecars, requests)
            _raise_to(peak, sidecars)
        else:
            alone = dict(sidecars)
            _add(alone, requests)
            _raise_to(peak, alone)
    running = sidecars
    for container in spec.containers:
        _add(running, _requests(container))
    _raise_to(peak, running)
    _add(peak, {name: _amount(name, text) for name, text in spec.overhead.items()})
    return Demand(
        peak.pop("cpu", 0),
        peak.pop("memory", 0),
        peak.pop("ephemeral-storage", 0),
        tuple(sorted((name, amount) for name, amount in peak.items() if amount and name != "pods")),
        _host_ports(pod),
    )


def _host_ports(pod: Pod) -> tuple[HostPort, ...]:
    found = {
        (port.host_ip or "0.0.0.0", port.protocol or "TCP", port.host_port)
        for container in (*pod.spec.containers, *pod.spec.init_containers)
        for port in container.ports
        if port.host_port
    }
    return tuple(sorted(found))


def _requests(container: Container) -> dict[str, int]:
    if container.resources is None:
        return {}
    return {name: _amount(name, text) for name, text in container.resources.requests.items()}


def _amount(name: str, text: str) -> int:
    """CPU in thousandths, all else in bytes or whole pieces. Text that is no quantity counts as nothing."""
    try:
        return cpu_millis(text) if name == "cpu" else memory_bytes(text)
    except ValueError:
        return 0


def _add(into: dict[str, int], amounts: dict[str, int]) -> None:
    for name, amount in amounts.items():
        into[name] = into.get(name, 0) + amount


def _raise_to(into: dict[str, int], amounts: dict[str, int]) -> None:
    for name, amount in amounts.items():
        into[name] = max(into.get(name, 0), amount)
