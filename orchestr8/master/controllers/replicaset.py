"""How many pods a ReplicaSet has: creates what is missing, deletes what is too much, counts the rest.

Pods belong to the set by owner reference; a pod that the selector matches and nobody owns is adopted, one whose labels
no longer match is released. A pod that is being deleted or has finished no longer counts, so its replacement does not
wait for its end. Victims of a scale-down are those whose loss costs least (``_cost``).
Source: Kubernetes, "ReplicaSet", and the ranking in its controller_utils.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from orchestr8.api import selectors
from orchestr8.api.defaults import apply_defaults
from orchestr8.api.meta import ObjectMeta, controller_of, owner_reference, with_metadata
from orchestr8.api.pod import Pod
from orchestr8.api.workloads import ReplicaSet, ReplicaSetStatus
from orchestr8.master.controllers.controller import Moment
from orchestr8.master.controllers.facts import available_at, is_active, is_available, is_controlled_by, is_ready, key_of
from orchestr8.names import Names
from orchestr8.store.command import Key
from orchestr8.store.history import Change
from orchestr8.store.plan import NOTHING, Create, Note, Plan, Remove, Update, UpdateStatus, Write
from orchestr8.store.view import View

CREATED_AT_ONCE = 1_000  # the rest follows in the next plan
POD_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_FAILURES_COUNT_SECONDS = 600
_FAILURE_PAUSE_SECONDS_MAX = 300
_NOTES_AT_ONCE = 5  # more pods than this share one event
_GENERATED_BASE_CHARS = 58  # a generated name stays a DNS label: 63 with its suffix


def decide(view: View, key: Key, now: Moment, names: Names) -> Plan:
    """The plan for one ReplicaSet."""
    replica_set = view.get(ReplicaSet, key.namespace, key.name)
    if replica_set is None:
        return NOTHING
    selector = selectors.from_object(replica_set.spec.selector)
    if replica_set.metadata.deletion_timestamp is not None:
        owned = [pod for pod in _owned(view, replica_set) if selector.matches(pod.metadata.labels)]
        return Plan(tuple(_count(replica_set, [pod for pod in owned if is_active(pod)], now.wall)))
    claims, pods = _claim(view, replica_set, selector)
    active = [pod for pod in pods if is_active(pod)]
    wanted = 1 if replica_set.spec.replicas is None else replica_set.spec.replicas
    missing = wanted - len(active)
    held_until = _held_until(pods, wanted, now.wall) if missing > 0 else None
    changes: list[Write] = []
    events: tuple[Note, ...] = ()
    if missing > 0 and held_until is None:
        created = _pods(replica_set, min(missing, CREATED_AT_ONCE), names)
        changes = [Create(pod) for pod in created]
        events = _notes(replica_set, created, "SuccessfulCreate", "Created")
    elif missing < 0:
        victims = victims_of(active, -missing, now.wall)
        changes = [Remove(pod) for pod in victims]
        events = _notes(replica_set, victims, "SuccessfulDelete", "Deleted")
    return Plan(
        writes=(*claims, *changes, *_count(replica_set, active, now.wall)),
        events=events,
        wake_at=min(filter(None, (_next_available(replica_set, active, now.wall), held_until)), default=None),
    )


def victims_of(active: list[Pod], count: int, now: datetime) -> list[Pod]:
    """The ``count`` pods whose loss costs least."""
    on_node = Counter(pod.spec.node_name for pod in active if pod.spec.node_name)
    return sorted(active, key=lambda pod: _cost(pod, on_node, now))[:count]


def affected(change: Change, view: View) -> Iterator[Key]:
    """A set's own key; for a pod, the set that owns it, or those that may adopt it."""
    if change.key.kind == "ReplicaSet":
        yield change.key
        return
    for stored in (change.before, change.after):
        if stored is None:
            continue
        owner = controller_of(stored.obj)
        if owner is None:
            yield from _may_adopt(view, stored.obj.metadata)
        elif owner.kind == "ReplicaSet":
            yield Key("ReplicaSet", change.key.namespace, owner.name)


def everything(view: View) -> Iterable[Key]:
    return (stored.key for stored in view.stored_list("ReplicaSet"))


def _may_adopt(view: View, meta: ObjectMeta) -> Iterator[Key]:
    if meta.labels:
        for replica_set in view.list(ReplicaSet, meta.namespace):
            if selectors.from_object(replica_set.spec.selector).matches(meta.labels):
                yield key_of(replica_set)


def _owned(view: View, replica_set: ReplicaSet) -> list[Pod]:
    uid = replica_set.metadata.uid
    return [pod for pod in view.owned_by(uid) if isinstance(pod, Pod) and is_controlled_by(pod, uid)]


