"""Carries out the steps that sync.py decides: the only place where a pod's runtime, network and files change.

Each step returns how it changes what is observed. What a user can mend becomes a Problem in it, with an event; when the
runtime or the kernel does not answer, the step waits a little and changes nothing, so it is decided again.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import trio

from orchestr8.api.pod import Container, LifecycleHandler, Pod
from orchestr8.errors import LimitExceeded, Unavailable
from orchestr8.logs import get_logger
from orchestr8.worker.agent import sync, volumes
from orchestr8.worker.agent.actions import act
from orchestr8.worker.agent.environment import ConfigMissing, environment
from orchestr8.worker.agent.host import ProbeFailed, VolumeFailed
from orchestr8.worker.agent.images import ImageNeverPulled, complete
from orchestr8.worker.agent.kit import Kit
from orchestr8.worker.agent.observed import EXIT_CODE_START_ERROR, Observed
from orchestr8.worker.agent.spec import container_spec, hostname, hosts_file, resolv_conf
from orchestr8.worker.network.base import NetworkFailed
from orchestr8.worker.runtime.base import (
    LABEL_POD_IP,
    ContainerNotFound,
    ContainerPhase,
    ContainerState,
    ImagePullFailed,
    Mount,
    RuntimeFailed,
    RuntimeUnavailable,
    Sandbox,
    SandboxSpec,
)

Change = Callable[[Observed], Observed]

RETRY_SECONDS = 1.0  # until a step that met a silent runtime is decided again
NETWORK_RETRY_SECONDS = 0.2  # the node's range may come any moment
HOSTS, RESOLV_CONF = "/etc/hosts", "/etc/resolv.conf"
_GRACE_AFTER_HOOK_SECONDS = 2.0  # what Kubernetes leaves a process whose preStop hook used up the whole grace


class Performer:
    """Performs the steps of one pod."""

    def __init__(self, kit: Kit, uid: str) -> None:
        self._kit = kit
        self._uid = uid
        self._hooked: set[str] = set()  # containers whose preStop hook has begun

    async def perform(self, step: sync.Step, pod: Pod, observed: Observed) -> Change:
        try:
            match step:
                case sync.PrepareFiles():
                    return await self._prepare_files(pod)
                case sync.PrepareSandbox():
                    return await self._prepare_sandbox(pod, step.sandbox_id)
                case sync.AttachNetwork():
                    return await self._attach(pod, step.network_pid)
                case sync.EnsureImage():
                    return await self._ensure_image(pod, step)
                case sync.CreateContainer():
                    return await self._create(pod, step, observed)
                case sync.StartContainer():
                    return await self._start(pod, step, observed)
                case sync.StopContainer():
                    return await self._stop(pod, step, observed)
                case sync.RemoveContainer():
                    await self._kit.runtime.remove_container(step.container_id)
                    return lambda now: now.without_container(step.container_id)
                case _:
                    return await self._remove(observed)
        except (Unavailable, LimitExceeded) as error:  # no address for it
            return self._pod_problem(pod, "NetworkNotReady", error.message)
        except (RuntimeUnavailable, RuntimeFailed, NetworkFailed, ContainerNotFound) as error:
            get_logger().warning("a step failed", pod=pod.metadata.name, step=type(step).__name__, why=error.message)
            await trio.sleep(RETRY_SECONDS)
            return lambda now: now

    async def inspect(self, container_id: str) -> Change:
        """After a hint that something happened to it."""
        try:
            state = await self._kit.runtime.inspect_container(container_id)
        except ContainerNotFound:
            return lambda now: now.without_container(container_id)
        except (RuntimeUnavailable, RuntimeFailed):
            return lambda now: now  # the periodic listing will tell
        return self._seen(state)

    def event(self, pod: Pod, type_: str, reason: str, message: str, container: str = "") -> None:
        regarding = {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": pod.metadata.namespace,
            "name": pod.metadata.name,
            "uid": pod.metadata.uid,
        }
        if container:
            regarding["fieldPath"] = f"spec.containers{{{container}}}"
        self._kit.outbox.event(regarding, type_, reason, message)

    # -- the pod as a whole ---------------------------------------------------------------------------------

    async def _prepare_files(self, pod: Pod) -> Change:
        host, paths = self._kit.host, dict[str, str]()
        try:
            ip = self._kit.addresses.take(self._uid)
            for volume in volumes.plan(pod, self._kit.assignments()):
                match volume:
                    case volumes.EmptyDir():
                        paths[volume.name] = await host.empty_dir(
                            self._uid, volume.name, volume.in_memory, volume.size_bytes
                        )
                    case volumes.HostPath():
                        await host.host_path(volume.path, volume.kind)
                        paths[volume.name] = volume.path
                    case volumes.Files():
                        paths[volume.name] = await host.write_files(self._uid, volume.name, volume.files, volume.secret)
            paths[HOSTS] = await host.write_pod_file(self._uid, "hosts", hosts_file(pod, ip))
            resolver = resolv_conf(pod, self._kit.resolv_conf)
            paths[RESOLV_CONF] = await host.write_pod_file(self._uid, "resolv.conf", resolver)
        except (ConfigMissing, VolumeFailed) as error:
            return self._pod_problem(pod, "FailedMount", f"MountVolume.SetUp failed: {error.message}")
        return lambda now: msgspec.structs.replace(now, files_ready=True, paths=paths, pod_problem=None)

    async def _prepare_sandbox(self, pod: Pod, sandbox_id: str) -> Change:
        try:
            if sandbox_id:
                sandbox = await self._kit.runtime.start_sandbox(sandbox_id)
                return lambda now: msgspec.structs.replace(now, sandbox=sandbox)
            ip = self._kit.addresses.take(self._uid)
            spec = SandboxSpec(
                pod_uid=self._uid,
                namespace=pod.metadata.namespace,
                name=pod.metadata.name,
                hostname=hostname(pod),
                labels={LABEL_POD_IP: ip},
            )
            created = await self._kit.runtime.create_sandbox(spec)
        except RuntimeFailed as error:
            # Perhaps an earlier try was carried out after all: then the name is taken, by ours.
            for known in await self._kit.runtime.list_sandboxes():
                if known.pod_uid == self._uid and known.id != sandbox_id:
                    return self._adopted(known)
            return self._pod_problem(pod, "FailedCreatePodSandBox", error.message)
        return lambda now: msgspec.structs.replace(now, sandbox=created, ip=ip)

    def _adopted(self, known: Sandbox) -> Change:
        seconds = self._kit.clock.monotonic_seconds()
        ip = known.labels.get(LABEL_POD_IP, "")
        return lambda now: msgspec.structs.replace(now.with_sandbox(known, seconds), ip=ip)

    async def _attach(self, pod: Pod, network_pid: int) -> Change:
        ip = self._kit.addresses.take(self._uid)
        try:
            await self._kit.network.attach(self._uid, network_pid, ip)
        except NetworkFailed as error:
            return self._pod_problem(pod, "FailedCreatePodSandBox", f"network: {error.message}")
        return lambda now: msgspec.structs.replace(now, attached_pid=network_pid, ip=ip, pod_problem=None)

    async def _remove(self, observed: Observed) -> Change:
        await self._kit.network.detach(self._uid)
        if observed.sandbox is not None:
            await self._kit.runtime.remove_sandbox(observed.sandbox.id)
        await self._kit.host.remove_pod(self._uid)
        self._kit.addresses.release(self._uid)
        return lambda now: msgspec.structs.replace(now, sandbox=None, attached_pid=0, containers={}, removed=True)

    def _pod_problem(self, pod: Pod, reason: str, message: str) -> Change:
        if reason != "NetworkNotReady":
            self.event(pod, "Warning", reason, message)
        seconds = self._kit.clock.monotonic_seconds()

        def change(now: Observed) -> Observed:
            problem = sync.retry(now.pod_problem, reason, message, seconds)
            if reason == "NetworkNotReady":
                problem = msgspec.structs.replace(problem, retry_at=seconds + NETWORK_RETRY_SECONDS)
            return msgspec.structs.replace(now, pod_problem=problem)

        return change

    # -- images -----------------------------------------------------------------------------------------------

    async def _ensure_image(self, pod: Pod, step: sync.EnsureImage) -> Change:
        name, image = step.container, step.image
        try:
            if await self._kit.images.ensure(image, step.policy) == "here":
                message = f'Container image "{image}" already present on machine'
                self.event(pod, "Normal", "Pulled", message, name)
            else:
                self.event(pod, "Normal", "Pulling", f'Pulling image "{image}"', name)
                began = self._kit.clock.monotonic_seconds()
                size = await self._kit.images.pull(image, step.policy)
                took = self._kit.clock.monotonic_seconds() - began
                message = f'Successfully pulled image "{image}" in {took:.3f}s. Image size: {size} bytes.'
                self.event(pod, "Normal", "Pulled", message, name)
        except ImageNeverPulled as error:
            return self._problem(pod, name, "ErrImageNeverPull", error.message)
        except ImagePullFailed as error:
            self.event(pod, "Warning", "Failed", f'Failed to pull image "{image}": {error.message}', name)
            return self._problem(pod, name, "ErrImagePull", error.message)
        return lambda now: msgspec.structs.replace(now.with_problem(name, None), images=now.images | {name})

    # -- containers -------------------------------------------------------------------------------------------

    async def _create(self, pod: Pod, step: sync.CreateContainer, observed: Observed) -> Change:
        container, sandbox = _named(pod, step.container), observed.sandbox
        assert sandbox is not None  # sync creates no container without one
        try:
            variables = environment(
                pod,
                container,
                self._kit.assignments(),
                pod_ip=observed.ip,
                node_ip=self._kit.settings.node_ip,
                allocatable=self._kit.allocatable(),
            )
            mounts = [*volumes.mounts(container, observed.paths, variables), *_pod_files(container, observed)]
            spec = container_spec(
                pod,
                container,
                attempt=step.attempt,
                image=complete(container.image or ""),
                environment=variables,
                mounts=mounts,
                node_memory_bytes=self._kit.facts.memory_bytes,
            )
        except (ConfigMissing, VolumeFailed) as error:
            return self._problem(pod, container.name, "CreateContainerConfigError", error.message)
        try:
            container_id = await self._kit.runtime.create_container(sandbox, spec)
        except RuntimeFailed as error:
            self._kit.images.forget(container.image or "")
            problem = self._problem(pod, container.name, "CreateContainerError", error.message)
            return lambda now: problem(msgspec.structs.replace(now, images=now.images - {container.name}))
        self.event(pod, "Normal", "Created", f"Created container: {container.name}", container.name)
        before = observed.latest(container.name)
        state = ContainerState(
            id=container_id,
            name=container.name,
            attempt=step.attempt,
            phase=ContainerPhase.CREATED,
            image=spec.image,
            created_at=self._kit.clock.now(),
        )

        def change(now: Observed) -> Observed:
            backoff = dict(now.backoff_seconds)
            if before is not None:
                backoff[container.name] = sync.backoff_after(now, before)
            images = now.images - {container.name} if container.image_pull_policy == "Always" else now.images
            now = msgspec.structs.replace(now, backoff_seconds=backoff, images=images)
            return now.with_problem(container.name, None).with_state(state)

        return change

    async def _start(self, pod: Pod, step: sync.StartContainer, observed: Observed) -> Change:
        container = _named(pod, step.container)
        try:
            state = await self._kit.runtime.start_container(step.container_id)
        except RuntimeFailed as error:
            self.event(pod, "Warning", "Failed", f"Error: {error.message}", container.name)
            return self._start_failed(container.name, step.container_id, error.message)
        self.event(pod, "Normal", "Started", f"Started container {container.name}", container.name)
        hook = container.lifecycle.post_start if container.lifecycle is not None else None
        if hook is not None and state.phase is ContainerPhase.RUNNING:
            try:
                await self._hook(hook, container, step.container_id, observed)
            except ProbeFailed as error:
                message = f"PostStartHook failed: {error.message}"
                self.event(pod, "Warning", "FailedPostStartHook", message, container.name)
                await self._kit.runtime.stop_container(step.container_id, sync.grace_seconds(pod))
            state = await self._kit.runtime.inspect_container(step.container_id)
        return self._seen(state)

    async def _stop(self, pod: Pod, step: sync.StopContainer, observed: Observed) -> Change:
        container = _named(pod, step.container)
        least_seconds = 0.0
        if step.container_id not in self._hooked:
            self._hooked.add(step.container_id)
            self.event(pod, "Normal", "Killing", f"Stopping container {container.name}: {step.why}", container.name)
            hook = container.lifecycle.pre_stop if container.lifecycle is not None else None
            if hook is not None and step.deadline > self._kit.clock.monotonic_seconds():
                least_seconds = _GRACE_AFTER_HOOK_SECONDS
                await self._pre_stop(hook, pod, container, step, observed)
        left_seconds = max(step.deadline - self._kit.clock.monotonic_seconds(), least_seconds)
        await self._kit.runtime.stop_container(step.container_id, left_seconds)
        return await self.inspect(step.container_id)

    async def _pre_stop(
        self, hook: LifecycleHandler, pod: Pod, container: Container, step: sync.StopContainer, observed: Observed
    ) -> None:
        try:
            with trio.move_on_at(step.deadline):
                await self._hook(hook, container, step.container_id, observed)
        except ProbeFailed as error:
            self.event(pod, "Warning", "FailedPreStopHook", f"PreStopHook failed: {error.message}", container.name)

    async def _hook(self, hook: LifecycleHandler, container: Container, container_id: str, observed: Observed) -> None:
        await act(hook, container, container_id, ip=observed.ip, host=self._kit.host, runtime=self._kit.runtime)

    def _problem(self, pod: Pod, name: str, reason: str, message: str) -> Change:
        if reason != "ErrImagePull":
            self.event(pod, "Warning", "Failed", f"Error: {message}", name)
        seconds = self._kit.clock.monotonic_seconds()
        return lambda now: now.with_problem(name, sync.retry(now.problems.get(name), reason, message, seconds))

    def _seen(self, state: ContainerState) -> Change:
        seconds = self._kit.clock.monotonic_seconds()

        def change(now: Observed) -> Observed:
            if state.phase is ContainerPhase.EXITED:
                now = msgspec.structs.replace(now, exits={state.id: seconds, **now.exits})
            return now.with_state(state)

        return change

    def _start_failed(self, name: str, container_id: str, message: str) -> Change:
        seconds, wall = self._kit.clock.monotonic_seconds(), self._kit.clock.now()

        def change(now: Observed) -> Observed:
            state = next((known for known in now.containers.get(name, ()) if known.id == container_id), None)
            errors, exits = {**now.start_errors, container_id: message}, {container_id: seconds, **now.exits}
            now = msgspec.structs.replace(now, start_errors=errors, exits=exits)
            if state is None:
                return now
            ended = msgspec.structs.replace(
                state, phase=ContainerPhase.EXITED, exit_code=EXIT_CODE_START_ERROR, finished_at=wall
            )
            return now.with_state(ended)

        return change


def _named(pod: Pod, name: str) -> Container:
    return next(known for known in (*pod.spec.init_containers, *pod.spec.containers) if known.name == name)


def _pod_files(container: Container, observed: Observed) -> list[Mount]:
    """/etc/hosts and /etc/resolv.conf, unless the container mounts something there itself."""
    taken = {mount.mount_path for mount in container.volume_mounts}
    return [
        Mount(source=observed.paths[target], target=target)
        for target in (HOSTS, RESOLV_CONF)
        if target in observed.paths and target not in taken
    ]
