"""One HTTP/1.1 connection: requests read whole, handled one after another, their answers written. Owner of h11.

What is not HTTP/1.1, too large or too late gets a Status and the connection's end. While a stream is written, the
connection is also read, so that a client that leaves ends the stream at once; while it waits for its first byte, an
error still becomes a proper Status.
"""

from __future__ import annotations

import dataclasses
import ssl
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http import HTTPStatus
from typing import Protocol

import h11
import trio

from orchestr8 import limits
from orchestr8.errors import BadRequest, Orchestr8Error
from orchestr8.master.apiserver.messages import (
    Certificate,
    ClientGone,
    Gate,
    Handler,
    Query,
    Refusal,
    Request,
    Response,
    SocketResponse,
    StreamResponse,
)
from orchestr8.master.apiserver.statuses import refusal
from orchestr8.master.apiserver.transport.websocket import serve_socket

_READ_BYTES = 64 * limits.KIB
_TOO_LARGE_MESSAGE = f"the body is longer than {limits.HTTP_BODY_BYTES} bytes"
_LOST = (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, ssl.SSLError, OSError)


Taker = Callable[[int], None]


class Server(Protocol):
    """What a connection needs of the listener it belongs to (http.HttpServer)."""

    handler: Handler
    gate: Gate

    def endless(self) -> AbstractContextManager[trio.CancelScope]: ...
    def reserve(self, size_bytes: int) -> None: ...
    def release(self, size_bytes: int) -> None: ...


