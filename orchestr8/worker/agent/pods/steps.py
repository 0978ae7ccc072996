"""Carries out the steps that sync.py decides: the only place where a pod's runtime, network and files change.

Each step returns how it changes what is observed. What a user can mend becomes a Problem in it, with an event; when the
runtime or the kernel does not answer, the step waits a little and changes nothing, so it is decided again.
"""

from __future__ import annotations

import trio

from orchestr8.api.pod import Pod
from orchestr8.errors import LimitExceeded, Unavailable
from orchestr8.logs import get_logger
from orchestr8.worker.agent.kit import Kit
from orchestr8.worker.agent.masters.events import teller
from orchestr8.worker.agent.node.host import VolumeFailed
from orchestr8.worker.agent.pods import sync
from orchestr8.worker.agent.pods.container_steps import ContainerSteps
from orchestr8.worker.agent.pods.observed import Change, Observed
from orchestr8.worker.agent.pods.pod_steps import PodSteps
from orchestr8.worker.network.base import NetworkFailed
from orchestr8.worker.runtime.base import ContainerNotFound, RuntimeFailed, RuntimeUnavailable

RETRY_SECONDS = 1.0  # until a step that met a silent runtime is decided again


class Performer:
    """Performs the steps of one pod. ``tell``: its events."""

    def __init__(self, kit: Kit, uid: str) -> None:
        self.tell = teller(kit.outbox)
        self._kit = kit
        self._pod = PodSteps(kit, uid, self.tell)
        self._containers = ContainerSteps(kit, self.tell)

    async def perform(self, step: sync.Step, pod: Pod, observed: Observed) -> Change:
        try:
            return await self._perform(step, pod, observed)
        except (Unavailable, LimitExceeded) as error:  # no address for it
            return self._pod.problem(pod, "NetworkNotReady", error.message)
        except (RuntimeUnavailable, RuntimeFailed, NetworkFailed, ContainerNotFound, VolumeFailed) as error:
            get_logger().warning("a step failed", pod=pod.metadata.name, step=type(step).__name__, why=error.message)
            await trio.sleep(RETRY_SECONDS)
            return lambda now: now

    async def inspect(self, container_id: str) -> Change:
        """After a hint that something happened to it."""
        return await self._containers.inspect(container_id)

    async def _perform(self, step: sync.Step, pod: Pod, observed: Observed) -> Change:
        match step:
            case sync.PrepareFiles():
                return await self._pod.prepare_files(pod)
            case sync.PrepareSandbox():
                return await self._pod.prepare_sandbox(pod, step.sandbox_id)
            case sync.AttachNetwork():
                return await self._pod.attach(pod, step.network_pid)
            case sync.RemovePod():
                return await self._pod.remove(observed)
            case sync.EnsureImage():
                return await self._containers.ensure_image(pod, step)
            case sync.CreateContainer():
                return await self._containers.create(pod, step, observed)
            case sync.StartContainer():
                return await self._containers.start(pod, step, observed)
            case sync.StopContainer():
                return await self._containers.stop(pod, step, observed)
            case sync.RemoveContainer():
                await self._kit.runtime.remove_container(step.container_id)
                return lambda now: now.without_container(step.container_id)
            case _:
                raise AssertionError(f"nobody carries out {type(step).__name__}")
