"""Where best: each score rates a node from 0 to 10,000 (hundredths of Kubernetes' 0 to 100) and has a weight.

Whole numbers, so that the fast search and the slow one agree to the last digit. Every rating depends on the one node
alone (never on the best of the others), so that placing a pod changes the rating of one node only. The one exception,
the spread over zones, is added when zones are compared (``zone_rating``).

Source: kube-scheduler's default plugins and weights; the ratings here are absolute instead of normalised over nodes.
"""

from __future__ import annotations

from typing import Protocol

from orchestr8.master.scheduler.facts import (
    SCORED_CPU_MILLIS,
    SCORED_MEMORY_BYTES,
    Family,
    Needs,
    NodeFacts,
    Usage,
)
from orchestr8.master.scheduler.matching import term_matches, tolerates

FULL = 10_000
ZONE_WEIGHT = 4  # twice that of the spread over nodes: losing a zone costs more
_MIB = 1 << 20
_IMAGE_FLOOR_BYTES = 23 * _MIB  # a smaller image costs nothing worth steering by
_IMAGE_CEILING_BYTES = 1_000 * _MIB  # per container; a larger one counts like this


class StaticScore(Protocol):
    """``plain_rating``: the rating of every plain node (facts.py); None: it must be asked."""

    name: str
    weight: int
    plain_rating: int | None

    def relevant(self, needs: Needs) -> bool: ...
    def rate(self, needs: Needs, node: NodeFacts) -> int: ...


class DynamicScore(Protocol):
    name: str
    weight: int

    def relevant(self, family: Family) -> bool: ...
    def rate(self, family: Family, node: NodeFacts, usage: Usage) -> int: ...


class PreferredAffinity:
    """The share of the weights of preferred node affinity terms that the node meets."""

    name = "affinity"
    weight = 2
    plain_rating: int | None = None

    def relevant(self, needs: Needs) -> bool:
        return bool(needs.preferred)

    def rate(self, needs: Needs, node: NodeFacts) -> int:
        met = total = 0
        for term in needs.preferred:
            total += term.weight
            # An empty preferred term matches every node (an empty required term matches none).
            empty = not term.preference.match_expressions and not term.preference.match_fields
            if empty or term_matches(term.preference, node):
                met += term.weight
        return FULL * met // total if total else 0


class PreferNoSchedule:
    """Fewer untolerated PreferNoSchedule taints are better: full, a half, a third ..."""

    name = "taints"
    weight = 3
    plain_rating: int | None = FULL

    def relevant(self, needs: Needs) -> bool:
        return True

    def rate(self, needs: Needs, node: NodeFacts) -> int:
        against = sum(
            1 for taint in node.taints if taint.effect == "PreferNoSchedule" and not tolerates(needs.tolerations, taint)
        )
        return FULL // (1 + against)


class ImageLocality:
    """How much of the pod's images the node has already, by size."""

    name = "image"
    weight = 1
    plain_rating: int | None = None

    def relevant(self, needs: Needs) -> bool:
        return bool(needs.images)

    def rate(self, needs: Needs, node: NodeFacts) -> int:
        if not node.images:
            return 0
        present = sum(node.images.get(image, 0) for image in needs.images)
        ceiling = _IMAGE_CEILING_BYTES * len(needs.images)
        if present <= _IMAGE_FLOOR_BYTES:
            return 0
        return FULL * (min(present, ceiling) - _IMAGE_FLOOR_BYTES) // (ceiling - _IMAGE_FLOOR_BYTES)


class LeastAllocated:
    """The free share of the scarcer of CPU and memory after the pod is placed.

    This is the sum of Kubernetes' least-allocated and balanced-allocation scores in one: with used shares c and m,
    (1 - (c + m) / 2) + (1 - |c - m| / 2) = 2 - max(c, m).
    """

    name = "free"
    weight = 1

    def relevant(self, family: Family) -> bool:
        return True

    def rate(self, family: Family, node: NodeFacts, usage: Usage) -> int:
        demand = family.demand
        cpu_used = usage.scored_cpu_millis + (demand.cpu_millis or SCORED_CPU_MILLIS)
        memory_used = usage.scored_memory_bytes + (demand.memory_bytes or SCORED_MEMORY_BYTES)
        if cpu_used >= node.cpu_millis or memory_used >= node.memory_bytes:
            return 0
        cpu = FULL * cpu_used // node.cpu_millis
        memory = FULL * memory_used // node.memory_bytes
        return FULL - (cpu if cpu > memory else memory)


class Spread:
    """The fewer pods of the same controller on the node, the better: full, a half, a third ..."""

    name = "spread"
    weight = 2

    def relevant(self, family: Family) -> bool:
        return bool(family.owner)

    def rate(self, family: Family, node: NodeFacts, usage: Usage) -> int:
        return FULL // (1 + usage.owners.get(family.owner, 0))


def zone_rating(pods_in_zone: int, fewest_in_a_zone: int) -> int:
    """The same over zones: how far this zone is ahead of the one with the fewest pods of the controller."""
    return FULL // (1 + pods_in_zone - fewest_in_a_zone)


STATIC_SCORES: tuple[StaticScore, ...] = (PreferredAffinity(), PreferNoSchedule(), ImageLocality())
DYNAMIC_SCORES: tuple[DynamicScore, ...] = (LeastAllocated(), Spread())
