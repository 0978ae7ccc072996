"""Rules of where a pod may run: node selectors, affinity, tolerations, taints, spreading."""

from __future__ import annotations

from orchestr8.api.pod import (
    Affinity,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PodAffinityTerm,
    PodSpec,
    Toleration,
    TopologySpreadConstraint,
)
from orchestr8.api.validation import syntax
from orchestr8.api.validation.complaints import Complaints
from orchestr8.api.validation.meta import check_labels, check_selector

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def check_placement(complaints: Complaints, spec: PodSpec, path: str) -> None:
    check_labels(complaints, spec.node_selector, f"{path}.nodeSelector")
    for index, toleration in enumerate(spec.tolerations):
        _check_toleration(complaints, toleration, f"{path}.tolerations[{index}]")
    if spec.affinity is not None:
        _check_affinity(complaints, spec.affinity, f"{path}.affinity")
    for index, constraint in enumerate(spec.topology_spread_constraints):
        _check_spread(complaints, constraint, f"{path}.topologySpreadConstraints[{index}]")


def _check_toleration(complaints: Complaints, toleration: Toleration, path: str) -> None:
    operator = toleration.operator or "Equal"
    if toleration.key and (problem := syntax.qualified_name(toleration.key)):
        complaints.invalid(f"{path}.key", toleration.key, problem)
    if not toleration.key and operator != "Exists":
        complaints.invalid(f"{path}.operator", operator, "operator must be Exists when key is empty")
    if toleration.toleration_seconds is not None and toleration.effect != "NoExecute":
        complaints.invalid(
            f"{path}.effect", toleration.effect, "effect must be NoExecute when tolerationSeconds is set"
        )
    complaints.one_of(f"{path}.effect", toleration.effect, EFFECTS)
    match operator:
        case "Equal":
            if problem := syntax.label_value(toleration.value or ""):
                complaints.invalid(f"{path}.value", toleration.value, problem)
        case "Exists":
            if toleration.value:
                complaints.invalid(f"{path}.value", toleration.value, "value must be empty when operator is Exists")
        case _:
            complaints.not_supported(f"{path}.operator", operator, ("Equal", "Exists"))


def _check_affinity(complaints: Complaints, affinity: Affinity, path: str) -> None:
    nodes = affinity.node_affinity
    if nodes is not None:
        here = f"{path}.nodeAffinity"
        required = nodes.required_during_scheduling_ignored_during_execution
        if required is not None:
            terms_path = f"{here}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
            if not required.node_selector_terms:
                complaints.required(terms_path, "must have at least one node selector term")
            for index, term in enumerate(required.node_selector_terms):
                _check_node_term(complaints, term, f"{terms_path}[{index}]")
        for index, preferred in enumerate(nodes.preferred_during_scheduling_ignored_during_execution):
            item = f"{here}.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
            _check_weight(complaints, preferred.weight, item)
            if preferred.preference is not None:
                _check_node_term(complaints, preferred.preference, f"{item}.preference")
    for name, pods in (("podAffinity", affinity.pod_affinity), ("podAntiAffinity", affinity.pod_anti_affinity)):
        if pods is None:
            continue
        here = f"{path}.{name}"
        for index, pod_term in enumerate(pods.required_during_scheduling_ignored_during_execution):
            _check_pod_term(complaints, pod_term, f"{here}.requiredDuringSchedulingIgnoredDuringExecution[{index}]")
        for index, weighted in enumerate(pods.preferred_during_scheduling_ignored_during_execution):
            item = f"{here}.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
            _check_weight(complaints, weighted.weight, item)
            if weighted.pod_affinity_term is not None:
                _check_pod_term(complaints, weighted.pod_affinity_term, f"{item}.podAffinityTerm")


def _check_weight(complaints: Complaints, weight: int, path: str) -> None:
    if not 1 <= weight <= 100:
        complaints.invalid(f"{path}.weight", weight, "must be in the range 1-100")


def _check_node_term(complaints: Complaints, term: NodeSelectorTerm, path: str) -> None:
    for index, requirement in enumerate(term.match_expressions):
        here = f"{path}.matchExpressions[{index}]"
        if problem := syntax.qualified_name(requirement.key):
            complaints.invalid(f"{here}.key", requirement.key, problem)
        _check_values(complaints, requirement, here)
    for index, requirement in enumerate(term.match_fields):
        here = f"{path}.matchFields[{index}]"
        if requirement.key != "metadata.name":
            complaints.invalid(f"{here}.key", requirement.key, "not a valid field selector key; use metadata.name")
        if requirement.operator not in ("In", "NotIn"):
            complaints.invalid(
                f"{here}.operator", requirement.operator, "not a valid selector operator; use In or NotIn"
            )
        elif len(requirement.values) != 1:
            complaints.required(f"{here}.values", "must have one element")


def _check_values(complaints: Complaints, requirement: NodeSelectorRequirement, path: str) -> None:
    match requirement.operator:
        case "In" | "NotIn":
            if not requirement.values:
                complaints.required(f"{path}.values", "must be specified when operator is 'In' or 'NotIn'")
        case "Exists" | "DoesNotExist":
            if requirement.values:
                complaints.forbidden(
                    f"{path}.values", "may not be specified when operator is 'Exists' or 'DoesNotExist'"
                )
        case "Gt" | "Lt":
            if len(requirement.values) != 1:
                complaints.required(f"{path}.values", "must be specified single value when operator is 'Lt' or 'Gt'")
            elif not requirement.values[0].lstrip("-").isdecimal():
                complaints.invalid(f"{path}.values[0]", requirement.values[0], "must be an integer")
        case _:
            complaints.invalid(f"{path}.operator", requirement.operator, "not a valid selector operator")


def _check_pod_term(complaints: Complaints, term: PodAffinityTerm, path: str) -> None:
    if not term.topology_key:
        complaints.required(f"{path}.topologyKey", "can not be empty")
    elif problem := syntax.qualified_name(term.topology_key):
        complaints.invalid(f"{path}.topologyKey", term.topology_key, problem)
    for name, selector in (("labelSelector", term.label_selector), ("namespaceSelector", term.namespace_selector)):
        if selector is not None:
            check_selector(complaints, selector, f"{path}.{name}")


def _check_spread(complaints: Complaints, constraint: TopologySpreadConstraint, path: str) -> None:
    if constraint.max_skew <= 0:
        complaints.invalid(f"{path}.maxSkew", constraint.max_skew, "must be greater than zero")
    if not constraint.topology_key:
        complaints.required(f"{path}.topologyKey", "can not be empty")
    complaints.one_of(
        f"{path}.whenUnsatisfiable", constraint.when_unsatisfiable, ("DoNotSchedule", "ScheduleAnyway"), optional=False
    )
    if constraint.label_selector is not None:
        check_selector(complaints, constraint.label_selector, f"{path}.labelSelector")
