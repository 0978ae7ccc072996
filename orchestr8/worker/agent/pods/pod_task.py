"""One trio task per pod: holds what is observed, asks sync.py what to do, runs the steps, publishes the status.

Its inbox has room for one: the newest desired pod replaces the one before, and any news only wakes it. Nothing but this
task changes its ``Observed``; a step that ends hands in its change, so that steps may run side by side.
"""

from __future__ import annotations

import math

import msgspec
import trio

from orchestr8.api import codec
from orchestr8.api.pod import Container, Pod, PodStatus, Probe
from orchestr8.worker.agent.kit import Kit
from orchestr8.worker.agent.masters.outbox import PodName
from orchestr8.worker.agent.pods import probes, sync
from orchestr8.worker.agent.pods.actions import act
from orchestr8.worker.agent.pods.lifecycle import CONTAINER_ID_PREFIX, held_back, pod_status
from orchestr8.worker.agent.pods.observed import Change, Observed, ProbeVerdict
from orchestr8.worker.agent.pods.steps import Performer
from orchestr8.worker.agent.pods.volumes import has_files
from orchestr8.worker.runtime.base import LABEL_POD_IP, ContainerPhase, ContainerState, Sandbox

ORPHAN_GRACE_SECONDS = 5.0  # for a pod that left the set without a word: others may wait for its end


