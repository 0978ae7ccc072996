"""One WebSocket on a connection whose HTTP request is already read. The only importer of wsproto.

Messages are put together from their frames up to HTTP_SOCKET_MESSAGE_BYTES; pings are answered; what the client does
against RFC 6455 closes the socket with the code that the RFC gives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager

import h11
import trio
import wsproto
from wsproto import events
from wsproto.connection import ConnectionState
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from orchestr8 import limits
from orchestr8.errors import BadRequest
from orchestr8.master.apiserver.messages import ClientGone, Send, SocketResponse

Receive = Callable[[], Awaitable[bytes]]

_NORMAL_CLOSURE = 1000
_GOING_AWAY = 1001
_TOO_BIG = 1009


async def serve_socket(
    handshake: h11.Request,
    answer: SocketResponse,
    *,
    receive: Receive,
    send: Send,
    leftover: bytes,
    endless: AbstractContextManager[trio.CancelScope],
) -> None:
    """Runs ``answer`` to its end, or until ``endless`` is cancelled. Raises BadRequest before anything is written.

    ``receive`` and ``send`` move bytes and raise ClientGone; ``leftover``: what came behind the handshake already.
    """
    try:
        connection = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        connection.initiate_upgrade_connection(list(handshake.headers), handshake.target)
        accept = connection.send(events.AcceptConnection(subprotocol=answer.subprotocol or None))
    except (RemoteProtocolError, LocalProtocolError, UnicodeError) as error:
        raise BadRequest(f"this is not a WebSocket handshake: {error}") from error
    await send(accept)
    socket = _Socket(connection, receive, send, leftover)
    code = _GOING_AWAY
    with endless:
        await answer.run(socket)
        code = _NORMAL_CLOSURE
    await socket.close(code)


class _Socket:
    def __init__(self, connection: wsproto.WSConnection, receive: Receive, send: Send, leftover: bytes) -> None:
        self._connection = connection
        self._receive_bytes = receive
        self._send_bytes = send
        self._sending = trio.Lock()
        self._events: deque[events.Event] = deque()
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._closed = False
        self._feed(leftover)

    async def receive(self) -> bytes | None:
        while not self._closed:
            if not self._events:
                self._feed(await self._receive_bytes() or None)
                continue
            message = await self._take(self._events.popleft())
            if message is not None:
                return message
        return None

    async def send(self, message: bytes) -> None:
        if self._closed:
            raise ClientGone
        await self._write(events.BytesMessage(data=message))

    async def close(self, code: int) -> None:
        """Says goodbye and waits for the client's goodbye, for HTTP_GOODBYE_SECONDS."""
        if self._closed:
            return
        self._closed = True
        with trio.move_on_after(limits.HTTP_GOODBYE_SECONDS):
            try:
                await self._write(events.CloseConnection(code=code))
                while self._connection.state is not ConnectionState.CLOSED:
                    self._feed(await self._receive_bytes() or None)
            except LocalProtocolError:
                return  # the client said goodbye first, or talks nonsense: the connection goes either way

    async def _take(self, event: events.Event) -> bytes | None:
        if isinstance(event, events.BytesMessage | events.TextMessage):
            data = event.data.encode() if isinstance(event, events.TextMessage) else bytes(event.data)
            self._size_bytes += len(data)
            if self._size_bytes > limits.HTTP_SOCKET_MESSAGE_BYTES:
                await self.close(_TOO_BIG)
                return None
            self._parts.append(data)
            if event.message_finished:
                message = b"".join(self._parts)
                self._parts, self._size_bytes = [], 0
                return message
        elif isinstance(event, events.Ping):
            await self._write(event.response())
        elif isinstance(event, events.CloseConnection):
            if self._connection.state is ConnectionState.OPEN:  # it is the parser that has had enough
                await self.close(int(event.code))
            self._closed = True
            if self._connection.state is ConnectionState.REMOTE_CLOSING:
                await self._write(event.response())
        return None

    def _feed(self, data: bytes | None) -> None:
        """None: the client closed its connection."""
        if data != b"":
            self._connection.receive_data(data)
        self._events.extend(self._connection.events())

    async def _write(self, event: events.Event) -> None:
        async with self._sending:
            await self._send_bytes(self._connection.send(event))
