"""Tells a pod's status from what is observed. Pure; one writer: this node's agent.

Phases, container states, reasons and conditions are Kubernetes' ("Pod Lifecycle"). Transition times move only when a
condition's status changes; times are whole seconds, as Kubernetes writes them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from orchestr8.api import qos
from orchestr8.api.pod import (
    Container,
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    HostIP,
    Pod,
    PodCondition,
    PodIP,
    PodStatus,
)
from orchestr8.worker.agent.pods.observed import (
    EXIT_CODE_START_ERROR,
    Observed,
    current_init,
    init_done,
    restarts,
    terminal_phase,
)
from orchestr8.worker.agent.pods.sync import ERROR_SHOWN_SECONDS, restart_at
from orchestr8.worker.runtime import base
from orchestr8.worker.runtime.base import EXIT_CODE_UNKNOWN, ContainerPhase

CONTAINER_ID_PREFIX = "podman://"
_EXIT_CODE_LOST = 255  # what Kubernetes shows for a container whose end nobody saw
_CRASH_LOOP = "CrashLoopBackOff"
_IMAGE_BACKOFF = "ImagePullBackOff"
_BACKOFF_REASONS = {"ErrImagePull": _IMAGE_BACKOFF}


def pod_status(pod: Pod, observed: Observed, *, node_ip: str, now: dt.datetime, now_seconds: float) -> PodStatus:
    """The whole status. ``pod.status`` is the status before: its start time, transition times and end are kept."""
    before, wall = pod.status, now.replace(microsecond=0)
    inits = tuple(_container_status(pod, item, observed, now_seconds) for item in pod.spec.init_containers)
    mains = tuple(_container_status(pod, item, observed, now_seconds) for item in pod.spec.containers)
    phase = terminal_phase(pod, observed) or _phase(pod, observed, mains)
    ip = observed.ip if observed.attached_pid or before.pod_ip else ""
    problem = observed.pod_problem
    return PodStatus(
        phase=phase,
        conditions=tuple(_conditions(pod, observed, mains, phase, wall)),
        message=problem.message if problem is not None and phase == "Pending" else before.message,
        reason=before.reason,
        host_ip=node_ip,
        host_ips=(HostIP(ip=node_ip),),
        pod_ip=ip or None,
        pod_ips=(PodIP(ip=ip),) if ip else (),
        start_time=before.start_time or wall,
        init_container_statuses=inits,
        container_statuses=mains,
        qos_class=before.qos_class or qos.qos_class(pod),
        nominated_node_name=before.nominated_node_name,
        observed_generation=pod.metadata.generation,
    )


def held_back(before: PodStatus, after: PodStatus) -> list[tuple[str, str, str]]:
    """The containers that wait for another try now and did not before: name, type of the event, its message."""
    already = {known.name for known in _statuses(before) if _held_for(known)}
    found = []
    for known in _statuses(after):
        reason = _held_for(known)
        if reason == _CRASH_LOOP and known.name not in already:
            found.append((known.name, "Warning", f"Back-off restarting failed container {known.name}"))
        elif reason == _IMAGE_BACKOFF and known.name not in already:
            found.append((known.name, "Normal", f'Back-off pulling image "{known.image}"'))
    return found


def _statuses(status: PodStatus) -> tuple[ContainerStatus, ...]:
    return (*status.init_container_statuses, *status.container_statuses)


def _held_for(status: ContainerStatus) -> str:
    waiting = status.state.waiting if status.state is not None else None
    reason = waiting.reason if waiting is not None else None
    return reason if reason in (_CRASH_LOOP, _IMAGE_BACKOFF) else ""


def is_ready(state: base.ContainerState, observed: Observed) -> bool:
    return state.phase is ContainerPhase.RUNNING and observed.verdict(state).ready


# -- phase and conditions -----------------------------------------------------------------------------------


def _phase(pod: Pod, observed: Observed, mains: Sequence[ContainerStatus]) -> str:
    """Of a pod that is not at its end. Pending until every container has been started once."""
    if not init_done(pod, observed) or (not observed.attached_pid and not any(observed.containers.values())):
        return "Pending"
    never_started = any(
        status.state is not None
        and status.state.waiting is not None
        and (status.last_state is None or status.last_state.terminated is None)
        for status in mains
    )
    return "Pending" if never_started else "Running"


def _conditions(
    pod: Pod, observed: Observed, mains: Sequence[ContainerStatus], phase: str, now: dt.datetime
) -> Iterable[PodCondition]:
    before = {condition.type: condition for condition in pod.status.conditions}
    ours = {"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"}
    completed = phase == "Succeeded"
    unready = [status.name for status in mains if not status.ready]
    uninitialized = [item.name for item in pod.spec.init_containers] if not init_done(pod, observed) else []
    reason, message = ("PodCompleted", "") if completed else ("ContainersNotReady", _unready(unready))
    ready = not unready and phase == "Running"
    init_reason, init_message = "", ""
    if uninitialized:
        init_reason = "ContainersNotInitialized"
        init_message = f"containers with incomplete status: [{' '.join(uninitialized)}]"
    sandbox = observed.sandbox
    # A restarted agent has not looked at the network yet, but what it said before still holds.
    networked = observed.attached_pid > 0 or (observed.ip != "" and pod.status.pod_ip == observed.ip)
    sandboxed = sandbox is not None and sandbox.network_pid > 0 and networked
    gates = [gate.condition_type for gate in pod.spec.readiness_gates]
    closed = [gate for gate in gates if gate not in before or before[gate].status != "True"]
    pod_ready, pod_reason, pod_message = ready and not closed, reason, message
    if ready and closed:
        pod_reason, pod_message = "ReadinessGatesNotReady", f"readiness gates not true: [{' '.join(closed)}]"
    table = [
        ("PodReadyToStartContainers", sandboxed, "", ""),
        ("Initialized", not uninitialized, init_reason or ("PodCompleted" if completed else ""), init_message),
        ("Ready", pod_ready, pod_reason, pod_message),
        ("ContainersReady", ready, reason, message),
        ("PodScheduled", True, "", ""),
    ]
    for type_, status, why, text in table:
        told = why if not status or completed else ""
        yield _condition(before.get(type_), type_, status, told, text if not status else "", now)
    yield from (condition for condition in pod.status.conditions if condition.type not in ours)


def _unready(names: Sequence[str]) -> str:
    return f"containers with unready status: [{' '.join(names)}]"


def _condition(
    before: PodCondition | None, type_: str, status: bool, reason: str, message: str, now: dt.datetime
) -> PodCondition:
    text = "True" if status else "False"
    kept = before is not None and before.status == text and before.last_transition_time is not None
    return PodCondition(
        type=type_,
        status=text,
        reason=reason or None,
        message=message or None,
        last_transition_time=before.last_transition_time if before is not None and kept else now,
    )


# -- containers -----------------------------------------------------------------------------------------------


def _container_status(pod: Pod, container: Container, observed: Observed, now_seconds: float) -> ContainerStatus:
    attempts = observed.containers.get(container.name, ())
    latest = attempts[-1] if attempts else None
    current = _current(pod, container, observed, latest, now_seconds)
    last = attempts[-2] if len(attempts) > 1 else None
    if latest is not None and latest.phase is ContainerPhase.EXITED and current.waiting is not None:
        last = latest
    is_init = any(container.name == init.name for init in pod.spec.init_containers)
    started = latest is not None and latest.phase is ContainerPhase.RUNNING and observed.verdict(latest).started
    done = latest is not None and latest.phase is ContainerPhase.EXITED and latest.exit_code == 0
    return ContainerStatus(
        name=container.name,
        image=container.image or "",
        image_id=latest.image_id if latest is not None else "",
        container_id=f"{CONTAINER_ID_PREFIX}{latest.id}" if latest is not None else None,
        ready=done if is_init else latest is not None and is_ready(latest, observed),
        started=started,
        restart_count=latest.attempt if latest is not None else 0,
        state=current,
        last_state=ContainerState(terminated=_terminated(last, observed)) if last is not None else None,
    )


def _current(
    pod: Pod, container: Container, observed: Observed, latest: base.ContainerState | None, now_seconds: float
) -> ContainerState:
    if latest is not None and latest.phase is ContainerPhase.RUNNING:
        return ContainerState(running=ContainerStateRunning(started_at=_seconds(latest.started_at)))
    ended = latest is not None and latest.phase is ContainerPhase.EXITED
    problem = observed.problems.get(container.name)
    if problem is not None and (latest is None or restarts(pod, container, latest)):
        reason = problem.reason
        if now_seconds >= problem.since + ERROR_SHOWN_SECONDS:
            reason = _BACKOFF_REASONS.get(reason, reason)
        return _waiting(reason, problem.message)
    if latest is not None and ended:
        if restarts(pod, container, latest) and restart_at(observed, latest) > now_seconds:
            seconds = round(observed.backoff_seconds.get(container.name, 0.0))
            name = f"{container.name} pod={pod.metadata.name}_{pod.metadata.namespace}({pod.metadata.uid})"
            return _waiting(_CRASH_LOOP, f"back-off {seconds}s restarting failed container={name}")
        return ContainerState(terminated=_terminated(latest, observed))
    init = current_init(pod, observed)
    if init is not None and init.name != container.name:
        return _waiting("PodInitializing", "")
    return _waiting("ContainerCreating", "")


def _waiting(reason: str, message: str) -> ContainerState:
    return ContainerState(waiting=ContainerStateWaiting(reason=reason, message=message or None))


def _terminated(state: base.ContainerState, observed: Observed) -> ContainerStateTerminated:
    reason, message, exit_code = "Error", None, state.exit_code or 0
    if state.id in observed.start_errors:
        reason, message, exit_code = "StartError", observed.start_errors[state.id], EXIT_CODE_START_ERROR
    elif state.exit_code == EXIT_CODE_UNKNOWN:
        reason, exit_code = "Unknown", _EXIT_CODE_LOST
        message = "its monitor was killed" if state.keeper_lost else "the host went down while it was running"
    elif state.oom_killed:
        reason = "OOMKilled"
    elif exit_code == 0:
        reason = "Completed"
    return ContainerStateTerminated(
        container_id=f"{CONTAINER_ID_PREFIX}{state.id}",
        exit_code=exit_code,
        reason=reason,
        message=message,
        started_at=_seconds(state.started_at),
        finished_at=_seconds(state.finished_at),
    )


def _seconds(moment: dt.datetime | None) -> dt.datetime | None:
    return moment.replace(microsecond=0) if moment is not None else None
