"""HTTP/1.1 on a byte stream: what clients may do, what they may not, and that nothing of theirs stays."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h11
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestr8 import limits
from orchestr8.errors import Unauthenticated, Unavailable
from orchestr8.master.apiserver.messages import TEXT, Answer, Request, Response, Send, StreamResponse
from orchestr8.master.apiserver.transport.http import HttpServer


class Client:
    """One connection to a server whose handler is ``answer``."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._http = h11.Connection(h11.CLIENT)

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        """(status, body) of one exchange."""
        fields = [("host", "m1"), *((name.replace("_", "-"), value) for name, value in headers.items())]
        if body:
            fields.append(("content-length", str(len(body))))
        await self.send(self._http.send(h11.Request(method=method, target=path, headers=fields)) or b"")
        if body:
            await self.send(self._http.send(h11.Data(data=body)) or b"")
        self._http.send(h11.EndOfMessage())
        found = await self.read()
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return found

    async def read(self) -> tuple[int, bytes]:
        status, body = 0, b""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(bytes(await self.stream.receive_some(65536)))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                return status, body

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        found = b""
        while data := await self.stream.receive_some(65536):
            found += bytes(data)
        return found


class Server:
    """``gone``: set when a stream's ``run`` has ended, however."""

    def __init__(self) -> None:
        self.stopping = trio.Event()
        self.requests: list[Request] = []
        self.gone = trio.Event()
        self.release = trio.Event()
        self.failure: Exception | None = None
        self.http = HttpServer(self._answer, self._gate, self.stopping)

    def _gate(self, request: Request) -> None:
        if request.path == "/stranger":
            raise Unauthenticated("Unauthorized")

    async def _answer(self, request: Request) -> Answer:
        self.requests.append(request)
        match request.path:
            case "/wait":
                await self.release.wait()
            case "/fail":
                raise Unavailable("no leader")
            case "/endless":
                return StreamResponse(self._endless, content_type=TEXT)
            case "/broken":
                return StreamResponse(self._broken)
            case "/flood":
                return StreamResponse(self._flood)
        return Response(body=json.dumps({"path": request.path, "size": len(request.body)}).encode())

    async def _endless(self, send: Send) -> None:
        try:
            await send(b"first\n")
            await trio.sleep_forever()
        finally:
            self.gone.set()

    async def _broken(self, send: Send) -> None:
        if self.failure is None:
            await send(b"half of it")
        raise self.failure or Unavailable("the worker is gone")

    async def _flood(self, send: Send) -> None:
        try:
            while True:
                await send(b"x" * 65536)
        finally:
            self.gone.set()

    def stop(self) -> None:
        self.stopping.set()
        self.http.stop()


@asynccontextmanager
async def connected(server: Server, lockstep: bool = False) -> AsyncIterator[Client]:
    """``lockstep``: a client that buffers nothing: what it does not read, the server cannot send."""
    pair = trio.testing.lockstep_stream_pair() if lockstep else trio.testing.memory_stream_pair()
    client, at_server = pair
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.http.serve, at_server)
        yield Client(client)
        nursery.cancel_scope.cancel()


async def test_requests_follow_each_other_on_one_connection() -> None:
    server = Server()
    async with connected(server) as client:
        for index in range(3):
            status, body = await client.ask("POST", f"/a%20b/{index}?x=1&x=2", b"z" * index * 100_000)
            assert (status, json.loads(body)) == (200, {"path": f"/a b/{index}", "size": index * 100_000})
    assert server.requests[0].query.every("x") == ("1", "2")


async def test_requests_may_be_sent_ahead() -> None:
    server = Server()
    async with connected(server) as client:
        await client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answers = await client.rest()
    assert answers.count(b"HTTP/1.1 200 OK") == 2


async def test_head_is_get_without_the_body() -> None:
    server = Server()
    async with connected(server) as client:
        await client.send(b"HEAD /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 200 OK") and answer.endswith(b"\r\n\r\n")


async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    server = Server()
    async with connected(server) as client:
        head = b"POST /1 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
        await client.send(head)
        assert b"100 Continue" in bytes(await client.stream.receive_some(1000))
        await client.send(b"{}")
        assert b"200 OK" in await client.rest()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"NONSENSE\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),  # no Host
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 2 * limits.HTTP_HEADER_BYTES + b"\r\n\r\n", b"431"),
        (b"GET /%ff HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"GET /?%ff HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 20 + b"\r\n\r\n", b"400"),
        (f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {limits.HTTP_BODY_BYTES + 1}\r\n\r\n".encode(), b"413"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", b"400"),
    ],
)
async def test_what_cannot_be_served_is_refused_and_closed(autojump_clock: object, sent: bytes, status: bytes) -> None:
    server = Server()
    async with connected(server) as client:
        await client.send(sent)
        answer = await client.rest()
    assert answer.split(b" ")[1] == status and b'"kind":"Status"' in answer
    assert server.requests == []


