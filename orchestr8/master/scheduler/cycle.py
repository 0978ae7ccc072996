"""One round of placing pods: ``schedule(pending, cluster) -> Plan``. Pure; the cluster is not changed.

Pods are placed one by one in order of priority and age, each on the node with the highest score among those that pass
every filter. What makes it fast: a family rates all nodes once, into one heap per zone, and after that only the nodes
that any placement of this round has touched. Within a round room only shrinks, so a family that fits nowhere fits
nowhere until the round is over. Above ``SAMPLE_ABOVE_NODES`` nodes, families of few pods look no further than some
hundred nodes that pass, from where the last search stopped; ``cursor`` carries that place from round to round.

Source: kube-scheduler's semantics (priority queue, percentageOfNodesToScore); the heaps are ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from heapq import heapify, heappop, heappush

import msgspec

from orchestr8.master.scheduler.cluster import NO, Cluster
from orchestr8.master.scheduler.explain import Refusal, refuse
from orchestr8.master.scheduler.facts import Family, NodeFacts, PodFacts, Usage
from orchestr8.master.scheduler.filters import DYNAMIC_FILTERS
from orchestr8.master.scheduler.scores import DYNAMIC_SCORES, ZONE_WEIGHT, zone_rating

SAMPLE_ABOVE_NODES = 500
SAMPLE_PODS_MAX = 20  # a family with more pods in the round is worth looking at every node
_SAMPLE_NODES_MIN = 100


class Binding(msgspec.Struct, frozen=True):
    """``score``: in the units of scores.py, without the spread over zones."""

    pod: PodFacts
    node_name: str
    score: int


class Plan(msgspec.Struct, frozen=True):
    """``explanations``: why the pods that are left fit nowhere; pods of one family share theirs."""

    bindings: tuple[Binding, ...]
    explanations: tuple[tuple[PodFacts, Refusal], ...]
    cursor: int


def schedule(pending: Sequence[PodFacts], cluster: Cluster, cursor: int = 0) -> Plan:
    """Places what can be placed. ``pending`` in any order, without pods that have scheduling gates."""
    state = _Round(cluster, cursor)
    pods_of = Counter(pod.family for pod in pending)
    searches: dict[Family, _Search] = {}
    refusals: dict[Family, Refusal] = {}
    bindings: list[Binding] = []
    explanations: list[tuple[PodFacts, Refusal]] = []
    for pod in in_order(pending):
        family = pod.family
        refusal = refusals.get(family)
        if refusal is None:
            search = searches.get(family)
            if search is None:
                searches[family] = search = _Search(family, state, pods_of[family])
            found = search.best()
            if found is not None:
                score, index = found
                bindings.append(Binding(pod, state.nodes[index].name, score))
                state.place(family, index)
                continue
            del searches[family]
            refusals[family] = refusal = refuse(family, state.nodes, state.usage)
        explanations.append((pod, refusal))
    return Plan(tuple(bindings), tuple(explanations), state.cursor)


def in_order(pending: Sequence[PodFacts]) -> list[PodFacts]:
    """By priority and age; pods of the same priority and second go family by family, which makes a round cheap."""
    ordered = sorted(pending, key=lambda pod: pod.order)
    rank: dict[tuple[int, int, Family], int] = {}
    return sorted(ordered, key=lambda pod: rank.setdefault((pod.priority, pod.created_seconds, pod.family), len(rank)))


class _Round:
    """Usage as it grows with this round's placements, and which nodes were touched, in order."""

    def __init__(self, cluster: Cluster, cursor: int) -> None:
        self.cluster = cluster
        self.nodes: list[NodeFacts] = cluster.nodes()
        self.usage: list[Usage] = [cluster.usage(node.name) for node in self.nodes]
        self.touched: list[tuple[int, str]] = []  # (node index, owner of the pod placed there)
        self.cursor = cursor
        self.zoned = len({node.zone for node in self.nodes}) > 1

    def place(self, family: Family, index: int) -> None:
        self.usage[index] = self.usage[index].plus(family)
        self.touched.append((index, family.owner))


