"""The HTTPS listener: connections in, one ``Connection`` (connection.py) each, and what they may hold together.

Everything a client may take from us is bounded: time for the TLS handshake and the headers, size of headers and body,
bytes of bodies held for all clients together, number of connections, and the time for which it may stop reading. When
``stopping`` is set, idle connections close at once, streams end, and requests under way are answered.
Only HTTP/1.1 is offered in ALPN: WebSockets need it, and one protocol is enough.
"""

from __future__ import annotations

import functools
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import trio

from orchestr8 import limits
from orchestr8.errors import TooManyRequests
from orchestr8.logs import get_logger
from orchestr8.master.apiserver.messages import Certificate, ClientGone, Gate, Handler
from orchestr8.master.apiserver.transport.connection import Connection

_ACCEPT_BACKLOG = 512
# To who speaks HTTP without TLS. Nothing of what came was looked at but that it is no handshake.
_NOT_PLAINLY = b"HTTP/1.0 400 Bad Request\r\nconnection: close\r\n\r\nthis port speaks HTTPS only: use https://\n"


async def serve_http(
    handler: Handler,
    tls: ssl.SSLContext,
    address: str,
    port: int,
    *,
    gate: Gate,
    stopping: trio.Event,
    task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves until ``stopping`` is set and requests under way are answered. Reports (address, port) once it listens.

    ``gate`` raises for a request whose body, not read yet, is not worth reading.
    """
    tls.set_alpn_protocols(["http/1.1"])
    server = HttpServer(handler, gate, stopping)
    listeners = await trio.open_tcp_listeners(port, host=address, backlog=_ACCEPT_BACKLOG)
    bound = listeners[0].socket.getsockname()
    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as listening:
            accept = functools.partial(server.accept, tls=tls)
            listening.start_soon(
                functools.partial(trio.serve_listeners, handler_nursery=connections), accept, listeners
            )
            task_status.started((bound[0], bound[1]))
            await stopping.wait()
            listening.cancel_scope.cancel()
        server.stop()


class HttpServer:
    """The connections of one listener."""

    def __init__(self, handler: Handler, gate: Gate, stopping: trio.Event) -> None:
        self.handler = handler
        self.gate = gate
        self._stopping = stopping
        self._connections = 0
        self._half_open = 0
        self._body_bytes = 0
        self._endless: set[trio.CancelScope] = set()

    async def accept(self, tcp: trio.SocketStream, tls: ssl.SSLContext) -> None:
        """One TCP connection from its handshake to its end. Never raises for what a client does."""
        if self._half_open >= limits.HTTP_HALF_OPEN:
            await trio.aclose_forcefully(tcp)
            return
        stream = trio.SSLStream(tcp, tls, server_side=True, https_compatible=True)
        self._half_open += 1
        try:
            remote = _notice_death(tcp)
            with trio.fail_after(limits.HTTP_HEADER_SECONDS):
                await stream.do_handshake()
        except (trio.BrokenResourceError, trio.TooSlowError, ssl.SSLError, OSError) as error:
            cause = error.__cause__ or error
            get_logger().info("TLS handshake failed", reason=str(cause) or type(cause).__name__)
            if isinstance(cause, ssl.SSLError) and cause.reason == "HTTP_REQUEST":
                await _tell_plainly(tcp)
            await trio.aclose_forcefully(tcp)
            return
        finally:
            self._half_open -= 1
        await self.serve(stream, _certificate(stream), remote)

    async def serve(self, stream: trio.abc.Stream, certificate: Certificate | None = None, remote: str = "") -> None:
        """The requests of one connection, one after another, until either side has had enough."""
        self._connections += 1
        connection = Connection(self, stream, certificate, remote)
        try:
            if self._connections > limits.HTTP_CONNECTIONS:
                await connection.refuse(TooManyRequests("this master has as many connections as it may: try another"))
            else:
                while await connection.exchange():
                    pass
        except ClientGone:
            pass  # nobody is left to tell
        finally:
            self._connections -= 1
            with trio.move_on_after(limits.HTTP_GOODBYE_SECONDS, shield=True):
                await _close(stream)

    def stop(self) -> None:
        for scope in list(self._endless):
            scope.cancel()

    @contextmanager
    def endless(self) -> Iterator[trio.CancelScope]:
        """A scope for what has no end of its own (an idle connection, a stream): cancelled when the server stops."""
        with trio.CancelScope() as scope:
            self._endless.add(scope)
            if self._stopping.is_set():
                scope.cancel()
            try:
                yield scope
            finally:
                self._endless.discard(scope)

    def reserve(self, size_bytes: int) -> None:
        """Takes room for a part of a body. Raises TooManyRequests when the bodies of all clients are too many."""
        if self._body_bytes + size_bytes > limits.HTTP_BODIES_BYTES:
            raise TooManyRequests("too many large requests at once")
        self._body_bytes += size_bytes

    def release(self, size_bytes: int) -> None:
        self._body_bytes -= size_bytes


async def _tell_plainly(tcp: trio.SocketStream) -> None:
    with trio.move_on_after(limits.HTTP_GOODBYE_SECONDS), suppress(trio.BrokenResourceError):
        await tcp.send_all(_NOT_PLAINLY)


async def _close(stream: trio.abc.Stream) -> None:
    try:
        await stream.aclose()
    except (trio.BrokenResourceError, OSError):
        await trio.aclose_forcefully(stream)


def _notice_death(tcp: trio.SocketStream) -> str:
    """A client host that vanished is noticed after 30 s without any traffic of ours. Returns the client's address."""
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)
    return str(tcp.socket.getpeername()[0])


def _certificate(stream: trio.SSLStream[trio.SocketStream]) -> Certificate | None:
    """The subject of the verified client certificate; None without one."""
    found = stream.getpeercert()
    if not found:
        return None
    subject = [pair for part in found.get("subject", ()) for pair in part]
    return Certificate(
        common_name=next((value for key, value in subject if key == "commonName"), ""),
        organizations=tuple(value for key, value in subject if key == "organizationName"),
    )
