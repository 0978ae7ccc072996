"""Leadership as a cancel scope and a claim number.

A master that leads and has applied everything before its term commits a Claim; the state answers a number that no other
tenure has. Leader-only work runs inside a scope that is cancelled when the tenure ends, and its transactions carry the
number: what is still on its way then is refused by the state itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
import trio

from orchestr8.raft.signals import Signal
from orchestr8.store.command import Claim, Result, Txn


class Propose(Protocol):
    async def __call__(self, txn: Txn) -> Result: ...


class Leadership:
    """One tenure of this master. ``claim``: its number."""

    def __init__(self, term: int, claim: int, propose: Propose) -> None:
        self.term = term
        self.claim = claim
        self.ended = trio.Event()
        self._propose = propose
        self._scopes: set[trio.CancelScope] = set()

    async def propose(self, txn: Txn) -> Result:
        """As ReplicatedStore.propose; Conflict once another master has claimed."""
        return await self._propose(msgspec.structs.replace(txn, claim=self.claim))

    async def run(self, work: Callable[[Leadership], Awaitable[None]]) -> None:
        """``work`` until it returns or the tenure ends."""
        if self.ended.is_set():
            return
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                await work(self)
            finally:
                self._scopes.discard(scope)

    def end(self) -> None:
        self.ended.set()
        for scope in self._scopes:
            scope.cancel()


class Tenures:
    """Claims each time this master comes to lead. ``now``: the present tenure, None while there is none."""

    def __init__(
        self,
        me: str,
        serving_term: Callable[[], int | None],
        claim: Callable[[Claim], Awaitable[Result | None]],
        propose: Propose,
        changed: Signal,
    ) -> None:
        """``serving_term``: the term in which this master leads and serves. ``claim``: None when it was in vain."""
        self.now: Leadership | None = None
        self._me = me
        self._serving_term = serving_term
        self._claim = claim
        self._propose = propose
        self._changed = changed

    async def run(self) -> None:
        while True:
            term = self._serving_term()
            if term is not None and self.now is None:
                result = await self._claim(Claim(f"claim/{self._me}/{term}", self._me))
                if result is not None and self._serving_term() == term:
                    self.now = Leadership(term, result.claim, self._propose)
                    self._changed.fire()
                continue
            await self._changed.wait()

    def notice(self) -> None:
        """Call in the step in which leadership may have been lost: leader-only work stops before anything else runs."""
        if self.now is not None and self._serving_term() != self.now.term:
            tenure, self.now = self.now, None
            tenure.end()

    async def while_leading(self, work: Callable[[Leadership], Awaitable[None]]) -> None:
        while True:
            tenure = self.now
            if tenure is None:
                await self._changed.wait()
            else:
                await tenure.run(work)
                await tenure.ended.wait()
