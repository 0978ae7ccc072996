"""What a Deployment's status says: counts, and the conditions Available and Progressing.

A rollout that makes no progress for ``progressDeadlineSeconds`` is reported, not undone. Progress is a higher count of
updated, ready or available pods, or fewer old ones. Source: Kubernetes, "Deployments" (Deployment status).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from orchestr8.api.workloads import Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet
from orchestr8.clock import to_seconds
from orchestr8.master.controllers.rollout import Bounds

DEFAULT_DEADLINE_SECONDS = 600
_NO_DEADLINE_SECONDS = 2**31 - 1  # Kubernetes' way to say "none"
_TIMED_OUT = "ProgressDeadlineExceeded"
_COMPLETE = "NewReplicaSetAvailable"
_PAUSED = "DeploymentPaused"


def observe(
    deployment: Deployment,
    bound: Bounds,
    current: ReplicaSet | None,
    old: Sequence[ReplicaSet],
    now: datetime,
    *,
    created: str | None = None,
    collision_count: int | None = None,
) -> DeploymentStatus:
    """The status for what the ReplicaSets report. ``created``: name of the ReplicaSet that this plan makes."""
    everything = [*old, *([current] if current is not None else [])]
    asked = sum(each.spec.replicas or 0 for each in everything)
    available = sum(each.status.available_replicas or 0 for each in everything)
    status = DeploymentStatus(
        observed_generation=deployment.metadata.generation,
        replicas=sum(each.status.replicas for each in everything) or None,
        updated_replicas=(current.status.replicas if current is not None else 0) or None,
        ready_replicas=sum(each.status.ready_replicas or 0 for each in everything) or None,
        available_replicas=available or None,
        unavailable_replicas=max(0, asked - available) or None,
        collision_count=collision_count or deployment.status.collision_count,
    )
    conditions = {each.type: each for each in deployment.status.conditions}
    for condition in (_available(bound, available), _progressing(deployment, status, current, now, created)):
        if condition is not None:
            conditions[condition.type] = _dated(conditions.get(condition.type), condition, to_seconds(now))
    return msgspec.structs.replace(status, conditions=tuple(conditions.values()))


def is_complete(deployment: Deployment, status: DeploymentStatus) -> bool:
    """Every pod is of the current template and available, and none is left over."""
    wanted = deployment.spec.replicas or 0
    counts = (status.updated_replicas or 0, status.replicas or 0, status.available_replicas or 0)
    return counts == (wanted, wanted, wanted)


def deadline(deployment: Deployment, status: DeploymentStatus) -> datetime | None:
    """When the rollout is late; None when it is done, paused, late already, or has no deadline."""
    seconds = deployment.spec.progress_deadline_seconds
    seconds = DEFAULT_DEADLINE_SECONDS if seconds is None else seconds
    found = next((each for each in status.conditions if each.type == "Progressing"), None)
    if found is None or found.last_update_time is None or seconds >= _NO_DEADLINE_SECONDS:
        return None
    if found.reason in (_COMPLETE, _TIMED_OUT, _PAUSED):
        return None
    return found.last_update_time + timedelta(seconds=seconds)


def _available(bound: Bounds, available: int) -> DeploymentCondition:
    if available >= bound.replicas - bound.max_unavailable:
        return _condition("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    return _condition(
        "Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."
    )


def _progressing(
    deployment: Deployment, status: DeploymentStatus, current: ReplicaSet | None, now: datetime, created: str | None
) -> DeploymentCondition | None:
    """None: leave the condition as it is."""
    before = next((each for each in deployment.status.conditions if each.type == "Progressing"), None)
    name = created or (current.metadata.name if current is not None else deployment.metadata.name)
    if deployment.spec.paused:
        return _condition("Progressing", "Unknown", _PAUSED, "Deployment is paused")
    if created is not None:
        return _condition("Progressing", "True", "NewReplicaSetCreated", f'Created new replica set "{name}"')
    if before is not None and before.reason == _PAUSED:
        return _condition("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed")
    if is_complete(deployment, status) and current is not None:
        return _condition("Progressing", "True", _COMPLETE, f'ReplicaSet "{name}" has successfully progressed.')
    if before is None:
        return _condition("Progressing", "True", "FoundNewReplicaSet", f'Found new replica set "{name}"')
    if _progressed(deployment.status, status) or _is_new_rollout(deployment, before):
        return _condition("Progressing", "True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.')
    late = deadline(deployment, msgspec.structs.replace(status, conditions=(before,)))
    if late is not None and late <= now:
        return _condition("Progressing", "False", _TIMED_OUT, f'ReplicaSet "{name}" has timed out progressing.')
    return None


def _is_new_rollout(deployment: Deployment, before: DeploymentCondition) -> bool:
    """The spec changed since the last look, and what was complete is no longer so."""
    return before.reason == _COMPLETE and deployment.metadata.generation != deployment.status.observed_generation


def _progressed(old: DeploymentStatus, new: DeploymentStatus) -> bool:
    def left(status: DeploymentStatus) -> int:
        return (status.replicas or 0) - (status.updated_replicas or 0)

    return (
        (new.updated_replicas or 0) > (old.updated_replicas or 0)
        or (new.ready_replicas or 0) > (old.ready_replicas or 0)
        or (new.available_replicas or 0) > (old.available_replicas or 0)
        or left(new) < left(old)
    )


def _condition(kind: str, status: str, reason: str, message: str) -> DeploymentCondition:
    return DeploymentCondition(type=kind, status=status, reason=reason, message=message)


def _dated(old: DeploymentCondition | None, new: DeploymentCondition, now: datetime) -> DeploymentCondition:
    """Transition time moves with the status; update time with every progress that is reported."""
    same = old is not None and (old.status, old.reason, old.message) == (new.status, new.reason, new.message)
    if old is not None and same and new.reason != "ReplicaSetUpdated":
        return old
    changed_at = old.last_transition_time if old is not None and old.status == new.status else now
    return msgspec.structs.replace(new, last_transition_time=changed_at, last_update_time=now)
