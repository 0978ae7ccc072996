"""A replicated store in one process and a network in memory: what the master's side of workers stands on in tests."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing

from orchestr8 import errors
from orchestr8.api import codec
from orchestr8.clock import Clock
from orchestr8.errors import Unavailable
from orchestr8.master.nodes.service import NodeService
from orchestr8.names import Names
from orchestr8.rpc.client import Connection, connect
from orchestr8.rpc.network import StreamHandler
from orchestr8.rpc.server import serve
from orchestr8.rpc.service import MASTERS, NODES, Peer, Service
from orchestr8.store.command import Claim, Delete, Key, Put, Result, Txn, encode_batch
from orchestr8.store.history import Change
from orchestr8.store.state import State
from orchestr8.store.view import View

EPOCH_SECONDS = 1_770_000_000.0


class FakeStore:
    """One State; every proposal is applied after a turn of the loop. ``before_apply`` may slip in other writes."""

    def __init__(self) -> None:
        self.state = State()
        self.proposals: list[Txn] = []
        self.failures: list[Exception] = []
        self.before_apply: Callable[[], None] = lambda: None
        self.watchers = 0
        self._news = trio.Event()

    @property
    def revision(self) -> int:
        return self.state.revision

    def view(self) -> View:
        return self.state.view()

    def put(self, *objects: Any) -> None:
        for obj in objects:
            self._apply(Txn("", (), (Put(key_of(obj), codec.encode(obj)),)))

    def delete(self, obj: Any) -> None:
        self._apply(Txn("", (), (Delete(key_of(obj)),)))

    async def propose(self, txn: Txn) -> Result:
        await trio.lowlevel.checkpoint()
        self.proposals.append(txn)
        if self.failures:
            raise self.failures.pop(0)
        self.before_apply()
        return self._apply(txn)

    @asynccontextmanager
    async def watch(self, since_revision: int) -> AsyncIterator[FakeChanges]:
        self.state.since(since_revision)
        self.watchers += 1
        try:
            yield FakeChanges(self, since_revision)
        finally:
            self.watchers -= 1

    async def while_leading(self, fn: Callable[[Any], Awaitable[None]]) -> None:
        self.state.apply(encode_batch([Claim("", "m1")]))
        await fn(self)

    def _apply(self, command: Txn) -> Result:
        (result,) = self.state.apply(encode_batch([command]))
        self._news.set()
        self._news = trio.Event()
        if result.error:
            raise errors.from_code(result.error, result.message)
        return result


class FakeChanges:
    def __init__(self, store: FakeStore, revision: int) -> None:
        self._store = store
        self._revision = revision

    def __aiter__(self) -> FakeChanges:
        return self

    async def __anext__(self) -> list[Change]:
        while self._store.revision == self._revision:
            await self._store._news.wait()
        found = list(self._store.state.since(self._revision))
        self._revision = found[-1].revision
        return found


def key_of(obj: Any) -> Key:
    return Key(obj.kind, obj.metadata.namespace or "", obj.metadata.name)


class FakeNetwork:
    """All hosts of one test. ``cut`` (pairs of address and dialler) refuses dials and breaks what is open."""

    def __init__(self) -> None:
        self.handlers: dict[str, tuple[StreamHandler, trio.Nursery]] = {}
        self.open: list[tuple[str, str, trio.StapledStream[Any, Any]]] = []
        self.cut: set[tuple[str, str]] = set()

    def of(self, peer: Peer) -> FakeHost:
        return FakeHost(self, peer)

    async def cut_off(self, *pairs: tuple[str, str]) -> None:
        """(dialler's name, address): the stream ends and cannot be dialled again."""
        self.cut |= set(pairs)
        for name, address, stream in list(self.open):
            if (name, address) in self.cut:
                await stream.aclose()


class FakeHost:
    def __init__(self, network: FakeNetwork, peer: Peer) -> None:
        self._network = network
        self._peer = peer

    async def dial(self, address: str) -> tuple[trio.abc.Stream, Peer]:
        await trio.lowlevel.checkpoint()
        found = self._network.handlers.get(address)
        if found is None or (self._peer.name, address) in self._network.cut:
            raise Unavailable(f"nobody listens at {address}")
        handler, nursery = found
        here, there = trio.testing.memory_stream_pair()
        self._network.open.append((self._peer.name, address, here))
        nursery.start_soon(handler, there, self._peer)
        return here, Peer(address, frozenset({MASTERS}), address)

    async def serve(
        self, address: str, handler: StreamHandler, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
    ) -> None:
        async with trio.open_nursery() as nursery:
            self._network.handlers[address] = (handler, nursery)
            task_status.started(address)
            try:
                await trio.sleep_forever()
            finally:
                del self._network.handlers[address]


def node_peer(name: str) -> Peer:
    return Peer(f"system:node:{name}", frozenset({NODES}), f"{name}:40000")


def master_peer(name: str) -> Peer:
    return Peer(name, frozenset({MASTERS}), f"{name}:7443")


class Masters:
    """Masters that share one store, each at the address ``NAME:7443``."""

    def __init__(self, nursery: trio.Nursery, *names: str) -> None:
        self.store = FakeStore()
        self.network = FakeNetwork()
        self.members = {name: f"{name}:7443" for name in names}
        self.nodes: dict[str, NodeService] = {}
        self._nursery = nursery

    async def start(self) -> Masters:
        for name in self.members:
            await self.start_one(name)
        return self

    async def start_one(self, name: str) -> trio.CancelScope:
        host = self.network.of(master_peer(name))
        chance = random.Random(name)
        service = NodeService(
            self.store,
            me=name,
            members=self.members,
            dial=lambda address: connect(host, address),
            clock=Clock(EPOCH_SECONDS),
            names=Names(chance),
            chance=chance,
            service_cidr="10.96.0.0/16",
        )
        self.nodes[name] = service
        scope = trio.CancelScope()

        async def live(task_status: trio.TaskStatus[None]) -> None:
            with scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(service.run)
                    await nursery.start(serve, host, self.members[name], service.service, service.on_connection)
                    task_status.started()

        await self._nursery.start(live)
        return scope

    @asynccontextmanager
    async def worker(self, name: str, master: str, service: Service | None = None) -> AsyncIterator[Connection]:
        async with connect(self.network.of(node_peer(name)), self.members[master], service) as connection:
            yield connection


@asynccontextmanager
async def masters(*names: str) -> AsyncIterator[Masters]:
    async with trio.open_nursery() as nursery:
        yield await Masters(nursery, *names).start()
        nursery.cancel_scope.cancel()
