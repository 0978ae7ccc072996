"""Where a pod may run: node selectors, affinity, tolerations, spreading.

Import these through ``api.pod``. Source: the Kubernetes API reference, "Pod", section Scheduling.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from orchestr8.api.fields import Int32, Int64, Noun, about, always, empty
from orchestr8.api.meta import LabelSelector


class NodeSelectorRequirement(Noun, frozen=True, kw_only=True):
    """One condition on a node."""

    key: Annotated[str, about("Label of the node, or field in matchFields.")] = always("")
    operator: Annotated[str, about("In, NotIn, Exists, DoesNotExist, Gt or Lt.")] = always("")
    values: Annotated[tuple[str, ...], about("Values to compare with.")] = ()


class NodeSelectorTerm(Noun, frozen=True, kw_only=True):
    """Conditions on a node, all of which must hold."""

    ATOMIC: ClassVar[bool] = True

    match_expressions: Annotated[tuple[NodeSelectorRequirement, ...], about("Conditions, all of which must hold.")] = ()
    match_fields: Annotated[
        tuple[NodeSelectorRequirement, ...], about("Conditions on fields of the node; only metadata.name.")
    ] = ()


class NodeSelector(Noun, frozen=True, kw_only=True):
    """Terms of which at least one must hold."""

    ATOMIC: ClassVar[bool] = True

    node_selector_terms: Annotated[tuple[NodeSelectorTerm, ...], about("Terms of which one must hold.")] = always(())


class PreferredSchedulingTerm(Noun, frozen=True, kw_only=True):
    """A wish for certain nodes, with a weight."""

    preference: Annotated[NodeSelectorTerm, about("The nodes that are preferred.")] = empty(NodeSelectorTerm)
    weight: Annotated[Int32, about("How much the wish counts, 1 to 100.")] = always(0)


class NodeAffinity(Noun, frozen=True, kw_only=True):
    """Which nodes a pod needs or prefers."""

    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[PreferredSchedulingTerm, ...], about("What would be good when the pod is placed.")
    ] = ()
    required_during_scheduling_ignored_during_execution: Annotated[
        NodeSelector | None, about("What must hold when the pod is placed.")
    ] = None


class PodAffinityTerm(Noun, frozen=True, kw_only=True):
    """Other pods, and the topology by which being near them is judged."""

    label_selector: Annotated[LabelSelector | None, about("Which pods count.")] = None
    match_label_keys: Annotated[
        tuple[str, ...], about("Label keys of the pod itself that are added to the selector.")
    ] = ()
    mismatch_label_keys: Annotated[tuple[str, ...], about("Label keys of the pod itself that must differ.")] = ()
    namespace_selector: Annotated[LabelSelector | None, about("Which namespaces count.")] = None
    namespaces: Annotated[tuple[str, ...], about("Namespaces that count; the pod's own unless set.")] = ()
    topology_key: Annotated[str, about("Node label whose value names the domain.")] = always("")


class WeightedPodAffinityTerm(Noun, frozen=True, kw_only=True):
    """A wish about other pods, with a weight."""

    pod_affinity_term: Annotated[PodAffinityTerm, about("The pods that are meant.")] = empty(PodAffinityTerm)
    weight: Annotated[Int32, about("How much the wish counts, 1 to 100.")] = always(0)


class PodAffinity(Noun, frozen=True, kw_only=True):
    """Near which other pods a pod should run."""

    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[WeightedPodAffinityTerm, ...], about("What would be good when the pod is placed.")
    ] = ()
    required_during_scheduling_ignored_during_execution: Annotated[
        tuple[PodAffinityTerm, ...], about("What must hold when the pod is placed.")
    ] = ()


class PodAntiAffinity(Noun, frozen=True, kw_only=True):
    """Away from which other pods a pod should run."""

    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[WeightedPodAffinityTerm, ...], about("What would be good when the pod is placed.")
    ] = ()
    required_during_scheduling_ignored_during_execution: Annotated[
        tuple[PodAffinityTerm, ...], about("What must hold when the pod is placed.")
    ] = ()


class Affinity(Noun, frozen=True, kw_only=True):
    """What draws a pod to nodes and pods, or away from them."""

    node_affinity: Annotated[NodeAffinity | None, about("Which nodes.")] = None
    pod_affinity: Annotated[PodAffinity | None, about("Near which pods.")] = None
    pod_anti_affinity: Annotated[PodAntiAffinity | None, about("Away from which pods.")] = None


class Toleration(Noun, frozen=True, kw_only=True):
    """Lets a pod run on nodes with matching taints."""

    effect: Annotated[str | None, about("Which effect is tolerated; all unless set.")] = None
    key: Annotated[str | None, about("Key of the taint; all unless set.")] = None
    operator: Annotated[str | None, about("Equal or Exists.")] = None
    toleration_seconds: Annotated[
        Int64 | None, about("How many seconds a NoExecute taint is tolerated; for ever unless set.", zero_matters=True)
    ] = None
    value: Annotated[str | None, about("Value of the taint, for Equal.")] = None


class TopologySpreadConstraint(Noun, frozen=True, kw_only=True):
    """How evenly pods are spread over zones, nodes or other domains."""

    label_selector: Annotated[LabelSelector | None, about("Which pods count.")] = None
    match_label_keys: Annotated[
        tuple[str, ...], about("Label keys of the pod itself that are added to the selector.")
    ] = ()
    max_skew: Annotated[Int32, about("By how many pods domains may differ.")] = always(0)
    min_domains: Annotated[Int32 | None, about("How many domains there must be at least.", zero_matters=True)] = None
    node_affinity_policy: Annotated[
        str | None, about("Whether only nodes that the pod may use count: Honor or Ignore.")
    ] = None
    node_taints_policy: Annotated[
        str | None, about("Whether only nodes whose taints the pod tolerates count: Honor or Ignore.")
    ] = None
    topology_key: Annotated[str, about("Node label whose value names the domain.")] = always("")
    when_unsatisfiable: Annotated[str, about("DoNotSchedule or ScheduleAnyway.")] = always("")
