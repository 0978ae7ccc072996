"""WebSockets: whole messages both ways, and a proper end whoever makes it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
import wsproto
from wsproto import events

from orchestr8 import limits
from orchestr8.master.apiserver.messages import Answer, ClientGone, Request, Socket, SocketResponse
from orchestr8.master.apiserver.transport.http import HttpServer


class Echo:
    """Sends back every message; ``bye`` ends it. ``ended``: how ``run`` has ended."""

    def __init__(self) -> None:
        self.stopping = trio.Event()
        self.http = HttpServer(self._answer, lambda request: None, self.stopping)
        self.ended = ""
        self.done = trio.Event()

    async def _answer(self, request: Request) -> Answer:
        assert request.upgrade
        return SocketResponse(self._run, request.subprotocols[0] if request.subprotocols else "")

    async def _run(self, socket: Socket) -> None:
        try:
            while (message := await socket.receive()) is not None:
                if message == b"bye":
                    self.ended = "server"
                    return
                await socket.send(message)
            self.ended = "client"
        except ClientGone:
            self.ended = "gone"
        except trio.Cancelled:
            self.ended = "stopped"
            raise
        finally:
            self.done.set()


class Client:
    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.ws = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)

    async def send(self, event: events.Event) -> None:
        await self.stream.send_all(self.ws.send(event))

    async def receive(self) -> events.Event:
        while True:
            for event in self.ws.events():
                return event
            data = await self.stream.receive_some(65536)
            self.ws.receive_data(bytes(data) or None)

    async def closed(self) -> int:
        """The code with which the server says goodbye; the client says it too."""
        event = await self.receive()
        assert isinstance(event, events.CloseConnection), event
        await self.send(event.response())
        return int(event.code)

    async def message(self) -> bytes:
        whole = b""
        while True:
            event = await self.receive()
            assert isinstance(event, events.BytesMessage), event
            whole += bytes(event.data)
            if event.message_finished:
                return whole


@asynccontextmanager
async def connected(echo: Echo, *subprotocols: str) -> AsyncIterator[Client]:
    stream, at_server = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo.http.serve, at_server)
        client = Client(stream)
        await client.send(events.Request(host="m1", target="/", subprotocols=list(subprotocols)))
        accepted = await client.receive()
        assert isinstance(accepted, events.AcceptConnection)
        assert accepted.subprotocol == (subprotocols[0] if subprotocols else None)
        yield client
        nursery.cancel_scope.cancel()


async def test_messages_come_back_whole_however_they_are_cut() -> None:
    async with connected(Echo(), "v5.channel.k8s.io") as client:
        await client.send(events.BytesMessage(data=b"one, ", message_finished=False))
        await client.send(events.Ping(payload=b"p"))
        await client.send(events.BytesMessage(data=b"two"))
        assert await client.receive() == events.Pong(payload=b"p")
        assert await client.message() == b"one, two"
        await client.send(events.TextMessage(data="text"))
        assert await client.message() == b"text"
        await client.send(events.BytesMessage(data=b"x" * 300_000))
        assert await client.message() == b"x" * 300_000


async def test_the_server_says_goodbye_when_it_is_done() -> None:
    echo = Echo()
    async with connected(echo) as client:
        await client.send(events.BytesMessage(data=b"bye"))
        assert await client.closed() == 1000


async def test_the_client_may_say_goodbye() -> None:
    echo = Echo()
    async with connected(echo) as client:
        await client.send(events.CloseConnection(code=1000))
        assert isinstance(await client.receive(), events.CloseConnection)
        await echo.done.wait()
    assert echo.ended == "client"


async def test_a_client_that_just_leaves_is_noticed() -> None:
    echo = Echo()
    async with connected(echo) as client:
        await client.stream.aclose()
        with trio.fail_after(5):
            await echo.done.wait()
    assert echo.ended in ("client", "gone")


async def test_a_message_beyond_the_bound_closes_the_socket() -> None:
    echo = Echo()
    async with connected(echo) as client:
        for _ in range(limits.HTTP_SOCKET_MESSAGE_BYTES // 65536 + 1):
            await client.send(events.BytesMessage(data=b"x" * 65536, message_finished=False))
        assert await client.closed() == 1009
        await echo.done.wait()


async def test_a_broken_frame_closes_the_socket(autojump_clock: object) -> None:
    echo = Echo()
    async with connected(echo) as client:
        await client.stream.send_all(b"\xff" * 40)
        assert await client.closed() == 1002
        await echo.done.wait()


async def test_stopping_says_going_away() -> None:
    echo = Echo()
    async with connected(echo) as client:
        await trio.testing.wait_all_tasks_blocked()
        echo.stopping.set()
        echo.http.stop()
        assert await client.closed() == 1001
    assert echo.ended == "stopped"


@pytest.mark.parametrize("missing", ["Sec-WebSocket-Key", "Sec-WebSocket-Version", "Connection"])
async def test_an_improper_handshake_is_a_bad_request(missing: str) -> None:
    stream, at_server = trio.testing.memory_stream_pair()
    fields = {
        "Host": "m1",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    del fields[missing]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Echo().http.serve, at_server)
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        await stream.send_all(f"GET / HTTP/1.1\r\n{lines}\r\n".encode())
        assert bytes(await stream.receive_some(65536)).startswith(b"HTTP/1.1 400")
        nursery.cancel_scope.cancel()
