"""Questions about single objects that several controllers ask. Source: Kubernetes, "Pod Lifecycle"."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from orchestr8.api.meta import Object, controller_of
from orchestr8.api.pod import Pod
from orchestr8.store.command import Key

FINISHED_PHASES = ("Succeeded", "Failed")


def key_of(obj: Object) -> Key:
    return Key(obj.kind, obj.metadata.namespace, obj.metadata.name)


def is_active(pod: Pod) -> bool:
    """Counts as a replica: neither finished nor being deleted."""
    return pod.status.phase not in FINISHED_PHASES and pod.metadata.deletion_timestamp is None


def condition(obj: Any, kind: str) -> Any | None:
    """The condition of type ``kind`` in the status of ``obj``."""
    return next((each for each in obj.status.conditions if each.type == kind), None)


def is_ready(pod: Pod) -> bool:
    found = condition(pod, "Ready")
    return found is not None and found.status == "True"


def available_at(pod: Pod, min_ready_seconds: int) -> datetime | None:
    """From when on the pod counts as available; None while it is not ready."""
    found = condition(pod, "Ready")
    if found is None or found.status != "True":
        return None
    since = found.last_transition_time or pod.metadata.creation_timestamp
    return since + timedelta(seconds=min_ready_seconds) if since is not None else None


def is_available(pod: Pod, min_ready_seconds: int, now: datetime) -> bool:
    if min_ready_seconds == 0:
        return is_ready(pod)
    at = available_at(pod, min_ready_seconds)
    return at is not None and at <= now


def is_controlled_by(obj: Object, uid: str) -> bool:
    owner = controller_of(obj)
    return owner is not None and owner.uid == uid
