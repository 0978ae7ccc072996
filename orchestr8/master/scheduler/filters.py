"""Can this pod run on that node, and if not, why: one class per question.

A filter answers three things: is it relevant for this family, does the node pass (fast, used in the search), and what
to show a user (every cell of the table of ``orchestr8 why``, passed or not). It also names the changes of the cluster
that may turn its no into a yes, so that a waiting pod is tried again when, and only when, that can help.
Static filters look at the node alone: their answer is kept until the node changes. Dynamic filters look at what runs
there. To add a filter, write the class and put it into one of the two lists at the end.

Source: Kubernetes, "Assigning pods to nodes", "Taints and tolerations"; messages are worded like kube-scheduler's.
"""

from __future__ import annotations

import enum
from typing import Protocol

import msgspec

from orchestr8.api.node import Taint
from orchestr8.master.scheduler.facts import Family, HostPort, Needs, NodeFacts, Usage
from orchestr8.master.scheduler.matching import first_mismatch, taint_text, term_matches, tolerates


class Wake(enum.Flag):
    """Changes of the cluster that may help a pod that fits nowhere."""

    NONE = 0
    NODE_ADDED = enum.auto()
    NODE_READY = enum.auto()
    NODE_LABELS = enum.auto()
    NODE_TAINTS = enum.auto()
    NODE_CAPACITY = enum.auto()
    POD_GONE = enum.auto()
    ANY = NODE_ADDED | NODE_READY | NODE_LABELS | NODE_TAINTS | NODE_CAPACITY | POD_GONE


class Cell(msgspec.Struct, frozen=True):
    """One answer of one filter about one node.

    ``column`` heads the table, ``detail`` stands in it; ``summary`` is what is counted over nodes in the one-line
    message, ``remedy`` completes "Would fit if ..."; both are empty where the node passed.
    """

    column: str
    ok: bool
    detail: str = ""
    summary: str = ""
    remedy: str = ""


class StaticFilter(Protocol):
    """``plain_passes``: a plain node (facts.py) passes whatever the pod is, so it need not be asked."""

    helped_by: Wake
    plain_passes: bool

    def relevant(self, needs: Needs) -> bool: ...
    def passes(self, needs: Needs, node: NodeFacts) -> bool: ...
    def inspect(self, needs: Needs, node: NodeFacts) -> tuple[Cell, ...]: ...


class DynamicFilter(Protocol):
    helped_by: Wake

    def relevant(self, family: Family) -> bool: ...
    def passes(self, family: Family, node: NodeFacts, usage: Usage) -> bool: ...
    def inspect(self, family: Family, node: NodeFacts, usage: Usage) -> tuple[Cell, ...]: ...


NOT_READY = Taint(key="node.kubernetes.io/not-ready", effect="NoSchedule")
UNSCHEDULABLE = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")


class Ready:
    """The node's agent reports Ready. Tolerated like the taint of the same meaning (daemons do)."""

    helped_by = Wake.NODE_READY
    plain_passes = True

    def relevant(self, needs: Needs) -> bool:
        return True

    def passes(self, needs: Needs, node: NodeFacts) -> bool:
        return node.ready or tolerates(needs.tolerations, NOT_READY)

    def inspect(self, needs: Needs, node: NodeFacts) -> tuple[Cell, ...]:
        if self.passes(needs, node):
            return (Cell("ready", True),)
        return (Cell("ready", False, "not ready", "node(s) were not ready", f"node {node.name} were ready"),)


class Uncordoned:
    helped_by = Wake.NODE_TAINTS
    plain_passes = True

    def relevant(self, needs: Needs) -> bool:
        return True

    def passes(self, needs: Needs, node: NodeFacts) -> bool:
        return not node.unschedulable or tolerates(needs.tolerations, UNSCHEDULABLE)

    def inspect(self, needs: Needs, node: NodeFacts) -> tuple[Cell, ...]:
        if self.passes(needs, node):
            return (Cell("cordon", True),)
        remedy = f"kubectl uncordon {node.name}"
        return (Cell("cordon", False, "cordoned", "node(s) were unschedulable", remedy),)


