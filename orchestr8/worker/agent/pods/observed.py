"""What the agent knows of one pod on this node: runtime, network, files, images and probes. Frozen.

``sync`` and ``lifecycle`` decide on nothing but this, the desired pod and the time. Times are monotonic seconds unless
they are ``datetime``. A container is named by its name in the pod's spec; its attempts are ordered, the newest last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from orchestr8.api.pod import Container, Pod
from orchestr8.worker.runtime.base import ContainerPhase, ContainerState, Sandbox

EXIT_CODE_START_ERROR = 128  # the runtime could not execute the process; Kubernetes reports 128 as well


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that keeps a pod or container from starting; tried again at ``retry_at``.

    ``reason`` is what ``kubectl get pods`` shows; ``tries`` counts failures in a row.
    """

    reason: str
    message: str
    since: float
    retry_at: float
    tries: int = 1


class ProbeVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the probes of one attempt say. ``unhealthy``: why the container must be stopped; empty: it need not."""

    container_id: str
    started: bool = False
    ready: bool = False
    unhealthy: str = ""


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """``removed``: nothing of the pod is left on this node. ``paths``: volume or file of the pod -> path on the host.

    ``attached_pid``: the network namespace (of this pid) that has the pod's address.
    ``images``: containers whose image is here. ``start_errors``: container id -> message. ``exits``: container id ->
    when its end was noticed. ``backoff_seconds``: container name -> how long its next restart waits.
    """

    ip: str = ""
    sandbox: Sandbox | None = None
    removed: bool = False
    attached_pid: int = 0
    files_ready: bool = False
    paths: Mapping[str, str] = {}
    pod_problem: Problem | None = None
    containers: Mapping[str, tuple[ContainerState, ...]] = {}
    images: frozenset[str] = frozenset()
    problems: Mapping[str, Problem] = {}
    probes: Mapping[str, ProbeVerdict] = {}
    start_errors: Mapping[str, str] = {}
    exits: Mapping[str, float] = {}
    backoff_seconds: Mapping[str, float] = {}

    def latest(self, name: str) -> ContainerState | None:
        attempts = self.containers.get(name, ())
        return attempts[-1] if attempts else None

    def verdict(self, state: ContainerState) -> ProbeVerdict:
        found = self.probes.get(state.name)
        return found if found is not None and found.container_id == state.id else ProbeVerdict(container_id=state.id)

    def running(self) -> list[ContainerState]:
        return [
            state
            for attempts in self.containers.values()
            for state in attempts
            if state.phase is ContainerPhase.RUNNING
        ]

    def with_state(self, state: ContainerState) -> Observed:
        """Replaces or adds one attempt."""
        others = [known for known in self.containers.get(state.name, ()) if known.id != state.id]
        if state.id in self.start_errors and state.phase is ContainerPhase.CREATED:
            state = msgspec.structs.replace(state, phase=ContainerPhase.EXITED, exit_code=EXIT_CODE_START_ERROR)
        attempts = tuple(sorted([*others, state], key=lambda known: known.attempt))
        return msgspec.structs.replace(self, containers={**self.containers, state.name: attempts})

    def without_container(self, container_id: str) -> Observed:
        left = {
            name: tuple(state for state in attempts if state.id != container_id)
            for name, attempts in self.containers.items()
        }
        exits = {key: value for key, value in self.exits.items() if key != container_id}
        errors = {key: value for key, value in self.start_errors.items() if key != container_id}
        return msgspec.structs.replace(self, containers=left, exits=exits, start_errors=errors)

    def with_problem(self, name: str, problem: Problem | None) -> Observed:
        problems = {key: value for key, value in self.problems.items() if key != name}
        if problem is not None:
            problems[name] = problem
        return msgspec.structs.replace(self, problems=problems)

    def with_sandbox(self, sandbox: Sandbox, now: float) -> Observed:
        """Takes over what a listing says: attempts that it does not name are gone."""
        found = msgspec.structs.replace(self, sandbox=sandbox, containers={})
        for state in sandbox.containers:
            found = found.with_state(state)
        exits = {
            state.id: self.exits.get(state.id, now)
            for attempts in found.containers.values()
            for state in attempts
            if state.phase is ContainerPhase.EXITED
        }
        return msgspec.structs.replace(found, exits=exits)


Change = Callable[[Observed], Observed]  # what a step did, applied to what is observed when it ends


def init_done(pod: Pod, observed: Observed) -> bool:
    """Whether the main containers may start. Once one exists, init containers are a thing of the past."""
    if any(observed.containers.get(container.name) for container in pod.spec.containers):
        return True
    return all(_succeeded(observed.latest(container.name)) for container in pod.spec.init_containers)


def current_init(pod: Pod, observed: Observed) -> Container | None:
    """The init container whose turn it is; None when all have succeeded."""
    if init_done(pod, observed):
        return None
    return next(container for container in pod.spec.init_containers if not _succeeded(observed.latest(container.name)))


def restarts(pod: Pod, container: Container, state: ContainerState) -> bool:
    """Whether an ended container is started again, by the pod's restart policy."""
    policy = pod.spec.restart_policy or "Always"
    is_init = any(container.name == init.name for init in pod.spec.init_containers)
    if state.exit_code == 0:
        return policy == "Always" and not is_init
    return policy != "Never"


def terminal_phase(pod: Pod, observed: Observed) -> str | None:
    """``Succeeded`` or ``Failed`` once nothing of the pod will ever run again."""
    if pod.status.phase in ("Succeeded", "Failed"):
        return pod.status.phase
    for init in pod.spec.init_containers if not init_done(pod, observed) else ():
        state = observed.latest(init.name)
        if state is not None and state.phase is ContainerPhase.EXITED and state.exit_code:
            return None if restarts(pod, init, state) else "Failed"
    states = [observed.latest(container.name) for container in pod.spec.containers]
    if any(state is None or state.phase is not ContainerPhase.EXITED for state in states):
        return None
    if any(restarts(pod, container, state) for container, state in _pairs(pod.spec.containers, states)):
        return None
    return "Failed" if any(state is not None and state.exit_code for state in states) else "Succeeded"


def _pairs(
    containers: Iterable[Container], states: Iterable[ContainerState | None]
) -> Iterable[tuple[Container, ContainerState]]:
    return ((container, state) for container, state in zip(containers, states, strict=True) if state is not None)


def _succeeded(state: ContainerState | None) -> bool:
    return state is not None and state.phase is ContainerPhase.EXITED and state.exit_code == 0
