"""A live connection: the trio shell around connection.py, the same for both sides.

One task reads, one writes many frames in one piece, one keeps the connection alive, and each call or stream that the
peer opens runs in a task of its own: cancelled when the caller cancels or the connection ends. A bug in a handler
leaves through the nursery and ends the process.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import outcome
import trio

from orchestr8 import limits
from orchestr8.errors import (
    BadRequest,
    DeadlineExceeded,
    Forbidden,
    LocalProtocolError,
    NotFound,
    Orchestr8Error,
    OutcomeUnknown,
    RemoteProtocolError,
    Unavailable,
)
from orchestr8.rpc import connection as wire_events
from orchestr8.rpc.connection import Wire
from orchestr8.rpc.service import Peer, Service

_READ_BYTES = 64 * limits.KIB
_PARTING_SECONDS = 1.0  # for the last frame to a peer that broke the protocol
# Handlers that were cancelled may still be cleaning up; beyond this many the reader waits for them.
_HANDLER_TASKS = 2 * (limits.RPC_CALLS_IN_FLIGHT + limits.RPC_STREAMS_PER_CONNECTION)


_Serve = Callable[[int, str, Any], Awaitable[Any]]


class Stream:
    """The messages of one stream. ``async for`` reads until the other side has closed its half."""

    def __init__(self, owner: Connection, number: int) -> None:
        self._owner = owner
        self._number = number
        self._unread: deque[tuple[Any, int]] = deque()
        self._ended = False  # no message will come
        self._error: Orchestr8Error | None = None
        self._changed = trio.lowlevel.ParkingLot()

    async def send(self, value: Any) -> None:
        """Waits while the other side reads too slowly. Raises what ended the stream, or trio.BrokenResourceError."""
        wire = self._owner._wire
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            if not wire.is_stream(self._number):
                raise self._error or trio.BrokenResourceError("the other side has ended this stream")
            if wire.may_send(self._number) and wire.outbox_bytes < limits.RPC_OUTBOX_BYTES:
                break
            await (self._changed if not wire.may_send(self._number) else self._owner._room).park()
        wire.send(self._number, value)
        self._owner._wake_writer()
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def send_eof(self) -> None:
        """No more messages from here; reading goes on."""
        await trio.lowlevel.checkpoint()
        if self._owner._wire.is_stream(self._number):
            self._owner._wire.send_eof(self._number)
            self._owner._wake_writer()

    async def receive(self) -> Any:
        """The next message. Raises trio.EndOfChannel after the last one, or the error that ended the stream."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._unread:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise trio.EndOfChannel
            await self._changed.park()
        value, size = self._unread.popleft()
        self._owner._wire.read(self._number, size)
        self._owner._wake_writer()
        await trio.lowlevel.cancel_shielded_checkpoint()
        return value

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    def _message(self, value: Any, size: int) -> None:
        self._unread.append((value, size))
        self._changed.unpark_all()

    def _end(self, error: Orchestr8Error | None) -> None:
        self._ended = True
        self._error = self._error or error
        self._changed.unpark_all()


