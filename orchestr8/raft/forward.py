"""From a follower to the leader: writes that wait travel together in one call, a few calls at a time.

A call is given up when its master is no longer held for the leader; whoever waits learns that the outcome is unknown
and tries again with the same request id. A caller that goes away leaves its write where it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import trio

from orchestr8 import limits
from orchestr8.errors import NotLeader, Orchestr8Error, OutcomeUnknown, RemoteProtocolError, Unavailable
from orchestr8.raft.driver import BATCH_BYTES
from orchestr8.raft.transport import Links
from orchestr8.store.command import Result

PROPOSE = "raft.propose"
_CALLS_IN_FLIGHT = 4


class Commands(msgspec.Struct, frozen=True):
    """``commands``: each as it stands in a batch (store.command)."""

    commands: tuple[bytes, ...]


# For each command: index and result; None: in no log, may be sent elsewhere; False: unknown, the leader stepped down.
Answers = list[tuple[int, Result] | bool | None]


@dataclass(slots=True)
class _Waiting:
    command: bytes
    settled: trio.Event = field(default_factory=trio.Event)
    answer: tuple[int, Result] | Orchestr8Error | None = None

    def settle(self, answer: tuple[int, Result] | Orchestr8Error) -> None:
        self.answer = answer
        self.settled.set()


class Forwarder:
    def __init__(self, links: Links, leader: Callable[[], str | None]) -> None:
        self._links = links
        self._leader = leader
        self._queue: deque[_Waiting] = deque()
        self._more = trio.lowlevel.ParkingLot()
        self._asking: dict[trio.CancelScope, str] = {}

    async def propose(self, command: bytes) -> tuple[int, Result]:
        """Index and result. Raises Unavailable (not applied) or OutcomeUnknown."""
        waiting = _Waiting(command)
        self._queue.append(waiting)
        self._more.unpark()
        await waiting.settled.wait()
        if isinstance(waiting.answer, Orchestr8Error):
            raise type(waiting.answer)(waiting.answer.message)
        assert waiting.answer is not None
        return waiting.answer

    async def ask(self, method: str, params: Any) -> Any:
        """One call to the leader. Raises Unavailable or OutcomeUnknown."""
        leader = self._leader()
        connection = self._links.connection(leader) if leader is not None else None
        if leader is None or connection is None:
            raise Unavailable(f"{leader or 'a leader'} cannot be reached")
        with trio.CancelScope() as scope:
            self._asking[scope] = leader
            try:
                return await connection.call(method, params)
            finally:
                del self._asking[scope]
        raise OutcomeUnknown(f"{leader} stopped leading before it answered")

    def notice_change(self) -> None:
        """Call in the round in which the leader changed."""
        for scope, leader in self._asking.items():
            if leader != self._leader():
                scope.cancel()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(_CALLS_IN_FLIGHT):
                nursery.start_soon(self._carry)

    async def _carry(self) -> None:
        while True:
            batch: list[_Waiting] = []
            size = 0
            while self._queue and len(batch) < limits.LOG_ENTRY_TXNS and size < BATCH_BYTES:
                batch.append(self._queue.popleft())
                size += len(batch[-1].command)
            if batch:
                await self._send(batch)
            else:
                await self._more.park()

    async def _send(self, batch: list[_Waiting]) -> None:
        try:
            answer = await self.ask(PROPOSE, {"commands": [waiting.command for waiting in batch]})
            answers = msgspec.convert(answer, Answers)
            if len(answers) != len(batch):
                raise RemoteProtocolError(f"raft.propose: {len(answers)} answers to {len(batch)} commands")
        except Orchestr8Error as error:
            for waiting in batch:
                waiting.settle(error)
            return
        for waiting, each in zip(batch, answers, strict=True):
            if isinstance(each, tuple):
                waiting.settle(each)
            elif each is None:
                waiting.settle(NotLeader("the master that was asked does not lead"))
            else:
                waiting.settle(OutcomeUnknown("the leader stepped down before the write was confirmed"))