class Connection:
    """Its owner calls ``exchange`` until that answers False. Every method raises ClientGone when the client is."""

    def __init__(self, server: Server, stream: trio.abc.Stream, certificate: Certificate | None, remote: str) -> None:
        self._server = server
        self._stream = stream
        self._certificate = certificate
        self._remote = remote
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.HTTP_HEADER_BYTES)
        self._head: h11.Request | None = None

    async def exchange(self) -> bool:
        """One request and its answer. False: the connection is to be closed."""
        try:
            head = await self._read_head()
            if head is None:
                return False
            with self._body_room() as take:
                request = _request(head, self._certificate, self._remote)
                if _has_body(head):
                    self._server.gate(request)
                request = dataclasses.replace(request, body=await self._read_body(head, take))
                answer = await self._server.handler(request)
        except Orchestr8Error as error:
            await self.refuse(error)
            return False
        if isinstance(answer, SocketResponse):
            await self._write_socket(head, answer)
            return False
        if isinstance(answer, StreamResponse):
            await self._write_stream(answer)
        else:
            await self._write(answer)
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def refuse(self, error: Orchestr8Error) -> None:
        """A Status in place of an answer; the connection is to be closed behind it."""
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            answer = refusal(error)
            await self._write(Response(answer.status, answer.body, headers=(*answer.headers, ("connection", "close"))))
            if self._http.their_state is h11.SEND_BODY:
                await self._linger()

    # -- reading --------------------------------------------------------------------------------------

    async def _read_head(self) -> h11.Request | None:
        """None: the client leaves, has been idle for too long, or the server stops."""
        if not self._http.trailing_data[0]:
            with self._server.endless() as scope:
                scope.deadline = trio.current_time() + limits.HTTP_IDLE_SECONDS
                self._http.receive_data(await self._receive())
            if scope.cancelled_caught:
                return None
        event = await self._next_event(trio.current_time() + limits.HTTP_HEADER_SECONDS)
        if not isinstance(event, h11.Request):
            return None
        self._head = event
        return event

    async def _read_body(self, head: h11.Request, take: Taker) -> bytes:
        length = next((value for name, value in head.headers if name == b"content-length"), b"0")
        if int(length) > limits.HTTP_BODY_BYTES:
            raise Refusal(413, "RequestEntityTooLarge", _TOO_LARGE_MESSAGE)
        if self._http.they_are_waiting_for_100_continue:
            await self._send(self._http.send(h11.InformationalResponse(status_code=100, headers=[], reason="Continue")))
        body = bytearray()
        deadline = trio.current_time() + limits.HTTP_BODY_SECONDS
        while isinstance(event := await self._next_event(deadline), h11.Data):
            take(len(event.data))
            body += event.data
            if len(body) > limits.HTTP_BODY_BYTES:
                raise Refusal(413, "RequestEntityTooLarge", _TOO_LARGE_MESSAGE)
        if not isinstance(event, h11.EndOfMessage):
            raise ClientGone
        return bytes(body)

    async def _next_event(self, deadline: float) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            with trio.fail_at(deadline):
                while (event := self._http.next_event()) is h11.NEED_DATA:
                    self._http.receive_data(await self._receive())
        except h11.RemoteProtocolError as error:
            raise Refusal(error.error_status_hint, "BadRequest", f"this is not HTTP/1.1: {error}") from error
        except trio.TooSlowError as error:
            raise Refusal(408, "Timeout", "the request did not arrive in time") from error
        return event

    @contextmanager
    def _body_room(self) -> Iterator[Taker]:
        """Room for the body of one request, taken part by part and given back when it is answered."""
        held_bytes = 0

        def take(size_bytes: int) -> None:
            nonlocal held_bytes
            self._server.reserve(size_bytes)
            held_bytes += size_bytes

        try:
            yield take
        finally:
            self._server.release(held_bytes)

    # -- writing --------------------------------------------------------------------------------------

    async def _write(self, answer: Response) -> None:
        headers = [("content-type", answer.content_type), ("content-length", str(len(answer.body))), *answer.headers]
        parts = [self._http.send(_head(answer.status, headers))]
        if answer.body and (self._head is None or self._head.method != b"HEAD"):
            parts.append(self._http.send(h11.Data(data=answer.body)))
        parts.append(self._http.send(h11.EndOfMessage()))
        await self._send(b"".join(part for part in parts if part))

    async def _write_stream(self, answer: StreamResponse) -> None:
        headers = [("content-type", answer.content_type), *answer.headers]
        start = _head(answer.status, headers)
        failure: Orchestr8Error | ClientGone | None = None

        async def send(data: bytes) -> None:
            head = self._http.send(start) if self._http.our_state is h11.SEND_RESPONSE else b""
            body = self._http.send(h11.Data(data=data)) if data else b""
            await self._send((head or b"") + (body or b""))

        async def run() -> None:
            nonlocal failure
            try:
                await answer.run(send)
            except (Orchestr8Error, ClientGone) as error:
                failure = error
            scope.cancel()

        async def notice_leaving() -> None:
            nonlocal failure
            try:
                data = await self._receive()
            except ClientGone:
                data = b""
            if not data:
                failure = ClientGone()
                scope.cancel()
            else:
                self._http.receive_data(data)  # the next request, early: to be read when this one is answered

        with self._server.endless() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(notice_leaving)
                nursery.start_soon(run)
        if isinstance(failure, Orchestr8Error) and self._http.our_state is h11.SEND_RESPONSE:
            await self._write(refusal(failure))
        elif failure is not None:
            raise ClientGone  # an answer that breaks off must not look complete
        else:
            head = self._http.send(start) if self._http.our_state is h11.SEND_RESPONSE else b""
            await self._send((head or b"") + (self._http.send(h11.EndOfMessage()) or b""))

    async def _write_socket(self, head: h11.Request, answer: SocketResponse) -> None:
        try:
            await serve_socket(
                head,
                answer,
                receive=self._receive,
                send=self._send,
                leftover=self._http.trailing_data[0],
                endless=self._server.endless(),
            )
        except BadRequest as error:
            await self.refuse(error)

    # -- bytes ----------------------------------------------------------------------------------------

    async def _receive(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some(_READ_BYTES))
        except _LOST as error:
            raise ClientGone from error

    async def _send(self, data: bytes) -> None:
        try:
            with trio.fail_after(limits.HTTP_WRITE_SECONDS):
                await self._stream.send_all(data)
        except _LOST as error:
            raise ClientGone from error

    async def _linger(self) -> None:
        """Reads on for a moment: closing with unread bytes would make the client lose the answer."""
        with trio.move_on_after(limits.HTTP_GOODBYE_SECONDS):
            while await self._receive():
                pass


def _head(status: int, headers: list[tuple[str, str]]) -> h11.Response:
    """With the reason phrase: some clients show nothing else."""
    return h11.Response(status_code=status, headers=headers, reason=HTTPStatus(status).phrase)


def _has_body(head: h11.Request) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in head.headers
    )


def _request(head: h11.Request, certificate: Certificate | None, remote: str) -> Request:
    path, _, query = head.target.decode("ascii").partition("?")
    try:
        decoded = urllib.parse.unquote(path, errors="strict")
        headers: dict[str, str] = {}
        for raw_name, raw_value in head.headers:
            name, value = raw_name.decode("ascii"), raw_value.decode("utf-8")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    except UnicodeDecodeError as error:
        raise BadRequest("the path and the headers must be UTF-8") from error
    return Request(
        method=head.method.decode("ascii"),
        path=decoded,
        query=Query.parse(query),
        headers=headers,
        certificate=certificate,
        remote=remote,
        upgrade=headers.get("upgrade", "").lower() == "websocket",
    )
