"""Linearizable reads without a log entry: the leader proves that it still leads, then says how far to have applied.

The commit index is noted, then all members are asked whether they still follow this term. A majority of yes means that
no later leader existed when the question was sent, so nothing newer than the noted index was acknowledged by then.
One question serves every reader that waited before it was sent (Raft thesis, 6.4). Sans-IO.
The leader must have committed an entry of its own term before; the replica sees to that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestr8 import limits
from orchestr8.raft.messages import Message

Reader = Callable[[int | None], None]  # the index to apply up to; None: this master does not lead (any more)

_REPEAT_SECONDS = 2 * limits.APPEND_PERIOD_SECONDS  # answers lost with a connection


class ReadProbes:
    def __init__(self, peers: Sequence[str]) -> None:
        self._peers = peers
        self._waiting: list[Reader] = []
        self._asked: list[Reader] = []
        self._number = 0
        self._index = 0
        self._yes: set[str] = set()
        self._sent = 0.0

    def wait(self, reader: Reader) -> None:
        self._waiting.append(reader)

    def next_wake(self) -> float:
        """When to call ``ask`` again at the latest, readiness aside."""
        return self._sent + _REPEAT_SECONDS if self._asked else float("inf")

    def ask(self, term: int, commit_index: int, now: float) -> list[tuple[str, Message]]:
        """The questions to send now, if readers wait and none is open (or the open one is late)."""
        if self._asked and now < self._sent + _REPEAT_SECONDS:
            return []
        self._asked += self._waiting
        self._waiting = []
        if not self._asked:
            return []
        self._number += 1
        self._index, self._sent, self._yes = commit_index, now, set()
        self._settle()
        question: Message = {"type": "read_probe", "term": term, "number": self._number}
        return [(peer, question) for peer in self._peers] if self._asked else []

    def answered(self, peer: str, answer: Message) -> None:
        if answer["number"] == self._number:
            self._yes.add(peer)
            self._settle()

    def lost(self) -> None:
        """No longer leading."""
        readers, self._asked, self._waiting = self._asked + self._waiting, [], []
        for reader in readers:
            reader(None)

    def _settle(self) -> None:
        if self._asked and 2 * (len(self._yes) + 1) > len(self._peers) + 1:
            readers, self._asked = self._asked, []
            for reader in readers:
                reader(self._index)
