"""The steps that concern a pod as a whole: files, sandbox, network, and the removal of everything."""

from __future__ import annotations

import msgspec

from orchestr8.api.pod import Pod
from orchestr8.worker.agent.kit import Kit
from orchestr8.worker.agent.masters.events import Tell
from orchestr8.worker.agent.node.host import VolumeFailed
from orchestr8.worker.agent.pods import sync, volumes
from orchestr8.worker.agent.pods.environment import ConfigMissing
from orchestr8.worker.agent.pods.observed import Change, Observed
from orchestr8.worker.agent.pods.spec import hostname, hosts_file, resolv_conf
from orchestr8.worker.network.base import NetworkFailed
from orchestr8.worker.runtime.base import LABEL_POD_IP, RuntimeFailed, Sandbox, SandboxSpec

HOSTS, RESOLV_CONF = "/etc/hosts", "/etc/resolv.conf"
_NETWORK_RETRY_SECONDS = 0.2  # the node's range may come any moment


class PodSteps:
    def __init__(self, kit: Kit, uid: str, tell: Tell) -> None:
        self._kit = kit
        self._uid = uid
        self._event = tell

    async def prepare_files(self, pod: Pod) -> Change:
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
            return self.problem(pod, "FailedMount", f"MountVolume.SetUp failed: {error.message}")
        return lambda now: msgspec.structs.replace(now, files_ready=True, paths=paths, pod_problem=None)

    async def prepare_sandbox(self, pod: Pod, sandbox_id: str) -> Change:
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
            return self.problem(pod, "FailedCreatePodSandBox", error.message)
        return lambda now: msgspec.structs.replace(now, sandbox=created, ip=ip)

    def _adopted(self, known: Sandbox) -> Change:
        seconds = self._kit.clock.monotonic_seconds()
        ip = known.labels.get(LABEL_POD_IP, "")
        return lambda now: msgspec.structs.replace(now.with_sandbox(known, seconds), ip=ip)

    async def attach(self, pod: Pod, network_pid: int) -> Change:
        ip = self._kit.addresses.take(self._uid)
        try:
            await self._kit.network.attach(self._uid, network_pid, ip)
        except NetworkFailed as error:
            return self.problem(pod, "FailedCreatePodSandBox", f"network: {error.message}")
        return lambda now: msgspec.structs.replace(now, attached_pid=network_pid, ip=ip, pod_problem=None)

    async def remove(self, observed: Observed) -> Change:
        await self._kit.network.detach(self._uid)
        if observed.sandbox is not None:
            await self._kit.runtime.remove_sandbox(observed.sandbox.id)
        await self._kit.host.remove_pod(self._uid)
        self._kit.addresses.release(self._uid)
        return lambda now: msgspec.structs.replace(now, sandbox=None, attached_pid=0, containers={}, removed=True)

    def problem(self, pod: Pod, reason: str, message: str) -> Change:
        """``NetworkNotReady`` passes soon and is not worth an event."""
        if reason != "NetworkNotReady":
            self._event(pod, "Warning", reason, message)
        seconds = self._kit.clock.monotonic_seconds()

        def change(now: Observed) -> Observed:
            problem = sync.retry(now.pod_problem, reason, message, seconds)
            if reason == "NetworkNotReady":
                problem = msgspec.structs.replace(problem, retry_at=seconds + _NETWORK_RETRY_SECONDS)
            return msgspec.structs.replace(now, pod_problem=problem)

        return change
