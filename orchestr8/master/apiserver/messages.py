"""What goes into the API server's handler and what comes out: plain values, no socket in sight.

The transport (transport/) makes a ``Request`` of what a client sent and writes the answer; simulation and
unit tests make and read them directly. A ``Request`` is complete: its body is read, its size already checked.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from orchestr8.errors import BadRequest, Orchestr8Error

Headers = tuple[tuple[str, str], ...]
Send = Callable[[bytes], Awaitable[None]]

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


class ClientGone(Exception):
    """The client closed its connection or did not read in time: whatever was being written for it may end."""


class Refusal(Orchestr8Error):
    """A refusal that only HTTP knows, such as 405 or 415. ``reason``: a Kubernetes StatusReason."""

    code = "Refusal"

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Certificate:
    """The subject of a client certificate that TLS has verified."""

    common_name: str
    organizations: tuple[str, ...] = ()


class Query:
    """The parameters behind ``?``, decoded, in their order. Raises BadRequest for a value that cannot be read."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: tuple[tuple[str, str], ...] = ()) -> None:
        self._pairs = pairs

    @classmethod
    def parse(cls, text: str) -> Query:
        if not text:
            return _NO_QUERY
        try:
            return cls(tuple(urllib.parse.parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=256)))
        except ValueError as error:
            raise BadRequest(f"the query string cannot be read: {error}") from error

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def text(self, name: str, default: str = "") -> str:
        return next((value for key, value in self._pairs if key == name), default)

    def every(self, name: str) -> tuple[str, ...]:
        return tuple(value for key, value in self._pairs if key == name)

    def flag(self, name: str, default: bool = False) -> bool:
        """As Go reads it: absent is ``default``; present without a value, "1" and "true" are true."""
        value = next((value for key, value in self._pairs if key == name), None)
        if value is None:
            return default
        if value.lower() in ("", "1", "t", "true"):
            return True
        if value.lower() in ("0", "f", "false"):
            return False
        raise BadRequest(f"{name}={value}: give true or false")

    def number(self, name: str) -> int | None:
        """A whole number that is not negative; None when absent or empty."""
        value = self.text(name)
        if not value:
            return None
        if not value.isascii() or not value.isdecimal() or len(value) > 18:
            raise BadRequest(f"{name}={value}: give a whole number that is not negative")
        return int(value)


_NO_QUERY = Query()


@dataclass(frozen=True, slots=True)
class Request:
    """``path`` is decoded and without query; ``headers`` have lower-case names. ``upgrade``: to a WebSocket."""

    method: str
    path: str
    query: Query = _NO_QUERY
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    certificate: Certificate | None = None
    remote: str = ""
    upgrade: bool = False

    @property
    def subprotocols(self) -> tuple[str, ...]:
        offered = self.headers.get("sec-websocket-protocol", "")
        return tuple(part.strip() for part in offered.split(",") if part.strip())


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class StreamResponse:
    """An answer without a known end. ``run`` writes it; it is cancelled when the client leaves or the server stops."""

    run: Callable[[Send], Awaitable[None]]
    status: int = 200
    content_type: str = JSON
    headers: Headers = ()


class Socket(Protocol):
    """One WebSocket, message by message."""

    async def receive(self) -> bytes | None:
        """The next message, or None once the client has closed. At most ``HTTP_SOCKET_MESSAGE_BYTES`` long."""
        ...

    async def send(self, message: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class SocketResponse:
    """A WebSocket that ``run`` holds; when it returns the socket is closed."""

    run: Callable[[Socket], Awaitable[None]]
    subprotocol: str


Answer = Response | StreamResponse | SocketResponse
Handler = Callable[[Request], Awaitable[Answer]]
Gate = Callable[[Request], None]