class Taints:
    """Every NoSchedule and NoExecute taint is tolerated."""

    helped_by = Wake.NODE_TAINTS
    plain_passes = True

    def relevant(self, needs: Needs) -> bool:
        return True

    def passes(self, needs: Needs, node: NodeFacts) -> bool:
        return not node.taints or self._against(needs, node) is None

    def inspect(self, needs: Needs, node: NodeFacts) -> tuple[Cell, ...]:
        taint = self._against(needs, node)
        if taint is None:
            return (Cell("taint", True),)
        text = taint_text(taint)
        summary = f"node(s) had untolerated taint {{{taint.key}: {taint.value or ''}}}"
        return (Cell("taint", False, text, summary, f"the pod tolerated {text} of {node.name}"),)

    def _against(self, needs: Needs, node: NodeFacts) -> Taint | None:
        for taint in node.taints:
            # A cordon (and unreadiness) is told by its own filter; the taint of the same meaning would say it twice.
            if taint.effect == "PreferNoSchedule" or (taint.key == UNSCHEDULABLE.key and node.unschedulable):
                continue
            if taint.key == NOT_READY.key and taint.effect == "NoSchedule" and not node.ready:
                continue
            if not tolerates(needs.tolerations, taint):
                return taint
        return None


class NodeSelector:
    helped_by = Wake.NODE_LABELS
    plain_passes = False

    def relevant(self, needs: Needs) -> bool:
        return bool(needs.node_selector)

    def passes(self, needs: Needs, node: NodeFacts) -> bool:
        labels = node.labels
        for key, value in needs.node_selector:  # noqa: SIM110 - this runs for every node; all() takes twice as long
            if labels.get(key) != value:
                return False
        return True

    def inspect(self, needs: Needs, node: NodeFacts) -> tuple[Cell, ...]:
        wanted = ",".join(f"{key}={value}" for key, value in needs.node_selector)
        column = f"selector {wanted}"
        missing = [(key, value) for key, value in needs.node_selector if node.labels.get(key) != value]
        if not missing:
            return (Cell(column, True),)
        detail = ", ".join(f"has {k}={node.labels[k]}" if k in node.labels else f"no label {k}" for k, _ in missing)
        labels = " ".join(f"{key}={value}" for key, value in missing)
        return (Cell(column, False, detail, _AFFINITY_SUMMARY, f"kubectl label node {node.name} {labels}"),)


class NodeAffinity:
    """requiredDuringSchedulingIgnoredDuringExecution: one term matches, with all its expressions."""

    helped_by = Wake.NODE_LABELS
    plain_passes = False

    def relevant(self, needs: Needs) -> bool:
        return needs.required is not None

    def passes(self, needs: Needs, node: NodeFacts) -> bool:
        return any(term_matches(term, node) for term in needs.required or ())

    def inspect(self, needs: Needs, node: NodeFacts) -> tuple[Cell, ...]:
        if self.passes(needs, node):
            return (Cell("affinity", True),)
        terms = needs.required or ()
        wrong = [first_mismatch(term, node) for term in terms]
        detail = " or ".join(dict.fromkeys(wrong)) or "no term can match"
        remedy = f"the labels of {node.name} met the pod's required node affinity ({detail})"
        return (Cell("affinity", False, detail, _AFFINITY_SUMMARY, remedy),)


_AFFINITY_SUMMARY = "node(s) didn't match Pod's node affinity/selector"


