"""How Kubernetes matches tolerations with taints and selector terms with a node's labels. Pure.

Source: Kubernetes, "Taints and tolerations" and the reference of NodeSelectorRequirement.
"""

from __future__ import annotations

from orchestr8.api.node import Taint
from orchestr8.api.pod import NodeSelectorRequirement, NodeSelectorTerm, Toleration
from orchestr8.master.scheduler.facts import NodeFacts


def tolerates(tolerations: tuple[Toleration, ...], taint: Taint) -> bool:
    return any(_tolerates(toleration, taint) for toleration in tolerations)


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if (toleration.operator or "Equal") == "Exists":
        return not toleration.key or toleration.key == taint.key
    return toleration.key == taint.key and (toleration.value or "") == (taint.value or "")


def term_matches(term: NodeSelectorTerm, node: NodeFacts) -> bool:
    """A term without any expression matches nothing, as in Kubernetes."""
    if not term.match_expressions and not term.match_fields:
        return False
    return all(requirement_holds(r, node.labels) for r in term.match_expressions) and all(
        requirement_holds(r, {"metadata.name": node.name}) for r in term.match_fields
    )


def requirement_holds(requirement: NodeSelectorRequirement, labels: dict[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            return _compares(value, requirement)
        case _:
            return False


def _compares(value: str | None, requirement: NodeSelectorRequirement) -> bool:
    if value is None or len(requirement.values) != 1:
        return False
    try:
        have, bound = int(value), int(requirement.values[0])
    except ValueError:
        return False
    return have > bound if requirement.operator == "Gt" else have < bound


def first_mismatch(term: NodeSelectorTerm, node: NodeFacts) -> str:
    for fields, requirements in (
        (node.labels, term.match_expressions),
        ({"metadata.name": node.name}, term.match_fields),
    ):
        for r in requirements:
            if not requirement_holds(r, fields):
                have = f"{r.key}={fields[r.key]}" if r.key in fields else f"no label {r.key}"
                wanted = f"{r.operator} {','.join(r.values)}".strip()
                return f"{have}, wants {wanted}"
    return "empty term"


def taint_text(taint: Taint) -> str:
    value = f"={taint.value}" if taint.value else ""
    return f"{taint.key}{value}:{taint.effect}"
