"""A live connection: the trio shell around connection.py, the same for both sides.

One task reads, one writes many frames in one piece, one keeps the connection alive, and each call or stream that the
peer opens runs in a task of its own (handlers.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import outcome
import trio

from orchestr8 import limits
from orchestr8.errors import (
    DeadlineExceeded,
    Orchestr8Error,
    OutcomeUnknown,
    RemoteProtocolError,
    Unavailable,
)
from orchestr8.rpc import connection as wire_events
from orchestr8.rpc.connection import Wire
from orchestr8.rpc.handlers import Handlers
from orchestr8.rpc.service import Peer, Service

_READ_BYTES = 64 * limits.KIB
_PARTING_SECONDS = 1.0  # for the last frame to a peer that broke the protocol


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
            if self._error is not None:
                raise self._error
            if not wire.is_stream(self._number):
                raise trio.BrokenResourceError("the other side has ended this stream")
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
        self._wire = Wire(frame_bytes)
        self._waiting: dict[int, trio.lowlevel.Task] = {}
        self._streams: dict[int, Stream] = {}
        self._handlers = Handlers(peer, service, self._wire, self._handled)
        self._work = trio.lowlevel.ParkingLot()  # the writer waits for frames
        self._room = trio.lowlevel.ParkingLot()  # askers wait for space in the outbox or for a free slot
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
            await self._handlers.wait_for_room()

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
        self._handlers.cancel_all()
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
                self._handlers.start_call(nursery, number, method, params, seconds)
            case wire_events.MessageReceived(number, value, size):
                self._streams[number]._message(value, size)
            case wire_events.WindowOpened(number):
                self._streams[number]._changed.unpark_all()
            case wire_events.EofReceived(number):
                self._streams[number]._end(None)
            case wire_events.Opened(number, method, params):
                stream = self._streams[number] = Stream(self, number)
                self._handlers.start_stream(nursery, number, method, params, stream)
            case wire_events.Cancelled(number):
                self._handlers.cancel(number)
                if number in self._streams:
                    self._streams.pop(number)._end(Unavailable(f"{self._peer_name} has given up this stream"))
            case wire_events.GoodbyeReceived(error):
                self._close(Unavailable(f"{self._peer_name} has closed the connection: {error.message}"))

    def _handled(self, number: int) -> None:
        self._streams.pop(number, None)
        self._wake_writer()

    def _wake_caller(self, number: int, result: outcome.Outcome[Any], error: Orchestr8Error | None) -> None:
        self._room.unpark_all()
        task = self._waiting.pop(number, None)
        if task is not None:
            trio.lowlevel.reschedule(task, result)
        elif number in self._streams:
            self._streams[number]._end(error)


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