class Connection:
    """Calls and streams to ``peer``; made by ``client.connect`` and ``server.serve``."""

    def __init__(self, transport: trio.abc.Stream, peer: Peer, service: Service, frame_bytes: int) -> None:
        self.peer = peer
        self._transport = transport
        self._service = service
        self._wire = Wire(frame_bytes)
        self._waiting: dict[int, trio.lowlevel.Task] = {}
        self._streams: dict[int, Stream] = {}
        self._handlers: dict[int, trio.CancelScope] = {}
        self._handler_tasks = 0
        self._work = trio.lowlevel.ParkingLot()  # the writer waits for frames
        self._room = trio.lowlevel.ParkingLot()  # askers wait for space in the outbox or for a free slot
        self._handler_done = trio.lowlevel.ParkingLot()
        self._io: trio.CancelScope | None = None
        self._closed = trio.Event()
        self._reason: Orchestr8Error | None = None

    # -- asking -------------------------------------------------------------------------------------------

    async def call(self, method: str, params: Any = None) -> Any:
        """The handler's result, or its error. The deadline is the caller's cancel scope, at most RPC_CALL_SECONDS_MAX.

        Raises Unavailable if the connection ended before the call was sent, OutcomeUnknown if it ended before the
        answer came, DeadlineExceeded after RPC_CALL_SECONDS_MAX.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        seconds = trio.current_effective_deadline() - trio.current_time()
        if seconds <= limits.RPC_CALL_SECONDS_MAX:
            return await self._call(method, params, max(seconds, 0.0))
        with trio.move_on_after(limits.RPC_CALL_SECONDS_MAX):
            return await self._call(method, params, limits.RPC_CALL_SECONDS_MAX)
        raise DeadlineExceeded(f"{method}: no answer from {self._peer_name} in {limits.RPC_CALL_SECONDS_MAX} s")

    async def _call(self, method: str, params: Any, seconds: float) -> Any:
        wire = self._wire
        self._check_open()
        while not wire.may_call or wire.outbox_bytes >= limits.RPC_OUTBOX_BYTES:
            await self._room.park()
            self._check_open()
        number = wire.call(method, params, seconds)
        self._wake_writer()
        self._waiting[number] = trio.lowlevel.current_task()

        def abort(_: Any) -> trio.lowlevel.Abort:
            del self._waiting[number]
            wire.cancel(number)
            self._wake_writer()
            self._room.unpark_all()
            return trio.lowlevel.Abort.SUCCEEDED

        return await trio.lowlevel.wait_task_rescheduled(abort)

    @asynccontextmanager
    async def stream(self, method: str, params: Any = None) -> AsyncIterator[Stream]:
        """Leaving the block ends the stream: its handler is cancelled if it has not returned yet."""
        await trio.lowlevel.checkpoint()
        self._check_open()
        while not self._wire.may_open or self._wire.outbox_bytes >= limits.RPC_OUTBOX_BYTES:
            await self._room.park()
            self._check_open()
        number = self._wire.open(method, params)
        stream = self._streams[number] = Stream(self, number)
        self._wake_writer()
        try:
            yield stream
        finally:
            del self._streams[number]
            self._wire.cancel(number)
            self._wake_writer()
            self._room.unpark_all()

    async def wait_closed(self) -> None:
        await self._closed.wait()

    @property
    def closed_reason(self) -> Orchestr8Error | None:
        """Why the connection ended; None while it lives."""
        return self._reason

    # -- living -------------------------------------------------------------------------------------------

    async def _run(self, handlers: trio.Nursery) -> None:
        """Read until the connection ends."""
        async with trio.open_nursery() as nursery:
            self._io = nursery.cancel_scope
            nursery.start_soon(self._write)
            nursery.start_soon(self._keep_alive)
            try:
                await self._read(handlers)
            except RemoteProtocolError as error:
                await self._part(error)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                self._close(self._lost(error))

    async def _read(self, handlers: trio.Nursery) -> None:
        while True:
            data = await self._transport.receive_some(_READ_BYTES)
            if not data:
                self._wire.receive_end()
                self._close(Unavailable(f"{self._peer_name} has closed the connection"))
                return
            for event in self._wire.receive(data):
                self._on_event(event, handlers)
            while self._handler_tasks >= _HANDLER_TASKS:
                await self._handler_done.park()

    async def _write(self) -> None:
        try:
            while True:
                data = self._wire.data_to_send()
                if data:
                    await self._transport.send_all(data)
                    self._room.unpark_all()
                else:
                    await self._work.park()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._close(self._lost(error))

    async def _keep_alive(self) -> None:
        while True:
            await trio.sleep(limits.RPC_KEEPALIVE_SECONDS)
            try:
                self._wire.tick()
            except RemoteProtocolError as error:
                self._close(self._lost(error))
            self._wake_writer()

    async def _part(self, error: RemoteProtocolError) -> None:
        """Tell a peer that broke the protocol why, briefly, then close."""
        self._wire.goodbye(error)
        self._wake_writer()
        with trio.move_on_after(_PARTING_SECONDS):
            while self._wire.outbox_bytes:
                await self._room.park()
        self._close(error)

    def _close(self, reason: Orchestr8Error) -> None:
        """The connection is gone: everybody who waits on it learns it now."""
        if self._closed.is_set():
            return
        self._reason = reason
        self._closed.set()
        for number, task in self._waiting.items():
            lost: Orchestr8Error = Unavailable(reason.message)
            if self._wire.was_sent(number):
                lost = OutcomeUnknown(f"{reason.message}; the call may have been carried out")
            trio.lowlevel.reschedule(task, outcome.Error(lost))
        self._waiting.clear()
        for stream in self._streams.values():
            stream._end(Unavailable(reason.message))
        for scope in self._handlers.values():
            scope.cancel()
        self._room.unpark_all()
        if self._io is not None:
            self._io.cancel()

    def _lost(self, error: Exception) -> Unavailable:
        return Unavailable(f"connection to {self._peer_name} lost: {error.__cause__ or error or 'reset'}")

    def _check_open(self) -> None:
        if self._reason is not None:
            raise Unavailable(self._reason.message)

    def _wake_writer(self) -> None:
        if self._work:
            self._work.unpark_all()

    @property
    def _peer_name(self) -> str:
        return self.peer.name or self.peer.address

    # -- serving ------------------------------------------------------------------------------------------

    def _on_event(self, event: wire_events.Event, nursery: trio.Nursery) -> None:
        match event:
            case wire_events.Answered(number, value):
                self._wake_caller(number, outcome.Value(value), None)
            case wire_events.Failed(number, error):
                self._wake_caller(number, outcome.Error(error), error)
            case wire_events.Called(number, method, params, seconds):
                self._start(nursery, number, self._serve_call, method, params, trio.current_time() + seconds)
            case wire_events.MessageReceived(number, value, size):
                self._streams[number]._message(value, size)
            case wire_events.WindowOpened(number):
                self._streams[number]._changed.unpark_all()
            case wire_events.EofReceived(number):
                self._streams[number]._end(None)
            case wire_events.Opened(number, method, params):
                self._streams[number] = Stream(self, number)
                self._start(nursery, number, self._serve_stream, method, params, math.inf)
            case wire_events.Cancelled(number):
                self._handlers[number].cancel()
                if number in self._streams:
                    self._streams.pop(number)._end(Unavailable(f"{self._peer_name} has given up this stream"))
            case wire_events.GoodbyeReceived(error):
                self._close(Unavailable(f"{self._peer_name} has closed the connection: {error.message}"))

    def _wake_caller(self, number: int, result: outcome.Outcome[Any], error: Orchestr8Error | None) -> None:
        self._room.unpark_all()
        task = self._waiting.pop(number, None)
        if task is not None:
            trio.lowlevel.reschedule(task, result)
        elif number in self._streams:
            self._streams[number]._end(error)

    def _start(
        self, nursery: trio.Nursery, number: int, serve: _Serve, method: str, params: Any, deadline: float
    ) -> None:
        self._handlers[number] = scope = trio.CancelScope(deadline=deadline)
        self._handler_tasks += 1
        nursery.start_soon(self._handle, number, scope, serve, method, params, name=method)

    async def _handle(self, number: int, scope: trio.CancelScope, serve: _Serve, method: str, params: Any) -> None:
        wire = self._wire
        try:
            with scope:
                try:
                    wire.answer(number, await serve(number, method, params))
                except LocalProtocolError:
                    raise  # a result that no frame can carry, or a broken rule of ours: a bug
                except (Orchestr8Error, msgspec.ValidationError) as error:
                    wire.fail(number, _expected(error))
                except BaseExceptionGroup as group:
                    wire.fail(number, _only_expected(group))
            if scope.cancelled_caught and not self._closed.is_set():
                wire.fail(number, DeadlineExceeded("the caller's deadline has passed"))
        finally:
            del self._handlers[number]
            self._streams.pop(number, None)
            self._handler_tasks -= 1
            self._handler_done.unpark_all()
            self._wake_writer()

    async def _serve_call(self, number: int, method: str, params: Any) -> Any:
        handler = self._service.methods.get(method)
        self._check_may(method, handler)
        assert handler is not None
        return await handler(self.peer, params)

    async def _serve_stream(self, number: int, method: str, params: Any) -> None:
        handler = self._service.streams.get(method)
        self._check_may(method, handler)
        assert handler is not None
        try:
            await handler(self.peer, params, self._streams[number])
        except trio.EndOfChannel:
            raise BadRequest(f"{method}: the stream ended before its handler had what it needs") from None

    def _check_may(self, method: str, handler: Any) -> None:
        if not self._service.allows(self.peer, method):
            who = self.peer.name or "a peer without a certificate"
            raise Forbidden(
                f"{who} may not use {method}: {'join the cluster first' if not self.peer.roles else 'role'}"
            )
        if handler is None:
            raise NotFound(f"{method} is not offered here: an older version, or a master asked for what workers do")


def _expected(error: Exception) -> Orchestr8Error:
    return error if isinstance(error, Orchestr8Error) else BadRequest(f"params: {error}")


def _only_expected(group: BaseExceptionGroup[BaseException]) -> Orchestr8Error:
    """The first error, if all of a handler's nursery failed in expected ways; else the group is a bug and goes on."""
    expected, rest = group.split((Orchestr8Error, msgspec.ValidationError))
    if rest is not None or expected is None:
        raise group
    first: BaseException = expected
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    assert isinstance(first, Exception)
    return _expected(first)


@asynccontextmanager
async def live(
    transport: trio.abc.Stream, peer: Peer, service: Service, frame_bytes: int = limits.RPC_FRAME_BYTES
) -> AsyncIterator[Connection]:
    """Run a connection over ``transport`` for the length of the block, then close it.

    An error that leaves the block alone leaves as itself, not as a group of one.
    """
    connection = Connection(transport, peer, service, frame_bytes)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection._run, nursery)
            try:
                yield connection
            finally:
                connection._close(Unavailable("this connection was closed here"))
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from group.exceptions[0].__cause__
        raise
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _PARTING_SECONDS):
            await transport.aclose()
