"""placement"""

from __future__ import annotations

from typing import Annotated, ClassVar

from orchestr8.api.fields import Int32, Int64, Noun, about, always, empty
from orchestr8.api.meta import LabelSelector


class NodeSelectorRequirement(Noun, frozen=True, kw_only=True):
    """NodeSelectorRequirement."""

    key: Annotated[str, about("")] = always("")
    operator: Annotated[str, about("")] = always("")
    values: Annotated[tuple[str, ...], about("")] = ()


class NodeSelectorTerm(Noun, frozen=True, kw_only=True):
    """NodeSelectorTerm."""

    ATOMIC: ClassVar[bool] = True

    match_expressions: Annotated[tuple[NodeSelectorRequirement, ...], about("")] = ()
    match_fields: Annotated[tuple[NodeSelectorRequirement, ...], about("")] = ()


class NodeSelector(Noun, frozen=True, kw_only=True):
    """NodeSelector."""

    ATOMIC: ClassVar[bool] = True

    node_selector_terms: Annotated[tuple[NodeSelectorTerm, ...], about("")] = always(())


class PreferredSchedulingTerm(Noun, frozen=True, kw_only=True):
    """PreferredSchedulingTerm."""

    preference: Annotated[NodeSelectorTerm, about("")] = empty(NodeSelectorTerm)
    weight: Annotated[Int32, about("")] = always(0)


class NodeAffinity(Noun, frozen=True, kw_only=True):
    """NodeAffinity."""

    preferred_during_scheduling_ignored_during_execution: Annotated[tuple[PreferredSchedulingTerm, ...], about("")] = ()
    required_during_scheduling_ignored_during_execution: Annotated[NodeSelector | None, about("")] = None


class PodAffinityTerm(Noun, frozen=True, kw_only=True):
    """PodAffinityTerm."""

    label_selector: Annotated[LabelSelector | None, about("")] = None
    match_label_keys: Annotated[tuple[str, ...], about("")] = ()
    mismatch_label_keys: Annotated[tuple[str, ...], about("")] = ()
    namespace_selector: Annotated[LabelSelector | None, about("")] = None
    namespaces: Annotated[tuple[str, ...], about("")] = ()
    topology_key: Annotated[str, about("")] = always("")


class WeightedPodAffinityTerm(Noun, frozen=True, kw_only=True):
    """WeightedPodAffinityTerm."""

    pod_affinity_term: Annotated[PodAffinityTerm, about("")] = empty(PodAffinityTerm)
    weight: Annotated[Int32, about("")] = always(0)


class PodAffinity(Noun, frozen=True, kw_only=True):
    """PodAffinity."""

    preferred_during_scheduling_ignored_during_execution: Annotated[tuple[WeightedPodAffinityTerm, ...], about("")] = ()
    required_during_scheduling_ignored_during_execution: Annotated[tuple[PodAffinityTerm, ...], about("")] = ()


class PodAntiAffinity(Noun, frozen=True, kw_only=True):
    """PodAntiAffinity."""

    preferred_during_scheduling_ignored_during_execution: Annotated[tuple[WeightedPodAffinityTerm, ...], about("")] = ()
    required_during_scheduling_ignored_during_execution: Annotated[tuple[PodAffinityTerm, ...], about("")] = ()


class Affinity(Noun, frozen=True, kw_only=True):
    """Affinity."""

    node_affinity: Annotated[NodeAffinity | None, about("")] = None
    pod_affinity: Annotated[PodAffinity | None, about("")] = None
    pod_anti_affinity: Annotated[PodAntiAffinity | None, about("")] = None


class Toleration(Noun, frozen=True, kw_only=True):
    """Toleration."""

    effect: Annotated[str | None, about("")] = None
    key: Annotated[str | None, about("")] = None
    operator: Annotated[str | None, about("")] = None
    toleration_seconds: Annotated[Int64 | None, about("", zero_matters=True)] = None
    value: Annotated[str | None, about("")] = None


class TopologySpreadConstraint(Noun, frozen=True, kw_only=True):
    """TopologySpreadConstraint."""

    label_selector: Annotated[LabelSelector | None, about("")] = None
    match_label_keys: Annotated[tuple[str, ...], about("")] = ()
    max_skew: Annotated[Int32, about("")] = always(0)
    min_domains: Annotated[Int32 | None, about("", zero_matters=True)] = None
    node_affinity_policy: Annotated[str | None, about("")] = None
    node_taints_policy: Annotated[str | None, about("")] = None
    topology_key: Annotated[str, about("")] = always("")
    when_unsatisfiable: Annotated[str, about("")] = always("")
