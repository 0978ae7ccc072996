"""A store of one process on the real state machine, and a client of the handler: no socket, no Raft."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from orchestr8.api import codec
from orchestr8.api.config import Namespace
from orchestr8.api.defaults import apply_defaults
from orchestr8.api.meta import ObjectMeta
from orchestr8.clock import Clock
from orchestr8.errors import NotFound, from_code
from orchestr8.master.apiserver.deps import ApiDeps, Identity
from orchestr8.master.apiserver.handler import ApiHandler
from orchestr8.master.apiserver.messages import (
    Answer,
    Certificate,
    Query,
    Request,
    Response,
    StreamResponse,
)
from orchestr8.names import Names
from orchestr8.store.command import Key, Put, Result, Txn, encode_batch
from orchestr8.store.history import Change
from orchestr8.store.state import State
from orchestr8.store.view import View
from tests.unit.master.apiserver.stage import FakeWorker

EPOCH_SECONDS = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC).timestamp()
ADMIN = Certificate("kubernetes-admin", ("system:masters",))


class LocalStore:
    """``lagging``: what is written elsewhere is seen here only after a read barrier, as on a follower."""

    def __init__(self) -> None:
        self.barriers = 0
        self.proposals = 0
        self.lagging = False
        self.refuse: Callable[[Txn], Exception | None] = lambda txn: None
        self._leader = State()
        self._local = State()
        self._log: list[bytes] = []
        self._applied = 0
        self._advanced = trio.Event()

    @property
    def revision(self) -> int:
        return self._local.revision

    def view(self) -> View:
        return self._local.view()

    async def propose(self, txn: Txn) -> Result:
        await trio.lowlevel.checkpoint()
        self.proposals += 1
        refused = self.refuse(txn)
        if refused is not None:
            raise refused
        result = self._commit(txn)
        self._catch_up()
        if result.error:
            raise from_code(result.error, result.message)
        return result

    async def read_barrier(self) -> int:
        await trio.lowlevel.checkpoint()
        self.barriers += 1
        self._catch_up()
        return self.revision

    @asynccontextmanager
    async def watch(self, since_revision: int) -> AsyncIterator[_Changes]:
        yield _Changes(self, since_revision)

    def put(self, obj: Any) -> None:
        """A write by somebody else."""
        key = Key(obj.kind, obj.metadata.namespace, obj.metadata.name)
        result = self._commit(Txn("", (), (Put(key, codec.encode(obj)),)))
        assert not result.error, result
        if not self.lagging:
            self._catch_up()

    def _commit(self, txn: Txn) -> Result:
        entry = encode_batch([txn])
        (result,) = self._leader.apply(entry)
        self._log.append(entry)
        return result

    def _catch_up(self) -> None:
        for entry in self._log[self._applied :]:
            self._local.apply(entry)
        self._applied = len(self._log)
        self._advanced.set()
        self._advanced = trio.Event()


class _Changes:
    def __init__(self, store: LocalStore, revision: int) -> None:
        self._store = store
        self._revision = revision

    def __aiter__(self) -> _Changes:
        return self

    async def __anext__(self) -> list[Change]:
        while self._store.revision <= self._revision:
            await self._store._advanced.wait()
        found = list(self._store._local.since(self._revision))
        self._revision = found[-1].revision
        return found


class Answered:
    """A whole answer, as a test wants to look at it."""

    def __init__(self, response: Response) -> None:
        self.status = response.status
        self.headers = dict(response.headers)
        self.warnings = [value for name, value in response.headers if name == "warning"]
        self.content_type = response.content_type
        self.body = response.body

    @property
    def value(self) -> Any:
        return json.loads(self.body)


class Api:
    """The handler with a store that holds the namespaces default and other; its clock starts at EPOCH_SECONDS."""

    def __init__(self) -> None:
        self.store = LocalStore()
        self.ready = ""
        self.deps = ApiDeps(
            store=self.store,
            sessions=FakeWorker(),
            names=Names(random.Random(1)),
            clock=Clock(EPOCH_SECONDS - trio.current_time()),
            verifier={"secret": Identity("tom", ("system:masters",))}.get,
            status_fn=lambda: {"leader": "m1"},
            why_fn=_why,
            ready_fn=lambda: self.ready,
        )
        self.handler = ApiHandler(self.deps)
        for name in ("default", "other"):
            self.store.put(apply_defaults(Namespace(metadata=ObjectMeta(name=name, uid=f"uid-{name}"))))

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        who: Certificate | None = ADMIN,
        content_type: str = "application/json",
        **headers: str,
    ) -> Answer:
        bare, _, query = path.partition("?")
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return await self.handler.handle(
            Request(
                method=method,
                path=bare,
                query=Query.parse(query),
                headers={
                    "content-type": content_type,
                    **{name.replace("_", "-"): text for name, text in headers.items()},
                },
                body=data,
                certificate=who,
                upgrade=headers.get("upgrade") == "websocket",
            )
        )

    async def call(self, method: str, path: str, body: Any = None, **how: Any) -> Answered:
        answer = await self.ask(method, path, body, **how)
        if isinstance(answer, StreamResponse):
            parts: list[bytes] = []

            async def send(data: bytes) -> None:
                parts.append(data)

            await answer.run(send)
            answer = Response(answer.status, b"".join(parts), answer.content_type, answer.headers)
        assert isinstance(answer, Response), answer
        return Answered(answer)

    async def made(self, method: str, path: str, body: Any = None, **how: Any) -> Any:
        """The JSON of an answer that must be a success."""
        answer = await self.call(method, path, body, **how)
        assert answer.status < 300, answer.body
        return answer.value


def _why(namespace: str, pod: str) -> Any:
    if pod == "none":
        raise NotFound(f'pods "{pod}" not found')
    return {"text": f"{namespace}/{pod} waits"}
