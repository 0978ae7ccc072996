"""Where byte streams between our processes come from. TlsNetwork is the real one; the simulation has one in memory.

TLS 1.3 only, one CA. A server asks for a certificate but serves a peer without one, so that it can join; a certificate
of another CA, an expired one, or a node's certificate used to pose as a master ends in the handshake, before a byte of
ours is parsed. Who the peer is comes from its certificate: CN is the name, each O a role.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import trio

from orchestr8 import limits
from orchestr8.errors import ConfigError, Unauthenticated, Unavailable
from orchestr8.logs import get_logger
from orchestr8.rpc.service import Peer

_log = get_logger()

# The server's first byte. In TLS 1.3 a client is done before the server has looked at its certificate; without this
# byte a refusal would look like a connection lost in the middle of a call.
_WELCOME = b"8"

StreamHandler = Callable[[trio.abc.Stream, Peer], Awaitable[None]]


class Network(Protocol):
    async def dial(self, address: str) -> tuple[trio.abc.Stream, Peer]:
        """A byte stream to ``host:port``. Raises Unavailable, or Unauthenticated if it is not who it should be."""
        ...

    async def serve(
        self, address: str, handler: StreamHandler, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run ``handler`` for each stream that comes in, for ever. Started with the address that was bound."""
        ...


class TlsNetwork:
    """TLS over TCP. A renewed certificate comes into use for new connections by ``use``."""

    def __init__(self, *, client: ssl.SSLContext, server: ssl.SSLContext | None = None) -> None:
        self._client = client
        self._server = server
        self._half_open = 0
        self._connections = 0

    def use(self, *, client: ssl.SSLContext, server: ssl.SSLContext | None = None) -> None:
        self._client = client
        self._server = server or self._server

    async def dial(self, address: str) -> tuple[trio.abc.Stream, Peer]:
        host, port = split_address(address)
        with trio.move_on_after(limits.RPC_HANDSHAKE_SECONDS):
            tcp = await _connect(host, port)
            stream = trio.SSLStream(tcp, self._client, server_hostname=host, https_compatible=True)
            try:
                await stream.do_handshake()
                welcome = await stream.receive_some(len(_WELCOME))
            except trio.BrokenResourceError as error:
                await trio.aclose_forcefully(stream)
                if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                    reason = error.__cause__.verify_message
                    raise Unauthenticated(f"{address} is not a master of this cluster: {reason}") from error
                raise Unavailable(f"TLS handshake with {address} failed: {error.__cause__ or error}") from error
            except trio.Cancelled:
                await trio.aclose_forcefully(stream)
                raise
            if welcome == _WELCOME:
                return stream, peer_of(stream, address)
            await trio.aclose_forcefully(stream)
            raise Unavailable(f"{address} refused this connection: its log says why (wrong certificate, or too many)")
        raise Unavailable(f"no answer from {address} within {limits.RPC_HANDSHAKE_SECONDS} s")

    async def serve(
        self, address: str, handler: StreamHandler, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
    ) -> None:
        if self._server is None:
            raise ConfigError("this network has no server certificate: it can only dial")
        host, port = split_address(address)
        listeners = await trio.open_tcp_listeners(port, host=host)
        bound = listeners[0].socket.getsockname()
        task_status.started(f"{bound[0]}:{bound[1]}")

        async def accepted(tcp: trio.SocketStream) -> None:
            await self._accept(tcp, handler)

        await trio.serve_listeners(accepted, listeners)

    async def _accept(self, tcp: trio.SocketStream, handler: StreamHandler) -> None:
        if self._half_open >= limits.RPC_HALF_OPEN or self._connections >= limits.RPC_CONNECTIONS:
            await trio.aclose_forcefully(tcp)
            return
        self._connections += 1
        _drop_when_stalled(tcp)
        try:
            opened = await self._handshake(tcp)
            if opened is not None:
                await handler(*opened)
        finally:
            self._connections -= 1
            await trio.aclose_forcefully(tcp)

    async def _handshake(self, tcp: trio.SocketStream) -> tuple[trio.abc.Stream, Peer] | None:
        assert self._server is not None
        self._half_open += 1
        address = "unknown"
        try:
            host, port, *_ = tcp.socket.getpeername()
            address = f"{host}:{port}"
            stream = trio.SSLStream(tcp, self._server, server_side=True, https_compatible=True)
            with trio.move_on_after(limits.RPC_HANDSHAKE_SECONDS):
                await stream.do_handshake()
                await stream.send_all(_WELCOME)
                return stream, peer_of(stream, address)
            _log.warning("handshake timed out", address=address)
        except trio.BrokenResourceError as error:
            _log.warning("handshake refused", address=address, reason=str(error.__cause__ or "connection reset"))
        except OSError:
            _log.info("peer was gone before the handshake", address=address)
        finally:
            self._half_open -= 1
        return None


async def _connect(host: str, port: int) -> trio.SocketStream:
    try:
        with trio.fail_after(limits.RPC_CONNECT_SECONDS):
            tcp = await trio.open_tcp_stream(host, port)
    except OSError as error:
        raise Unavailable(f"cannot reach {host}:{port}: {error.strerror or error}") from error
    except trio.TooSlowError as error:
        raise Unavailable(f"cannot reach {host}:{port}: no answer in {limits.RPC_CONNECT_SECONDS} s") from error
    _drop_when_stalled(tcp)
    return tcp


def _drop_when_stalled(tcp: trio.SocketStream) -> None:
    """What was sent while the network was cut is repeated ever more rarely, for minutes after the cut has healed."""
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limits.RPC_UNACKNOWLEDGED_SECONDS * 1000)


def peer_of(stream: trio.SSLStream[Any], address: str) -> Peer:
    """Who the verified certificate of the other side names."""
    certificate = stream.getpeercert() or {}
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    name = next((value for key, value in subject if key == "commonName"), "")
    roles = frozenset(value for key, value in subject if key == "organizationName")
    return Peer(name=name, roles=roles, address=address)


def split_address(address: str) -> tuple[str, int]:
    """``host:port`` or ``[v6]:port``."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{address!r} is no address: write host:port, for example 10.0.0.11:7443")
    return host.strip("[]"), int(port)
