"""What the peer opens, each in a task of its own: cancelled when the caller cancels or the connection ends.

Errors of errors.py are answered by code, also from inside a handler's own nursery; ValidationError of msgspec is the
caller's params in a wrong shape. Anything else is a bug: it leaves through the nursery and ends the process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import trio

from orchestr8 import limits
from orchestr8.errors import BadRequest, DeadlineExceeded, Forbidden, LocalProtocolError, NotFound, Orchestr8Error
from orchestr8.rpc.connection import Wire
from orchestr8.rpc.service import MessageStream, Peer, Service

# Handlers that were cancelled may still be cleaning up; beyond this many the reader waits for them.
_TASKS = 2 * (limits.RPC_CALLS_IN_FLIGHT + limits.RPC_STREAMS_PER_CONNECTION)


class Handlers:
    """``done(id)`` is called when the handler of a peer's call or stream has ended and its answer is queued."""

    def __init__(self, peer: Peer, service: Service, wire: Wire, done: Callable[[int], None]) -> None:
        self._peer = peer
        self._service = service
        self._wire = wire
        self._done = done
        self._scopes: dict[int, trio.CancelScope] = {}
        self._ended = trio.lowlevel.ParkingLot()
        self._closed = False

    def start_call(self, nursery: trio.Nursery, number: int, method: str, params: Any, seconds: float) -> None:
        scope = self._scopes[number] = trio.CancelScope(deadline=trio.current_time() + seconds)
        nursery.start_soon(self._handle, number, scope, method, self._call, params, name=method)

    def start_stream(self, nursery: trio.Nursery, number: int, method: str, params: Any, stream: MessageStream) -> None:
        scope = self._scopes[number] = trio.CancelScope()
        nursery.start_soon(self._handle, number, scope, method, self._stream, params, stream, name=method)

    def cancel(self, number: int) -> None:
        self._scopes[number].cancel()

    def cancel_all(self) -> None:
        """The connection has ended: nobody waits for an answer."""
        self._closed = True
        for scope in self._scopes.values():
            scope.cancel()

    async def wait_for_room(self) -> None:
        while len(self._scopes) >= _TASKS:
            await self._ended.park()

    async def _handle(
        self, number: int, scope: trio.CancelScope, method: str, work: Callable[..., Awaitable[Any]], *args: Any
    ) -> None:
        wire = self._wire
        try:
            with scope:
                try:
                    wire.answer(number, await work(method, *args))
                except LocalProtocolError:
                    raise  # a result that no frame can carry, or a broken rule of ours: a bug
                except (Orchestr8Error, msgspec.ValidationError) as error:
                    wire.fail(number, _expected(error))
                except BaseExceptionGroup as group:
                    cancelled, failed = group.split(trio.Cancelled)
                    if failed is not None:
                        answer = _only_expected(failed)
                    if cancelled is not None:  # nobody waits for the answer, or the deadline is the answer
                        raise cancelled from None
                    wire.fail(number, answer)
            if scope.cancelled_caught and not self._closed:
                wire.fail(number, DeadlineExceeded("the caller's deadline has passed"))
        finally:
            del self._scopes[number]
            self._ended.unpark_all()
            self._done(number)

    async def _call(self, method: str, params: Any) -> Any:
        handler = self._service.methods.get(method)
        self._check_may(method, handler)
        assert handler is not None
        return await handler(self._peer, params)

    async def _stream(self, method: str, params: Any, stream: MessageStream) -> None:
        handler = self._service.streams.get(method)
        self._check_may(method, handler)
        assert handler is not None
        try:
            await handler(self._peer, params, stream)
        except trio.EndOfChannel:
            raise BadRequest(f"{method}: the stream ended before its handler had what it needs") from None

    def _check_may(self, method: str, handler: Any) -> None:
        if not self._service.allows(self._peer, method):
            who = self._peer.name or "a peer without a certificate"
            raise Forbidden(f"{who} may not use {method}{'' if self._peer.roles else ': join the cluster first'}")
        if handler is None:
            raise NotFound(f"{method} is not offered here: an older version, or a call where a stream is meant")


def _expected(error: Exception) -> Orchestr8Error:
    return error if isinstance(error, Orchestr8Error) else BadRequest(f"params: {error}")


def _only_expected(group: BaseExceptionGroup[BaseException]) -> Orchestr8Error:
    """The first error, if all of a handler's nursery failed in expected ways; else the group is a bug and goes on."""
    expected, rest = group.split((Orchestr8Error, msgspec.ValidationError))
    if rest is not None or expected is None or group.subgroup(LocalProtocolError) is not None:
        raise group
    first: BaseException = expected
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    assert isinstance(first, Exception)
    return _expected(first)
