"""The steps that concern one container: its image, creation, start with its hook, stop with its hook."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import trio

from orchestr8.api.pod import Container, LifecycleHandler, Pod
from orchestr8.worker.agent.kit import Kit
from orchestr8.worker.agent.masters.events import Tell
from orchestr8.worker.agent.node.host import ProbeFailed, VolumeFailed
from orchestr8.worker.agent.pods import sync, volumes
from orchestr8.worker.agent.pods.actions import act
from orchestr8.worker.agent.pods.environment import ConfigMissing, environment
from orchestr8.worker.agent.pods.images import ImageNeverPulled, complete
from orchestr8.worker.agent.pods.observed import EXIT_CODE_START_ERROR, Change, Observed
from orchestr8.worker.agent.pods.pod_steps import HOSTS, RESOLV_CONF
from orchestr8.worker.agent.pods.spec import container_spec, must_not_be_root
from orchestr8.worker.runtime.base import (
    ContainerNotFound,
    ContainerPhase,
    ContainerState,
    ImagePullFailed,
    Mount,
    RuntimeFailed,
    RuntimeUnavailable,
)

_GRACE_AFTER_HOOK_SECONDS = 2.0  # what Kubernetes leaves a process whose preStop hook used up the whole grace


class ContainerSteps:
    def __init__(self, kit: Kit, tell: Tell) -> None:
        self._kit = kit
        self._event = tell
        self._hooked: set[str] = set()  # containers whose preStop hook has begun

    async def inspect(self, container_id: str) -> Change:
        """After a hint that something happened to it."""
        try:
            state = await self._kit.runtime.inspect_container(container_id)
        except ContainerNotFound:
            return lambda now: now.without_container(container_id)
        except (RuntimeUnavailable, RuntimeFailed):
            return lambda now: now  # the periodic listing will tell
        return self._seen(state)

    async def ensure_image(self, pod: Pod, step: sync.EnsureImage) -> Change:
        name, image = step.container, step.image
        try:
            if await self._kit.images.ensure(image, step.policy) == "here":
                message = f'Container image "{image}" already present on machine'
                self._event(pod, "Normal", "Pulled", message, name)
            else:
                self._event(pod, "Normal", "Pulling", f'Pulling image "{image}"', name)
                began = self._kit.clock.monotonic_seconds()
                size = await self._kit.images.pull(image, step.policy)
                took = self._kit.clock.monotonic_seconds() - began
                message = f'Successfully pulled image "{image}" in {took:.3f}s. Image size: {size} bytes.'
                self._event(pod, "Normal", "Pulled", message, name)
        except ImageNeverPulled as error:
            return self._problem(pod, name, "ErrImageNeverPull", error.message)
        except ImagePullFailed as error:
            self._event(pod, "Warning", "Failed", f'Failed to pull image "{image}": {error.message}', name)
            return self._problem(pod, name, "ErrImagePull", error.message)
        return lambda now: msgspec.structs.replace(now.with_problem(name, None), images=now.images | {name})

    async def create(self, pod: Pod, step: sync.CreateContainer, observed: Observed) -> Change:
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
            mounts = [*await self._mounts(pod, container, observed, variables), *_pod_files(container, observed)]
            image_user = await self._image_user(pod, container)
            spec = container_spec(
                pod,
                container,
                attempt=step.attempt,
                image=complete(container.image or ""),
                environment=variables,
                mounts=mounts,
                image_user=image_user,
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
        self._event(pod, "Normal", "Created", f"Created container: {container.name}", container.name)
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

    async def _mounts(
        self, pod: Pod, container: Container, observed: Observed, variables: Mapping[str, str]
    ) -> list[Mount]:
        found = []
        for wanted in volumes.mounts(pod, container, observed.paths, variables):
            source = wanted.folder
            if wanted.sub_path:
                source = await self._kit.host.sub_path(wanted.folder, wanted.sub_path)
            found.append(Mount(source=source, target=wanted.target, read_only=wanted.read_only))
        return found

    async def _image_user(self, pod: Pod, container: Container) -> str:
        """Only asked for when it decides whether the container may run."""
        if not must_not_be_root(pod, container):
            return ""
        image = await self._kit.runtime.find_image(complete(container.image or ""))
        return image.user if image is not None else ""

    async def start(self, pod: Pod, step: sync.StartContainer, observed: Observed) -> Change:
        container = _named(pod, step.container)
        try:
            state = await self._kit.runtime.start_container(step.container_id)
        except RuntimeFailed as error:
            self._event(pod, "Warning", "Failed", f"Error: {error.message}", container.name)
            return self._start_failed(container.name, step.container_id, error.message)
        self._event(pod, "Normal", "Started", f"Started container {container.name}", container.name)
        hook = container.lifecycle.post_start if container.lifecycle is not None else None
        if hook is not None and state.phase is ContainerPhase.RUNNING:
            try:
                await self._hook(hook, container, step.container_id, observed)
            except ProbeFailed as error:
                message = f"PostStartHook failed: {error.message}"
                self._event(pod, "Warning", "FailedPostStartHook", message, container.name)
                await self._kit.runtime.stop_container(step.container_id, sync.grace_seconds(pod))
            state = await self._kit.runtime.inspect_container(step.container_id)
        return self._seen(state)

    async def stop(self, pod: Pod, step: sync.StopContainer, observed: Observed) -> Change:
        container = _named(pod, step.container)
        least_seconds = 0.0
        if step.container_id not in self._hooked:
            self._hooked.add(step.container_id)
            self._event(pod, "Normal", "Killing", f"Stopping container {container.name}: {step.why}", container.name)
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
            self._event(pod, "Warning", "FailedPreStopHook", f"PreStopHook failed: {error.message}", container.name)

    async def _hook(self, hook: LifecycleHandler, container: Container, container_id: str, observed: Observed) -> None:
        await act(hook, container, container_id, ip=observed.ip, host=self._kit.host, runtime=self._kit.runtime)

    def _problem(self, pod: Pod, name: str, reason: str, message: str) -> Change:
        if reason != "ErrImagePull":
            self._event(pod, "Warning", "Failed", f"Error: {message}", name)
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
