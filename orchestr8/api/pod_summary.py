"""One word for the state of a pod, as ``kubectl get pods`` prints it: Running, CrashLoopBackOff, Init:0/1, Terminating.

The phase alone hides most of what matters; the containers' own states say more.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from orchestr8.api.pod import ContainerStateTerminated, ContainerStatus, Pod


class PodSummary(NamedTuple):
    """``ready`` of ``total`` containers are ready."""

    reason: str
    ready: int
    total: int


def pod_status(pod: Pod) -> PodSummary:
    total = len(pod.spec.containers) + len(_sidecars(pod))
    conditions = {condition.type: condition for condition in pod.status.conditions}
    reason = pod.status.reason or pod.status.phase or "Pending"
    scheduled = conditions.get("PodScheduled")
    if scheduled is not None and scheduled.reason == "SchedulingGated":
        reason = "SchedulingGated"
    initializing = _init_reason(pod)
    ready = sum(_is_ready_sidecar(pod, status) for status in pod.status.init_container_statuses)
    initialized = conditions.get("Initialized")
    if initializing is None or (initialized is not None and initialized.status == "True"):
        reason = _main_reason(pod, reason)
        ready += sum(
            bool(status.ready and status.state and status.state.running) for status in pod.status.container_statuses
        )
    else:
        reason = initializing
    if pod.metadata.deletion_timestamp is not None:
        if pod.status.reason == "NodeLost":
            reason = "Unknown"
        elif pod.status.phase not in ("Succeeded", "Failed"):
            reason = "Terminating"
    return PodSummary(reason, ready, total)


def pod_restarts(pod: Pod) -> tuple[int, dt.datetime | None]:
    """How often containers were started again, and when last. While it initializes only init containers count."""
    statuses = pod.status.container_statuses
    if _init_reason(pod) is not None:
        statuses = pod.status.init_container_statuses
    ends = [
        status.last_state.terminated.finished_at
        for status in statuses
        if status.last_state is not None
        and status.last_state.terminated is not None
        and status.last_state.terminated.finished_at is not None
    ]
    return sum(status.restart_count for status in statuses), max(ends, default=None)


def _init_reason(pod: Pod) -> str | None:
    """What the first init container that is not done says; None when all are."""
    sidecars = _sidecars(pod)
    for position, status in enumerate(pod.status.init_container_statuses):
        state = status.state
        if state is not None and state.terminated is not None:
            if state.terminated.exit_code == 0:
                continue
            return f"Init:{_end_reason(state.terminated)}"
        if status.name in sidecars and status.started:
            continue
        waiting = state.waiting if state is not None else None
        if waiting is not None and waiting.reason and waiting.reason != "PodInitializing":
            return f"Init:{waiting.reason}"
        return f"Init:{position}/{len(pod.spec.init_containers)}"
    return None


def _main_reason(pod: Pod, reason: str) -> str:
    """The first container that waits or has ended gives the word; one that runs beats a Completed beside it."""
    running = False
    for status in reversed(pod.status.container_statuses):
        state = status.state
        if state is not None and state.waiting is not None and state.waiting.reason:
            reason = state.waiting.reason
        elif state is not None and state.terminated is not None:
            reason = _end_reason(state.terminated)
        elif status.ready and state is not None and state.running is not None:
            running = True
    if reason == "Completed" and running:
        is_ready = any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions)
        return "Running" if is_ready else "NotReady"
    return reason


def _end_reason(end: ContainerStateTerminated) -> str:
    if end.reason:
        return end.reason
    return f"Signal:{end.signal}" if end.signal else f"ExitCode:{end.exit_code}"


def _sidecars(pod: Pod) -> set[str]:
    return {container.name for container in pod.spec.init_containers if container.restart_policy == "Always"}


def _is_ready_sidecar(pod: Pod, status: ContainerStatus) -> bool:
    return status.name in _sidecars(pod) and bool(status.started) and status.ready


def _is_up(status: ContainerStatus) -> bool:
    return status.ready and status.state is not None and status.state.running is not None
