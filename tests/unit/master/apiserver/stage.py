"""What the API server stands on in these tests: one State, workers that say what a test tells them, a WebSocket."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import trio

from orchestr8.api import codec
from orchestr8.clock import Clock
from orchestr8.errors import Orchestr8Error
from orchestr8.master.apiserver.deps import ApiDeps, Changes
from orchestr8.master.apiserver.messages import ClientGone, Query, Request
from orchestr8.names import Names
from orchestr8.store.command import Key, Put, Result, Txn, encode_batch
from orchestr8.store.state import State
from orchestr8.store.view import View


def state_with(*objects: Any) -> State:
    state = State()
    for obj in objects:
        key = Key(obj.kind, obj.metadata.namespace or "", obj.metadata.name)
        (result,) = state.apply(encode_batch([Txn("", (), (Put(key, codec.encode(obj)),))]))
        assert not result.error, result
    return state


def get(path: str, query: str = "", **headers: str) -> Request:
    return Request("GET", path, Query.parse(query), {name.replace("_", "-"): value for name, value in headers.items()})


class FakeStore:
    """Everything is known here already: a read barrier has nothing to wait for."""

    def __init__(self, state: State) -> None:
        self._state = state

    @property
    def revision(self) -> int:
        return self._state.revision

    def view(self) -> View:
        return self._state.view()

    async def propose(self, txn: Txn) -> Result:
        raise AssertionError("nothing here writes")

    async def read_barrier(self) -> int:
        await trio.lowlevel.checkpoint()
        return self.revision

    def watch(self, since_revision: int) -> AbstractAsyncContextManager[Changes]:
        raise AssertionError("nothing here watches")


class FakeWorker:
    """The sessions of one worker. ``says`` is sent in order; then it ends, fails, or goes on when ``quiet``.

    ``answer_to(message)`` may add what it says to a message of the master.
    """

    def __init__(self, *says: Any, failure: Orchestr8Error | None = None, quiet: bool = False) -> None:
        self.opened: list[tuple[str, str, dict[str, Any]]] = []
        self.heard: list[Any] = []
        self.replies: dict[str, Any] = {}
        self.closed = False
        self._failure = failure
        self._quiet = quiet
        self._send, self._receive = trio.open_memory_channel[Any](64)
        for message in says:
            self._send.send_nowait(message)

    @asynccontextmanager
    async def open_stream(self, node: str, method: str, params: dict[str, Any]) -> AsyncIterator[FakeWorker]:
        self.opened.append((node, method, params))
        try:
            yield self
        finally:
            self.closed = True

    async def send(self, value: Any) -> None:
        await trio.lowlevel.checkpoint()
        self.heard.append(value)
        reply = self.replies.get(next(iter(value)))
        if reply is not None:
            self._send.send_nowait(reply)

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive(self) -> Any:
        await trio.lowlevel.checkpoint()
        if not self._quiet and not self._receive.statistics().current_buffer_used:
            raise self._failure or trio.EndOfChannel
        return await self._receive.receive()


class FakeSocket:
    """A client that sends ``says``, then leaves, or waits for the end when ``stays``."""

    def __init__(self, *says: bytes, stays: bool = True, gone: bool = False) -> None:
        self.heard: list[bytes] = []
        self._says = list(says)
        self._stays = stays
        self._gone = gone

    async def receive(self) -> bytes | None:
        await trio.lowlevel.checkpoint()
        if self._says:
            return self._says.pop(0)
        if self._stays:
            await trio.sleep_forever()
        return None

    async def send(self, message: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if self._gone:
            raise ClientGone
        self.heard.append(message)


def deps(state: State, worker: FakeWorker) -> ApiDeps:
    return ApiDeps(
        store=FakeStore(state),
        sessions=worker,
        names=Names(random.Random(1)),
        clock=Clock(1_770_000_000.0),
        verifier=lambda token: None,
        status_fn=dict,
        why_fn=lambda namespace, pod: {},
    )