def _claim(view: View, replica_set: ReplicaSet, selector: selectors.Selector) -> tuple[list[Write], list[Pod]]:
    """Adoptions and releases, and the pods that are the set's after them."""
    writes: list[Write] = []
    pods: list[Pod] = []
    for pod in _owned(view, replica_set):
        if selector.matches(pod.metadata.labels):
            pods.append(pod)
        elif pod.metadata.deletion_timestamp is None:
            others = tuple(o for o in pod.metadata.owner_references if o.uid != replica_set.metadata.uid)
            writes.append(Update(with_metadata(pod, owner_references=others)))
    if not selector.requirements:
        return writes, pods
    for pod in view.matching(Pod, replica_set.metadata.namespace, selector):
        if controller_of(pod) is None and is_active(pod):
            owners = (*pod.metadata.owner_references, owner_reference(replica_set))
            writes.append(Update(with_metadata(pod, owner_references=owners)))
            pods.append(pod)
    return writes, pods


def _pods(replica_set: ReplicaSet, count: int, names: Names) -> list[Pod]:
    """New pods of the template; they share everything but their names."""
    template = replica_set.spec.template
    base = f"{replica_set.metadata.name}-"
    metadata = ObjectMeta(
        generate_name=base,
        namespace=replica_set.metadata.namespace,
        labels=template.metadata.labels,
        annotations=template.metadata.annotations,
        finalizers=template.metadata.finalizers,
        owner_references=(owner_reference(replica_set),),
    )
    pod = apply_defaults(Pod(metadata=metadata, spec=template.spec))
    return [with_metadata(pod, name=base[:_GENERATED_BASE_CHARS] + names.suffix()) for _ in range(count)]


def _cost(pod: Pod, on_node: Counter[str], now: datetime) -> tuple[Any, ...]:
    """Sorts first what to delete first: unbound, pending, not ready, cheap by annotation, crowded, young."""
    ready = is_ready(pod)
    ready_at = available_at(pod, 0) or now
    restarts = max((status.restart_count for status in pod.status.container_statuses), default=0)
    created = pod.metadata.creation_timestamp or now
    return (
        bool(pod.spec.node_name),
        {"Pending": 0, "Unknown": 1}.get(pod.status.phase or "Pending", 2),
        ready,
        _deletion_cost(pod),
        -on_node[pod.spec.node_name or ""],
        -ready_at.timestamp(),
        -restarts,
        -created.timestamp(),
        pod.metadata.name,
    )


def _deletion_cost(pod: Pod) -> int:
    text = pod.metadata.annotations.get(POD_DELETION_COST, "0")
    return int(text) if text.removeprefix("-").isdigit() and len(text) <= 11 else 0


def _count(replica_set: ReplicaSet, active: list[Pod], now: datetime) -> Iterator[Write]:
    spec = replica_set.spec
    labels = spec.template.metadata.labels.items()
    min_ready_seconds = spec.min_ready_seconds or 0
    status = ReplicaSetStatus(
        replicas=len(active),
        fully_labeled_replicas=sum(labels <= pod.metadata.labels.items() for pod in active) or None,
        ready_replicas=sum(is_ready(pod) for pod in active) or None,
        available_replicas=sum(is_available(pod, min_ready_seconds, now) for pod in active) or None,
        observed_generation=replica_set.metadata.generation,
        conditions=replica_set.status.conditions,
    )
    if status != replica_set.status:
        yield UpdateStatus(msgspec.structs.replace(replica_set, status=status))


def _held_until(pods: list[Pod], wanted: int, now: datetime) -> datetime | None:
    """When to create again, if pods failed more often lately than the set is large; the pause doubles each time."""
    failed = [pod.metadata.creation_timestamp for pod in pods if pod.status.phase == "Failed"]
    recent = [at for at in failed if at is not None and at > now - timedelta(seconds=_FAILURES_COUNT_SECONDS)]
    rounds = len(recent) // max(1, wanted)
    if rounds == 0:
        return None
    at = max(recent) + timedelta(seconds=min(_FAILURE_PAUSE_SECONDS_MAX, 2 ** min(rounds - 1, 10)))
    return at if at > now else None


def _next_available(replica_set: ReplicaSet, active: list[Pod], now: datetime) -> datetime | None:
    min_ready_seconds = replica_set.spec.min_ready_seconds or 0
    if not min_ready_seconds:
        return None
    moments = (available_at(pod, min_ready_seconds) for pod in active)
    return min((moment for moment in moments if moment is not None and moment > now), default=None)


def _notes(replica_set: ReplicaSet, pods: list[Pod], reason: str, verb: str) -> tuple[Note, ...]:
    if len(pods) > _NOTES_AT_ONCE:
        return (Note(replica_set, "Normal", reason, f"{verb} {len(pods)} pods"),)
    return tuple(Note(replica_set, "Normal", reason, f"{verb} pod: {pod.metadata.name}") for pod in pods)
