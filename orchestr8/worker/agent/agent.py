"""The agent: the kubelet of this node. Its task tree reads top to bottom in ``run_on``.

    session        register, heartbeats, assignments in, statuses out, logs and exec served   (session.py, served.py)
    pods           one task per pod: sync decides, steps does, lifecycle tells              (pods.py, pod_task.py, ...)
    observation    ends of processes at once, a listing now and then                                     (observe.py)
    the node       routes, Services, capacity and conditions                                                (node.py)

It needs no master to keep pods running: the set accepted last is on the disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from random import Random
from typing import Any

import trio

from orchestr8.clock import Clock
from orchestr8.errors import BadRequest, CorruptState
from orchestr8.logs import get_logger
from orchestr8.rpc.network import Network
from orchestr8.worker.agent.kit import Kit
from orchestr8.worker.agent.masters import assignments as assigned
from orchestr8.worker.agent.masters.assignments import Assignments
from orchestr8.worker.agent.masters.outbox import Outbox
from orchestr8.worker.agent.masters.served import agent_service
from orchestr8.worker.agent.masters.session import Session
from orchestr8.worker.agent.node.host import Host, VolumeFailed
from orchestr8.worker.agent.node.upkeep import NodeNetwork, OwnStatus
from orchestr8.worker.agent.pods import observe
from orchestr8.worker.agent.pods.addresses import Addresses
from orchestr8.worker.agent.pods.images import Images
from orchestr8.worker.agent.pods.tasks import Pods
from orchestr8.worker.agent.settings import AgentSettings
from orchestr8.worker.network.base import PodNetwork
from orchestr8.worker.runtime.base import Runtime

ASSIGNMENTS_FILE = "assignments"
_SAVE_SECONDS = 0.5
_SAVE_AGAIN_SECONDS = 10.0  # after a failure, such as a full disk


async def run_on(
    host: Host,
    settings: AgentSettings,
    *,
    runtime: Runtime,
    pod_network: PodNetwork,
    rpc_network: Network,
    clock: Clock,
    random: Random,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """As ``main.run_agent``, on whatever host."""
    memory = _Memory(host, await _saved(host))
    kit = Kit(
        settings=settings,
        facts=await host.facts(),
        resolv_conf=await host.resolv_conf(),
        runtime=runtime,
        network=pod_network,
        host=host,
        images=Images(runtime),
        addresses=Addresses(),
        outbox=Outbox(),
        clock=clock,
        random=random,
        assignments=lambda: memory.assignments,
    )
    network, status = NodeNetwork(kit), OwnStatus(kit, await runtime.version())
    sandboxes = await runtime.list_sandboxes()
    await status.refresh()
    async with trio.open_nursery() as nursery:
        pods = Pods(kit, nursery)
        pods.found(sandboxes)

        def set_changed(before: Assignments, confirmed: bool) -> None:
            own = memory.assignments.node(settings.node_name)
            if own is not None:
                network.use(own.spec.pod_cidr or "", "")
                status.compare(own)
            network.changed()
            pods.reconcile(before=before, confirmed=confirmed)

        def deliver(message: Mapping[str, Any]) -> None:
            before = memory.assignments
            if memory.accept(message):
                set_changed(before, confirmed=True)

        def registered(answer: Mapping[str, Any]) -> None:
            network.use(str(answer.get("pod_cidr") or ""), str(answer.get("service_cidr") or ""))
            status.repeat()

        set_changed(memory.assignments, confirmed=False)
        service = agent_service(runtime, pods.tasks, clock)
        session = Session(kit, rpc_network, service, node=status.node, on_registered=registered, deliver=deliver)
        listing = partial(observe.list_periodically, runtime, clock, pods.tasks, on_stray=pods.stray)
        nursery.start_soon(network.run)
        nursery.start_soon(status.run)
        nursery.start_soon(memory.keep)
        nursery.start_soon(observe.follow_events, runtime, pods.tasks)
        nursery.start_soon(listing)
        nursery.start_soon(session.run)
        task_status.started()


class _Memory:
    """The set accepted last, here and on the disk."""

    def __init__(self, host: Host, assignments: Assignments) -> None:
        self.assignments = assignments
        self._host = host
        self._news = trio.Event()

    def accept(self, message: Mapping[str, Any]) -> bool:
        """Whether there is a new set; not while parts of it are still to come."""
        try:
            self.assignments = self.assignments.accept(message)
        except BadRequest as error:
            get_logger().error("an object of the assignments does not decode", why=error.message)
            return False
        if self.assignments.pending is None:
            self._news.set()
        return self.assignments.pending is None

    async def keep(self) -> None:
        while True:
            await self._news.wait()
            self._news = trio.Event()
            try:
                await self._host.save(ASSIGNMENTS_FILE, self.assignments.dump())
            except VolumeFailed as error:
                get_logger().error("the assignments cannot be saved; a restart would need a master", why=error.message)
                self._news.set()
                await trio.sleep(_SAVE_AGAIN_SECONDS)
            await trio.sleep(_SAVE_SECONDS)


async def _saved(host: Host) -> Assignments:
    data = await host.load(ASSIGNMENTS_FILE)
    if data is None:
        return Assignments()
    try:
        return assigned.load(data)
    except CorruptState as error:
        get_logger().error("starting without the saved assignments; a master will send them again", why=error.message)
        return Assignments()
