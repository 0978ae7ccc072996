"""A typed client for programs outside the cluster, under trio or asyncio (anyio).

    async with open_client(access.load([path])) as client:
        for pod in await client.list(Pod, "default", labels="app=web"): ...
        async with client.watch(Pod, "default") as changes:
            async for event, pod in changes: ...

Objects are those of ``orchestr8.api``; errors are those of ``orchestr8.errors``. Deadlines are the caller's cancel
scopes. A master that cannot be reached is passed over for the next; a request that may have been carried out is not
repeated but raises OutcomeUnknown.
"""

from __future__ import annotations

import builtins
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import anyio

from orchestr8 import limits
from orchestr8.api import codec, kinds
from orchestr8.api.meta import Object
from orchestr8.client.access import Access, ssl_context
from orchestr8.client.connection import JSON, LOST, Connection
from orchestr8.client.failures import from_response, from_status
from orchestr8.client.resources import Resource, with_query
from orchestr8.errors import OutcomeUnknown, Unavailable

T = TypeVar("T", bound=Object)

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

_PAGE = 500
_RETRY_SECONDS = 1.0


@asynccontextmanager
async def open_client(access: Access) -> AsyncIterator[Client]:
    client = Client(access)
    try:
        yield client
    finally:
        await client.aclose()


class Client:
    """One connection is kept for requests, which take turns; each watch has one of its own."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._ssl = ssl_context(access)
        self._servers = list(access.servers)
        self._kept: Connection | None = None
        self._turn = anyio.Lock()

    async def get(self, cls: type[T], namespace: str, name: str) -> T:
        """``namespace`` "" for kinds that have none. Raises NotFound."""
        return self._object(cls, await self.request("GET", _path(cls, namespace, name)))

    async def list(
        self, cls: type[T], namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> builtins.list[T]:
        """``namespace`` None: of all. Selectors as in Kubernetes: ``app=web,tier!=db``."""
        return (await self._list(cls, namespace, labels, fields))[0]

    async def create(self, obj: T) -> T:
        path = _path(type(obj), obj.metadata.namespace or "")
        return self._object(type(obj), await self.request("POST", path, codec.to_builtins(obj)))

    async def update(self, obj: T) -> T:
        """Raises Conflict if the object has changed since its ``metadata.resource_version``."""
        path = _path(type(obj), obj.metadata.namespace or "", obj.metadata.name or "")
        return self._object(type(obj), await self.request("PUT", path, codec.to_builtins(obj)))

    async def patch(self, cls: type[T], namespace: str, name: str, changes: Any, *, content_type: str = STRATEGIC) -> T:
        path = _path(cls, namespace, name)
        return self._object(cls, await self.request("PATCH", path, changes, content_type=content_type))

    async def delete(self, cls: type[T], namespace: str, name: str, options: Mapping[str, Any] | None = None) -> None:
        """``options``: fields of DeleteOptions, such as ``{"gracePeriodSeconds": 0}``."""
        await self.request("DELETE", _path(cls, namespace, name), dict(options or {}))

    @asynccontextmanager
    async def watch(
        self, cls: type[T], namespace: str | None = None, *, labels: str = "", fields: str = "", revision: str = ""
    ) -> AsyncIterator[Watch[T]]:
        """(ADDED, MODIFIED or DELETED; the object) for ever, to read with ``async for``.

        Without ``revision`` it begins with what there is. It goes on at another master when one is lost, and raises
        Expired when the changes in between are no longer kept: then list and watch again.
        """
        found: builtins.list[T] = []
        if not revision:
            found, revision = await self._list(cls, namespace, labels, fields)
        query = {"labelSelector": labels, "fieldSelector": fields}
        watch = Watch(self, cls, with_query(_path(cls, namespace), query), revision, found)
        try:
            yield watch
        finally:
            await watch._drop()

    async def request(self, method: str, path: str, body: Any = None, *, content_type: str = JSON) -> Any:
        """The answer's JSON. For what has no method of its own: subresources, ``/orchestr8/v1/status`` ..."""
        async with self._turn:
            for attempt in (1, 2):
                kept = self._kept is not None
                connection = self._kept = self._kept or await self._connect()
                try:
                    code, data = await connection.ask(method, path, body, content_type)
                    break
                except LOST as error:
                    await self.aclose()
                    # A kept connection that the server had closed meanwhile carried nothing; a read may be repeated.
                    if attempt == 2 or not (kept or method == "GET"):
                        raise _lost(method, self._servers[0], error) from error
                except BaseException:
                    self._kept = None  # cancelled in the middle of an answer
                    await connection.drop()
                    raise
        if code >= 400:
            raise from_response(code, data)
        return json.loads(data) if data else None

    async def aclose(self) -> None:
        if self._kept is not None:
            await self._kept.drop()
            self._kept = None

    async def _list(
        self, cls: type[T], namespace: str | None, labels: str, fields: str
    ) -> tuple[builtins.list[T], str]:
        found: builtins.list[T] = []
        token = revision = ""
        while True:
            query = {"limit": _PAGE, "labelSelector": labels, "fieldSelector": fields, "continue": token}
            page = await self.request("GET", with_query(_path(cls, namespace), query))
            found += [self._object(cls, item) for item in page.get("items") or ()]
            revision = revision or str(page["metadata"].get("resourceVersion") or "")
            token = page["metadata"].get("continue") or ""
            if not token:
                return found, revision

    async def _connect(self) -> Connection:
        problems = []
        for _ in range(len(self._servers)):
            server = urlsplit(self._servers[0])
            try:
                with anyio.fail_after(limits.RPC_HANDSHAKE_SECONDS):
                    stream = await anyio.connect_tcp(
                        server.hostname or "", server.port or 443, ssl_context=self._ssl, tls_standard_compatible=False
                    )
                return Connection(stream, server.netloc, self._access.token)
            except (OSError, anyio.BrokenResourceError) as error:
                problems.append(f"{self._servers[0]}: {error or 'no answer'}")
                self._next_server()
        raise Unavailable("no master answers: " + "; ".join(problems))

    def _next_server(self) -> None:
        self._servers.append(self._servers.pop(0))

    @staticmethod
    def _object(cls: type[T], document: dict[str, Any]) -> T:
        found: T = codec.from_builtins(kinds.by_class(cls).kind, document)
        return found


