"""Decides what to do next for one pod. Pure: (pod, what is, what is under way, now) -> steps and the next time to look.

Each step is small and safe to decide again; steps returned together may run at the same time. The order for a pod that
shall run: files, sandbox and images at once; then the network and the containers' creation at once; init containers
one after the other; then the rest. A pod that shall stop: hooks and SIGTERM for all containers at once, SIGKILL at the
deadline, then everything is removed. Source: Kubernetes, "Pod Lifecycle"; restart back-off as there, but the first
restart is immediate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from orchestr8 import limits
from orchestr8.api.pod import Container, Pod
from orchestr8.worker.agent.pods.observed import Observed, Problem, current_init, restarts, terminal_phase
from orchestr8.worker.runtime.base import ContainerPhase, ContainerState

ATTEMPTS_KEPT = 2  # the newest and, for ``logs --previous``, the one before
DEFAULT_GRACE_SECONDS = 30
POD = ""  # the "container" of a step that concerns the whole pod


class Step(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """``container`` is the name of the container concerned. Two steps with one ``key`` never run at the same time."""

    container: str = POD

    @property
    def key(self) -> str:
        return f"container:{self.container}" if self.container else type(self).__name__


class PrepareFiles(Step, frozen=True, kw_only=True):
    """Volumes, hosts and resolv.conf."""


class PrepareSandbox(Step, frozen=True, kw_only=True):
    """Create it, or start it again when ``sandbox_id`` names one that has stopped."""

    sandbox_id: str = ""


class AttachNetwork(Step, frozen=True, kw_only=True):
    network_pid: int


class EnsureImage(Step, frozen=True, kw_only=True):
    image: str
    policy: str

    @property
    def key(self) -> str:
        return f"image:{self.container}"


class CreateContainer(Step, frozen=True, kw_only=True):
    attempt: int


class StartContainer(Step, frozen=True, kw_only=True):
    container_id: str


class StopContainer(Step, frozen=True, kw_only=True):
    """``deadline``: monotonic time of SIGKILL. ``why``: for the event."""

    container_id: str
    deadline: float
    why: str


class RemoveContainer(Step, frozen=True, kw_only=True):
    container_id: str

    @property
    def key(self) -> str:
        return f"remove:{self.container_id}"


class RemovePod(Step, frozen=True, kw_only=True):
    """Nothing of it runs any more: sandbox, network, files, address."""


class Desired(msgspec.Struct, frozen=True, kw_only=True):
    """``stop_deadline``: set when the pod shall end, monotonic; never moves back."""

    pod: Pod
    stop_deadline: float | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """``cancel``: keys of steps under way that are in the way. ``wake_at``: look again then; None: only on news."""

    steps: tuple[Step, ...] = ()
    cancel: frozenset[str] = frozenset()
    wake_at: float | None = None


def decide(desired: Desired, observed: Observed, busy: Mapping[str, Step], now: float) -> Decision:
    """``busy``: key -> step under way. Returned steps are never under way already."""
    if desired.stop_deadline is not None:
        return _stop(observed, busy, desired.stop_deadline)
    pod = desired.pod
    if terminal_phase(pod, observed) is not None:
        return Decision()
    wanted = [*_pod_steps(pod, observed, now), *_container_steps(pod, observed, now), *_surplus(observed)]
    return Decision(steps=_not_yet(wanted, busy), wake_at=_wake_at(pod, observed, now))


def backoff_after(observed: Observed, state: ContainerState) -> float:
    """How long the restart after next waits, when ``state`` is restarted now: 10 s, 20 s ... 5 min."""
    before = observed.backoff_seconds.get(state.name, 0.0)
    if before == 0.0 or _ran_long(state):
        return limits.RESTART_BACKOFF_SECONDS_FIRST
    return min(2 * before, limits.RESTART_BACKOFF_SECONDS_MAX)


def restart_at(observed: Observed, state: ContainerState) -> float:
    """When an ended container may start again, monotonic."""
    seen = observed.exits.get(state.id, 0.0)
    return seen if _ran_long(state) else seen + observed.backoff_seconds.get(state.name, 0.0)


def grace_seconds(pod: Pod) -> float:
    asked = pod.metadata.deletion_grace_period_seconds
    if asked is None:
        asked = pod.spec.termination_grace_period_seconds
    return float(DEFAULT_GRACE_SECONDS if asked is None else asked)


def retry(problem: Problem | None, reason: str, message: str, now: float) -> Problem:
    """The same trouble again waits twice as long."""
    tries = problem.tries + 1 if problem is not None else 1
    seconds = min(limits.RESTART_BACKOFF_SECONDS_FIRST * 2 ** (tries - 1), limits.RESTART_BACKOFF_SECONDS_MAX)
    return Problem(reason=reason, message=message, since=now, retry_at=now + seconds, tries=tries)


# -- a pod that shall run ---------------------------------------------------------------------------------


def _pod_steps(pod: Pod, observed: Observed, now: float) -> Iterator[Step]:
    if _waits(observed.pod_problem, now):
        return
    if not observed.files_ready:
        yield PrepareFiles()
    if observed.sandbox is None:
        yield PrepareSandbox()
    elif observed.sandbox.network_pid == 0:
        if observed.running():  # their namespaces are not those that a new first process would make
            yield from (
                StopContainer(container=state.name, container_id=state.id, deadline=now, why="its sandbox has ended")
                for state in observed.running()
            )
        else:
            yield PrepareSandbox(sandbox_id=observed.sandbox.id)
    elif observed.attached_pid != observed.sandbox.network_pid:
        yield AttachNetwork(network_pid=observed.sandbox.network_pid)


def _container_steps(pod: Pod, observed: Observed, now: float) -> Iterator[Step]:
    init = current_init(pod, observed)
    containers = pod.spec.containers if init is None else (init,)
    for container in containers:
        step = _container_step(pod, container, observed, now)
        if step is not None:
            yield step
    if init is not None:  # the others' images come meanwhile
        for container in pod.spec.containers:
            yield from _image_step(container, observed, now)


def _container_step(pod: Pod, container: Container, observed: Observed, now: float) -> Step | None:
    state = observed.latest(container.name)
    if state is not None and state.phase is ContainerPhase.RUNNING:
        verdict = observed.verdict(state)
        if not verdict.unhealthy:
            return None
        deadline = now + _liveness_grace(pod, container)
        return StopContainer(container=container.name, container_id=state.id, deadline=deadline, why=verdict.unhealthy)
    if _waits(observed.problems.get(container.name), now):
        return None
    if state is not None and state.phase is ContainerPhase.CREATED:
        return StartContainer(container=container.name, container_id=state.id) if _networked(observed) else None
    if state is not None and (not restarts(pod, container, state) or restart_at(observed, state) > now):
        return None
    for step in _image_step(container, observed, now):
        return step
    if observed.sandbox is None or not observed.sandbox.network_pid or not observed.files_ready:
        return None
    return CreateContainer(container=container.name, attempt=state.attempt + 1 if state is not None else 0)


def _image_step(container: Container, observed: Observed, now: float) -> Iterator[Step]:
    if container.name not in observed.images and not _waits(observed.problems.get(container.name), now):
        image = container.image or ""
        policy = container.image_pull_policy or "IfNotPresent"
        yield EnsureImage(container=container.name, image=image, policy=policy)


def _surplus(observed: Observed) -> Iterator[Step]:
    for attempts in observed.containers.values():
        for state in attempts[:-ATTEMPTS_KEPT]:
            yield RemoveContainer(container=state.name, container_id=state.id)


def _networked(observed: Observed) -> bool:
    sandbox = observed.sandbox
    return sandbox is not None and sandbox.network_pid > 0 and observed.attached_pid == sandbox.network_pid


def _liveness_grace(pod: Pod, container: Container) -> float:
    for probe in (container.liveness_probe, container.startup_probe):
        if probe is not None and probe.termination_grace_period_seconds is not None:
            return float(probe.termination_grace_period_seconds)
    seconds = pod.spec.termination_grace_period_seconds
    return float(DEFAULT_GRACE_SECONDS if seconds is None else seconds)


def _ran_long(state: ContainerState) -> bool:
    if state.started_at is None or state.finished_at is None:
        return False
    return (state.finished_at - state.started_at).total_seconds() >= limits.RESTART_BACKOFF_RESET_SECONDS


def _waits(problem: Problem | None, now: float) -> bool:
    return problem is not None and problem.retry_at > now


def _wake_at(pod: Pod, observed: Observed, now: float) -> float | None:
    times = [problem.retry_at for problem in observed.problems.values()]
    times += [problem.since + ERROR_SHOWN_SECONDS for problem in observed.problems.values()]
    if observed.pod_problem is not None:
        times.append(observed.pod_problem.retry_at)
    for container in (*pod.spec.init_containers, *pod.spec.containers):
        state = observed.latest(container.name)
        if state is not None and state.phase is ContainerPhase.EXITED and restarts(pod, container, state):
            times.append(restart_at(observed, state))
    return min((time for time in times if time > now), default=None)


ERROR_SHOWN_SECONDS = 2.0  # ErrImagePull is shown so long, then ImagePullBackOff until the next try


# -- a pod that shall stop --------------------------------------------------------------------------------


def _stop(observed: Observed, busy: Mapping[str, Step], deadline: float) -> Decision:
    late = {key for key, step in busy.items() if isinstance(step, StopContainer) and step.deadline > deadline}
    pulls = {key for key, step in busy.items() if isinstance(step, EnsureImage)}
    steps: list[Step] = [
        StopContainer(container=state.name, container_id=state.id, deadline=deadline, why="the pod is stopped")
        for state in observed.running()
    ]
    if not steps and not busy:
        steps = [RemovePod()]
    return Decision(steps=_not_yet(steps, busy), cancel=frozenset(late | pulls))


def _not_yet(wanted: Sequence[Step], busy: Mapping[str, Step]) -> tuple[Step, ...]:
    """Without those whose key is taken: by a step under way, or by an earlier one of these."""
    first: dict[str, Step] = {}
    for step in wanted:
        first.setdefault(step.key, step)
    return tuple(step for step in first.values() if step.key not in busy)
