"""How a namespace ends: everything in it is deleted, then the namespace itself.

Deleting is what a user's DELETE would do: pods get their grace period and finalizers are waited for; the conditions
say what is left. Objects that were written into a namespace that no longer exists end the same way.
Source: Kubernetes, "Namespaces" and the finalizer "kubernetes".
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from orchestr8.api import kinds
from orchestr8.api.config import Namespace, NamespaceCondition
from orchestr8.api.defaults.config import NAMESPACE_FINALIZER
from orchestr8.api.meta import Object
from orchestr8.clock import to_seconds
from orchestr8.master.controllers.controller import Moment
from orchestr8.store.command import Key
from orchestr8.store.history import Change
from orchestr8.store.plan import NOTHING, Plan, Remove, Update, UpdateStatus
from orchestr8.store.view import View

DELETED_AT_ONCE = 500
_NAMESPACED = tuple(kind for kind in kinds.KINDS if kind.namespaced and kind.stored)


def decide(view: View, key: Key, now: Moment) -> Plan:
    """The plan for one namespace."""
    namespace = view.get(Namespace, "", key.name)
    if namespace is not None and namespace.metadata.deletion_timestamp is None:
        return NOTHING
    content = [stored.obj for kind in _NAMESPACED for stored in view.stored_list(kind.kind, key.name)]
    doomed = [obj for obj in content if obj.metadata.deletion_timestamp is None][:DELETED_AT_ONCE]
    removals = tuple(Remove(obj) for obj in doomed)
    if namespace is None:
        return Plan(removals)
    if content:
        told = _told(namespace, content, now.wall)
        return Plan((*removals, *([UpdateStatus(told)] if told != namespace else [])))
    finalizers = tuple(name for name in namespace.spec.finalizers if name != NAMESPACE_FINALIZER)
    if finalizers == namespace.spec.finalizers:
        return NOTHING
    spec = msgspec.structs.replace(namespace.spec, finalizers=finalizers)
    return Plan((Update(msgspec.structs.replace(namespace, spec=spec)),))


def affected(change: Change, view: View) -> Iterator[Key]:
    """A namespace's own key; for anything else, its namespace when that one is going or gone."""
    if change.key.kind == "Namespace":
        yield change.key
    elif change.key.namespace:
        namespace = view.get(Namespace, "", change.key.namespace)
        if namespace is None or namespace.metadata.deletion_timestamp is not None:
            yield Key("Namespace", "", change.key.namespace)


def everything(view: View) -> Iterator[Key]:
    for stored in view.stored_list("Namespace"):
        yield stored.key


def _told(namespace: Namespace, content: list[Object], now: datetime) -> Namespace:
    """With conditions that say what is waited for."""
    left: dict[str, int] = {}
    finalizers: dict[str, int] = {}
    for obj in content:
        left[obj.kind] = left.get(obj.kind, 0) + 1
        for name in obj.metadata.finalizers:
            finalizers[name] = finalizers.get(name, 0) + 1
    conditions = (
        _condition("NamespaceContentRemaining", "SomeResourcesRemain", "Some resources are remaining", left),
        _condition("NamespaceFinalizersRemaining", "SomeFinalizersRemain", "Some content has finalizers", finalizers),
    )
    known = {each.type: each for each in namespace.status.conditions}
    for condition in conditions:
        before = known.get(condition.type)
        if before is None or (before.status, before.message) != (condition.status, condition.message):
            known[condition.type] = msgspec.structs.replace(condition, last_transition_time=to_seconds(now))
    status = msgspec.structs.replace(namespace.status, phase="Terminating", conditions=tuple(known.values()))
    return msgspec.structs.replace(namespace, status=status)


def _condition(kind: str, reason: str, words: str, counts: dict[str, int]) -> NamespaceCondition:
    if not counts:
        return NamespaceCondition(type=kind, status="False", reason="ContentRemoved", message="")
    listed = ", ".join(sorted(counts))
    return NamespaceCondition(type=kind, status="True", reason=reason, message=f"{words}: {listed}")