class Watch(Generic[T]):
    """Made by ``Client.watch``."""

    def __init__(self, client: Client, cls: type[T], path: str, revision: str, found: list[T]) -> None:
        self._client = client
        self._cls = cls
        self._path = path
        self._found = deque(found)
        self._connection: Connection | None = None
        self.revision = revision

    def __aiter__(self) -> Watch[T]:
        return self

    async def __anext__(self) -> tuple[str, T]:
        if self._found:
            return "ADDED", self._found.popleft()
        while True:
            event = await self._event()
            if event["type"] == "ERROR":
                raise from_status(event["object"])
            self.revision = event["object"]["metadata"]["resourceVersion"]
            if event["type"] != "BOOKMARK":
                return event["type"], self._client._object(self._cls, event["object"])

    async def _event(self) -> dict[str, Any]:
        while True:
            try:
                if self._connection is None:
                    self._connection = await self._client._connect()
                    query = {"watch": True, "allowWatchBookmarks": True, "resourceVersion": self.revision}
                    path = f"{self._path}{'&' if '?' in self._path else '?'}{with_query('', query)[1:]}"
                    await self._connection.begin("GET", path)
                line = await self._connection.line()
                if line is not None:
                    event: dict[str, Any] = json.loads(line)
                    return event
                await self._drop()  # the server ended it in good order
            except (Unavailable, *LOST):
                await self._drop()
                self._client._next_server()
                await anyio.sleep(_RETRY_SECONDS)

    async def _drop(self) -> None:
        if self._connection is not None:
            await self._connection.drop()
            self._connection = None


def _path(cls: type[Object], namespace: str | None = None, name: str = "") -> str:
    kind = kinds.by_class(cls)
    resource = Resource(kind.group, kind.version, kind.plural, kind.kind, kind.namespaced)
    return resource.path(namespace if namespace or name else None, name)


def _lost(method: str, server: str, error: BaseException) -> Unavailable | OutcomeUnknown:
    reason = f"{server} gave no answer: {error or type(error).__name__}"
    return Unavailable(reason) if method == "GET" else OutcomeUnknown(reason)
