"""Each protection taken away, so that the simulation can show that it notices."""

from __future__ import annotations

from orchestr8.raft.guard import Guard
from orchestr8.raft.messages import Message
from orchestr8.raft.replica import Replica
from tests.simulation.raft.simulation import Simulation


class _WithoutG1(Guard):
    def skip_known_entries(self, message: Message) -> Message:
        return message


class _WithoutG2(Guard):
    def is_of_this_term(self, message: Message) -> bool:
        return True


class _WithoutG4(Guard):
    def is_new_vote(self, peer: str, message: Message) -> bool:
        return True


class _WithoutG5(Guard):
    def ask_for_conflict_start(self, peer: str, message: Message) -> Message:
        return message


class _WithoutHoldBack(Replica):
    def must_wait(self, kind: str) -> bool:
        return False

    def _rests_on_unsafe_entry(self, message: Message) -> bool:
        return False


class WithoutG1(Simulation):
    guard_class = _WithoutG1


class WithoutG2(Simulation):
    guard_class = _WithoutG2


class WithoutG4(Simulation):
    guard_class = _WithoutG4


class WithoutG5(Simulation):
    guard_class = _WithoutG5


class WithoutHoldBack(Simulation):
    replica_class = _WithoutHoldBack
