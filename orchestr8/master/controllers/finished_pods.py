"""How many finished pods are remembered: the newest FINISHED_PODS_KEPT, so that what fails again and again does not
fill the store. Source: Kubernetes, "Pod Lifecycle" (pod garbage collection; its threshold is 12,500).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestr8.api.pod import Pod
from orchestr8.master.controllers.controller import Moment
from orchestr8.master.controllers.facts import FINISHED_PHASES
from orchestr8.store.command import Key
from orchestr8.store.history import Change
from orchestr8.store.plan import Plan, Remove
from orchestr8.store.view import View

FINISHED_PODS_KEPT = 1_000
_ALL = Key("Pod", "", "")
_REMOVED_AT_ONCE = 500


def decide(view: View, key: Key, now: Moment) -> Plan:
    """All pods; ``key`` is always the same."""
    finished = [pod for pod in view.list(Pod) if pod.status.phase in FINISHED_PHASES]
    surplus = max(0, len(finished) - FINISHED_PODS_KEPT)
    oldest = sorted(finished, key=_age)[: min(surplus, _REMOVED_AT_ONCE)]
    return Plan(tuple(Remove(pod) for pod in oldest), wake_at=now.wall if surplus > _REMOVED_AT_ONCE else None)


def affected(change: Change, view: View) -> Iterator[Key]:
    after = change.after.obj if change.after is not None else None
    if isinstance(after, Pod) and after.status.phase in FINISHED_PHASES:
        yield _ALL


def everything(view: View) -> Iterable[Key]:
    return (_ALL,)


def _age(pod: Pod) -> tuple[float, str]:
    created = pod.metadata.creation_timestamp
    return (created.timestamp() if created is not None else 0.0, pod.metadata.name)