class PodTask:
    def __init__(self, kit: Kit, pod: Pod, sandbox: Sandbox | None) -> None:
        """``sandbox``: what the runtime has of this pod already."""
        self.name = PodName.of(pod)
        self._kit = kit
        self._performer = Performer(kit, self.name.uid)
        self._desired = sync.Desired(pod=pod)
        self._observed = Observed()
        self._status: PodStatus = pod.status
        self._busy: dict[str, sync.Step] = {}
        self._scopes: dict[str, trio.CancelScope] = {}
        self._probing: dict[str, trio.CancelScope] = {}
        self._hints: set[str] = set()
        self._wake = trio.Event()
        self._changed_at = -math.inf
        if sandbox is not None:
            ip = sandbox.labels.get(LABEL_POD_IP, "")
            self._observed = Observed(ip=ip).with_sandbox(sandbox, kit.clock.monotonic_seconds())
        self.offer(pod)

    # -- what others tell; none of these waits ------------------------------------------------------------

    @property
    def pod(self) -> Pod:
        return self._desired.pod

    @property
    def observed(self) -> Observed:
        return self._observed

    def offer(self, pod: Pod) -> None:
        """The newest version of the pod; a deletion only ever shortens the time that is left."""
        self._desired = msgspec.structs.replace(self._desired, pod=pod)
        if pod.metadata.deletion_timestamp is not None:
            self._stop_within(sync.grace_seconds(pod))
        elif self._status is not pod.status and pod.status != self._status:
            self._kit.outbox.correct(self.name)
        self._news()

    def leave(self) -> None:
        """The pod is in the set no more: it was deleted by force, or belongs to another node by now."""
        self._stop_within(min(sync.grace_seconds(self.pod), ORPHAN_GRACE_SECONDS))

    def hint(self, container_id: str) -> None:
        """Something happened to this container: look."""
        self._hints.add(container_id)
        self._news()

    def configuration_changed(self) -> None:
        """A ConfigMap or Secret changed: files are compared anew, and what failed for want of one is tried again."""
        observed = self._observed
        problems = {
            name: msgspec.structs.replace(problem, retry_at=0.0)
            if problem.reason == "CreateContainerConfigError"
            else problem
            for name, problem in observed.problems.items()
        }
        problem = observed.pod_problem
        if problem is not None and problem.reason == "FailedMount":
            problem = msgspec.structs.replace(problem, retry_at=0.0)
        ready = observed.files_ready and not has_files(self.pod)
        self._observed = msgspec.structs.replace(observed, files_ready=ready, problems=problems, pod_problem=problem)
        self._news()

    def listed(self, sandbox: Sandbox | None, began_at: float) -> None:
        """What a listing that began then says; older than our own last step, it is of no use."""
        if self._busy or self._changed_at >= began_at or self._observed.removed:
            return
        now = self._kit.clock.monotonic_seconds()
        if sandbox is None:
            if self._observed.sandbox is None:
                return
            self._observed = msgspec.structs.replace(self._observed, sandbox=None, attached_pid=0, containers={})
        else:
            found = self._observed.with_sandbox(sandbox, now)
            self._observed = msgspec.structs.replace(
                found, ip=self._observed.ip or sandbox.labels.get(LABEL_POD_IP, "")
            )
        self._news()

    # -- living ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until nothing of the pod is left."""
        async with trio.open_nursery() as nursery:
            while not self._observed.removed:
                self._wake = trio.Event()
                wake_at = self._advance(nursery)
                with trio.move_on_at(math.inf if wake_at is None else wake_at):
                    await self._wake.wait()
            nursery.cancel_scope.cancel()
        if self.pod.metadata.deletion_timestamp is not None:
            self._kit.outbox.finished(self.name)
        else:
            self._kit.outbox.forget(self.name)

    def _advance(self, nursery: trio.Nursery) -> float | None:
        now = self._kit.clock.monotonic_seconds()
        decision = sync.decide(self._with_own_status(), self._observed, self._busy, now)
        for key in decision.cancel:
            if key in self._scopes:
                self._scopes[key].cancel()
        for step in decision.steps:
            self._busy[step.key] = step
            self._scopes[step.key] = trio.CancelScope()
            nursery.start_soon(self._run_step, step)
        while self._hints:
            nursery.start_soon(self._follow_hint, self._hints.pop())
        self._probe(nursery)
        self._publish(now)
        return decision.wake_at

    async def _run_step(self, step: sync.Step) -> None:
        change: Change | None = None
        with self._scopes[step.key]:
            change = await self._performer.perform(step, self.pod, self._observed)
        del self._busy[step.key], self._scopes[step.key]
        self._apply(change)

    async def _follow_hint(self, container_id: str) -> None:
        self._apply(await self._performer.inspect(container_id))

    def _apply(self, change: Change | None) -> None:
        if change is not None:
            self._observed = change(self._observed)
        self._changed_at = self._kit.clock.monotonic_seconds()
        self._news()

    def _news(self) -> None:
        self._wake.set()

    def _stop_within(self, seconds: float) -> None:
        deadline = self._kit.clock.monotonic_seconds() + seconds
        before = self._desired.stop_deadline
        if before is None or deadline < before:
            self._desired = msgspec.structs.replace(self._desired, stop_deadline=deadline)
            self._news()

    # -- status -----------------------------------------------------------------------------------------------

    def _with_own_status(self) -> sync.Desired:
        """Our own last word counts, not what of it has reached the master; conditions of others are the master's."""
        ours = {condition.type for condition in self._status.conditions}
        foreign = tuple(known for known in self.pod.status.conditions if known.type not in ours)
        status = msgspec.structs.replace(self._status, conditions=(*self._status.conditions, *foreign))
        pod = msgspec.structs.replace(self.pod, status=status)
        return msgspec.structs.replace(self._desired, pod=pod)

    def _publish(self, now_seconds: float) -> None:
        status = pod_status(
            self._with_own_status().pod,
            self._observed,
            node_ip=self._kit.settings.node_ip,
            now=self._kit.clock.now(),
            now_seconds=now_seconds,
        )
        before, self._status = self._status, status
        for container, type_, message in held_back(before, status):
            self._performer.tell(self.pod, type_, "BackOff", message, container)
        urgent = status.phase != before.phase or _is_ready(status) != _is_ready(before)
        self._kit.outbox.pod_status(self.name, codec.encode(status), urgent=urgent)

    # -- probes -----------------------------------------------------------------------------------------------

    def _probe(self, nursery: trio.Nursery) -> None:
        running = {
            state.id: (container, state)
            for container in self.pod.spec.containers
            if (state := self._observed.latest(container.name)) is not None and state.phase is ContainerPhase.RUNNING
        }
        for container_id in self._probing.keys() - running.keys():
            self._probing.pop(container_id).cancel()
        for container_id in running.keys() - self._probing.keys():
            container, state = running[container_id]
            scope = self._probing[container_id] = trio.CancelScope()
            verdict = self._known_verdict(container, state)
            self._take_verdict(container.name, verdict)
            if _has_probes(container):
                nursery.start_soon(self._run_probes, scope, container, verdict)

    async def _run_probes(self, scope: trio.CancelScope, container: Container, verdict: ProbeVerdict) -> None:
        async def attempt(probe: Probe) -> None:
            ip, host, runtime = self._observed.ip, self._kit.host, self._kit.runtime
            await act(probe, container, verdict.container_id, ip=ip, host=host, runtime=runtime)

        def report(changed: ProbeVerdict) -> None:
            self._take_verdict(container.name, changed)
            self._news()

        def complain(kind: str, message: str) -> None:
            self._performer.tell(self.pod, "Warning", "Unhealthy", message, container.name)

        with scope:
            await probes.watch(container, verdict, attempt, report, complain)

    def _take_verdict(self, name: str, verdict: ProbeVerdict) -> None:
        verdicts = {**self._observed.probes, name: verdict}
        self._observed = msgspec.structs.replace(self._observed, probes=verdicts)

    def _known_verdict(self, container: Container, state: ContainerState) -> ProbeVerdict:
        """A restarted agent goes on from what was last known of the same container, so that nothing flaps."""
        if not _has_probes(container):
            return ProbeVerdict(container_id=state.id, started=True, ready=True)
        identity = f"{CONTAINER_ID_PREFIX}{state.id}"
        for known in self._status.container_statuses:
            if known.name == container.name and known.container_id == identity:
                return ProbeVerdict(container_id=state.id, started=bool(known.started), ready=known.ready)
        return ProbeVerdict(container_id=state.id)


def _is_ready(status: PodStatus) -> bool:
    return any(known.type == "Ready" and known.status == "True" for known in status.conditions)


def _has_probes(container: Container) -> bool:
    return any((container.startup_probe, container.liveness_probe, container.readiness_probe))