class _Search:
    """The nodes where one family fits, best first, in one heap per zone.

    A heap's entry is (minus score, node index, version); an entry whose version is not the node's newest is dead.
    """

    def __init__(self, family: Family, state: _Round, pods: int) -> None:
        self._family = family
        self._state = state
        self._passes = tuple(each.passes for each in DYNAMIC_FILTERS if each.relevant(family))
        self._rates = tuple((each.rate, each.weight) for each in DYNAMIC_SCORES if each.relevant(family))
        self._sampled = len(state.nodes) > SAMPLE_ABOVE_NODES and pods <= SAMPLE_PODS_MAX
        self._fill()

    def best(self) -> tuple[int, int] | None:
        """(score, node index) of the best node now, or None: no node passes every filter."""
        self._follow()
        found = self._top()
        if found is None and self._sampled:
            self._sampled = False
            self._fill()
            found = self._top()
        return found

    def _fill(self) -> None:
        """Rates every node, or enough of them."""
        state, family = self._state, self._family
        nodes, usage = state.nodes, state.usage
        self._seen = len(state.touched)
        self._version: dict[int, int] = {}
        self._static: dict[int, int] = {}
        self._heaps: dict[str, list[tuple[int, int, int]]] = {}
        self._zone_pods: Counter[str] = Counter()
        if family.owner and state.zoned:
            for node, used in zip(nodes, usage, strict=True):
                self._zone_pods[node.zone] += used.owners.get(family.owner, 0)
        count = len(nodes)
        start = state.cursor % count if self._sampled else 0
        enough = _enough(count) if self._sampled else count
        static_score, found = state.cluster.static_answers(family.needs).of, 0
        for step in range(count):
            index = start + step
            if index >= count:
                index -= count
            node = nodes[index]
            static = static_score(node)
            if static == NO:
                continue
            self._static[index] = static
            score = self._rate(index)
            if score is None:
                continue
            self._heaps.setdefault(node.zone, []).append((-score, index, 0))
            found += 1
            if found >= enough:
                break
        if self._sampled:
            state.cursor = (start + step + 1) % count if count else 0
        for heap in self._heaps.values():
            heapify(heap)

    def _rate(self, index: int) -> int | None:
        """The node's score without its zone's, or None when a dynamic filter says no."""
        family, node, usage = self._family, self._state.nodes[index], self._state.usage[index]
        for passes in self._passes:
            if not passes(family, node, usage):
                return None
        score = self._static[index]
        for rate, weight in self._rates:
            score += weight * rate(family, node, usage)
        return score

    def _follow(self) -> None:
        """Rates again the nodes that were touched since this family last looked."""
        touched = self._state.touched
        if self._seen == len(touched):
            return
        fresh = touched[self._seen :]
        self._seen = len(touched)
        for index, owner in fresh:
            if owner == self._family.owner:
                self._zone_pods[self._state.nodes[index].zone] += 1
        for index in {index for index, _ in fresh}:
            if index not in self._static:
                continue
            self._version[index] = version = self._version.get(index, 0) + 1
            score = self._rate(index)
            if score is not None:
                heappush(self._heaps[self._state.nodes[index].zone], (-score, index, version))

    def _top(self) -> tuple[int, int] | None:
        live: list[tuple[str, int, int]] = []
        for zone in list(self._heaps):
            heap = self._heaps[zone]
            while heap and heap[0][2] != self._version.get(heap[0][1], 0):
                heappop(heap)
            if heap:
                live.append((zone, heap[0][0], heap[0][1]))
        if not live:
            return None
        if not (self._family.owner and self._state.zoned):
            worst_first, index = min((minus, index) for _, minus, index in live)
            return -worst_first, index
        fewest = min(self._zone_pods[zone] for zone, _, _ in live)
        _, index, minus = min(
            (minus - ZONE_WEIGHT * zone_rating(self._zone_pods[zone], fewest), index, minus)
            for zone, minus, index in live
        )
        return -minus, index


def _enough(count: int) -> int:
    """How many passing nodes a sampled search wants: a twentieth. The next one-off pod looks at the following ones."""
    return max(_SAMPLE_NODES_MIN, count // 20)
