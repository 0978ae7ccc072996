"""A node in memory: the real agent on a fake runtime, host and network, with masters that remember what they hear."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
import trio.testing

from orchestr8.api import codec
from orchestr8.api.meta import Object, ObjectMeta
from orchestr8.api.node import Node, NodeSpec, NodeStatus
from orchestr8.api.pod import Container, Pod, PodSpec, PodStatus
from orchestr8.clock import Clock
from orchestr8.errors import Unavailable
from orchestr8.rpc import server
from orchestr8.rpc.live import Connection
from orchestr8.rpc.service import MASTERS, NODES, MessageStream, Peer, Service
from orchestr8.worker.agent.agent import run_on
from orchestr8.worker.agent.node.fake import FakeHost
from orchestr8.worker.agent.settings import AgentSettings
from orchestr8.worker.network.fake import FakeNetwork
from orchestr8.worker.runtime.base import ContainerPhase, ContainerState
from orchestr8.worker.runtime.fake import FakeRuntime
from tests.simulation.network import SimNetwork

IMAGE = "localhost/web:1"
EPOCH_SECONDS = 1_800_000_000.0
WAIT_SECONDS = 600  # of virtual time: whatever is waited for will not come any more


def pod(name: str = "web", uid: str = "", *, containers: tuple[Container, ...] = (), **spec: Any) -> Pod:
    return Pod(
        metadata=ObjectMeta(name=name, namespace="default", uid=uid or f"uid-{name}"),
        spec=PodSpec(containers=containers or (container(),), node_name="w1", **spec),
    )


def container(name: str = "main", script: str = "serve", **fields: Any) -> Container:
    return Container(name=name, image=IMAGE, command=("sh", "-c", script), **fields)


class Cluster:
    """What all masters of a test share: the objects of this node, and what the node said."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.statuses: dict[str, PodStatus] = {}
        self.told: list[tuple[float, str, PodStatus]] = []
        self.finished: list[str] = []
        self.events: list[tuple[str, str]] = []  # reason, message
        self.node: Node | None = None
        self.node_status = NodeStatus()
        self.heartbeats: list[str] = []
        self.revision = 1
        self._news = trio.Event()
        self.put(Node(metadata=ObjectMeta(name="w1"), spec=NodeSpec(pod_cidr="10.70.1.0/24")))

    def put(self, obj: Object) -> None:
        self.revision += 1
        self.objects[(obj.kind, obj.metadata.namespace, obj.metadata.name)] = obj
        self.wake()

    def remove(self, obj: Object) -> None:
        self.revision += 1
        self.objects.pop((obj.kind, obj.metadata.namespace, obj.metadata.name), None)
        self.wake()

    def delete(self, obj: Pod, clock: Clock, grace_seconds: int = 30) -> None:
        """As the API server does it: marked, removed when the node says that it is finished."""
        marked = msgspec.structs.replace(
            obj.metadata, deletion_timestamp=clock.now(), deletion_grace_period_seconds=grace_seconds
        )
        self.put(msgspec.structs.replace(obj, metadata=marked))

    async def until(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(WAIT_SECONDS):
            while not condition():
                await self.changed()

    async def changed(self) -> None:
        await self._news.wait()

    def wake(self) -> None:
        self._news.set()
        self._news = trio.Event()

    def phase(self, uid: str) -> str:
        return (self.statuses[uid].phase or "") if uid in self.statuses else ""

    def ready(self, uid: str) -> bool:
        conditions = self.statuses[uid].conditions if uid in self.statuses else ()
        return any(known.type == "Ready" and known.status == "True" for known in conditions)

    def condition(self, type_: str) -> str:
        """Of the node, as it said last."""
        return next((known.status for known in self.node_status.conditions if known.type == type_), "")

    def waiting(self, uid: str, index: int = 0) -> str:
        """The reason why a container waits; empty when it does not."""
        statuses = self.statuses[uid].container_statuses if uid in self.statuses else ()
        state = statuses[index].state if statuses else None
        return (state.waiting.reason or "") if state is not None and state.waiting is not None else ""

    def restarts(self, uid: str) -> int:
        statuses = self.statuses[uid].container_statuses if uid in self.statuses else ()
        return statuses[0].restart_count if statuses else 0


class Master:
    """``connections``: those of nodes that are open now."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name
        self.connections: list[Connection] = []
        self.out_of_contact = False

    async def serve(self, network: Any, *, task_status: trio.TaskStatus[str]) -> None:
        service = Service(
            {
                "node.register": self._register,
                "node.heartbeat": self._heartbeat,
                "node.status": self._status,
                "node.events": self._events,
            },
            {"node.assignments": self._assignments},
            roles=(NODES,),
        )
        await server.serve(network, network.address, service, self._connected, task_status=task_status)

    async def _connected(self, connection: Connection) -> None:
        self.connections.append(connection)
        self.cluster.wake()
        try:
            await connection.wait_closed()
        finally:
            self.connections.remove(connection)
            self.cluster.wake()

    async def _register(self, peer: Peer, params: Any) -> Any:
        await trio.lowlevel.checkpoint()
        self.cluster.node = codec.decode("Node", params["node"])
        return {"pod_cidr": "", "heartbeat_seconds": 1.0, "masters": ["m1:7443", "m2:7443"]}

    async def _heartbeat(self, peer: Peer, params: Any) -> Any:
        await trio.lowlevel.checkpoint()
        if self.out_of_contact:
            raise Unavailable("no contact to the other masters")
        self.cluster.heartbeats.append(self.name)
        self.cluster.wake()
        return {}

    async def _status(self, peer: Peer, params: Any) -> Any:
        await trio.lowlevel.checkpoint()
        cluster = self.cluster
        if params["node_status"] is not None:
            cluster.node_status = msgspec.json.decode(params["node_status"], type=NodeStatus)
        for item in params["pods"]:
            status = msgspec.json.decode(item["status"], type=PodStatus)
            cluster.statuses[item["uid"]] = status
            cluster.told.append((trio.current_time(), item["uid"], status))
            key = ("Pod", item["namespace"], item["name"])
            known = cluster.objects.get(key)
            if isinstance(known, Pod) and known.metadata.uid == item["uid"] and known.status != status:
                cluster.put(msgspec.structs.replace(known, status=status))
        for item in params["finished"]:
            cluster.finished.append(item["uid"])
            known = cluster.objects.get(("Pod", item["namespace"], item["name"]))
            if known is not None and known.metadata.uid == item["uid"]:
                cluster.remove(known)
        cluster.wake()
        return {"refused": []}

    async def _events(self, peer: Peer, params: Any) -> Any:
        await trio.lowlevel.checkpoint()
        self.cluster.events += [(event["reason"], event["message"]) for event in params["events"]]
        self.cluster.wake()
        return {}

    async def _assignments(self, peer: Peer, params: Any, stream: MessageStream) -> None:
        known: dict[tuple[str, str, str], Object] = {}
        full = True
        while True:
            now = dict(self.cluster.objects)
            news = [
                {"kind": key[0], "data": codec.encode(obj)} for key, obj in now.items() if known.get(key) is not obj
            ]
            gone = [list(key) for key in known.keys() - now.keys()]
            if full:
                await stream.send({"full": True, "revision": self.cluster.revision, "objects": news})
            elif news or gone:
                await stream.send({"revision": self.cluster.revision, "put": news, "gone": gone})
            known, full = now, False
            if all(self.cluster.objects.get(key) is obj for key, obj in now.items()) and len(now) == len(
                self.cluster.objects
            ):
                await self.cluster.changed()


class World:
    """One node and two masters. The node's disk, runtime and kernel outlive its agent."""

    def __init__(self, nursery: trio.Nursery, seed: int) -> None:
        self.random = random.Random(seed)
        self.clock = Clock(EPOCH_SECONDS)
        self.wire = SimNetwork(self.random)
        self.cluster = Cluster()
        self.runtime = FakeRuntime(nursery, self.clock, self.random)
        self.runtime.add_image(IMAGE)
        self.network = FakeNetwork()
        self.host = FakeHost()
        self.masters = {name: Master(self.cluster, name) for name in ("m1", "m2")}
        self._nursery = nursery
        self._agent: trio.CancelScope | None = None
        self._serving: dict[str, trio.CancelScope] = {}

    async def start_master(self, name: str) -> None:
        scope = self._serving[name] = trio.CancelScope()

        async def serve(*, task_status: trio.TaskStatus[str]) -> None:
            with scope:
                host = self.wire.host(name, {MASTERS}, f"{name}:7443")
                await self.masters[name].serve(host, task_status=task_status)

        await self._nursery.start(serve)

    async def stop_master(self, name: str) -> None:
        self._serving.pop(name).cancel()
        self.wire.kill(name)
        await trio.testing.wait_all_tasks_blocked()

    async def start_agent(self) -> None:
        scope = self._agent = trio.CancelScope()

        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            with scope:
                await run_on(
                    self.host,
                    AgentSettings(node_name="w1", node_ip="10.0.0.9", masters=("m1:7443", "m2:7443")),
                    runtime=self.runtime,
                    pod_network=self.network,
                    rpc_network=self.wire.host("w1", {NODES}, "w1:0"),
                    clock=self.clock,
                    random=self.random,
                    task_status=task_status,
                )

        await self._nursery.start(run)

    async def kill_agent(self) -> None:
        """As SIGKILL does: whatever it had under way ends in the middle."""
        assert self._agent is not None
        self._agent.cancel()
        self.wire.kill("w1")
        await trio.testing.wait_all_tasks_blocked()

    async def containers(self, uid: str) -> list[ContainerState]:
        for sandbox in await self.runtime.list_sandboxes():
            if sandbox.pod_uid == uid:
                return list(sandbox.containers)
        return []

    async def running(self, uid: str) -> list[ContainerState]:
        return [state for state in await self.containers(uid) if state.phase is ContainerPhase.RUNNING]

    def connection(self) -> Connection:
        """The masters' end of the node's session."""
        return next(connection for master in self.masters.values() for connection in master.connections)


@asynccontextmanager
async def world(seed: int = 1, *, agent: bool = True, masters: tuple[str, ...] = ("m1", "m2")) -> AsyncIterator[World]:
    async with trio.open_nursery() as nursery:
        made = World(nursery, seed)
        for name in masters:
            await made.start_master(name)
        if agent:
            await made.start_agent()
        yield made
        nursery.cancel_scope.cancel()