async def test_the_body_of_a_stranger_is_not_waited_for() -> None:
    server = Server()
    async with connected(server) as client:
        await client.send(b"POST /stranger HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        assert b"401" in bytes(await client.stream.receive_some(1000))[:20]
    assert server.requests == []


async def test_a_body_without_a_length_is_cut_off_at_the_bound(autojump_clock: object) -> None:
    server = Server()
    async with connected(server) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(limits.HTTP_BODY_BYTES // 65536 + 1):
            await client.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        assert b"413" in (await client.rest())[:20]
    assert server.requests == []


async def test_slow_headers_are_given_up(autojump_clock: object) -> None:
    server = Server()
    async with connected(server) as client:
        await client.send(b"GET / HTTP/1.1\r\n")
        assert b"408" in (await client.rest())[:20]
        assert trio.current_time() >= limits.HTTP_HEADER_SECONDS


async def test_a_slow_body_is_given_up(autojump_clock: object) -> None:
    async with connected(Server()) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        assert b"408" in (await client.rest())[:20]


async def test_an_idle_connection_is_closed_without_a_word(autojump_clock: object) -> None:
    async with connected(Server()) as client:
        before = trio.current_time()
        await client.ask("GET", "/1")
        assert await client.rest() == b""
        assert limits.HTTP_IDLE_SECONDS <= trio.current_time() - before < limits.HTTP_IDLE_SECONDS + 5


async def test_a_client_that_stops_reading_is_cut_off(autojump_clock: object) -> None:
    server = Server()
    async with connected(server, lockstep=True) as client:
        await client.send(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
        before = trio.current_time()
        await server.gone.wait()
        assert trio.current_time() - before == pytest.approx(limits.HTTP_WRITE_SECONDS, abs=1)


async def test_a_client_that_leaves_ends_its_stream() -> None:
    server = Server()
    async with connected(server) as client:
        await client.send(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"first" in bytes(await client.stream.receive_some(1000))
        await client.stream.aclose()
        with trio.fail_after(5):
            await server.gone.wait()


async def test_an_error_before_the_first_byte_of_a_stream_is_a_status() -> None:
    server = Server()
    server.failure = Unavailable("no worker")
    async with connected(server) as client:
        status, body = await client.ask("GET", "/broken")
        assert status == 503 and json.loads(body)["message"] == "no worker"
        assert (await client.ask("GET", "/1"))[0] == 200


async def test_an_error_within_a_stream_does_not_look_like_its_end() -> None:
    async with connected(Server()) as client:
        await client.send(b"GET /broken HTTP/1.1\r\nHost: a\r\n\r\n")
        told = await client.rest()
    assert b"half of it" in told and not told.endswith(b"0\r\n\r\n")


async def test_the_next_request_may_come_while_a_stream_is_written() -> None:
    server = Server()
    async with connected(server) as client:
        await client.send(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.stream.receive_some(1000)
        await client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked()
        server.stop()
        assert b"200 OK" in await client.rest()


async def test_stopping_ends_streams_properly_and_closes_idle_connections() -> None:
    server = Server()
    async with connected(server) as watching, connected(server) as idle:
        await watching.send(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        await watching.stream.receive_some(1000)
        await trio.testing.wait_all_tasks_blocked()
        server.stop()
        assert (await watching.rest()).endswith(b"0\r\n\r\n")
        assert await idle.rest() == b""


async def test_stopping_lets_a_request_under_way_end() -> None:
    server = Server()
    async with connected(server) as client:
        await client.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked()
        server.stop()
        server.release.set()
        assert b"200 OK" in await client.rest()


async def test_more_connections_than_may_be_are_told_429(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HTTP_CONNECTIONS", 1)
    server = Server()
    async with connected(server) as first:
        assert (await first.ask("GET", "/1"))[0] == 200
        async with connected(server) as second:
            told = await second.rest()
        assert b"429" in told[:20] and b"retry-after: 1" in told.lower()
        assert (await first.ask("GET", "/1"))[0] == 200


async def test_the_bodies_of_all_clients_together_are_bounded(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HTTP_BODIES_BYTES", 150_000)
    server = Server()
    async with connected(server) as holder, connected(server) as other:
        await holder.send(b"POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)
        await trio.testing.wait_all_tasks_blocked()
        await other.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)
        assert b"429" in (await other.rest())[:20]
        server.release.set()
        await holder.read()
        async with connected(server) as later:
            assert (await later.ask("POST", "/", b"x" * 100_000))[0] == 200


@given(st.lists(st.binary(max_size=200), max_size=6))
@settings(max_examples=60, deadline=None)
async def test_no_bytes_make_the_server_fail(pieces: list[bytes]) -> None:
    server = Server()
    client, at_server = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.http.serve, at_server)
        for piece in pieces:
            try:
                await client.send_all(piece)
            except trio.BrokenResourceError:
                break
        await client.send_stream.aclose()
        while await client.receive_some(65536):
            pass
