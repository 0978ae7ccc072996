"""A WebSocket to the API for exec, blocking: Kubernetes' channels (v5.channel.k8s.io), one byte before each message.

0 stdin, 1 stdout, 2 stderr, 3 how it ended (a Status), 4 the terminal's size; 255 closes a channel. Source: Kubernetes,
"Transition from SPDY to WebSockets" and RFC 6455.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import wsproto
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

from orchestr8.cli.http import Api
from orchestr8.client.failures import from_response
from orchestr8.errors import RemoteProtocolError, Unavailable

STDIN, STDOUT, STDERR, STATUS, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
PROTOCOL = "v5.channel.k8s.io"

_READ_BYTES = 64 * 1024
_MOST_BYTES = 4 * 1024 * 1024


class Channels:
    """``fileno`` for select; ``received`` after it is readable."""

    def __init__(self, api: Api, path: str) -> None:
        self._sock: ssl.SSLSocket = api.dial()
        self._wire = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._message = bytearray()
        self._early: list[tuple[int, bytes]] = []
        self.open = True
        headers = [(b"authorization", f"Bearer {api.token}".encode())] if api.token else []
        host = urlsplit(api.server).netloc
        self._write(Request(host=host, target=path, subprotocols=[PROTOCOL], extra_headers=headers))
        self._shake_hands()

    def fileno(self) -> int:
        return self._sock.fileno()

    def send(self, channel: int, data: bytes) -> None:
        self._write(BytesMessage(data=bytes([channel]) + data))

    def close_channel(self, channel: int) -> None:
        self._write(BytesMessage(data=bytes([CLOSE, channel])))

    @property
    def waiting(self) -> bool:
        """Something has arrived already that select does not see."""
        return bool(self._early) or self._sock.pending() > 0

    def received(self) -> Iterator[tuple[int, bytes]]:
        """The messages that can be read now; waits if there is none."""
        if self._early:
            early, self._early = self._early, []
            yield from early
            return
        self._wire.receive_data(self._read())
        yield from self._messages()

    def _messages(self) -> Iterator[tuple[int, bytes]]:
        for event in self._wire.events():
            if isinstance(event, BytesMessage | TextMessage):
                self._message += event.data.encode() if isinstance(event.data, str) else event.data
                if len(self._message) > _MOST_BYTES:
                    raise RemoteProtocolError("the server sent a message beyond all measure")
                if event.message_finished:
                    message = bytes(self._message)
                    self._message.clear()
                    if message:
                        yield message[0], message[1:]
            elif isinstance(event, Ping):
                self._write(event.response())
            elif isinstance(event, CloseConnection):
                self.open = False
                if self._wire.state is wsproto.connection.ConnectionState.REMOTE_CLOSING:
                    self._write(event.response())

    def _shake_hands(self) -> None:
        refused, body = 0, bytearray()
        while True:
            self._wire.receive_data(self._read())
            for event in self._wire.events():
                if isinstance(event, AcceptConnection):
                    if event.subprotocol != PROTOCOL:
                        raise RemoteProtocolError(f"the server does not speak {PROTOCOL}")
                    self._early = list(self._messages())
                    return
                if isinstance(event, RejectConnection):
                    refused = event.status_code
                    if not event.has_body:
                        raise from_response(refused, b"")
                elif isinstance(event, RejectData):
                    body += event.data
                    if event.body_finished:
                        raise from_response(refused, bytes(body))

    def _read(self) -> bytes:
        try:
            data = self._sock.recv(_READ_BYTES)
        except OSError as error:
            raise Unavailable(f"the connection was lost: {error}") from error
        if not data:
            raise Unavailable("the server closed the connection before the command ended")
        return data

    def _write(self, event: wsproto.events.Event) -> None:
        try:
            self._sock.sendall(self._wire.send(event))
        except OSError as error:
            raise Unavailable(f"the connection was lost: {error}") from error
