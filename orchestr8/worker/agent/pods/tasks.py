"""Which pods have a task on this node. Level-triggered: each new set is compared with the tasks there are.

A pod that leaves the set is stopped, and no *new* pod starts before that is done, so that a node that was away never
runs old and new side by side. What carries our label but belongs to no pod of the set is removed once a master has
confirmed the set; the set from the disk alone never condemns anything.
"""

from __future__ import annotations

import trio

from orchestr8.logs import get_logger
from orchestr8.worker.agent.kit import Kit
from orchestr8.worker.agent.masters.assignments import Assignments
from orchestr8.worker.agent.masters.outbox import PodName
from orchestr8.worker.agent.node.host import VolumeFailed
from orchestr8.worker.agent.pods.pod_task import PodTask
from orchestr8.worker.network.base import NetworkFailed
from orchestr8.worker.runtime.base import LABEL_POD_IP, RuntimeFailed, RuntimeUnavailable, Sandbox

OLD_PODS_SECONDS = 30.0  # new pods wait at most so long for the end of pods that left the set
_RETRY_SECONDS = 1.0


class Pods:
    """``tasks``: uid -> task, for others to read."""

    def __init__(self, kit: Kit, nursery: trio.Nursery) -> None:
        self.tasks: dict[str, PodTask] = {}
        self._kit = kit
        self._nursery = nursery
        self._done: set[str] = set()  # finished here, but the set still names them
        self._leaving: set[str] = set()
        self._waiting: dict[str, float] = {}  # new pods -> since when they wait for those that leave
        self._found: dict[str, Sandbox] = {}  # what the runtime had when we started
        self._confirmed = False

    def found(self, sandboxes: list[Sandbox]) -> None:
        """What the runtime has of ours at the start; their addresses are taken."""
        for sandbox in sandboxes:
            self._found[sandbox.pod_uid] = sandbox
            if ip := sandbox.labels.get(LABEL_POD_IP):
                self._kit.addresses.adopt(sandbox.pod_uid, ip)

    def reconcile(self, *, before: Assignments, confirmed: bool) -> None:
        """After the set has changed from ``before``. ``confirmed``: a master has sent it whole."""
        now, known = self._kit.clock.monotonic_seconds(), self._kit.assignments()
        self._confirmed = self._confirmed or confirmed
        wanted = known.pods()
        self._done &= wanted.keys()
        self._waiting = {uid: since for uid, since in self._waiting.items() if uid in wanted}
        changed = _changed_namespaces(before, known)
        for uid, task in self.tasks.items():
            if uid in wanted:
                task.offer(wanted[uid])
            elif uid not in self._leaving:
                self._leaving.add(uid)
                task.leave()
            if task.name.namespace in changed:
                task.configuration_changed()
        if self._confirmed:
            for uid in self._found.keys() - wanted.keys() - self.tasks.keys():
                self._remove_stray(self._found[uid])
        for uid, pod in wanted.items():
            if uid in self._done:
                self._kit.outbox.finished(PodName.of(pod))
            elif uid not in self.tasks:
                self._waiting.setdefault(uid, now)
        self._admit()

    def stray(self, sandbox: Sandbox) -> None:
        """A listing shows a sandbox that no task knows."""
        if self._confirmed and sandbox.pod_uid not in self._kit.assignments().pods():
            self._remove_stray(sandbox)

    def _admit(self) -> None:
        """Starts the pods that wait: those that run already at once, new ones when no old one is left."""
        now, wanted = self._kit.clock.monotonic_seconds(), self._kit.assignments().pods()
        for uid, since in list(self._waiting.items()):
            known = self._found.pop(uid, None)
            if known is None and self._leaving and now - since < OLD_PODS_SECONDS:
                continue
            del self._waiting[uid]
            task = PodTask(self._kit, wanted[uid], known)
            self.tasks[uid] = task
            self._nursery.start_soon(self._run, task)

    async def _run(self, task: PodTask) -> None:
        await task.run()
        uid = task.name.uid
        del self.tasks[uid]
        self._leaving.discard(uid)
        if uid in self._kit.assignments().pods():
            self._done.add(uid)
        self._admit()

    def _remove_stray(self, sandbox: Sandbox) -> None:
        uid = sandbox.pod_uid
        self._found.pop(uid, None)
        if uid not in self._leaving:
            self._leaving.add(uid)
            self._nursery.start_soon(self._end_stray, sandbox)

    async def _end_stray(self, sandbox: Sandbox) -> None:
        get_logger().info("removing a pod that is in no set", uid=sandbox.pod_uid, sandbox=sandbox.id[:12])
        while True:
            try:
                await self._kit.network.detach(sandbox.pod_uid)
                await self._kit.runtime.remove_sandbox(sandbox.id)
                await self._kit.host.remove_pod(sandbox.pod_uid)
                break
            except (RuntimeUnavailable, RuntimeFailed, NetworkFailed, VolumeFailed) as error:
                get_logger().warning("a stray pod cannot be removed yet", uid=sandbox.pod_uid, why=error.message)
                await trio.sleep(_RETRY_SECONDS)
        self._kit.addresses.release(sandbox.pod_uid)
        self._leaving.discard(sandbox.pod_uid)
        self._admit()


def _changed_namespaces(before: Assignments, after: Assignments) -> set[str]:
    """Namespaces in which a ConfigMap or Secret came, went or changed."""
    if before is after:
        return set()
    names = {name for name in (*before.objects, *after.objects) if name[0] in ("ConfigMap", "Secret")}
    return {name[1] for name in names if before.objects.get(name) != after.objects.get(name)}