class Room:
    """Requests fit into what is left of the node: CPU, memory, ephemeral storage, pods, extended resources.

    A resource that the pod does not ask for never stands in its way, even where a node is overfull.
    """

    helped_by = Wake.POD_GONE | Wake.NODE_CAPACITY

    def relevant(self, family: Family) -> bool:
        return True

    def passes(self, family: Family, node: NodeFacts, usage: Usage) -> bool:
        demand = family.demand
        if usage.pods >= node.pods:
            return False
        if demand.cpu_millis > node.cpu_millis - usage.cpu_millis and demand.cpu_millis:
            return False
        if demand.memory_bytes > node.memory_bytes - usage.memory_bytes and demand.memory_bytes:
            return False
        if demand.storage_bytes and demand.storage_bytes > node.storage_bytes - usage.storage_bytes:
            return False
        for name, amount in demand.extended:
            if amount > node.extended.get(name, 0) - usage.extended.get(name, 0):
                return False
        return True

    def inspect(self, family: Family, node: NodeFacts, usage: Usage) -> tuple[Cell, ...]:
        demand = family.demand
        cells = []
        if demand.cpu_millis:
            cells.append(_amount_cell("cpu", demand.cpu_millis, node.cpu_millis - usage.cpu_millis, node.name, cores))
        if demand.memory_bytes:
            free = node.memory_bytes - usage.memory_bytes
            cells.append(_amount_cell("memory", demand.memory_bytes, free, node.name, size))
        if demand.storage_bytes:
            free = node.storage_bytes - usage.storage_bytes
            cells.append(_amount_cell("ephemeral-storage", demand.storage_bytes, free, node.name, size))
        for name, amount in demand.extended:
            free = node.extended.get(name, 0) - usage.extended.get(name, 0)
            cells.append(_amount_cell(name, amount, free, node.name, str))
        if usage.pods < node.pods:
            cells.append(Cell("pods", True, f"{usage.pods}/{node.pods}"))
        else:
            remedy = f"a pod left {node.name}"
            cells.append(Cell("pods", False, f"{usage.pods}/{node.pods}", "Too many pods", remedy))
        return tuple(cells)


class _Words(Protocol):
    def __call__(self, amount: int, /) -> str: ...


def _amount_cell(resource: str, wanted: int, free: int, node: str, words: _Words) -> Cell:
    column = f"{resource} {words(wanted)}"
    if wanted <= free:
        return Cell(column, True, words(free))
    detail = f"{words(max(free, 0))} free"
    return Cell(column, False, detail, f"Insufficient {resource}", f"{node} had {words(wanted - free)} {resource} more")


class HostPorts:
    """No pod there holds one of the ports on the same address; 0.0.0.0 meets every address."""

    helped_by = Wake.POD_GONE

    def relevant(self, family: Family) -> bool:
        return bool(family.demand.ports)

    def passes(self, family: Family, node: NodeFacts, usage: Usage) -> bool:
        return not usage.ports or not any(_taken(port, usage.ports) for port in family.demand.ports)

    def inspect(self, family: Family, node: NodeFacts, usage: Usage) -> tuple[Cell, ...]:
        taken = [port for port in family.demand.ports if _taken(port, usage.ports)]
        if not taken:
            return (Cell("ports", True),)
        detail = ", ".join(f"{number}/{protocol} taken" for _, protocol, number in taken)
        summary = "node(s) didn't have free ports for the requested pod ports"
        return (Cell("ports", False, detail, summary, f"the pod with that host port left {node.name}"),)


def _taken(port: HostPort, used: tuple[HostPort, ...]) -> bool:
    address, protocol, number = port
    return any(
        number == other_number and protocol == other_protocol and (address == other or "0.0.0.0" in (address, other))
        for other, other_protocol, other_number in used
    )


STATIC_FILTERS: tuple[StaticFilter, ...] = (Ready(), Uncordoned(), Taints(), NodeSelector(), NodeAffinity())
DYNAMIC_FILTERS: tuple[DynamicFilter, ...] = (Room(), HostPorts())


def cores(millis: int) -> str:
    return f"{millis / 1000:.3f}".rstrip("0").rstrip(".")


def size(amount: int) -> str:
    """Bytes in the largest binary unit that keeps two significant digits."""
    for unit, factor in (("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)):
        if amount >= factor:
            return f"{amount / factor:.1f}".rstrip("0").rstrip(".") + unit
    return str(amount)
