"""One HTTP/1.1 connection of the typed client, by h11 over an anyio stream; it retries nothing."""

from __future__ import annotations

import json
from typing import Any

import anyio
import anyio.abc
import h11

from orchestr8 import __version__, limits
from orchestr8.client.failures import from_response
from orchestr8.errors import LimitExceeded

JSON = "application/json"
LOST = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, h11.RemoteProtocolError)

_READ_BYTES = 64 * limits.KIB
_ANSWER_BYTES = 256 * limits.MIB
_LINE_BYTES = 4 * limits.MIB


class Connection:
    """Raises one of LOST when the server goes away."""

    def __init__(self, stream: anyio.abc.ByteStream, host: str, token: str | None) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT)
        self._rest = b""
        self._headers = [("Host", host), ("User-Agent", f"orchestr8-client/{__version__}"), ("Accept", JSON)]
        if token:
            self._headers.append(("Authorization", f"Bearer {token}"))

    async def ask(self, method: str, path: str, body: Any, content_type: str) -> tuple[int, bytes]:
        """Status code and whole body."""
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        code = await self._send(method, path, body, content_type)
        data = bytearray()
        while part := await self._part():
            data += part
            if len(data) > _ANSWER_BYTES:
                raise LimitExceeded(f"the answer to {path} is longer than {_ANSWER_BYTES} bytes: ask for less at once")
        if self._http.their_state is h11.MUST_CLOSE:
            await self.drop()
        return code, bytes(data)

    async def begin(self, method: str, path: str) -> None:
        """Ask for what comes line by line. Raises what the server refuses it with."""
        code = await self._send(method, path, None, JSON)
        if code >= 400:
            data = b""
            while (part := await self._part()) and len(data) < _LINE_BYTES:
                data += part
            raise from_response(code, data)

    async def line(self) -> bytes | None:
        """The next line, None after the last."""
        while b"\n" not in self._rest:
            part = await self._part()
            if not part:
                return None
            self._rest += part
            if len(self._rest) > _LINE_BYTES:
                raise LimitExceeded(f"one event is longer than {_LINE_BYTES} bytes")
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    async def drop(self) -> None:
        await anyio.aclose_forcefully(self._stream)

    async def _send(self, method: str, path: str, body: Any, content_type: str) -> int:
        headers = list(self._headers)
        data = b"" if body is None else json.dumps(body).encode()
        if body is not None:
            headers += [("Content-Type", content_type), ("Content-Length", str(len(data)))]
        out = self._http.send(h11.Request(method=method, target=path, headers=headers)) or b""
        out += (self._http.send(h11.Data(data=data)) or b"") if data else b""
        out += self._http.send(h11.EndOfMessage()) or b""
        await self._stream.send(out)
        event = await self._next()
        while isinstance(event, h11.InformationalResponse):
            event = await self._next()
        if not isinstance(event, h11.Response):
            raise anyio.EndOfStream
        return event.status_code

    async def _part(self) -> bytes:
        """A piece of the body, b"" at its end."""
        while True:
            event = await self._next()
            if isinstance(event, h11.Data):
                if event.data:
                    return bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return b""
            else:
                raise anyio.EndOfStream

    async def _next(self) -> Any:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            try:
                data = await self._stream.receive(_READ_BYTES)
            except anyio.EndOfStream:
                data = b""
            self._http.receive_data(data)
