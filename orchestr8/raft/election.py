"""Who may campaign, and when: pre-vote and stickiness, which pysyncobj lacks.

A follower whose deadline passes first asks its peers whether they would vote for it, without a new term; only a
majority of yes makes it campaign. A peer says no while it hears a leader, and does not vote then either. So a master
that was cut off comes back without deposing anybody, and a deaf one cannot drive the term up. When the connection to
the leader breaks, the leader is not counted as heard any more: its death is seen without waiting for the deadline.
Raft thesis, 4.2.3 and 9.6. Sans-IO.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from orchestr8 import limits
from orchestr8.raft.messages import Message

# After the first unsuccessful question the next comes sooner than a real campaign would: asking harms nobody.
_ASK_AGAIN_SECONDS = (0.25, 0.5)
_LEADER_GONE_SECONDS = (0.05, 0.3)


class Seat(Protocol):
    election_deadline: float

    def term(self) -> int: ...
    def last_index(self) -> int: ...
    def last_term(self) -> int: ...
    def leads(self) -> bool: ...
    def leader_name(self) -> str | None: ...
    def last_response(self, peer: str) -> float: ...


class Election:
    def __init__(self, peers: Sequence[str], seat: Seat, uniform: Callable[[float, float], float]) -> None:
        self._peers = peers
        self._seat = seat
        self._uniform = uniform
        self._heard = float("-inf")  # when a valid leader last spoke
        self._round = 0
        self._yes: set[str] | None = None  # None: no question is open

    @property
    def heard(self) -> float:
        """When a leader was last heard; -inf: not since the connection to it broke."""
        return self._heard

    @property
    def looking(self) -> bool:
        """Has asked for votes since a leader was last heard."""
        return self._yes is not None

    def leader_spoke(self, now: float) -> None:
        self._heard = now
        self._yes = None

    def leader_unreachable(self, now: float) -> None:
        """There is no connection to the leader (any more). What it sent before may still come in and proves little."""
        self._heard = float("-inf")
        patience = self._uniform(*_LEADER_GONE_SECONDS)
        self._seat.election_deadline = min(self._seat.election_deadline, now + patience)

    def ask(self, now: float) -> list[tuple[str, Message]]:
        """The questions of a new round; the core's own deadline is moved on meanwhile."""
        self._seat.election_deadline = now + self._uniform(*_ASK_AGAIN_SECONDS)
        self._round += 1
        self._yes = set()
        question: Message = {
            "type": "pre_vote",
            "term": self._seat.term() + 1,
            "last_log_index": self._seat.last_index(),
            "last_log_term": self._seat.last_term(),
            "round": self._round,
        }
        return [(peer, question) for peer in self._peers]

    def answer(self, question: Message, now: float) -> Message:
        ours = (self._seat.last_term(), self._seat.last_index())
        theirs = (question["last_log_term"], question["last_log_index"])
        granted = question["term"] > self._seat.term() and theirs >= ours and not self._follows_or_leads(now)
        return {
            "type": "pre_vote_answer",
            "term": self._seat.term(),
            "round": question["round"],
            "granted": granted,
        }

    def answered(self, peer: str, answer: Message) -> None:
        """A majority of yes lets the core campaign at its next tick."""
        if self._yes is None or answer["round"] != self._round or not answer["granted"]:
            return
        self._yes.add(peer)
        if 2 * (len(self._yes) + 1) > len(self._peers) + 1:
            self._yes = None
            self._seat.election_deadline = 0.0

    def refuses(self, request: Message, now: float) -> bool:
        """Stickiness: no vote while a leader is heard, unless that leader handed over itself."""
        return not request["transfer"] and self._follows_or_leads(now)

    def _follows_or_leads(self, now: float) -> bool:
        since = now - limits.ELECTION_SECONDS_MIN
        if self._seat.leads():
            heard = sum(self._seat.last_response(peer) > since for peer in self._peers)
            return 2 * (heard + 1) > len(self._peers) + 1
        return self._heard > since
