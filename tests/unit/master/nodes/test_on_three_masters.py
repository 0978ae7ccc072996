"""Workers, scheduler and the replicated store together: three masters in memory, on a virtual clock."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio

from orchestr8.api import codec
from orchestr8.api.config import Namespace
from orchestr8.api.events import Event
from orchestr8.api.meta import ObjectMeta
from orchestr8.api.node import Node
from orchestr8.api.pod import Pod
from orchestr8.api.pod_status import PodStatus
from orchestr8.clock import Clock
from orchestr8.errors import Orchestr8Error
from orchestr8.master.nodes.service import NodeService
from orchestr8.master.scheduler.shell import run_scheduler
from orchestr8.names import Names
from orchestr8.raft.store import RaftSettings, ReplicatedStore, open_store
from orchestr8.rpc.client import connect
from orchestr8.rpc.server import serve
from orchestr8.rpc.service import MASTERS, NODES, Service
from orchestr8.store.command import Put, Txn
from tests.simulation.network import SimNetwork
from tests.simulation.raft.disk import SimDisk
from tests.unit.master.nodes.fakes import EPOCH_SECONDS, key_of
from tests.unit.master.nodes.test_feed import Worker
from tests.unit.master.nodes.test_sessions import worker_service
from tests.unit.master.scheduler.world import node, pod

MEMBERS = {name: f"{name}:7443" for name in ("m1", "m2", "m3")}


class Cluster:
    def __init__(self) -> None:
        self.chance = random.Random(1)
        self.network = SimNetwork(self.chance)
        self.stores: dict[str, ReplicatedStore] = {}
        self.nodes: dict[str, NodeService] = {}
        self._scopes: dict[str, trio.CancelScope] = {}

    async def master(self, name: str, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        host = self.network.host(name, [MASTERS], MEMBERS[name], f"system:master:{name}")
        service, clock, names = Service(), Clock(EPOCH_SECONDS), Names(self.chance)
        with trio.CancelScope() as scope:
            self._scopes[name] = scope
            disk = SimDisk(self.chance)
            async with open_store(RaftSettings(name, MEMBERS), host, disk, self.chance, service) as store:
                nodes = NodeService(
                    store,
                    me=name,
                    members=MEMBERS,
                    dial=lambda address: connect(host, address),
                    clock=clock,
                    names=names,
                    chance=self.chance,
                    service_cidr="10.96.0.0/16",
                )
                service.include(nodes.service)
                self.stores[name], self.nodes[name] = store, nodes
                async with trio.open_nursery() as nursery:
                    await nursery.start(serve, host, host.address, service, nodes.on_connection)
                    nursery.start_soon(nodes.run)
                    nursery.start_soon(run_scheduler, store, clock, names)
                    task_status.started()

    def kill(self, name: str) -> None:
        self._scopes.pop(name).cancel()
        del self.stores[name], self.nodes[name]
        self.network.kill(name)

    async def leader(self) -> str:
        with trio.fail_after(20):
            while True:
                for name, store in self.stores.items():
                    if store.leads:
                        return name
                await trio.sleep(0.05)

    async def put(self, *objects: Any) -> None:
        store = next(iter(self.stores.values()))
        for obj in objects:
            await store.propose(Txn(f"put/{key_of(obj)}", (), (Put(key_of(obj), codec.encode(obj)),)))

    async def work(self, name: str, worker: Worker, masters: list[str]) -> None:
        """A worker that takes the next master when it loses one, and reports every pod it is given as Running."""
        host = self.network.host(name, [NODES], f"{name}:0", f"system:node:{name}")
        while True:
            for master in masters:
                try:
                    async with connect(host, MEMBERS[master], worker_service()) as connection:
                        await connection.call("node.register", {"node": codec.encode(node(name))})
                        async with trio.open_nursery() as nursery:
                            nursery.start_soon(self._beat, connection)
                            async with connection.stream("node.assignments", {"revision": 0}) as stream:
                                async for message in stream:
                                    worker.take(message)
                                    await self._run_pods(connection, worker)
                except* Orchestr8Error:
                    pass
                await trio.sleep(0.2)

    async def _beat(self, connection: Any) -> None:
        sequence = 0
        while True:
            sequence += 1
            await connection.call("node.heartbeat", {"boot_id": "b", "sequence": sequence})
            await trio.sleep(1)

    async def _run_pods(self, connection: Any, worker: Worker) -> None:
        reports = [
            {
                "namespace": "default",
                "name": name,
                "uid": body["metadata"]["uid"],
                "status": msgspec.json.encode(PodStatus(phase="Running")),
            }
            for (kind, _, name), body in worker.objects.items()
            if kind == "Pod"
        ]
        await connection.call("node.status", {"pods": reports})

    def pods(self) -> list[Pod]:
        return next(iter(self.stores.values())).view().list(Pod)


@asynccontextmanager
async def cluster() -> AsyncIterator[tuple[Cluster, dict[str, Worker]]]:
    made = Cluster()
    workers = {"w1": Worker(), "w2": Worker()}
    async with trio.open_nursery() as nursery:
        for name in MEMBERS:
            await nursery.start(made.master, name)
        await made.leader()
        await made.put(Namespace(metadata=ObjectMeta(name="default")))
        nursery.start_soon(made.work, "w1", workers["w1"], ["m1", "m2", "m3"])
        nursery.start_soon(made.work, "w2", workers["w2"], ["m2", "m3", "m1"])
        with trio.fail_after(30):
            while len(next(iter(made.stores.values())).view().list(Node)) < 2:  # noqa: ASYNC110 - time is virtual
                await trio.sleep(0.05)
        yield made, workers
        nursery.cancel_scope.cancel()


async def running(made: Cluster, count: int) -> None:
    with trio.fail_after(60):
        while sum(each.status.phase == "Running" for each in made.pods()) < count:  # noqa: ASYNC110 - time is virtual
            await trio.sleep(0.05)


async def test_pods_are_placed_told_to_their_workers_and_reported(autojump_clock: trio.abc.Clock) -> None:
    async with cluster() as (made, workers):
        await made.put(*(pod(f"p{i:02}", owner="web") for i in range(40)))
        await running(made, 40)
        placed = {each.metadata.name: each.spec.node_name for each in made.pods()}
        assert sorted(placed.values()) == ["w1"] * 20 + ["w2"] * 20
        for name, worker in workers.items():
            assert worker.names("Pod") == sorted(each for each, on in placed.items() if on == name)
        scheduled = [each for each in made.stores["m1"].view().list(Event) if each.reason == "Scheduled"]
        assert len(scheduled) == 40


async def test_losing_the_leader_loses_no_pod_and_no_worker(autojump_clock: trio.abc.Clock) -> None:
    async with cluster() as (made, workers):
        await made.put(*(pod(f"a{i:02}", owner="web") for i in range(20)))
        made.kill(await made.leader())
        leader = await made.leader()
        await made.put(*(pod(f"b{i:02}", owner="web") for i in range(20)))
        await running(made, 40)
        assert len({(each.metadata.uid, each.spec.node_name) for each in made.pods()}) == 40
        await trio.sleep(10)
        beats = made.nodes[leader].heartbeats
        assert all(trio.current_time() - beats.last_seen(name) < 3 for name in workers)


async def test_every_master_reaches_every_worker_after_a_master_is_lost(autojump_clock: trio.abc.Clock) -> None:
    async with cluster() as (made, workers):
        made.kill("m1")  # w1 was there
        await trio.sleep(20)
        for nodes in made.nodes.values():
            for name in workers:
                async with nodes.workers.open_stream(name, "pod.logs", {"uid": "u1"}) as stream:
                    assert await stream.receive() == b"line 0\n"
