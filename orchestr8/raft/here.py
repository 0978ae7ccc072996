"""What the leader does itself: put commands into the log, confirm a point to read at, for callers here and elsewhere.

Nothing here tries again or asks another master; forward.py and store.py do.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import trio

from orchestr8 import limits
from orchestr8.errors import NotLeader, OutcomeUnknown, TooManyRequests
from orchestr8.raft.driver import Driver, Proposal
from orchestr8.raft.forward import Answers, Commands
from orchestr8.raft.replica import Applied, Lost, Outcome
from orchestr8.raft.transport import Links
from orchestr8.rpc.service import Peer
from orchestr8.store.command import Result, decode_batch

ONE_COMMAND = b"\x91"  # msgpack: an array of one


class Here:
    def __init__(self, node_id: str, driver: Driver, links: Links) -> None:
        self._node_id = node_id
        self._driver = driver
        self._links = links
        self._in_flight = 0

    async def commit(self, command: bytes) -> tuple[int, Result]:
        """The entry's index and the result. Raises NotLeader (not applied) or OutcomeUnknown (leadership was lost)."""
        settled = trio.Event()
        found: list[tuple[Outcome, int]] = []

        def answer(outcome: Outcome, place: int) -> None:
            found.append((outcome, place))
            settled.set()

        proposal = Proposal(command, answer)
        self._driver.propose(proposal)
        try:
            await settled.wait()
        finally:
            proposal.given_up = True
        match found[0]:
            case Applied(index, results), place:
                return index, results[place]
            case Lost(), _:
                raise OutcomeUnknown("this master stopped leading before the write was confirmed")
            case _:
                raise NotLeader(f"{self._node_id} does not lead", self._driver.replica.leader)

    async def barrier(self) -> int:
        """The index to apply before reading. Raises NotLeader."""
        answered = trio.Event()
        found: list[int | None] = []

        def reader(index: int | None) -> None:
            found.append(index)
            answered.set()

        self._driver.replica.read(reader)
        self._driver.wake()
        await answered.wait()
        if found[0] is None:
            raise NotLeader(f"{self._node_id} does not lead", self._driver.replica.leader)
        return found[0]

    async def serve_propose(self, peer: Peer, params: Any) -> Any:
        """Commands in, Answers out. Raises NotLeader, TooManyRequests, BadRequest: then none of them was taken."""
        self._links.check(peer)
        commands = msgspec.convert(params, Commands).commands
        if not self._driver.replica.leads:
            raise NotLeader(f"{self._node_id} does not lead", self._driver.replica.leader)
        for command in commands:
            decode_batch(ONE_COMMAND + command)  # one bad command would spoil the entry it travels in
        answers: Answers = [None] * len(commands)
        left = len(commands)
        all_settled = trio.Event()

        def settle(number: int, outcome: Outcome, place: int) -> None:
            nonlocal left
            match outcome:
                case Applied(index, results):
                    answers[number] = (index, results[place])
                case Lost():
                    answers[number] = False
            left -= 1
            if not left:
                all_settled.set()

        with self.slots(len(commands)):
            for number, command in enumerate(commands):
                self._driver.propose(Proposal(command, functools.partial(settle, number)))
            if commands:
                await all_settled.wait()
        return msgspec.to_builtins(answers)

    async def serve_barrier(self, peer: Peer, _params: Any) -> int:
        self._links.check(peer)
        return await self.barrier()

    @contextmanager
    def slots(self, count: int) -> Iterator[None]:
        """Room for ``count`` writes among limits.PROPOSALS_IN_FLIGHT. Raises TooManyRequests at once."""
        if self._in_flight + count > limits.PROPOSALS_IN_FLIGHT:
            raise TooManyRequests(f"{self._in_flight} writes are under way on {self._node_id}, near its bound")
        self._in_flight += count
        try:
            yield
        finally:
            self._in_flight -= count
