"""Masters and workers of real code in one process: virtual clock, network, disks and container runtimes in memory.

Only the edges are made up: byte streams (SimNetwork), disks (SimDisk), containers (FakeRuntime), the kernel's network
(FakeNetwork) and a worker's files (FakeHost). Everything between them is what runs in production: serve_master and the
agent's run_on, started, killed and started again on the same disk.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import trio
import trio.testing

from orchestr8.clock import Clock
from orchestr8.config import MasterSection, MasterSettings
from orchestr8.master.apiserver.deps import ApiDeps
from orchestr8.master.main import Ground, serve_master
from orchestr8.names import Names
from orchestr8.pki import ca
from orchestr8.raft.store import ReplicatedStore
from orchestr8.rpc.service import MASTERS, NODES
from orchestr8.store.command import Key
from orchestr8.supervise import Lifetime
from orchestr8.worker.agent.agent import run_on
from orchestr8.worker.agent.node.fake import FakeHost
from orchestr8.worker.agent.settings import AgentSettings
from orchestr8.worker.network.fake import FakeNetwork
from orchestr8.worker.runtime.fake import FakeRuntime
from tests.simulation.network import SimNetwork
from tests.simulation.raft.disk import SimDisk

EPOCH_SECONDS = 1_800_000_000.0


@functools.cache
def authority() -> ca.Authority:
    """One CA for every run: a key costs real time and is never looked at here."""
    return ca.create(dt.datetime.fromtimestamp(EPOCH_SECONDS, dt.UTC))


class SimMaster:
    """One master: its disk outlives its process."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self.disk = SimDisk(world.random)
        self.deps: ApiDeps | None = None
        self._world = world
        self._scope: trio.CancelScope | None = None

    @property
    def running(self) -> bool:
        return self.deps is not None

    async def start(self) -> None:
        await self._world.nursery.start(self._run)

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        world = self._world
        address = world.members[self.name]
        host = world.network.host(self.name, [MASTERS], address, f"system:master:{self.name}")
        settings = MasterSettings(
            master=MasterSection(name=self.name, listen=self.name, data_dir="/nowhere"), members=world.members
        )
        ground = Ground(host, self.disk, world.clock, Names(world.random), world.random)

        async def api(deps: ApiDeps, *, stopping: trio.Event, task_status: trio.TaskStatus[Any]) -> None:
            self.deps = deps
            task_status.started()
            api_is_up.started()
            await stopping.wait()

        api_is_up = task_status
        with trio.CancelScope() as self._scope:
            await serve_master(settings, ground, authority(), Lifetime(lambda **fields: None), api=api)

    async def kill(self) -> None:
        """A power cut: nothing unsynced survives, the last write may be torn."""
        assert self._scope is not None
        self.deps = None
        self._scope.cancel()
        self._world.network.kill(self.name)
        await trio.testing.wait_all_tasks_blocked()
        self.disk.crash(tear=True)


class SimWorker:
    """One worker: containers, kernel network and disk outlive its process; a power cut ends the first two."""

    def __init__(self, world: World, name: str, ip: str) -> None:
        self.name = name
        self.ip = ip
        self.host = FakeHost(boot_id=f"{name}-boot-1")
        self.runtime = FakeRuntime(world.nursery, world.clock, world.random)
        self.kernel = FakeNetwork()
        self._world = world
        self._boots = 1
        self._scope: trio.CancelScope | None = None

    @property
    def running(self) -> bool:
        return self._scope is not None

    async def start(self) -> None:
        await self._world.nursery.start(self._run)

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        world = self._world
        settings = AgentSettings(node_name=self.name, node_ip=self.ip, masters=tuple(world.members.values()))
        network = world.network.host(self.name, [NODES], f"{self.name}:0", f"system:node:{self.name}")
        with trio.CancelScope() as scope:
            self._scope = scope
            task_status.started()
            await run_on(
                self.host,
                settings,
                runtime=self.runtime,
                pod_network=self.kernel,
                rpc_network=network,
                clock=world.clock,
                random=world.random,
            )

    async def kill(self) -> None:
        """The worker's process only: its containers run on."""
        assert self._scope is not None
        self._scope.cancel()
        self._scope = None
        self._world.network.kill(self.name)
        await trio.testing.wait_all_tasks_blocked()

    async def lose_power(self) -> None:
        if self.running:
            await self.kill()
        self.runtime.lose_power()
        self.kernel = FakeNetwork()
        self._boots += 1
        self.host.boot_id = f"{self.name}-boot-{self._boots}"


class World:
    def __init__(self, seed: int, nursery: trio.Nursery, masters: int, workers: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.nursery = nursery
        self.clock = Clock(EPOCH_SECONDS)
        self.network = SimNetwork(self.random)
        self.members = {f"m{number}": f"m{number}:7443" for number in range(1, masters + 1)}
        self.masters = {name: SimMaster(self, name) for name in self.members}
        self.workers = {
            f"w{number}": SimWorker(self, f"w{number}", f"10.0.1.{number}") for number in range(1, workers + 1)
        }
        self.created: set[Key] = set()  # what a user made and nobody deleted: it must be there in the end
        self.story: list[str] = []

    def tell(self, line: str) -> None:
        self.story.append(f"{trio.current_time():8.2f}  {line}")

    async def start(self) -> None:
        for master in self.masters.values():
            await master.start()
        for worker in self.workers.values():
            await worker.start()

    def api(self) -> list[ApiDeps]:
        """What the masters that run offer, in no particular order of merit."""
        return [master.deps for master in self.masters.values() if master.deps is not None]

    def stores(self) -> list[ReplicatedStore]:
        return [deps.store for deps in self.api() if isinstance(deps.store, ReplicatedStore)]


@asynccontextmanager
async def world_of(seed: int, masters: int = 3, workers: int = 2) -> AsyncIterator[World]:
    """A running cluster; every failure out of the block carries the story of the run and how to replay it."""
    async with trio.open_nursery() as nursery:
        world = World(seed, nursery, masters, workers)
        await world.start()
        yield world
        nursery.cancel_scope.cancel()
