"""Masters whose every message, write and tick the test makes happen by hand."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from orchestr8.raft.guard import Guard
from orchestr8.raft.journal import Journal
from orchestr8.raft.messages import Message
from orchestr8.raft.replica import Outcome, Replica
from orchestr8.store.command import Key, Put, Txn, encode_batch
from orchestr8.store.state import State


def entry(name: str) -> bytes:
    """A log entry that creates one ConfigMap."""
    body = b'{"metadata":{"name":"%s","namespace":"n"}}' % name.encode()
    return encode_batch([Txn(name, (), (Put(Key("ConfigMap", "n", name), body),))])


def fresh_journal() -> Journal:
    journal = Journal()
    journal.segment_begun(len(journal.next_segment()[1]))
    return journal


class Hand:
    def __init__(
        self,
        names: str,
        *,
        guard: type[Guard] = Guard,
        replica: type[Replica] = Replica,
        append_batch_bytes: int = 4 << 20,
    ) -> None:
        self.now = 100.0
        self.names = names
        random = Random(1)
        self.replicas: dict[str, Replica] = {}
        for name in names:
            made = replica(
                name,
                list(names),
                fresh_journal(),
                State(),
                1,
                random.uniform,
                self.now,
                append_batch_bytes=append_batch_bytes,
            )
            made.guard = guard(made.core, made.journal)
            self.replicas[name] = made
        self.wire: dict[tuple[str, str], list[Message]] = {(a, b): [] for a in names for b in names if a != b}
        for a, b in self.wire:
            self.replicas[a].connect(b, self.now)

    def __getitem__(self, name: str) -> Replica:
        return self.replicas[name]

    def collect(self, name: str) -> None:
        for peer, message in self.replicas[name].take_messages():
            self.wire[name, peer].append(message)

    def tick(self, name: str, seconds: float = 0.0) -> None:
        self.now += seconds
        self.replicas[name].tick(self.now)
        self.collect(name)

    def flush(self, name: str) -> None:
        replica = self.replicas[name]
        if replica.journal.dirty:
            replica.journal.take_block()
            replica.journal.block_safe()
            replica.flushed(self.now)
        self.collect(name)

    def deliver(self, sender: str, receiver: str, count: int | None = None) -> None:
        queue = self.wire[sender, receiver]
        for message in queue[:count]:
            self.replicas[receiver].receive(sender, message, self.now)
        del queue[:count]
        self.collect(receiver)

    def lose(self, *ways: str) -> None:
        """What is on its way, such as "ab" from a to b, is gone."""
        for way in ways:
            self.wire[way[0], way[1]].clear()

    def settle(self, among: Iterable[str] | None = None, rounds: int = 8) -> None:
        """Everything between the masters in ``among`` arrives and is written, several times over."""
        group = list(among or self.names)
        for _ in range(rounds):
            for name in group:
                self.flush(name)
            for a, b in self.wire:
                if a in group and b in group:
                    self.deliver(a, b)
            for name in group:
                self.tick(name)

    def elect(self, name: str, among: Iterable[str] | None = None) -> None:
        """``name`` campaigns at once and wins with the votes of ``among``; nobody had heard a leader for long."""
        group = list(among or self.names)
        self.now += 1.5
        for each in group:  # nobody else's deadline passes first
            self.replicas[each].core.election_deadline = self.now + 10.0
        self.replicas[name].core.election_deadline = 0.0
        self.tick(name)
        for _ in range(3):
            self.flush(name)
            for peer in group:
                if peer != name:
                    self.deliver(name, peer)
                    self.flush(peer)
                    self.deliver(peer, name)
        assert self.replicas[name].leads

    def propose(self, name: str, what: str, into: list[Outcome] | None = None) -> None:
        self.replicas[name].propose(entry(what), (into if into is not None else []).append)
        self.tick(name)

    def holds(self, name: str, what: str) -> bool:
        """Whether the log of ``name`` has that entry."""
        return any(what.encode() in command for command, _, _ in self.replicas[name].journal[1:])

    def applied(self, name: str, what: str) -> bool:
        return self.replicas[name].state.view().stored("ConfigMap", "n", what) is not None
