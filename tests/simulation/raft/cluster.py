"""Whole stores in one process: real rpc, driver and files over the network and disks in memory, on a virtual clock."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import trio

from orchestr8.errors import OutcomeUnknown, Unavailable
from orchestr8.raft.store import RaftSettings, ReplicatedStore, open_store
from orchestr8.rpc import server
from orchestr8.rpc.service import MASTERS, Service
from orchestr8.store.command import Key, Put, Txn
from tests.simulation.network import SimNetwork
from tests.simulation.raft.disk import SimDisk


def put(name: str, value: str = "", request_id: str = "") -> Txn:
    """A write of one ConfigMap."""
    data = {"metadata": {"name": name, "namespace": "default"}, "data": {"value": value}}
    return Txn(
        request_id or f"{name}/{value}", (), (Put(Key("ConfigMap", "default", name), json.dumps(data).encode()),)
    )


class Cluster:
    def __init__(self, size: int, random: Random, nursery: trio.Nursery, network: SimNetwork | None = None) -> None:
        self.random = random
        self.network = network or SimNetwork(random)
        self.members = {f"m{number}": f"m{number}:7443" for number in range(1, size + 1)}
        self.disks = {name: SimDisk(random) for name in self.members}
        self.stores: dict[str, ReplicatedStore] = {}
        self._nursery = nursery
        self._scopes: dict[str, trio.CancelScope] = {}

    async def start(self, *names: str) -> None:
        """``names``, or all that do not run."""
        for name in names or [each for each in self.members if each not in self.stores]:
            await self._nursery.start(self._run, name)

    async def _run(self, name: str, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        host = self.network.host(name, [MASTERS], self.members[name], f"system:master:{name}")
        service = Service()
        settings = RaftSettings(name, self.members)
        with trio.CancelScope() as scope:
            self._scopes[name] = scope
            async with open_store(settings, host, self.disks[name], self.random, service) as store:
                self.stores[name] = store
                async with trio.open_nursery() as nursery:
                    await nursery.start(server.serve, host, host.address, service)
                    task_status.started()
                    await trio.sleep_forever()

    async def kill(self, *names: str, tear: bool = True) -> None:
        """A power cut for each of ``names`` at the same moment."""
        for name in names:
            self._scopes.pop(name).cancel()
            del self.stores[name]
            self.network.kill(name)
        await trio.testing.wait_all_tasks_blocked()
        for name in names:
            self.disks[name].crash(tear=tear)

    def leader(self) -> str | None:
        """The one with the highest term, of those that serve."""
        leading = [(store.status().term, name) for name, store in self.stores.items() if store.leads]
        return max(leading)[1] if leading else None

    async def wait_leader(self, seconds: float = 10.0) -> str:
        with trio.fail_after(seconds):
            while (leader := self.leader()) is None:  # noqa: ASYNC110 - time is virtual
                await trio.sleep(0.01)
        return leader

    async def propose(self, name: str, txn: Txn, seconds: float = 5.0) -> int:
        with trio.fail_after(seconds):
            return (await self.stores[name].propose(txn)).revision

    async def converge(self, seconds: float = 20.0) -> str:
        """The digest that all masters reach."""
        with trio.fail_after(seconds):
            while True:
                stores = list(self.stores.values())
                places = {store.status().applied_index for store in stores}
                ends = {store.status().last_index for store in stores}
                if len(self.stores) == len(self.members) and self.leader() and places == ends and len(places) == 1:
                    break
                await trio.sleep(0.05)
        digests = {store.digest() for store in self.stores.values()}
        assert len(digests) == 1, f"replicas differ at index {places}: {digests}"
        return digests.pop()


@asynccontextmanager
async def running(size: int = 3, seed: int = 0, **network: object) -> AsyncIterator[Cluster]:
    random = Random(seed)
    async with trio.open_nursery() as nursery:
        cluster = Cluster(size, random, nursery, SimNetwork(random, **network))  # type: ignore[arg-type]
        await cluster.start()
        yield cluster
        nursery.cancel_scope.cancel()


EXPECTED = (Unavailable, OutcomeUnknown, trio.TooSlowError)
